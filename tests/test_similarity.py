"""Similarity measures: golden numbers, declared invariances and their controls, null levels, intervals, comparisons."""

import json

import numpy as np
import pytest
import torch
from conftest import llama, write_checkpoint
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group, spearmanr

from interference.comparable import basis_problem
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.recipe import Recipe
from interference.similarities import everything_steps, similarity_steps
from interference.similarity import INVARIANCES, Measure, measure, measures
from interference.similarity.kernels import u_centred
from interference.similarity.procrustes import rotation
from interference.similarity.table import (
    COLUMNS,
    Place,
    Preparation,
    Side,
    SimilarityTable,
    blocks_of,
    deciding_dimensions,
    effective_dimensions,
    folds_of,
    jackknife,
    massive,
    measured,
    prepared,
)
from interference.similarity_request import CONDITIONS, SimilarityRequest
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite

CPU = torch.device("cpu")
MEASURES = measures()
ON_STATES = [m for m in MEASURES.values() if m.needs != "vocabulary"]


def golden() -> tuple[np.ndarray, np.ndarray]:
    """The data of the notebook that Kornblith and others published with their paper."""
    random = np.random.RandomState(1337)
    x = random.randn(100, 10)
    return x, random.randn(100, 10) + x


@pytest.mark.parametrize(
    ("name", "value", "chance"),
    [
        ("cka", 0.55761, 0.09125),
        ("debiased_cka", 0.51346, 0.0),
        ("rbf_cka", 0.65483, None),
        ("mutual_knn", 0.2790, 10 / 99),
        ("retrieval", 0.58, 0.01),
    ],
)
def test_golden_numbers(name, value, chance):
    found = MEASURES[name].between(*golden())
    assert found[0] == pytest.approx(value, abs=6e-6)
    if chance is not None:
        assert found[1] == pytest.approx(chance, abs=6e-6)


def test_more_golden_numbers():
    x, y = golden()
    assert MEASURES["debiased_cka"].between(x, y + 0)[0] == pytest.approx(0.51346, abs=6e-6)
    noise = y - x
    assert MEASURES["debiased_cka"].between(x, x + noise)[0] == pytest.approx(0.51346, abs=6e-6)
    assert [effective_dimensions(side) for side in (x, y)] == pytest.approx([9.1508, 8.9173], abs=6e-5)
    centred = [side - side.mean(axis=0) for side in (x, y)]
    sizes = rotation(*(side / np.linalg.norm(side) for side in centred))[2]
    assert sizes.sum() == pytest.approx(0.73626, abs=6e-6)
    assert np.arccos(sizes.sum()) == pytest.approx(0.74328, abs=6e-6)
    assert np.sqrt(2 - 2 * sizes.sum()) == pytest.approx(0.72628, abs=6e-6)


def test_cka_by_features():
    """The second derivation: from the features' covariances instead of the sentences' Grams."""
    x, y = (side - side.mean(axis=0) for side in golden())
    by_features = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert MEASURES["cka"].between(x, y)[0] == pytest.approx(by_features)


def test_debiased_cka_by_the_unbiased_estimator_of_hsic():
    """Song and others' formula with traces, term by term."""
    x, y = golden()

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        n = len(k)
        one = np.ones(n)
        cross = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)
        return (np.trace(k @ m) + cross) / (n * (n - 3))

    k, m = x @ x.T, y @ y.T
    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    assert MEASURES["debiased_cka"].between(x, y)[0] == pytest.approx(expected)
    assert (u_centred(k) * u_centred(m)).sum() / (100 * 97) == pytest.approx(hsic(k, m))


def test_rsa_by_scipy():
    x, y = golden()
    assert MEASURES["rsa"].between(x, y)[0] == pytest.approx(spearmanr(pdist(x), pdist(y)).statistic)


def test_distance_correlation_by_its_sums():
    """Székely and Rizzo's bias-corrected statistic, written out with loops over sentences."""
    x, y = (side[:12] for side in golden())
    n = 12

    def centred(side: np.ndarray) -> np.ndarray:
        d = np.array([[np.linalg.norm(a - b) for b in side] for a in side])
        found = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                if i != j:
                    found[i, j] = d[i, j] - d[i].sum() / (n - 2) - d[j].sum() / (n - 2)
                    found[i, j] += d.sum() / ((n - 1) * (n - 2))
        return found

    a, b = centred(x), centred(y)
    expected = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    assert MEASURES["distance_correlation"].between(x, y)[0] == pytest.approx(expected)


