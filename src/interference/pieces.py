"""Methods of one entry at a time on pieces of the parents' tensors, compiled where that pays."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from interference.bits import Bits, unpacked
from interference.chunks import BLOCK
from interference.fused import fused
from interference.ranks import Cut, Cuts
from interference.recipe import MEAN, ZERO
from interference.registry import Method
from interference.rows import Rows, every

# Entries of each parent merged at a time: on a CPU few enough for its cache, on a GPU so that little lies between, or,
# where functions are compiled and nothing lies between, so that there are few calls.
PIECE = {"cpu": 1 << 16, "cuda": 1 << 24}
COMPILED = 1 << 26


@cache
def on_blocks(method: Method, made: str | None, read: str | None, dtype: torch.dtype) -> Callable[..., None]:
    """`compiled`, and where that is not to be had, on fewer blocks at a time, for then much lies between."""
    plain = partial(by_parts, on_piece(method, made, read, dtype, torch.stack), PIECE["cuda"] // BLOCK)
    return fused(on_piece(method, made, read, dtype, Rows), plain)


@cache
def compiled(method: Method, made: str | None, read: str | None, dtype: torch.dtype) -> Callable[..., None]:
    return fused(on_piece(method, made, read, dtype, Rows), on_piece(method, made, read, dtype, torch.stack))


def by_parts(
    function: Callable[..., None],
    size: int,
    rows: list[Tensor],
    own: Tensor | None,
    out: Tensor,
    given: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> None:
    """A function of blocks on so many of them at a time."""
    for start in range(0, len(out), size):
        part = slice(start, start + size)
        here = {name: value.within(part) if isinstance(value, Cuts) else value for name, value in given.items()}
        function([row[part] for row in rows], None if own is None else own[part], out[part], here, settings)


@cache
def on_piece(
    method: Method, made: str | None, read: str | None, dtype: torch.dtype, gather: Callable[[list[Tensor]], Any]
) -> Callable[..., None]:
    """From entries of the parents and of a base as they are stored to those of the merge: one function, to compile.

    `made` is a base that is made of the parents, `read` the dtype that they are read in first, `gather` makes the
    method's first argument of the parents.
    """

    def piece(
        rows: list[Tensor], own: Tensor | None, out: Tensor, given: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> None:
        assert out.ndim == 1 or out.shape[1] == BLOCK  # compiled for it alone, as `add_up`
        parents = gather([_widened(row, read) for row in rows])
        bases = {MEAN: lambda: parents.mean(dim=0), ZERO: lambda: torch.zeros_like(parents[0])}
        origin = bases[made]() if made else None if own is None else _widened(own, read)
        deltas = parents if origin is None else parents - every(origin, parents)
        inputs = {"tensors": parents, "deltas": deltas, "base": origin, **given}
        if "prepared" in inputs:
            inputs["prepared"] = unpacked(inputs["prepared"])
        merged = method.function(**{name: inputs[name] for name in method.body.inputs}, **settings)
        out.copy_((origin + merged if method.takes == "deltas" and origin is not None else merged).to(dtype))

    # Code of its own: what is compiled is remembered by it, and would be looked through for every method.
    code = piece.__code__.replace(co_name=method.name)
    return FunctionType(code, piece.__globals__, method.name, None, piece.__closure__)


def _widened(row: Tensor, read: str | None) -> Tensor:
    return row.to(getattr(torch, read)).float() if read else row.float()


def piece_of(prepared: Any, shape: torch.Size, part: slice) -> Any:
    """The part of all that has an entry for each of the tensor's, whole what has not."""
    if isinstance(prepared, Cut | Bits):
        return prepared.within(slice(part.start, min(part.stop, shape.numel())))
    if isinstance(prepared, tuple):
        return tuple(piece_of(one, shape, part) for one in prepared)
    if isinstance(prepared, Tensor) and prepared.shape[-len(shape) :] == shape:
        return prepared.flatten(prepared.ndim - len(shape))[..., part]
    return prepared
