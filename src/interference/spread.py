"""Coefficients that differ within the model, by tensor group or along its layers, on sliders and in recipes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from interference.errors import UserError
from interference.groups import GROUPS, group_of
from interference.recipe import Gradient, Recipe, Site, Value, Where, sites
from interference.recipe.values import each
from interference.registry import Argument, Knob

BY_GROUP, BY_LAYER = "groups", "layers"
WEIGHT = "weight"
DIGITS = 4  # of a coefficient on a slider
MOST_ANCHORS = 12
# Parts of parameter names, in the order in which mergekit would try them: the first that fits decides.
_FILTERS = {
    "norms": ("norm", "ln_"),
    "head": ("lm_head", "embed_out"),
    "embeddings": ("embed", "wte", "wpe"),
    "attention": ("attn", "attention", "mixer"),
    "mlp": ("mlp", "ffn", "feed_forward", "experts", "fc1", "fc2"),
}


@dataclass(frozen=True)
class Spread:
    """One coefficient over the model: a row for each model, or one for all of them.

    By group a row has a value for each of `tensor_groups`, by layer one to MOST_ANCHORS values at equal distances from
    the first layer to the last.
    """

    kind: str
    rows: tuple[tuple[float, ...], ...]


def tensor_groups(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The groups that a model's parameters fall into, each with the filters that pick it out, tried in this order.

    Raises UserError for a model whose groups can't be told by parts of names.
    """
    names = list(names)
    present = {group_of(name) for name in names}
    found: dict[str, tuple[str, ...]] = {}
    for group, parts in _FILTERS.items():
        own = [name for name in names if group_of(name) == group]
        if group in present:
            found[group] = tuple(part for part in parts if any(part in name for name in own))
    by_filter = [(part, group) for group, parts in found.items() for part in parts]
    for name in names:
        if next((group for part, group in by_filter if part in name), "other") != group_of(name):
            raise UserError(
                f"The tensor groups of this architecture can't be told by parts of names: {name} would not count as "
                f"{group_of(name)}. Use one value for the whole model, values over the layers, or YAML."
            )
    return found | ({"other": ()} if "other" in present else {})


def shown_groups(names: Iterable[str]) -> tuple[str, ...]:
    """The groups of a model in the order in which they are shown."""
    found = tensor_groups(names)
    return tuple(group for group in GROUPS if group in found)


def recipe_value(row: Sequence[float], kind: str, names: Iterable[str]) -> Value:
    """A row as a recipe holds it: one number where it is the same everywhere, else cases by name or a gradient."""
    if len(set(row)) == 1:
        return row[0]
    if kind == BY_LAYER:
        return Gradient(tuple(row))
    groups = tensor_groups(names)
    values = dict(zip(shown_groups(names), row, strict=True))
    cases = [(part, values[group]) for group, parts in groups.items() for part in parts]
    return Where((*cases, (None, values["other"]))) if "other" in values else Where(tuple(cases))


def recipe_values(spread: Spread, names: Iterable[str]) -> Any:
    """A spread as a recipe holds it: a tuple over the models, or one value where there is one row for all of them."""
    names = list(names)
    values = tuple(recipe_value(row, spread.kind, names) for row in spread.rows)
    return values[0] if len(values) == 1 else values


def spread_of(value: Any, names: Iterable[str]) -> Spread | None:
    """A recipe's weights or knob as sliders hold it; None for one number, or one for each model.

    Raises UserError for what no sliders hold: cases inside a group, gradients inside cases, too many anchors.
    """
    names = list(names)
    values = each(value)
    if any(isinstance(one, Where) for one in values):
        return Spread(BY_GROUP, tuple(_by_group(one, names) for one in values))
    rows = tuple(one.values if isinstance(one, Gradient) else (one,) for one in values)
    if not any(isinstance(one, Gradient) for one in values):
        return None
    if any(len(row) > MOST_ANCHORS for row in rows):
        raise UserError(f"a gradient has more than {MOST_ANCHORS} values")
    if any(isinstance(one, bool) for row in rows for one in row):
        raise UserError("a switch changes over the layers")
    return Spread(BY_LAYER, rows)


def _by_group(value: Any, names: list[str]) -> tuple[float, ...]:
    if isinstance(value, Gradient):
        raise UserError("gradients stand beside cases by name")
    found: dict[str, Any] = {}
    for name in names:
        group, own = group_of(name), value
        if isinstance(value, Where):
            own = next((v for part, v in value.cases if part in (None, "*") or part in name), None)
        if own is None:
            raise UserError(f"no filter fits {name}")
        if isinstance(own, Gradient | bool):
            raise UserError("gradients or switches stand inside cases by name")
        if found.setdefault(group, own) != own:
            raise UserError(f"filters tell tensors of one group apart ({group})")
    tensor_groups(names)
    return tuple(found[group] for group in GROUPS if group in found)


