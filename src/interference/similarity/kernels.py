"""Matrices of sentences by sentences, and how they are centred."""

import numpy as np
from jaxtyping import Float

from interference.similarity import Square


def gram(x: Float[np.ndarray, "sentence dim"]) -> Square:
    """Inner products of the centred states; centred first, for large means cost digits."""
    x = x - x.mean(axis=0)
    return x @ x.T


def distances(x: Float[np.ndarray, "sentence dim"]) -> Square:
    """Euclidean distances."""
    return np.sqrt(squared_distances(x))


def squared_distances(x: Float[np.ndarray, "sentence dim"]) -> Square:
    """Squared Euclidean distances, none below zero."""
    products = gram(x)
    squares = np.diag(products)
    found = np.maximum(squares[:, None] + squares - 2 * products, 0.0)
    np.fill_diagonal(found, 0.0)
    return found


def double_centred(k: Square) -> Square:
    """The matrix with the means of its rows and columns taken out."""
    rows = k.mean(axis=0)
    return k - rows - rows[:, None] + rows.mean()


def u_centred(k: Square) -> Square:
    """U-centring: the inner product of two such matrices has no bias, and a mean of 0 over permutations.

    The diagonal plays no part and is 0 in the result. Needs four sentences.
    """
    n = len(k)
    k = k - np.diag(np.diag(k))
    rows = k.sum(axis=0) / (n - 2)
    k -= rows + rows[:, None] - rows.sum() / (n - 1)
    np.fill_diagonal(k, 0.0)
    return k


def cosines(x: Float[np.ndarray, "row dim"], y: Float[np.ndarray, "column dim"]) -> Float[np.ndarray, "row column"]:
    """Cosine of every row with every other side's; 0 with a row of zeros."""
    return _directions(x) @ _directions(y).T


def _directions(x: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row dim"]:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms > 0, norms, 1.0)
