"""The same numbers as independent implementations of the similarity measures.

ckatorch 1.0.3 for CKA and distance correlation, rsatoolbox 0.3.2 for RSA. For the other families the number is put
together from what scipy and scikit-learn have of it: rotations, neighbours, cosines, correlations.
"""

import platform
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from scipy.stats import pearsonr
from sklearn.metrics import euclidean_distances, precision_score
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MultiLabelBinarizer
from test_parity import oracle
from test_similarity import golden

from interference.similarity import measures
from interference.similarity.procrustes import rotation

pytestmark = pytest.mark.parity

SHAPES = [(101, 8, 8), (60, 12, 7), (21, 64, 48), (41, 300, 300), (9, 6, 6)]  # sentences, width and width
EQUAL = [shape for shape in SHAPES if shape[1] == shape[2]]
of_shapes, of_equal_width = pytest.mark.parametrize("shape", SHAPES), pytest.mark.parametrize("shape", EQUAL)


def states(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Correlated states, neither centred nor of one scale."""
    n, *widths = shape
    random = np.random.default_rng(n)
    x, y = (random.normal(size=(n, width)) * random.uniform(0.5, 2, width) + 0.5 for width in widths)
    shared = min(widths)
    y[:, :shared] += x[:, :shared]
    return x, 3 * y


def ours(name: str, x: np.ndarray, y: np.ndarray):
    return pytest.approx(measures()[name].between(x, y)[0], rel=0, abs=1e-10)


def test_the_comparison_can_fail():
    x, y = states(SHAPES[0])
    assert ours("cka", x, y) != measures()["cka"].between(x, y)[0] + 1e-9


# --- ckatorch ---------------------------------------------------------------------------------------------------


def ckatorch(x: np.ndarray, y: np.ndarray, **options) -> float:
    return float(oracle("ckatorch").cka_base(torch.from_numpy(x), torch.from_numpy(y), **options))


@of_shapes
def test_cka(shape):
    x, y = states(shape)
    assert ckatorch(x, y) == ours("cka", x, y)


@of_shapes
def test_debiased_cka(shape):
    x, y = states(shape)
    assert ckatorch(x, y, unbiased=True) == ours("debiased_cka", x, y)


@of_shapes
def test_rbf_cka(shape):
    """Of an odd number of sentences: of an even one ckatorch takes the lower of two medians, this project their mean.

    The kernel is half a median distance wide."""
    x, y = (side[: shape[0] - 1 + shape[0] % 2] for side in states(shape))
    assert ckatorch(x, y, kernel="rbf", threshold=0.5) == ours("rbf_cka", x, y)


@of_shapes
def test_distance_correlation(shape):
    """Squared, by the unbiased HSIC with distances in the place of kernels, which is the unbiased distance covariance;
    ckatorch gives it before the division."""
    hsic = oracle("ckatorch").hsic1
    x, y = states(shape)
    a, b = (torch.from_numpy(euclidean_distances(side - side.mean(axis=0)))[None] for side in (x, y))
    assert float(hsic(a, b) / (hsic(a, a) * hsic(b, b)).sqrt()) == ours("distance_correlation", x, y)


def test_distance_correlation_of_dcor():
    """u_distance_correlation_sqr of dcor 0.7, copied here because dcor brings a compiler of 200 MB."""
    assert ours("distance_correlation", *golden()) == 0.5020825832638851


# --- rsatoolbox -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(platform.machine() == "aarch64", reason="rsatoolbox would have to be compiled here")
@of_shapes
def test_rsa(shape):
    """rsatoolbox's distances are squared and per dimension, which leaves their ranks as they are."""
    rdm, data = oracle("rsatoolbox.rdm"), oracle("rsatoolbox.data")
    x, y = states(shape)
    a, b = (rdm.calc_rdm(data.Dataset(side), method="euclidean") for side in (x, y))
    assert rdm.compare(a, b, method="spearman").item() == ours("rsa", x, y)


# --- scipy and scikit-learn -------------------------------------------------------------------------------------


def rotated(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of every other sentence and the rest: which they are, x rotated by what scipy fits on the rest, y centred.

    scipy wants equal widths, hence the zeros. It turns every direction of x; those that the fitted sentences leave open
    are taken out, as this project does, by projecting on the ones that they settle.
    """
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(side, ((0, 0), (0, width - side.shape[1]))) for side in (x, y))
    for fold in (0, 1):
        own = np.arange(len(x)) % 2 == fold
        fit_x, fit_y = (side[~own] - side[~own].mean(axis=0) for side in (x, y))
        both = fit_x.T @ fit_y
        settled = both @ np.linalg.pinv(both, rcond=1e-10)
        turned = (x[own] - x[own].mean(axis=0)) @ settled @ orthogonal_procrustes(fit_x, fit_y)[0]
        yield own, turned, y[own] - y[own].mean(axis=0)


@of_shapes
def test_procrustes(shape):
    """scipy's orthogonal Procrustes by halves, scored by scikit-learn's cosine distance of rows."""
    x, y = states(shape)
    far = np.concatenate([paired_cosine_distances(a, b) for _, a, b in rotated(x, y)])
    assert 1 - far.mean() == ours("procrustes", x, y)


@of_equal_width
def test_the_rotation_of_procrustes(shape):
    """In sample: scipy's disparity of centred sides of norm one is 1 less the square of their nuclear norm."""
    x, y = states(shape)
    centred = [side - side.mean(axis=0) for side in (x, y)]
    sizes = rotation(*(side / np.linalg.norm(side) for side in centred))[2]
    assert procrustes(x, y)[2] == pytest.approx(1 - sizes.sum() ** 2, abs=1e-10)


@of_shapes
def test_mutual_knn(shape):
    """scikit-learn's graph of neighbours, which leaves a sentence out of its own."""
    x, y = states(shape)
    k = min(10, len(x) - 2)
    a, b = (NearestNeighbors(n_neighbors=k, metric="cosine").fit(side).kneighbors_graph() for side in (x, y))
    assert a.multiply(b).sum() / (k * len(x)) == ours("mutual_knn", x, y)


@of_equal_width
def test_cosine(shape):
    x, y = states(shape)
    assert 1 - paired_cosine_distances(x, y).mean() == ours("cosine", x, y)


def found(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether the nearest y of each x is its translation."""
    nearest = NearestNeighbors(n_neighbors=1, metric="cosine").fit(y).kneighbors(x, return_distance=False)
    return nearest[:, 0] == np.arange(len(x))


@of_equal_width
def test_retrieval(shape):
    x, y = states(shape)
    assert found(x, y).mean() == ours("retrieval", x, y)


@of_equal_width
def test_mexa(shape):
    """Found from both sides, which for scores without ties is being above the rest of the row and of the column."""
    x, y = states(shape)
    assert (found(x, y) & found(y, x)).mean() == ours("mexa", x, y)


@of_equal_width
def test_rotation_gap(shape):
    x, y = states(shape)
    gap = [found(a, b).astype(float) - found(x[own], y[own]) for own, a, b in rotated(x, y)]
    assert np.concatenate(gap).mean() == ours("rotation_gap", x, y)


@of_equal_width
def test_neuron_correlation(shape):
    x, y = states(shape)
    assert pearsonr(x, y, axis=0).statistic.mean() == ours("neuron_correlation", x, y)


@pytest.mark.parametrize("sentences", [60, 9])
def test_logit_lens(sentences):
    """Of ten labels on each side the share in common is scikit-learn's precision by samples."""
    x, y = (np.argsort(-logits)[:, :10] for logits in states((sentences, 30, 30)))
    a, b = (MultiLabelBinarizer(classes=range(30)).fit_transform(tokens) for tokens in (x, y))
    assert precision_score(a, b, average="samples") == ours("logit_lens", x.astype(float), y.astype(float))
