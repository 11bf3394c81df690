"""How far two models are from each other."""

from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interference.conflict.registry import conflict_measure
from interference.conflict.sums import columns, ends, pairs, total

_NEAR = 1e-6  # squared distance by squared norms, below which inner products would cancel to noise


def _squares(stack: Float[Tensor, "model *shape"], gram: Float[Tensor, "model model"]) -> Float[Tensor, " pair"]:
    """Squared distances from inner products, and of near-equal models from their differences themselves."""
    a, b = ends(gram.diagonal())
    squares = a + b - 2 * pairs(gram)
    close = squares <= _NEAR * (a + b)
    near = [pair for pair, one in zip(combinations(range(len(stack)), 2), close, strict=True) if one]
    if near:
        exact = total(stack, lambda piece: torch.stack([(piece[i] - piece[j]).square().sum() for i, j in near]))
        squares[close] = exact
    return squares


@conflict_measure(
    label="L2 distance",
    source="arXiv:2605.25846",
    of="pair",
    best="low",
    span=(0, np.inf),
    reading="0 identical; grows with the norm, so compare like with like",
    value=lambda squares: np.sqrt(squares),
    unchanged=("rotation",),
)
def l2(stack: Float[Tensor, "model *shape"], gram: Float[Tensor, "model model"]) -> Float[Tensor, "subject part"]:
    """Euclidean distance of two models' weights or task vectors."""
    return columns(_squares(stack, gram))


@conflict_measure(
    label="L2 distance, relative",
    source="arXiv:2605.25846",
    of="pair",
    best="low",
    span=(0, 2),
    reading="0 identical, 1.41 unrelated and equally long, 2 opposed",
    value=lambda squares, a, b: 2 * np.sqrt(squares) / (np.sqrt(a) + np.sqrt(b)),
    closed=lambda at: 2**0.5,
    unchanged=("common scale", "rotation"),
)
def l2_relative(
    stack: Float[Tensor, "model *shape"], gram: Float[Tensor, "model model"]
) -> Float[Tensor, "subject part"]:
    """Euclidean distance of two models divided by their mean norm."""
    return columns(_squares(stack, gram), *ends(gram.diagonal()))
