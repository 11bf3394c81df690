"""Bits of a text: closed forms, a second derivation, the prefix, windows, unknown tokens, batches."""

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ENGLISH, GERMAN, gpt2, llama
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import PreTrainedTokenizerFast, tokenization_utils_base

from interference import losses
from interference.corpus import Corpus
from interference.errors import UserError
from interference.losses import (
    TokenizedText,
    bigram_bits,
    long_notes,
    padded,
    prefix_token,
    sentence_bits,
    sentence_bits_steps,
    tokenize,
    unigram_bits,
    windows,
)
from interference.steps import finish
from interference.tables import LossTable, Subject, loss_table

BYTES, PREFIX = 256, 256
TEXTS = ("Здравствуй, мир", "こんにちは世界", "नमस्ते दुनिया", "Merhaba dünya", "Zażółć gęślą jaźń")


class Toy(nn.Module):
    """A language model given by a function from token ids to logits; it remembers the ids that it was shown."""

    def __init__(self, vocabulary: int, logits):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=vocabulary)
        self.output = nn.Linear(1, vocabulary)
        self.logits = logits
        self.seen: list = []

    def get_output_embeddings(self) -> nn.Linear:
        return self.output

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> SimpleNamespace:
        self.seen += input_ids.tolist()
        return SimpleNamespace(logits=self.logits(input_ids))


def uniform(vocabulary: int) -> Toy:
    return Toy(vocabulary, lambda ids: torch.zeros(*ids.shape, vocabulary))


def repeater() -> Toy:
    """Uniform over 256 bytes after the prefix, else the previous byte again with 1/2, each other one with 1/2/255."""

    def logits(ids: torch.Tensor) -> torch.Tensor:
        again = torch.full((BYTES + 1, BYTES), 0.5 / 255).fill_diagonal_(0.5)
        again[PREFIX] = 1 / BYTES
        return again.log()[ids]

    return Toy(BYTES, logits)


def byte_text(*sentences: str) -> TokenizedText:
    ids = tuple(tuple(s.encode()) for s in sentences)
    return TokenizedText(ids, PREFIX, "BOS", (0,) * len(ids), (True,) * len(ids), None)


def ids_text(*ids: tuple[int, ...], prefix: int = 0, unknown: int | None = None) -> TokenizedText:
    return TokenizedText(ids, prefix, "BOS", tuple(i.count(unknown) for i in ids), (True,) * len(ids), unknown)


def one_language(bits: np.ndarray, sentences: tuple[str, ...]) -> LossTable:
    """The loss table of one model on one language without documents."""
    corpus = Corpus("made", {"eng": sentences}, tuple(map(str, range(len(sentences)))), False)
    return loss_table([Subject("m")], {("m", "eng"): bits}, corpus, corpus.rows(None), {}, None)


