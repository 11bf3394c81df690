"""The dev half of a corpus as methods and post-steps see it: text of models' languages, and what is measured there."""

import math
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from interference.checkpoint import Checkpoint, build
from interference.errors import UserError, nearest
from interference.layout import inputs_of, linear_layers, token_rows, transposed
from interference.losses import check_ids, padded, prefix_token, token_ids
from interference.registry import DATA
from interference.steps import finish
from interference.store import digest
from interference.weights import free_bytes

if TYPE_CHECKING:
    from interference.recipe import Recipe
    from interference.suite import Suite

SENTENCES = 96  # of the dev half that a checkpoint's Fisher information and Grams come from, shared by its languages
_ROOM = 2 << 30  # bytes of measurements kept beyond those of the merge at hand
Measured = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Sentences side by side: prefix and tokens, padded on the right; which of them are the text's; the id of UNK."""

    ids: Int[Tensor, "row position"]
    mask: Bool[Tensor, "row position"]
    unknown: int | None = None

    @property
    def inputs(self) -> Int[Tensor, "row input"]:
        return self.ids[:, :-1]

    @property
    def scored(self) -> Bool[Tensor, "row input"]:
        """The inputs from which a token of the text is predicted."""
        return self.mask[:, 1:]

    def nats(self, logits: Float[Tensor, "row input token"]) -> Float[Tensor, ""]:
        """-ln p of all scored tokens; an UNK costs ln of the vocabulary, as in a loss, and so has no gradient."""
        logits, ids = logits[self.scored].float(), self.ids[:, 1:][self.scored]
        if self.unknown is None:
            return nn.functional.cross_entropy(logits, ids, reduction="sum")
        told = nn.functional.cross_entropy(logits, ids, reduction="sum", ignore_index=self.unknown)
        return told + (ids == self.unknown).sum() * math.log(logits.shape[-1])


