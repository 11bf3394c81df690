"""Weights that do not fit on the device: the same merges and losses, in the memory that is promised."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import llama, write_checkpoint
from test_merge import MONOS
from test_merge import RECIPES as ALL

from interference import weights as holding
from interference.checkpoint import Checkpoint, MappedTensors
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.merge import merge, merge_tensor
from interference.recipe import Recipe
from interference.scored import Request
from interference.store import Store
from interference.suite import open_suite
from interference.weights import PINNED, RESIDENCIES, RESIDENT, STREAMED, Weights

CPU = torch.device("cpu")
RECIPES = {name: recipe for name, recipe in ALL.items() if not recipe.data}  # the others measure text first


@pytest.fixture(scope="module")
def halves(tokenizer, tmp_path_factory) -> Path:
    """Two checkpoints in bfloat16 and one in float32, one of them a pickle: what real suites mix."""
    folder = tmp_path_factory.mktemp("halves")
    for seed, name in enumerate("abc", start=1):
        model = llama(seed)
        write_checkpoint(model if name == "c" else model.to(torch.bfloat16), tokenizer, folder / name)
    torch.save(llama(2).to(torch.bfloat16).state_dict(), folder / "b" / "pytorch_model.bin")
    (folder / "b" / "model.safetensors").unlink()
    return folder


@pytest.mark.parametrize("residency", RESIDENCIES)
@pytest.mark.parametrize("name", RECIPES)
def test_merges_do_not_depend_on_where_the_weights_are(name, residency, suite_folder):
    suite, recipe = open_suite(suite_folder), RECIPES[name]
    own = merge(recipe, Weights(suite.checkpoints, CPU, residency=residency))
    reference = Weights(suite.checkpoints, CPU, residency=RESIDENT)
    for parameter, tensor in own.items():
        plain = merge_tensor(recipe, reference, parameter)
        assert torch.allclose(tensor, plain, rtol=1e-6, atol=1e-6 * float(plain.abs().max())), parameter


@pytest.mark.parametrize("residency", RESIDENCIES)
def test_mixed_dtypes_and_pickles_merge_alike(residency, halves):
    checkpoints = open_suite(halves).checkpoints
    recipe = Recipe("linear", ("a", "b", "c"), (0.2, 0.3, 0.5))
    found = merge(recipe, Weights(checkpoints, CPU, residency=residency))
    states = [llama(1).to(torch.bfloat16), llama(2).to(torch.bfloat16), llama(3)]
    rows = [dict(model.named_parameters()) for model in states]
    for name, tensor in found.items():
        plain = sum(w * row[name].detach().float() for w, row in zip((0.2, 0.3, 0.5), rows, strict=True))
        assert tensor.dtype == torch.float32
        assert torch.allclose(tensor, plain, atol=1e-6)


@pytest.mark.parametrize("residency", RESIDENCIES)
def test_what_is_read_is_what_is_stored_in_any_order(residency, suite_folder):
    stored = Weights(open_suite(suite_folder).checkpoints, CPU, residency=residency)
    for names in (["mono-deu", "mono-eng"], ["mixed"], ["mixed", "init", "mixed"]):
        stack = stored.read("model.norm.weight", names)
        for row, name in zip(stack, names, strict=True):
            assert torch.equal(row, dict(open_suite(suite_folder)[name].tensors())["model.norm.weight"])


def test_losses_are_the_same_and_the_residency_is_said(suite_folder, tmp_path, monkeypatch):
    """Chosen by the room there is: with room for one model and not for six they are streamed."""
    request = Request((("m", Recipe("linear", MONOS, (0.3, 0.3, 0.4))),), ("eng", "deu"), 6)
    plain = Evaluator(open_suite(suite_folder), Store(tmp_path / "a"), CPU).table(request)
    assert not any("read from disk" in note for note in plain.notes)
    one = sum(p.numel() for p in llama(1).parameters()) * 4
    monkeypatch.setattr(holding, "free_bytes", lambda device: 3 * one)
    table = Evaluator(open_suite(suite_folder), Store(tmp_path / "b"), CPU).table(request)
    assert any("do not fit on cpu together: they are read from disk at every merge" in note for note in table.notes)
    bits = [t.frame["bits"].to_numpy() for t in (plain, table)]
    assert bits[0] == pytest.approx(bits[1], rel=1e-5)


def rooms(device: int, host: int):
    return lambda where: device if where.type == "cuda" else host


def test_a_gpu_keeps_room_for_what_lies_between_and_pinned_memory_is_counted_as_it_is_taken(halves, monkeypatch):
    """In bytes of this suite: pinned, torch takes a power of two for each tensor, up to twice as much."""
    checkpoints, cuda = open_suite(halves).checkpoints[:2], torch.device("cuda")
    plain = Weights(checkpoints, CPU)
    own, network = plain.nbytes, 4 * checkpoints[0].parameters
    few = 6 * 4 * 259 * 32
    monkeypatch.setattr(Weights, "_allocate", lambda self: {})  # there is no such device here
    pinned = sum(2 ** math.ceil(math.log2(2 * 2 * math.prod(shape))) for shape in plain.shapes.values())
    assert 1.1 * own < pinned < 2 * own
    for device, host, expected in (
        (own + network + few, 0, RESIDENT),
        (own + network + few - 1, int(pinned / 0.8) + 2, PINNED),
        (own + network + few - 1, int(pinned / 0.8) - 2, STREAMED),
        (own + network + few - 1, int(own / 0.8) + 2, STREAMED),
    ):
        monkeypatch.setattr(holding, "free_bytes", rooms(device, host))
        assert Weights(checkpoints, cuda).residency == expected


def test_a_mapped_checkpoint_is_checked_as_a_read_one_is(tokenizer, tmp_path):
    model = llama(1)
    with torch.no_grad():
        model.model.norm.weight[3] = float("nan")
    tensors = MappedTensors(Checkpoint("m", write_checkpoint(model, tokenizer, tmp_path / "m")))
    assert tensors["model.layers.0.mlp.up_proj.weight"].shape == (48, 32)
    with pytest.raises(UserError, match=r"m: 1 of the 32 values of model.norm.weight in .* are NaN"):
        _ = tensors["model.norm.weight"]
    state = llama(1).state_dict()
    torch.save(state | {"lm_head.weight": state["lm_head.weight"] + 1}, tmp_path / "m" / "pytorch_model.bin")
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"but config\.json ties them"):
        _ = MappedTensors(Checkpoint("m", tmp_path / "m"))["model.norm.weight"]


MEASURE = """
import re, sys, torch
from pathlib import Path
from interference.checkpoint import build
from interference.merge import merge_into
from interference.recipe import Recipe
from interference.suite import open_suite
from interference.weights import Weights