def plain_bits(model: nn.Module, prefix: int, ids: tuple[int, ...]) -> float:
    """The second derivation: one sentence, log-softmax in float64, a loop over positions."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[prefix, *ids]])).logits[0].double()
    return -sum(float(logits[i].log_softmax(-1)[token]) for i, token in enumerate(ids)) / math.log(2)


# Closed forms


@pytest.mark.parametrize("text", TEXTS)
def test_uniform_byte_model_needs_exactly_eight_bits_per_byte(text):
    """In every script, on the bytes as they are given."""
    bits = sentence_bits(uniform(BYTES), byte_text(text))
    assert bits[0] == pytest.approx(8 * len(text.encode()), rel=1e-7)
    assert one_language(bits, (text,)).frame["bits_per_byte"][0] == pytest.approx(8, rel=1e-7)


@pytest.mark.parametrize(
    ("text", "characters", "size", "per_character"),
    list(zip(TEXTS, (15, 7, 13, 13, 17), (28, 21, 37, 14, 26), (14.9333, 24.0, 22.7692, 8.6154, 12.2353), strict=True)),
)
def test_uniform_bits_per_character_depend_on_the_script(text, characters, size, per_character):
    """Why the unit is not the character: one model, one cost of a byte, up to threefold costs of a character."""
    assert (len(text), len(text.encode())) == (characters, size)
    assert sentence_bits(uniform(BYTES), byte_text(text))[0] / characters == pytest.approx(per_character, abs=5e-5)


@pytest.mark.parametrize("vocabulary", [2, 259, 32_000])
def test_zero_logits_cost_log2_of_the_vocabulary_each_token(vocabulary):
    texts = ids_text((1,), (1, 0, 1, 1), (0,) * 77)
    expected = np.array([1, 4, 77]) * math.log2(vocabulary)
    np.testing.assert_allclose(sentence_bits(uniform(vocabulary), texts), expected, rtol=1e-6)


def test_toy_model_on_aab():
    """8 for the first byte, 1 for its repetition, 8.994353 for another: other conventions give other numbers."""
    bits = sentence_bits(repeater(), byte_text("aab"))
    assert bits[0] == pytest.approx(17.994353, abs=1e-6)
    per_byte = one_language(bits, ("aab",)).frame["bits_per_byte"][0]
    assert per_byte == pytest.approx(5.998118, abs=1e-6)
    without_first = bits[0] - 8
    assert without_first / 3 == pytest.approx(3.331451, abs=1e-6)
    assert without_first / 2 == pytest.approx(4.997177, abs=1e-6)
    assert abs(per_byte - without_first / 3) > 1
    assert abs(per_byte - without_first / 2) > 1


def test_bits_per_byte_are_a_ratio_of_sums_and_never_a_mean_of_ratios():
    """Three sentences with known costs: micro 1.243703, macro 1.987713; perplexity 17.8967, mean perplexity 71.7313."""
    nats, sizes, tokens = np.array([10.0, 100, 40]), np.array([4, 120, 50]), np.array([2, 40, 10])
    row = one_language(nats / math.log(2), tuple("x" * size for size in sizes)).frame.iloc[0]
    assert row["bits_per_byte"] == pytest.approx(1.243703, abs=1e-6)
    assert np.mean(nats / math.log(2) / sizes) == pytest.approx(1.987713, abs=1e-6)
    assert math.exp(row["bits"] * math.log(2) / tokens.sum()) == pytest.approx(17.8967, abs=1e-4)
    assert np.mean(np.exp(nats / tokens)) == pytest.approx(71.7313, abs=1e-4)


def test_bits_per_byte_are_log2_of_the_byte_perplexity():
    """Published figures of one model on one text: byte and word perplexity and bits per byte belong together."""
    per_byte = 0.5864857250704371
    row = one_language(np.array([per_byte * 1000]), ("x" * 1000,)).frame.iloc[0]
    byte_perplexity = math.exp(row["bits"] * math.log(2) / row["bytes"])
    assert byte_perplexity == pytest.approx(1.5015845643537054, rel=1e-12)
    assert row["bits_per_byte"] == pytest.approx(math.log2(byte_perplexity), rel=1e-12)
    assert math.log2(8.792073612124492) / row["bits_per_byte"] == pytest.approx(5.347451, abs=1e-6)


# A second derivation on real architectures


@pytest.mark.parametrize("make", [llama, gpt2])
def test_bits_equal_those_of_a_plain_loop(make, tokenizer):
    model, text = make(1), tokenize(tokenizer, (*ENGLISH, *GERMAN))
    expected = [plain_bits(model, text.prefix, ids) for ids in text.ids]
    np.testing.assert_allclose(sentence_bits(model, text), expected, atol=1e-3)


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("batch_tokens", [1, 50, 8192])
def test_batched_equals_unbatched(make, batch_tokens, tokenizer):
    """Within 1e-3 bits: padding is never seen and every sentence gets its own sum back."""
    model, text = make(2), tokenize(tokenizer, (*GERMAN, "x", *ENGLISH))
    alone = np.concatenate([sentence_bits(model, tokenize(tokenizer, [s])) for s in (*GERMAN, "x", *ENGLISH)])
    np.testing.assert_allclose(sentence_bits(model, text, batch_tokens=batch_tokens), alone, atol=1e-3)


def test_logits_held_in_parts_give_the_same_bits(tokenizer, monkeypatch):
    model, text = llama(2), tokenize(tokenizer, ENGLISH)
    whole = sentence_bits(model, text)
    monkeypatch.setattr("interference.losses._LOGIT_ELEMENTS", 1)
    np.testing.assert_allclose(sentence_bits(model, text), whole, atol=1e-3)


def test_order_of_the_sentences_does_not_matter(tokenizer):
    model = llama(2)
    there = sentence_bits(model, tokenize(tokenizer, ENGLISH))
    back = sentence_bits(model, tokenize(tokenizer, ENGLISH[::-1]))
    np.testing.assert_allclose(there, back[::-1], atol=1e-3)


def test_sentences_of_the_same_tokens_need_the_same_bits_to_the_last_digit():
    """Where another batch rounds otherwise: a pair whose words are both UNK would not tie."""
    model = Toy(BYTES, lambda ids: torch.randn(*ids.shape, BYTES))
    text = TokenizedText(((5, 6), (7, 8), (5, 6), (), (9, 9, 9), (5, 6)), 0, "BOS", (), (), None)
    bits = sentence_bits(model, text, batch_tokens=1)
    assert bits[0] == bits[2] == bits[5]
    assert len(set(bits.tolist())) == 4
    assert sorted(model.seen) == [[0, 5], [0, 7], [0, 9, 9]]


def test_half_precision_logits_are_normalised_in_float32():
    """Logits in bfloat16 over 5,000 tokens: a log-softmax in bfloat16 would be off by whole percents."""
    rounded = torch.randn(5000, generator=torch.Generator().manual_seed(0)).bfloat16()
    model = Toy(5000, lambda ids: rounded.expand(*ids.shape, 5000))
    exact = -float(rounded.double().log_softmax(-1)[7]) / math.log(2)
    assert sentence_bits(model, ids_text((7,) * 60))[0] == pytest.approx(60 * exact, rel=1e-6)
    in_half = -float(rounded.log_softmax(-1)[7]) / math.log(2)
    assert abs(in_half / exact - 1) > 1e-4


def test_many_small_costs_are_summed_in_float64():
    """200,000 tokens: the sum has the relative error of one token's cost, not one that grows with the length."""
    bits = sentence_bits(uniform(3), ids_text((1,) * 200_000), limit=1000)
    one = sentence_bits(uniform(3), ids_text((1,)))[0]
    assert bits[0] == pytest.approx(200_000 * one, rel=1e-12)


