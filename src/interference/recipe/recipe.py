"""The recipe itself and all that is refused at its making."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from interference.errors import UserError, check_known, nearest
from interference.recipe.values import Gradient, Where, each, fallback, leaves, mapped, read_value, written
from interference.recipe.words import shown
from interference.recipe.writing import to_yaml
from interference.registry import Argument, Knob, Method, PostStep, methods, post_steps

MEAN, ZERO = "@mean", "@zero"
BASES = {MEAN: "the mean of the parents", ZERO: "zero"}
DTYPES = ("float32", "float16", "bfloat16")
_LARGEST = 3.4e38  # about the largest float32; merging beyond it gives infinity


@dataclass(frozen=True)
class Slice:
    """Some layers of a merge that is built slice by slice, from first to last.

    Of `models[i]` it takes the layers from `ranges[i][0]` up to but without `ranges[i][1]`, of a base that is a
    checkpoint those of `base_range`. Its weights and knobs run over its models; knobs win over the recipe's.
    """

    models: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    weights: tuple[Any, ...] = ()
    knobs: tuple[tuple[str, Any], ...] = ()
    base_range: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "knobs", tuple(sorted(self.knobs)))

    @property
    def layers(self) -> int:
        return self.ranges[0][1] - self.ranges[0][0]


@dataclass(frozen=True)
class Recipe:
    """Checkpoints, a method, coefficients, knobs, a base.

    `weights` and every knob that is a tuple run over `models`; `weights` is empty for methods without coefficients.
    A weight or a knob is a number or switch, a Gradient over the layers, or Where cases by parameter name.
    `base` is a checkpoint, '@mean', '@zero' or None. `post` names what is done to the merge afterwards. With `slices`
    the weights stand there, and `models` may be left out: it is every model of the slices once.
    Raises UserError on anything that could not be merged as asked.
    """

    method: str
    models: tuple[str, ...] = ()
    weights: tuple[Any, ...] = ()
    knobs: tuple[tuple[str, Any], ...] = ()
    base: str | None = None
    post: tuple[str, ...] = ()
    dtype: str | None = None
    out_dtype: str | None = None
    seed: int = 0
    slices: tuple[Slice, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "knobs", tuple(sorted(self.knobs)))
        if self.slices:
            object.__setattr__(self, "models", tuple(dict.fromkeys(m for part in self.slices for m in part.models)))
        _validate(self)
        self._unify()

    def _unify(self) -> None:
        """Every number in one form, so that equal recipes, of 1 and of 1.0, have one text and one digest."""
        known = {a.name: a for a in self.definition.arguments}

        def knobs(own: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
            return tuple((name, mapped(value, _form(known[name]))) for name, value in own)

        slices = tuple(replace(s, weights=mapped(s.weights, _plain), knobs=knobs(s.knobs)) for s in self.slices)
        object.__setattr__(self, "weights", mapped(self.weights, _plain))
        object.__setattr__(self, "knobs", knobs(self.knobs))
        object.__setattr__(self, "slices", slices)

    @property
    def definition(self) -> Method:
        return methods()[self.method]

    @property
    def steps(self) -> tuple[PostStep, ...]:
        """The post-steps in the order in which they are done."""
        return tuple(post_steps()[name] for name in self.post)

    @property
    def data(self) -> frozenset[str]:
        """What has to be measured on the parents' dev half before this can be merged."""
        return self.definition.data.union(*(step.data for step in self.steps))

    @property
    def finished(self) -> bool:
        """Whether a post-step works on the whole network, so that a merge takes longer than its tensors."""
        return any(step.scope == "network" for step in self.steps)

    @property
    def needed(self) -> tuple[str, ...]:
        """Every checkpoint the merge reads, each once: the models and a base that is a checkpoint."""
        return tuple(dict.fromkeys(filter(None, (*self.models, checkpoint_of(self.base)))))

    @property
    def parts(self) -> tuple[Slice, ...]:
        """The slices, or all layers as one."""
        return self.slices or (Slice(self.models, (), self.weights),)

    @property
    def varies(self) -> bool:
        """Whether a weight or a knob differs within the model."""
        return any(isinstance(value, Gradient | Where) for _, value in self._given())

    def _given(self) -> Iterator[tuple[str, Any]]:
        """Every weight and knob that is given, each model's by itself."""
        for part in self.parts:
            yield from (("weight", weight) for weight in part.weights)
        scopes: tuple[Recipe | Slice, ...] = (self, *self.slices)
        for scope in scopes:
            yield from ((name, one) for name, value in scope.knobs for one in each(value))

    def settings(self, part: Slice | None = None) -> dict[str, Any]:
        """Every knob and switch of the method with its value here (in one slice, if given) or its default."""
        found = {a.name: a.default for a in self.definition.arguments} | dict(self.knobs)
        for name, value in part.knobs if part else ():
            wide = found[name]
            if isinstance(value, tuple):
                others = wide if isinstance(wide, tuple) else (wide,) * len(value)
                found[name] = tuple(map(fallback, value, others))
            else:
                found[name] = value if isinstance(wide, tuple) else fallback(value, wide)
        return found

    def renamed(self, name: Callable[[str], str]) -> "Recipe":
        """The recipe with every checkpoint called what the function says."""
        slices = tuple(replace(part, models=tuple(map(name, part.models))) for part in self.slices)
        base = name(own) if (own := checkpoint_of(self.base)) else self.base
        return replace(self, models=tuple(map(name, self.models)), base=base, slices=slices)

    def label(self) -> str:
        """One line for a caption: the method's label, the base, what differs within the model, and the post-steps."""
        within = dict.fromkeys(name for name, value in self._given() if isinstance(value, Gradient | Where))
        base = f", base: {BASES.get(self.base, self.base)}" if self.base and self.definition.base != "none" else ""
        slices = f", {sum(part.layers for part in self.slices)} layers in {len(self.slices)} slices"
        steps = "".join(f", {step.label}" for step in self.steps)
        varying = f", {' and '.join(within)} differing within the model" if within else ""
        return self.definition.label + base + varying + (slices if self.slices else "") + steps

    def digest(self) -> str:
        """SHA-256 of the recipe alone; the parents' contents are not part of it."""
        parts = [getattr(self, f) for f in self.__dataclass_fields__ if f != "slices" or self.slices]
        return hashlib.sha256(json.dumps(parts, default=_named).encode()).hexdigest()

    def to_yaml(self) -> str:
        """The recipe in mergekit's schema.

        Values of our own stand only where mergekit fails on them: '@mean' and '@zero' as `base_model`, and
        post-steps and a seed that matters in the method's name ('ties+rescale', 'dare_ties+seed=7').
        """
        return to_yaml(self)


