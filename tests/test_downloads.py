"""What pages give away: the numbers that are drawn, in full, with their unit and all that they come from."""

import io
import json
import shutil

import pandas as pd
import pytest
import streamlit as st
from test_compare_page import few, start
from test_pages import button, open_page, send, settled
from test_predict import five  # noqa: F401 - the suite of five languages
from test_trajectory import stepped  # noqa: F401 - two runs of three steps

from interference.recipe import parse_recipe
from interference.suite import open_suite
from interference.tables import with_provenance


@pytest.fixture
def own_suite(suite_folder, tmp_path):
    """The tiny suite in a folder of its own: what is known of it in this process is not other tests'."""
    return shutil.copytree(suite_folder, tmp_path / "own")


@pytest.fixture
def given(monkeypatch):
    """The file behind every download button by its label, as the page was drawn last."""
    found = {}
    plain = st.download_button

    def button(label, data, *args, **options):
        found[label] = data
        return plain(label, data, *args, **options)

    monkeypatch.setattr(st, "download_button", button)
    return lambda label: pd.read_csv(io.StringIO(found[label]()), keep_default_na=False, na_values=[""])


@pytest.fixture
def printed(told):
    """The CSV of a command."""

    def run(*arguments) -> pd.DataFrame:
        out, _ = told(*arguments, "--format", "csv")
        return pd.read_csv(io.StringIO(out), keep_default_na=False, na_values=[""])

    return run


def opened_on(folder, monkeypatch, page, **query):
    monkeypatch.setenv("INTERFERENCE_SUITE", str(folder))
    app = open_page(page, **query)
    assert not app.exception
    assert not app.error
    return app


def weights_named(found: pd.DataFrame, folder) -> set[str]:
    """The checkpoints whose digests a file has in all of its rows; they are those of the suite."""
    suite, (said,) = open_suite(folder), found["weights_sha256"].unique()
    names = {part.rpartition(":")[0]: part.rpartition(":")[2] for part in said.split(" ")}
    assert names == {name: suite[name].digest for name in names}
    return set(names)


def test_no_column_of_numbers_is_written_over():
    frame = pd.DataFrame({"pairs": [10]})
    assert list(with_provenance(frame, {"suite": "s"}, unit="bits")) == ["pairs", "unit", "suite"]
    with pytest.raises(ValueError, match=r"\['pairs'\] are there already"):
        with_provenance(frame, {"pairs": "mono"})


def test_a_causal_map(own_suite, given, printed, monkeypatch, tmp_path):
    opened_on(own_suite, monkeypatch, "pages/causal.py", causal_language="deu", causal_control="true")
    found = given("Causal map, CSV")
    assert weights_named(found, own_suite) == {"init", "mono-eng", "mono-deu"}
    (tmp_path / "r.yaml").write_text(found["recipe"][0])
    own = printed("causal", "--recipe", tmp_path / "r.yaml", "--language", "deu", "--suite", own_suite)
    pd.testing.assert_frame_equal(found[list(own)], own, check_exact=True)
    assert set(own["unit"]) == {"bits per sentence"}


def test_pins_beside_a_baseline(own_suite, given, monkeypatch):
    """Costs are counted from a pin, which the file calls as the page does."""
    app = opened_on(own_suite, monkeypatch, "pages/merge.py")
    for label in ("Pin", "Pin", "Make baseline"):
        button(app, label).click().run()
    assert not app.exception
    found = given("Pins, CSV")
    first, second = dict.fromkeys(found["model"])
    assert (first[:4], second[:4]) == ("1 · ", "2 · ")
    assert set(found["reference"]) == {first}
    assert not any("\0" in caption.value for caption in app.caption)


def test_sentences_are_those_that_are_shown(own_suite, given, monkeypatch):
    app = opened_on(own_suite, monkeypatch, "pages/text.py")
    assert set(given("Sentences as CSV")["language"]) == {"eng", "deu"}
    app.multiselect(key="costs_languages").set_value(["deu"]).run()
    found = given("Sentences as CSV")
    assert set(found["language"]) == {"deu"}
    assert found["text"].tolist() == app.dataframe[0].value["text"].tolist()


