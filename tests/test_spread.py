"""Sliders that differ within the model: recipes go onto them and come back as they were."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from interference.errors import UserError
from interference.groups import GROUPS, group_of
from interference.recipe import Gradient, Recipe, Slice, Where, parse_recipe, site_at
from interference.recipe.lines import line_of
from interference.registry import methods
from interference.spread import (
    BY_GROUP,
    BY_LAYER,
    WEIGHT,
    Sliders,
    Spread,
    recipe_values,
    same_merge,
    shown_groups,
    sliders_of,
    spread_of,
    spreadable,
    tensor_groups,
    what_no_slider_holds,
    with_sliders,
)

_BLOCK = ("self_attn.q_proj", "self_attn.k_norm", "mlp.up_proj", "input_layernorm", "post_attention_layernorm")
LLAMA = [
    "model.embed_tokens.weight", *(f"model.layers.{n}.{part}.weight" for n in range(4) for part in _BLOCK),
    "model.norm.weight", "lm_head.weight",
]  # fmt: skip
GPT2 = ["transformer.wte.weight", "transformer.wpe.weight", "transformer.h.0.ln_1.weight", "transformer.ln_f.bias"]
GPT2 += ["transformer.h.0.attn.c_attn.weight", "transformer.h.0.mlp.c_fc.bias"]
NEOX = ["gpt_neox.embed_in.weight", "gpt_neox.layers.0.attention.dense.weight", "embed_out.weight"]
NEOX += ["gpt_neox.layers.0.mlp.dense_h_to_4h.weight", "gpt_neox.layers.0.input_layernorm.weight"]
PARENTS = ("mono-eng", "mono-deu", "mono-nld")


@pytest.mark.parametrize("names", [LLAMA, GPT2, NEOX], ids=["llama", "gpt2", "neox"])
def test_each_group_gets_its_own_value(names):
    """By the recipe's own reading of filters, every tensor gets the number of its group and no other."""
    groups = shown_groups(names)
    assert set(groups) == {group_of(name) for name in names}
    row = tuple(round(0.1 + 0.2 * n, 4) for n in range(len(groups)))
    weights = recipe_values(Spread(BY_GROUP, (row, (0.5,) * len(groups))), names)
    recipe = Recipe("linear", PARENTS[:2], weights, (("normalize", False),))
    for name in names:
        assert site_at(recipe, name, 4).weights == (row[groups.index(group_of(name))], 0.5)


def test_groups_that_no_filter_tells_apart_are_refused():
    with pytest.raises(UserError, match="can't be told by parts of names"):
        tensor_groups(["model.mlp.weight", "score.mlp.weight"])


def test_layers_are_interpolated_and_the_rest_takes_the_first_value():
    weights = recipe_values(Spread(BY_LAYER, ((0.0, 1.0), (0.5,))), LLAMA)
    recipe = Recipe("linear", PARENTS[:2], weights, (("normalize", False),))
    found = [site_at(recipe, f"model.layers.{n}.mlp.up_proj.weight", 4).weights for n in range(4)]
    assert found == [(pytest.approx(n / 3), 0.5) for n in range(4)]
    assert {site_at(recipe, name, 4).weights for name in (LLAMA[0], *LLAMA[-2:])} == {(0.0, 0.5)}


@st.composite
def recipes(draw) -> Recipe:
    """Any method with weights and knobs that are one number, by group or over the layers."""
    method = draw(st.sampled_from([m for m in methods().values() if m.parents[1] > 2 and not m.positive]))
    number = st.integers(1, 99).map(lambda n: n / 100)

    def value(low: float, high: float):
        inner = number.map(lambda share: float(f"{low + share * (high - low):.6g}"))
        rows = st.one_of(
            st.none(),
            st.builds(
                lambda rows: Spread(BY_GROUP, tuple(map(tuple, rows))),
                st.lists(st.lists(inner, min_size=5, max_size=5), min_size=3, max_size=3),
            ),
            st.builds(
                lambda rows: Spread(BY_LAYER, tuple(map(tuple, rows))),
                st.lists(st.lists(inner, min_size=1, max_size=4), min_size=3, max_size=3),
            ),
        )
        return inner, rows

    inner, rows = value(0, 1)
    weights = tuple(draw(inner) for _ in PARENTS) if method.weighted else ()
    names = spreadable(method.arguments, method.weighted)
    spreads: dict[str, Spread] = {}
    knobs: dict[str, float | bool] = {}
    if method.weighted and (found := draw(rows)):
        spreads[WEIGHT] = found
    for argument in method.arguments:
        knobs[argument.name] = argument.default
        if argument.name in names and argument.name not in ("epsilon", "eps", "tol"):
            one, spread = value(argument.control.low, argument.control.high)  # type: ignore[union-attr]
            knobs[argument.name] = draw(one)
            if found := draw(spread):
                spreads[argument.name] = found if argument.per_model else Spread(found.kind, found.rows[:1])
    if {"density", "gamma"} <= knobs.keys() or method.name.startswith("della"):
        knobs |= {a.name: a.default for a in method.arguments}
        spreads = {name: found for name, found in spreads.items() if name == WEIGHT}
    plain = Recipe(method.name, PARENTS, weights, (), "@zero" if method.needs_base else None)
    return with_sliders(plain, Sliders(weights, tuple(knobs.items()), tuple(spreads.items())), LLAMA)


