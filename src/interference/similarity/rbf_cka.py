"""CKA with a Gaussian kernel."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure
from interference.similarity.kernels import double_centred, squared_distances

_WIDTH = 0.5  # of the kernel, in median distances


@measure(label="CKA, Gaussian kernel (biased)", source="arXiv:1905.00414", invariant=("rotation", "scale", "shift"))
def rbf_cka(x: Float[np.ndarray, "sentence dim"]) -> Square:
    """Agreement of which sentences are near each other, half the median distance counting as near."""
    squared = squared_distances(x)
    middle = float(np.median(squared))
    if not middle:
        return np.zeros_like(squared)
    return double_centred(np.exp(-squared / (2 * _WIDTH**2 * middle)))
