"""The pages Weights and Causal map through Streamlit's own test runner."""

import base64
import json
import shutil

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from test_pages import ROOT, button, live_plots, open_page, settled

from interference.figures.weights import _cell
from interference.recipe.values import Where


def chart(app: AppTest) -> dict:
    return json.loads(app.get("plotly_chart")[0].proto.spec)


@pytest.mark.parametrize("view", ["Groups", "Layers", "Tensors", "Pairs"])
def test_every_view_of_the_weights_draws(own_suite, view):
    app = open_page("pages/weights.py", weights_view=view)
    assert not app.exception
    assert not app.error
    assert "of the whole model" in app.markdown[1].value
    assert chart(app)["data"]
    assert "chance" in app.get("plotly_chart")[0].proto.spec
    assert app.get("download_button")


def test_only_what_there_is_stands_in_the_legend(own_suite):
    app = open_page("pages/weights.py")
    assert "closed form, Gaussian" in [trace["name"] for trace in chart(app)["data"]]
    assert any("Diamonds are" in caption.value for caption in app.caption)
    app.selectbox(key="conflict").set_value("l2").run()
    assert [trace["name"] for trace in chart(app)["data"]] == ["chance level", "value"]
    assert not any("Diamonds are" in caption.value for caption in app.caption)


def test_pairs_are_those_of_the_whole_model_at_first(own_suite):
    app = open_page("pages/weights.py", weights_view="Pairs")
    assert app.selectbox(key="weights_part").value == "all"


@pytest.mark.parametrize("part", ["all", "attention"])
def test_the_whole_model_is_never_without_its_groups(own_suite, part):
    """The same map of every part on one scale, whichever is large; the numbers are the table's."""
    app = open_page("pages/weights.py", weights_view="Pairs", weights_part=part)
    maps = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    names = [part, *(m["layout"]["title"]["text"].split("<br>")[0] for m in maps[1:])]
    assert set(names) == {"all", "embeddings", "attention", "mlp", "norms"}
    assert len(names) == 5
    table = app.dataframe[0].value
    numbers = table[["value", "chance"]].to_numpy()
    for scale in (m["layout"]["coloraxis"] for m in maps):
        assert (scale["cmin"], scale["cmax"]) == pytest.approx((numbers.min(), numbers.max()))
    for name, own in zip(names[1:], maps[1:], strict=True):
        row = table[table["group"] == name].iloc[0]
        mean, chance = (_cell(row[column], np.abs(numbers).max()) for column in ("value", "chance"))
        assert f"mean {mean}, chance {chance}" in own["layout"]["title"]["text"]
        z = np.frombuffer(base64.b64decode(own["data"][0]["z"]["bdata"]), np.float32).reshape(2, 2)
        assert z[0, 1] == pytest.approx(row["value"], abs=1e-6)


@pytest.mark.parametrize(
    ("value", "most", "written"),
    [(0.0119, 0.03, "0.012"), (0.5, 0.7, "0.50"), (99.66, 116, "99.7"), (1.64, 106, "1.64"), (106.2, 106.2, "106"),
     (-0.003, 0.18, "0.00"), (0, 0, "0.00"), (float("nan"), 1, "")],
)  # fmt: skip
def test_cells_show_digits_where_values_are_small(value, most, written):
    assert _cell(value, most) == written


@pytest.mark.parametrize("view", ["Tensors", "Pairs"])
def test_a_map_stands_beside_its_chance_level_on_one_scale(own_suite, view):
    figure = chart(open_page("pages/weights.py", weights_view=view))
    measured, null = figure["data"]
    assert measured["coloraxis"] == null["coloraxis"]
    assert measured["z"] != null["z"]
    assert (measured["z"], null["z"]) == (null["customdata"], measured["customdata"])
    assert [title["text"] for title in figure["layout"]["annotations"]] == ["measured", "by chance"]


def test_a_measure_of_models_has_no_pairs_and_its_knob_changes_it(own_suite):
    app = open_page("pages/weights.py")
    app.selectbox(key="conflict").set_value("top_k_mass").run()
    views = next(control for control in app.get("button_group") if control.key == "weights_view")
    assert "Pairs" not in views.options
    before = chart(app)
    app.number_input(key="top_k_mass share").set_value(0.5).run()
    assert chart(app) != before


