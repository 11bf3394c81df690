"""The machinery by which one decorated function becomes a merge method or a post-step with sliders, label and tests.

To add a merge method, write one file in `interference/methods`:

    @merge_method(label="Task arithmetic", family="task vectors", source="arXiv:2212.04089", mergekit=True)
    def task_arithmetic(deltas, weights, lambda_: Annotated[float | Tensor, Knob(0, 2, 0.01, "what it does")] = 1.0):
        '''One line: the caption.'''

The first argument is `tensors` (the parents' weights) or `deltas` (their differences from the base), both
`[model, *shape]`; the result is a new tensor, the merged weights or the merged delta that the loop adds to the base.
Other arguments get what INPUTS and DATA say of their names; the rest are annotated with a Knob or a Switch and have
defaults. The function is called tensor by tensor, in float32, and stays differentiable in `weights` and scalar knobs.
An argument annotated as `Stacked` is given as a Stack, see interference.stacks, so that not all parents need lie in
memory at once.

What a moving coefficient leaves unchanged (thresholds, masks, ranks) goes into a second pure function, given as
`prepare=`. It has the same first argument, may ask for the same inputs except `weights`, and for knobs, which are then
its own; its result reaches the method as `prepared` and is remembered by parents, base and its knobs. With
`scope="model"` its first argument is a mapping of all parameters' stacks, each read when asked for, and it returns a
mapping by name.

Post-steps live in `interference/post`: see `post_step`.
"""

import functools
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

INPUTS = {
    "weights": "the coefficients [model]",
    "uniforms": "seeded uniform numbers, shaped like the first argument",
    "base": "the base's tensor [*shape]",
    "prepared": "what the method's `prepare` returned for this tensor",
    "name": "the parameter's name in the merge",
    "group": "its part of the model, see interference.groups",
    "layer": "the index of its layer in the merge, None outside the layers",
    "layers": "the number of layers of the merge",
    "transposed": "whether the matrix is stored [in, out], as GPT-2's are, and not [out, in]",
}
DATA = {  # measured on the dev half; None for a parameter that has none
    "fisher": "diagonal Fisher information [model, *shape]",
    "grams": "Gram matrices of a matrix's inputs [model, in, in]",
    "counts": "how often each token occurs in the parent's language, for embeddings and head [model, token]",
}
PROPERTIES = {
    "order": "the order of the parents is irrelevant",
    "identity": "identical parents with weights that sum to one give the parent back",
    "gradient": "the result is differentiable in the coefficients",
    "smooth": "the result is differentiable in the parents too",
    "scale": "differences scaled by a factor give a merged difference scaled by it",
}


class Parted:
    """What a function annotated with a kind of it is given in place of a whole stack."""


@dataclass(frozen=True)
class Knob:
    """A numeric argument of a method: its range and step as a slider, and what it does, in one line.

    With `strict` a value outside the range is refused, else the range is the slider's alone.
    """

    low: float
    high: float
    step: float
    caption: str
    per_model: bool = False
    strict: bool = False


@dataclass(frozen=True)
class Switch:
    """A yes-or-no argument of a method and what it does, in one line."""

    caption: str


@dataclass(frozen=True)
class Argument:
    """One knob or switch of a method, under the name it has in a recipe. A whole-numbered default asks for such."""

    name: str
    parameter: str
    control: Knob | Switch
    default: float | bool

    @property
    def per_model(self) -> bool:
        return isinstance(self.control, Knob) and self.control.per_model

    @property
    def whole(self) -> bool:
        return isinstance(self.default, int) and not isinstance(self.default, bool)


