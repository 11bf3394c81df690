"""Bits a model needs for a text, sentence by sentence.

The convention: exactly one prefix token (BOS, else CLS, else EOS), no other special tokens, every token of the
sentence scored including the first, the end not scored; log-softmax in float32, sums in float64. On a GPU a network
whose `tf32` is true, which says that its weights have no more digits than TF32 anyway, multiplies matrices so.
"""

import math
import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from interference.errors import UserError
from interference.fused import DEVICES, fused
from interference.groups import layer_of
from interference.steps import Steps, finish

if TYPE_CHECKING:
    from interference.checkpoint import Checkpoint

CONVENTION = "prefix BOS|CLS|EOS, first token scored, end not scored, float32 log-softmax, float64 sums, v1"
PREFIXES = ("BOS", "CLS", "EOS")
TOKEN_COUNTS = ("tokens", "unknown tokens", "whether decoding gives the text back", "kind of prefix, as in PREFIXES")
_LOST = (
    "What a tokenizer loses costs nothing, an UNK log2 of the vocabulary however long its text: such numbers are too "
    "low beside those of a tokenizer that loses less, and there are no bits per byte."
)
_BATCH_TOKENS = {"cpu": 1024, "cuda": 32768}  # positions in a batch: little padding on a CPU, full kernels on a GPU
_STATE_ELEMENTS = 1 << 21  # of the widest state of a layer, held four times by a thread of a CPU: 8 MiB of float32 each
_LOGIT_ELEMENTS = 1 << 22  # logits held at once by a thread of a CPU: 16 MiB of float32; 32 times that on a GPU


@dataclass(frozen=True)
class TokenizedText:
    """Token ids of sentences without special tokens, the prefix id before each, and what tokenising lost.

    `unknown` counts UNK tokens by sentence; `lossless` says whether decoding gives the text back, be it after the blank
    that some tokenizers put before every text.
    """

    ids: tuple[tuple[int, ...], ...]
    prefix: int
    prefix_name: str
    unknown: tuple[int, ...]
    lossless: tuple[bool, ...]
    unknown_id: int | None


def prefix_token(tokenizer: object) -> tuple[int, str]:
    """The id put before every sentence and its kind: BOS, else CLS, else EOS. Raises UserError where there is none."""
    for kind in PREFIXES:
        if (token := getattr(tokenizer, f"{kind.lower()}_token_id", None)) is not None:
            return int(token), kind
    raise UserError(
        "The tokenizer has no BOS, CLS or EOS token to put before a sentence, so its first token can't be scored."
    )


def token_ids(tokenizer: object, sentences: Sequence[str]) -> list[list[int]]:
    """Token ids without special tokens. Nothing is said of sentences beyond the context: what reads them does that."""
    if not sentences:
        return []
    return tokenizer(list(sentences), add_special_tokens=False, verbose=False)["input_ids"]  # type: ignore[operator]


def check_ids(checkpoint: "Checkpoint", *lines: Sequence[int]) -> None:
    """Raise UserError where a token has no row in the embedding, which on a GPU would be the end of the process."""
    highest, size = max((token for ids in lines for token in ids), default=0), checkpoint.vocabulary
    if highest >= size:
        raise UserError(
            f"{checkpoint.name}: the tokenizer in {checkpoint.path} gives token {highest}, its config.json has a "
            f"vocab_size of {size}: the two are not of one model. Copy the tokenizer that belongs to these weights."
        )


def tokenize(tokenizer: object, sentences: Sequence[str]) -> TokenizedText:
    """Token ids of each sentence exactly as given."""
    prefix, kind = prefix_token(tokenizer)
    encoded = token_ids(tokenizer, sentences)
    unknown = getattr(tokenizer, "unk_token_id", None)
    decoded = [tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in encoded]  # type: ignore[attr-defined]
    return TokenizedText(
        tuple(map(tuple, encoded)),
        prefix,
        kind,
        tuple(0 if unknown is None else list(ids).count(unknown) for ids in encoded),
        tuple(d in (s, f" {s}") for d, s in zip(decoded, sentences, strict=True)),
        unknown,
    )


