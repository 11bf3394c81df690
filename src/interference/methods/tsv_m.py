"""TSV-M: each parent's strongest singular directions, made orthogonal to the other parents'."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from interference.registry import Knob, merge_method


def compressed(deltas: Float[Tensor, "model *shape"]) -> Float[Tensor, "*shape"]:
    """The merged difference: the top 1/T of each matrix's singular triplets, their vectors whitened jointly.

    Whitening takes the orthonormal matrix next to the vectors of all parents side by side. What is no matrix is
    averaged.
    """
    if deltas.ndim != 3:
        return deltas.mean(dim=0)
    left, spectrum, right = torch.linalg.svd(deltas, full_matrices=False)
    rank = max(1, spectrum.shape[1] // len(deltas))
    lefts = torch.cat(list(left[:, :, :rank]), dim=1)
    rights = torch.cat(list(right[:, :rank]), dim=0)
    return _orthonormal(lefts) * spectrum[:, :rank].flatten() @ _orthonormal(rights)


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
    deltas: Float[Tensor, "model *shape"],
    prepared: Float[Tensor, "*shape"],
    lambda_: Annotated[float | Tensor, Knob(0, 2, 0.01, "scale of the merged difference from the base")] = 1.0,
) -> Float[Tensor, "*shape"]:
    """Keep each parent's strongest singular directions in each matrix, as many as leave room for all, and sum them.

    The directions of different parents are made orthogonal first. It has no coefficients. Embeddings and head count
    as matrices, as in the authors' code.
    """
    return prepared * lambda_
