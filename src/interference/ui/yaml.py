"""The recipe as text, beside the sliders: what is applied moves them, and they rewrite it."""

import os
from dataclasses import replace
from pathlib import Path

import streamlit as st

from interference.errors import UserError
from interference.recipe import Recipe, beyond_mergekit, output_names, parse_recipe, sites
from interference.spread import same_merge
from interference.ui import state
from interference.ui.sidebar import Bench
from interference.ui.spread import SHAPE, YAML
from interference.ui.widgets import ask_recipe

_TEXT, _ERROR, _OF = "yaml_text", "yaml error", "yaml of"
_HEIGHT = 420  # pixels


def draw_yaml(bench: Bench, recipe: Recipe | None) -> None:
    """The editor. What was typed stays until it is applied or given up, whatever the sliders do meanwhile."""
    error: str | None = st.session_state.get(_ERROR)
    if recipe is not None and error is None and not _stands_for(bench, recipe):
        _rewrite(recipe)
    st.html(
        "<style>[class*=st-key-yaml_text] textarea{font-family:var(--st-code-font,monospace);font-size:13px}</style>"
    )
    st.text_area(
        "Recipe", key=_key(), height=_HEIGHT, on_change=_apply, args=(bench,), persist_state="session",
        help="mergekit's schema. Applied when the field is left, or with Ctrl+Enter.",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Apply", key="yaml_apply", type="primary", on_click=_apply, args=(bench,), help="Merge by this recipe."
        )
        if error is not None:
            st.button("Give up", key="yaml_back", on_click=_give_up, help="Back to the recipe that is shown.")
    if error is not None:
        st.error(error, icon=":material/error:")
        st.caption("The figure still shows the recipe before.")
    elif recipe is not None and (ours := beyond_mergekit(recipe)):
        st.caption(f"mergekit can't express {', '.join(ours)}.")


def _key() -> str:
    """Of the field that holds the text that was written last."""
    return f"{_TEXT} {st.session_state.get(_TEXT, 0)}"


def _rewrite(recipe: Recipe) -> None:
    """Into a new field: of the one before, a browser that has not heard yet may still say its old text."""
    st.session_state.pop(_key(), None)
    st.session_state[_TEXT] = st.session_state.get(_TEXT, 0) + 1
    st.session_state[_key()], st.session_state[_OF] = recipe.to_yaml(), recipe


def _stands_for(bench: Bench, recipe: Recipe) -> bool:
    """Whether the text is of this recipe, however it is written."""
    of: Recipe | None = st.session_state.get(_OF)
    if of is None or _key() not in st.session_state or of.models != recipe.models:
        return False
    try:
        return of == recipe or same_merge(of, recipe, bench.suite[recipe.models[0]].shapes)
    except UserError:
        return False


def _apply(bench: Bench) -> None:
    """Read the text and have the page show it; a mistake is said with its line, and nothing else changes."""
    from interference.recipe.lines import line_of

    text = st.session_state[_key()]
    try:
        recipe = _read(bench, text)
    except UserError as error:
        line = line_of(text, str(error))
        st.session_state[_ERROR] = f"Line {line}: {error}" if line and f"line {line}," not in str(error) else str(error)
        return
    st.session_state[_ERROR], st.session_state[_OF] = None, recipe
    st.session_state[SHAPE] = YAML  # where the text was all there was, sliders may be to be had again
    present = state.present()
    ask_recipe(recipe, replace(present.view, recipe=recipe, faders=None) if present else None)


def _read(bench: Bench, text: str) -> Recipe:
    """The recipe in a text, its checkpoints by their names in the suite. Raises UserError if it can't be merged."""
    from interference.commands import by_name

    recipe = by_name(parse_recipe(text, Path(os.environ.get("INTERFERENCE_FOLDER", "."))), bench.suite)
    bench.suite.mergeable(recipe.needed)
    names = bench.suite[recipe.models[0]].shapes
    sites(recipe, names, output_names(recipe, names))
    return recipe


def _give_up() -> None:
    st.session_state[_ERROR] = st.session_state[_OF] = None
