"""SCE: select where the parents vary, weigh each by its energy there, erase minority signs."""

from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interference.methods.ties import as_column, elect
from interference.ranks import smallest
from interference.registry import Knob, merge_method
from interference.rows import every
from interference.stacks import Stacked, pieces

_CHUNK = {"cpu": 1 << 16, "cuda": 1 << 22}  # entries of each parent converted to float64 at a time
TopShare = Annotated[float, Knob(0, 1, 0.01, "share of the entries kept that differ between parents", strict=True)]


def varied(deltas: Stacked, select_topk: TopShare = 1.0) -> tuple[Bool[Tensor, "*shape"], Float[Tensor, " model"]]:
    """What is kept, and each parent's energy: the mean square of what is kept of it.

    Kept is where the variance over the parents is among the int(share · count of nonzero ones) largest; at 1 all is.
    """
    shape, device = deltas.shape[1:], deltas.device
    kept = torch.ones(shape.numel(), dtype=torch.bool, device=device)
    if select_topk < 1:
        spread, size = torch.empty(len(kept), dtype=deltas.dtype, device=device), _CHUNK[device.type]
        for into, piece in zip(spread.split(size), pieces(deltas, size), strict=True):
            into.copy_(_variance(piece.double()))
        count = int(int(spread.count_nonzero()) * select_topk)
        kept = ~smallest(spread, len(spread) - count)
    kept = kept.reshape(shape)
    return kept, torch.stack([(delta * kept).square().mean() for delta in deltas])


def _variance(deltas: Float[Tensor, "model entry"]) -> Float[Tensor, " entry"]:
    """Over the models: as torch's own, which takes ten times as long in this direction."""
    return (deltas - deltas.mean(dim=0)).square().mean(dim=0)


@merge_method(
    label="SCE",
    variant="mergekit: equal weights where differences are small",
    family="sparse task vectors",
    source="arXiv:2408.07990",
    mergekit=True,
    prepare=varied,
    lacks=("scale",),
    elementwise=True,
)
def sce(
    deltas: Float[Tensor, "model *shape"], prepared: tuple[Bool[Tensor, "*shape"], Float[Tensor, " model"]]
) -> Float[Tensor, "*shape"]:
    """Keep where the parents vary most, average those of the elected sign, each weighted by its mean square.

    mergekit's variant: where these mean squares sum to less than 1e-6 all parents count alike, as on most fine-tunes,
    which the paper does not have.
    """
    return _fused(deltas, *prepared, 1e-6)


@merge_method(
    label="SCE",
    variant="paper: always weighted by energy",
    family="sparse task vectors",
    source="arXiv:2408.07990",
    prepare=varied,
    elementwise=True,
)
def sce_paper(
    deltas: Float[Tensor, "model *shape"], prepared: tuple[Bool[Tensor, "*shape"], Float[Tensor, " model"]]
) -> Float[Tensor, "*shape"]:
    """Keep where the parents vary most, average those of the elected sign, each weighted by its mean square.

    The paper's variant: also differences so small that mergekit gives all parents the same weight are weighted.
    """
    return _fused(deltas, *prepared, 0.0)


def _fused(
    deltas: Float[Tensor, "model *shape"],
    kept: Bool[Tensor, "*shape"],
    energies: Float[Tensor, " model"],
    least: float,
) -> Float[Tensor, "*shape"]:
    """Mean of what is kept of the elected sign, by the models' shares of the energy if that is `least` or more."""
    deltas, total = deltas * every(kept, deltas), energies.sum()
    even = (total < least) | (total == 0)
    shares = torch.where(even, 1 / len(deltas), energies / torch.where(even, 1, total))
    weights = elect(deltas, torch.ones_like(shares)) * as_column(shares, deltas)
    divisor = weights.sum(dim=0)
    return (deltas * weights).sum(dim=0) / torch.where(divisor > 0, divisor.clamp(min=least), 1)
