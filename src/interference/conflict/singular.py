"""Whether models use the same singular directions."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.conflict.ranks import rank_at
from interference.conflict.registry import conflict_measure
from interference.conflict.sums import Frames, columns, pairs
from interference.registry import Knob


@conflict_measure(
    label="Singular task interference",
    source="arXiv:2412.00081",
    of="set",
    best="zero",
    span=(0, float("inf")),
    reading="0 no two models share a singular direction; per unit of singular value, so sizes do not matter",
    value=lambda interference, mass: interference / mass,
    unchanged=("common scale", "rotation"),
)
def singular_task_interference(frames: Frames) -> Float[Tensor, "subject part"]:
    """Summed magnitude of (UᵀU - I) Σ (VᵀV - I) over all models' top directions, divided by the sum of Σ.

    Each of T models has its top rank/T directions, as TSV-Merge keeps.
    """
    models, rank = frames.values.shape
    kept = max(1, rank // models)
    left = frames.left[:, :, :kept].transpose(0, 1).flatten(1).double()
    right = frames.right[:, :kept].flatten(0, 1).double()
    values = frames.values[:, :kept].flatten().double()
    one = torch.eye(len(values), dtype=torch.float64, device=values.device)
    return columns((((left.T @ left - one) * values) @ (right @ right.T - one)).abs().sum(), values.sum())


def _kept(rank: int, share: float) -> int:
    return max(1, round(share * rank))


@conflict_measure(
    label="Subspace overlap",
    source="arXiv:2601.22285",
    of="pair",
    best="neither",
    span=(0, 1),
    reading="1 both write into the same directions, 0 into orthogonal ones: room beside each other, or unrelated bases",
    value=lambda overlap, directions: overlap / directions,
    closed=lambda at: _kept(min(at.shape), at.knobs["share"]) / at.shape[0],
    unchanged=("scale", "common scale", "rotation"),
)
def subspace_overlap(
    frames: Frames,
    share: Annotated[float, Knob(0.01, 1, 0.01, "share of the singular directions compared", strict=True)] = 0.1,
) -> Float[Tensor, "subject part"]:
    """Squared cosines between two models' top left singular directions, divided by their number."""
    kept = _kept(frames.values.shape[1], share)
    models = len(frames.values)
    left = frames.left[:, :, :kept].transpose(0, 1).flatten(1).double()
    overlaps = (left.T @ left).square().reshape(models, kept, models, kept).sum(dim=(1, 3))
    there = (frames.values[:, 0] > 0).double()  # a matrix of zeros has no directions
    both = pairs(there[:, None] * there)
    return columns(pairs(overlaps) * both, kept * both)


@conflict_measure(
    label="Subspace alignment ratio",
    source="arXiv:2502.04959",
    of="model",
    best="high",
    span=(0, 1),
    reading="1 all of the model lies in the directions that hold 95 % of the merge",
    value=lambda inside, all_: (inside / all_) ** 0.5,
    unchanged=("common scale", "rotation"),
)
def subspace_alignment(stack: Float[Tensor, "model out in"], merged_frames: Frames) -> Float[Tensor, "subject part"]:
    """Share of a model's Frobenius norm in the left singular directions that hold 95 % of the merge's."""
    kept = int(rank_at(merged_frames.values)[0])
    left = merged_frames.left[0, :, :kept]
    inside = (left.T @ stack).double().square().sum(dim=(1, 2))
    return columns(inside, stack.double().square().sum(dim=(1, 2)))
