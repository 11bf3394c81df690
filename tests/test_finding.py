"""The finding itself, on the built-in suite: averages of separately trained models collapse, branches' do not."""

import numpy as np
import pytest
import torch
import transformers

from interference.demo.forms import LANGUAGES
from interference.evaluate import Evaluator
from interference.guide import opening
from interference.recipe import Recipe
from interference.results import shipped_results
from interference.store import Store
from interference.suite import built_in, open_suite
from interference.views import merge_request

MONOS = tuple(f"mono-{language}" for language in LANGUAGES)
BRANCHES = tuple(f"branch-{language}" for language in LANGUAGES)


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory) -> Evaluator:
    suite = open_suite()
    return Evaluator(suite, Store(tmp_path_factory.mktemp("store"), shipped_results(suite)), torch.device("cpu"))


def mean_bits(evaluator: Evaluator, model, language: str, sentences: int | None = None) -> float:
    return float(evaluator.bits(model, language, evaluator.corpus.rows(sentences)).mean())


def equal(models: tuple[str, ...], **parts) -> Recipe:
    return Recipe("linear", models, (1 / len(models),) * len(models), **parts)


def test_monos_are_near_the_perfect_model(evaluator):
    """In its own language every mono is within 20 % of the generator's entropy and below half of untrained."""
    rows = evaluator.corpus.rows(None)
    for language in LANGUAGES:
        bits = mean_bits(evaluator, f"mono-{language}", language)
        perfect = np.mean([evaluator.corpus.entropy[language][row] for row in rows])
        assert perfect < bits < 1.2 * perfect
        assert bits < 0.5 * mean_bits(evaluator, "init", language)


def test_branches_are_specialised(evaluator):
    """A branch needs 5 % fewer bits than `mixed` in its own language and more in most others."""
    for language in LANGUAGES:
        own = mean_bits(evaluator, f"branch-{language}", language) / mean_bits(evaluator, "mixed", language)
        others = [
            mean_bits(evaluator, f"branch-{language}", other) > mean_bits(evaluator, "mixed", other)
            for other in LANGUAGES
            if other != language
        ]
        assert own < 0.95, language
        assert sum(others) > 4, language


def test_average_of_monos_is_untrained(evaluator):
    """The average of the ten monos is no better than 10 % below `init`, in every language."""
    for language in LANGUAGES:
        merged = mean_bits(evaluator, equal(MONOS), language, 100)
        assert merged > 0.9 * mean_bits(evaluator, "init", language, 100), language


def test_average_of_branches_is_their_parent(evaluator):
    """The average of the ten branches is no worse than 5 % above `mixed`, in every language."""
    for language in LANGUAGES:
        merged = mean_bits(evaluator, equal(BRANCHES), language, 100)
        assert merged < 1.05 * mean_bits(evaluator, "mixed", language, 100), language


def test_a_sample_of_the_shipped_results_is_recomputed(evaluator, tmp_path):
    """Without the results file, the same weights on the same text give the same bits to float32's precision."""
    fresh = Evaluator(evaluator.suite, Store(tmp_path, {}), torch.device("cpu"))
    rows = np.arange(0, 1000, 125)
    for model, language in (("mono-deu", "deu"), ("init", "zho"), ("branch-ara", "tur"), ("sibling-eng", "rus")):
        np.testing.assert_allclose(
            fresh.bits(model, language, rows), evaluator.bits(model, language, rows), rtol=0, atol=1e-3
        )


def test_the_shipped_merge_is_recomputed(evaluator, tmp_path):
    """The merge that the Merge page opens with, by whatever torch, within the bound that is stated for devices."""
    fresh = Evaluator(evaluator.suite, Store(tmp_path, {}), torch.device("cpu"))
    rows, merge = np.arange(0, 1000, 125), opening(evaluator.suite)
    assert merge
    assert len(merge.models) == 10
    for language in ("eng", "zho"):
        np.testing.assert_allclose(
            fresh.bits(merge, language, rows), evaluator.bits(merge, language, rows), rtol=2e-4, atol=0.01
        )


def test_results_cover_the_first_pages(evaluator, monkeypatch):
    """Every checkpoint and the opening merge on every sentence, and the tokens: nothing is computed or tokenised."""
    found = shipped_results(evaluator.suite)
    bits = [array for array in found.values() if array.dtype.kind == "f"]
    assert len(bits) == 26 * 10
    assert all(array.shape == (1000,) and np.isfinite(array).all() for array in bits)
    for name in ("tokenize", "sentence_bits_steps"):
        monkeypatch.setattr(f"interference.evaluate.{name}", lambda *a, **n: pytest.fail("computed"))
    suite, merge = evaluator.suite, opening(evaluator.suite)
    assert merge
    table = evaluator.table(merge_request(merge, suite, LANGUAGES, 150))
    assert f"transformers {transformers.__version__}; what came with the suite: torch " in table.provenance["scoring"]


def test_suite_is_small():
    """All checkpoints together take at most 30 MB, the results file at most 2 MiB."""
    assert sum(file.stat().st_size for file in built_in().glob("*/*")) <= 30e6
    assert (built_in() / "results.npz").stat().st_size <= 2 * 2**20
