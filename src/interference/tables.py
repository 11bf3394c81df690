"""Tidy tables of results. No torch: bits come in as arrays, frames with checked columns go out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from interference.corpus import Corpus
from interference.languages import english
from interference.statistics import clustered_means

COLUMNS = (
    "model", "language", "sentences", "bits", "bytes", "bits_per_sentence", "bits_per_sentence_low",
    "bits_per_sentence_high", "bits_per_byte", "cost", "cost_low", "cost_high", "reference", "recovery",
)  # fmt: skip
UNIT_COLUMNS = ("value", "low", "high", "cost_value", "cost_low_value", "cost_high_value")
UNITS = ("bits per sentence", "bits per byte", "bits per English byte")
PER_BYTE = UNITS[1:]  # those that a tokenizer that loses text has no numbers in
BEST_PARENT = "best parent"


@dataclass(frozen=True)
class Subject:
    """One row of a loss table per language: a checkpoint or a merge, and the checkpoints it was made from.

    `best` are those of them by language that costs are counted from where no reference is settled.
    """

    name: str
    parents: tuple[str, ...] = ()
    best: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LossTable:
    """Losses of models by language. `frame` has exactly COLUMNS; bits are totals over `sentences` sentences.

    `units` holds for each unit the loss and the paired cost of every row with their intervals (UNIT_COLUMNS). `notes`
    are sentences that belong beside the numbers: what was scored, and why a column is empty. `provenance` is what
    every copy of the numbers should carry: text, tokenizer and device.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    units: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(self.frame.columns) != COLUMNS:
            raise ValueError(f"a loss table has the columns {COLUMNS}, not {tuple(self.frame.columns)}")
        if len(self.frame) and not np.isfinite(self.frame["bits"].to_numpy(dtype=float)).all():
            raise ValueError("a loss table holds finite bits only")

    def in_unit(self, unit: str) -> pd.DataFrame:
        """The frame with UNIT_COLUMNS in the unit asked for. Raises ValueError for one that the text has not."""
        if unit not in self.units:
            raise ValueError(f"no unit '{unit}' in this table; it has: {', '.join(self.units)}")
        return self.frame.join(self.units[unit])


