"""Task arithmetic: the base plus a weighted sum of the parents' differences from it."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.methods.ties import combine
from interference.registry import Knob, Switch, merge_method

Normalize = Annotated[bool, Switch("divide by the sum of the weights")]
Scale = Annotated[float | Tensor, Knob(0, 2, 0.01, "scale of the merged difference from the base")]


def coefficients(
    weights: Float[Tensor, " model"], normalize: Normalize = False, lambda_: Scale = 1.0
) -> Float[Tensor, " model"]:
    """What each parent's difference counts with."""
    return combine(torch.eye(len(weights)).to(weights), weights, None, normalize) * lambda_


@merge_method(
    label="Task arithmetic",
    family="task vectors",
    source="arXiv:2212.04089",
    mergekit=True,
    elementwise=True,
    combines=coefficients,
)
def task_arithmetic(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    normalize: Normalize = False,
    lambda_: Scale = 1.0,
) -> Float[Tensor, "*shape"]:
    """Weighted sum of the parents' differences from the base, scaled by lambda and added to the base."""
    return combine(deltas, weights, None, normalize) * lambda_
