"""All pairs of a suite's models: what their equal-weight merges lose, and what is measured of them before."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
import torch

from interference import similarity as alike
from interference.bench import SENTENCES
from interference.conflict.registry import Measure, measures
from interference.conflict.survey import VERSION, Survey, equal_average, survey_steps
from interference.conflict.table import ALL
from interference.errors import UserError, check_known
from interference.evaluate import Evaluator
from interference.groups import group_of
from interference.losses import sentence_bits
from interference.predict import HEADS, PairTable, Prediction, Predictor, check_languages, predict_steps
from interference.settings import configuration_notes
from interference.similarities import similarity_steps
from interference.similarity_request import CONDITIONS, SimilarityRequest
from interference.statistics import clustered_means
from interference.steps import Steps, clocked, nth, telling, within
from interference.store import Store, digest
from interference.suite import Suite
from interference.tables import PER_BYTE, unit_sizes

ROLES = ("mono", "branch")
OVERLAP = Predictor(
    "token_overlap", "Token overlap", "text", "high",
    "Shared mass of the two languages' token frequencies on the dev half, 0 to 1; an UNK is shared by none.",
)  # fmt: skip
FOREIGN = Predictor(
    "foreign_loss", "Loss on the other's language", "losses", "low",
    "What each parent needs for the other's language on the dev half beyond that language's own model, mean of both.",
)  # fmt: skip
SIMILARITY = {"own": "own languages", "pivot": "one language", "numerals": "numerals"}
_VERSION = 3  # raised when a measure of a pair gives other numbers than before
_FEW = 16  # sentences of a trial
_FISHER = 10  # times what scoring one language takes, for one model


@dataclass(frozen=True)
class Pairing:
    """Which pairs of a suite, and how damage and measures are taken.

    The models are those of a `role`, one for each language (none named: all of them). `measures` are names of
    `predictors` (none named: all). `part` is the group of parameters that the weights' measures are about.
    """

    role: str = "mono"
    languages: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    unit: str = "bits per sentence"
    sentences: int | None = SENTENCES
    part: str = ALL

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UserError(f"Pairs are of the role {' or '.join(ROLES)}, not '{self.role}'.")
        check_known("Unknown measure", [p.name for p in predictors()], *self.measures)

    @property
    def chosen(self) -> tuple[Predictor, ...]:
        return tuple(p for p in predictors() if not self.measures or p.name in self.measures)


@dataclass(frozen=True)
class Outlook:
    """What has to be computed for a pairing: merged losses and measures, and the seconds that it may take."""

    pairs: int
    losses: int
    measures: int
    seconds: float

    @property
    def known(self) -> bool:
        return not self.losses and not self.measures


@dataclass(frozen=True)
class _Task:
    """A pairing on a suite: the model of each language, and the test rows."""

    evaluator: Evaluator
    pairing: Pairing
    models: dict[str, str]
    rows: np.ndarray

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Of languages."""
        return tuple(combinations(self.models, 2))

    def merge(self, pair: tuple[str, str]) -> Any:
        return equal_average((self.models[pair[0]], self.models[pair[1]]))

    def size(self, language: str, rows: np.ndarray) -> float:
        """What bits per sentence of a language are divided by."""
        return float(unit_sizes(self.pairing.unit, self.evaluator.corpus, language, rows).mean())

    @property
    def half(self) -> str:
        """What is held against the damage is measured on the dev half; on all of a corpus without documents."""
        return "dev" if self.evaluator.corpus.has_dev else "test"

    @property
    def dev(self) -> np.ndarray:
        """Rows of that half, as many as are scored of the test half."""
        return self.evaluator.corpus.rows(self.pairing.sentences, self.half)


def predictors() -> tuple[Predictor, ...]:
    """Everything that can be held against the damage."""
    weights = (_weights_predictor(m) for m in measures().values())
    return (*weights, *_similarity_predictors().values(), OVERLAP, FOREIGN)