def test_steps_stop_after_every_batch_and_end_with_the_same_bits(tokenizer, monkeypatch):
    monkeypatch.setenv("INTERFERENCE_THREADS", "1")
    text = tokenize(tokenizer, ENGLISH)
    batches: list = []
    bits = finish(sentence_bits_steps(llama(1), text, batch_tokens=1), batches.append)
    assert len(batches) == len(ENGLISH)
    np.testing.assert_array_equal(bits, sentence_bits(llama(1), text, batch_tokens=1))


def test_batches_side_by_side_give_the_same_bits(tokenizer, monkeypatch):
    text, before = tokenize(tokenizer, ENGLISH + GERMAN), torch.get_num_threads()
    losses._pool.cache_clear()
    torch.set_num_threads(2)
    monkeypatch.setenv("INTERFERENCE_THREADS", "1")
    alone = sentence_bits(llama(1), text)
    monkeypatch.setenv("INTERFERENCE_THREADS", "3")
    steps: list = []
    together = finish(sentence_bits_steps(llama(1), text, batch_tokens=1), steps.append)
    assert len(steps) == len(ENGLISH + GERMAN) / 3
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(sentence_bits(llama(1), text), alone, atol=1e-4)
    assert sentence_bits(llama(1), tokenize(tokenizer, ())).shape == (0,)
    with ThreadPoolExecutor(1) as later:
        threads = torch.get_num_threads(), later.submit(torch.get_num_threads).result()
    torch.set_num_threads(before)
    assert threads == (2, 2), "threads of torch that are no business of the pool"


