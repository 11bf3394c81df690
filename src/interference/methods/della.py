"""DELLA: drop entries of each task vector at random, small ones rather than large ones, then merge the rest."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interference.methods.sparse import Kept, RandomDensity, Rescale, kept, sparse_method, with_l1_factors
from interference.methods.ties import Lambda, Normalize, NormalizeAgreeing, as_column, combine, elect, per_model
from interference.registry import Knob
from interference.stacks import blocks

_PIECE = 1 << 24  # entries of whole rows that are ranked at a time
Epsilon = Annotated[
    Tensor | float,
    Knob(
        0,
        0.5,
        0.01,
        "how far the chance of being kept moves with size to both sides of the density",
        per_model=True,
        strict=True,
    ),
]


def within_chances(settings: Mapping[str, Any]) -> str | None:
    """What is wrong with densities and epsilons that give chances outside 0 to 1."""
    for density, epsilon in zip(settings["density"], settings["epsilon"], strict=True):
        if 0 < density < 1 and not epsilon < density < 1 - epsilon:
            return (
                f"density {density:g} and epsilon {epsilon:g} give chances of {density - epsilon:g} to "
                f"{density + epsilon:g}; expected them inside 0 to 1. Take a smaller epsilon, or density 0 or 1."
            )
    return None


def heights(deltas: Float[Tensor, "model *shape"]) -> Int[Tensor, "model *shape"]:
    """The rank of each entry's magnitude in its row (of a vector: in all of it), from 0 for the smallest."""
    across = min(2, deltas.ndim - 1)
    order = deltas.abs().argsort(dim=across)
    places = torch.arange(deltas.shape[across], device=deltas.device)
    places = places.reshape([-1 if i == across else 1 for i in range(deltas.ndim)])
    return torch.empty_like(order).scatter_(across, order, places.expand_as(order))


def chances(
    ranks: Int[Tensor, "model *shape"], lines: Float[Tensor, "model 2"], steps: int
) -> Float[Tensor, "model *shape"]:
    """How likely each entry is kept: a row's smallest by a line's start, its largest, of rank `steps`, by its end.

    An entry alone in its row is kept with the chance in the middle.
    """
    height = ranks / steps if steps else torch.full_like(ranks, 0.5, dtype=torch.float32)
    start, rise = (as_column(part, ranks) for part in lines.unbind(dim=1))
    return start + height.to(lines.dtype) * rise


def _lines(
    deltas: Float[Tensor, "model *shape"], density: Tensor | float, epsilon: Tensor | float
) -> Float[Tensor, "model 2"]:
    """Start and rise of each model's chances; densities of 0 and 1 are sure."""
    pairs = zip(per_model(density, deltas), per_model(epsilon, deltas), strict=True)
    return deltas.new_tensor([(d - e, 2 * e) if 0 < d < 1 else (d, 0.0) for d, e in pairs])


def _steps(deltas: Float[Tensor, "model *shape"]) -> int:
    return deltas.shape[min(2, deltas.ndim - 1)] - 1


def drop_by_rank(
    deltas: Float[Tensor, "model *shape"],
    uniforms: Float[Tensor, "model *shape"],
    density: RandomDensity = 1.0,
    epsilon: Epsilon = 0.15,
    rescale: Rescale = True,
) -> Kept:
    """Where uniform numbers are below the chances, and the factor that restores each delta's L1 norm if asked."""
    mask, lines = torch.empty(deltas.shape, dtype=torch.bool, device=deltas.device), _lines(deltas, density, epsilon)
    for part, block in blocks(deltas, _PIECE):
        mask[:, part] = uniforms[:, part] < chances(heights(block), lines, _steps(deltas))
    return with_l1_factors(deltas, mask, rescale)


Ranked = tuple[Int[Tensor, "model *shape"], Float[Tensor, "model 2"]]


def kept_ranks(
    deltas: Float[Tensor, "model *shape"],
    uniforms: Float[Tensor, "model *shape"],
    density: RandomDensity = 1.0,
    epsilon: Epsilon = 0.15,
) -> Ranked:
    """The rank of each entry that is kept, -1 elsewhere, in as few bytes as do, and the line of its chances."""
    lines, steps = _lines(deltas, density, epsilon), _steps(deltas)
    found = torch.empty(deltas.shape, dtype=torch.int16 if steps < 1 << 15 else torch.int32, device=deltas.device)
    for part, block in blocks(deltas, _PIECE):
        ranks = heights(block)
        found[:, part] = torch.where(uniforms[:, part] < chances(ranks, lines, steps), ranks, -1)
    return found, lines


@sparse_method(
    label="DELLA",
    variant="mergekit: rescaled by L1 norm, weighted vote",
    source="arXiv:2406.11617",
    mergekit=True,
    prepare=drop_by_rank,
    check=within_chances,
    elementwise=True,
)
def della(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Kept,
    normalize: NormalizeAgreeing = True,
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Drop small differences more often than large ones, elect one sign per weight, average the parents that agree.

    mergekit's variant: rescaling restores each tensor's L1 norm, and coefficients vote, where the paper divides each
    entry by its own chance of being kept and gives every parent one vote. Chances rise by rank within each row. One
    seeded uniform number decides for an entry, so a growing density only adds to one mask.
    """
    left = kept(deltas, prepared)
    return combine(left, weights, elect(left, weights), normalize) * lambda_


@sparse_method(
    label="DELLA, added",
    variant="mergekit: rescaled by L1 norm",
    source="arXiv:2406.11617",
    mergekit=True,
    prepare=drop_by_rank,
    check=within_chances,
    elementwise=True,
)
def della_linear(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Kept,
    normalize: Normalize = False,
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Drop small differences more often than large ones, rescale what is kept, add up the parents by weight.

    mergekit's variant of rescaling, by each tensor's L1 norm, where the paper divides each entry by its own chance.
    """
    return combine(kept(deltas, prepared), weights, None, normalize) * lambda_


@sparse_method(
    label="DELLA",
    variant="paper: divided by each entry's chance, one vote each",
    source="arXiv:2406.11617",
    prepare=kept_ranks,
    rowwise=True,
    check=within_chances,
)
def della_paper(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Ranked,
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Drop small differences more often, divide by the chance of being kept, elect signs, average those that agree.

    The paper's variant, with mergekit's weights in the last mean: mergekit restores each tensor's L1 norm instead of
    dividing by chances, and lets coefficients vote. A parent of weight zero has no vote; a tied vote goes to plus.
    """
    ranks, lines = prepared
    keep = ranks >= 0
    left = deltas * keep / torch.where(keep, chances(ranks, lines, _steps(deltas)), 1)
    votes = (weights != 0).to(weights.dtype)
    return combine(left, weights, elect(left, votes), normalize=True) * lambda_
