"""Continuations: parity with transformers, probabilities derived twice, seeds, interruption, ends, bad input."""

import math
import shutil
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import gpt2, llama
from torch import nn
from transformers import AutoModelForCausalLM, TopPLogitsWarper

from interference.checkpoint import build
from interference.corpus import Corpus
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.generate import (
    Question,
    Sampling,
    answer_steps,
    continuation_steps,
    default_models,
    default_prompt,
    equal_merge,
    speaker,
)
from interference.losses import TokenizedText, token_bits
from interference.recipe import Recipe
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite

PROMPT = "Zwei Vögel"
SAMPLED: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0}
GREEDY: dict[str, Any] = {"temperature": 0.0, "top_p": 1.0, "seed": 0}


class Scripted(nn.Module):
    """A model without a cache that is certain of one text and then of the end."""

    def __init__(self, ids: list[int], vocabulary: int = 259, end: int = 1):
        super().__init__()
        self.config = SimpleNamespace(eos_token_id=end)
        self.embedding = nn.Embedding(vocabulary, 1)
        self.ids = [*ids, end]
        self.lengths: list[int] = []

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        self.lengths.append(input_ids.shape[1])
        logits = torch.full((1, input_ids.shape[1], self.embedding.num_embeddings), -50.0)
        logits[0, -1, self.ids[input_ids.shape[1] - 1]] = 50.0
        return SimpleNamespace(logits=logits)


def say(network, tokenizer, prompt=PROMPT, limit=64, **how):
    return finish(continuation_steps(network, tokenizer, prompt, Sampling(**(GREEDY | {"length": 20} | how)), limit))


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("prompt", [PROMPT, ""])
def test_greedy_is_what_transformers_generates(make, prompt, tokenizer):
    """Token by token, also where the text ends before its length."""
    for seed in range(4):
        network = make(seed)
        ids = [0, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
        found = network.generate(
            torch.tensor([ids]), do_sample=False, max_new_tokens=20, eos_token_id=1, pad_token_id=2
        )[0, len(ids) :]
        assert [token.id for token in say(network, tokenizer, prompt).tokens] == found.tolist()


def test_greedy_on_a_trained_model_ends_where_transformers_does():
    checkpoint = open_suite()["mono-deu"]
    network = AutoModelForCausalLM.from_pretrained(checkpoint.path, dtype=torch.float32).eval()
    ids = [0, *checkpoint.tokenizer(PROMPT, add_special_tokens=False)["input_ids"]]
    expected = network.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=60)[0, len(ids) :]
    found = say(network, checkpoint.tokenizer, length=60)
    assert [token.id for token in found.tokens] == expected.tolist()
    assert found.ended == "end"
    assert [token.ends for token in found.tokens] == [False] * (len(found.tokens) - 1) + [True]
    assert found.tokens[-1].text == ""
    assert found.text == checkpoint.tokenizer.decode(expected[:-1])


@pytest.mark.parametrize("make", [llama, gpt2])
def test_probabilities_are_those_that_losses_are_made_of(make, tokenizer):
    """Read again as one text, the prompt and what was written need the bits of the tokens as they were chosen."""
    network = make(1)
    found = say(network, tokenizer, temperature=0.7, top_p=0.8, seed=3)
    ids = (*tokenizer(PROMPT, add_special_tokens=False)["input_ids"], *(token.id for token in found.tokens))
    text = TokenizedText((ids,), 0, "BOS", (0,), (True,), None)
    bits = token_bits(network, text)[0][-len(found.tokens) :]
    assert [token.bits for token in found.tokens] == pytest.approx(bits, abs=1e-4)
    assert found.bits_per_token == pytest.approx(bits.mean(), abs=1e-4)


def test_same_seed_same_text(tokenizer):
    network = llama(1)
    texts = [say(network, tokenizer, **SAMPLED, seed=seed) for seed in (5, 5, 6)]
    assert texts[0] == texts[1]
    assert texts[0].text != texts[2].text


def test_temperature_and_top_p_towards_zero_are_greedy(tokenizer):
    network = llama(1)
    greedy = say(network, tokenizer)
    assert say(network, tokenizer, temperature=1e-6, seed=4) == greedy
    assert say(network, tokenizer, temperature=1.0, top_p=1e-9, seed=4) == greedy


def first_draws(network, tokenizer, draws: int, **how) -> Counter:
    return Counter(say(network, tokenizer, length=1, seed=seed, **how).tokens[0].id for seed in range(draws))


