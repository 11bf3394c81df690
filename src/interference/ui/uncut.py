"""What a newer run does not end in the middle: callbacks, and sections of a run that are done whole or not at all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx
from streamlit.runtime.state import SafeSessionState

_call_back = SafeSessionState.on_script_will_rerun
_heed = ScriptRunner._maybe_handle_execution_control_request
_thread = threading.local()


@contextmanager
def uncut() -> Iterator[None]:
    """Have a newer run wait for the end of what is done within."""
    before, _thread.uncut = getattr(_thread, "uncut", False), True
    try:
        yield
    finally:
        _thread.uncut = before


def _heed_later(runner: ScriptRunner) -> None:
    context = get_script_run_ctx(suppress_warning=True)
    begun = context is None or context.has_script_started  # callbacks are called before
    if begun and not getattr(_thread, "uncut", False):
        _heed(runner)


# Streamlit lets a newer run end this one wherever session state is touched. Before the callbacks that forgets the
# click; within one it takes the newer run for the callback's own `st.rerun`, and goes on with what is done by half:
# a move taken back that the sliders never hear of.
ScriptRunner._maybe_handle_execution_control_request = _heed_later  # type: ignore[assignment, method-assign]


@st.cache_resource(scope="session", show_spinner=False)
def _turn() -> threading.Lock:
    return threading.Lock()


def _call_back_in_turn(state: SafeSessionState, *given: Any, **named: Any) -> None:
    with _turn():
        _call_back(state, *given, **named)


# A newer run begins on a thread of its own, while a callback of the one before may still be at work.
SafeSessionState.on_script_will_rerun = _call_back_in_turn  # type: ignore[assignment, method-assign]
