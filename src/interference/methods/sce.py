"""SCE: select where the parents vary, weigh each by its energy there, erase minority signs."""

from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interference.methods.ties import as_column, elect
from interference.ranks import smallest
from interference.registry import Knob, merge_method

TopShare = Annotated[float, Knob(0, 1, 0.01, "share of the entries kept that differ between parents", strict=True)]


def varied(deltas: Float[Tensor, "model *shape"], select_topk: TopShare = 1.0) -> Bool[Tensor, "*shape"]:
    """Where the variance over the parents is among the int(share · count of nonzero ones) largest; at 1 everywhere."""
    if select_topk >= 1:
        return torch.ones(deltas.shape[1:], dtype=torch.bool, device=deltas.device)
    spread = deltas.var(dim=0, unbiased=False).flatten()
    count = int(int(spread.count_nonzero()) * select_topk)
    return ~smallest(spread, len(spread) - count).reshape(deltas.shape[1:])


@merge_method(
    label="SCE",
    variant="mergekit: equal weights where differences are small",
    family="sparse task vectors",
    source="arXiv:2408.07990",
    mergekit=True,
    prepare=varied,
    lacks=("scale",),
)
def sce(deltas: Float[Tensor, "model *shape"], prepared: Bool[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Keep where the parents vary most, average those of the elected sign, each weighted by its mean square.

    mergekit's variant: where these mean squares sum to less than 1e-6 all parents count alike, as on most fine-tunes,
    which the paper does not have.
    """
    return _fused(deltas * prepared, 1e-6)


@merge_method(
    label="SCE",
    variant="paper: always weighted by energy",
    family="sparse task vectors",
    source="arXiv:2408.07990",
    prepare=varied,
)
def sce_paper(deltas: Float[Tensor, "model *shape"], prepared: Bool[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Keep where the parents vary most, average those of the elected sign, each weighted by its mean square.

    The paper's variant: also differences so small that mergekit gives all parents the same weight are weighted.
    """
    return _fused(deltas * prepared, 0.0)


def _fused(deltas: Float[Tensor, "model *shape"], least: float) -> Float[Tensor, "*shape"]:
    """Mean of the entries of the elected sign, by their models' shares of the energy if that is `least` or more."""
    energies = deltas.square().flatten(1).mean(dim=1)
    total = energies.sum()
    even = (total < least) | (total == 0)
    shares = torch.where(even, 1 / len(deltas), energies / torch.where(even, 1, total))
    weights = as_column(shares, deltas) * elect(deltas, torch.ones_like(shares))
    divisor = weights.sum(dim=0)
    return (deltas * weights).sum(dim=0) / torch.where(divisor > 0, divisor.clamp(min=least), 1)
