"""Linear CKA as it was first defined."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure
from interference.similarity.kernels import gram


@measure(label="CKA, linear (paper: biased)", source="arXiv:1905.00414", invariant=("rotation", "scale", "shift"))
def cka(x: Float[np.ndarray, "sentence dim"]) -> Square:
    """Agreement of the sentences' inner products; unrelated states are alike the more, the wider they are."""
    return gram(x)
