"""The one loop that merges: a recipe and weights in, merged tensors in the output buffer."""

import inspect
from collections.abc import Callable, Generator, Hashable, Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interference.adding import add_steps
from interference.checkpoint import Checkpoint
from interference.checkpoint.models import meta_model
from interference.checkpoint.reading import first_line
from interference.chunks import BLOCK
from interference.errors import UserError
from interference.fused import DEVICES
from interference.groups import depth_of
from interference.inputs import arguments, call, cuts, given_whole, prepare
from interference.pieces import COMPILED, PIECE, by_parts, compiled, on_blocks, piece_of
from interference.recipe import BASES, MEAN, Recipe, Site, checkpoint_of, output_names, site_at, sites
from interference.recipe.sites import source_layers
from interference.registry import Method
from interference.runs import runs
from interference.stacks import row_parts, rows_of
from interference.steps import undisturbed
from interference.sums import Addends, Step, Sums, steps_between
from interference.weights import RESIDENT, Weights


@undisturbed()
def merge(recipe: Recipe, weights: Weights) -> dict[str, Tensor]:
    """The merged parameters in the recipe's output dtype, as new tensors on the weights' device."""
    dtype = output_dtype(recipe, weights)
    shapes = output_shapes(recipe, weights.shapes)
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
        if name in done:
            continue
        site, row = at[name], rows[at[name].weights]
        if _changes_tensors(recipe):
            merged = torch.empty_like(out, dtype=torch.float32)
            _merge_one(recipe, weights, site, row, merged, torch.float32)
            out.copy_(_stepped(recipe, merged, _given_with(recipe, weights, site, row)).to(dtype))
        else:
            _merge_one(recipe, weights, site, row, out, dtype)
    return after


def merge_network_steps(recipe: Recipe, weights: Weights, network: torch.nn.Module) -> Generator[None, None, None]:
    """Merge into the parameters of a float32 network and do the post-steps that need it whole.

    What these leave is rounded to the recipe's output dtype again.
    """
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
        if inspect.isgenerator(running := call(step.body, given, {})):
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
    merged = _merged(recipe, weights, site, coefficients, knobs or {})
    return _stepped(recipe, merged, _given_with(recipe, weights, site, coefficients))


def merge_with(
    recipe: Recipe,
    weights: Weights,
    coefficients: Callable[[str], Float[Tensor, " model"]],
) -> dict[str, Tensor]:
    """The whole merge in float32 as a function of coefficients that may require gradients: no rounding, no copies.

    `coefficients` gets a parameter's name, so that they may be shared by groups or layers. Feed the result to
    `torch.func.functional_call`. Post-steps that need a network are not part of it.
    """
    names = output_names(recipe, weights.shapes)
    return {name: merge_tensor(recipe, weights, name, coefficients(name)) for name in names}


def output_dtype(recipe: Recipe, weights: Weights) -> torch.dtype:
    """What the merge is rounded to: `out_dtype`, else `dtype`, else what its checkpoints' own dtypes promote to."""
    name = recipe.out_dtype or recipe.dtype
    return getattr(torch, name) if name else weights.dtype_of(recipe.needed)


