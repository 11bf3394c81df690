"""Merges and losses on CUDA are those of the CPU, within bounds stated here."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from interference import draws, grams, precision, ranks
from interference import merge as merging
from interference.conflict import sums
from interference.conflict.registry import measures
from interference.conflict.survey import Survey, resident_steps
from interference.draws import uniforms
from interference.evaluate import Evaluator
from interference.losses import sentence_bits
from interference.merge import merge, merge_into
from interference.methods import arcee_fusion, della, ram, regmean, sce
from interference.ranks import Difference, cut
from interference.recipe import Recipe
from interference.registry import methods
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.weights import PINNED, RESIDENT, STREAMED, Weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
    pytest.mark.filterwarnings("error:.* is not compiled"),
]

CPU = torch.device("cpu")
MODELS = tuple(f"mono-{code}" for code in ("eng", "nld", "deu"))
RECIPES = {
    "linear": Recipe("linear", MODELS, (0.5, 0.3, 0.2)),
    "slerp": Recipe("slerp", MODELS[:2], knobs=(("t", 0.3),)),
    "task_arithmetic": Recipe("task_arithmetic", MODELS, (0.5, 0.3, 0.2), base="mixed"),
    "ties": Recipe("ties", MODELS, (0.5, 0.3, 0.2), (("density", 0.4),), "init"),
    "dare_ties": Recipe("dare_ties", MODELS, (0.5, 0.3, 0.2), (("density", 0.4),), "@mean"),
    "ties_paper": Recipe("ties_paper", MODELS, (0.5, 0.3, 0.2), (("density", 0.4),), "init"),
    "rescaled ties": Recipe("ties", MODELS, (0.5, 0.3, 0.2), (("density", 0.4),), "mixed", post=("rescale",)),
    "rescaled": Recipe("linear", MODELS, (0.5, 0.3, 0.2), post=("rescale",)),
}


@pytest.mark.parametrize("piece", [1 << 22, 5000])
@pytest.mark.parametrize("name", RECIPES)
def test_merged_weights_equal(name, piece, monkeypatch):
    """In float32, weights differ by at most 1e-6; equal magnitudes at TIES' threshold may be kept differently.

    Whole tensors and compiled pieces alike.
    """
    monkeypatch.setitem(merging.PIECE, "cuda", piece)
    suite, recipe = open_suite(), Recipe(**{**vars(RECIPES[name]), "out_dtype": "float32"})
    found = {}
    for device in ("cpu", "cuda"):
        weights = Weights([suite[n] for n in recipe.needed], torch.device(device))
        found[device] = {k: v.cpu() for k, v in merge(recipe, weights).items()}
    apart = [(found["cpu"][k] - found["cuda"][k]).abs() > 1e-6 for k in found["cpu"]]
    share = sum(int(a.sum()) for a in apart) / sum(a.numel() for a in apart)
    assert share <= (2e-3 if "ties" in name and name != "dare_ties" else 0)


@pytest.mark.parametrize("residency", [PINNED, STREAMED])
@pytest.mark.parametrize("name", RECIPES)
def test_merges_do_not_depend_on_where_the_weights_are(name, residency):
    """Of weights in pinned memory of the host, or in files, to 1e-6 of the largest entry those of resident ones."""
    suite, recipe, device = open_suite(), RECIPES[name], torch.device("cuda")
    checkpoints = [suite[n] for n in recipe.needed]
    own = merge(recipe, Weights(checkpoints, device, residency=residency))
    for parameter, tensor in merge(recipe, Weights(checkpoints, device, residency=RESIDENT)).items():
        assert tensor.device.type == own[parameter].device.type == "cuda"
        bound = 1e-6 + 2**-7 * (tensor.dtype == torch.bfloat16)  # the last place may be rounded either way
        assert torch.allclose(own[parameter].float(), tensor.float(), rtol=bound, atol=1e-6), parameter


@pytest.mark.parametrize("based", [False, True])
def test_entries_are_selected_as_on_the_cpu(based):
    """Bit for bit, among 300,000 entries of which many are equal."""
    own = torch.randn(300_000, generator=torch.Generator().manual_seed(0)).bfloat16()
    base = torch.randn(300_000, generator=torch.Generator().manual_seed(1)) if based else None
    there = Difference(own.cuda(), None if base is None else base.cuda())
    for count in (1, 77_777, 299_999):
        found, expected = cut(there, count), cut(Difference(own, base), count)
        assert found.place is not None
        assert expected.place is not None
        assert (found.limit.item(), found.place.item()) == (expected.limit.item(), expected.place.item())


def test_conflicts_equal(monkeypatch):
    """Those of the weights, and of noise for their chance levels, which lies on the device too."""
    names = tuple(name for name, one in measures().items() if not one.decomposes and "fisher" not in one.inputs)
    survey, found = Survey(RECIPES["linear"], "init", names), {}
    for device in ("cpu", "cuda"):
        evaluator = Evaluator(open_suite(), Store(), torch.device(device))
        found[device] = finish(resident_steps(evaluator, survey)).frame[["value", "chance"]].to_numpy(dtype=float)
        monkeypatch.setitem(sums._CHUNK, "cpu", 0)
    np.testing.assert_allclose(found["cuda"], found["cpu"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(33, 5), (3000, 700)])
def test_random_numbers_are_those_of_the_cpu(shape):
    assert torch.equal(uniforms("a key", shape, torch.device("cuda")).cpu(), uniforms("a key", shape, CPU))


@pytest.mark.parametrize("name", methods())
def test_a_merge_of_ten_takes_a_few_tensors_beside_them(name, monkeypatch):
    """Of float32, what is prepared and the base's included; the paper's DELLA keeps ten parents' ranks in 16 bits."""
    for sizes, size in ((ranks.PIECE, 4096), (draws._COUNTERS, 256), (merging.PIECE, 1024), (sce._CHUNK, 1024)):
        monkeypatch.setitem(sizes, "cuda", size)
    monkeypatch.setattr(merging, "COMPILED", 1024)
    for module in (grams, regmean, ram):
        monkeypatch.setattr(module, "_CHUNK", 1024)
    for module in (della, arcee_fusion):
        monkeypatch.setattr(module, "_PIECE", 1024)
    if methods()[name].family == "spectral" and "stand_in" not in sys.modules:
        pytest.skip("a library's own memory is more than these tensors")
    method, suite, parameter = methods()[name], open_suite(), "model.embed_tokens.weight"
    parents = tuple(n for n in suite.names if n.startswith("mono-"))[: min(10, method.parents[1])]
    densities = tuple((a.name, 0.4) for a in method.arguments if a.name in ("density", "select_topk"))
    base = "init" if method.needs_base else None
    recipe = Recipe(name, parents, (1.0,) * len(parents) if method.weighted else (), densities, base)
    information = torch.rand(suite[parents[0]].shapes[parameter])
    dev: Any = SimpleNamespace(source=lambda kind, model, parameter: information if kind == "fisher" else None)
    weights = Weights([suite[n] for n in recipe.needed], torch.device("cuda"), dev)
    out = {parameter: torch.empty(information.shape, device="cuda")}
    merge_into(recipe, weights, out)  # compiled and read, and libraries with memory of their own are there
    weights.forget()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.max_memory_allocated()
    merge_into(recipe, weights, out)
    most = {"della_paper": 11, "regmean": 3} | dict.fromkeys(("dare_linear", "dare_ties", "della", "della_linear"), 5)
    assert torch.cuda.max_memory_allocated() - before < most.get(name, 6) * information.nbytes


