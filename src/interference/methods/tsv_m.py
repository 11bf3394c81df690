"""TSV-M: each parent's strongest singular directions, made orthogonal to the other parents'."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.methods.ties import Lambda
from interference.registry import merge_method
from interference.stacks import Stacked


def compressed(deltas: Stacked) -> Float[Tensor, "*shape"]:
    """The merged difference: the top 1/T of each matrix's singular triplets, their vectors whitened jointly.

    Whitening takes the orthonormal matrix next to the vectors of all parents side by side. What is no matrix is
    averaged.
    """
    if deltas.ndim != 3:
        return sum(deltas, torch.zeros((), dtype=deltas.dtype, device=deltas.device)) / len(deltas)
    rank = max(1, min(deltas.shape[1:]) // len(deltas))
    lefts, spectra, rights = zip(*(_strongest(delta, rank) for delta in deltas), strict=True)
    return _orthonormal(torch.cat(lefts, dim=1)) * torch.cat(spectra) @ _orthonormal(torch.cat(rights))


def _strongest(
    delta: Float[Tensor, "rows columns"], rank: int
) -> tuple[Float[Tensor, "rows rank"], Float[Tensor, " rank"], Float[Tensor, "rank columns"]]:
    """Its strongest singular triplets, copied so that the others take no memory."""
    left, spectrum, right = torch.linalg.svd(delta, full_matrices=False)
    return left[:, :rank].clone(), spectrum[:rank], right[:rank].clone()


def _orthonormal(vectors: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    left, _, right = torch.linalg.svd(vectors, full_matrices=False)
    return left @ right


@merge_method(
    label="TSV-M",
    family="spectral",
    source="arXiv:2412.00081",
    prepare=compressed,
    lacks=("identity", "smooth"),
)
def tsv_m(
    deltas: Stacked,
    prepared: Float[Tensor, "*shape"],
    lambda_: Lambda = 1.0,
) -> Float[Tensor, "*shape"]:
    """Keep each parent's strongest singular directions in each matrix, as many as leave room for all, and sum them.

    The directions of different parents are made orthogonal first. It has no coefficients. Embeddings and head count
    as matrices, as in the authors' code.
    """
    return prepared * lambda_
