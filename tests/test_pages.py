"""Every page through Streamlit's own test runner: it draws, answers its widgets, and survives bad input."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from interference.registry import methods

ROOT = Path(__file__).parents[1]
# Findings draw nothing until some are kept: test_findings_page.py.
PAGES = sorted(f"pages/{page.name}" for page in (ROOT / "pages").glob("*.py") if page.stem != "findings")


@pytest.fixture(scope="module")
def own_suite(suite_folder, tmp_path_factory):
    """The tiny random suite as the one the app opens on, with a store that outlives single tests."""
    patch = pytest.MonkeyPatch()
    patch.setenv("INTERFERENCE_SUITE", str(suite_folder))
    patch.setenv("INTERFERENCE_CACHE", str(tmp_path_factory.mktemp("store")))
    yield suite_folder
    patch.undo()


def open_page(page: str = "pages/merge.py", **query: str) -> AppTest:
    """A page as a new session sees it. Without the second run a page is not rendered at all."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run().switch_page(page).run()


def figures(app: AppTest) -> list[str]:
    return [chart.proto.spec for chart in app.get("plotly_chart")]


@pytest.mark.parametrize("page", PAGES)
def test_page_draws(own_suite, page):
    """Title, a figure with numbers, no error, no exception."""
    app = open_page(page)
    assert not app.exception
    assert not app.error
    assert app.title[0].value
    assert len(figures(app)) == 1


def test_a_broken_page_is_noticed(own_suite, tmp_path):
    """The loop above can fail: a page that divides by zero raises in the runner."""
    (tmp_path / "app.py").write_text("import streamlit as st\nst.navigation([st.Page('broken.py')]).run()\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    assert AppTest.from_file(str(tmp_path / "app.py")).run().exception


def test_moving_a_slider_changes_the_figure(own_suite):
    """Another coefficient, another loss; the same coefficient, the same figure."""
    app = open_page()
    before = figures(app)
    slider = next(s for s in app.slider if s.label == "mono-eng")
    slider.set_value(0.9).run()
    assert not app.exception
    assert figures(app) != before
    slider.set_value(0.5).run()
    assert figures(app) == before


def test_presets_set_every_slider(own_suite):
    """Only and Equal; a merge of one parent alone costs that parent's language nothing."""
    app = open_page()
    next(b for b in app.button if b.label == "Only").click().run()
    assert [s.value for s in app.slider if s.label.startswith("mono")] == [1.0, 0.0]
    next(b for b in app.button if b.label == "Equal").click().run()
    assert [s.value for s in app.slider if s.label.startswith("mono")] == [0.5, 0.5]


@pytest.mark.parametrize("method", ["linear", "slerp", "task_arithmetic", "ties", "dare_ties"])
def test_every_method_draws(own_suite, method):
    """Every method with its own knobs, and its label under the figure."""
    app = open_page(method=methods()[method].label)
    assert not app.exception
    assert not app.error
    assert len(figures(app)) == 1
    assert app.selectbox(key="method").value == method


def test_base_is_shown_where_the_result_is(own_suite):
    """A task-vector merge names its base under the figure."""
    app = open_page(method=methods()["ties"].label)
    app.selectbox(key="base").set_value("@mean").run()
    assert any("base: the mean of the parents" in caption.value for caption in app.caption)


def test_controls_are_drawn(own_suite):
    """Rescaled merge and unigram model appear in the figure when asked for."""
    app = open_page()
    assert "rescaled" not in figures(app)[0]
    app.get_by_key("controls").set_value(["rescaled", "unigram"]).run()
    assert not app.exception
    assert "rescaled" in figures(app)[0]
    assert "unigram" in figures(app)[0]


def test_all_coefficients_zero_is_said(own_suite):
    """Nothing to merge is a sentence, not a failure."""
    app = open_page()
    for slider in app.slider:
        slider.set_value(0.0)
    app.run()
    assert not app.exception
    assert "coefficient other than zero" in app.info[0].value


def test_a_suite_that_is_not_there(own_suite):
    """A wrong path is one message that names it, and the right path brings the page back."""
    app = open_page()
    app.text_input(key="suite").set_value("/no/such/suite").run()
    assert not app.exception
    assert "/no/such/suite does not exist" in app.error[0].value
    app.text_input(key="suite").set_value(str(own_suite)).run()
    assert not app.error
    assert figures(app)


def test_a_corpus_without_the_language_asked_for(own_suite, tmp_path):
    """A corpus with ragged rows is refused by name and line."""
    (tmp_path / "bad.tsv").write_text("eng\tdeu\nonly one cell\n")
    app = open_page()
    app.text_input(key="corpus").set_value(str(tmp_path / "bad.tsv")).run()
    assert not app.exception
    assert "line 2 has 1 cells, the header has 2" in app.error[0].value


@pytest.mark.parametrize("measure", ["loss", "cost against the reference", "recovery"])
def test_suite_measures(own_suite, measure):
    """The heat map shows each measure with its reading."""
    app = open_page("pages/suite.py", measure=measure)
    assert not app.exception
    assert not app.error
    assert len(figures(app)) == 1


def test_units_and_languages_from_the_link(own_suite):
    """A link restores unit and languages; a wrong value falls back without an error."""
    app = open_page(unit="bits per byte", languages="German (deu)")
    assert "bits per byte" in figures(app)[0]
    assert "English" not in figures(app)[0]
    assert not open_page(unit="furlongs", method="nonsense").exception
