"""Paths between checkpoints: ends, chord and barrier by second derivations, and the finding on the built-in suite."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from interference import networks
from interference.corpus import Corpus
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.figures.landscape import pairs_figure
from interference.figures.panels import PANELS, panels_note
from interference.figures.path import path_figure
from interference.path import POINT_COLUMNS, POINTS, SIDES, SUMMARY_COLUMNS, PathTable, Walk, path_table
from interference.recipe import Recipe
from interference.recipe.values import Gradient, Where
from interference.results import open_evaluator
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.sweep import path_steps
from interference.views import pairs_sentence, path_sentence


def walk(evaluator: Evaluator, first: str, second: str, points: int = 5, method: str = "linear", **named):
    languages = named.get("languages", evaluator.corpus.languages)
    return finish(path_steps(evaluator, Walk(first, second, points, method), languages, named.get("sentences", 10)))


def test_every_point_is_the_merge_it_says_and_the_ends_are_the_checkpoints(tiny):
    table = walk(tiny, "mono-eng", "mono-deu")
    rows = tiny.corpus.rows(10)
    for unit in table.points:
        assert tuple(table.points[unit].columns) == POINT_COLUMNS
        assert tuple(table.summary[unit].columns) == SUMMARY_COLUMNS
    points = table.points["bits per sentence"].set_index(["language", "weight"])["value"]
    models = {0.0: "mono-eng", 1.0: "mono-deu", 0.25: Recipe("linear", ("mono-eng", "mono-deu"), (0.75, 0.25))}
    for weight, model in models.items():
        assert points["deu", weight] == pytest.approx(tiny.bits(model, "deu", rows).mean())


def test_few_points_of_a_path_are_told_before_the_others(tiny):
    told: list[PathTable] = []
    steps, shares = path_steps(tiny, Walk("mono-eng", "mixed", 9), ("eng", "deu"), 6, told.append), list[float]()
    whole = finish(steps, shares.append)
    assert [table.walk.points for table in told] == [3, 5]
    assert shares == sorted(shares)
    for table in told:
        alone = walk(tiny, "mono-eng", "mixed", table.walk.points, languages=("eng", "deu"), sentences=6)
        pd.testing.assert_frame_equal(table.points["bits per sentence"], alone.points["bits per sentence"])
    few, all_of_it = (each.points["bits per sentence"] for each in (told[0], whole))
    pd.testing.assert_frame_equal(few, all_of_it[all_of_it["weight"].isin([0.0, 0.5, 1.0])].reset_index(drop=True))


def test_few_points_are_points_of_the_whole_path():
    for points in range(POINTS[0], POINTS[1] + 1, 2):
        whole = Walk("a", "b", points)
        assert all(set(coarse.weights) < set(whole.weights) for coarse in whole.coarser), points


def test_gap_and_excess_by_hand():
    """Bits 1, 5, 3 along a path: 4 above the better end and 3 above the middle of the chord, whatever the sentence."""
    corpus = Corpus("c", {"eng": ("ab", "cdef", "g", "hi")}, ("a", "a", "b", "b"), True)
    rows = np.arange(4)
    bits = {(w, "eng"): np.full(4, b) for w, b in ((0.0, 1.0), (0.5, 5.0), (1.0, 3.0))}
    levels = {("untrained", "eng"): np.full(4, 9.0), ("reference", "eng"): np.full(4, 1.0)}
    table = path_table(Walk("a", "b", 3), bits, levels, corpus, rows, {})
    middle = table.points["bits per sentence"].iloc[1]
    assert (middle["excess"], middle["gap"], middle["gap_low"], middle["gap_high"]) == (4, 3, 3, 3)
    summary = table.summary["bits per sentence"].iloc[0]
    assert (summary["barrier"], summary["barrier_at"], summary["best_parent"], summary["untrained"]) == (3, 0.5, "a", 9)
    assert table.summary["bits per byte"].iloc[0]["barrier"] == pytest.approx(3 * 4 / 9)  # 4 sentences of 9 bytes


@pytest.mark.parametrize(
    ("first", "second", "untrained", "reference", "reason"),
    [
        (1.0, 8.0, 9.0, 1.0, "b does not know it"),
        (8.0, 8.5, 9.0, 1.0, "a and b do not know it"),
        (1.0, 2.0, None, 1.0, "no single untrained checkpoint"),
        (1.0, 2.0, 9.0, None, "no reference"),
        (1.0, 2.0, 9.0, 9.0, "the reference does no better"),
        (1.0, 4.9, 9.0, 1.0, ""),
        (1.0, 5.1, 9.0, 1.0, "b does not know it"),
    ],
)
def test_a_barrier_is_defined_only_where_both_ends_know_the_language(first, second, untrained, reference, reason):
    corpus = Corpus("c", {"eng": ("ab", "cd")}, ("a", "b"), True)
    bits = {(w, "eng"): np.full(2, b) for w, b in ((0.0, first), (0.5, 7.0), (1.0, second))}
    named = {"untrained": untrained, "reference": reference}
    levels = {(role, "eng"): np.full(2, level) for role, level in named.items() if level is not None}
    row = path_table(Walk("a", "b", 3), bits, levels, corpus, np.arange(2), {}).summary["bits per sentence"].iloc[0]
    assert reason in row["why_no_barrier"]
    assert bool(row["why_no_barrier"]) == np.isnan(row["barrier"])


def by_hand(ends: dict[str, tuple[float, float]], middle: float = 7.0, levels=(9.0, 1.0), spread=0.0, **named):
    """The table of a path from a to b whose sentences need the same bits, but for a spread at b's documents."""
    corpus = Corpus("c", dict.fromkeys(ends, ("ab", "cd", "ef", "gh")), tuple("abcd"), True)
    noise = spread * np.array([-1.0, 1.0, -1.0, 1.0])
    bits: dict[tuple[float, str], np.ndarray] = {}
    for language, (first, second) in ends.items():
        points = ((0.0, np.full(4, first)), (0.5, np.full(4, middle)), (1.0, np.full(4, second) + noise))
        bits |= {(weight, language): values for weight, values in points}
    known = zip(("untrained", "reference"), levels, strict=True)
    found = {(role, code): np.full(4, level) for role, level in known for code in ends if level is not None}
    return path_table(Walk("a", "b", 3), bits, found, corpus, np.arange(4), {}, **named)


