"""What "copy as command" and "copy as Python" give is run as it stands, and prints the numbers of the page."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from interference.bench import View
from interference.evaluate import Evaluator
from interference.guide import guide
from interference.recipe import Recipe
from interference.snippets import as_command, as_python
from interference.store import Store
from interference.suite import open_suite
from interference.views import merge_request

RECIPES = {
    "linear": Recipe("linear", ("mono-eng", "mono-deu"), (0.3, 0.7), (("normalize", True),)),
    "ties": Recipe("ties", ("branch-eng", "branch-deu"), (1.0, 0.5), (("density", 0.4),), "mixed", ("rescale",)),
}


@pytest.fixture(params=list(RECIPES))
def view(request, suite_folder) -> View:
    recipe, beside = RECIPES[request.param], ("unigram", "logits")
    return View(recipe, str(suite_folder), "", ("deu",), "bits per byte", 7, beside)


@pytest.fixture
def expected(view, tmp_path):
    evaluator = Evaluator(open_suite(Path(view.suite)), Store(tmp_path / "own"), torch.device("cpu"))
    return evaluator.table(merge_request(view.recipe, evaluator.suite, view.languages, view.sentences, view.controls))


def run(command: list[str], folder: Path) -> str:
    """In an empty folder, with a store of its own and the commands of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "INTERFERENCE_CACHE": str(folder / "store")}
    folder.mkdir()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_prints_the_numbers_of_the_page(view, expected, tmp_path):
    rows = json.loads(run(["bash", "-c", as_command(view) + " --format json"], tmp_path / "empty"))
    assert [row["language"] for row in rows] == ["deu"]
    for column in ("bits", "bits_per_byte", "cost", "cost_low", "recovery"):
        own = float("nan") if rows[0][column] is None else rows[0][column]
        assert own == pytest.approx(float(expected.frame[column].iloc[0]), rel=1e-6, nan_ok=True)


def test_the_script_prints_the_table_of_the_page(view, expected, tmp_path):
    """All of it: none of its numbers is left out for its width."""
    lines = run([sys.executable, "-c", as_python(view)], tmp_path / "empty").splitlines()[1:]
    table = expected.in_unit(view.unit)
    assert len(lines) == len(table) > 5
    for line, model, *numbers in zip(lines, table["model"], table["value"], table["cost_value"], strict=True):
        assert f" {model} " in line
        assert all(f" {number:.6f} " in line for number in numbers if not np.isnan(number))


def test_names_from_a_users_disk_are_quoted():
    view = View(RECIPES["linear"], "my suite; rm -rf $HOME", "it's.tsv", ("eng; rm",))
    assert "--suite 'my suite; rm -rf $HOME' --corpus 'it'\"'\"'s.tsv'" in as_command(view)
    assert "--language 'eng; rm'" in as_command(view)
    compile(as_python(view), "snippet", "exec")


def test_the_guide_walks_from_one_model_to_a_merge_that_works():
    steps = guide(open_suite())
    assert [step.title for step in steps] == [
        "One alone", "Another alone", "Two averaged", "All averaged", "Branches averaged",
    ]  # fmt: skip
    assert [sum(weight > 0 for weight in step.recipe.weights) for step in steps] == [1, 1, 2, 10, 10]
    assert all(name.startswith("branch") for name in steps[-1].recipe.models)


def test_a_suite_without_roles_has_no_guide(suite_folder):
    assert guide(open_suite(suite_folder / "mixed")) == ()
    titles = [step.title for step in guide(open_suite(suite_folder))]
    assert titles == ["One alone", "Another alone", "Two averaged", "Branches averaged"]
