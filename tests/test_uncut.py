"""Where a newer run ends one, and what comes of it."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from streamlit.runtime.scriptrunner import RerunData, RerunException, ScriptRunner, get_script_run_ctx
from streamlit.testing.v1 import AppTest
from test_pages import button, figures, open_page, panel, send

import interference.ui
from interference.ui import uncut

OURS = (str(Path(interference.ui.__file__).parent), str(Path(__file__).parents[1] / "pages"))


def app() -> None:
    import streamlit as st
    from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

    from interference.ui.uncut import uncut

    def meanwhile() -> None:
        """A newer run is asked for while this one is at work."""
        context = get_script_run_ctx()
        requests = context and context.script_requests
        assert requests
        requests.request_rerun(RerunData())

    def act() -> None:
        meanwhile()
        st.session_state["begun"] = True
        st.session_state["done"] = True

    st.button("Act", on_click=act)
    if "whole" not in st.session_state:
        with uncut():
            meanwhile()
            st.session_state["whole"] = True
        st.session_state["after"] = True  # is not come to
    st.write("drawn")


def test_a_newer_run_waits_for_callbacks_and_for_what_is_done_whole():
    drawn = AppTest.from_function(app, default_timeout=60).run()
    assert "whole" in drawn.session_state
    assert "after" not in drawn.session_state
    drawn.button[0].click().run()
    assert "begun" in drawn.session_state
    assert "done" in drawn.session_state
    assert drawn.markdown[0].value == "drawn"


def moved() -> AppTest:
    return send(open_page(), values=[0.25, 0.75])


@pytest.mark.parametrize(
    ("prepare", "act"),
    [
        (open_page, lambda app: send(app, values=[0.25, 0.75])),
        (moved, lambda app: button(app, "Undo").click().run()),
        (moved, lambda app: button(app, "Pin").click().run()),
    ],
    ids=["move", "undo", "pin"],
)
def test_a_run_may_end_anywhere(own_suite, monkeypatch, prepare: Callable[[], AppTest], act: Callable[[AppTest], None]):
    """The run after it shows what the one that was ended would have shown."""
    places: list[tuple[str, int]] = []
    ended_at: list[tuple[str, int]] = []
    cut_at: tuple[str, int] | None = None

    def heed(runner: ScriptRunner) -> None:
        frame: FrameType | None = sys._getframe()
        while frame and (not frame.f_code.co_filename.startswith(OURS) or frame.f_code.co_filename == uncut.__file__):
            frame = frame.f_back
        if not (frame and runner._execing):
            return
        place = frame.f_code.co_filename, frame.f_lineno
        if place == cut_at and place not in ended_at:
            ended_at.append(place)
            context = get_script_run_ctx()
            assert context
            raise RerunException(
                RerunData(query_string=context.query_string, page_script_hash=context.page_script_hash)
            )
        if place not in places:
            places.append(place)

    def shown(app: AppTest) -> object:
        history = app.session_state["history"]
        return figures(app), panel(app)["state"], len(history.past), len(history.future), history.present

    app = prepare()
    monkeypatch.setattr(uncut, "_heed", heed)
    act(app)
    every, whole = list(places), shown(app)
    for cut_at in every:
        app = prepare()
        act(app)
        assert shown(app) == whole, cut_at
    assert len(ended_at) > 50