def token_counts(text: TokenizedText) -> Int[np.ndarray, "count sentence"]:
    """What TOKEN_COUNTS name, sentence by sentence: all that notes on a tokenizer say."""
    prefix = [PREFIXES.index(text.prefix_name)] * len(text.ids)
    return np.array([[len(ids) for ids in text.ids], text.unknown, text.lossless, prefix], dtype=np.int64)


def lost_text(counts: Int[np.ndarray, "count sentence"]) -> str:
    """How many sentences decoding does not give back, by what TOKEN_COUNTS name; '' where the tokenizer loses nothing.

    With the share of UNK where there are any.
    """
    tokens, unknown, lossless, _ = counts
    if lossless.all() and not unknown.any():
        return ""
    share = f" ({unknown.sum() / tokens.sum():.1%} of the tokens are UNK)" if unknown.any() else ""
    return f"{len(lossless) - lossless.sum()} of {len(lossless)}{share}"


def lost_notes(lost: Collection[tuple[str, Mapping[str, str]]]) -> tuple[str, ...]:
    """What to say of tokenizers that lose text: whose each is, and `lost_text` by language. One sentence for each."""
    said = ((owner, ", ".join(f"{text} in {language}" for language, text in found.items())) for owner, found in lost)
    notes = tuple(f"Sentences that the tokenizer of {owner} does not give back: {found}." for owner, found in said)
    return (*notes, _LOST) if lost else ()


def long_notes(long: Mapping[tuple[str, int], Collection[int]]) -> tuple[str, ...]:
    """What to say of sentences longer than a context: how many by language and tokens, each tokenizer's count."""
    counts = {place: " to ".join(dict.fromkeys(map(str, (min(own), max(own))))) for place, own in long.items()}
    return tuple(
        f"{count} sentence{'' if count == '1' else 's'} of {language} read in windows of {limit} tokens."
        for (language, limit), count in counts.items()
    )


def cut_notes(limit: int | None, cut: Mapping[str, int]) -> tuple[str, ...]:
    """What to say of sentences that are not read beyond a context of `limit` tokens: how many by language."""
    counts = ", ".join(f"{count} of {language}" for language, count in cut.items() if count)
    return (f"Sentences cut off at a context of {limit} tokens: {counts}.",) if counts else ()


def windows(length: int, limit: int) -> Iterator[tuple[int, int, int]]:
    """How a sentence of `length` tokens is read by a model of `limit` positions, each token scored once.

    Yields (first input, first scored, end) as positions in prefix + tokens: inputs are [first input, end - 1), and
    their predictions from `first scored` to `end` count. Later windows keep as much left context as fits.
    """
    start = 0
    while start < length:
        end = min(start + limit, length)
        yield max(0, end - limit), start + 1, end + 1
        start = end


def sentence_bits(
    model: nn.Module, text: TokenizedText, *, limit: int | None = None, batch_tokens: int | None = None
) -> np.ndarray:
    """Bits of each sentence, float64 `[sentence]`: the sum of -log2 of its tokens' probabilities.

    Sentences longer than `limit` positions are read in rolling windows, each token scored once. An UNK token costs
    log2 of the vocabulary, for its probability says nothing about the text.
    """
    return finish(sentence_bits_steps(model, text, limit=limit, batch_tokens=batch_tokens))


def sentence_bits_steps(
    model: nn.Module, text: TokenizedText, *, limit: int | None = None, batch_tokens: int | None = None
) -> Steps[np.ndarray]:
    """`sentence_bits` in steps of a batch for every core: yields the share of tokens after each, returns the result.

    Sentences of the same tokens are scored once, for in different batches they would differ by rounding.
    """
    places = {ids: place for place, ids in enumerate(dict.fromkeys(text.ids))}
    totals, tokens, done = np.zeros(len(places)), max(sum(map(len, places)), 1), 0
    for step in _scored(model, replace(text, ids=tuple(places)), limit, batch_tokens):
        for pieces, bits in step:
            np.add.at(totals, [row for row, *_ in pieces], bits.sum(dim=1).numpy())
            done += sum(len(sequence) - start for _, sequence, start, _ in pieces)
        yield done / tokens
    return totals[[places[ids] for ids in text.ids]]


