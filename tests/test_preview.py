"""Few sentences that stand for many: fixed, spread over lengths, and close to the truth on the built-in suite."""

import numpy as np
import pytest
import torch

from interference import glimpses
from interference.evaluate import Evaluator
from interference.preview import estimate, representative
from interference.recipe import Recipe
from interference.results import open_evaluator
from interference.scored import Request
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.views import merge_request, merge_view

CPU = torch.device("cpu")


def test_of_each_stratum_of_lengths_one_is_chosen():
    sizes = {"eng": np.arange(1.0, 101.0)[::-1].copy()}
    chosen = representative(sizes, {}, 10)
    assert sorted(((sizes["eng"][chosen] - 1) // 10).tolist()) == list(range(10))


def test_with_nothing_known_the_middles_are_chosen_and_the_mean_length_is_kept():
    sizes = {"eng": np.random.default_rng(0).uniform(10, 90, 150)}
    chosen = representative(sizes, {}, 12)
    assert sizes["eng"][chosen].mean() == pytest.approx(sizes["eng"].mean(), rel=0.02)


def test_what_is_known_decides_between_draws():
    """Models that are wrong about length alone: the chosen sentences repeat their mean better than the middles do."""
    rng = np.random.default_rng(1)
    sizes = {"eng": rng.uniform(10, 90, 150)}
    known = {"eng": sizes["eng"] * rng.uniform(0.2, 3, (5, 150))}

    def error(chosen: np.ndarray) -> float:
        found = estimate(known["eng"][:, chosen].sum(1), sizes["eng"][chosen].sum(), sizes["eng"].sum())
        return float(np.abs(found / known["eng"].sum(1) - 1).mean())

    assert error(representative(sizes, known, 8)) < error(representative(sizes, {}, 8)) / 2


def test_as_many_as_there_are_is_all_of_them():
    sizes = {"eng": np.arange(1.0, 6.0)}
    assert representative(sizes, {}, 5).tolist() == representative(sizes, {}, 9).tolist() == [0, 1, 2, 3, 4]


def test_a_text_in_which_every_byte_costs_the_same_is_estimated_exactly():
    assert estimate(np.array([30.0]), 10.0, 200.0) == pytest.approx([600.0])


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("INTERFERENCE_CACHE", str(tmp_path_factory.mktemp("store")))
    yield open_evaluator()
    patch.undo()


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.5, 0.5), (0.9, 0.1)])
def test_estimates_are_within_a_tenth_of_the_full_result_and_become_it(evaluator, weights):
    """On merges that no result ships for; where the full result is known it is what a glimpse shows."""
    recipe = Recipe("linear", ("mono-eng", "mono-deu"), weights)
    request = Request((("merge", recipe),), ("eng", "deu", "zho"), 60)
    before = finish(evaluator.glimpse_steps(request))
    assert (before.frame["sentences"] < 60).all()
    assert before.frame["bits_per_sentence_low"].isna().all()
    full = evaluator.table(request)
    np.testing.assert_allclose(before.frame["bits_per_sentence"], full.frame["bits_per_sentence"], rtol=0.1)
    after = finish(evaluator.glimpse_steps(request))
    assert (after.frame["sentences"] == 60).all()
    for unit in full.units:
        for column in ("value", "cost_value"):
            np.testing.assert_allclose(after.in_unit(unit)[column], full.in_unit(unit)[column], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(after.frame["recovery"], full.frame["recovery"], rtol=1e-9, atol=1e-9)
    assert after.frame["reference"].tolist() == full.frame["reference"].tolist()


def test_a_glimpse_is_made_of_the_same_sentences_every_time(suite_folder, tmp_path):
    """What was scored meanwhile changes nothing, or dragging would show a change of sentences as an effect."""
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path), CPU)
    rows = evaluator.corpus.rows(10)
    first = finish(evaluator._glimpses._few(evaluator.suite["init"], ("eng", "deu"), rows))
    evaluator.table(Request((("mixed", "mixed"),), ("eng", "deu"), 10))
    assert finish(evaluator._glimpses._few(evaluator.suite["init"], ("eng", "deu"), rows)).tolist() == first.tolist()


@pytest.mark.parametrize(("slow", "passes"), [(1e-9, 1), (1e9, 4)])
def test_a_trial_is_not_made_again_where_it_is_slow(slow, passes, suite_folder, tmp_path, monkeypatch):
    """Large models on a CPU: what a first look waits for."""
    evaluator, asked, plain = Evaluator(open_suite(suite_folder), Store(tmp_path), CPU), [], glimpses.sentence_bits

    def counted(*given, **named):
        asked.append(given)
        return plain(*given, **named)

    monkeypatch.setattr(glimpses, "_SLOW", slow)
    monkeypatch.setattr(glimpses, "sentence_bits", counted)
    finish(evaluator.glimpse_steps(Request((("mixed", "mixed"),), ("eng",), 10)))
    assert len(asked) == passes


def test_a_slow_glimpse_tells_the_merge_first_and_a_model_more_each_time(suite_folder, tmp_path, monkeypatch):
    """Nothing is counted from a reference, or called the best of the parents, before all of them are known."""
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path), CPU)
    recipe = Recipe("linear", ("mono-eng", "mono-deu"), (0.2, 0.8))
    request = merge_request(recipe, evaluator.suite, ("eng", "deu"), 12)
    whole = finish(evaluator.glimpse_steps(request))
    assert whole.left == ()
    monkeypatch.setattr(glimpses, "_PATIENCE", 0)
    slow, rows = Evaluator(open_suite(suite_folder), Store(tmp_path), CPU), evaluator.corpus.rows(12)
    monkeypatch.setattr(slow._glimpses, "_rows", evaluator._glimpses._rows)
    names = [name for name, _ in request.models]
    assert names == ["merge", "mono-eng", "mono-deu", "init"]
    for known in range(1, len(names) + 1):
        told = finish(slow.glimpse_steps(request))
        assert told.frame["model"].unique().tolist() == names[:known]
        assert told.left == tuple(names[known:])
        assert told.frame["bits"].tolist() == whole.frame["bits"].tolist()[: 2 * known]
        roles = set(merge_view(told.in_unit("bits per byte"), recipe, slow.suite, rows)["role"])
        assert ("best parent" in roles) == (known >= 3)
        if told.left:
            assert told.frame[["cost", "recovery"]].isna().all(axis=None)
    assert told.frame.equals(whole.frame)
    assert whole.frame["cost"].notna().all()


def test_a_glimpse_keeps_nothing_in_the_store(suite_folder, tmp_path):
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path), CPU)
    request = Request((("merge", Recipe("linear", ("mono-eng", "mono-deu"), (0.2, 0.8))),), ("eng", "deu"), 12)
    finish(evaluator.glimpse_steps(request))
    assert Store(tmp_path)._connection.execute("select count(*) from bits").fetchone() == (0,)


def test_costs_can_be_counted_from_one_of_the_models(suite_folder, tmp_path):
    """Deltas against a baseline: that one's own are zero, the others' are differences of the bits."""
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path), CPU)
    recipes = {
        name: Recipe("linear", ("mono-eng", "mono-deu"), w) for name, w in (("a", (1.0, 0.0)), ("b", (0.4, 0.6)))
    }
    table = evaluator.table(Request(tuple(recipes.items()), ("eng", "deu"), 12, against="a")).frame
    a, b = (table[table["model"] == name].reset_index() for name in "ab")
    assert (a["cost"] == 0).all()
    np.testing.assert_allclose(b["cost"], b["bits_per_sentence"] - a["bits_per_sentence"])
    assert set(table["reference"]) == {"a"}
