"""The one loop that merges: a recipe and weights in, merged tensors in the output buffer."""

import inspect
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interference.adding import add_steps
from interference.bits import Bits, joined, packed, unpacked
from interference.chunks import BLOCK
from interference.draws import uniforms
from interference.fused import DEVICES
from interference.groups import depth_of, group_of, layer_of
from interference.pieces import COMPILED, PIECE, by_parts, compiled, on_blocks, piece_of
from interference.ranks import Cuts, Difference
from interference.recipe import MEAN, ZERO, Recipe, Site, output_names, site_at, sites
from interference.recipe.sites import source_layers
from interference.registry import DATA, Part
from interference.runs import runs
from interference.steps import finish
from interference.sums import Addends, Step, Sums, steps_between
from interference.weights import RESIDENT, Weights


def merge(recipe: Recipe, weights: Weights) -> dict[str, Tensor]:
    """The merged parameters in the recipe's output dtype, as new tensors on the weights' device."""
    dtype = output_dtype(recipe, weights)
    depth = depth_of(weights.shapes)
    shapes = {
        name: weights.shapes[site_at(recipe, name, depth).sources[0]] for name in output_names(recipe, weights.shapes)
    }
    buffer = {name: torch.empty(shape, dtype=dtype, device=weights.device) for name, shape in shapes.items()}
    merge_into(recipe, weights, buffer)
    return buffer


@torch.no_grad()
def merge_into(
    recipe: Recipe, weights: Weights, buffer: Mapping[str, Tensor], before: Sums | None = None
) -> Sums | None:
    """Merge tensor by tensor in float32 and write each, rounded to the recipe's output dtype, into the buffer.

    Returns what is there where the merge is a weighted sum in float32. Given as `before` with the same buffer, the next
    merge reads only what moved, see `steps_between`.
    """
    dtype, buffer = output_dtype(recipe, weights), {name: out.detach() for name, out in buffer.items()}
    at = sites(recipe, weights.shapes, buffer)  # all of them first: nothing is written where one can't be merged
    rows = {
        row: torch.tensor(row, dtype=torch.float32, device=weights.device) for row in {s.weights for s in at.values()}
    }
    shares = _Shares(recipe, weights)
    sums = {name: own for name, site in at.items() if (own := shares.addends(site, rows[site.weights])) is not None}
    after = None
    if len(sums) == len(buffer) and all(out.dtype == dtype == torch.float32 for out in buffer.values()):
        if before and (found := steps_between(before, sums)):
            steps, after = found
            add_steps(weights, steps, shares.there, buffer, dtype)
            return after
        after = Sums(sums)
    add_steps(weights, {name: Step(0.0, addends) for name, addends in sums.items()}, shares.there, buffer, dtype)
    left = {name: site for name, site in at.items() if name not in sums}
    done = sums.keys() | _merge_runs(recipe, weights, left, rows, buffer, dtype)
    for name, out in buffer.items():
        row = rows[at[name].weights]
        if name in done:
            continue
        if _goes_in_pieces(recipe, out):
            _merge_in_pieces(recipe, weights, at[name], row, out, dtype)
        else:
            out.copy_(_merged(recipe, weights, at[name], row, {}).to(dtype))
    return after


def merge_network(recipe: Recipe, weights: Weights, network: torch.nn.Module) -> None:
    """Merge into the parameters of a float32 network and do the post-steps that need it whole."""
    finish(merge_network_steps(recipe, weights, network))


def merge_network_steps(recipe: Recipe, weights: Weights, network: torch.nn.Module) -> Generator[None, None, None]:
    """`merge_network` in steps; what the post-steps leave is rounded to the recipe's output dtype again."""
    parameters = dict(network.named_parameters())
    merge_into(recipe, weights, parameters)
    steps = [step for step in recipe.steps if step.scope == "network"]
    given: dict[str, Callable[[], Any]] = {
        "network": lambda: network,
        "recipe": lambda: recipe,
        "weights": lambda: weights,
        "dev": lambda: weights.dev,
    }
    for step in steps:
        if inspect.isgenerator(running := _call(step.body, given, {})):
            yield from running
    if steps:
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.copy_(parameter.to(output_dtype(recipe, weights)))


