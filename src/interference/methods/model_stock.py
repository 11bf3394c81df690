"""Model stock: as far from the base to the parents' mean as the angle between them says."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import Switch, merge_method

FilterWise = Annotated[bool, Switch("one angle for each row of a matrix, else one for the whole tensor")]


@merge_method(
    label="Model stock",
    variant="mergekit: ratio not bounded",
    family="task vectors",
    source="arXiv:2403.19522",
    parents=(2, 100),
    mergekit=True,
)
def model_stock(deltas: Float[Tensor, "model *shape"], filter_wise: FilterWise = False) -> Float[Tensor, "*shape"]:
    """The parents' mean difference from the base, times a ratio that falls with the angle between the differences.

    With the mean cosine c of k parents the ratio is k·c / (1 + (k-1)·c). mergekit's variant: it is not bounded, and
    differences that oppose each other can give a large negative one; model_stock_clamped keeps it within 0 and 1.
    """
    return deltas.mean(dim=0) * ratio(deltas, filter_wise)


@merge_method(
    label="Model stock",
    variant="ratio within 0 and 1",
    family="task vectors",
    source="arXiv:2403.19522",
    parents=(2, 100),
)
def model_stock_clamped(
    deltas: Float[Tensor, "model *shape"], filter_wise: FilterWise = False
) -> Float[Tensor, "*shape"]:
    """The parents' mean difference from the base, times a ratio from 0 to 1 that falls with the angle between them.

    It differs from model_stock, which is mergekit's, only where differences oppose each other: there it is the base.
    """
    return deltas.mean(dim=0) * ratio(deltas, filter_wise).clamp(0, 1)


def ratio(deltas: Float[Tensor, "model *shape"], filter_wise: bool) -> Float[Tensor, "*broadcast"]:
    """k·c / (1 + (k-1)·c) for the mean cosine c between k deltas, of the tensor or of each row; 0 at the pole."""
    count = len(deltas)
    rows = deltas if filter_wise and deltas.ndim > 2 else deltas.flatten(1)
    grams = torch.einsum("i...d,j...d->ij...", rows, rows)
    norms = rows.norm(dim=-1)
    cosines = (grams / (norms[:, None] * norms[None]).clamp(min=1e-6)).clamp(-1, 1)
    first, second = torch.triu_indices(count, count, 1)
    cosine = cosines[first, second].mean(dim=0)
    pole = 1 + (count - 1) * cosine
    singular = pole.abs() < 1e-6
    found = torch.where(singular, 0, count * cosine / torch.where(singular, 1, pole))
    return found.unsqueeze(-1) if rows.ndim > 2 else found
