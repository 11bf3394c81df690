"""Path: what happens to each language on the way from one checkpoint to another, and around it."""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Path", anchor=False)
bench = ui.open_bench()
st.markdown("What happens to every language on the way from the weights of one checkpoint to those of another.")
with ui.user_errors():
    view = ui.choose_path_view()
    if view == "Walk":
        walk = ui.choose_walk(bench)
        ui.draw_path(bench, ui.compute_path(bench, walk))
    else:
        ui.draw_path_view(bench, view)
