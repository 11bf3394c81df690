"""The same numbers as mergekit 0.1.5 and lm-evaluation-harness 0.4.13 on tiny random models.

Where the variants differ on purpose it is said: mergekit works on differences in the checkpoints' own dtype where
this project works in float32, so parity is for float32 checkpoints.
"""

import dataclasses
import importlib
import importlib.metadata
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ENGLISH, GERMAN, experts, gpt2, llama, write_checkpoint
from safetensors.torch import load_file

from interference import inputs
from interference.corpus import read_corpus
from interference.evaluate import Evaluator
from interference.losses import sentence_bits, tokenize
from interference.merge import merge, merge_tensor
from interference.recipe import Recipe
from interference.registry import methods
from interference.scored import Request
from interference.store import Store
from interference.suite import open_suite, suite_of_paths
from interference.weights import Weights

pytestmark = pytest.mark.parity

CPU = torch.device("cpu")
TESTED = {"mergekit": "0.1.5", "lm_eval": "0.4.13", "ckatorch": "1.0.3", "rsatoolbox": "0.3.2"}
MODELS = ("mono-eng", "mono-deu", "branch-eng")
EMBEDDING = "model.embed_tokens.weight"


def oracle(module: str):
    """A module of the reference implementation; without it the tests fail, for a skipped comparison shows nothing."""
    package = module.split(".")[0]
    try:
        found = importlib.metadata.version(package)
        imported = importlib.import_module(module)
    except (ImportError, importlib.metadata.PackageNotFoundError) as error:
        if package == "mergekit" and sys.version_info >= (3, 14):
            pytest.skip("what mergekit needs has no wheel for this Python")
        pytest.fail(f"{package} is missing ({error}). Install the extra: pip install '.[parity]'")
    assert found == TESTED[package], f"parity is stated for {package} {TESTED[package]}, this is {found}"
    return imported


def test_a_missing_reference_implementation_is_a_failure():
    with pytest.raises(pytest.fail.Exception, match=r"Install the extra: pip install '\.\[parity\]'"):
        oracle("no_such_package.module")


@pytest.fixture(scope="module")
def weights(suite_folder, tmp_path_factory, tokenizer) -> Weights:
    """The suite, and two branches so near mixed that their differences have mean squares below 1e-6."""
    checkpoints = list(open_suite(suite_folder).checkpoints)
    folder = tmp_path_factory.mktemp("near")
    for seed, (name, size) in enumerate((("small", 3e-4), ("smaller", 1e-4))):
        near = llama(3)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in near.parameters():
                parameter.add_(torch.randn_like(parameter) * size)
        write_checkpoint(near, tokenizer, folder / name)
    return Weights([*checkpoints, *open_suite(folder).checkpoints], CPU)


def state_dict(weights: Weights, name: str) -> dict[str, torch.Tensor]:
    return {parameter: weights.read(parameter, [name])[0].clone() for parameter in weights.shapes}


def theirs(weights: Weights, recipe: Recipe) -> dict[str, torch.Tensor]:
    """mergekit's merge in memory of the checkpoints and parameters that the recipe's own YAML names."""
    document = yaml.safe_load(recipe.to_yaml())
    own = {m["model"]: m.get("parameters", {}) for m in document["models"]}
    parameters = dict(document.get("parameters", {}))
    for key in {key for values in own.values() for key in values}:
        parameters[key] = {model: values[key] for model, values in own.items()}
    base = document.get("base_model")
    names = dict.fromkeys([*([base] if base else []), *own])
    return oracle("mergekit.merge_methods").merge_state_dicts(
        {name: state_dict(weights, name) for name in names},
        document["merge_method"],
        parameters=parameters,
        base=base,
        out_dtype=getattr(torch, recipe.out_dtype) if recipe.out_dtype else None,
    )


def ours(weights: Weights, recipe: Recipe) -> dict[str, torch.Tensor]:
    """Every parameter by the method's own function: the reference path."""
    coefficients = torch.tensor(recipe.weights, dtype=torch.float32)
    return {name: merge_tensor(recipe, weights, name, coefficients) for name in weights.shapes}


