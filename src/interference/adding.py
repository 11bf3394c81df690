"""Merges that are weighted sums of tensors: adding them up in the buffer, neighbours at once."""

from collections.abc import Callable, Hashable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from interference.chunks import BLOCK
from interference.fused import DEVICES, add_up, add_up_here, add_up_in_pieces, fused
from interference.runs import runs
from interference.sums import Step
from interference.weights import RESIDENT, Weights


def add_steps(
    weights: Weights,
    steps: Mapping[str, Step],
    there: Callable[[list[float]], Tensor],
    buffer: Mapping[str, Tensor],
    dtype: torch.dtype,
) -> None:
    """Sums into the buffer, of neighbours with equal shares at once.

    Within 1e-6 of the reference path, relative to the largest entry of a parent times the summed magnitudes of the
    coefficients, the base's included, where these exceed one.
    """
    together = {name: alike for name, step in steps.items() if (alike := _alike(step))}
    for run in runs(weights.spans, together if weights.residency == RESIDENT else {}, buffer):
        step = steps[run.names[0]]
        rows = weights.entries(run.span, [model for _, model in step.added])
        _add_up(rows, list(step.added.values()), there, run.out, dtype, step.scale)
    for name in steps if weights.residency != RESIDENT else steps.keys() - together.keys():
        added = steps[name].added
        rows = [weights.views(source, [model])[0].reshape(-1) for source, model in added]
        _add_up(rows, list(added.values()), there, buffer[name].view(-1), dtype, steps[name].scale)


def _alike(step: Step) -> tuple[str, Hashable] | None:
    """The one parameter that is read of each model, and what neighbours must share; None where it is not one."""
    source, *others = {source for source, _ in step.added} or (None,)
    if source is None or others:
        return None
    return source, (step.scale, *((model, share) for (_, model), share in step.added.items()))


def _add_up(
    rows: list[Float[Tensor, " entry"]],
    shares: list[float],
    there: Callable[[list[float]], Tensor],
    out: Float[Tensor, " entry"],
    dtype: torch.dtype,
    scale: float,
) -> None:
    """The sum of rows, and of `scale` times what is there, in one pass over them, uncopied wherever they are."""
    here = out.device.type in DEVICES and all(row.device == out.device for row in rows)
    if here and len(out) % BLOCK == 0:  # known to be whole blocks, they are read by wide loads
        rows, out = [row.view(-1, BLOCK) for row in rows], out.view(-1, BLOCK)
    if scale:  # the very tensor: of two views of one memory a compiler takes the place in it for fixed
        rows, shares = [out, *rows], [scale, *shares]
    if here:
        fused(add_up, add_up_here)(rows, there(shares), out, dtype)
    else:
        add_up_in_pieces(rows, shares, out, dtype)
