"""Cosine of translations."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure
from interference.similarity.kernels import cosines


@measure(label="Cosine of translations", source="arXiv:2004.05160", invariant=("scale",), needs="basis")
def cosine(x: Float[np.ndarray, "sentence dim"], y: Float[np.ndarray, "sentence dim"]) -> Square:
    """Mean cosine of a sentence's states and those of its translation."""
    return cosines(x, y)
