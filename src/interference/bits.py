"""Masks at one bit an entry, for ten large models have no room for a byte."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from interference.fused import DEVICES
from interference.ranks import Cuts


class Bits(NamedTuple):
    """A mask of each row: entry i of a flat row is bit i mod 8, counted from the lowest, of byte i div 8."""

    packed: UInt8[Tensor, "row byte"]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, mask: Bool[Tensor, "row *shape"]) -> "Bits":
        shape = tuple(mask.shape[1:])
        flat = mask.reshape(len(mask), math.prod(shape))
        if mask.device.type not in DEVICES:
            return cls(torch.from_numpy(np.packbits(flat.numpy(), axis=1, bitorder="little")), shape)
        lacking = -flat.shape[1] % 8
        whole = (torch.nn.functional.pad(flat, (0, lacking)) if lacking else flat).view(len(flat), -1, 8)
        packed = whole[..., 0].to(torch.uint8)
        for place in range(1, 8):
            packed |= whole[..., place].to(torch.uint8) << place
        return cls(packed, shape)

    def within(self, part: slice) -> "Bits":
        """The same for flat entries, of which the first is the first of a byte."""
        assert part.start % 8 == 0
        return Bits(self.packed[:, part.start // 8 : -(-part.stop // 8)], (part.stop - part.start,))

    def here(self) -> Bool[Tensor, "row *shape"]:
        """The mask, at a byte an entry."""
        size = math.prod(self.shape)
        if self.packed.device.type not in DEVICES:  # what compilers would not look through
            unpacked = np.unpackbits(self.packed.numpy(), axis=1, count=size, bitorder="little")
            return torch.from_numpy(unpacked).view(torch.bool).view(-1, *self.shape)
        places = torch.arange(8, dtype=torch.uint8, device=self.packed.device)
        each = ((self.packed[..., None] >> places) & 1).bool().flatten(1)
        return each[:, :size].view(-1, *self.shape)


def packed(made: Any, ndim: int) -> Any:
    """What was prepared of tensors of so many dimensions, its masks `[row, *shape]` at a bit an entry."""
    if isinstance(made, Tensor) and made.dtype == torch.bool and made.ndim == ndim + 1:
        return Bits.of(made)
    return tuple(packed(one, ndim) for one in made) if type(made) is tuple else made


def joined(parts: Iterable[tuple[Any, ...]], count: int) -> tuple[Any, ...]:
    """Masks and tensors of `count` parts below each other, one part at a time beside them."""
    found: tuple[Any, ...] = ()
    for number, part in enumerate(parts):
        found = found or tuple(_room(one, count) for one in part)
        for room, one in zip(found, part, strict=True):
            rows, own = (room.packed, one.packed) if isinstance(one, Bits) else (room, one)
            rows[number : number + 1] = own
    return found


def _room(one: Any, count: int) -> Any:
    if isinstance(one, Bits):
        return Bits(one.packed.new_empty(count, *one.packed.shape[1:]), one.shape)
    return one.new_empty(count, *one.shape[1:])


def unpacked(made: Any) -> Any:
    """What was prepared as its method takes it."""
    if isinstance(made, (Bits, Cuts)):
        return made.here()
    return tuple(map(unpacked, made)) if type(made) is tuple else made
