"""Linear CKA without its bias."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure
from interference.similarity.kernels import gram, u_centred


@measure(label="CKA, linear, debiased", source="arXiv:2010.15327", invariant=("rotation", "scale", "shift"))
def debiased_cka(x: Float[np.ndarray, "sentence dim"]) -> Square:
    """Agreement of the sentences' inner products, U-centred: 0 for unrelated states whatever their width."""
    return u_centred(gram(x))
