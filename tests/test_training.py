"""Suites of training runs, of which defaults take the last checkpoints, and of more checkpoints than a panel holds."""

import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tokenizers
import torch
from conftest import llama, write_checkpoint, write_corpus
from test_pages import open_page

from interference import files
from interference.bench import PARENTS
from interference.checkpoint import Checkpoint, reading
from interference.conflict.survey import default_models, default_notes
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.figures.losses import heat_map, merge_data
from interference.generate import equal_merge
from interference.guide import guide, opening
from interference.pairs import models_of
from interference.recipe import Recipe
from interference.similarity_request import default_models as default_states
from interference.similarity_request import multilingual
from interference.store import Store
from interference.suite import Suite, open_suite
from interference.training import last_steps

MANY = 101  # more than any method merges


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer) -> Path:
    """A checkpoint, which the suites here have under many names."""
    return write_checkpoint(llama(1), tokenizer, tmp_path_factory.mktemp("many") / "one")


def runs_of(folder: Path, **runs: tuple[str, str | None]) -> Suite:
    """A suite of runs, each of the role and language given, with three steps that are not in order."""
    found = [
        Checkpoint(f"{name}-{step}", folder, role, language, None, step)
        for name, (role, language) in runs.items()
        for step in (200, 1000, 50)
    ]
    return Suite("runs", None, (Checkpoint("init", folder, "init"), *found))


def test_of_a_run_the_last_checkpoint_is_what_is_meant_unless_told(folder):
    languages = ("eng", "deu", "fra", "spa", "nld")
    suite = runs_of(folder, **{code: ("mono", code) for code in languages}, mixed=("mixed", None))
    monos = tuple(f"{code}-1000" for code in languages)
    assert [suite.reference(code) for code in languages] == list(monos)
    assert suite.together == opening(suite).models == equal_merge(suite).models == default_models(suite) == monos
    assert default_states(suite) == (*monos, "mixed-1000")
    assert multilingual(suite) == "mixed-1000"
    assert models_of(suite, "mono") == dict(zip(languages, monos, strict=True))
    assert guide(suite)[-1].sentence.startswith("All 5 monolingual models")


def test_seeds_of_a_language_are_runs_of_their_own_and_settle_no_reference(folder):
    suite = runs_of(folder, seed1=("mono", "eng"), seed2=("mono", "eng"))
    assert [c.name for c in last_steps(suite.checkpoints)] == ["init", "seed1-1000", "seed2-1000"]
    assert suite.reference("eng") is None
    assert suite.together == ("seed1-1000", "seed2-1000")


def test_a_run_alone_is_merged_with_itself(folder):
    """Without a second run its checkpoints are what can be merged, as runs of another role are without monos."""
    assert runs_of(folder, eng=("mono", "eng")).together == ("init", "eng-1000")
    assert runs_of(folder, a=("other", None), b=("other", None)).together == ("init", "a-1000", "b-1000")
    alone = Suite("run", None, runs_of(folder, eng=("mono", "eng")).checkpoints[1:])
    assert alone.together == ("eng-200", "eng-1000", "eng-50")


def many(folder: Path) -> Suite:
    checkpoints = tuple(Checkpoint(f"m{number}", folder, "mono", f"l{number}") for number in range(MANY))
    return Suite("many", None, checkpoints)


def test_of_more_models_than_a_panel_holds_the_first_are_taken_and_that_is_said(folder):
    suite = many(folder)
    first = suite.names[:PARENTS]
    assert default_models(suite) == equal_merge(suite).models == first
    assert default_notes(suite) == (f"Of {MANY} checkpoints that can be merged the first 20 are taken; name others.",)
    step = guide(suite)[-1]
    assert (step.title, step.recipe.models) == ("20 averaged", first)
    assert step.sentence.startswith(f"20 of {MANY} monolingual models")
    assert opening(suite) is None
    with pytest.raises(UserError, match="linear merges at most 100 models, the recipe names 101"):
        Recipe("linear", suite.names, (1.0,) * MANY)


def test_monolingual_models_that_are_not_taken_are_named(folder, tokenizer, tmp_path):
    """Those of other shapes or tokenizers can't be merged; without two that can others are, which nobody named."""
    wide = write_checkpoint(llama(1, hidden_size=48), tokenizer, tmp_path / "wide")
    eng, deu = (Checkpoint(code, folder, "mono", code) for code in ("eng", "deu"))
    fra, init = Checkpoint("fra", wide, "mono", "fra"), Checkpoint("init", folder, "init")
    assert default_notes(Suite("alike", None, (init, eng, deu))) == ()
    some = Suite("some", None, (init, eng, deu, fra))
    assert default_models(some) == ("eng", "deu")
    assert default_notes(some) == ("Of 3 monolingual models these can't be merged with the others: fra.",)
    none = Suite("none", None, (init, eng, fra))
    assert default_models(none) == ("init", "eng")
    said = "No two monolingual models can be merged with each other: init, eng are taken; name others."
    assert default_notes(none) == (said,)


