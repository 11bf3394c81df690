"""Recipes: mergekit's YAML in and out, what is refused and how the message helps."""

import dataclasses
import math
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from test_parity import oracle

from interference.errors import UserError
from interference.recipe import (
    BASES,
    DTYPES,
    Gradient,
    Recipe,
    Slice,
    Where,
    mergekit_yaml,
    parse_recipe,
    read_recipe,
    site_at,
)
from interference.registry import Knob, methods

FUZZ = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

EACH = {
    "linear": Recipe("linear", ("a", "b", "c"), (0.5, 0.3, 0.2), (("normalize", False),)),
    "slerp": Recipe("slerp", ("a", "b"), knobs=(("t", 0.3),), dtype="float32", out_dtype="bfloat16"),
    "task_arithmetic": Recipe("task_arithmetic", ("a", "b"), (0.5, -0.3), (("lambda", 0.7),), "init"),
    "ties": Recipe("ties", ("a", "b"), (0.5, 0.3), (("density", (0.2, 0.4)), ("normalize", False)), "init"),
    "dare_ties": Recipe("dare_ties", ("a", "b"), (0.5, 0.3), (("density", 0.4), ("rescale", False)), "init", seed=0),
    "ties_paper": Recipe("ties_paper", ("a", "b"), (0.5, 0.3), (("density", (0.2, 0.4)),), "init"),
    "nuslerp": Recipe("nuslerp", ("a", "b"), (0.5, 0.3), (("nuslerp_flatten", False),), "init"),
    "passthrough": Recipe("passthrough", ("a",), knobs=(("scale", (0.3,)),)),
    "dare_linear": Recipe("dare_linear", ("a", "b"), (0.5, 0.3), (("density", 0.4), ("lambda", 0.5)), "init"),
    "dare_linear_paper": Recipe("dare_linear_paper", ("a", "b"), (0.5, 0.3), (("density", (0.2, 0.4)),), "init"),
    "breadcrumbs": Recipe("breadcrumbs", ("a", "b"), (0.5, 0.3), (("gamma", (0.01, 0.2)), ("density", 0.4)), "init"),
    "breadcrumbs_ties": Recipe("breadcrumbs_ties", ("a", "b"), (0.5, 0.3), (("rescale", True),), "init"),
    "della": Recipe("della", ("a", "b"), (0.5, 0.3), (("density", (0.2, 1.0)), ("epsilon", 0.1)), "init"),
    "della_linear": Recipe("della_linear", ("a", "b"), (0.5, 0.3), (("density", 0.5),), "init"),
    "della_paper": Recipe("della_paper", ("a", "b"), (0.5, 0.3), (("density", 0.5), ("epsilon", 0.2)), "init"),
    "multislerp": Recipe("multislerp", ("a", "b"), (0.5, 0.3), (("eps", 1e-6),), "init"),
    "karcher": Recipe("karcher", ("a", "b"), knobs=(("max_iter", 3), ("tol", 1e-4))),
    "sce": Recipe("sce", ("a", "b"), knobs=(("select_topk", 0.3),), base="init"),
    "sce_paper": Recipe("sce_paper", ("a", "b"), knobs=(("select_topk", 0.3),), base="init"),
    "ram": Recipe("ram", ("a", "b"), knobs=(("epsilon", 1e-4),), base="init"),
    "ramplus_tl": Recipe("ramplus_tl", ("a", "b"), knobs=(("r", 0.3), ("alpha", 0.4)), base="init"),
    "model_stock": Recipe("model_stock", ("a", "b"), knobs=(("filter_wise", True),), base="init"),
    "model_stock_clamped": Recipe("model_stock_clamped", ("a", "b"), base="init"),
    "nearswap": Recipe("nearswap", ("a",), knobs=(("t", 0.01),), base="init"),
    "arcee_fusion": Recipe("arcee_fusion", ("a",), base="init"),
    "layer_swap": Recipe("layer_swap", ("a", "b"), knobs=(("first", 2), ("outside", True))),
    "fisher": Recipe("fisher", ("a", "b"), (0.5, 0.3)),
    "regmean": Recipe("regmean", ("a", "b"), (0.5, 0.3), (("alpha", 0.7),), post=("vocabulary_rows", "repair")),
    "iso_c": Recipe("iso_c", ("a", "b"), (0.5, 0.3), (("lambda", 0.7),), "init"),
    "tsv_m": Recipe("tsv_m", ("a", "b"), knobs=(("lambda", 0.7),), base="@mean"),
}


def recipe_text(**changes) -> str:
    """The YAML of a valid TIES recipe with some top-level keys changed; None takes a key out."""
    document = {
        "merge_method": "ties",
        "base_model": "init",
        "models": [
            {"model": "a", "parameters": {"weight": 0.5}},
            {"model": "b", "parameters": {"weight": 0.3}},
        ],
        "parameters": {"density": 0.4},
    } | changes
    return yaml.safe_dump({k: v for k, v in document.items() if v is not None})


