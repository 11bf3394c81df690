"""The Compare page: nothing runs until it is asked for, what is known shows at once, a row opens on the Merge page."""

import shutil

import pytest
from test_pages import ROOT, button, open_page

from interference.registry import methods

PAGE = "pages/compare.py"
PAIR = ("mono-eng", "mono-deu")


def few(monkeypatch) -> None:
    """Three methods and a post-step instead of all."""
    three = {name: methods()[name] for name in ("linear", "nearswap", "slerp")}
    monkeypatch.setattr("interference.compare.methods", lambda: three)
    monkeypatch.setattr("interference.compare.post_steps", lambda: ["rescale"])


def start(app):
    return next((b for b in app.button if b.label.startswith("Compare (about")), None)


def test_it_starts_when_asked_and_then_is_known(own_suite, monkeypatch):
    """The button says how long; afterwards figure and table are there, in a new session at once, without a button."""
    few(monkeypatch)
    app = open_page(PAGE)
    assert not app.exception
    assert not app.get("plotly_chart")
    start(app).click().run()
    assert not app.exception
    assert not app.error
    for page in (app, open_page(PAGE)):
        assert start(page) is None
        assert len(page.get("plotly_chart")) == 1
        frame = page.dataframe[0].value
        assert set(frame["method"]) >= {"linear", "slerp", "nearswap", "best parent", "linear+rescale"}
        assert "merges exactly 1 model" in frame.set_index("method").loc["nearswap", "reason"]
        assert frame["language"].nunique() == 1
        assert "needs least" in page.markdown[-1].value
        assert any("The table is in bits per sentence" in caption.value for caption in page.caption)


def test_what_the_caption_explains_is_drawn(own_suite, tmp_path, monkeypatch):
    few(monkeypatch)
    for name in PAIR:
        shutil.copytree(own_suite / name, tmp_path / "plain" / name)
    monkeypatch.setenv("INTERFERENCE_CORPUS", str(own_suite / "corpus.tsv"))
    for folder, untrained in ((own_suite, True), (tmp_path / "plain", False)):
        monkeypatch.setenv("INTERFERENCE_SUITE", str(folder))
        app = open_page(PAGE, compare_search="true" if untrained else "false")
        if begin := start(app):
            begin.click().run()
        assert not app.exception
        said = " ".join(caption.value for caption in app.caption)
        assert "red line is worse than counting tokens" in said
        assert ("grey line is worse" in said, "filled ones" in said) == (untrained, untrained)


def test_families_and_languages_choose_what_is_shown(own_suite, monkeypatch):
    few(monkeypatch)
    app = open_page(PAGE)
    if begin := start(app):
        begin.click().run()
    app.pills[0].set_value(["spherical"]).run()
    assert set(app.dataframe[0].value["method"]) == {"slerp"}
    assert any("For English (eng) alone" in text.value for text in app.markdown)
    next(s for s in app.selectbox if s.label == "Language").set_value("all").run()
    assert set(app.dataframe[0].value["language"]) == {"eng", "deu"}
    assert not any("alone" in text.value for text in app.markdown)
    assert not app.exception


def test_a_row_opens_on_the_merge_page(own_suite, monkeypatch):
    few(monkeypatch)
    app = open_page(PAGE)
    if begin := start(app):
        begin.click().run()
    assert button(app, "Open on the Merge page").disabled
    frame = app.dataframe[0].value.reset_index(drop=True)
    place = frame.index[(frame["method"] == "slerp") & (frame["variant"] == "best")][0]
    app.session_state["compare_table"] = {"selection": {"rows": [int(place)], "columns": [], "cells": []}}
    app.run()
    seen = app._tree
    button(app, "Open on the Merge page").click().run()
    assert not app.exception
    assert app.title[0].value == "Merge"
    assert app.selectbox(key="method").value == "slerp"
    t = float(frame.loc[place, "settings"].split("=")[1])
    assert app.slider(key="slerp t").value == pytest.approx(t, abs=0.005)
    app.switch_page("pages/merge.py")._tree = seen  # a browser that has not drawn the page yet where it is by now
    button(app, "Open on the Merge page").click().run()
    assert app.title[0].value == "Merge"
    assert app.switch_page(PAGE).run().title[0].value == "Compare"


def test_back_is_the_comparison_that_a_row_was_opened_from(own_suite, monkeypatch):
    """Nothing is computed again, though the Merge page has no base by then."""
    few(monkeypatch)
    app = open_page(method="ties", base="@zero")
    app.switch_page(PAGE).run()
    if begin := start(app):
        begin.click().run()
    assert app.selectbox(key="compare_base").value == "@zero"
    frame = app.dataframe[0].value.reset_index(drop=True)
    place = frame.index[(frame["method"] == "slerp") & (frame["variant"] == "best")][0]
    app.session_state["compare_table"] = {"selection": {"rows": [int(place)], "columns": [], "cells": []}}
    app.run()
    button(app, "Open on the Merge page").click().run()
    assert app.selectbox(key="method").value == "slerp"
    monkeypatch.setattr("interference.ui.compare.run_steps", None)
    del app.session_state["compare_base"]  # Back restores what is in the address, and this is at its default
    app.switch_page(PAGE).run()
    assert not app.exception
    assert app.selectbox(key="compare_base").value == "@zero"
    assert app.dataframe[0].value.reset_index(drop=True).equals(frame)


def test_more_sentences_than_there_are_make_no_other_comparison(own_suite, monkeypatch):
    few(monkeypatch)
    app = open_page(PAGE)
    del app.session_state["history"]  # as where no Merge page was drawn yet
    app.run()
    if begin := start(app):
        begin.click().run()
    app.switch_page("pages/merge.py").run()
    monkeypatch.setattr("interference.ui.compare.run_steps", None)
    app.switch_page(PAGE).run()
    assert not app.exception


def test_bad_choices_are_messages(own_suite):
    app = open_page(PAGE)
    app.multiselect(key="compare").set_value([]).run()
    assert "No models" in app.error[0].value
    app.multiselect(key="compare").set_value(["init", "mono-eng"]).run()
    assert not app.exception
    assert (ROOT / PAGE).is_file()


def test_one_parent_is_not_compared(own_suite):
    app = open_page(PAGE)
    app.multiselect(key="compare").set_value(["mono-eng"]).run()
    assert "Name two checkpoints or more" in app.error[0].value
    assert start(app) is None