def held():  # what the system can't take back: no pages of files
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\\s+(\\d+)", status)[1]) * 1024

suite, peak = open_suite(Path(sys.argv[1])), 0
weights = Weights(suite.checkpoints, torch.device("cpu"), residency=sys.argv[2])
config = suite.checkpoints[0].config
start = held()
network = build(config)
original = torch.Tensor.reshape
def reshape(self, *shape):  # called for every tensor that is merged
    global peak
    peak = max(peak, held())
    return original(self, *shape)
torch.Tensor.reshape = reshape
recipe = Recipe("linear", suite.names, (1 / len(suite.names),) * len(suite.names))
merge_into(recipe, weights, dict(network.named_parameters()))
one = 4 * sum(p.numel() for p in network.parameters())
print((max(peak, held()) - start) / one)
"""


# Else the C library keeps megabytes that were freed, which at this size are a model.
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def test_memory_is_the_parents_and_one_model_and_streamed_one_model(tokenizer, tmp_path):
    """In models of float32, with parents of half that size: measured on what a process holds, not counted."""
    for seed in range(4):
        big = llama(seed, hidden_size=256, intermediate_size=1024, num_hidden_layers=4, vocab_size=4096)
        write_checkpoint(big.to(torch.bfloat16), tokenizer, tmp_path / f"m{seed}")
    needs = {}
    for residency in (RESIDENT, STREAMED):
        command = [sys.executable, "-c", MEASURE, str(tmp_path), residency]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | GIVEN_BACK)
        needs[residency] = float(done.stdout)
    assert 2.5 < needs[RESIDENT] < 3.6, needs
    assert needs[STREAMED] < 1.6, needs
