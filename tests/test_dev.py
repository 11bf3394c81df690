"""What is measured on the dev half: against plain computations, and never on the test half."""

import dataclasses
import math
from collections import Counter
from functools import partial
from typing import Any

import pytest
import torch
from conftest import gpt2, llama, write_checkpoint

from interference import dev as measuring
from interference.corpus import Corpus
from interference.dev import DevHalf
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.layout import linear_layers, token_rows, transposed
from interference.learn import learn_steps
from interference.losses import sentence_bits, tokenize
from interference.recipe import Recipe
from interference.steps import finish
from interference.store import Store
from interference.suite import Suite, open_suite

CPU = torch.device("cpu")
PAIR = ("mono-eng", "mono-deu")
EMBEDDING = "model.embed_tokens.weight"
UP = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture
def suite(suite_folder) -> Suite:
    return open_suite(suite_folder)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(measuring, "SENTENCES", 4)


def with_text(suite: Suite, change) -> Suite:
    """The suite with every sentence changed by (half, sentence)."""
    corpus = suite.corpus
    assert corpus is not None
    dev = set(corpus.halves["dev"].tolist())
    sentences = {
        code: tuple(change("dev" if row in dev else "test", text) for row, text in enumerate(texts))
        for code, texts in corpus.sentences.items()
    }
    return dataclasses.replace(suite, corpus=dataclasses.replace(corpus, sentences=sentences))


def own_text(suite: Suite, language: str, count: int | None = None) -> list[list[int]]:
    corpus = suite.corpus
    text = corpus.text(language, corpus.rows(count, "dev"))
    return suite["mixed"].tokenizer(text, add_special_tokens=False)["input_ids"]


def test_counts_are_those_of_the_parents_language(suite):
    """For the embedding and nothing else; a parent without a language counts all of them."""
    source = partial(DevHalf(suite, CPU).source, "counts")
    tokens = {code: Counter(t for ids in own_text(suite, code) for t in ids) for code in ("eng", "deu")}
    for name, expected in (("mono-deu", tokens["deu"]), ("mixed", tokens["eng"] + tokens["deu"])):
        counts = source(name, EMBEDDING)
        assert counts is not None
        assert {i: int(n) for i, n in enumerate(counts) if n} == dict(expected)
        assert source(name, UP) is None


def test_fisher_is_the_mean_square_of_a_sentences_gradient(suite, few):
    """Against transformers' own loss, which is a mean over tokens, sentence by sentence."""
    dev = DevHalf(suite, CPU)
    network = dev.network("mono-eng")
    expected = torch.zeros_like(network.get_parameter(UP))
    lines = own_text(suite, "eng", 4)
    for ids in lines:
        network.zero_grad()
        line = torch.tensor([[0, *ids]])
        (network(input_ids=line, labels=line).loss * len(ids)).backward()
        expected += network.get_parameter(UP).grad.square() / len(lines)
    torch.testing.assert_close(dev.source("fisher", "mono-eng", UP), expected, rtol=1e-3, atol=1e-6)
    assert {dev.source("fisher", "mono-eng", name) is None for name in suite["mixed"].shapes} == {False}


def test_grams_are_those_of_the_layers_inputs(suite, few):
    """Of a layer whose inputs can be had otherwise: the first layer's queries read the normed embeddings."""
    dev = DevHalf(suite, CPU)
    network: Any = dev.network("mono-eng")
    ids = torch.tensor([token for line in own_text(suite, "eng", 4) for token in [0, *line[:-1]]])
    inputs = network.model.layers[0].input_layernorm(network.get_input_embeddings()(ids)).detach()
    found = dev.source("grams", "mono-eng", "model.layers.0.self_attn.q_proj.weight")
    torch.testing.assert_close(found, inputs.T @ inputs / len(ids), rtol=1e-4, atol=1e-5)
    assert dev.source("grams", "mono-eng", EMBEDDING) is None  # the tied head's matrix
    assert dev.source("grams", "mono-eng", "model.layers.1.mlp.down_proj.weight").shape == (48, 48)


