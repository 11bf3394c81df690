"""What is computed over many merges at once: paths, of two checkpoints and of every two of many; methods compared."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, product

import numpy as np
import torch

from interference.compare import (
    AFTER,
    BEST,
    DEFAULT,
    REFERENCE,
    REFERENCES,
    SEARCHED_PARENTS,
    STEP,
    TRIES,
    CompareTable,
    Comparison,
    Line,
)
from interference.ensemble import BEST as ALONE
from interference.ensemble import LOGITS, PROBABILITIES, Ensemble
from interference.errors import Shortage, UserError
from interference.evaluate import Evaluator
from interference.losses import lost_notes, sentence_bits
from interference.merge import merge, merge_network_steps
from interference.minimal_pairs import AccuracyTable, PairSet, accuracy_table
from interference.path import PathTable, Walk, path_table
from interference.precision import mergekit_dtype
from interference.recipe import Recipe, checkpoint_of
from interference.registry import methods
from interference.scored import BIGRAM, UNIGRAM, Request, Scored, model_digest, scoring
from interference.search import EACH, search_steps
from interference.settings import configuration_notes
from interference.steps import Steps, clocked, nth, telling, within
from interference.store import digest


def path_steps(
    evaluator: Evaluator,
    walk: Walk,
    languages: Sequence[str],
    sentences: int | None,
    tell: Callable[[PathTable], None] | None = None,
) -> Steps[PathTable]:
    """Score every point of a path on every language, one batch at a time; points are kept in the store.

    Where somebody is to be told few points come first, and what is known of the path then.
    """
    done = 0.0
    if tell:
        for coarse in walk.coarser:
            tell((yield from within(done, coarse.points / walk.points, _path(evaluator, coarse, languages, sentences))))
            done = coarse.points / walk.points
    return (yield from within(done, 1.0, _path(evaluator, walk, languages, sentences)))


def _path(evaluator: Evaluator, walk: Walk, languages: Sequence[str], sentences: int | None) -> Steps[PathTable]:
    suite = evaluator.suite
    suite.mergeable((walk.first, walk.second))
    evaluator.check_languages(languages)
    rows = evaluator.corpus.rows(sentences)
    bits: dict[tuple[float, str], np.ndarray] = {}
    for weight, language in product(walk.weights, languages):  # every merge is made once
        steps = evaluator.bits_steps(walk.at(weight), language, rows)
        bits[weight, language] = yield from nth(len(bits), len(languages) * walk.points, steps)
    levels: dict[tuple[str, str], np.ndarray] = {}
    against: list[str] = []
    for language in languages:
        named = {"untrained": suite.untrained, "reference": suite.reference(language)}
        for role, name in named.items():
            if name:
                against.append(name)
                levels[role, language] = yield from telling(1.0, evaluator.bits_steps(name, language, rows))
    ends = (walk.first, walk.second)
    cells, notes = evaluator.tokenization({name: name for name in ends}, languages, rows)
    lossy = {language for _, language in cells}
    made_from = evaluator.provenance([*ends, *dict.fromkeys(against)])
    differing = configuration_notes(ends, suite, f"All between the ends computes as {walk.first} does.")
    return path_table(walk, bits, levels, evaluator.corpus, rows, made_from, lossy, (*notes, *differing))


_UNDECIDED = "Where a pair's difference is lost, it ties or the number of UNK decides."
_PAUSE = 1.0  # seconds between what is told while more is scored, for a table takes time


def accuracy_steps(
    evaluator: Evaluator,
    models: Mapping[str, Scored],
    pairs: PairSet,
    languages: Sequence[str],
    tell: Callable[[AccuracyTable], None] = lambda table: None,
) -> Steps[AccuracyTable]:
    """Score both sentences of every pair under every model, one batch at a time; bits are kept in the store.

    What is known so far is told after a language that took long. Models that count tokens are left out of languages
    that the corpus has not.
    """
    bits: dict[tuple[str, str], np.ndarray] = {}
    uncounted: dict[str, None] = {}
    lost: dict[str, tuple[str, dict[str, str]]] = {}  # by tokenizer: whose it is, and what it loses by language
    recipes = [model.to_yaml() for model in models.values() if isinstance(model, Recipe)]
    made_from = evaluator.provenance(models.values()) | ({"recipes": "---\n".join(recipes)} if recipes else {})

    def table() -> AccuracyTable:
        ordered = {cell: bits[cell] for cell in product(models, languages) if cell in bits}
        why = f"The corpus has no {', '.join(uncounted)}, so no tokens of it are counted." if uncounted else ""
        less = (*lost_notes(lost.values())[:-1], _UNDECIDED) if lost else ()
        notes = (*([why] if why else []), *evaluator.counted_notes(models.values()), *less)
        return accuracy_table(pairs, ordered, made_from, notes)

    cells, told = list(product(languages, models.items())), time.monotonic()
    for number, (language, (name, model)) in enumerate(cells):
        if bits and name == next(iter(models)) and time.monotonic() - told > _PAUSE:
            tell(table())
            told = time.monotonic()
        own = pairs.of(language)
        if model in (UNIGRAM, BIGRAM) and language not in evaluator.corpus.languages:
            uncounted[language] = None
            continue
        sentences = [*(pair.good for pair in own), *(pair.bad for pair in own)]
        found = yield from nth(number, len(cells), evaluator.text_steps(model, sentences, language))
        bits[name, language] = found.reshape(2, len(own))
        checkpoint = evaluator.scored_by(model)
        if said := evaluator.lost(checkpoint, sentences):
            lost.setdefault(checkpoint.digest_of_tokenizer, (checkpoint.name, {}))[1][language] = said
    return table()


Tell = Callable[[Line], None]

_RESULT = 0.1  # of the time that goes into a line whose settings are searched


def compare_steps(evaluator: Evaluator, asked: Comparison, tell: Tell = lambda line: None) -> Steps[CompareTable]:
    """Measure every line of a comparison, each told as soon as it is known; all of it is kept in the store.

    A line that can't be measured has its reason. Raises UserError for names and languages that are not there.
    """
    evaluator.suite.mergeable((*asked.models, *filter(None, [checkpoint_of(asked.base)])))
    evaluator.check_languages(asked.languages)
    plan, lines = list(_plan(evaluator, asked)), list[Line]()
    for number, (line, model) in enumerate(plan):
        start, stop = number / len(plan), (number + 1) / len(plan)
        found = start + (stop - start) * (_RESULT if asked.search else 1.0)
        if model is not None:
            line = yield from within(start, found, _measured(evaluator, asked, line, model))
        lines.append(line)
        tell(line)
        if asked.search and line.variant == DEFAULT and not line.reason:
            lines.append((yield from within(found, stop, _best(evaluator, asked, line))))
            tell(lines[-1])
    if not any(line.passing for line in lines):
        evaluator.store.write(_done_key(evaluator, asked), np.ones(1))
    return CompareTable(asked, tuple(lines), compare_notes(evaluator, asked, lines), evaluator.corpus)


def compared(evaluator: Evaluator, asked: Comparison) -> bool:
    """Whether a comparison was measured to its end before, so that it is shown without any computing."""
    return bool(np.isfinite(evaluator.store.read(_done_key(evaluator, asked), 1)).all())


def _done_key(evaluator: Evaluator, asked: Comparison) -> str:
    plan = [model for _, model in _plan(evaluator, asked) if model is not None]
    models = [(model_digest(evaluator.suite, model), evaluator.place(model)) for model in plan]
    texts = [evaluator.corpus.digest(code) for code in evaluator.corpus.languages]
    return digest("comparison", repr(asked), models, texts, evaluator.corpus.digest_of_documents)


def _plan(evaluator: Evaluator, asked: Comparison) -> Iterator[tuple[Line, Scored | None]]:
    """Every line but the searched ones, with its model, or None and the reason."""
    references: dict[str, Scored] = {kind: Ensemble(asked.models, kind) for kind in (ALONE, PROBABILITIES, LOGITS)}
    references |= {BIGRAM: BIGRAM, UNIGRAM: UNIGRAM}
    if evaluator.suite.untrained:
        references["init"] = evaluator.suite.untrained
    labels = {"init": "Untrained", UNIGRAM: "Unigram model", BIGRAM: "Bigram model"}
    for name, model in references.items():
        yield Line(name, labels.get(name, name.capitalize()), REFERENCES, REFERENCE), model
    for method in asked.chosen:
        line = Line(method.name, method.label, method.family, DEFAULT)
        try:
            recipe = asked.default(method)
        except UserError as error:
            yield replace(line, reason=str(error)), None
        else:
            yield replace(line, recipe=recipe), recipe
    for recipe in asked.steps():
        step = recipe.steps[0]
        name = f"{recipe.method}+{step.name}"
        yield Line(name, f"Average, {step.label}", AFTER, STEP, recipe), recipe


def _measured(evaluator: Evaluator, asked: Comparison, line: Line, model: Scored) -> Steps[Line]:
    """The line with its losses on the test half and what merging took, or why there are none."""
    name = model if isinstance(model, str) else f"{line.name}\0{line.variant}"
    try:
        table = yield from evaluator.table_steps(Request(((name, model),), asked.languages, asked.sentences))
        if not isinstance(model, Recipe):
            return replace(line, table=table)
        seconds = yield from telling(1.0, _seconds(evaluator, model))
        rows, bits = evaluator.corpus.rows(asked.sentences), {}
        for language in asked.languages:
            bits[language] = yield from telling(1.0, evaluator.bits_steps(model, language, rows))
    except UserError as error:
        return replace(line, reason=str(error), passing=isinstance(error, Shortage))
    return replace(line, table=table, seconds=seconds, bits=bits)


def _best(evaluator: Evaluator, asked: Comparison, default: Line) -> Steps[Line]:
    """The best settings of a method, found on the dev half of the parents' own languages."""
    line = replace(default, variant=BEST, table=None)
    assert default.recipe  # a method's line has one
    try:
        languages = evaluator.dev.languages(asked.models)
        best, tried = yield from within(0.0, 1 - _RESULT, search_steps(evaluator, default.recipe, languages))
    except UserError as error:
        return replace(line, reason=str(error), passing=isinstance(error, Shortage), recipe=None, seconds=np.nan)
    if best == default.recipe:
        return replace(default, variant=BEST, tried=tried)
    measuring = _measured(evaluator, asked, replace(line, recipe=best, tried=tried), best)
    return (yield from within(1 - _RESULT, 1.0, measuring))