def loss_table(
    subjects: Sequence[Subject],
    bits: Mapping[tuple[str, str], np.ndarray],
    corpus: Corpus,
    rows: np.ndarray,
    references: Mapping[str, str | None],
    init: str | None,
    languages: Sequence[str] | None = None,
    has_roles: bool = True,
    lossy: Collection[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    provenance: Mapping[str, str] | None = None,
) -> LossTable:
    """One row for each subject and language, subjects in order.

    `bits[model, language]` are bits by sentence over `rows`, for the subjects and whatever they are compared with.
    The cost is counted from the language's reference, else from the subject's best parent, if it names none from the
    one that needs least for these rows; recovery is
    (init - model) / (init - reference) and empty where there is no init, or no reference that is better. Cells in
    `lossy` (model, language), whose tokenizer does not give the text back, have no bits per byte, be it of English, and
    no costs in them what is counted from such a one.
    """
    cells = [
        _Cell(subject.name, language, _reference(subject, language, bits, references, has_roles))
        for subject in subjects
        for language in languages or corpus.languages
    ]
    own = [bits[c.model, c.language] for c in cells]
    costs = [one - bits[c.reference[0], c.language] if c.reference else None for c, one in zip(cells, own, strict=True)]
    units = {unit: _unit_frame(unit, cells, own, costs, corpus, rows, lossy) for unit in known_units(corpus)}
    sentence, byte = units["bits per sentence"].to_numpy(), units["bits per byte"]["value"].to_numpy()
    totals = {lang: int(corpus.sizes(lang, rows).sum()) for lang in {c.language for c in cells}}
    records = [
        (c.model, c.language, len(rows), float(own[i].sum()), totals[c.language], *sentence[i, :3], byte[i],
         *sentence[i, 3:], c.reference_label, _recovery(c, bits, init))
        for i, c in enumerate(cells)
    ]  # fmt: skip
    frame = pd.DataFrame(records, columns=list(COLUMNS))
    said = (*_notes(corpus, rows, init, cells), *_unlearned(cells, bits, init), *notes)
    return LossTable(frame, said, units, provenance or {})


@dataclass(frozen=True)
class Glimpse:
    """Means without intervals, some of them estimated from few sentences: what is shown while a slider moves.

    `frame` and `units` are those of a LossTable with empty intervals; `sentences` counts what is behind each number.
    `left` are the models that nothing is known of yet; as long as there are any, there are no costs.
    """

    frame: pd.DataFrame
    units: Mapping[str, pd.DataFrame]
    left: tuple[str, ...] = ()

    def in_unit(self, unit: str) -> pd.DataFrame:
        """The frame with UNIT_COLUMNS in the unit asked for."""
        return self.frame.join(self.units[unit])


def glimpse(
    subjects: Sequence[Subject],
    means: Mapping[tuple[str, str], tuple[float, int]],
    corpus: Corpus,
    rows: np.ndarray,
    references: Mapping[str, str | None],
    init: str | None,
    languages: Sequence[str],
    has_roles: bool = True,
    lossy: Collection[tuple[str, str]] = (),
    left: tuple[str, ...] = (),
) -> Glimpse:
    """A glimpse of `means[model, language]`: bits per sentence of all `rows`, and how many of them it was made from.

    Cells in `lossy` are those of `loss_table`.
    """
    bits = {cell: np.array([mean]) for cell, (mean, _) in means.items()}
    cells = [
        _Cell(subject.name, language, _reference(subject, language, bits, references, has_roles))
        for subject in subjects
        for language in languages
    ]
    own = np.array([means[c.model, c.language][0] for c in cells])
    costs = np.array(
        [own[i] - bits[c.reference[0], c.language][0] if c.reference else np.nan for i, c in enumerate(cells)]
    )
    empty = np.full(len(cells), np.nan)
    is_lossy = np.array([(c.model, c.language) in lossy for c in cells])
    against_lossy = np.array([c.reference is not None and (c.reference[0], c.language) in lossy for c in cells])
    units = {}
    for unit in known_units(corpus):
        sizes = {code: float(unit_sizes(unit, corpus, code, rows).sum()) / len(rows) for code in languages}
        size = np.array([sizes[c.language] for c in cells])
        size[is_lossy & (unit in PER_BYTE)] = np.nan
        paired = np.where(against_lossy & (unit in PER_BYTE), np.nan, costs / size)
        columns = (own / size, empty, empty, paired, empty, empty)
        units[unit] = pd.DataFrame(dict(zip(UNIT_COLUMNS, columns, strict=True)))
    totals = {language: int(corpus.sizes(language, rows).sum()) for language in languages}
    parts = (
        [c.model for c in cells], [c.language for c in cells], [means[c.model, c.language][1] for c in cells],
        own * len(rows), [totals[c.language] for c in cells], own, empty, empty, units["bits per byte"]["value"],
        costs, empty, empty, [c.reference_label for c in cells], [_recovery(c, bits, init) for c in cells],
    )  # fmt: skip
    return Glimpse(pd.DataFrame(dict(zip(COLUMNS, parts, strict=True))), units, left)


def with_provenance(frame: pd.DataFrame, provenance: Mapping[str, str], **more: str) -> pd.DataFrame:
    """A copy of numbers as it is taken away: `more`, then what they come from, in columns of their own.

    Raises ValueError where one of these would stand in the place of numbers.
    """
    if taken := [name for name in (*more, *provenance) if name in frame.columns]:
        raise ValueError(f"the columns {taken} are there already, so nothing else can be named so")
    return frame.assign(**more, **provenance)


def known_units(corpus: Corpus) -> tuple[str, ...]:
    """The units a corpus can be measured in: those of English bytes need an English column."""
    return UNITS if english(corpus.languages) else UNITS[:2]


def unit_sizes(unit: str, corpus: Corpus, language: str, rows: np.ndarray) -> np.ndarray:
    """What the bits of each sentence of a language are divided by, all sentences together, in a unit."""
    if unit == "bits per sentence":
        return np.ones(len(rows))
    source = english(corpus.languages) if "English" in unit else None
    return corpus.sizes(source or language, rows).astype(float)


def _unit_frame(
    unit: str,
    cells: Sequence["_Cell"],
    own: Sequence[np.ndarray],
    costs: Sequence[np.ndarray | None],
    corpus: Corpus,
    rows: np.ndarray,
    lossy: Collection[tuple[str, str]],
) -> pd.DataFrame:
    """Loss and paired cost of every cell in one unit, the denominators resampled with the documents."""
    documents = [corpus.documents[row] for row in rows]
    sizes = {language: unit_sizes(unit, corpus, language, rows) for language in {c.language for c in cells}}
    undefined = {cell for cell in lossy if unit in PER_BYTE}
    values = [None if (c.model, c.language) in undefined else one for c, one in zip(cells, own, strict=True)]
    paired = [
        None if values[i] is None or (c.reference and (c.reference[0], c.language) in undefined) else costs[i]
        for i, c in enumerate(cells)
    ]
    scale = [sizes[c.language] for c in cells]
    columns = [
        (*a, *b)
        for a, b in zip(_intervals(values, documents, scale), _intervals(paired, documents, scale), strict=True)
    ]
    return pd.DataFrame(columns, columns=list(UNIT_COLUMNS), dtype=float)


@dataclass(frozen=True)
class _Cell:
    """A model, a language and the checkpoint its cost is counted from with the label it has in the table."""

    model: str
    language: str
    reference: tuple[str, str] | None

    @property
    def reference_label(self) -> str | None:
        return self.reference[1] if self.reference else None


def _intervals(
    series: Sequence[np.ndarray | None], documents: Sequence[str], sizes: Sequence[np.ndarray]
) -> list[tuple[float, float, float]]:
    """Ratio to the sizes, low and high of each series; NaN for those that are None."""
    present = [i for i, values in enumerate(series) if values is not None]
    found: list[tuple[float, float, float]] = [(np.nan, np.nan, np.nan)] * len(series)
    if present:
        values = np.stack([values for values in series if values is not None])
        means, low, high = clustered_means(values, documents, np.stack([sizes[i] for i in present]))
        for place, i in enumerate(present):
            found[i] = (float(means[place]), float(low[place]), float(high[place]))
    return found


def _recovery(cell: _Cell, bits: Mapping[tuple[str, str], np.ndarray], init: str | None) -> float:
    gain = _gain(cell.reference[0], cell.language, bits, init) if cell.reference else None
    own = bits[cell.model, cell.language].sum()
    return float((bits[init, cell.language].sum() - own) / gain) if gain and gain > 1e-9 else np.nan  # type: ignore[index]


def _gain(reference: str, language: str, bits: Mapping[tuple[str, str], np.ndarray], init: str | None) -> float | None:
    """How many bits a reference needs less than the untrained model, if there is one."""
    untrained = bits.get((init, language)) if init else None
    return None if untrained is None else float(untrained.sum() - bits[reference, language].sum())


def _unlearned(cells: Sequence[_Cell], bits: Mapping[tuple[str, str], np.ndarray], init: str | None) -> tuple[str, ...]:
    """What to say where a reference is no better than the untrained model: there is nothing to recover."""
    gains = [(c.language, _gain(c.reference[0], c.language, bits, init)) for c in cells if c.reference]
    none = ", ".join(dict.fromkeys(language for language, gain in gains if gain is not None and gain <= 1e-9))
    return (f"No recovery in {none}: what costs are counted from is no better than untrained.",) if none else ()


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
    chosen = subject.best.get(language)
    best = chosen if chosen in known else min(known, key=lambda parent: float(bits[parent, language].sum()))
    return best, f"{BEST_PARENT}: {best}"


def _notes(corpus: Corpus, rows: np.ndarray, init: str | None, cells: Sequence[_Cell]) -> tuple[str, ...]:
    notes = [f"{len(rows)} of {len(corpus.halves['test'])} sentences {corpus.clusters(rows)}."]
    if any(cell.reference is None for cell in cells):
        notes.append(
            "No cost or recovery where the suite names no reference: give one checkpoint the role mono and its "
            "language, or name one of several under `reference` in suite.yaml."
        )
    if init is None:
        notes.append("No recovery: the suite has no single checkpoint of role init.")
    return tuple(notes)
