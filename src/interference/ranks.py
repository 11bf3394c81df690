"""Which entries of a tensor hold which ranks by size, found by selection where sorting would take ten times as long."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from interference.chunks import BLOCK
from interference.fused import DEVICES, fused
from interference.rows import each

_FEW = 1 << 16  # entries that are selected from at once; of more, one of a GPU's processors would do all the work
# Entries looked at at a time where there are more: on a CPU what stays in its cache.
PIECE = {"cpu": 1 << 18, "cuda": 1 << 24}
# Of a number, settled by every look at all of them: a CPU counts how often each number occurs, a GPU compares.
_BITS = {"cpu": 16, "cuda": 3}


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
        if len(found) == 1:  # of two, one of them empty: alone it would be a kind of its own to compile
            found, sizes = [*found, *found], [*sizes, 0]
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
    elif total > _FEW:
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
    parts = lambda: ([(row, None, None) for row in part] for part in sizes())  # noqa: E731
    return _by_bits(parts, counts)[0]


def _selected(entries: Difference, count: int) -> tuple[Float[Tensor, " one"], int]:
    """The `count`-th smallest magnitude, and the place of the entry that is counted last."""
    size = PIECE[entries.own.device.type]
    pieces = [entries.within(slice(start, start + size)) for start in range(0, entries.numel(), size)]
    limit, less = _by_bits(lambda: ([piece] for piece in pieces), torch.tensor([count], device=entries.own.device))
    left = count - int(less)
    for number, piece in enumerate(pieces):
        equal = (piece.sizes(slice(None)) == limit).nonzero()
        if left <= len(equal):
            return limit, number * size + int(equal[left - 1])
        left -= len(equal)
    raise AssertionError("no entry has the size that was selected")


Looked = tuple[Tensor, Tensor | None, torch.dtype | None]  # as a Difference


def _by_bits(
    parts: Callable[[], Iterable[Sequence[Looked]]], counts: Int[Tensor, " row"]
) -> tuple[Float[Tensor, " row"], Int[Tensor, " row"]]:
    """The `counts`-th smallest magnitude of each row, and how many are smaller.

    Magnitudes are ordered as their bits are, of which each look at all settles some, from the highest down.
    """
    own, _, read = next(iter(parts()))[0]
    dtype = _wide(read or own.dtype)
    whole, after = (torch.int32, 31) if dtype == torch.float32 else (torch.int64, 63)
    found, less = torch.zeros_like(counts, dtype=whole), torch.zeros_like(counts)
    while after:
        first = max(0, after - _BITS["cuda" if counts.device.type in DEVICES else "cpu"])
        edges = found[:, None] + (torch.arange(1 << after - first, dtype=whole, device=found.device) << first)
        below = torch.zeros_like(edges, dtype=torch.int64)
        for part in parts():
            below += torch.stack([_below(row, own) for row, own in zip(part, edges, strict=True)])
        place = (below[:, 1:] < counts[:, None]).sum(dim=1, keepdim=True)
        found, less = edges.gather(1, place)[:, 0], below.gather(1, place)[:, 0]
        after = first
    return found.view(dtype), less


def _below(entries: Looked, edges: Int[Tensor, " edge"]) -> Int[Tensor, " edge"]:
    """How many magnitudes have bits below each of equally spaced edges."""
    if edges.device.type in DEVICES:
        return fused(_compared)(*entries, edges)
    low, shift = edges[0], int(edges[1] - edges[0]).bit_length() - 1
    bits = _sizes(*entries).view(edges.dtype)
    places = ((bits - low) >> shift).clamp_(-1, len(edges)).add_(1)
    return torch.bincount(places, minlength=len(edges) + 2).cumsum(0)[:-2]


def _compared(
    own: Tensor, base: Tensor | None, read: torch.dtype | None, edges: Int[Tensor, " edge"]
) -> Int[Tensor, " edge"]:
    bits = _sizes(own, base, read).view(edges.dtype)
    return torch.stack([(bits < edges[number]).sum() for number in range(len(edges))])


def _wide(read: torch.dtype) -> torch.dtype:
    return torch.promote_types(read, torch.float32)


def _sizes(own: Tensor, base: Tensor | None, read: torch.dtype | None) -> Float[Tensor, " entry"]:
    own = own.to(read) if read else own
    wide = _wide(own.dtype)
    return own.to(wide).abs() if base is None else (own.to(wide) - base).abs_()


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
