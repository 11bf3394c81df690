"""Model stock: as far from the base to the parents' mean as the angle between them says."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.grams import cosines, grams
from interference.registry import Switch, merge_method
from interference.stacks import Stacked

_SHORTEST = 1e-6  # products of two lengths count as at least this much
FilterWise = Annotated[bool, Switch("one angle for each row of a matrix, else one for the whole tensor")]


def inner_products(deltas: Stacked, filter_wise: FilterWise = False) -> Float[Tensor, "model model"] | None:
    """Those of whole tensors; None where each row has an angle of its own."""
    return None if filter_wise and deltas.ndim > 2 else grams(deltas)


def coefficients(prepared: Float[Tensor, "model model"] | None) -> Float[Tensor, " model"] | None:
    """What every parent's difference counts with."""
    if prepared is None:
        return None
    return (ratio(cosines(prepared, _SHORTEST)) / len(prepared)).expand(len(prepared))


def clamped(prepared: Float[Tensor, "model model"] | None) -> Float[Tensor, " model"] | None:
    """The same, of a ratio from 0 to 1."""
    found = coefficients(prepared)
    return None if found is None else found.clamp(0, 1 / len(found))


@merge_method(
    label="Model stock",
    variant="mergekit: ratio not bounded",
    family="task vectors",
    source="arXiv:2403.19522",
    parents=(2, 100),
    mergekit=True,
    prepare=inner_products,
    rowwise=True,
    combines=coefficients,
)
def model_stock(
    deltas: Float[Tensor, "model *shape"], prepared: Float[Tensor, "model model"] | None
) -> Float[Tensor, "*shape"]:
    """The parents' mean difference from the base, times a ratio that falls with the angle between the differences.

    With the mean cosine c of k parents the ratio is k·c / (1 + (k-1)·c). mergekit's variant: it is not bounded, and
    differences that oppose each other can give a large negative one; model_stock_clamped keeps it within 0 and 1.
    """
    return deltas.mean(dim=0) * _ratio(deltas, prepared)


@merge_method(
    label="Model stock",
    variant="ratio within 0 and 1",
    family="task vectors",
    source="arXiv:2403.19522",
    parents=(2, 100),
    prepare=inner_products,
    rowwise=True,
    combines=clamped,
)
def model_stock_clamped(
    deltas: Float[Tensor, "model *shape"], prepared: Float[Tensor, "model model"] | None
) -> Float[Tensor, "*shape"]:
    """The parents' mean difference from the base, times a ratio from 0 to 1 that falls with the angle between them.

    It differs from model_stock, which is mergekit's, only where differences oppose each other: there it is the base.
    """
    return deltas.mean(dim=0) * _ratio(deltas, prepared).clamp(0, 1)


def _ratio(
    deltas: Float[Tensor, "model *shape"], prepared: Float[Tensor, "model model"] | None
) -> Float[Tensor, "*broadcast"]:
    """That of the tensor, or of each row."""
    if prepared is not None:
        return ratio(cosines(prepared, _SHORTEST)).to(deltas)
    products = torch.einsum("i...d,j...d->ij...", deltas, deltas)
    lengths = deltas.norm(dim=-1)
    return ratio((products / (lengths[:, None] * lengths).clamp(min=_SHORTEST)).clamp(-1, 1)).unsqueeze(-1)


def ratio(cosines: Float[Tensor, "model model *rows"]) -> Float[Tensor, "*rows"]:
    """k·c / (1 + (k-1)·c) for the mean cosine c between k deltas, of the tensor or of each row; 0 at the pole."""
    count = len(cosines)
    first, second = torch.triu_indices(count, count, 1)
    cosine = cosines[first, second].mean(dim=0)
    pole = 1 + (count - 1) * cosine
    singular = pole.abs() < 1e-6
    return torch.where(singular, 0, count * cosine / torch.where(singular, 1, pole))
