"""Where a newer run ends one, and what comes of it."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import pytest
from streamlit.runtime.scriptrunner import RerunData, RerunException, ScriptRunner, get_script_run_ctx
from streamlit.testing.v1 import AppTest
from test_pages import button, figures, open_page, panel, send, settled

import interference.ui
from interference.catalogue import Family
from interference.findings import Findings, to_json
from interference.hub import HubId, plan
from interference.hub.background import Download
from interference.store import write_findings
from interference.ui import models, uncut

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


def overtaken() -> None:
    import threading

    import streamlit as st
    from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx
    from streamlit.runtime.state import SafeSessionState

    import interference.ui.uncut  # noqa: F401

    def act() -> None:
        context = get_script_run_ctx()
        assert context
        state = SafeSessionState(context.session_state._state, lambda: None)
        newer = threading.Thread(target=state.on_script_will_rerun, args=(None,))
        add_script_run_ctx(newer, context)
        newer.start()
        newer.join(0.5)
        st.session_state["waits"] = newer.is_alive()

    st.button("Act", on_click=act)


def test_callbacks_of_a_newer_run_wait_for_those_before():
    app = AppTest.from_function(overtaken, default_timeout=60).run()
    assert app.button[0].click().run().session_state["waits"]


def moved() -> AppTest:
    return send(open_page(), values=[0.25, 0.75])


def end_everywhere(monkeypatch, prepare: Callable, act: Callable, shown: Callable) -> int:
    """See that the run after an action that was ended shows what that would have shown; at how many places it was."""
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

    app = prepare()
    monkeypatch.setattr(uncut, "_heed", heed)
    act(app)
    every, whole = list(places), shown(app)
    for cut_at in every:
        app = prepare()
        act(app)
        assert shown(app) == whole, cut_at
    return len(ended_at)


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

    def shown(app: AppTest) -> object:
        history = app.session_state["history"]
        return figures(app), panel(app)["state"], len(history.past), len(history.future), history.present

    assert end_everywhere(monkeypatch, prepare, act, shown) > 50


def test_what_is_said_of_findings_is_seen(own_suite, monkeypatch, tmp_path):
    """It may hold what was typed and could not be kept."""
    monkeypatch.setenv("INTERFERENCE_CACHE", str(tmp_path / "own store"))
    for name in ("Other", "Mine"):
        write_findings(name, to_json(Findings(name)))

    def rename(app: AppTest) -> None:
        next(field for field in app.text_input if field.label == "Title").set_value("Other").run()

    def shown(app: AppTest) -> list[str]:
        return [warning.value for warning in app.warning]

    app = open_page("pages/findings.py")
    rename(app)
    assert "'Other' already" in shown(app)[0]
    assert not shown(app.run())
    assert end_everywhere(monkeypatch, lambda: open_page("pages/findings.py"), rename, shown) > 20


@pytest.mark.parametrize("label", ["List from the Hub", "Check what they need", "Download"])
def test_what_the_models_page_is_asked_for_is_done_once(own_suite, monkeypatch, label):
    """Whatever is clicked next, before it has begun."""
    done: list[str] = []

    class Idle:
        state = Download()

        def start(self, ids: Sequence[HubId]) -> None:
            done.append(f"start {ids}")

    def listed(family: Family, listed: bool = False) -> tuple[str, ...]:
        done.append(f"list {family.key}")
        return family.known

    def planned(ids: Sequence[HubId]) -> plan.Plan:
        done.append(f"plan {ids}")
        return plan.Plan(())

    monkeypatch.setattr(models, "_background", Idle)
    monkeypatch.setattr(models, "members", listed)
    monkeypatch.setattr(plan, "plan", planned)

    def prepare() -> AppTest:
        done.clear()
        app = open_page("pages/models.py")
        return app.text_area(key="typed_ids").set_value("org/name").run()

    assert end_everywhere(monkeypatch, prepare, lambda app: button(app, label).click().run(), lambda app: [*done]) > 20
    assert len(done) == 1
    app = prepare()
    app.session_state[f"{button(app, label).key} clicked"] = True  # and the page was left before that
    settled(app.switch_page("pages/suite.py").run()).switch_page("pages/models.py").run()
    assert not done
