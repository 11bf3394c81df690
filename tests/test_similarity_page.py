"""The Similarity page through Streamlit's own test runner, its figures, and sentences in a plane."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import llama, write_checkpoint, write_corpus
from streamlit.testing.v1 import AppTest
from test_pages import button, live_plots, open_page, panel, send, sent, settled

from interference.bench import History, State, View, to_link
from interference.comparable import why_nowhere
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.figures.similarity import depth_figure, map_figure, projection_figure
from interference.projection import Spot, neighbour_steps, principal, projection_steps, scaled
from interference.recipe import Recipe
from interference.recipe.values import Where
from interference.similarities import _uncertainty, similarity_steps
from interference.similarity import measures
from interference.similarity.table import Preparation
from interference.similarity_request import SimilarityRequest, default_models
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.ui.similarity.choose import VIEWS
from interference.ui.widgets import ASKED
from interference.views_similarity import (
    gap_sentence,
    layers_map,
    leaf_order,
    neighbours_sentence,
    similarity_sentence,
    square,
    with_kinds,
)


def open_similarity(**query: str) -> AppTest:
    return open_page("pages/similarity.py", **query)


def charts(app: AppTest) -> list[dict]:
    live = [plot["figure"] for plot in live_plots(app)]
    return live + [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def choose(app: AppTest, measure: str) -> AppTest:
    app.session_state["similarity"] = measure
    return settled(app.run())


def choice(app: AppTest) -> dict:
    """What the browser's list of measures is given."""
    return next(json.loads(c) for c in sent(app, "interference.grouped_choice"))


def greyed(app: AppTest) -> set[str]:
    return {value for _, disabled, options in choice(app)["groups"] if disabled for value, _ in options}


def said(app: AppTest, kind: str = "caption") -> str:
    return " ".join(element.value for element in app.get(kind))


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws(own_suite, view):
    app = open_similarity(similarity_view=view)
    assert not app.exception
    assert not app.error
    assert len(charts(app)) == (3 if view == "Conditions" else 1)
    assert "n = 12" in said(app)
    assert "d = 32" in said(app)
    assert app.get("download_button")
    assert choice(app)["disabled"] == (view == "Sentences")
    if view != "Sentences":
        assert re.search(r"Chance level -?\d\.\d\d", said(app))
        assert "chance" in said(app, "markdown")
        assert "Rotation gap" in said(app, "markdown")


def test_an_address_written_by_hand_may_name_condition_and_pooling(own_suite):
    app = open_similarity(similarity_condition="pivot", similarity_pivot="deu", similarity_pooling="last")
    assert not app.exception
    assert "All models on one language" in said(app)
    assert "its last token" in said(app)


def test_models_without_a_language_read_one_at_first(tokenizer, tmp_path, monkeypatch):
    """A folder of checkpoints, or seeds of one corpus: there are no own languages to compare on."""
    for seed in (1, 2):
        write_checkpoint(llama(seed), tokenizer, tmp_path / "suite" / f"seed{seed}")
    monkeypatch.setenv("INTERFERENCE_SUITE", str(tmp_path / "suite"))
    monkeypatch.setenv("INTERFERENCE_CORPUS", str(write_corpus(tmp_path / "corpus.tsv")))
    app = open_similarity()
    assert not app.error
    assert len(app.get("plotly_chart")) == 1


def test_the_caption_says_how_wide_the_intervals_are(tiny):
    asked = SimilarityRequest((("mono-eng", "mono-eng"), ("mixed", "mixed")), sentences=12)
    table = finish(similarity_steps(tiny, asked))
    assert "No intervals: they need 5 documents" in " ".join(table.notes)
    frame, blocks = table.frame.assign(low=[0.1, 0.2, 0.3], high=[0.3, 0.6, 0.5]), "20 blocks of documents"
    assert _uncertainty(frame, True, blocks) == (
        f"95 % intervals ±0.10 in the middle cell, ±0.20 in the widest, by jackknife over {blocks}."
    )
    assert _uncertainty(frame.head(1), True, blocks).startswith("95 % intervals ±0.10, by")
    assert "asked for" in _uncertainty(frame, False, blocks)
    assert "No pair" in _uncertainty(frame.assign(value=np.nan, low=np.nan, high=np.nan), True, blocks)


def test_a_measure_that_does_not_apply_says_why_and_the_page_lives(own_suite):
    app = open_similarity(similarity_models="mono-eng", similarity_view="Models")
    app.multiselect(key="similarity_models").set_value(["mono-eng", "mono-deu"]).run()
    choose(app, "cosine")
    assert not app.exception
    assert "share no initialisation" in app.info[0].value
    assert not charts(app)
    choose(app, "mutual_knn")
    assert len(charts(app)) == 1


