"""One pass over the weights of some models that measures all their conflicts, beside the same on shuffled weights."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from interference.bench import PARENTS
from interference.conflict.given import Given, Shuffled, given_of, noise
from interference.conflict.registry import NULLS, At, Measure, measures
from interference.conflict.table import ConflictTable, Sums, conflict_table, subjects
from interference.errors import UserError, check_known
from interference.groups import depth_of, group_of, layer_of
from interference.labels import labels
from interference.memory import room
from interference.recipe import MEAN, ZERO, Recipe, checkpoint_of
from interference.scored import model_digest
from interference.steps import Steps, telling
from interference.store import Store, digest
from interference.weights import Weights

if TYPE_CHECKING:
    from interference.evaluate import Evaluator
    from interference.suite import Suite

VERSION = 3  # raised when a measure gives other numbers than before
# Multiplications spent on singular values at most: about ten minutes on two cores of a CPU.
_DECOMPOSED = {"cpu": 4e12, "cuda": 2e13}
_DRAWS, _ENTRIES = 4, 1 << 19  # orders a tensor is shuffled to, fewer for a large one, where one says enough


@dataclass(frozen=True)
class Survey:
    """What is measured: the models of a recipe, on their weights or on their differences from `base`.

    `knobs` are values of the measures' own, by 'measure.knob'. All measures unless some are named. Without `chance`
    nothing is shuffled: several times as fast, and no chance levels but the closed forms.
    """

    recipe: Recipe
    base: str | None = None
    measures: tuple[str, ...] = ()
    knobs: tuple[tuple[str, float], ...] = ()
    chance: bool = True

    def __post_init__(self) -> None:
        if len(set(self.recipe.models)) < 2:
            raise UserError("A conflict is between two models or more. Name at least two.")
        if self.recipe.slices:
            raise UserError(
                "The merge of this recipe is made of slices, whose layers are no longer its parents'. Give a recipe "
                "without slices."
            )
        if self.base in self.recipe.models:
            raise UserError(
                f"{self.base} is the base and one of the models: its difference from itself is zero. Take it out of "
                "the models, or choose another base."
            )
        check_known("Unknown conflict measure", measures(), *self.measures)
        for name, value in self.knobs:
            self._check_knob(name, value)

    def _check_knob(self, name: str, value: float) -> None:
        known = {f"{m.name}.{a.name}": a for m in measures().values() for a in m.arguments}
        check_known("No conflict measure has a knob", known, name)
        control: Any = known[name].control
        if not control.low <= value <= control.high:
            raise UserError(f"{name} is {value:g}; expected {control.low:g} to {control.high:g}.")

    @property
    def chosen(self) -> tuple[Measure, ...]:
        known = measures()
        return tuple(known[name] for name in self.measures or known)

    @property
    def needed(self) -> tuple[str, ...]:
        """Every checkpoint that is read."""
        return tuple(dict.fromkeys(filter(None, (*self.recipe.needed, checkpoint_of(self.base)))))

    def settings(self, measure: Measure) -> dict[str, float]:
        """The knobs of a measure."""
        given = {n.split(".")[1]: v for n, v in self.knobs if n.split(".")[0] == measure.name}
        return measure.defaults | given

    def is_equal_average(self) -> bool:
        """Whether the recipe is the plain mean of its models, for which there are closed forms."""
        recipe = self.recipe
        scaled = recipe.method == "linear" and (recipe.settings()["normalize"] or abs(sum(recipe.weights) - 1) < 1e-3)
        return scaled and len(set(recipe.weights)) == 1 and not recipe.post


def survey_steps(
    suite: "Suite",
    weights: Weights,
    store: Store,
    survey: Survey,
    release: Callable[[], None] | None = None,
) -> Steps[ConflictTable]:
    """The table of a survey, tensor by tensor; sums are kept in the store. `weights` hold all that is needed.

    Where the device runs out of memory `release` frees what else is on it, by default what belongs to the weights.
    """

    def forget() -> None:
        weights.forget()
        weights.dev.forget()

    suite.mergeable(survey.needed)
    with room(weights.device, f"measuring conflicts of {len(survey.recipe.models)} models", release or forget):
        return (yield from _survey_steps(suite, weights, store, survey))


def _survey_steps(suite: "Suite", weights: Weights, store: Store, survey: Survey) -> Steps[ConflictTable]:
    if survey.recipe.finished:
        raise UserError(
            "A post-step of this recipe changes the whole network after merging, and conflicts are measured tensor by "
            "tensor. Give the recipe without it."
        )
    found: dict[Measure, np.ndarray] = {}
    for measure in survey.chosen:
        shape = _shape(weights, survey, measure)
        known = store.read(_key(suite, weights, survey, measure), int(np.prod(shape)) + 1)
        if known[-1] == 1:  # the last says that all others are there; NaN among them is where nothing is asked
            found[measure] = known[:-1].reshape(shape)
    missing = [measure for measure in survey.chosen if measure not in found]
    left_out: dict[Measure, str] = {}
    for measure in [m for m in missing if "fisher" in m.inputs]:
        try:
            yield from telling(0.0, weights.dev.measure_steps(["fisher"], survey.recipe.models))
        except UserError as error:  # without text, or without documents
            left_out[measure] = str(error)
    missing = [measure for measure in missing if measure not in left_out]
    if missing:
        sums = yield from _pass(weights, survey, missing)
        for measure in missing:
            flat = np.append(sums[measure].ravel(), 1.0)
            store.write(_key(suite, weights, survey, measure), flat)
        found |= sums
    names = list(weights.shapes)
    notes = [f"{measure.label} is left out. {why}" for measure, why in left_out.items()]
    sums_of = [
        Sums(measure, found[measure], [_closed(survey, measure, weights, n) for n in names])
        for measure in survey.chosen
        if measure in found
    ]
    notes += [*_notes(survey), *_note_of_decomposed(weights, survey)]
    return conflict_table(survey.recipe.models, weights.shapes, sums_of, tuple(notes))


def _pass(weights: Weights, survey: Survey, chosen: Sequence[Measure]) -> Steps[dict[Measure, np.ndarray]]:
    """Sums of every tensor and of its null, [own or null, tensor, subject, part]; NaN where a measure is not asked."""
    found = {measure: np.full(_shape(weights, survey, measure), np.nan) for measure in chosen}
    # A method that looks at the whole model does so once for each order.
    whole = survey.recipe.definition.scope == "model"
    decomposed = decomposed_matrices(weights, survey)
    shuffled = [Shuffled(weights, survey, draw) for draw in range(1 if whole else _DRAWS)]
    for number, (name, shape) in enumerate(weights.shapes.items()):
        asked = [m for m in chosen if name in decomposed or not (m.decomposes or (m.matrices and len(shape) != 2))]
        nulls: dict[str, Iterator[Given]] = {
            "own": iter([given_of(weights, survey, name)]),
            "Gaussian": map(partial(noise, shape, name), [weights.device]),
            "permuted": (given_of(one, survey, name) for one in shuffled[: _ENTRIES // torch.Size(shape).numel() or 1]),
        }
        for kind, given in nulls.items():
            wanted = [m for m in asked if kind == "own" or (survey.chance and kind == m.null)]
            draws = list(given) if wanted else []
            for measure in wanted:
                # Decomposing takes longest, and orders that keep all singular values differ little.
                some = draws[:1] if measure.decomposes else draws
                sums = [one.sums(measure, survey.settings(measure)) for one in some]
                found[measure][int(kind != "own"), number] = np.mean(sums, axis=0)
                yield number / len(weights.shapes)
    return found


def decomposed_matrices(weights: Weights, survey: Survey) -> tuple[str, ...]:
    """The matrices whose singular values are taken: all of them where that is soon done.

    Else embeddings and head are left out first, then layers, those that stay lying evenly apart, down to one layer.
    """
    shapes = {name: shape for name, shape in weights.shapes.items() if len(shape) == 2}
    times = len(survey.recipe.models) * (2 if survey.chance else 1)
    cost = {name: times * rows * columns * min(rows, columns) for name, (rows, columns) in shapes.items()}
    inner, depth = [name for name in shapes if layer_of(name) is not None], depth_of(weights.shapes)
    tries = [list(shapes)]
    tries += [[n for n in inner if (layer_of(n) or 0) % step == step // 2] for step in range(1, depth + 1)]
    fitting = (names for names in tries if sum(cost[n] for n in names) <= _DECOMPOSED[weights.device.type])
    return tuple(next(fitting, tries[-1]))


def _shape(weights: Weights, survey: Survey, measure: Measure) -> tuple[int, int, int, int]:
    """Own and null, tensors, subjects, parts."""
    return 2, len(weights.shapes), len(subjects(measure.of, survey.recipe.models)), measure.parts


def _key(suite: "Suite", weights: Weights, survey: Survey, measure: Measure) -> str:
    """What a measure's sums depend on."""
    base = suite[own].digest if (own := checkpoint_of(survey.base)) else survey.base
    parts: list[Any] = [[suite[name].digest for name in survey.recipe.models], base, survey.settings(measure)]
    if measure.needs:
        recipe = survey.recipe
        parts += [model_digest(suite, recipe)]
        if suite.corpus and ("fisher" in measure.inputs or recipe.data):
            corpus, languages = suite.corpus, [suite[name].language for name in recipe.models]
            parts += [corpus.digest_of_documents, [corpus.digest(code) for code in corpus.languages], languages]
    parts += [] if survey.chance else ["without chance"]
    return digest("conflict", VERSION, measure.name, torch.__version__, weights.device.type, *parts)