def differing(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


# --- mergekit, in memory ----------------------------------------------------------------------------------------

EXACT = {
    "linear": Recipe("linear", MODELS, (0.5, 0.3, 0.4)),
    "linear, one negative": Recipe("linear", MODELS, (0.9, -0.3, 0.1)),
    "linear, not normalised": Recipe("linear", MODELS, (0.5, 0.3, 0.4), (("normalize", False),)),
    "task_arithmetic": Recipe("task_arithmetic", MODELS, (0.5, 0.3, 0.4), base="mixed"),
    "task_arithmetic, normalised": Recipe("task_arithmetic", MODELS, (0.5, 0.3, 0.4), (("normalize", True),), "mixed"),
    "task_arithmetic, weights to zero": Recipe(
        "task_arithmetic", MODELS, (0.5, -0.3, -0.2), (("lambda", 0.7), ("normalize", False)), "mixed"
    ),
    "ties": Recipe("ties", MODELS, (0.5, 0.3, 0.4), base="mixed"),
    "ties, trimmed": Recipe("ties", MODELS, (0.5, 0.3, 0.4), (("density", 0.3), ("lambda", 1.3)), "mixed"),
    "ties, own densities": Recipe("ties", MODELS, (0.5, 0.3, 0.4), (("density", (0.1, 0.5, 1.0)),), "mixed"),
    "ties, almost nothing kept": Recipe("ties", MODELS, (0.5, 0.3, 0.4), (("density", 1e-6),), "mixed"),
    "ties, nothing kept": Recipe("ties", MODELS, (0.5, 0.3, 0.4), (("density", 0.0),), "mixed"),
    "ties, a weight that flips": Recipe(
        "ties", MODELS, (0.5, -0.3, 0.4), (("density", 0.5), ("normalize", False)), "mixed"
    ),
    "dare_ties at density 1": Recipe("dare_ties", MODELS, (0.5, 0.3, 0.4), (("density", 1.0),), "mixed"),
    "dare_ties at density 1, normalised": Recipe("dare_ties", MODELS, (0.5, 0.3, 0.4), (("normalize", True),), "mixed"),
    "dare_linear at density 1": Recipe("dare_linear", MODELS, (0.5, 0.3, 0.4), (("lambda", 0.7),), "mixed"),
    "della at density 1": Recipe("della", MODELS, (0.5, 0.3, 0.4), base="mixed"),
    "della_linear at density 1": Recipe("della_linear", MODELS, (0.5, 0.3, 0.4), (("normalize", True),), "mixed"),
    "breadcrumbs": Recipe("breadcrumbs", MODELS, (0.5, 0.3, 0.4), (("density", 0.6), ("lambda", 0.7)), "mixed"),
    "breadcrumbs, own shares": Recipe(
        "breadcrumbs", MODELS, (0.5, 0.3, 0.4), (("density", (0.1, 0.5, 0.95)), ("gamma", (0.0, 0.2, 0.1))), "mixed"
    ),
    "breadcrumbs, rescaled": Recipe(
        "breadcrumbs", MODELS, (0.5, 0.3, 0.4), (("density", 0.3), ("normalize", True), ("rescale", True)), "mixed"
    ),
    "breadcrumbs, fewer outliers than gamma": Recipe(
        "breadcrumbs", MODELS, (0.5, 0.3, 0.4), (("density", 0.9), ("gamma", 0.9)), "mixed"
    ),
    "breadcrumbs, nothing kept": Recipe("breadcrumbs", MODELS, (0.5, 0.3, 0.4), (("density", 0.0),), "mixed"),
    "breadcrumbs_ties": Recipe("breadcrumbs_ties", MODELS, (0.5, -0.3, 0.4), (("density", 0.6),), "mixed"),
    "breadcrumbs_ties, rescaled": Recipe(
        "breadcrumbs_ties", MODELS, (0.5, 0.3, 0.4), (("density", 0.3), ("gamma", 0.1), ("rescale", True)), "mixed"
    ),
    "sce": Recipe("sce", MODELS, base="mixed"),
    "sce, selected": Recipe("sce", MODELS, knobs=(("select_topk", 0.4),), base="mixed"),
    "sce, nothing selected": Recipe("sce", MODELS, knobs=(("select_topk", 0.0),), base="mixed"),
    "sce, small differences": Recipe("sce", ("small", "smaller"), knobs=(("select_topk", 0.4),), base="mixed"),
    "ram": Recipe("ram", MODELS, base="mixed"),
    "ram, much alone": Recipe("ram", MODELS, knobs=(("epsilon", 0.1),), base="mixed"),
    "ramplus_tl": Recipe("ramplus_tl", MODELS, base="mixed"),
    "ramplus_tl, much alone": Recipe(
        "ramplus_tl", MODELS, knobs=(("epsilon", 0.1), ("r", 0.5), ("alpha", 0.9)), base="mixed"
    ),
    "nearswap": Recipe("nearswap", ("branch-eng",), knobs=(("t", 0.005),), base="mixed"),
    "nearswap, of another": Recipe("nearswap", ("mono-eng",), knobs=(("t", 0.1),), base="mixed"),
    "arcee_fusion": Recipe("arcee_fusion", ("mono-eng",), base="mixed"),
    "arcee_fusion of a branch": Recipe("arcee_fusion", ("branch-eng",), base="mixed"),
}
CLOSE = {
    "multislerp": Recipe("multislerp", MODELS, (0.5, 0.3, 0.4)),
    "multislerp from a base": Recipe("multislerp", MODELS, (0.5, 0.3, 0.4), base="mixed"),
    "multislerp, one negative": Recipe(
        "multislerp", MODELS, (0.5, -0.3, 0.4), (("normalize_weights", False),), "mixed"
    ),
    "multislerp of one": Recipe("multislerp", MODELS[:1], (0.5,), (("normalize_weights", False),), "mixed"),
    "multislerp, long eps": Recipe("multislerp", MODELS, (0.5, 0.3, 0.4), (("eps", 1e-3),)),
    "karcher": Recipe("karcher", MODELS),
    "karcher, close parents": Recipe("karcher", ("mixed", "branch-eng", "branch-deu")),
    "karcher, one step": Recipe("karcher", MODELS, knobs=(("max_iter", 1),)),
    "karcher, start alone": Recipe("karcher", MODELS, knobs=(("max_iter", 0),)),
    "karcher, coarse": Recipe("karcher", MODELS, knobs=(("tol", 0.2),)),
    "karcher of one": Recipe("karcher", MODELS[:1]),
    "model_stock": Recipe("model_stock", MODELS, base="init"),
    "model_stock of branches": Recipe("model_stock", ("mixed", "branch-eng", "branch-deu"), base="init"),
    "model_stock by row": Recipe("model_stock", MODELS, knobs=(("filter_wise", True),), base="init"),
}


@pytest.mark.parametrize("name", EXACT)
def test_bit_for_bit_in_float32(name, weights):
    """The reference path of the deterministic methods gives mergekit's bits, every parameter."""
    assert differing(ours(weights, EXACT[name]), theirs(weights, EXACT[name])) == []


@pytest.mark.parametrize("name", CLOSE)
def test_within_a_millionth(name, weights):
    """Where sums run in another order here: 1e-6 relative to the parameter's largest entry."""
    found, expected = ours(weights, CLOSE[name]), theirs(weights, CLOSE[name])
    assert found.keys() == expected.keys()
    for parameter, tensor in expected.items():
        assert float((found[parameter] - tensor).abs().max()) <= 1e-6 * float(tensor.abs().max()), parameter


def test_the_comparison_can_fail(weights):
    """Another weight in the fifth decimal, and every matrix differs."""
    other = Recipe("linear", MODELS, (0.50001, 0.3, 0.4))
    assert EMBEDDING in differing(ours(weights, EXACT["linear"]), theirs(weights, other))


@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("pair", [("mono-eng", "mono-deu"), ("mixed", "branch-eng")])
def test_slerp_within_a_millionth(pair, t, weights):
    """On the arc (independent models) and near or on the line (a branch and what it branched from)."""
    recipe = Recipe("slerp", pair, knobs=(("t", t),))
    found, expected = ours(weights, recipe), theirs(weights, recipe)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)


