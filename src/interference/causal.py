"""The causal map: which component of a merge does the damage, by putting each into the parent, and back, alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.groups import depth_of
from interference.hybrid import Component, Hybrid, components
from interference.recipe import Recipe, site_at
from interference.recipe.values import Where, fallback
from interference.scored import Scored
from interference.settings import configuration_notes
from interference.statistics import clustered_means
from interference.steps import Steps, nth
from interference.suite import Suite, difference
from interference.tables import PER_BYTE, known_units, unit_sizes

TRANSPLANTED, RESTORED, UNTRAINED = "transplanted", "restored", "untrained"
MAPS = {
    TRANSPLANTED: "one component of the merge in the parent: what it costs",
    RESTORED: "one component of the parent in the merge: what it gains",
    UNTRAINED: "one component of the untrained model in the parent: what losing it costs, the control",
}
WHOLE = "whole model"
_SHOWN = 3  # components tried between two looks at the table
COLUMNS = ("map", "component", "group", "layer", "parameters", "sentences", "bits", "low", "high")


@dataclass(frozen=True)
class Trial:
    """What is tried: the components of a merge against one of a language's models, on that language."""

    recipe: Recipe
    parent: str
    language: str
    control: bool = True

    def __post_init__(self) -> None:
        if self.recipe.slices:
            raise UserError(
                "The merge of this recipe is made of slices, whose layers are no longer its parents'. Give a recipe "
                "without slices."
            )


@dataclass(frozen=True)
class CausalTable:
    """Costs of exchanged components. `units[unit]` has exactly COLUMNS, one row for each map and component.

    `bits` are mean paired differences with their 95 % interval by document: of the parent with a component from the
    merge and the parent (transplanted, untrained), or of the merge and the merge with a component from the parent
    (restored). So both are above zero where the component does damage. The component 'whole model' is the merge against
    the parent. `done` is the share of the components that have been tried.
    """

    trial: Trial
    units: Mapping[str, pd.DataFrame]
    done: float = 1.0
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for frame in self.units.values():
            if tuple(frame.columns) != COLUMNS:
                raise ValueError(f"a causal table has the columns {COLUMNS}, not {tuple(frame.columns)}")


def default_parent(suite: Suite, recipe: Recipe, language: str) -> str:
    """What a language's merge is held against unless said otherwise: its reference if that is of the merge's shape,
    else a model of the language, else the first."""
    reference, models = suite.reference(language), recipe.models
    if reference and not difference(suite[models[0]], suite[reference]):
        return reference
    return next((name for name in models if suite[name].language == language), models[0])


def causal_steps(
    evaluator: Evaluator,
    trial: Trial,
    sentences: int | None,
    show: Callable[[CausalTable], None] = lambda table: None,
) -> Steps[CausalTable]:
    """Score every component both ways, in real forward passes; `show` is given the table now and then."""
    suite = evaluator.suite
    suite.mergeable(tuple(dict.fromkeys((trial.parent, *trial.recipe.needed))))
    evaluator.check_languages([trial.language])
    rows = evaluator.corpus.rows(sentences)
    shapes = suite[trial.parent].shapes
    parts = components(shapes)
    init = suite.untrained if trial.control else None
    recipes = {TRANSPLANTED: trial.recipe, RESTORED: trial.recipe}
    if init and init != trial.parent and not difference(suite[trial.parent], suite[init]):
        recipes[UNTRAINED] = Recipe("passthrough", (init,))
    sizes = {part: sum(int(np.prod(shapes[name])) for name in part.names(shapes)) for part in parts}
    scored: dict[str, Scored] = {"parent": trial.parent, "merge": trial.recipe}
    if init and UNTRAINED in recipes:
        scored[UNTRAINED] = init
    total, ends = len(parts) * len(recipes), dict[str, np.ndarray]()
    for kind, model in scored.items():
        ends[kind] = yield from nth(len(ends), len(scored) + total, evaluator.bits_steps(model, trial.language, rows))
    found: dict[tuple[str, Component | None], np.ndarray] = {
        (TRANSPLANTED, None): ends["merge"] - ends["parent"],
        (RESTORED, None): ends["merge"] - ends["parent"],
    }
    if UNTRAINED in ends:
        found[UNTRAINED, None] = ends[UNTRAINED] - ends["parent"]

    def table(done: float) -> CausalTable:
        return _table(trial, found, sizes, evaluator, rows, done)

    # The embeddings first: what they cost bounds what any layer can be blamed for.
    for number, (part, (kind, recipe)) in enumerate((p, r) for p in parts for r in recipes.items()):
        hybrid = Hybrid(recipe, trial.parent, part, kind == RESTORED)
        steps = evaluator.bits_steps(hybrid, trial.language, rows)
        bits = yield from nth(len(scored) + number, len(scored) + total, steps)
        found[kind, part] = ends["merge"] - bits if kind == RESTORED else bits - ends["parent"]
        if (number + 1) % (_SHOWN * len(recipes)) == 0:
            show(table((number + 1) / total))
    return table(1.0)


