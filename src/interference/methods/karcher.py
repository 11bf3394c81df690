"""The Karcher mean of the parents' directions on the sphere."""

import math
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interference.methods.ties import as_column
from interference.registry import Knob, merge_method

_CHUNK = 1 << 20  # entries of each parent converted to float64 at a time


def grams(tensors: Float[Tensor, "model *shape"]) -> Float[Tensor, "model model"]:
    """Inner products between the parents' tensors, in float64: all that the mean's coefficients depend on."""
    flat = tensors.flatten(1)
    total = tensors.new_zeros(len(flat), len(flat), dtype=torch.float64)
    for start in range(0, flat.shape[1], _CHUNK):
        piece = flat[:, start : start + _CHUNK].double()
        total = total + piece @ piece.T
    return total.cpu()


@merge_method(
    label="Karcher mean",
    variant="per tensor",
    family="spherical",
    source="arXiv:2603.04972",
    mergekit=True,
    prepare=grams,
)
def karcher(
    tensors: Float[Tensor, "model *shape"],
    prepared: Float[Tensor, "model model"],
    max_iter: Annotated[int, Knob(0, 100, 1, "steps at most")] = 10,
    tol: Annotated[float, Knob(0, 0.01, 1e-6, "a tangent shorter than this ends the search")] = 1e-5,
) -> Float[Tensor, "*shape"]:
    """The direction with the smallest sum of squared angles to the parents', at the mean of their lengths.

    All parents count alike. Every step stays in the parents' span, so the search moves their coefficients alone.
    Parents no longer than `tol` have no direction, but their length counts.
    """
    lengths = _root(prepared.diagonal())
    valid = lengths > tol
    inverse = torch.where(valid, 1 / torch.where(valid, lengths, 1), 0)
    units = _mean(prepared * inverse[:, None] * inverse, valid, max_iter, tol)
    coefficients = units * inverse * lengths.mean()
    return (tensors * as_column(coefficients.to(tensors), tensors)).sum(dim=0)


def _mean(
    cosines: Float[Tensor, "model model"], valid: Bool[Tensor, " model"], steps: int, tol: float
) -> Float[Tensor, " model"]:
    """Coefficients of the mean over unit vectors with these cosines, from their normalised average on.

    Vectors closer than `tol` to the point reached, or to its opposite, do not pull.
    """
    even = valid.to(cosines.dtype) / valid.sum().clamp(min=1)
    length = _norm(even, cosines)
    point = even / length if length >= tol else torch.eye(len(valid), dtype=even.dtype)[valid.int().argmax()]
    for _ in range(steps):
        along = (cosines @ point).clamp(-1, 1)
        pulls = valid & (along.abs() < math.cos(tol))
        angle = torch.where(pulls, along, 0).arccos()
        force = torch.where(pulls, even * angle / angle.sin(), 0)
        tangent = force - (force * along).sum() * point
        length = _norm(tangent, cosines)
        if length < tol:
            break
        point = torch.cos(length) * point + torch.sin(length) * tangent / length
        point = point / _norm(point, cosines)
    return point


def _norm(coefficients: Float[Tensor, " model"], cosines: Float[Tensor, "model model"]) -> Float[Tensor, ""]:
    """The length of a combination of vectors."""
    return _root(coefficients @ cosines @ coefficients)


def _root(squares: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The square root, of what is not positive 0, with finite derivatives."""
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1).sqrt(), 0)
