"""Training trajectories: which checkpoints are one run, numbers by second derivations, sentence, command and page."""

import base64
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import llama, write_checkpoint, write_corpus
from test_pages import open_page

from interference.corpus import Corpus
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.recipe import Recipe
from interference.results import open_evaluator
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.trajectory import (
    FIRST,
    MERGE,
    POINT_COLUMNS,
    SECOND,
    SUMMARY_COLUMNS,
    UNTRAINED,
    Course,
    known_course,
    mergeable_steps,
    runs,
    trajectory_sentence,
    trajectory_steps,
    trajectory_table,
)

STEPS = (100, 200, 400)


@pytest.fixture(scope="module")
def stepped(tmp_path_factory, tokenizer):
    """Two runs that leave one untrained model along straight lines: three steps each, and one that only one has."""
    folder = tmp_path_factory.mktemp("stepped")
    write_corpus(folder / "corpus.tsv")
    start = llama(0)
    write_checkpoint(start, tokenizer, folder / "init")
    entries = ["  - {name: init, role: init, path: ./init}"]
    for seed, language in ((1, "eng"), (2, "deu")):
        end = llama(seed)
        for step in (*STEPS, *((300,) if language == "eng" else ())):
            model = llama(0)
            with torch.no_grad():
                for own, last in zip(model.parameters(), end.parameters(), strict=True):
                    own.lerp_(last, step / STEPS[-1])
            name = f"{language}-{step}"
            write_checkpoint(model, tokenizer, folder / name)
            entries.append(f"  - {{name: {name}, role: mono, language: {language}, path: ./{name}, step: {step}}}")
    (folder / "suite.yaml").write_text("name: stepped\ncorpus: corpus.tsv\ncheckpoints:\n" + "\n".join(entries) + "\n")
    return folder


@pytest.fixture
def evaluator(stepped, tmp_path):
    return Evaluator(open_suite(stepped), Store(tmp_path / "own"), torch.device("cpu"))


def test_checkpoints_of_one_run(stepped):
    found = runs(open_suite(stepped))
    assert {name: (run.language, list(run.checkpoints)) for name, run in found.items()} == {
        "eng": ("eng", [100, 200, 300, 400]), "deu": ("deu", [100, 200, 400]),
    }  # fmt: skip
    assert known_course(open_suite(stepped)) == Course("eng", "deu")
    assert known_course(open_suite(stepped), second="eng") == Course("deu", "eng")
    with pytest.raises(UserError, match="no training run 'egn': did you mean 'eng'"):
        known_course(open_suite(stepped), "egn")
    with pytest.raises(UserError, match="with itself"):
        Course("eng", "eng")


def test_runs_that_share_all_but_their_names(stepped, tmp_path):
    """Seeds of one language are told apart by their names; the same step twice in one run is a mistake."""
    text = (stepped / "suite.yaml").read_text().replace("path: ./", f"path: {stepped}/")
    text = text.replace("corpus.tsv", f"{stepped}/corpus.tsv").replace("language: deu", "language: eng")
    text += "reference: {deu: deu-200}\n"  # whose text is still in the corpus
    (tmp_path / "suite.yaml").write_text(text)
    assert set(runs(open_suite(tmp_path))) == {"eng", "deu"}
    (tmp_path / "suite.yaml").write_text(text.replace("step: 200", "step: 100"))
    with pytest.raises(UserError, match="both step 100 of one run"):
        runs(open_suite(tmp_path))


def test_the_built_in_suite_has_no_runs():
    """Its checkpoints have a step, one for each run."""
    with pytest.raises(UserError, match="Give the checkpoints of each run their `step`"):
        known_course(open_evaluator().suite)


def test_every_point_is_the_model_it_says(evaluator):
    table = finish(trajectory_steps(evaluator, Course("eng", "deu"), ("eng", "deu"), 10))
    rows = evaluator.corpus.rows(10)
    for unit in table.points:
        assert tuple(table.points[unit].columns) == POINT_COLUMNS
        assert tuple(table.summary[unit].columns) == SUMMARY_COLUMNS
    points = table.points["bits per sentence"].set_index(["step", "role", "language"])["value"]
    merge = Recipe("linear", ("eng-200", "deu-200"), (0.5, 0.5))
    for place, model in {
        (200, MERGE): merge,
        (300, FIRST): "eng-300",
        (400, SECOND): "deu-400",
        (0, UNTRAINED): "init",
    }.items():
        assert points[(*place, "deu")] == pytest.approx(evaluator.bits(model, "deu", rows).mean())
    assert (300, MERGE, "deu") not in points.index
    summary = table.summary["bits per sentence"]
    assert sorted(set(summary["step"])) == list(STEPS)
    row = summary[(summary["step"] == 200) & (summary["language"] == "deu")].iloc[0]
    better = min(points[200, FIRST, "deu"], points[200, SECOND, "deu"])
    assert row["excess"] == pytest.approx(points[200, MERGE, "deu"] - better)


def by_hand(merged: dict[int, float], untrained: float | None = 9.0, parents=(1.0, 20.0)):
    """Two runs that need 1 and 20 bits, merged with so many at each step."""
    corpus = Corpus("c", {"eng": ("ab", "cd", "ef", "gh")}, tuple("abcd"), True)
    bits = {(step, role, "eng"): np.full(4, level) for step, level in merged.items()
            for role, level in ((FIRST, parents[0]), (SECOND, parents[1]), (MERGE, level))}  # fmt: skip
    if untrained is not None:
        bits[0, UNTRAINED, "eng"] = np.full(4, untrained)
    models = {place[:2]: str(place[1]) for place in bits}
    return trajectory_table(Course("a", "b"), ("eng",), bits, models, corpus, np.arange(4), {})