def test_draws_follow_the_probabilities(tokenizer):
    """Of 300 draws each token takes its share at this temperature, within five standard errors."""
    network, draws = llama(1), 300
    ids = torch.tensor([[0, *tokenizer(PROMPT, add_special_tokens=False)["input_ids"]]])
    shares = (network(input_ids=ids).logits[0, -1].double() / 0.4).softmax(dim=-1).detach().numpy()
    counts = first_draws(network, tokenizer, draws, temperature=0.4)
    found = np.array([counts[token] for token in range(259)])
    assert (np.abs(found - draws * shares) <= 5 * np.sqrt(draws * shares * (1 - shares)) + 1).all()
    assert len(counts) > 5


def test_top_p_keeps_what_transformers_keeps(tokenizer):
    network = llama(1)
    ids = torch.tensor([[0, *tokenizer(PROMPT, add_special_tokens=False)["input_ids"]]])
    scores = TopPLogitsWarper(0.3)(ids, network(input_ids=ids).logits[:, -1].detach())
    kept = set(torch.isfinite(scores[0]).nonzero()[:, 0].tolist())
    assert 2 < len(kept) < 60
    assert set(first_draws(network, tokenizer, 250, temperature=1.0, top_p=0.3)) == kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_others_between_two_tokens_change_nothing(dtype, temperature, suite_folder, tmp_path):
    """Another model takes the network after every token: the same text with the same probabilities to the bit."""
    shutil.copytree(suite_folder, tmp_path / "suite")
    for name in ("mono-eng", "mono-deu", "mixed", "init"):
        model = AutoModelForCausalLM.from_pretrained(suite_folder / name, dtype=dtype)
        model.save_pretrained(tmp_path / "suite" / name)
    evaluator = Evaluator(open_suite(tmp_path / "suite"), Store(tmp_path), torch.device("cpu"))
    merge = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    question = Question((("mono-eng", "mono-eng"), ("merge", merge)), PROMPT, Sampling(12, temperature, 1.0, 3))
    alone = finish(answer_steps(evaluator, question))
    steps, yields = answer_steps(evaluator, question), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            disturbed = end.value
            break
        yields += 1
        evaluator.networks.put(("mixed", "init")[yields % 2])
    assert yields == sum(len(c.tokens) for c in alone.continuations) > 12
    assert disturbed == alone


def test_without_putting_the_weights_back_the_text_is_another(tiny):
    """The control of the test above: what is kept of earlier tokens does not save a text."""
    tokenizer = tiny.suite["mono-eng"].tokenizer
    steps = continuation_steps(tiny.networks.put("mono-eng"), tokenizer, PROMPT, Sampling(12, **GREEDY))
    alone = [token.id for token in finish_list(steps)]
    steps = continuation_steps(tiny.networks.put("mono-eng"), tokenizer, PROMPT, Sampling(12, **GREEDY))
    first = next(steps)
    tiny.networks.put("mixed")
    assert [first.id, *(token.id for token in finish_list(steps))] != alone


def finish_list(steps) -> list:
    found: list = []
    finish(steps, found.append)
    return found


def test_every_token_is_told_as_it_is_written(tiny):
    """In order, with the number of its model, before the share that is done goes up. Reading takes steps too."""
    told, shares = [], []
    question = Question((("a", "mono-eng"), ("b", "mixed")), PROMPT, Sampling(5))
    answers = finish(
        answer_steps(tiny, question, lambda n, token: told.append((n, token))),
        lambda share: shares.append((share, len(told))),
    )
    assert told == [(n, token) for n, c in enumerate(answers.continuations) for token in c.tokens]
    assert list(dict.fromkeys(count for share, count in shares if share)) == list(range(1, len(told) + 1))
    assert [share for share, _ in shares] == sorted(share for share, _ in shares)
    assert shares[-1][0] <= 1


def test_characters_split_over_tokens_are_shown_whole(tokenizer):
    """Three bytes of one character: two tokens add nothing, the third the character; whatever ends, no broken sign."""
    text = "漂a é🙂."
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    whole = say(Scripted(ids), tokenizer, "", length=40)
    assert [t.text for t in whole.tokens] == ["", "", "漂", "a", " ", "", "é", "", "", "", "🙂", ".", ""]
    assert whole.text == text
    assert whole.ended == "end"
    for length in range(1, len(ids) + 1):
        cut = say(Scripted(ids), tokenizer, "", length=length)
        assert "\ufffd" not in cut.text
        assert text.startswith(cut.text)
        assert cut.ended == "length"


def test_bytes_that_are_no_character_are_shown_once_it_is_certain(tokenizer):
    lone = tokenizer("漂", add_special_tokens=False)["input_ids"][:1]
    letter = tokenizer("a", add_special_tokens=False)["input_ids"]
    assert [t.text for t in say(Scripted([*lone, *letter]), tokenizer, "").tokens] == ["", "\ufffda", ""]


