"""Every merge method as a formula: what all of them must obey, then what each one says it does, derived twice."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interference import ranks
from interference.methods import arcee_fusion, dare, della
from interference.methods.nearswap import nearswap
from interference.methods.ties import elect, largest
from interference.methods.ties_paper import thresholds
from interference.ranks import Cut, Difference, above, cut, ranked, smallest, smallest_of_all
from interference.registry import Knob, Method, Part, Switch, merge_method, methods

METHODS = sorted(methods())
NAME = "model.layers.0.mlp.up_proj.weight"
SHAPES = [(12,), (5, 7), (2, 3, 4)]
PATHS = settings(deadline=None, derandomize=True, database=None, max_examples=40)


def parents(method: Method, shape: tuple[int, ...] = (5, 7), count: int = 3, seed: int = 0) -> torch.Tensor:
    """Random weights or differences in float64, as many as the method takes but at most `count`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(min(count, method.parents[1]), *shape, generator=generator, dtype=torch.float64)


def apply(method: Method, stack: torch.Tensor, weights=None, uniforms=None, data=None, **knobs) -> torch.Tensor:
    """The method on `stack` as a matrix of the first of two layers, prepared as the loop does, by default with equal
    weights that sum to one, seeded uniform numbers, and measurements that follow from each parent alone."""
    given = {
        method.takes: stack,
        "weights": even(len(stack)).to(stack.dtype) if weights is None else weights,
        "uniforms": seeded(stack.shape) if uniforms is None else uniforms,
        "base": torch.zeros_like(stack[0]), "name": NAME, "group": "mlp", "layer": 0, "layers": 2, "transposed": False,
        "fisher": stack.square() + 0.1, "grams": grams(stack), "counts": None,
    } | (data or {})  # fmt: skip
    settings = {a.name: a.default for a in method.arguments} | knobs
    if method.prepare and method.scope == "model":
        given["prepared"] = call(method.prepare, given | {method.takes: {NAME: stack}}, settings)[NAME]
    elif method.prepare:
        given["prepared"] = call(method.prepare, given, settings)
    return call(method.body, given, settings)


def grams(stack: torch.Tensor) -> torch.Tensor | None:
    """Positive definite, each parent's own whatever the order; nothing but a matrix has any."""
    return stack.mT @ stack + torch.diag(torch.arange(1, stack.shape[2] + 1).to(stack)) if stack.ndim == 3 else None


def call(part: Part, given, settings):
    own = {a.parameter: settings[a.name] for a in part.arguments}
    return part.function(**{name: given[name] for name in part.inputs}, **own)


def even(count: int) -> torch.Tensor:
    return torch.full((count,), 1 / count, dtype=torch.float64)


def uneven(count: int) -> torch.Tensor:
    """Weights that sum to one."""
    weights = torch.tensor([0.5, 0.3, 0.2][:count], dtype=torch.float64)
    return weights / weights.sum()


