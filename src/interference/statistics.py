"""Means with intervals clustered by document, paired tests, and the Mantel test."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Float
from scipy.stats import bootstrap, norm, permutation_test, sem, ttest_rel

RESAMPLES = 999
LEVEL = 0.95


def clustered_means(
    values: Float[np.ndarray, "series sentence"],
    clusters: Sequence[str],
    sizes: Float[np.ndarray, "series sentence"] | None = None,
) -> tuple[Float[np.ndarray, " series"], Float[np.ndarray, " series"], Float[np.ndarray, " series"]]:
    """Mean of each series and its 95 % interval, documents resampled with replacement (BCa bootstrap).

    With `sizes` it is the sum of the values over the sum of the sizes: bits per byte from bits and bytes. For paired
    costs give the paired differences. All series see the same resampled documents. With fewer than two documents there
    is no interval (NaN); a series that does not vary between documents has one of no width.
    """
    sizes = np.ones_like(values) if sizes is None else sizes
    means = values.sum(axis=1) / sizes.sum(axis=1)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    if codes.max() < 1:
        return means, np.full_like(means, np.nan), np.full_like(means, np.nan)
    sums, counts = (np.stack([np.bincount(codes, weights=row) for row in rows]) for rows in (values, sizes))
    low, high = means.copy(), means.copy()
    varying = np.ptp(sums / counts, axis=1) > 1e-12 * np.maximum(1.0, np.abs(means))
    for method in ("BCa", "percentile"):
        if varying.any():
            low[varying], high[varying] = _interval(sums[varying], counts[varying], method)
        varying = ~np.isfinite(low) | ~np.isfinite(high)  # BCa has no answer where a jackknife has no spread
    return means, low, high


def _interval(sums: np.ndarray, counts: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    def ratio(total: np.ndarray, count: np.ndarray, axis: int = -1) -> np.ndarray:
        return total.sum(axis=axis) / count.sum(axis=axis)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate BCa warns and answers NaN, which the caller handles
        found = bootstrap(
            (sums, counts), ratio, axis=-1, paired=True, vectorized=True, batch=250,
            n_resamples=RESAMPLES, confidence_level=LEVEL, method=method, rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
    return np.asarray(found.low), np.asarray(found.high)


def clustered_proportion(values: Float[np.ndarray, " item"], clusters: Sequence[str]) -> tuple[float, float, float]:
    """Mean of items that are 0, 1 or in between, and its 95 % interval: Wilson's, of as many independent items as tell
    as much (the number divided by the design effect of the clusters, which is taken as 1 at least).

    Unlike a bootstrap's the interval has a width where all items are right. With fewer than two clusters it is NaN.
    """
    share, count = float(values.mean()), len(values)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    groups = int(codes.max()) + 1
    if groups < 2:
        return share, np.nan, np.nan
    effect = 1.0
    if groups < count and 0 < share < 1:
        residuals = np.bincount(codes, weights=values - share)
        effect = max(1.0, groups / (groups - 1) * float((residuals**2).sum()) / (count * share * (1 - share)))
    size, z = count / effect, float(norm.ppf((1 + LEVEL) / 2))
    middle = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * float(np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2)))
    return share, max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same sentences: mean difference, its standard error, Student's t and p, and the exact or
    resampled p of the sign-flip test."""

    difference: float
    standard_error: float
    t: float
    p: float
    sign_flip_p: float


def paired_test(a: Float[np.ndarray, " item"], b: Float[np.ndarray, " item"]) -> PairedTest:
    """Test that b - a has mean zero, item by item. Give document means where sentences of a document belong together.

    The sign-flip test is exact up to 13 items and uses 9,999 random flips above. Raises ValueError below two items.
    """
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"paired tests need two or more pairs, not {len(a)} and {len(b)} values")
    difference = b - a
    t = ttest_rel(b, a)
    flips = permutation_test(
        (difference,),
        lambda x, axis=-1: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    return PairedTest(
        float(difference.mean()), float(sem(difference)), float(t.statistic), float(t.pvalue), float(flips.pvalue)
    )


def mantel(x: Float[np.ndarray, "item item"], y: Float[np.ndarray, "item item"]) -> tuple[float, float]:
    """Pearson correlation of two symmetric distance matrices over pairs of items, and its two-sided p.

    The null relabels the items of y, not the pairs: exact up to 7 items, 9,999 random relabellings with add-one above.
    """
    upper = np.triu_indices(len(x), k=1)
    fixed = x[upper]

    def correlation(order: np.ndarray) -> float:
        return float(np.corrcoef(fixed, y[np.ix_(order, order)][upper])[0, 1])

    own = correlation(np.arange(len(x)))
    if len(x) <= 7:
        null = [correlation(np.array(order)) for order in permutations(range(len(x)))]
        return own, float(np.mean(np.abs(null) >= abs(own) - 1e-12))
    rng = np.random.default_rng(0)
    null = [correlation(rng.permutation(len(x))) for _ in range(9999)]
    return own, float((np.sum(np.abs(null) >= abs(own) - 1e-12) + 1) / 10000)