def output_shapes(recipe: Recipe, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter of the merge. Raises UserError where layers are to be merged that are not alike."""
    found = {}
    for name, site in sites(recipe, shapes, output_names(recipe, shapes)).items():
        base = [site.base_source] if checkpoint_of(recipe.base) else []
        own = {source: shapes.get(source) for source in (*site.sources, *base)}
        if unlike := [source for source, shape in own.items() if shape != shapes[site.sources[0]]]:
            raise UserError(
                f"The slices merge {site.sources[0]} with {unlike[0]}, which is "
                f"{'of another shape' if own[unlike[0]] else 'no parameter'}: layers of this architecture differ in "
                "kind. Give ranges whose layers are alike."
            )
        found[name] = shapes[site.sources[0]]
    return found


def output_config(recipe: Recipe, first: Checkpoint) -> Any:
    """The configuration of the merge, given its first model: of another depth where the recipe has slices.

    Raises UserError where the architecture has no model of these layers, as where their kinds go by their places.
    """
    if not recipe.slices:
        return first.config
    rows, text, document = source_layers(recipe), first.config.get_text_config(), first.config.to_dict()
    # What is of the text model alone stands one level down where a model reads images too.
    own = next((document[key] for key in first.config.sub_configs if getattr(first.config, key) is text), document)
    depth = text.num_hidden_layers
    own[text.attribute_map.get("num_hidden_layers", "num_hidden_layers")] = len(rows)
    for key, value in own.items():
        if isinstance(value, list) and len(value) == depth and ("layer" in key or "block" in key):
            own[key] = [value[row] for row in rows]
    wanted, problem = output_shapes(recipe, first.shapes), "it would have other parameters."
    try:
        config = type(first.config).from_dict(document)
        found = {name: tuple(p.shape) for name, p in meta_model(config.to_json_string()).named_parameters()}
    except Exception as error:  # transformers raises many kinds here; all mean the same to the user
        found, problem = {}, first_line(error)
    if found != wanted:
        raise UserError(
            f"{first.architecture} can't be made of the layers {', '.join(map(str, rows))} of {first.name}: {problem} "
            "Give slices that leave every layer at a place of its kind."
        )
    return config


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
        if recipe.definition.takes == "deltas" and (base := checkpoint_of(recipe.base)) and left:
            place = site.base_source, base
            found[place] = found.get(place, 0.0) + left
        return found

    def _of(self, site: Site, row: Float[Tensor, " weight"]) -> list[float] | None:
        if (part := self._part) is None:
            return None
        key = site.name if "prepared" in part.inputs else None, site.weights, *site.settings.values()
        if key not in self._known:
            given = given_whole(self._recipe, self._weights, site)
            ready = {"weights": lambda: row, "prepared": lambda: prepare(self._recipe, self._weights, site, given)}
            found = call(part, ready, site.settings)
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


def _merge_one(
    recipe: Recipe, weights: Weights, site: Site, coefficients: Float[Tensor, " model"], out: Tensor, dtype: torch.dtype
) -> None:
    """One tensor before post-steps: in parts where functions are compiled, or what lies between would be large."""
    method, large = recipe.definition, out.numel() > PIECE[out.device.type]
    if method.elementwise and (large or out.device.type in DEVICES):
        _merge_in_pieces(recipe, weights, site, coefficients, out, dtype)
    elif method.rowwise and large and out.ndim > 1:
        _merge_by_rows(recipe, weights, site, coefficients, out, dtype)
    else:
        out.copy_(_merged(recipe, weights, site, coefficients, {}).to(dtype))


def _merge_by_rows(
    recipe: Recipe, weights: Weights, site: Site, coefficients: Float[Tensor, " model"], out: Tensor, dtype: torch.dtype
) -> None:
    """The reference path on some rows of a matrix after others."""
    method = recipe.definition
    given = _given_with(recipe, weights, site, coefficients)
    known = {name: given[name]() for name in {*method.body.inputs, "base"}}
    for part in row_parts(out.shape, PIECE[out.device.type]):
        here = {name: partial(rows_of, value, out.shape, part) for name, value in known.items()}
        out[part] = _applied(method, here, site.settings).to(dtype)


def _merge_in_pieces(
    recipe: Recipe, weights: Weights, site: Site, coefficients: Float[Tensor, " model"], out: Tensor, dtype: torch.dtype
) -> None:
    """The reference path on one piece of a tensor after another: the same numbers, and what lies between in cache."""
    method = recipe.definition
    views = [weights.views(source, [model])[0] for source, model in zip(site.sources, site.models, strict=True)]
    base = checkpoint_of(recipe.base)
    own = weights.views(site.base_source, [base])[0].reshape(-1) if base else None
    prepared = prepare(recipe, weights, site, given_whole(recipe, weights, site)) if method.prepare else None
    piece = compiled(method, _made(recipe), recipe.dtype, dtype)
    given = {"weights": coefficients} if method.weighted else {}
    flat, size = out.view(-1), PIECE[out.device.type]
    settings = arguments(method.body, site.settings)
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
    checkpoint = checkpoint_of(recipe.base)
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
            given["prepared"] = cuts(recipe, weights, [at[name] for name in run.names])
        by_parts(
            on_blocks(method, _made(recipe), recipe.dtype, dtype),
            COMPILED // BLOCK,
            [row.view(-1, BLOCK) for row in weights.entries(run.span, site.models)],
            *(own, run.out.view(-1, BLOCK), given, arguments(method.body, site.settings)),
        )
        done |= set(run.names)
    return done


def _made(recipe: Recipe) -> str | None:
    """A base that is made of the parents."""
    return recipe.base if recipe.base in BASES else None


def _merged(
    recipe: Recipe, weights: Weights, site: Site, coefficients: Float[Tensor, " model"], knobs: Mapping[str, Tensor]
) -> Float[Tensor, "*shape"]:
    method = recipe.definition
    if method.prepare and knobs.keys() & {a.name for a in method.prepare.arguments}:
        raise ValueError(f"{method.name} prepares by {', '.join(knobs)}; no gradient reaches it")
    given = _given_with(recipe, weights, site, coefficients)
    return _applied(method, given, {**site.settings, **knobs})


def _applied(method: Method, given: Mapping[str, Callable[[], Any]], settings: Mapping[str, Any]) -> Tensor:
    """What a method makes of its inputs, on the base where it is a difference from it."""
    merged = call(method.body, given, settings)
    base = given["base"]() if method.takes == "deltas" else None
    return merged if base is None else base + merged


def _given_with(
    recipe: Recipe, weights: Weights, site: Site, coefficients: Float[Tensor, " model"]
) -> dict[str, Callable[[], Any]]:
    return given_whole(recipe, weights, site) | {"weights": lambda: coefficients}


def _stepped(
    recipe: Recipe, merged: Float[Tensor, "*shape"], given: dict[str, Callable[[], Any]]
) -> Float[Tensor, "*shape"]:
    """A merged tensor after the post-steps that change tensors."""
    for step in recipe.steps:
        if step.scope == "tensor":
            merged = call(step.body, given | {"merged": lambda now=merged: now}, {})
    return merged