def checkpoint_of(base: str | None) -> str | None:
    """The checkpoint that a base is; None without a base, and for one that is made of the parents."""
    return None if base in BASES else base


def _plain(number: float) -> float:
    return float(number) + 0.0  # zero of one sign


def _form(argument: Argument) -> Callable[[Any], Any]:
    return int if argument.whole else _plain if isinstance(argument.control, Knob) else bool


def _named(value: Any) -> dict[str, Any]:
    return {type(value).__name__: asdict(value) if isinstance(value, Slice) else written(value)}


def refuse(recipe: Recipe, where: str, weights: tuple[float, ...], settings: Mapping[str, Any]) -> None:
    """Raise UserError for numbers and switches, all resolved, that the method can't merge with."""
    switch = next((name for name in ("normalize", "normalize_weights") if settings.get(name)), None)
    if weights and switch and abs(math.fsum(weights)) < 1e-6:
        raise UserError(
            f"The weights{where} sum to {math.fsum(weights):.3g} and {recipe.method} divides by such sums. "
            f"Change a weight or switch {switch} off."
        )
    if recipe.definition.positive and (min(weights) < 0 or not any(weights)):
        shown_weights = ", ".join(f"{w:g}" for w in weights)
        raise UserError(f"{recipe.method}{where}: the weights are {shown_weights}; expected none below 0, one above.")
    if wrong := recipe.definition.check(settings):
        raise UserError(f"{recipe.method}{where}: {wrong}")


def _validate(recipe: Recipe) -> None:
    check_known("Unknown merge method", methods(), recipe.method)
    method = recipe.definition
    if method.needs_base and not recipe.base:
        raise UserError(
            f"{recipe.method} works on differences from a base and the recipe has none. Monolingual models share no "
            f"base, so choose one by name: a checkpoint, {MEAN} (the parents' mean) or {ZERO}."
        )
    if method.base == "none" and recipe.base:
        raise UserError(f"{recipe.method} has no base, the recipe names {recipe.base}.")
    if recipe.slices and recipe.weights:
        raise UserError("The weights of a recipe with slices stand in its slices.")
    for part in recipe.parts:
        _validate_part(recipe, part)
    if method.scope == "model" and len({part.models for part in recipe.parts}) > 1:
        raise UserError(f"{recipe.method} compares whole models; expected the same models in every slice.")
    check_known("Unknown post-step", post_steps(), *recipe.post)
    for dtype in (recipe.dtype, recipe.out_dtype):
        if dtype is not None and dtype not in DTYPES:
            raise UserError(f"Unknown dtype {shown(dtype)}: {nearest(str(dtype)[:40], DTYPES)}")