def test_a_gram_reproduces_a_layers_own_outputs_where_matrices_are_stored_transposed(tokenizer, tmp_path):
    """GPT-2: RegMean of one parent with itself is the parent, and each Gram has the size of its inputs."""
    for name in "ab":
        write_checkpoint(gpt2(ord(name)), tokenizer, tmp_path / name)
    text = {"eng": tuple(f"Sentence {i}." for i in range(8))}
    suite = dataclasses.replace(open_suite(tmp_path), corpus=Corpus("x", text, tuple("aabbccdd"), True))
    evaluator = Evaluator(suite, Store(tmp_path / "store"), CPU)
    gram = partial(evaluator.dev.source, "grams")
    assert gram("a", "transformer.h.0.mlp.c_fc.weight").shape == (32, 32)
    assert gram("a", "transformer.h.0.mlp.c_proj.weight").shape == (128, 128)
    assert transposed(suite["a"].meta) == set(linear_layers(suite["a"].meta))
    assert token_rows(suite["a"].meta) == ("transformer.wte.weight",)
    network = evaluator.networks.put(Recipe("regmean", ("a", "b"), (1.0, 0.0)))
    for name, tensor in suite["a"].tensors():
        torch.testing.assert_close(network.get_parameter(name).detach(), tensor, rtol=1e-4, atol=1e-5)


def test_batches_are_the_text_padded_on_the_right(suite):
    batches = DevHalf(suite, CPU).batches(PAIR, 5, 4)
    lines = [ids[mask].tolist() for batch in batches for ids, mask in zip(batch.ids, batch.mask, strict=True)]
    expected = [[0, *ids] for code in ("eng", "deu") for ids in own_text(suite, code, 5)]
    assert sorted(lines) == sorted(expected)
    assert all(int(b.scored.sum()) == int(b.mask.sum()) - len(b.ids) for b in batches)


def test_nats_are_the_sum_over_the_text(suite):
    """However the sentences are put together."""
    dev = DevHalf(suite, CPU)
    network = dev.network("mono-eng")
    sums = [
        sum(b.nats(network(input_ids=b.inputs).logits).item() for b in dev.batches(PAIR, 6, size)) for size in (1, 5)
    ]
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)


def test_an_unknown_token_costs_what_it_costs_in_a_loss(suite):
    """Log of the vocabulary, whatever the network says of it: so nothing is measured or learned of UNK."""
    checkpoint = suite["mono-eng"]
    checkpoint.tokenizer.unk_token = "e"
    dev = DevHalf(suite, CPU)
    text = tokenize(checkpoint.tokenizer, suite.corpus.text("eng", dev.rows(6)))
    assert sum(text.unknown)
    network, batches = dev.network("mono-eng"), dev.batches(["mono-eng"], 6, 4)
    found = sum(b.nats(network(input_ids=b.inputs).logits).item() for b in batches)
    assert found == pytest.approx(sentence_bits(network, text).sum() * math.log(2), rel=1e-5)


def test_what_is_known_is_not_measured_again(suite, few, monkeypatch):
    """By model and kind; what other merges need is dropped beyond the bound, what this one needs never."""
    measured: list[tuple[str, str]] = []

    def counting(kind, measure):
        def run(dev, name):
            measured.append((kind, name))
            return (yield from measure(dev, name))

        return run

    monkeypatch.setattr(measuring, "_MEASURES", {k: counting(k, m) for k, m in measuring._MEASURES.items()})
    monkeypatch.setattr(measuring, "_ROOM", 1)
    dev = DevHalf(suite, CPU)
    first = Recipe("linear", PAIR, (0.5, 0.5), post=("vocabulary_rows",))
    for recipe in (first, dataclasses.replace(first, weights=(0.1, 0.9)), Recipe("fisher", PAIR, (0.5, 0.5)), first):
        finish(dev.steps(recipe))
    pairs = {kind: [(kind, name) for name in PAIR] for kind in ("counts", "fisher")}
    assert measured == pairs["counts"] + pairs["fisher"] + pairs["counts"]


