"""Embedding rows chosen by who uses the token."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import post_step
from interference.stacks import Stacked


@post_step(label="token rows averaged by use in each parent's language")
def vocabulary_rows(
    merged: Float[Tensor, "*shape"], tensors: Stacked, counts: Float[Tensor, "model token"] | None
) -> Float[Tensor, "*shape"]:
    """Average each row of embedding and head in proportion to how often each parent's language uses that token.

    How often is a share of the language's tokens. Rows that no language uses stay as the method made them.
    """
    if counts is None:
        return merged
    shares = counts / counts.sum(dim=1, keepdim=True).clamp_min(1)
    used = shares.sum(dim=0)
    shares = (shares / torch.where(used > 0, used, 1)).reshape(*counts.shape, *[1] * (merged.ndim - 1))
    rows = sum(own * share for own, share in zip(tensors, shares, strict=True))
    return torch.where((used > 0).reshape(-1, *[1] * (merged.ndim - 1)), rows, merged)