def test_mexa_and_retrieval_by_loops():
    x, y = (side[:30] for side in golden())
    scores = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in y] for a in x])
    won = found = 0
    for i in range(30):
        others = [scores[i, j] for j in range(30) if j != i] + [scores[j, i] for j in range(30) if j != i]
        won += scores[i, i] > max(others)
        found += scores[i, i] > max(scores[i, j] for j in range(30) if j != i)
    assert MEASURES["mexa"].between(x, y)[0] == pytest.approx(won / 30)
    assert MEASURES["retrieval"].between(x, y)[0] == pytest.approx(found / 30)


TRANSFORMATIONS = {
    "rotation": lambda y: y @ ortho_group.rvs(y.shape[1], random_state=1),
    "scale": lambda y: 7.0 * y,
    "shift": lambda y: y + 5 * np.random.default_rng(2).normal(size=y.shape[1]),
    "neuron": lambda y: y * np.linspace(0.05, 3, y.shape[1]) + np.linspace(-4, 4, y.shape[1]),
    "linear": lambda y: y @ np.random.default_rng(3).normal(size=(y.shape[1], y.shape[1])),
}


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("one", ON_STATES, ids=lambda m: m.name)
def test_declared_invariances_and_no_others(one: Measure, transformation):
    """A measure is unchanged under what it declares and changed under what it does not."""
    assert TRANSFORMATIONS.keys() == INVARIANCES.keys()
    x, y = golden()
    before, after = one.between(x, y)[0], one.between(x, TRANSFORMATIONS[transformation](y))[0]
    if transformation in one.invariant:
        assert after == pytest.approx(before, abs=1e-9)
    else:
        assert abs(after - before) > 0.005


@pytest.mark.parametrize("one", ON_STATES, ids=lambda m: m.name)
def test_alike_is_one_and_pairs_have_no_order(one: Measure):
    """States are like themselves; the rotation gap of states with themselves is none."""
    x, y = golden()
    assert one.between(x, x)[0] == pytest.approx(0 if one.best == "zero" else 1)
    folds = np.arange(100) % 2
    if one.name not in ("retrieval", "rotation_gap"):  # which side asks
        assert one.between(x, y, folds)[0] == pytest.approx(one.between(y, x, folds)[0])


@pytest.mark.parametrize("one", ON_STATES, ids=lambda m: m.name)
def test_chance_is_the_mean_over_permutations(one: Measure):
    """And stands at it for states that have nothing to do with each other."""
    x, y = (side[:40] for side in golden())
    random = np.random.default_rng(4)
    if one.form != "held out":
        null = [one.between(x, y[random.permutation(40)])[0] for _ in range(100)]
        error = np.std(null) / np.sqrt(100)
        assert one.between(x, y)[1] == pytest.approx(np.mean(null), abs=3.5 * error + 1e-12)
    found = [one.between(random.normal(size=(40, 12)), random.normal(size=(40, 12))) for _ in range(30)]
    value, chance = np.array(found).T
    assert np.mean(value - chance) == pytest.approx(0, abs=3.5 * np.std(value) / np.sqrt(30) + 1e-12)


def test_null_levels_at_their_closed_forms():
    """d / (n + d) for biased CKA of white noise, k / (n - 1) for neighbours, 1 / (2n - 1) for MEXA, 0 debiased."""
    random = np.random.default_rng(5)
    n, d = 100, 512
    noise = [random.normal(size=(n, d)) for _ in range(6)]
    pairs = [(noise[i], noise[j]) for i in range(6) for j in range(i)]
    mean = {name: np.mean([MEASURES[name].between(*p)[0] for p in pairs]) for name in ("cka", "debiased_cka")}
    assert mean["cka"] == pytest.approx(d / (n + d), abs=0.01)
    assert MEASURES["cka"].between(*pairs[0])[1] == pytest.approx(d / (n + d), abs=0.01)
    assert mean["debiased_cka"] == pytest.approx(0, abs=0.01)
    assert MEASURES["mutual_knn"].between(*pairs[0])[1] == pytest.approx(10 / (n - 1))
    chance = np.mean([MEASURES["mexa"].between(*pair)[1] for pair in pairs])
    assert chance == pytest.approx(1 / (2 * n - 1), abs=0.0005)


