"""What is compared with what: models and texts in, a table of similarities out, a batch at a time."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, combinations_with_replacement, product
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from jaxtyping import Float

from interference.activations import (
    NUMERALS,
    POOLINGS,
    States,
    Text,
    all_states_steps,
    has_digits,
    numerals,
    own_language,
    readings_steps,
    states_steps,
    text_of,
)
from interference.comparable import problem
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.labels import capitalised, labels
from interference.recipe import Recipe
from interference.scored import Model, model_digest
from interference.similarity import FEWEST, Measure, expected, measures, varies
from interference.similarity.logit_lens import TOKENS
from interference.similarity.table import (
    BLOCKS,
    COLUMNS,
    FEWEST_BLOCKS,
    Place,
    Side,
    SimilarityTable,
    Vectors,
    flat,
    measured,
    places_of,
    prepared,
    spanned,
)
from interference.similarity_request import CONDITIONS, SimilarityRequest, pivot_of
from interference.steps import Steps, nth, telling, within
from interference.store import digest
from interference.suite import Suite

_MOST = 3000  # pairs of one measure that get intervals
Names = tuple[str, str]  # of a model and of what it reads


_TABLES: WeakKeyDictionary[Evaluator, OrderedDict[SimilarityRequest, SimilarityTable]] = WeakKeyDictionary()
_KEPT = 64  # tables of one evaluator


def similarity_steps(evaluator: Evaluator, asked: SimilarityRequest, keep: bool = True) -> Steps[SimilarityTable]:
    """The table of a request, a batch of text or one place's relations at a time; states are kept in the store.

    With `keep` the table stays in memory for the next time: not for what a moving slider passes.
    """
    kept = _TABLES.setdefault(evaluator, OrderedDict())
    table = kept.get(asked) or (yield from _compare(evaluator, asked))
    if keep:
        kept[asked] = table
        kept.move_to_end(asked)
        if len(kept) > _KEPT:
            kept.popitem(last=False)
    return table


def kept_tables(evaluator: Evaluator, *asked: SimilarityRequest) -> tuple[SimilarityTable, ...] | None:
    """The tables of requests if all of them are in memory."""
    kept = _TABLES.get(evaluator, OrderedDict())
    found = tuple(table for one in asked if (table := kept.get(one)))
    return found if len(found) == len(asked) else None


def tables_steps(evaluator: Evaluator, *asked: SimilarityRequest) -> Steps[tuple[SimilarityTable, ...]]:
    """The tables of several requests, one after the other."""
    found: list[SimilarityTable] = []
    for one in asked:
        steps = similarity_steps(evaluator, one)
        found.append((yield from nth(len(found), len(asked), steps)))
    return tuple(found)


def _compare(evaluator: Evaluator, asked: SimilarityRequest) -> Steps[SimilarityTable]:
    models, texts = dict(asked.models), _texts(evaluator, asked)
    readers, left_out = _readers(evaluator, asked, texts)
    wanted = list(dict.fromkeys(one for pair in readers for one in pair))
    states: dict[Names, States] = {}
    for name, languages in _read_at_once(wanted, models):
        read = [texts[language] for language in languages]
        steps = all_states_steps(evaluator, models[name], read, asked.pooling)
        start, stop = (0.7 * count / len(wanted) for count in (len(states), len(states) + len(languages)))
        found = yield from within(start, stop, steps)
        states |= zip([(name, language) for language in languages], found, strict=True)
    pairs = [pair for one in readers for pair in _layered(asked, one, states)]
    documents = texts[wanted[0][1]].documents
    refusal = partial(_refusal, evaluator.suite, models)
    frames: list[pd.DataFrame] = []
    for name in dict.fromkeys(asked.measures):
        measure = measures()[name]
        sides = yield from telling(0.7, _sides(evaluator, asked, measure, pairs, states, texts, models))
        done = 0.7 + 0.3 * len(frames) / len(asked.measures)
        measuring = measured(
            measure, sides, pairs, documents, asked.preparation, refusal, asked.condition,
            asked.intervals and len(pairs) <= _MOST,
            _kept_vectors(evaluator, asked, measure, pairs, texts, models),
        )  # fmt: skip
        frames.append((yield from telling(done, measuring)))
    frame = pd.concat(frames, ignore_index=True)
    notes = _notes(evaluator, asked, frame, states, left_out)
    return SimilarityTable(frame[list(COLUMNS)], notes, _provenance(evaluator, asked))


def _read_at_once(wanted: Sequence[Names], models: Mapping[str, Model]) -> list[tuple[str, list[str]]]:
    """Who reads what in one go: a merge all its texts, for it has to follow a slider; checkpoints one by one, so that
    what is kept of them does not hang on what else was asked for."""
    found: list[tuple[str, list[str]]] = []
    for name in dict.fromkeys(name for name, _ in wanted):
        languages = [language for reader, language in wanted if reader == name]
        found += [(name, languages)] if isinstance(models[name], Recipe) else [(name, [one]) for one in languages]
    return found


def _provenance(evaluator: Evaluator, asked: SimilarityRequest) -> dict[str, str]:
    found = evaluator.provenance(model for _, model in asked.models)
    scoring = found.pop("scoring").split("; ", 1)[1]
    recipes = {f"recipe {name}": model.to_yaml() for name, model in asked.models if isinstance(model, Recipe)}
    return found | {"states": f"{asked.pooling}; {asked.preparation.label()}; {scoring}"} | recipes


def _texts(evaluator: Evaluator, asked: SimilarityRequest) -> dict[str, Text]:
    """Everything that is read, by name; the same meanings in all of it."""
    if asked.condition == "numerals":
        text = numerals(asked.sentences)
        found = {NUMERALS: text}
    else:
        evaluator.check_languages(asked.languages)
        rows = evaluator.corpus.rows(asked.sentences, asked.half)
        found = {language: text_of(evaluator.corpus, language, rows) for language in evaluator.corpus.languages}
        text = next(iter(found.values()))
    if len(text.sentences) < FEWEST:
        raise UserError(
            f"The text has {len(text.sentences)} sentences; similarities need {FEWEST} at least. Give a longer corpus."
        )
    return found


def _readers(
    evaluator: Evaluator, asked: SimilarityRequest, texts: Mapping[str, Text]
) -> tuple[list[tuple[Names, Names]], tuple[str, ...]]:
    """Which model reads what, in pairs that are compared; and what is left out, in words."""
    names = [name for name, _ in asked.models]
    if len(set(names)) < len(names):
        raise UserError("Two models of this comparison have one name. Name each once.")
    self_too = asked.across and len(names) == 1
    couples = list(combinations_with_replacement(names, 2) if self_too else combinations(names, 2))
    if asked.against:
        couples = [(a, b) for a, b in couples if (a in asked.against) != (b in asked.against)]
    if asked.condition == "languages":
        chosen = asked.languages or tuple(texts)
        pairs = combinations_with_replacement(chosen, 2) if asked.across else combinations(chosen, 2)
        found = [((name, one), (name, other)) for one, other in pairs for name in names]
        return _some(found, "two languages"), ()
    if asked.condition == "numerals":
        return _some([((a, NUMERALS), (b, NUMERALS)) for a, b in couples], "two models"), ()
    if asked.condition == "pivot":
        chosen = asked.languages or (pivot_of(tuple(texts)),)
        return _some([((a, lang), (b, lang)) for lang, (a, b) in product(chosen, couples)], "two models"), ()
    own = {name: own_language(evaluator, model) for name, model in asked.models}
    ours = [((a, own[a] or own[b]), (b, own[b] or own[a])) for a, b in couples]
    known = [pair for pair in ours if all(language in texts for _, language in pair)]
    lost = {f"{a} and {b}" for (a, x), (b, y) in ours if x not in texts or y not in texts}
    notes = (f"{len(lost)} pairs of models without a language of the corpus are left out.",) if lost else ()
    return _some(known, "two models, one of them with a language of its own (`language` in suite.yaml),"), notes  # type: ignore[arg-type]


def _some(pairs: list, what: str) -> list:
    if not pairs:
        raise UserError(f"There is nothing to compare: it takes {what} in this condition.")
    return pairs


def _layered(
    asked: SimilarityRequest, pair: tuple[Names, Names], states: Mapping[Names, States]
) -> Iterable[tuple[Place, Place]]:
    """The places that are compared for two readers."""
    (a, x), (b, y) = pair
    depths = [len(states[one].values) for one in pair]
    layers = asked.layers or tuple(range(depths[0]))
    if wrong := [layer for layer in layers if not 0 <= layer < depths[0]]:
        raise UserError(f"{a} has no layer {wrong[0]}; expected 0 (the embeddings) to {depths[0] - 1} (the last).")
    if asked.across:
        return [(Place(a, x, i), Place(b, y, j)) for i, j in product(layers, range(depths[1]))]
    step = (depths[1] - 1) / max(depths[0] - 1, 1)
    return [(Place(a, x, layer), Place(b, y, round(layer * step))) for layer in layers]


def _sides(
    evaluator: Evaluator,
    asked: SimilarityRequest,
    measure: Measure,
    pairs: Sequence[tuple[Place, Place]],
    states: Mapping[Names, States],
    texts: Mapping[str, Text],
    models: Mapping[str, Model],
) -> Steps[dict[Place, Side]]:
    """What a measure is given of each place: its states, or what the logit lens reads from them."""
    found: dict[Place, Side] = {}
    read: dict[Names, np.ndarray] = {}
    for place in places_of(pairs):
        name = place.model, place.language
        if measure.needs == "vocabulary" and name not in read:
            steps = readings_steps(evaluator, models[place.model], texts[place.language], asked.pooling, TOKENS)
            read[name] = yield from telling(0.0, steps)
        readings = read[name][place.layer] if name in read else None
        found[place] = Side(states[name].values[place.layer], states[name].read.astype(np.float64), readings)
    return found


class _Kept(dict):
    """Vectors of places in the evaluator's memory, by what they were made of."""

    def __init__(self, evaluator: Evaluator, keys: Mapping[Place, str]):
        super().__init__()
        self._arrays, self._keys = evaluator.arrays, keys

    def __contains__(self, place: object) -> bool:
        if not super().__contains__(place) and (kept := self._arrays.read(self._keys[place])):  # type: ignore[index]
            super().__setitem__(place, kept["vector"])
        return super().__contains__(place)

    def __setitem__(self, place: Place, vector: np.ndarray) -> None:
        super().__setitem__(place, vector)
        self._arrays.write(self._keys[place], {"vector": vector})


