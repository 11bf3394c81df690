"""What a figure says of a request while its result is on its way, and once what was wrong is put right."""

import threading
import time
from types import SimpleNamespace
from typing import NoReturn

import pytest
from streamlit.runtime.scriptrunner_utils.exceptions import StopException

from interference.engine import Engine
from interference.errors import UserError
from interference.suite import open_suite
from interference.ui import watch
from interference.ui.sidebar import Bench
from interference.ui.watch import Asked, follow, leave


class AnyEvaluator:
    """Stands for one that is not asked."""


@pytest.fixture
def engine(monkeypatch):
    """An engine behind the page of one session."""
    found, evaluator = Engine(), AnyEvaluator()
    monkeypatch.setattr(watch, "device", lambda bench: (evaluator, found))
    monkeypatch.setattr(watch, "session", lambda: "session")
    monkeypatch.setattr(watch, "st", SimpleNamespace(session_state={}))
    yield found
    found.close()


@pytest.mark.parametrize("mistake", [UserError, OSError])
def test_a_mistake_put_right_is_not_said_again(mistake, engine, suite_folder):
    """By a full result that failed after its estimate had, as for a file or a disk that is back."""
    wrong, slow = [True], [True]

    def glimpse(evaluator):
        yield 0.5
        if wrong[0]:
            raise mistake("damaged")
        return "estimate"

    def full(evaluator):
        while slow[0]:
            yield 0.5
            time.sleep(0.01)
        if wrong[0]:
            raise mistake("damaged")
        return "table"

    asked = Asked("request", lambda evaluator: None, full, glimpse)
    bench = Bench(open_suite(suite_folder), ("", "", ""), ("eng",), "bits per sentence")
    with pytest.raises(mistake, match="damaged"):
        follow(bench, asked, moving=False)
    slow[0] = False
    engine.run("session", "after", lambda job: None)  # when the full result has failed too
    wrong[0] = False
    deadline = time.monotonic() + 120
    while (found := follow(bench, asked, moving=False)).pending and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found.found == "table"


def test_what_is_left_is_computed_no_further_and_anew_when_it_is_looked_at_again(engine, suite_folder, monkeypatch):
    monkeypatch.setattr(watch, "cancel", lambda slot: engine.cancel("session", slot))
    begun, ended, slow = [], threading.Event(), [True]

    def full(evaluator):
        begun.append("full")
        try:
            while slow[0]:
                yield 0.5
                time.sleep(0.01)
        finally:
            ended.set()
        return "table"

    def glimpse(evaluator):
        yield 0.5
        return "estimate"

    asked = Asked("request", lambda evaluator: None, full, glimpse)
    bench = Bench(open_suite(suite_folder), ("", "", ""), ("eng",), "bits per sentence")
    assert follow(bench, asked, moving=False).pending
    leave()
    assert ended.wait(20)
    slow[0] = False
    deadline = time.monotonic() + 20
    while (found := follow(bench, asked, moving=False)).pending and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (found.found, begun) == ("table", ["full", "full"])


def test_a_run_whose_result_a_newer_one_has_dropped_ends(engine, suite_folder, monkeypatch):
    """Between two looks at the session's state, where Streamlit would have ended it."""
    monkeypatch.setattr(watch, "cancel", lambda slot: engine.cancel("session", slot))

    def stop() -> NoReturn:
        raise StopException

    def full(evaluator):
        leave()
        yield 0.5
        return "table"

    monkeypatch.setattr(watch.st, "stop", stop, raising=False)
    asked = Asked("request", lambda evaluator: None, full, full)
    bench = Bench(open_suite(suite_folder), ("", "", ""), ("eng",), "bits per sentence")
    with pytest.raises(StopException):
        follow(bench, asked, moving=False)
