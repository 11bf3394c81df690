"""Rescaling against the shrinkage of averages."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import post_step

_FLOOR = 1e-12  # norms below this are not divided by


@post_step(label="every tensor rescaled to its parents' mean norm")
def rescale(merged: Float[Tensor, "*shape"], tensors: Float[Tensor, "model *shape"]) -> Float[Tensor, "*shape"]:
    """The merged tensor at the mean Frobenius norm of its parents; a tensor of norm zero stays as it is."""
    norm = merged.norm()
    target = tensors.flatten(1).norm(dim=1).mean()
    return merged * torch.where(norm > _FLOOR, target / norm.clamp_min(_FLOOR), 1)
