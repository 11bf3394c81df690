"""A stack of tensors row by row, for compilers: they make one pass of what is written out for every row."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor


class Rows:
    """Tensors of one shape in place of their stack, with the operations that methods of one entry at a time use.

    Beside it there are Rows alone, for compilers look through nothing else: `each` and `every` make them. Sums are over
    the rows.
    """

    def __init__(self, rows: Sequence[Tensor]):
        self.rows = list(rows)

    @property
    def ndim(self) -> int:
        return self.rows[0].ndim + 1

    @property
    def device(self) -> torch.device:
        return self.rows[0].device

    @property
    def dtype(self) -> torch.dtype:
        return self.rows[0].dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Tensor:
        return self.rows[row]

    def _each(self, other: "Rows", function: Callable[[Tensor, Any], Tensor]) -> "Rows":
        return Rows([function(row, own) for row, own in zip(self.rows, other.rows, strict=True)])

    def __mul__(self, other: "Rows") -> "Rows":
        return self._each(other, lambda row, own: _factor(row) * _factor(own))

    def __truediv__(self, other: "Rows") -> "Rows":
        return self._each(other, lambda row, own: row / own)

    def __sub__(self, other: "Rows") -> "Rows":
        return self._each(other, lambda row, own: row - own)

    def __eq__(self, other: "Rows") -> "Rows":  # type: ignore[override]
        return self._each(other, lambda row, own: row == own)

    def __gt__(self, other: "Rows") -> "Rows":
        return self._each(other, lambda row, own: row > own)

    def __ne__(self, other: "Rows") -> "Rows":  # type: ignore[override]
        return self._each(other, lambda row, own: row != own)

    def __ge__(self, other: "Rows") -> "Rows":
        return self._each(other, lambda row, own: row >= own)

    def __and__(self, other: "Rows") -> "Rows":
        return self._each(other, lambda row, own: row & own)

    def __or__(self, other: "Rows") -> "Rows":
        return self._each(other, lambda row, own: row | own)

    def abs(self) -> "Rows":
        return Rows([row.abs() for row in self.rows])

    def sum(self, dim: int) -> Tensor:
        rows = [row.long() for row in self.rows] if self.dtype == torch.bool else self.rows
        return reduce(torch.add, rows)

    def mean(self, dim: int) -> Tensor:
        return self.sum(dim=dim) / len(self.rows)


def _factor(row: Tensor) -> Tensor:
    """Chosen where a GPU would convert, which takes it four times as long."""
    return torch.where(row, 1.0, 0.0) if row.dtype == torch.bool else row


def each(stack: Tensor, like: "Tensor | Rows") -> Any:
    """A stack, or a column with a number for each row, as it goes with what it is to go with."""
    return Rows([stack[row] for row in range(len(like))]) if isinstance(like, Rows) else stack


def every(value: Any, like: "Tensor | Rows") -> Any:
    """A tensor or number that is the same for all rows."""
    return Rows([value] * len(like)) if isinstance(like, Rows) else value


def where(condition: Tensor, one: Any, other: Any) -> Any:
    """`torch.where` by a condition that is the same for all rows."""
    if isinstance(one, Rows):
        return one._each(other, lambda row, own: torch.where(condition, row, own))
    return torch.where(condition, one, other)
