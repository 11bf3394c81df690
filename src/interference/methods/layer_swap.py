"""The first and last layers of one parent in another."""

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from interference.registry import Knob, Switch, merge_method


@merge_method(
    label="Layer swapping",
    family="layers",
    source="arXiv:2410.01335",
    parents=(2, 2),
    lacks=("order",),
)
def layer_swap(
    tensors: Float[Tensor, "model *shape"],
    layer: int | None,
    layers: int,
    first: Annotated[int, Knob(0, 64, 1, "layers at the bottom taken from the second parent")] = 1,
    last: Annotated[int, Knob(0, 64, 1, "layers at the top taken from the second parent")] = 1,
    transition: Annotated[int, Knob(0, 64, 1, "layers next to those averaged between the parents")] = 0,
    outside: Annotated[bool, Switch("embeddings, final norm and head from the second parent too")] = False,
) -> Float[Tensor, "*shape"]:
    """The first parent with the first and last layers of the second, those next to them averaged if asked.

    A layer claimed from below and from above goes to the second parent whole.
    """
    if layer is None:
        return tensors[int(outside)].clone()
    above = layers - 1 - layer
    if layer < first or above < last:
        return tensors[1].clone()
    between = (first and layer < first + transition) or (last and above < last + transition)
    return tensors.mean(dim=0) if between else tensors[0].clone()
