"""Merge: what happens to each language when checkpoints are merged."""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Merge", anchor=False)
bench = ui.open_bench()
ui.introduce_merge(bench)


@st.fragment
def merge_panel() -> None:
    left, right = st.columns([10, 17], gap="medium")
    with left, ui.user_errors():
        recipe = ui.choose_recipe(bench)
    with right, ui.user_errors():
        if recipe is None:
            st.info("Choose at least one parent and give it a weight.")
            return
        controls, sentences = ui.choose_controls(bench)
        result = ui.compute_merge(bench, recipe, controls, sentences)
        ui.draw_merge(bench, recipe, result, sentences)


merge_panel()