def refusal(text: str) -> str:
    with pytest.raises(UserError) as caught:
        parse_recipe(text)
    return str(caught.value)


# --- in and out -------------------------------------------------------------------------------------------------


def test_the_examples_cover_every_method():
    assert set(EACH) == set(methods())


@pytest.mark.parametrize("name", EACH)
def test_yaml_round_trip(name):
    """A recipe read back from its own YAML is equal to it and has its digest."""
    back = parse_recipe(EACH[name].to_yaml())
    assert back == EACH[name]
    assert hash(back) == hash(EACH[name])
    assert back.digest() == EACH[name].digest()


def values(argument, count: int):
    """Single values, gradients and cases, for all models or for each."""
    control = argument.control
    one: st.SearchStrategy[Any] = st.booleans()
    if isinstance(control, Knob):
        low, high = control.low, control.high
        one = st.integers(int(low), int(high)) if argument.whole else st.floats(low, high)
    any_kind = anything_of(one)
    return st.one_of(any_kind, st.tuples(*[any_kind] * count)) if argument.per_model else any_kind


def anything_of(one):
    gradient = st.lists(one, min_size=1, max_size=3).map(tuple).map(Gradient)
    cases = st.lists(
        st.tuples(st.none() | st.text(max_size=4).filter(str.isprintable), one | gradient), min_size=1, max_size=3
    )
    return st.one_of(one, gradient, cases.map(tuple).map(Where))


@st.composite
def recipes(draw) -> Recipe:
    """Any recipe whose base is none of its models (mergekit takes the base out of the models)."""
    method = methods()[draw(st.sampled_from(sorted(methods())))]
    count = draw(st.integers(method.parents[0], min(method.parents[1], 4)))
    names = st.text(min_size=1, max_size=12).filter(lambda s: s not in ("@mean", "@zero") and s.isprintable())
    models = tuple(draw(st.lists(names, min_size=count, max_size=count, unique=True)))
    bases = st.one_of(st.sampled_from(["@mean", "@zero"]), names.filter(lambda s: s not in models))
    base = draw({"required": bases, "optional": st.none() | bases, "none": st.none()}[method.base])

    def parameters():
        weights = tuple(draw(anything_of(st.floats(0.01, 5))) for _ in models) if method.weighted else ()
        return weights, tuple((a.name, draw(values(a, count))) for a in method.arguments if draw(st.booleans()))

    def part():
        length = draw(st.integers(1, 3))
        *ranges, last = [(s, s + length) for s in draw(st.tuples(*[st.integers(0, 9)] * (count + 1)))]
        own, knobs = parameters()
        return Slice(models, tuple(ranges), own, knobs, last if base and base not in BASES else None)

    weights, knobs = parameters()
    slices = tuple(part() for _ in range(draw(st.integers(0, 2))))
    if slices:
        weights, knobs = (), tuple((k, v) for k, v in knobs if not isinstance(v, tuple))
    dtypes = st.sampled_from([None, *DTYPES])
    rest = (draw(st.sampled_from([(), ("rescale",)])), draw(dtypes), draw(dtypes), draw(st.integers(0, 10**9)), slices)
    try:
        return Recipe(method.name, models, weights, knobs, base, *rest)
    except UserError:
        assume(not method.name.startswith("della"))  # whose density bounds its epsilon
        raise


@given(recipe=recipes())
@FUZZ
def test_any_recipe_survives_its_yaml(recipe):
    """Odd model names, every kind of value, bases, post-steps, dtypes, seeds and slices all come back."""
    assert parse_recipe(recipe.to_yaml()) == recipe


@pytest.mark.parity
@pytest.mark.parametrize("name", [n for n in EACH if methods()[n].mergekit])
def test_mergekit_reads_what_is_written(name):
    """mergekit's own parser takes the YAML, finds the method and knows every parameter in it."""
    document = yaml.safe_load(mergekit_yaml(EACH[name]))
    parsed = oracle("mergekit.config").MergeConfiguration.model_validate(document)
    known = {p.name for p in oracle("mergekit.merge_methods").get(parsed.merge_method).spec.parameters}
    used = set(document.get("parameters", {})).union(*(m.get("parameters", {}) for m in document["models"]))
    assert used or not known
    assert used <= known
    assert [str(m.model) for m in parsed.models] == list(EACH[name].models)


