"""Reinforced agent merging: entries that one parent alone changed stay whole, shared ones are averaged."""

from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interference.methods.ties import as_column
from interference.registry import Knob, merge_method
from interference.rows import each, every, where
from interference.stacks import Stacked

_CHUNK = 1 << 20  # entries of each parent counted at a time
Threshold = Annotated[float, Knob(0, 0.01, 1e-5, "differences up to this size count as none")]


@merge_method(
    label="RAM",
    family="sparse task vectors",
    source="arXiv:2601.13572",
    mergekit=True,
    lacks=("scale",),
    elementwise=True,
)
def ram(deltas: Float[Tensor, "model *shape"], epsilon: Threshold = 1e-5) -> Float[Tensor, "*shape"]:
    """Average each entry over the parents that changed it, so that what one alone changed stays whole."""
    active = deltas.abs() > every(epsilon, deltas)
    return (deltas * active / every(active.sum(dim=0).clamp(min=1), deltas)).sum(dim=0)


def changed(deltas: Stacked, epsilon: Threshold = 1e-5) -> tuple[Bool[Tensor, "model *shape"], Float[Tensor, " model"]]:
    """Where each parent changed the tensor, and its count of entries that others changed too over that of its own."""
    active = torch.empty(deltas.shape, dtype=torch.bool, device=deltas.device)
    for row, delta in zip(active, deltas, strict=True):
        torch.gt(delta.abs(), epsilon, out=row)
    own, total = torch.zeros(2, len(active), dtype=torch.int64, device=active.device)
    for piece in active.flatten(1).split(_CHUNK, dim=1):
        own = own + (piece & (piece.sum(dim=0) == 1)).sum(dim=1)
        total = total + piece.sum(dim=1)
    return active, (total - own) / own.clamp(min=1e-5)  # 0 shared of 0 own is 0


@merge_method(
    label="RAM+",
    variant="counted per tensor",
    family="sparse task vectors",
    source="arXiv:2601.13572",
    mergekit=True,
    prepare=changed,
    lacks=("scale",),
    elementwise=True,
)
def ramplus_tl(
    deltas: Float[Tensor, "model *shape"],
    prepared: tuple[Bool[Tensor, "model *shape"], Float[Tensor, " model"]],
    r: Annotated[float | Tensor, Knob(0, 1, 0.01, "how much a parent's own entries grow with what it shares")] = 0.1,
    alpha: Annotated[float, Knob(0, 1, 0.01, "upper bound of shared over own entries")] = 0.2,
) -> Float[Tensor, "*shape"]:
    """RAM, with what one parent alone changed scaled up the more of its changes others share.

    By 1 + r · min(shared / own, alpha), counts of the parent's entries taken tensor by tensor.
    """
    active, shared_by_own = prepared
    counts, parts = active.sum(dim=0), deltas * each(active, deltas)
    factors = as_column((1 + r * shared_by_own.clamp(max=alpha)).to(deltas.dtype), deltas)
    return where(counts == 1, parts * factors, parts / every(counts.clamp(min=1), parts)).sum(dim=0)