_FORKED = """
import os, signal
from interference.losses import _pool
list(_pool(2).map(abs, range(4)))
if not os.fork():
    signal.alarm(20)
    list(_pool(2).map(abs, range(4)))
    os._exit(0)
print(os.wait()[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_scores_with_threads_of_its_own():
    """As workers of multiprocessing do on Linux: those of the process it was forked from are not there."""
    done = subprocess.run([sys.executable, "-c", _FORKED], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "0\n", done.stderr


@pytest.mark.parametrize(("given", "expected"), [("3", 3), ("4,2", 4), ("0", None), ("many", None), ("", None)])
def test_threads_are_those_asked_for_or_torchs(monkeypatch, given, expected):
    monkeypatch.setenv("INTERFERENCE_THREADS", given)
    assert losses._threads() == (expected or torch.get_num_threads())


def test_empty_sentence_costs_nothing_and_no_sentences_give_no_bits():
    assert sentence_bits(uniform(BYTES), byte_text("", "a", "")).tolist() == pytest.approx([0, 8, 0])
    assert sentence_bits(uniform(BYTES), byte_text()).shape == (0,)
    assert sentence_bits(uniform(BYTES), byte_text("")).tolist() == [0]


# The prefix


def test_prefix_is_read_first_and_never_scored():
    """A model that gives the prefix next to no probability anywhere: its bits would show at once."""
    logits = torch.zeros(BYTES + 1)
    logits[PREFIX] = -1000
    model = Toy(BYTES + 1, lambda ids: logits.expand(*ids.shape, BYTES + 1))
    assert sentence_bits(model, byte_text("aab"))[0] == pytest.approx(24, rel=1e-6)
    assert model.seen == [[PREFIX, *b"aa"]]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ({"bos": 5, "cls": 6, "eos": 7}, (5, "BOS")),
        ({"cls": 6, "eos": 7}, (6, "CLS")),
        ({"eos": 0}, (0, "EOS")),
    ],
)
def test_prefix_is_bos_else_cls_else_eos(tokens, expected):
    """Also where its id is 0."""
    ids = {f"{kind}_token_id": tokens.get(kind) for kind in ("bos", "cls", "eos")}
    assert prefix_token(SimpleNamespace(**ids)) == expected


def test_tokenizer_without_a_prefix_is_refused():
    with pytest.raises(UserError, match="no BOS, CLS or EOS"):
        prefix_token(SimpleNamespace(bos_token_id=None))


def adding_tokenizer() -> PreTrainedTokenizerFast:
    """A word-level tokenizer with UNK that puts BOS and EOS around a text by itself unless told not to."""
    words = {"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3, "b": 4}
    fast = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    fast.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def test_special_tokens_of_the_tokenizer_are_left_out():
    """No second BOS before the sentence and no EOS to score after it."""
    assert adding_tokenizer()("a b")["input_ids"] == [0, 3, 4, 1]
    text = tokenize(adding_tokenizer(), ["a b"])
    assert (text.ids, text.prefix, text.prefix_name) == (((3, 4),), 0, "BOS")


def test_texts_are_tokenised_as_given(tokenizer):
    """Blanks at the ends, quotes and decomposed letters survive; each text decodes to itself."""
    texts = ["  two  blanks ", "e\u0301 is not é", "नमस्ते", '"']
    text = tokenize(tokenizer, texts)
    assert [tokenizer.decode(ids) for ids in text.ids] == texts
    assert text.lossless == (True,) * 4
    assert [len(ids) for ids in text.ids] == [len(t.encode()) for t in texts]


def test_a_blank_that_a_tokenizer_puts_before_every_text_loses_nothing(tokenizer):
    """Byte-level ones do that on request, and decoding leaves the blank there; other changes are losses."""
    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    adding = PreTrainedTokenizerFast(tokenizer_object=own, bos_token="<s>")
    assert tokenize(adding, ["two blanks", " one"]).lossless == (True, True)
    own.normalizer = normalizers.Lowercase()
    lower = PreTrainedTokenizerFast(tokenizer_object=own, bos_token="<s>")
    assert tokenize(lower, ["two blanks", "Two"]).lossless == (True, False)


def test_no_sentences_make_an_empty_text(tokenizer):
    assert tokenize(tokenizer, []).ids == ()


# Unknown tokens


def test_unknown_tokens_are_counted_and_the_text_is_not_lossless():
    text = tokenize(adding_tokenizer(), ["a b", "a ß ß"])
    assert text.unknown == (0, 2)
    assert text.lossless == (True, False)


def test_no_padding_token_is_read():
    """Models that know theirs warn of it as of a mistake: short lines are filled up with their own last token."""
    seen: list[list[int]] = []

    def logits(ids: torch.Tensor) -> torch.Tensor:
        seen.extend(ids.tolist())
        return torch.zeros(*ids.shape, 32)

    bits = sentence_bits(Toy(32, logits), ids_text((3, 4), (5, 6, 7, 8), prefix=9))
    assert bits == pytest.approx([10, 20])
    assert set(map(tuple, seen)) == {(9, 3, 4, 4), (9, 5, 6, 7)}
    assert padded([(3, 5), (1, 2, 4)]).tolist() == [[3, 5, 5], [1, 2, 4]]


def test_unknown_token_costs_log2_of_the_vocabulary():
    """However sure the model is of the next UNK, a script it can't read is not cheap; other tokens keep their cost."""
    logits = torch.zeros(32)
    logits[2] = 1000.0
    model = Toy(32, lambda ids: logits.expand(*ids.shape, 32))
    assert sentence_bits(model, ids_text((2, 2, 2), unknown=2))[0] == pytest.approx(3 * 5)
    assert sentence_bits(model, ids_text((2, 2, 2), unknown=None))[0] == pytest.approx(0, abs=1e-6)
    assert sentence_bits(model, ids_text((2, 3), unknown=2))[0] == pytest.approx(5 + 1000 / math.log(2))


