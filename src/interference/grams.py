"""Inner products between the parents' tensors: all that coefficients of weighted sums depend on."""

import torch
from jaxtyping import Float
from torch import Tensor

_CHUNK = 1 << 20  # entries of each parent converted to float64 at a time


def grams(tensors: Float[Tensor, "model *shape"]) -> Float[Tensor, "model model"]:
    """Inner products of flattened tensors in float64, on the CPU."""
    flat = tensors.flatten(1)
    total = tensors.new_zeros(len(flat), len(flat), dtype=torch.float64)
    for start in range(0, flat.shape[1], _CHUNK):
        piece = flat[:, start : start + _CHUNK].double()
        total = total + piece @ piece.T
    return total.cpu()


def cosines(products: Float[Tensor, "model model"], least: float = 0.0) -> Float[Tensor, "model model"]:
    """Cosines between vectors with these inner products; products of lengths count as at least `least`."""
    lengths = root(products.diagonal())
    return (products / (lengths[:, None] * lengths).clamp(min=least)).clamp(-1, 1)


def root(squares: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The square root, of what is not positive 0, with finite derivatives."""
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1).sqrt(), 0)
