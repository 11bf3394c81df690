"""Compiled functions: traced here whole, without a compiler's own part, which the GPU tests run."""

import subprocess
import sys

import pytest
import torch

from interference import fused as fusing
from interference import merge as merging
from interference.fused import add_up, fused
from interference.registry import methods


@pytest.fixture
def tracing(monkeypatch):
    """As on a GPU, but for the kernels."""
    monkeypatch.setattr(fusing, "DEVICES", ("cpu",))
    monkeypatch.setattr(fusing, "BACKEND", "aot_eager")
    fused.cache_clear()
    yield
    fused.cache_clear()
    torch.compiler.reset()


def given(name: str) -> dict:
    """What a method asks for of a tensor of 60 entries of two or one parents, the same at every call."""
    method, generator = methods()[name], torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.rand(shape, generator=generator) - 0.5  # noqa: E731
    count = min(2, method.parents[1])
    inputs = {"tensors": draw(count, 60), "deltas": draw(count, 60), "base": draw(60)}
    inputs["uniforms"] = draw(count, 60).abs()
    inputs["weights"] = torch.tensor([0.7, 0.2])[:count]
    settings = {a.parameter: a.default for a in method.body.arguments}
    if method.prepare:
        own = {a.parameter: a.default for a in method.prepare.arguments}
        first = {"x": inputs[method.takes]} if method.scope == "model" else None
        asked = {name: first if first and name == method.takes else inputs[name] for name in method.prepare.inputs}
        found = method.prepare.function(**asked, **own)
        inputs["prepared"] = found["x"] if first else found
    return {name: inputs[name] for name in method.body.inputs} | settings


def test_methods_that_go_in_pieces_are_traced_whole():
    """In another process, for the tests' shape checks can't be traced: one graph each, and the same numbers."""
    ran = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [name for name, method in methods().items() if method.elementwise]


def test_a_merge_by_compiled_functions_is_the_merge(suite_folder, tracing, monkeypatch):
    from test_merge import MONOS, Recipe, agree, reference

    from interference.suite import open_suite
    from interference.weights import Weights

    weights = Weights(open_suite(suite_folder).checkpoints, torch.device("cpu"))
    monkeypatch.setattr(merging, "DEVICES", ("cpu",))
    monkeypatch.setitem(merging._PIECE, "cpu", 800)
    calls = []

    def compiling(function, **_):
        calls.append(function.__name__)
        return function

    monkeypatch.setattr(fusing.torch, "compile", compiling)
    for method in ("linear", "ties"):
        recipe = Recipe(method, MONOS, (0.5, 0.3, 0.2), base=None if method == "linear" else "init")
        assert agree(merging.merge(recipe, weights), reference(recipe, weights), weights)
    assert calls == ["add_up", "ties"]


def test_a_weighted_sum_is_rounded_once(tracing):
    rows, out = [torch.rand(50).bfloat16() for _ in range(3)], torch.zeros(50)
    shares = torch.tensor([0.2, 0.5, -0.4])
    fused(add_up)(rows, shares, out, torch.bfloat16)
    exact = sum(row.double() * share for row, share in zip(rows, shares.double(), strict=True))
    torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-7)
    assert torch.equal(out, out.bfloat16().float())


def test_what_cannot_be_compiled_runs_as_it_stands(tracing, monkeypatch):
    monkeypatch.setattr(fusing, "BACKEND", "no such backend")
    twice = fused(lambda x: 2 * x)
    with pytest.warns(UserWarning, match="is not compiled"):
        assert twice(torch.tensor(3.0)) == 6
    assert twice(torch.tensor(4.0)) == 8


def test_running_out_of_memory_is_not_taken_for_that(tracing):
    def greedy(x):
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError):
        fused(torch.compiler.disable(greedy))(torch.tensor(1.0))


def test_elsewhere_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(fusing.torch, "compile", None)
    assert fused(torch.negative)(torch.tensor(1.0)) == -1


if __name__ == "__main__":
    for name in [name for name, method in methods().items() if method.elementwise]:
        whole = torch.compile(methods()[name].function, backend="aot_eager", dynamic=True, fullgraph=True)
        arguments = given(name)
        torch.testing.assert_close(whole(**arguments), methods()[name].function(**arguments), rtol=0, atol=1e-6)
        print(name)
