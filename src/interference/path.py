"""The path between two checkpoints: the loss of every language along it, excess and barrier."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from interference.corpus import Corpus
from interference.errors import UserError
from interference.recipe import Recipe
from interference.statistics import clustered_means
from interference.tables import PER_BYTE, known_units, unit_sizes

METHODS = ("linear", "slerp")
POINTS = (3, 101)  # on a path, at least and at most
KNOWS = 0.5  # recovery above which a checkpoint counts as knowing a language
SERIES = ("value", "excess", "gap")
SIDES = tuple(f"{name}{side}" for name in SERIES for side in ("", "_low", "_high"))
HEADS = ("first", "second", "method", "unit", "language", "weight", "sentences")
POINT_COLUMNS = (*HEADS, *SIDES)
SUMMARY_COLUMNS = (
    "language", "best_parent", "best", "untrained", "middle_excess", "middle_excess_low", "middle_excess_high",
    "largest_excess", "largest_excess_at", "barrier", "barrier_low", "barrier_high", "barrier_at", "known_by",
    "why_no_barrier",
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
        if self.points % 2 == 0:
            raise UserError(f"A path of {self.points} points has none in the middle; give an odd number of points.")
        if self.method not in METHODS:
            raise UserError(f"A path is walked by {' or '.join(METHODS)}, not by '{self.method}'.")

    @property
    def weights(self) -> tuple[float, ...]:
        """How much of the second checkpoint each point has."""
        return tuple(round(float(w), 6) for w in np.linspace(0, 1, self.points))

    @property
    def coarser(self) -> tuple["Walk", ...]:
        """The same way in fewer points, all of them points of this one, the fewest first."""
        steps = self.points - 1
        return tuple(replace(self, points=few + 1) for few in range(2, steps, 2) if steps % few == 0)

    def at(self, weight: float) -> str | Recipe:
        """The model at one point: the checkpoints themselves at the ends, a recipe between them."""
        if weight in (0, 1):
            return self.second if weight else self.first
        if self.method == "slerp":
            return Recipe("slerp", (self.first, self.second), knobs=(("t", weight),))
        return Recipe("linear", (self.first, self.second), (round(1 - weight, 6), weight))

    def place(self, recipe: Recipe) -> float | None:
        """Where on this path a merge lies, if it lies on it."""
        if recipe.method != self.method or recipe.post or sorted(recipe.models) != sorted((self.first, self.second)):
            return None
        within = (*recipe.weights, *recipe.settings().values())
        if recipe.slices or not all(isinstance(value, int | float) for value in within):
            return None  # it lies on it with some of its tensors at most
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
    does not know the language. `known_by` names the ends that do, and is None where that can't be said.
    """

    walk: Walk
    points: Mapping[str, pd.DataFrame]
    summary: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


def pairs_notes(tables: Sequence[PathTable]) -> tuple[str, ...]:
    """What belongs beside several paths, each sentence once."""
    return tuple(dict.fromkeys(note for table in tables for note in table.notes))


def path_table(
    walk: Walk,
    bits: Mapping[tuple[float, str], np.ndarray],
    levels: Mapping[tuple[str, str], np.ndarray],
    corpus: Corpus,
    rows: np.ndarray,
    provenance: Mapping[str, str],
    lossy: Collection[str] = (),
    notes: Sequence[str] = (),
) -> PathTable:
    """The table of a path from the bits of every sentence: `bits[weight, language]` of every point, and
    `levels[role, language]` of what they are compared with, roles untrained and reference.

    Languages in `lossy`, whose text the tokenizer does not give back, have no bits per byte.
    """
    languages, documents = list(dict.fromkeys(code for _, code in bits)), [corpus.documents[row] for row in rows]
    sizes = {unit: {code: unit_sizes(unit, corpus, code, rows) for code in languages} for unit in known_units(corpus)}
    knowers = {language: _knowers(walk, bits, levels, language, documents) for language in languages}
    points = {unit: _points(walk, unit, bits, sizes[unit], documents) for unit in sizes}
    summary = {unit: _summary(walk, points[unit], bits, levels, sizes[unit], knowers) for unit in sizes}
    for frame in (table[unit] for table in (points, summary) for unit in PER_BYTE if unit in table):
        numbers = frame.columns.intersection([*SIDES, *SUMMARY_COLUMNS[2:-2]])
        frame.loc[frame["language"].isin(list(lossy)), numbers] = np.nan
    own = (
        f"{len(rows)} sentences per language {corpus.clusters(rows)}.",
        f"A checkpoint counts as knowing a language if its recovery is above {KNOWS:g} with all of its interval.",
        "The interval of a barrier is that of the gap where it is largest.",
    )
    return PathTable(walk, points, summary, (*own, *notes), provenance)


