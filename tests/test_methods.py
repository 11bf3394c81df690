"""Every merge method as a formula: what all of them must obey, then what each one says it does, derived twice."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interference.methods.dare_ties import drop
from interference.methods.ties import elect, trim
from interference.registry import Knob, Method, Switch, merge_method, methods

METHODS = sorted(methods())
ORDERED = {"slerp"}  # methods that start at the first parent; the order of the others' parents is irrelevant
SHAPES = [(12,), (5, 7), (2, 3, 4)]
PATHS = settings(deadline=None, derandomize=True, database=None, max_examples=40)


def parents(method: Method, shape: tuple[int, ...] = (5, 7), count: int = 3, seed: int = 0) -> torch.Tensor:
    """Random weights or differences in float64, as many as the method takes but at most `count`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(min(count, method.parents[1]), *shape, generator=generator, dtype=torch.float64)


def apply(method: Method, stack: torch.Tensor, weights=None, uniforms=None, **knobs) -> torch.Tensor:
    """The method on `stack`, with equal weights that sum to one and seeded uniform numbers unless given."""
    arguments = {method.takes: stack}
    if method.weighted:
        arguments["weights"] = (
            torch.full((len(stack),), 1 / len(stack), dtype=stack.dtype) if weights is None else weights
        )
    if method.seeded:
        generator = torch.Generator().manual_seed(1)
        arguments["uniforms"] = torch.rand(stack.shape, generator=generator) if uniforms is None else uniforms
    names = {a.name: a.parameter for a in method.arguments}
    return method.function(**arguments, **{names[k]: v for k, v in knobs.items()})


def sparse(method: Method) -> dict[str, float]:
    """A density below one for the methods that have one, so that properties hold for more than the default."""
    return {"density": 0.6} if any(a.name == "density" for a in method.arguments) else {}


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
    stack, weights = parents(method), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    uniforms = torch.rand(stack.shape)
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
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    torch.testing.assert_close(apply(method, stack, weights), one)


@pytest.mark.parametrize("name", METHODS)
def test_order_of_parents(name):
    """Permuting the parents with all that is theirs changes nothing, except where the first is where one starts."""
    method = methods()[name]
    stack, weights = parents(method), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    density = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)
    uniforms = torch.rand(stack.shape, generator=torch.Generator().manual_seed(2))
    order = [1, 0] if len(stack) == 2 else [2, 0, 1]
    own = {"density": density} if sparse(method) else {}
    permuted = {"density": density[order]} if own else {}
    if name in ORDERED:
        first = apply(method, stack, t=0.3)
        torch.testing.assert_close(apply(method, stack[order], t=0.7), first)
        assert not torch.allclose(apply(method, stack[order], t=0.3), first)
        return
    there = apply(method, stack, weights, uniforms, **own)
    back = apply(method, stack[order], weights[order], uniforms[order], **permuted)
    torch.testing.assert_close(there, back)
    assert not torch.allclose(apply(method, stack, weights[order], uniforms, **own), there)


@pytest.mark.parametrize("name", [n for n in METHODS if methods()[n].weighted])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_parent_of_weight_zero_is_ignored(name, position):
    """Whatever it holds; and a parent of weight 0.1 is not."""
    method = methods()[name]
    others = [i for i in range(3) if i != position]
    stack, uniforms = parents(method), torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(2))
    weights = torch.tensor([0.5, 0.5, 0.5], dtype=torch.float64)
    two = apply(method, stack[others], weights[others], uniforms[others], **sparse(method))
    weights[position] = 0
    torch.testing.assert_close(apply(method, stack, weights, uniforms, **sparse(method)), two)
    weights[position] = 0.1
    assert not torch.allclose(apply(method, stack, weights, uniforms, **sparse(method)), two)


@pytest.mark.parametrize("name", [n for n in METHODS if methods()[n].weighted])
@pytest.mark.parametrize("normalize", [True, False])
def test_differentiable_in_the_weights(name, normalize):
    """The gradient with respect to the weights is that of finite differences, normalised or not."""
    method = methods()[name]
    stack = parents(method)
    weights = torch.tensor([0.7, 0.4, 0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda w: apply(method, stack, w, normalize=normalize, **sparse(method)), (weights,), atol=1e-6
    )


@pytest.mark.parametrize("name", METHODS)
def test_differentiable_in_the_parents_and_the_scalar_knobs(name):
    """Also where slerp takes the line: parallel and zero tensors have finite gradients."""
    method = methods()[name]
    stack = parents(method, (2, 3)).requires_grad_()
    knob = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    scalar = next((a.name for a in method.arguments if a.name in ("t", "lambda")), None)
    call = (lambda s, k: apply(method, s, **{scalar: k})) if scalar else (lambda s, k: apply(method, s) + 0 * k)
    assert torch.autograd.gradcheck(call, (stack, knob), atol=1e-6)
    for edge in (torch.ones(2, 3, 4), torch.zeros(2, 3, 4)):
        leaf = edge.requires_grad_()
        call(leaf, knob.float()).sum().backward()
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", [n for n in METHODS if methods()[n].takes == "deltas"])
@given(factor=st.floats(0.1, 10), scale=st.floats(0, 2))
@PATHS
def test_merged_differences_scale_with_the_parents_and_with_lambda(name, factor, scale):
    """Differences `factor` times as large give a merge `factor` times as large, and so does lambda."""
    method = methods()[name]
    stack = parents(method)
    merged = apply(method, stack, **sparse(method))
    torch.testing.assert_close(apply(method, stack * factor, **sparse(method)), merged * factor)
    torch.testing.assert_close(apply(method, stack, **{"lambda": scale}, **sparse(method)), merged * scale)


@pytest.mark.parametrize("name", [n for n in METHODS if any(a.name == "normalize" for a in methods()[n].arguments)])
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
def test_trim_keeps_the_largest_share(density, kept):
    """max(1, int(density · n)) of 20 entries survive unchanged, the largest; at 0 none does."""
    delta = parents(methods()["ties"], (4, 5))[0]
    trimmed = trim(delta, density)
    survived = trimmed != 0
    assert int(survived.sum()) == kept
    assert torch.equal(trimmed[survived], delta[survived])
    if 0 < kept < 20:
        assert delta[survived].abs().min() > delta[~survived].abs().max()


def test_trim_keeps_the_exact_share_among_equal_magnitudes():
    """All magnitudes tie: still exactly half survive."""
    assert int((trim(torch.ones(20), 0.5) != 0).sum()) == 10


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


# --- dare_ties --------------------------------------------------------------------------------------------------


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


# --- the registry -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_the_page_shows(name):
    """A label, a caption, a source, and for every argument a caption and a default within its range."""
    method = methods()[name]
    assert method.label
    assert method.caption.endswith(".")
    assert method.source.startswith(("arXiv:", "doi:"))
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
            merge_method(label="x", source="arXiv:0")(function)
    assert sorted(methods()) == METHODS
