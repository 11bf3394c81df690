"""Arcee fusion: take over the differences that stand out by size and by what they do to their row."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interference.registry import merge_method
from interference.stacks import Stacked, blocks

_PIECE = 1 << 22  # entries of whole rows that are weighed at a time


def important(tensors: Stacked, base: Float[Tensor, "*shape"]) -> Bool[Tensor, "model *shape"]:
    """Where importance is at least its median plus 1.5 interquartile ranges; quantiles are the lower neighbours."""
    scores = torch.empty_like(base)
    for part, (tensor,) in blocks(tensors, _PIECE):
        scores[part] = importance(tensor, base[part])
    last = scores.numel() - 1
    low, median, high = (scores.flatten().kthvalue(int(q * last) + 1).values for q in (0.25, 0.5, 0.75))
    return (scores >= median + 1.5 * (high - low))[None]


def importance(tensor: Float[Tensor, "*shape"], base: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Size of the difference times the KL divergence of the row's softmax from that of the base's row."""
    ours, theirs = (t.softmax(dim=-1) + 1e-8 for t in (tensor, base))
    divergence = (ours * (ours / theirs).log()).sum(dim=-1, keepdim=True)
    return (tensor - base).abs() * divergence


@merge_method(
    label="Arcee fusion",
    variant="exact quantiles",
    family="two models",
    source="https://github.com/arcee-ai/mergekit",
    parents=(1, 1),
    mergekit=True,
    prepare=important,
    lacks=("identity",),
    elementwise=True,
)
def arcee_fusion(
    tensors: Float[Tensor, "model *shape"],
    base: Float[Tensor, "*shape"],
    prepared: Bool[Tensor, "model *shape"],
) -> Float[Tensor, "*shape"]:
    """The base with the parent's entries where these matter most: far off, in rows whose softmax they change.

    mergekit estimates the quantiles of tensors of more than a million entries from a random sample; here all are exact.
    """
    return base + (tensors[0] - base) * prepared[0]
