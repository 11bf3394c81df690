"""The loop that merges: two paths to one number, dtypes, bases, post-steps, buffers."""

import dataclasses
import gc
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
import torch
from conftest import llama, write_checkpoint
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from interference import fused as fusing
from interference import inputs, registry
from interference import merge as merging
from interference import weights as holding
from interference.bits import Bits, unpacked
from interference.checkpoint import build
from interference.dev import DevHalf
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.generate import Question, Sampling, answer_steps
from interference.groups import GROUPS, group_of
from interference.merge import merge, merge_into, merge_network_steps, merge_tensor, merge_with, output_dtype
from interference.recipe import Gradient, Recipe, Where, parse_recipe, site_at
from interference.registry import Knob, merge_method, methods, post_step, post_steps
from interference.scored import Request
from interference.stacks import Stack
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite, suite_of_paths
from interference.weights import Weights

CPU = torch.device("cpu")
MONOS = ("mono-eng", "mono-deu", "mixed")
RECIPES = {
    "linear": Recipe("linear", MONOS, (0.5, 0.3, 0.2)),
    "slerp": Recipe("slerp", MONOS[:2], knobs=(("t", 0.3),)),
    "task_arithmetic": Recipe("task_arithmetic", MONOS, (0.5, 0.3, -0.2), base="init"),
    "ties": Recipe("ties", MONOS, (0.5, 0.3, 0.2), (("density", (0.2, 0.5, 0.9)),), "init"),
    "dare_ties": Recipe("dare_ties", MONOS, (0.5, 0.3, 0.2), (("density", 0.4),), "init"),
    "ties_paper": Recipe("ties_paper", MONOS, (0.5, 0.3, 0.2), (("density", (0.2, 0.5, 0.9)),), "init"),
    "nuslerp": Recipe("nuslerp", MONOS[:2], (0.5, 0.3)),
    "nuslerp, from a base": Recipe("nuslerp", MONOS[:2], (0.5, 0.3), base="init"),
    "nuslerp by row": Recipe("nuslerp", MONOS[:2], (0.5, 0.3), (("nuslerp_flatten", False),), "init"),
    "passthrough": Recipe("passthrough", MONOS[:1], knobs=(("scale", 0.5),)),
    "layer_swap": Recipe("layer_swap", MONOS[:2], knobs=(("first", 1), ("last", 0))),
    "dare_linear": Recipe("dare_linear", MONOS, (0.5, 0.3, 0.2), (("density", (0.2, 0.5, 0.9)),), "init"),
    "dare_linear_paper": Recipe("dare_linear_paper", MONOS, (0.5, 0.3, 0.2), (("density", 0.4),), "init"),
    "breadcrumbs": Recipe("breadcrumbs", MONOS, (0.5, 0.3, 0.2), (("density", 0.6), ("gamma", 0.1)), "init"),
    "breadcrumbs_ties": Recipe("breadcrumbs_ties", MONOS, (0.9, 0.1, 0.05), (("density", 0.6),), "init"),
    "della": Recipe(
        "della", MONOS, (0.9, 0.1, 0.05), (("density", 0.4), ("epsilon", (0.1, 0.2, 0.3)), ("normalize", False)), "init"
    ),
    "della_linear": Recipe("della_linear", MONOS, (0.5, 0.3, 0.2), (("density", 0.4),), "init"),
    "della_paper": Recipe("della_paper", MONOS, (0.5, 0.3, 0.2), (("density", 0.4),), "init"),
    "multislerp": Recipe("multislerp", MONOS, (0.5, 0.3, 0.2)),
    "multislerp, from a base": Recipe("multislerp", MONOS, (0.5, 0.3, 0.4), (("normalize_weights", False),), "init"),
    "karcher": Recipe("karcher", MONOS),
    "sce": Recipe("sce", MONOS, knobs=(("select_topk", 0.5),), base="init"),
    "sce_paper": Recipe("sce_paper", MONOS, knobs=(("select_topk", 0.5),), base="init"),
    "ram": Recipe("ram", MONOS, knobs=(("epsilon", 0.01),), base="init"),
    "ramplus_tl": Recipe("ramplus_tl", MONOS, knobs=(("epsilon", 0.01), ("r", 0.5)), base="init"),
    "model_stock": Recipe("model_stock", MONOS, base="init"),
    "model_stock_clamped": Recipe("model_stock_clamped", MONOS, base="init"),
    "model_stock_clamped by row": Recipe("model_stock_clamped", MONOS, knobs=(("filter_wise", True),), base="init"),
    "nearswap": Recipe("nearswap", MONOS[:1], knobs=(("t", 0.05),), base="init"),
    "arcee_fusion": Recipe("arcee_fusion", MONOS[:1], base="init"),
    "fisher": Recipe("fisher", MONOS, (0.5, 0.3, 0.2)),
    "regmean": Recipe("regmean", MONOS, (0.5, 0.3, 0.2)),
    "iso_c": Recipe("iso_c", MONOS, (0.5, 0.3, 0.2), base="init"),
    "tsv_m": Recipe("tsv_m", MONOS, base="init"),
    "rescaled": Recipe("linear", MONOS, (0.5, 0.3, 0.2), post=("rescale",)),
}
BY_ROW = ("nuslerp by row", "model_stock_clamped by row")
SUMS = [n for n, recipe in RECIPES.items() if recipe.definition.combines and not recipe.post and n not in BY_ROW]


