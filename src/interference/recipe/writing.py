"""A recipe as YAML in mergekit's schema."""

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import yaml

from interference.errors import UserError
from interference.recipe.values import fallback, written

if TYPE_CHECKING:
    from interference.recipe.recipe import Recipe, Slice


@lru_cache(256)
def to_yaml(recipe: "Recipe") -> str:
    """The document, with values of our own where mergekit fails on them."""
    shared = {k: written(v) for k, v in recipe.knobs if not isinstance(v, tuple)}
    seed = [f"seed={recipe.seed}"] if recipe.seed else []
    document: dict[str, Any] = {"merge_method": "+".join([recipe.method, *recipe.post, *seed])}
    if recipe.method == "slerp":
        document["base_model"] = recipe.models[0]
    elif recipe.base:
        document["base_model"] = recipe.base
    if recipe.slices:
        document["slices"] = [_slice(recipe, part) for part in recipe.slices]
    else:
        document["models"] = _entries(recipe.models, recipe.weights, recipe.knobs)
    document |= {"parameters": shared} if shared else {}
    document |= {k: v for k, v in (("dtype", recipe.dtype), ("out_dtype", recipe.out_dtype)) if v}
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True)


def mergekit_yaml(recipe: "Recipe") -> str:
    """The recipe for mergekit 0.1.5, every setting written out, for some that have a default here have none there.

    Raises UserError naming whatever of it mergekit can't express.
    """
    if ours := beyond_mergekit(recipe):
        raise UserError(f"mergekit can't express {', '.join(ours)}. Take it out, or write the merge with --out.")
    defaults = {a.name: a.default for a in recipe.definition.arguments}
    filled = {name: _filled(value, defaults[name]) for name, value in recipe.settings().items()}
    return to_yaml(replace(recipe, knobs=tuple(filled.items())))


def beyond_mergekit(recipe: "Recipe") -> list[str]:
    """What of a recipe mergekit 0.1.5 can't express, in words."""
    ours = [] if recipe.definition.mergekit else [f"the method {recipe.method}"]
    ours += [f"the base {recipe.base}"] if (recipe.base or "").startswith("@") else []
    ours += [f"the post-step {step}" for step in recipe.post]
    ours += [f"the seed {recipe.seed}"] if recipe.seed and recipe.definition.seeded else []
    twice = any(len(set(part.models)) < len(part.models) for part in recipe.parts)
    return ours + (["one model twice in a merge"] if twice else [])


def _filled(value: Any, default: Any) -> Any:
    return tuple(fallback(v, default) for v in value) if isinstance(value, tuple) else fallback(value, default)


def _entries(models: tuple, weights: tuple, knobs: tuple) -> list[dict[str, Any]]:
    entries = []
    for i, model in enumerate(models):
        own: dict[str, Any] = {"weight": written(weights[i])} if weights else {}
        own |= {k: written(v[i]) for k, v in knobs if isinstance(v, tuple)}
        entries.append({"model": model} | ({"parameters": own} if own else {}))
    return entries


def _slice(recipe: "Recipe", part: "Slice") -> dict[str, Any]:
    entries = _entries(part.models, part.weights, part.knobs)
    sources = [
        {"model": e["model"], "layer_range": list(r)} | {k: v for k, v in e.items() if k == "parameters"}
        for e, r in zip(entries, part.ranges, strict=True)
    ]
    if part.base_range:
        sources.append({"model": recipe.base, "layer_range": list(part.base_range)})
    shared = {k: written(v) for k, v in part.knobs if not isinstance(v, tuple)}
    first = {"base_model": part.models[0]} if recipe.method == "slerp" else {}
    return {"sources": sources} | first | ({"parameters": shared} if shared else {})


class _Plain(yaml.SafeDumper):
    """Lists of numbers on one line, and never an anchor for values that stand twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _sequence(dumper: yaml.SafeDumper, data: list) -> yaml.Node:
    flow = all(isinstance(entry, bool | int | float) for entry in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)


_Plain.add_representer(list, _sequence)
