"""SLERP between two parents by weights, of whole tensors, rows or columns."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import Switch, merge_method


@merge_method(
    label="NuSLERP",
    variant="mergekit",
    family="spherical",
    source="doi:10.1145/325165.325242",
    parents=(2, 2),
    base="optional",
    mergekit=True,
)
def nuslerp(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    nuslerp_flatten: Annotated[bool, Switch("one angle for the whole tensor")] = True,
    nuslerp_row_wise: Annotated[bool, Switch("without flatten: one angle per column, else per row")] = False,
) -> Float[Tensor, "*shape"]:
    """Walk the great circle between two parents, or between their differences from a base, by the weights' ratio.

    Only exactly parallel tensors take the straight line. Weights that sum to zero meet halfway. What mergekit calls
    row-wise has one angle for each column of an [out, in] matrix; without it each row has its own.
    """
    first, second = (delta.flatten() if nuslerp_flatten else delta for delta in deltas)
    across = 0 if nuslerp_row_wise and not nuslerp_flatten else -1
    total = weights.sum()
    even = total.abs() < 1e-6
    t = torch.where(even, 0.5, weights[1] / torch.where(even, 1, total))
    units = [v / v.norm(dim=across, keepdim=True).clamp(min=1e-7) for v in (first, second)]
    cosine = (units[0] * units[1]).sum(dim=across, keepdim=True).clamp(-1, 1)
    parallel = 1 - cosine.square() <= 1e-16
    angle = torch.acos(torch.where(parallel, 0, cosine))
    arc = (torch.sin((1 - t) * angle) * first + torch.sin(t * angle) * second) / torch.sin(angle)
    return torch.where(parallel, (1 - t) * first + t * second, arc).reshape(deltas.shape[1:])
