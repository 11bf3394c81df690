"""What can be said of losses at once: full means where they are known, else estimates from few sentences."""

import math
import time
import weakref
from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from interference.checkpoint import Checkpoint
from interference.ensemble import BEST, Ensemble
from interference.losses import TokenizedText, lost_text, sentence_bits
from interference.preview import estimate, representative
from interference.scored import BIGRAM, UNIGRAM, Request, Scored
from interference.steps import Steps, telling
from interference.tables import Glimpse, glimpse

if TYPE_CHECKING:
    from interference.evaluate import Evaluator

_KEPT = 2048  # estimates kept in memory
_SECONDS = 0.06  # what an estimate of one merge may take, so that it can follow a slider
_SLOW = 1.0  # seconds of a trial on a CPU that leave no doubt; on a GPU setting up kernels may take as long
_FEW = (4, 48)  # sentences behind an estimate, at least and at most
_PATIENCE = 1.0  # seconds after which what is estimated so far is told, and the rest when asked again


class Glimpses:
    """Estimates of an evaluator's losses, kept in memory only; which sentences they are made from does not change."""

    def __init__(self, evaluator: "Evaluator"):
        # Weakly: a ring would be left to the collector, which overlooks all that was there when imports were through.
        self._evaluator: Evaluator = weakref.proxy(evaluator)
        self._estimates: OrderedDict[tuple, dict[str, tuple[float, int]]] = OrderedDict()
        self._rows: dict[tuple[tuple[str, ...], bytes], np.ndarray] = {}
        self._lossy: dict[tuple[str, str, bytes], bool] = {}

    def steps(self, request: Request) -> Steps[Glimpse]:
        """The glimpse of a request: a mean of all its sentences, or an estimate, for every model and language.

        The models asked for come first, then what they are compared with. Where that takes long, one of the models is
        there that was not the last time; the share told is of that one.
        """
        self._evaluator.check_languages(request.languages)
        rows = self._evaluator.corpus.rows(request.sentences)
        subjects, wanted = self._evaluator.wanted(request)
        means: dict[str, dict[str, tuple[float, int]]] = {}
        started, new = time.monotonic(), 0
        for name, model in (dict(request.models) | wanted).items():
            known = {language: self._known(model, language, rows) for language in request.languages}
            missing = [language for language in request.languages if np.isnan(known[language]).any()]
            if missing and (model, request.languages, rows.tobytes()) not in self._estimates:
                if new and time.monotonic() - started > _PATIENCE:
                    continue
                new += 1
            if missing and (model in (UNIGRAM, BIGRAM) or (isinstance(model, Ensemble) and model.kind == BEST)):
                for language in missing:  # as fast as an estimate
                    known[language] = yield from self._evaluator.bits_steps(model, language, rows)
                missing = []
            means[name] = {language: (float(known[language].mean()), len(rows)) for language in request.languages}
            if missing:
                found = yield from self._estimate(model, request.languages, rows)
                means[name] |= {language: found[language] for language in missing}
        left = tuple(name for name in wanted if name not in means)
        references = {} if left else request.references(self._evaluator.suite)
        lossy = set()
        for name, language in product(means, request.languages):
            if (yield from self._loses(self._evaluator.scored_by(wanted[name]), language, rows)):
                lossy.add((name, language))
        return glimpse(
            [subject for subject in subjects if subject.name in means],
            {(name, language): mean for name, by_language in means.items() for language, mean in by_language.items()},
            self._evaluator.corpus,
            rows,
            references,
            None if left else self._evaluator.suite.untrained,
            request.languages,
            has_roles=self._evaluator.has_roles and not left,
            lossy=lossy,
            left=left,
        )

    def _loses(self, checkpoint: Checkpoint, language: str, rows: np.ndarray) -> Steps[bool]:
        """Whether a tokenizer loses some of a text: looked up once, for it follows a slider."""
        key = (checkpoint.digest_of_tokenizer, language, rows.tobytes())
        if key not in self._lossy:
            self._lossy[key] = bool(lost_text(self._evaluator.token_counts(checkpoint, language, rows)))
            yield 1.0
        return self._lossy[key]

    def _estimate(
        self, model: Scored, languages: tuple[str, ...], rows: np.ndarray
    ) -> Steps[dict[str, tuple[float, int]]]:
        """(bits per sentence, sentences behind it) of a model by language, from few of the rows."""
        key = (model, languages, rows.tobytes())
        if key not in self._estimates:
            scored = self._evaluator.scored_by(model)
            few = yield from telling(0.0, self._few(scored, languages, rows))
            texts = self._texts_of(scored, languages, few)
            bits = yield from self._evaluator.score_steps(model, texts, exact=False)
            own = dict(zip(languages, bits.reshape(len(languages), len(few)).sum(axis=1), strict=True))
            part, whole = ({c: self._evaluator.corpus.sizes(c, r).sum() for c in languages} for r in (few, rows))
            self._estimates[key] = {
                c: (float(estimate(own[c], part[c], whole[c])) / len(rows), len(few)) for c in languages
            }
            if len(self._estimates) > _KEPT:
                self._estimates.popitem(last=False)
        return self._estimates[key]

    def _few(
        self, checkpoint: Checkpoint, languages: tuple[str, ...], rows: np.ndarray
    ) -> Generator[None, None, np.ndarray]:
        """The few of the rows that estimates are made from: settled once, or dragging would show a change of rows."""
        key = (languages, rows.tobytes())
        if key not in self._rows:
            count = yield from self._affordable(checkpoint, languages, rows)
            known = {}
            for language in languages:
                bits = np.stack([self._known(name, language, rows) for name in self._evaluator.suite.names])
                known[language] = bits[np.isfinite(bits).all(axis=1)]
            sizes = {language: self._evaluator.corpus.sizes(language, rows) for language in languages}
            self._rows.setdefault(key, rows[representative(sizes, known, count)])  # another may have been as far
        return self._rows[key]

    def _affordable(
        self, checkpoint: Checkpoint, languages: Sequence[str], rows: np.ndarray
    ) -> Generator[None, None, int]:
        """How many sentences of each language can be scored at slider speed here, by a trial: of one, then of a few."""
        yield from self._evaluator.networks.ready_steps(checkpoint.name)
        seconds: list[float] = []
        slow = _SLOW if self._evaluator.device.type == "cpu" else math.inf
        for count in (1, *[_FEW[0]] * 3):  # the first pass sets up kernels
            text = self._texts_of(checkpoint, languages, rows[:count])
            network = self._evaluator.networks.put(checkpoint.name)
            started = time.perf_counter()
            sentence_bits(network, text, limit=checkpoint.positions)
            seconds.append(time.perf_counter() - started)
            if seconds[-1] > slow:
                return _FEW[0]
            yield
        return int(np.clip(_SECONDS / min(seconds[1:]) * _FEW[0], *_FEW))

    def _texts_of(self, checkpoint: Checkpoint, languages: Sequence[str], rows: np.ndarray) -> TokenizedText:
        """The same rows of several languages as one text, language after language."""
        texts = [self._evaluator.text(checkpoint, language, rows) for language in languages]
        return replace(
            texts[0],
            ids=sum((text.ids for text in texts), ()),
            unknown=sum((text.unknown for text in texts), ()),
            lossless=sum((text.lossless for text in texts), ()),
        )

    def _known(self, model: Scored, language: str, rows: np.ndarray) -> np.ndarray:
        """Bits of the rows, NaN where they have not been computed yet."""
        evaluator = self._evaluator
        return evaluator.store.read(evaluator.key(model, language), len(evaluator.corpus.documents))[rows]