@pytest.fixture(scope="module")
def weights(suite_folder) -> Weights:
    """Six float32 checkpoints, resident, and what is measured on them."""
    suite = open_suite(suite_folder)
    dev = DevHalf(suite, CPU)
    return Weights(suite.checkpoints, CPU, dev)


@pytest.fixture(scope="module")
def halves(tmp_path_factory, tokenizer) -> Path:
    """The same four models stored as bfloat16 (two), float16 and float32."""
    folder = tmp_path_factory.mktemp("halves")
    for seed, name in enumerate(("bfloat16", "bfloat16-too", "float16", "float32")):
        model = llama(seed).to(getattr(torch, name.removesuffix("-too")))
        write_checkpoint(model, tokenizer, folder / name)
    return folder


def halves_of(folder: Path, *names: str) -> Weights:
    return Weights([open_suite(folder)[name] for name in names], CPU)


def reference(recipe: Recipe, weights: Weights) -> dict[str, torch.Tensor]:
    """Every parameter by the method's own function, in float32."""
    coefficients = torch.tensor(recipe.weights, dtype=torch.float32)
    return {name: merge_tensor(recipe, weights, name, coefficients) for name in weights.shapes}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def agree(
    first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], weights: Weights, coefficients: float = 1.0
) -> bool:
    """Within 1e-6 of the largest parent's magnitude, times the summed sizes of the coefficients above one."""
    bounds = {
        name: 1e-6 * max(coefficients, 1) * float(weights.read(name, weights.names).abs().max()) for name in first
    }
    return all(float((first[name] - second[name]).abs().max()) <= bound for name, bound in bounds.items())


# --- two paths --------------------------------------------------------------------------------------------------

IN_PIECES = [name for name, recipe in RECIPES.items() if recipe.definition.elementwise or recipe.definition.rowwise]


@pytest.mark.parametrize("name", IN_PIECES)
def test_pieces_give_the_reference_paths_bits(name, weights, monkeypatch):
    """Pieces that end within rows, or whole rows, the last one shorter; parents beside each other and apart."""
    monkeypatch.setitem(merging.PIECE, "cpu", 800)
    monkeypatch.setattr(merging._Shares, "addends", lambda *_: None)
    recipe = RECIPES[name]
    apart = recipe.renamed(lambda model: {"mono-deu": "branch-deu"}.get(model, model))
    for one in (recipe, apart):
        assert same(merge(one, weights), reference(one, weights))


@pytest.mark.parametrize("base", ["@mean", "@zero"])
def test_pieces_are_taken_from_made_up_bases_too(base, weights, monkeypatch):
    monkeypatch.setitem(merging.PIECE, "cpu", 800)
    recipe = dataclasses.replace(RECIPES["ties"], base=base)
    assert same(merge(recipe, weights), reference(recipe, weights))


def test_every_method_that_goes_in_pieces_is_among_them():
    known = {name for name, method in methods().items() if method.elementwise or method.rowwise}
    assert {RECIPES[name].method for name in IN_PIECES} == known


def test_a_method_that_wrongly_says_so_is_found(weights, monkeypatch):
    """One that measures whole tensors gives other numbers in pieces."""
    monkeypatch.setitem(merging.PIECE, "cpu", 800)
    monkeypatch.setitem(registry._METHODS, "iso_c", dataclasses.replace(methods()["iso_c"], rowwise=True))
    assert not same(merge(RECIPES["iso_c"], weights), reference(RECIPES["iso_c"], weights))


@pytest.mark.parametrize("dtypes", [(None, "bfloat16"), ("bfloat16", None)])
def test_pieces_are_cast_as_whole_tensors_are(dtypes, weights, monkeypatch):
    recipe = dataclasses.replace(RECIPES["ties"], dtype=dtypes[0], out_dtype=dtypes[1])
    expected = merge(recipe, weights)
    monkeypatch.setitem(merging.PIECE, "cpu", 800)
    assert same(merge(recipe, weights), expected)


