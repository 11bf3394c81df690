"""Intervals by document and the Mantel test: known values, exact nulls, and what goes wrong otherwise."""

import math

import numpy as np
import pytest

from interference.statistics import clustered_means, mantel


def grouped(rng: np.random.Generator, documents: int, icc: float) -> tuple[np.ndarray, list[str]]:
    """Values of unit variance in documents of 2 to 5 sentences, of which `icc` is shared inside a document."""
    sizes = rng.integers(2, 6, documents)
    names = np.repeat(np.arange(documents), sizes)
    shared = rng.normal(size=documents)[names] * math.sqrt(icc)
    return shared + rng.normal(size=len(names)) * math.sqrt(1 - icc), [str(n) for n in names]


def distances(rng: np.random.Generator, items: int) -> np.ndarray:
    """Euclidean distances between random points."""
    points = rng.normal(size=(items, 3))
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def test_mantel_gives_the_known_correlation():
    x = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]], float)
    y = np.array([[0, 2, 7], [2, 0, 6], [7, 6, 0]], float)
    assert mantel(x, y)[0] == pytest.approx(0.755929, abs=1e-6)


@pytest.mark.parametrize(("items", "least"), [(4, 0.042), (5, 0.0083), (6, 0.0014)])
def test_smallest_mantel_p_is_one_over_the_number_of_relabellings(items, least):
    """A matrix against itself: only the identity gives the same correlation."""
    x = distances(np.random.default_rng(items), items)
    r, p = mantel(x, x)
    assert r == pytest.approx(1)
    assert p == pytest.approx(1 / math.factorial(items))
    assert p == pytest.approx(least, rel=0.03)


def test_mantel_does_not_depend_on_the_order_of_the_items():
    """The same relabelling of both matrices changes nothing; of one alone it changes the correlation."""
    rng = np.random.default_rng(0)
    x, y, order = distances(rng, 6), distances(rng, 6), np.array([3, 1, 5, 0, 2, 4])
    both = mantel(x[np.ix_(order, order)], y[np.ix_(order, order)])
    assert both == pytest.approx(mantel(x, y))
    assert mantel(x, y[np.ix_(order, order)])[0] != pytest.approx(mantel(x, y)[0])


def test_sampled_mantel_p_is_never_zero():
    """Above seven items p is counted with add-one on 9,999 relabellings."""
    x = distances(np.random.default_rng(2), 12)
    assert mantel(x, x)[1] == pytest.approx(1e-4)


def test_permuting_pairs_finds_too_much_where_relabelling_items_does_not():
    """Independent matrices at nominal 5 %: the Mantel test keeps its level, a permutation of the pairs does not."""
    rng = np.random.default_rng(0)
    kept = np.mean([mantel(distances(rng, 5), distances(rng, 5))[1] <= 0.05 for _ in range(200)])
    assert kept <= 0.085  # 5 % and two standard errors of 200 trials
    upper, found = np.triu_indices(20, k=1), []
    for _ in range(150):
        x, y = (distances(rng, 20)[upper] for _ in range(2))
        x, y = (x - x.mean()) / np.linalg.norm(x - x.mean()), (y - y.mean()) / np.linalg.norm(y - y.mean())
        null = np.abs(rng.permuted(np.tile(y, (199, 1)), axis=1) @ x)
        found.append((np.sum(null >= abs(x @ y)) + 1) / 200 <= 0.05)
    assert np.mean(found) > 0.12


def test_means_are_over_sentences_not_over_documents():
    """A document of three sentences counts three times as much as one of one."""
    means, low, high = clustered_means(np.array([[1.0, 1.0, 1.0, 5.0]]), ["a", "a", "a", "b"])
    assert means[0] == 2.0
    assert low[0] <= 2.0 <= high[0]


def test_interval_agrees_with_the_sandwich_error_over_documents():
    """Two derivations of one number: the bootstrap's width and the cluster-robust standard error of a mean."""
    values, names = grouped(np.random.default_rng(1), 200, 0.5)
    _, codes = np.unique(names, return_inverse=True)
    residuals = np.bincount(codes, weights=values - values.mean())
    error = math.sqrt((residuals**2).sum()) / len(values)
    _, low, high = clustered_means(values[None], names)
    assert (high[0] - low[0]) / 2 == pytest.approx(1.96 * error, rel=0.08)


def test_sentences_taken_as_independent_give_too_small_an_interval():
    """An intraclass correlation of 0.2 with about 3.6 sentences in a document widens the interval about 1.25 times."""
    ratios = []
    for seed in range(8):
        values, names = grouped(np.random.default_rng(seed), 300, 0.2)
        _, low, high = clustered_means(values[None], names)
        _, own_low, own_high = clustered_means(values[None], [str(i) for i in range(len(values))])
        ratios.append((high - low)[0] / (own_high - own_low)[0])
    assert np.mean(ratios) == pytest.approx(1.25, abs=0.07)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Skewed documents with a true mean of 1: about 95 % of 120 intervals hold it."""
    rng = np.random.default_rng(3)
    names = [str(n) for n in np.repeat(np.arange(40), 3)]
    samples = np.repeat(rng.gamma(2, 0.5, size=(120, 40)), 3, axis=1)
    _, low, high = clustered_means(samples, names)
    held = np.mean((low <= 1) & (high >= 1))
    assert 0.88 <= held <= 0.99


@pytest.mark.parametrize(("documents", "held"), [(2, 0.5), (5, 0.82), (20, 0.92)])
def test_intervals_of_few_documents_hold_the_truth_as_seldom_as_is_said(documents, held):
    """Documents that differ normally: what the docstring says, and why tables speak of few documents."""
    samples = np.random.default_rng(8).standard_normal((600, documents))
    _, low, high = clustered_means(samples, [str(n) for n in range(documents)])
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(held, abs=0.05)


def test_all_series_see_the_same_resampled_documents():
    """An interval does not depend on what else is asked for, and a shifted series has a shifted interval."""
    values, names = grouped(np.random.default_rng(4), 30, 0.3)
    together = np.stack(clustered_means(np.stack([values, values + 7]), names))
    alone = np.stack(clustered_means(values[None], names))
    np.testing.assert_allclose(together[:, 0], alone[:, 0])
    np.testing.assert_allclose(together[:, 1], alone[:, 0] + 7)


def test_intervals_are_the_same_each_time():
    values, names = grouped(np.random.default_rng(5), 20, 0.3)
    np.testing.assert_array_equal(clustered_means(values[None], names), clustered_means(values[None], names))


def test_one_document_has_a_mean_and_no_interval():
    means, low, high = clustered_means(np.array([[1.0, 2.0]]), ["a", "a"])
    assert means[0] == 1.5
    assert np.isnan([low[0], high[0]]).all()


def test_series_without_spread_has_an_interval_of_no_width():
    """The cost of a model against itself is 0 with the interval 0 to 0, also beside a series that varies."""
    values, names = grouped(np.random.default_rng(6), 20, 0.3)
    means, low, high = clustered_means(np.stack([np.zeros_like(values), values]), names)
    assert (means[0], low[0], high[0]) == (0, 0, 0)
    assert low[1] < means[1] < high[1]


def test_two_documents_have_a_finite_interval():
    """Where BCa has no answer the percentile interval stands in."""
    means, low, high = clustered_means(np.array([[1.0, 2.0, 4.0, 4.0]]), ["a", "a", "b", "b"])
    assert np.isfinite([low[0], high[0]]).all()
    assert low[0] <= means[0] <= high[0]