NEED_A_BASIS = {name for name, measure in measures().items() if measure.needs == "basis"}


@pytest.fixture
def related_suite(suite_folder, tmp_path, monkeypatch):
    """The app opens on a suite that says that its branches come from the mixed model."""
    folder = Path(shutil.copytree(suite_folder, tmp_path / "related"))
    description = folder / "suite.yaml"
    description.write_text(description.read_text().replace("role: branch,", "role: branch, parent: mixed,"))
    monkeypatch.setenv("INTERFERENCE_SUITE", str(folder))


def test_measures_that_no_pair_allows_are_greyed_out_with_the_reason(related_suite):
    app = open_similarity()
    assert greyed(app) == set(), "branches share their parent's basis"
    assert "Greyed out" not in said(app)
    app.multiselect(key="similarity_models").set_value(["mono-eng", "mono-deu"]).run()
    assert greyed(app) == NEED_A_BASIS
    assert {"cosine", "retrieval", "mexa", "neuron_correlation"} <= NEED_A_BASIS
    assert "Greyed out: Cosine of translations" in said(app)
    assert "mono-eng and mono-deu share no initialisation" in said(app)
    app.multiselect(key="similarity_models").set_value(["mono-eng", "mono-deu", "branch-eng", "mixed"]).run()
    assert greyed(app) == set(), "one pair that shares a basis is enough"
    choose(app, "cosine")
    assert "cells are empty" in said(app)
    assert len(charts(app)) == 1


@pytest.mark.parametrize(("view", "grey"), [("Layers", True), ("Languages", False), ("Merge", False)])
def test_what_is_greyed_out_follows_what_the_view_compares(own_suite, view, grey):
    assert greyed(open_similarity(similarity_view=view)) == (NEED_A_BASIS if grey else set())


def test_other_vocabularies_grey_out_the_logit_lens(tiny, monkeypatch):
    pairs = [(("mono-eng", "mono-eng"), ("mixed", "mixed"))]
    assert why_nowhere(tiny.suite, "vocabulary", pairs) == ""
    assert why_nowhere(tiny.suite, "sentences", pairs) == ""
    assert "share no initialisation" in why_nowhere(tiny.suite, "basis", pairs)
    assert why_nowhere(tiny.suite, "basis", []) == ""
    monkeypatch.setitem(vars(tiny.suite["mixed"]), "vocabulary_digest", "another")
    assert "different ids" in why_nowhere(tiny.suite, "vocabulary", pairs)


@pytest.mark.parametrize("asked", ["cosine", "Cosine of translations"])
def test_a_link_to_a_measure_that_does_not_apply_says_why(own_suite, asked):
    app = open_similarity(similarity=asked, similarity_view="Layers")
    assert not app.exception
    assert choice(app)["value"] == "cosine"
    assert "share no initialisation" in app.info[0].value
    assert app.query_params["similarity"] == "cosine"
    assert choice(open_similarity(similarity="nonsense"))["value"] == "debiased_cka"


def test_the_headline_names_kinds_of_pairs(own_suite):
    headline = next(m.value for m in open_similarity().markdown if m.value.startswith("Rotation gap"))
    assert "mixed × branch" in headline
    assert "mono × mono" in headline
    assert "settle no rotation of 32 dimensions" in headline


def test_the_merge_follows_the_panel_and_the_merge_page_with_it(own_suite, monkeypatch):
    monkeypatch.setattr("interference.ui.similarity.merge._FEW", 8)
    app = open_similarity(similarity_view="Merge")
    assert panel(app)["state"]["values"] == [0.5, 0.5]
    before, shown = charts(app)[0], app.session_state["history"].present
    send(app, values=[0.83, 0.2], moving=True)
    preview = charts(app)[0]
    assert "preview from 8 of 12 sentences" in preview["layout"]["title"]["text"]
    assert "preview from 8 of 12 sentences" in said(app)
    assert "when the coefficients rest" in said(app, "markdown")
    assert not live_plots(app)[0]["pending"], "nothing is computed for a position that is only passed"
    assert preview["data"] != before["data"]
    assert app.session_state["history"].present == shown, "what is only passed is no move"
    settled(send(app, values=[0.8, 0.2]))
    moved = charts(app)[0]
    assert moved["layout"]["title"]["text"] == "12 sentences"
    assert "preview" not in said(app)
    assert moved["data"] != before["data"]
    settled(app.switch_page("pages/merge.py").run())
    assert panel(app)["state"]["values"] == [0.8, 0.2]
    settled(send(app, values=[0.3, 0.6], mute=[False, False]))
    settled(app.switch_page("pages/similarity.py").run())
    assert panel(app)["state"]["values"] == [0.3, 0.6]
    assert charts(app)[0]["data"] not in (before["data"], moved["data"])
    send(app, values=[0.0, 0.0])
    assert "coefficient other than zero" in app.info[0].value
    assert not app.exception
    button(app, "Only").click().run()
    assert panel(app)["state"]["values"] == [1.0, 0.0]


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("linear", ("mono-eng", "mono-deu"), (Where((("mlp", 1.0), (None, 0.0))), 0.5)),
        Recipe("slerp", ("mono-eng", "mono-deu"), (), (("t", 0.3),)),
    ],
)
def test_a_recipe_that_no_panel_holds_is_named_with_the_way_to_its_page(own_suite, recipe):
    app = open_similarity(view=to_link(State(View(recipe, str(own_suite)))).text, similarity_view="Merge")
    assert not app.exception
    assert not app.error
    assert recipe.label() in said(app, "markdown")
    assert app.get("page_link")
    assert len(charts(app)) == 1


