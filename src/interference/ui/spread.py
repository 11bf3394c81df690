"""One value for the whole model, by tensor group or over the layers: which, and the editor of the latter two."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import streamlit as st

from interference.bench import normalised
from interference.errors import UserError
from interference.groups import depth_of
from interference.registry import Argument, Knob, Method
from interference.spread import (
    BY_GROUP,
    BY_LAYER,
    MOST_ANCHORS,
    WEIGHT,
    Sliders,
    Spread,
    recipe_values,
    shown_groups,
    spreadable,
)
from interference.ui.live.profile import profile_editor
from interference.ui.sidebar import Bench
from interference.ui.widgets import coefficient_range, faders, knob_key, put, set_faders

WHOLE, YAML = "whole", "yaml"
_MODES = {WHOLE: "Whole model", BY_GROUP: "By tensor group", BY_LAYER: "Over layers", YAML: "YAML"}
SHAPE, COEFFICIENT = "shape", "coefficient"  # of the session: what is looked at


def _key(method: Method, name: str, parents: Sequence[str]) -> str:
    return "\0".join(("spread", method.takes if name == WEIGHT else method.name, name, *parents))


def spread(method: Method, name: str, parents: Sequence[str]) -> Spread | None:
    """How a coefficient of these parents is spread over the model; None where it is one for the whole of it."""
    return st.session_state.get(_key(method, name, parents))


def set_spread(method: Method, name: str, parents: Sequence[str], value: Spread | None) -> None:
    st.session_state[_key(method, name, parents)] = value


def coefficients(method: Method) -> tuple[str, ...]:
    return spreadable(method.arguments, method.weighted)


def set_spreads(method: Method, parents: Sequence[str], sliders: Sliders) -> None:
    """Spread the coefficients as these sliders do, and look at the first that is."""
    spreads = dict(sliders.spreads)
    for name in coefficients(method):
        set_spread(method, name, parents, spreads.get(name))
    if st.session_state.get(SHAPE) != YAML:
        first = next(iter(spreads), None)
        st.session_state[SHAPE] = spreads[first].kind if first else WHOLE
        if first:
            st.session_state[COEFFICIENT] = first


def choose_shape(bench: Bench, method: Method, parents: tuple[str, ...]) -> tuple[str, str | None]:
    """Which coefficient is looked at and how: a row of buttons."""
    known = coefficients(method)
    if st.session_state.get(COEFFICIENT) not in known:
        st.session_state[COEFFICIENT] = known[0] if known else None
    name = st.session_state[COEFFICIENT]
    if st.session_state.get(SHAPE) != YAML:
        put(SHAPE, _kind(method, name, parents))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control(
            "Coefficients", list(_MODES) if known else [WHOLE, YAML], format_func=lambda mode: _MODES[mode], key=SHAPE,
            label_visibility="collapsed", on_change=_reshape, args=(bench, method, parents, name),
            persist_state="session",
            help="A coefficient may be one number, one for each part of the model, or a curve over its layers; YAML "
            "holds whatever else mergekit's schema allows.",
        )  # fmt: skip
        if len(known) > 1 and st.session_state.get(SHAPE) != YAML:
            st.selectbox(
                "Coefficient", known, key=COEFFICIENT, width=130, label_visibility="collapsed",
                help="The coefficient that these buttons are about.",
            )  # fmt: skip
    return st.session_state.get(SHAPE) or _kind(method, name, parents), st.session_state[COEFFICIENT]


def _kind(method: Method, name: str | None, parents: Sequence[str]) -> str:
    found = spread(method, name, parents) if name else None
    return found.kind if found else WHOLE


def _reshape(bench: Bench, method: Method, parents: tuple[str, ...], name: str | None) -> None:
    """Spread a coefficient anew, at first as it is: what it was when it was last spread so, else flat."""
    mode = st.session_state[SHAPE]
    if mode is None or mode == YAML or name is None:
        return
    before = spread(method, name, parents)
    if before is not None:
        st.session_state[f"{_key(method, name, parents)}\0{before.kind}"] = before
        _say_kept(before, name, _alone(method, parents, name) if mode == WHOLE else None)
    if mode == WHOLE:
        set_spread(method, name, parents, None)
        normalise, panel = st.session_state.get(f"{method.name} normalize"), faders(method, parents)
        if name == WEIGHT and panel and normalise is not None:  # the panel has this switch on itself
            set_faders(method, parents, replace(panel, normalise=normalise))
        return
    aside = st.session_state.get(f"{_key(method, name, parents)}\0{mode}")
    set_spread(method, name, parents, aside or _flat(bench, method, parents, name, mode))


def _say_kept(before: Spread, name: str, alone: Sequence[float] | None) -> None:
    """That values that differ were put aside, how to have them back, and what is in their place for the whole model."""
    if all(len(set(row)) == 1 for row in before.rows):
        return
    numbers = dict.fromkeys(alone or ()) if len(set(alone or ())) == 1 else alone
    now = f" For the whole model it is {', '.join(f'{number:g}' for number in numbers)}." if numbers else ""
    back = _MODES[before.kind]
    what = f"The values of {name} {back[0].lower()}{back[1:]} are put aside."
    st.toast(
        f"{what}{now} Choose *{back}* or undo to have them back.",
        icon=":material/info:",
        duration="long",
    )


def _alone(method: Method, parents: Sequence[str], name: str) -> tuple[float, ...]:
    """A coefficient as it is for the whole model: a weight for each parent, or one knob."""
    if name == WEIGHT:
        panel = faders(method, tuple(parents))
        return panel.effective if panel else (round(1 / len(parents), 2),) * len(parents)
    argument = next(a for a in method.arguments if a.name == name)
    return (float(st.session_state.get(knob_key(method, argument), argument.default)),)


def _flat(bench: Bench, method: Method, parents: tuple[str, ...], name: str, mode: str) -> Spread:
    """The same numbers everywhere, so that spreading alone changes nothing."""
    count = len(shown_groups(bench.suite[parents[0]].shapes)) if mode == BY_GROUP else 3
    values = _alone(method, parents, name)
    if name == WEIGHT:
        panel = faders(method, parents)
        if panel and any(a.name == "normalize" for a in method.arguments):
            st.session_state[f"{method.name} normalize"] = panel.normalise
        elif panel and panel.normalise:
            with suppress(UserError):  # of a sum of zero: as they are
                values = normalised(values)
    return Spread(mode, tuple((value,) * count for value in values))


def draw_spread(bench: Bench, method: Method, parents: tuple[str, ...], name: str) -> bool:
    """The editor of a spread coefficient; whether a point of it is being moved."""
    before = spread(method, name, parents)
    assert before is not None  # it is drawn for none else
    names = bench.suite[parents[0]].shapes
    argument = next((a for a in method.arguments if a.name == name), None)
    low, high, step = _range(method, parents, argument)
    groups = before.kind == BY_GROUP
    per_parent = len(before.rows) == len(parents) and (name == WEIGHT or len(parents) > 1)
    found = profile_editor(
        parents if per_parent else ("all parents",),
        before.rows,
        columns=shown_groups(names) if groups else (),
        layers=depth_of(names),
        most=MOST_ANCHORS,
        low=low,
        high=high,
        step=step,
        label=f"{name} {'by tensor group' if groups else 'over the layers, the first being 0'}",
        help="Drag a point, or give it the focus and press the arrow keys, or type the numbers below.",
        key=f"profile {method.takes} {name} {before.kind} {len(before.rows)}",
    )
    set_spread(method, name, parents, Spread(before.kind, found.rows))
    if not groups:
        st.caption("Points stand at equal distances; embeddings, final norm and head take the first, as in mergekit.")
    return found.moving


def _range(method: Method, parents: tuple[str, ...], argument: Argument | None) -> tuple[float, float, float]:
    if argument is None:
        return (*coefficient_range(method, parents), 0.01)
    assert isinstance(argument.control, Knob)  # only knobs are spread
    return float(argument.control.low), float(argument.control.high), float(argument.control.step)


def spread_knobs(method: Method, parents: tuple[str, ...], names: Any) -> dict[str, Any]:
    """What a recipe says of every coefficient that is spread."""
    found = {name: spread(method, name, parents) for name in coefficients(method)}
    return {name: recipe_values(value, names) for name, value in found.items() if value is not None}
