"""Which entries of a tensor hold which ranks by size, found by selection where sorting would take ten times as long."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from interference.chunks import BLOCK
from interference.fused import DEVICES, fused
from interference.rows import each

_FEW = 1 << 16  # entries that a GPU selects from at once; of more, one of its processors would do all the work
_PIECE = 1 << 24  # entries looked at at a time where there are more
_BITS = 3  # of a number settled by every look at all of them


class Cut(NamedTuple):
    """Where each row's smallest entries end: below `limit`, and of those equal to it at the places up to `place`.

    Two numbers for each row where a mask has one for each entry; places are counted over the flat row. Of rows seen as
    blocks, `[row, block, entry]`, it may be each block's own, `[row, block, 1]`; then places are counted in the block.
    """

    limit: Float[Tensor, "row *block"]
    place: Int[Tensor, "row *block"] | None

    def within(self, part: slice) -> "Cut":
        """The same for some of the entries, which are counted from the first of them.

        On a CPU without places where none of them lies inside: a comparison of numbers alone is twice as fast. A GPU
        would have to be waited for to know.
        """
        assert self.place is not None  # of the whole row
        if self.limit.device.type == "cpu" and not ((self.place >= part.start) & (self.place < part.stop - 1)).any():
            below = torch.nextafter(self.limit, torch.full_like(self.limit, -torch.inf))
            return Cut(torch.where(self.place < part.start, below, self.limit), None)
        return Cut(self.limit, self.place - part.start)


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
        short = torch.int32 if sum(sizes) < 1 << 31 else torch.int64  # of half the work on a GPU
        numbers = torch.arange(len(sizes), dtype=torch.int32)
        return cls(
            torch.stack([cut.limit for cut in found], dim=1),
            torch.stack(places, dim=1).to(short),
            (counts.cumsum(0) - counts).to(device, short),
            numbers.repeat_interleave(counts // BLOCK).to(device),
        )

    def within(self, part: slice) -> "Cuts":
        """The same for some of the blocks."""
        return self._replace(starts=self.starts - part.start * BLOCK, which=self.which[part])

    def here(self) -> Cut:
        """Each block's own, for rows seen as `[row, block, entry]`."""
        which = self.which.long()
        begins = torch.arange(len(which), dtype=self.starts.dtype, device=which.device) * BLOCK - self.starts[which]
        return Cut(self.limits[:, which][..., None], (self.places[:, which] - begins)[..., None])


class Difference(NamedTuple):
    """A tensor, or what sets it off from a base, that nobody holds: made where it is looked at."""

    own: Shaped[Tensor, "*shape"]
    base: Shaped[Tensor, "*shape"] | None = None
    read: torch.dtype | None = None  # what the tensor is rounded to first

    def numel(self) -> int:
        return self.own.numel()

    def sizes(self, part: slice) -> Float[Tensor, " entry"]:
        """Magnitudes of some of the entries, in their flat order."""
        return _sizes(*self.within(part))

    def within(self, part: slice) -> "Difference":
        base = None if self.base is None else self.base.reshape(-1)[part]
        return Difference(self.own.reshape(-1)[part], base, self.read)


def cut(entries: Difference, count: int) -> Cut:
    """The one that has the `count` smallest magnitudes below it, exactly that many: among equal ones the first."""
    device, total = entries.own.device, entries.numel()
    if count <= 0 or count >= total:
        limit, place = torch.tensor([torch.inf if count > 0 else -torch.inf], device=device), -1
    elif device.type in DEVICES and total > _FEW and entries.own.dtype != torch.float64:
        limit, place = _selected(entries, count)
    else:
        sizes = entries.sizes(slice(None))
        limit = sizes.kthvalue(count).values[None]
        left = count - int((sizes < limit).sum())
        place = int((sizes == limit).nonzero()[left - 1])
    return Cut(limit, torch.tensor([place], device=device))


