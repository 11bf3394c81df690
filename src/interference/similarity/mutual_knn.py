"""Agreement of nearest neighbours."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure
from interference.similarity.kernels import cosines

NEIGHBOURS = 10


@measure(
    label=f"Mutual {NEIGHBOURS} nearest neighbours", source="arXiv:2405.07987", invariant=("rotation", "scale"),
    symmetric=False,
)  # fmt: skip
def mutual_knn(x: Float[np.ndarray, "sentence dim"]) -> Square:
    """Share of each sentence's 10 nearest sentences by cosine that are the same on both sides.

    Of fewer sentences, all but one of the others count as near.
    """
    near = cosines(x, x)
    np.fill_diagonal(near, -np.inf)
    count = min(NEIGHBOURS, len(x) - 2)
    chosen = np.argpartition(-near, count - 1, axis=1)[:, :count]
    found = np.zeros_like(near)
    np.put_along_axis(found, chosen, 1.0, axis=1)
    return found
