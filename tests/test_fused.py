"""Compiled functions: traced here whole, without a compiler's own part, which the GPU tests run."""

import inspect
import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from interference import adding, bits, pieces
from interference import fused as fusing
from interference import merge as merging
from interference.fused import add_up, add_up_here, add_up_in_pieces, fused
from interference.memory import ran_out
from interference.registry import methods
from interference.rows import Rows

PLAIN = inspect.unwrap(add_up)  # without shape checks, which can't be traced


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


MERGES = """
import sys
import warnings
import torch
from interference import adding, bits, fused as fusing, merge as merging, pieces
from interference.chunks import settle
from interference.checkpoint import build
from interference.recipe import Recipe
from interference.suite import open_suite
from interference.weights import Weights

suite = open_suite()
weights = Weights(suite.checkpoints, torch.device("cpu"))
network = build(suite["init"].config)
settle(network)
buffer = dict(network.named_parameters())
names, calls = ("mono-eng", "mono-nld", "mono-ita"), []
fusing.BACKEND = lambda graph, inputs: calls.append(graph) or graph.forward
bases = {"linear": (None,), "ties": ("@mean", "init"), "dare_ties": ("@zero",), "ramplus_tl": ("init",)}
for method, base in [(method, base) for method in bases for base in bases[method]]:
    knobs = (("density", 0.4),) if "ties" in method else ()
    recipe = Recipe(method, names, () if method == "ramplus_tl" else (0.5, 0.3, 0.2), knobs, base)
    plainly = merging.merge(recipe, weights)
    for module in (fusing, adding, merging, bits):
        module.DEVICES = ("cpu",)
    merging.PIECE["cpu"] = 5000
    calls.clear()
    merging.merge_into(recipe, weights, buffer)
    for module in (fusing, adding, merging, bits):
        module.DEVICES = ()
    merging.PIECE["cpu"] = 1 << 16
    assert calls, method
    for name, tensor in plainly.items():
        torch.testing.assert_close(buffer[name].detach(), tensor.float(), rtol=2**-7, atol=1e-7, msg=f"{method} {name}")
    assert all(torch.equal(tensor, tensor.bfloat16().float()) for tensor in buffer.values()), method
    print(method)

fusing.BACKEND, merging.DEVICES, fusing.DEVICES, pieces.PIECE["cuda"] = "no such backend", ("cpu",), ("cpu",), 1024
pieces.on_blocks.cache_clear()
fusing.fused.cache_clear()
recipe = Recipe("ties", names, (0.5, 0.3, 0.2), (("density", 0.4),), "@mean")
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    merging.merge_into(recipe, weights, buffer)
assert any("ties is not compiled" in str(one.message) for one in said)
merging.DEVICES = fusing.DEVICES = ()
for name, tensor in merging.merge(recipe, weights).items():
    assert torch.equal(buffer[name].detach(), tensor.float()), name
print("in parts")
"""