def _similarity_predictors() -> dict[tuple[str, str], Predictor]:
    """By similarity measure and condition: the paper's measure and the debiased one, z-scored, mean over layers."""
    found = {}
    for name, condition in product((alike.DEFAULT, "cka"), SIMILARITY):
        measure = alike.measures()[name]
        label, how = f"{measure.label}, {SIMILARITY[condition]}", CONDITIONS[condition]
        read = "" if condition == "numerals" else ", of the dev half"
        caption = f"{measure.caption} Mean over layers but the embeddings; {how}{read}; z-scored states."
        key = f"{name}_{condition}"
        found[name, condition] = Predictor(key, label, "representations", measure.best, caption, measure.source)
    return found


def _weights_predictor(measure: Measure) -> Predictor:
    single = measure.of == "model" and not _pairwise(measure)
    label = f"{measure.label}, difference" if single else measure.label
    how = "" if measure.of != "model" else " Difference of the two models." if single else " Mean of the two models."
    best = "neither" if single else measure.best
    return Predictor(measure.name, label, "weights", best, measure.caption + how, measure.source)


def _pairwise(measure: Measure) -> bool:
    """Whether a measure of a pair needs a survey of that pair alone."""
    return measure.of == "set" or "a recipe" in measure.needs


def models_of(suite: Suite, role: str, languages: Sequence[str] = ()) -> dict[str, str]:
    """The model of each language by role: the language's reference where it is of the role, else the first.

    Of training runs the last checkpoints are looked at. Raises UserError for languages without one and for too few.
    """
    every = suite.corpus.languages if suite.corpus else suite.languages
    found: dict[str, str] = {}
    for language in languages or every:
        names = [c.name for c in suite.last_with_role(role) if c.language == language]
        reference = suite.reference(language)
        if names:
            found[language] = reference if reference in names else names[0]
        elif languages:
            raise UserError(
                f"The suite {suite.name} has no checkpoint of the role {role} for the language '{language}'."
            )
    if not found:
        raise UserError(
            f"The suite {suite.name} has no checkpoints of the role {role} with a language: there are no pairs to look "
            "at. Give checkpoints a role and a language in suite.yaml."
        )
    check_languages(tuple(found))
    suite.mergeable(tuple(found.values()))
    return found


def _picked(suite: Suite, role: str, models: Mapping[str, str]) -> tuple[str, ...]:
    """What to say where a language has several models of a role and none is its reference."""
    counts = Counter(c.language for c in suite.last_with_role(role))
    some = [
        f"{name} (of {counts[code]})"
        for code, name in models.items()
        if counts[code] > 1 and suite.reference(code) != name
    ]
    return (f"Of several {role} models of a language the first is taken: {', '.join(some)}.",) if some else ()


def _task(evaluator: Evaluator, pairing: Pairing) -> _Task:
    evaluator.check_languages(pairing.languages)
    evaluator.check_unit(pairing.unit)
    models = models_of(evaluator.suite, pairing.role, pairing.languages)
    shapes = evaluator.suite[next(iter(models.values()))].shapes
    groups = dict.fromkeys((ALL, *(group_of(name) for name in shapes)))
    check_known("These models have no part", groups, pairing.part)
    return _Task(evaluator, pairing, models, evaluator.corpus.rows(pairing.sentences))


def pair_steps(evaluator: Evaluator, pairing: Pairing) -> Steps[PairTable]:
    """The table of all pairs: merges are scored one batch at a time, then measures taken; all is kept in the store."""
    task = _task(evaluator, pairing)
    damage, notes = yield from within(0.0, 0.4, _damage(task))
    found, left_out = yield from within(0.4, 1.0, _columns(task))
    frame = pd.DataFrame(task.pairs, columns=list(HEADS[:2]))
    frame = frame.assign(**dict(zip(HEADS[2:], damage, strict=True)), **found)
    chosen = tuple(
        replace(p, unit=pairing.unit) if p.kind == "losses" else p for p in pairing.chosen if p.name in found
    )
    corpus = evaluator.corpus
    half = "test half" if corpus.has_dev else "corpus"
    part = "the whole model" if pairing.part == ALL else pairing.part
    own = (
        f"Damage: what the mean of two {pairing.role} models needs beyond each language's own model, mean of the two "
        f"languages, {len(task.rows)} sentences each ({half}); of single pairs {corpus.intervals(task.rows)}.",
        f"Measures of the weights are about {part}.",
        *_picked(evaluator.suite, pairing.role, task.models),
        *(f"{name} is left out. {why}" for name, why in left_out.items()),
        *notes,
        *configuration_notes(
            tuple(task.models.values()),
            evaluator.suite,
            "A merge of two computes as the one whose language comes first.",
        ),
    )
    return PairTable(
        f"{evaluator.suite.name}, {pairing.role}",
        tuple(task.models),
        f"damage of the merge, {pairing.unit}",
        "low",
        chosen,
        frame[[*HEADS, *(p.name for p in chosen)]],
        own,
        evaluator.provenance(task.models.values()) | {"pairs_of": f"{pairing.role}; weights' measures of {part}"},
    )


