"""RegMean: the linear layers whose outputs are closest to the parents' own, in closed form."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import Knob, merge_method

_RIDGE = 1e-9  # of the Grams' mean diagonal: where no parent has any input, the average


@merge_method(label="RegMean", family="measured", source="arXiv:2212.09849", positive=True)
def regmean(
    tensors: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    grams: Float[Tensor, "model in in"] | None,
    transposed: bool,
    alpha: Annotated[float | Tensor, Knob(0, 1, 0.01, "factor of the Grams' entries off the diagonal")] = 0.9,
) -> Float[Tensor, "*shape"]:
    """Choose each linear layer to reproduce, by least squares, every parent's outputs on its own language's inputs.

    Embeddings, norms, biases and a head that is tied to the embedding are averaged. Grams are means over tokens, so
    coefficients alone weigh the parents; solved in float64.
    """
    share = weights.double() / weights.double().sum()
    parents = tensors.double()
    mean = torch.tensordot(share, parents, dims=1)
    if grams is None:
        return mean.to(tensors.dtype)
    diagonal = torch.diag_embed(grams.double().diagonal(dim1=1, dim2=2))
    scaled = (alpha * grams.double() + (1 - alpha) * diagonal) * share[:, None, None]
    ridge = _RIDGE * scaled.diagonal(dim1=1, dim2=2).sum() / scaled.shape[1] + torch.finfo(torch.float64).tiny
    columns, average = (parents, mean) if transposed else (parents.mT, mean.mT)
    total = scaled.sum(dim=0) + ridge * torch.eye(scaled.shape[1], dtype=scaled.dtype, device=scaled.device)
    # Solved for what the average lacks, so that equal parents stay exact however ill-conditioned the Grams are.
    solved = average + torch.linalg.solve(total, (scaled @ (columns - average)).sum(dim=0))
    return (solved if transposed else solved.mT).to(tensors.dtype).contiguous()