def test_a_base_makes_task_vectors_of_weights(own_suite):
    app = open_page("pages/weights.py", weights_base="mixed")
    assert any("differences of mono-eng, mono-deu from mixed" in caption.value for caption in app.caption)
    app.selectbox(key="weights_base").select("mono-eng").run()
    assert "is the base and one of the models" in app.error[0].value
    app.multiselect(key="weights_models").set_value(["mono-eng"]).run()
    assert "two models or more" in app.error[0].value


def test_the_causal_map_draws_both_maps_and_a_third_if_asked(own_suite):
    app = open_page("pages/causal.py")
    assert not app.exception
    assert len(live_plots(app)[0]["figure"]["data"]) == 2
    assert not any("The third map" in caption.value for caption in app.caption)
    app.toggle(key="causal_control").set_value(True).run()
    assert [toast.value for toast in app.toast] == []  # nothing chosen was thrown out
    assert len(live_plots(app)[0]["figure"]["data"]) == 3
    assert any("The third map" in caption.value for caption in app.caption)
    assert "The merge costs" in app.markdown[1].value


def test_a_chosen_cell_says_its_number_and_goes_to_the_merge_page(own_suite):
    app = open_page("pages/causal.py")
    app.session_state["causal_cell"] = ("transplanted", "mlp", "1")
    app.run()
    assert not app.exception
    assert "layer 1, mlp" in app.markdown[2].value
    button(app, "Set the Merge page to it").click().run()
    assert not app.exception
    recipe = app.session_state["history"].present.view.recipe
    assert isinstance(recipe.weights[0], Where)  # the component by filters, all else the parent's


def test_back_on_the_causal_map_is_the_map_that_a_cell_was_taken_from(own_suite):
    app = open_page("pages/causal.py")
    app.session_state["causal_cell"] = ("transplanted", "mlp", "1")
    before = live_plots(app.run())[0]["figure"]
    for component in ("mlp", "attention"):
        app.session_state["causal_cell"] = ("transplanted", component, "1")
        app.run()
        button(app, "Set the Merge page to it").click().run()
        settled(app.switch_page("pages/causal.py").run())
        assert not app.error
        assert live_plots(app)[0]["figure"] == before
        assert any("as the Merge page had it before" in caption.value for caption in app.caption)
    settled(app.switch_page("pages/merge.py").run())
    app.selectbox(key="method").set_value("slerp").run()
    settled(app.switch_page("pages/causal.py").run())
    assert any("SLERP" in caption.value and "as the Merge page has it." in caption.value for caption in app.caption)


def test_a_cell_goes_to_the_merge_page_as_the_sidebar_stands_by_then(own_suite, tmp_path):
    """What the address names stays, and so does what was set since the Merge page was left: it is where the cell is."""
    other = shutil.copytree(own_suite, tmp_path / "other")
    app = open_page("pages/merge.py")
    settled(app.switch_page("pages/causal.py").run())
    app.text_input(key="suite").set_value(str(other)).run()
    app.selectbox(key="unit").set_value("bits per byte").run()
    app.multiselect(key="languages").set_value(["deu"]).run()
    app.session_state["causal_cell"] = ("transplanted", "mlp", "1")
    app.run()
    button(app, "Set the Merge page to it").click().run()
    assert not app.exception
    assert app.title[0].value == "Merge"
    view = app.session_state["history"].present.view
    assert isinstance(view.recipe.weights[0], Where)
    assert (view.suite, view.unit, view.languages) == (str(other), "bits per byte", ("deu",))
    settled(app.switch_page("pages/path.py").run())
    assert not app.exception


@pytest.mark.parametrize("view", ["All pairs", "Plane", "Along the layers"])
def test_every_view_of_the_path_draws(own_suite, view):
    app = open_page("pages/path.py", path_view=view)
    assert not app.exception
    assert not app.error
    assert chart(app)["data"]
    assert "**" in app.markdown[1].value
    assert app.get("download_button")


def test_a_plane_through_two_checkpoints_is_none(own_suite):
    app = open_page("pages/path.py", path_view="Plane", plane_first="mixed", plane_second="mixed")
    assert "three different ones" in app.error[0].value


@pytest.mark.parametrize(
    ("page", "query"), [("causal", {}), ("path", {"path_view": "All pairs"}), ("path", {"path_view": "Plane"})]
)
def test_other_pages_take_as_many_sentences_as_the_merge_page(own_suite, page, query):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    for key, value in {"sentences": "5", **query}.items():
        app.query_params[key] = value
    settled(app.run())
    settled(app.switch_page("pages/merge.py").run())
    app.switch_page(f"pages/{page}.py").run()
    assert any("5 sentences" in caption.value for caption in app.caption), [caption.value for caption in app.caption]