def test_cases_that_may_not_fit_survive_their_yaml():
    """On every level: what is written on one never moves to another."""
    mlp, attention, norm = (Where(((part, 0.5),)) for part in ("mlp", "attn", "norm"))
    whole = Recipe("ties", ("a", "b"), (mlp, 1.0), (("density", (attention, 0.3)), ("lambda", norm)), "@zero")
    part = Slice(("a", "b"), ((0, 1), (1, 2)), (mlp, 1.0), (("density", (attention, 0.2)), ("lambda", mlp)))
    sliced = Recipe("ties", knobs=(("density", norm), ("lambda", norm)), base="@zero", slices=(part,))
    for recipe in (whole, sliced):
        assert parse_recipe(recipe.to_yaml()) == recipe
    assert sliced.settings(part)["density"] == (Where((("attn", 0.5), ("norm", 0.5))), 0.2)


def test_equal_recipes_have_equal_digests_whatever_the_order_of_knobs():
    knobs = (("density", 0.4), ("lambda", 0.7))
    one, other = (Recipe("ties", ("a",), (1.0,), order, "init") for order in (knobs, knobs[::-1]))
    assert one == other
    assert one.digest() == other.digest()


def test_recipes_of_whole_numbers_and_of_the_same_with_a_point_have_one_text_and_digest():
    """They are equal, so a memory of texts and results by recipe may give the one's for the other."""

    def sliced(weight, zero):
        half = Where((("mlp", Gradient((0, weight))), (None, zero)))
        return Recipe("linear", slices=(Slice(("a", "b"), ((0, 1), (1, 2)), (half, weight)),))

    for one, other in (
        [Recipe("ties", ("a",), (number,), (("density", number),), "init") for number in (1, 1.0)],
        [Recipe("karcher", ("a", "b"), knobs=(("max_iter", number),)) for number in (7, 7.0)],
        (sliced(1, 0), sliced(1.0, -0.0)),
    ):
        assert one == other
        assert one.digest() == other.digest()
        assert repr(one) == repr(other)
    assert "weight: 1.0\n" in Recipe("linear", ("a", "b"), (1, 1)).to_yaml()


@pytest.mark.parametrize(
    "change",
    [
        {"models": ("b", "a")}, {"weights": (0.3, 0.5)}, {"knobs": (("density", 0.5),)}, {"base": "@mean"},
        {"post": ("rescale",)}, {"dtype": "float32"}, {"out_dtype": "float32"}, {"seed": 1}, {"method": "dare_ties"},
    ],
)  # fmt: skip
def test_every_part_of_a_recipe_is_in_its_digest_and_its_yaml(change):
    recipe = Recipe("ties", ("a", "b"), (0.5, 0.3), (("density", 0.4),), "init")
    changed = dataclasses.replace(recipe, **change)
    assert changed.digest() != recipe.digest()
    assert changed.to_yaml() != recipe.to_yaml()


def test_post_steps_and_seed_stand_in_the_method_name():
    """Where mergekit fails on them, never in a key that it would ignore."""
    recipe = Recipe("dare_ties", ("a",), (1.0,), base="init", post=("rescale",), seed=7)
    assert yaml.safe_load(recipe.to_yaml())["merge_method"] == "dare_ties+rescale+seed=7"
    assert parse_recipe(recipe.to_yaml()) == recipe


# --- parameters -------------------------------------------------------------------------------------------------


def test_a_models_own_parameters_win_over_the_shared_ones():
    models = [{"model": "a", "parameters": {"weight": 0.5, "density": 0.1}}, {"model": "b"}]
    recipe = parse_recipe(recipe_text(models=models, parameters={"weight": 0.2, "density": 0.9, "lambda": 0.7}))
    assert recipe.weights == (0.5, 0.2)
    assert recipe.settings() == {"density": (0.1, 0.9), "lambda": 0.7, "normalize": True}


def test_a_model_without_a_density_has_the_default_where_none_is_shared():
    models = [{"model": "a", "parameters": {"weight": 1, "density": 0.1}}, {"model": "b", "parameters": {"weight": 1}}]
    assert parse_recipe(recipe_text(models=models, parameters=None)).settings()["density"] == (0.1, 1.0)


def test_a_shared_weight_is_every_models():
    recipe = parse_recipe(recipe_text(models=[{"model": "a"}, {"model": "b"}], parameters={"weight": 0.5}))
    assert recipe.weights == (0.5, 0.5)


def test_a_missing_weight_is_refused_by_the_models_name():
    models = [{"model": "a", "parameters": {"weight": 0.5}}, {"model": "bee"}]
    assert "bee has no weight" in refusal(recipe_text(models=models))
    assert "2 models, 0 weights" in refusal(recipe_text(models=[{"model": "a"}, {"model": "b"}]))


def test_gradients_and_cases_are_read_as_such():
    models = [{"model": "a", "parameters": {"weight": [{"filter": "mlp", "value": [0, 1]}, {"value": 0.5}]}}]
    recipe = parse_recipe(recipe_text(models=models, parameters={"density": {"filter": "attn", "value": 0.3}}))
    assert recipe.weights == (Where((("mlp", Gradient((0, 1))), (None, 0.5))),)
    assert recipe.settings()["density"] == Where((("attn", 0.3),))


