"""The machinery by which one decorated function becomes a merge method with sliders, a label and tests."""

import functools
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Knob:
    """A numeric argument of a method: its range and step as a slider, and what it does, in one line."""

    low: float
    high: float
    step: float
    caption: str
    per_model: bool = False


@dataclass(frozen=True)
class Switch:
    """A yes-or-no argument of a method and what it does, in one line."""

    caption: str


@dataclass(frozen=True)
class Argument:
    """One knob or switch of a method, under the name it has in a recipe."""

    name: str
    parameter: str
    control: Knob | Switch
    default: float | bool


@dataclass(frozen=True)
class Method:
    """A registered merge method. `takes` is 'tensors' or 'deltas'; with deltas it needs a base."""

    name: str
    label: str
    caption: str
    source: str
    function: Callable
    takes: str
    weighted: bool
    seeded: bool
    parents: tuple[int, int]
    arguments: tuple[Argument, ...]

    @property
    def needs_base(self) -> bool:
        return self.takes == "deltas"


_METHODS: dict[str, Method] = {}


def merge_method(*, label: str, source: str, parents: tuple[int, int] = (1, 100)) -> Callable[[Callable], Callable]:
    """Register a pure function of one tensor of all parents as a merge method; the function is returned unchanged.

    Its first argument is `tensors` (the parents' weights) or `deltas` (their differences from the base), both
    `[model, *shape]`; the result is the merged weights, or the merged delta that the loop adds to the base. It may
    ask for `weights` `[model]` and, if it is random, for `uniforms` like its first argument. All other arguments
    are annotated with a `Knob` or a `Switch` and have defaults.
    """

    def register(function: Callable) -> Callable:
        method = _describe(function, label, source, parents)
        if method.name in _METHODS:
            raise ValueError(f"a merge method named {method.name} is registered already")
        _METHODS[method.name] = method
        return function

    return register


def _describe(function: Callable, label: str, source: str, parents: tuple[int, int]) -> Method:
    caption = (inspect.getdoc(function) or "").split("\n")[0]
    if not caption:
        raise ValueError(f"merge method {function.__name__} has no docstring")
    parameters = inspect.signature(function).parameters
    hints = typing.get_type_hints(function, include_extras=True)
    takes = next(iter(parameters))
    if takes not in ("tensors", "deltas"):
        raise ValueError(f"{function.__name__}: the first argument is {takes}, expected tensors or deltas")
    controls = [p for name, p in parameters.items() if name not in (takes, "weights", "uniforms")]
    arguments = tuple(
        Argument(p.name.rstrip("_"), p.name, _control(hints[p.name], p.name), p.default) for p in controls
    )
    return Method(
        function.__name__,
        label,
        caption,
        source,
        function,
        takes,
        "weights" in parameters,
        "uniforms" in parameters,
        parents,
        arguments,
    )


def _control(hint: object, name: str) -> Knob | Switch:
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Knob | Switch):
            return extra
    raise ValueError(f"argument {name} is annotated with neither a Knob nor a Switch")


@functools.cache
def _discover() -> None:
    package = importlib.import_module("interference.methods")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def methods() -> Mapping[str, Method]:
    """All merge methods by name, in alphabetical order."""
    _discover()
    return dict(sorted(_METHODS.items()))
