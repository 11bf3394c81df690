"""Merge: what happens to each language when checkpoints are merged."""

import streamlit as st

from interference import ui
from interference.ui.setup import Setup

ui.ensure_shell()

bench = ui.open_bench()


@st.fragment
def follow(setup: Setup) -> None:
    """All that a moving coefficient changes, and no more: the fewer the elements, the sooner the figure follows."""
    ui.rerun_if_asked()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        shape = st.container(width="content")
        toolbar = st.container(horizontal=True, horizontal_alignment="right", gap="small", width="content")
    with st.container(horizontal=True, gap="medium"):
        left, right = st.container(key="panel"), st.container(key="figure")
    with left, ui.user_errors():
        chosen = ui.choose_recipe(bench, setup, shape)
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
        ui.draw_export(bench, view)


with st.container(horizontal=True, vertical_alignment="center"):
    st.title("Merge", anchor=False, width="content")
    ui.draw_guide(bench)
setup = ui.choose_setup(bench)
ui.place_recipe(bench, setup)
follow(setup)
ui.draw_pins(bench)