@settings(max_examples=60, deadline=None)
@given(recipes())
def test_recipe_to_sliders_and_back_is_the_recipe(recipe):
    """And its YAML too: nothing is lost between the page's three ways to hold a recipe, but that equal numbers of all
    models are one number."""
    assume(not any(isinstance(value, tuple) and len(set(value)) == 1 for _, value in recipe.knobs))
    assert with_sliders(recipe, sliders_of(recipe, LLAMA), LLAMA) == recipe
    assert what_no_slider_holds(recipe, LLAMA) is None
    assert parse_recipe(recipe.to_yaml()) == recipe


LINEAR = Recipe("linear", PARENTS, (0.2, 0.3, 0.5))
HELD_AS_TEXT = {
    "slices": (
        Recipe("linear", slices=tuple(Slice((p,), ((n, n + 2),), (1.0,)) for n, p in enumerate(PARENTS[:2]))), "slices"
    ),
    "gradient in a case": (
        Recipe("linear", PARENTS[:1], (Where((("attn", Gradient((0.1, 0.9))), (None, 0.5))),)), "inside cases"
    ),
    "case inside a group": (
        Recipe("linear", PARENTS[:1], (Where((("layers.0", 0.1), (None, 0.5))),)), "of one group apart"
    ),
    "many anchors": (Recipe("linear", PARENTS[:1], (Gradient(tuple(n / 20 for n in range(1, 21))),)), "more than 12"),
    "digits": (Recipe("linear", PARENTS, (1 / 3, 1 / 3, 1 / 3)), "more than 4 digits"),
    "range": (Recipe("slerp", PARENTS[:2], (), (("t", 1.25),)), "beyond a slider's range"),
    "switch": (
        Recipe("linear", PARENTS, (0.2, 0.3, 0.5), (("normalize", Where((("attn", True), (None, False)))),)), "switches"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HELD_AS_TEXT)
def test_what_no_slider_holds_is_said(case):
    recipe, why = HELD_AS_TEXT[case]
    assert why in (what_no_slider_holds(recipe, LLAMA) or "")


def test_other_filters_of_the_same_meaning_go_onto_the_sliders():
    """Written for one architecture by its own names, shown by group: the same numbers for every tensor."""
    cases = Where((("self_attn.q_proj", 0.25), ("mlp", 0.75), (None, 0.5)))
    recipe = Recipe("linear", PARENTS[:2], (cases, 0.5))
    assert what_no_slider_holds(recipe, LLAMA) is None
    found = dict(sliders_of(recipe, LLAMA).spreads)[WEIGHT]
    assert found.rows[0] == tuple(
        {"attention": 0.25, "mlp": 0.75}.get(group, 0.5) for group in GROUPS if group != "other"
    )
    assert same_merge(with_sliders(recipe, sliders_of(recipe, LLAMA), LLAMA), recipe, LLAMA)


def test_densities_of_each_parent_are_lines_of_one_point():
    recipe = Recipe("ties", PARENTS, (1.0, 1.0, 1.0), (("density", (0.2, 0.4, 0.6)),), base="@zero")
    assert dict(sliders_of(recipe, LLAMA).spreads)["density"] == Spread(BY_LAYER, ((0.2,), (0.4,), (0.6,)))
    assert spread_of(LINEAR.weights, LLAMA) is None


def test_other_numbers_are_another_merge():
    """The test of equality can fail: in a weight, in a knob, in the order of models."""
    ties = Recipe("ties", PARENTS, (1.0, 1.0, 1.0), (("density", Gradient((0.2, 0.8))),), base="@zero")
    others = (
        Recipe("ties", PARENTS, (1.0, 1.0, 1.0), (("density", Gradient((0.2, 0.7))),), base="@zero"),
        Recipe("ties", PARENTS, (1.0, 0.9, 1.0), ties.knobs, base="@zero"),
        Recipe("ties", PARENTS[::-1], (1.0, 1.0, 1.0), ties.knobs, base="@zero"),
        Recipe("ties", PARENTS, (1.0, 1.0, 1.0), ties.knobs, base="@zero", post=("rescale",)),
    )
    assert not any(same_merge(ties, other, LLAMA) for other in others)
    assert same_merge(
        ties, Recipe("ties", PARENTS, (1.0,) * 3, (("density", (Gradient((0.2, 0.8)),) * 3),), "@zero"), LLAMA
    )


TEXT = """merge_method: linear
models:
- model: a
  parameters:
    wieght: 1.0  # 'weight'
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TEXT, 5),
        (TEXT.replace("linear", "linaer"), 1),
        ("merge_method: linear\nmodels: [\n", 3),
        ("merge_method: linear\n", None),
    ],
)
def test_a_mistake_in_a_recipe_is_found_by_its_line(text, line):
    with pytest.raises(UserError) as error:
        parse_recipe(text)
    assert line_of(text, str(error.value)) == line