@given(row=st.lists(st.floats(-1, 2), min_size=3, max_size=3), normalize=st.booleans())
@example(row=[1.0, -0.999, 0.0], normalize=True)
@example(row=[1.0, 0.0, 0.0], normalize=True)
@settings(deadline=None, derandomize=True, database=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_fast_linear_path_agrees_with_the_reference(weights, row, normalize):
    """Within 1e-6 of the largest parent's magnitude, times the summed sizes of the effective weights above one."""
    if normalize and abs(sum(row)) < 1e-3:
        return
    recipe = Recipe("linear", MONOS, tuple(row), (("normalize", normalize),))
    effective = sum(map(abs, row)) / (abs(sum(row)) if normalize else 1)
    assert agree(merge(recipe, weights), reference(recipe, weights), weights, effective)


@pytest.mark.parametrize("name", SUMS)
def test_weighted_sums_agree_with_the_reference_path_without_calling_it(name, weights, monkeypatch):
    """Parents beside each other and apart, across the borders of pieces, from every kind of base."""
    recipe = RECIPES[name]
    apart = recipe.renamed(lambda model: {"mono-deu": "branch-deu"}.get(model, model))
    # From the mean of two, differences are each other's opposite, and no arc or ratio is well defined.
    bases = () if recipe.base is None else ("@mean", "@zero") if recipe.method == "task_arithmetic" else ("@zero",)
    asked = [recipe, apart, *(dataclasses.replace(recipe, base=base) for base in bases)]
    slow = [reference(one, weights) for one in asked]
    monkeypatch.setattr(fusing, "_CHUNK", 1000)
    monkeypatch.setattr(merging, "_merged", None)
    monkeypatch.setattr(merging, "_merge_one", None)
    for one, expected in zip(asked, slow, strict=True):
        assert agree(merge(one, weights), expected, weights, 3)


def test_every_method_that_is_a_weighted_sum_is_among_them():
    assert {RECIPES[name].method for name in SUMS} == {name for name, method in methods().items() if method.combines}


def test_fast_linear_path_in_bfloat16_is_one_rounding_from_the_reference(halves, monkeypatch):
    """The sum is taken in float32 and rounded once, also across the borders of its pieces; never summed in bfloat16."""
    stored = halves_of(halves, "bfloat16", "bfloat16-too")
    recipe = Recipe("linear", stored.names, (0.3, 0.7))
    slow = reference(recipe, stored)
    for chunk in (fusing._CHUNK, 1000):
        monkeypatch.setattr(fusing, "_CHUNK", chunk)
        fast = merge(recipe, stored)
        for name, exact in slow.items():
            assert fast[name].dtype == torch.bfloat16
            largest = float(stored.read(name, stored.names).abs().max())
            rounding = exact.abs() * 2**-8 + 1e-6 * largest
            assert bool(((fast[name].float() - exact).abs() <= rounding).all())
        embedding = "model.embed_tokens.weight"
        rounded = slow[embedding].to(torch.bfloat16)
        first, second = stored.read(embedding, stored.names)
        assert float((fast[embedding] != rounded).float().mean()) < 5e-3
        assert float((first * 0.3 + second * 0.7 != rounded).float().mean()) > 0.1


@pytest.mark.parametrize("name", [n for n in RECIPES if n not in SUMS])
def test_other_merges_are_the_reference_path(name, weights):
    assert same(merge(RECIPES[name], weights), reference(RECIPES[name], weights))


def test_the_recipes_here_cover_every_method():
    assert {recipe.method for recipe in RECIPES.values()} == set(methods())


# --- weights by part of the model -------------------------------------------------------------------------------

RAMP = Where((("mlp", Gradient((0.2, 0.9))), ("norm", 0.0), (None, 0.6)))


def test_the_fast_path_serves_weights_by_part_of_the_model_too(weights, monkeypatch):
    """Within its bound of the reference, and without calling it."""
    recipe = Recipe("linear", MONOS, (RAMP, Gradient((0.5, 0.1)), 0.2))
    slow = reference_of(recipe, weights)
    monkeypatch.setattr(merging, "_merged", None)
    fast = merge(recipe, weights)
    for name, exact in slow.items():
        bound = 1e-6 * float(weights.read(name, MONOS).abs().max())
        assert float((fast[name] - exact).abs().max()) <= bound


def reference_of(recipe, weights):
    return {name: merge_tensor(recipe, weights, name) for name in weights.shapes}


def test_each_tensor_is_merged_with_its_own_numbers(weights):
    """A recipe by part and layer equals, tensor by tensor, recipes of those plain numbers."""
    shares = Where((("self_attn", 0.3), ("mlp", Gradient((0.9, 0.5)))))
    recipe = Recipe("ties", MONOS[:2], (RAMP, 0.5), (("density", (shares, 0.5)),), "init")
    merged = merge(recipe, weights)
    for name, first, share in (
        ("model.layers.0.mlp.up_proj.weight", 0.2, 0.9), ("model.layers.1.mlp.up_proj.weight", 0.9, 0.5),
        ("model.layers.1.self_attn.q_proj.weight", 0.6, 0.3), ("model.embed_tokens.weight", 0.6, 1.0),
        ("model.norm.weight", 0.0, 1.0),
    ):  # fmt: skip
        plain = Recipe("ties", MONOS[:2], (first, 0.5), (("density", (share, 0.5)),), "init")
        assert torch.equal(merged[name], merge_tensor(plain, weights, name))


# --- gradients --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in RECIPES if methods()[RECIPES[n].method].weighted])
def test_a_merge_is_differentiable_in_its_coefficients(name, weights):
    """By finite differences of the whole merge's squares, one coefficient for each part of the model and model."""
    recipe = RECIPES[name]
    table = {g: torch.tensor(recipe.weights).clone().requires_grad_() for g in GROUPS}

    def energy() -> torch.Tensor:
        merged = merge_with(recipe, weights, lambda parameter: table[group_of(parameter)])
        return torch.stack([t.double().square().sum() for t in merged.values()]).sum()

    energy().backward()
    step = 1e-2
    for group in ("embeddings", "mlp", "norms"):
        gradient = table[group].grad
        assert gradient is not None
        found = float(gradient[0])
        with torch.no_grad():
            table[group][0] += step
            above = float(energy())
            table[group][0] -= 2 * step
            below = float(energy())
            table[group][0] += step
        assert found == pytest.approx((above - below) / (2 * step), rel=2e-2, abs=1e-2)
    assert table["head"].grad is None  # tied: no such parameter


def test_a_merge_is_differentiable_in_its_scalar_knobs(weights):
    t = torch.tensor(0.3, requires_grad=True)
    merge_tensor(RECIPES["slerp"], weights, "model.embed_tokens.weight", knobs={"t": t}).square().sum().backward()
    assert t.grad is not None
    assert 0 < abs(float(t.grad)) < 1e6


def test_knobs_that_a_preparation_depends_on_have_no_gradient(weights):
    with pytest.raises(ValueError, match="density; no gradient"):
        merge_tensor(RECIPES["ties"], weights, "model.norm.weight", knobs={"density": torch.tensor(0.3)})


def test_merging_with_coefficients_is_the_merge(weights, suite_folder):
    """And a network that is called with it gives a loss whose gradient reaches the coefficients."""
    recipe = RECIPES["task_arithmetic"]
    row = torch.tensor(recipe.weights, requires_grad=True)
    merged = merge_with(recipe, weights, lambda name: row)
    assert agree({n: t.detach() for n, t in merged.items()}, merge(recipe, weights), weights)
    network = build(open_suite(suite_folder)["init"].config, CPU)
    ids = torch.arange(12)[None]
    torch.func.functional_call(network, merged, (), {"input_ids": ids, "labels": ids}).loss.backward()
    assert bool((row.grad != 0).all())


# --- preparation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "calls", "reordered"), [("ties", 20 + 3 * 20, 20 + 2 * 20), ("ties_paper", 1, 1)])
def test_what_survives_a_coefficients_move_is_prepared_once(name, calls, reordered, suite_folder, monkeypatch):
    """Not again for other weights or another lambda; again for another density, base or set of parents.

    What TIES finds is found by parent: in another order the one in the middle keeps its density and what was found.
    """
    stored = Weights(open_suite(suite_folder).checkpoints, CPU)
    assert len(stored.shapes) == 20
    counted: list[Any] = []
    made = Weights.prepared

    def count(self, key, make):
        def counting():
            counted.append(key)
            return make()

        return made(self, key, counting)

    monkeypatch.setattr(Weights, "prepared", count)
    recipe = RECIPES[name]
    first = merge(recipe, stored)
    assert len(counted) == calls
    again = dataclasses.replace(recipe, weights=(0.1, 0.9, 0.4), knobs=(*recipe.knobs, ("lambda", 0.5)))
    moved = merge(again, stored)
    assert len(counted) == calls
    assert same(merge(recipe, stored), first)
    assert not same(moved, first)
    for change in ({"knobs": (("density", 0.3),)}, {"base": "@mean"}, {"models": MONOS[::-1]}, {"dtype": "bfloat16"}):
        before = len(counted)
        changed = dataclasses.replace(recipe, **change)
        assert same(merge(changed, stored), merge(changed, Weights(open_suite(suite_folder).checkpoints, CPU)))
        assert len(counted) == before + calls + (reordered if "models" in change else calls)


@pytest.mark.parametrize("base", ["init", "@mean", "@zero"])
@pytest.mark.parametrize("density", [0.3, (0.2, 0.5, 1.0)])
def test_what_is_prepared_by_parent_is_what_all_at_once_give(base, density, suite_folder, monkeypatch):
    """The same numbers from one parent at a time, of which not even one need be in float32."""
    weights = Weights(open_suite(suite_folder).checkpoints, CPU)
    recipe = dataclasses.replace(RECIPES["ties"], base=base, knobs=(("density", density),))
    prepare, seen = recipe.definition.prepare, list[int]()
    assert prepare
    plain = prepare.function
    rows = {name: weights.read(name, recipe.models) for name in weights.shapes}

    def watched(deltas, density):
        seen.append(len(deltas))
        return plain(deltas, density)

    part = dataclasses.replace(prepare, function=watched)
    for name, stack in rows.items():
        site = site_at(recipe, name, 2)
        found = inputs._cut_by_parent(recipe, weights, site, part)
        zero = torch.zeros(stack.shape[1:])
        own = {"init": weights.read(name, ["init"])[0], "@mean": stack.mean(dim=0), "@zero": zero}[base]
        expected = plain(stack - own, torch.tensor(density) if isinstance(density, tuple) else density)
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True)), name
    assert set(seen) == {1}