def test_in_sample_alignment_would_be_perfect_and_held_out_is_not():
    """Independent states of more dimensions than sentences: a rotation fits what it sees and nothing else."""
    random = np.random.default_rng(6)
    x, y = random.normal(size=(60, 128)), random.normal(size=(60, 128))
    function = MEASURES["procrustes"].function
    seen = function(x, y, x, y)
    assert np.trace(seen) / 60 > 0.8
    assert abs(MEASURES["procrustes"].between(x, y)[0]) < 0.1


def test_the_rotation_gap_is_open_for_rotated_states_and_closed_for_the_same():
    random = np.random.default_rng(7)
    x = random.normal(size=(100, 16))
    turned = x @ ortho_group.rvs(16, random_state=8)
    assert MEASURES["rotation_gap"].between(x, turned)[0] > 0.9
    assert MEASURES["rotation_gap"].between(x, x)[0] == 0
    assert MEASURES["retrieval"].between(x, turned)[0] < 0.1


def test_one_large_dimension_decides_raw_states_and_not_z_scored_ones():
    random = np.random.default_rng(9)
    x, y, shared = random.normal(size=(200, 64)), random.normal(size=(200, 64)), random.normal(size=200)
    x[:, 3], y[:, 3] = 30 * shared, 30 * shared
    tokens = np.ones(200)
    raw, scaled = (
        MEASURES["debiased_cka"].between(*(prepared(Side(s, tokens), Preparation(scaled=z)) for s in (x, y)))[0]
        for z in (False, True)
    )
    assert raw > 0.95
    assert abs(scaled) < 0.05
    assert deciding_dimensions(x) == 1
    assert np.flatnonzero(massive(x)).tolist() == [3]
    without = Preparation(scaled=False, massive=True)
    sides = [prepared(Side(s, tokens), without) for s in (x, y)]
    assert abs(MEASURES["debiased_cka"].between(*sides)[0]) < 0.05


def test_preparation():
    random = np.random.default_rng(10)
    tokens = random.integers(3, 30, 50).astype(float)
    x = random.normal(size=(50, 6)) * np.arange(1, 7) + 9 + np.outer(np.log(tokens), np.arange(6))
    x[:, 5] = 2.5  # never varies
    side = Side(x, tokens)
    np.testing.assert_array_equal(prepared(side, Preparation(scaled=False, centred=False)), x)
    scaled = prepared(side, Preparation())
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 1, 1, 1, 0])
    without = prepared(side, Preparation(scaled=False, length=True))
    np.testing.assert_allclose(without.T @ (np.log(tokens) - np.log(tokens).mean()), 0, atol=1e-9)
    assert Preparation(length=True, massive=True).label() == (
        "z-scored, length regressed out, massive dimensions removed"
    )
    assert Preparation(scaled=False, centred=False).label() == "raw, not centred"


def test_states_are_not_compared_where_they_cannot_be():
    x, y = golden()
    cka = MEASURES["debiased_cka"]
    with pytest.raises(ValueError, match="100 and 99 sentences"):
        cka.between(x, y[:99])
    with pytest.raises(ValueError, match="at least 4"):
        cka.between(x[:3], y[:3])
    with pytest.raises(ValueError, match="not finite"):
        cka.between(x, np.where(y > 2, np.nan, y))
    for one in ON_STATES:
        assert np.isnan(one.between(np.full_like(x, 3.3), y)).all(), one.name


def test_jackknife_by_hand_and_against_the_mean():
    """For a mean of equal blocks it is the textbook standard error of the block means."""
    values = np.random.default_rng(11).normal(size=40)
    blocks = np.arange(40) // 4
    without = np.array([[values[blocks != b].mean()] for b in range(10)])
    low, high = jackknife(np.array([values.mean()]), without, [4] * 10)
    error = values.reshape(10, 4).mean(axis=1).std(ddof=1) / np.sqrt(10)
    assert (high - low)[0] / 2 == pytest.approx(2.2621571628 * error)


def test_the_interval_covers_the_truth():
    """Debiased CKA of states that share half of their variance; one interval in twenty may miss."""
    random = np.random.default_rng(12)
    documents = [f"d{row // 4}" for row in range(60)]
    big = [random.normal(size=(1000, 8)) for _ in range(3)]
    truth = MEASURES["debiased_cka"].between(big[0] + big[1], big[0] + big[2])[0]
    covered = []
    for _ in range(20):
        shared, *own = (random.normal(size=(60, 8)) for _ in range(3))
        places = [Place(name, "eng", 0) for name in "ab"]
        sides = {p: Side(shared + noise, np.ones(60)) for p, noise in zip(places, own, strict=True)}
        steps = measured(MEASURES["debiased_cka"], sides, [tuple(places)], documents, Preparation(scaled=False))
        row = finish(steps).iloc[0]
        covered.append(row["low"] <= truth <= row["high"])
    assert np.mean(covered) >= 0.8