def test_the_merge_of_a_parent_named_twice_is_compared_with_it_once(own_suite):
    recipe = Recipe("linear", ("mono-eng", "mono-deu", "mono-eng"), (0.5, 0.5, 0.2))
    app = open_similarity(view=to_link(State(View(recipe, str(own_suite)))).text, similarity_view="Merge")
    assert not app.exception
    assert not app.error
    names = [trace["name"] for trace in charts(app)[0]["data"]]
    assert [names.count(name) for name in ("mono-eng", "mono-deu")] == [1, 1]


@pytest.mark.parametrize(
    ("parents", "read"),
    [(("mixed", "init"), "both read one language"), (("mixed", "mono-eng"), "the parent's language")],
)
def test_the_caption_of_a_merge_says_what_is_read(own_suite, parents, read):
    recipe = Recipe("linear", parents, (0.5, 0.5))
    app = open_similarity(view=to_link(State(View(recipe, str(own_suite)))).text, similarity_view="Merge")
    assert not app.error
    assert read in said(app)


def test_the_panel_stands_as_a_link_says_and_the_merge_page_as_it_was_moved(own_suite):
    """A link may open this page first: the Merge page has not placed its recipe when the panel here is moved."""
    recipe = Recipe("linear", ("branch-eng", "branch-deu"), (1.7, 0.1234))
    app = open_similarity(similarity_view="Merge")
    before = View(recipe, str(own_suite))  # of more sentences than this corpus has
    app.session_state["history"] = History(State(before))
    app.session_state[ASKED] = (recipe, None)
    settled(app.run())
    assert panel(app)["state"]["values"] == [1.7, 0.1234]
    settled(send(app, values=[0.7, 0.1]))
    settled(app.switch_page("pages/merge.py").run())
    assert app.multiselect(key="parents").value == ["branch-eng", "branch-deu"]
    assert panel(app)["state"]["values"] == [0.7, 0.1], "what was asked for before does not come back"
    assert app.session_state["history"].present.view.recipe.weights == (0.7, 0.1)
    assert app.session_state["history"].undo().present.view == before, "one move"


def test_mistakes_are_one_message(own_suite):
    app = open_similarity()
    app.multiselect(key="similarity_models").set_value(["mono-eng"]).run()
    assert "nothing to compare" in app.error[0].value
    app.multiselect(key="similarity_models").set_value([]).run()
    assert "nothing to compare" in app.error[0].value
    assert not app.exception
    app.multiselect(key="similarity_models").set_value(["mono-eng", "mixed"]).run()
    assert not app.error
    assert len(charts(app)) == 1


def test_raw_and_z_scored_are_other_numbers(own_suite):
    maps = [
        charts(open_similarity(similarity_view="Languages", similarity_scaling=s))[0]["data"]
        for s in ("z-scored", "raw")
    ]
    assert maps[0] != maps[1]