@pytest.mark.parametrize("name", [n for n, method in methods().items() if method.by_parent])
@pytest.mark.parametrize("base", ["init", "@mean", "@zero"])
def test_masks_are_made_of_one_parent_at_a_time(name, base, suite_folder):
    """The same ones as of all at once, which ten large models would have no room for."""
    weights = Weights(open_suite(suite_folder).checkpoints, CPU)
    recipe = Recipe(name, MONOS, (0.5, 0.3, 0.2), (("density", (0.3, 0.6, 1.0)),), base)
    prepare, seen = recipe.definition.prepare, set[int]()
    assert prepare

    def watched(deltas, *others, **settings):
        seen.add(len(deltas))
        return prepare.function(deltas, *others, **settings)

    part = dataclasses.replace(prepare, function=watched)
    for parameter in weights.shapes:
        site = site_at(recipe, parameter, 2)
        made = inputs._prepared_by_parent(recipe, weights, site, part)
        found = unpacked(made)
        assert seen == {1}
        assert [type(one) for one in made] == [Bits if one.dtype == torch.bool else torch.Tensor for one in found]
        settings = {a.name: site.settings[a.name] for a in prepare.arguments}
        expected = inputs.call(prepare, inputs.given_whole(recipe, weights, site), settings)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            torch.testing.assert_close(one, other, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["ties", "dare_ties", "slerp"])
