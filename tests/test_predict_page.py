"""The Prediction page: the button with what it takes, the result, the paper's pairs, and too few languages."""

import pytest
from test_pages import button, open_page
from test_predict import five  # noqa: F401 - the suite of five languages

PAGE = "pages/predict.py"


@pytest.fixture
def opened(five, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setenv("INTERFERENCE_SUITE", str(five.path))
    monkeypatch.setenv("INTERFERENCE_CACHE", str(tmp_path))
    return five


def test_nothing_is_computed_until_the_button_is_pressed(opened):
    app = open_page(PAGE)
    app.multiselect(key="predict_measures").set_value(["cosine", "token_overlap"]).run()
    assert not app.exception
    assert not app.error
    assert "losses of 10 merges and 2 measures of 10 pairs" in app.info[0].value
    assert [chart.key for chart in app.get("plotly_chart")] == ["predict_paper"]
    assert sum("Filled marks" in caption.value for caption in app.caption) == 1, "each mark is explained, once"
    button(app, "Merge and measure").click().run()
    assert not app.exception
    assert not app.info
    assert len(app.get("plotly_chart")) == 3
    assert sum("Filled marks" in caption.value for caption in app.caption) == 1
    assert "of 2 tried" in app.markdown[1].value
    app.get_by_key("predict_view").set_value("Beyond languages").run()
    assert not app.exception
    assert [t.value for t in app.toast] == []  # nothing chosen was thrown out
    assert any("over what languages leave" in caption.value for caption in app.caption)


def test_only_parts_that_the_models_have_are_offered(opened):
    app = open_page(PAGE, predict_part="head")  # their embeddings are tied
    assert not app.exception
    assert not app.error
    assert app.get_by_key("predict_part").options == ["all", "embeddings", "attention", "mlp", "norms"]
    assert app.get_by_key("predict_part").value == "all"


def test_one_measure_is_spoken_of_as_one(opened):
    app = open_page(PAGE)
    app.multiselect(key="predict_measures").set_value(["foreign_loss"]).run()
    assert "1 measure of 10 pairs" in app.info[0].value
    button(app, "Merge and measure").click().run()
    assert "The one measure tried" in app.markdown[1].value
    assert any("; 1 measure tried." in caption.value for caption in app.caption)


def test_the_papers_pairs_need_no_computing_and_follow_the_languages(opened, suite_folder, monkeypatch):
    app = open_page(PAGE, predict_data="The paper")
    assert not app.exception
    assert "No measure of 6 tried passes every test" in app.markdown[1].value
    assert len(app.get("plotly_chart")) == 2
    monkeypatch.setenv("INTERFERENCE_SUITE", str(suite_folder))
    few = open_page(PAGE)
    assert not few.exception
    assert "2 languages (eng, deu) make 1 pair, too few" in few.error[0].value
    few.get_by_key("predict_data").set_value("The paper").run()
    assert not few.error
    assert len(few.get("plotly_chart")) == 2
