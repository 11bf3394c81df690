"""Similarity tables as pages show them: square maps, kinds of pairs, and what is seen in one sentence. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from interference.signs import plain, signed
from interference.similarity import INVARIANCES, Measure, measures
from interference.similarity.table import spanned

_KINDS = 6  # named one by one in a sentence
_VERDICTS = (  # by the mean gap above which they hold
    (0.2, "alike, but not aligned"),
    (-0.2, "a rotation helps little"),
    (-np.inf, "found as they are, and better so"),
)
_PARTS = ("value", "low", "high", "chance", "raw", "z_scored")


@dataclass(frozen=True)
class Map:
    """A measure on a grid: frames of equal index and columns, empty where nothing is compared."""

    rows: str
    columns: str
    parts: dict[str, pd.DataFrame]
    why_not: pd.DataFrame

    @property
    def value(self) -> pd.DataFrame:
        return self.parts["value"]


def measure_table() -> pd.DataFrame:
    """The similarity measures: what is best, what they need and what leaves them unchanged."""
    return pd.DataFrame(
        [
            {"measure": m.name, "label": m.label, "best": m.best, "needs": m.needs,
             "unchanged_by": ", ".join(name for name in INVARIANCES if name in m.invariant), "source": m.source,
             "what": m.caption}
            for m in measures().values()
        ]
    )  # fmt: skip


def square(frame: pd.DataFrame, by: str, order: Sequence[str] | None = None) -> Map:
    """Pairs of one measure as a symmetric map by `model` or `language`; the diagonal is empty.

    Neighbours by average linkage stand beside each other unless an order is given.
    """
    a, b = f"{by}_a", f"{by}_b"
    names = list(order or dict.fromkeys([*frame[a], *frame[b]]))
    both = pd.concat([frame, frame.rename(columns={a: b, b: a})], ignore_index=True)
    parts = {part: both.pivot(index=a, columns=b, values=part).reindex(index=names, columns=names) for part in _PARTS}
    if order is None:
        names = [names[i] for i in leaf_order(parts["value"].to_numpy(dtype=float))]
        parts = {part: grid.loc[names, names] for part, grid in parts.items()}
    why = both.pivot(index=a, columns=b, values="why_not").reindex(index=names, columns=names)
    return Map(by, by, parts, why.astype(object).where(why.notna(), ""))


def leaf_order(values: np.ndarray) -> list[int]:
    """The order of the leaves of a clustering by average linkage; the given one where values are missing."""
    distance = 1 - values
    np.fill_diagonal(distance, 0)
    if len(values) < 3 or not np.isfinite(distance).all():
        return list(range(len(values)))
    pairs = squareform(np.maximum(distance, 0), checks=False)
    return leaves_list(linkage(pairs, method="average", optimal_ordering=True)).tolist()


def layers_map(frame: pd.DataFrame) -> Map:
    """Every layer of one model with every layer of another."""
    both = pd.concat([frame, _mirrored(frame)], ignore_index=True)
    parts = {part: both.pivot_table(index="layer_a", columns="layer_b", values=part, dropna=False) for part in _PARTS}
    why = both.pivot_table(index="layer_a", columns="layer_b", values="why_not", aggfunc="first")
    why = why.reindex(index=parts["value"].index, columns=parts["value"].columns)
    return Map("layer", "layer", parts, why.astype(object).where(why.notna(), ""))


def _mirrored(frame: pd.DataFrame) -> pd.DataFrame:
    """The same pairs the other way round, where both layers are of one model and one text."""
    same = (frame["model_a"] == frame["model_b"]) & (frame["language_a"] == frame["language_b"])
    return frame[same & (frame["layer_a"] != frame["layer_b"])].rename(
        columns={"layer_a": "layer_b", "layer_b": "layer_a"}
    )


def with_kinds(frame: pd.DataFrame, roles: Mapping[str, str]) -> pd.DataFrame:
    """With a column `kind`: the roles of a pair, `mono × mono` for example."""
    kinds = [
        " × ".join(sorted((roles.get(a, "merge"), roles.get(b, "merge")), reverse=True))
        for a, b in zip(frame["model_a"], frame["model_b"], strict=True)
    ]
    return frame.assign(kind=kinds)


def with_sameness(frame: pd.DataFrame) -> pd.DataFrame:
    """With a column `kind`: whether both sides are of the same layer."""
    same = frame["layer_a"] == frame["layer_b"]
    return frame.assign(kind=np.where(same, "the same layer", "different layers"))


def similarity_sentence(frame: pd.DataFrame, measure: Measure) -> str:
    """What is seen, in one sentence: the mean of each `kind` of pair, its range, and the chance level."""
    found = frame[frame["why_not"] == ""]
    if found.empty:
        return f"**{measure.label} does not apply here**: {frame['why_not'].iloc[0]}."
    groups = found.groupby("kind", sort=False)["value"]
    if groups.ngroups > _KINDS:
        means = groups.mean()
        ends = f"from {means.min():.2f} ({means.idxmin()}) to {means.max():.2f} ({means.idxmax()})"
        parts = [f"{found['value'].mean():.2f} on average of {groups.ngroups}, {ends}"]
    else:
        parts = [f"{kind} {part.mean():.2f}" + (f" ({_range(part)})" if len(part) > 1 else "") for kind, part in groups]
    clear = found.dropna(subset=["low"])
    unclear = int((clear["low"] <= clear["chance"]).sum()) if measure.best == "high" else 0
    sentence = f"**{measure.label}**: {'; '.join(parts)}; chance {spanned(found['chance'])}."
    if unclear:
        are, their = ("is", "its") if unclear == 1 else ("are", "their")
        sentence += f" {unclear} of {len(clear)} {are} not above chance with all of {their} interval."
    return sentence


def _range(values: pd.Series) -> str:
    return f"{plain(values.min(), 2)} to {plain(values.max(), 2)}"


def gap_sentence(frame: pd.DataFrame, by: str | None = None) -> str:
    """The headline: which kinds of pairs are alike up to a rotation and not as they are, which need none.

    `frame` is a table's, with a column named by `by`; without one, or with many kinds, all pairs are one.
    """
    gaps = frame[frame["measure"] == "rotation_gap"]
    found = gaps[gaps["why_not"] == ""]
    if found.empty:
        return f"Rotation gap: none is measured, for {gaps['why_not'].iloc[0]}." if len(gaps) else ""
    named = by is not None and found[by].nunique() <= _KINDS
    kinds = found[by].astype(str) if by and named else pd.Series("all pairs", index=found.index)
    said: dict[str, list[str]] = {verdict: [] for _, verdict in _VERDICTS}
    for kind, part in found.groupby(kinds, sort=False)["value"]:
        ranged = f" ({_range(part)})" if np.ptp(part) >= 0.005 else ""
        said[_verdict(part.mean())].append(f"{f'{kind} ' if named else ''}{signed(part.mean(), 2)}{ranged}")
    parts = [f"**{verdict}**, {', '.join(listed)}" for verdict, listed in said.items() if listed]
    sentence = f"Rotation gap{'' if named else ', mean of all pairs'}: {'; '.join(parts)}."
    fitted, wide = int(found["sentences"].iloc[0]) // 2, int(found[["dimensions_a", "dimensions_b"]].to_numpy().max())
    return sentence + (
        f" Rather too low: {fitted} sentences settle no rotation of {wide} dimensions." * (wide > fitted)
    )


def _verdict(gap: float) -> str:
    return next(verdict for least, verdict in _VERDICTS if gap > least)


def neighbours_sentence(near: pd.DataFrame) -> str:
    """Where among all neighbours the translations stand."""
    ranks = near.loc[near["translation"], "rank"]
    by = f"By cosine among {len(near)} sentences."
    if ranks.empty:
        return by
    half = (len(near) + 1) / 2
    if len(ranks) == 1:
        return f"{by} Its translation stands at rank {ranks.item()}; by chance it would be {half:.0f}."
    return f"{by} Its {len(ranks)} translations stand at rank {ranks.median():.0f} in the middle (the best at " + (
        f"{ranks.min()}); by chance it would be {half:.0f}."
    )
