"""What is lost because weights of different sign are added."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.conflict.registry import conflict_measure
from interference.conflict.sums import columns, total


@conflict_measure(
    label="Cancellation",
    source="this project",
    of="set",
    best="low",
    span=(0, 1),
    reading="0 nothing cancels, 1 everything; unlike the sign conflict it counts large weights for more",
    value=lambda kept, mass: 1 - kept / mass,
    closed=lambda at: 1 - at.models**-0.5,
    unchanged=("common scale",),
)
def cancellation(stack: Float[Tensor, "model *shape"]) -> Float[Tensor, "subject part"]:
    """Share of the models' summed magnitudes that is gone from the magnitude of their sum."""
    return columns(*total(stack, lambda piece: torch.stack([piece.sum(dim=0).abs().sum(), piece.abs().sum()])))
