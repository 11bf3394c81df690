"""Similarities of many pairs of states with chance level and interval, in one tidy table. No torch."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.stats import t as student

from interference.similarity import Measure, expected, moments, unit, varies

COLUMNS = (
    "measure", "condition", "model_a", "language_a", "layer_a", "model_b", "language_b", "layer_b", "value", "low",
    "high", "chance", "raw", "z_scored", "sentences", "documents", "dimensions_a", "dimensions_b", "effective_a",
    "effective_b", "deciding_a", "deciding_b", "why_not",
)  # fmt: skip
BLOCKS = 20  # of documents, left out one by one
FEWEST_BLOCKS = 5  # for an interval
LEVEL = 0.95
MASSIVE = 6.0  # times the median dimension's root mean square
DISAGREE = 0.1  # between raw and z-scored
HANDFUL = 3  # dimensions


@dataclass(frozen=True)
class Place:
    """Where states are read: a model, the language or other text it reads, and a layer, 0 the embeddings."""

    model: str
    language: str
    layer: int


@dataclass(frozen=True)
class Preparation:
    """What is done to the states of a place before they are compared, each place by itself.

    `scaled`: every dimension divided by its deviation (z-scored). `centred`: less the mean over sentences, which most
    measures do in any case. `length`: less what the logarithm of the number of tokens explains. `massive`: dimensions
    of more than MASSIVE times the median dimension's root mean square set to zero.
    """

    scaled: bool = True
    centred: bool = True
    length: bool = False
    massive: bool = False

    def label(self) -> str:
        """In words."""
        parts = ["z-scored" if self.scaled else "raw", "" if self.centred or self.scaled else "not centred"]
        parts += ["length regressed out"] * self.length + ["massive dimensions removed"] * self.massive
        return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class Side:
    """The states of one place, from how many tokens of each sentence, and what the logit lens reads if asked."""

    x: Float[np.ndarray, "sentence dim"]
    tokens: Float[np.ndarray, " sentence"]
    readings: Float[np.ndarray, "sentence token"] | None = None


def prepared(side: Side, preparation: Preparation) -> Float[np.ndarray, "sentence dim"]:
    """The states as they are compared."""
    x = side.x.astype(np.float64)
    if preparation.massive:
        x = np.where(massive(x), 0.0, x)
    mean = x.mean(axis=0)
    if preparation.length:
        length = np.log(np.maximum(side.tokens, 1.0))
        length = length - length.mean()
        if (power := float(length @ length)) > 0:
            x = x - np.outer(length, length @ (x - mean) / power)
    if preparation.centred or preparation.scaled:
        x = x - mean
    if preparation.scaled:
        deviations = x.std(axis=0)
        x = x / np.where(varies(side.x) & (deviations > 0), deviations, np.inf)
    return x


def massive(x: Float[np.ndarray, "sentence dim"]) -> Bool[np.ndarray, " dim"]:
    """Dimensions of more than MASSIVE times the median dimension's root mean square."""
    size = np.sqrt((x**2).mean(axis=0))
    return size > MASSIVE * np.median(size)


def effective_dimensions(x: Float[np.ndarray, "sentence dim"]) -> float:
    """The participation ratio of the covariance: as many directions of equal variance would be as spread out."""
    x = x - x.mean(axis=0)
    products = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    power = float((products**2).sum())
    return float(np.trace(products)) ** 2 / power if power > 0 else np.nan


def deciding_dimensions(x: Float[np.ndarray, "sentence dim"]) -> int:
    """The fewest dimensions that hold half of the variance; 0 where nothing varies."""
    variance = np.sort(x.astype(np.float64).var(axis=0))[::-1]
    total = variance.sum()
    return int(np.searchsorted(np.cumsum(variance), total / 2) + 1) if total > 0 else 0


