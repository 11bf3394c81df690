"""In how many directions a model's matrices, or their differences from the base, extend."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from interference.conflict.registry import conflict_measure
from interference.conflict.sums import Frames, columns

_rank = partial(
    conflict_measure,
    of="model",
    best="neither",
    span=(1, float("inf")),
    value=lambda ranks, matrices: ranks / matrices,
    null="Gaussian",
    unchanged=("scale", "common scale", "rotation", "own permutation"),
)


def _defined(ranks: Tensor, frames: Frames) -> Float[Tensor, "subject part"]:
    """A matrix of zeros has no rank to speak of and does not count in the mean."""
    there = (frames.values[:, 0] > 0).double()
    return columns(torch.where(there > 0, ranks.double(), 0.0), there)


@_rank(
    label="Stable rank",
    source="arXiv:2605.25846",
    reading="1 one direction holds all of the norm; noise is near a quarter of the width",
)
def stable_rank(frames: Frames) -> Float[Tensor, "subject part"]:
    """Squared Frobenius norm over squared spectral norm, the mean over matrices."""
    squares = frames.values.double().square()
    return _defined(squares.sum(dim=1) / squares[:, 0], frames)


@_rank(
    label="Effective rank",
    source="Roy and Vetterli 2007",
    reading="1 one direction, the width all directions alike",
)
def effective_rank(frames: Frames) -> Float[Tensor, "subject part"]:
    """Exponential of the entropy of the normalised singular values, the mean over matrices."""
    values = frames.values.double()
    entropy = torch.special.entr(values / values.sum(dim=1, keepdim=True)).sum(dim=1)
    return _defined(entropy.exp(), frames)


@_rank(
    label="Rank at 95 %",
    source="arXiv:2502.04959",
    reading="few directions are enough to hold 95 % of the norm where it is far below the noise's",
)
def rank_95(frames: Frames) -> Float[Tensor, "subject part"]:
    """Least number of singular directions that hold more than 95 % of the Frobenius norm, the mean over matrices."""
    return _defined(rank_at(frames.values), frames)


def rank_at(values: Float[Tensor, "model rank"]) -> Tensor:
    """Least rank whose share of the Frobenius norm (not of its square) exceeds 0.95."""
    squares = values.double().square().cumsum(dim=1)
    enough = (squares / squares[:, -1:]).sqrt() > 0.95
    return enough.double().argmax(dim=1) + 1
