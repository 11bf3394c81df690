"""What is said where the checkpoints of a merge have the same shapes and compute otherwise with them."""

import json
from typing import Any

import pytest
import torch
import yaml
from conftest import llama, write_checkpoint, write_corpus

from interference.causal import Trial, causal_steps
from interference.compare import Comparison
from interference.evaluate import Evaluator
from interference.linearity import layer_steps
from interference.path import Walk
from interference.plane import Plane, plane_steps
from interference.recipe import Recipe
from interference.scored import Request
from interference.settings import settings_notes
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.sweep import compare_steps, path_steps
from interference.trajectory import known_course, trajectory_steps

EQUAL = Recipe("linear", ("one", "two"), (0.5, 0.5))


@pytest.fixture
def changed(tokenizer, tmp_path):
    """A suite of two models, the second's configuration changed as its repository might have it."""

    def make(**changes):
        for seed, name in enumerate(("one", "two")):
            write_checkpoint(llama(seed), tokenizer, tmp_path / "suite" / name)
        file = tmp_path / "suite" / "two" / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
        return open_suite(tmp_path / "suite", write_corpus(tmp_path / "corpus.tsv"))

    return make


def test_another_rope_theta_is_said_beside_the_merge(changed, tmp_path):
    suite = changed(rope_parameters={"rope_theta": 500000.0, "rope_type": "default"})
    assert len(suite.groups) == 1
    evaluator = Evaluator(suite, Store(tmp_path / "store"), torch.device("cpu"))
    table = evaluator.table(Request((("merge", EQUAL),), ("eng",), 2))
    assert (
        "Merged checkpoints differ in their configurations: rope_parameters.rope_theta is 10000.0 in one and 500000.0 "
        "in two. The merge computes as one does." in table.notes
    )
    base = Recipe("task_arithmetic", ("one",), (1.0,), base="two")
    assert "in one and 500000.0 in two" in settings_notes(base, suite)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "bfloat16", "use_cache": False, "attention_dropout": 0.1, "eos_token_id": 5},
        {"rope_theta": 10000.0, "rope_parameters": None},  # as earlier versions of transformers write it
    ],
)  # fmt: skip
def test_what_changes_no_number_is_not_said(changes, changed):
    assert settings_notes(EQUAL, changed(**changes)) == ()


def test_many_differences_are_counted(changed):
    other = {
        "rms_norm_eps": 1e-3,
        "hidden_act": "gelu",
        "max_position_embeddings": 32,
        "rope_theta": 2.0,
        "rope_parameters": None,
    }
    suite = changed(**other, pad_token_id=5)
    (note,) = settings_notes(EQUAL, suite)
    assert note.count(" in one and ") == 3
    assert "; and 1 more." in note


def test_whatever_merges_says_whose_configuration_it_computes_by(tokenizer, tmp_path):
    entries = []
    for seed, (language, step) in enumerate((code, step) for code in ("eng", "deu") for step in (1, 2)):
        name = f"{language}-{step}"
        write_checkpoint(llama(seed, rope_theta=1e4 if language == "eng" else 1e2), tokenizer, tmp_path / name)
        entries.append({"name": name, "role": "mono", "language": language, "step": step, "path": f"./{name}"})
    write_corpus(tmp_path / "corpus.tsv")
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump({"corpus": "corpus.tsv", "checkpoints": entries}))
    evaluator = Evaluator(open_suite(tmp_path), Store(tmp_path / "store"), torch.device("cpu"))
    half, walk = Recipe("linear", ("eng-2", "deu-2"), (0.5, 0.5)), Walk("eng-2", "deu-2", 3)
    compared = Comparison(half.models, ("eng",), methods=("linear",), search=False, sentences=4)
    tried: tuple[tuple[Any, str], ...] = (
        (path_steps(evaluator, walk, ("eng",), 4), "All between the ends computes as eng-2 does."),
        (layer_steps(evaluator, walk, ("eng",), 4), "All between the ends computes as eng-2 does."),
        (
            plane_steps(evaluator, Plane(("eng-1", "eng-2", "deu-2"), "eng", 3), 4),
            "Every point computes as eng-1 does.",
        ),
        (trajectory_steps(evaluator, known_course(evaluator.suite), ("eng",), 4), "computes as that of eng does."),
        (compare_steps(evaluator, compared), "Every merge computes as eng-2 does."),
        (causal_steps(evaluator, Trial(half, "deu-2", "deu", False), 4), "with a component exchanged as deu-2 does."),
    )
    for steps, said in tried:
        (note,) = (note for note in finish(steps).notes if "differ in their configurations" in note)
        assert "rope_theta is 10000.0 in" in note
        assert note.endswith(said)
