"""Compare: the same checkpoints under every merge method."""

import streamlit as st

from interference import ui

ui.ensure_shell()
ui.go_if_asked()

st.title("Compare", anchor=False)
bench = ui.open_bench()
st.markdown(
    "The same checkpoints under every merge method, at its default and at the best settings that the dev half finds, "
    "beside what needs no merge at all. Every number is of the test half."
)
with ui.user_errors():
    asked, language = ui.choose_comparison(bench)
    families = ui.choose_families()
    above, below = st.container(), st.empty()

    def draw(table, final=False):  # type: ignore[no-untyped-def]
        with below.container():
            ui.draw_comparison(bench, table, language, families, final)

    with above:
        found = ui.compute_comparison(bench, asked, draw)
    if found:
        draw(found, final=True)
