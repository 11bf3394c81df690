"""Prediction: does anything measured before merging say what merging will lose?"""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Does anything predict the damage?", anchor=False)
bench = ui.open_bench()
st.markdown(
    "Every pair of models merged half and half, and whatever was measured of the pair before, held against what the "
    "merge loses."
)
with ui.user_errors():
    wanted = ui.choose_prediction(bench)
    ui.draw_prediction(bench, wanted, ui.compute_prediction(bench, wanted))