def token_bits(model: nn.Module, text: TokenizedText, *, limit: int | None = None) -> tuple[np.ndarray, ...]:
    """Bits of each token of each sentence, float64 `[token]`: what `sentence_bits` of the same text is the sum of."""
    found = tuple(np.zeros(len(ids)) for ids in text.ids)
    for pieces, bits in chain.from_iterable(_scored(model, text, limit, None)):
        for (row, sequence, start, first), line in zip(pieces, bits.numpy(), strict=True):
            own = line[start - 1 : len(sequence) - 1]
            found[row][first : first + len(own)] = own
    return found


def _scored(
    model: nn.Module, text: TokenizedText, limit: int | None, batch_tokens: int | None
) -> Iterator[list[tuple[list[tuple], Float[Tensor, "row position"]]]]:
    """Pieces of sentences in batches, each (sentence, input ids, first scored input, its token), and their bits.

    Yields the batches that were scored together: on a CPU one for every thread of torch, which beats threads within
    a batch by far where models are small.
    """
    device = next(model.parameters()).device
    pieces = [
        (row, (text.prefix, *ids)[first:end], scored - first, scored - 1)
        for row, ids in enumerate(text.ids)
        for first, scored, end in windows(len(ids), limit or max(len(ids), 1))
    ]
    together = _threads() if device.type == "cpu" and type(model).__name__ in _PLAIN else 1
    if batch_tokens is None:
        batch_tokens = most = _most_tokens(model, device)
        if together > 1 and pieces:  # as many batches as fill all steps, with room for what is padded
            share = sum(len(piece[1]) for piece in pieces) / together
            batch_tokens = math.ceil(1.05 * share / math.ceil(share / most))
    batches = in_batches(pieces, batch_tokens)

    def score(batch: list) -> tuple[list, Tensor]:
        _, sequences, starts, _ = zip(*batch, strict=True)
        return batch, _batch_bits(model, sequences, starts, text.unknown_id, device)

    side_by_side = _pool(together).map if together > 1 else map
    while step := list(islice(batches, together)):
        yield list(side_by_side(score, step))