def test_blocks_and_folds_keep_documents_together():
    documents = [
        name for name, count in (("a", 5), ("b", 1), ("c", 4), *((f"x{i}", 2) for i in range(40))) for _ in range(count)
    ]
    for groups in (blocks_of(documents), folds_of(documents)):
        assert all(len({g for g, d in zip(groups, documents, strict=True) if d == name}) == 1 for name in documents)
    sizes = np.bincount(blocks_of(documents))
    assert len(sizes) <= 20
    assert blocks_of(["one"] * 9).tolist() == [0] * 9
    assert folds_of(["one"] * 4).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("one", ON_STATES, ids=lambda m: m.name)
def test_the_table_gives_what_a_plain_loop_gives(one: Measure):
    """Stacked vectors and one product, or pair by pair: the same value and the same chance level."""
    random = np.random.default_rng(13)
    places = [Place("m", "eng", layer) for layer in range(4)]
    sides = {p: Side(random.normal(size=(30, 6)) + (p.layer > 1), random.integers(3, 9, 30) * 1.0) for p in places}
    documents = [f"d{row // 3}" for row in range(30)]
    for pairs in ([(a, b) for a in places for b in places], [(places[0], places[1])]):
        frame = finish(measured(one, sides, pairs, documents, Preparation(), intervals=False))
        for (a, b), (_, row) in zip(pairs, frame.iterrows(), strict=True):
            x, y = (prepared(sides[p], Preparation()) for p in (a, b))
            expected = one.between(x, y, folds_of(documents))
            assert (row["value"], row["chance"]) == pytest.approx(expected, abs=2e-6)


def test_registering():
    with pytest.raises(ValueError, match="no invariance is named"):
        measure(label="x", source="y", invariant=("time",))
    with pytest.raises(ValueError, match="expected one of"):
        measure(label="x", source="y", invariant=(), needs="luck")

    def nameless(x):
        return x

    with pytest.raises(ValueError, match="docstring"):
        measure(label="x", source="y", invariant=())(nameless)
    assert next(iter(MEASURES)) == "debiased_cka"


# Comparisons of checkpoints and merges.


def compare(evaluator: Evaluator, *names: str, **named) -> SimilarityTable:
    named.setdefault("sentences", 12)
    return finish(similarity_steps(evaluator, SimilarityRequest(tuple((n, n) for n in names), **named)))


def test_conditions_read_what_they_say(tiny):
    frames = {
        condition: compare(tiny, *(["mixed"] if condition == "languages" else ["mono-eng", "mono-deu", "mixed"]),
                           condition=condition, layers=(1,)).frame
        for condition in CONDITIONS
    }  # fmt: skip
    own = frames["own"].set_index(["model_a", "model_b"])[["language_a", "language_b"]]
    assert own.loc[("mono-eng", "mono-deu")].tolist() == ["eng", "deu"]
    assert own.loc[("mono-deu", "mixed")].tolist() == ["deu", "deu"], "a model of no language reads the other's"
    assert set(frames["pivot"]["language_a"]) == set(frames["pivot"]["language_b"]) == {"eng"}
    assert set(frames["numerals"]["language_b"]) == {"numerals"}
    assert frames["languages"][["model_a", "language_a", "model_b", "language_b"]].to_numpy().tolist() == [
        ["mixed", "eng", "mixed", "deu"]
    ]
    for frame in frames.values():
        assert tuple(frame.columns) == COLUMNS
        assert (frame["layer_a"] == 1).all()
    assert frames["own"]["low"].isna().all(), "two documents are too few for an interval"
    assert (frames["numerals"]["low"] < frames["numerals"]["value"]).all()
    assert (frames["numerals"]["value"] < frames["numerals"]["high"]).all()