def test_a_language_is_known_only_with_all_of_the_interval():
    """Half of the way from 9 to 1 is 5: 4.9 without spread is known, 4.9 give or take 1 is not, 2 give or take 1 is."""
    known = [
        by_hand({"eng": (1.0, end)}, spread=spread).summary["bits per byte"]["known_by"].item()
        for end, spread in ((4.9, 0.0), (4.9, 1.0), (2.0, 1.0))
    ]
    assert known == ["a, b", "a", "a, b"]
    assert by_hand({"eng": (1.0, 1.0)}, levels=(None, 1.0)).summary["bits per byte"]["known_by"].item() is None


def test_the_sentence_counts_languages_that_an_end_knows():
    """Where neither does, a merge that is below both ends has gained nothing."""
    table = by_hand({"eng": (1.0, 20.0), "deu": (20.0, 2.0), "fra": (90.0, 90.0)})
    sentence = path_sentence(table, "bits per sentence")
    assert "that an end knows (2 of 3) are 5.50 bits per sentence above" in sentence
    assert "no language is known to both ends" in sentence
    assert "0.50 bits per sentence below" in path_sentence(by_hand({"eng": (1.0, 1.0)}, 0.5), "bits per sentence")
    assert "neither end knows" in path_sentence(by_hand({"fra": (90.0, 90.0)}), "bits per sentence")
    unsaid = by_hand({"eng": (1.0, 1.0)}, levels=(None, 1.0))
    assert "the suite has no single untrained" in path_sentence(unsaid, "bits per sentence")
    assert pairs_sentence([unsaid], "bits per sentence").startswith(
        "**1 pair, 1 language.** Halfway, they are 6.00 bits"
    )
    several = pairs_sentence([unsaid, unsaid], "bits per sentence")
    assert "the suite has no single untrained" in several
    assert "that an end knows" not in several


def test_where_no_language_has_a_barrier_none_is_named():
    ends = {"eng": (1.0, 1.0), "deu": (1.0, 1.0)}
    assert "no barrier in any of the 2" in path_sentence(by_hand(ends, 0.5), "bits per sentence")
    assert "highest barrier is 0.50 (English (eng), of 2" in path_sentence(by_hand(ends, 1.5), "bits per sentence")


