"""Parameters beside each other in chunks, and runs of them that are read and written at once."""

import pytest
import torch
from conftest import llama
from test_merge import MONOS, RECIPES, same

from interference import adding
from interference import chunks as chunking
from interference import merge as merging
from interference.chunks import BLOCK, Span, chunks, settle, spans
from interference.merge import merge, merge_into
from interference.recipe import Gradient, Recipe, Where
from interference.runs import runs
from interference.suite import open_suite
from interference.weights import Weights

CPU = torch.device("cpu")
SHAPES = {"a": (4, 32), "b": (64, 4), "c": (5,), "d": (300,), "e": (2, 128), "f": ()}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(chunking, "_CHUNK", 1024)


def test_spans_are_in_order_aligned_and_within_chunks():
    assert list(spans(SHAPES).values()) == [
        Span(0, 0, 128), Span(0, 128, 384), Span(0, 384, 389), Span(0, 512, 812), Span(1, 0, 256), Span(1, 256, 257)
    ]  # fmt: skip
    assert spans({"larger": (3, 1000), "next": (7,)}) == {"larger": Span(0, 0, 3000), "next": Span(1, 0, 7)}
    assert spans({}) == {}


def test_chunks_hold_every_parameter_once():
    found: dict[str, torch.Tensor] = {}
    for chunk, views in chunks(SHAPES, 3, torch.bfloat16, CPU):
        assert chunk.shape[0] == 3
        assert chunk.shape[1] % BLOCK == 0
        for view in views.values():
            assert view.untyped_storage().data_ptr() == chunk.untyped_storage().data_ptr()
        found |= views
    for number, view in enumerate(found.values()):
        view.fill_(number)
    assert {name: tuple(view.shape[1:]) for name, view in found.items()} == SHAPES
    assert all((view == number).all() for number, view in enumerate(found.values()))


def test_a_settled_network_is_the_same_network():
    network = llama(0)
    before = {name: p.clone() for name, p in network.state_dict().items()}
    identities = [id(p) for p in network.parameters()]
    ids = torch.arange(12)[None]
    logits = network(ids).logits
    settle(network)
    assert same(network.state_dict(), before)
    assert [id(p) for p in network.parameters()] == identities
    assert torch.equal(network(ids).logits, logits)
    storages = {p.untyped_storage().data_ptr() for p in network.parameters()}
    assert len(storages) == len({span.chunk for span in spans({n: tuple(p.shape) for n, p in named(network)}).values()})


def named(network):
    return list(network.named_parameters())


def test_runs_are_of_neighbours_of_one_kind():
    buffer = {name: view[0] for _, views in chunks(SHAPES, 1, torch.float32, CPU) for name, view in views.items()}
    wanted = dict.fromkeys(SHAPES)
    found = list(runs(spans(SHAPES), {name: (name, "one") for name in wanted}, buffer))
    assert [run.names for run in found] == [("a", "b", "c"), ("d",), ("e", "f")], "a gap follows c, a new chunk d"
    for number, run in enumerate(found):
        assert len(run.out) == run.span.stop - run.span.start
        run.out.fill_(number)
    assert [int(buffer[name].flatten()[-1]) for name in SHAPES] == [0, 0, 0, 1, 2, 2]
    kinds = {name: (name, name > "a") for name in wanted}
    assert [run.names for run in runs(spans(SHAPES), kinds, buffer)] == [("a",), ("b", "c"), ("d",), ("e", "f")]
    without = {name: (name, 1) for name in "acd"}
    assert [run.names for run in runs(spans(SHAPES), without, buffer)] == [("a",), ("c",), ("d",)], "b lies between"
    moved = {"a": ("b", 1), "b": ("a", 1), "c": ("c", 1)}
    shapes = {name: torch.empty(spans(SHAPES)[moved[name][0]].stop) for name in moved}
    assert [run.names for run in runs(spans(SHAPES), moved, shapes)] == [("a",), ("b",), ("c",)], "no neighbours"


IN_ONE_GO = {
    name: recipe for name, recipe in RECIPES.items() if not (recipe.data or recipe.finished or recipe.slices)
} | {"linear, varied": Recipe("linear", MONOS, (Where((("mlp", Gradient((0.1, 0.9))), (None, 0.4))), 0.3, 0.2))}


@pytest.fixture
def weights(suite_folder) -> Weights:
    return Weights(open_suite(suite_folder).checkpoints, CPU)


def settled(weights: Weights) -> dict[str, torch.Tensor]:
    """Parameters of a network in chunks."""
    network = llama(0)
    settle(network)
    assert {name: tuple(p.shape) for name, p in named(network)} == weights.shapes
    return {name: p.detach() for name, p in named(network)}


@pytest.mark.parametrize("name", IN_ONE_GO)
def test_a_merge_into_chunks_is_the_merge(name, weights):
    """Bit for bit, where coefficients differ by layer and group too."""
    recipe, buffer = IN_ONE_GO[name], settled(weights)
    merge_into(recipe, weights, buffer)
    assert same(buffer, {name: tensor.float() for name, tensor in merge(recipe, weights).items()})


def test_neighbours_are_merged_at_once(weights, monkeypatch):
    calls, add, buffer = [], adding.add_up_in_pieces, settled(weights)

    def counted(rows, shares, out, dtype):
        calls.append(len(out))
        add(rows, shares, out, dtype)

    monkeypatch.setattr(adding, "add_up_in_pieces", counted)
    merge_into(RECIPES["linear"], weights, buffer)
    assert sum(calls) == sum(tensor.numel() for tensor in buffer.values())
    assert len(calls) < len(buffer)


def test_whole_blocks_are_given_to_compilers_as_blocks(weights, monkeypatch):
    """Only so does a GPU read many entries at once; what is no whole number of blocks stays flat."""
    shapes, buffer = [], settled(weights)

    def watched(function, otherwise):
        def call(rows, shares, out, dtype):
            assert {row.shape for row in rows} == {out.shape}
            shapes.append(tuple(out.shape))
            otherwise([row.reshape(-1) for row in rows], shares, out.view(-1), dtype)

        return call

    monkeypatch.setattr(adding, "fused", watched)
    monkeypatch.setattr(adding, "DEVICES", ("cpu",))
    merge_into(RECIPES["linear"], weights, buffer)
    assert same(buffer, {name: tensor.float() for name, tensor in merge(RECIPES["linear"], weights).items()})
    assert {len(shape) for shape in shapes} == {1, 2}
    assert all(shape[1] == BLOCK if len(shape) == 2 else shape[0] % BLOCK for shape in shapes)


@pytest.mark.parametrize("name", ["linear", "task_arithmetic"])
def test_what_is_a_sum_is_not_merged_again(name, weights, monkeypatch):
    given = []

    def watched(recipe, weights, at, *others):
        given.append(at)
        return set()

    monkeypatch.setattr(merging, "_merge_runs", watched)
    merge_into(RECIPES[name], weights, settled(weights))
    assert given == [{}]