def _seconds(evaluator: Evaluator, recipe: Recipe) -> Generator[None, None, float]:
    """Seconds a first merge takes here, nothing prepared; its parents are in memory and measured before the clock.

    The faster of two where it is over at once; kept in the store.
    """
    key = digest("seconds of merging", model_digest(evaluator.suite, recipe), evaluator.device.type)
    known = evaluator.store.read(key, 1)
    if np.isnan(known[0]):
        with evaluator.room(f"timing the {recipe.method} merge"):
            known = np.array([(yield from _timed(evaluator, recipe))])
        evaluator.store.write(key, known)
    return float(known[0])


def _timed(evaluator: Evaluator, recipe: Recipe) -> Generator[None, None, float]:
    yield from evaluator.dev.steps(recipe)
    weights = evaluator.networks.weights(recipe.needed)
    yield from weights.load_steps(recipe.needed)
    if recipe.finished:
        network = evaluator.dev.network(recipe.models[0])
        settle = partial(_settle, evaluator.device)
        return (yield from clocked(merge_network_steps(recipe, weights, network), settle))
    times = []
    for _ in range(2):
        with weights.unprepared():
            started = time.perf_counter()
            merge(recipe, weights)
            _settle(evaluator.device)
            times.append(time.perf_counter() - started)
        yield
    return min(times)


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare_notes(evaluator: Evaluator, asked: Comparison, lines: Sequence[Line]) -> tuple[str, ...]:
    """What belongs beside the numbers of a comparison."""
    notes = list(next((line.table.notes for line in lines if line.table), ()))
    notes += evaluator.counted_notes((UNIGRAM, BIGRAM, *asked.models))
    notes += configuration_notes(asked.models, evaluator.suite, f"Every merge computes as {asked.models[0]} does.")
    notes.append("Default: equal coefficients, every knob at its declared default.")
    if asked.search and any(line.variant == BEST and line.table for line in lines):
        coefficients = ", coefficients equal" if len(asked.models) > SEARCHED_PARENTS else ""
        notes.append(
            f"Best: of at most {TRIES} settings of each method{coefficients}, the one with the least bits on {EACH} "
            f"sentences of the dev half in each of {', '.join(evaluator.dev.languages(asked.models))}."
        )
    halves = {mergekit_dtype(line.recipe, evaluator.suite) for line in lines if line.recipe} - {""}
    if halves:
        as_here = ", ".join(name for name, method in methods().items() if method.mergekit_float32)
        notes.append(
            f"Everything is computed in float32; mergekit computes its methods but {as_here} in "
            f"{' or '.join(sorted(halves))} unless the recipe says dtype: float32."
        )
    notes.append("Seconds: one merge with the parents in memory; what a method measures on them is not counted.")
    return tuple(notes)