def merge_tensor(
    recipe: Recipe,
    weights: Weights,
    name: str,
    coefficients: Float[Tensor, " model"] | None = None,
    knobs: Mapping[str, Tensor] | None = None,
) -> Float[Tensor, "*shape"]:
    """One merged parameter in float32 by the method's own function: the reference path.

    Coefficients and scalar knobs given here replace the recipe's; the result is differentiable in them.
    """
    site = site_at(recipe, name, depth_of(weights.shapes))
    if coefficients is None:
        coefficients = torch.tensor(site.weights, dtype=torch.float32, device=weights.device)
    return _merged(recipe, weights, site, coefficients, knobs or {})


def merge_with(
    recipe: Recipe,
    weights: Weights,
    coefficients: Callable[[str], Float[Tensor, " model"]],
    knobs: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The whole merge in float32 as a function of coefficients that may require gradients: no rounding, no copies.

    `coefficients` gets a parameter's name, so that they may be shared by groups or layers. Feed the result to
    `torch.func.functional_call`. Post-steps that need a network are not part of it.
    """
    names = output_names(recipe, weights.shapes)
    return {name: merge_tensor(recipe, weights, name, coefficients(name), knobs) for name in names}


def output_dtype(recipe: Recipe, weights: Weights) -> torch.dtype:
    """What the merge is rounded to: `out_dtype`, else `dtype`, else what its checkpoints' own dtypes promote to."""
    name = recipe.out_dtype or recipe.dtype
    return getattr(torch, name) if name else weights.dtype_of(recipe.needed)


def output_config(recipe: Recipe, config: Any) -> Any:
    """The configuration of the merge, given its first model's: of another depth where the recipe has slices."""
    if not recipe.slices:
        return config
    rows = source_layers(recipe)
    document = config.to_dict()
    document[config.attribute_map.get("num_hidden_layers", "num_hidden_layers")] = len(rows)
    if kinds := document.get("layer_types"):
        document["layer_types"] = [kinds[row] for row in rows]
    return type(config).from_dict(document)


class _Shares:
    """What the parents, or their differences from the base, count with where a merge is a weighted sum of them."""

    def __init__(self, recipe: Recipe, weights: Weights):
        self._recipe, self._weights = recipe, weights
        plain = not _changes_tensors(recipe) and recipe.dtype in (None, "float32")
        self._part = recipe.definition.combines if plain else None
        self._known: dict[tuple, list[float] | None] = {}  # by all that they depend on, unless tensors were prepared
        self._there: dict[tuple[float, ...], Tensor] = {}

    def addends(self, site: Site, row: Float[Tensor, " weight"]) -> Addends | None:
        """What adds up to the merge of one tensor, the base with what is left to one; None where it is no such sum."""
        if (shares := self._of(site, row)) is None:
            return None
        recipe, left = self._recipe, 1 - sum(shares)
        found: dict[tuple[str, str], float] = {}
        if recipe.definition.takes == "deltas" and recipe.base == MEAN:
            shares = [share + left / len(shares) for share in shares]
        for place, share in zip(zip(site.sources, site.models, strict=True), shares, strict=True):
            found[place] = found.get(place, 0.0) + share
        if recipe.definition.takes == "deltas" and recipe.base not in (None, ZERO, MEAN) and left:
            place = site.base_source, recipe.base
            found[place] = found.get(place, 0.0) + left
        return found

    def _of(self, site: Site, row: Float[Tensor, " weight"]) -> list[float] | None:
        if (part := self._part) is None:
            return None
        key = site.name if "prepared" in part.inputs else None, site.weights, *site.settings.values()
        if key not in self._known:
            given = _given_whole(self._recipe, self._weights, site)
            ready = {"weights": lambda: row, "prepared": lambda: _prepared(self._recipe, self._weights, site, given)}
            found = _call(part, ready, site.settings)
            self._known[key] = None if found is None else found.tolist()
        return self._known[key]

    def there(self, shares: list[float]) -> Float[Tensor, " row"]:
        """Shares on the device, made once: sent there for every tensor, each would wait for the one before."""
        key = tuple(shares)
        if key not in self._there:
            self._there[key] = torch.tensor(shares, device=self._weights.device)
        return self._there[key]


def _changes_tensors(recipe: Recipe) -> bool:
    return any(step.scope == "tensor" for step in recipe.steps)


def _goes_in_pieces(recipe: Recipe, out: Tensor) -> bool:
    return recipe.definition.elementwise and not _changes_tensors(recipe) and out.numel() > PIECE[out.device.type]


def _merge_in_pieces(
    recipe: Recipe, weights: Weights, site: Site, coefficients: Float[Tensor, " model"], out: Tensor, dtype: torch.dtype
) -> None:
    """The reference path on one piece of a tensor after another: the same numbers, and what lies between in cache."""
    method = recipe.definition
    views = [weights.views(source, [model])[0] for source, model in zip(site.sources, site.models, strict=True)]
    own = None
    if recipe.base and recipe.base not in (MEAN, ZERO):
        own = weights.views(site.base_source, [recipe.base])[0].reshape(-1)
    prepared = _prepared(recipe, weights, site, _given_whole(recipe, weights, site)) if method.prepare else None
    piece = compiled(method, _made(recipe), recipe.dtype, dtype)
    given = {"weights": coefficients} if method.weighted else {}
    flat, size = out.view(-1), PIECE[out.device.type]
    settings = _arguments(method.body, site.settings)
    for start in range(0, len(flat), size):
        part = slice(start, start + size)
        if method.prepare:
            given["prepared"] = piece_of(prepared, out.shape, part)
        rows = [weights.here(view.reshape(-1)[part]) for view in views]
        piece(rows, None if own is None else weights.here(own[part]), flat[part], given, settings)


def _merge_runs(
    recipe: Recipe,
    weights: Weights,
    at: Mapping[str, Site],
    rows: Mapping[tuple[float, ...], Tensor],
    buffer: Mapping[str, Tensor],
    dtype: torch.dtype,
) -> set[str]:
    """The same on neighbours at once, where functions are compiled and each call costs more than what it does.

    Returns what is merged so: of resident weights, by methods that prepare nothing or cuts.
    """
    method = recipe.definition
    fitting = method.elementwise and (method.by_cuts or not method.prepare) and not _changes_tensors(recipe)
    if not fitting or weights.residency != RESIDENT or weights.device.type not in DEVICES:
        return set()
    checkpoint = recipe.base if recipe.base not in (MEAN, ZERO) else None
    wanted: dict[str, tuple[str, Hashable]] = {}
    for name, site in at.items():
        source, *others = {*site.sources, *([site.base_source] if checkpoint else [])}
        if not others and buffer[name].numel() % BLOCK == 0:
            wanted[name] = source, (site.models, site.weights, *site.settings.items())
    done: set[str] = set()
    for run in runs(weights.spans, wanted, buffer):
        site = at[run.names[0]]
        own = weights.entries(run.span, [checkpoint])[0].view(-1, BLOCK) if checkpoint else None
        given: dict[str, Any] = {"weights": rows[site.weights]} if method.weighted else {}
        if method.prepare:
            given["prepared"] = _cuts(recipe, weights, [at[name] for name in run.names])
        by_parts(
            on_blocks(method, _made(recipe), recipe.dtype, dtype),
            COMPILED // BLOCK,
            [row.view(-1, BLOCK) for row in weights.entries(run.span, site.models)],
            *(own, run.out.view(-1, BLOCK), given, _arguments(method.body, site.settings)),
        )
        done |= set(run.names)
    return done


def _made(recipe: Recipe) -> str | None:
    """A base that is made of the parents."""
    return recipe.base if recipe.base in (MEAN, ZERO) else None


def _cuts(recipe: Recipe, weights: Weights, neighbours: Sequence[Site]) -> Cuts:
    """The cuts of neighbours, looked up once for all of them."""
    part = recipe.definition.prepare
    settings = {a.name: neighbours[0].settings[a.name] for a in part.arguments} if part else {}
    names = tuple(site.name for site in neighbours)
    key = ("cuts", recipe.method, recipe.base, recipe.dtype, neighbours[0].models, names, *settings.items())

    def make() -> Cuts:
        found = [_prepared(recipe, weights, site, _given_whole(recipe, weights, site)) for site in neighbours]
        return Cuts.of(found, [torch.Size(weights.shapes[site.sources[0]]).numel() for site in neighbours])

    return weights.prepared(key, make)


def _merged(
    recipe: Recipe, weights: Weights, site: Site, coefficients: Float[Tensor, " model"], knobs: Mapping[str, Tensor]
) -> Float[Tensor, "*shape"]:
    method = recipe.definition
    if method.prepare and knobs.keys() & {a.name for a in method.prepare.arguments}:
        raise ValueError(f"{method.name} prepares by {', '.join(knobs)}; no gradient reaches it")
    given = _given_whole(recipe, weights, site) | {"weights": lambda: coefficients}
    base = given["base"]()
    merged = _call(method.body, given, {**site.settings, **knobs})
    merged = base + merged if method.takes == "deltas" and base is not None else merged
    for step in recipe.steps:
        if step.scope == "tensor":
            merged = _call(step.body, given | {"merged": lambda now=merged: now}, {})
    return merged


def _given_whole(recipe: Recipe, weights: Weights, site: Site) -> dict[str, Callable[[], Any]]:
    """What functions may ask for of a tensor, but for the coefficients; it is read when it is first asked for."""
    parents = cache(lambda: _as_float32(_stack(weights, site), recipe))
    return _given(recipe, weights, site, parents, cache(lambda: _base(recipe, weights, site, parents())))


def _given(
    recipe: Recipe, weights: Weights, site: Site, parents: Callable[[], Tensor], base: Callable[[], Tensor | None]
) -> dict[str, Callable[[], Any]]:
    given: dict[str, Callable[[], Any]] = {
        "tensors": parents,
        "deltas": lambda: parents() if (own := base()) is None else parents() - own,
        "base": base,
        "uniforms": lambda: _uniforms(recipe.seed, site.models, site.name, parents()),
        "name": lambda: site.name,
        "group": lambda: group_of(site.name),
        "layer": lambda: layer_of(site.name),
        "layers": lambda: site.layers,
        "transposed": lambda: site.sources[0] in weights.transposed,
        "recipe": lambda: recipe,
        **{kind: partial(weights.measured, kind, site.models, site.sources) for kind in DATA},
    }
    # Beside and not in what it is made of: a circle would keep all parents in float32 until Python looks for circles.
    return given | {"prepared": lambda: unpacked(_prepared(recipe, weights, site, given))}


def _call(part: Part, given: Mapping[str, Callable[[], Any]], settings: Mapping[str, Any]) -> Any:
    """A registered function with the inputs that it asks for and its own knobs."""
    return part.function(**{name: given[name]() for name in part.inputs}, **_arguments(part, settings))


def _arguments(part: Part, settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for argument in part.arguments:
        value = settings[argument.name]
        if argument.per_model and isinstance(value, tuple):
            value = torch.tensor(value, dtype=torch.float64)
        found[argument.parameter] = int(value) if argument.whole else value
    return found


def _prepared(recipe: Recipe, weights: Weights, site: Site, given: Mapping[str, Callable[[], Any]]) -> Any:
    """What survives a coefficient's move: looked up by parents, base and the preparation's own knobs, else computed."""
    method = recipe.definition
    part = method.prepare
    assert part is not None  # the registry gives `prepared` to no other method
    settings = {a.name: site.settings[a.name] for a in part.arguments}
    fixed = (method.name, recipe.base, recipe.dtype, recipe.seed if "uniforms" in part.inputs else 0)
    if method.scope == "tensor":
        tensor = (*fixed, site.models, site.sources, site.name, *settings.items())
        if method.by_cuts:
            return weights.prepared(tensor, lambda: _cut_by_parent(recipe, weights, site, part))
        if method.by_parent:
            return weights.prepared(tensor, lambda: _prepared_by_parent(recipe, weights, site, part))
        return weights.prepared(tensor, lambda: _call(part, given, settings))
    layers = tuple((slice_.models, slice_.ranges, slice_.base_range) for slice_ in recipe.parts)
    key = (*fixed, layers, *settings.items())
    whole = weights.prepared(key, lambda: _call(part, {method.takes: lambda: _Stacks(recipe, weights)}, settings))
    return whole[site.name]


def _cut_by_parent(recipe: Recipe, weights: Weights, site: Site, part: Part) -> Any:
    """The cut of every parent by itself, remembered by parent, without even one of them in float32."""
    fixed = (recipe.method, recipe.base, recipe.dtype, site.models if recipe.base == MEAN else (), site.name)
    base = cache(lambda: _base_alone(recipe, weights, site))
    read = getattr(torch, recipe.dtype) if recipe.dtype else None

    def make(model: str, source: str, settings: Mapping[str, Any]) -> Any:
        own = [Difference(weights.read(source, [model])[0], base(), read)]
        return _call(part, {recipe.definition.takes: lambda: own}, settings)

    found = [
        weights.prepared((*fixed, model, source, *settings.items()), partial(make, model, source, settings))
        for model, source, settings in _settings_by_parent(site, part)
    ]
    return type(found[0])(*map(torch.cat, zip(*found, strict=True)))


def _prepared_by_parent(recipe: Recipe, weights: Weights, site: Site, part: Part) -> tuple[Tensor | Bits, ...]:
    """What is prepared of every parent by itself, so that one of them at a time is in float32, beside the base."""
    base = _base_alone(recipe, weights, site)

    def make(model: str, source: str, settings: Mapping[str, Any]) -> tuple[Tensor | Bits, ...]:
        own = _as_float32(weights.read(source, [model]), recipe)
        own = own if base is None or recipe.definition.takes != "deltas" else own - base
        given = {
            recipe.definition.takes: lambda: own,
            "uniforms": lambda: _uniforms(recipe.seed, (model,), site.name, own),
        }
        return packed(_call(part, given, settings))

    found = [make(*parent) for parent in _settings_by_parent(site, part)]
    return tuple(map(joined, zip(*found, strict=True)))


def _settings_by_parent(site: Site, part: Part) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each parent, the tensor of it that is read, and what the preparation's knobs are for it."""
    split = {a.name for a in part.arguments if a.per_model and isinstance(site.settings[a.name], tuple)}
    for number, (model, source) in enumerate(zip(site.models, site.sources, strict=True)):
        given = {a.name: site.settings[a.name] for a in part.arguments}
        yield model, source, given | {name: given[name][number] for name in split}


def _base_alone(recipe: Recipe, weights: Weights, site: Site) -> Tensor | None:
    """The base's tensor without all parents in float32 beside it, entry by entry as pieces of them give it."""
    if recipe.base in (None, ZERO):
        return None
    if recipe.base != MEAN:
        own = weights.read(site.base_source, [recipe.base])[0]
        return _as_float32(own, recipe) if recipe.dtype else own
    views = [weights.views(source, [model])[0] for source, model in zip(site.sources, site.models, strict=True)]
    mean = torch.empty(views[0].shape, device=weights.device)
    size = PIECE[weights.device.type]
    for start in range(0, mean.numel(), size):
        part = slice(start, start + size)
        parents = _as_float32(torch.stack([weights.here(view.reshape(-1)[part]) for view in views]), recipe)
        mean.view(-1)[part] = parents.mean(dim=0)
    return mean


class _Stacks(Mapping):
    """All tensors of a merge as its method takes them, each made when asked for."""

    def __init__(self, recipe: Recipe, weights: Weights):
        self._recipe, self._weights = recipe, weights
        self._sites = sites(recipe, weights.shapes, output_names(recipe, weights.shapes))

    def __getitem__(self, name: str) -> Tensor:
        parents = _as_float32(_stack(self._weights, self._sites[name]), self._recipe)
        base = _base(self._recipe, self._weights, self._sites[name], parents)
        return parents - base if self._recipe.definition.takes == "deltas" and base is not None else parents

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)


def _stack(weights: Weights, site: Site) -> Float[Tensor, "model *shape"]:
    """The parents' tensors in their stored dtype; a view where they lie beside each other."""
    if len(set(site.sources)) == 1:
        return weights.read(site.sources[0], site.models)
    return torch.cat([weights.read(source, [model]) for source, model in zip(site.sources, site.models, strict=True)])


def _as_float32(parents: Tensor, recipe: Recipe) -> Float[Tensor, "model *shape"]:
    """Parents as mergekit reads them: cast to `dtype` first if the recipe names one, then to float32."""
    return parents.to(getattr(torch, recipe.dtype)).float() if recipe.dtype else parents.float()


def _base(
    recipe: Recipe, weights: Weights, site: Site, parents: Float[Tensor, "model *shape"], own: Tensor | None = None
) -> Float[Tensor, "*shape"] | None:
    """The base's tensor; `own` is what it has where the parents' entries are, if that is read already."""
    if recipe.base is None:
        return None
    if recipe.base == MEAN:
        return parents.mean(dim=0)
    if recipe.base == ZERO:
        return torch.zeros_like(parents[0])
    return _as_float32(weights.read(site.base_source, [recipe.base])[0] if own is None else own, recipe)


def _uniforms(
    seed: int, models: tuple[str, ...], name: str, parents: Float[Tensor, "model *shape"]
) -> Float[Tensor, "model *shape"]:
    """Uniform numbers fixed by seed, parameter and parent."""
    return torch.stack([uniforms(f"{seed} {name} {model}", parents.shape[1:], parents.device) for model in models])
