"""Causal map: which component of a merge does the damage."""

import streamlit as st

from interference import ui

ui.ensure_shell()
ui.go_if_asked()

st.title("Causal map", anchor=False)
bench = ui.open_bench()
st.markdown(
    "Which component of the merge does the damage? Each one is put into an intact parent alone, and each of the "
    "parent's into the merge alone."
)
with ui.user_errors():
    trial = ui.choose_trial(bench)
    table = ui.compute_causal(bench, trial)
    if table:
        ui.draw_causal(bench, table)
