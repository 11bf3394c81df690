"""Spherical interpolation between two parents."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.grams import grams, root
from interference.methods.ties import as_column
from interference.registry import Knob, merge_method

_PARALLEL = 0.9995  # above this |cosine| the arc has no usable direction and the line is taken, as in mergekit
_SHORTEST = 1e-8  # a shorter tensor is not normalised, which makes its cosine with any next to nothing
Place = Annotated[float | Tensor, Knob(0, 1, 0.01, "0 is the first parent, 1 the second")]


def coefficients(prepared: Float[Tensor, "model model"], t: Place = 0.5) -> Float[Tensor, " model"]:
    """What both parents count with, from their inner products."""
    lengths = root(prepared.diagonal())
    lengths = torch.where(lengths > _SHORTEST, lengths, 1)
    cosine = (prepared[0, 1] / lengths.prod()).clamp(-1, 1)
    t = torch.as_tensor(t, dtype=prepared.dtype, device=prepared.device)
    parallel = cosine.abs() > _PARALLEL
    angle = torch.acos(torch.where(parallel, 0, cosine))
    arc = torch.stack([torch.sin((1 - t) * angle), torch.sin(t * angle)]) / torch.sin(angle)
    return torch.where(parallel, torch.stack([1 - t, t]), arc)


@merge_method(
    label="SLERP",
    variant="per tensor",
    family="spherical",
    source="doi:10.1145/325165.325242",
    parents=(2, 2),
    mergekit=True,
    mergekit_float32=True,
    prepare=grams,
    combines=coefficients,
    lacks=("order",),
    rowwise=True,
)
def slerp(
    tensors: Float[Tensor, "model *shape"],
    prepared: Float[Tensor, "model model"],
    t: Place = 0.5,
) -> Float[Tensor, "*shape"]:
    """Walk the great circle from the first parent's tensor to the second's, tensor by tensor.

    The angle is measured between the normalised tensors, the walk applied to the tensors themselves, so lengths
    change smoothly too; tensors that are nearly parallel or antipodal are interpolated on the straight line.
    """
    return (tensors * as_column(coefficients(prepared, t).to(tensors), tensors)).sum(dim=0)