def outlook_steps(evaluator: Evaluator, asked: Comparison) -> Steps[float]:
    """Roughly how many seconds a comparison will take; 0 if it was measured before.

    By a trial on a few sentences, as if nothing were known. Raises UserError for models that can't be merged.
    """
    evaluator.suite.mergeable(asked.models)
    if compared(evaluator, asked):
        return 0.0
    first = evaluator.suite[asked.models[0]]
    text = evaluator.text(first, asked.languages[0], evaluator.corpus.rows(_TRIAL))
    times: list[float] = []
    with evaluator.room(scoring(first.name)):
        yield from telling(0.0, evaluator.networks.ready_steps(first.name))
        while len(times) < 3:  # the first pass sets up kernels
            network, started = evaluator.networks.put(first.name), time.perf_counter()
            sentence_bits(network, text, limit=first.positions)
            times.append(time.perf_counter() - started)
            yield len(times) / 3
    each = len(evaluator.corpus.rows(asked.sentences)) * len(asked.languages)
    searched = TRIES * EACH * (len({evaluator.suite[m].language for m in asked.models})) if asked.search else 0
    plan = [model for _, model in _plan(evaluator, asked) if model is not None]
    merges = sum(isinstance(model, Recipe) and not model.post for model in plan)
    ensembles = sum(isinstance(model, Ensemble) for model in plan) * len(asked.models)
    passes = (len(plan) + ensembles + merges * asked.search) * each + merges * searched
    return min(times) / len(text.ids) * passes


_TRIAL = 8  # sentences scored for an estimate


def pairs_steps(
    evaluator: Evaluator,
    models: Sequence[str],
    points: int,
    method: str,
    languages: Sequence[str],
    sentences: int | None,
) -> Steps[tuple[PathTable, ...]]:
    """The path between every two of the checkpoints, in the order of their pairs."""
    pairs = list(combinations(dict.fromkeys(models), 2))
    if not pairs:
        raise UserError("Paths between pairs need two checkpoints or more. Name at least two.")
    found = []
    for number, (first, second) in enumerate(pairs):
        steps = path_steps(evaluator, Walk(first, second, points, method), languages, sentences)
        found.append((yield from nth(number, len(pairs), steps)))
    return tuple(found)
