"""Weights: where the weights of models collide, measure by measure."""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Where weights collide", anchor=False)
bench = ui.open_bench()
st.markdown(
    "What the weights of two or more models do to each other when they are merged, beside what chance would do."
)
with ui.user_errors():
    wanted = ui.choose_survey(bench)
    ui.draw_conflict(bench, wanted, ui.compute_conflict(bench, wanted))