def test_nothing_of_a_merge_is_left_when_it_is_done(name, suite_folder):
    """Not even until Python looks for circles: that may be long, and on a GPU it is all parents in float32."""
    weights, seen = Weights(open_suite(suite_folder).checkpoints, CPU), []

    def watched(function):
        def watching(*arguments):
            found = function(*arguments)
            seen.append(weakref.ref(found))
            return found

        return watching

    gc.disable()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inputs, "_as_float32", watched(inputs._as_float32))
            patch.setattr(Stack, "_made", watched(Stack._made))
            merge_tensor(dataclasses.replace(RECIPES[name], dtype="bfloat16"), weights, "model.embed_tokens.weight")
        assert seen
        assert not [one for one in seen if one() is not None]
    finally:
        gc.enable()


def test_what_is_kept_stays_below_half_of_the_weights(suite_folder):
    """The least recently used goes; what alone is larger is not kept at all, and the values are right either way."""
    stored = Weights(open_suite(suite_folder).checkpoints, CPU)
    quarter = stored.nbytes // 4
    made: list[int] = []

    def make(number: int, size: int):
        def making():
            made.append(number)
            return torch.zeros(size, dtype=torch.uint8)

        return making

    for number in (1, 2, 1, 3, 1, 2):
        stored.prepared(number, make(number, quarter - 8))
    assert made == [1, 2, 3, 2]
    for _ in range(2):
        assert len(stored.prepared("large", make(9, 3 * quarter))) == 3 * quarter
    assert made == [1, 2, 3, 2, 9, 9]


# --- data -------------------------------------------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch):
    """Registries that forget what a test adds."""
    methods(), post_steps()
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    monkeypatch.setattr(registry, "_POST_STEPS", dict(registry._POST_STEPS))


def test_a_method_gets_the_data_it_asks_for(registered, suite_folder):
    """Of each parent's own parameter, in a slice too; None where a parameter has none; a message where nothing was
    measured."""

    def by_counts(tensors: torch.Tensor, counts: torch.Tensor | None, group: str) -> torch.Tensor:
        """Rows by how often their token occurs."""
        assert (counts is None) == (group != "embeddings")
        return tensors[0] if counts is None else (tensors * (counts / counts.sum(dim=0))[..., None]).sum(dim=0)

    merge_method(label="x", family="x", source="arXiv:0")(by_counts)
    recipe = Recipe("by_counts", MONOS)
    assert recipe.data == {"counts"}
    checkpoints = open_suite(suite_folder).checkpoints
    with pytest.raises(UserError, match="how often each token occurs"):
        merge(recipe, Weights(checkpoints, CPU))
    rows = {name: torch.arange(1.0, 260.0) ** i for i, name in enumerate(MONOS)}
    dev: Any = SimpleNamespace(source=lambda kind, model, parameter: rows[model] if "embed" in parameter else None)
    merged = merge(recipe, Weights(checkpoints, CPU, dev))
    stack = Weights(checkpoints, CPU).read("model.embed_tokens.weight", MONOS)
    share = torch.stack(list(rows.values()))
    torch.testing.assert_close(
        merged["model.embed_tokens.weight"], torch.einsum("mv,mvd->vd", share / share.sum(dim=0), stack)
    )


def test_post_steps_of_tensors_and_of_the_network_are_done_in_order(registered, weights, suite_folder):
    def doubled(merged: torch.Tensor, group: str) -> torch.Tensor:
        """Norms alone."""
        return merged * 2 if group == "norms" else merged

    def shifted(network: torch.nn.Module, recipe: Recipe, weights: Weights) -> None:
        """By the number of models."""
        network.get_parameter("model.norm.weight").data += len(recipe.models)

    post_step(label="doubled")(doubled)
    post_step(label="shifted")(shifted)
    recipe = Recipe("linear", MONOS, (0.5, 0.3, 0.2), post=("doubled", "shifted"))
    assert recipe.label().endswith(", doubled, shifted")
    assert parse_recipe(recipe.to_yaml()) == recipe
    network = build(open_suite(suite_folder)["init"].config, CPU)
    finish(merge_network_steps(recipe, weights, network))
    plain = reference(dataclasses.replace(recipe, post=()), weights)
    for name, parameter in network.named_parameters():
        factor, shift = 1 + ("norm" in name), 3 * (name == "model.norm.weight")
        torch.testing.assert_close(parameter.detach(), plain[name] * factor + shift)


