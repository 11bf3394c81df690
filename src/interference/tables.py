"""Tidy tables of results. No torch: bits come in as arrays, frames with checked columns go out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interference.corpus import Corpus
from interference.statistics import clustered_means

COLUMNS = (
    "model", "language", "sentences", "bits", "bytes", "bits_per_sentence", "bits_per_sentence_low",
    "bits_per_sentence_high", "bits_per_byte", "cost", "cost_low", "cost_high", "reference", "recovery",
)  # fmt: skip
UNITS = {
    "bits per sentence": "bits_per_sentence",
    "bits per byte": "bits_per_byte",
    "bits per English byte": "bits_per_english_byte",
}
BEST_PARENT = "best parent"


@dataclass(frozen=True)
class Subject:
    """One row of a loss table per language: a checkpoint or a merge, and the checkpoints it was made from."""

    name: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class LossTable:
    """Losses of models by language. `frame` has exactly COLUMNS; bits are totals over `sentences` sentences.

    `notes` are sentences that belong beside the numbers: what was scored, and why a column is empty.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if tuple(self.frame.columns) != COLUMNS:
            raise ValueError(f"a loss table has the columns {COLUMNS}, not {tuple(self.frame.columns)}")
        if len(self.frame) and not np.isfinite(self.frame["bits"].to_numpy(dtype=float)).all():
            raise ValueError("a loss table holds finite bits only")

    def in_unit(self, unit: str, english_bytes: float | None = None) -> pd.DataFrame:
        """The frame with `value`, `low`, `high` in the unit asked for: a key of UNITS."""
        frame = self.frame.copy()
        scale = _scale(frame, unit, english_bytes)
        frame["value"] = frame["bits"] / frame["sentences"] * scale
        frame["low"], frame["high"] = (frame[f"bits_per_sentence_{side}"] * scale for side in ("low", "high"))
        for column in ("cost", "cost_low", "cost_high"):
            frame[f"{column}_value"] = frame[column] * scale
        return frame


def _scale(frame: pd.DataFrame, unit: str, english_bytes: float | None) -> pd.Series:
    """What bits per sentence are multiplied by; `english_bytes` are those of the same sentences in English."""
    if unit == "bits per sentence":
        return pd.Series(1.0, frame.index)
    if unit == "bits per byte":
        return frame["sentences"] / frame["bytes"]
    if unit not in UNITS:
        raise ValueError(f"unknown unit '{unit}'; known: {', '.join(UNITS)}")
    if english_bytes is None:
        raise ValueError("bits per English byte need an English column in the corpus")
    return frame["sentences"] / english_bytes


def loss_table(
    subjects: Sequence[Subject],
    bits: Mapping[tuple[str, str], np.ndarray],
    corpus: Corpus,
    rows: np.ndarray,
    references: Mapping[str, str | None],
    init: str | None,
    languages: Sequence[str] | None = None,
    has_roles: bool = True,
) -> LossTable:
    """One row for each subject and language, subjects in order.

    `bits[model, language]` are bits by sentence over `rows`, for the subjects and whatever they are compared with.
    The cost is counted from the language's reference, else from the best of the subject's parents; recovery is
    (init - model) / (init - reference) and empty where there is no init or no reference.
    """
    cells = [
        _Cell(subject.name, language, _reference(subject, language, bits, references, has_roles))
        for subject in subjects
        for language in languages or corpus.languages
    ]
    documents = [corpus.documents[row] for row in rows]
    sizes = {lang: sum(len(text.encode()) for text in corpus.text(lang, rows)) for lang in {c.language for c in cells}}
    own = _intervals([bits[c.model, c.language] for c in cells], documents)
    costs = _intervals([_paired(c, bits) for c in cells], documents)
    records = [
        (
            c.model,
            c.language,
            len(rows),
            float(bits[c.model, c.language].sum()),
            sizes[c.language],
            *own[i],
            float(bits[c.model, c.language].sum() / sizes[c.language]),
            *costs[i],
            c.reference_label,
            _recovery(c, bits, init),
        )
        for i, c in enumerate(cells)
    ]
    return LossTable(pd.DataFrame(records, columns=list(COLUMNS)), _notes(corpus, rows, init, cells))


@dataclass(frozen=True)
class _Cell:
    """A model, a language and the checkpoint its cost is counted from with the label it has in the table."""

    model: str
    language: str
    reference: tuple[str, str] | None

    @property
    def reference_label(self) -> str | None:
        return self.reference[1] if self.reference else None


def _paired(cell: _Cell, bits: Mapping[tuple[str, str], np.ndarray]) -> np.ndarray | None:
    return bits[cell.model, cell.language] - bits[cell.reference[0], cell.language] if cell.reference else None


def _intervals(series: Sequence[np.ndarray | None], documents: Sequence[str]) -> list[tuple[float, float, float]]:
    """Mean, low and high of each series; NaN for those that are None."""
    present = [i for i, values in enumerate(series) if values is not None]
    found: list[tuple[float, float, float]] = [(np.nan, np.nan, np.nan)] * len(series)
    if present:
        means, low, high = clustered_means(np.stack([values for values in series if values is not None]), documents)
        for place, i in enumerate(present):
            found[i] = (float(means[place]), float(low[place]), float(high[place]))
    return found


def _recovery(cell: _Cell, bits: Mapping[tuple[str, str], np.ndarray], init: str | None) -> float:
    if not cell.reference or (init, cell.language) not in bits:
        return np.nan
    own, best = bits[cell.model, cell.language].sum(), bits[cell.reference[0], cell.language].sum()
    untrained = bits[init, cell.language].sum()  # type: ignore[index]
    return float((untrained - own) / (untrained - best)) if abs(untrained - best) > 1e-9 else np.nan


def _reference(
    subject: Subject,
    language: str,
    bits: Mapping[tuple[str, str], np.ndarray],
    references: Mapping[str, str | None],
    has_roles: bool,
) -> tuple[str, str] | None:
    """(checkpoint, how it is named in the table) that costs are counted from."""
    settled = references.get(language)
    if settled and (settled, language) in bits:
        return settled, settled
    known = [p for p in subject.parents if (p, language) in bits]
    if not known or not has_roles:
        return None
    best = min(known, key=lambda parent: float(bits[parent, language].sum()))
    return best, f"{BEST_PARENT}: {best}"


def _notes(corpus: Corpus, rows: np.ndarray, init: str | None, cells: Sequence[_Cell]) -> tuple[str, ...]:
    halves = corpus.halves
    clusters = len({corpus.documents[row] for row in rows})
    if len(halves["dev"]):
        notes = [
            f"{len(rows)} of {len(halves['test'])} sentences of the test half, {clusters} documents; "
            "intervals are 95 %, by document."
        ]
    else:
        kind = "one document" if corpus.has_documents else "no document column: each sentence is its own cluster"
        notes = [f"{len(rows)} of {len(halves['test'])} sentences ({kind}); intervals are 95 %."]
    if clusters < 2:
        notes.append("No intervals: they need at least two documents.")
    if any(cell.reference is None for cell in cells):
        notes.append(
            "No cost or recovery where the suite names no reference: give a checkpoint the role mono and its language."
        )
    if init is None:
        notes.append("No recovery: the suite has no checkpoint of role init.")
    return tuple(notes)