def _closed(survey: Survey, measure: Measure, weights: Weights, name: str) -> float:
    """The closed form for one tensor, matrices being [out, in] as they are measured; NaN where there is none."""
    shape = weights.shapes[name][:: -1 if name in weights.transposed else 1]
    merged = "merged" in measure.inputs
    if measure.closed is None or (measure.matrices and len(shape) != 2):
        return np.nan
    if merged and not (survey.is_equal_average() and survey.base in (None, ZERO)):
        return np.nan
    return float(measure.closed(At(len(survey.recipe.models), shape, group_of(name), survey.settings(measure))))


def _notes(survey: Survey) -> Iterator[str]:
    models = ", ".join(labels(survey.recipe.models))
    if survey.base is None:
        yield f"Measured on the weights themselves of {models}: without a shared base there are no task vectors."
    elif survey.base == MEAN:
        count = len(survey.recipe.models)
        yield (
            f"Measured on differences from the mean of {models}, which sum to zero: cosines average to "
            f"{-1 / (count - 1):.2f} by that alone."
        )
    else:
        yield f"Measured on differences of {models} from {'zero' if survey.base == ZERO else survey.base}."
    yield f"The merge is {survey.recipe.label()}."
    yield "The whole model mixes groups that behave differently: norm gains of one sign lift a cosine by themselves."
    for kind in dict.fromkeys(measure.null for measure in survey.chosen):
        yield f"Chance ({kind}) is {NULLS[kind]}."


