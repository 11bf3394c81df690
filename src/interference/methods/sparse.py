"""What methods that keep a part of each task vector share: knobs, and rescaling of what is kept."""

from functools import partial
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interference.methods.ties import as_column
from interference.registry import Knob, Switch, merge_method
from interference.rows import each

sparse_method = partial(merge_method, family="sparse task vectors", by_parent=True)
Rescale = Annotated[bool, Switch("scale what is kept to the task vector's L1 norm")]
RandomDensity = Annotated[
    Tensor | float, Knob(0, 1, 0.01, "share of each task vector kept, at random", per_model=True, strict=True)
]
Kept = tuple[Bool[Tensor, "model *shape"], Float[Tensor, " model"]]


def with_l1_factors(deltas: Float[Tensor, "model *shape"], mask: Bool[Tensor, "model *shape"], rescale: bool) -> Kept:
    """The mask with the factor that gives what it keeps of each delta that delta's L1 norm; 1 if not asked or tiny."""
    factors = deltas.new_ones(len(deltas))
    for row, (delta, keep) in enumerate(zip(deltas, mask, strict=True) if rescale else ()):
        sizes = delta.abs()
        before, after = sizes.sum(), sizes.mul_(keep).sum()
        tiny = torch.minimum(before, after) < 1e-7
        factors[row] = torch.where(tiny, 1, before) / torch.where(tiny, 1, after)
    return mask, factors


def kept(deltas: Float[Tensor, "model *shape"], prepared: Kept) -> Float[Tensor, "model *shape"]:
    """The deltas where their masks say so, times their factors."""
    mask, factors = prepared
    return deltas * each(mask, deltas) * as_column(factors, deltas)