# Windows


def read(length: int, limit: int) -> list[tuple[list, list]]:
    """(input tokens, scored tokens) of each window; B is the prefix and token k is k."""
    tokens = ["B", *range(length)]
    return [(tokens[first : end - 1], tokens[scored:end]) for first, scored, end in windows(length, limit)]


def test_windows_of_ten_tokens_by_four():
    assert read(10, 4) == [
        (["B", 0, 1, 2], [0, 1, 2, 3]),
        ([3, 4, 5, 6], [4, 5, 6, 7]),
        ([5, 6, 7, 8], [8, 9]),
    ]


def test_last_window_of_34_tokens_by_ten_keeps_full_left_context():
    assert read(34, 10)[-1] == (list(range(23, 33)), [30, 31, 32, 33])


@pytest.mark.parametrize("length", [0, 1, 2, 9, 10, 11, 20, 57])
@pytest.mark.parametrize("limit", [1, 2, 10, 64])
def test_windows_score_each_token_once_and_never_exceed_the_limit(length, limit):
    found = read(length, limit)
    assert [token for _, scored in found for token in scored] == list(range(length))
    assert all(0 < len(scored) <= len(inputs) <= limit for inputs, scored in found)


def test_long_sentences_are_counted_by_tokenizer():
    assert long_notes({("eng", 256): {1}, ("deu", 256): {3, 5}, ("deu", 512): {2}}) == (
        "1 sentence of eng read in windows of 256 tokens.",
        "3 to 5 sentences of deu read in windows of 256 tokens.",
        "2 sentences of deu read in windows of 512 tokens.",
    )


def test_long_sentence_is_scored_window_by_window(tokenizer):
    """A sentence of more tokens than the model has positions: nothing is cut off."""
    model, text = llama(1), tokenize(tokenizer, [" ".join(ENGLISH)])
    ids = (text.prefix, *text.ids[0])
    assert len(text.ids[0]) > 64
    expected = 0.0
    for first, scored, end in windows(len(text.ids[0]), 64):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids[first : end - 1]])).logits[0].double()
        expected -= sum(float(logits[k - 1 - first].log_softmax(-1)[ids[k]]) for k in range(scored, end))
    assert sentence_bits(model, text, limit=64)[0] == pytest.approx(expected / math.log(2), abs=1e-3)


def test_limit_changes_nothing_where_sentences_fit(tokenizer):
    model, text = llama(1), tokenize(tokenizer, ENGLISH)
    np.testing.assert_allclose(sentence_bits(model, text, limit=64), sentence_bits(model, text), atol=1e-3)


