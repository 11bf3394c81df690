"""Model breadcrumbs: keep the middle of each task vector, without its outliers and its smallest entries."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.methods.sparse import Kept, Rescale, kept, sparse_method, with_l1_factors
from interference.methods.ties import Lambda, Normalize, NormalizeAgreeing, combine, elect, per_model
from interference.ranks import ranked
from interference.registry import Knob


def middle(
    deltas: Float[Tensor, "model *shape"],
    density: Annotated[
        Tensor | float,
        Knob(0, 1, 0.01, "share of each task vector kept, largest first below gamma", per_model=True, strict=True),
    ] = 1.0,
    gamma: Annotated[
        Tensor | float,
        Knob(0, 1, 0.001, "share of each task vector dropped as too large", per_model=True, strict=True),
    ] = 0.01,
    rescale: Rescale = False,
) -> Kept:
    """Where each delta has the int(density · size) largest entries below its int(gamma · size) largest ones.

    Where so many are not left below those, fewer outliers are dropped; at density 1 none.
    """
    rows = []
    for delta, share, outliers in zip(deltas, per_model(density, deltas), per_model(gamma, deltas), strict=True):
        size, count = delta.numel(), int(share * delta.numel())
        start = max(0, size - count - int(outliers * size))
        rows.append(ranked(delta.abs().flatten(), start, start + count).reshape(delta.shape))
    return with_l1_factors(deltas, torch.stack(rows), rescale)


@sparse_method(
    label="Breadcrumbs",
    variant="per tensor",
    source="arXiv:2312.06795",
    mergekit=True,
    prepare=middle,
    elementwise=True,
)
def breadcrumbs(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Kept,
    normalize: Normalize = False,
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Drop the largest and the smallest differences of each parent, add up what is left by weight.

    The densities are mergekit's: the paper names the shares dropped at both ends where this names the share kept.
    """
    return combine(kept(deltas, prepared), weights, None, normalize) * lambda_


@sparse_method(
    label="Breadcrumbs, TIES' signs",
    variant="mergekit: weighted vote",
    source="arXiv:2312.06795",
    mergekit=True,
    prepare=middle,
    elementwise=True,
)
def breadcrumbs_ties(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Kept,
    normalize: NormalizeAgreeing = False,
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Drop the largest and the smallest differences, elect one sign per weight, sum the parents that agree."""
    left = kept(deltas, prepared)
    return combine(left, weights, elect(left, weights), normalize) * lambda_
