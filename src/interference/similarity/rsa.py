"""Representational similarity analysis."""

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from interference.similarity import Square, measure
from interference.similarity.kernels import distances


@measure(
    label="RSA (Spearman of Euclidean distances)", source="doi:10.3389/neuro.06.004.2008",
    invariant=("rotation", "scale", "shift"),
)  # fmt: skip
def rsa(x: Float[np.ndarray, "sentence dim"]) -> Square:
    """Rank correlation of the distances between sentences."""
    upper = np.triu_indices(len(x), k=1)
    ranks = rankdata(distances(x)[upper])
    found = np.zeros((len(x), len(x)))
    found[upper] = ranks - ranks.mean()
    return found + found.T