def _table(
    trial: Trial,
    found: Mapping[tuple[str, Component | None], np.ndarray],
    sizes: Mapping[Component, int],
    evaluator: Evaluator,
    rows: np.ndarray,
    done: float,
) -> CausalTable:
    corpus, language = evaluator.corpus, trial.language
    documents = [corpus.documents[row] for row in rows]
    heads = [
        (kind, part.label if part else WHOLE, part.group if part else WHOLE, part.layer if part else None,
         sizes[part] if part else sum(sizes.values()), len(rows))
        for kind, part in found
    ]  # fmt: skip
    values = np.stack(list(found.values()))
    lossy, notes = evaluator.tokenization({trial.parent: trial.parent}, [language], rows)
    units = {}
    for unit in known_units(corpus):
        size = unit_sizes(unit, corpus, language, rows)
        means, low, high = clustered_means(values, documents, np.broadcast_to(size, values.shape).copy())
        frame = pd.DataFrame(heads, columns=list(COLUMNS[:6])).assign(bits=means, low=low, high=high)
        if lossy and unit in PER_BYTE:
            frame[["bits", "low", "high"]] = np.nan
        units[unit] = frame.astype({"layer": "Int64"})
    own = (
        f"{len(rows)} sentences of {language} {corpus.clusters(rows)}.",
        f"The merge: {trial.recipe.label()}. The parent: {trial.parent}.",
        "Components interact: the cells do not add up to the whole model's cost.",
    )
    first = trial.recipe.models[0]
    differing = configuration_notes(
        tuple(dict.fromkeys((first, trial.parent, *trial.recipe.needed))),
        evaluator.suite,
        f"The merge computes as {first} does, and with a component exchanged as {trial.parent} does.",
    )
    tried = {"language": language, "parent": trial.parent, "recipe": trial.recipe.to_yaml()}
    init = evaluator.suite.untrained
    models: list[Scored] = [trial.parent, trial.recipe]
    models += [init] if init and (UNTRAINED, None) in found else []
    return CausalTable(trial, units, done, (*own, *notes, *differing), evaluator.provenance(models) | tried)


def cell_recipe(trial: Trial, component: Component, restored: bool, parameters: Sequence[str]) -> Recipe:
    """A recipe in mergekit's schema that makes one cell's model: weights by filters on parameter names.

    Raises UserError where filters can't say it: methods that do not give one model back at full weight, and a parent
    that is not among the recipe's models.
    """
    recipe, parent = trial.recipe, trial.parent
    gives_back = recipe.method == "linear" and recipe.settings()["normalize"]
    if not gives_back or recipe.post:
        raise UserError(
            f"{recipe.label()} can't be turned into this cell by filters: only a normalised linear average gives one "
            "model back where all weight is on it."
        )
    if parent not in recipe.models:
        raise UserError(f"{parent} is not among the models of the recipe, so no weight brings it in.")
    if not restored and any(isinstance(weight, Where) for weight in recipe.weights):
        raise UserError(
            "The weights of this merge differ within the model already, which a filter for one component can't hold. "
            "On the Merge page, give every parent one weight for the whole model, or undo."
        )
    names = component.names(parameters)
    alone = [float(model == parent) for model in recipe.models]
    weights = []
    for own, one in zip(recipe.weights, alone, strict=True):
        inside, outside = (one, own) if restored else (own, one)
        weights.append(fallback(Where(tuple((name, inside) for name in names)), outside))
    made = replace(recipe, weights=tuple(weights))
    _check(made, trial, names, restored, parameters)
    return made


def _check(made: Recipe, trial: Trial, names: Sequence[str], restored: bool, parameters: Sequence[str]) -> None:
    """Filters are parts of names: one that is part of another component's name would take that along."""
    depth = depth_of(parameters)
    alone = tuple(float(model == trial.parent) for model in trial.recipe.models)
    for name in parameters:
        merged = (name in names) != restored
        expected = site_at(trial.recipe, name, depth).weights if merged else alone
        if site_at(made, name, depth).weights != expected:
            raise UserError(f"The names of this component are part of {name}, so no filter tells them apart.")
