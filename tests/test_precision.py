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
from interference.evaluate import Evaluator
from interference.merge import merge
from interference.precision import in_float32, mergekit_dtype, precision_notes, stored_dtype
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
