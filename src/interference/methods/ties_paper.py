"""TIES as published: trimmed over the whole model, every parent with one vote."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.methods.ties import Lambda, as_column, combine, elect, per_model
from interference.ranks import PIECE, smallest_of_all
from interference.registry import Knob, merge_method
from interference.stacks import Stacked, pieces


def thresholds(
    deltas: Mapping[str, Stacked],
    density: Annotated[
        Tensor | float,
        Knob(0, 1, 0.01, "share of each whole task vector kept, largest first", per_model=True, strict=True),
    ] = 0.2,
) -> dict[str, Float[Tensor, " model"]]:
    """The magnitude from which on each parent's differences are kept, one for all of its tensors.

    Everything is kept at density 1 and nothing at 0; equal magnitudes at the threshold all stay.
    """
    first = next(iter(deltas.values()))
    total, shares = sum(stack.shape[1:].numel() for stack in deltas.values()), per_model(density, first)
    counts = [total - max(1, int(share * total)) + 1 for share in shares]
    size = PIECE[first.device.type]
    parts = lambda: _filled((piece for stack in deltas.values() for piece in pieces(stack, size)), size)  # noqa: E731
    found = smallest_of_all(lambda: map(torch.abs, parts()), torch.tensor(counts, device=first.device))
    limits = [
        limit if 0 < share < 1 else limit.new_tensor(0 if share else torch.inf)
        for limit, share in zip(found, shares, strict=True)
    ]
    return dict.fromkeys(deltas, torch.stack(limits))


def _filled(parts: Iterable[Tensor], size: int) -> Iterator[Float[Tensor, "model entry"]]:
    """Parts side by side until they have as many columns as are looked at at a time: models have many small tensors."""
    held: list[Tensor] = []
    for part in parts:
        held.append(part)
        if sum(one.shape[1] for one in held) >= size:
            yield torch.cat(held, dim=1)
            held = []
    if held:
        yield torch.cat(held, dim=1)


@merge_method(
    label="TIES",
    variant="paper: trimmed over the whole model, one vote each",
    family="sparse task vectors",
    source="arXiv:2306.01708",
    prepare=thresholds,
    scope="model",
    elementwise=True,
)
def ties_paper(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Float[Tensor, " model"],
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Keep the largest differences of each whole model, elect signs without coefficients, average those that agree.

    With equal weights the paper's method, whose mean is over agreeing entries that are not zero; the coefficients
    weight that mean alone. A parent of weight zero has no vote; a tied vote goes to plus, as in mergekit, where the
    authors' code asks the whole model.
    """
    kept = deltas * (deltas.abs() >= as_column(prepared, deltas))
    votes = (weights != 0).to(weights.dtype)
    return combine(kept, weights, elect(kept, votes), normalize=True) * lambda_
