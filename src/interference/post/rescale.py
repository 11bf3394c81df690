"""Rescaling against the shrinkage of averages."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import post_step
from interference.stacks import Stacked

_FLOOR = 1e-12  # norms below this are not divided by


@post_step(label="every tensor rescaled to its parents' mean norm")
def rescale(merged: Float[Tensor, "*shape"], tensors: Stacked) -> Float[Tensor, "*shape"]:
    """The merged tensor at the mean Frobenius norm of its parents; a tensor of norm zero stays as it is."""
    norm = merged.norm()
    target = torch.stack([own.norm() for own in tensors]).mean()
    return merged * torch.where(norm > _FLOOR, target / norm.clamp_min(_FLOOR), 1)
