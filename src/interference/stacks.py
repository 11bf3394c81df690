"""Stacks of the parents' tensors that nobody holds: what is asked for of them is made where it is looked at."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from interference.registry import Parted


class Stack(Parted):
    """Tensors of one shape `[model, *shape]` in float32, or their differences from a base, made anew at every look.

    It is gone through with `for`, one tensor after the other, or with `pieces` and `blocks`, a part of all tensors at
    a time. The tensors lie where and as they are stored; `here` brings a part of one to the device. The base is there.
    """

    def __init__(
        self,
        tensors: Sequence[Shaped[Tensor, "*shape"]] | Callable[[], Sequence[Shaped[Tensor, "*shape"]]],
        base: Shaped[Tensor, "*shape"] | None = None,
        here: Callable[[Tensor], Tensor] = lambda part: part,
        read: torch.dtype | None = None,
        together: Callable[[], Shaped[Tensor, "model *shape"]] | None = None,
    ):
        """`tensors` may be a function, called when they are first asked for; `read` is the dtype that they are rounded
        to first; `together` gives all of them at once where that is cheaper.
        """
        self._given, self._base, self._here, self._read, self._together = tensors, base, here, read, together

    @cached_property
    def _tensors(self) -> Sequence[Shaped[Tensor, "*shape"]]:
        return self._given() if callable(self._given) else self._given

    def __len__(self) -> int:
        return len(self._tensors)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self), *self._tensors[0].shape))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    @property
    def device(self) -> torch.device:
        return self._here(self._tensors[0].reshape(-1)[:0]).device

    def __iter__(self) -> Iterator[Float[Tensor, "*shape"]]:
        return (self._made(self._here(tensor), self._base) for tensor in self._tensors)

    def whole(self) -> Float[Tensor, "model *shape"]:
        if self._together is None:
            return torch.stack(list(self))
        return self._made(self._together(), self._base)

    def piece(self, part: slice) -> Float[Tensor, "model entry"]:
        """Some entries of the flat tensors."""
        return self._cut(lambda tensor: tensor.reshape(-1)[part])

    def rows(self, part: Any) -> Float[Tensor, "model *rows"]:
        """Some rows of the tensors, as `row_parts` names them."""
        return self._cut(lambda tensor: tensor[part])

    def _cut(self, cut: Callable[[Tensor], Tensor]) -> Tensor:
        base = None if self._base is None else cut(self._base)
        return torch.stack([self._made(self._here(cut(tensor)), base) for tensor in self._tensors])

    def _made(self, own: Tensor, base: Tensor | None) -> Tensor:
        own = own.to(self._read) if self._read else own
        if base is None or own.dtype == torch.float64:
            own = own.float()
        return own if base is None else own - base  # widened where it is subtracted, on a GPU without a copy


Stacked = Float[Tensor, "model *shape"] | Stack  # a function whose argument is annotated so is given a Stack


def pieces(stack: Stacked, size: int) -> Iterator[Float[Tensor, "model entry"]]:
    """So many entries of each flat tensor at a time."""
    total = stack.shape[1:].numel()
    cut = stack.piece if isinstance(stack, Stack) else lambda part: stack.reshape(len(stack), total)[:, part]
    return (cut(slice(start, min(start + size, total))) for start in range(0, max(1, total), size))


def blocks(stack: Stacked, size: int) -> Iterator[tuple[Any, Float[Tensor, "model *rows"]]]:
    """Whole rows of about so many entries at a time, and which; of vectors all at once."""
    cut = stack.rows if isinstance(stack, Stack) else lambda part: stack[:, part]
    return ((part, cut(part)) for part in row_parts(stack.shape[1:], size))


def row_parts(shape: torch.Size, size: int) -> Iterator[Any]:
    """Indices of the rows of a matrix, of about so many entries at a time; a vector, which is one row, is one part."""
    if len(shape) < 2:
        return iter([...])
    step = max(1, size // max(1, shape[1:].numel()))
    return (slice(start, min(start + step, shape[0])) for start in range(0, max(1, shape[0]), step))


def rows_of(value: Any, shape: torch.Size, part: Any) -> Any:
    """The rows of all that is shaped as the tensor, alone or for each model; whole what is not."""
    if isinstance(value, Stack):
        return value.rows(part)
    if isinstance(value, tuple):
        return tuple(rows_of(one, shape, part) for one in value)
    if isinstance(value, Tensor) and value.shape == shape:
        return value[part]
    return value[:, part] if isinstance(value, Tensor) and value.shape[1:] == shape else value
