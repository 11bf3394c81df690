"""The Text page and the commands say and sentences: the same numbers, and one message for what can't be used."""

import csv
import io
import json

import pandas as pd
import pytest
import torch
import yaml
from conftest import llama, write_checkpoint, write_corpus
from streamlit.testing.v1 import AppTest
from test_pages import ROOT, open_page

from interference.bench import History, State, View
from interference.evaluate import Evaluator
from interference.generate import default_prompt, equal_merge
from interference.losses import tokenize
from interference.recipe import Recipe
from interference.scored import Request
from interference.sentences import SentenceTable
from interference.store import Store
from interference.suite import open_suite

PAGE = "pages/text.py"


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "half.yaml"
    models = [{"model": name, "parameters": {"weight": 0.5}} for name in ("mono-eng", "mono-deu")]
    file.write_text(yaml.safe_dump({"merge_method": "linear", "models": models}))
    return file


def beginning(folder) -> str:
    """How the German prompt begins unless told."""
    corpus = open_suite(folder).corpus
    assert corpus
    return default_prompt(corpus, "deu")


# commands


def test_say_unless_told(cli, suite_folder):
    """The reference, the equal merge and mixed continue the default prompt."""
    code, out, err = cli("say", "--language", "deu", "--suite", suite_folder, "--length", 5, "--format", "json")
    assert code == 0, err
    rows = json.loads(out)
    assert [row["model"] for row in rows] == ["mono-deu", "merge", "mixed"]
    assert {row["prompt"] for row in rows} == {beginning(suite_folder)}
    assert [row["tokens"] for row in rows] == [5, 5, 5]
    assert "Bits per token" in err


def test_say_as_told(cli, suite_folder, recipe):
    """Checkpoints, then recipes by their files' names; the same seed gives the same rows, another one others."""
    arguments = [
        "say", "--language", "eng", "--suite", suite_folder, "--checkpoint", "init", "--recipe", recipe, "--prompt", "",
        "--length", 6, "--temperature", 1, "--top-p", 0.9, "--tokens", "--format", "csv",
    ]  # fmt: skip
    first, second, other = (cli(*arguments, "--seed", seed)[1] for seed in (1, 1, 2))
    assert first == second != other
    rows = list(csv.DictReader(io.StringIO(first)))
    assert [row["model"] for row in rows] == ["init"] * 6 + ["half"] * 6
    assert all(0 < float(row["probability"]) < 1 for row in rows)


def test_sentences_are_those_of_losses(cli, suite_folder, recipe):
    arguments = ["--suite", suite_folder, "--recipe", recipe, "--sentences", 4, "--format", "json"]
    rows = json.loads(cli("sentences", "--language", "eng", *arguments)[1])
    table = json.loads(cli("losses", *arguments)[1])
    assert len(rows) == 4
    assert sum(row["cost"] for row in rows) / 4 == pytest.approx(table[0]["cost"])
    assert [row["cost"] for row in rows] == sorted((row["cost"] for row in rows), reverse=True)


def test_sentences_of_a_checkpoint_against_another(cli, suite_folder):
    arguments = ["--checkpoint", "mixed", "--against", "init", "--suite", suite_folder, "--format", "csv"]
    out = cli("sentences", "--language", "eng", "--language", "deu", *arguments)[1]
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {(row["language"], row["reference"]) for row in rows} == {("eng", "init"), ("deu", "init")}
    assert len(rows) == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["say", "--language", "deux"], "has no language 'deux': did you mean 'deu'?"),
        (["say", "--language", "eng", "--temperature", "-1"], "temperature is -1.0"),
        (["say", "--language", "eng", "--top-p", "2"], "Top-p is 2.0"),
        (["say", "--language", "eng", "--prompt", "a" * 64], "mono-eng: The prompt has 64 tokens"),
        (["say", "--language", "eng", "--checkpoint", "mono-enq"], "did you mean 'mono-eng'?"),
        (["sentences", "--language", "eng"], "either --recipe or --checkpoint"),
        (["sentences", "--language", "deux", "--checkpoint", "mixed"], "did you mean 'deu'?"),
        (["sentences", "--language", "eng", "--checkpoint", "mixed", "--against", "mixd"], "did you mean 'mixed'?"),
    ],
)
def test_what_can_not_be_used_is_one_message(cli, suite_folder, arguments, message):
    code, out, err = cli(*arguments, "--suite", suite_folder)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("interference: ") == 1


