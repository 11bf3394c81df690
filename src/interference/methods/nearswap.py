"""NearSwap: the base, moved to the parent where both are close."""

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from interference.registry import Knob, merge_method


@merge_method(
    label="NearSwap",
    family="two models",
    source="https://github.com/arcee-ai/mergekit",
    parents=(1, 1),
    mergekit=True,
    lacks=("identity",),
    elementwise=True,
)
def nearswap(
    tensors: Float[Tensor, "model *shape"],
    base: Float[Tensor, "*shape"],
    t: Annotated[float | Tensor, Knob(0, 0.1, 1e-4, "distance up to which the parent replaces the base")] = 0.001,
) -> Float[Tensor, "*shape"]:
    """Take the parent where it is within t of the base; elsewhere move towards it by t."""
    share = (t / (base - tensors[0]).abs().clamp(min=1e-6)).clamp(0, 1)
    return share * tensors[0] + (1 - share) * base
