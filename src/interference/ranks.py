"""Which entries of a tensor hold which ranks by size, found by selection where sorting would take ten times as long."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Cut(NamedTuple):
    """Where each row's smallest entries end: below `limit`, and of those equal to it at the places up to `place`.

    Two numbers for each row where a mask has one for each entry; places are counted over the flat row.
    """

    limit: Float[Tensor, " row"]
    place: Int[Tensor, " row"] | None

    def within(self, start: int, stop: int) -> "Cut":
        """The same for the entries from `start` to `stop`, which are counted from there.

        On a CPU without places where none of them lies inside: a comparison of numbers alone is twice as fast. A GPU
        would have to be waited for to know.
        """
        assert self.place is not None  # of the whole row
        if self.limit.device.type == "cpu" and not ((self.place >= start) & (self.place < stop - 1)).any():
            below = torch.nextafter(self.limit, torch.full_like(self.limit, -torch.inf))
            return Cut(torch.where(self.place < start, below, self.limit), None)
        return Cut(self.limit, self.place - start)


def cut(sizes: Float[Tensor, " entry"], count: int) -> Cut:
    """The one that has the `count` smallest entries below it, exactly that many: among equal ones the first."""
    if count <= 0 or count >= len(sizes):
        limit, place = sizes.new_tensor([torch.inf if count > 0 else -torch.inf]), -1
    else:
        limit = sizes.kthvalue(count).values[None]
        left = count - int((sizes < limit).sum())
        place = int((sizes == limit).nonzero()[left - 1])
    return Cut(limit, torch.tensor([place], device=sizes.device))


def above(sizes: Float[Tensor, "row *shape"], cut: Cut) -> Bool[Tensor, "row *shape"]:
    """Where the entries of each row are that its smallest ones leave."""
    column = [-1, *[1] * (sizes.ndim - 1)]
    limit = cut.limit.reshape(column)
    if cut.place is None:
        return sizes > limit
    places = torch.arange(sizes[0].numel(), device=sizes.device).reshape(sizes.shape[1:])
    return (sizes > limit) | ((sizes == limit) & (places > cut.place.reshape(column)))


def smallest(sizes: Float[Tensor, " entry"], count: int) -> Bool[Tensor, " entry"]:
    """Where the `count` smallest entries are, exactly that many: among equal ones the first."""
    return ~above(sizes[None], cut(sizes, count))[0]


def ranked(sizes: Float[Tensor, " entry"], start: int, end: int) -> Bool[Tensor, " entry"]:
    """Where the entries of the ascending ranks from `start` up to but without `end` are, counted from 0."""
    return smallest(sizes, end) & ~smallest(sizes, start)
