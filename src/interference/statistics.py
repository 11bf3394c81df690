"""Means of sentences with intervals clustered by document."""

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import bootstrap

RESAMPLES = 1999
LEVEL = 0.95


def clustered_means(
    values: Float[np.ndarray, "series sentence"], clusters: Sequence[str]
) -> tuple[Float[np.ndarray, " series"], Float[np.ndarray, " series"], Float[np.ndarray, " series"]]:
    """Mean of each series and its 95 % interval, documents resampled with replacement (BCa bootstrap).

    For paired costs give the paired differences. All series see the same resampled documents. With fewer than two
    documents there is no interval (NaN); a series that does not vary between documents has one of no width.
    """
    means = values.mean(axis=1)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    counts = np.bincount(codes).astype(float)
    if len(counts) < 2:
        return means, np.full_like(means, np.nan), np.full_like(means, np.nan)
    sums = np.stack([np.bincount(codes, weights=row) for row in values])
    low, high = means.copy(), means.copy()
    varying = np.ptp(sums / counts, axis=1) > 1e-12 * np.maximum(1.0, np.abs(means))
    for method in ("BCa", "percentile"):
        if varying.any():
            low[varying], high[varying] = _interval(sums[varying], counts, method)
        varying = ~np.isfinite(low) | ~np.isfinite(high)  # BCa has no answer where a jackknife has no spread
    return means, low, high


def _interval(sums: np.ndarray, counts: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    def ratio(total: np.ndarray, count: np.ndarray, axis: int = -1) -> np.ndarray:
        return total.sum(axis=axis) / count.sum(axis=axis)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate BCa warns and answers NaN, which the caller handles
        found = bootstrap(
            (sums, np.broadcast_to(counts, sums.shape)), ratio, axis=-1, paired=True, vectorized=True, batch=250,
            n_resamples=RESAMPLES, confidence_level=LEVEL, method=method, rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
    return np.asarray(found.low), np.asarray(found.high)