def _most_tokens(model: nn.Module, device: torch.device) -> int:
    """Positions in a batch: fewer where layers are wide on a CPU, whose cores are busy with fewer, for the memory."""
    most = _BATCH_TOKENS[device.type]
    if device.type != "cpu":
        return most
    layers = (p for name, p in model.named_parameters() if p.ndim == 2 and layer_of(name) is not None)
    widest = max((max(p.shape) for p in layers), default=1)
    return min(most, max(1, _STATE_ELEMENTS // widest))


def _threads() -> int:
    """Batches scored at once on a CPU: as many as torch has threads, unless $INTERFERENCE_THREADS says otherwise."""
    given = os.environ.get("INTERFERENCE_THREADS", "").split(",")[0]  # as OMP_NUM_THREADS, which may name levels
    return int(given) if given.isdigit() and int(given) else torch.get_num_threads()


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    """Threads of Python that have one thread of torch each."""
    pool, ready = ThreadPoolExecutor(count, "scoring"), threading.Barrier(count)

    def alone(_: int) -> None:
        torch.get_num_threads()  # else the thread would take the number of all others at its first operation
        torch.set_num_threads(1)
        ready.wait()

    before = torch.get_num_threads()
    list(pool.map(alone, range(count)))
    torch.set_num_threads(before)  # what was set last is what threads to come start with
    return pool


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads, and would wait for them for ever
    os.register_at_fork(after_in_child=_pool.cache_clear)


def in_batches(pieces: Iterable[tuple], batch_tokens: int) -> Iterator[list]:
    """Pieces, whose second part is a line of tokens, of about one length together: with padding they fill a batch."""
    batch: list = []
    for piece in sorted(pieces, key=lambda piece: len(piece[1])):
        if batch and (len(batch) + 1) * len(piece[1]) > batch_tokens:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


@contextmanager
def products(tf32: bool) -> Iterator[None]:
    """Inside, products of float32 matrices on a GPU are in TF32, or in full float32."""
    flags = torch.backends.cuda.matmul
    before = flags.allow_tf32  # the older of torch's two switches, which alone leaves both readable
    flags.allow_tf32 = tf32
    try:
        yield
    finally:
        flags.allow_tf32 = before


def padded(lines: Sequence[Sequence[int]]) -> Int[Tensor, "row position"]:
    """Lines of token ids below each other, each filled up on the right with its last one.

    Not with the padding token: models that know theirs warn of it, though nothing looks to its right.
    """
    width = max(map(len, lines))
    return torch.tensor([[*line, *[line[-1]] * (width - len(line))] for line in lines])


@torch.inference_mode()
def _batch_bits(
    model: nn.Module,
    sequences: Sequence[tuple[int, ...]],
    starts: Sequence[int],
    unknown: int | None,
    device: torch.device,
) -> Float[Tensor, "row position"]:
    """Bits of the tokens of each sequence from its start on, 0 at the others, whose places are counted from the second.

    Padding is on the right, where no scored token sees it.
    """
    lengths = torch.tensor([len(s) for s in sequences])
    width = int(lengths.max())
    ids = padded(sequences)
    position = torch.arange(1, width)
    scored = (position >= torch.tensor(starts)[:, None]) & (position < lengths[:, None])
    with products(getattr(model, "tf32", False)) if device.type == "cuda" else nullcontext():
        nats = _token_nats(model, ids.to(device), scored.to(device)).double().cpu()
    if unknown is not None:
        vocabulary = model.get_output_embeddings().weight.shape[0]  # type: ignore[operator]
        nats = torch.where(ids[:, 1:][scored] == unknown, math.log(vocabulary), nats)
    bits = torch.zeros(scored.shape, dtype=torch.float64)
    bits[scored] = nats / math.log(2)
    return bits


def _token_nats(model: nn.Module, ids: Int[Tensor, "row position"], scored: Tensor) -> Float[Tensor, " token"]:
    """-ln p of the scored tokens in row order; never more than a bounded number of logits."""
    # Composite configurations keep the size of the vocabulary one level down.
    vocabulary: int = getattr(model.config, "vocab_size", None) or model.get_output_embeddings().weight.shape[0]  # type: ignore
    most = _LOGIT_ELEMENTS * (32 if ids.is_cuda else 1)
    picked = ids[:, 1:][scored]
    if type(model).__name__ in _PLAIN:
        hidden = model.base_model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state[scored]  # type: ignore
        head = model.get_output_embeddings()  # type: ignore[operator]
        size = max(1, most // vocabulary)
        logits = _writing(head, hidden, size)
        return torch.cat([_nats_of(logits(h), p) for h, p in zip(hidden.split(size), picked.split(size), strict=True)])
    rows = max(1, most // (ids.shape[1] * vocabulary))
    found = []
    for part, mask in zip(ids.split(rows), scored.split(rows), strict=True):
        logits = model(input_ids=part[:, :-1], use_cache=False).logits[mask]
        found.append(_nats_of(logits, part[:, 1:][mask]))
    return torch.cat(found)


# Models whose logits are their head applied to their last hidden state and nothing else, which spares it the padding,
# and whose forward pass changes nothing of theirs, so that several may run at once.
_PLAIN = ("LlamaForCausalLM", "GPT2LMHeadModel", "GPTNeoXForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")


def _writing(head: nn.Module, hidden: Float[Tensor, "token dim"], size: int) -> Callable[[Tensor], Tensor]:
    """The head for so many tokens at a time, writing where it wrote before: memory taken anew leaves gaps behind."""
    if type(head) is not nn.Linear or head.bias is not None or head.weight.dtype != hidden.dtype:
        return head
    room = hidden.new_empty(min(size, len(hidden)), head.out_features)
    return lambda part: torch.mm(part, head.weight.T, out=room[: len(part)])


def _nats_of(logits: Float[Tensor, "token entry"], picked: Int[Tensor, " token"]) -> Float[Tensor, " token"]:
    """-ln p of the picked entries; the logits may no longer be there then."""
    if logits.device.type in DEVICES:  # of a number of entries that is known a row is read once, and by wide loads
        torch._dynamo.mark_static(logits, 1)
    return fused(_nats, _nats_in_place)(logits, picked)


def _nats(logits: Float[Tensor, "token entry"], picked: Int[Tensor, " token"]) -> Float[Tensor, " token"]:
    """-ln p of the picked entries, of a softmax in float32: to compile, for then nothing but the sums is written."""
    logits = logits.float()
    highest = logits.amax(dim=-1, keepdim=True)
    total = (logits - highest).exp().sum(dim=-1, keepdim=True)
    return (total.log() + highest - logits.gather(1, picked[:, None]))[:, 0]


def _nats_in_place(logits: Float[Tensor, "token entry"], picked: Int[Tensor, " token"]) -> Float[Tensor, " token"]:
    """The same as it stands, as torch.logsumexp has it, but in place: the logits are no longer there then."""
    logits = logits.float()
    own, highest = logits.gather(1, picked[:, None])[:, 0], logits.amax(dim=-1, keepdim=True)
    highest.masked_fill_(highest.isinf(), 0)
    return logits.sub_(highest).exp_().sum(dim=-1).log_().add_(highest[:, 0]).sub_(own)


def unigram_bits(fit: Sequence[Sequence[int]], text: TokenizedText, vocabulary: int) -> np.ndarray:
    """Bits of each sentence under token frequencies counted on `fit`, one more of each token of the vocabulary.

    An UNK costs log2 of the vocabulary, as it does under a model.
    """
    counts = np.ones(vocabulary)
    np.add.at(counts, np.concatenate([np.asarray(ids, dtype=np.int64) for ids in fit]), 1)
    cost = -np.log2(counts / counts.sum())
    if text.unknown_id is not None:
        cost[text.unknown_id] = math.log2(vocabulary)
    return np.array([cost[list(ids)].sum() if ids else 0.0 for ids in text.ids])


def bigram_bits(fit: Sequence[Sequence[int]], text: TokenizedText, vocabulary: int) -> np.ndarray:
    """Bits of each sentence under pairs of tokens counted on `fit`, interpolated with the unigram model of `fit`.

    After a token that was followed `count` times by `kinds` different ones, pairs weigh count / (count + kinds) and
    the unigram model the rest (Witten and Bell); the prefix counts as a token before each sentence. An UNK costs log2
    of the vocabulary, as it does under a model.
    """
    single = np.ones(vocabulary)
    pairs: dict[int, Counter[int]] = defaultdict(Counter)
    for ids in fit:
        np.add.at(single, list(ids), 1)
        for before, token in pairwise((text.prefix, *ids)):
            pairs[before][token] += 1
    single /= single.sum()
    totals = {before: (counts.total(), len(counts)) for before, counts in pairs.items()}

    def probability(before: int, token: int) -> float:
        if token == text.unknown_id:
            return 1 / vocabulary
        count, kinds = totals.get(before, (0, 1))
        return float((pairs[before][token] if count else 0) + kinds * single[token]) / (count + kinds)

    return np.array(
        [-sum(math.log2(probability(*pair)) for pair in pairwise((text.prefix, *ids))) for ids in text.ids],
        dtype=float,
    )
