"""Merge: what happens to each language when checkpoints are merged."""

import streamlit as st

from interference import ui

ui.ensure_shell()

bench = ui.open_bench()


@st.fragment
def merge_panel() -> None:
    ui.rerun_if_asked()
    title, tools = st.columns([1, 3], vertical_alignment="center")
    title.title("Merge", anchor=False)
    toolbar = tools.empty()
    ui.draw_guide(bench)
    setup = ui.choose_setup(bench)
    left, right = st.columns([2, 3], gap="medium")
    with left, ui.user_errors():
        chosen = ui.choose_recipe(bench, setup)
    with right, ui.user_errors():
        if chosen is None:
            st.info(setup.missing, icon=":material/tune:")
            return
        view = ui.present_view(bench, chosen, setup)
        watched = ui.watch_merge(bench, chosen, setup)
        ui.draw_merge(bench, view, watched)
        if not chosen.moving:
            ui.remember(view)
    with toolbar:
        ui.draw_toolbar()


merge_panel()
ui.draw_pins(bench)
