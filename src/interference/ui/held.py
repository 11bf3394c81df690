"""A recipe that was asked for: on the sliders where they can hold it, else as it stands, as YAML."""

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import streamlit as st

from interference.bench import Faders
from interference.errors import UserError
from interference.recipe import Recipe
from interference.spread import WEIGHT, sliders_of, what_no_slider_holds
from interference.ui.setup import Setup
from interference.ui.sidebar import Bench
from interference.ui.spread import SHAPE, WHOLE, set_spreads
from interference.ui.widgets import ASKED, GOTO, faders_of, knob_key, set_faders, widen_range

_HELD = "recipe held"


@dataclass(frozen=True)
class Held:
    """A recipe that no slider holds, why, and how the widgets stood that would replace it."""

    recipe: Recipe
    why: str
    beside: tuple[Any, ...]


def place_recipe(bench: Bench, setup: Setup) -> None:
    """Set the sliders to the recipe that was asked for last, or hold it, once."""
    st.session_state.pop(GOTO, None)
    asked: tuple[Recipe, Faders | None] | None = st.session_state.get(ASKED)
    if asked is None:
        return
    try:
        _place(bench, setup, *asked)
    except Exception:
        del st.session_state[ASKED]
        raise
    del st.session_state[ASKED]  # when all of it stands: a newer run that ends this one before does it anew


def _place(bench: Bench, setup: Setup, recipe: Recipe, panel: Faders | None) -> None:
    method = setup.method
    st.session_state.pop(_HELD, None)
    if recipe.method != method.name or not all(name in bench.suite.names for name in recipe.needed):
        return  # what this suite lacks was said where it was left out
    why = what_no_slider_holds(recipe, bench.suite[recipe.models[0]].shapes)
    if why is None and recipe.models != setup.parents:
        why = f"the page holds no {len(recipe.models)} parents of this method in this order"
    if why is not None:
        st.session_state[_HELD] = Held(recipe, why, _beside(setup))
    else:
        _set_sliders(bench, recipe, panel)


def _set_sliders(bench: Bench, recipe: Recipe, panel: Faders | None) -> None:
    """The sliders nearest to a recipe."""
    method, parents = recipe.definition, recipe.models
    sliders = sliders_of(recipe, bench.suite[parents[0]].shapes)
    spreads, knobs = dict(sliders.spreads), dict(sliders.knobs)
    if method.weighted:
        rows = spreads[WEIGHT].rows if WEIGHT in spreads else (sliders.weights,)
        values = panel.values if panel else ()
        widen_range(method, parents, [*values, *(v for row in rows for v in row)])
        set_faders(method, parents, panel or faders_of(recipe, sliders.weights))
    for argument in method.arguments:
        st.session_state[knob_key(method, argument)] = knobs[argument.name]
    set_spreads(method, parents, sliders)


def held_recipe(setup: Setup) -> Held | None:
    """The recipe that is held, as long as nothing above is set to another."""
    held: Held | None = st.session_state.get(_HELD)
    if held and held.beside != _beside(setup):
        st.session_state.pop(_HELD)
        return None
    return held and replace(held, recipe=replace(held.recipe, **asdict(setup.more)))


def is_held(recipe: Recipe) -> bool:
    """Whether the Merge page holds this recipe as it stands, without sliders."""
    held: Held | None = st.session_state.get(_HELD)
    return held is not None and held.recipe == recipe


def _beside(setup: Setup) -> tuple[Any, ...]:
    return setup.method.name, setup.parents, setup.base


def draw_held(bench: Bench, held: Held) -> None:
    """Why there are no sliders, and the way back to them."""
    st.info(
        f"No sliders: {held.why}. The recipe below is merged as it stands, and can be edited.", icon=":material/code:"
    )
    st.button(
        "To the sliders", key="held_release", on_click=_release, args=(bench, held), icon=":material/tune:",
        help="The nearest that they can hold; Undo brings this recipe back.",
    )  # fmt: skip


def _release(bench: Bench, held: Held) -> None:
    st.session_state.pop(_HELD, None)
    if st.session_state.get(SHAPE) is not None:
        st.session_state[SHAPE] = WHOLE
    with suppress(UserError):  # slices and the like have no nearest sliders: those of these parents stand as they were
        _set_sliders(bench, held.recipe, None)