def test_a_comparison(own_suite, given, printed, monkeypatch):
    """Every merge with its recipe, for the settings in a line name no models and round."""
    few(monkeypatch)
    app = opened_on(own_suite, monkeypatch, "pages/compare.py")
    if begin := start(app):
        begin.click().run()
    found = given("Comparison, CSV")
    assert weights_named(found, own_suite) >= {"init", "mono-eng", "mono-deu"}
    merges = found.dropna(subset=["recipe"])
    assert set(merges["method"]) == {"linear", "slerp", "linear+rescale"}
    assert all(parse_recipe(text).models == ("mono-eng", "mono-deu") for text in merges["recipe"])
    own = printed("compare", "--suite", own_suite, "--base", "init").drop(columns="seconds")
    pd.testing.assert_frame_equal(found[list(own)], own, check_exact=True)


def test_a_prediction(five, given, printed, monkeypatch):  # noqa: F811
    app = opened_on(five.path, monkeypatch, "pages/predict.py")
    app.multiselect(key="predict_measures").set_value(["cosine", "token_overlap"]).run()
    button(app, "Merge and measure").click().run()
    measures = ["--suite", five.path, "--measure", "cosine,token_overlap"]
    for label, options in (("Ranking, CSV", []), ("Pairs, CSV", ["--pairs"])):
        found, own = given(label), printed("predict", *measures, *options)
        assert weights_named(found, five.path) == set(five.names)
        pd.testing.assert_frame_equal(found[list(own)], own, check_exact=True)
        assert set(found["damage_is"]) == {"damage of the merge, bits per sentence"}
    assert set(given("Ranking, CSV")["pairs"]) == {10}


def test_a_trajectory(stepped, given, printed, monkeypatch):  # noqa: F811
    app = opened_on(stepped, monkeypatch, "pages/trajectory.py")
    app.selectbox(key="unit").set_value("bits per byte").run()
    found = given("Trajectory, CSV")
    assert weights_named(found, stepped) == set(open_suite(stepped).names)
    own = printed("trajectory", "--suite", stepped, "--unit", "bits per byte")
    pd.testing.assert_frame_equal(found[list(own)], own, check_exact=True)
    assert set(own["unit"]) == {"bits per byte"}


def test_accuracies(own_suite, given, monkeypatch):
    opened_on(own_suite, monkeypatch, "pages/accuracy.py")
    found = given("Accuracy, CSV")
    assert found["pairs"].dtype == int
    assert set(found["pairs_from"]) == {"built-in"}


def test_accuracies_say_where_nothing_counts_tokens(own_suite, monkeypatch):
    """A corpus without documents has no dev half, and the figure no unigram control."""
    for by in ("language", "phenomenon"):
        shown = opened_on(own_suite, monkeypatch, "pages/accuracy.py", accuracy_by=by)
        assert not any("no unigram control" in caption.value for caption in shown.caption)
    text = pd.read_csv(own_suite / "corpus.tsv", sep="\t", dtype=str)
    text.drop(columns="document").to_csv(own_suite / "corpus.tsv", sep="\t", index=False)
    for by in ("language", "phenomenon"):
        shown = opened_on(own_suite, monkeypatch, "pages/accuracy.py", accuracy_by=by)
        assert any("no unigram control" in caption.value for caption in shown.caption)
        assert not any("above the unigram control" in caption.value for caption in shown.caption)