@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("name", ["mono-eng", "init", *RECIPES])
def test_losses_equal(name, tf32, monkeypatch):
    """In float32 bits of a sentence differ by less than 0.01, those of ten languages together by less than 1 in 10,000;
    of a merge, whose last place may be rounded either way, and in TF32 by 1 and 0.5 in 1,000."""
    monkeypatch.setattr(precision, "takes_tf32", lambda device_type: tf32)  # NVIDIA's switch may be read just once
    suite, model = open_suite(), RECIPES.get(name, name)
    rows = suite.corpus.rows(20)
    bits = {}
    for device in ("cpu", "cuda"):
        evaluator = Evaluator(suite, Store(), torch.device(device))
        bits[device] = np.stack([evaluator.bits(model, language, rows) for language in suite.corpus.languages])
    near = not tf32 and model not in RECIPES.values()
    bound = 1.0 if name == "ties" else 0.01 + (0 if near else 1e-3) * bits["cpu"]
    assert (np.abs(bits["cpu"] - bits["cuda"]) < bound).all()
    assert abs(bits["cpu"].sum() / bits["cuda"].sum() - 1) < (1e-3 if name == "ties" else 1e-4 if near else 5e-4)


def test_networks_of_half_precision_multiply_in_tf32():
    """Their numbers are others than float32's, and torch's own setting is what it was."""
    suite, rows = open_suite(), open_suite().corpus.rows(20)
    evaluator = Evaluator(suite, Store(), torch.device("cuda"))
    network, text = evaluator.networks.put("mono-eng"), evaluator.text(suite["mono-eng"], "zho", rows)
    assert network.tf32
    bits = sentence_bits(network, text)
    assert not torch.backends.cuda.matmul.allow_tf32
    network.tf32 = False  # type: ignore[assignment]
    assert (np.abs(bits - sentence_bits(network, text)) > 0).any()