def test_measurements_that_do_not_fit_are_refused_before_they_are_made(suite, monkeypatch):
    monkeypatch.setattr(measuring, "free_bytes", lambda device: 1000)
    with pytest.raises(UserError, match=r"needs .* GiB of memory.*Merge fewer models"):
        finish(DevHalf(suite, CPU).steps(Recipe("regmean", PAIR, (0.5, 0.5))))


def test_without_a_dev_half_nothing_is_measured(suite):
    corpus = dataclasses.replace(suite.corpus, has_documents=False)
    for broken, words in ((corpus, "without documents.*'document'"), (None, "no corpus")):
        with pytest.raises(UserError, match=words):
            finish(DevHalf(dataclasses.replace(suite, corpus=broken), CPU).steps(Recipe("fisher", PAIR, (0.5, 0.5))))


def test_a_parent_whose_language_the_corpus_lacks_is_refused(suite):
    corpus = dataclasses.replace(suite.corpus, sentences={"eng": suite.corpus.sentences["eng"]})
    with pytest.raises(UserError, match="mono-deu has to be measured on its language 'deu'"):
        DevHalf(dataclasses.replace(suite, corpus=corpus), CPU).languages(PAIR)


DRIVEN = {
    "fisher": Recipe("fisher", PAIR, (0.5, 0.5)),
    "regmean": Recipe("regmean", PAIR, (0.5, 0.5)),
    "vocabulary_rows": Recipe("linear", PAIR, (0.5, 0.5), post=("vocabulary_rows",)),
    "repair": Recipe("linear", PAIR, (0.5, 0.5), post=("repair",)),
    "finetune": Recipe("linear", PAIR, (0.5, 0.5), post=("finetune",)),
}


def merged(suite: Suite, recipe: Recipe, folder) -> dict[str, torch.Tensor]:
    network = Evaluator(suite, Store(folder), CPU).networks.put(recipe)
    return {name: p.detach().clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize("name", DRIVEN)
def test_nothing_that_is_measured_reads_the_test_half(name, suite, few, tmp_path):
    """A poisoned test half changes no weight of the merge; a changed dev half does."""
    there = merged(suite, DRIVEN[name], tmp_path / "a")
    poisoned = with_text(suite, lambda half, text: "@@@@@" if half == "test" else text)
    same = merged(poisoned, DRIVEN[name], tmp_path / "b")
    changed = merged(with_text(suite, lambda half, text: f"{text}@" if half == "dev" else text), DRIVEN[name], tmp_path)
    assert all(torch.equal(there[n], same[n]) for n in there)
    assert not all(torch.equal(there[n], changed[n]) for n in there)


def test_learning_does_not_read_the_test_half(suite, tmp_path):
    recipe, found = Recipe("linear", PAIR, (0.5, 0.5)), []
    poisoned = with_text(suite, lambda half, text: "@@@@@" if half == "test" else text)
    changed = with_text(suite, lambda half, text: f"{text}@" if half == "dev" else text)
    for number, one in enumerate((suite, poisoned, changed)):
        evaluator = Evaluator(one, Store(tmp_path / str(number)), CPU)
        found.append(finish(learn_steps(evaluator, recipe, ("eng", "deu"), "model", 6, 0.01)))
    assert found[0] == found[1] != found[2]


def test_results_depend_on_the_text_and_the_languages_that_were_measured(suite, tmp_path):
    from interference.scored import model_digest

    changed = with_text(suite, lambda half, text: f"{text}@" if half == "dev" else text)
    spoken = tuple(dataclasses.replace(c, language="eng") for c in suite.checkpoints)
    for other in (changed, dataclasses.replace(suite, checkpoints=spoken)):
        for recipe in DRIVEN.values():
            assert model_digest(suite, recipe) != model_digest(other, recipe)
        plain = Recipe("linear", PAIR, (0.5, 0.5))
        assert model_digest(suite, plain) == model_digest(other, plain)


def test_an_untied_head_has_a_gram_and_token_rows():
    network = llama(0, tie_word_embeddings=False)
    assert token_rows(network) == (EMBEDDING, "lm_head.weight")
    assert "lm_head.weight" in linear_layers(network)
    assert not transposed(network)
