"""One parent's layers as they are: for stacking slices."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import Knob, merge_method

Scale = Annotated[float | Tensor, Knob(0, 2, 0.01, "factor of every weight", per_model=True)]


def coefficients(scale: Scale = 1.0) -> Float[Tensor, " model"]:
    """What the parent counts with."""
    return torch.as_tensor(scale).reshape(-1)[:1]


@merge_method(
    label="Passthrough",
    family="layers",
    source="arXiv:2312.15166",
    parents=(1, 1),
    mergekit=True,
    mergekit_float32=True,
    elementwise=True,
    combines=coefficients,
)
def passthrough(
    tensors: Float[Tensor, "model *shape"],
    scale: Scale = 1.0,
) -> Float[Tensor, "*shape"]:
    """Copy one parent, times a factor; with slices, stack layers of several parents into a model of another depth."""
    return tensors[0] * torch.as_tensor(scale, device=tensors.device).to(tensors.dtype).reshape(-1)[0]
