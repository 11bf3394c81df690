"""Similarity: whether models think alike about the same sentences, whatever their weights."""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Whether models think alike", anchor=False)
bench = ui.open_bench()
st.markdown(
    "Hidden states of the same sentences or their translations, by measures that mind a rotation and by ones that do "
    "not. Alike and yet not merging means: the same shape in other coordinates."
)
with ui.user_errors():
    ui.draw_similarity(bench, ui.choose_similarity(bench))
