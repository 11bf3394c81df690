"""RegMean: the linear layers whose outputs are closest to the parents' own, in closed form."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import Knob, merge_method
from interference.stacks import Stack, Stacked, pieces

_RIDGE = 1e-9  # of the Grams' mean diagonal: where no parent has any input, the average
_CHUNK = 1 << 20  # entries of each parent averaged in float64 at a time


@merge_method(label="RegMean", family="measured", source="arXiv:2212.09849", positive=True)
def regmean(
    tensors: Stacked,
    weights: Float[Tensor, " model"],
    grams: Float[Tensor, "model in in"] | Stack | None,
    transposed: bool,
    alpha: Annotated[float | Tensor, Knob(0, 1, 0.01, "factor of the Grams' entries off the diagonal")] = 0.9,
) -> Float[Tensor, "*shape"]:
    """Choose each linear layer to reproduce, by least squares, every parent's outputs on its own language's inputs.

    Embeddings, norms, biases and a head that is tied to the embedding are averaged. Grams are means over tokens, so
    coefficients alone weigh the parents; solved in float64.
    """
    shares = weights.double() / weights.double().sum()
    kind = tensors.dtype if grams is None else torch.float64
    parts = [torch.tensordot(shares, piece.double(), dims=1).to(kind) for piece in pieces(tensors, _CHUNK)]
    mean = torch.cat(parts).reshape(tensors.shape[1:])
    if grams is None:
        return mean
    average = mean if transposed else mean.mT
    total = lacking = torch.zeros((), dtype=mean.dtype, device=mean.device)
    for share, own, gram in zip(shares, tensors, grams, strict=True):
        scaled = _shrunk(gram.double(), alpha) * share
        total = total + scaled
        # Solved for what the average lacks, so that equal parents stay exact however ill-conditioned the Grams are.
        lacking = lacking + scaled @ ((own if transposed else own.mT).double() - average)
    ridge = _RIDGE * total.diagonal().mean() + torch.finfo(torch.float64).tiny
    solved = average + torch.linalg.solve(total + ridge * torch.eye(len(total)).to(total), lacking)
    return (solved if transposed else solved.mT).to(tensors.dtype).contiguous()


def _shrunk(gram: Float[Tensor, "in in"], alpha: float | Tensor) -> Float[Tensor, "in in"]:
    """A Gram matrix whose entries off the diagonal are multiplied by a factor."""
    return alpha * gram + (1 - alpha) * torch.diag(gram.diagonal())