def smallest_of_all(
    sizes: Callable[[], Iterable[Float[Tensor, "row entry"]]], counts: Int[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """The `counts`-th smallest number from zero on of each row, of rows in parts that are made anew for every look."""

    def below(edges: Int[Tensor, "row edge"]) -> Int[Tensor, "row edge"]:
        found = torch.zeros_like(edges, dtype=torch.int64)
        for part in sizes():
            bits = part.view(torch.int32)
            found += torch.stack([(bits < edge[:, None]).sum(dim=1) for edge in edges.unbind(dim=1)], dim=1)
        return found

    return _by_bits(counts, below)


def _by_bits(
    counts: Int[Tensor, " row"], below: Callable[[Int[Tensor, "row edge"]], Int[Tensor, "row edge"]]
) -> Float[Tensor, " row"]:
    """The `counts`-th smallest number of each row, given how many have bits below each edge.

    Numbers from zero on are ordered as their bits are, of which each look at all settles some, from the highest down.
    """
    found = torch.zeros_like(counts, dtype=torch.int32)
    for first, after in _digits():
        edges = found[:, None] + (torch.arange(1, 1 << after - first, dtype=torch.int32, device=found.device) << first)
        found = found + ((below(edges) < counts[:, None]).sum(dim=1, dtype=torch.int32) << first)
    return found.view(torch.float32)


def _selected(entries: Difference, count: int) -> tuple[Float[Tensor, " one"], int]:
    """The `count`-th smallest magnitude, and the place of the entry that is counted last."""
    pieces = [entries.within(slice(start, start + _PIECE)) for start in range(0, entries.numel(), _PIECE)]

    def below(edges: Int[Tensor, "one edge"]) -> Int[Tensor, "one edge"]:
        return torch.stack([fused(_below)(*piece, edges[0]) for piece in pieces]).sum(dim=0, keepdim=True)

    limit = _by_bits(torch.tensor([count], device=entries.own.device), below)
    left = count - int(below(limit.view(torch.int32)[None]))
    for number, piece in enumerate(pieces):
        equal = (piece.sizes(slice(None)) == limit).nonzero()
        if left <= len(equal):
            return limit, number * _PIECE + int(equal[left - 1])
        left -= len(equal)
    raise AssertionError("no entry has the size that was selected")


def _digits() -> Iterator[tuple[int, int]]:
    """The bits of a magnitude in float32 from the highest down: each group's first and the one after its last."""
    after = 31  # above it is the sign alone
    while after:
        first = max(after - _BITS, 0)
        yield first, after
        after = first


def _sizes(own: Tensor, base: Tensor | None, read: torch.dtype | None) -> Float[Tensor, " entry"]:
    own = own.to(read) if read else own
    wide = torch.promote_types(own.dtype, torch.float32)
    return own.to(wide).abs() if base is None else (own.to(wide) - base).abs_()


def _below(
    own: Tensor, base: Tensor | None, read: torch.dtype | None, edges: Int[Tensor, " edge"]
) -> Int[Tensor, " edge"]:
    """How many magnitudes have bits below each edge."""
    bits = _sizes(own, base, read).view(torch.int32)
    return torch.stack([(bits < edges[number]).sum() for number in range(len(edges))])


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
    short = torch.int32 if shape.numel() < 1 << 31 else torch.int64  # of half the work, and of the memory
    places = torch.arange(shape.numel(), dtype=short, device=sizes.device).reshape(shape)
    return larger | ((sizes == each(limit, sizes)) & each(places > place, sizes))


def smallest(sizes: Float[Tensor, " entry"], count: int) -> Bool[Tensor, " entry"]:
    """Where the `count` smallest of entries from zero on are, exactly that many: among equal ones the first."""
    return ~above(sizes[None], cut(Difference(sizes), count))[0]


def ranked(sizes: Float[Tensor, " entry"], start: int, end: int) -> Bool[Tensor, " entry"]:
    """Where the entries of the ascending ranks from `start` up to but without `end` are, counted from 0."""
    return smallest(sizes, end) & ~smallest(sizes, start)
