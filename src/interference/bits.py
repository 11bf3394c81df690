"""Masks at one bit an entry, for ten large models have no room for a byte."""

import math
from collections.abc import Sequence
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
        whole = torch.nn.functional.pad(flat, (0, -flat.shape[1] % 8)).view(len(flat), -1, 8)
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


def packed(made: Sequence[Tensor]) -> tuple[Tensor | Bits, ...]:
    """Tensors, the masks among them at a bit an entry."""
    return tuple(Bits.of(one) if one.dtype == torch.bool else one for one in made)


def joined(parts: Sequence[Any]) -> Any:
    """Rows of masks or of tensors below each other."""
    if isinstance(parts[0], Bits):
        return Bits(torch.cat([part.packed for part in parts]), parts[0].shape)
    return torch.cat(list(parts))


def unpacked(made: Any) -> Any:
    """What was prepared as its method takes it."""
    if isinstance(made, (Bits, Cuts)):
        return made.here()
    return tuple(map(unpacked, made)) if type(made) is tuple else made