def test_cases_that_may_not_fit_end_in_the_next_wider_scope():
    """A model's in the shared ones, a slice's source in the slice's, the slice's in the recipe's."""
    own, wide = [{"filter": "mlp", "value": 0.1}], [{"filter": "attn", "value": 0.2}]
    models = [{"model": "a", "parameters": {"weight": 1, "density": own}}]
    recipe = parse_recipe(recipe_text(models=models, parameters={"density": wide}))
    assert recipe.settings()["density"] == (Where((("mlp", 0.1), ("attn", 0.2))),)
    source = {"model": "a", "layer_range": [0, 1], "parameters": {"weight": 1, "density": own}}
    part = {"sources": [source], "parameters": {"density": wide}}
    text = recipe_text(models=None, base_model="@zero", slices=[part], parameters={"density": 0.3})
    recipe = parse_recipe(text)
    assert recipe.settings(recipe.slices[0])["density"] == (Where((("mlp", 0.1), ("attn", 0.2), (None, 0.3))),)
    assert parse_recipe(recipe.to_yaml()) == recipe


SOURCE: dict[str, Any] = {"model": "a", "layer_range": [0, 2], "parameters": {"weight": 1}}
BASE = {"model": "init", "layer_range": [0, 2]}


def test_slices_name_layers_of_models_and_base():
    recipe = parse_recipe(recipe_text(models=None, slices=[{"sources": [SOURCE, BASE]}]))
    assert recipe.slices == (Slice(("a",), ((0, 2),), (1,), (), (0, 2)),)
    assert recipe.models == ("a",)
    assert recipe.needed == ("a", "init")
    assert "2 layers in 1 slices" in recipe.label()
    assert recipe.digest() != dataclasses.replace(recipe, slices=recipe.slices * 2).digest()
    renamed = recipe.renamed(str.upper)
    assert (renamed.needed, renamed.slices[0].models) == (("A", "INIT"), ("A",))


@pytest.mark.parametrize(
    ("slices", "words"),
    [
        ([], "'slices'"), (["a"], "entry of slices"), ([{"source": []}], "sources"), ([{"sources": []}], "'sources'"),
        ([{"sources": [SOURCE]}], "base init"), ([{"sources": [BASE]}], "at least 1"),
        ([{"sources": [SOURCE, BASE | {"layer_range": [0, 3]}]}], "unequal"),
        ([{"sources": [SOURCE | {"layer_range": [2, 2]}, BASE]}], "no range"),
        ([{"sources": [SOURCE | {"layer_range": [0, 2.0]}, BASE]}], "no range"),
        ([{"sources": [SOURCE | {"layer_range": 3}, BASE]}], "no range"),
        ([{"sources": [{"model": "a"}, BASE]}], "The source a has no 'layer_range'"),
        ([{"sources": [SOURCE | {"layer_rage": 1}, BASE]}], "layer_range"),
        ([{"sources": [SOURCE, BASE], "residual_weight": 0.5}], "residual_weight"),
        ([{"sources": [SOURCE, BASE], "base_model": "b"}], "one base for all"),
        ([{"sources": [SOURCE, BASE], "parameters": {"densty": 1}}], "density"),
        ([{"sources": [SOURCE | {"parameters": {}}, BASE]}], "0 weights"),
    ],
)  # fmt: skip
def test_slices_that_cannot_be_merged_are_refused_by_name(slices, words):
    assert words in refusal(recipe_text(models=None, slices=slices))


def test_models_and_slices_exclude_each_other():
    assert "both" in refusal(recipe_text(slices=[{"sources": [SOURCE, BASE]}]))
    with pytest.raises(UserError, match="stand in its slices"):
        Recipe("passthrough", weights=(1.0,), slices=(Slice(("a",), ((0, 1),)),))


@pytest.mark.parametrize(
    "value",
    [
        Gradient(()), Where(()), Gradient([1.0]), Gradient((Gradient((1.0,)),)), Where(((1, 1.0),)),  # type: ignore
        Where((1,)), Where((("a", Where((("b", 1.0),))),)),  # type: ignore
    ],
)  # fmt: skip
def test_values_built_wrongly_in_python_are_refused(value):
    for parts in ({"weights": (value,)}, {"weights": (1.0,), "knobs": (("lambda", value),)}):
        with pytest.raises(UserError):
            Recipe("ties", ("a",), base="init", **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe("layer_swap", ("a", "b")), "layer_swap"), (Recipe("ties", ("a",), (1.0,), base="@mean"), "@mean"),
        (Recipe("linear", ("a",), (1.0,), post=("rescale",)), "rescale"),
        (Recipe("dare_ties", ("a",), (1.0,), base="b", seed=3), "seed 3"),
        (Recipe("linear", ("a", "a"), (1.0, 0.5)), "one model twice"),
    ],
)  # fmt: skip
def test_what_mergekit_cannot_express_is_refused_by_name(recipe, words):
    with pytest.raises(UserError, match=f"mergekit can't express .*{words}"):
        mergekit_yaml(recipe)