def test_text_that_its_tokenizer_loses_has_no_bits_per_byte():
    table = by_hand({"eng": (1.0, 2.0), "deu": (2.0, 1.0)}, lossy=["deu"], notes=["It loses text."])
    assert "It loses text." in table.notes
    points = {unit: frame.set_index("language") for unit, frame in table.points.items()}
    assert points["bits per byte"].loc["deu", list(SIDES)].isna().all(axis=None)
    assert points["bits per byte"].loc["eng", list(SIDES)].notna().all(axis=None)
    assert points["bits per sentence"].loc["deu", list(SIDES)].notna().all(axis=None)
    summary = table.summary["bits per byte"].set_index("language")
    assert summary["barrier"].isna().to_dict() == {"eng": False, "deu": True}
    assert points["bits per English byte"].loc["deu", list(SIDES)].isna().all(axis=None)
    assert points["bits per English byte"].loc["eng", list(SIDES)].notna().all(axis=None)
    assert "(1 of 1)" in path_sentence(table, "bits per byte")


def test_a_path_says_what_its_tokenizers_lose(tiny, monkeypatch):
    """From either end, as a loss table does."""
    monkeypatch.setattr(tiny, "tokenization", lambda scored, *rest: ({(list(scored)[1], "deu")}, ("It loses text.",)))
    table = walk(tiny, "mono-eng", "mono-deu", 3)
    assert table.notes[-1] == "It loses text."
    assert set(table.points["bits per byte"].dropna()["language"]) == {"eng"}


def test_every_merge_is_made_once(tiny, monkeypatch):
    made: list[Recipe] = []
    real = networks.merge_into

    def counted(recipe, *rest):
        made.append(recipe)
        return real(recipe, *rest)

    monkeypatch.setattr(networks, "merge_into", counted)
    walk(tiny, "mono-eng", "mono-deu", 5)
    assert len(made) == len(set(made)) == 3


def test_the_figure_names_every_line_once_wherever_it_first_appears():
    """A chord that only the second language has is in the legend; without an untrained model there is no such line."""
    figure = path_figure(by_hand({"eng": (1.0, 20.0), "deu": (1.0, 2.0)}), "bits per byte", "loss")
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert sorted(shown) == ["along the path", "better parent", "chord between the ends", "untrained"]
    chords = [trace for trace in figure.data if trace.name == "chord between the ends"]
    assert [list(chord.y) for chord in chords] == [[0.5, 1.0]]
    figure = path_figure(by_hand({"eng": (1.0, 2.0)}, levels=(None, 1.0)), "bits per byte", "loss")
    assert "untrained" not in [trace.name for trace in figure.data]


def test_the_way_back_is_the_same_way(tiny):
    there, back = walk(tiny, "mono-eng", "mixed"), walk(tiny, "mixed", "mono-eng")
    for column in ("value", "excess", "gap"):
        forth = there.points["bits per byte"].pivot(index="language", columns="weight", values=column).to_numpy()
        reverse = back.points["bits per byte"].pivot(index="language", columns="weight", values=column).to_numpy()
        np.testing.assert_allclose(forth, reverse[:, ::-1], atol=1e-4)


def test_slerp_takes_another_way_between_the_same_ends(tiny):
    line, arc = walk(tiny, "mono-eng", "mono-deu"), walk(tiny, "mono-eng", "mono-deu", method="slerp")
    a, b = (t.points["bits per sentence"]["value"].to_numpy().reshape(2, 5) for t in (line, arc))
    np.testing.assert_allclose(a[:, [0, -1]], b[:, [0, -1]])
    assert np.abs(a[:, 1:-1] - b[:, 1:-1]).min() > 1e-3


@pytest.mark.parametrize(
    ("recipe", "place"),
    [
        (Recipe("linear", ("a", "b"), (0.75, 0.25)), 0.25),
        (Recipe("linear", ("b", "a"), (0.75, 0.25)), 0.75),
        (Recipe("linear", ("a", "b"), (3.0, 1.0)), 0.25),
        (Recipe("linear", ("a", "b"), (3.0, 1.0), (("normalize", False),)), None),
        (Recipe("linear", ("a", "b"), (1.5, -0.5)), None),
        (Recipe("linear", ("a", "b", "c"), (1.0, 1.0, 1.0)), None),
        (Recipe("linear", ("a", "b"), (1.0, 1.0), post=("rescale",)), None),
        (Recipe("slerp", ("a", "b"), knobs=(("t", 0.25),)), None),
        (Recipe("linear", ("a", "b", "b"), (0.5, 0.2, 0.3)), None),
        (Recipe("linear", ("a", "b"), (Where((("mlp", 1.0), (None, 0.5))), 0.5)), None),
    ],
)
def test_the_place_of_a_merge_on_a_path(recipe, place):
    assert Walk("a", "b").place(recipe) == (pytest.approx(place) if place is not None else None)


