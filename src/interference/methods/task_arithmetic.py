"""Task arithmetic: the base plus a weighted sum of the parents' differences from it."""

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from interference.methods.ties import combine
from interference.registry import Knob, Switch, merge_method


@merge_method(
    label="Task arithmetic", family="task vectors", source="arXiv:2212.04089", mergekit=True, elementwise=True
)
def task_arithmetic(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    normalize: Annotated[bool, Switch("divide by the sum of the weights")] = False,
    lambda_: Annotated[float | Tensor, Knob(0, 2, 0.01, "scale of the merged difference from the base")] = 1.0,
) -> Float[Tensor, "*shape"]:
    """Weighted sum of the parents' differences from the base, scaled by lambda and added to the base."""
    return combine(deltas, weights, None, normalize) * lambda_