# --- bases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in sorted(methods()) if methods()[n].needs_base])
def test_methods_on_differences_need_a_base(name):
    own = {"parameters": {"weight": 1}} if methods()[name].weighted else {}
    models = [{"model": model} | own for model in ("a", "b")[: methods()[name].parents[1]]]
    message = refusal(recipe_text(merge_method=name, base_model=None, models=models, parameters=None))
    assert "@mean" in message
    assert "@zero" in message


@pytest.mark.parametrize("name", ["fisher", "regmean"])
@pytest.mark.parametrize("weights", [(0.5, -0.1), (0.0, 0.0)])
def test_averages_by_information_refuse_weights_below_zero(name, weights):
    with pytest.raises(UserError, match=f"{name}: the weights are .* expected none below 0"):
        Recipe(name, ("a", "b"), weights)
    assert Recipe(name, ("a", "b"), (0.5, 0.0))


@pytest.mark.parametrize(("base", "words"), [("@mean", "mean of the parents"), ("@zero", "zero"), ("init", "init")])
def test_the_label_shows_the_base(base, words):
    recipe = parse_recipe(recipe_text(base_model=base))
    assert recipe.base == base
    assert f"base: {words}" in recipe.label() or f"base: the {words}" in recipe.label()
    assert recipe.needed == (("a", "b", "init") if base == "init" else ("a", "b"))


def test_a_base_listed_under_models_is_no_parent():
    """As in mergekit, whose examples list the base without parameters."""
    models = [{"model": "init"}, {"model": "a", "parameters": {"weight": 1}}]
    recipe = parse_recipe(recipe_text(models=models))
    assert recipe.models == ("a",)
    assert recipe.base == "init"


@pytest.mark.parametrize("own", ["weight", "density"])
def test_a_base_listed_under_models_has_no_parameters(own):
    """mergekit ignores them in silence."""
    models = [{"model": "init", "parameters": {own: 0.5}}, {"model": "a", "parameters": {"weight": 1}}]
    assert f"its {own} would be ignored" in refusal(recipe_text(models=models))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ({"model": "a+b"}, "a+b"), ({"model": {"path": "org/a"}}, "org/a"),
        ({"model": {"path": "org/a", "revision": "step1"}, "lora": None}, "org/a@step1"),
    ],
)  # fmt: skip
def test_models_may_be_named_in_mergekits_long_form(written, name):
    models = [{"model": written, "parameters": {"weight": 1}}]
    recipe = parse_recipe(recipe_text(models=models, base_model={"model": "init"}))
    assert (recipe.models, recipe.base) == ((name,), "init")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"model": "a", "lora": "b"}, "asks for a LoRA"), ({"model": "a", "loar": "b"}, "did you mean 'lora'"),
        ({"model": "a", "override_architecture": "X"}, "another architecture"), ({"lora": None}, "names no model"),
        ({"model": {"path": "a", "revison": "b"}}, "did you mean 'revision'"),
    ],
)  # fmt: skip
def test_what_a_long_form_asks_for_beside_a_model_is_refused(written, words):
    assert words in refusal(recipe_text(models=[{"model": written, "parameters": {"weight": 1}}]))


def test_numbers_that_yaml_takes_for_text_are_numbers():
    """PyYAML reads 1e-3 as text; mergekit takes it for the number it is."""
    recipe = parse_recipe("merge_method: linear\nmodels: [{model: a, parameters: {weight: [1e-3, 2]}}]")
    assert recipe.weights == (Gradient((0.001, 2)),)
    recipe = parse_recipe("merge_method: nearswap\nbase_model: b\nmodels: [{model: a}]\nparameters: {t: 1e-2}")
    assert dict(recipe.knobs)["t"] == 0.01


def test_linear_refuses_a_base_that_mergekit_would_merge():
    assert "under models" in refusal(recipe_text(merge_method="linear", parameters=None))


def slerp_text(models, base) -> str:
    entries = [{"model": m} for m in models]
    return recipe_text(merge_method="slerp", models=entries, base_model=base, parameters={"t": 0.3})


def test_slerp_starts_at_base_model():
    """Whichever place it has in the list, or none."""
    for models in (["a", "b"], ["b", "a"], ["b"]):
        recipe = parse_recipe(slerp_text(models, "a"))
        assert recipe.models == ("a", "b")
        assert recipe.base is None
    assert "base_model" in refusal(slerp_text(["a", "b"], None))
    assert "exactly 2" in refusal(slerp_text(["a", "b"], "c"))
    assert "exactly 2" in refusal(slerp_text(["a"], "a"))


