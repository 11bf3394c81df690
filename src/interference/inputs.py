"""What a recipe's functions are given of one tensor, and what was prepared of it before."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import PurePath
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interference.bits import Bits, joined, packed, unpacked
from interference.draws import uniforms
from interference.fused import DEVICES
from interference.groups import group_of, layer_of
from interference.pieces import PIECE
from interference.ranks import Cuts, Difference
from interference.recipe import MEAN, ZERO, Recipe, Site, output_names, sites
from interference.registry import DATA, Part
from interference.rows import Rows
from interference.stacks import Stack
from interference.weights import Weights


def given_whole(recipe: Recipe, weights: Weights, site: Site) -> dict[str, Callable[[], Any]]:
    """What functions may ask for of a tensor, but for the coefficients; it is read when it is first asked for."""
    base = cache(lambda: _base(recipe, weights, site))
    shape = torch.Size(weights.shapes[site.sources[0]])
    given: dict[str, Callable[[], Any]] = {
        "tensors": lambda: _stack(recipe, weights, site),
        "deltas": lambda: _stack(recipe, weights, site, base()),
        "base": lambda: torch.zeros(shape, device=weights.device) if recipe.base == ZERO else base(),
        "uniforms": lambda: _uniforms(recipe.seed, _drawn_as(site.models), site.name, shape, weights.device),
        "name": lambda: site.name,
        "group": lambda: group_of(site.name),
        "layer": lambda: layer_of(site.name),
        "layers": lambda: site.layers,
        "transposed": lambda: site.sources[0] in weights.transposed,
        "recipe": lambda: recipe,
        **{kind: partial(weights.measured, kind, site.models, site.sources) for kind in DATA},
    }
    # Beside and not in what it is made of: a circle would keep all parents in float32 until Python looks for circles.
    return given | {"prepared": lambda: unpacked(prepare(recipe, weights, site, given))}


def call(part: Part, given: Mapping[str, Callable[[], Any]], settings: Mapping[str, Any]) -> Any:
    """A registered function with the inputs that it asks for and its own knobs."""
    found = {name: given[name]() for name in part.inputs}
    whole = {n: one.whole() if isinstance(one, Stack) and n not in part.parted else one for n, one in found.items()}
    return part.function(**whole, **arguments(part, settings))


def arguments(part: Part, settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for argument in part.arguments:
        value = settings[argument.name]
        if argument.per_model and isinstance(value, tuple):
            value = torch.tensor(value, dtype=torch.float64)
        found[argument.parameter] = int(value) if argument.whole else value
    return found


def prepare(recipe: Recipe, weights: Weights, site: Site, given: Mapping[str, Callable[[], Any]]) -> Any:
    """What survives a coefficient's move: looked up by parents, base and the preparation's own knobs, else computed."""
    method = recipe.definition
    part = method.prepare
    assert part is not None  # the registry gives `prepared` to no other method
    settings = {a.name: site.settings[a.name] for a in part.arguments}
    fixed = (method.name, recipe.base, recipe.dtype, recipe.seed if "uniforms" in part.inputs else 0)
    if method.scope == "tensor":
        tensor = (*fixed, site.models, *_read(site), *settings.items())
        if method.by_cuts:
            return weights.prepared(tensor, lambda: _cut_by_parent(recipe, weights, site, part))
        if method.by_parent:
            return weights.prepared(tensor, lambda: _prepared_by_parent(recipe, weights, site, part))
        return weights.prepared(
            tensor, lambda: packed(call(part, given, settings), len(weights.shapes[site.sources[0]]))
        )
    layers = tuple((slice_.models, slice_.ranges, slice_.base_range) for slice_ in recipe.parts)
    key = (*fixed, layers, *settings.items())
    whole = weights.prepared(key, lambda: call(part, {method.takes: lambda: _Stacks(recipe, weights)}, settings))
    return whole[site.name]


def cuts(recipe: Recipe, weights: Weights, neighbours: Sequence[Site]) -> Cuts:
    """The cuts of neighbours, looked up once for all of them."""
    part = recipe.definition.prepare
    settings = {a.name: neighbours[0].settings[a.name] for a in part.arguments} if part else {}
    read = tuple(map(_read, neighbours))
    key = ("cuts", recipe.method, recipe.base, recipe.dtype, neighbours[0].models, read, *settings.items())

    def make() -> Cuts:
        found = [prepare(recipe, weights, site, given_whole(recipe, weights, site)) for site in neighbours]
        return Cuts.of(found, [torch.Size(weights.shapes[site.sources[0]]).numel() for site in neighbours])

    return weights.prepared(key, make)


def _read(site: Site) -> tuple:
    """What a tensor of the merge is made of: its own name, and where it lies in the parents and in the base."""
    return site.name, site.sources, site.base_source


def _cut_by_parent(recipe: Recipe, weights: Weights, site: Site, part: Part) -> Any:
    """The cut of every parent by itself, remembered by parent, without even one of them in float32."""
    others = (site.models, site.sources) if recipe.base == MEAN else ()
    fixed = (recipe.method, recipe.base, recipe.dtype, others, site.base_source, site.name)
    base = cache(lambda: _base(recipe, weights, site))

    def make(model: str, source: str, settings: Mapping[str, Any]) -> Any:
        tensor = weights.read(source, [model])[0]
        read = _read_as(recipe) or tensor.dtype
        own = [Difference(tensor, base(), torch.float32 if read == torch.float64 else read)]
        return call(part, {recipe.definition.takes: lambda: own}, settings)

    found = [
        weights.prepared((*fixed, model, source, *settings.items()), partial(make, model, source, settings))
        for model, source, settings in _settings_by_parent(site, part)
    ]
    return type(found[0])(*map(torch.cat, zip(*found, strict=True)))


def _prepared_by_parent(recipe: Recipe, weights: Weights, site: Site, part: Part) -> tuple[Tensor | Bits, ...]:
    """What is prepared of every parent by itself, so that one of them at a time is in float32, beside the base."""
    base = _base(recipe, weights, site) if recipe.definition.takes == "deltas" else None
    drawn_as = dict(zip(site.models, _drawn_as(site.models), strict=True))

    def make(model: str, source: str, settings: Mapping[str, Any]) -> tuple[Tensor | Bits, ...]:
        own = _stack(recipe, weights, replace(site, models=(model,), sources=(source,)), base).whole()
        given = {
            recipe.definition.takes: lambda: own,
            "uniforms": lambda: _uniforms(recipe.seed, (drawn_as[model],), site.name, own.shape[1:], own.device),
        }
        return packed(call(part, given, settings), own.ndim - 1)

    return joined((make(*parent) for parent in _settings_by_parent(site, part)), len(site.models))


def _settings_by_parent(site: Site, part: Part) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each parent, the tensor of it that is read, and what the preparation's knobs are for it."""
    split = {a.name for a in part.arguments if a.per_model and isinstance(site.settings[a.name], tuple)}
    for number, (model, source) in enumerate(zip(site.models, site.sources, strict=True)):
        given = {a.name: site.settings[a.name] for a in part.arguments}
        yield model, source, given | {name: given[name][number] for name in split}