def _kept_vectors(
    evaluator: Evaluator,
    asked: SimilarityRequest,
    measure: Measure,
    pairs: Sequence[tuple[Place, Place]],
    texts: Mapping[str, Text],
    models: Mapping[str, Model],
) -> Vectors:
    digests = {name: model_digest(evaluator.suite, model) for name, model in models.items()}
    keys = {
        place: digest(
            "relations v2", measure.name, asked.preparation.label(), asked.pooling, digests[place.model],
            texts[place.language].digest, place.layer,
        )
        for place in places_of(pairs)
    }  # fmt: skip
    return _Kept(evaluator, keys)


def _refusal(suite: Suite, models: Mapping[str, Model], measure: Measure, a: Place, b: Place) -> str:
    """Why a measure can't compare two places, '' where it can."""
    return problem(suite, measure.needs, *((place.model, models[place.model]) for place in (a, b)))


@dataclass(frozen=True)
class Everything:
    """Every place with every other: `values` and `chance` [place, place] under one measure of relations."""

    places: tuple[Place, ...]
    values: Float[np.ndarray, "place place"]
    chance: Float[np.ndarray, "place place"]


def everything_steps(evaluator: Evaluator, asked: SimilarityRequest) -> Steps[Everything]:
    """All models of a comparison on all its languages at all layers, every place with every other, without intervals.

    Each place's relations become one unit vector, and the whole table is one matrix product. Only for measures of
    relations; places whose states do not vary are left out.
    """
    measure, texts = measures()[asked.measures[0]], _texts(evaluator, asked)
    if measure.form != "relations":
        raise UserError(f"{measure.label} is fitted pair by pair; everything at once takes a measure of relations.")
    models, chosen = dict(asked.models), asked.languages or tuple(texts)
    readers = list(product(models, chosen))
    vectors: dict[Place, np.ndarray] = {}
    for done, (name, language) in enumerate(readers):
        steps = states_steps(evaluator, models[name], texts[language], asked.pooling)
        states = yield from nth(done, len(readers), steps)
        layers = [n for n in range(len(states.values)) if n in asked.layers or not asked.layers]
        sides = {Place(name, language, n): Side(states.values[n], states.read.astype(float)) for n in layers}
        varying = [place for place, side in sides.items() if varies(side.x).any()]
        kept = _kept_vectors(evaluator, asked, measure, [(p, p) for p in varying], texts, models)
        for place in varying:
            if place not in kept:
                kept[place] = flat(measure, prepared(sides[place], asked.preparation))
            vectors[place] = kept[place]
        yield (done + 1) / len(readers)
    if not vectors:
        raise UserError("Nothing is compared: these states do not vary between sentences.")
    stack = np.stack(list(vectors.values()))
    own, sums = stack[:, :-2], stack[:, -2:].astype(np.float64)
    values = (own @ own.T).astype(np.float64)
    count = len(texts[chosen[0]].sentences)
    chance = np.asarray(expected(sums[:, None], sums[None], count))
    return Everything(tuple(vectors), values, chance)