def spreadable(arguments: Iterable[Argument], weighted: bool) -> tuple[str, ...]:
    """The coefficients of a method that may differ within the model: its weight, and knobs that are not counts."""
    knobs = [a.name for a in arguments if isinstance(a.control, Knob) and not a.whole]
    return ((WEIGHT,) if weighted else ()) + tuple(knobs)


@dataclass(frozen=True)
class Sliders:
    """A recipe as the page's widgets hold it: a number for each model, shared knobs, and what is spread by name."""

    weights: tuple[float, ...]
    knobs: tuple[tuple[str, float | bool], ...]
    spreads: tuple[tuple[str, Spread], ...]


def sliders_of(recipe: Recipe, names: Iterable[str]) -> Sliders:
    """The sliders that come nearest to a recipe: numbers to DIGITS, knobs within their range.

    Raises UserError for what no slider holds, in words that go on from "this recipe has ...".
    """
    names = list(names)
    if recipe.slices:
        raise UserError("it is built of slices")
    if len(set(recipe.models)) < len(recipe.models):
        raise UserError("it has one model twice")
    known = {a.name: a for a in recipe.definition.arguments}
    given: dict[str, Any] = recipe.settings() | ({WEIGHT: recipe.weights} if recipe.weights else {})
    spreads: dict[str, Spread] = {}
    plain: dict[str, Any] = {}
    for name, value in given.items():
        value = value[0] if name != WEIGHT and isinstance(value, tuple) and len(set(value)) == 1 else value
        found = spread_of(value, names)
        if found is None and name != WEIGHT and isinstance(value, tuple):
            found = Spread(BY_LAYER, tuple((one,) for one in value))
        if found and (name != WEIGHT and (name not in spreadable(known.values(), False))):
            raise UserError(f"{name} differs within the model")
        if found:
            rows = tuple(tuple(_near(v, known.get(name)) for v in row) for row in found.rows)
            spreads[name] = Spread(found.kind, rows)
            plain[name] = tuple(row[0] for row in rows) if name == WEIGHT else rows[0][0]
        elif name == WEIGHT:
            plain[name] = tuple(_near(v, None) for v in value)
        else:
            plain[name] = value if isinstance(value, bool) else _near(value, known[name])
    weights = plain.pop(WEIGHT, ())
    return Sliders(weights, tuple(plain.items()), tuple(spreads.items()))


def _near(value: float, argument: Argument | None) -> float:
    """A number as a slider can stand: to DIGITS, or to six figures within a knob's range."""
    if argument is None or not isinstance(argument.control, Knob):
        return round(float(value), DIGITS)
    near = min(max(float(f"{value:.6g}"), argument.control.low), argument.control.high)
    return int(near) if argument.whole else near


def with_sliders(recipe: Recipe, sliders: Sliders, names: Iterable[str]) -> Recipe:
    """The recipe with what the sliders say in place of its weights and knobs, every knob written out."""
    names = list(names)
    spread = {name: recipe_values(value, names) for name, value in sliders.spreads}
    knobs = dict(sliders.knobs) | {name: value for name, value in spread.items() if name != WEIGHT}
    weights = spread.get(WEIGHT, sliders.weights)
    if sliders.weights and not isinstance(weights, tuple):
        weights = (weights,) * len(recipe.models)
    return replace(recipe, weights=weights, knobs=tuple(knobs.items()), slices=())


def same_merge(first: Recipe, second: Recipe, names: Iterable[str]) -> bool:
    """Whether two recipes of the same checkpoints give every tensor the same numbers, however they are written."""
    names = list(names)
    rest = [(r.method, r.models, r.base, r.post, r.dtype, r.out_dtype, r.seed, bool(r.slices)) for r in (first, second)]
    if rest[0] != rest[1] or first.slices != second.slices:
        return False
    if first.slices:
        return first == second
    one, other = (sites(recipe, names, names) for recipe in (first, second))
    return all(_numbers(one[n]) == _numbers(other[n]) for n in names)


def _numbers(site: Site) -> tuple:
    return tuple(map(float, site.weights)), {name: each(value) for name, value in site.settings.items()}


def what_no_slider_holds(recipe: Recipe, names: Iterable[str]) -> str | None:
    """Why a recipe can't stand on the page's sliders as it is, in words; None where it can."""
    names = list(names)
    try:
        near = with_sliders(recipe, sliders_of(recipe, names), names)
        if same_merge(near, recipe, names):
            return None
    except UserError as error:
        return str(error)
    return f"it has numbers beyond a slider's range or of more than {DIGITS} digits"
