"""Does anything measured before merging predict what merging does? All pairs of a suite or of the paper. No torch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from importlib.resources import files
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from interference.errors import UserError, check_known, nearest
from interference.statistics import (
    additive_effects,
    holm,
    mantel,
    ranked,
    relabelled,
    spearman,
    spearman_interval,
)
from interference.steps import Steps
from interference.store import Store, digest

_VERSION = 3  # raised when the same pairs give other numbers than before
FEWEST = 5  # languages: with four, four effects of languages leave two of six pairs' worth of freedom
ALPHA = 0.05
HEADS = ("first", "second", "damage", "damage_low", "damage_high")
TESTS = {
    "relabelling": f"p of relabelled languages is {ALPHA} at most",
    "Holm": f"so is p corrected for the number of measures tried (Holm), {ALPHA} at most",
    "interval": "the interval over resampled languages excludes zero",
    "leave-one-out": "the sign stays whichever language is left out",
    "beyond languages": f"what languages leave unexplained is related with the same sign, corrected p {ALPHA} at most",
}
COLUMNS = (
    "measure", "label", "kind", "direction", "pairs", "spearman", "low", "high", "chance", "p", "p_holm",
    "without_low", "without_high", "carried_by", "by_languages", "partial", "partial_chance", "partial_p",
    "partial_p_holm", "passed", "survives", "why_not",
)  # fmt: skip


@dataclass(frozen=True)
class Predictor:
    """Something known of a pair of models before they are merged. `best` says which values ought to be good for
    merging: high, low, zero or neither; `unit` is empty for what has none."""

    name: str
    label: str
    kind: str
    best: str
    caption: str
    source: str = ""
    unit: str = ""


@dataclass(frozen=True)
class PairTable:
    """What merging does to every pair of languages, and what is known of the pair before.

    `frame` has HEADS, then one column for each of `predictors`; one row for each pair of `languages` in the order of
    `itertools.combinations`. `outcome` names the damage with its unit; `better` says whether high or low damage values
    are good. A measure that some pair lacks is empty there and is left out of the prediction, with the reason.
    """

    name: str
    languages: tuple[str, ...]
    outcome: str
    better: str
    predictors: tuple[Predictor, ...]
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = [*HEADS, *(p.name for p in self.predictors)]
        if list(self.frame.columns) != expected:
            raise ValueError(f"a table of pairs has the columns {expected}, not {list(self.frame.columns)}")
        pairs = list(zip(self.frame["first"], self.frame["second"], strict=True))
        if pairs != list(combinations(self.languages, 2)):
            raise ValueError("a table of pairs has one row for each pair of its languages, in their order")
        if not np.isfinite(self.frame["damage"].to_numpy(dtype=float)).all():
            raise ValueError("a table of pairs has a finite damage for every pair")

    def check_language(self, code: str) -> None:
        """Raise UserError for a language that has no pairs here."""
        if code not in self.languages:
            raise UserError(f"There are no pairs of a language '{code}' here: {nearest(code, self.languages)}")

    def restricted(self, languages: Collection[str], measures: Sequence[str] = ()) -> "PairTable":
        """The same with some of the languages and measures only; all measures where none are named.

        Raises UserError for unknown ones and for fewer than FEWEST languages.
        """
        for code in languages:
            self.check_language(code)
        known = {p.name: p for p in self.predictors}
        check_known("Unknown measure", known, *measures)
        kept = tuple(code for code in self.languages if code in languages)
        check_languages(kept)
        rows = self.frame["first"].isin(kept) & self.frame["second"].isin(kept)
        chosen = tuple(known[name] for name in dict.fromkeys(measures)) or self.predictors
        frame = self.frame.loc[rows, [*HEADS, *(p.name for p in chosen)]].reset_index(drop=True)
        return PairTable(self.name, kept, self.outcome, self.better, chosen, frame, self.notes, self.provenance)


def check_languages(languages: Sequence[str]) -> None:
    """Raise UserError for too few languages to say anything."""
    if len(languages) < FEWEST:
        one, pairs = len(languages) == 1, comb(len(languages), 2)
        raise UserError(
            f"{len(languages)} language{'' if one else 's'} ({', '.join(languages) or 'none'}) make{'s' * one} {pairs} "
            f"pair{'' if pairs == 1 else 's'}, too few to tell a relation from chance; give {FEWEST} languages or more."
        )


@dataclass(frozen=True)
class Relation:
    """How a measure and the damage go together over all pairs of languages.

    `spearman` with its 95 % interval over resampled languages; `chance` is what the magnitude exceeds in 5 % of
    relabellings and `p` the share of relabellings at least as extreme (two-sided). `without` are the extremes with one
    language left out, and `carried` the language whose loss moves the correlation furthest towards or past zero; they
    are NaN, and it is that language, where the measure or the damage does not vary without it.
    `by_languages` is the share of the measure's variance that one additive effect per language explains; `partial`,
    with its own chance level and p, is Spearman's correlation of what such effects leave of both, NaN where they leave
    nothing of one.
    """

    spearman: float
    low: float
    high: float
    chance: float
    p: float
    without_low: float
    without_high: float
    carried: float
    by_languages: float
    partial: float
    partial_chance: float
    partial_p: float


def relation(x: Float[np.ndarray, "language language"], y: Float[np.ndarray, "language language"]) -> Relation:
    """The relation of a measure x and the damage y, both symmetric. Raises ValueError where one is constant."""
    own, low, high = spearman(x, y), *spearman_interval(x, y)
    if np.isnan(own):
        raise ValueError("a relation needs a measure and a damage that vary between pairs")
    chance, p = _against_chance(x, y)
    without = np.array([spearman(*(np.delete(np.delete(one, i, 0), i, 1) for one in (x, y))) for i in range(len(x))])
    left_x, by_languages = additive_effects(x)
    left_y, damage_by_languages = additive_effects(y)
    partial, partial_chance, partial_p = np.nan, np.nan, np.nan
    if max(by_languages, damage_by_languages) < 1 - 1e-9:
        left_x, left_y = _evened(left_x), _evened(left_y)
        partial = spearman(left_x, left_y)
        partial_chance, partial_p = _against_chance(left_x, left_y)
    return Relation(
        own, low, high, chance, p, float(without.min()), float(without.max()),
        float((np.sign(own) * without).argmin()), by_languages, partial, partial_chance, partial_p,
    )  # fmt: skip


def _evened(left: np.ndarray) -> np.ndarray:
    """Values to a billionth of their range: those that only rounding parts are to share a rank."""
    step = 1e-9 * float(np.ptp(left))
    return np.round(left / step) * step


def _against_chance(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """What a correlation of ranks exceeds in 5 % of relabellings, and the p of this one."""
    null = relabelled(ranked(x), ranked(y))
    p = mantel(ranked(x), ranked(y), null)[1]
    at = int(len(null) * (1 - ALPHA))
    return float(np.partition(np.abs(null, out=null), at)[at]), p


@dataclass(frozen=True)
class Prediction:
    """Every measure of a table of pairs against the damage. `frame` has exactly COLUMNS, what survives most first.

    `passed` counts the TESTS that a measure passes and `survives` names them; `direction` says whether the sign is the
    one that the measure promises. `explained` is the share of the damage's variance that one additive effect per
    language explains. Measures without a relation have the reason in `why_not`.
    """

    table: PairTable
    frame: pd.DataFrame
    explained: float
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        if tuple(self.frame.columns) != COLUMNS:
            raise ValueError(f"a prediction has the columns {COLUMNS}, not {tuple(self.frame.columns)}")


def predict_steps(table: PairTable, store: Store | None = None) -> Steps[Prediction]:
    """Relate every measure of a table to the damage, measure by measure; relations are kept in a store."""
    check_languages(table.languages)
    damage = squareform(table.frame["damage"].to_numpy(dtype=float))
    found: dict[Predictor, Relation | str] = {}
    orders: dict[bytes, str] = {}
    for predictor in table.predictors:
        one = found[predictor] = _relation_or_reason(table, predictor, damage, store)
        ranks = rankdata(table.frame[predictor.name])
        same = orders.get(ranks.tobytes())
        if isinstance(one, Relation) and same:  # counted twice, it would make the correction too strict
            found[predictor] = f"it orders the pairs as {same}"
        orders.setdefault(ranks.tobytes(), f"{predictor.label} does")
        orders.setdefault((len(ranks) + 1 - ranks).tobytes(), f"{predictor.label} does, in reverse")
        yield len(found) / len(table.predictors)
    return Prediction(table, _frame(table, found), additive_effects(damage)[1], (*_notes(table, found), *table.notes))


def _relation_or_reason(
    table: PairTable, predictor: Predictor, damage: np.ndarray, store: Store | None
) -> Relation | str:
    values = table.frame[predictor.name].to_numpy(dtype=float)
    if missing := int((~np.isfinite(values)).sum()):
        return f"{missing} of {len(values)} pairs have no value"
    for name, numbers in (("the measure", values), ("the damage", table.frame["damage"].to_numpy(dtype=float))):
        if np.ptp(numbers) <= 1e-12 * max(1.0, float(np.abs(numbers).max())):
            return f"{name} does not vary between these pairs"
    if store is None:
        return relation(squareform(values), damage)
    key = digest("relation", _VERSION, values.tolist(), damage.tolist())
    known = store.read(key, len(fields(Relation)) + 1)
    if known[-1] != 1:  # the last says that the others are there; NaN among them is no partial correlation
        known = np.array([*astuple(relation(squareform(values), damage)), 1.0])
        store.write(key, known)
    return Relation(*known[:-1].tolist())


def _frame(table: PairTable, found: Mapping[Predictor, Relation | str]) -> pd.DataFrame:
    relations = [one if isinstance(one, Relation) else None for one in found.values()]
    frame = pd.DataFrame([_row(table, p, one) for p, one in zip(found, relations, strict=True)], columns=list(COLUMNS))
    frame["why_not"] = [one if isinstance(one, str) else "" for one in found.values()]
    for p in ("p", "partial_p"):
        frame[f"{p}_holm"] = holm(frame[p].to_numpy(dtype=float))
    passed = pd.DataFrame(
        {
            "relabelling": frame["p"] <= ALPHA,
            "Holm": frame["p_holm"] <= ALPHA,
            "interval": frame["low"] * frame["high"] > 0,
            "leave-one-out": frame["without_low"] * frame["without_high"] > 0,
            "beyond languages": (frame["partial_p_holm"] <= ALPHA) & (frame["partial"] * frame["spearman"] > 0),
        }
    )
    frame["passed"] = passed.sum(axis=1)
    frame["survives"] = [", ".join(name for name in TESTS if row[name]) for _, row in passed.iterrows()]
    order = frame.assign(none=frame["why_not"] != "").sort_values(
        ["none", "passed", "p"], ascending=[True, False, True], kind="stable"
    )
    return order[list(COLUMNS)].reset_index(drop=True)


def _row(table: PairTable, predictor: Predictor, one: Relation | None) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(COLUMNS, np.nan) | {
        "measure": predictor.name,
        "label": predictor.label,
        "kind": predictor.kind,
        "direction": "",
        "pairs": len(table.frame),
        "carried_by": "",
    }
    if one is None:
        return row
    row |= {f.name: getattr(one, f.name) for f in fields(Relation) if f.name in COLUMNS}
    row["carried_by"] = table.languages[int(one.carried)]
    promised = {"high": 1, "low": -1, "zero": -1}.get(predictor.best, 0) * (1 if table.better == "high" else -1)
    if promised:
        row["direction"] = "as promised" if promised * one.spearman > 0 else "opposite"
    return row


def beyond_languages(table: PairTable, measure: str) -> pd.DataFrame:
    """What one additive effect per language leaves of a measure (x) and of the damage (y), pair by pair."""
    frame = table.frame[["first", "second"]].copy()
    for name, column in (("x", measure), ("y", "damage")):
        left = additive_effects(squareform(table.frame[column].to_numpy(dtype=float)))[0]
        frame[name] = squareform(left, checks=False)
    return frame


def _notes(table: PairTable, found: Mapping[Predictor, Relation | str]) -> Sequence[str]:
    tried, count = sum(isinstance(one, Relation) for one in found.values()), len(table.languages)
    return (
        f"{len(table.frame)} pairs of {count} languages; {tried} measure{'' if tried == 1 else 's'} tried.",
        "Each language sits in many pairs, so languages are relabelled and resampled, never pairs.",
        f"With {count} languages a relation that is not shown is not shown to be absent.",
    )


PAPER = "the paper's 45 pairs"
_PAPER_PREDICTORS = {
    "cos": Predictor("cos", "Cosine of all weights", "weights", "high", "Cosine of all parameters as one vector."),
    "l2": Predictor("l2", "L2 distance of all weights", "weights", "low", "Norm of the difference of all parameters."),
    "mean_rank_diff": Predictor(
        "mean_rank_diff", "Stable rank, difference", "weights", "low", "Mean absolute difference of stable ranks."
    ),
    "cka_inlang": Predictor(
        "cka_inlang", "CKA, own languages", "representations", "high",
        "Linear CKA, biased, mean over 24 layers; each model reads its own language.",
    ),
    "cka_eng": Predictor(
        "cka_eng", "CKA, English", "representations", "high",
        "Linear CKA, biased, mean over 24 layers; both models read English.",
    ),
    "cka_num": Predictor(
        "cka_num", "CKA, numerals", "representations", "high",
        "Linear CKA, biased, mean over 24 layers; both models read the numerals 0 to 1000.",
    ),
}  # fmt: skip


def paper_pairs() -> PairTable:
    """The pairs published with arXiv:2605.25846: averages of two of ten monolingual models of 2.15 B parameters."""
    raw = pd.read_csv(str(files("interference") / "data" / "paper_pairs.csv"), comment="#").replace("zhos", "zho")
    languages = tuple(dict.fromkeys([*raw["a"], *raw["b"]]))
    rows = {frozenset(pair): at for at, pair in enumerate(zip(raw["a"], raw["b"], strict=True))}
    pairs = list(combinations(languages, 2))
    raw = raw.iloc[[rows[frozenset(pair)] for pair in pairs]].reset_index(drop=True)
    frame = pd.DataFrame(pairs, columns=["first", "second"]).assign(
        damage=100 * raw["delta"], damage_low=np.nan, damage_high=np.nan, **{n: raw[n] for n in _PAPER_PREDICTORS}
    )
    return PairTable(
        PAPER,
        languages,
        "change of MultiBLiMP accuracy, percentage points",
        "high",
        tuple(_PAPER_PREDICTORS.values()),
        frame,
        (
            "Published figures, arXiv:2605.25846: the mean of two HPLT models of 2.15 B parameters less its parents' "
            "accuracy; they carry no intervals of their own.",
            "Pairs with Chinese are scored on the other language alone; leave zho out to compare like with like.",
        ),
        {"source": "arXiv:2605.25846, github.com/Sethjsa/multimerge"},
    )
