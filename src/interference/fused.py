"""Functions of one entry at a time as one kernel each: on CUDA their passes over memory are most of what they cost."""

import warnings
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import torch
from torch import Tensor

DEVICES = ("cuda",)  # where functions are compiled; on a CPU pieces that stay in its cache come near, without the wait
BACKEND = "inductor"


@cache
def fused(function: Callable) -> Callable:
    """The same function, compiled on DEVICES at its first call; as it stands where it can't be.

    Compiled, sums are fused into multiplications, which moves results by a rounding or two of float32.
    """
    compiled: Callable | None = None
    usable = True

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal compiled, usable
        given = (*arguments, *named.values())
        if not usable or not any(isinstance(x, Tensor) and x.device.type in DEVICES for x in _flat(given)):
            return function(*arguments, **named)
        try:
            compiled = compiled or torch.compile(function, backend=BACKEND, dynamic=True)
            return compiled(*arguments, **named)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # no compiler on this machine, or a device that it does not know
            usable = False
            warnings.warn(f"{function.__name__} is not compiled: {type(error).__name__}: {error}", stacklevel=2)
            return function(*arguments, **named)

    return call


def _flat(values: tuple) -> list:
    return [x for value in values for x in (_flat(tuple(value)) if isinstance(value, list | tuple) else (value,))]


def add_up(rows: list[Tensor], shares: Tensor, out: Tensor, dtype: torch.dtype) -> None:
    """The weighted sum of flat rows in float32, rounded to `dtype`, into `out`."""
    total = rows[0].float() * shares[0]
    for number, row in enumerate(rows[1:], start=1):
        total = total + row.float() * shares[number]
    out.copy_(total.to(dtype))
