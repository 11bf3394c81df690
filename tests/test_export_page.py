"""Writing a merge from the page: in the background, with its outcome said on whatever page is open."""

import threading
import time
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_pages import button, open_page

from interference.recipe import parse_recipe


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder that the command was started in."""
    monkeypatch.setenv("INTERFERENCE_FOLDER", str(tmp_path))
    return tmp_path


def opened(page: str = "pages/merge.py") -> AppTest:
    app = open_page(page, sentences="6")
    app.session_state["export_open"] = True
    return app.run()


def written(app: AppTest, **fields: object) -> AppTest:
    """The page after Write was clicked with these in the form."""
    for name, value in fields.items():
        app.get_by_key(f"export_{name}").set_value(value).run()
    return button(app, "Write").click().run()


def ended(app: AppTest) -> AppTest:
    for _ in range(1000):
        if not any(b.label == "Stop writing" for b in app.button):
            return app
        time.sleep(0.05)
        app.run()
    raise TimeoutError("the export never ended")


def test_a_merge_is_written_and_said_on_another_page(own_suite, folder):
    app = written(opened(), folder="deep/out", dtype="bfloat16", shard="30KB")
    assert not app.exception
    app = ended(app.switch_page("pages/suite.py").run())
    assert [s.value for s in app.success] == [f"{folder / 'deep/out'} is written."]
    assert parse_recipe((folder / "deep/out/recipe.yaml").read_text()).out_dtype == "bfloat16"
    assert len(list((folder / "deep/out").glob("model-*.safetensors"))) > 1
    assert "6 of " in (folder / "deep/out/README.md").read_text()
    button(app, "Close").click().run()
    assert not app.success


def test_what_can_not_be_written_is_said_in_the_form(own_suite, folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "work").write_text("work")
    (folder / "file").write_text("here")
    app = opened()
    for fields, why in (
        ({"folder": " ", "overwrite": True}, "needs a folder"),
        ({"folder": "mine"}, "is not overwritten"),
        ({"folder": "mine", "overwrite": False}, "remove it first, or turn on 'Overwrite' to replace it."),
        ({"folder": "~nobody-of-that-name/x"}, "is no path that can be used"),
        ({"folder": "file/deep/out"}, "file is a file"),
        ({"folder": "out", "shard": "many"}, "The largest shard is 'many'"),
    ):
        written(app, **fields)
        assert not app.exception
        assert [why in error.value for error in app.error] == [True], why
        assert not any(b.label in ("Stop writing", "Close") for b in app.button), "nothing has begun"
    assert (folder / "mine" / "work").read_text() == "work"
    app = ended(written(app, folder="out", shard="5GB"))
    assert (folder / "out" / "config.json").is_file()
    assert not app.error


def test_a_failure_on_the_way_is_said_and_the_page_lives(own_suite, folder, monkeypatch):
    import interference.export as module

    def full(*arguments):
        yield 0.5
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_weights", full)
    app = ended(written(opened(), folder="out"))
    assert not app.exception
    assert "can't be written" in app.error[0].value
    assert not (folder / "out").exists()


def test_writing_can_be_stopped(own_suite, folder, monkeypatch):
    import interference.export as module

    def slow(*arguments):
        while True:
            time.sleep(0.01)
            yield 0.5

    monkeypatch.setattr(module, "write_weights", slow)
    app = written(opened(), folder="out")
    assert button(app, "Write").disabled
    button(app, "Stop writing").click().run()
    app = ended(app)
    assert "stopped" in app.sidebar.info[0].value
    assert [p.name for p in folder.iterdir() if "out" in p.name] == []


def test_a_second_click_on_write_leaves_the_first_to_its_work(own_suite, folder, monkeypatch):
    begun, through = [], threading.Event()

    def steps(evaluator, recipe, target, sentences):
        begun.append(target)
        while not through.is_set():
            yield 0.5
            time.sleep(0.01)
        return target.folder

    monkeypatch.setattr("interference.export.export_steps", steps)
    app = opened()
    seen = app._tree
    with monkeypatch.context() as patch:
        patch.setattr("interference.ui.ensure_shell", st.stop)  # where a newer run of the page ends it, for example
        written(app)
    app._tree = seen
    written(app)
    through.set()
    assert [s.value for s in ended(app).success] == [f"{folder / 'merged'} is written."]
    assert len(begun) == 1
