"""Losses of checkpoints and merges of one suite on one device, remembered in the store."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from itertools import product

import numpy as np
import torch
from jaxtyping import Int

from interference import __version__
from interference.arrays import Arrays
from interference.checkpoint import Checkpoint
from interference.dev import DevHalf
from interference.ensemble import BEST, Ensemble
from interference.errors import UserError, check_known
from interference.files import Files
from interference.glimpses import Glimpses
from interference.losses import (
    CONVENTION,
    PREFIXES,
    TOKEN_COUNTS,
    TokenizedText,
    bigram_bits,
    check_ids,
    long_notes,
    lost_notes,
    lost_text,
    sentence_bits_steps,
    token_counts,
    tokenize,
    unigram_bits,
)
from interference.memory import room
from interference.networks import Networks
from interference.precision import arithmetic, in_tf32, precision_notes
from interference.recipe import Recipe
from interference.scored import (
    BIGRAM,
    SHIPPED,
    UNIGRAM,
    Request,
    Scored,
    bits_key,
    model_digest,
    name_of,
    needed,
    parents,
    scored_by,
    scoring,
    tokens_key,
)
from interference.settings import settings_notes
from interference.steps import Steps, finish, nth, telling
from interference.store import Store, digest
from interference.suite import Suite
from interference.tables import Glimpse, LossTable, Subject, known_units, loss_table

_COUNTED = {UNIGRAM: unigram_bits, BIGRAM: bigram_bits}  # models that count tokens of the dev half
TRANSFORMERS = f"transformers {version('transformers')}"  # whose classes compute, and are put right now and then
_MADE_BY = f"interference {__version__}; torch {torch.__version__}; {TRANSFORMERS}"
_TABLES = 256  # loss tables kept in memory
_SINCE = 3  # before, one could be scored with the weights of another that took turns with it, and counts had UNK cheap
_TEXTS = 512  # tokenised languages kept in memory


class Evaluator:
    """Scores what is put into its networks; not thread-safe, so only the engine's worker calls it."""

    def __init__(self, suite: Suite, store: Store, device: torch.device):
        if suite.corpus is None:
            raise UserError(
                f"The suite {suite.name} has no corpus to measure losses on. Give one: a table of parallel text."
            )
        self.suite, self.corpus, self.device = suite, suite.corpus, device
        self.store = store
        self.dev = DevHalf(suite, device)
        self.networks = Networks(suite, device, self.dev)
        self._tables: OrderedDict[Request, LossTable] = OrderedDict()
        self._texts: OrderedDict[tuple[str, str, bytes, int], TokenizedText] = OrderedDict()
        self._best_of: dict[tuple[tuple[str, ...], str, int | None], str] = {}
        self._glimpses = Glimpses(self)
        self._files = Files(suite)
        self.arrays = Arrays(store.folder / "arrays")

    @property
    def has_roles(self) -> bool:
        """Whether the suite says what any of its checkpoints is, so that there are costs."""
        return any(c.role != "other" for c in self.suite.checkpoints)

    def table(self, request: Request) -> LossTable:
        """The loss table of a request, one row per model and language, models in the order given."""
        return finish(self.table_steps(request))

    def table_steps(self, request: Request) -> Steps[LossTable]:
        """`table` one batch at a time, language by language; between batches another may use the networks."""
        if request not in self._tables:
            self._tables[request] = yield from self._measure(request)
            if len(self._tables) > _TABLES:
                self._tables.popitem(last=False)
        self._tables.move_to_end(request)
        return self._tables[request]

    def _measure(self, request: Request) -> Steps[LossTable]:
        self.check_languages(request.languages)
        rows = self.corpus.rows(request.sentences)
        by_best = yield from telling(0.0, self._choose_parents(request))
        subjects, wanted = self.wanted(request)
        bits: dict[tuple[str, str], np.ndarray] = {}
        for language, (name, model) in product(request.languages, wanted.items()):
            steps = self.bits_steps(model, language, rows)
            bits[name, language] = yield from nth(len(bits), len(wanted) * len(request.languages), steps)
        references = request.references(self.suite)
        lossy, notes = self.tokenization(dict(request.models) | wanted, request.languages, rows)
        return loss_table(
            subjects,
            bits,
            self.corpus,
            rows,
            references,
            self.suite.untrained,
            request.languages,
            has_roles=self.has_roles,
            lossy=lossy,
            notes=(
                *notes,
                *by_best,
                *self.counted_notes(wanted.values()),
                *self._precision(request),
                *self._read_otherwise(request, rows),
                *self.networks.said,
            ),
            provenance=self.provenance(wanted.values()),
        )

    def _precision(self, request: Request) -> Iterable[str]:
        recipes = [model for _, model in request.models if isinstance(model, Recipe)]
        said = (precision_notes, settings_notes)
        return dict.fromkeys(note for recipe in recipes for notes in said for note in notes(recipe, self.suite))

    def _read_otherwise(self, request: Request, rows: np.ndarray) -> tuple[str, ...]:
        """Which models of merges have other tokens for the text than the first, whose tokenizer the merge has."""
        found: dict[str, None] = {}
        for model in (model for _, model in request.models if isinstance(model, Recipe | Ensemble)):
            first, *others = (self.suite[name] for name in model.models)
            other = [c.name for c in others if not all(self._alike(first, c, code, rows) for code in request.languages)]
            if other and getattr(model, "kind", None) != BEST:  # which reads as each language's best does
                what = f"Merges whose first model is {first.name} read text as it does, not as {', '.join(other)}."
                found[what] = None
        return tuple(found)

    def _alike(self, first: Checkpoint, other: Checkpoint, language: str, rows: np.ndarray) -> bool:
        """Whether two checkpoints have the same tokens for a text."""
        if first.digest_of_tokenizer == other.digest_of_tokenizer:
            return True
        try:
            return self.text(first, language, rows) == self.text(other, language, rows)
        except UserError:  # of one that can't read it
            return False

    def wanted(self, request: Request) -> tuple[list[Subject], dict[str, Scored]]:
        """What the rows are about, and every model to score for them by name."""
        open_for = self._without_reference(request)
        chosen = [
            {c: best for c in open_for if (best := self._best_of.get((parents(model), c, request.sentences)))}
            for _, model in request.models
        ]
        subjects = [
            Subject(name, () if isinstance(model, str) else model.models, best)
            for (name, model), best in zip(request.models, chosen, strict=True)
        ]
        return subjects, dict(self._companions(request)) | dict(request.models)

    def _without_reference(self, request: Request) -> list[str]:
        """Languages in which costs are counted from the best parent of each merge."""
        return [c for c, name in request.references(self.suite).items() if name is None] if self.has_roles else []

    def _choose_parents(self, request: Request) -> Steps[tuple[str, ...]]:
        """Settle the best parents that costs are counted from where the suite names no reference; what to say of it."""
        merges = dict.fromkeys(parents(model) for _, model in request.models if not isinstance(model, str))
        languages = self._without_reference(request)
        for names, language in product(merges, languages):
            yield from self.best_steps(names, language, request.sentences)
        if not merges or not languages:
            return ()
        where = (
            "sentences of the dev half"
            if self.corpus.has_dev
            else "these very sentences, for the corpus has no dev half"
        )
        return (f"The best parent of a language is the one that needs least for {where}.",)

    def finished(self, request: Request) -> LossTable | None:
        """The table of a request that was asked for before, at once; None where it has to be measured."""
        return self._tables.get(request)

    def glimpse_steps(self, request: Request) -> Steps[Glimpse]:
        """What can be said of a request at once, see `Glimpses`."""
        with self.room(scoring(request.models[0][1])):
            return (yield from self._glimpses.steps(request))

    def scored_by(self, model: Scored) -> Checkpoint:
        """The checkpoint whose tokenizer a model is scored with."""
        return self.suite.checkpoints[0] if model in _COUNTED else scored_by(self.suite, model)

    def positions(self, model: Scored) -> int | None:
        """The longest text a model reads at once, in tokens, if any: of an ensemble what all its models can read."""
        if not isinstance(model, Ensemble):
            return self.scored_by(model).positions
        return min(filter(None, (self.suite[name].positions for name in model.models)), default=None)

    def tokenization(
        self, models: Mapping[str, Scored], languages: Sequence[str], rows: np.ndarray
    ) -> tuple[set[tuple[str, str]], tuple[str, ...]]:
        """Which cells have no bits per byte because their tokenizer loses text, and what to say beside the numbers."""
        lossy: set[tuple[str, str]] = set()
        long: dict[tuple[str, int], set[int]] = {}  # sentences longer than a context, by each tokenizer
        lost: dict[str, tuple[str, dict[str, str]]] = {}  # by tokenizer: whose it is, and what it loses by language
        scored = {name: self.scored_by(model) for name, model in models.items()}
        limits = {name: self.positions(model) for name, model in models.items()}
        for (name, checkpoint), language in product(scored.items(), languages):
            counts = self.token_counts(checkpoint, language, rows)
            if said := lost_text(counts):
                lossy.add((name, language))
                lost.setdefault(checkpoint.digest_of_tokenizer, (checkpoint.name, {}))[1][language] = said
            limit = limits[name]
            if limit and (found := int((counts[0] > limit).sum())):
                long.setdefault((language, limit), set()).add(found)
        prefixes = {PREFIXES[self.token_counts(c, languages[0], rows)[3, 0]] for c in scored.values()}
        notes = [f"Each sentence follows {' or '.join(sorted(prefixes))}; {arithmetic(self.device)}."]
        if left := self.corpus.left:
            notes.append(f"Not read of {self.corpus.name}: {', '.join(left)}, no language of the suite.")
        return lossy, (*lost_notes(lost.values()), *long_notes(long), *notes, *self.unkept)

    def counted_notes(self, models: Iterable[Scored]) -> tuple[str, ...]:
        """Whose tokens are counted, where models beside have other ones."""
        models = tuple(models)
        if not any(model in _COUNTED for model in models):
            return ()
        first, beside = self.suite.checkpoints[0], [self.scored_by(model) for model in models]
        others = ", ".join(dict.fromkeys(c.name for c in beside if c.vocabulary_digest != first.vocabulary_digest))
        return (f"Tokens are counted as {first.name} has them; others are those of {others}.",) if others else ()

    @property
    def unkept(self) -> tuple[str, ...]:
        """What to say beside results that could not be kept on the disk."""
        return tuple(said for said in (self.store.said, self.arrays.said) if said)

    def token_counts(
        self, checkpoint: Checkpoint, language: str, rows: np.ndarray
    ) -> Int[np.ndarray, "count sentence"]:
        """What TOKEN_COUNTS name of the given rows: from what came with the suite, else by tokenising them."""
        shipped = self.store.shipped(tokens_key(checkpoint.digest_of_tokenizer, self.corpus, language))
        return token_counts(self.text(checkpoint, language, rows)) if shipped is None else shipped[:, rows]

    def provenance(self, models: Iterable[Scored]) -> dict[str, str]:
        """What every copy of numbers should carry that these models were scored for: text, weights, tokenizers, device.

        The weights are those of every checkpoint that the models need, each with its name.
        """
        models = tuple(models)
        tokenizers = {self.scored_by(model).digest_of_tokenizer for model in models}
        names = dict.fromkeys(name for model in models for name in needed(model))
        shipped = self.store.shipped(SHIPPED)
        came = "" if shipped is None else f"; what came with the suite: {shipped}"
        return {
            "suite": self.suite.name,
            "corpus_sha256": digest([self.corpus.digest(language) for language in self.corpus.languages]),
            "weights_sha256": " ".join(f"{name}:{self.suite[name].digest}" for name in names),
            "tokenizer_sha256": "+".join(sorted(tokenizers)),
            "scoring": f"{CONVENTION}; {arithmetic(self.device)}; {_MADE_BY}{came}",
        }

    def place(self, model: Scored) -> str:
        """What a model's numbers depend on besides itself and the text, and since when they are to be relied on."""
        return f"{self.device.type}{' tf32' * in_tf32(model, self.suite, self.device.type)} {_SINCE} {TRANSFORMERS}"

    def changed(self) -> bool:
        """Whether a file of the suite has changed on disk since it was opened: then open it again."""
        return self._files.changed()

    def check_languages(self, languages: Iterable[str]) -> None:
        check_known(f"The corpus {self.corpus.name} has no language", self.corpus.languages, *languages)

    def check_unit(self, unit: str) -> None:
        check_known("This corpus has no unit", known_units(self.corpus), unit)

    def _companions(self, request: Request) -> Iterable[tuple[str, Scored]]:
        """What the models are compared with: references, init, and the parents where a language has no reference."""
        references = list(request.references(self.suite).values())
        names = [name for name in references if name and name != request.against]
        names += filter(None, [self.suite.untrained])
        if None in references:
            names += [parent for _, model in request.models for parent in parents(model)]
        return [(name, name) for name in dict.fromkeys(names)]

    def bits(self, model: Scored, language: str, rows: np.ndarray) -> np.ndarray:
        """Bits of the given rows of one language, float64; what the store has not seen is computed and kept there."""
        return finish(self.bits_steps(model, language, rows))

    def bits_steps(self, model: Scored, language: str, rows: np.ndarray) -> Steps[np.ndarray]:
        """`bits` one batch at a time."""
        self.check_languages([language])
        key = self.key(model, language)
        known = self.store.read(key, len(self.corpus.documents))
        missing = rows[np.isnan(known[rows])]
        if len(missing):
            known[missing] = yield from self._compute(model, language, missing)
            meanwhile = self.store.read_anew(key, len(known))  # what others have kept between the batches stays
            known = np.where(np.isnan(known), meanwhile, known)
            self.store.write(key, known)
        return known[rows]

    def unknown(self, model: Scored, language: str, rows: np.ndarray) -> int:
        """How many of the rows would have to be scored first."""
        known = self.store.read(self.key(model, language), len(self.corpus.documents))
        return int(np.isnan(known[rows]).sum())

    def text_steps(self, model: Scored, sentences: Sequence[str], language: str) -> Steps[np.ndarray]:
        """Bits of sentences that are not the corpus's, one batch at a time; kept in the store.

        `language` is whose dev half models that count tokens, and the best of an ensemble, go by.
        """
        if isinstance(model, Ensemble) and model.kind == BEST:
            model = yield from telling(0.0, self._best(model, language))
        own = digest(*sentences)
        fitted = (self.corpus.digest(language), self.corpus.digest_of_documents) if model in _COUNTED else ""
        key = digest("text 2", CONVENTION, model_digest(self.suite, model), fitted, own, self.place(model))
        known = self.store.read(key, len(sentences))
        if np.isnan(known).any():
            checkpoint = self.scored_by(model)
            place = (checkpoint.digest_of_tokenizer, "", own.encode())
            known = yield from self._score(model, language, self._kept(place, checkpoint, lambda: sentences))
            self.store.write(key, known)
        return known

    def lost(self, checkpoint: Checkpoint, sentences: Sequence[str]) -> str:
        """`lost_text` of sentences that are not the corpus's; what it is made from is kept in the store."""
        own, shape = digest(*sentences), (len(TOKEN_COUNTS), len(sentences))
        key = digest("counts of text", checkpoint.digest_of_tokenizer, own)
        known = self.store.read(key, len(TOKEN_COUNTS) * len(sentences))
        if np.isnan(known).any():
            place = (checkpoint.digest_of_tokenizer, "", own.encode())
            known = token_counts(self._kept(place, checkpoint, lambda: sentences)).ravel()
            self.store.write(key, known)
        return lost_text(known.reshape(shape).astype(np.int64))

    def key(self, model: Scored, language: str) -> str:
        """The store's key. What ships was computed on a CPU and serves every device: they agree within 1 in 1000."""
        shipped = bits_key(model_digest(self.suite, model, SHIPPED), self.corpus, language, "cpu")
        if self.store.shipped(shipped) is not None:
            return shipped
        return bits_key(model_digest(self.suite, model), self.corpus, language, self.place(model))

    def _compute(self, model: Scored, language: str, rows: np.ndarray) -> Steps[np.ndarray]:
        if isinstance(model, Ensemble) and model.kind == BEST:
            return (yield from self.bits_steps((yield from telling(0.0, self._best(model, language))), language, rows))
        return (yield from self._score(model, language, self.text(self.scored_by(model), language, rows)))

    def _score(self, model: Scored, language: str, text: TokenizedText) -> Steps[np.ndarray]:
        """Bits of a text; a model that counts tokens is fitted on the language's dev half."""
        if isinstance(model, str) and model in _COUNTED:
            first = self.scored_by(model)
            return _COUNTED[model](self.text(first, language, self.dev.rows()).ids, text, first.vocabulary)
        return (yield from self.score_steps(model, text))

    def score_steps(self, model: Scored, text: TokenizedText, exact: bool = True) -> Steps[np.ndarray]:
        """Bits of a text under a checkpoint or a merge, which is put again where another was put between batches."""
        with self.room(scoring(model)):
            yield from telling(0.0, self.networks.ready_steps(model))
            steps = sentence_bits_steps(self.networks.put(model, exact), text, limit=self.positions(model))
            while True:
                self.networks.put(model, exact)
                try:
                    share = next(steps)
                except StopIteration as end:
                    if not np.isfinite(end.value).all():
                        raise UserError(
                            f"{name_of(model)} gives losses that are not finite; its weights overflow."
                        ) from None
                    return end.value
                yield share

    def room(self, doing: str) -> AbstractContextManager[None]:
        """Raise UserError where the device runs out of memory inside, everything released first; see `memory.room`."""
        return room(self.device, doing, self.networks.release)

    def _best(self, model: Ensemble, language: str) -> Steps[str]:
        self.dev.rows()  # for it says so where there is none
        return (yield from self.best_steps(model.models, language))

    def best_steps(self, names: tuple[str, ...], language: str, sentences: int | None = None) -> Steps[str]:
        """The one of several checkpoints that needs least for so many sentences of a language.

        They are of the dev half, or where there is none those that are reported.
        """
        key = names, language, sentences
        if key not in self._best_of:
            half = "dev" if self.corpus.has_dev else "test"
            rows, found = self.corpus.rows(sentences, half), dict[str, float]()
            for name in names:
                found[name] = (yield from nth(len(found), len(names), self.bits_steps(name, language, rows))).sum()
            self._best_of[key] = min(found, key=lambda name: found[name])
        return self._best_of[key]

    def text(self, checkpoint: Checkpoint, language: str, rows: np.ndarray) -> TokenizedText:
        """The given rows of one language in a checkpoint's tokens."""
        place = (checkpoint.digest_of_tokenizer, language, rows.tobytes())
        return self._kept(place, checkpoint, lambda: self.corpus.text(language, rows))

    def _kept(
        self, place: tuple[str, str, bytes], checkpoint: Checkpoint, sentences: Callable[[], Sequence[str]]
    ) -> TokenizedText:
        """Sentences in a checkpoint's tokens, the last ones kept in memory.

        Of checkpoints that share a tokenizer one may have fewer rows in its embedding.
        """
        key = (*place, checkpoint.vocabulary)
        if key not in self._texts:
            self._texts[key] = tokenize(checkpoint.tokenizer, sentences())
            check_ids(checkpoint, (self._texts[key].prefix,), *self._texts[key].ids)
            if len(self._texts) > _TEXTS:
                self._texts.popitem(last=False)
        self._texts.move_to_end(key)
        return self._texts[key]