# --- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (recipe_text(paramters={"density": 0.4}), ["paramters", "parameters"]),
        (recipe_text(merge_method="tise"), ["tise", "'ties'"]),
        (recipe_text(merge_method=None, merge_metod="ties"), ["merge_method", "merge_metod"]),
        (recipe_text(models=None, model=[]), ["Unknown key 'model'", "models"]),
        (recipe_text(parameters={"densty": 0.4}), ["densty", "density"]),
        (recipe_text(models=[{"model": "a", "parameters": {"wieght": 1}}]), ["wieght", "weight", "a"]),
        (recipe_text(models=[{"model": "a", "params": {"weight": 1}}]), ["params", "parameters", "a"]),
        (recipe_text(models=[{"model": "a", "parameters": {"weight": 1, "lambda": 2}}]), ["lambda", "a"]),
        (recipe_text(merge_method="ties+rescal"), ["rescal", "rescale"]),
        (recipe_text(merge_method="ties+seed=x"), ["x", "whole number"]),
        (recipe_text(merge_method="ties+seed=1+seed=2"), ["seed"]),
        (recipe_text(dtype="float8"), ["float8", "float32"]),
        (recipe_text(out_dtype=16), ["16", "float32"]),
        (recipe_text(merge_method="slerp", base_model="a", parameters={"t": 0.3}), ["'weight'", "parameters of a"]),
    ],
)
def test_unknown_words_name_the_nearest_known_one(text, words):
    message = refusal(text)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("key", ["modules", "tokenizer", "tokenizer_source", "chat_template"])
def test_keys_of_mergekit_that_cannot_be_honoured_are_refused_with_the_reason(key):
    message = refusal(recipe_text(**{key: "base"}))
    assert f"'{key}'" in message
    assert "asks for" in message


@pytest.mark.parametrize(
    "weight",
    [math.nan, math.inf, -math.inf, True, "1", None, [], [0, True], [[1]], [0, "x"], {"filter": "x"}, 1e300, 10**400],
)
def test_a_weight_is_a_finite_number(weight):
    """NaN, infinities (float32's too), booleans and text are refused by name, also inside gradients and cases."""
    models = [{"model": "bee", "parameters": {"weight": weight}}, {"model": "b", "parameters": {"weight": 1}}]
    assert "bee" in refusal(recipe_text(models=models))


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("ties", {"density": 1.2}), ("ties", {"density": -0.1}), ("ties", {"density": math.nan}),
        ("ties", {"density": [0.1, 1.2]}), ("ties", {"normalize": [1]}), ("layer_swap", {"first": 1.5}),
        ("ties", {"normalize": "yes please"}),
        ("ties", {"lambda": True}), ("ties", {"lambda": math.inf}), ("linear", {"density": 0.5}),
        ("dare_ties", {"rescale": 0.5}), ("task_arithmetic", {"density": 0.5}),
    ],
)  # fmt: skip
def test_parameters_out_of_range_or_of_another_kind_are_refused_by_name(method, parameters):
    base = "init" if methods()[method].needs_base else None
    entries = [{"model": m} | ({"parameters": {"weight": 1}} if methods()[method].weighted else {}) for m in ("a", "b")]
    message = refusal(recipe_text(merge_method=method, base_model=base, models=entries, parameters=parameters))
    assert next(iter(parameters)) in message


@pytest.mark.parametrize("method", ["della", "della_linear", "della_paper"])
@pytest.mark.parametrize(
    ("density", "epsilon", "fine"),
    [(0.9, 0.15, False), (0.1, 0.1, False), (0.5, 0.5, False), (0.5, 0.4, True), (1.0, 0.5, True), (0.0, 0.5, True),
     ((0.5, 0.9), 0.2, False), ((0.5, 0.9), (0.2, 0.05), True)],
)  # fmt: skip
def test_chances_outside_0_to_1_are_refused(method, density, epsilon, fine):
    """By model; a density of 0 or 1 leaves nothing to chance. What a gradient comes to is refused tensor by tensor."""
    knobs = (("density", density), ("epsilon", epsilon))
    if fine:
        Recipe(method, ("a", "b"), (1.0, 1.0), knobs, "init")
        return
    with pytest.raises(UserError, match=r"chances of .* Take a smaller epsilon"):
        Recipe(method, ("a", "b"), (1.0, 1.0), knobs, "init")
    late = Recipe(method, ("a", "b"), (1.0, 1.0), (("density", 0.9), ("epsilon", Gradient((0.05, 0.3)))), "init")
    with pytest.raises(UserError, match=r"of model.layers.3.mlp: density 0.9"):
        site_at(late, "model.layers.3.mlp", 4)


