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
    chosen = view = None
    with left, ui.user_errors(stop=False):
        chosen = ui.choose_recipe(bench, setup, shape)
        if chosen is None:
            right.info(setup.missing, icon=":material/tune:")
    if chosen is None:
        ui.pin_if_asked()  # the view before
    with right, ui.user_errors(stop=False):
        if chosen:
            view = ui.present_view(bench, chosen, setup)
            if not chosen.moving:
                ui.remember(view)  # before it is measured, which a newer move may end and may fail: both can be undone
                ui.pin_if_asked()
            ui.draw_merge(bench, view, ui.watch_merge(bench, chosen, setup))
    with toolbar:
        ui.draw_toolbar()
        if view:
            ui.draw_export(bench, view)


with st.container(horizontal=True, vertical_alignment="center"):
    st.title("Merge", anchor=False, width="content")
    ui.draw_guide(bench)
setup = ui.choose_setup(bench)
ui.place_recipe(bench, setup)
follow(setup)
ui.draw_pins(bench)
