"""Inner products between the parents' tensors: all that coefficients of weighted sums depend on."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.stacks import Stacked, blocks, pieces

_CHUNK = 1 << 20  # entries of each parent converted to float64 at a time


def grams(tensors: Stacked) -> Float[Tensor, "model model"]:
    """Inner products of flattened tensors in float64, on the CPU."""
    total = torch.zeros(len(tensors), len(tensors), dtype=torch.float64, device=tensors.device)
    for piece in pieces(tensors, _CHUNK):
        wide = piece.double()
        total = total + wide @ wide.T
    return total.cpu()


def column_grams(tensors: Stacked) -> Float[Tensor, "model model 1 *rest"]:
    """Inner products in float64 of what the tensors have in each place over their rows: of a matrix, its columns."""
    total = torch.zeros(len(tensors), len(tensors), *tensors.shape[2:], dtype=torch.float64, device=tensors.device)
    for _, block in blocks(tensors, _CHUNK):
        total = total + torch.einsum("i r ..., j r ... -> i j ...", block.double(), block.double())
    return total.unsqueeze(2)


def cosines(products: Float[Tensor, "model model *rest"], least: float = 0.0) -> Float[Tensor, "model model *rest"]:
    """Cosines between vectors with these inner products; products of lengths count as at least `least`."""
    lengths = root(torch.einsum("i i ... -> i ...", products))
    return (products / (lengths[:, None] * lengths).clamp(min=least)).clamp(-1, 1)


def root(squares: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The square root, of what is not positive 0, with finite derivatives."""
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1).sqrt(), 0)
