"""Reference points that need no merge: what parents say together, the best of them, and counted pairs of tokens."""

import math
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import llama, write_checkpoint, write_corpus

from interference.ensemble import BEST, KINDS, LOGITS, PROBABILITIES, Ensemble
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.losses import TokenizedText, bigram_bits, unigram_bits
from interference.recipe import Recipe
from interference.scored import BIGRAM, UNIGRAM, Request, Scored, model_digest
from interference.sentences import sentence_steps
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.weights import STREAMED, Weights

CPU = torch.device("cpu")
NAMES = ("mono-eng", "mono-deu", "mixed")


def logits_of(evaluator, name, ids):
    with torch.no_grad():
        return evaluator.dev.network(name)(input_ids=torch.tensor([ids])).logits[0].double()


@pytest.mark.parametrize("kind", [LOGITS, PROBABILITIES])
def test_ensembles_are_the_means_that_they_are_named_after(kind, tiny):
    """Against three networks of their own, a sentence at a time."""
    rows = tiny.corpus.rows(3)
    bits = tiny.bits(Ensemble(NAMES, kind), "eng", rows)
    tokenizer = tiny.suite["mixed"].tokenizer
    for found, text in zip(bits, tiny.corpus.text("eng", rows), strict=True):
        ids = [0, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        each = torch.stack([logits_of(tiny, name, ids) for name in NAMES])
        mean = each.mean(dim=0).softmax(dim=-1) if kind == LOGITS else each.softmax(dim=-1).mean(dim=0)
        picked = mean[:-1].gather(1, torch.tensor(ids[1:])[:, None])
        assert found == pytest.approx(-float(picked.log2().sum()), rel=1e-5)


@pytest.mark.parametrize("kind", [LOGITS, PROBABILITIES])
@pytest.mark.parametrize("own", [{"rms_norm_eps": 0.5}, {"max_position_embeddings": 3}])
def test_each_model_of_an_ensemble_computes_by_its_own_configuration(kind, own, tokenizer, tmp_path):
    """Whichever of them is the first: equal shapes may go with another epsilon, and no model reads more than it can."""
    write_checkpoint(llama(1), tokenizer, tmp_path / "s" / "a")
    write_checkpoint(llama(2, **own), tokenizer, tmp_path / "s" / "b")
    opened = open_suite(tmp_path / "s", write_corpus(tmp_path / "c.tsv"))
    evaluator = Evaluator(opened, Store(tmp_path / "a store"), CPU)
    rows = evaluator.corpus.rows(3)
    one, other = (evaluator.bits(Ensemble(names, kind), "eng", rows) for names in (("a", "b"), ("b", "a")))
    np.testing.assert_allclose(one, other, rtol=1e-6)
    notes = [finish(evaluator.table_steps(Request((("e", Ensemble(names, kind)),), ("eng",), 3))).notes
             for names in (("a", "b"), ("b", "a"))]  # fmt: skip
    said = [sum("windows of 3 tokens" in note for note in found) for found in notes]
    assert said == [int("max_position_embeddings" in own)] * 2


def test_the_mean_of_probabilities_costs_at_most_log2_n_per_token_above_the_best_model(tiny):
    """Sentence by sentence, whichever model is the best there; the mean of logits has no such bound."""
    rows = tiny.corpus.rows(None)
    tokens = np.array([len(ids) for ids in tiny.text(tiny.suite["mixed"], "deu", rows).ids])
    best = np.min([tiny.bits(name, "deu", rows) for name in NAMES], axis=0)
    mean = tiny.bits(Ensemble(NAMES, PROBABILITIES), "deu", rows)
    assert (mean <= best + tokens * math.log2(len(NAMES)) + 1e-3).all()


def test_one_model_of_an_ensemble_is_held_at_a_time(tiny, monkeypatch):
    """Of weights in files the next one's are read when those before are gone: a device may have no room for ten."""
    rows, read, seen = tiny.corpus.rows(2), Weights.whole, list[tuple[str, weakref.ref]]()
    expected = tiny.bits(Ensemble(NAMES, LOGITS), "eng", rows)

    def watched(self, name):
        assert not [one for one, tensor in seen if one != name and tensor() is not None]
        found = read(self, name)
        seen.extend((name, weakref.ref(tensor)) for tensor in found.values())
        return found

    monkeypatch.setattr(Weights, "whole", watched)
    streamed = Weights([tiny.suite[name] for name in NAMES], CPU, residency=STREAMED)
    monkeypatch.setattr(tiny.networks, "weights", lambda names: streamed)
    text = tiny.text(tiny.suite["mixed"], "eng", rows)
    np.testing.assert_allclose(finish(tiny.score_steps(Ensemble(NAMES, LOGITS), text)), expected, rtol=1e-6)
    assert {name for name, _ in seen} == set(NAMES)


@pytest.mark.parametrize("kind", KINDS.values())
def test_an_ensemble_of_one_is_that_model(kind, tiny):
    rows = tiny.corpus.rows(4)
    alone = tiny.bits("mono-eng", "deu", rows)
    np.testing.assert_allclose(tiny.bits(Ensemble(("mono-eng",), kind), "deu", rows), alone, rtol=1e-5)


def test_the_best_parent_is_chosen_on_the_dev_half(tiny):
    """By language, and its bits are that model's own, also where another is better on the test half."""
    rows, dev = tiny.corpus.rows(None), tiny.corpus.halves["dev"]
    for language in ("eng", "deu"):
        sums = {name: tiny.bits(name, language, dev).sum() for name in NAMES}
        best = min(sums, key=lambda name: sums[name])
        assert (tiny.bits(Ensemble(NAMES, BEST), language, rows) == tiny.bits(best, language, rows)).all()


def test_an_ensemble_leaves_the_merge_that_is_put_alone(tiny):
    network = tiny.networks.put("mono-eng")
    before = [p.clone() for p in network.parameters()]
    tiny.bits(Ensemble(NAMES, LOGITS), "eng", tiny.corpus.rows(2))
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_ensembles_stand_in_tables_and_glimpses(tiny):
    from interference.steps import finish

    models = tuple((kind, Ensemble(NAMES, kind)) for kind in KINDS.values())
    request = Request((("merge", Recipe("linear", NAMES, (1.0, 1.0, 1.0))), *models, (BIGRAM, BIGRAM)), ("eng",), 6)
    glimpse = finish(tiny.glimpse_steps(request))
    table = tiny.table(request)
    assert list(table.frame["model"]) == ["merge", *KINDS.values(), "bigram"]
    assert table.frame["bits_per_sentence"].notna().all()
    assert len(glimpse.frame) == 5


def test_no_two_ensembles_share_a_result(tiny):
    models: list[Scored] = [*(Ensemble(NAMES, k) for k in KINDS.values()), Ensemble(NAMES[:2], LOGITS), UNIGRAM, BIGRAM]
    assert len({model_digest(tiny.suite, model) for model in models}) == len(models)


@pytest.mark.parametrize(("models", "kind"), [(NAMES, "mean of logit"), ((), LOGITS)])
def test_ensembles_of_nothing_or_an_unknown_kind_are_refused(models, kind):
    with pytest.raises(UserError, match=r"did you mean 'mean of logits'|of no models"):
        Ensemble(models, kind)


# --- pairs of tokens --------------------------------------------------------------------------------------------


def text(*ids: tuple[int, ...]) -> TokenizedText:
    return TokenizedText(ids, 0, "BOS", (0,) * len(ids), (True,) * len(ids), None)


def test_bigram_bits_by_hand():
    """Four tokens, prefix 0. After 1 came 2 twice and 3 once: three followers of two kinds; after 2 came nothing."""
    fit = [(1, 2), (1, 2), (1, 3)]
    single = {0: 1 / 10, 1: 4 / 10, 2: 3 / 10, 3: 2 / 10}
    after_prefix = (3 + 1 * single[1]) / (3 + 1)
    after_one = (2 + 2 * single[2]) / (3 + 2)
    found = bigram_bits(fit, text((1, 2), (2, 1), ()), 4)
    assert found[0] == pytest.approx(-math.log2(after_prefix * after_one))
    assert found[1] == pytest.approx(-math.log2((0 + 1 * single[2]) / (3 + 1) * single[1]))
    assert found[2] == 0


def test_bigram_probabilities_sum_to_one():
    """After every token that was seen or not."""
    fit = [(1, 2, 3, 1, 1), (2, 2), (4, 1, 2)]
    for before in range(6):
        two = bigram_bits(fit, text(*((before, token) for token in range(6))), 6)
        one = bigram_bits(fit, text((before,)), 6)
        assert np.exp2(-(two - one)).sum() == pytest.approx(1)


def test_pairs_are_worth_more_than_single_tokens(tiny):
    """On text that repeats itself; and both are fitted on the dev half alone."""
    fit = [(1, 2, 3)] * 5
    assert bigram_bits(fit, text((1, 2, 3)), 8)[0] < unigram_bits(fit, text((1, 2, 3)), 8)[0]
    rows, dev = tiny.corpus.rows(None), tiny.corpus.halves["dev"]
    ids = tiny.text(tiny.suite["init"], "eng", dev).ids
    expected = bigram_bits(ids, tiny.text(tiny.suite["init"], "eng", rows), 259)
    assert (tiny.bits(BIGRAM, "eng", rows) == expected).all()


def planted(evaluator: Evaluator, bits: dict[str, tuple[float, float]], language: str) -> None:
    """Have the store say what models need for every sentence of the dev half and of the test half."""
    corpus = evaluator.corpus
    for name, halves in bits.items():
        known = np.zeros(len(corpus.documents))
        for half, value in zip(("dev", "test"), halves, strict=True):
            known[corpus.halves[half]] = value
        evaluator.store.write(evaluator.key(name, language), known)


def without_references(folder, store, documents: bool = True) -> Evaluator:
    suite = open_suite(folder)
    assert suite.corpus
    corpus = suite.corpus if documents else replace(suite.corpus, has_documents=False)
    checkpoints = tuple(replace(c, role="other") if c.role == "mono" else c for c in suite.checkpoints)
    return Evaluator(replace(suite, checkpoints=checkpoints, corpus=corpus), Store(store), CPU)


@pytest.mark.parametrize("documents", [True, False])
def test_costs_without_a_reference_are_counted_from_the_best_parent_on_the_dev_half(documents, suite_folder, tmp_path):
    """One parent is best on the dev half, another on the sentences that are reported."""
    evaluator = without_references(suite_folder, tmp_path / "planted", documents)
    recipe = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    planted(evaluator, {"mono-eng": (10.0, 30.0), "mono-deu": (20.0, 25.0)}, "eng")
    table = evaluator.table(Request((("merge", recipe),), ("eng",)))
    best, bits = ("mono-eng", 30.0) if documents else ("mono-deu", None)
    row = table.frame.iloc[0]
    assert row["reference"] == f"best parent: {best}"
    if bits:
        assert row["cost"] == pytest.approx(row["bits_per_sentence"] - bits)
    (note,) = (note for note in table.notes if "best parent" in note)
    assert ("these very sentences" in note) != documents
    glimpse = finish(evaluator.glimpse_steps(Request((("merge", recipe),), ("eng",))))
    assert glimpse.frame["reference"].tolist() == [f"best parent: {best}"]
    sentences = finish(sentence_steps(evaluator, recipe, ("eng",)))
    assert set(sentences.frame["reference"]) == {best}


def test_the_best_on_dev_needs_a_dev_half(suite_folder, tmp_path):
    evaluator = without_references(suite_folder, tmp_path / "none", documents=False)
    with pytest.raises(UserError, match="dev half"):
        evaluator.bits(Ensemble(NAMES, BEST), "eng", evaluator.corpus.rows(2))
