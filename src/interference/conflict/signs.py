"""Where models disagree on the sign of a weight."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.conflict.registry import conflict_measure
from interference.conflict.sums import columns, pairs, total


@conflict_measure(
    label="Sign conflict",
    source="arXiv:2306.01708",
    of="pair",
    best="low",
    span=(0, 1),
    reading="0 all signs agree, 0.5 unrelated, 1 all opposed",
    value=lambda conflicts, entries: conflicts / entries,
    closed=lambda at: 0.5,
    unchanged=("scale", "common scale"),
)
def sign_conflict(stack: Float[Tensor, "model *shape"]) -> Float[Tensor, "subject part"]:
    """Share of the entries that neither of two models has at zero, in which their signs differ."""
    both = pairs(total(stack, lambda piece: (piece != 0).double() @ (piece != 0).double().T))
    agreeing = pairs(total(stack, lambda piece: piece.sign() @ piece.sign().T))  # less those that differ
    return columns((both - agreeing) / 2, both)


@conflict_measure(
    label="Sign conflict of the set",
    source="arXiv:2306.01708",
    of="set",
    best="low",
    span=(0, 1),
    reading="0 all models agree everywhere, 1 no entry has one sign; rises with the number of models",
    value=lambda conflicts, entries: conflicts / entries,
    closed=lambda at: 1 - 2.0 ** (1 - at.models),
    unchanged=("scale", "common scale"),
)
def sign_conflict_of_set(stack: Float[Tensor, "model *shape"]) -> Float[Tensor, "subject part"]:
    """Share of the entries that two or more models have other than zero, in which both signs occur."""

    def of(piece: Tensor) -> Tensor:
        conflicts = (piece > 0).any(dim=0) & (piece < 0).any(dim=0)
        return torch.stack([conflicts.sum(), ((piece != 0).sum(dim=0) >= 2).sum()]).double()

    return columns(*total(stack, of))
