"""Correlation dimension by dimension."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure


@measure(
    label="Correlation neuron by neuron", source="arXiv:2212.01924", invariant=("scale", "shift", "neuron"),
    needs="basis",
)  # fmt: skip
def neuron_correlation(x: Float[np.ndarray, "sentence dim"], y: Float[np.ndarray, "sentence dim"]) -> Square:
    """Mean over dimensions of the correlation of the two sides' values of one dimension."""
    return _scores(x) @ _scores(y).T * len(x) / x.shape[1]


def _scores(x: Float[np.ndarray, "sentence dim"]) -> Float[np.ndarray, "sentence dim"]:
    """Centred columns of norm one; those that do not vary are zero."""
    x = x - x.mean(axis=0)
    norms = np.linalg.norm(x, axis=0)
    return x / np.where(norms > 0, norms, np.inf)
