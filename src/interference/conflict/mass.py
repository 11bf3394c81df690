"""How much of a model's weight sits in few entries."""

from typing import Annotated

from jaxtyping import Float
from scipy.stats import norm
from torch import Tensor

from interference.conflict.registry import At, conflict_measure
from interference.conflict.sums import columns, total
from interference.methods.ties import largest
from interference.registry import Knob


def _gaussian(at: At) -> float:
    limit = norm.isf(at.knobs["share"] / 2)
    return float(2 * limit * norm.pdf(limit) + at.knobs["share"])


@conflict_measure(
    label="Top-k mass",
    source="arXiv:2306.01708",
    of="model",
    best="high",
    span=(0, 1),
    reading="1 the largest entries are all there is, so that sparse merging loses little",
    value=lambda top, squares: top / squares,
    null="Gaussian",
    closed=_gaussian,
    unchanged=("scale", "common scale", "own permutation"),
)
def top_k_mass(
    stack: Float[Tensor, "model *shape"],
    share: Annotated[float, Knob(0.01, 1, 0.01, "share of a tensor's entries that count as top", strict=True)] = 0.2,
) -> Float[Tensor, "subject part"]:
    """Share of a model's squared norm that is in the largest entries of each tensor."""
    kept = stack * largest(stack, share)
    return columns(*(total(one, lambda piece: piece.square().sum(dim=1)) for one in (kept, stack)))
