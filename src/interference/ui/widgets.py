"""A view in the widgets' own state, and back: what links, pins, undo and the guide write."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.errors import UserError
from interference.ui.live import Panel, move_panel

if TYPE_CHECKING:
    from interference.bench import Faders, View
    from interference.recipe import Recipe
    from interference.registry import Method


def parents_key(method: "Method") -> str:
    """Methods of two parents remember another choice than those of many."""
    return "parents" if method.parents[1] > 2 else f"parents{method.parents[1]}"


def panel_key(method: "Method", parents: tuple[str, ...]) -> str:
    return f"panel {method.takes} {len(parents)}"


def faders(method: "Method", parents: tuple[str, ...]) -> "Faders | None":
    """The panel as this session left it for these parents."""
    return st.session_state.get(_faders_key(method, parents))


def keep_faders(method: "Method", parents: tuple[str, ...], value: "Faders") -> None:
    st.session_state[_faders_key(method, parents)] = value


def set_faders(method: "Method", parents: tuple[str, ...], value: "Faders") -> None:
    """Have the panel of these parents stand so when it is drawn next."""
    keep_faders(method, parents, value)
    move_panel(panel_key(method, parents), Panel(**asdict(value)))


def _faders_key(method: "Method", parents: tuple[str, ...]) -> str:
    return "\0".join(("faders", method.takes, *parents))


def write_view(view: "View") -> None:
    """Set every widget to a view; to be called before they are drawn, in a callback for example.

    Raises UserError for a recipe that holds what no widget does.
    """
    recipe, method = view.recipe, view.recipe.definition
    from interference.recipe import Recipe

    numbers = (*recipe.weights, *(value for _, value in recipe.knobs))
    plain = Recipe(recipe.method, recipe.models, recipe.weights, recipe.knobs, recipe.base)
    if plain != recipe or not all(isinstance(number, int | float) for number in numbers):
        raise UserError(
            "Its recipe has gradients, filters, slices, post-steps or a dtype, and this page has no controls for them. "
            "Use `interference losses --recipe` instead."
        )
    for name, value in (("suite", view.suite), ("corpus", view.corpus), ("unit", view.unit)):
        st.session_state[name] = value
    st.session_state["languages"] = list(view.languages)
    st.session_state["method"] = method.name
    st.session_state[parents_key(method)] = list(recipe.models)
    st.session_state["controls"] = list(view.controls)
    st.session_state["sentences"] = view.sentences
    if recipe.base:
        st.session_state["base"] = recipe.base
    if method.weighted:
        set_faders(method, recipe.models, view.faders or faders_of(recipe))
    for argument in method.arguments:
        st.session_state[f"{method.name} {argument.name}"] = recipe.settings()[argument.name]


def faders_of(recipe: "Recipe") -> "Faders":
    """A panel that gives a recipe's coefficients."""
    from interference.bench import Faders

    no = (False,) * len(recipe.models)
    return Faders(recipe.weights, no, no, None, bool(recipe.settings().get("normalize", False)))


def keep_valid(key: str, options: Collection[Any]) -> None:
    """Take out of a widget's state what is no option any more, and say so: a widget would stop the page on it."""
    if key not in st.session_state:
        return
    value = st.session_state[key]
    unknown = [v for v in (value if isinstance(value, list | tuple) else [value]) if v not in options]
    if not unknown:
        return
    if isinstance(value, list | tuple):
        st.session_state[key] = [v for v in value if v in options]
    else:
        del st.session_state[key]
    st.toast(f"Left out, for it is not to be had here: {_listed(unknown)}.", icon=":material/info:", duration="long")


def keep_within(key: str, low: float, high: float) -> None:
    """The nearest value that a number's widget can hold, where its state holds another."""
    if key in st.session_state and not low <= st.session_state[key] <= high:
        st.session_state[key] = min(max(st.session_state[key], low), high)


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(str(name)[:60] for name in list(names)[:5])
