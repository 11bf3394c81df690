"""Recipes both ways on the Merge page: groups, layers, YAML, post-steps, and what stands beside the merge."""

import json

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_pages import button, figures, open_page, panel, send, sent, settled

from interference.bench import State, View, to_link
from interference.recipe import Gradient, Recipe, Slice, Where
from interference.registry import methods, post_steps

PARENTS = ("mono-eng", "mono-deu")
BY_GROUP = Recipe(
    "linear",
    PARENTS,
    (Where((("norm", 0.1), ("embed", 0.2), ("attn", 0.3), ("mlp", 0.4))), 0.5),
    (("normalize", True),),
)
OVER_LAYERS = Recipe(
    "ties", PARENTS, (Gradient((0.0, 1.0)), Gradient((1.0, 0.5, 0.0))),
    (("density", Gradient((0.25, 0.75))), ("lambda", 1.0), ("normalize", True)), base="init",
)  # fmt: skip
SLICED = Recipe("passthrough", slices=(Slice(PARENTS[:1], ((0, 2),)), Slice(PARENTS[1:], ((1, 2),))))
EVERYTHING = Recipe("dare_ties", PARENTS, (0.5, 0.5), base="init", post=("rescale",), out_dtype="bfloat16", seed=7)


def recipe_of(app: AppTest) -> Recipe:
    """What the page shows, as it is remembered."""
    return app.session_state["history"].present.view.recipe


def opened(recipe: Recipe) -> AppTest:
    return open_page(view=to_link(State(View(recipe, sentences=6))).text)


def profile(app: AppTest) -> dict:
    return json.loads(sent(app, "interference.profile_editor")[0])


def key_of_editor(app: AppTest) -> str:
    form = profile(app)["form"]
    return f"profile tensors weight {'groups' if form['columns'] else 'layers'} {len(form['names'])}"


def drag(app: AppTest, rows: list) -> AppTest:
    """The editor as a browser reports it with these rows."""
    value = {"rows": rows, "moving": False, "seq": 1, "version": profile(app)["version"]}
    app.session_state[key_of_editor(app)] = {"value": value}
    return app.run()


@pytest.mark.parametrize("recipe", [BY_GROUP, OVER_LAYERS, SLICED, EVERYTHING], ids=lambda r: r.method)
def test_a_link_shows_any_recipe_as_it_is(recipe, own_suite):
    """With its numbers, on the sliders that hold it or as text, and the same again from its own link."""
    app = opened(recipe)
    assert not app.exception
    assert not app.error
    shown = recipe_of(app)
    assert (shown.models, shown.weights, shown.slices, shown.post) == (
        recipe.models, recipe.weights, recipe.slices, recipe.post
    )  # fmt: skip
    assert (shown.base, shown.seed, shown.out_dtype) == (recipe.base, recipe.seed, recipe.out_dtype)
    assert dict(recipe.knobs).items() <= dict(shown.knobs).items()
    assert len(figures(app)) == 1
    assert bool(app.text_area) == bool(recipe.slices)
    assert recipe_of(opened(shown)) == shown


def test_groups_and_layers_begin_as_the_sliders_stand_and_move(own_suite):
    app = open_page(sentences="6")
    before, shape = recipe_of(app), app.get_by_key("shape")
    shape.set_value("groups").run()
    assert recipe_of(app) == before
    assert profile(app)["form"]["columns"] == ["embeddings", "attention", "mlp", "norms"]
    drag(app, [[0.5, 0.9, 0.5, 0.5], [0.5] * 4])
    settled(app)
    assert recipe_of(app).weights == (Where((("norm", 0.5), ("embed", 0.5), ("attn", 0.9), ("mlp", 0.5))), 0.5)
    assert "weight differing within the model" in figures(app)[0]
    app.get_by_key("shape").set_value("layers").run()
    drag(app, [[0.1, 0.9], [0.5, 0.5, 0.5]])
    assert recipe_of(settled(app)).weights == (Gradient((0.1, 0.9)), 0.5)
    app.get_by_key("shape").set_value("whole").run()
    assert recipe_of(settled(app)) == before
    app.get_by_key("shape").set_value("groups").run()
    assert profile(app)["rows"][0] == [0.5, 0.9, 0.5, 0.5], "what it was when it was last by group"


