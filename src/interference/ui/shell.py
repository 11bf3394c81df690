"""The frame around every page: title, style and menu."""

from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

from interference.ui import state
from interference.ui.address import compare_with_address, heed_address
from interference.ui.links import open_link, reopen
from interference.ui.live import keep_history, load_ahead
from interference.ui.running import finish_imports, imported
from interference.ui.sidebar import SETTINGS
from interference.ui.watch import leave

_PAGE = "page"  # in the session: the one that was drawn last

# Title, icon and file of every page under the heading of its question, in the order of the menu.
PAGES = {
    "What happens": {
        "merge": ("Merge", ":material/merge:"),
        "compare": ("Compare", ":material/leaderboard:"),
        "path": ("Path", ":material/route:"),
        "trajectory": ("Trajectory", ":material/timeline:"),
        "text": ("Text", ":material/notes:"),
        "accuracy": ("Accuracy", ":material/spellcheck:"),
    },
    "Where and why": {
        "weights": ("Weights", ":material/difference:"),
        "causal": ("Causal map", ":material/grid_view:"),
        "similarity": ("Similarity", ":material/hub:"),
        "predict": ("Prediction", ":material/query_stats:"),
    },
    "Models and findings": {
        "suite": ("Suite", ":material/grid_on:"),
        "models": ("Models", ":material/cloud_download:"),
        "findings": ("Findings", ":material/menu_book:"),
    },
}


def serve(options: list[str]) -> Any:
    """Run the app.py of this folder with Streamlit's own options until it is stopped; its exit status."""
    from streamlit.web import cli

    return cli.main(["run", "app.py", *options], standalone_mode=False)


def run() -> None:
    """What app.py does: the frame around every page."""
    page = _frame()
    st.session_state["_shell"] = True
    heed_address(page.url_path)
    open_link(page.url_path)
    try:
        page.run()
        compare_with_address(whole=True)
    finally:
        finish_imports()


def ensure_shell() -> None:
    """First line of every page: a deep link to a fresh server runs the page without app.py; go around through it.

    What a figure of the page before has asked for ends.
    """
    if "_shell" not in st.session_state:
        _frame()
        st.rerun()
    context = get_script_run_ctx()
    assert context is not None  # a page is drawn in a session
    if st.session_state.get(_PAGE, context.page_script_hash) != context.page_script_hash:
        leave()
    st.session_state[_PAGE] = context.page_script_hash


def build_pages() -> dict[str, list[Any]]:
    """The pages of the menu; the merge comes first."""
    return {
        heading: [
            st.Page(
                Path("pages", f"{name}.py"),
                title=title,
                icon=icon,
                default=name == "merge",
                url_path=None if name == "merge" else name,
            )
            for name, (title, icon) in pages.items()
        ]
        for heading, pages in PAGES.items()
    }


def _frame() -> Any:
    """Title, icon, style and menu; the page that was asked for."""
    icon = Path(__file__).with_name("icon.svg")  # one of Streamlit's would be fetched from afar
    st.set_page_config(page_icon=str(icon), layout="wide", initial_sidebar_state=240)
    st.html(Path(__file__).with_name("page.css"))
    page = st.navigation(build_pages(), expanded=True)  # no page behind "View more"
    st.set_page_config(page_title=f"{page.title} · Interference")  # of a tab and of an entry of the browser's history
    ahead = st.container(key="ahead", height=1, border=False)  # always: what comes and goes has all below drawn anew
    with ahead:
        keep_history(SETTINGS, state.name(), on_reload=reopen)
        if not imported().is_set():
            load_ahead()
    return page
