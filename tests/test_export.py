"""A merge written to disk: what transformers loads is the merge, and the folder is complete or not there."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import gpt2, llama, write_checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

import interference.export as module
from interference.checkpoint import Checkpoint
from interference.errors import UserError
from interference.export import write_merge
from interference.merge import merge
from interference.recipe import Recipe, parse_recipe
from interference.suite import open_suite, suite_of_paths
from interference.weights import Weights

CPU = torch.device("cpu")
EQUAL = Recipe("linear", ("mono-eng", "mono-deu"), (1.0, 1.0))
RECIPES = (
    EQUAL,
    Recipe("linear", ("mono-deu", "mono-eng"), (0.3, 0.7), post=("rescale",), out_dtype="bfloat16"),
    Recipe("slerp", ("mono-eng", "mono-deu"), knobs=(("t", 0.3),)),
    Recipe("task_arithmetic", ("branch-eng", "branch-deu"), (1.0, 0.5), base="mixed", out_dtype="float16"),
    Recipe("ties", ("mono-eng", "mono-deu"), (1.0, 1.0), (("density", 0.5),), base="@mean"),
    Recipe("dare_ties", ("branch-eng", "branch-deu"), (1.0, 1.0), (("density", 0.5),), base="init", seed=3),
)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.method)
def test_transformers_loads_exactly_the_merge(recipe, suite_folder, tmp_path):
    """Every parameter equals the merge in memory, in the dtype asked for, and none is missing or made up."""
    suite = open_suite(suite_folder)
    out = write_merge(recipe, suite, tmp_path / "out", CPU)
    both: Any = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    loaded, report = both
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    expected = merge(recipe, Weights([suite[name] for name in recipe.needed], CPU))
    found = dict(loaded.named_parameters())
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype == getattr(torch, recipe.out_dtype or "float32")
        assert torch.equal(found[name], tensor), name
    assert any(
        not torch.equal(found[name], dict(llama(1).named_parameters())[name].to(found[name].dtype)) for name in found
    )


def test_the_tokenizer_goes_along(suite_folder, tokenizer, tmp_path):
    out = write_merge(EQUAL, open_suite(suite_folder), tmp_path / "out", CPU)
    text = "Zwei Vögel singen. 两只鸟"
    assert AutoTokenizer.from_pretrained(out)(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert Checkpoint("out", out).vocabulary_digest == open_suite(suite_folder)["init"].vocabulary_digest


def test_gpt2_is_written_too(tokenizer, tmp_path):
    paths = [str(write_checkpoint(gpt2(seed), tokenizer, tmp_path / str(seed))) for seed in (1, 2)]
    out = write_merge(Recipe("linear", tuple(paths), (3.0, 1.0)), suite_of_paths(paths), tmp_path / "out", CPU)
    found = dict(AutoModelForCausalLM.from_pretrained(out).named_parameters())
    first, second = (dict(gpt2(seed).named_parameters()) for seed in (1, 2))
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, 0.75 * first[name] + 0.25 * second[name], atol=1e-6, rtol=0)


def test_the_configuration_is_the_first_models(tokenizer, tmp_path):
    paths = [
        str(write_checkpoint(llama(s, rms_norm_eps=eps), tokenizer, tmp_path / str(s)))
        for s, eps in ((1, 0.5), (2, 0.25))
    ]
    suite = suite_of_paths(paths)
    for number, order in enumerate((paths, paths[::-1])):
        out = write_merge(Recipe("linear", tuple(order), (1.0, 1.0)), suite, tmp_path / f"out{number}", CPU)
        assert Checkpoint("out", out).config.rms_norm_eps == (0.5, 0.25)[number]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.method)
def test_recipe_and_provenance_are_inside(recipe, suite_folder, tmp_path):
    """The recipe reads back as itself; the provenance holds the digests of every file that was read."""
    suite = open_suite(suite_folder)
    out = write_merge(recipe, suite, tmp_path / "out", CPU)
    assert parse_recipe((out / "recipe.yaml").read_text()) == recipe
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["recipe_sha256"] == recipe.digest()
    assert {n: c["sha256"] for n, c in provenance["checkpoints"].items()} == {n: suite[n].digest for n in recipe.needed}
    assert all(Path(c["path"]).is_dir() for c in provenance["checkpoints"].values())
    assert provenance["label"] == recipe.label()
    assert provenance["tokenizer_sha256"] == suite[recipe.models[0]].digest_of_tokenizer
    assert provenance["out_dtype"] == (recipe.out_dtype or "float32")
    assert provenance["versions"]["torch"] == torch.__version__.split("+")[0] or provenance["versions"]["torch"]


def test_writing_twice_gives_the_same_bytes(suite_folder, tmp_path):
    suite = open_suite(suite_folder)
    digests = {Checkpoint("m", write_merge(RECIPES[-1], suite, tmp_path / name, CPU)).digest for name in "ab"}
    assert len(digests) == 1


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "broken link"])
def test_what_exists_is_neither_overwritten_nor_joined(kind, suite_folder, tmp_path):
    out = tmp_path / "out"
    if kind.endswith("folder"):
        out.mkdir()
        kind == "folder" and (out / "mine").write_text("mine")
    elif kind == "file":
        out.write_text("mine")
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="exists already") as error:
        write_merge(EQUAL, open_suite(suite_folder), out, CPU)
    assert str(out) in str(error.value)
    assert "Name another folder" in str(error.value)
    assert {p.name for p in tmp_path.iterdir()} <= {"out", "store"}
    assert kind != "folder" or [p.name for p in out.iterdir()] == ["mine"]


def test_folders_above_are_made(suite_folder, tmp_path):
    out = write_merge(EQUAL, open_suite(suite_folder), tmp_path / "new" / "deep" / "out", CPU)
    assert AutoModelForCausalLM.from_pretrained(out)


def test_place_that_cannot_be_written_is_one_message(suite_folder, tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(UserError, match="can't be written") as error:
        write_merge(EQUAL, open_suite(suite_folder), tmp_path / "file" / "out", CPU)
    assert str(tmp_path / "file" / "out") in str(error.value)


@pytest.fixture
def full_disk(tmp_path, monkeypatch):
    """A folder with room for a few text files, not for weights; without the right to mount, a write that fails."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode == 0
    )
    if not mounted:

        def fail(*arguments, **named):
            raise OSError(28, "No space left on device", str(folder))

        monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", fail)
    yield folder
    if mounted:
        subprocess.run(["umount", folder], check=True)


