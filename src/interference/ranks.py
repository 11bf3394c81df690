"""Which entries of a tensor hold which ranks by size, found by selection where sorting would take ten times as long."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interference.chunks import BLOCK
from interference.rows import each


class Cut(NamedTuple):
    """Where each row's smallest entries end: below `limit`, and of those equal to it at the places up to `place`.

    Two numbers for each row where a mask has one for each entry; places are counted over the flat row. Of rows seen as
    blocks, `[row, block, entry]`, it may be each block's own, `[row, block, 1]`; then places are counted in the block.
    """

    limit: Float[Tensor, "row *block"]
    place: Int[Tensor, "row *block"] | None

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


class Cuts(NamedTuple):
    """The cuts of tensors that lie beside each other, seen as blocks of `BLOCK` entries that each belong to one."""

    limits: Float[Tensor, "row tensor"]
    places: Int[Tensor, "row tensor"]
    starts: Int[Tensor, " tensor"]  # where each begins, counted from the first block's beginning
    which: Int[Tensor, " block"]  # the tensor of each block

    @classmethod
    def of(cls, found: Sequence[Cut], sizes: Sequence[int]) -> "Cuts":
        """The cuts of tensors of so many entries, multiples of BLOCK."""
        device, places = found[0].limit.device, [cut.place for cut in found if cut.place is not None]
        counts = torch.tensor(sizes)
        numbers = torch.arange(len(sizes), dtype=torch.int32)
        return cls(
            torch.stack([cut.limit for cut in found], dim=1),
            torch.stack(places, dim=1),
            (counts.cumsum(0) - counts).to(device),
            numbers.repeat_interleave(counts // BLOCK).to(device),
        )

    def within(self, part: slice) -> "Cuts":
        """The same for some of the blocks."""
        return self._replace(starts=self.starts - part.start * BLOCK, which=self.which[part])

    def here(self) -> Cut:
        """Each block's own, for rows seen as `[row, block, entry]`."""
        which = self.which.long()
        begins = torch.arange(len(which), device=which.device) * BLOCK - self.starts[which]
        return Cut(self.limits[:, which][..., None], (self.places[:, which] - begins)[..., None])


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
    if cut.limit.ndim > 1:  # by block
        limit, place, shape = cut.limit, cut.place, sizes[0].shape[-1:]
    else:
        column = [-1, *[1] * (sizes.ndim - 1)]
        limit, shape = cut.limit.reshape(column), sizes[0].shape
        place = None if cut.place is None else cut.place.reshape(column)
    larger = sizes > each(limit, sizes)
    if place is None:
        return larger
    places = torch.arange(shape.numel(), device=sizes.device).reshape(shape)
    return larger | ((sizes == each(limit, sizes)) & each(places > place, sizes))


def smallest(sizes: Float[Tensor, " entry"], count: int) -> Bool[Tensor, " entry"]:
    """Where the `count` smallest entries are, exactly that many: among equal ones the first."""
    return ~above(sizes[None], cut(sizes, count))[0]


def ranked(sizes: Float[Tensor, " entry"], start: int, end: int) -> Bool[Tensor, " entry"]:
    """Where the entries of the ascending ranks from `start` up to but without `end` are, counted from 0."""
    return smallest(sizes, end) & ~smallest(sizes, start)
