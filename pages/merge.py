"""Merge: what happens to each language when checkpoints are merged."""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Merge", anchor=False)
bench = ui.open_bench()
ui.introduce_merge(bench)


@st.fragment
def merge_panel() -> None:
    setup = ui.choose_setup(bench)
    left, right = st.columns([2, 3], gap="medium")
    recipe = None
    with left, ui.user_errors():
        recipe = ui.choose_recipe(setup)
    progress = left.empty()
    with right, ui.user_errors():
        if recipe is None:
            st.info(setup.missing, icon=":material/tune:")
            return
        result = ui.compute_merge(bench, recipe, setup, progress)
        ui.draw_merge(bench, recipe, result, setup)


merge_panel()