def test_linear_fast_path_within_its_bound(weights):
    """What the page shows, against mergekit: 1e-6 of the largest parent's magnitude."""
    found, expected = merge(EXACT["linear"], weights), theirs(weights, EXACT["linear"])
    for name, tensor in expected.items():
        largest = float(weights.read(name, MODELS).abs().max())
        assert float((found[name] - tensor).abs().max()) <= 1e-6 * largest


def test_linear_of_bfloat16_checkpoints(tmp_path, tokenizer):
    """mergekit too sums in float32 there and rounds once: the same bits."""
    for seed, name in enumerate(("one", "two")):
        write_checkpoint(
            llama(seed).to(torch.bfloat16),  # type: ignore[arg-type]
            tokenizer,
            tmp_path / name,
        )
    stored = Weights(open_suite(tmp_path).checkpoints, CPU)
    recipe = Recipe("linear", ("one", "two"), (0.3, 0.7))
    found = {name: tensor.to(torch.bfloat16) for name, tensor in ours(stored, recipe).items()}
    assert differing(found, theirs(stored, recipe)) == []


# --- mergekit's random masks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_bit_for_bit_given_the_same_random_numbers(weights, monkeypatch, method, rescale, normalize):
    """Only where the random numbers come from differs: mergekit drawing ours gives our bits."""
    knobs: tuple = (("density", (0.4, 0.7, 0.3)), ("normalize", normalize), ("rescale", rescale))
    knobs += (("epsilon", (0.1, 0.29, 0.15)),) if method.startswith("della") else ()
    recipe = Recipe(method, MODELS, (0.5, 0.3, 0.4), knobs, "mixed")
    sparsify = oracle("mergekit.sparsify")
    drawn = iter([row for name in weights.shapes for row in _uniforms(recipe, weights, name)])
    monkeypatch.setattr(
        sparsify.torch, "bernoulli", lambda probability: (next(drawn) < probability).to(probability.dtype)
    )
    expected = theirs(weights, recipe)
    assert next(drawn, None) is None
    monkeypatch.undo()
    assert differing(ours(weights, recipe), expected) == []