@dataclass(frozen=True)
class Part:
    """A function with what it asks for: `inputs` by name, those of them that it takes as a Stack, and knobs."""

    function: Callable
    inputs: tuple[str, ...]
    arguments: tuple[Argument, ...]
    parted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Method:
    """A registered merge method.

    `takes` is 'tensors' or 'deltas'; `base` is 'required', 'optional' (deltas from zero without one) or 'none'.
    `variant` says whose version it is, `mergekit` whether mergekit knows it by this name and `mergekit_float32` whether
    it takes float32 there whatever is stored. `lacks` names those of PROPERTIES that do not hold. `check` gets resolved
    settings and says what is wrong with them, or None. `positive` refuses weights below zero or all zero. For
    `elementwise`, `rowwise`, `combines`, `by_parent` and `by_cuts` see `merge_method`.
    """

    name: str
    title: str
    variant: str
    family: str
    caption: str
    source: str
    body: Part
    prepare: Part | None
    scope: str
    base: str
    parents: tuple[int, int]
    mergekit: bool
    lacks: frozenset[str]
    check: Callable[[Mapping[str, Any]], str | None]
    positive: bool = False
    elementwise: bool = False
    rowwise: bool = False
    combines: Part | None = None
    mergekit_float32: bool = False
    by_parent: bool = False
    by_cuts: bool = False

    @property
    def function(self) -> Callable:
        return self.body.function

    @property
    def label(self) -> str:
        return f"{self.title} ({self.variant})" if self.variant else self.title

    @property
    def takes(self) -> str:
        return self.body.inputs[0]

    @property
    def inputs(self) -> frozenset[str]:
        """Everything that the function and its preparation ask for."""
        return frozenset(self.body.inputs + (self.prepare.inputs if self.prepare else ()))

    @property
    def arguments(self) -> tuple[Argument, ...]:
        return (self.prepare.arguments if self.prepare else ()) + self.body.arguments

    @property
    def weighted(self) -> bool:
        return "weights" in self.inputs

    @property
    def seeded(self) -> bool:
        return "uniforms" in self.inputs

    @property
    def needs_base(self) -> bool:
        return self.base == "required"

    @property
    def data(self) -> frozenset[str]:
        """What has to be measured on the parents first."""
        return self.inputs.intersection(DATA)


@dataclass(frozen=True)
class PostStep:
    """Something done to a merge afterwards: to each merged tensor, or to the network that holds them all."""

    name: str
    label: str
    caption: str
    body: Part

    @property
    def scope(self) -> str:
        return "network" if self.body.inputs[0] == "network" else "tensor"

    @property
    def data(self) -> frozenset[str]:
        return frozenset(self.body.inputs).intersection((*DATA, "dev"))


_METHODS: dict[str, Method] = {}
_POST_STEPS: dict[str, PostStep] = {}


def merge_method(
    *,
    label: str,
    family: str,
    source: str,
    variant: str = "",
    parents: tuple[int, int] = (1, 100),
    base: str | None = None,
    mergekit: bool = False,
    mergekit_float32: bool = False,
    prepare: Callable | None = None,
    scope: str = "tensor",
    lacks: tuple[str, ...] = (),
    check: Callable[[Mapping[str, Any]], str | None] = lambda settings: None,
    positive: bool = False,
    elementwise: bool = False,
    rowwise: bool = False,
    combines: Callable | None = None,
    by_parent: bool = False,
    by_cuts: bool = False,
) -> Callable[[Callable], Callable]:
    """Register a pure function of one tensor of all parents as a merge method; the function is returned unchanged.

    What it is given is said above; `base` is by default required by methods that ask for deltas or the base. An
    `elementwise` function makes each entry of its result from the same entry of what it is given and of what was
    prepared, so that the loop may hand it a large tensor piece by piece, each of them flat; a `rowwise` one makes each
    row of a matrix from the same row, and may be handed some rows at a time. `combines` is for methods
    whose result is a weighted sum of what they are given: a function of the weights, or of what was prepared, and of
    the same knobs that returns these coefficients `[model]`, or None where the knobs make it no such sum; the loop then
    takes one pass over the parents. With `by_parent` the preparation looks at every parent by itself and returns a
    tuple of tensors `[model, ...]`: the loop then hands it one parent at a time and keeps masks at a bit an entry. With
    `by_cuts` it does so too and returns a `Cut`; what it is handed is a `Difference`, made where it is looked at, and
    what it found is remembered by parent.
    """
    if unknown := set(lacks) - PROPERTIES.keys():
        raise ValueError(f"{label}: no property is named {unknown}")
    if scope not in ("tensor", "model") or (scope == "model" and prepare is None):
        raise ValueError(f"{label}: scope is {scope}; expected tensor, or model with a preparation")

    def register(function: Callable) -> Callable:
        body = part_of(function, ("tensors", "deltas"))
        first = part_of(prepare, body.inputs[:1]) if prepare else None
        if first and (taken := {"weights", "prepared"} & set(first.inputs)):
            raise ValueError(f"{function.__name__}: its preparation asks for {taken}, which move with coefficients")
        allowed = {"tensors", "deltas", "base", "weights", "prepared", *(["fisher"] if rowwise else [])}
        if (elementwise or rowwise) and (more := set(body.inputs) - allowed):
            raise ValueError(f"{function.__name__}: pieces of a tensor come without {more}")
        sums = part_of(combines) if combines else None
        asked = "required" if {"deltas", "base"} & set(body.inputs) else "none"
        method = Method(
            function.__name__, label, variant, family, caption_of(function), source, body, first, scope, base or asked,
            parents, mergekit, frozenset(lacks), check, positive, elementwise, rowwise, sums,
            mergekit_float32, by_parent, by_cuts,
        )  # fmt: skip
        _add(_METHODS, method, "merge method")
        return function

    return register


