"""SLERP between two parents by weights, of whole tensors, rows or columns."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.grams import cosines, grams
from interference.methods.ties import as_column
from interference.registry import Switch, merge_method

_SHORTEST = 1e-7  # lengths count as at least this much


def inner_products(
    deltas: Float[Tensor, "model *shape"],
    nuslerp_flatten: Annotated[bool, Switch("one angle for the whole tensor")] = True,
) -> Float[Tensor, "model model"] | None:
    """Those of whole tensors; None where each row or column has an angle of its own."""
    return grams(deltas) if nuslerp_flatten else None


def coefficients(
    prepared: Float[Tensor, "model model"] | None, weights: Float[Tensor, " model"]
) -> Float[Tensor, " model"] | None:
    """What both parents count with, from their inner products."""
    if prepared is None:
        return None
    return torch.stack(_arc(cosines(prepared, _SHORTEST**2)[0, 1], _place(weights.to(prepared))))


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
)
def nuslerp(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Float[Tensor, "model model"] | None,
    nuslerp_row_wise: Annotated[bool, Switch("without flatten: one angle per column, else per row")] = False,
) -> Float[Tensor, "*shape"]:
    """Walk the great circle between two parents, or between their differences from a base, by the weights' ratio.

    Only exactly parallel tensors take the straight line. Weights that sum to zero meet halfway. What mergekit calls
    row-wise has one angle for each column of an [out, in] matrix; without it each row has its own.
    """
    if (found := coefficients(prepared, weights)) is not None:
        return (deltas * as_column(found.to(deltas), deltas)).sum(dim=0)
    first, second = deltas
    across = 0 if nuslerp_row_wise else -1
    units = [v / v.norm(dim=across, keepdim=True).clamp(min=_SHORTEST) for v in (first, second)]
    left, right = _arc((units[0] * units[1]).sum(dim=across, keepdim=True).clamp(-1, 1), _place(weights))
    return left * first + right * second


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
