"""Whether two models point the same way."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from interference.conflict.registry import conflict_measure
from interference.conflict.sums import columns, ends, pairs


@conflict_measure(
    label="Cosine",
    source="arXiv:2212.04089",
    of="pair",
    best="high",
    span=(-1, 1),
    reading="1 the same direction, 0 unrelated, below 0 opposed",
    value=lambda dot, a, b: dot / np.sqrt(a * b),
    closed=lambda at: 0.0,
    unchanged=("scale", "common scale", "rotation"),
)
def cosine(gram: Float[Tensor, "model model"]) -> Float[Tensor, "subject part"]:
    """Cosine of the angle between two models' weights or task vectors."""
    return columns(pairs(gram), *ends(gram.diagonal()))