def post_step(*, label: str) -> Callable[[Callable], Callable]:
    """Register a post-step; the function is returned unchanged.

    With `merged` as its first argument it gets each merged tensor in float32 and returns a new one; it may ask for
    `tensors` (the parents') and for what methods get, but has no knobs. With `network` as its first it changes the
    merged network in place, once all tensors are in it; it may ask for `recipe`, `weights` and `dev`, the dev half's
    text, and be a generator that yields now and then, so that it can be stopped.
    """

    def register(function: Callable) -> Callable:
        body = part_of(function, ("merged", "network"), ("tensors", "recipe", "dev"))
        if body.arguments:
            raise ValueError(f"{function.__name__}: a post-step has no knobs")
        _add(_POST_STEPS, PostStep(function.__name__, label, caption_of(function), body), "post-step")
        return function

    return register


def _add(table: dict, entry: Any, kind: str) -> None:
    if entry.name in table:
        raise ValueError(f"a {kind} named {entry.name} is registered already")
    table[entry.name] = entry
    for name in sorted(table):  # in alphabetical order
        table[name] = table.pop(name)


def caption_of(function: Callable) -> str:
    caption = (inspect.getdoc(function) or "").split("\n")[0]
    if not caption:
        raise ValueError(f"{function.__name__} has no docstring")
    return caption


def part_of(function: Callable, first: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> Part:
    parameters = inspect.signature(function).parameters
    hints = typing.get_type_hints(function, include_extras=True)
    if first and next(iter(parameters), None) not in first:
        raise ValueError(f"{function.__name__}: the first argument is not {' or '.join(first)}")
    inputs = tuple(n for n in parameters if n in (*first, *more, *INPUTS, *DATA))
    controls = [p for n, p in parameters.items() if n not in inputs]
    arguments = tuple(
        Argument(p.name.rstrip("_"), p.name, _control(hints[p.name], p.name), p.default) for p in controls
    )
    kinds = {name: typing.get_args(hints.get(name)) for name in inputs}
    parted = frozenset(n for n, own in kinds.items() if any(isinstance(k, type) and issubclass(k, Parted) for k in own))
    return Part(function, inputs, arguments, parted)


def _control(hint: object, name: str) -> Knob | Switch:
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Knob | Switch):
            return extra
    raise ValueError(f"argument {name} is annotated with neither a Knob nor a Switch")


@functools.cache
def discover(package: str) -> None:
    """Import every module of a package, each of which registers what it has."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")


def methods() -> Mapping[str, Method]:
    """All merge methods by name, in alphabetical order."""
    discover("interference.methods")
    return MappingProxyType(_METHODS)


def post_steps() -> Mapping[str, PostStep]:
    """All post-steps by name, in alphabetical order."""
    discover("interference.post")
    return MappingProxyType(_POST_STEPS)
