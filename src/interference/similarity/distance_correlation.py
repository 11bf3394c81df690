"""Distance correlation without its bias."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure
from interference.similarity.kernels import distances, u_centred


@measure(
    label="Distance correlation, squared (bias-corrected)", source="arXiv:1310.2926",
    invariant=("rotation", "scale", "shift"),
)  # fmt: skip
def distance_correlation(x: Float[np.ndarray, "sentence dim"]) -> Square:
    """Agreement of the distances between sentences, U-centred: 0 for unrelated states whatever their width."""
    return u_centred(distances(x))