def test_the_value_is_the_measure_of_the_states(tiny):
    from interference.activations import states_steps, text_of

    row = compare(tiny, "mono-eng", "mono-deu", layers=(2,)).frame.iloc[0]
    rows = tiny.corpus.rows(12)
    sides = []
    for name, language in (("mono-eng", "eng"), ("mono-deu", "deu")):
        states = finish(states_steps(tiny, name, text_of(tiny.corpus, language, rows)))
        sides.append(Side(states.values[2], states.tokens.astype(float)))
    value = MEASURES["debiased_cka"].between(*(prepared(side, Preparation()) for side in sides))[0]
    raw = MEASURES["debiased_cka"].between(*(side.x.astype(np.float64) for side in sides))[0]
    assert (row["value"], row["z_scored"], row["raw"]) == pytest.approx((value, value, raw), abs=1e-5)


def test_measures_of_a_shared_basis_are_refused_elsewhere(tiny):
    """Between monos of their own initialisation there is none; one checkpoint has one in all its languages."""
    names = tuple(m.name for m in MEASURES.values() if m.needs == "basis")
    foreign = compare(tiny, "mono-eng", "mono-deu", measures=names, layers=(1,)).frame
    assert foreign[["value", "low", "high", "chance"]].isna().all(axis=None)
    assert foreign["why_not"].str.contains("share no initialisation").all()
    alone = compare(tiny, "mixed", measures=names, layers=(1,), condition="languages").frame
    assert alone["value"].notna().all()
    assert (alone["why_not"] == "").all()
    suite = tiny.suite
    merge = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    assert basis_problem(suite, "merge", merge, "mono-eng", "mono-eng") == ""
    assert "share no init" in basis_problem(suite, "merge", merge, "mixed", "mixed")


def test_branches_share_a_basis_through_their_parent():
    suite = open_suite()
    assert basis_problem(suite, "branch-eng", "branch-eng", "branch-zho", "branch-zho") == ""
    assert basis_problem(suite, "init", "init", "branch-zho", "branch-zho") == ""
    assert basis_problem(suite, "mono-eng", "mono-eng", "twin-eng", "twin-eng")


def test_a_merge_is_compared_with_its_parents_in_their_languages(tiny):
    merge = Recipe("linear", ("mono-eng", "mono-deu"), (0.7, 0.3))
    asked = SimilarityRequest(
        (("merge", merge), ("mono-eng", "mono-eng"), ("mono-deu", "mono-deu")),
        against=("merge",), sentences=12, measures=("debiased_cka", "cosine"),
    )  # fmt: skip
    frame = finish(similarity_steps(tiny, asked)).frame
    assert len(frame) == 2 * 2 * 3
    assert set(zip(frame["model_b"], frame["language_a"], frame["language_b"], strict=True)) == {
        ("mono-eng", "eng", "eng"), ("mono-deu", "deu", "deu")
    }  # fmt: skip
    assert frame["value"].notna().all()


def test_across_layers_and_models_of_other_depth_and_width(tiny, suite_folder, tokenizer, tmp_path):
    deep = llama(9, num_hidden_layers=4, hidden_size=48)
    write_checkpoint(deep, tokenizer, tmp_path / "deep")
    from interference.suite import with_paths

    suite = with_paths(open_suite(suite_folder), [str(tmp_path / "deep")])
    name = suite.names[-1]
    evaluator = Evaluator(suite, Store(tmp_path / "own"), CPU)
    frame = compare(evaluator, "mono-eng", name, measures=("debiased_cka", "rotation_gap")).frame
    assert frame["layer_b"].tolist() == [0, 2, 4] * 2, "the nearest in relative depth"
    gap = frame[frame["measure"] == "rotation_gap"]
    assert gap["why_not"].str.contains("32 dimensions and .* 48").all()
    assert frame[frame["measure"] == "debiased_cka"]["value"].notna().all()
    every = compare(evaluator, "mono-eng", name, across=True).frame
    assert len(every) == 3 * 5


def test_states_that_do_not_vary_have_no_similarity(tiny):
    """The last token of every sentence is one of two marks: at the embeddings that is almost nothing, and one sentence
    repeated is nothing."""
    sides = {Place(m, "eng", 0): Side(np.full((12, 4), 0.1), np.ones(12)) for m in "ab"}
    frame = finish(measured(MEASURES["debiased_cka"], sides, [tuple(sides)], ["d"] * 12, Preparation()))
    assert "do not vary" in frame["why_not"].item()
    assert np.isnan(frame["value"].item())


def test_captions_are_whole_sentences():
    """The first line alone is shown, wherever it ends."""
    assert [name for name, one in measures().items() if not one.caption.endswith(".")] == []


