"""Work in steps: what whoever runs it has set of torch, as a notebook may, changes no number and is left as it was."""

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest
import torch

from interference.evaluate import Evaluator
from interference.merge import merge
from interference.recipe import Recipe
from interference.steps import finish
from interference.store import Store
from interference.suite import Suite, open_suite

RECIPES = (
    Recipe("dare_ties", ("mono-eng", "mono-deu"), (0.5, 0.5), (("density", 0.5),), "init"),
    Recipe("fisher", ("mono-eng", "mono-deu"), (0.5, 0.5)),
    Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5), post=("repair",)),
)


@contextmanager
def _default_dtype():
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS: dict[str, Callable[[], AbstractContextManager]] = {
    "default dtype": _default_dtype,
    "default device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
}


@pytest.fixture(scope="module")
def suite(suite_folder) -> Suite:
    return open_suite(suite_folder)


def computed(suite: Suite, folder) -> np.ndarray:
    """Losses of merges that draw, need gradients, and run networks; and one merge by itself."""
    evaluator = Evaluator(suite, Store(folder), torch.device("cpu"))
    rows = evaluator.corpus.rows(3)
    losses = [evaluator.bits(recipe, "eng", rows) for recipe in RECIPES]
    merged = merge(RECIPES[0], evaluator.networks.weights(RECIPES[0].needed))
    return np.array([*np.concatenate(losses), *(float(one.abs().sum()) for one in merged.values())])


@pytest.fixture(scope="module")
def expected(suite, tmp_path_factory) -> np.ndarray:
    return computed(suite, tmp_path_factory.mktemp("plain"))


def _set() -> tuple:
    return (
        torch.get_default_dtype(), torch.get_default_device(), torch.is_autocast_enabled("cpu"),
        torch.is_inference_mode_enabled(), torch.is_grad_enabled(),
    )  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_set_of_torch_changes_no_number_and_stays_set(suite, expected, tmp_path, setting):
    with SETTINGS[setting]():
        before = _set()
        found = computed(suite, tmp_path)
        assert _set() == before
    np.testing.assert_array_equal(found, expected)


def test_what_is_set_of_torch_is_set_again_after_an_error():
    def failing():
        yield 0.0
        assert torch.get_default_dtype() == torch.float32
        raise ZeroDivisionError

    with _default_dtype():
        with pytest.raises(ZeroDivisionError):
            finish(failing())
        assert torch.get_default_dtype() == torch.bfloat16


def test_random_numbers_of_the_caller_are_those_of_its_seed(suite, tmp_path):
    """Networks are made with random weights first, and how many are made depends on what is kept."""
    torch.manual_seed(7)
    alone = torch.rand(3)
    torch.manual_seed(7)
    computed(suite, tmp_path)
    assert torch.equal(torch.rand(3), alone)