def test_full_disk_is_one_message_and_leaves_nothing(full_disk, suite_folder):
    with pytest.raises(UserError, match="Free some space") as error:
        write_merge(EQUAL, open_suite(suite_folder), full_disk / "out", CPU)
    assert str(full_disk / "out") in str(error.value)
    assert "No space left" in str(error.value)
    assert list(full_disk.iterdir()) == []


def test_disk_that_fills_after_the_weights_leaves_nothing(suite_folder, tmp_path, monkeypatch):
    """The last file fails: the folder does not appear without its provenance."""

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "provenance", fail)
    with pytest.raises(UserError, match="No space left"):
        write_merge(EQUAL, open_suite(suite_folder), tmp_path / "out", CPU)
    assert not [p for p in tmp_path.iterdir() if "out" in p.name]


@pytest.mark.parametrize("error", [Exception("No space left on device (os error 28)"), RuntimeError("a bug")])
def test_only_a_failing_disk_is_the_users_mistake(error, suite_folder, tokenizer, tmp_path, monkeypatch):
    """The tokenizer's library reports a full disk as a plain Exception; an error of another kind stays what it is."""

    def fail(*arguments, **named):
        raise error

    monkeypatch.setattr(type(tokenizer), "save_pretrained", fail)
    kind = UserError if type(error) is Exception else RuntimeError
    with pytest.raises(kind, match=str(error).split(" (")[0]):
        write_merge(EQUAL, open_suite(suite_folder), tmp_path / "out", CPU)
    assert not [p for p in tmp_path.iterdir() if "out" in p.name]


def test_weights_too_large_for_the_dtype_are_refused(suite_folder, tmp_path):
    recipe = Recipe("linear", EQUAL.models, (1e6, 1e6), (("normalize", False),), out_dtype="float16")
    with pytest.raises(UserError, match=r"too large for torch\.float16"):
        write_merge(recipe, open_suite(suite_folder), tmp_path / "out", CPU)
    assert not (tmp_path / "out").exists()


def test_device_without_memory_is_one_message(suite_folder, tmp_path, monkeypatch):
    def fail(*arguments):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(module, "merge_network", fail)
    with pytest.raises(UserError, match="cpu ran out of memory"):
        write_merge(EQUAL, open_suite(suite_folder), tmp_path / "out", CPU)
    assert not (tmp_path / "out").exists()