def test_pages_open_on_more_models_than_a_method_merges(folder, tmp_path, monkeypatch):
    write_corpus(tmp_path / "corpus.tsv")
    entries = [
        f"- {{name: m{number}, role: mono, language: {'eng' if number % 2 else 'deu'}, path: {folder}}}"
        for number in range(MANY)
    ]
    (tmp_path / "suite.yaml").write_text("\n".join(["corpus: corpus.tsv", "checkpoints:", *entries]))
    monkeypatch.setenv("INTERFERENCE_SUITE", str(tmp_path))
    app = open_page()
    assert not app.exception
    assert len(app.multiselect(key="parents").value) == PARENTS
    for page, said in (
        ("weights", "first 20 are taken"),
        ("compare", "first 20 are taken"),
        ("similarity", "first 30 of 101"),
    ):
        app = open_page(f"pages/{page}.py")
        assert not app.exception
        assert any(said in caption.value for caption in app.caption)


def test_folders_come_in_the_order_of_the_numbers_in_their_names(folder, tmp_path):
    for name in ("step1000", "step200", "step0", "b", "a10", "a9"):
        (tmp_path / name).symlink_to(folder)
    assert open_suite(tmp_path).names == ("a9", "a10", "b", "step0", "step200", "step1000")


def test_figures_of_many_rows_are_no_taller_than_they_can_be_read():
    """Their rows come closer together, their titles and legends stay apart, and every language has its label."""
    codes = [f"l{number}" for number in range(120)]
    cells = pd.MultiIndex.from_product([codes, codes], names=["model", "language"]).to_frame(index=False)
    heat = heat_map(cells.assign(value=1.0, low=0.5, high=1.5, bits_per_byte=1.0), "loss", "bits")
    assert heat.layout.height < 1600
    assert heat.data[0].texttemplate is None
    assert list(heat.layout.xaxis.ticktext) == codes
    assert heat.data[0].colorbar.len < 800

    row = {"role": "merge", "sentences": 9, "model": "merge", "value": 1.0, "low": 0.5, "high": 1.5, "cost_value": None}
    layout: Any = merge_data(pd.DataFrame([row | {"language": code} for code in codes]), "bits", "Average", 9)["layout"]
    assert layout["height"] < 2100
    assert layout["height"] * (layout["title"]["y"] - layout["legend"]["y"]) > 20  # pixels: a line of text and more
    assert layout["yaxis"]["range"] == [119.5, -0.5]  # of itself Plotly leaves a twentieth above and below


def test_files_of_a_slow_disk_are_looked_at_a_tenth_of_the_time(folder, tmp_path, monkeypatch):
    write_corpus(tmp_path / "corpus.tsv")
    (tmp_path / "suite.yaml").write_text(f"corpus: corpus.tsv\ncheckpoints: [{{name: a, path: {folder}}}]\n")
    evaluator = Evaluator(open_suite(tmp_path), Store(tmp_path / "own"), torch.device("cpu"))
    looked, stamps = [], files._stamps

    def slow(suite: Suite) -> dict[str, tuple[int, int]]:
        looked.append(suite)
        time.sleep(0.05)
        return stamps(suite)

    monkeypatch.setattr(files, "_SELDOM", 9)
    monkeypatch.setattr(files, "_stamps", slow)
    assert not any(evaluator.changed() for _ in range(5))
    assert len(looked) == 1
    (tmp_path / "corpus.tsv").write_text("eng\tdeu\na\tb\n")
    time.sleep(0.05 * (files._SELDOM + 3))
    assert [evaluator.changed(), evaluator.changed()] == [True, True]


def test_the_tokenizer_that_checkpoints_share_is_read_once(folder, tmp_path, monkeypatch):
    """Those of one training have copies of one file, and reading a large one takes a second."""
    read: list[str] = []

    class Counted:
        @staticmethod
        def from_file(file: str) -> tokenizers.Tokenizer:
            read.append(file)
            return own.from_file(file)

    own = tokenizers.Tokenizer
    monkeypatch.setattr(tokenizers, "Tokenizer", Counted)
    monkeypatch.setattr(reading, "_maps", {})
    for name in ("step1", "step2", "step3"):
        shutil.copytree(folder, tmp_path / name)
    (tmp_path / "step3/tokenizer.json").write_text(
        (folder / "tokenizer.json").read_text().replace('"<pad>"', '"<none>"')
    )
    first, second, third = (Checkpoint(name, tmp_path / name) for name in ("step1", "step2", "step3"))
    assert first.vocabulary_digest == second.vocabulary_digest != third.vocabulary_digest
    assert len(read) == 2