def _note_of_decomposed(weights: Weights, survey: Survey) -> list[str]:
    matrices = [name for name, shape in weights.shapes.items() if len(shape) == 2]
    some = decomposed_matrices(weights, survey)
    labels = [measure.label for measure in survey.chosen if measure.decomposes]
    if len(some) == len(matrices) or not labels:
        return []
    layers = ", ".join(map(str, sorted({layer_of(name) or 0 for name in some})))
    return [
        f"Singular values of all {len(matrices)} matrices would take too long; {', '.join(labels)} are of {len(some)}, "
        f"those of the layers {layers} (the first is 0)."
    ]


def resident_steps(evaluator: "Evaluator", survey: Survey) -> Steps[ConflictTable]:
    """The table of a survey from the weights that an evaluator holds anyway."""
    weights = evaluator.networks.weights(survey.needed)
    yield from telling(0.0, weights.load_steps(survey.needed))
    table = yield from survey_steps(evaluator.suite, weights, evaluator.store, survey, evaluator.networks.release)
    return replace(table, provenance=_provenance(evaluator.suite, survey))


def _provenance(suite: "Suite", survey: Survey) -> dict[str, str]:
    """What every copy of conflicts should carry: whose weights they are of, less what, and in which merge."""
    return {
        "suite": suite.name,
        "base": survey.base or "none",
        "weights_sha256": " ".join(f"{name}:{suite[name].digest}" for name in survey.needed),
        "knobs": " ".join(f"{name}={value:g}" for name, value in survey.knobs),
        "recipe": survey.recipe.to_yaml(),
        "computed_by": f"torch {torch.__version__}",
    }


def equal_average(models: tuple[str, ...]) -> Recipe:
    """The merge that is looked at where no recipe is given: the mean of the models."""
    return Recipe("linear", models, (1.0,) * len(models))


def default_models(suite: "Suite") -> tuple[str, ...]:
    """The models looked at where none are named: those that are merged unless told, all where none can be.

    As on the Merge page the first PARENTS of them.
    """
    return (suite.together or suite.names)[:PARENTS]


def default_notes(suite: "Suite") -> tuple[str, ...]:
    """What to say where no models are named and those of `default_models` are not all monos, or all that there are."""
    every, taken = suite.together or suite.names, default_models(suite)
    notes = []
    monos = [c.name for c in suite.last_with_role("mono")]
    left = [name for name in monos if name not in every]
    if monos and suite.together and not set(every) <= set(monos):
        notes.append(
            f"No two monolingual models can be merged with each other: {', '.join(taken)} are taken; name others."
        )
    elif left:
        notes.append(f"Of {len(monos)} monolingual models these can't be merged with the others: {', '.join(left)}.")
    if len(taken) < len(every):
        notes.append(f"Of {len(every)} checkpoints that can be merged the first {len(taken)} are taken; name others.")
    return tuple(notes)


def measure_table() -> pd.DataFrame:
    """One row per conflict measure."""
    return pd.DataFrame(
        [
            {
                "measure": m.name,
                "label": m.label,
                "of": m.of,
                "best": m.best,
                "range": f"{m.span[0]:g} to {m.span[1]:g}",
                "needs": ", ".join([*(["matrices"] if m.matrices else []), *m.needs]),
                "knobs": ", ".join(f"{a.name} ({a.default:g})" for a in m.arguments),
                "chance": m.null,
                "source": m.source,
                "what it measures": m.caption,
                "how to read it": m.reading,
            }
            for m in measures().values()
        ]
    )
