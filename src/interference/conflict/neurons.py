"""Whether the same neuron does the same in two models."""

import torch
from jaxtyping import Float
from torch import Tensor

from interference.conflict.registry import conflict_measure
from interference.conflict.sums import columns

_BY_COLUMN = ("embeddings", "head")  # a row is a token there, so that only the columns could have been exchanged


@conflict_measure(
    label="Coordinate match",
    source="this project",
    of="pair",
    best="high",
    span=(0, 1),
    reading="1 every neuron is most like its namesake, so averaging mixes like with like; chance is one in the width",
    value=lambda hits, neurons: hits / neurons,
    closed=lambda at: 1 / at.shape[1 if at.group in _BY_COLUMN else 0],
    unchanged=("scale", "common scale"),
    matrices=True,
)
def coordinate_match(stack: Float[Tensor, "model out in"], group: str) -> Float[Tensor, "subject part"]:
    """Share of neurons whose best match in the other model, by correlation of their weights, is themselves.

    Neurons are a matrix's outputs, and of embeddings and head the residual stream's dimensions. Both ways are counted.
    """
    rows = stack.transpose(1, 2) if group in _BY_COLUMN else stack
    rows = rows - rows.mean(dim=2, keepdim=True)
    lengths = rows.norm(dim=2, keepdim=True)
    rows = torch.where(lengths > 0, rows / lengths, 0.0)
    own = torch.arange(rows.shape[1], device=rows.device)
    hits, counted = [], []
    for first, second in torch.triu_indices(len(rows), len(rows), 1).T.tolist():
        alike = rows[first] @ rows[second].T
        there = ((lengths[first] > 0) & (lengths[second] > 0)).flatten()
        found = (alike.argmax(dim=1) == own).double() + (alike.argmax(dim=0) == own).double()
        hits.append((found * there).sum())
        counted.append(2.0 * there.sum())
    return columns(torch.stack(hits), torch.stack(counted))