def _validate_part(recipe: Recipe, part: Slice) -> None:
    method = recipe.definition
    least, most = method.parents
    if not least <= len(part.models) <= most:
        too_many = f"at most {most}" if len(part.models) > most else f"at least {least}"
        wanted = f"exactly {least}" if least == most else too_many
        models = ("model" if most == 1 else "models") + (" besides the base" if method.needs_base else "")
        where = "a slice of the recipe" if recipe.slices else "the recipe"
        raise UserError(f"{recipe.method} merges {wanted} {models}, {where} names {len(part.models)}.")
    if recipe.base in part.models:
        raise UserError(
            f"{recipe.base} is the base and one of the models; its difference from itself is zero, and mergekit leaves "
            "such a model out. Take it out of the models, or choose another base."
        )
    if method.weighted and len(part.weights) != len(part.models):
        raise UserError(
            f"{recipe.method} needs a weight per model: {len(part.models)} models, {len(part.weights)} weights."
        )
    if not method.weighted and part.weights:
        raise UserError(f"{recipe.method} takes no weights, the recipe gives {len(part.weights)}.")
    for model, weight in zip(part.models, part.weights, strict=bool(part.weights)):
        _validate_shape(weight, f"The weight of {model}")
        if wrong := [v for v in leaves(weight) if not _is_number(v)]:
            raise UserError(f"The weight of {model} is {shown(wrong[0])}; expected a finite number.")
    known = {a.name: a for a in method.arguments}
    for name, value in (*recipe.knobs, *part.knobs):
        check_known(f"{recipe.method} has no parameter", known, name)
        _validate_value(recipe, part, known[name], value)
    if recipe.slices:
        _validate_ranges(recipe, part)
    settings = {n: per_model(known[n], v, len(part.models)) for n, v in recipe.settings(part).items()}
    values = [*part.weights, *(one for v in settings.values() for one in each(v))]
    if not any(isinstance(v, Gradient | Where) for v in values):
        refuse(recipe, "", part.weights, settings)


def per_model(argument: Argument, value: Any, count: int) -> Any:
    """A knob's value as methods and their checks see it: a tuple over the models if it is theirs, else one."""
    return (value,) * count if argument.per_model and not isinstance(value, tuple) else value


def _validate_ranges(recipe: Recipe, part: Slice) -> None:
    if bool(checkpoint_of(recipe.base)) != (part.base_range is not None):
        raise UserError(
            f"A slice names layers of the base {recipe.base} exactly where the base is a checkpoint; list it among "
            "the slice's sources with its layer_range."
        )
    if len(part.ranges) != len(part.models):
        raise UserError(f"A slice of {len(part.models)} models has {len(part.ranges)} layer ranges; expected one each.")
    ranges = part.ranges + ((part.base_range,) if part.base_range else ())
    for one in ranges:
        whole = isinstance(one, tuple) and len(one) == 2 and all(type(n) is int for n in one)
        if not whole or not 0 <= one[0] < one[1]:
            raise UserError(f"The layer_range {shown(one)} is no range; expected [first, end], the end excluded.")
    if len({end - start for start, end in ranges}) > 1:
        raise UserError(f"The sources of a slice have unequal numbers of layers: {', '.join(map(str, ranges))}.")


def _validate_value(recipe: Recipe, part: Slice, argument: Argument, value: Any) -> None:
    name, control = argument.name, argument.control
    values = each(value)
    if isinstance(value, tuple) and not argument.per_model:
        raise UserError(f"{recipe.method}: '{name}' is one value for the merge, the recipe gives {len(value)}.")
    if isinstance(value, tuple) and len(value) != len(part.models):
        raise UserError(f"{recipe.method}: '{name}' has {len(value)} values for {len(part.models)} models.")
    for one in values:
        _validate_shape(one, f"'{name}'")
    for one in (leaf for own in values for leaf in leaves(own)):
        if isinstance(control, Knob) and not _is_number(one):
            raise UserError(f"{recipe.method}: '{name}' is {shown(one)}; expected a finite number.")
        if not isinstance(control, Knob) and not isinstance(one, bool):
            raise UserError(f"{recipe.method}: '{name}' is {shown(one)}; expected true or false.")
        if isinstance(control, Knob) and control.strict and not control.low <= one <= control.high:
            raise UserError(f"{recipe.method}: {name} is {one}; expected {control.low:g} to {control.high:g}.")
        if argument.whole and one != int(one):
            raise UserError(f"{recipe.method}: '{name}' is {one}; expected a whole number.")


def _validate_shape(value: Any, what: str) -> None:
    """Gradients and cases made in Python are built as those read from a file."""
    if isinstance(value, Gradient | Where):
        try:
            back = read_value(written(value), what)
        except (TypeError, ValueError, AttributeError) as error:
            raise UserError(str(error) if isinstance(error, UserError) else f"{what} is {shown(value)}.") from None
        if repr(back) != repr(value):
            raise UserError(f"{what} is {shown(value)}; expected tuples of numbers, or cases of a filter and a value.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