def prediction_steps(evaluator: Evaluator, pairing: Pairing) -> Steps[Prediction]:
    """The pairs of a suite, and every measure of them against the damage."""
    table = yield from within(0.0, 0.9, pair_steps(evaluator, pairing))
    return (yield from within(0.9, 1.0, predict_steps(table, evaluator.store)))


def _damage(task: _Task) -> Steps[tuple[np.ndarray, tuple[str, ...]]]:
    """[mean or low or high, pair]: the excess of every merge over each language's own model, mean of both languages."""
    documents = [task.evaluator.corpus.documents[row] for row in task.rows]
    scaled = []
    for number, pair in enumerate(task.pairs):
        sides: list[np.ndarray] = []
        for language in pair:
            losses: list[np.ndarray] = []
            for model in (task.merge(pair), task.models[language]):
                steps = task.evaluator.bits_steps(model, language, task.rows)
                losses.append((yield from nth(4 * number + 2 * len(sides) + len(losses), 4 * len(task.pairs), steps)))
            sides.append((losses[0] - losses[1]) / task.size(language, task.rows))
        scaled.append(np.mean(sides, axis=0))
    names = {name: name for name in task.models.values()}
    lossy, notes = task.evaluator.tokenization(names, tuple(task.models), task.rows)
    if task.pairing.unit in PER_BYTE and lossy:
        raise UserError(f"There are no {task.pairing.unit} here. {notes[0]} Choose bits per sentence.")
    return np.stack(clustered_means(np.stack(scaled), documents)), notes


def _columns(task: _Task) -> Steps[tuple[dict[str, np.ndarray], dict[str, str]]]:
    """The values of every chosen measure by pair, and why some have none; what is computed is kept."""
    store, found = task.evaluator.store, _known(task)
    missing = [p for p in task.pairing.chosen if p.name not in found]
    left_out: dict[str, str] = {}
    if OVERLAP in missing:
        found[OVERLAP.name] = _overlap(task)
    if FOREIGN in missing:
        found[FOREIGN.name] = yield from within(0.0, 0.1, _foreign(task))
    for (name, condition), predictor in _similarity_predictors().items():
        if predictor in missing:
            values, why = yield from within(0.1, 0.2, _similarity(task, name, condition, predictor))
            found |= values
            left_out |= why
    named = [measures()[p.name] for p in missing if p.kind == "weights"]
    for start, stop, kind in ((0.2, 0.4, False), (0.4, 1.0, True)):
        some = [m for m in named if _pairwise(m) == kind]
        if some:
            values, why = yield from within(start, stop, (_one_by_one if kind else _together)(task, some, store))
            found |= values
            left_out |= why
    for predictor in missing:
        if predictor.name in found:
            store.write(_key(task, predictor), np.append(found[predictor.name], 1.0))
    return found, left_out


def _known(task: _Task) -> dict[str, np.ndarray]:
    """What the store has of the chosen measures; the last number says that the others are there."""
    read = {p.name: task.evaluator.store.read(_key(task, p), len(task.pairs) + 1) for p in task.pairing.chosen}
    return {name: values[:-1] for name, values in read.items() if values[-1] == 1}