@pytest.mark.parametrize("name", ["weight", "density"])
def test_leaving_a_curve_is_said_and_undone(own_suite, name):
    """One number cannot be what a curve was: which it is is said, and the curve is there again where it was."""
    curve = {"weight": (Gradient((0.1, 0.9)), 0.5)} if name == "weight" else {"density": Gradient((0.3, 0.6, 0.9))}
    weights = curve.pop("weight", (0.5, 0.5))
    app = opened(Recipe("ties", ("mono-eng", "mono-deu"), weights, tuple(curve.items()), "init"))
    before = recipe_of(app)
    app.get_by_key("shape").set_value("whole").run()
    said, shown = [toast.value for toast in app.toast], recipe_of(settled(app))
    number = "0.1, 0.5" if name == "weight" else f"{shown.settings()['density']:g}"
    assert said == [
        f"The values of {name} over layers are put aside. For the whole model it is {number}. Choose *Over layers* or "
        "undo to have them back."
    ]
    assert shown.weights == ((0.1, 0.5) if name == "weight" else (0.5, 0.5))
    app.get_by_key("shape").set_value("layers").run()
    assert not app.toast
    assert recipe_of(settled(app)) == before
    app.get_by_key("shape").set_value("groups").run()
    assert ["put aside. Choose" in toast.value for toast in app.toast] == [True]
    app.get_by_key("shape").set_value("whole").run()
    assert not app.toast, "equal in all groups, so nothing is lost"


def test_what_no_editor_can_send_is_not_taken(own_suite):
    app = opened(BY_GROUP)
    before, version = recipe_of(app), profile(app)["version"]
    key = key_of_editor(app)
    rows = ([[2.0] * 4, [0.5] * 4], [[0.1], [0.5] * 4], [[True] * 4, [0.5] * 4], [[0.1] * 4], "x", [[0.1] * 4, None])
    sent = [{"rows": one, "version": version} for one in rows]
    for value in (None, 3, {}, {"rows": [[0.1] * 4] * 2, "version": version + 1}, *sent):
        app.session_state[key] = {"value": value}
        app.run()
        assert not app.exception
        assert recipe_of(app) == before, value


def test_yaml_moves_the_sliders_and_they_rewrite_it(own_suite):
    app = open_page(sentences="6")
    app.get_by_key("shape").set_value("yaml").run()
    text = app.text_area[0].value
    assert text == recipe_of(app).to_yaml()
    app.text_area[0].set_value(text.replace("weight: 0.5", "weight: 0.25  # less", 1)).run()
    assert recipe_of(settled(app)).weights == (0.25, 0.5)
    assert "# less" in app.text_area[0].value, "what was typed stays as long as it is what is shown"
    app.get_by_key("shape").set_value("whole").run()
    assert panel(app)["state"]["values"] == [0.25, 0.5]
    button(app, "Equal").click().run()
    app.get_by_key("shape").set_value("yaml").run()
    assert app.text_area[0].value == recipe_of(app).to_yaml() == text


def test_a_mistake_in_yaml_is_said_with_its_line_and_nothing_typed_is_lost(own_suite):
    app = open_page(sentences="6")
    app.get_by_key("shape").set_value("yaml").run()
    before = recipe_of(app)
    for wrong, why in (
        (
            before.to_yaml().replace("weight: 0.5", "wieght: 0.5", 1),
            "Line 5: Unknown key 'wieght' in the parameters of",
        ),
        (before.to_yaml().replace("mono-deu", "mono-due"), "Line 6: The suite tiny has no checkpoint 'mono-due'"),
        ("merge_method: linear\nmodels: [\n", "line 3"),
        (before.to_yaml().replace("0.5", "-0.5", 1), "sum to 0"),
    ):
        app.text_area[0].set_value(wrong).run()
        assert not app.exception
        assert why in app.error[0].value
        assert app.text_area[0].value == wrong
        assert recipe_of(app) == before
    button(app, "Give up").click().run()
    assert not app.error
    assert app.text_area[0].value == before.to_yaml()


def test_what_no_slider_holds_stays_as_text_until_the_sliders_are_asked_for(own_suite):
    app = open_page(sentences="6")
    app.get_by_key("shape").set_value("yaml").run()
    text = recipe_of(app).to_yaml().replace("weight: 0.5", "weight: 0.123456", 1)
    app.text_area[0].set_value(text).run()
    assert "more than 4 digits" in app.info[0].value
    assert recipe_of(settled(app)).weights == (0.123456, 0.5), "and is merged as it stands"
    button(app, "To the sliders").click().run()
    assert not app.info
    assert panel(app)["state"]["values"] == [0.1235, 0.5]
    button(app, "Undo").click().run()
    assert recipe_of(settled(app)).weights == (0.123456, 0.5)
    app.selectbox(key="method").set_value("karcher").run()
    assert not app.info, "another method, another recipe"
    assert recipe_of(settled(app)).method == "karcher"