def _uniforms(recipe: Recipe, weights: Weights, name: str) -> torch.Tensor:
    return inputs._uniforms(recipe.seed, recipe.models, name, torch.Size(weights.shapes[name]), CPU)


@pytest.mark.parametrize("density", [0.2, 0.7])
@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_random_merges_in_distribution(weights, method, density):
    """Over 200 draws of one matrix the mean merge agrees within sampling error, and so does the share that moved."""
    name, draws = "model.layers.0.self_attn.k_proj.weight", 200
    knobs = (("density", density),)
    stack = {model: {name: weights.read(name, [model])[0].clone()} for model in ("mixed", *MODELS[:2])}
    merge_state_dicts = oracle("mergekit.merge_methods").merge_state_dicts
    found, expected = [], []
    coefficients, base = torch.tensor([0.5, 0.3]), stack["mixed"][name]
    for seed in range(draws):
        recipe = Recipe(method, MODELS[:2], (0.5, 0.3), knobs, "mixed", seed=seed)
        found.append(merge_tensor(recipe, weights, name, coefficients) - base)
        torch.manual_seed(seed)
        parameters = {"weight": dict(zip(MODELS[:2], (0.5, 0.3), strict=True)), "density": density}
        merged = merge_state_dicts(stack, method, parameters=parameters, base="mixed")
        expected.append(merged[name] - base)
    here, there = torch.stack(found), torch.stack(expected)
    error = ((here.var(dim=0) + there.var(dim=0)) / draws).sqrt().clamp_min(1e-6)
    z = (here.mean(dim=0) - there.mean(dim=0)) / error
    assert abs(float(z.square().mean()) - 1) < 0.25
    assert float(z.abs().max()) < 5
    moved = [float((deltas != 0).float().mean()) for deltas in (here, there)]
    assert moved[0] == pytest.approx(moved[1], abs=0.01)
    norms = [float(deltas.flatten(1).norm(dim=1).mean()) for deltas in (here, there)]
    assert norms[0] == pytest.approx(norms[1], rel=0.01)


