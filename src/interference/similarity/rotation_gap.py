"""How much a rotation would help: alike, but not aligned."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure
from interference.similarity.kernels import cosines
from interference.similarity.procrustes import aligned
from interference.similarity.retrieval import nearest


@measure(
    label="Rotation gap", source="arXiv:2110.14739", invariant=("scale",), best="zero", equal_width=True,
)  # fmt: skip
def rotation_gap(
    fit_x: Float[np.ndarray, "fit dim"], fit_y: Float[np.ndarray, "fit dim"],
    x: Float[np.ndarray, "sentence dim"], y: Float[np.ndarray, "sentence dim"],
) -> Square:  # fmt: skip
    """Retrieval of translations after the best rotation, less retrieval as they are: near 1, alike but not aligned."""
    return nearest(cosines(*aligned(fit_x, fit_y, x, y))) - nearest(cosines(x, y))