def test_text_that_sliders_can_hold_again_stays_in_the_editor(own_suite):
    app = open_page(sentences="6")
    app.get_by_key("shape").set_value("yaml").run()
    text = recipe_of(app).to_yaml()
    app.text_area[0].set_value(text.replace("weight: 0.5", "weight: 0.123456", 1)).run()
    assert "more than 4 digits" in app.info[0].value
    app.text_area[0].set_value(text.replace("weight: 0.5", "weight: 0.1", 1)).run()
    assert not app.info
    assert app.get_by_key("shape").value == "yaml"
    assert recipe_of(settled(app)).weights == (0.1, 0.5)


def test_coefficients_beyond_the_usual_range_widen_it(own_suite):
    app = opened(Recipe("linear", PARENTS, (3.0, 1.0)))
    assert panel(app)["state"]["values"] == [3.0, 1.0]
    assert panel(app)["form"]["high"] == 3.0


@pytest.mark.parametrize("method", ["iso_c", "ties_paper", "ties"])
def test_weights_without_a_sum_are_not_divided_by_it(method, own_suite):
    """Whether the method divides or the panel; then the panel is still there, to be moved on."""
    app = opened(Recipe(method, PARENTS, (0.5, 0.5), base="init"))
    send(app, "panel deltas 2", values=[0.5, -0.5], normalise=True)
    assert not app.exception
    assert "sum to 0" in app.error[0].value
    send(app, "panel deltas 2", values=[0.5, 0.3], normalise=True)
    assert not app.error
    assert recipe_of(settled(app)).weights == ((0.5, 0.3) if method == "ties" else (0.625, 0.375))


def test_post_steps_stand_beside_the_merge_without_them(own_suite):
    app = open_page(sentences="6")
    app.session_state["more_open"] = True
    app.run()
    assert {t.label for t in app.toggle} >= set(post_steps())
    for name in ("rescale", "vocabulary_rows"):
        app.toggle(key=f"post_{name}").set_value(True).run()
    assert not app.exception
    assert recipe_of(settled(app)).post == ("rescale", "vocabulary_rows")
    names = [trace.get("name") for trace in json.loads(figures(app)[0])["data"]]
    assert {"before post-steps", "after post-steps"} <= set(names)
    app.toggle(key="post_rescale").set_value(False).run()
    assert recipe_of(settled(app)).post == ("vocabulary_rows",)


def test_everything_that_can_stand_beside_a_merge_is_drawn(own_suite):
    from interference.views import BESIDE

    app = open_page(sentences="6")
    app.get_by_key("controls").set_value(list(BESIDE)).run()
    assert not app.exception
    assert not app.error
    drawn = figures(app)[0]
    assert all(name in drawn for name in ("rescaled", "unigram", "bigram", "mean of logits", "mean of prob", "on dev"))


def test_a_method_of_an_optional_base_merges_with_and_without(own_suite):
    assert methods()["nuslerp"].base == "optional"
    app = open_page(method=methods()["nuslerp"].label, sentences="6")
    assert recipe_of(app).base is None
    app.selectbox(key="optional_base").set_value("init").run()
    assert not app.error
    assert recipe_of(settled(app)).base == "init"
    assert recipe_of(opened(recipe_of(app))).base == "init"


def test_a_run_that_is_ended_while_a_recipe_is_placed_leaves_it_to_the_next(own_suite, monkeypatch):
    """As where a setting is changed right after a click that brought the recipe."""
    app = open_page()
    button(app, "Pin").click().run()
    settled(send(app, values=[0.2, 0.7]))
    with monkeypatch.context() as patch:
        patch.setattr("interference.ui.held._set_sliders", lambda *given: st.stop())
        button(app, "Restore").click().run()
    app.run()
    assert panel(app)["state"]["values"] == [0.5, 0.5]
    assert recipe_of(app).weights == (0.5, 0.5)
    settled(send(app, values=[0.3, 0.6]))
    assert panel(app.run())["state"]["values"] == [0.3, 0.6]


def test_yaml_is_there_again_when_the_page_is_come_back_to(own_suite):
    app = open_page()
    app.get_by_key("shape").set_value("yaml").run()
    assert "Recipe" in [area.label for area in app.text_area]
    settled(app.switch_page("pages/suite.py").run())
    settled(app.switch_page("pages/merge.py").run())
    assert "Recipe" in [area.label for area in app.text_area]