def test_maps_hold_every_pair_twice_and_put_alike_models_together(tiny):
    names = ("mono-eng", "mono-deu", "mixed", "branch-eng", "branch-deu")
    asked = SimilarityRequest(tuple((n, n) for n in names), condition="pivot", layers=(1,), sentences=12)
    frame = finish(similarity_steps(tiny, asked)).frame
    grid = square(frame, "model")
    values = grid.value.to_numpy()
    np.testing.assert_allclose(values, values.T)
    assert np.isnan(np.diag(values)).all()
    assert set(grid.value.index) == set(names)
    for _, row in frame.iterrows():
        assert grid.value.loc[row["model_a"], row["model_b"]] == row["value"]
    alike = np.array([[1, 0.1, 0.9], [0.1, 1, 0.2], [0.9, 0.2, 1]])
    order = leaf_order(alike)
    assert abs(order.index(0) - order.index(2)) == 1
    assert leaf_order(np.full((3, 3), np.nan)) == [0, 1, 2]
    figure = map_figure(grid, "CKA", "high", "model", "model")
    assert len(figure.data[0].z) == 5
    assert any("chance" in tick for tick in figure.layout.coloraxis.colorbar.ticktext)
    kinds = with_kinds(frame, tiny.suite.roles)
    assert set(kinds["kind"]) == {"mono × mono", "mono × mixed", "mono × branch", "mixed × branch", "branch × branch"}
    said = similarity_sentence(kinds, measures()["debiased_cka"])
    assert "mixed × branch" in said
    assert "chance 0.00" in said
    assert "from" in similarity_sentence(kinds.assign(kind=range(10)), measures()["debiased_cka"])
    for count, unclear in (
        (1, "1 of 1 is not above chance with all of its"),
        (2, "2 of 2 are not above chance with all"),
    ):
        low = kinds.head(count).assign(low=-1.0, chance=0.0)
        assert unclear in similarity_sentence(low, measures()["debiased_cka"])


def test_layers_of_one_model_with_themselves_make_a_whole_map(tiny):
    asked = SimilarityRequest((("mixed", "mixed"),), condition="pivot", across=True, sentences=12)
    frame = finish(similarity_steps(tiny, asked)).frame
    grid = layers_map(frame)
    assert grid.value.shape == (3, 3)
    np.testing.assert_allclose(np.diag(grid.value), 1, atol=1e-5)
    assert grid.value.notna().all(axis=None)


def test_curves_are_the_table(tiny):
    asked = SimilarityRequest(tuple((n, n) for n in ("mono-eng", "mono-deu", "mixed")), sentences=12)
    frame = with_kinds(finish(similarity_steps(tiny, asked)).frame, tiny.suite.roles)
    figure = depth_figure(frame, "CKA")
    named = {trace.name: trace for trace in figure.data if trace.name}
    pair = frame[frame["kind"] == "mono × mono"]
    assert list(named["mono × mono"].y) == pair["value"].tolist()
    several = frame[frame["kind"] == "mono × mixed"].groupby("layer_a")["value"].mean()
    np.testing.assert_allclose(named["mono × mixed"].y, several)
    assert "chance level" in named


def test_the_gap_in_words(tiny):
    asked = SimilarityRequest((("mono-eng", "mono-eng"), ("mono-deu", "mono-deu")), ("rotation_gap",), sentences=12)
    table = finish(similarity_steps(tiny, asked))
    for value, words in ((0.6, "alike, but not aligned"), (0.0, "helps little"), (-0.5, "found as they are")):
        frame = table.frame.assign(value=value, kind="mono × mono")
        assert words in gap_sentence(frame)
        assert re.search(rf"\*\*[^*]*{words}[^*]*\*\*, mono × mono [+−]", gap_sentence(frame, "kind"))
    assert gap_sentence(table.frame.assign(why_not="no")) == "Rotation gap: none is measured, for no."
    two = pd.concat([frame, frame.assign(value=0.5, kind="mono × mixed")])
    assert gap_sentence(two, "kind").index("mono × mixed") < gap_sentence(two, "kind").index("mono × mono")


def spot(**changes) -> Spot:
    return Spot(
        **({"name": "mixed", "model": "mixed", "layer": 1, "languages": ("eng", "deu"), "sentences": 12} | changes)
    )


def test_the_plane_is_the_principal_components(tiny):
    x = np.random.default_rng(0).normal(size=(30, 5)) * [9, 4, 1, 1, 1] + 3
    points, shares = principal(x)
    u, sizes, _ = np.linalg.svd(x - x.mean(axis=0))
    np.testing.assert_allclose(np.abs(points), np.abs(u[:, :2] * sizes[:2]), atol=1e-9)
    assert shares == pytest.approx(tuple(sizes[:2] ** 2 / (sizes**2).sum()))
    found = finish(projection_steps(tiny, spot(drawn=5)))
    assert found.frame.groupby("language")["row"].nunique().tolist() == [5, 5]
    assert found.frame.loc[found.frame["language"] == "deu", "text"].tolist() == [
        tiny.corpus.sentences["deu"][row] for row in found.frame["row"].unique()
    ]
    assert (found.provenance["plane"], found.provenance["layer"]) == ("PCA", str(spot().layer))
    figure = projection_figure(found.frame, found.shares, "PCA")
    assert sum(value is None for value in figure.data[0].x) == 5, "one line for each sentence"


