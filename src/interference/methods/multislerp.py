"""The parents' mean direction at their mean length: what mergekit's Multi-SLERP comes to."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.grams import grams, root
from interference.methods.ties import as_column
from interference.registry import Knob, Switch, merge_method
from interference.stacks import Stacked

_ROUNDING = 1e-7  # directions that cancel leave so much in float32


def inner_products(deltas: Stacked) -> Float[Tensor, "model model"]:
    """Those of whole tensors."""
    return grams(deltas)


@merge_method(
    label="Renormalised mean",
    variant="mergekit's Multi-SLERP",
    family="spherical",
    source="https://goddard.blog/posts/multislerp-wow-what-a-cool-idea",
    base="optional",
    mergekit=True,
    prepare=inner_products,
    rowwise=True,
)
def multislerp(
    deltas: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    prepared: Float[Tensor, "model model"],
    normalize_weights: Annotated[bool, Switch("divide the weights by their sum")] = True,
    eps: Annotated[float, Knob(0, 1e-3, 1e-9, "added to lengths before dividing by them")] = 1e-8,
) -> Float[Tensor, "*shape"]:
    """The weighted mean of the parents' directions, at the weighted mean of their lengths.

    mergekit's detour through the tangent space at that mean direction leads back to it, for the weighted tangents
    cancel there. Where the directions cancel, the weighted sum is taken, as mergekit does for two parents; of more it
    refuses to merge. A single parent is returned as it is.
    """
    if len(deltas) == 1:
        return deltas[0].clone()
    weights = weights.to(prepared)
    shares = weights / weights.sum() if normalize_weights else weights
    lengths = root(prepared.diagonal())
    mean = shares / (lengths + eps)
    length = root(mean @ prepared @ mean)
    cancelled = length < max(eps, _ROUNDING)
    found = torch.where(cancelled, shares, mean * (lengths * shares).sum() / torch.where(cancelled, 1, length))
    return (deltas * as_column(found.to(deltas), deltas)).sum(dim=0)
