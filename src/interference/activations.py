"""Hidden states of sentences under checkpoints and merges, one vector for each sentence and layer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from interference.checkpoint import Checkpoint
from interference.corpus import Corpus
from interference.errors import UserError, check_known
from interference.evaluate import TRANSFORMERS, Evaluator
from interference.layout import body, final_norm
from interference.losses import TokenizedText, check_ids, in_batches, padded, tokenize
from interference.recipe import Recipe
from interference.scored import Model, model_digest, scored_by, scoring
from interference.steps import Steps, telling
from interference.store import digest

POOLINGS = {
    "mean": "mean over the sentence's tokens",
    "weighted": "mean over its tokens, the k-th counting k times",
    "last": "its last token",
}
CONVENTION = "states v1: one prefix token before each sentence and left out of the pooling, float32"
NUMERALS = "numerals"
LARGEST = 1000  # numeral
_BATCH_TOKENS = {"cpu": 1024, "cuda": 8192}
_FEW_DOCUMENTS = 25  # blocks of neighbouring numerals


@dataclass(frozen=True)
class Text:
    """Sentences in the order in which models are compared on them, and the document of each.

    `language` is a column of the corpus, whose `rows` these are, or NUMERALS.
    """

    language: str
    sentences: tuple[str, ...]
    documents: tuple[str, ...]
    rows: tuple[int, ...] = ()

    @cached_property
    def digest(self) -> str:
        return digest(self.sentences)


def text_of(corpus: Corpus, language: str, rows: np.ndarray) -> Text:
    """Rows of one language of a corpus."""
    check_known(f"The corpus {corpus.name} has no language", corpus.languages, language)
    documents = tuple(corpus.documents[row] for row in rows)
    return Text(language, tuple(corpus.text(language, rows)), documents, tuple(map(int, rows)))


def numerals(count: int | None) -> Text:
    """So many of the numerals 0 to 1000, evenly spaced; a text that all languages write alike.

    Neighbours share digits, so runs of them are taken for documents.
    """
    values = np.unique(np.linspace(0, LARGEST, min(count or LARGEST + 1, LARGEST + 1)).round().astype(int))
    blocks = np.arange(len(values)) * _FEW_DOCUMENTS // len(values)
    return Text(NUMERALS, tuple(map(str, values)), tuple(f"n{block:02d}" for block in blocks))


@dataclass(frozen=True)
class States:
    """Pooled hidden states of a text under a model: of the embeddings, then after each block, the last after the
    final norm. `tokens`, `unknown` and `cut` count each sentence's tokens, the UNK among them, and those beyond the
    model's context, which it did not read.
    """

    values: Float[np.ndarray, "layer sentence dim"]
    tokens: Int[np.ndarray, " sentence"]
    unknown: Int[np.ndarray, " sentence"]
    cut: Int[np.ndarray, " sentence"]

    @property
    def read(self) -> Int[np.ndarray, " sentence"]:
        """Tokens of each sentence that the states are made from."""
        return self.tokens - self.cut


def states_steps(evaluator: Evaluator, model: Model, text: Text, pooling: str = "mean") -> Steps[States]:
    """The states of a text a batch at a time; between batches another may use the networks.

    They are kept by digest, those of checkpoints in files too. Raises UserError for an unknown pooling, a sentence
    without tokens, and weights that overflow.
    """
    (found,) = yield from all_states_steps(evaluator, model, (text,), pooling)
    return found


def all_states_steps(
    evaluator: Evaluator, model: Model, texts: Sequence[Text], pooling: str = "mean"
) -> Steps[list[States]]:
    """The states of several texts, as `states_steps` gives them; what is not kept is read in batches across texts,
    which is fast where each of them is short."""
    keys = [_key(evaluator, "states", model, text, pooling) for text in texts]
    kept = {key: arrays for key in keys if (arrays := evaluator.arrays.read(key)) is not None}
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in kept}
    if missing:
        with evaluator.room(scoring(model)):
            captured = yield from _capture(evaluator, model, tuple(missing.values()), pooling)
        for key, arrays in zip(missing, captured, strict=True):
            evaluator.arrays.write(key, arrays, lasting=isinstance(model, str))
            kept[key] = arrays
    return [States(*(kept[key][part] for part in ("values", "tokens", "unknown", "cut"))) for key in keys]


def _key(evaluator: Evaluator, kind: str, model: Model, text: Text, pooling: str) -> str:
    check_known("States can't be pooled by", POOLINGS, pooling)
    tokenizer = scored_by(evaluator.suite, model).digest_of_tokenizer
    of = model_digest(evaluator.suite, model), tokenizer, text.digest
    made_by = evaluator.device.type, torch.__version__, TRANSFORMERS
    return digest(kind, CONVENTION, pooling, *of, *made_by)


def _capture(
    evaluator: Evaluator, model: Model, texts: Sequence[Text], pooling: str
) -> Steps[list[dict[str, np.ndarray]]]:
    yield from telling(0.0, evaluator.networks.ready_steps(model))
    read = [_sequences(evaluator, model, text) for text in texts]
    every = [sequence for sequences, _ in read for sequence in sequences]
    values, done = None, 0
    for batch in in_batches(enumerate(every), _BATCH_TOKENS[evaluator.device.type]):
        places, sequences = map(list, zip(*batch, strict=True))
        pooled = _pooled(evaluator.networks.put(model), sequences, pooling, evaluator.device)
        values = np.empty((len(pooled), len(every), pooled.shape[2]), np.float32) if values is None else values
        values[:, places] = pooled
        done += len(batch)
        yield done / len(every)
    assert values is not None  # there are sentences: the corpus gives one row at least
    found, start = [], 0
    for text, (sequences, facts) in zip(texts, read, strict=True):
        own, start = values[:, start : start + len(sequences)].copy(), start + len(sequences)
        if not np.isfinite(own).all():
            name = model if isinstance(model, str) else model.label()
            raise UserError(f"{name} gives states that are not finite in {text.language}; its weights overflow.")
        found.append({"values": own} | facts)
    return found


def _sequences(
    evaluator: Evaluator, model: Model, text: Text
) -> tuple[list[tuple[int, ...]], dict[str, Int[np.ndarray, " sentence"]]]:
    """What a model reads of a text, its prefix before each sentence, and how many tokens are counted of it."""
    checkpoint = scored_by(evaluator.suite, model)
    tokenized = _tokens(evaluator, checkpoint, text)
    limit = checkpoint.positions or 1 << 30
    sequences = [(tokenized.prefix, *ids)[:limit] for ids in tokenized.ids]
    if empty := [place for place, ids in enumerate(sequences) if len(ids) < 2]:
        raise UserError(
            f"Sentence {empty[0] + 1} of {len(sequences)} in {text.language} has no tokens, so it has no states. Take "
            "it out of the corpus."
        )
    tokens = np.array([len(ids) for ids in tokenized.ids])
    cut = tokens - np.array([len(ids) - 1 for ids in sequences])
    return sequences, {"tokens": tokens, "unknown": np.array(tokenized.unknown), "cut": cut}


def _tokens(evaluator: Evaluator, checkpoint: Checkpoint, text: Text) -> TokenizedText:
    if text.rows:
        return evaluator.text(checkpoint, text.language, np.array(text.rows))
    tokenized = tokenize(checkpoint.tokenizer, text.sentences)
    check_ids(checkpoint, (tokenized.prefix,), *tokenized.ids)
    return tokenized


@torch.inference_mode()
def _pooled(
    network: nn.Module, sequences: Sequence[Sequence[int]], pooling: str, device: torch.device
) -> Float[np.ndarray, "layer row dim"]:
    lengths = torch.tensor([len(ids) for ids in sequences])
    width = int(lengths.max())
    ids = padded(sequences)
    own = (torch.arange(width) >= 1) & (torch.arange(width) < lengths[:, None])
    # Padding is on the right, where no token of the sentence sees it.
    found = body(network)(input_ids=ids.to(device), use_cache=False, output_hidden_states=True)
    layers = (*found.hidden_states[:-1], found.last_hidden_state)
    if {layer.shape for layer in layers} != {(*ids.shape, layers[-1].shape[-1])}:
        raise UserError(
            f"{type(network).__name__} has several streams of hidden states for each token, so similarities between "
            "states are not defined for it. Compare models of another architecture, or weights."
        )
    weights = pool_weights(own, pooling).to(device)
    return torch.stack([torch.einsum("rp,rpd->rd", weights, layer.float()) for layer in layers]).cpu().numpy()


def pool_weights(own: Bool[Tensor, "row position"], pooling: str) -> Float[Tensor, "row position"]:
    """What each position counts in its sentence's state, in all 1; `own` marks the sentence's tokens."""
    order = own.cumsum(dim=1) * own
    if pooling == "last":
        return (order == order.max(dim=1, keepdim=True).values).float()
    counts = (order if pooling == "weighted" else own).float()
    return counts / counts.sum(dim=1, keepdim=True)


def readings_steps(
    evaluator: Evaluator, model: Model, text: Text, pooling: str, tokens: int
) -> Steps[Float[np.ndarray, "layer sentence token"]]:
    """The likeliest tokens by the logit lens: the model's final norm and head on the pooled states of every layer."""
    states = yield from states_steps(evaluator, model, text, pooling)
    key = digest(_key(evaluator, "readings", model, text, pooling), tokens)
    if (kept := evaluator.arrays.read(key)) is None:
        with evaluator.room(scoring(model)):
            kept = yield from _readings(evaluator, model, states, tokens)
        evaluator.arrays.write(key, kept)
    return kept["tokens"]


