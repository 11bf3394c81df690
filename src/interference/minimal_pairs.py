"""Minimal pairs: a sentence beside the same one with an error, and how often a model is right about them. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from interference.corpus import may_be_language
from interference.corpus_files import read_table
from interference.errors import UserError, listed, nearest
from interference.languages import same_language
from interference.statistics import clustered_means, clustered_proportion

CHANCE = 0.5
TIE = 1e-6  # bits: sums of the same tokens in another order differ by rounding alone
BY = ("language", "phenomenon")
ALL = "all"  # in the column `phenomenon`: every pair of the language
COLUMNS = ("model", "language", "phenomenon", "pairs", "accuracy", "low", "high", "ties", "margin", "chance")
EXAMPLES = ("model", "language", "phenomenon", "document", "good", "bad", "good_bits", "bad_bits", "right")
_TIED = 0.05  # share of a language's pairs
_SHOWN = 5  # faults that a message lists


@dataclass(frozen=True)
class Pair:
    """Two sentences, the second with one error. Pairs of one `cluster`, a document, are not independent; '' is none."""

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
        """The pairs of a language. Raises UserError where there are none."""
        found = tuple(pair for pair in self.pairs if pair.language == language)
        if not found:
            raise UserError(f"The pairs {self.name} have no language '{language}': {nearest(language, self.languages)}")
        return found

    def called(self, languages: Sequence[str]) -> "PairSet":
        """The same pairs under the codes that these languages have: those of `eng` are of `eng_Latn` where that is one.

        The name says what was renamed.
        """
        names = {own: same_language(own, languages) or own for own in self.languages}
        names = {own: code for own, code in names.items() if own != code and [*names.values()].count(code) == 1}
        if not names:
            return self
        renamed = ", ".join(f"{own} as {code}" for own, code in names.items())
        pairs = (replace(pair, language=names.get(pair.language, pair.language)) for pair in self.pairs)
        return PairSet(f"{self.name}, {renamed}", tuple(pairs))

    def few(self, count: int | None) -> "PairSet":
        """The first so many of each phenomenon and language; all of them when None. Raises UserError below 1."""
        if count is None:
            return self
        if count < 1:
            raise UserError(f"{count} pairs of each phenomenon were asked for; give 1 or more.")
        seen: dict[tuple[str, str], int] = {}
        kept = []
        for pair in self.pairs:
            place = (pair.language, pair.phenomenon)
            seen[place] = seen.get(place, 0) + 1
            if seen[place] <= count:
                kept.append(pair)
        return PairSet(self.name, tuple(kept))


def read_pairs(path: Path, language: str | None = None) -> PairSet:
    """Pairs in MultiBLiMP's columns: sen, wrong_sen, and optionally phenomenon and language (arXiv:2504.02768).

    Pairs with the same entry in a further column, document, are not independent of each other. A file (.tsv, .jsonl,
    .parquet) without a column `language` is of the language given, else of the one that it or its folder is named
    after, as eng/data.tsv is. Raises UserError that lists every bad row.
    """
    if not path.is_file():
        why = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"The file of pairs {path} {why}. Give a table: .tsv, .jsonl or .parquet.")
    table = read_table(path)
    if lacking := [name for name in ("sen", "wrong_sen") if name not in table]:
        raise UserError(
            f"{path} has no column '{lacking[0]}'; expected the columns sen and wrong_sen, and optionally phenomenon "
            f"and language. It has: {', '.join(table) or 'none'}."
        )
    rows = len(table["sen"])
    own = next((name for name in (path.stem, path.resolve().parent.name) if may_be_language(name)), path.stem)
    languages = table.get("language", [language or own] * rows)
    columns = (table["sen"], table["wrong_sen"], table.get("phenomenon", ["pairs"] * rows), languages)
    documents = ["" if cell is None else str(cell) for cell in table.get("document", [""] * rows)]
    wrong, pairs = [] if rows else ["it has no rows"], []
    for number, cells in enumerate(zip(*columns, documents, strict=True), start=1):
        if not all(isinstance(cell, str) and cell.strip() for cell in cells[:-1]):
            wrong.append(f"row {number} has an empty cell, or one that is no text")
        elif cells[0] == cells[1]:
            wrong.append(f"row {number} has the same sentence twice")
        elif cells[2] == ALL:
            wrong.append(f"row {number} has the phenomenon '{ALL}', which is what all of them together are called")
        else:
            pairs.append(Pair(*cells))
    if wrong:
        raise UserError(f"{path} holds no minimal pairs: {listed(wrong, _SHOWN)}. Put these rows right.")
    return PairSet(path.name, tuple(pairs))


def own_pairs(languages: Sequence[str] | None = None) -> PairSet:
    """The pairs that the built-in suite's grammar makes, of all its languages or some, under the codes given.

    Raises UserError that names a language it does not make.
    """
    from interference.demo.forms import LANGUAGES
    from interference.demo.pairs import minimal_pairs

    made = dict.fromkeys(same_language(code, LANGUAGES) or code for code in languages or LANGUAGES)
    own = PairSet("built-in", tuple(pair for code in made for pair in minimal_pairs(code)))
    return own.called(languages or LANGUAGES)


@dataclass(frozen=True)
class AccuracyTable:
    """Accuracies of models on minimal pairs.

    `frame` has COLUMNS, one row for each model, language and phenomenon, and one for all pairs of the language: the
    share of pairs whose right sentence needs fewer bits in all, ties counted half, with its 95 % interval; `margin` is
    the mean of the bits that the wrong one needs more. `examples` has EXAMPLES, one row for each model and pair.
    """

    frame: pd.DataFrame
    examples: pd.DataFrame
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def by(self, kind: str) -> pd.DataFrame:
        """The rows by `language`, or by `phenomenon` and language. Raises UserError for anything else."""
        if kind not in BY:
            raise UserError(f"Accuracy is listed by {' or '.join(BY)}, not by '{kind}'.")
        whole = self.frame["phenomenon"] == ALL
        return self.frame[whole if kind == "language" else ~whole].reset_index(drop=True)

    def above(self, rows: pd.DataFrame, controls: Sequence[str]) -> list[bool]:
        """For rows of `frame`: whether all of the interval is above chance, and all of that of the difference to each
        of these models that scored the same pairs, pair by pair, above zero."""
        places = zip(*(rows[name].tolist() for name in ("model", "language", "phenomenon")), strict=True)
        return [
            bool(clear) and all(self._gain(model, control, language, phenomenon) > 0 for control in controls)
            for clear, (model, language, phenomenon) in zip(rows["low"] > rows["chance"], places, strict=True)
        ]

    @cached_property
    def _right(self) -> pd.DataFrame:
        return self.examples.set_index(["model", "language"]).sort_index(kind="stable")

    def _gain(self, model: str, control: str, language: str, phenomenon: str) -> float:
        """The lower end of the 95 % interval of how much more often a model is right; infinite beside none."""
        if (control, language) not in self._right.index:
            return np.inf
        own, other = (self._right.loc[[(name, language)]] for name in (model, control))
        chosen = np.flatnonzero((own["phenomenon"] == phenomenon) | (phenomenon == ALL))
        difference = own["right"].to_numpy() - other["right"].to_numpy()
        clusters = [name or str(i) for i, name in enumerate(own["document"])]
        return float(clustered_means(difference[None, chosen], [clusters[i] for i in chosen])[1][0])


def _tied(frame: pd.DataFrame) -> tuple[str, ...]:
    """What to say where many pairs of a language tie under a model, which drags its accuracy to chance.

    Under models that count tokens those of another order do.
    """
    from interference.scored import BIGRAM, UNIGRAM

    whole = frame[(frame["phenomenon"] == ALL) & ~frame["model"].isin([UNIGRAM, BIGRAM])]
    whole = whole[whole["ties"] > _TIED * whole["pairs"]]
    worst = whole.sort_values("ties").drop_duplicates("language", keep="last")
    most = ", ".join(f"up to {row.ties} of {row.pairs} of {row.language}" for row in worst.itertuples())
    return (f"Many pairs tie, as where a tokenizer has UNK for both words: {most}.",) if most else ()


def accuracy_table(
    pairs: PairSet,
    bits: Mapping[tuple[str, str], np.ndarray],
    provenance: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> AccuracyTable:
    """The table from `bits[model, language]`, `[2, pair]`: of the right sentences and of the wrong ones."""
    rows, examples = [], []
    for (model, language), (good, bad) in bits.items():
        own, margin = pairs.of(language), bad - good
        score = np.where(np.abs(margin) <= TIE, 0.5, margin > 0).astype(float)
        named = np.array([pair.phenomenon for pair in own])
        clusters = [pair.cluster or str(i) for i, pair in enumerate(own)]
        for phenomenon in (ALL, *dict.fromkeys(named.tolist())):
            chosen = np.flatnonzero((named == phenomenon) | (phenomenon == ALL))
            interval = clustered_proportion(score[chosen], [clusters[i] for i in chosen])
            ties = int((score[chosen] == 0.5).sum())
            rows.append(
                (model, language, phenomenon, len(chosen), *interval, ties, float(margin[chosen].mean()), CHANCE)
            )
        examples += [
            (model, language, pair.phenomenon, pair.cluster, pair.good, pair.bad, *both, right)
            for pair, both, right in zip(own, zip(good, bad, strict=True), score, strict=True)
        ]
    clustered = any(pair.cluster for pair in pairs.pairs)
    own_notes = (
        f"{len(pairs.pairs)} minimal pairs ({pairs.name}); right is the sentence that needs fewer bits in all, a tie "
        "counts half; chance is 50 %.",
        f"Intervals are 95 %, Wilson's{', widened for pairs from one document' if clustered else ''}.",
    )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return AccuracyTable(
        frame,
        pd.DataFrame(examples, columns=list(EXAMPLES)),
        (*own_notes, *_tied(frame), *notes),
        dict(provenance or {}) | {"pairs_from": pairs.name},
    )