@pytest.mark.parametrize("knob", [("tol", -1e-5), ("max_iter", -1)])
def test_a_karcher_mean_takes_nothing_below_zero(knob):
    """0 is taken as mergekit takes it: the normalised average alone, and no tolerance."""
    with pytest.raises(UserError, match=f"karcher: {knob[0]} is {knob[1]:g}; expected 0 or more"):
        Recipe("karcher", ("a", "b"), knobs=(knob,))
    assert Recipe("karcher", ("a", "b"), knobs=(("max_iter", 0), ("tol", 0.0))).settings()["max_iter"] == 0


@pytest.mark.parametrize(
    ("method", "models", "wanted"),
    [("model_stock", ("a",), "at least 2 models besides the base"), ("nearswap", ("a", "b"), "exactly 1 model besides"),
     ("arcee_fusion", ("a", "b"), "exactly 1 model besides the base")],
)  # fmt: skip
def test_methods_of_so_many_models_refuse_others(method, models, wanted):
    with pytest.raises(UserError, match=wanted):
        Recipe(method, models, base="init")


@pytest.mark.parametrize("weights", [(0.5, -0.5), (0.0, 0.0), (1e-8, 0.0), (1 / 3, 2 / 3, -1.0)])
@pytest.mark.parametrize("method", ["linear", "ties", "della", "multislerp"])
def test_weights_summing_to_zero_are_refused_only_where_they_are_divided_by(method, weights):
    parts: dict[str, Any] = {"base": "init"} if methods()[method].needs_base else {}
    models, switch = ("a", "b", "c")[: len(weights)], "normalize_weights" if method == "multislerp" else "normalize"
    with pytest.raises(UserError, match=f"{switch} off"):
        Recipe(method, models, weights, **parts)
    Recipe(method, models, weights, ((switch, False),), **parts)
    Recipe("task_arithmetic", models, weights, base="init")


@pytest.mark.parametrize(
    "parts",
    [
        {"weights": (1.0,)}, {"weights": ()}, {"models": ()}, {"weights": (1.0, 1.0, 1.0)}, {"method": "nothing"},
        {"knobs": (("density", (0.1, 0.2, 0.3)),)}, {"knobs": (("lambda", (0.1, 0.2)),)}, {"post": ("nothing",)},
    ],
)  # fmt: skip
def test_recipes_made_in_python_are_checked_alike(parts):
    with pytest.raises(UserError):
        Recipe(**({"method": "ties", "models": ("a", "b"), "weights": (1.0, 1.0), "base": "init"} | parts))


def test_slerp_takes_no_weights():
    with pytest.raises(UserError, match="no weights"):
        Recipe("slerp", ("a", "b"), (0.5, 0.5))


@pytest.mark.parametrize(
    "text", ["", "[]", "ties", "5", "null", "- merge_method: ties", "a: b: c", "\x00", "{", "&a [*a]"]
)
def test_what_is_no_mapping_is_refused(text):
    assert refusal(text)


@pytest.mark.parametrize(
    "models", [None, [], {}, "a", 5, [None], ["a"], [{"model": 5}], [{"model": ["a"]}], [{"weight": 1}], [[]]]
)
def test_models_is_a_list_of_named_entries(models):
    assert "model" in refusal(recipe_text(models=models))


@pytest.mark.parametrize(
    "text",
    [
        "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 0.9, weight: 0.1}}",
        "merge_method: linear\nmodels:\n- {model: a}\nparameters: {weight: 1}\nparameters: {normalize: false}",
    ],
)
def test_a_key_that_stands_twice_is_refused(text):
    assert "stands twice in one mapping" in refusal(text)


# --- files ------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"\xff\xfe\xe9")
    (tmp_path / "bad.yaml").write_text("merge_method: [")
    for path in (tmp_path / "missing.yaml", tmp_path, tmp_path / "latin.yaml", tmp_path / "bad.yaml"):
        with pytest.raises(UserError, match=str(path)):
            read_recipe(path)


def linear_of(*models: str) -> str:
    entries = [{"model": model, "parameters": {"weight": 1}} for model in models]
    return yaml.safe_dump({"merge_method": "linear", "models": entries})


def test_paths_beside_the_file_are_taken_from_there(tmp_path, monkeypatch):
    """A relative path that exists beside the recipe, or in the home folder; any other stays as it was written."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder in ("a", "deep/b", "home/c"):
        (tmp_path / folder).mkdir(parents=True)
    asked = ("./a", "deep/b", "a/", "~/c", "org/model", "./b")
    (tmp_path / "recipe.yaml").write_text(linear_of(*asked))
    found = (*(str(tmp_path / folder) for folder in ("a", "deep/b", "a", "home/c")), "org/model", "./b")
    assert read_recipe(tmp_path / "recipe.yaml").models == found


def test_bare_names_stay_names_whatever_lies_beside_the_file(tmp_path):
    """A folder of that name beside the recipe is not the suite's checkpoint."""
    for folder in ("a", "init"):
        (tmp_path / folder).mkdir()
    (tmp_path / "recipe.yaml").write_text(recipe_text())
    recipe = read_recipe(tmp_path / "recipe.yaml")
    assert recipe.models == ("a", "b")
    assert recipe.base == "init"