# the page


def lines(app) -> list[str]:
    """The figures of the page: one for each model, the legend, and the sentence."""
    return [block.proto.body for block in app.get("html") if "it-" in block.proto.body]


def test_page_draws_both_views(own_suite):
    """Three continuations, a legend and a line of tokens, each with its sentence below and its download."""
    app = open_page(PAGE)
    assert not app.exception
    assert not app.error
    assert len(lines(app)) == 5
    assert [m.value for m in app.markdown if m.value.startswith("**")] == ["**mono-eng**", "**merge**", "**mixed**"]
    assert any(c.value.startswith("Bits per token") for c in app.caption)
    assert any("bits for this sentence" in c.value for c in app.caption)
    assert [b.label for b in app.get("download_button")] == [
        "Continuations as CSV", "Sentences as CSV", "Tokens as CSV"
    ]  # fmt: skip
    assert any("Linear average of mono-eng, mono-deu" in c.value for c in app.caption)


def test_models_that_cannot_be_merged_are_heard_by_themselves(tokenizer, tmp_path, monkeypatch):
    """Where each has another shape there is no merge, and what each writes is shown all the same."""
    for name, width in (("eng", 48), ("deu", 64)):
        write_checkpoint(llama(1, intermediate_size=width), tokenizer, tmp_path / name)
    write_corpus(tmp_path / "corpus.tsv")
    entries = "".join(f"- {{path: ./{code}, role: mono, language: {code}}}\n" for code in ("eng", "deu"))
    (tmp_path / "suite.yaml").write_text(f"corpus: corpus.tsv\ncheckpoints:\n{entries}")
    monkeypatch.setenv("INTERFERENCE_SUITE", str(tmp_path))
    app = open_page(PAGE)
    assert not app.error
    assert [m.value for m in app.markdown if m.value.startswith("**")] == ["**eng**"]
    assert any(c.value.startswith("Bits per token") for c in app.caption)
    assert any("No two checkpoints of this suite can be merged" in i.value for i in app.info)
    shown = Recipe("linear", ("eng", "deu"), (0.5, 0.5))  # as the Merge page leaves it, whose figure says why not
    app.session_state["history"] = History(State(View(shown)))
    assert not app.run().error


def test_language_prompt_and_sampling_change_what_is_written(own_suite):
    app = open_page(PAGE)
    app.selectbox(key="say_language").set_value("deu").run()
    assert app.text_input(key="prompt deu").value == beginning(own_suite)
    greedy = lines(app)[:3]
    app.get_by_key("say_how").set_value("sampled").run()
    assert not app.exception
    sampled = lines(app)[:3]
    assert sampled != greedy
    app.number_input(key="say_seed").set_value(1).run()
    assert lines(app)[:3] != sampled
    app.number_input(key="say_seed").set_value(0).run()
    assert lines(app)[:3] == sampled
    app.text_input(key="prompt deu").set_value("<b>").run()
    assert "&lt;b&gt;" in lines(app)[0]


