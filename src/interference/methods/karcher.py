"""The Karcher mean of the parents' directions on the sphere."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interference.grams import grams, root
from interference.methods.ties import as_column
from interference.registry import Knob, merge_method

Steps = Annotated[int, Knob(0, 100, 1, "steps at most")]
Tolerance = Annotated[float, Knob(0, 0.01, 1e-6, "a tangent shorter than this ends the search")]


def not_below_zero(settings: Mapping[str, Any]) -> str | None:
    """What is wrong with numbers below zero: with them tensors of length zero count as directions, and give NaN."""
    return next((f"{n} is {v:g}; expected 0 or more." for n, v in sorted(settings.items()) if v < 0), None)


def coefficients(
    prepared: Float[Tensor, "model model"], max_iter: Steps = 10, tol: Tolerance = 1e-5
) -> Float[Tensor, " model"]:
    """What each parent counts with, from their inner products."""
    lengths = root(prepared.diagonal())
    valid = lengths > tol
    inverse = torch.where(valid, 1 / torch.where(valid, lengths, 1), 0)
    return _mean(prepared * inverse[:, None] * inverse, valid, max_iter, tol) * inverse * lengths.mean()


@merge_method(
    label="Karcher mean",
    variant="per tensor",
    family="spherical",
    source="arXiv:2603.04972",
    mergekit=True,
    prepare=grams,
    combines=coefficients,
    check=not_below_zero,
    rowwise=True,
)
def karcher(
    tensors: Float[Tensor, "model *shape"],
    prepared: Float[Tensor, "model model"],
    max_iter: Steps = 10,
    tol: Tolerance = 1e-5,
) -> Float[Tensor, "*shape"]:
    """The direction with the smallest sum of squared angles to the parents', at the mean of their lengths.

    All parents count alike. Every step stays in the parents' span, so the search moves their coefficients alone.
    Parents no longer than `tol` have no direction, but their length counts.
    """
    found = coefficients(prepared, max_iter, tol)
    return (tensors * as_column(found.to(tensors), tensors)).sum(dim=0)


def _mean(
    cosines: Float[Tensor, "model model"], valid: Bool[Tensor, " model"], steps: int, tol: float
) -> Float[Tensor, " model"]:
    """Coefficients of the mean over unit vectors with these cosines, from their normalised average on.

    Vectors closer than `tol` to the point reached, or to its opposite, do not pull. With `tol` 0 a tangent of length
    zero ends the search too, where mergekit divides by it.
    """
    even = valid.to(cosines.dtype) / valid.sum().clamp(min=1)
    length = _norm(even, cosines)
    point = (
        even / length if length >= tol and length > 0 else torch.eye(len(valid), dtype=even.dtype)[valid.int().argmax()]
    )
    for _ in range(steps):
        along = (cosines @ point).clamp(-1, 1)
        pulls = valid & (along.abs() < math.cos(tol))
        angle = torch.where(pulls, along, 0).arccos()
        force = torch.where(pulls, even * angle / angle.sin(), 0)
        tangent = force - (force * along).sum() * point
        length = _norm(tangent, cosines)
        if length < tol or length == 0:
            break
        point = torch.cos(length) * point + torch.sin(length) * tangent / length
        point = point / _norm(point, cosines)
    return point


def _norm(coefficients: Float[Tensor, " model"], cosines: Float[Tensor, "model model"]) -> Float[Tensor, ""]:
    """The length of a combination of vectors."""
    return root(coefficients @ cosines @ coefficients)