def _key(task: _Task, predictor: Predictor) -> str:
    """What the values of a measure depend on."""
    evaluator, pairing = task.evaluator, task.pairing
    parts: list[Any] = [[evaluator.suite[name].digest for name in task.models.values()], pairing.part]
    if predictor.kind != "weights" or "a corpus" in measures()[predictor.name].needs:
        corpus = evaluator.corpus
        parts += [list(task.models), corpus.digest_of_documents, [corpus.digest(code) for code in corpus.languages]]
        parts += [pairing.sentences, pairing.unit]
    if predictor.kind == "losses":
        parts += [evaluator.place(name) for name in task.models.values()]
    versions = _VERSION, VERSION, torch.__version__, evaluator.device.type
    return digest("pairs", versions, predictor.name, *parts)


Columns = tuple[dict[str, np.ndarray], dict[str, str]]  # values by pair, and why some measures have none


def _together(task: _Task, some: Sequence[Measure], store: Store) -> Steps[Columns]:
    """Measures of a model or of a pair, from one pass over all models."""
    table = yield from _survey(task, tuple(task.models.values()), some, store)
    found = {}
    names = [(task.models[a], task.models[b]) for a, b in task.pairs]
    for measure in some:
        frame = table[table["measure"] == measure.name]
        if measure.of == "pair":
            own = {(a, b): v for a, b, v in zip(frame["first"], frame["second"], frame["value"], strict=True)}
            found[measure.name] = [own.get(pair, np.nan) for pair in names]
        else:
            one = dict(zip(frame["first"], frame["value"], strict=True))
            found[measure.name] = [abs(one.get(a, np.nan) - one.get(b, np.nan)) for a, b in names]
    return _split(found)


def _one_by_one(
    task: _Task, some: Sequence[Measure], store: Store, pairs: Sequence[tuple[str, str]] = ()
) -> Steps[Columns]:
    """Measures of a merge or of a set: a pass over the two models of every pair."""
    found: dict[str, list[float]] = {measure.name: [] for measure in some}
    pairs = pairs or task.pairs
    for number, (a, b) in enumerate(pairs):
        steps = _survey(task, (task.models[a], task.models[b]), some, store)
        table = yield from nth(number, len(pairs), steps)
        for name in found:
            found[name].append(float(table.loc[table["measure"] == name, "value"].mean(skipna=False)))
    return _split(found)


def _similarity(task: _Task, name: str, condition: str, predictor: Predictor) -> Steps[Columns]:
    """A similarity of the models of every pair, the mean over layers but the embeddings."""
    models = tuple((one, one) for one in task.models.values())
    asked = SimilarityRequest(
        models, (name,), condition, sentences=task.pairing.sentences, intervals=False, half=task.half
    )
    try:
        table = yield from similarity_steps(task.evaluator, asked)
    except UserError as error:  # too few sentences
        return {}, {predictor.label: str(error)}
    frame = table.frame[(table.frame["layer_a"] > 0) & (table.frame["layer_b"] > 0)]
    means = frame.groupby(["model_a", "model_b"])["value"].agg(lambda one: one.mean(skipna=False))
    names = [(task.models[a], task.models[b]) for a, b in task.pairs]
    return {predictor.name: np.array([means[pair] for pair in names], dtype=float)}, {}


def _split(found: dict[str, list[float]]) -> Columns:
    why = "It has no value for some pair: it is undefined in this part of the model, or there is no text to measure on."
    values = {name: np.array(one, dtype=float) for name, one in found.items()}
    empty = [name for name, one in values.items() if not np.isfinite(one).all()]
    return {n: v for n, v in values.items() if n not in empty}, {measures()[n].label: why for n in empty}


def _survey(task: _Task, models: tuple[str, ...], some: Sequence[Measure], store: Store) -> Steps[pd.DataFrame]:
    """The rows of measures for the part of the model that is looked at."""
    evaluator = task.evaluator
    weights = evaluator.networks.weights(models)
    survey = Survey(equal_average(models), None, tuple(m.name for m in some), chance=False)
    steps = survey_steps(evaluator.suite, weights, store, survey, evaluator.networks.release)
    frame = (yield from steps).by("whole")
    return frame[frame["group"] == task.pairing.part]


