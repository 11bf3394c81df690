"""DARE-TIES: drop entries of each task vector at random, then merge by TIES' elected sign."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.methods.ties import combine, elect, per_model
from interference.registry import Knob, Switch, merge_method


@merge_method(
    label="DARE-TIES",
    variant="mergekit: rescaled by L1 norm",
    family="sparse task vectors",
    source="arXiv:2311.03099",
    mergekit=True,
)
def dare_ties(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    uniforms: Float[Tensor, "model *shape"],
    density: Annotated[
        Tensor | float, Knob(0, 1, 0.01, "share of each task vector kept, at random", per_model=True, strict=True)
    ] = 1.0,
    normalize: Annotated[bool, Switch("divide by the summed weights of those that agree")] = False,
    rescale: Annotated[bool, Switch("scale what is kept to the task vector's L1 norm")] = True,
    lambda_: Annotated[float | Tensor, Knob(0, 2, 0.01, "scale of the merged difference from the base")] = 1.0,
) -> Float[Tensor, "*shape"]:
    """Drop differences at random, rescale what is kept, elect one sign per weight, sum the parents that agree.

    mergekit's variant: rescaling restores each tensor's L1 norm where the paper divides by the density. An entry is
    kept where its seeded uniform number is below the density, so a growing density only adds to one mask.
    """
    dropped = [
        drop(d, u, share, rescale) for d, u, share in zip(deltas, uniforms, per_model(density, deltas), strict=True)
    ]
    kept = torch.stack(dropped)
    return combine(kept, weights, elect(kept, weights), normalize) * lambda_


def drop(
    delta: Float[Tensor, "*shape"], uniform: Float[Tensor, "*shape"], density: float, rescale: bool
) -> Float[Tensor, "*shape"]:
    """The delta where its uniform number is below the density, zero elsewhere, rescaled to its L1 norm if asked."""
    if density >= 1:
        return delta
    kept = delta * (uniform < density)
    before, after = delta.abs().sum(), kept.abs().sum()
    if not rescale or before < 1e-7 or after < 1e-7:
        return kept
    return kept * (before / after)
