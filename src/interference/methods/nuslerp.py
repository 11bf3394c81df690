"""SLERP between two parents by weights, of whole tensors, rows or columns."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.grams import column_grams, cosines, grams
from interference.registry import Switch, merge_method
from interference.stacks import Stacked

_SHORTEST = 1e-7  # lengths count as at least this much


def inner_products(
    deltas: Stacked,
    nuslerp_flatten: Annotated[bool, Switch("one angle for the whole tensor")] = True,
    nuslerp_row_wise: Annotated[bool, Switch("without flatten: one angle per column, else per row")] = False,
) -> Float[Tensor, "model model *rest"] | None:
    """Those of whole tensors, or of their columns; None where each row has an angle of its own."""
    if nuslerp_flatten or (nuslerp_row_wise and deltas.ndim < 3):
        return grams(deltas)
    return column_grams(deltas) if nuslerp_row_wise else None


def coefficients(
    prepared: Float[Tensor, "model model *rest"] | None, weights: Float[Tensor, " model"]
) -> Float[Tensor, " model"] | None:
    """What both parents count with, from their inner products; None where that is not one number for each."""
    return None if prepared is None or prepared.ndim > 2 else _both(prepared, weights)


@merge_method(
    label="NuSLERP",
    variant="mergekit",
    family="spherical",
    source="doi:10.1145/325165.325242",
    parents=(2, 2),
    base="optional",
    mergekit=True,
    prepare=inner_products,
    combines=coefficients,
    rowwise=True,
)
def nuslerp(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Float[Tensor, "model model *rest"] | None,
) -> Float[Tensor, "*shape"]:
    """Walk the great circle between two parents, or between their differences from a base, by the weights' ratio.

    Only exactly parallel tensors take the straight line. Weights that sum to zero meet halfway. What mergekit calls
    row-wise has one angle for each column of an [out, in] matrix; without it each row has its own.
    """
    first, second = deltas
    if prepared is not None:
        left, right = _both(prepared, weights).to(deltas)
    else:
        units = [v / v.norm(dim=-1, keepdim=True).clamp(min=_SHORTEST) for v in (first, second)]
        left, right = _arc((units[0] * units[1]).sum(dim=-1, keepdim=True).clamp(-1, 1), _place(weights))
    return left * first + right * second


def _both(
    prepared: Float[Tensor, "model model *rest"], weights: Float[Tensor, " model"]
) -> Float[Tensor, "model *rest"]:
    """What both count with, of the whole or of each column."""
    place = _place(weights.to(prepared))
    return torch.stack([part.expand(prepared.shape[2:]) for part in _arc(cosines(prepared, _SHORTEST**2)[0, 1], place)])


def _place(weights: Float[Tensor, " model"]) -> Float[Tensor, ""]:
    """Where between 0, the first, and 1, the second, two weights stand."""
    total = weights.sum()
    even = total.abs() < 1e-6
    return torch.where(even, 0.5, weights[1] / torch.where(even, 1, total))


def _arc(cosine: Float[Tensor, "*angles"], t: Float[Tensor, ""]) -> tuple[Tensor, Tensor]:
    """What both count with at the place t of the arc between them, or of the line where there is no arc."""
    parallel = 1 - cosine.square() <= 1e-12  # what float64 leaves of exactly parallel tensors is smaller
    angle = torch.acos(torch.where(parallel, 0, cosine))
    sides = torch.sin((1 - t) * angle) / torch.sin(angle), torch.sin(t * angle) / torch.sin(angle)
    return torch.where(parallel, 1 - t, sides[0]), torch.where(parallel, t, sides[1])
