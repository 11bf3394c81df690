"""What reopens a view: a link, read once when the page opens and made at a click, or a reload of the page."""

import streamlit as st

from interference.bench import State, from_link, to_link
from interference.errors import UserError
from interference.ui import state
from interference.ui.widgets import ask_recipe, write_view

_PARAMETER = "view"
_ERROR = "link error"  # in the session: the page that a link opened, and why its view could not be read


def open_link(page: str) -> None:
    """Set the widgets and pins to what the address holds, before any is drawn. A bad link is a message, no more."""
    if _ERROR in st.session_state and st.session_state[_ERROR][0] != page:  # is about the page that it opened
        del st.session_state[_ERROR]
    text = st.query_params.get(_PARAMETER)
    if text is None:
        return
    try:
        found = from_link(text)
        write_view(found.view)
        state.move(found)
    except UserError as error:
        st.session_state[_ERROR] = (page, str(error))
    # From here on the widgets' own parameters follow. Not sooner, for a fresh server imports torch to read a link: who
    # reloads the page meanwhile opens it again.
    del st.query_params[_PARAMETER]


def reopen(session: str) -> None:
    """Go on as a session that a reload of the page has ended: merge, pins, moves. The address has all else."""
    if found := state.take_over(session):
        ask_recipe(found.view.recipe, found.view)


def draw_link_error() -> None:
    """Why the link that was opened could not be read; the page shows what it shows without one."""
    if error := st.session_state.get(_ERROR):
        st.warning(f"{error[1]} The page opened as usual.", icon=":material/link_off:")


def draw_link(present: State) -> None:
    """The address of exactly this view, to be copied."""
    with st.popover(
        "Link", icon=":material/link:", key="link_open", on_change="rerun",
        help="An address that reopens exactly this view, pins included.",
    ) as popover:  # fmt: skip
        if not popover.open:
            return
        try:
            link = to_link(present)
        except UserError as error:
            st.error(str(error))
            return
        st.code(f"{_address()}?{_PARAMETER}={link.text}", language=None, wrap_lines=True)
        if link.without_pins:
            st.caption("The pins are left out: with them the link would be longer than browsers take.")
        st.caption("Whoever opens it needs the same suite under the same path.")


def _address() -> str:
    """Where the browser is, with the slash at its end that saves a proxy a redirection.

    `st.context.url` takes a page's name off its end, also where that is a proxy's prefix.
    """
    from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

    context = get_script_run_ctx()
    info = context.context_info if context else None
    return f"{info.url.split('?')[0].rstrip('/')}/" if info else ""