def test_a_merge_by_compiled_functions_is_the_merge():
    """Of neighbours in chunks and of pieces, with every kind of base, rounded to the dtype of the output, and by what
    stands in where nothing can be compiled."""
    ran = subprocess.run([sys.executable, "-c", MERGES], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["linear", "ties", "ties", "dare_ties", "ramplus_tl", "in parts"]
    assert "not compiled" not in ran.stderr


MOVED = """
import torch
from interference import adding, bits, fused as fusing, merge as merging
from interference.recipe import Recipe
from interference.recipe.recipe import Slice
from interference.suite import open_suite
from interference.weights import Weights

suite, fusing.BACKEND = open_suite(), "eager"
names, knobs = ("mono-eng", "mono-nld", "mono-deu"), (("density", 0.3),)
checkpoints = [suite[name] for name in (*names, "init")]
modules = fusing, adding, merging, bits


def ties(base, *ranges, of=None):
    return Recipe("ties", knobs=knobs, base=base, slices=(Slice(names, ranges, (0.5, 0.3, 0.2), base_range=of),))


low, high = (0, 2), (1, 3)
moves = {
    "layers": (Recipe("ties", names, (0.5, 0.3, 0.2), knobs, "@zero"), ties("@zero", high, high, high)),
    "layers of a mean": (ties("@mean", low, low, low), ties("@mean", high, high, high)),
    "a base's layers": (ties("init", low, low, low, of=low), ties("init", low, low, low, of=high)),
    "a parent's layers": (ties("@mean", low, low, low), ties("@mean", low, low, high)),
}
for what, (first, second) in moves.items():
    expected = merging.merge(second, Weights(checkpoints, torch.device("cpu")))
    for device in ("cpu", "none"):
        weights = Weights(checkpoints, torch.device("cpu"))
        for module in modules:
            module.DEVICES = (device,)
        merging.merge(first, weights)
        found = merging.merge(second, weights)
        for module in modules:
            module.DEVICES = ()
        wrong = [name for name, tensor in expected.items() if not torch.equal(found[name], tensor)]
        assert not wrong, (what, device, wrong)
    print(what)
"""


def test_merges_after_others_are_what_they_are_alone():
    """Other layers of the parents or of the base are prepared anew."""
    ran = subprocess.run([sys.executable, "-c", MOVED], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["layers", "layers of a mean", "a base's layers", "a parent's layers"]


@pytest.mark.filterwarnings("error:.* is not compiled")
@pytest.mark.parametrize("first", [8192, 2048])
def test_steps_are_written_where_they_belong(first, tracing, monkeypatch):
    """In every place of one chunk of memory, of which the first parameter of a run may be a part alone."""
    monkeypatch.setattr(adding, "DEVICES", ("cpu",))
    monkeypatch.setattr(adding, "add_up", PLAIN)
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(1 << 15, generator=generator).bfloat16() for _ in range(2)]
    for start in (0, 8192, 16384):
        chunk = torch.randn(1, 1 << 15, generator=generator)
        part, expected = slice(start, start + 8192), chunk.clone()
        expected[0, part] = 0.7 * chunk[0, part] + 0.1 * rows[0][part].float() + 0.3 * rows[1][part].float()
        parameter = torch.nn.Parameter(torch.empty(first // 64, 64))
        parameter.data = chunk[:, start : start + first].view(1, first // 64, 64)[0]
        out = parameter.detach().as_strided((8192,), (1,))
        adding._add_up([row[part] for row in rows], [0.1, 0.3], torch.tensor, out, torch.float32, 0.7)
        torch.testing.assert_close(chunk, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("error:.* is not compiled")
def test_a_weighted_sum_is_rounded_once(tracing):
    rows, out = [torch.rand(50).bfloat16() for _ in range(3)], torch.zeros(50)
    shares = torch.tensor([0.2, 0.5, -0.4])
    fused(PLAIN)(rows, shares, out, torch.bfloat16)
    exact = sum(row.double() * share for row, share in zip(rows, shares.double(), strict=True))
    torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-7)
    assert torch.equal(out, out.bfloat16().float())


def test_what_cannot_be_compiled_runs_as_it_stands(tracing, monkeypatch):
    monkeypatch.setattr(fusing, "BACKEND", "no such backend")
    twice = fused(lambda x: 2 * x)
    with pytest.warns(UserWarning, match="is not compiled"):
        assert twice(torch.tensor(3.0)) == 6
    assert twice(torch.tensor(4.0)) == 8


@pytest.mark.parametrize("where", ["compiling", "loading"])
def test_running_out_of_memory_is_not_taken_for_that(where, tracing, monkeypatch):
    """Nor tried again with more: a compiler wraps what it runs out of, and a kernel's loader has its own error."""

    def loading(*inputs):
        raise RuntimeError("Triton Error [CUDA]: out of memory")

    def compiling(graph, inputs):
        if where == "loading":
            return loading
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(fusing, "BACKEND", compiling)
    twice = fused(lambda x: 2 * x)
    for _ in range(2):
        with pytest.raises(RuntimeError) as error:
            twice(torch.tensor([1.0, 2.0]))
        assert ran_out(error.value)


THREADS = """
import threading
import torch
from interference import fused as fusing
graphs = []
fusing.DEVICES, fusing.BACKEND = ("cpu",), lambda graph, inputs: graphs.append(graph) or graph.forward
function = fusing.fused(fusing.add_up)


def add(counts):
    for count in counts:
        function([torch.rand(256) for _ in range(count)], torch.ones(count), torch.zeros(256), torch.float32)


for counts in (range(1, 4), range(4, 21)):
    thread = threading.Thread(target=add, args=(counts,))
    thread.start()
    thread.join()
print(len(graphs))
"""


def test_every_thread_compiles_every_kind():
    """Each has settings of its own: beyond eight kinds a second thread would run them as they stand."""
    ran = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) == 20
    assert "not compiled" not in ran.stderr


KINDS = """
import torch
from interference import fused as fusing
graphs = []
fusing.DEVICES, fusing.BACKEND = ("cpu",), lambda graph, inputs: graphs.append(graph) or graph.forward
for count in range(1, 13):
    for dtype in (torch.bfloat16, torch.float32):
        for size in (40, 50, 60):
            rows, out = [torch.rand(size).to(dtype) for _ in range(count)], torch.zeros(size)
            fusing.fused(fusing.add_up)(rows, torch.full((count,), 0.5), out, dtype)
            assert torch.allclose(out, sum(row.float() for row in rows) / 2, rtol=2**-7)
print(len(graphs))
"""


def test_every_number_of_parents_and_dtype_is_compiled_and_no_size_again():
    """More kinds than torch compiles of one function unless told: the rest would run as it stands, and say nothing."""
    ran = subprocess.run([sys.executable, "-c", KINDS], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) == 12 * 2


PLACES = """
import torch
from interference import fused as fusing
from interference.pieces import on_blocks
from interference.ranks import Cut, Cuts
from interference.registry import methods
graphs = []
fusing.DEVICES, fusing.BACKEND = ("cpu",), lambda graph, inputs: graphs.append(graph) or graph.forward
stack, out = torch.rand(5, 1024).bfloat16(), torch.zeros(1, 1024)


def blocks(row, start, stop):
    return row[start:stop].view(-1, 128)


def cuts(*sizes):
    return Cuts.of([Cut(torch.zeros(2), torch.zeros(2, dtype=torch.int64)) for _ in sizes], sizes)


for first, start, stop in ((1, 0, 1024), (2, 0, 1024), (3, 256, 512), (1, 512, 1024)):
    rows = [blocks(stack[number], start, stop) for number in (first, first + 1)]
    fusing.fused(fusing.add_up)(rows, torch.ones(2), blocks(out[0], start, stop), torch.float32)
print(len(graphs))
graphs.clear()
ties = on_blocks(methods()["ties"], None, None, torch.bfloat16)
settings = {"normalize": True, "lambda_": 1.0}
for first, sizes in ((1, (1024,)), (2, (512, 256, 256)), (3, (512,))):
    rows = [blocks(stack[number], 0, sum(sizes)) for number in (first, first + 1)]
    given = {"weights": torch.ones(2), "prepared": cuts(*sizes)}
    ties(rows, None, blocks(out[0], 0, sum(sizes)), given, settings)
print(len(graphs))
"""


def test_no_place_in_memory_is_compiled_for():
    """Where one happens to be a size too, and where one tensor alone is merged: that would take seconds for each."""
    ran = subprocess.run([sys.executable, "-c", PLACES], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["1", "1"]
    assert "not compiled" not in ran.stderr


LOGITS = """
import numpy as np
import torch
from interference import fused as fusing, losses
from interference.evaluate import Evaluator
from interference.store import Store
from interference.suite import open_suite
graphs = []
evaluator = Evaluator(open_suite(), Store(), torch.device("cpu"))
network, rows = evaluator.networks.put("mono-eng"), evaluator.corpus.rows(20)
text = evaluator.text(evaluator.suite["mono-eng"], "zho", rows)
plainly = losses.sentence_bits(network, text)
fusing.DEVICES, fusing.BACKEND = ("cpu",), lambda graph, inputs: graphs.append(graph) or graph.forward
losses._LOGIT_ELEMENTS, losses.DEVICES = 1 << 16, fusing.DEVICES
np.testing.assert_allclose(losses.sentence_bits(network, text), plainly, rtol=1e-6)
given = [node.meta["example_value"] for graph in graphs for node in graph.graph.nodes if node.op == "placeholder"]
print(*(type(each.shape[1]).__name__ for each in given if getattr(each, "ndim", 0) == 2))
"""


def test_logits_are_gone_through_by_one_function():
    """In parts of any size, of a vocabulary that it is compiled for; the bits are those of the plain functions."""
    ran = subprocess.run([sys.executable, "-c", LOGITS], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["int"]
    assert "not compiled" not in ran.stderr


class Made(TorchDispatchMode):
    """Notes what every operation is called and makes."""

    def __init__(self):
        super().__init__()
        self.calls: list[tuple[str, dict, list]] = []

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        found = function(*arguments, **(named or {}))
        self.calls.append((str(function), dict(named or {}), [x for x in (found,) if isinstance(x, torch.Tensor)]))
        return found

    def largest(self) -> int:
        """Entries of the largest tensor that was made, views left out."""
        own = [x for name, _, made in self.calls for x in made if "view" not in name and "slice" not in name]
        return max(x.numel() for x in own if not x._is_view())


def test_what_stands_in_for_a_compiled_sum_needs_no_whole_tensor_beside_it(tracing, monkeypatch):
    monkeypatch.setattr(fusing, "BACKEND", "no such backend")
    monkeypatch.setattr(fusing, "_CHUNK", 100)
    rows, out = [torch.rand(1000).bfloat16() for _ in range(3)], torch.zeros(1000)
    shares = torch.tensor([0.2, 0.5, -0.4])
    with Made() as made, pytest.warns(UserWarning, match="is not compiled"):
        fused(add_up, add_up_here)(rows, shares, out, torch.bfloat16)
    exact = sum(row.double() * share for row, share in zip(rows, shares.double(), strict=True))
    torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-7)
    assert made.largest() <= 100


def test_what_crosses_a_bus_does_so_as_it_is_stored():
    """Widened on the way, it would first be widened by the host, into memory that is not pinned, to twice as much."""
    rows, out = [torch.rand(50).bfloat16() for _ in range(2)], torch.empty(50, device="meta")
    with Made() as made:
        add_up_in_pieces(rows, [0.5, 0.5], out, torch.bfloat16)
    moved = [named for name, named, _ in made.calls if "_to_copy" in name and named.get("device")]
    assert len(moved) == 2
    assert all(named.get("dtype") in (None, torch.bfloat16) for named in moved)


def test_coefficients_are_sent_to_the_device_once(suite_folder, tracing, monkeypatch):
    """Not for every tensor, each of which would wait until the one before is done."""
    from test_merge import MONOS, Recipe

    from interference.suite import open_suite
    from interference.weights import Weights

    weights = Weights(open_suite(suite_folder).checkpoints, torch.device("cpu"))
    for module in (merging, adding):
        monkeypatch.setattr(module, "DEVICES", ("cpu",))
    monkeypatch.setattr(fusing.torch, "compile", lambda function, **_: function)
    sent, plain = [], torch.tensor

    def tensor(values, **settings):
        sent.append(values)
        return plain(values, **settings)

    recipe = Recipe("linear", MONOS, (0.5, 0.3, 0.2))
    with monkeypatch.context() as counting:
        counting.setattr(merging.torch, "tensor", tensor)
        merging.merge(recipe, weights)
    assert len(weights.shapes) > 10
    assert len(sent) == 2  # as they are, and as what each parent counts with


def test_elsewhere_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(fusing.torch, "compile", None)
    assert fused(torch.negative)(torch.tensor(1.0)) == -1


if __name__ == "__main__":
    bits.DEVICES = ("cpu",)
    for name in [name for name, method in methods().items() if method.elementwise]:
        method, known = methods()[name], given(name)
        settings = {a.parameter: known[a.parameter] for a in method.body.arguments}
        moving = {key: known[key] for key in ("weights", "prepared") if key in known}
        if "prepared" in moving:
            moving["prepared"] = bits.packed(moving["prepared"], 1)
        rows, own = torch.rand(min(2, method.parents[1]), 60).bfloat16(), torch.rand(60).bfloat16()
        for base in (None, "@mean", "@zero") if method.takes == "deltas" else (None,):
            by_row, stacked = (
                pieces.on_piece(method, base, None, torch.bfloat16, gather) for gather in (Rows, torch.stack)
            )
            whole, outs = torch.compile(by_row, backend="aot_eager", dynamic=True, fullgraph=True), torch.zeros(2, 60)
            for run, out in zip((whole, stacked), outs, strict=True):
                run(list(rows), None if base else own, out, moving, settings)
            torch.testing.assert_close(outs[0], outs[1], rtol=2**-7, atol=1e-6)
        print(name)