def test_registering_refuses_what_could_not_be_called(registered):
    def prepared(tensors, weights):
        """Moves."""

    def method(tensors):
        """Fine."""

    def step(merged, much: Annotated[float, Knob(0, 1, 0.1, "much")] = 1.0):
        """With a knob."""

    kinds: dict[str, Any] = {"label": "x", "family": "x", "source": "arXiv:0"}
    for wrong, why in (
        ({"prepare": prepared}, "move with coefficients"), ({"scope": "model"}, "with a preparation"),
        ({"lacks": ("beauty",)}, "beauty"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            merge_method(**kinds, **wrong)(method)
    with pytest.raises(ValueError, match="no knobs"):
        post_step(label="x")(step)
    merge_method(**kinds, check=lambda s: "never")(method)
    with pytest.raises(UserError, match="method: never"):
        Recipe("method", ("a",))


# --- dtypes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "dtype", "out_dtype", "expected"),
    [
        (("bfloat16", "bfloat16-too"), None, None, torch.bfloat16),
        (("float32", "bfloat16"), None, None, torch.float32),
        (("float16", "bfloat16"), None, None, torch.float32),
        (("bfloat16", "bfloat16-too"), "float32", None, torch.float32),
        (("bfloat16", "bfloat16-too"), "float32", "float16", torch.float16),
        (("float32", "bfloat16"), None, "bfloat16", torch.bfloat16),
    ],
)
@pytest.mark.parametrize("method", ["linear", "task_arithmetic"])
def test_output_dtype(halves, method, names, dtype, out_dtype, expected):
    """`out_dtype`, else `dtype`, else what the merged checkpoints' dtypes promote to; whoever else is resident."""
    base = "@mean" if method == "task_arithmetic" else None
    recipe = Recipe(method, names, (0.3, 0.7), base=base, dtype=dtype, out_dtype=out_dtype)
    for resident in (names, ("bfloat16", "bfloat16-too", "float16", "float32")):
        merged = merge(recipe, halves_of(halves, *resident))
        assert {tensor.dtype for tensor in merged.values()} == {expected}


def test_a_wider_checkpoint_that_is_not_merged_changes_nothing(halves):
    recipe = Recipe("linear", ("bfloat16", "bfloat16-too"), (0.3, 0.7))
    alone = merge(recipe, halves_of(halves, "bfloat16", "bfloat16-too"))
    assert same(alone, merge(recipe, halves_of(halves, "float32", "bfloat16", "bfloat16-too")))


def test_inputs_are_cast_to_dtype_before_the_arithmetic(halves):
    """As mergekit does: a float32 parent merged with `dtype: bfloat16` is the rounded parent."""
    stored = halves_of(halves, "float32", "bfloat16")
    merged = merge(Recipe("linear", ("float32",), (1.0,), dtype="bfloat16", out_dtype="float32"), stored)
    for name, tensor in merged.items():
        parent = stored.read(name, ["float32"])[0]
        assert torch.equal(tensor, parent.bfloat16().float())
    assert not torch.equal(
        merged["model.embed_tokens.weight"], stored.read("model.embed_tokens.weight", ["float32"])[0]
    )


def test_mixed_dtypes_merge_as_their_float32_values(halves):
    """float16 + bfloat16 parents: against the same average of the float32 values."""
    stored = halves_of(halves, "float16", "bfloat16")
    merged = merge(Recipe("linear", stored.names, (0.5, 0.5)), stored)
    for name, tensor in merged.items():
        first, second = (dict(open_suite(halves)[n].tensors())[name].float() for n in stored.names)
        torch.testing.assert_close(tensor, (first + second) / 2)


# --- bases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ties", "dare_ties", "task_arithmetic"])
def test_mean_and_zero_bases_are_what_they_say(weights, method, tmp_path, tokenizer):
    """The same numbers as with checkpoints that hold the parents' mean and zeros."""
    for base in ("@mean", "@zero"):
        model = build(open_suite(weights._checkpoints["init"].path)["init"].config, CPU)
        for name, parameter in model.named_parameters():
            mean = weights.read(name, MONOS).mean(dim=0)
            parameter.data.copy_(mean if base == "@mean" else torch.zeros_like(mean))
        write_checkpoint(model, tokenizer, tmp_path / base)
    knobs = () if method == "task_arithmetic" else (("density", 0.4),)
    stored = Weights(
        [*weights._checkpoints.values(), *suite_of_paths([str(tmp_path / b) for b in ("@mean", "@zero")]).checkpoints],
        CPU,
    )
    merged = {}
    for base in ("@mean", "@zero"):
        ours = Recipe(method, MONOS, (0.5, 0.3, 0.4), knobs, base)
        merged[base] = merge(ours, weights)
        assert agree(merged[base], merge(dataclasses.replace(ours, base=str(tmp_path / base)), stored), weights, 3)
    assert not same(merged["@mean"], merged["@zero"])


def test_from_zero_task_arithmetic_is_the_plain_sum(weights):
    merged = merge(Recipe("task_arithmetic", MONOS, (0.5, 0.3, 0.4), base="@zero"), weights)
    summed = merge(Recipe("linear", MONOS, (0.5, 0.3, 0.4), (("normalize", False),)), weights)
    for name in merged:
        torch.testing.assert_close(merged[name], summed[name])


def test_from_the_mean_equal_differences_cancel(weights):
    """Task arithmetic with equal weights gives the mean whatever lambda is; TIES does not."""
    mean = merge(Recipe("linear", MONOS, (1.0, 1.0, 1.0)), weights)
    merged = merge(Recipe("task_arithmetic", MONOS, (0.4, 0.4, 0.4), (("lambda", 1.7),), "@mean"), weights)
    ties = merge(Recipe("ties", MONOS, (0.4, 0.4, 0.4), base="@mean"), weights)
    for name in mean:
        torch.testing.assert_close(merged[name], mean[name])
    assert not torch.allclose(ties["model.embed_tokens.weight"], mean["model.embed_tokens.weight"], atol=1e-3)


@pytest.mark.parametrize("name", ["task_arithmetic", "ties", "dare_ties"])
def test_lambda_zero_gives_the_base(name, weights):
    merged = merge(dataclasses.replace(RECIPES[name], knobs=(("lambda", 0.0),)), weights)
    for parameter, tensor in merged.items():
        assert torch.equal(tensor, weights.read(parameter, ["init"])[0])


# --- random numbers ---------------------------------------------------------------------------------------------


def test_random_masks_follow_the_seed_and_the_parent_alone(weights):
    """The same seed repeats a merge, another changes it; the order of parents and torch's own generator do not."""
    recipe = RECIPES["dare_ties"]
    first = merge(recipe, weights)
    torch.manual_seed(99)
    assert same(first, merge(recipe, weights))
    assert not same(first, merge(dataclasses.replace(recipe, seed=1), weights))
    turned = merge(dataclasses.replace(recipe, models=recipe.models[::-1], weights=recipe.weights[::-1]), weights)
    for name in first:
        torch.testing.assert_close(turned[name], first[name])


@pytest.mark.parametrize("method", ["dare_ties", "della_paper"])
def test_random_masks_do_not_ask_where_a_parent_lies(method, suite_folder):
    """A file of a recipe gives one merge, by whatever names of its checkpoints; two that end alike draw apart."""
    knobs, made = (("density", 0.5),), []
    for places in (("mono-eng", "mono-deu"), (str(suite_folder / "mono-eng"), "./mono-deu")):
        named = {name: dataclasses.replace(open_suite(suite_folder)[name.split("/")[-1]], name=name) for name in places}
        init = dataclasses.replace(open_suite(suite_folder)["init"])
        weights = Weights((*named.values(), init), CPU)
        made.append(merge(Recipe(method, places, (0.5, 0.7), knobs, "init"), weights))
    assert same(*made)
    assert inputs._drawn_as(("a", "x/a", "org/b@one")) == ("a", "x/a", "b@one")


def test_random_masks_differ_between_parents_and_parameters(weights):
    one, other = (inputs._uniforms(0, MONOS, name, torch.Size((32, 48)), CPU) for name in ("one", "other"))
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[0], other[0])
    assert bool(((one >= 0) & (one < 1)).all())


