"""Sums that several measures are made of, in float64 and in pieces, so that they need no copy of a large tensor."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# Entries of each model at a time: what stays in a CPU's cache, and on a GPU what is worth starting kernels for.
_CHUNK = {"cpu": 1 << 16, "cuda": 1 << 20}


@dataclass(frozen=True)
class Frames:
    """Singular value decompositions: columns `left` and rows `right`, values descending."""

    left: Float[Tensor, "model out rank"]
    values: Float[Tensor, "model rank"]
    right: Float[Tensor, "model rank in"]


def frames_of(stack: Float[Tensor, "model out in"]) -> Frames:
    """The decompositions of a stack of matrices."""
    return Frames(*torch.linalg.svd(stack, full_matrices=False))


def pieces(stack: Float[Tensor, "model *shape"]) -> Iterator[Float[Tensor, "model entry"]]:
    """All entries of the models' tensors in float64, some of each model at a time."""
    flat, size = stack.reshape(len(stack), -1), _CHUNK[stack.device.type]
    for start in range(0, flat.shape[1], size):
        yield flat[:, start : start + size].double()


def total(stack: Float[Tensor, "model *shape"], of: Callable[[Tensor], Tensor]) -> Tensor:
    """The sum over the pieces of what a function makes of each."""
    found = [of(piece) for piece in pieces(stack)]
    return torch.stack(found).sum(dim=0)


def gram_of(stack: Float[Tensor, "model *shape"]) -> Float[Tensor, "model model"]:
    """Inner products of every two models' tensors."""
    return total(stack, lambda piece: piece @ piece.T)


def pairs(matrix: Float[Tensor, "model model"]) -> Float[Tensor, " pair"]:
    """The entries above the diagonal, row by row."""
    first, second = torch.triu_indices(len(matrix), len(matrix), 1)
    return matrix[first, second]


def ends(vector: Float[Tensor, " model"]) -> tuple[Float[Tensor, " pair"], Float[Tensor, " pair"]]:
    """The values of the first and of the second model of each pair."""
    first, second = torch.triu_indices(len(vector), len(vector), 1)
    return vector[first], vector[second]


def columns(*parts: Tensor | float) -> Float[Tensor, "subject part"]:
    """Parts side by side, a number being the same for every subject."""
    length = max(part.numel() for part in parts if isinstance(part, Tensor))
    return torch.stack([torch.as_tensor(p, dtype=torch.float64).cpu().reshape(-1).expand(length) for p in parts], dim=1)
