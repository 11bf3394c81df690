"""DARE: drop entries of each task vector at random and scale up the rest, then add or merge by TIES' elected sign."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.methods.sparse import Kept, RandomDensity, Rescale, kept, sparse_method, with_l1_factors
from interference.methods.ties import Lambda, Normalize, NormalizeAgreeing, as_column, combine, elect, per_model


def drop(
    deltas: Float[Tensor, "model *shape"],
    uniforms: Float[Tensor, "model *shape"],
    density: RandomDensity = 1.0,
    rescale: Rescale = True,
) -> Kept:
    """Where the uniform numbers are below the density, and the factor that restores each delta's L1 norm if asked."""
    return with_l1_factors(deltas, uniforms < _densities(density, deltas), rescale)


def drop_by_density(
    deltas: Float[Tensor, "model *shape"], uniforms: Float[Tensor, "model *shape"], density: RandomDensity = 1.0
) -> Kept:
    """Where the uniform numbers are below the density, and the density's inverse."""
    shares = _densities(density, deltas)
    return uniforms < shares, torch.where(shares > 0, 1 / shares, 1).to(deltas).flatten()


def _densities(density: Tensor | float, deltas: Float[Tensor, "model *shape"]) -> Tensor:
    return as_column(deltas.new_tensor(per_model(density, deltas)), deltas)


@sparse_method(
    label="DARE, added",
    variant="mergekit: rescaled by L1 norm",
    source="arXiv:2311.03099",
    mergekit=True,
    prepare=drop,
    elementwise=True,
)
def dare_linear(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Kept,
    normalize: Normalize = False,
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Drop differences at random, rescale what is kept, add up the parents by weight.

    mergekit's variant: rescaling restores each tensor's L1 norm where the paper divides by the density. An entry is
    kept where its seeded uniform number is below the density, so a growing density only adds to one mask.
    """
    return combine(kept(deltas, prepared), weights, None, normalize) * lambda_


@sparse_method(
    label="DARE, added",
    variant="paper: divided by the density",
    source="arXiv:2311.03099",
    prepare=drop_by_density,
    elementwise=True,
)
def dare_linear_paper(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Kept,
    normalize: Normalize = False,
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Drop differences at random, divide what is kept by the density, add up the parents by weight.

    The paper's variant: of each entry the expected value is kept, where mergekit restores each tensor's L1 norm.
    """
    return combine(kept(deltas, prepared), weights, None, normalize) * lambda_


@sparse_method(
    label="DARE-TIES",
    variant="mergekit: rescaled by L1 norm",
    source="arXiv:2311.03099",
    mergekit=True,
    prepare=drop,
    elementwise=True,
)
def dare_ties(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Kept,
    normalize: NormalizeAgreeing = False,
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Drop differences at random, rescale what is kept, elect one sign per weight, sum the parents that agree.

    mergekit's variant: rescaling restores each tensor's L1 norm where the paper divides by the density. An entry is
    kept where its seeded uniform number is below the density, so a growing density only adds to one mask.
    """
    left = kept(deltas, prepared)
    return combine(left, weights, elect(left, weights), normalize) * lambda_
