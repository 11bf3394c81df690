"""Trajectory: at which step of training do two models stop being mergeable?"""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Trajectory", anchor=False)
bench = ui.open_bench()
st.markdown("Two training runs, and the average of their checkpoints at every step: when do they stop being mergeable?")
with ui.user_errors():
    course = ui.choose_course(bench)
    ui.draw_trajectory(bench, ui.compute_trajectory(bench, course))
