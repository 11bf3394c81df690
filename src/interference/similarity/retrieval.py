"""Finding the translation."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure
from interference.similarity.kernels import cosines


@measure(label="Retrieval of the translation", source="arXiv:2003.11080", invariant=("scale",), needs="basis")
def retrieval(x: Float[np.ndarray, "sentence dim"], y: Float[np.ndarray, "sentence dim"]) -> Square:
    """Share of sentences whose nearest by cosine on the other side is their translation."""
    return nearest(cosines(x, y))


def nearest(scores: Square) -> Square:
    """1 where a column is its row's largest, shared among equals."""
    found = (scores == scores.max(axis=1, keepdims=True)).astype(np.float64)
    return found / found.sum(axis=1, keepdims=True)
