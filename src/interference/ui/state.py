"""The session's state of the bench: the present view, the pins, and what can be undone."""

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from interference.bench import History, State

_KEY = "history"


def history() -> "History | None":
    """All moves of this session; None until a view has been drawn."""
    return st.session_state.get(_KEY)


def present() -> "State | None":
    """The view that the Merge page shows or showed last, with the pins; None until one has been drawn."""
    found = history()
    return found.present if found else None


def move(state: "State") -> None:
    """Make a state the present one; the one before it can be undone."""
    from interference.bench import History

    found = history()
    st.session_state[_KEY] = found.move(state) if found else History(state)


def undo() -> None:
    """Back to the state before."""
    if found := history():
        st.session_state[_KEY] = found.undo()


def redo() -> None:
    """Forward to the state that was undone."""
    if found := history():
        st.session_state[_KEY] = found.redo()
