"""Accuracy: does the merge still tell right sentences from wrong ones?"""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Accuracy", anchor=False)
bench = ui.open_bench()
st.markdown(
    "Does the merge still tell right sentences from wrong ones? A minimal pair is a sentence and the same one with one "
    "error of grammar; a model is right where the error needs more bits. Chance is 50 %."
)
with ui.user_errors():
    recipe, pairs = ui.choose_pairs(bench)
    ui.draw_accuracy(bench, recipe, ui.compute_accuracy(bench, recipe, pairs))
