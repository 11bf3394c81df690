"""Suite: the checkpoints, what fits together, and every loss."""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Suite", anchor=False)
bench = ui.open_bench()
st.markdown(
    "The checkpoints of this suite, which of them can be merged with each other, and how well each one knows each "
    "language on text it was never trained on."
)
ui.draw_checkpoints(bench)

st.header("Losses", anchor=False)
with ui.user_errors():
    measure = ui.choose_measure()
    result = ui.compute_suite(bench, measure)
    ui.draw_losses(bench, result, measure)
