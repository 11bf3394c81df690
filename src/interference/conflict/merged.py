"""What of each model is left in the merge."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interference.conflict.registry import conflict_measure
from interference.conflict.sums import columns, gram_of


@conflict_measure(
    label="Norm of the merge",
    source="arXiv:2211.08403",
    of="model",
    best="neither",
    span=(0, float("inf")),
    reading="1 as long as this parent; an average of T unrelated parents has shrunk to one over the root of T",
    value=lambda merged, own: np.sqrt(merged / own),
    closed=lambda at: at.models**-0.5,
    unchanged=("common scale", "rotation"),
)
def norm_shrinkage(
    merged: Float[Tensor, "*shape"], gram: Float[Tensor, "model model"]
) -> Float[Tensor, "subject part"]:
    """Norm of the merge, or of its difference from the base, divided by the parent's."""
    return columns(merged.double().square().sum(), gram.diagonal())


@conflict_measure(
    label="Update retention",
    source="arXiv:2212.04089",
    of="model",
    best="high",
    span=(-float("inf"), float("inf")),
    reading="1 the merge goes as far along this parent as the parent itself, 0 not at all, below 0 the other way",
    value=lambda along, own: along / own,
    closed=lambda at: 1 / at.models,
    unchanged=("common scale", "rotation"),
)
def update_retention(
    stack: Float[Tensor, "model *shape"], merged: Float[Tensor, "*shape"]
) -> Float[Tensor, "subject part"]:
    """How far the merge goes along a parent's own direction, in units of the parent's length."""
    both = gram_of(torch.cat([stack, merged[None]]))
    return columns(both[-1, :-1], both.diagonal()[:-1])
