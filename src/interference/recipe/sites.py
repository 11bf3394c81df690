"""What a recipe means for one tensor of its merge."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interference.errors import UserError
from interference.groups import at_layer, depth_of, layer_of, opens
from interference.recipe.recipe import Recipe, Slice, per_model, refuse
from interference.recipe.values import each, value_at


@dataclass(frozen=True)
class Site:
    """One tensor of a merge: where in each model it comes from, and the numbers and switches that hold for it.

    Knobs that run over the models are tuples, always; `base_source` is its name in a base that is a checkpoint.
    """

    name: str
    models: tuple[str, ...]
    sources: tuple[str, ...]
    base_source: str
    weights: tuple[float, ...]
    settings: Mapping[str, Any]
    layers: int


def output_names(recipe: Recipe, names: Iterable[str]) -> list[str]:
    """The parameters of the merge, given those of its parents."""
    names = list(names)
    if not recipe.slices:
        return names
    rows = source_layers(recipe)
    inside = [at_layer(n, i) for i, row in enumerate(rows) for n in names if layer_of(n) == row]
    return [n for n in names if layer_of(n) is None] + inside


def source_layers(recipe: Recipe) -> list[int]:
    """For every layer of a sliced merge, the layer of its first source."""
    return [layer for part in recipe.slices for layer in range(*part.ranges[0])]


def site_at(recipe: Recipe, name: str, depth: int) -> Site:
    """What the recipe says of one tensor of the merge of parents with `depth` layers.

    Raises UserError where the resolved numbers can't be merged with: a model without a weight, weights summing to zero.
    """
    part, offset, position = _place(recipe, name, depth)
    sources, base_source = (name,) * len(part.models), name
    if offset is not None:
        sources = tuple(at_layer(name, start + offset) for start, _ in part.ranges)
        base_source = at_layer(name, part.base_range[0] + offset) if part.base_range else name
    weights = tuple(value_at(w, s, position) for w, s in zip(part.weights, sources, strict=bool(part.weights)))
    if None in weights:
        model = part.models[weights.index(None)]
        raise UserError(f"No filter of {model}'s weight fits {name}. Add a last case {{value: ...}} for all others.")
    settings = _settings(recipe, part, name, sources, position)
    refuse(recipe, f" of {name}", weights, settings)
    layers = sum(p.layers for p in recipe.slices) if recipe.slices else depth
    return Site(name, part.models, sources, base_source, weights, settings, layers)


def _place(recipe: Recipe, name: str, depth: int) -> tuple[Slice, int | None, float]:
    """The slice a tensor belongs to, its layer counted from the slice's first (if sliced), and its place in a gradient.

    As in mergekit: embeddings belong to the first slice, final norm and head to the last, all at the gradient's start;
    a slice of one layer is at its end.
    """
    layer, parts = layer_of(name), recipe.parts
    if layer is None:
        return parts[0] if opens(name) else parts[-1], None, 0.0
    if not recipe.slices:
        return parts[0], None, layer / (depth - 1) if depth > 1 else 1.0
    for part in parts:
        if layer < part.layers:
            _check_depth(recipe, part, depth)
            return part, layer, layer / (part.layers - 1) if part.layers > 1 else 1.0
        layer -= part.layers
    raise UserError(f"{name} lies beyond the {sum(p.layers for p in parts)} layers of the recipe's slices.")


def _check_depth(recipe: Recipe, part: Slice, depth: int) -> None:
    ranges = zip((*part.models, recipe.base), (*part.ranges, part.base_range), strict=True)
    for model, one in ranges:
        if one and one[1] > depth:
            raise UserError(f"The layer_range {list(one)} of {model} ends beyond its {depth} layers.")


def _settings(recipe: Recipe, part: Slice, name: str, sources: tuple[str, ...], position: float) -> dict[str, Any]:
    """Knobs of a model are looked up by the tensor's name in that model, shared ones by its name in the merge."""
    given = recipe.settings(part)
    found: dict[str, Any] = {}
    for argument in recipe.definition.arguments:
        value = per_model(argument, given[argument.name], len(sources))
        if argument.per_model:
            resolved = [value_at(v, s, position) for v, s in zip(value, sources, strict=True)]
            found[argument.name] = tuple(argument.default if v is None else v for v in resolved)
        else:
            one = value_at(value, name, position)
            found[argument.name] = argument.default if one is None else one
        if argument.whole and any(v != int(v) for v in each(found[argument.name])):
            raise UserError(f"{recipe.method}: '{argument.name}' is {found[argument.name]} at {name}; expected whole.")
    return found


def sites(recipe: Recipe, names: Iterable[str], wanted: Iterable[str]) -> dict[str, Site]:
    """The sites of the wanted tensors of a merge; `names` are the parents' parameters."""
    depth, wanted = depth_of(names), list(wanted)
    if recipe.slices or recipe.varies or not wanted:
        return {name: site_at(recipe, name, depth) for name in wanted}
    one = site_at(recipe, wanted[0], depth)  # all others say the same, and at every move of a slider
    count, same = len(one.models), (one.weights, one.settings, one.layers)
    return {name: Site(name, one.models, (name,) * count, name, *same) for name in wanted}