def test_a_prompt_that_nobody_edited_is_of_the_corpus_that_is_open(own_suite, tmp_path):
    rows = [f"Yesterday {number} cats were there.\tGestern waren {number} Katzen da." for number in range(4)]
    (tmp_path / "cats.tsv").write_text("\n".join(["eng\tdeu", *rows]))
    app = open_page(PAGE)
    app.text_input(key="corpus").set_value(str(tmp_path / "cats.tsv")).run()
    assert app.text_input(key="prompt eng").value.startswith("Yesterday")
    app.text_input(key="prompt eng").set_value("Who").run()
    app.text_input(key="corpus").set_value("").run()
    assert app.text_input(key="prompt eng").value == "Who"
    app.switch_page("pages/suite.py").run()
    app.switch_page(PAGE).run()
    assert app.text_input(key="prompt eng").value == "Who"


def test_a_prompt_that_is_too_long_leaves_the_rest_of_the_page(own_suite):
    app = open_page(PAGE)
    app.text_input(key="prompt eng").set_value("a" * 64).run()
    assert not app.exception
    assert "The prompt has 64 tokens" in app.error[0].value
    assert any("bits for this sentence" in c.value for c in app.caption)
    app.text_input(key="prompt eng").set_value("").run()
    assert not app.error
    assert len(lines(app)) == 5


def test_no_parent_is_enough_with_a_merge(own_suite):
    app = open_page(PAGE)
    app.multiselect(key="say_parents eng").set_value([]).run()
    assert not app.exception
    assert [m.value for m in app.markdown if m.value.startswith("**")] == ["**merge**", "**mixed**"]


def test_filters_and_choice_of_a_sentence(own_suite):
    app = open_page(PAGE)
    first = app.dataframe[0].value
    assert set(first["language"]) == {"eng", "deu"}
    app.multiselect(key="costs_languages").set_value(["deu"]).run()
    app.text_input(key="costs_search").set_value("HUND").run()
    found = app.dataframe[0].value
    assert set(found["language"]) == {"deu"}
    assert all("Hund" in text for text in found["text"])
    app.session_state["costs_table"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    app.run()
    assert not app.exception
    chosen = lines(app)[-1]
    ids = tokenize(open_suite(own_suite)["mixed"].tokenizer, [found["text"].iloc[1]]).ids[0]
    assert chosen.count("class='it-stack'") == len(ids)
    app.text_input(key="costs_search").set_value("no such text").run()
    assert not app.exception
    assert "No sentence fits" in app.info[0].value


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ([4.0], "The one sentence costs +4.0 bits against the reference."),
        ([3.0, 1.0], "2 of 2 sentences cost more bits than under the reference: +2.0 bits on average, +3.0 at worst."),
        ([6.0, 2.0, *[-0.5] * 8], "+0.4 bits on average, +6.0 at worst, 75 % of all extra bits in the worst tenth."),
        ([1.0, *[-1.0] * 9], "1 of 10 sentences costs more bits than under the reference: −0.8 bits on average"),
        (
            [-1.0] * 10,
            "0 of 10 sentences cost more bits than under the reference: −1.0 bits on average, −1.0 at worst.",
        ),
    ],
)
def test_the_worst_tenth_is_a_share_of_what_is_extra(costs, said):
    assert said in SentenceTable(pd.DataFrame({"cost": costs}), "", {}).sentence()


def test_costs_of_the_page_are_those_of_the_library(own_suite, tmp_path):
    """And the merge is that of the Merge page, where there is one."""
    suite = open_suite(own_suite)
    shown = Recipe("linear", ("mono-eng", "mono-deu"), (0.8, 0.2))
    evaluator = Evaluator(suite, Store(tmp_path / "s", {}), torch.device("cpu"))
    equal = equal_merge(suite)
    assert equal
    for expected in (equal, shown):
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
        app.run()
        if expected is shown:
            app.session_state["history"] = History(State(View(shown)))
        app.switch_page(PAGE).run()
        frame = app.dataframe[0].value
        table = evaluator.table(Request((("merge", expected),), ("eng", "deu"))).frame
        assert frame.groupby("language")["cost"].mean()[["eng", "deu"]].to_numpy() == pytest.approx(table["cost"])