def test_what_a_merge_keeps_by_hand():
    """From 9 to 1 bits is a gain of 8: a merge of 3 keeps three quarters and is mergeable, one of 6 is not."""
    table = by_hand({10: 3.0, 20: 6.0})
    summary = table.summary["bits per sentence"].set_index("step")
    assert summary["kept"].to_dict() == pytest.approx({10: 0.75, 20: 0.375})
    assert summary["excess"].to_dict() == pytest.approx({10: 2.0, 20: 5.0})
    assert summary["better_parent"].tolist() == ["a", "a"]
    joined = table.joined("bits per sentence")
    assert joined.loc[joined["role"] != MERGE, "excess"].isna().all()
    assert joined.loc[joined["role"] == MERGE, "excess"].tolist() == [2.0, 5.0]
    assert mergeable_steps(table, "bits per sentence") == ([10], [20])


@pytest.mark.parametrize(
    ("merged", "options", "said"),
    [
        ({10: 2.0, 20: 3.0}, {}, "mergeable at every step"),
        ({10: 8.0, 2000: 8.5}, {}, "mergeable at no step.*: at step 10 already their average is not shown to keep 0.5"),
        ({10: 2.0, 1000: 8.0}, {}, "stop being mergeable between step 10 and 1,000"),
        ({10: 2.0, 20: 8.0, 30: 2.0, 40: 8.0}, {}, "between step 30 and 40.*, with 1 exception before"),
        ({10: 8.0, 20: 2.0}, {}, "mergeable at the end"),
        ({10: 2.0}, {"untrained": None}, "can't be said.*no single untrained"),
        ({10: 2.0}, {"parents": (9.0, 9.5)}, "can't be said.*neither parent is better"),
    ],
)
def test_the_sentence_says_when(merged, options, said):
    import re

    assert re.search(said, trajectory_sentence(by_hand(merged, **options), "bits per sentence"))


def test_the_sentence_says_how_many_steps_are_not_judged():
    table = by_hand({10: 2.0, 20: 3.0})
    unit = "bits per sentence"
    summary = table.summary[unit].assign(mergeable=[True, None])
    other = summary.assign(language="deu", mergeable=[None, None])
    for own, languages, said in (
        (summary, ("eng",), "every step** of both where that can be judged, up to 10. 1 of 2 steps can't be judged."),
        (pd.concat([summary, other]), ("eng", "deu"),
         "up to 10. 1 of 2 steps can't be judged; 1 of 2 steps are judged in some of the languages alone."),
    ):  # fmt: skip
        assert trajectory_sentence(replace(table, summary={unit: own}, languages=languages), unit).endswith(said)


@pytest.mark.parametrize(
    ("steps", "kind"), [((1, 10, 100, 1000), "log"), ((100, 200, 300, 400), None), ((1, 1000), None)]
)
def test_steps_at_factors_are_drawn_so(steps, kind):
    """And all of the untrained level is drawn, though its own step 0 has no place there."""
    from interference.figures.trajectory import MEASURES, trajectory_figure

    table = by_hand(dict.fromkeys(steps, 3.0))
    points, summary = table.points["bits per sentence"], table.summary["bits per sentence"]
    names = dict.fromkeys((FIRST, SECOND, MERGE), "a")
    for measure in MEASURES:
        figure = trajectory_figure(points, summary, names, "bits per sentence", measure, steps[0])
        assert figure.layout.xaxis.type == kind
        levels = [list(trace.x) for trace in figure.data if trace.name == "untrained"]
        assert levels == ([[steps[0], steps[-1]]] if measure == MEASURES[0] else [])
        lines = [shape for shape in figure.layout.shapes if shape.y0 == shape.y1 == 0]
        assert len(lines) == (measure != MEASURES[0]), "zero is as good as the better parent"


def _numbers(coded):
    """A list of a figure's JSON, where Plotly has packed it."""
    return np.frombuffer(base64.b64decode(coded["bdata"]), coded["dtype"]).tolist() if "bdata" in coded else list(coded)


def test_command_and_page_show_the_same(stepped, monkeypatch, told, refused):
    out, err = told("trajectory", "--suite", stepped, "--sentences", "6", "--format", "json")
    rows = json.loads(out)
    assert {row["role"] for row in rows} == {FIRST, SECOND, MERGE, UNTRAINED}
    assert "mergeable" in err
    refused("trajectory", "eng", "eng", "--suite", stepped)
    monkeypatch.setenv("INTERFERENCE_SUITE", str(stepped))
    app = open_page("pages/trajectory.py")
    assert not app.exception
    assert not app.error
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    merged = [trace for trace in figure["data"] if trace.get("name") == "their merge"]
    assert [_numbers(trace["x"]) for trace in merged] == [list(STEPS)] * 2
    app.select_slider[0].set_value(200).run()
    assert not app.exception
    assert set(app.dataframe[0].value["step"]) == {200}
    assert any("line is the step of the table, in bits per sentence" in caption.value for caption in app.caption)


def test_the_page_says_what_a_suite_lacks(suite_folder, monkeypatch):
    monkeypatch.setenv("INTERFERENCE_SUITE", str(suite_folder))
    app = open_page("pages/trajectory.py")
    assert not app.exception
    assert not app.error, "no mistake of anybody's"
    assert "has no training runs; a trajectory needs two" in app.info[0].value