def blocks_of(documents: Sequence[str]) -> np.ndarray:
    """The block of each sentence: neighbouring documents together, BLOCKS at most, of about one size."""
    codes = _codes(documents)
    ends = np.cumsum(np.bincount(codes))
    return (((ends - 1) * min(BLOCKS, len(ends))) // len(documents))[codes]


def folds_of(documents: Sequence[str]) -> np.ndarray:
    """0 or 1 by sentence: every other document, or every other sentence of a single document."""
    codes = _codes(documents)
    return (codes if codes.any() else np.arange(len(documents))) % 2


def _codes(documents: Sequence[str]) -> np.ndarray:
    """The number of each sentence's document, in order of appearance."""
    return pd.factorize(np.array(documents, dtype=object))[0]


def jackknife(
    whole: Float[np.ndarray, " pair"], without: Float[np.ndarray, "block pair"], sizes: Sequence[int]
) -> tuple[Float[np.ndarray, " pair"], Float[np.ndarray, " pair"]]:
    """The 95 % interval of each value from what it is without each block of so many sentences (Busing and others).

    Sentences drawn twice would count as near each other, so blocks are left out and none is drawn again.
    """
    share = sum(sizes) / np.asarray(sizes, dtype=float)[:, None]
    count = len(sizes)
    pseudo = share * whole - (share - 1) * without
    centre = count * whole - ((1 - 1 / share) * without).sum(axis=0)
    error = np.sqrt((((pseudo - centre) ** 2) / (share - 1)).mean(axis=0))
    reach = student.ppf((1 + LEVEL) / 2, count - 1) * error
    return whole - reach, whole + reach


@dataclass(frozen=True)
class SimilarityTable:
    """Similarities of pairs of places. `frame` has exactly COLUMNS, one row for each measure and pair.

    `value` with its 95 % interval is to be read against `chance`, the exact mean over permutations of the sentences;
    `raw` and `z_scored` are the value without and with z-scoring. `effective` is the participation ratio of the
    prepared states, `deciding` how few of the raw dimensions hold half of the variance. Where a measure does not
    apply its numbers are empty and `why_not` says why.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(self.frame.columns) != COLUMNS:
            raise ValueError(f"a similarity table has the columns {COLUMNS}, not {tuple(self.frame.columns)}")
        bare = self.frame["value"].isna() & (self.frame["why_not"] == "")
        if bare.any():
            raise ValueError("a similarity without a value needs a reason")

    def warnings(self) -> tuple[str, ...]:
        """What of these numbers is not to be trusted, a sentence each."""
        found = self.frame[self.frame["why_not"] == ""]
        apart = (found["raw"] - found["z_scored"]).abs() > DISAGREE
        few = (found[["deciding_a", "deciding_b"]] <= HANDFUL).any(axis=1)
        said = []
        if apart.any():
            worst = found.iloc[int((found["raw"] - found["z_scored"]).abs().argmax())]
            said.append(
                f"Raw and z-scored states disagree by more than {DISAGREE} in {apart.sum()} of {len(found)} cells, "
                f"most in {pair_name(worst)}: {worst['raw']:.2f} raw, {worst['z_scored']:.2f} z-scored."
            )
        if few.any():
            least = found.iloc[int(found[["deciding_a", "deciding_b"]].min(axis=1).argmin())]
            side = "a" if least["deciding_a"] <= least["deciding_b"] else "b"
            said.append(
                f"In {few.sum()} of {len(found)} cells {HANDFUL} dimensions or fewer hold half of the raw variance, in "
                f"{least[f'model_{side}']} at layer {least[f'layer_{side}']} {least[f'deciding_{side}']}: raw values "
                "are about these alone."
            )
        return tuple(said)


def joined(tables: Sequence[SimilarityTable]) -> SimilarityTable:
    """Tables one below the other, what is said beside them once."""
    frame = pd.concat([table.frame for table in tables], ignore_index=True)
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    return SimilarityTable(frame, notes, tables[0].provenance)


def spanned(values: pd.Series) -> str:
    """One number where all are nearly the same, else the least and the greatest."""
    return f"{values.mean():.2f}" if np.ptp(values) < 0.005 else f"{values.min():.2f} to {values.max():.2f}"


def pair_name(row: pd.Series) -> str:
    """The two places of a row in words."""
    sides = [f"{row[f'model_{s}']} on {row[f'language_{s}']}, layer {row[f'layer_{s}']}" for s in "ab"]
    return " and ".join(sides)


Pairs = Sequence[tuple[Place, Place]]
Refusal = Callable[[Measure, Place, Place], str]
Vectors = dict[Place, np.ndarray]


def places_of(pairs: Pairs) -> list[Place]:
    """Every place of some pairs, once."""
    return list(dict.fromkeys(place for pair in pairs for place in pair))


def measured(
    measure: Measure,
    sides: Mapping[Place, Side],
    pairs: Pairs,
    documents: Sequence[str],
    preparation: Preparation,
    refusal: Refusal = lambda measure, a, b: "",
    condition: str = "",
    intervals: bool = True,
    vectors: Vectors | None = None,
) -> Generator[None, None, pd.DataFrame]:
    """The rows of a measure for pairs of places, in steps. `sides` have the documents' sentences in common.

    `refusal` says why a pair can't be compared, or ''. `vectors` keep what relations a place has for the next time.
    """
    whys = [_other_width(measure, sides, a, b) or refusal(measure, a, b) for a, b in pairs]
    for place in places_of(pairs):
        if measure.needs != "vocabulary" and not varies(sides[place].x).any():
            why = f"the states of {place.model} do not vary between these sentences at layer {place.layer}"
            whys = [own or (why if place in pair else "") for own, pair in zip(whys, pairs, strict=True)]
    valid = [pair for pair, why in zip(pairs, whys, strict=True) if not why]
    folds, every = folds_of(documents), np.arange(len(documents))
    value, chance = yield from _values(measure, sides, valid, every, folds, preparation, vectors)
    other = value
    if measure.needs != "vocabulary":
        switched = replace(preparation, scaled=not preparation.scaled)
        other = (yield from _values(measure, sides, valid, every, folds, switched, None))[0]
    low, high = np.full(len(valid), np.nan), np.full(len(valid), np.nan)
    blocks = blocks_of(documents)
    sizes = np.bincount(blocks)
    if intervals and len(sizes) >= FEWEST_BLOCKS and valid:
        without = []
        for block in range(len(sizes)):
            keep = every[blocks != block]
            without.append((yield from _values(measure, sides, valid, keep, folds, preparation, None))[0])
        low, high = jackknife(value, np.stack(without), sizes.tolist())
    chance = np.where(np.abs(chance) < 1e-9, 0.0, chance)  # what rounding leaves of an exact zero
    raw, scaled = (other, value) if preparation.scaled else (value, other)
    numbers = np.full((len(pairs), 6), np.nan)
    numbers[[not why for why in whys]] = np.stack([value, low, high, chance, raw, scaled], axis=1)
    shared = measure.name, condition
    facts = {place: _facts(sides[place], preparation) for place in places_of(pairs)}
    rows = []
    for (a, b), own, why in zip(pairs, numbers, whys, strict=True):
        reason = why or ("" if np.isfinite(own[0]) else "the states do not vary between these sentences")
        beside = [number for pair in zip(facts[a], facts[b], strict=True) for number in pair]
        rows.append(
            (*shared, a.model, a.language, a.layer, b.model, b.language, b.layer, *own, len(documents),
             len(set(documents)), *beside, reason)
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _other_width(measure: Measure, sides: Mapping[Place, Side], a: Place, b: Place) -> str:
    width = [sides[place].x.shape[1] for place in (a, b)]
    if not measure.equal_width or width[0] == width[1]:
        return ""
    return f"{a.model} has {width[0]} dimensions and {b.model} {width[1]}"


def _facts(side: Side, preparation: Preparation) -> tuple[int, float, int]:
    return side.x.shape[1], effective_dimensions(prepared(side, preparation)), deciding_dimensions(side.x)


Values = tuple[Float[np.ndarray, " pair"], Float[np.ndarray, " pair"]]


def _values(
    measure: Measure,
    sides: Mapping[Place, Side],
    pairs: Pairs,
    keep: np.ndarray,
    folds: np.ndarray,
    preparation: Preparation,
    vectors: Vectors | None,
) -> Generator[None, None, Values]:
    """Value and chance level of every pair on some of the sentences."""

    def states(place: Place) -> Float[np.ndarray, "sentence dim"]:
        side = sides[place]
        if measure.needs == "vocabulary":
            assert side.readings is not None  # whoever asks for such a measure has read them
            return side.readings[keep]
        return prepared(Side(side.x[keep], side.tokens[keep]), preparation)

    if measure.form == "relations":
        kept: Vectors = {} if vectors is None else vectors
        for place in places_of(pairs):
            if place not in kept:
                kept[place] = flat(measure, states(place))
                yield
        return (yield from agreements(kept, pairs, len(keep)))
    found = []
    for a, b in pairs:
        found.append(measure.between(states(a), states(b), folds[keep]))
        yield
    value, chance = np.array(found).reshape(-1, 2).T
    return value, chance


def flat(measure: Measure, x: Float[np.ndarray, "sentence dim"]) -> np.ndarray:
    """A place's relations as a vector whose inner products are the measure, then the moments of its matrix.

    Symmetric matrices take half the room: diagonal and upper triangle, the latter counted twice.
    """
    matrix = unit(measure.function(x))
    if measure.symmetric:
        upper = np.triu_indices(len(matrix), k=1)
        own = np.concatenate([np.diag(matrix), np.sqrt(2) * matrix[upper]])
    else:
        own = matrix.ravel()
    return np.concatenate([own, moments(matrix)]).astype(np.float32)


def agreements(vectors: Mapping[Place, np.ndarray], pairs: Pairs, n: int) -> Generator[None, None, Values]:
    """Value and chance level of pairs from the vectors of their places: one matrix product where most pairs count."""
    places = {place: row for row, place in enumerate(places_of(pairs))}
    if not pairs:
        return np.empty(0), np.empty(0)
    stack = np.stack([vectors[place] for place in places])
    left, right = np.array([[places[a], places[b]] for a, b in pairs]).T
    own, sums = stack[:, :-2], stack[:, -2:].astype(np.float64)
    value = np.empty(len(pairs))
    if len(pairs) * 4 > len(places) ** 2:
        value = (own @ own.T)[left, right].astype(np.float64)
        yield
    else:
        for start in range(0, len(pairs), 64):
            part = slice(start, start + 64)
            value[part] = np.einsum("ij,ij->i", own[left[part]], own[right[part]])
            yield
    return value, np.asarray(expected(sums[left], sums[right], n))
