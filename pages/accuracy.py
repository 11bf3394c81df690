"""Accuracy: does the merge still tell right sentences from wrong ones?"""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Accuracy", anchor=False)
bench = ui.open_bench()
st.markdown(
    "Does the merge still tell right sentences from wrong ones? A minimal pair is a sentence and the same one with one "
    "error of grammar; a model is right where the error needs more bits. Chance is 50 %. Tasks are those of "
    "lm-evaluation-harness, run on the merge in memory."
)
kind = ui.choose_kind()
with ui.user_errors():
    if kind == "tasks":
        asked = ui.choose_tasks(bench)
        if found := ui.compute_tasks(bench, asked):
            ui.draw_tasks(bench, asked, *found)
    else:
        recipe, pairs = ui.choose_pairs(bench)
        ui.draw_accuracy(bench, recipe, ui.compute_accuracy(bench, recipe, pairs))