def _base(recipe: Recipe, weights: Weights, site: Site) -> Tensor | None:
    """The base's tensor, unless it is zero, entry by entry as pieces of the parents give it."""
    if recipe.base in (None, ZERO):
        return None
    if recipe.base != MEAN:
        return _as_float32(weights.read(site.base_source, [recipe.base])[0], recipe)
    views = [weights.views(source, [model])[0] for source, model in zip(site.sources, site.models, strict=True)]
    mean = torch.empty(views[0].shape, device=weights.device)
    size, gather = PIECE[weights.device.type], Rows if weights.device.type in DEVICES else torch.stack
    for start in range(0, mean.numel(), size):
        part = slice(start, start + size)
        parents = gather([_as_float32(weights.here(view.reshape(-1)[part]), recipe) for view in views])
        mean.view(-1)[part] = parents.mean(dim=0)
    return mean


class _Stacks(Mapping):
    """All tensors of a merge as its method takes them, each made when asked for."""

    def __init__(self, recipe: Recipe, weights: Weights):
        self._recipe, self._weights = recipe, weights
        self._sites = sites(recipe, weights.shapes, output_names(recipe, weights.shapes))

    def __getitem__(self, name: str) -> Stack:
        return given_whole(self._recipe, self._weights, self._sites[name])[self._recipe.definition.takes]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)


def _stack(recipe: Recipe, weights: Weights, site: Site, base: Tensor | None = None) -> Stack:
    """The parents' tensors, or what sets them off from a base."""
    places = list(zip(site.sources, site.models, strict=True))

    def together() -> Tensor:
        """A view where they lie beside each other."""
        if len(set(site.sources)) == 1:
            return weights.read(site.sources[0], site.models)
        return torch.cat([weights.read(source, [model]) for source, model in places])

    views = lambda: [weights.views(source, [model])[0] for source, model in places]  # noqa: E731
    return Stack(views, base, weights.here, _read_as(recipe), together)


def _read_as(recipe: Recipe) -> torch.dtype | None:
    """What parents and base are cast to before anything else, if the recipe names it."""
    return getattr(torch, recipe.dtype) if recipe.dtype else None


def _as_float32(stored: Tensor, recipe: Recipe) -> Float[Tensor, "*shape"]:
    """What is stored as mergekit reads it: cast to `dtype` first if the recipe names one, then to float32."""
    return stored.to(_read_as(recipe)).float()


def _drawn_as(models: tuple[str, ...]) -> tuple[str, ...]:
    """What parents' random numbers go by: the last part of a name, so that `a` and `/home/me/a` draw alike.

    All of the name where another parent's ends in the same.
    """
    ends = [PurePath(model).name for model in models]
    return tuple(end if end and ends.count(end) == 1 else model for end, model in zip(ends, models, strict=True))


def _uniforms(
    seed: int, models: tuple[str, ...], name: str, shape: torch.Size, device: torch.device
) -> Float[Tensor, "model *shape"]:
    """Uniform numbers fixed by seed, parameter and parent."""
    first, *others = (uniforms(f"{seed} {name} {model}", shape, device) for model in models)
    return torch.stack([first, *others]) if others else first[None]
