"""Alignment by a rotation, fitted on one half of the sentences and scored on the other."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square, measure
from interference.similarity.kernels import cosines


def rotation(
    x: Float[np.ndarray, "sentence dim"], y: Float[np.ndarray, "sentence other"]
) -> tuple[Float[np.ndarray, "dim rank"], Float[np.ndarray, "rank other"], Float[np.ndarray, " value"]]:
    """The orthogonal map that takes x nearest to y, as two factors of the rank that the sentences settle, and the
    singular values of xᵀy. Both sides are to be centred."""
    left, right = (np.linalg.qr(side.T) for side in (x, y))  # never larger than [dim, sentence]
    u, sizes, vt = np.linalg.svd(left[1] @ right[1].T)
    rank = int((sizes > 1e-10 * max(sizes[0], 1e-300)).sum())
    return (left[0] @ u)[:, :rank], (vt @ right[0].T)[:rank], sizes


def aligned(
    fit_x: Float[np.ndarray, "fit dim"], fit_y: Float[np.ndarray, "fit other"],
    x: Float[np.ndarray, "sentence dim"], y: Float[np.ndarray, "sentence other"],
) -> tuple[Float[np.ndarray, "sentence other"], Float[np.ndarray, "sentence other"]]:  # fmt: skip
    """The second pair of sides, each less its own mean, x rotated by what was fitted on the first pair.

    What lies outside the directions that the fitted sentences settle is left out.
    """
    u, vt, _ = rotation(fit_x - fit_x.mean(axis=0), fit_y - fit_y.mean(axis=0))
    return (x - x.mean(axis=0)) @ u @ vt, y - y.mean(axis=0)


@measure(
    label="Procrustes, cross-validated", source="arXiv:2110.14739", invariant=("rotation", "scale", "shift")
)  # fmt: skip
def procrustes(
    fit_x: Float[np.ndarray, "fit dim"], fit_y: Float[np.ndarray, "fit other"],
    x: Float[np.ndarray, "sentence dim"], y: Float[np.ndarray, "sentence other"],
) -> Square:  # fmt: skip
    """Mean cosine of translations after the best rotation, fitted on one half of the documents, scored on the other."""
    return cosines(*aligned(fit_x, fit_y, x, y))