def _uncertainty(frame: pd.DataFrame, asked: bool, blocks: str) -> str:
    """How wide the intervals are, as one number for a whole map can say it; or why there is none."""
    half = ((frame["high"] - frame["low"]) / 2).dropna()
    if not asked:
        return "No intervals were asked for."
    if half.empty and frame["value"].isna().all():
        return "No pair can be compared, so there is no interval."
    if half.empty:
        return f"No intervals: they need {FEWEST_BLOCKS} documents or more, and at most {_MOST} pairs of a measure."
    widths = f"±{half.median():.2f}" + (
        f" in the middle cell, ±{half.max():.2f} in the widest" if len(half) > 1 else ""
    )
    return f"95 % intervals {widths}, by jackknife over {blocks}."


def _borrowed(evaluator: Evaluator, asked: SimilarityRequest) -> Sequence[str]:
    """What those read that know no language of their own: such a pair reads one text, others translations."""
    if asked.condition != "own" or all(own_language(evaluator, model) for _, model in asked.models):
        return ()
    return ("A model without a language of its own reads the same text as the model it is compared with.",)


def _chances(frame: pd.DataFrame) -> list[str]:
    """The chance level of every measure that applies anywhere."""
    found = frame.dropna(subset=["chance"]).groupby("measure", sort=False)["chance"]
    several = frame["measure"].nunique() > 1
    return [
        f"Chance level{f' of {measures()[str(name)].label}' if several else ''} {spanned(part)}."
        for name, part in found
    ]