# --- mergekit, through files ------------------------------------------------------------------------------------


THROUGH_FILES = {recipe.method: recipe for recipe in reversed([*EXACT.values(), *CLOSE.values()])} | {
    "ties": EXACT["ties, trimmed"],
    "slerp": Recipe("slerp", MODELS[:2], knobs=(("t", 0.3),)),
    "nuslerp": Recipe("nuslerp", MODELS[:2], (0.7, 0.3), base="mixed"),
    "passthrough": Recipe("passthrough", MODELS[:1], knobs=(("scale", 0.9),)),
}


def test_every_method_of_mergekit_goes_through_files():
    known = {name for name, method in methods().items() if method.mergekit}
    assert set(THROUGH_FILES) == known == {m.spec.name for m in oracle("mergekit.merge_methods").registered_methods()}


@pytest.mark.parametrize("name", sorted(THROUGH_FILES))
def test_a_recipe_file_gives_the_same_checkpoint(name, suite_folder, tmp_path, monkeypatch):
    """mergekit-yaml's own steps on the YAML that `to_yaml` writes, against the folder that `merge --out` writes."""
    from interference.__main__ import app

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = oracle("mergekit.config").MergeConfiguration
    run, options = oracle("mergekit.merge").run_merge, oracle("mergekit.options").MergeOptions
    text = THROUGH_FILES[name].renamed(lambda model: str(suite_folder / model)).to_yaml()
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    run(config.model_validate(yaml.safe_load(text)), str(tmp_path / "theirs"), options(quiet=True), config_source=text)
    app(["merge", str(file), "--out", str(tmp_path / "ours"), "--suite", str(suite_folder)], standalone_mode=False)
    found, expected = (_stored(tmp_path / side) for side in ("ours", "theirs"))
    assert found.keys() == expected.keys()
    exact = not methods()[name].combines and name in {recipe.method for recipe in EXACT.values()}
    for parameter, tensor in expected.items():
        assert found[parameter].dtype == tensor.dtype == torch.float32
        # weighted sums are taken in another order
        bound = 0 if exact else 1e-6 * max(1.0, float(tensor.abs().max()))
        torch.testing.assert_close(found[parameter], tensor, rtol=0, atol=bound, msg=parameter)


