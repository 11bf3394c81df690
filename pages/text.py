"""Text: what models write when they continue a text, and where a merge loses sentence by sentence."""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Text", anchor=False)
bench = ui.open_bench()
st.markdown(
    "What the losses mean in words: how parents, the merge of the Merge page and the multilingual model continue a "
    "sentence that none of them was trained on, and which sentences and tokens the merge loses most on."
)


@st.fragment
def said_panel() -> None:
    with ui.user_errors(stop=False):
        ui.draw_said(bench)


@st.fragment
def sentences_panel() -> None:
    with ui.user_errors(stop=False):
        ui.draw_sentences(bench)


st.header("What it says", anchor=False)
said_panel()
st.header("Sentence by sentence", anchor=False)
sentences_panel()
