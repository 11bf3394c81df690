"""Fisher merging: each weight averaged by how much its parents' likelihoods depend on it."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import merge_method
from interference.stacks import Stacked

_FLOOR = 1e-6  # information of a weight that matters to no parent, as a share of the tensor's mean


def means(tensors: Stacked, fisher: Stacked) -> Float[Tensor, " model"]:
    """Each parent's mean information on a weight of the tensor."""
    return torch.stack([own.mean() for own in fisher])


@merge_method(
    label="Fisher merging",
    variant="diagonal, empirical",
    family="measured",
    source="arXiv:2111.09832",
    positive=True,
    prepare=means,
    rowwise=True,
)
def fisher(
    tensors: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    fisher: Float[Tensor, "model *shape"],
    prepared: Float[Tensor, " model"],
) -> Float[Tensor, "*shape"]:
    """Average every weight in proportion to its coefficient times each parent's diagonal Fisher information.

    Information is measured on the parent's own language. A floor, one for all parents, makes weights that matter to
    none their plain weighted average; it is relative where the authors' code has an absolute one.
    """
    least = _FLOOR * (weights * prepared).sum() / weights.sum()
    shares = (fisher + torch.where(least > 0, least, 1)) * weights.reshape(-1, *[1] * (tensors.ndim - 1))
    return (tensors * shares).sum(dim=0) / shares.sum(dim=0)