def _notes(
    evaluator: Evaluator,
    asked: SimilarityRequest,
    frame: pd.DataFrame,
    states: Mapping[Names, States],
    left_out: Sequence[str],
) -> tuple[str, ...]:
    """What belongs beside the numbers."""
    count, documents = int(frame["sentences"].iloc[0]), int(frame["documents"].iloc[0])
    what = "numerals" if asked.condition == "numerals" else "parallel sentences"
    held = evaluator.corpus.has_dev and asked.condition != "numerals"
    groups, blocks = f" in {documents} documents", f"{min(BLOCKS, documents)} blocks of documents"
    if asked.condition == "numerals":
        groups = f" in {documents} blocks"
    elif not evaluator.corpus.has_documents:
        groups, blocks = " (no document column)", f"{min(BLOCKS, documents)} blocks of sentences"
    sides = pd.concat([frame["dimensions_a"], frame["dimensions_b"]])
    wide = f"{sides.min()}" if sides.min() == sides.max() else f"{sides.min()} to {sides.max()}"
    said = [
        f"{capitalised(CONDITIONS[asked.condition])}; n = {count} {what}"
        f"{f' of the {asked.half} half' if held else ''}{groups}, d = {wide}; {POOLINGS[asked.pooling]}; "
        f"{asked.preparation.label()}.",
        *_borrowed(evaluator, asked),
        _uncertainty(frame, asked.intervals, blocks),
        *_chances(frame),
        *left_out,
        *evaluator.unkept,
    ]
    wider = sides.max() > count
    if wider and frame["measure"].isin(["cka", "rbf_cka"]).any():
        said.append(
            f"With {count} sentences in {sides.max()} dimensions biased CKA is high by chance alone: read it against "
            "its chance level, or take the debiased one."
        )
    if frame["measure"].isin(["procrustes", "rotation_gap"]).any() and sides.max() > count // 2:
        said.append(
            f"A rotation of {sides.max()} dimensions is fitted on {count // 2} sentences: what they do not settle is "
            "left out, and the value is low for it."
        )
    if asked.condition == "numerals" and not any(has_digits(text) for text in evaluator.corpus.sentences.values()):
        said.append("No digit occurs in the corpus: what models make of numerals may be as good as untrained.")
    cut: dict[str, list[str]] = {}
    for (model, language), found in states.items():
        if found.unknown.any():
            said.append(f"{found.unknown.sum() / found.tokens.sum():.1%} of {model}'s tokens of {language} are UNK.")
        if found.cut.any():
            cut.setdefault(f"{language}: {(found.cut > 0).sum()}", []).append(model)
    said += [f"Sentences of {text} cut off at the context of {', '.join(labels(who))}." for text, who in cut.items()]
    if scored := [measures()[name].label for name in asked.measures if measures()[name].form != "relations"]:
        said.append(f"Chance levels of {', '.join(scored)} are means over all permutations of one side's sentences.")
    return tuple(said)
