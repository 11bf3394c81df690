"""Functions of one entry at a time as one kernel each: on CUDA their passes over memory are most of what they cost."""

import warnings
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import torch
from torch import Tensor

from interference.chunks import BLOCK
from interference.memory import ran_out

DEVICES = ("cuda",)  # where functions are compiled; on a CPU pieces that stay in its cache come near, without the wait
BACKEND = "inductor"
# Kinds of arguments that one function is compiled for: numbers of parents, dtypes, knobs at 0 or 1 each make one, and
# beyond torch's own limit of 8 functions would run as they stand, slowly and without a word.
_KINDS = 256
# To a dtype and back is a rounding here, not a detour to be left out; and what does begin where wide loads do may be
# read by them: else a GPU reads entries of 16 bits one by one.
_OPTIONS: dict[str, str | int | bool | Callable] = {"emulate_precision_casts": True, "assume_aligned_inputs": True}
_CHUNK = 1 << 20  # entries of a weighted sum taken at a time on a CPU: few enough to stay in its cache


@cache
def fused(function: Callable, otherwise: Callable | None = None) -> Callable:
    """The same function, compiled on DEVICES at its first call; where it can't be, `otherwise`, or it as it stands.

    Compiled, sums are fused into multiplications, which moves results by a rounding or two of float32.
    """
    plain = otherwise or function
    compiled: Callable | None = None
    usable = True

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal compiled, usable
        given = (*arguments, *named.values())
        if not usable or not any(isinstance(x, Tensor) and x.device.type in DEVICES for x in _flat(given)):
            return plain(*arguments, **named)
        try:
            compiled = compiled or _compiled(function)
            _allow_kinds()
            return compiled(*arguments, **named)
        except Exception as error:  # no compiler on this machine, or a device that it does not know
            if ran_out(error):
                raise
            usable = False
            warnings.warn(f"{function.__name__} is not compiled: {type(error).__name__}: {error}", stacklevel=2)
        return plain(*arguments, **named)

    return call


def _compiled(function: Callable) -> Callable:
    """Whole or not at all: in parts, what lies between them would be written to memory."""
    options = _OPTIONS if BACKEND == "inductor" else None
    return torch.compile(function, backend=BACKEND, dynamic=True, fullgraph=True, options=options)


def _allow_kinds() -> None:
    """In this thread, for each has settings of its own.

    Places in memory make no kinds either: unless told, one that happens to be another's or a size always has to be.
    """
    import torch._dynamo.config as limits
    import torch.fx.experimental._config as shapes

    if shapes.use_duck_shape:
        shapes.use_duck_shape = False
    if limits.recompile_limit < _KINDS:
        limits.recompile_limit = _KINDS
    if limits.accumulated_recompile_limit < 8 * _KINDS:
        limits.accumulated_recompile_limit = 8 * _KINDS


def _flat(values: tuple) -> list:
    return [x for value in values for x in (_flat(tuple(value)) if isinstance(value, list | tuple) else (value,))]


def add_up(rows: list[Tensor], shares: Tensor, out: Tensor, dtype: torch.dtype) -> None:
    """The weighted sum of rows, flat or in blocks, in float32, rounded to `dtype`, into `out`."""
    assert out.ndim == 1 or out.shape[1] == BLOCK  # compiled for it alone
    total = rows[0].float() * shares[0]
    for number, row in enumerate(rows[1:], start=1):
        total = total + row.float() * shares[number]
    out.copy_(total.to(dtype))


def add_up_here(rows: list[Tensor], shares: Tensor, out: Tensor, dtype: torch.dtype) -> None:
    """What stands in for a compiled sum: it needs no more than a few pieces of memory either."""
    add_up_in_pieces(rows, shares.tolist(), out, dtype)


def add_up_in_pieces(rows: list[Tensor], shares: list[float], out: Tensor, dtype: torch.dtype) -> None:
    """The weighted sum of flat rows, wherever they are, in float32, rounded to `dtype`, into `out`."""
    plain = dtype == out.dtype == torch.float32 and all(row.device == out.device for row in rows)
    size = _CHUNK if out.device.type == "cpu" else 16 * _CHUNK  # of what crosses a bus, larger pieces
    if plain and len(rows) == 1:  # nothing lies between that a cache might keep
        size = max(len(out), 1)
    for start in range(0, len(out), size):
        part = slice(start, start + size)
        total = out[part] if plain else torch.empty_like(out[part], dtype=torch.float32)
        for number, (row, share) in enumerate(zip(rows, shares, strict=True)):
            # First over the bus as it is: asked for at once, the host would widen it into memory that is not pinned.
            piece = row[part].to(out.device, non_blocking=True).float()
            torch.mul(piece, share, out=total) if number == 0 else total.add_(piece, alpha=share)
        if not plain:
            out[part] = total.to(dtype)
