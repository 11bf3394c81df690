"""MEXA's alignment score."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure
from interference.similarity.kernels import cosines


@measure(label="MEXA", source="arXiv:2410.05873", invariant=("scale",), needs="basis")
def mexa(x: Float[np.ndarray, "sentence dim"], y: Float[np.ndarray, "sentence dim"]) -> Square:
    """Share of sentences nearer by cosine to their translation than either of the two is to any other sentence."""
    scores = cosines(x, y)
    best = [scores == scores.max(axis=axis, keepdims=True) for axis in (0, 1)]
    alone = (best[0].sum(axis=0, keepdims=True) == 1) & (best[1].sum(axis=1, keepdims=True) == 1)
    return (best[0] & best[1] & alone).astype(np.float64)
