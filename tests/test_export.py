"""A merge written to disk: what transformers loads is the merge, and the folder is complete or not there."""

import json
import subprocess
import weakref
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import experts, gpt2, llama, other, write_checkpoint
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

import interference.export as module
from interference.checkpoint import Checkpoint
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.export import Target, export_steps, write_merge, write_steps
from interference.merge import merge
from interference.recipe import Recipe, parse_recipe
from interference.scored import Request
from interference.steps import finish
from interference.store import Store
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


def buffers(seed: int) -> PreTrainedModel:
    """A tiny model that stores numbers which are no parameters in transformers."""
    model = other("apertus", seed)
    for name, buffer in model.named_buffers():
        if name.endswith("beta"):
            buffer.fill_(0.1 * seed)
    return model


@pytest.mark.parametrize("make", [experts, partial(other, "gpt_neox"), buffers])
def test_transformers_loads_a_merge_of_what_is_stored_otherwise(make, tokenizer, tmp_path):
    """Under the names that transformers stores, which other programs read."""
    paths = tuple(str(write_checkpoint(make(seed), tokenizer, tmp_path / f"m{seed}")) for seed in (1, 2))
    suite, recipe = suite_of_paths(paths), Recipe("linear", paths, (0.5, 0.5), out_dtype="float32")
    out = write_merge(recipe, suite, tmp_path / "out", CPU)
    both: Any = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    loaded, report = both
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    one, two = (make(seed).state_dict() for seed in (1, 2))
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, (one[name] + two[name]) / 2)
    assert load_file(out / "model.safetensors").keys() == load_file(tmp_path / "m1/model.safetensors").keys()


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
    """A folder with room for a few text files, not for weights; without the right to mount, one that says so."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode == 0
    )
    if not mounted:
        monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=65536))
        monkeypatch.setattr("os.fsync", fail_for_lack_of_room)
    yield folder
    if mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("foreseen", [True, False])
def test_full_disk_is_one_message_and_leaves_nothing(foreseen, full_disk, suite_folder, monkeypatch):
    """Before any work where the room can be known; else when it runs out."""
    if not foreseen:
        monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=1e12))
    with pytest.raises(UserError, match="Free some space") as error:
        write_merge(EQUAL, open_suite(suite_folder), full_disk / "out", CPU)
    assert str(full_disk / "out") in str(error.value)
    assert ("0.1 MB free" if foreseen else "No space left") in str(error.value)
    assert list(full_disk.iterdir()) == []


def fail_for_lack_of_room(*arguments, **named):
    raise OSError(28, "No space left on device")


def test_disk_that_fills_after_the_weights_leaves_nothing(suite_folder, tmp_path, monkeypatch):
    """The last file fails: the folder does not appear without its provenance."""
    monkeypatch.setattr(module, "provenance", fail_for_lack_of_room)
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

    monkeypatch.setattr(module, "merge_into", fail)
    with pytest.raises(UserError, match="cpu ran out of memory"):
        write_merge(EQUAL, open_suite(suite_folder), tmp_path / "out", CPU)
    assert not (tmp_path / "out").exists()


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in folder.glob("*.safetensors"):
        found |= load_file(file)
    return found


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shards_are_transformers_own(dtype, suite_folder, tmp_path):
    """The same index and tensors as transformers writes of the same model, and the same model in one file."""
    suite = open_suite(suite_folder)
    recipe = Recipe("linear", EQUAL.models, (0.3, 0.7), out_dtype=dtype)
    whole = write_merge(recipe, suite, tmp_path / "whole", CPU)
    parts = write_merge(recipe, suite, Target(tmp_path / "parts", max_shard_size="30KB"), CPU)
    AutoModelForCausalLM.from_pretrained(whole).save_pretrained(tmp_path / "theirs", max_shard_size="30KB")
    index, theirs = (json.loads((f / "model.safetensors.index.json").read_text()) for f in (parts, tmp_path / "theirs"))
    assert index["metadata"] == theirs["metadata"]
    assert index["weight_map"].keys() == theirs["weight_map"].keys()
    assert set(index["weight_map"].values()) == set(theirs["weight_map"].values()) != {"model.safetensors"}
    assert {p.name for p in parts.glob("*.safetensors")} == set(index["weight_map"].values())
    assert [p.name for p in whole.glob("*.safetensors*")] == ["model.safetensors"]
    for name, tensor in tensors_of(tmp_path / "theirs").items():
        assert torch.equal(tensors_of(whole)[name], tensor)
        assert torch.equal(tensors_of(parts)[name], tensor)
        assert dict(AutoModelForCausalLM.from_pretrained(parts).state_dict())[name].equal(tensor)


def test_generation_config_is_the_first_models(tokenizer, tmp_path):
    paths = [str(write_checkpoint(llama(seed), tokenizer, tmp_path / str(seed))) for seed in (1, 2)]
    for number, path in enumerate(paths):
        (Path(path) / "generation_config.json").write_text(f'{{"max_new_tokens": {number + 7}}}')
    recipe = Recipe("linear", tuple(paths), (1.0, 1.0))
    out = write_merge(recipe, suite_of_paths(paths), tmp_path / "out", CPU)
    assert AutoModelForCausalLM.from_pretrained(out).generation_config.max_new_tokens == 7


@pytest.mark.parametrize("dtype", [None, "bfloat16", "float16"])
def test_losses_of_what_is_loaded_are_those_of_the_recipe(dtype, suite_folder, tmp_path):
    """Measured anew from the folder, and in its model card, to 1e-3 bits."""
    suite = open_suite(suite_folder)
    evaluator = Evaluator(suite, Store(), CPU)
    out = finish(export_steps(evaluator, EQUAL, Target(tmp_path / "out", dtype), 6))
    recipe = parse_recipe((out / "recipe.yaml").read_text())
    assert recipe.out_dtype == dtype
    request = Request((("model", recipe),), ("eng", "deu"), 6)
    bits = evaluator.table(request).frame["bits_per_sentence"].to_numpy()
    written = Evaluator(suite_of_paths([str(out)], suite_folder / "corpus.tsv"), Store(), CPU)
    again = written.table(Request((("model", str(out)),), ("eng", "deu"), 6)).frame["bits_per_sentence"].to_numpy()
    assert abs(bits - again).max() < 1e-3
    card = (out / "README.md").read_text()
    assert all(
        f"| {name} | {one:.1f} (" in card for name, one in zip(("English (eng)", "German (deu)"), bits, strict=True)
    )
    assert all(f"`{suite[name].digest}`" in card for name in recipe.needed)
    assert recipe.to_yaml() in card
    assert f"`{recipe.digest()}`" in card
    assert f"interference merge recipe.yaml --suite {suite.path} --out DIR" in card


def test_card_says_what_mergekit_cannot_express_and_why_there_are_no_losses(suite_folder, tmp_path, monkeypatch):
    evaluator = Evaluator(open_suite(suite_folder), Store(), CPU)

    def fail(*arguments):
        raise UserError("There is no room.")

    monkeypatch.setattr(evaluator.networks, "weights", fail)
    recipe = Recipe("linear", EQUAL.models, (0.4, 0.6), post=("rescale",))
    card = (finish(export_steps(evaluator, recipe, Target(tmp_path / "out"), 6)) / "README.md").read_text()
    assert "mergekit can't express the post-step rescale" in card
    assert "Not measured. There is no room." in card


@pytest.mark.parametrize("after", [0, 1, 5])
def test_export_that_is_stopped_leaves_nothing(after, suite_folder, tmp_path):
    """Closed between two tensors, as the engine does with what nobody waits for."""
    steps = write_steps(EQUAL, open_suite(suite_folder), Target(tmp_path / "deep" / "out"), CPU)
    shares = [next(steps) for _ in range(after)]
    assert shares == sorted(set(shares))
    steps.close()
    assert not after or list((tmp_path / "deep").iterdir()) == []


def test_killed_process_leaves_nothing_under_the_name(suite_folder, tmp_path, monkeypatch):
    """Even where nothing can be cleaned up any more; what is left is no hindrance."""
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *arguments, **named: None)
        steps = write_steps(EQUAL, open_suite(suite_folder), Target(tmp_path / "out"), CPU)
        assert 0 < next(steps) < next(steps) < 1
        steps.close()
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] != []
    assert not (tmp_path / "out").exists()
    assert write_merge(EQUAL, open_suite(suite_folder), tmp_path / "out", CPU).is_dir()


def test_what_another_wrote_there_meanwhile_stays(suite_folder, tmp_path):
    """Two at once into one folder: the one that is through first is not replaced without being told."""
    suite, out = open_suite(suite_folder), tmp_path / "out"
    steps = write_steps(EQUAL, suite, Target(out), CPU)
    next(steps)
    other = Recipe("linear", EQUAL.models, (0.1, 0.9))
    write_merge(other, suite, out, CPU)
    with pytest.raises(UserError, match="exists already"):
        finish(steps)
    assert parse_recipe((out / "recipe.yaml").read_text()) == other
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == ["out"]


def test_only_an_export_or_an_empty_folder_is_overwritten(suite_folder, tmp_path):
    suite, again = open_suite(suite_folder), Target(tmp_path / "out", overwrite=True)
    (tmp_path / "out").mkdir()
    write_merge(EQUAL, suite, again, CPU)
    other = Recipe("linear", EQUAL.models, (0.1, 0.9))
    write_merge(other, suite, again, CPU)
    assert parse_recipe((tmp_path / "out" / "recipe.yaml").read_text()) == other
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == ["out"]
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mine").write_text("mine")
    for folder, why in ((tmp_path / "home", "is not overwritten"), (suite_folder, "is not overwritten")):
        with pytest.raises(UserError, match=why):
            write_merge(EQUAL, suite, Target(folder, overwrite=True), CPU)
    assert (tmp_path / "home" / "mine").read_text() == "mine"


def test_an_export_that_the_suite_names_is_not_overwritten(suite_folder, tmp_path):
    out = write_merge(EQUAL, open_suite(suite_folder), tmp_path / "out", CPU)
    suite = suite_of_paths([str(out), str(suite_folder / "mono-eng")])
    recipe = Recipe("linear", suite.names, (0.5, 0.5))
    with pytest.raises(UserError, match="of the suite itself"):
        write_merge(recipe, suite, Target(out, overwrite=True), CPU)


def test_failed_overwriting_leaves_the_old(suite_folder, tmp_path, monkeypatch):
    suite, again = open_suite(suite_folder), Target(tmp_path / "out", overwrite=True)
    write_merge(EQUAL, suite, again, CPU)
    monkeypatch.setattr(module, "model_card", fail_for_lack_of_room)
    with pytest.raises(UserError, match="No space left"):
        write_merge(RECIPES[1], suite, again, CPU)
    assert parse_recipe((tmp_path / "out" / "recipe.yaml").read_text()) == EQUAL
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == ["out"]


@pytest.mark.parametrize("size", ["", "5", "0GB", "-1MB", "five GB", "nanGB", "infGB", "5XB"])
def test_shard_size_that_is_none_is_one_message(size, suite_folder, tmp_path):
    with pytest.raises(UserError, match="The largest shard is"):
        write_merge(EQUAL, open_suite(suite_folder), Target(tmp_path / "out", max_shard_size=size), CPU)
    assert not [p for p in tmp_path.iterdir() if "out" in p.name]


def test_one_tensor_of_the_merge_is_in_memory_at_a_time(suite_folder, tmp_path, monkeypatch):
    """Every tensor that was merged before is gone when the next is."""
    alive: list[Any] = []
    real = module.merge_into

    def watched(recipe, weights, buffer):
        assert sum(ref() is not None for ref in alive) <= 1
        real(recipe, weights, buffer)
        alive.extend(weakref.ref(tensor) for tensor in buffer.values())

    monkeypatch.setattr(module, "merge_into", watched)
    write_merge(EQUAL, open_suite(suite_folder), tmp_path / "out", CPU)
    assert len(alive) == len(open_suite(suite_folder)["init"].shapes)