def _overlap(task: _Task) -> np.ndarray:
    """Shared mass of the token frequencies of two languages: what is UNK in one is another text in the other."""
    shares = {}
    for language, name in task.models.items():
        checkpoint = task.evaluator.suite[name]
        text = task.evaluator.text(checkpoint, language, task.dev)
        counts = np.bincount([one for line in text.ids for one in line], minlength=checkpoint.vocabulary)
        shares[language] = counts / counts.sum()
        if text.unknown_id is not None:
            shares[language][text.unknown_id] = 0
    return np.array([np.minimum(shares[a], shares[b]).sum() for a, b in task.pairs])


def _foreign(task: _Task) -> Steps[np.ndarray]:
    """Mean of what each of two models needs for the other's language beyond that language's own model."""
    bits: dict[tuple[str, str], float] = {}
    for name, language in product(task.models.values(), task.models):
        steps = task.evaluator.bits_steps(name, language, task.dev)
        own = yield from nth(len(bits), len(task.models) ** 2, steps)
        bits[name, language] = float(own.mean()) / task.size(language, task.dev)
    excess = {(name, code): own - bits[task.models[code], code] for (name, code), own in bits.items()}
    return np.array([(excess[task.models[a], b] + excess[task.models[b], a]) / 2 for a, b in task.pairs])


class _Forgetful(Store):
    """A store that keeps nothing, for trials of how long something takes."""

    def __init__(self) -> None:
        pass

    def read(self, key: str, length: int) -> np.ndarray:
        return np.full(length, np.nan)

    def write(self, key: str, bits: np.ndarray) -> None:
        pass


def _seconds_of_a_loss(task: _Task, pair: tuple[str, str]) -> float:
    """What merging two models and scoring one language takes, from a few sentences."""
    evaluator, rows = task.evaluator, task.rows[:_FEW]
    checkpoint = evaluator.suite[task.models[pair[0]]]
    text = evaluator.text(checkpoint, pair[0], rows)
    evaluator.networks.put(checkpoint.name)  # what is loaded once is not to be counted
    sentence_bits(evaluator.networks.put(checkpoint.name), text, limit=checkpoint.positions)
    started = time.perf_counter()
    network = evaluator.networks.put(task.merge(pair))
    merged = time.perf_counter() - started
    sentence_bits(network, text, limit=checkpoint.positions)
    return merged + (time.perf_counter() - started - merged) * len(task.rows) / len(rows)


def outlook_steps(evaluator: Evaluator, pairing: Pairing) -> Steps[Outlook]:
    """What a pairing still takes, timed on one merge and on the measures of one pair."""
    task = _task(evaluator, pairing)
    cells = [(pair, language) for pair in task.pairs for language in pair]
    unscored = [(p, code) for p, code in cells if evaluator.unknown(task.merge(p), code, task.rows)]
    known = _known(task)
    missing = [p for p in pairing.chosen if p.name not in known]
    if not unscored and not missing:
        return Outlook(len(task.pairs), 0, 0, 0.0)
    pair = task.pairs[0]
    with evaluator.room("timing a merge"):
        yield from telling(0.0, evaluator.networks.ready_steps(task.merge(pair)))
        cell = _seconds_of_a_loss(task, pair)
    yield 0.3
    seconds = cell * len(unscored)
    named = [measures()[p.name] for p in missing if p.kind == "weights"]
    for kind in (False, True):
        some = [m for m in named if _pairwise(m) == kind and "a corpus" not in m.needs]
        if some:
            spent = yield from telling(0.5, clocked(_one_by_one(task, some, _Forgetful(), [pair])))
            # A pass over all models takes as long as one over each pair where the measure is of pairs; at most.
            seconds += spent * len(task.pairs) * (1.0 if kind else 0.5)
    if any(p.kind == "representations" for p in missing):  # states are read once, and compared
        seconds += 2 * cell * len(task.models)
    if any("a corpus" in m.needs for m in named):
        seconds += _FISHER * cell * len(task.models)
    return Outlook(len(task.pairs), len(unscored), len(missing), seconds)