def test_sentences_that_are_read_to_one_length_keep_their_place_where_length_is_regressed_out(tokenizer, tmp_path):
    """Of longer ones a model of 8 positions reads 7 tokens, and its states are made from these."""
    write_checkpoint(llama(1, max_position_embeddings=8), tokenizer, tmp_path / "s" / "mixed")
    opened = open_suite(tmp_path / "s", write_corpus(tmp_path / "c.tsv"))
    evaluator = Evaluator(opened, Store(tmp_path / "store"), torch.device("cpu"))
    places = [
        finish(projection_steps(evaluator, spot(preparation=Preparation(length=length)))).frame[["x", "y"]]
        for length in (False, True)
    ]
    np.testing.assert_allclose(*places, atol=1e-9)


def test_scaling_keeps_cosine_distances_of_points_in_a_plane():
    angles = np.linspace(0, 6, 12)
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.arange(1, 13)[:, None]
    points, shares = scaled(x)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    between = [np.linalg.norm(side[:, None] - side[None], axis=2) for side in (points, unit)]
    np.testing.assert_allclose(*between, atol=1e-9)
    assert sum(shares) == pytest.approx(1)


def test_neighbours_leave_the_sentence_itself_out_and_know_translations(tiny):
    row = int(tiny.corpus.rows(12)[3])
    near = finish(neighbour_steps(tiny, spot(), "eng", row))
    assert len(near) == 23
    assert near["cosine"].is_monotonic_decreasing
    assert not ((near["language"] == "eng") & (near["row"] == row)).any()
    assert near.loc[near["translation"], ["language", "row"]].to_numpy().tolist() == [["deu", row]]
    assert "Its translation stands at rank" in neighbours_sentence(near)
    assert neighbours_sentence(near.assign(translation=False)) == "By cosine among 23 sentences."
    with pytest.raises(UserError, match="none of the 12 sentences"):
        finish(neighbour_steps(tiny, spot(), "eng", 10**6))


def test_without_centring_languages_keep_their_place(tiny):
    """The distance between the languages' means is a part of the plane, or is not."""
    means = {}
    for centred in (True, False):
        preparation = Preparation(scaled=False, centred=centred)
        frame = finish(projection_steps(tiny, spot(preparation=preparation, drawn=12))).frame
        means[centred] = frame.groupby("language")[["x", "y"]].mean().diff().iloc[-1].abs().max()
    assert means[True] < 1e-6 < means[False]


@pytest.mark.parametrize(
    ("named", "message"), [({"layer": 9}, "no layer 9; expected 0"), ({"languages": ()}, "one language at least")]
)
def test_what_has_no_plane(tiny, named, message):
    with pytest.raises(UserError, match=message):
        finish(projection_steps(tiny, spot(**named)))
    with pytest.raises(UserError, match="no plane 'UMAP'"):
        finish(projection_steps(tiny, spot(), "UMAP"))


def test_default_models_follow_roles(suite_folder):
    assert default_models(open_suite(suite_folder)) == ("mono-eng", "mono-deu", "mixed", "branch-eng", "branch-deu")


def test_empty_cells_are_no_numbers():
    frame = pd.DataFrame(
        {"value": [np.nan], "chance": [np.nan], "why_not": ["because"], "kind": ["a"], "low": [np.nan]}
    )
    assert "does not apply here**: because" in similarity_sentence(frame, measures()["cosine"])


def test_commands_print_the_plane_and_the_neighbours_of_the_page(suite_folder, told, refused, tiny):
    options = ("--suite", suite_folder, "--sentences", "12", "--layer", "1", "--format", "json")
    spot = Spot("mixed", "mixed", 1, tiny.corpus.languages, 12, 4)
    rows = json.loads(told("projection", "--drawn", "4", "--plane", "MDS", *options)[0])
    expected = finish(projection_steps(tiny, spot, "MDS")).frame
    assert [row["text"] for row in rows] == expected["text"].tolist()
    assert [row["x"] for row in rows] == pytest.approx(expected["x"].tolist(), rel=1e-4)
    row = int(expected["row"].iloc[1])
    out, err = told("neighbours", "--of", "deu", "--row", row, *options)
    near = finish(neighbour_steps(tiny, spot, "deu", row))
    assert [one["text"] for one in json.loads(out)] == near["text"].tolist()
    assert tiny.corpus.text("deu", [row])[0] in err
    for wrong in (["projection", "nobody"], ["projection", "--layer", "9"], ["neighbours", "--of", "x"]):
        assert refused(*wrong, *options[:4]).startswith("interference: ")
