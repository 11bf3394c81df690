"""Parameters beside each other in few chunks of memory, so that one pass goes over many of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interference.memory import trim

BLOCK = 128  # entries; each parameter starts at a multiple of it, which keeps reads on a GPU aligned
_CHUNK = 1 << 26  # entries of a chunk, unless one parameter has more


@dataclass(frozen=True)
class Span:
    """Where the entries of parameters lie."""

    chunk: int
    start: int
    stop: int


def spans(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Span]:
    """Where each parameter lies, in their order."""
    found: dict[str, Span] = {}
    chunk = end = 0
    for name, shape in shapes.items():
        size = torch.Size(shape).numel()
        if end and end + size > _CHUNK:
            chunk, end = chunk + 1, 0
        found[name] = Span(chunk, end, end + size)
        end = -(-(end + size) // BLOCK) * BLOCK
    return found


def chunks(
    shapes: Mapping[str, tuple[int, ...]], rows: int, dtype: torch.dtype, device: torch.device
) -> Iterator[tuple[Float[Tensor, "row entry"], dict[str, Tensor]]]:
    """New chunks, one after another, each with its parameters as views `[row, *shape]`."""
    at = spans(shapes)
    for number in range(max((span.chunk for span in at.values()), default=-1) + 1):
        inside = {name: span for name, span in at.items() if span.chunk == number}
        width = max(span.stop for span in inside.values())
        chunk = torch.empty((rows, -(-width // BLOCK) * BLOCK), dtype=dtype, device=device)
        yield chunk, {n: chunk[:, span.start : span.stop].view(rows, *shapes[n]) for n, span in inside.items()}


@torch.no_grad()
def settle(network: nn.Module) -> None:
    """Move the parameters of a network, all of one dtype and device, into chunks, a chunk at a time."""
    parameters = dict(network.named_parameters())
    first = next(iter(parameters.values()))
    for _, views in chunks({n: tuple(p.shape) for n, p in parameters.items()}, 1, first.dtype, first.device):
        for name, view in views.items():
            parameters[name].data = view[0].copy_(parameters[name])
    trim()