def test_a_model_without_a_cache_reads_all_anew_and_one_with_it_the_last_token(tokenizer):
    network = Scripted([5, 6, 7])
    say(network, tokenizer, "")
    assert network.lengths == [1, 2, 3, 4]
    cached, seen = llama(1), []
    cached.register_forward_pre_hook(lambda m, a, k: seen.append(k["input_ids"].shape[1]), with_kwargs=True)
    say(cached, tokenizer, "ab", length=4)
    assert seen == [3, 1, 1, 1]


def test_the_context_ends_the_text(tokenizer):
    """64 positions: the prefix, 60 of the prompt and three tokens are read, the fourth is written and not read."""
    found = say(llama(1), tokenizer, "a" * 60, length=40)
    assert (len(found.tokens), found.ended) == (4, "context")
    assert len(say(llama(1), tokenizer, "a" * 63).tokens) == 1
    with pytest.raises(UserError, match="64 tokens, and this model reads at most 63"):
        say(llama(1), tokenizer, "a" * 64)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": 11.0}, "temperature is 11.0"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"top_p": 0.0}, "Top-p is 0.0"),
        ({"top_p": 1.01}, "Top-p is 1.01"),
        ({"length": 0}, "0 tokens"),
        ({"length": 100_000}, "100000 tokens"),
        ({"seed": 2**64}, "seed 18446744073709551616"),
    ],
)
def test_how_to_choose_is_checked(tokenizer, how, message):
    with pytest.raises(UserError, match=message):
        say(llama(1), tokenizer, **how)


def test_weights_that_overflow_are_named(tiny):
    broken = Recipe("linear", ("mono-eng", "mono-deu"), (3.3e38, 3.3e38), (("normalize", False),))
    with pytest.raises(UserError, match=r"^broken: .*not finite"):
        finish(answer_steps(tiny, Question((("mixed", "mixed"), ("broken", broken)), PROMPT)))


def test_tokens_that_the_model_lacks_are_named(tokenizer):
    with pytest.raises(UserError, match="the model knows 100"):
        say(build(llama(1, vocab_size=100).config), tokenizer)


def test_answers_as_tables(tiny):
    """One row per model and one per token; what they carry says how they were made."""
    merge = equal_merge(tiny.suite)
    question = Question(default_models(tiny.suite, "deu", merge), PROMPT, Sampling(6, 0.5, 0.9, 7))
    answers = finish(answer_steps(tiny, question))
    summary, tokens = answers.summary(), answers.tokens()
    assert list(summary["model"]) == ["mono-deu", "merge", "mixed"]
    assert tokens.groupby("model", sort=False)["text"].sum().tolist() == list(summary["continuation"])
    assert tokens.groupby("model", sort=False)["bits"].mean().to_numpy() == pytest.approx(summary["bits_per_token"])
    assert tokens["bits"].to_numpy() == pytest.approx(-np.log2(tokens["probability"]))
    assert answers.provenance["seed"] == "7"
    assert answers.provenance["recipes"] == merge.to_yaml()
    assert f"merge {summary['bits_per_token'][1]:.2f} (6 tokens" in answers.sentence()


def test_who_is_asked_unless_told(suite_folder):
    suite = open_suite(suite_folder)
    merge = equal_merge(suite)
    assert (merge.method, merge.models, merge.weights) == ("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    assert [name for name, _ in default_models(suite, "eng", merge, ["mixed", "init"])] == ["mixed", "init", "merge"]
    assert [name for name, _ in default_models(suite, "eng", None)] == ["mono-eng", "mixed"]


def test_of_several_checkpoints_of_a_language_the_latest_is_asked(suite_folder):
    """Not the first of the suite, which speaks another language or is untrained."""
    opened = open_suite(suite_folder)
    places = (("init", None, None), ("eng-1", "eng", 1), ("deu-9", "deu", 9), ("deu-1", "deu", 1))
    made = tuple(
        replace(opened["init"], name=name, role="mono" if language else "other", language=language, step=step)
        for name, language, step in places
    )
    suite = replace(opened, checkpoints=made)
    assert [speaker(suite, language) for language in ("eng", "deu", "fra")] == ["eng-1", "deu-9", "init"]
    assert [name for name, _ in default_models(suite, "deu", None)] == ["deu-9"]


@pytest.mark.parametrize(
    ("sentence", "prompt"),
    [
        ("Who sleeps?", "Who"),
        ("One two three four five six seven eight nine ten.", "One two three four"),
        ("有一只漂亮的猫前往了那些商店。", "有一只漂亮的"),
        ("猫睡。", "猫"),
        ("Fire!", "Fi"),
    ],
)
def test_prompt_is_how_the_first_test_sentence_begins(sentence, prompt):
    corpus = Corpus("c", {"xyz": (sentence, "other")}, ("a", "b"), True)
    assert default_prompt(corpus, "xyz") == prompt
