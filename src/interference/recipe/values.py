"""What a coefficient or a knob may be: one value, a gradient over the layers, or cases by name of the parameter."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from interference.errors import UserError
from interference.recipe.words import known_keys, shown

Scalar = float | bool
_SCIENTIFIC = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")


@dataclass(frozen=True)
class Gradient:
    """Values at equal distances from the first layer to the last, numbers interpolated linearly in between.

    Embeddings, final norm and head take the first value, as in mergekit.
    """

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Where:
    """Pairs of a filter and a value: the first filter that is part of the parameter's name decides.

    A filter of None or '*' fits every name. Where none fits, the value of the next wider scope counts.
    """

    cases: tuple[tuple[str | None, Any], ...]

    @property
    def complete(self) -> bool:
        return any(part in (None, "*", "") for part, _ in self.cases)


Value = Scalar | Gradient | Where


def each(value: Any) -> tuple[Any, ...]:
    """Values of the models one by one, or the one that holds for all of them."""
    return value if isinstance(value, tuple) else (value,)


def value_at(value: Any, name: str, position: float) -> Any:
    """The number or switch for a parameter at a position from 0 (first layer) to 1; None where no filter fits."""
    if isinstance(value, Where):
        fitting = (v for part, v in value.cases if part in (None, "*") or part in name)
        return value_at(next(fitting, None), name, position)
    if not isinstance(value, Gradient):
        return value
    steps = position * (len(value.values) - 1)
    start = int(steps)
    first, second = value.values[start], value.values[min(start + 1, len(value.values) - 1)]
    return first if isinstance(first, bool) else (1 - (steps - start)) * first + (steps - start) * second


def leaves(value: Any) -> Iterator[Any]:
    """Every single value inside a value."""
    if isinstance(value, Gradient):
        yield from value.values
    elif isinstance(value, Where):
        for _, inner in value.cases:
            yield from leaves(inner)
    else:
        yield value


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with every single value inside it changed."""
    if isinstance(value, tuple):
        return tuple(mapped(one, change) for one in value)
    if isinstance(value, Gradient):
        return Gradient(mapped(value.values, change))
    if isinstance(value, Where):
        return Where(tuple((part, mapped(inner, change)) for part, inner in value.cases))
    return change(value)


def fallback(own: Any, wider: Any) -> Any:
    """One value for an own one that may not cover every parameter and that of the next wider scope (None: none)."""
    if own is None or wider is None:
        return wider if own is None else own
    if not isinstance(own, Where) or own.complete:
        return own
    return Where(own.cases + (wider.cases if isinstance(wider, Where) else ((None, wider),)))


def read_value(document: Any, what: str) -> Any:
    """A value from YAML. Whether its numbers make sense is for the recipe to say."""
    if isinstance(document, dict):
        document = [document]
    if not isinstance(document, list):
        return _number(document)
    if not document:
        raise UserError(f"{what} is an empty list; expected values over the layers or cases {{filter, value}}.")
    if not any(isinstance(entry, dict) for entry in document):
        if inner := [entry for entry in document if isinstance(entry, list)]:
            raise UserError(f"{what} has {shown(inner[0])} inside a list; expected numbers.")
        return Gradient(tuple(map(_number, document)))
    return Where(tuple(_case(entry, what) for entry in document))


def _number(document: Any) -> Any:
    """What YAML takes for text though it is a number, 1e-3, is one here as in mergekit."""
    return float(document) if isinstance(document, str) and _SCIENTIFIC.fullmatch(document) else document


def _case(entry: Any, what: str) -> tuple[str | None, Any]:
    if not isinstance(entry, dict):
        raise UserError(f"{what} mixes cases with {shown(entry)}; write that as {{value: ...}}.")
    known_keys(entry, ("filter", "value"), f"a case of {what}")
    part, value = entry.get("filter"), entry.get("value")
    if not isinstance(part, str | None):
        raise UserError(f"The filter {shown(part)} of {what} is no text; expected a part of parameter names or '*'.")
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value)):
        raise UserError(f"{what} has cases inside a case; expected a value or a list of values.")
    return part, read_value(value, what)


def written(value: Any) -> Any:
    """The value as it stands in YAML."""
    if isinstance(value, Gradient):
        return list(value.values)
    if isinstance(value, Where):
        return [({} if part is None else {"filter": part}) | {"value": written(v)} for part, v in value.cases]
    return value
