"""What TIES removes: small entries, and those that lose the vote on the sign."""

from typing import Annotated

import numpy as np
from jaxtyping import Float
from scipy.stats import norm
from torch import Tensor

from interference.conflict.registry import conflict_measure
from interference.conflict.sums import columns, total
from interference.methods.ties import as_column, elect, largest
from interference.registry import Knob

Density = Annotated[float, Knob(0.01, 1, 0.01, "share of each tensor's entries kept, largest first", strict=True)]


@conflict_measure(
    label="Mass lost by trimming",
    source="arXiv:2306.01708",
    of="model",
    best="low",
    span=(0, 1),
    reading="0 the entries kept hold all the mass, so trimming is harmless; 1 they hold none",
    value=lambda kept, mass: 1 - kept / mass,
    null="Gaussian",
    closed=lambda at: 1 - np.exp(-(norm.isf(at.knobs["density"] / 2) ** 2) / 2),
    unchanged=("scale", "common scale", "own permutation"),
)
def trimmed_mass(stack: Float[Tensor, "model *shape"], density: Density = 0.2) -> Float[Tensor, "subject part"]:
    """Share of a model's summed magnitudes that trimming to its largest entries, tensor by tensor, removes."""
    kept = stack * largest(stack, density)
    return columns(*(total(one, lambda piece: piece.abs().sum(dim=1)) for one in (kept, stack)))


@conflict_measure(
    label="Mass lost by election",
    source="arXiv:2306.01708",
    of="set",
    best="low",
    span=(0, 1),
    reading="0 all models vote alike; half and more is lost where they do not",
    value=lambda kept, mass: 1 - kept / mass,
    unchanged=("common scale",),
)
def elected_mass(
    stack: Float[Tensor, "model *shape"], coefficients: Float[Tensor, " model"], density: Density = 0.2
) -> Float[Tensor, "subject part"]:
    """Share of the trimmed, weighted magnitudes that belongs to entries whose sign is voted down."""
    kept = stack * largest(stack, density) * as_column(coefficients, stack)
    agree = elect(kept, coefficients.new_ones(len(coefficients)))
    return columns(*(total(one, lambda piece: piece.abs().sum()) for one in (kept * agree, kept)))