@pytest.mark.parametrize("model", ["~nobody-of-this-name/x", "x/" * 5000])
def test_a_path_that_cannot_be_one_is_refused_by_name(model, tmp_path):
    (tmp_path / "recipe.yaml").write_text(linear_of(model))
    with pytest.raises(UserError) as error:
        read_recipe(tmp_path / "recipe.yaml")
    assert model[:30] in str(error.value)
    assert len(str(error.value)) < 800


# --- nothing but UserError --------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4), st.dates(),
    st.sampled_from(["ties", "linear", "slerp", "dare_ties+seed=3", "@mean", "a", "b", "init", "float32", "x" * 300]),
    st.just(10**400),
)  # fmt: skip
KEYS = st.text(max_size=6) | st.integers()
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
WEIGHT = ANYTHING | st.floats(0, 1)
ENTRY = st.fixed_dictionaries({}, optional={
    "model": st.sampled_from(["a", "b", "init"]) | ANYTHING,
    "parameters": ANYTHING | st.fixed_dictionaries({}, optional={"weight": WEIGHT, "density": ANYTHING}),
})  # fmt: skip
DOCUMENT = st.fixed_dictionaries({}, optional={
    "merge_method": st.sampled_from([*sorted(methods()), "ties+rescale", "ties+seed=3"]) | ANYTHING,
    "models": st.lists(ENTRY | ANYTHING, max_size=3) | ANYTHING,
    "base_model": st.sampled_from(["init", "a", "@mean"]) | ANYTHING,
    "parameters": ANYTHING | st.fixed_dictionaries({}, optional={
        "weight": WEIGHT, "density": ANYTHING, "lambda": ANYTHING, "normalize": ANYTHING, "t": ANYTHING,
    }),
    "dtype": st.sampled_from(DTYPES) | ANYTHING,
    "out_dtype": st.sampled_from(DTYPES) | ANYTHING,
})  # fmt: skip


def survives(text: str, beside=None) -> None:
    """Parsing gives a hashable recipe that its YAML gives back, or a UserError with a message of bounded length."""
    try:
        recipe = parse_recipe(text, beside)
    except UserError as error:
        message = str(error)
    else:
        message = recipe.label()
        hash(recipe)
        assert parse_recipe(recipe.to_yaml(), beside) == recipe
    assert 0 < len(message) < 5000


@given(document=DOCUMENT)
@FUZZ
def test_any_document_gives_a_recipe_or_a_user_error(document, tmp_path):
    text = yaml.safe_dump(document)
    survives(text)
    survives(text, tmp_path)


@given(
    changes=st.dictionaries(st.sampled_from(sorted(yaml.safe_load(recipe_text()))), ANYTHING, min_size=1, max_size=2)
)
@FUZZ
def test_one_weird_value_in_a_good_recipe_gives_a_recipe_or_a_user_error(changes, tmp_path):
    survives(yaml.safe_dump(yaml.safe_load(recipe_text()) | changes), tmp_path)


@given(text=st.text(alphabet=st.sampled_from("ab:-[]{}&*!?|>'\"%@`#, \n\t0123_."), max_size=40))
@example("a: 2020-13-45")
@example("a: 0x_")
@example("a: " + "9" * 5000)
@example("a: !!int b")
@example("a: !!bool b")
@example("a: !!timestamp b")
@example("!!python/object/apply:os.system [exit]")
@example("? [a]\n: b")
@example("[" * 3000)
@example("merge_method: ties+seed=" + "9" * 5000)
@example("merge_method: ties+seed=²")
@example("a: &a [*a, *a]\nmodels: *a")
@FUZZ
def test_any_text_gives_a_user_error(text):
    with pytest.raises(UserError):
        parse_recipe(text)


@pytest.mark.parametrize("method", [name for name, m in methods().items() if m.base != "none"])
def test_base_among_the_models_is_refused(method):
    """mergekit leaves it out, so the YAML would not come back as the same recipe."""
    models = ("a", "b", "d")[: min(methods()[method].parents[1], 3)]
    weights = (0.5,) * len(models) if methods()[method].weighted else ()
    assert Recipe(method, models, weights, base="c").base == "c"
    with pytest.raises(UserError, match="a is the base and one of the models") as error:
        Recipe(method, models, weights, base="a")
    assert "Take it out of the models" in str(error.value)
