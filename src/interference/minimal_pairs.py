"""Minimal pairs: a grammatical sentence beside one with an error, and how often a model prefers the right one. No torch."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from interference.errors import UserError, nearest
# from interference.statistics import clustered_proportion
from interference.store import digest

CHANCE = 0.5
TIE = 1e-6  # bits: sums of the same tokens in another order differ by rounding alone
BY = ("language", "phenomenon")
COLUMNS = ("model", "language", "phenomenon", "pairs", "accuracy", "low", "high", "ties", "margin", "chance")
EXAMPLES = ("model", "language", "phenomenon", "good", "bad", "good_bits", "bad_bits", "right")
ALL = "all"  # in the column `phenomenon`: every pair of the language
_NEEDED = ("sen", "wrong_sen")


@dataclass(frozen=True)
class Pair:
    """Two sentences, the second with one error. Pairs of one `cluster` are not independent (one document's)."""

    good: str
    bad: str
    phenomenon: str
    language: str
    cluster: str = ""


@dataclass(frozen=True)
class PairSet:
    """Minimal pairs of one or more languages."""

    name: str
    pairs: tuple[Pair, ...]

    @cached_property
    def languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(pair.language for pair in self.pairs))

    def of(self, language: str) -> tuple[Pair, ...]:
        """The pairs of a language. Raises UserError for one that has none."""
        found = tuple(pair for pair in self.pairs if pair.language == language)
        if not found:
            raise UserError(f"The pairs {self.name} have no language '{language}': {nearest(language, self.languages)}")
        return found