def test_windows_of_a_uniform_model_cost_the_same_whatever_the_limit():
    texts = ids_text((1,) * 5, (1,) * 130, (1,))
    for limit in (1, 7, 64, None):
        expected = np.array([5, 130, 1]) * 8
        np.testing.assert_allclose(sentence_bits(uniform(BYTES), texts, limit=limit), expected, rtol=1e-6)


def test_no_alarm_is_given_of_sentences_beyond_the_context(tokenizer, monkeypatch):
    """transformers warns of indexing errors, where windows are read and the table says so."""
    warned: list[tuple] = []
    monkeypatch.setattr(tokenizer, "model_max_length", 4)
    monkeypatch.setattr(tokenizer, "deprecation_warnings", {})
    monkeypatch.setattr(tokenization_utils_base.logger, "warning", lambda *words: warned.append(words))
    assert len(tokenize(tokenizer, ["The book is old."]).ids[0]) > 4
    assert not warned
    tokenizer("The book is old.")
    assert warned


# The unigram control


def test_unigram_bits_are_add_one_frequencies():
    """Counts 3, 1, 0, 0 and one more each: 4/8, 2/8, 1/8, 1/8."""
    bits = unigram_bits([(0, 0), (0, 1)], ids_text((0, 1), (2,), ()), 4)
    np.testing.assert_allclose(bits, [1 + 2, 3, 0])


@pytest.mark.parametrize("counted", [unigram_bits, bigram_bits])
def test_counted_tokens_pay_for_an_unknown_one_what_a_model_pays(counted):
    """However often it was counted: log2 of the vocabulary, whatever is before it; what follows it costs as before."""
    fit, sentences = [(3, 3, 1)] * 9, [(3,), (3, 3), (1, 3), (3, 1)]
    plain, unknown = (counted(fit, ids_text(*sentences, unknown=given), 4) for given in (None, 3))
    np.testing.assert_allclose(unknown[:2], sentence_bits(uniform(4), ids_text(*sentences, unknown=3))[:2])
    np.testing.assert_allclose(unknown[2], counted(fit, ids_text((1,)), 4)[0] + 2)
    np.testing.assert_allclose(unknown[3] - 2, plain[3] - plain[0])


@pytest.mark.parametrize(("wide", "positions"), [(64, 1024), (4864, 431), (1 << 22, 1)])
def test_wide_layers_are_scored_in_small_batches(wide, positions):
    """Four states of the widest layer are held at once by every thread of a CPU."""
    with torch.device("meta"):
        network = llama(0, intermediate_size=wide)
    assert losses._most_tokens(network, torch.device("cpu")) == positions


def test_products_are_in_tf32_inside_and_as_before_outside():
    flags = torch.backends.cuda.matmul
    with losses.products(True):
        assert flags.allow_tf32
        with losses.products(False):
            assert not flags.allow_tf32
        assert flags.allow_tf32
    assert not flags.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"  # neither of torch's two ways of asking fails


def test_bits_in_place_are_torchs_own_and_a_head_writes_where_it_wrote():
    """Bit for bit, infinite logits too; a head with a bias is called as it is."""
    logits = torch.randn(9, 4001, generator=torch.Generator().manual_seed(0)) * 5
    logits[0, 3], logits[1, :2] = -torch.inf, torch.inf
    picked = torch.arange(9)
    expected = logits.logsumexp(dim=-1) - logits.gather(1, picked[:, None])[:, 0]
    torch.testing.assert_close(losses._nats(logits.clone(), picked), expected, rtol=0, atol=0, equal_nan=True)
    hidden = torch.randn(5, 8)
    plain, biased = torch.nn.Linear(8, 11, bias=False), torch.nn.Linear(8, 11)
    logits_of = losses._writing(plain, hidden, 2)
    with torch.inference_mode():
        first = logits_of(hidden[:2])
        torch.testing.assert_close(first, plain(hidden[:2]), rtol=0, atol=0)
        assert logits_of(hidden[4:]).data_ptr() == first.data_ptr()
    assert losses._writing(biased, hidden, 2) is biased