class DevHalf:
    """The dev half of a suite's corpus. Nothing here reads the test half.

    What is measured on a checkpoint is kept in memory by the contents of its files and of its text, the least
    recently used dropped beyond a bound.
    """

    def __init__(self, suite: "Suite", device: torch.device):
        self._suite, self._device = suite, device
        self._kept: OrderedDict[str, Measured] = OrderedDict()

    def rows(self, count: int | None = None) -> Any:
        """Row numbers of the dev half, evenly spread. Raises UserError where there is none."""
        corpus = self._suite.corpus
        if corpus is None or not corpus.has_dev:
            raise UserError(
                "This is measured on the dev half of the corpus, and a corpus without documents has none. Add a column "
                "'document', so that every other document can be held back."
                if corpus
                else "This is measured on text, and the suite has no corpus. Give one: a table of parallel text."
            )
        return corpus.rows(count, "dev")

    def languages(self, names: Iterable[str]) -> tuple[str, ...]:
        """The languages of checkpoints, each once; one that has none stands for all of the corpus."""
        self.rows()
        every = self._suite.corpus.languages  # type: ignore[union-attr]
        own = [(name, self._suite[name].language) for name in names]
        for name, language in own:
            if language and language not in every:
                raise UserError(
                    f"{name} has to be measured on its language '{language}', which the corpus lacks: "
                    f"{nearest(language, every)}"
                )
        return tuple(dict.fromkeys(code for _, one in own for code in ([one] if one else every)))

    def ids(self, name: str, languages: Iterable[str], each: int | None = None) -> dict[str, list[list[int]]]:
        """Tokens of `each` dev sentences of every language by a checkpoint's tokenizer, none of them special."""
        rows, tokenizer = self.rows(each), self._suite[name].tokenizer
        texts = {code: self._suite.corpus.text(code, rows) for code in languages}  # type: ignore[union-attr]
        found = {code: token_ids(tokenizer, text) for code, text in texts.items()}
        check_ids(self._suite[name], *(ids for lines in found.values() for ids in lines))
        return found

    def batches(
        self, names: Sequence[str], each: int, size: int, languages: Iterable[str] | None = None
    ) -> list[Batch]:
        """`each` sentences of every language, by default of the checkpoints', `size` of about one length together.

        In the first checkpoint's tokens; what goes beyond its context is cut off.
        """
        first = self._suite[names[0]]
        found = self.ids(names[0], languages or self.languages(names), each)
        prefix = prefix_token(first.tokenizer)[0]
        every = [
            [prefix, *ids][: (first.positions or len(ids)) + 1] for lines in found.values() for ids in lines if ids
        ]
        lines = sorted(every, key=len)
        unknown = getattr(first.tokenizer, "unk_token_id", None)
        return [_batch(lines[i : i + size], unknown, self._device) for i in range(0, len(lines), size)]

    def beyond(self, name: str, languages: Iterable[str], each: int) -> dict[str, int]:
        """How many of the sentences that `batches` gives go beyond a checkpoint's context, by language."""
        if (limit := self._suite[name].positions) is None:
            return {}
        found = self.ids(name, languages, each)
        return {code: sum(len(ids) > limit for ids in lines) for code, lines in found.items()}

    def network(self, name: str) -> nn.Module:
        """A network of its own with a checkpoint's weights in float32."""
        network = build(self._suite[name].config, self._device)
        parameters = dict(network.named_parameters())
        with torch.no_grad():
            for parameter, tensor in self._suite[name].tensors():
                parameters[parameter].copy_(tensor)
        return network

    def steps(self, recipe: "Recipe") -> Generator[None, None, None]:
        """Measure what a recipe needs and is not known yet, a sentence at a time."""
        return self.measure_steps(sorted(recipe.data & DATA.keys()), recipe.models)

    def measure_steps(self, kinds: Sequence[str], names: Sequence[str]) -> Generator[None, None, None]:
        """Measure some kinds of data on checkpoints where they are not known yet, a sentence at a time."""
        wanted = [(kind, name) for kind in kinds for name in names]
        keys = {self._key(*one): one for one in wanted}
        self._check_room([one for key, one in keys.items() if key not in self._kept])
        for key, (kind, name) in keys.items():
            if key not in self._kept:
                self._kept[key] = yield from _MEASURES[kind](self, name)
            self._kept.move_to_end(key)
        others = [key for key in self._kept if key not in keys]
        while others and sum(map(_bytes, self._kept.values())) > _ROOM:
            del self._kept[others.pop(0)]

    def forget(self) -> None:
        """Drop what was measured; it is measured again when it is asked for."""
        self._kept.clear()

    def source(self, kind: str, name: str, parameter: str) -> Tensor | None:
        """One kind of data that methods know as it was measured on a checkpoint's parameter, on the spot if need be."""
        key = self._key(kind, name)
        if key not in self._kept:
            self._kept[key] = finish(_MEASURES[kind](self, name))
        return self._kept[key].get(parameter)

    def _key(self, kind: str, name: str) -> str:
        languages = self.languages([name])
        corpus = self._suite.corpus
        assert corpus is not None  # languages() refuses suites without one
        return digest(
            kind, self._suite[name].digest, corpus.digest_of_documents, [(c, corpus.digest(c)) for c in languages]
        )

    def _check_room(self, wanted: Sequence[tuple[str, str]]) -> None:
        need = sum(_SIZES[kind](self._suite[name]) for kind, name in wanted)
        free = free_bytes(torch.device("cpu"))
        if free is not None and need > free:
            raise UserError(
                f"What this merge measures on its parents needs {need / 2**30:.1f} GiB of memory, which has "
                f"{free / 2**30:.1f} GiB free. Merge fewer models, or by a method that measures nothing."
            )

    def _alone(self, name: str) -> list[Batch]:
        """A checkpoint's own text, sentence by sentence."""
        return self.batches([name], max(1, SENTENCES // len(self.languages([name]))), 1)


def _batch(lines: Sequence[Sequence[int]], unknown: int | None, device: torch.device) -> Batch:
    width = max(map(len, lines))
    ids = padded(lines).to(device)
    lengths = torch.tensor([len(line) for line in lines], device=device)
    return Batch(ids, torch.arange(width, device=device) < lengths[:, None], unknown)


def _bytes(measured: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in measured.values())


def _counts(dev: DevHalf, name: str) -> Generator[None, None, Measured]:
    """How often each token occurs in all of the dev half of a checkpoint's languages, for embedding and head."""
    yield
    checkpoint = dev._suite[name]
    counts = torch.zeros(checkpoint.vocabulary)
    for lines in dev.ids(name, dev.languages([name])).values():
        for ids in lines:
            counts += torch.bincount(torch.tensor(ids, dtype=torch.long), minlength=len(counts))
    return dict.fromkeys(token_rows(checkpoint.meta), counts)


def _fisher(dev: DevHalf, name: str) -> Generator[None, None, Measured]:
    """Squared gradients of a sentence's log-likelihood, averaged over sentences: the diagonal empirical Fisher."""
    network, batches = dev.network(name), dev._alone(name)
    total = {n: torch.zeros_like(p) for n, p in network.named_parameters()}
    learned = {n: p for n, p in network.named_parameters() if p.requires_grad}  # not what is stored as a buffer
    for batch in batches:
        with torch.enable_grad():
            loss = batch.nats(network(input_ids=batch.inputs, use_cache=False).logits)
            found = torch.autograd.grad(loss, list(learned.values()), allow_unused=True)
        for n, gradient in zip(learned, found, strict=True):
            if gradient is not None:
                total[n] += gradient.square()
        yield
    return {n: (t / len(batches)).cpu() for n, t in total.items()}


def _grams(dev: DevHalf, name: str) -> Generator[None, None, Measured]:
    """XᵀX / tokens of the inputs of every linear layer, summed in float64; a head that is the embedding has none."""
    network, batches = dev.network(name), dev._alone(name)
    layers = linear_layers(network)
    total: dict[str, Tensor] = {}
    tokens = 0
    for batch in batches:
        with torch.no_grad(), inputs_of(layers) as seen:
            network(input_ids=batch.inputs, use_cache=False)
        for n, x in seen.items():
            rows = x.flatten(0, -2).double()
            total[n] = total.get(n, 0) + rows.T @ rows
        tokens += batch.inputs.numel()
        yield
    return {n: (t / tokens).float().cpu() for n, t in total.items()}


def _size_of_grams(checkpoint: Checkpoint) -> int:
    layers, columns = linear_layers(checkpoint.meta), transposed(checkpoint.meta)
    return sum(4 * checkpoint.shapes[name][0 if name in columns else 1] ** 2 for name in layers)


_MEASURES: dict[str, Callable[[DevHalf, str], Generator[None, None, Measured]]] = {
    "counts": _counts,
    "fisher": _fisher,
    "grams": _grams,
}
_SIZES: dict[str, Callable[[Checkpoint], int]] = {
    "counts": lambda c: 4 * c.vocabulary,
    "fisher": lambda c: 4 * c.parameters,
    "grams": _size_of_grams,
}
