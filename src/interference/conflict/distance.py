"""How far two models are from each other."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interference.conflict.registry import conflict_measure
from interference.conflict.sums import columns, ends, total


def _squares(stack: Float[Tensor, "model *shape"]) -> Float[Tensor, " pair"]:
    """Squared differences themselves: from inner products those of near-equal models would cancel to noise."""
    first, second = torch.triu_indices(len(stack), len(stack), 1)

    def of(piece: Tensor) -> Tensor:
        return torch.stack([(piece[i] - piece[j]).square().sum() for i, j in zip(first, second, strict=True)])

    return total(stack, of)


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
def l2(stack: Float[Tensor, "model *shape"]) -> Float[Tensor, "subject part"]:
    """Euclidean distance of two models' weights or task vectors."""
    return columns(_squares(stack))


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
    return columns(_squares(stack), *ends(gram.diagonal()))