def _readings(evaluator: Evaluator, model: Model, states: States, tokens: int) -> Steps[dict[str, np.ndarray]]:
    yield from telling(0.0, evaluator.networks.ready_steps(model))
    network = evaluator.networks.put(model)
    found = [_read(network, layer, tokens, last=False) for layer in states.values[:-1]]
    return {"tokens": np.stack([*found, _read(network, states.values[-1], tokens, last=True)])}


@torch.inference_mode()
def _read(
    network: nn.Module, states: Float[np.ndarray, "sentence dim"], tokens: int, last: bool
) -> Float[np.ndarray, "sentence token"]:
    if (norm := final_norm(network)) is None:
        raise UserError(
            f"The logit lens does not know where {type(network).__name__} has its final norm. Choose another measure."
        )
    x = torch.tensor(states, device=next(network.parameters()).device)
    logits = network.get_output_embeddings()(x if last else norm(x))  # type: ignore[operator]
    return logits.topk(min(tokens, logits.shape[1]), dim=1).indices.double().cpu().numpy()


def has_digits(texts: Iterable[str]) -> bool:
    """Whether there is a digit anywhere."""
    return any(character.isdigit() for text in texts for character in text)


def own_language(evaluator: Evaluator, model: Model) -> str | None:
    """The language that a checkpoint is of; None for a merge."""
    return None if isinstance(model, Recipe) else evaluator.suite[model].language
