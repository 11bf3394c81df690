"""What gradients, filters and slices mean for every tensor: against mergekit's own plan of the same YAML."""

import dataclasses
from pathlib import Path

import pytest
import torch
import yaml
from conftest import gpt2, llama, other, write_checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from test_parity import oracle

from interference.checkpoint import Checkpoint
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.export import write_merge
from interference.groups import depth_of, group_of, layer_of
from interference.merge import merge, merge_into, merge_tensor, output_config
from interference.recipe import Gradient, Recipe, Slice, Where, mergekit_yaml, output_names, parse_recipe, sites
from interference.registry import methods
from interference.store import Store
from interference.suite import open_suite, suite_of_paths
from interference.weights import Weights

CPU = torch.device("cpu")
LAYERS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer) -> Path:
    """Three untied Llamas and two GPT-2s of four and two layers."""
    folder = tmp_path_factory.mktemp("deep")
    for seed, name in enumerate("abc"):
        write_checkpoint(llama(seed, num_hidden_layers=LAYERS, tie_word_embeddings=False), tokenizer, folder / name)
    for seed, name in enumerate(("g", "h")):
        write_checkpoint(gpt2(seed), tokenizer, folder / name)
    return folder


@pytest.fixture(scope="module")
def weights(folder) -> Weights:
    return Weights([open_suite(folder)[name] for name in "abc"], CPU)


def in_folder(recipe: Recipe, folder: Path) -> Recipe:
    return recipe.renamed(lambda name: str(folder / name))


# --- mergekit's plan --------------------------------------------------------------------------------------------


def plan(recipe: Recipe) -> dict[str, tuple]:
    """By tensor, what mergekit would merge it from and with: sources, weights, per-model and shared parameters."""
    config = oracle("mergekit.config").MergeConfiguration.model_validate(yaml.safe_load(mergekit_yaml(recipe)))
    options = oracle("mergekit.options").MergeOptions(quiet=True)
    merging = oracle("mergekit.merge")
    architecture = merging.get_architecture_info(config, options)
    out = merging._model_out_config(config, architecture)
    planner = merging.MergePlanner(config, architecture, options=options, out_model_config=out)
    planner._plan()
    found = {}
    for weight, task in planner._tensors:
        names = {str(model): info.name for model, info in task.gather_tensors.weight_info.items()}
        own = {str(model): dict(values.items()) for model, values in task.input_parameters.items()}
        found[weight.name] = (names, own, dict(task.parameters.items()))
    return found


def compare(recipe: Recipe, names: list[str]) -> None:
    """Our sites against mergekit's plan: every tensor, every source, every number."""
    expected = plan(recipe)
    found = sites(recipe, names, output_names(recipe, names))
    assert found.keys() == expected.keys()
    for name, site in found.items():
        sources, own, shared = expected[name]
        for i, model in enumerate(site.models):
            assert sources[model] == site.sources[i]
            ours = {k: v[i] for k, v in site.settings.items() if isinstance(v, tuple)}
            ours |= {"weight": site.weights[i]} if site.weights else {}
            assert {k: own[model][k] for k in ours} == ours
        assert {k: v for k, v in site.settings.items() if not isinstance(v, tuple)}.items() <= shared.items()
        if recipe.base:
            assert sources[recipe.base] == site.base_source


FILTERS = st.sampled_from([None, "*", "mlp", "self_attn", "norm", "embed_tokens", "lm_head", "layers.1", "model", "q_"])


def numbers(low: float = 0.1, high: float = 1):
    one = st.floats(low, high)
    gradient = st.lists(one, min_size=1, max_size=6).map(lambda values: Gradient(tuple(values)))
    either = st.one_of(one, gradient)
    return st.one_of(either, st.lists(st.tuples(FILTERS, either), min_size=1, max_size=3).map(tuple).map(Where))


def whole(value):
    """With a last case, for weights are required."""
    return Where((*value.cases, (None, 0.7))) if isinstance(value, Where) else value


