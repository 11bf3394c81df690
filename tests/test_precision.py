"""What is said, and written for mergekit, where checkpoints are stored in half precision or in several dtypes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from conftest import llama, write_checkpoint, write_corpus
from safetensors.torch import load_file
from test_parity import oracle

from interference.compare import DEFAULT, Comparison, Line
from interference.ensemble import LOGITS, Ensemble
from interference.evaluate import Evaluator
from interference.hybrid import Component, Hybrid
from interference.losses import sentence_bits
from interference.merge import merge
from interference.precision import arithmetic, in_float32, in_tf32, mergekit_dtype, precision_notes, stored_dtype
from interference.recipe import Recipe, parse_recipe
from interference.registry import methods
from interference.scored import Request
from interference.snippets import for_mergekit
from interference.store import Store
from interference.suite import Suite, open_suite
from interference.sweep import compare_notes
from interference.weights import Weights

CPU = torch.device("cpu")
HALF = Recipe("ties", ("one", "two"), (0.3, 0.7), (("density", 0.5),), "base")


@pytest.fixture(scope="module")
def suite(tokenizer, tmp_path_factory) -> Suite:
    """Three checkpoints in bfloat16, one in float32, and a corpus."""
    folder = tmp_path_factory.mktemp("halves")
    for seed, (name, dtype) in enumerate(
        {"base": torch.bfloat16, "one": torch.bfloat16, "two": torch.bfloat16, "wide": torch.float32}.items()
    ):
        write_checkpoint(llama(seed).to(dtype), tokenizer, folder / name)  # type: ignore[arg-type]
    return open_suite(folder, write_corpus(folder / "text.tsv"))


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def mergekits(text: str, out: Path) -> dict[str, torch.Tensor]:
    config = oracle("mergekit.config").MergeConfiguration.model_validate(yaml.safe_load(text))
    options = oracle("mergekit.options").MergeOptions(quiet=True)
    oracle("mergekit.merge").run_merge(config, str(out), options, config_source=text)
    return stored(out)


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Share of the entries that are not equal."""
    assert one.keys() == other.keys()
    unequal = sum(int((one[name] != other[name]).sum()) for name in one)
    return unequal / sum(tensor.numel() for tensor in one.values())


def of_mergekit(name: str) -> Recipe:
    method = methods()[name]
    parents = ("one", "two")[: method.parents[1]]
    knobs = tuple((a.name, a.default) for a in method.arguments)
    if name == "passthrough":
        knobs = (("scale", 0.9),)
    return Recipe(
        name, parents, (0.3, 0.7)[: len(parents)] if method.weighted else (), knobs,
        "base" if method.base == "required" else None,
    )  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("name", sorted(n for n, m in methods().items() if m.mergekit))