def test_the_place_of_a_slerp():
    assert Walk("a", "b", method="slerp").place(Recipe("slerp", ("b", "a"), knobs=(("t", 0.25),))) == 0.75
    layered = Recipe("slerp", ("b", "a"), knobs=(("t", Gradient((0.0, 1.0))),))
    assert Walk("a", "b", method="slerp").place(layered) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Walk("a", "a"), "no length"),
        (lambda: Walk("a", "b", 2), "give 3 to 101"),
        (lambda: Walk("a", "b", 1000), "give 3 to 101"),
        (lambda: Walk("a", "b", 4), "an odd number"),
        (lambda: Walk("a", "b", 5, "ties"), "not by 'ties'"),
    ],
)
def test_what_is_no_path(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_unknown_ends_and_languages(tiny):
    with pytest.raises(UserError, match="mono-eng"):
        walk(tiny, "mono-egn", "mixed")
    with pytest.raises(UserError, match="no language 'fra'"):
        walk(tiny, "mono-eng", "mixed", languages=("fra",))


def test_the_finding_on_paths():
    """Between two monos a large excess in both languages and no barrier that is defined; between two branches a
    barrier that is defined, and it and the excess near zero."""
    evaluator = open_evaluator()

    def summary(first: str, second: str):
        table = walk(evaluator, first, second, 3, languages=("eng", "deu"), sentences=20)
        return table.summary["bits per sentence"].set_index("language")

    monos = summary("mono-eng", "mono-deu")
    assert (monos["middle_excess_low"] > 2 * monos["best"]).all()
    assert monos["barrier"].isna().all()
    assert monos["why_no_barrier"].tolist() == ["mono-deu does not know it", "mono-eng does not know it"]
    branches = summary("branch-eng", "branch-deu")
    assert (branches["why_no_barrier"] == "").all()
    assert (branches["barrier"] < 0.01 * branches["best"]).all()
    assert (branches["middle_excess"] < 0.12 * branches["best"]).all()


def test_the_command_prints_what_the_page_shows(suite_folder, told, refused, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = ["--suite", str(suite_folder), "--points", "3", "--sentences", "6", "--language", "deu"]
    out = json.loads(told("path", "mono-eng", "mono-deu", *arguments, "--format", "json")[0])
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path / "own"), torch.device("cpu"))
    table = walk(evaluator, "mono-eng", "mono-deu", 3, languages=("deu",), sentences=6)
    points = table.points["bits per sentence"]
    assert [row["weight"] for row in out] == [0, 0.5, 1]
    assert {(row["method"], row["unit"]) for row in out} == {("linear", "bits per sentence")}
    assert [row["value"] for row in out] == pytest.approx(points["value"].tolist())
    assert {row["why_no_barrier"] for row in out} == set(table.summary["bits per sentence"]["why_no_barrier"])
    assert "no length" in refused("path", "mono-eng", "mono-eng", *arguments)


def test_a_figure_has_room_for_so_many_languages_and_the_ends_own_come_first():
    own = ("x98", "x99")
    table = by_hand({f"x{n:02}": (1.0, 2.0) for n in range(100)})
    figure = path_figure(table, "bits per byte", "loss", own=own)
    titles = [a.text for a in figure.layout.annotations][:PANELS]
    assert titles == [*own, *(f"x{n:02}" for n in range(PANELS - 2))]
    assert f"{PANELS} of 100" in panels_note(100)
    few = by_hand({f"x{n:02}": (1.0, 2.0) for n in range(PANELS)})
    in_order = [a.text for a in path_figure(few, "bits per byte", "loss", own=("x09",)).layout.annotations][:PANELS]
    assert in_order == [f"x{n:02}" for n in range(PANELS)]
    assert panels_note(PANELS) == ""
    titles = [a.text for a in pairs_figure([table], "bits per byte", own).layout.annotations]
    assert titles[:PANELS] == [*own, *(f"x{n:02}" for n in range(PANELS - 2))]


def test_the_legend_stands_as_far_above_many_panels_as_above_few():
    for count in (2, 30):
        layout = path_figure(by_hand({f"x{n:02}": (1.0, 2.0) for n in range(count)}), "bits per byte", "loss").layout
        inside = layout.height - layout.margin.t - layout.margin.b
        assert (layout.legend.y - 1) * inside == pytest.approx(30)


def test_a_band_of_few_points_has_no_markers():
    """Plotly draws them on lines of fewer than twenty points unless told."""
    figure = path_figure(by_hand({"eng": (1.0, 20.0)}), "bits per byte", "loss")
    assert [trace.mode for trace in figure.data if trace.fill] == ["lines"]
