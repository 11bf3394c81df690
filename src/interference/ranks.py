"""Which entries of a tensor hold which ranks by size, found by selection where sorting would take ten times as long."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def smallest(sizes: Float[Tensor, " entry"], count: int) -> Bool[Tensor, " entry"]:
    """Where the `count` smallest entries are, exactly that many: among equal ones the first."""
    if count <= 0 or count >= len(sizes):
        return torch.full_like(sizes, count > 0, dtype=torch.bool)
    limit = sizes.kthvalue(count).values
    mask = sizes < limit
    equal = (sizes == limit).nonzero().flatten()
    mask[equal[: count - int(mask.sum())]] = True
    return mask


def ranked(sizes: Float[Tensor, " entry"], start: int, end: int) -> Bool[Tensor, " entry"]:
    """Where the entries of the ascending ranks from `start` up to but without `end` are, counted from 0."""
    return smallest(sizes, end) & ~smallest(sizes, start)
