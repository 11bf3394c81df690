"""Task arithmetic: the base plus a weighted sum of the parents' differences from it."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.methods.ties import Lambda, Normalize, combine
from interference.registry import merge_method


def coefficients(
    weights: Float[Tensor, " model"], normalize: Normalize = False, lambda_: Lambda = 1.0
) -> Float[Tensor, " model"]:
    """What each parent's difference counts with."""
    return combine(torch.eye(len(weights)).to(weights), weights, None, normalize) * lambda_


@merge_method(
    label="Task arithmetic",
    family="task vectors",
    source="arXiv:2212.04089",
    mergekit=True,
    elementwise=True,
    combines=coefficients,
)
def task_arithmetic(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    normalize: Normalize = False,
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Weighted sum of the parents' differences from the base, scaled by lambda and added to the base."""
    return combine(deltas, weights, None, normalize) * lambda_