# --- post-steps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linear", "slerp", "task_arithmetic", "ties", "dare_ties"])
def test_rescaling_restores_the_parents_mean_norm_and_keeps_the_direction(name, weights):
    plain = merge(RECIPES[name], weights)
    rescaled = merge(dataclasses.replace(RECIPES[name], post=("rescale",)), weights)
    for parameter, tensor in rescaled.items():
        target = weights.read(parameter, RECIPES[name].models).flatten(1).norm(dim=1).mean()
        torch.testing.assert_close(tensor.norm(), target)
        cosine = torch.nn.functional.cosine_similarity(tensor.flatten(), plain[parameter].flatten(), dim=0)
        assert float(cosine) > 1 - 1e-5
    if name != "slerp":  # which keeps norms by itself
        embedding = "model.embed_tokens.weight"
        assert not torch.allclose(rescaled[embedding].norm(), plain[embedding].norm(), rtol=0.01)


def test_a_merge_of_norm_zero_stays_zero_when_rescaled(weights):
    zero = Recipe("task_arithmetic", MONOS, (0.0, 0.0, 0.0), base="@zero", post=("rescale",))
    assert not any(tensor.any() for tensor in merge(zero, weights).values())


# --- buffers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_merging_into_views_of_one_buffer_equals_merging(name, weights):
    """And writes into nothing else: the numbers between the views stay."""
    gap, total = 3, sum(torch.Size(s).numel() + 3 for s in weights.shapes.values())
    flat, views, start = torch.full((total,), 7.0), {}, 0
    for parameter, shape in weights.shapes.items():
        views[parameter] = flat[start : start + torch.Size(shape).numel()].view(shape)
        start += torch.Size(shape).numel() + gap
    merge_into(RECIPES[name], weights, views)
    assert same(views, merge(RECIPES[name], weights))
    assert int((flat == 7.0).sum()) >= gap * len(views)


@pytest.mark.parametrize("name", RECIPES)
def test_merging_into_a_network_equals_merging(name, weights, suite_folder):
    """Into the parameters of a model that runs, in place: the same storage, the tied head with it."""
    network = build(open_suite(suite_folder)["init"].config, CPU)
    parameters = dict(network.named_parameters())
    storage = {k: v.data_ptr() for k, v in parameters.items()}
    merge_into(RECIPES[name], weights, parameters)
    assert same({k: v.detach() for k, v in network.named_parameters()}, merge(RECIPES[name], weights))
    assert {k: v.data_ptr() for k, v in network.named_parameters()} == storage
    assert torch.equal(network.get_parameter("lm_head.weight"), parameters["model.embed_tokens.weight"])


@pytest.mark.parametrize("method", ["linear", "task_arithmetic"])
def test_a_wider_buffer_holds_the_rounded_merge(halves, method):
    """Losses are those of the merge in its output dtype, so a float32 network gets bfloat16's numbers."""
    stored = halves_of(halves, "bfloat16", "bfloat16-too")
    base: dict[str, Any] = {"base": "@zero"} if method == "task_arithmetic" else {}
    recipe = Recipe(method, stored.names, (0.3, 0.7), **base)
    wide = {name: torch.empty(shape) for name, shape in stored.shapes.items()}
    merge_into(recipe, stored, wide)
    assert same(wide, {k: v.float() for k, v in merge(recipe, stored).items()})


def test_the_resident_weights_are_never_written_to(weights):
    weights.load(weights.names)
    before = {name: stack.clone() for name, stack in weights._stacks.items()}
    for recipe in RECIPES.values():
        merged = merge(recipe, weights)
        for tensor in merged.values():
            tensor.add_(1)
    single = merge(Recipe("linear", ("mixed",), (1.0,)), weights)
    for tensor in single.values():
        tensor.add_(1)
    assert same(before, weights._stacks)


# --- reading ----------------------------------------------------------------------------------------------------


