"""Which few sentences stand for many, so that an estimate can follow a slider. No torch."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

_TRIES = 400  # random draws compared; fixed by a seed


def representative(
    sizes: Mapping[str, Float[np.ndarray, " sentence"]],
    known: Mapping[str, Float[np.ndarray, "model sentence"]],
    count: int,
) -> Int[np.ndarray, " chosen"]:
    """Positions of `count` sentences, ascending, that stand for all of them.

    `sizes[language]` are UTF-8 bytes, `known[language]` the bits of models that were scored on all sentences. One
    sentence is drawn from each of `count` strata by length; of many draws it is the one from which `estimate` errs
    least on the known models, and with none known the middle of each stratum.
    """
    total = len(next(iter(sizes.values())))
    if count >= total:
        return np.arange(total)
    order = np.argsort(sum(size / size.mean() for size in sizes.values()), kind="stable")
    edges = np.arange(count + 1) * total // count
    rng = np.random.default_rng(0)
    draws = np.stack([rng.integers(low, high, _TRIES) for low, high in pairwise(edges)], axis=1)
    draws[0] = (edges[:-1] + edges[1:]) // 2
    draws = order[draws]
    errors = np.zeros(_TRIES)
    for language, bits in known.items():
        found = estimate(bits[:, draws].sum(axis=2), sizes[language][draws].sum(axis=1), sizes[language].sum())
        errors += np.square(found / bits.sum(axis=1, keepdims=True) - 1).sum(axis=0)
    return np.sort(draws[int(errors.argmin())])


def estimate(bits: np.ndarray | float, size: np.ndarray | float, total: float) -> np.ndarray | float:
    """Bits of a whole text of `total` bytes from the bits of a part of `size` bytes: as many per byte."""
    return bits / size * total
