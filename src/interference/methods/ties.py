"""TIES: trim each task vector, elect a sign per weight, merge those that agree."""

from collections.abc import Sequence, Sized
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from interference.ranks import Cut, Difference, above, cut
from interference.registry import Knob, Switch, merge_method
from interference.rows import each, every

Lambda = Annotated[float | Tensor, Knob(0, 2, 0.01, "scale of the merged difference from the base")]
Normalize = Annotated[bool, Switch("divide by the sum of the weights")]
NormalizeAgreeing = Annotated[bool, Switch("divide by the summed weights of those that agree")]


def thresholds(
    deltas: Float[Tensor, "model *shape"] | Sequence[Difference],
    density: Annotated[
        Tensor | float,
        Knob(0, 1, 0.01, "share of each task vector kept, largest first", per_model=True, strict=True),
    ] = 1.0,
) -> Cut:
    """Above what each delta has its max(1, int(density · size)) entries of largest magnitude, exactly that many."""
    found = []
    for delta, share in zip(deltas, per_model(density, deltas), strict=True):
        count = max(1, int(share * delta.numel())) if share > 0 else 0
        entries = Difference(delta) if isinstance(delta, Tensor) else delta
        found.append(cut(entries, entries.numel() - count))
    return Cut(*map(torch.cat, zip(*found, strict=True)))


def largest(deltas: Float[Tensor, "model *shape"], density: float) -> Bool[Tensor, "model *shape"]:
    """Where each delta's entries are that trimming to a density keeps."""
    return above(deltas.abs(), thresholds(deltas, density))


@merge_method(
    label="TIES",
    variant="mergekit: trimmed per tensor, weighted vote",
    family="sparse task vectors",
    source="arXiv:2306.01708",
    mergekit=True,
    prepare=thresholds,
    by_cuts=True,
    elementwise=True,
)
def ties(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Cut,
    normalize: NormalizeAgreeing = True,
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Keep the largest differences of each parent, elect one sign per weight, average the parents that agree.

    mergekit's variant: the paper trims over the whole model where this trims per tensor, and votes before
    weighting where this lets the coefficients vote; a tied vote goes to plus. Arithmetic is in float32.
    """
    kept = deltas * above(deltas.abs(), prepared)
    return combine(kept, weights, elect(kept, weights), normalize) * lambda_


def elect(deltas: Float[Tensor, "model *shape"], weights: Float[Tensor, " model"]) -> Bool[Tensor, "model *shape"]:
    """Which weighted entries carry the sign of their sum over the models, zero sums counting as positive."""
    votes = deltas * as_column(weights, deltas)
    none, positive = every(0.0, votes), every(votes.sum(dim=0) >= 0, votes)
    return ((votes > none) == positive) & (votes != none)


def combine(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    agree: Bool[Tensor, "model *shape"] | None,
    normalize: bool,
) -> Float[Tensor, "*shape"]:
    """Weighted sum over the models, of the agreeing entries only if given; normalised by the weights summed alike."""
    column = as_column(weights, deltas)
    if agree is None:
        total, divisor = (deltas * column).sum(dim=0), column.sum(dim=0)
        divisor = torch.where(divisor.abs() < 1e-8, 1, divisor)
    else:
        total, divisor = (deltas * column * agree).sum(dim=0), (agree * column).sum(dim=0)
        divisor = torch.where(divisor == 0, 1, divisor)
    return total / divisor if normalize else total


def per_model(value: Tensor | float, deltas: Sized) -> list[float]:
    """One number for each model: the value's own, or the same for all."""
    return torch.as_tensor(value, dtype=torch.float64).expand(len(deltas)).tolist()


def as_column(weights: Float[Tensor, " model"], like: Shaped[Tensor, "model *shape"]) -> Tensor:
    return each(weights.reshape(-1, *[1] * (like.ndim - 1)), like)
