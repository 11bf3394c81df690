"""Models: published suites, what they need and what fits together, downloaded when asked and opened."""

import streamlit as st

from interference import ui

ui.ensure_shell()

st.title("Models", anchor=False)
ui.open_sidebar()
st.markdown(
    "Compose a suite of published models that were trained apart. Nothing is downloaded before it is asked for, and "
    "nothing in a download is executed."
)
wanted = ui.choose_models()
if not wanted.ids:
    st.info("Choose languages or models above, or type ids of the Hugging Face Hub.", icon=":material/info:")
    ui.draw_progress()
    ui.stop_page()
with ui.user_errors(stop=False):
    ui.draw_plan(wanted)
ui.draw_download(wanted)