def _points(
    walk: Walk,
    unit: str,
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
            heads.append((walk.first, walk.second, walk.method, unit, language, weight, len(own)))
    found = np.stack(clustered_means(np.stack(series), documents, np.stack(scale)), axis=1)
    frame = pd.DataFrame(heads, columns=list(HEADS))
    return frame.join(pd.DataFrame(found.reshape(len(heads), -1), columns=list(SIDES)))


def _summary(
    walk: Walk,
    points: pd.DataFrame,
    bits: Mapping[tuple[float, str], np.ndarray],
    levels: Mapping[tuple[str, str], np.ndarray],
    sizes: Mapping[str, np.ndarray],
    knowers: Mapping[str, tuple[str, ...] | str],
) -> pd.DataFrame:
    records = []
    for language, part in points.groupby("language", sort=False):
        code = str(language)
        total = float(sizes[code].sum())
        ends = {walk.first: bits[0.0, code].sum() / total, walk.second: bits[1.0, code].sum() / total}
        untrained = levels["untrained", code].sum() / total if ("untrained", code) in levels else np.nan
        best = min(ends, key=lambda name: float(ends[name]))
        middle = part.iloc[(part["weight"] - 0.5).abs().argmin()]
        highest, widest = part.iloc[part["excess"].argmax()], part.iloc[part["gap"].argmax()]
        known_by, why = _who_knows(walk, knowers[code])
        barrier = (np.nan,) * 4 if why else (widest["gap"], widest["gap_low"], widest["gap_high"], widest["weight"])
        records.append(
            (code, best, ends[best], untrained, middle["excess"], middle["excess_low"],
             middle["excess_high"], highest["excess"], highest["weight"], *barrier, known_by, why)
        )  # fmt: skip
    return pd.DataFrame(records, columns=list(SUMMARY_COLUMNS))


def _knowers(
    walk: Walk,
    bits: Mapping[tuple[float, str], np.ndarray],
    levels: Mapping[tuple[str, str], np.ndarray],
    language: str,
    documents: Sequence[str],
) -> tuple[str, ...] | str:
    """The ends that know a language, or why that can't be said."""
    for role, name in (("untrained", "single untrained checkpoint"), ("reference", "reference")):
        if (role, language) not in levels:
            return f"the suite has no {name} to say who knows the language"
    untrained, reference = levels["untrained", language], levels["reference", language]
    if (untrained - reference).mean() < 1e-9:
        return "the reference does no better than the untrained checkpoint"
    required = untrained - KNOWS * (untrained - reference)  # the bits of a model whose recovery is KNOWS
    means, low, _ = clustered_means(np.stack([required - bits[end, language] for end in (0.0, 1.0)]), documents)
    clear = np.where(np.isnan(low), means, low) > 0  # without an interval the mean decides
    return tuple(name for name, knows in zip((walk.first, walk.second), clear, strict=True) if knows)


def _who_knows(walk: Walk, knowers: tuple[str, ...] | str) -> tuple[str | None, str]:
    """The ends that know a language, and why it has no barrier; '' where both do.

    A model that does not is often worse than an untrained one: on the line to it any collapse lies below the chord.
    """
    if isinstance(knowers, str):
        return None, knowers
    ignorant = [name for name in (walk.first, walk.second) if name not in knowers]
    why = f"{' and '.join(ignorant)} {'do' if len(ignorant) > 1 else 'does'} not know it" if ignorant else ""
    return ", ".join(knowers), why
