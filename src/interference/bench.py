"""The state of a view: what the bench shows, its pins and history, and the link that reopens it. Pure: no torch."""

import base64
import binascii
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from interference.errors import UserError, nearest
from interference.recipe import Recipe, parse_recipe

SENTENCES = 150
PARENTS = 20  # on the panel at most
_SMALLEST = 1e-9  # sum of weights that is told from zero, here and in coefficients.js
LINK_BYTES = 8192  # a link's longest parameter
_UNPACKED_BYTES = 1 << 18  # more than any link of that length honestly unpacks to
_VERSION = 1
_MOVES = 200  # states that can be undone
_PINS, _NAME = 50, 80  # pins kept, characters of a name


@dataclass(frozen=True)
class Faders:
    """The panel of coefficients, one value, lock and mute for each parent; `solo` is the only one heard, if any."""

    values: tuple[float, ...]
    locked: tuple[bool, ...]
    muted: tuple[bool, ...]
    solo: int | None = None
    normalise: bool = False
    share: bool = False

    @property
    def effective(self) -> tuple[float, ...]:
        """What each parent is merged with, to four digits: zero where it is muted or another is soloed."""
        heard = [self.solo == i if self.solo is not None else not m for i, m in enumerate(self.muted)]
        return tuple(round(v, 4) if on else 0.0 for v, on in zip(self.values, heard, strict=True))


def on_panel(recipe: Recipe) -> bool:
    """Whether a panel holds the recipe's coefficients: one number for each of its parents, few enough and different."""
    plain = all(isinstance(weight, int | float) for weight in recipe.weights) and not recipe.slices
    return recipe.definition.weighted and plain and len(set(recipe.models)) == len(recipe.models) <= PARENTS


def with_faders(recipe: Recipe, faders: Faders) -> Recipe | None:
    """The recipe with what a panel gives each of its parents; None where nothing is heard.

    Raises UserError where they are to be divided by a sum of zero, which a method that divides itself refuses too.
    """
    weights = faders.effective
    if not any(weights):
        return None
    if "normalize" in recipe.settings():
        return replace(
            recipe, weights=weights, knobs=tuple((dict(recipe.knobs) | {"normalize": faders.normalise}).items())
        )
    return replace(recipe, weights=normalised(weights) if faders.normalise else weights)


def normalised(weights: tuple[float, ...]) -> tuple[float, ...]:
    """The weights divided by their sum, to four digits. Raises UserError where they have none."""
    if abs(total := sum(weights)) < _SMALLEST:
        raise UserError("The weights sum to 0 and can't be divided by that. Change a weight or switch Normalise off.")
    return tuple(round(weight / total, 4) for weight in weights)


@dataclass(frozen=True)
class View:
    """What is measured and shown. No languages means all of the corpus; an empty suite is the built-in one."""

    recipe: Recipe
    suite: str = ""
    corpus: str = ""
    languages: tuple[str, ...] = ()
    unit: str = "bits per sentence"
    sentences: int = SENTENCES
    controls: tuple[str, ...] = ()
    faders: Faders | None = None


@dataclass(frozen=True)
class Pin:
    """A view that is kept, under a name."""

    name: str
    view: View


@dataclass(frozen=True)
class State:
    """A view, the pins beside it, and the number of the pin that deltas are counted from, if any."""

    view: View
    pins: tuple[Pin, ...] = ()
    baseline: int | None = None

    def pinned(self, name: str) -> "State":
        """With the view kept as a last pin. Raises UserError where there are too many or the name can't be used."""
        if len(self.pins) >= _PINS:
            raise UserError(f"{_PINS} pins are kept at most. Delete one first.")
        return replace(self, pins=(*self.pins, Pin(_name(name), self.view)))

    def renamed(self, number: int, name: str) -> "State":
        pins = list(self.pins)
        pins[number] = Pin(_name(name), pins[number].view)
        return replace(self, pins=tuple(pins))

    def deleted(self, number: int) -> "State":
        baseline = self.baseline
        if baseline is not None:
            baseline = None if baseline == number else baseline - (baseline > number)
        return replace(self, pins=self.pins[:number] + self.pins[number + 1 :], baseline=baseline)

    def moved(self, number: int, to: int) -> "State":
        """With a pin moved to another place; the baseline stays the same pin."""
        order = [i for i in range(len(self.pins)) if i != number]
        order.insert(to, number)
        baseline = None if self.baseline is None else order.index(self.baseline)
        return replace(self, pins=tuple(self.pins[i] for i in order), baseline=baseline)


def _name(text: str) -> str:
    name = " ".join(text.split())[:_NAME]
    if not name:
        raise UserError("A pin needs a name of at least one letter.")
    return name


@dataclass(frozen=True)
class History:
    """The present state, those before it that can be undone, and those undone that can be redone, nearest last."""

    present: State
    past: tuple[State, ...] = ()
    future: tuple[State, ...] = ()

    def move(self, state: State) -> "History":
        """With a new present; what was undone is gone. No move where nothing changed."""
        if state == self.present:
            return self
        return History(state, (*self.past, self.present)[-_MOVES:])

    def undo(self) -> "History":
        return History(self.past[-1], self.past[:-1], (*self.future, self.present)) if self.past else self

    def redo(self) -> "History":
        return History(self.future[-1], (*self.past, self.present), self.future[:-1]) if self.future else self


def view_document(view: View) -> dict[str, Any]:
    """A view as data for JSON: the recipe as YAML, and of all else what is not the default."""
    default = View(view.recipe)
    found = {name: getattr(view, name) for name in View.__dataclass_fields__ if name not in ("recipe", "faders")}
    document = {name: value for name, value in found.items() if value != getattr(default, name)}
    if view.faders:
        document["faders"] = {name: getattr(view.faders, name) for name in Faders.__dataclass_fields__}
    return {"recipe": view.recipe.to_yaml()} | document