SWITCHES = st.one_of(
    st.booleans(),
    st.lists(st.booleans(), min_size=1, max_size=4).map(lambda v: Gradient(tuple(v))),
    st.lists(st.tuples(FILTERS, st.booleans()), min_size=1, max_size=2).map(tuple).map(Where),
)
PLANS = settings(
    deadline=None, derandomize=True, database=None, max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@st.composite
def ranges(draw, count: int):
    length = draw(st.integers(1, LAYERS))
    starts = [draw(st.integers(0, LAYERS - length)) for _ in range(count)]
    return tuple((start, start + length) for start in starts)


@st.composite
def recipes(draw) -> Recipe:
    """TIES, SLERP or passthrough with any values, whole or in slices."""
    method = draw(st.sampled_from(["ties", "slerp", "passthrough"]))
    models = {"ties": ("a", "b"), "slerp": ("a", "b"), "passthrough": ("a",)}[method]
    base = "c" if method == "ties" else None
    knobs = {"ties": {"density": numbers(), "lambda": numbers(), "normalize": SWITCHES}, "slerp": {"t": numbers()}}
    own = knobs.get(method, {"scale": numbers()})

    def chosen(per_model: bool):
        some = {k: draw(v) for k, v in own.items() if draw(st.booleans())}
        if per_model and "density" in some:
            some["density"] = tuple(draw(numbers()) for _ in models)
        return tuple(some.items())

    def coefficients():
        return tuple(whole(draw(numbers())) for _ in models) if method == "ties" else ()

    if draw(st.booleans()):
        return Recipe(method, models, coefficients(), chosen(True), base)
    slices = []
    for _ in range(draw(st.integers(1, 3))):
        *of_models, of_base = draw(ranges(len(models) + 1))
        slices.append(Slice(models, tuple(of_models), coefficients(), chosen(True), of_base if base else None))
    return Recipe(method, knobs=chosen(False), base=base, slices=tuple(slices))


@pytest.mark.parity
@given(recipe=recipes())
@PLANS
def test_every_tensor_gets_what_mergekit_would_give_it(recipe, folder, weights):
    """Gradients, filters, precedence, sources of sliced layers, and where embeddings, final norm and head stand."""
    compare(in_folder(recipe, folder), list(weights.shapes))


@pytest.mark.parity
def test_a_gpt2_in_slices_gets_what_mergekit_would_give_it(folder):
    ramp, cases = Gradient((0.1, 0.9)), Where((("mlp", 0.3), ("ln_", Gradient((0.5, 0.6)))))
    recipe = Recipe(
        "slerp", knobs=(("t", ramp),), slices=(
            Slice(("g", "h"), ((0, 2), (0, 2)), knobs=(("t", cases),)), Slice(("h", "g"), ((1, 2), (0, 1))),
        ),
    )  # fmt: skip
    compare(in_folder(recipe, folder), list(open_suite(folder)["g"].shapes))


@pytest.mark.parity
def test_the_comparison_of_plans_can_fail(folder, weights, monkeypatch):
    recipe = in_folder(Recipe("slerp", ("a", "b"), knobs=(("t", Gradient((0.1, 0.9))),)), folder)
    compare(recipe, list(weights.shapes))
    other = in_folder(Recipe("slerp", ("a", "b"), knobs=(("t", Gradient((0.1, 0.8))),)), folder)
    expected = plan(other)
    monkeypatch.setitem(globals(), "plan", lambda recipe: expected)
    with pytest.raises(AssertionError):
        compare(recipe, list(weights.shapes))


# --- mergekit, through files ------------------------------------------------------------------------------------

CASES = Where((("mlp", Gradient((0.2, 0.9))), ("embed_tokens", 0.6), (None, 0.4)))
FILES = {
    "passthrough, stacked": Recipe(
        "passthrough", slices=(
            Slice(("a",), ((0, 3),)), Slice(("b",), ((1, 4),), knobs=(("scale", (Where((("o_proj", 0.5),)),)),)),
        ),
    ),
    "slerp by slices": Recipe(
        "slerp", knobs=(("t", CASES),), slices=(
            Slice(("a", "b"), ((0, 2), (2, 4))), Slice(("b", "a"), ((0, 1), (3, 4)), knobs=(("t", 0.2),)),
        ),
    ),
    "ties by slices": Recipe(
        "ties", knobs=(("density", 0.5),), base="c", slices=(
            Slice(("a", "b"), ((0, 2), (1, 3)), (CASES, 0.5), base_range=(2, 4)),
            Slice(("b",), ((3, 4),), (1.0,), (("density", Gradient((0.1, 0.3))),), base_range=(0, 1)),
        ),
    ),
    "linear by filters": Recipe("linear", ("a", "b"), (CASES, Gradient((1.0, 0.0, 0.5)))),
    "nuslerp from a base": Recipe("nuslerp", ("a", "b"), (CASES, 0.5), base="c"),
    "nuslerp by rows": Recipe("nuslerp", ("a", "b"), (0.3, 0.9), (("nuslerp_flatten", False),)),
}  # fmt: skip
ROUNDED = {"linear": 1e-6, "slerp": 1e-6, "nuslerp": 2e-6}  # else bit for bit


@pytest.mark.parity
@pytest.mark.parametrize("name", FILES)
def test_a_recipe_file_gives_the_same_checkpoint(name, folder, tmp_path, monkeypatch):
    """mergekit-yaml's own steps on our YAML against the folder that `merge --out` writes: weights and depth."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe = in_folder(FILES[name], folder)
    text = mergekit_yaml(recipe)
    config = oracle("mergekit.config").MergeConfiguration.model_validate(yaml.safe_load(text))
    options = oracle("mergekit.options").MergeOptions(quiet=True, write_model_card=False)
    oracle("mergekit.merge").run_merge(config, str(tmp_path / "theirs"), options)
    write_merge(parse_recipe(text), suite_of_paths(recipe.needed), tmp_path / "ours", CPU)
    found, expected = (stored(tmp_path / side) for side in ("ours", "theirs"))
    assert found.keys() == expected.keys()
    for parameter, tensor in expected.items():
        torch.testing.assert_close(found[parameter], tensor, rtol=0, atol=ROUNDED.get(recipe.method, 0))
    depths = [
        suite_of_paths([str(tmp_path / side)]).checkpoints[0].config.num_hidden_layers for side in ("ours", "theirs")
    ]
    assert depths == [depth_of(found)] * 2


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


# --- by hand ----------------------------------------------------------------------------------------------------


def test_the_first_fitting_filter_decides_and_the_gradient_runs_over_the_layers(weights):
    value = Where((("mlp", Gradient((0.0, 0.9))), ("layers.2", 0.5), (None, 0.7)))
    at = sites(Recipe("linear", ("a", "b"), (value, 1.0)), weights.shapes, weights.shapes)
    for name, site in at.items():
        layer = layer_of(name) or 0
        expected = 0.3 * layer if group_of(name) == "mlp" else 0.5 if layer_of(name) == 2 else 0.7
        assert site.weights == pytest.approx((expected, 1.0))


def test_a_filter_that_fits_nothing_leaves_the_default(weights):
    recipe = Recipe("ties", ("a",), (1.0,), (("density", Where((("nothing", 0.1),))),), "b")
    assert {s.settings["density"] for s in sites(recipe, weights.shapes, weights.shapes).values()} == {(1.0,)}


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe("linear", ("a", "b"), (Where((("mlp", 1.0),)), 1.0)), r"No filter of a's weight fits model\.embed"),
        (Recipe("linear", ("a", "b"), (Where((("mlp", -1.0), (None, 1.0))), 1.0)), r"weights of .*mlp.* sum to 0 "),
        (Recipe("linear", ("a", "b"), (Gradient((1.0, -1.0)), 1.0)), r"weights of model\.layers\.3.* sum to 0"),
        (Recipe("passthrough", slices=(Slice(("a",), ((2, 5),)),)), r"\[2, 5\] of a ends beyond its 4 layers"),
    ],
)  # fmt: skip
def test_what_shows_only_at_a_tensor_is_refused_before_anything_is_written(recipe, message, weights):
    buffer = {name: torch.full(weights.shapes.get(name, ()), 7.0) for name in output_names(recipe, weights.shapes)}
    with pytest.raises(UserError, match=message):
        merge_into(recipe, weights, buffer)
    assert all(bool((tensor == 7).all()) for tensor in buffer.values())


def test_stacked_layers_are_the_parents_own(weights):
    """Six layers: three of a, three of b; embeddings of the first, final norm and head of the last."""
    recipe = Recipe("passthrough", slices=(Slice(("a",), ((0, 3),)), Slice(("b",), ((1, 4),))))
    merged = merge(recipe, weights)
    assert depth_of(merged) == 6
    for layer, (model, source) in enumerate([("a", 0), ("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3)]):
        name = "model.layers.{}.mlp.up_proj.weight"
        assert torch.equal(merged[name.format(layer)], weights.read(name.format(source), [model])[0])
    assert torch.equal(merged["model.embed_tokens.weight"], weights.read("model.embed_tokens.weight", ["a"])[0])
    for name in ("model.norm.weight", "lm_head.weight"):
        assert torch.equal(merged[name], weights.read(name, ["b"])[0])


def test_slices_of_every_layer_are_the_merge_without_slices(weights):
    """For a method that names layers too."""
    for method, coefficients in (("linear", (0.3, 0.7)), ("layer_swap", ())):
        plain = Recipe(method, ("a", "b"), coefficients)
        sliced = Recipe(method, slices=(Slice(("a", "b"), ((0, 4), (0, 4)), coefficients),))
        found, expected = merge(sliced, weights), merge(plain, weights)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("name", ["a", "g"])
def test_the_configuration_follows_the_slices(folder, name):
    first = open_suite(folder)[name]
    recipe = Recipe("passthrough", slices=(Slice((name,), ((0, 2),)), Slice((name,), ((0, 1),))))
    assert output_config(recipe, first).num_hidden_layers == 3
    assert output_config(Recipe("passthrough", (name,)), first) is first.config


@pytest.mark.parametrize(
    ("kind", "lists"),
    [
        ("qwen3", {"layer_types": ["sliding_attention", "full_attention"] * 2}),
        ("smollm3", {"no_rope_layers": [1, 0, 1, 1], "layer_types": ["full_attention"] * 4}),
    ],
)
def test_lists_over_layers_in_a_configuration_follow_the_slices(kind, lists, tokenizer, tmp_path):
    sizes = {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8, "use_sliding_window": True}
    write_checkpoint(other(kind, 1, **(sizes | lists | {"num_hidden_layers": 4})), tokenizer, tmp_path / "a")
    recipe = Recipe("passthrough", slices=(Slice(("a",), ((1, 2),)), Slice(("a",), ((1, 4),))))
    found = output_config(recipe, Checkpoint("a", tmp_path / "a"))
    assert {name: getattr(found, name) for name in lists} == {
        name: [values[row] for row in (1, 1, 2, 3)] for name, values in lists.items()
    }
    assert found.num_hidden_layers == 4


def test_a_merge_of_another_depth_is_scored(suite_folder):
    """All layers of one model twice are not that model; all of them once are, bit for bit."""
    evaluator = Evaluator(open_suite(suite_folder), Store(), CPU)
    rows = evaluator.corpus.rows(6)
    once = Recipe("passthrough", slices=(Slice(("mixed",), ((0, 1),)), Slice(("mixed",), ((1, 2),))))
    twice = dataclasses.replace(once, slices=(*once.slices, Slice(("mixed",), ((1, 2),))))
    model, same, longer = (evaluator.bits(m, "eng", rows) for m in ("mixed", once, twice))
    assert (same == model).all()
    assert (longer != model).any()
    assert depth_of(name for name, _ in evaluator.networks.put(twice).named_parameters()) == 3
    assert (evaluator.bits("mono-eng", "eng", rows) != longer).any()


def test_methods_name_no_layers_that_slices_moved(weights):
    """`layer` and `layers` are the merge's: of three stacked layers the last is swapped, a parent's first."""
    recipe = Recipe(
        "layer_swap", knobs=(("first", 0), ("last", 1)),
        slices=(Slice(("a", "b"), ((0, 2), (0, 2))), Slice(("a", "b"), ((0, 1), (0, 1)))),
    )  # fmt: skip
    name = "model.layers.{}.mlp.up_proj.weight"
    for layer, (model, source) in enumerate([("a", 0), ("a", 1), ("b", 0)]):
        merged = merge_tensor(recipe, weights, name.format(layer))
        assert torch.equal(merged, weights.read(name.format(source), [model])[0])


def test_whole_model_methods_want_the_same_models_in_every_slice():
    assert methods()["ties_paper"].scope == "model"
    parts = (Slice(("a",), ((0, 1),), (1.0,)), Slice(("b",), ((0, 1),), (1.0,)))
    with pytest.raises(UserError, match="same models in every slice"):
        Recipe("ties_paper", base="@zero", slices=parts)
