"""Weighted average of the parents."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.methods.ties import Normalize
from interference.registry import merge_method
from interference.stacks import Stacked


def coefficients(weights: Float[Tensor, " model"], normalize: Normalize = True) -> Float[Tensor, " model"]:
    """What each parent counts with."""
    return weights / weights.sum() if normalize else weights


@merge_method(
    label="Linear average",
    family="averages",
    source="arXiv:2203.05482",
    mergekit=True,
    mergekit_float32=True,
    combines=coefficients,
)
def linear(
    tensors: Stacked,
    weights: Float[Tensor, " model"],
    normalize: Normalize = True,
) -> Float[Tensor, "*shape"]:
    """Weighted sum of the parents' weights, divided by the sum of the coefficients when normalised.

    Sums in the order of the parents, one fused multiply-add each, as mergekit 0.1.5 does: equal bit for bit.
    """
    total = torch.zeros(tensors.shape[1:], dtype=tensors.dtype, device=tensors.device)
    for tensor, weight in zip(tensors, weights, strict=True):
        total = total.addcmul(tensor, weight)
    return total / weights.sum() if normalize else total