@pytest.mark.parity
def test_tasks(own_suite, given, printed, monkeypatch, tmp_path):
    """Run when asked for; the merge, its parents and the untrained model, as the command has them."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "data"))
    (tmp_path / "own.jsonl").write_text('{"one": "The dog", "two": " sleeps."}\n' * 3)
    task = {
        "task": "own_words", "dataset_path": "json", "dataset_kwargs": {"data_files": str(tmp_path / "own.jsonl")},
        "output_type": "loglikelihood", "test_split": "train", "doc_to_text": "{{one}}", "doc_to_target": "{{two}}",
        "target_delimiter": "", "metric_list": [{"metric": "acc"}, {"metric": "perplexity"}],
    }  # fmt: skip
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/own.yaml").write_text(json.dumps(task))
    app = opened_on(own_suite, monkeypatch, "pages/accuracy.py", accuracy_on="tasks")
    assert "no task yet" in app.info[0].value
    app.text_input(key="task_folder").set_value(str(tmp_path / "tasks"))
    app.text_input(key="task_names").set_value("own_word").run()
    button(app, "Run").click().run()
    assert "did you mean 'own_words'" in app.error[0].value
    assert button(app, "Run"), "it may be tried again as it is"
    app.text_input(key="task_names").set_value("own_words, own_words").run()
    app.number_input(key="task_limit").set_value(2).run()
    button(app, "Run").click().run()
    assert not app.error
    assert "**The merge has" in app.markdown[1].value
    found = given("Tasks, CSV")
    merge = found["model"].iloc[0]
    assert list(found["model"].unique()) == [merge, "mono-eng", "mono-deu", "init"]
    assert weights_named(found, own_suite) == {"mono-eng", "mono-deu", "init"}
    assert set(found["samples"]) == {2}
    own = printed(
        "tasks", "own_words", "--suite", own_suite, "--include", tmp_path / "tasks", "--limit", "2", "--checkpoint",
        "mono-eng,mono-deu,init",
    )  # fmt: skip
    broken = task | {"task": "own_broken", "doc_to_text": "{{one"}
    (tmp_path / "tasks/broken.yaml").write_text(json.dumps(broken))
    app.text_input(key="task_names").set_value("own_words, own_broken").run()
    button(app, "Run").click().run()
    assert not app.error
    assert "The task own_broken can't be run" in app.warning[0].value
    assert set(given("Tasks, CSV")["task"]) == {"own_words"}
    assert button(app, "Run").click().run().warning, "it is tried again"
    rest = found[found["model"] != merge].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest[list(own)], own, check_exact=True)
    (tmp_path / "tasks/own.yaml").write_text(json.dumps(task | {"target_delimiter": "  "}))
    app.run()
    assert not app.error
    assert button(app, "Run"), "the numbers are of a task that is another now"
    assert len(app.markdown) == 1


@pytest.mark.parametrize("view", ["All pairs", "The plane"])
def test_paths(own_suite, given, printed, monkeypatch, view):
    """Of many paths each row has the weights of its own ends, the references and the untrained model."""
    if view == "All pairs":
        opened_on(own_suite, monkeypatch, "pages/path.py", path_view=view)
        found = given("Paths, CSV")
        for (first, second), rows in found.groupby(["first", "second"]):
            assert weights_named(rows, own_suite) == {first, second, "init", "mono-eng", "mono-deu"}
    else:
        options = ["--language", "eng", "--suite", own_suite, "--points", "3", "--unit", "bits per byte"]
        assert set(printed("plane", "mono-eng", "mono-deu", "mixed", *options)["unit"]) == {"bits per byte"}


def test_a_merge_has_the_unit_that_is_drawn(own_suite, given, monkeypatch):
    opened_on(own_suite, monkeypatch, "pages/merge.py", unit="bits per English byte")
    found = given("Table, CSV")
    assert set(found["unit"]) == {"bits per English byte"}
    english = found[found["language"] == "eng"]
    assert english["value"].tolist() == pytest.approx(english["bits_per_byte"].tolist())
    assert found["low"].notna().all()


def test_pins_have_their_unit_and_recipes(own_suite, given, printed, monkeypatch, tmp_path):
    app = opened_on(own_suite, monkeypatch, "pages/merge.py", unit="bits per byte", sentences="5")
    for values in ([0.5, 0.5], [0.9, 0.2]):
        button(settled(send(app, values=values)), "Pin").click().run()
    found = given("Pins, CSV")
    assert set(found["unit"]) == {"bits per byte"}
    for _, rows in found.groupby("model"):
        (tmp_path / "r.yaml").write_text(rows["recipe"].unique().item())
        own = printed("losses", "--recipe", tmp_path / "r.yaml", "--suite", own_suite, "--sentences", "5")
        assert rows["bits"].tolist() == own["bits"].tolist()
        assert rows["value"].tolist() == pytest.approx(own["bits_per_byte"].tolist())


def test_numbers_are_printed_in_full(suite_folder, told):
    """JSON has the very numbers that CSV has."""
    arguments = ["losses", "--suite", suite_folder, "--checkpoint", "mono-eng,mono-deu"]
    own = pd.read_csv(io.StringIO(told(*arguments, "--format", "csv")[0]), float_precision="round_trip")
    read = pd.DataFrame(json.loads(told(*arguments, "--format", "json")[0]))
    pd.testing.assert_frame_equal(read.astype({"recovery": float}), own, check_exact=True)  # there is none here
    assert (own["bits"] != own["bits"].round(8)).any()
