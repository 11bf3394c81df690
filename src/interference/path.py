"""The path between two checkpoints: the loss of every language along it, excess and barrier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from interference.corpus import Corpus
from interference.errors import UserError
from interference.recipe import Recipe
from interference.statistics import clustered_means
from interference.tables import known_units

METHODS = ("linear", "slerp")
POINTS = (3, 101)  # on a path, at least and at most
KNOWS = 0.5  # recovery from which on a checkpoint counts as knowing a language
SERIES = ("value", "excess", "gap")
SIDES = tuple(f"{name}{side}" for name in SERIES for side in ("", "_low", "_high"))
POINT_COLUMNS = ("first", "second", "language", "weight", "sentences", *SIDES)
SUMMARY_COLUMNS = (
    "language", "best_parent", "best", "untrained", "middle_excess", "middle_excess_low", "middle_excess_high",
    "largest_excess", "largest_excess_at", "barrier", "barrier_low", "barrier_high", "barrier_at", "why_no_barrier",
)  # fmt: skip


@dataclass(frozen=True)
class Walk:
    """A path: from one checkpoint to another by a method, in so many points, both ends included."""

    first: str
    second: str
    points: int = 11
    method: str = "linear"

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise UserError(f"The path from {self.first} to itself has no length. Name two checkpoints.")
        if not POINTS[0] <= self.points <= POINTS[1]:
            raise UserError(f"A path of {self.points} points was asked for; give {POINTS[0]} to {POINTS[1]}.")
        if self.method not in METHODS:
            raise UserError(f"A path is walked by {' or '.join(METHODS)}, not by '{self.method}'.")

    @property
    def weights(self) -> tuple[float, ...]:
        """How much of the second checkpoint each point has."""
        return tuple(round(float(w), 6) for w in np.linspace(0, 1, self.points))

    def at(self, weight: float) -> str | Recipe:
        """The model at one point: the checkpoints themselves at the ends, a recipe between them."""
        if weight in (0, 1):
            return self.second if weight else self.first
        if self.method == "slerp":
            return Recipe("slerp", (self.first, self.second), knobs=(("t", weight),))
        return Recipe("linear", (self.first, self.second), (round(1 - weight, 6), weight))

    def place(self, recipe: Recipe) -> float | None:
        """Where on this path a merge lies, if it lies on it."""
        if recipe.method != self.method or recipe.post or set(recipe.models) != {self.first, self.second}:
            return None
        if self.method == "slerp":
            share = float(recipe.settings()["t"])
        else:
            total = sum(recipe.weights)
            if not recipe.settings()["normalize"] and abs(total - 1) > 1e-6:
                return None
            share = recipe.weights[1] / total
        share = share if recipe.models[0] == self.first else 1 - share
        return share if 0 <= share <= 1 else None


@dataclass(frozen=True)
class PathTable:
    """Losses along a path.

    `points[unit]` has POINT_COLUMNS, one row for each language and point: the loss, the excess over the better parent,
    and the gap to the straight line between the ends' losses, each with its 95 % interval. `summary[unit]` has
    SUMMARY_COLUMNS, one row for each language; the barrier is the largest gap, and empty with the reason where an end
    does not know the language.
    """

    walk: Walk
    points: Mapping[str, pd.DataFrame]
    summary: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


def path_table(
    walk: Walk,
    bits: Mapping[tuple[float, str], np.ndarray],
    levels: Mapping[tuple[str, str], np.ndarray],
    corpus: Corpus,
    rows: np.ndarray,
    provenance: Mapping[str, str],
) -> PathTable:
    """The table of a path from the bits of every sentence: `bits[weight, language]` of every point, and
    `levels[role, language]` of what they are compared with, roles untrained and reference."""
    languages, documents = list(dict.fromkeys(code for _, code in bits)), [corpus.documents[row] for row in rows]
    sizes = {unit: _sizes(unit, corpus, languages, rows) for unit in known_units(corpus)}
    points = {unit: _points(walk, bits, sizes[unit], documents) for unit in sizes}
    summary = {unit: _summary(walk, points[unit], bits, levels, sizes[unit]) for unit in sizes}
    half = "test half, " if len(corpus.halves["dev"]) else ""
    notes = (
        f"{len(rows)} sentences per language ({half}{len(set(documents))} documents); intervals are 95 %, by document.",
        f"A checkpoint counts as knowing a language from a recovery of {KNOWS:g} on.",
    )
    return PathTable(walk, points, summary, notes, provenance)


def _sizes(unit: str, corpus: Corpus, languages: Sequence[str], rows: np.ndarray) -> dict[str, np.ndarray]:
    """What the bits of each sentence are divided by."""
    if unit == "bits per sentence":
        return {language: np.ones(len(rows)) for language in languages}
    return {language: corpus.sizes("eng" if "English" in unit else language, rows) for language in languages}


def _points(
    walk: Walk,
    bits: Mapping[tuple[float, str], np.ndarray],
    sizes: Mapping[str, np.ndarray],
    documents: Sequence[str],
) -> pd.DataFrame:
    series, scale, heads = [], [], []
    for language in sizes:
        first, second = bits[0.0, language], bits[1.0, language]
        best = first if first.sum() <= second.sum() else second
        for weight in walk.weights:
            own = bits[weight, language]
            series += [own, own - best, own - ((1 - weight) * first + weight * second)]
            scale += [sizes[language]] * len(SERIES)
            heads.append((walk.first, walk.second, language, weight, len(own)))
    found = np.stack(clustered_means(np.stack(series), documents, np.stack(scale)), axis=1)
    frame = pd.DataFrame(heads, columns=list(POINT_COLUMNS[:5]))
    return frame.join(pd.DataFrame(found.reshape(len(heads), -1), columns=list(SIDES)))


def _summary(
    walk: Walk,
    points: pd.DataFrame,
    bits: Mapping[tuple[float, str], np.ndarray],
    levels: Mapping[tuple[str, str], np.ndarray],
    sizes: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    records = []
    for language, part in points.groupby("language", sort=False):
        code = str(language)
        total = float(sizes[code].sum())
        ends = {walk.first: bits[0.0, code].sum() / total, walk.second: bits[1.0, code].sum() / total}
        level = {
            role: levels[role, code].sum() / total for role in ("untrained", "reference") if (role, code) in levels
        }
        best = min(ends, key=lambda name: float(ends[name]))
        middle = part.iloc[(part["weight"] - 0.5).abs().argmin()]
        highest, widest = part.iloc[part["excess"].argmax()], part.iloc[part["gap"].argmax()]
        why = _why_no_barrier(ends, level.get("untrained"), level.get("reference"))
        barrier = (np.nan,) * 4 if why else (widest["gap"], widest["gap_low"], widest["gap_high"], widest["weight"])
        records.append(
            (code, best, ends[best], level.get("untrained", np.nan), middle["excess"], middle["excess_low"],
             middle["excess_high"], highest["excess"], highest["weight"], *barrier, why)
        )  # fmt: skip
    return pd.DataFrame(records, columns=list(SUMMARY_COLUMNS))


def _why_no_barrier(ends: Mapping[str, float], untrained: float | None, reference: float | None) -> str:
    """Empty where both ends know the language.

    A model that does not is often worse than an untrained one: on the line to it any collapse lies below the chord.
    """
    if untrained is None or reference is None:
        lacking = "untrained checkpoint" if untrained is None else "reference"
        return f"the suite has no {lacking} to say who knows the language"
    if untrained - reference < 1e-9:
        return "its reference does no better than the untrained checkpoint"
    ignorant = [name for name, loss in ends.items() if (untrained - loss) / (untrained - reference) < KNOWS]
    return f"{' and '.join(ignorant)} {'do' if len(ignorant) > 1 else 'does'} not know it" if ignorant else ""
