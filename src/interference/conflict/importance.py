"""Whether two models need the same weights."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from interference.conflict.registry import conflict_measure
from interference.conflict.sums import columns, ends, gram_of, pairs


@conflict_measure(
    label="Fisher overlap",
    source="arXiv:1612.00796",
    of="pair",
    best="low",
    span=(0, 1),
    reading="0 each needs weights that the other does not, 1 both need the same",
    value=lambda common, a, b: common / np.sqrt(a * b),
    unchanged=("scale", "common scale"),
)
def fisher_overlap(fisher: Float[Tensor, "model *shape"]) -> Float[Tensor, "subject part"]:
    """Overlap of two models' diagonal Fisher information, each from the dev half of its own language.

    1 - d² with EWC's distance d of the normalised diagonals: the sum of sqrt(F_a F_b) over sqrt(tr F_a tr F_b).
    """
    common = gram_of(fisher.sqrt())
    return columns(pairs(common), *ends(common.diagonal()))
