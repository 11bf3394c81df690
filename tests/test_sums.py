"""From one weighted sum to the next by the one addend that moved: what it reads, and how far it may be off."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_merge import MONOS, same

from interference.evaluate import Evaluator
from interference.merge import merge, merge_into
from interference.recipe import Recipe, Where
from interference.scored import Request
from interference.store import Store
from interference.suite import open_suite
from interference.sums import DRIFT, Sums, steps_between
from interference.weights import Weights

CPU = torch.device("cpu")
NORM = "model.norm.weight"
NORMALISED, PLAIN = (("normalize", True),), (("normalize", False),)
RECIPES = {
    "linear": Recipe("linear", MONOS, (0.5, 0.3, 0.2), NORMALISED),
    "linear, not normalised": Recipe("linear", MONOS, (0.5, 0.3, 0.2), PLAIN),
    "task_arithmetic": Recipe("task_arithmetic", MONOS, (0.5, 0.3, -0.2), PLAIN, "init"),
    "task_arithmetic, from the mean": Recipe("task_arithmetic", MONOS, (0.5, 0.3, -0.2), PLAIN, "@mean"),
}


@pytest.fixture(scope="module")
def weights(suite_folder) -> Weights:
    return Weights(open_suite(suite_folder).checkpoints, CPU)


@pytest.fixture
def read(weights, monkeypatch) -> list[str]:
    """The checkpoints that are read, a name for each tensor."""
    names: list[str] = []

    def noting(function):
        def reading(place, asked):
            names.extend(asked)
            return function(place, asked)

        return reading

    for way in ("views", "entries"):
        monkeypatch.setattr(weights, way, noting(getattr(weights, way)))
    return names


def buffer_of(weights: Weights) -> dict[str, torch.Tensor]:
    return {name: torch.full(shape, torch.nan) for name, shape in weights.shapes.items()}


def moved(recipe: Recipe, place: int, value: float) -> Recipe:
    row = list(recipe.weights)
    row[place] = value
    return replace(recipe, weights=tuple(row))


def furthest(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], weights: Weights) -> float:
    """The largest difference of two merges, relative to the largest entry of a checkpoint."""
    largest = {name: float(weights.read(name, weights.names).abs().max()) for name in first}
    return max(float((first[name] - second[name]).abs().max()) / (largest[name] or 1.0) for name in first)


@pytest.mark.parametrize("name", RECIPES)
def test_steps_stay_near_the_merge_and_begin_anew_in_time(name, weights):
    """Sliders dragged this way and that, through zero and beyond one."""
    recipe, rng, buffer, before = RECIPES[name], random.Random(0), buffer_of(weights), None
    errors = []
    for _ in range(60):
        recipe = moved(recipe, rng.randrange(3), round(rng.uniform(0.05, 1.5), 2))
        before = merge_into(recipe, weights, buffer, before)
        size = max(1.0, sum(abs(share) for share in before.addends[NORM].values()))
        off = furthest(buffer, merge(recipe, weights), weights)
        assert off <= (before.error + 1e-6) * size if before.error else off == 0
        errors.append(before.error)
    assert max(errors) <= DRIFT
    assert errors.count(0) > 1, "now and then anew"
    assert errors.count(0) < 30 or recipe.base == "@mean", "mostly by steps"


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_reads_the_parent_that_moved_and_a_base_and_no_other(name, weights, read):
    recipe, buffer = RECIPES[name], buffer_of(weights)
    before = merge_into(recipe, weights, buffer)
    read.clear()
    merge_into(moved(recipe, 1, 0.35), weights, buffer, before)
    moves = {MONOS[1]} | ({"init"} if recipe.base else set())
    assert set(read) == (set(MONOS) if recipe.base == "@mean" else moves), "from the mean all shares move"


def test_sliders_of_one_group_leave_the_others_alone(weights, read):
    def recipe(value: float) -> Recipe:
        row = (Where((("mlp", value), (None, 0.5))), 0.5, 0.5)
        return Recipe("linear", MONOS, row, NORMALISED)

    buffer = buffer_of(weights)
    before = merge_into(recipe(0.4), weights, buffer)
    read.clear()
    merge_into(recipe(0.6), weights, buffer, before)
    assert len(read) == sum("mlp" in name for name in weights.shapes) > 0


def test_two_sliders_at_once_begin_anew(weights):
    buffer, recipe = buffer_of(weights), RECIPES["linear, not normalised"]
    before = merge_into(recipe, weights, buffer)
    other = replace(recipe, weights=(0.9, 0.1, 0.2))
    assert merge_into(other, weights, buffer, before).error == 0
    assert same(buffer, merge(other, weights))


def test_a_sum_that_all_but_cancels_is_not_stepped_from():
    """Taking the first parent out leaves a hundredth of the rest, and what was rounded a hundredfold."""

    def sum_of(*shares: float) -> dict[str, dict[tuple[str, str], float]]:
        return {"x": {("x", model): share for model, share in zip("abc", shares, strict=True)}}

    before = Sums(sum_of(0.99, 0.005, 0.005), DRIFT / 10)
    assert steps_between(before, sum_of(0.0, 0.5, 0.5)) is None
    assert steps_between(before, sum_of(0.98, 0.01, 0.01))
    assert steps_between(replace(before, error=DRIFT), sum_of(0.98, 0.01, 0.01)) is None


@pytest.mark.parametrize("recipe", [
    replace(RECIPES["linear"], out_dtype="bfloat16"),
    replace(RECIPES["linear"], post=("rescale",)),
    Recipe("ties", MONOS, (0.5, 0.3, 0.2), base="init"),
])  # fmt: skip
def test_what_is_no_sum_in_float32_is_not_stepped_from(recipe, weights):
    assert merge_into(recipe, weights, buffer_of(weights)) is None


def test_results_do_not_depend_on_where_a_slider_came_from(suite_folder, tmp_path, monkeypatch):
    """Estimates go by steps; what is kept is merged anew."""

    def evaluator(name: str) -> Evaluator:
        return Evaluator(open_suite(suite_folder), Store(tmp_path / name), CPU)

    def request(value: float) -> Request:
        return Request((("merge", moved(RECIPES["linear"], 0, value)),), ("eng", "deu"), 4)

    dragged, fresh = evaluator("dragged"), evaluator("fresh")
    dragged.table(request(0.4))  # what it is compared with is known, so that nothing else is put
    for value in (0.5, 0.6, 0.7):
        for _ in dragged.glimpse_steps(request(value)):
            pass
    (network,) = dragged.networks._held
    held, sums = dragged.networks._held[network]
    assert held == request(0.7).models[0][1]
    assert sums.error > 0
    first, second = (one.table(request(0.7)).frame["bits"].to_numpy() for one in (dragged, fresh))
    assert np.array_equal(first, second)
    assert dragged.networks._held[network][1].error == 0