@pytest.mark.parametrize("method", ["linear", "slerp", "ties"])
def test_experts_are_merged_as_there(method, tokenizer, tmp_path, monkeypatch):
    """A layer's experts, stored one by one, are one tensor for both."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for seed, name in enumerate(("base", "one", "two")):
        write_checkpoint(experts(seed), tokenizer, tmp_path / name)
    one, two = (str(tmp_path / name) for name in ("one", "two"))
    recipe = {
        "linear": Recipe("linear", (one, two), (0.3, 0.7)),
        "slerp": Recipe("slerp", (one, two), knobs=(("t", 0.3),)),
        "ties": Recipe("ties", (one, two), (0.3, 0.7), (("density", 0.4),), str(tmp_path / "base")),
    }[method]
    config = oracle("mergekit.config").MergeConfiguration.model_validate(yaml.safe_load(recipe.to_yaml()))
    oracle("mergekit.merge").run_merge(
        config, str(tmp_path / "out"), oracle("mergekit.options").MergeOptions(quiet=True)
    )
    found, suite = _stored(tmp_path / "out"), suite_of_paths(recipe.needed)
    expected = merge(recipe, Weights([suite[name] for name in recipe.needed], CPU))
    assert "model.layers.0.mlp.experts.gate_up_proj" in expected
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(tensor, found[name], rtol=0, atol=0 if method == "ties" else 1e-6)


def _stored(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.glob("*.safetensors"))
    assert files
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("change", [{"base": "@mean"}, {"base": "@zero"}, {"post": ("rescale",)}, {"seed": 7}])
def test_mergekit_fails_on_what_is_ours_alone(change, suite_folder, tmp_path, monkeypatch):
    """It never merges something else in silence; the same recipe without the change goes through above."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = oracle("mergekit.config").MergeConfiguration
    run, options = oracle("mergekit.merge").run_merge, oracle("mergekit.options").MergeOptions
    paths = tuple(str(suite_folder / model) for model in MODELS[:2])
    recipe = dataclasses.replace(Recipe("ties", paths, (0.5, 0.3), base=str(suite_folder / "mixed")), **change)
    with pytest.raises((OSError, RuntimeError), match=r"Repo id|Unimplemented merge method ties"):
        run(config.model_validate(yaml.safe_load(recipe.to_yaml())), str(tmp_path / "out"), options(quiet=True))
    assert not list(tmp_path.glob("out/*.safetensors"))


# --- lm-evaluation-harness --------------------------------------------------------------------------------------

TEXTS = (*ENGLISH, *GERMAN, "Здравствуй, мир", " ".join(GERMAN), "x", "a" * 64, "b" * 65, "c" * 128)  # context: 64


def harness(model, tokenizer):
    found = oracle("lm_eval.models.huggingface").HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", batch_size=1)
    assert found.max_length == 64
    return found


def log_likelihoods(lm, texts) -> list[float]:
    instance = oracle("lm_eval.api.instance").Instance
    requests = [instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(texts)]
    return lm.loglikelihood_rolling(requests, disable_tqdm=True)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_bits_of_every_text_are_the_harnesses(family, tokenizer):
    """-log2 likelihood by rolling windows, text by text: short, one window exactly, one token more, several windows."""
    model = llama(1) if family == "llama" else gpt2(1)
    text = tokenize(tokenizer, TEXTS)
    assert max(map(len, text.ids)) > 2 * 64
    expected = -np.array(log_likelihoods(harness(model, tokenizer), TEXTS)) / math.log(2)
    np.testing.assert_allclose(sentence_bits(model, text, limit=64), expected, rtol=1e-6, atol=1e-4)


def test_bits_per_byte_of_a_corpus_are_the_harnesses(suite_folder, tokenizer, tmp_path):
    """The table's column against the harness's own aggregation over the same sentences, long ones among them."""
    metrics = oracle("lm_eval.api.metrics")
    lines = [f"{e} {' '.join(ENGLISH)}\t{g}" for e, g in zip(ENGLISH, GERMAN, strict=True)]
    (tmp_path / "text.tsv").write_text("\n".join(["eng\tdeu", *lines]) + "\n", encoding="utf-8")
    suite = open_suite(suite_folder, tmp_path / "text.tsv")
    corpus = read_corpus(tmp_path / "text.tsv")
    table = Evaluator(suite, Store(), CPU).table(Request((("mono-eng", "mono-eng"),), ("eng", "deu")))
    frame = table.frame.set_index("language")
    lm = harness(llama(1), tokenizer)
    for language in ("eng", "deu"):
        texts = corpus.sentences[language]
        items = [(value, len(text.encode())) for value, text in zip(log_likelihoods(lm, texts), texts, strict=True)]
        assert frame.loc[language, "bytes"] == sum(count for _, count in items)
        assert frame.loc[language, "bits_per_byte"] == pytest.approx(metrics.bits_per_byte(items), rel=1e-6)