def seeded(shape, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def having(name: str) -> list[str]:
    """The methods with a knob or switch of this name."""
    return [n for n in METHODS if any(a.name == name for a in methods()[n].arguments)]


def obeying(name: str) -> list[str]:
    return [n for n in METHODS if name not in methods()[n].lacks]


def sparse(method: Method) -> dict[str, float]:
    """A density below one for the methods that have one, so that properties hold for more than the default."""
    return {"density": 0.6} if method.name in having("density") else {}


def whole(method: Method) -> dict[str, float]:
    return {"density": 1.0} if method.name in having("density") else {}


# --- every method -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
def test_result_is_finite_and_of_the_parents_shape(name, shape):
    method = methods()[name]
    stack = parents(method, shape).float()
    merged = apply(method, stack, **sparse(method))
    assert merged.shape == shape
    assert merged.dtype == torch.float32
    assert torch.isfinite(merged).all()


@pytest.mark.parametrize("name", METHODS)
def test_zero_and_one_element_tensors_are_merged(name):
    """A gain of one element and tensors of zeros give finite results: nothing is divided by their norm."""
    method = methods()[name]
    assert apply(method, parents(method, (1,)), **sparse(method)).shape == (1,)
    zeros = torch.zeros_like(parents(method))
    assert torch.equal(apply(method, zeros, **sparse(method)), zeros[0])


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("density", [0.6, 1.0])
def test_inputs_are_neither_written_to_nor_returned(name, density):
    method = methods()[name]
    stack = parents(method)
    weights, uniforms = uneven(len(stack)), seeded(stack.shape)
    before = [t.clone() for t in (stack, weights, uniforms)]
    merged = apply(method, stack, weights, uniforms, **(sparse(method) and {"density": density}))
    merged += 1
    assert all(torch.equal(a, b) for a, b in zip(before, (stack, weights, uniforms), strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_identical_parents_give_the_parent_back(name):
    """With weights that sum to one; a parent's difference from the base stands for the parent here."""
    method = methods()[name]
    one = parents(method)[0]
    stack = one.expand(min(3, method.parents[1]), *one.shape)
    merged = apply(method, stack, uneven(len(stack)), **whole(method))
    assert torch.allclose(merged, one) == ("identity" not in method.lacks)


@pytest.mark.parametrize("name", METHODS)
def test_order_of_parents(name):
    """Permuting the parents with all that is theirs changes nothing, except where the method says that it does."""
    method = methods()[name]
    stack, count = parents(method), min(3, method.parents[1])
    order = [2, 0, 1][3 - count :] if count == 3 else list(range(count))[::-1]
    weights, uniforms = uneven(count), seeded(stack.shape, 2)
    density = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)[:count]
    own, permuted = ({"density": d} if sparse(method) else {} for d in (density, density[order]))
    there = apply(method, stack, weights, uniforms, **own)
    back = apply(method, stack[order], weights[order], uniforms[order], **permuted)
    same = torch.allclose(there, back)
    if name == "slerp":  # halfway there is no first
        same = torch.allclose(apply(method, stack, t=0.3), apply(method, stack[order], t=0.3))
    assert same == ("order" not in method.lacks)
    if method.weighted:
        assert not torch.allclose(apply(method, stack, weights[order], uniforms, **own), there)


@pytest.mark.parametrize("name", [n for n in METHODS if methods()[n].weighted and methods()[n].parents[1] > 2])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_parent_of_weight_zero_is_ignored(name, position):
    """Whatever it holds; and a parent of weight 0.1 is not."""
    method = methods()[name]
    others = [i for i in range(3) if i != position]
    stack, uniforms = parents(method), seeded((3, 5, 7), 2)
    weights = torch.tensor([0.5, 0.5, 0.5], dtype=torch.float64)
    two = apply(method, stack[others], weights[others], uniforms[others], **sparse(method))
    weights[position] = 0
    torch.testing.assert_close(apply(method, stack, weights, uniforms, **sparse(method)), two)
    weights[position] = 0.1
    assert not torch.allclose(apply(method, stack, weights, uniforms, **sparse(method)), two)


@pytest.mark.parametrize("name", [n for n in obeying("gradient") if methods()[n].weighted])
@pytest.mark.parametrize("normalize", [True, False])
def test_differentiable_in_the_weights(name, normalize):
    """The gradient with respect to the weights is that of finite differences, normalised or not."""
    method = methods()[name]
    stack = parents(method)
    weights = torch.tensor([0.7, 0.4, 0.2][: len(stack)], dtype=torch.float64, requires_grad=True)
    knobs = sparse(method) | ({"normalize": normalize} if name in having("normalize") else {})
    assert torch.autograd.gradcheck(lambda w: apply(method, stack, w, **knobs), (weights,), atol=1e-6)


@pytest.mark.parametrize("name", [n for n in obeying("gradient") if n in obeying("smooth")])
def test_differentiable_in_the_parents_and_the_scalar_knobs(name):
    """Also where slerp takes the line: parallel and zero tensors have finite gradients."""
    method = methods()[name]
    stack = parents(method, (2, 3)).requires_grad_()
    knob = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    scalar = next((a.name for a in method.arguments if a.name in ("t", "lambda", "scale")), None)
    call = (lambda s, k: apply(method, s, **{scalar: k})) if scalar else (lambda s, k: apply(method, s) + 0 * k)
    assert torch.autograd.gradcheck(call, (stack, knob), atol=1e-6)
    for edge in (torch.ones(len(stack), 3, 4), torch.zeros(len(stack), 3, 4)):
        leaf = edge.requires_grad_()
        call(leaf, knob.float()).sum().backward()
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", [n for n in obeying("scale") if methods()[n].takes == "deltas"])
@given(factor=st.floats(0.1, 10))
@PATHS
def test_merged_differences_scale_with_the_parents(name, factor):
    """Differences `factor` times as large give a merge `factor` times as large."""
    method = methods()[name]
    stack = parents(method)
    merged = apply(method, stack, **sparse(method))
    torch.testing.assert_close(apply(method, stack * factor, **sparse(method)), merged * factor)


@pytest.mark.parametrize("name", having("lambda"))
@given(scale=st.floats(0, 2))
@PATHS
def test_merged_differences_scale_with_lambda(name, scale):
    method = methods()[name]
    stack = parents(method)
    merged = apply(method, stack, **sparse(method))
    torch.testing.assert_close(apply(method, stack, **{"lambda": scale}, **sparse(method)), merged * scale)


@pytest.mark.parametrize("name", having("normalize"))
@given(factor=st.floats(0.01, 100))
@PATHS
def test_normalised_weights_matter_by_ratio_only(name, factor):
    """Multiplying all weights by one number changes nothing when normalised, and scales the merge when not."""
    method = methods()[name]
    stack, weights = parents(method), torch.tensor([0.5, 0.3, 0.7], dtype=torch.float64)
    merged = {n: apply(method, stack, weights, normalize=n) for n in (True, False)}
    torch.testing.assert_close(apply(method, stack, weights * factor, normalize=True), merged[True])
    torch.testing.assert_close(apply(method, stack, weights * factor, normalize=False), merged[False] * factor)


# --- linear and task arithmetic ---------------------------------------------------------------------------------


@given(weights=st.lists(st.floats(-2, 2), min_size=3, max_size=3).filter(lambda w: abs(sum(w)) > 0.01))
@PATHS
def test_linear_is_the_weighted_mean(weights):
    """Against numpy's average."""
    stack = parents(methods()["linear"])
    merged = apply(methods()["linear"], stack, torch.tensor(weights, dtype=torch.float64))
    np.testing.assert_allclose(merged, np.average(stack.numpy(), axis=0, weights=weights), rtol=1e-9, atol=1e-9)


@given(weights=st.lists(st.floats(-2, 2), min_size=3, max_size=3))
@PATHS
def test_task_arithmetic_is_a_linear_sum_in_which_the_base_has_the_rest_of_the_weight(weights):
    """base + Σ w (θ - base) = (1 - Σ w) base + Σ w θ."""
    base, *tensors = parents(methods()["linear"], count=4)
    weights = torch.tensor(weights, dtype=torch.float64)
    merged = base + apply(methods()["task_arithmetic"], torch.stack(tensors) - base, weights)
    rest = torch.cat([1 - weights.sum().reshape(1), weights])
    expected = apply(methods()["linear"], torch.stack([base, *tensors]), rest, normalize=False)
    torch.testing.assert_close(merged, expected)


def test_task_arithmetic_normalised_from_zero_is_linear():
    stack, weights = parents(methods()["linear"]), torch.tensor([0.5, 0.3, 0.4], dtype=torch.float64)
    merged = apply(methods()["task_arithmetic"], stack, weights, normalize=True)
    torch.testing.assert_close(merged, apply(methods()["linear"], stack, weights))


# --- ties -------------------------------------------------------------------------------------------------------


def ties_by_hand(deltas, weights, density, normalize=True):
    """TIES written a second time, one weight after another in plain Python."""
    kept = []
    for delta in deltas.tolist():
        count = max(1, int(density * len(delta))) if density > 0 else 0
        largest = sorted(range(len(delta)), key=lambda i: -abs(delta[i]))[:count]
        kept.append([value if i in largest else 0.0 for i, value in enumerate(delta)])
    merged = []
    for column in zip(*kept, strict=True):
        votes = [w * value for w, value in zip(weights, column, strict=True)]
        sign = 1 if sum(votes) >= 0 else -1
        agreeing = [(w, v) for w, v in zip(weights, votes, strict=True) if v * sign > 0]
        divisor = sum(w for w, _ in agreeing) if normalize and agreeing else 1
        merged.append(sum(v for _, v in agreeing) / divisor)
    return torch.tensor(merged, dtype=torch.float64)


@given(
    weights=st.lists(st.floats(0.05, 2), min_size=3, max_size=3),
    density=st.floats(0, 1),
    normalize=st.booleans(),
    seed=st.integers(0, 1000),
)
@PATHS
def test_ties_is_its_recipe_by_hand(weights, density, normalize, seed):
    deltas = parents(methods()["ties"], (17,), seed=seed)
    merged = apply(
        methods()["ties"], deltas, torch.tensor(weights, dtype=torch.float64), density=density, normalize=normalize
    )
    torch.testing.assert_close(merged, ties_by_hand(deltas, weights, density, normalize))


@pytest.mark.parametrize(("density", "kept"), [(0, 0), (0.001, 1), (0.5, 10), (0.59, 11), (0.999, 19), (1, 20)])
def test_trimming_keeps_the_largest_share(density, kept):
    """max(1, int(density · n)) of 20 entries survive unchanged, the largest; at 0 none does."""
    delta = parents(methods()["ties"], (4, 5))[0]
    trimmed = delta * largest(delta[None], density)[0]
    survived = trimmed != 0
    assert int(survived.sum()) == kept
    assert torch.equal(trimmed[survived], delta[survived])
    if 0 < kept < 20:
        assert delta[survived].abs().min() > delta[~survived].abs().max()


def test_trimming_keeps_the_exact_share_among_equal_magnitudes():
    """All magnitudes tie: still exactly half survive."""
    assert int(largest(torch.ones(1, 20), 0.5).sum()) == 10


def test_each_parent_is_trimmed_by_its_own_density():
    deltas = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    merged = apply(methods()["ties"], deltas, density=torch.tensor([0.25, 0.5]))
    assert merged.tolist() == [4.0, 0.0, 3.0, 4.0]


def test_the_sign_is_elected_by_weighted_mass():
    """Two small votes against one large, the coefficients counting; a tie goes to plus; zeros agree with nobody."""
    deltas = torch.tensor([[1.0, 1.0, -1.0, 0.0, 0.0], [1.0, -1.0, -1.0, 0.0, 2.0], [-3.0, 0.0, 1.0, 0.0, -1.0]])
    agree = elect(deltas, torch.ones(3))
    assert agree.tolist() == [
        [False, True, True, False, False],
        [False, False, True, False, True],
        [True, False, False, False, False],
    ]
    bought = elect(deltas, torch.tensor([2.0, 2.0, 1.0]))
    assert bought[:, 0].tolist() == [True, True, False]


def test_a_negative_weight_flips_the_vote():
    deltas = torch.tensor([[1.0], [-2.0]])
    assert elect(deltas, torch.tensor([1.0, 1.0]))[:, 0].tolist() == [False, True]
    assert elect(deltas, torch.tensor([1.0, -1.0]))[:, 0].tolist() == [True, True]


def test_opposite_parents_keep_the_positive_one():
    """A tied vote is no cancellation: +1 and -1 at equal weight give +1 where the linear average gives 0."""
    deltas = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert apply(methods()["ties"], deltas).tolist() == [1.0, 1.0]
    assert apply(methods()["linear"], deltas).tolist() == [0.0, 0.0]


# --- dare -------------------------------------------------------------------------------------------------------


def drop(delta, uniform, density, rescale):
    """One delta by dare's preparation."""
    mask, factors = dare.drop(delta[None], uniform[None], density, rescale)
    return delta * mask[0] * factors[0]


def test_dare_at_density_one_is_ties_unnormalised():
    deltas, weights = parents(methods()["ties"]), torch.tensor([0.5, 0.3, 0.4], dtype=torch.float64)
    merged = apply(methods()["dare_ties"], deltas, weights, density=1.0)
    torch.testing.assert_close(merged, apply(methods()["ties"], deltas, weights, normalize=False), rtol=0, atol=0)


def test_dropped_entries_match_the_density():
    """Of 100,000 entries the kept share is within four standard errors of each density."""
    delta, uniform = torch.ones(100_000), torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    for density in (0.1, 0.5, 0.9):
        share = float((drop(delta, uniform, density, False) != 0).float().mean())
        assert abs(share - density) < 4 * math.sqrt(density * (1 - density) / 100_000)
    assert not drop(delta, uniform, 0.0, True).any()


@given(low=st.floats(0, 1), high=st.floats(0, 1), seed=st.integers(0, 1000))
@PATHS
def test_a_growing_density_only_adds_to_the_mask(low, high, seed):
    """So moving the slider never shows another draw as an effect of the density."""
    low, high = sorted((low, high))
    generator = torch.Generator().manual_seed(seed)
    delta, uniform = torch.randn(50, generator=generator), torch.rand(50, generator=generator)
    few, many = (drop(delta, uniform, density, False) for density in (low, high))
    assert torch.equal(few != 0, (few != 0) & (many != 0))
    assert torch.equal(many[few != 0], few[few != 0])


@pytest.mark.parametrize("density", [0.05, 0.3, 0.8])
def test_rescaling_restores_the_l1_norm(density):
    """mergekit's rule, not division by the density: the norm is restored exactly, the factor is not 1/density."""
    generator = torch.Generator().manual_seed(3)
    delta, uniform = torch.randn(8, 25, generator=generator), torch.rand(8, 25, generator=generator)
    plain, rescaled = (drop(delta, uniform, density, rescale) for rescale in (False, True))
    torch.testing.assert_close(rescaled.abs().sum(), delta.abs().sum())
    assert plain.abs().sum() < delta.abs().sum()
    assert not math.isclose(float(rescaled.abs().sum() / plain.abs().sum()), 1 / density, rel_tol=1e-4)


def test_dare_is_ties_on_what_was_not_dropped():
    """A second derivation: mask and rescale in numpy, then TIES by hand at density 1."""
    deltas = parents(methods()["dare_ties"], (40,))
    uniforms = torch.rand(deltas.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    kept = np.where(uniforms.numpy() < 0.4, deltas.numpy(), 0)
    kept *= np.abs(deltas.numpy()).sum(1, keepdims=True) / np.abs(kept).sum(1, keepdims=True)
    weights = [0.5, 0.3, 0.4]
    merged = apply(methods()["dare_ties"], deltas, torch.tensor(weights, dtype=torch.float64), uniforms, density=0.4)
    torch.testing.assert_close(merged, ties_by_hand(torch.tensor(kept), weights, 1.0, normalize=False))


# --- slerp ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", ["generic", "parallel", "antipodal"])
def test_slerp_ends_at_its_parents(pair):
    first = parents(methods()["slerp"])[0]
    second = {"generic": parents(methods()["slerp"])[1], "parallel": 3 * first, "antipodal": -first}[pair]
    stack = torch.stack([first, second])
    torch.testing.assert_close(apply(methods()["slerp"], stack, t=0.0), first)
    torch.testing.assert_close(apply(methods()["slerp"], stack, t=1.0), second)


@given(t=st.floats(0, 1), seed=st.integers(0, 1000))
@PATHS
def test_slerp_turns_in_the_parents_plane(t, seed):
    """Against a rotation built from an orthonormal pair: the norm stays, the angle from the first is t times theirs."""
    first, second = (v / v.norm() for v in parents(methods()["slerp"], (30,), seed=seed))
    merged = apply(methods()["slerp"], torch.stack([first, second]), t=t)
    angle = math.acos(float(first @ second))
    across = second - (first @ second) * first
    expected = math.cos(t * angle) * first + math.sin(t * angle) * across / across.norm()
    torch.testing.assert_close(merged, expected)
    assert math.isclose(float(merged.norm()), 1, rel_tol=1e-9)


def test_slerp_keeps_a_norm_that_the_line_loses():
    """Halfway between orthogonal tensors of one norm, slerp has that norm and the average 0.71 of it."""
    stack = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    assert math.isclose(float(apply(methods()["slerp"], stack, t=0.5).norm()), 2, rel_tol=1e-6)
    assert math.isclose(float(apply(methods()["linear"], stack).norm()), math.sqrt(2), rel_tol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_slerp_takes_the_line_between_nearly_parallel_tensors(sign):
    """Cosine above 0.9995 or below -0.9995: the average at 0.5, finite even where the arc has no direction."""
    first = parents(methods()["slerp"])[0]
    second = sign * (first + 1e-3 * parents(methods()["slerp"])[1])
    merged = apply(methods()["slerp"], torch.stack([first, second]), t=0.5)
    torch.testing.assert_close(merged, (first + second) / 2)


# --- nuslerp, layer swapping, passthrough, the paper's TIES ---------------------------------------------------------


@given(first=st.floats(0, 1), seed=st.integers(0, 100))
@PATHS
def test_nuslerp_is_slerp_by_the_ratio_of_the_weights(first, seed):
    stack = parents(methods()["slerp"], seed=seed)
    weights = torch.tensor([1 - first, first], dtype=torch.float64) * 3
    torch.testing.assert_close(apply(methods()["nuslerp"], stack, weights), apply(methods()["slerp"], stack, t=first))


def test_nuslerp_without_flatten_turns_each_row_or_each_column_by_itself():
    stack, weights = parents(methods()["nuslerp"]), torch.tensor([0.3, 0.7], dtype=torch.float64)
    nuslerp = methods()["nuslerp"]
    rows = apply(nuslerp, stack, weights, nuslerp_flatten=False)
    columns = apply(nuslerp, stack, weights, nuslerp_flatten=False, nuslerp_row_wise=True)
    assert torch.allclose(rows[2], apply(nuslerp, stack[:, 2], weights))
    assert torch.allclose(columns[:, 2], apply(nuslerp, stack[:, :, 2], weights))
    assert not torch.allclose(rows, columns)


def test_nuslerp_meets_halfway_where_weights_sum_to_zero():
    stack = parents(methods()["nuslerp"])
    zero = torch.tensor([0.4, -0.4], dtype=torch.float64)
    torch.testing.assert_close(apply(methods()["nuslerp"], stack, zero), apply(methods()["slerp"], stack, t=0.5))


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({}, "baaab"), ({"first": 2, "last": 0}, "bbaaa"), ({"transition": 1}, "bmamb"),
        ({"first": 0, "last": 2, "transition": 2}, "ammbb"), ({"first": 9}, "bbbbb"),
        ({"first": 0, "last": 0}, "aaaaa"),
        ({"first": 0, "last": 0, "transition": 3}, "aaaaa"),
    ],
)  # fmt: skip
def test_layers_are_swapped_from_both_ends(knobs, expected):
    """Of five layers: a the first parent, b the second, m their mean; what lies outside follows its switch."""
    stack = parents(methods()["layer_swap"], (3,))
    kinds = {"a": stack[0], "b": stack[1], "m": stack.mean(dim=0)}
    swap = methods()["layer_swap"].function
    for layer, kind in enumerate(expected):
        torch.testing.assert_close(swap(stack, layer, 5, **knobs), kinds[kind])
    torch.testing.assert_close(swap(stack, None, 5, **knobs), stack[0])
    torch.testing.assert_close(swap(stack, None, 5, outside=True, **knobs), stack[1])


def test_the_papers_ties_trims_over_the_whole_model():
    """Of two tensors one holds all large entries: it keeps them, the other nothing; per tensor both keep half."""
    small, large = torch.arange(1.0, 5.0), torch.arange(11.0, 15.0)
    limits = thresholds({"small": small[None], "large": large[None]}, 0.5)
    assert limits["small"].tolist() == limits["large"].tolist() == [11.0]
    assert largest(small[None], 0.5).sum() == largest(large[None], 0.5).sum() == 2


@pytest.mark.parametrize(("density", "kept"), [(0.0, 0), (0.01, 1), (0.3, 6), (0.99, 19), (1.0, 20)])
def test_a_threshold_keeps_the_share_of_all_entries(density, kept):
    deltas = {"a": parents(methods()["ties"], (12,)), "b": parents(methods()["ties"], (8,), seed=1)}
    limits = thresholds(deltas, density)
    for row in range(3):
        found = sum(int((stack[row].abs() >= limits[name][row]).sum()) for name, stack in deltas.items())
        assert found == kept


def test_coefficients_have_no_vote_in_the_papers_ties():
    """A weight of 9 buys mergekit's election and not the paper's; agreeing entries are averaged by weight."""
    deltas, weights = torch.tensor([[1.0], [-2.0], [1.5]]), torch.tensor([1.0, 9.0, 1.0])
    assert apply(methods()["ties_paper"], deltas, weights, density=1.0).tolist() == [1.25]
    assert apply(methods()["ties"], deltas, weights, density=1.0).tolist() == [-2.0]


# --- mergekit's other methods, by hand -------------------------------------------------------------------------------


def test_dare_divides_by_the_density_or_restores_the_norm():
    """Of 4, 2, 1, 1 the first and third are kept at 0.5: twice their size in the paper, times 8/5 in mergekit."""
    deltas, uniforms = torch.tensor([[4.0, 2.0, 1.0, 1.0]]), torch.tensor([[0.1, 0.9, 0.4, 0.5]])
    given = {"weights": torch.ones(1), "uniforms": uniforms, "density": 0.5}
    assert apply(methods()["dare_linear_paper"], deltas, **given).tolist() == [8.0, 0.0, 2.0, 0.0]
    torch.testing.assert_close(apply(methods()["dare_linear"], deltas, **given), torch.tensor([6.4, 0.0, 1.6, 0.0]))
    assert apply(methods()["dare_linear"], deltas, rescale=False, **given).tolist() == [4.0, 0.0, 1.0, 0.0]


def test_breadcrumbs_keep_what_lies_between():
    """Of ten, the largest (gamma 0.1) and the six smallest go; where 0.7 are kept only 0.3 of the outliers can go."""
    delta = torch.tensor([[1.0, -10.0, 2.0, -9.0, 3.0, 8.0, 4.0, -7.0, 5.0, 6.0]])
    given = {"weights": torch.ones(1), "gamma": 0.1}
    merged = apply(methods()["breadcrumbs"], delta, density=0.3, **given)
    assert merged.tolist() == [0, 0, 0, -9, 0, 8, 0, -7, 0, 0]
    many = apply(methods()["breadcrumbs"], delta, density=0.7, weights=torch.ones(1), gamma=0.5)
    assert many.tolist() == [1, 0, 2, 0, 3, 0, 4, -7, 5, 6]
    two = torch.cat([delta, -delta / 2])
    signed = apply(methods()["breadcrumbs_ties"], two, torch.ones(2), density=0.3, gamma=0.1)
    assert signed.tolist() == merged.tolist()


def test_della_keeps_by_rank_within_each_row():
    """Chances at 0.5 ± 0.4 over three ranks are 0.1, 0.5, 0.9, whatever another row holds; of a vector, over all."""
    deltas = torch.tensor([[[1.0, 3.0, -2.0], [90.0, -70.0, 80.0]]])
    likely = della.chances(della.heights(deltas), torch.tensor([[0.1, 0.8]]), 2)
    torch.testing.assert_close(likely, torch.tensor([[[0.1, 0.9, 0.5], [0.9, 0.1, 0.5]]]))
    given = {"density": 0.5, "epsilon": 0.4, "weights": torch.ones(1), "uniforms": torch.full((1, 2, 3), 0.45)}
    assert apply(methods()["della"], deltas, rescale=False, **given).tolist() == [[0, 3, -2], [90, 0, 80]]
    torch.testing.assert_close(apply(methods()["della_linear"], deltas, **given).abs().sum(), deltas.abs().sum())
    paper = apply(methods()["della_paper"], deltas, **given)
    torch.testing.assert_close(paper, torch.tensor([[0.0, 3 / 0.9, -4], [100.0, 0.0, 160.0]]))


def test_della_of_one_column_keeps_with_the_density():
    """mergekit divides by zero there."""
    _, factors = della.drop_by_rank(torch.ones(1, 4, 1), torch.tensor([0.1, 0.4, 0.6, 0.9]).reshape(1, 4, 1), 0.5)
    assert factors.tolist() == [2.0]


def test_the_papers_della_expects_the_task_vector():
    """Over 2000 draws the mean of one parent's merge is its difference: each entry is divided by its own chance."""
    deltas = parents(methods()["della_paper"], (2, 6), count=1)
    draws = [
        apply(methods()["della_paper"], deltas, torch.ones(1), seeded(deltas.shape, seed), density=0.5, epsilon=0.3)
        for seed in range(2000)
    ]
    bound = 4 * deltas[0].abs() * math.sqrt(4 / 2000)  # four standard errors at the smallest chance, 0.2
    assert bool(((torch.stack(draws).mean(dim=0) - deltas[0]).abs() <= bound).all())


@pytest.mark.parametrize("prepare", [dare.drop, della.drop_by_rank])
def test_a_growing_density_adds_to_one_mask_of_every_random_method(prepare):
    deltas, uniforms = parents(methods()["della"]), seeded((3, 5, 7))
    masks = [prepare(deltas, uniforms, density)[0] for density in (0.2, 0.4, 0.6, 0.8)]
    for few, many in itertools.pairwise(masks):
        assert bool((many | ~few).all())
        assert many.sum() > few.sum()


def test_sce_selects_weighs_and_erases():
    """Variances 0, 9, 4, 1: half of the three that are not zero is one entry; then energies 1 : 4 and signs."""
    deltas = torch.tensor([[1.0, 3.0, -2.0, 1.0], [1.0, -3.0, 2.0, 3.0]])
    selected = apply(methods()["sce"], deltas, select_topk=0.5)
    assert selected.tolist() == [0.0, 3.0, 0.0, 0.0]  # a tied vote goes to plus
    merged = apply(methods()["sce"], torch.tensor([[1.0, -1.0, 1.0], [2.0, 2.0, -2.0]]))
    torch.testing.assert_close(merged, torch.tensor([(1 * 1 + 4 * 2) / 5, 2.0, -2.0]))


def test_only_the_papers_sce_weighs_small_differences():
    """Mean squares of 1e-8 and 4e-8: mergekit's plain mean, the paper's 1 : 4; both alike when large."""
    small = torch.tensor([[1e-4], [2e-4]])
    torch.testing.assert_close(apply(methods()["sce"], small), torch.tensor([1.5e-4]))
    torch.testing.assert_close(apply(methods()["sce_paper"], small), torch.tensor([1.8e-4]))
    large = small * 1e4
    torch.testing.assert_close(apply(methods()["sce"], large), apply(methods()["sce_paper"], large))


def test_ram_keeps_what_one_parent_changed_and_averages_the_rest():
    """The first shares one entry of its three, the second its only one: 1 + 0.5 · 1/2 and no own entry to scale."""
    deltas = torch.tensor([[4.0, 2.0, 6.0, 1e-6], [0.0, 4.0, 0.0, 0.0]])
    assert apply(methods()["ram"], deltas).tolist() == [4.0, 3.0, 6.0, 0.0]
    assert apply(methods()["ramplus_tl"], deltas, r=0.5, alpha=1.0).tolist() == [5.0, 3.0, 7.5, 0.0]
    torch.testing.assert_close(
        apply(methods()["ramplus_tl"], deltas, r=0.5, alpha=0.2), torch.tensor([4.4, 3.0, 6.6, 0.0])
    )


def test_model_stock_goes_as_far_as_the_angle_says():
    """At 60 degrees t is 2 · 1/2 / (1 + 1/2); at right angles the base; opposed, t is -2 unless held to 0."""
    half = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    torch.testing.assert_close(apply(methods()["model_stock"], half), half.mean(dim=0) * 2 / 3)
    torch.testing.assert_close(apply(methods()["model_stock"], torch.eye(2)), torch.zeros(2))
    opposed = torch.tensor([[1.0, 0.0], [-0.5, math.sqrt(0.75)]])
    torch.testing.assert_close(apply(methods()["model_stock"], opposed), opposed.mean(dim=0) * -2)
    assert not apply(methods()["model_stock_clamped"], opposed).any()
    assert not apply(methods()["model_stock"], torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).any()


def test_model_stock_by_row_is_model_stock_of_each_row():
    stack = parents(methods()["model_stock"])
    merged = apply(methods()["model_stock"], stack, filter_wise=True)
    rows = [apply(methods()["model_stock"], stack[:, row]) for row in range(5)]
    torch.testing.assert_close(merged, torch.stack(rows))
    assert not torch.allclose(merged, apply(methods()["model_stock"], stack))


def test_nearswap_replaces_what_is_near_and_nudges_the_rest():
    base, parent = torch.tensor([1.0, 1.0, 1.0, 1.0]), torch.tensor([[1.25, 0.5, 3.0, -1.0]])
    assert nearswap(parent, base, 0.5).tolist() == [1.25, 0.5, 1.5, 0.5]
    assert nearswap(parent, base, 0.0).tolist() == base.tolist()


def test_arcee_fusion_takes_what_stands_out():
    """Of two rows one alone changes its softmax; there the scores are proportional to the differences."""
    base = torch.zeros(2, 4)
    parent = torch.tensor([[[0.1, 0.1, 0.1, 5.0], [1.0, 1.0, 1.0, 1.0]]])
    assert apply(methods()["arcee_fusion"], parent).tolist() == [[0, 0, 0, 5], [0, 0, 0, 0]]
    scores = arcee_fusion.importance(parent[0], base)
    assert not scores[1].any()
    torch.testing.assert_close(scores[0] / scores[0, 3], parent[0, 0] / 5)
    shares = parent[0, 0].softmax(dim=0)
    torch.testing.assert_close(scores[0, 3], 5 * (shares * (shares * 4).log()).sum())


def test_multislerp_is_the_mean_direction_at_the_mean_length():
    """Of (3, 0) and (0, 1) halfway: the diagonal at length 2; opposite ones fall back to the weighted sum."""
    across = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(apply(methods()["multislerp"], across), torch.full((2,), math.sqrt(2)))
    opposite = torch.tensor([[3.0, 0.0], [-1.0, 0.0]])
    assert apply(methods()["multislerp"], opposite).tolist() == [1.0, 0.0]
    weights = torch.tensor([1.0, 3.0])
    one, four = (apply(methods()["multislerp"], across, w) for w in (weights / 4, weights))
    torch.testing.assert_close(one, four)
    scaled = apply(methods()["multislerp"], across, weights, normalize_weights=False)
    torch.testing.assert_close(scaled, four * 4)


def test_the_karcher_mean_is_halfway_on_the_arc_and_balances_three():
    """Two: slerp at a half, at the mean length. Three: the tangents at the mean sum to zero, in plain vectors."""
    two = parents(methods()["karcher"], count=2)
    lengths = two.flatten(1).norm(dim=1)
    halfway = apply(methods()["slerp"], two / lengths[:, None, None], t=0.5)
    torch.testing.assert_close(apply(methods()["karcher"], two), halfway * lengths.mean())
    three = parents(methods()["karcher"], (40,)).abs()
    units = three / three.norm(dim=1, keepdim=True)
    mean = apply(methods()["karcher"], three, max_iter=100, tol=1e-9)
    torch.testing.assert_close(mean.norm(), three.norm(dim=1).mean())
    mean = mean / mean.norm()
    angles = (units @ mean).arccos()
    tangents = (angles / angles.sin())[:, None] * (units - (units @ mean)[:, None] * mean)
    assert float(tangents.sum(dim=0).norm()) < 1e-7
    start = apply(methods()["karcher"], three, max_iter=0)
    assert not torch.allclose(start / start.norm(), mean)


def test_the_karcher_mean_of_opposite_parents_is_the_first():
    """No direction lies between them; a parent of zeros has none of its own, but shortens the mean."""
    opposite = torch.tensor([[2.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    assert apply(methods()["karcher"], opposite).tolist() == [2.0, 0.0]
    assert apply(methods()["karcher"], torch.tensor([[2.0, 0.0], [0.0, 0.0]])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "pair", [[[2.0, 0.0]] * 2, [[0.0, 0.0]] * 2, [[2.0, 0.0], [0.0, 0.0]], [[2.0, 0.0], [-2.0, 0.0]]]
)
def test_a_karcher_mean_without_tolerance_is_finite(pair):
    """Of equal parents and of zeros, which the biases of some models are, there is no way left to go."""
    tensors = torch.tensor(pair)
    torch.testing.assert_close(apply(methods()["karcher"], tensors, tol=0.0), apply(methods()["karcher"], tensors))


@pytest.mark.parametrize("kind", ["normal", "equal", "tiny", "broken"])
@pytest.mark.parametrize("based", [False, True])
def test_a_cut_is_the_same_where_there_is_more_to_select_from(kind, based, monkeypatch):
    """Bit for bit, counting as on a CPU and comparing as on a GPU: among many equal ones, below the least normal one,
    zero, or of none at all."""
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(2000, generator=generator)
    if kind == "equal":
        own = (own * 2).round()
    elif kind == "tiny":
        own = own * torch.logspace(-44, 0, 2000)
    elif kind == "broken":
        own[::100], own[::77] = torch.inf, -torch.inf
    entries = Difference(own.bfloat16(), torch.randn(2000, generator=generator) if based else None, torch.float16)
    counts = (0, 1, 2, 500, 1234, 1999, 2000)
    expected = [cut(entries, count) for count in counts]
    monkeypatch.setattr(ranks, "_FEW", 10)
    for piece, compared in itertools.product((300, 5000), ((), ("cpu",))):
        monkeypatch.setitem(ranks.PIECE, "cpu", piece)
        monkeypatch.setattr(ranks, "DEVICES", compared)
        for one, other in zip(map(cut, [entries] * len(counts), counts), expected, strict=True):
            assert one.place is not None
            assert other.place is not None
            assert (one.limit.item(), one.place.item()) == (other.limit.item(), other.place.item())


@pytest.mark.parametrize("size", [1, 3, 7, 40])
def test_a_cut_is_the_same_in_pieces(size):
    """Among equal entries too, on both sides of the place where they part, and for all and none of the entries."""
    sizes = torch.randint(0, 4, (6, 40), generator=torch.Generator().manual_seed(0)).float()
    counts = (0, 3, 11, 20, 39, 40)
    own = [cut(Difference(row), count) for row, count in zip(sizes, counts, strict=True)]
    found = Cut(*map(torch.cat, zip(*own, strict=True)))
    whole = above(sizes, found)
    assert whole.sum(dim=1).tolist() == [40 - count for count in counts]
    parts = [above(sizes[:, s : s + size], found.within(slice(s, min(s + size, 40)))) for s in range(0, 40, size)]
    assert torch.equal(torch.cat(parts, dim=1), whole)
    assert found.place is not None
    on_a_gpu = [above(sizes[:, s : s + size], Cut(found.limit, found.place - s)) for s in range(0, 40, size)]
    assert torch.equal(torch.cat(on_a_gpu, dim=1), whole)


@pytest.mark.parametrize("count", [-1, 0, 1, 4, 7, 8, 9])
def test_ranks_by_selection_are_those_of_sorting(count):
    """Exactly so many, all equal ones in order of their place."""
    sizes = torch.tensor([3.0, 1.0, 2.0, 2.0, 0.0, 2.0, 5.0, 2.0])
    expected = torch.zeros(8, dtype=torch.bool)
    expected[sizes.sort(stable=True).indices[: max(0, count)]] = True
    assert torch.equal(smallest(sizes, count), expected)
    assert torch.equal(ranked(sizes, 2, count), expected & ~smallest(sizes, 2))


# --- the registry -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_the_page_shows(name):
    """A label, a caption, a source, and for every argument a caption and a default within its range."""
    method = methods()[name]
    assert method.label
    assert method.caption.endswith(".")
    assert method.source.startswith(("arXiv:", "doi:", "https://"))
    for argument in method.arguments:
        assert argument.control.caption
        if isinstance(argument.control, Knob):
            assert argument.control.low <= argument.default <= argument.control.high
        else:
            assert isinstance(argument.control, Switch)
            assert isinstance(argument.default, bool)


def test_registering_refuses_what_would_show_nothing():
    """A taken name, a missing docstring, another first argument, an argument without a control."""

    def linear(tensors):
        """Taken."""

    def bare(tensors): ...

    def odd(things):
        """Of something else."""

    def loose(tensors, factor: float = 1.0):
        """With a loose end."""

    for function, why in ((linear, "already"), (bare, "docstring"), (odd, "first argument"), (loose, "factor")):
        with pytest.raises(ValueError, match=why):
            merge_method(label="x", family="y", source="arXiv:0")(function)
    assert sorted(methods()) == METHODS


# --- measured and spectral --------------------------------------------------------------------------------------


def test_fisher_is_the_average_by_information():
    """By hand; weights that matter to no parent are averaged; equal information is the plain weighted average."""
    stack = torch.tensor([[[1.0, 2.0, 4.0]], [[3.0, 6.0, 8.0]]], dtype=torch.float64)
    information = torch.tensor([[[3.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]], dtype=torch.float64)
    merged = apply(methods()["fisher"], stack, data={"fisher": information})
    torch.testing.assert_close(merged[0], torch.tensor([1.5, 2.0, 6.0], dtype=torch.float64), atol=1e-5, rtol=0)
    equal = apply(methods()["fisher"], stack, uneven(2), data={"fisher": information[:1].expand(2, 1, 3)})
    torch.testing.assert_close(equal, apply(methods()["linear"], stack, uneven(2)))


def regmean(stack, data, weights=None, alpha=1.0, transposed=False):
    given = {"grams": data, "transposed": transposed}
    return apply(methods()["regmean"], stack, weights, data=given, alpha=alpha)


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("rank", [7, 3])
def test_regmean_of_equal_grams_is_the_mean(alpha, rank):
    """Also of Grams that have no inverse."""
    stack, inputs = parents(methods()["regmean"]), torch.randn(rank, 7, dtype=torch.float64)
    merged = regmean(stack, (inputs.T @ inputs).expand(3, 7, 7), uneven(3), alpha)
    torch.testing.assert_close(merged, apply(methods()["linear"], stack, uneven(3)), atol=1e-6, rtol=0)


def test_regmean_of_parents_with_inputs_of_their_own_reproduces_each():
    """Planted: the first parent only ever sees the first two inputs, the second the third; nobody the fourth."""
    stack = parents(methods()["regmean"], (5, 4), 2)
    seen = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    grams_ = torch.diag_embed(seen)
    grams_[0, 0, 1] = grams_[0, 1, 0] = 0.5
    merged = regmean(stack, grams_)
    expected = torch.cat([stack[0, :, :2], stack[1, :, 2:3], stack.mean(dim=0)[:, 3:]], dim=1)
    torch.testing.assert_close(merged, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(regmean(stack.mT, grams_, transposed=True), merged.T)


def test_regmean_minimises_the_distance_from_the_parents_outputs():
    """Against numpy's least squares on the inputs themselves; with alpha 0 each column by its own inputs' power."""
    stack, inputs = parents(methods()["regmean"], (5, 4)), torch.randn(3, 20, 4, dtype=torch.float64)
    roots = uneven(3).sqrt()[:, None, None]
    expected, *_ = np.linalg.lstsq(
        (roots * inputs).flatten(0, 1).numpy(), (roots * (inputs @ stack.mT)).flatten(0, 1).numpy()
    )
    power = inputs.mT @ inputs
    np.testing.assert_allclose(regmean(stack, power, uneven(3)).T, expected, atol=1e-6)
    diagonal = power.diagonal(dim1=1, dim2=2)[:, None] * uneven(3)[:, None, None]
    by_power = (stack * diagonal).sum(dim=0) / diagonal.sum(dim=0)
    torch.testing.assert_close(regmean(stack, power, uneven(3), alpha=0.0), by_power, atol=1e-6, rtol=0)


def test_iso_c_makes_the_spectrum_flat_and_keeps_the_directions():
    """All singular values are the mean of the sum's, its singular vectors are kept; vectors are averaged."""
    stack = parents(methods()["iso_c"])
    merged = apply(methods()["iso_c"], stack, torch.ones(3, dtype=torch.float64))
    left, spectrum, right = torch.linalg.svd(stack.sum(dim=0), full_matrices=False)
    torch.testing.assert_close(torch.linalg.svdvals(merged), spectrum.mean().expand(5))
    torch.testing.assert_close(left.T @ merged @ right.T, torch.eye(5, dtype=torch.float64) * spectrum.mean())
    vectors = apply(methods()["iso_c"], stack[:, 0], torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(vectors, stack[:, 0].mean(dim=0))
    by_hand = apply(methods()["iso_c"], torch.diag(torch.tensor([3.0, 1.0]))[None], torch.ones(1))
    torch.testing.assert_close(by_hand, torch.eye(2) * 2)


def test_tsv_m_of_one_model_gives_it_back():
    stack = parents(methods()["tsv_m"], count=1)
    torch.testing.assert_close(apply(methods()["tsv_m"], stack), stack[0])


def test_tsv_m_of_orthogonal_parents_is_the_sum_of_their_strongest_parts():
    """Planted: each parent has two directions of its own and a weak third, which goes. Overlaps are made orthogonal."""
    first, second = torch.zeros(6, 6, dtype=torch.float64), torch.zeros(6, 6, dtype=torch.float64)
    first[0, 0], first[1, 1], first[2, 2] = 5, 4, 3
    second[3, 3], second[4, 4], second[5, 5] = 7, 6, 2
    stack = torch.stack([first + torch.diag(torch.tensor([0, 0, 0, 0.1, 0, 0])), second])
    torch.testing.assert_close(apply(methods()["tsv_m"], stack), first + second, atol=1e-12, rtol=0)
    torch.testing.assert_close(apply(methods()["tsv_m"], stack[:, :, 0]), stack[:, :, 0].mean(dim=0))
    mixed = apply(methods()["tsv_m"], parents(methods()["tsv_m"], (6, 6), 2))
    kept = torch.linalg.svdvals(parents(methods()["tsv_m"], (6, 6), 2))[:, :3].flatten().sort(descending=True).values
    torch.testing.assert_close(torch.linalg.svdvals(mixed), kept)


@pytest.mark.parametrize("count", [1, 2, 400, 999, 1000])
def test_selection_over_parts_is_that_of_the_whole(count):
    """Of rows that lie in three parts, with many equal numbers and zeros among them."""
    sizes = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0)).abs().bfloat16().float()
    sizes[:, ::7] = 0
    counts = torch.tensor([count, 1001 - count, 500])
    found = smallest_of_all(lambda: sizes.split(400, dim=1), counts)
    expected = [row.kthvalue(int(each)).values for row, each in zip(sizes, counts, strict=True)]
    assert torch.equal(found, torch.stack(expected))
