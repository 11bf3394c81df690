"""Spherical interpolation between two parents."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import Knob, merge_method

_PARALLEL = 0.9995  # above this |cosine| the arc has no usable direction and the line is taken, as in mergekit


@merge_method(
    label="SLERP",
    variant="per tensor",
    family="spherical",
    source="doi:10.1145/325165.325242",
    parents=(2, 2),
    mergekit=True,
    lacks=("order",),
)
def slerp(
    tensors: Float[Tensor, "model *shape"],
    t: Annotated[float | Tensor, Knob(0, 1, 0.01, "0 is the first parent, 1 the second")] = 0.5,
) -> Float[Tensor, "*shape"]:
    """Walk the great circle from the first parent's tensor to the second's, tensor by tensor.

    The angle is measured between the normalised tensors, the walk applied to the tensors themselves, so lengths
    change smoothly too; tensors that are nearly parallel or antipodal are interpolated on the straight line.
    """
    first, second = (tensor.flatten() for tensor in tensors)
    units = [v / torch.where(v.norm() > 1e-8, v.norm(), 1) for v in (first, second)]
    cosine = (units[0] * units[1]).sum().clamp(-1, 1)
    t = torch.as_tensor(t, dtype=first.dtype, device=first.device)
    parallel = cosine.abs() > _PARALLEL
    angle = torch.acos(torch.where(parallel, 0, cosine))
    left = torch.where(parallel, 1 - t, torch.sin((1 - t) * angle) / torch.sin(angle))
    right = torch.where(parallel, t, torch.sin(t * angle) / torch.sin(angle))
    return (left * first + right * second).reshape(tensors.shape[1:])