def test_what_is_written_for_mergekit_computes_in_float32_as_here(name, suite, tmp_path, monkeypatch):
    """To the last place; without it mergekit differs in many entries, but for methods that say otherwise."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe = of_mergekit(name)
    made = merge(recipe, Weights(suite.checkpoints[:3], CPU))
    text = for_mergekit(recipe, suite)
    exact = differing(made, mergekits(text, tmp_path / "written out"))
    assert exact < 0.005
    if not recipe.definition.seeded:
        plain = yaml.safe_load(text)
        plain = {key: value for key, value in plain.items() if key not in ("dtype", "out_dtype")}
        coarse = differing(made, mergekits(yaml.safe_dump(plain), tmp_path / "as stored"))
        assert coarse > exact if mergekit_dtype(recipe, suite) else coarse == exact


def test_a_recipe_that_is_written_for_mergekit_is_the_same_merge_here(suite):
    weights = Weights(suite.checkpoints[:3], CPU)
    back = parse_recipe(for_mergekit(HALF, suite)).renamed(lambda model: Path(model).name)
    assert (back.dtype, back.out_dtype) == ("float32", "bfloat16")
    made, again = merge(HALF, weights), merge(back, weights)
    assert differing(made, again) == 0
    assert {name: t.dtype for name, t in made.items()} == {name: t.dtype for name, t in again.items()}


@pytest.mark.parametrize(
    ("changes", "half"),
    [
        ({}, "bfloat16"), ({"dtype": "float32"}, ""), ({"dtype": "float16"}, "float16"), ({"base": "wide"}, ""),
        ({"out_dtype": "float16"}, "bfloat16"), ({"method": "ties_paper"}, ""),
        ({"method": "linear", "base": None, "knobs": ()}, ""),
    ],
)  # fmt: skip
def test_when_mergekit_computes_more_coarsely(changes, half, suite):
    recipe = replace(HALF, **changes)
    assert mergekit_dtype(recipe, suite) == half
    assert any(half in note for note in precision_notes(recipe, suite)) == bool(half) or "wide" in recipe.needed
    pinned = in_float32(recipe, suite)
    assert (pinned != recipe) == (bool(half) and recipe.dtype is None)
    if pinned != recipe:
        assert pinned.out_dtype == (recipe.out_dtype or "bfloat16")


def test_tables_say_so_and_what_is_mixed(suite, tmp_path):
    evaluator = Evaluator(suite, Store(tmp_path), CPU)
    average = Recipe("linear", ("one", "wide"), (0.5, 0.5))
    assert stored_dtype(average, suite) == "float32"
    notes = evaluator.table(Request((("ties", HALF), ("mean", average)), ("eng",), 2)).notes
    assert (
        "ties is computed in float32, where mergekit computes in bfloat16, unless the recipe says dtype: float32."
        in (notes)
    )
    assert any("several dtypes: bfloat16 (one), float32 (wide); the merge is rounded to float32" in n for n in notes)
    plain = evaluator.table(Request((("mean", Recipe("linear", ("one", "two"), (0.5, 0.5))),), ("eng",), 2)).notes
    assert not any("computed in float32" in note or "dtypes" in note for note in plain)


def test_a_comparison_says_so_once(suite, tmp_path):
    evaluator = Evaluator(suite, Store(tmp_path), CPU)
    for recipe, said in ((HALF, True), (replace(HALF, base="wide"), False)):
        asked = Comparison(recipe.models, ("eng",), recipe.base, search=False)
        notes = compare_notes(evaluator, asked, [Line("ties", "TIES", "task vectors", DEFAULT, recipe)] * 2)
        found = [note for note in notes if "its methods but linear, passthrough, slerp in bfloat16" in note]
        assert len(found) == said


ONE, WIDE = Recipe("linear", ("one", "two"), (0.5, 0.5)), Recipe("linear", ("one", "wide"), (0.5, 0.5))
PART = Component(0, "attention")


@pytest.mark.parametrize(
    ("model", "exact"),
    [
        ("one", True), ("wide", False), ("unigram", False), (ONE, True), (WIDE, False),
        (replace(ONE, out_dtype="float32"), False), (replace(WIDE, out_dtype="float16"), True),
        (Hybrid(ONE, "one", PART), True), (Hybrid(ONE, "wide", PART), False), (Hybrid(WIDE, "one", PART), False),
        (Ensemble(("one", "two"), LOGITS), True), (Ensemble(("one", "wide"), LOGITS), False),
    ],
)  # fmt: skip
def test_a_gpu_multiplies_in_tf32_where_all_weights_are_exact_in_it(model, exact, suite, monkeypatch):
    """Never on a CPU, and nowhere if NVIDIA's switch is off; the store's keys say so."""
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    assert in_tf32(model, suite, "cuda") == exact
    assert not in_tf32(model, suite, "cpu")
    evaluator = Evaluator(suite, Store(), CPU)
    evaluator.device = torch.device("cuda")
    assert arithmetic(evaluator.device) == "float32, products with 16-bit weights in TF32 on cuda"
    key = evaluator.key(model, "eng")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert not in_tf32(model, suite, "cuda")
    assert (evaluator.key(model, "eng") == key) != exact
    assert arithmetic(torch.device("cuda", 1)) == "float32 on cuda:1"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_exact_in_tf32(dtype):
    every = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype).float()
    finite = every[every.isfinite()]
    normal = finite[finite.abs() >= torch.finfo(torch.float32).tiny]  # all that a product can tell from zero
    assert torch.equal(shortened(normal), normal)


@pytest.mark.parametrize("model", ["mono-eng", Recipe("linear", ("mono-eng", "mono-nld"), (0.5, 0.5))])
def test_activations_in_tf32_move_bits_by_less_than_is_said(model):
    """Of every sentence by 1 in 1000, of a language by 0.5: cut off as GPUs do it, which is worse than rounded."""
    suite = open_suite()
    evaluator, rows = Evaluator(suite, Store(), CPU), suite.corpus.rows(20)
    network = evaluator.networks.put(model)
    for language in ("eng", "zho"):
        text = evaluator.text(suite["mono-eng"], language, rows)
        bits, hooks = sentence_bits(network, text), []
        for layer in network.modules():
            if isinstance(layer, torch.nn.Linear):
                hooks.append(layer.register_forward_pre_hook(lambda _, given: (shortened(given[0]),)))
        found = sentence_bits(network, text)
        for hook in hooks:
            hook.remove()
        assert 0 < abs(found / bits - 1).max() < 1e-3
        assert abs(found.sum() / bits.sum() - 1) < 5e-4


def shortened(values: torch.Tensor) -> torch.Tensor:
    """Float32 without the 13 digits that TF32 has not."""
    return (values.contiguous().view(torch.int32) & -(1 << 13)).view(torch.float32)
