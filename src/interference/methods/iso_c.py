"""Isotropic merging: the summed differences with all their directions made equally strong."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.methods.ties import Lambda
from interference.registry import merge_method
from interference.stacks import Stacked


@merge_method(label="Iso-C", family="spectral", source="arXiv:2502.04959", lacks=("identity", "smooth"))
def iso_c(
    deltas: Stacked,
    weights: Float[Tensor, " model"],
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Sum the differences from the base and replace the singular values of each matrix by their mean.

    Weights of 1 are the paper's; what is no matrix is averaged. Embeddings and head count as matrices, as in the
    authors' code.
    """
    total = sum(weight * delta for weight, delta in zip(weights, deltas, strict=True))
    if deltas.ndim != 3:
        divisor = weights.sum()
        return total / torch.where(divisor.abs() < 1e-8, 1, divisor) * lambda_
    left, spectrum, right = torch.linalg.svd(total, full_matrices=False)
    return left @ right * (spectrum.mean() * lambda_)