def parse_view(document: object) -> View:
    """The view in such data. Raises UserError on anything that a view can't hold."""
    fields = mapping_of(document, tuple(View.__dataclass_fields__), "view")
    recipe = parse_recipe(field_of(fields, "recipe", str))
    default = View(recipe)
    sentences = field_of(fields, "sentences", int, default.sentences)
    if sentences < 1:
        raise UserError(f"The view asks for {sentences} sentences; expected 1 or more.")
    return View(
        recipe,
        field_of(fields, "suite", str, ""),
        field_of(fields, "corpus", str, ""),
        _strings(fields, "languages"),
        field_of(fields, "unit", str, default.unit),
        sentences,
        _strings(fields, "controls"),
        parse_faders(fields["faders"], len(recipe.models)) if "faders" in fields else None,
    )


def parse_faders(document: object, parents: int) -> Faders:
    """The panel of so many parents in such data. Raises UserError on anything else."""
    fields = mapping_of(document, tuple(Faders.__dataclass_fields__), "panel")
    lists = {}
    for name, kind in (("values", (int, float)), ("locked", bool), ("muted", bool)):
        found = field_of(fields, name, (list, tuple))
        if len(found) != parents or not all(
            isinstance(one, kind) and isinstance(one, bool) == (kind is bool) and math.isfinite(one) for one in found
        ):
            raise UserError(f"The panel's {name} do not fit {parents} parents.")
        lists[name] = tuple(found)
    solo = fields.get("solo")
    if solo is not None and (not isinstance(solo, int) or isinstance(solo, bool) or not 0 <= solo < parents):
        raise UserError(f"The panel solos parent {str(solo)[:20]} of {parents}.")
    switches = (field_of(fields, name, bool, False) for name in ("normalise", "share"))
    return Faders(tuple(float(v) for v in lists["values"]), lists["locked"], lists["muted"], solo, *switches)


def mapping_of(document: object, known: tuple[str, ...], what: str) -> dict[str, Any]:
    """The mapping that some data from outside has to be. Raises UserError if it is none or has a key not known."""
    if not isinstance(document, dict):
        raise UserError(f"The {what} is no mapping but {str(document)[:40]!r}.")
    for key in document:
        if key not in known:
            raise UserError(f"The {what} has an unknown field '{str(key)[:40]}': {nearest(str(key)[:40], known)}")
    return document


_MISSING = object()


def field_of(fields: Mapping[str, Any], name: str, kind: Any, default: Any = _MISSING) -> Any:
    """A field's value of a kind. Raises UserError if it is of another, or missing where there is no default."""
    value = fields.get(name, default)
    if value is _MISSING:
        raise UserError(f"The field '{name}' is missing.")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"The field '{name}' is {str(value)[:40]!r}, which is of the wrong kind.")
    return value


def _strings(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = field_of(fields, name, (list, tuple), ())
    if not all(isinstance(value, str) for value in values):
        raise UserError(f"The field '{name}' is a list of names.")
    return tuple(values)


@dataclass(frozen=True)
class Link:
    """The parameter of a link, and whether the pins had to be left out for its length."""

    text: str
    without_pins: bool


def to_link(state: State) -> Link:
    """The state as one URL parameter of at most LINK_BYTES. Raises UserError if the view alone is longer."""
    text = _packed(state)
    if len(text) <= LINK_BYTES:
        return Link(text, False)
    text = _packed(State(state.view))
    if len(text) > LINK_BYTES:
        raise UserError(f"This view takes {len(text)} bytes as a link, and browsers cut what is over {LINK_BYTES}.")
    return Link(text, True)


def _packed(state: State) -> str:
    document: dict[str, Any] = {"v": _VERSION, "view": view_document(state.view)}
    if state.pins:
        document["pins"] = [{"name": pin.name, "view": view_document(pin.view)} for pin in state.pins]
    if state.baseline is not None:
        document["baseline"] = state.baseline
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")


def from_link(text: str) -> State:
    """The state in a link's parameter. Raises UserError on what is damaged, of another version, or not a state."""
    fields = mapping_of(_unpacked(text), ("v", "view", "pins", "baseline"), "link")
    if fields.get("v") != _VERSION:
        raise UserError(
            f"This link is of version {str(fields.get('v'))[:20]} and this dashboard reads version {_VERSION}. "
            "Ask for a link made by the same version."
        )
    pins = field_of(fields, "pins", list, [])
    if len(pins) > _PINS:
        raise UserError(f"The link holds {len(pins)} pins; {_PINS} are kept at most.")
    parsed = []
    for pin in pins:
        entry = mapping_of(pin, ("name", "view"), "pin")
        parsed.append(Pin(_name(field_of(entry, "name", str)), parse_view(entry.get("view"))))
    baseline = fields.get("baseline")
    if baseline is not None and field_of(fields, "baseline", int) not in range(len(parsed)):
        raise UserError(f"The link counts deltas from pin {baseline} of {len(parsed)}.")
    return State(parse_view(fields.get("view")), tuple(parsed), baseline)


def _unpacked(text: str) -> object:
    damaged = UserError("This link is damaged: copy it again, whole.")
    if len(text) > LINK_BYTES:
        raise damaged
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(data, _UNPACKED_BYTES)
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise damaged
        return json.loads(plain)
    except (binascii.Error, zlib.error, UnicodeError, ValueError, RecursionError):
        raise damaged from None