def test_neighbouring_rows_are_views_and_others_copies_in_the_order_asked(weights):
    """init, mono-eng, mono-deu, mixed, ... stand in this order."""
    name = "model.embed_tokens.weight"
    stack = weights._stacks[name]
    near, far = weights.read(name, ["mono-eng", "mono-deu"]), weights.read(name, ["mono-deu", "mono-eng"])
    assert near.data_ptr() == stack[1].data_ptr()
    assert far.untyped_storage().data_ptr() != stack.untyped_storage().data_ptr()
    assert torch.equal(far, near.flip(0))
    twice = weights.read(name, ["mixed", "mixed"])
    assert torch.equal(twice[0], twice[1])
    assert torch.equal(twice[0], stack[3])


def test_rows_are_the_checkpoints_numbers(weights, suite_folder):
    """Against transformers' own reading of each folder."""
    from transformers import AutoModelForCausalLM

    for checkpoint in weights.names:
        loaded = AutoModelForCausalLM.from_pretrained(suite_folder / checkpoint, dtype=torch.float32)
        for name, parameter in loaded.named_parameters():
            assert torch.equal(weights.read(name, [checkpoint])[0], parameter)


@pytest.mark.parametrize("name", ["linear", "task_arithmetic", "ties"])
def test_parents_in_any_order_give_one_merge(name, weights):
    """Whether their rows are a view or a copy."""
    recipe = RECIPES[name]
    order = [2, 0, 1]
    knobs = (("density", (0.9, 0.2, 0.5)),) if name == "ties" else ()
    turned = dataclasses.replace(
        recipe, models=tuple(MONOS[i] for i in order), weights=tuple(recipe.weights[i] for i in order), knobs=knobs
    )
    first, second = merge(recipe, weights), merge(turned, weights)
    for parameter in first:
        torch.testing.assert_close(first[parameter], second[parameter])


def test_output_dtype_of_float32_checkpoints_is_float32(weights):
    assert {output_dtype(recipe, weights) for recipe in RECIPES.values()} == {torch.float32}


# --- room -------------------------------------------------------------------------------------------------------


def test_more_weights_than_memory_are_refused_before_they_are_asked_for(suite_folder, monkeypatch):
    """On the CPU too, where the system would end the program later."""
    monkeypatch.setattr(holding, "free_bytes", lambda device: 1000)
    with pytest.raises(UserError, match=r"6 checkpoints of the suite need .* on cpu, .* suite of fewer checkpoints"):
        Weights(open_suite(suite_folder).checkpoints, CPU)


def test_available_memory_of_this_machine_is_known():
    assert (holding.free_bytes(CPU) or 0) > 2**20


@pytest.mark.parametrize("message", ["DefaultCPUAllocator: can't allocate memory", "not enough memory"])
def test_memory_that_is_refused_is_a_message(message, suite_folder, monkeypatch):
    """Torch has no kind of its own for this on the CPU; other errors stay what they are."""

    def refuse(*arguments, **settings):
        raise RuntimeError(message)

    checkpoints = open_suite(suite_folder).checkpoints
    monkeypatch.setattr(holding.torch, "empty", refuse)
    with pytest.raises(UserError, match="fewer checkpoints"):
        Weights(checkpoints, CPU)
    message = "something else"
    with pytest.raises(RuntimeError, match="something else"):
        Weights(checkpoints, CPU)


def test_running_out_of_memory_releases_everything_and_the_next_request_works(suite_folder, tmp_path, monkeypatch):
    """What failed is gone while its message is still kept, and so is what methods had prepared."""
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path), CPU)
    recipe, rows = RECIPES["ties"], evaluator.corpus.rows(2)
    expected = evaluator.bits(recipe, "eng", rows)
    weights = evaluator.networks.weights(recipe.needed)
    assert weights._prepared
    held = []

    def fail(*arguments, **named):
        tensor = torch.zeros(1000)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr("interference.evaluate.sentence_bits_steps", fail)
    with pytest.raises(UserError, match="fewer models, fewer sentences") as message:
        evaluator.bits(recipe, "deu", rows)
    assert message.value.__context__ is not None
    assert held[0]() is None
    assert not weights._prepared
    monkeypatch.undo()
    monkeypatch.setattr("interference.merge.call", fail)  # merging for a preview, and to write on
    moved = dataclasses.replace(recipe, weights=(0.1, 0.2, 0.3))
    request = Request((("merge", moved),), ("eng",), 2)
    question = Question((("merge", moved),), "a", Sampling(length=1))
    for steps in (evaluator.glimpse_steps(request), answer_steps(evaluator, question)):
        with pytest.raises(UserError, match="ran out of memory while scoring the ties merge"):
            finish(steps)
    monkeypatch.undo()
    assert (evaluator.bits(recipe, "deu", rows) > 0).all()
    assert (evaluator.bits(recipe, "eng", rows) == expected).all()


def test_weights_are_read_a_tensor_at_a_time_and_which_is_told(suite_folder):
    """By two at once, one of whom is stopped, they are what they are by one."""
    suite = open_suite(suite_folder)
    names = ("mono-eng", "mono-deu")
    plain, read = (Weights([suite[name] for name in names], CPU) for _ in range(2))
    plain.load(names)
    first, second, third = (read.load_steps(names) for _ in range(3))
    for steps in (first, second, first, third, second):
        next(steps)
        assert read.reading == "mono-eng"
    third.close()
    finish(second)
    finish(first)
    assert read.reading == ""
    assert not list(read.load_steps(names))
    for parameter in plain.shapes:
        assert torch.equal(read.read(parameter, names), plain.read(parameter, names))