def test_everything_at_once_is_the_table(tiny):
    """One product over all places gives the numbers of the table pair by pair."""
    names = ("mono-eng", "mono-deu")
    asked = SimilarityRequest(tuple((n, n) for n in names), sentences=12, languages=("eng",))
    found = finish(everything_steps(tiny, asked))
    assert found.values.shape == (6, 6)
    np.testing.assert_allclose(np.diag(found.values), 1, atol=1e-5)
    frame = compare(tiny, *names, condition="pivot").frame
    for _, row in frame.iterrows():
        a, b = (Place(row[f"model_{s}"], row[f"language_{s}"], row[f"layer_{s}"]) for s in "ab")
        at = found.places.index(a), found.places.index(b)
        assert (found.values[at], found.chance[at]) == pytest.approx((row["value"], row["chance"]), abs=1e-5)
    with pytest.raises(UserError, match="measure of relations"):
        finish(
            everything_steps(
                tiny, SimilarityRequest(tuple((n, n) for n in names), measures=("procrustes",), sentences=12)
            )
        )


def test_notes_and_warnings(tiny):
    table = compare(tiny, "mono-eng", "mono-deu", measures=("cka", "procrustes"), condition="numerals")
    said = " ".join(table.notes)
    for part in ("n = 12", "d = 32", "high by chance alone", "A rotation of 32 dimensions is fitted on 6", "jackknife"):
        assert part in said
    borrowed = "without a language of its own reads the same text"
    assert borrowed not in " ".join(compare(tiny, "mono-eng", "mono-deu").notes) + said
    assert borrowed in " ".join(compare(tiny, "mono-eng", "mixed").notes)
    frame = table.frame.assign(raw=0.9, z_scored=0.1, deciding_a=2)
    warned = SimilarityTable(frame).warnings()
    assert "disagree" in warned[0]
    assert "3 dimensions or fewer hold half" in warned[1]
    assert table.provenance["suite"] == "tiny"
    assert "z-scored" in table.provenance["states"]
    with pytest.raises(ValueError, match="needs a reason"):
        SimilarityTable(frame.assign(value=np.nan))
    with pytest.raises(ValueError, match="columns"):
        SimilarityTable(frame.drop(columns="chance"))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"measures": ("debiased_ckb",)}, "no measure 'debiased_ckb': did you mean 'debiased_cka'"),
        ({"condition": "pivto"}, "no condition 'pivto'"),
        ({"pooling": "max"}, "no pooling 'max'"),
        ({"sentences": 3}, "4 at least"),
        ({"layers": (7,)}, "no layer 7; expected 0 .* to 2"),
        ({"condition": "pivot", "languages": ("fra",)}, "no language 'fra'"),
    ],
)
def test_what_cannot_be_compared(tiny, named, message):
    with pytest.raises(UserError, match=message):
        compare(tiny, "mono-eng", "mono-deu", **named)


def test_nothing_to_compare(tiny):
    with pytest.raises(UserError, match="nothing to compare: it takes two models"):
        compare(tiny, "mono-eng")
    with pytest.raises(UserError, match="nothing to compare"):
        compare(tiny, "init", "mixed")
    with pytest.raises(UserError, match="two languages"):
        compare(tiny, "mono-eng", condition="languages", languages=("eng",))


def test_the_command_prints_the_table(suite_folder, told, refused, tmp_path):
    command = ("similarity", "--suite", suite_folder, "--sentences", "12")
    two = ("--checkpoint", "mono-eng", "--checkpoint", "mono-deu")
    out, err = told(*command, *two, "--format", "json", "--layer", "1")
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path / "own"), CPU)
    expected = compare(evaluator, "mono-eng", "mono-deu", layers=(1,)).frame
    assert [row["value"] for row in json.loads(out)] == pytest.approx(expected["value"].tolist())
    assert "n = 12 parallel sentences" in err
    half = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    (tmp_path / "half.yaml").write_text(half.to_yaml())
    out, _ = told(*command, "--recipe", tmp_path / "half.yaml", "--layer", "2", "--format", "csv")
    lines = out.splitlines()
    assert len(lines) == 3
    assert all("half" in line for line in lines[1:])
    languages = [["--condition", condition, "--language", "deu"] for condition in ("own", "numerals")]
    for wrong in (
        *languages,
        ["--measure", "x"],
        ["--layer", "9"],
        ["--sentences", "2"],
        ["--uncentred"],
        ["--pooling", "max"],
    ):
        assert refused(*command, *wrong).startswith("interference: ")
