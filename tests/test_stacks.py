"""Stacks that nobody holds: every way of looking at one shows the same numbers."""

import dataclasses

import pytest
import torch
from conftest import llama, write_checkpoint

from interference import merge as merging
from interference import ranks
from interference.conflict.given import Shuffled
from interference.conflict.survey import Survey
from interference.grams import column_grams
from interference.inputs import given_whole
from interference.merge import merge_tensor
from interference.recipe import Recipe, site_at
from interference.registry import Part, methods
from interference.stacks import Stack, blocks, pieces, row_parts, rows_of
from interference.suite import open_suite
from interference.weights import Weights

CPU = torch.device("cpu")


def stack(shape: tuple[int, ...], based: bool, read: torch.dtype | None = None) -> tuple[Stack, torch.Tensor]:
    """Three tensors in bfloat16, and what they are all at once."""
    generator = torch.Generator().manual_seed(0)
    tensors = torch.randn((3, *shape), generator=generator).bfloat16()
    base = torch.randn(shape, generator=generator) if based else None
    wide = (tensors.to(read) if read else tensors).float()
    return Stack(list(tensors), base, read=read), wide - base if base is not None else wide


@pytest.mark.parametrize("based", [False, True])
@pytest.mark.parametrize("read", [None, torch.float16])
@pytest.mark.parametrize("shape", [(7, 5), (6,), (4, 3, 2), (1, 1), (), (0, 3)])
def test_every_look_shows_the_same(shape, read, based):
    found, expected = stack(shape, based, read)
    assert (len(found), found.shape, found.ndim, found.dtype) == (3, expected.shape, expected.ndim, torch.float32)
    assert torch.equal(found.whole(), expected)
    assert torch.equal(torch.stack(list(found)), expected)
    for own in (found, expected):
        assert torch.equal(torch.cat(list(pieces(own, 4)), dim=1), expected.reshape(3, expected[0].numel()))
        parts = list(blocks(own, 10))
        assert sum(block.numel() for _, block in parts) == expected.numel()
        assert all(torch.equal(block, expected[:, part]) for part, block in parts)


def test_rows_come_in_parts_of_about_so_many_entries():
    assert list(row_parts(torch.Size((5, 4)), 9)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert list(row_parts(torch.Size((3, 100)), 9)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert list(row_parts(torch.Size((50,)), 9)) == list(row_parts(torch.Size(()), 9)) == [...]


def test_rows_are_taken_of_what_has_an_entry_for_each_of_the_tensors():
    shape, part, own = torch.Size((7, 5)), slice(2, 4), torch.rand(3, 7, 5)
    whole = torch.rand(3, 3)
    ranks, same, none = rows_of((own, whole, None), shape, part)
    assert torch.equal(ranks, own[:, 2:4])
    assert same is whole
    assert none is None
    assert torch.equal(rows_of(Stack(list(own)), shape, part), own[:, 2:4])
    assert torch.equal(rows_of(own[0], shape, part), own[0, 2:4])


def test_products_by_column_are_none_of_the_tensors_rows():
    """Of two parents with two rows they would have the tensor's own shape for each of them."""
    stack = torch.randn(2, 2, 30, generator=torch.Generator().manual_seed(0))
    products = column_grams(stack)
    assert rows_of(products, stack.shape[1:], slice(0, 1)) is products
    expected = torch.stack([(one * other).sum(dim=0) for one in stack.double() for other in stack.double()])
    torch.testing.assert_close(products.reshape(4, 30), expected)


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("name", ["ties", "sce", "task_arithmetic", "iso_c", "dare_linear", "ties_paper"])
def test_what_is_stored_in_float64_is_merged_in_float32(name, dtype, tmp_path, tokenizer, monkeypatch):
    """In pieces as whole, the thresholds too."""
    names = ("a", "b", "c")
    for seed, one in enumerate(names):
        write_checkpoint(llama(seed).double(), tokenizer, tmp_path / one)
    suite = open_suite(tmp_path)
    weights = Weights([suite[one] for one in names], CPU)
    assert weights.dtype == torch.float64
    method = methods()[name]
    knobs = tuple((a.name, 0.3) for a in method.arguments if a.name in ("density", "select_topk"))
    recipe = Recipe(name, names[:2], (0.7, 0.6) if method.weighted else (), knobs, "c", dtype=dtype)
    monkeypatch.setattr(ranks, "_FEW", 10)
    expected = {parameter: merge_tensor(recipe, weights, parameter) for parameter in weights.shapes}
    assert {tensor.dtype for tensor in expected.values()} == {torch.float32}
    monkeypatch.setitem(merging.PIECE, "cpu", 800)
    monkeypatch.setattr(merging._Shares, "addends", lambda *_: None)
    out = {parameter: torch.empty(shape) for parameter, shape in weights.shapes.items()}
    merging.merge_into(dataclasses.replace(recipe, out_dtype="float32"), weights, out)
    for parameter, tensor in expected.items():
        assert torch.equal(out[parameter], tensor), parameter


def test_a_function_that_takes_a_stack_says_so_by_its_annotation():
    parted = {name for name, method in methods().items() if method.body.parted}
    assert parted >= {"iso_c", "tsv_m", "regmean", "linear"}
    prepare = methods()["sce"].prepare
    assert isinstance(prepare, Part)
    assert prepare.parted == {"deltas"}
    assert not methods()["sce"].body.parted


@pytest.mark.parametrize("method", ["ties", "dare_ties", "model_stock", "sce", "task_arithmetic"])
@pytest.mark.parametrize("base", ["@mean", "init"])
def test_shuffled_weights_are_shuffled_in_every_look(method, base):
    """A base that is the parents' mean is that of the shuffled parents, whatever a method reads them by."""
    suite = open_suite()
    names = ("mono-eng", "mono-deu", "mono-nld")
    weights = Weights([suite[n] for n in (*names, "init")], CPU)
    even = (1.0,) * 3 if methods()[method].weighted else ()
    recipe = Recipe(method, names, even, (("density", 0.5),) if "ties" in method else (), base)
    shuffled = Shuffled(weights, Survey(recipe=recipe, base=base), 0)
    parameter = "model.layers.0.mlp.up_proj.weight"
    own = shuffled.read(parameter, names)
    given = given_whole(recipe, shuffled, site_at(recipe, parameter, 2))
    torch.testing.assert_close(given["tensors"]().whole(), own, rtol=0, atol=0)
    torch.testing.assert_close(torch.stack(list(given["tensors"]())), own, rtol=0, atol=0)
    origin = own.mean(dim=0) if base == "@mean" else weights.read(parameter, ["init"])[0].float()
    torch.testing.assert_close(given["base"](), origin)
    # The merge of weights that are stored as shuffled is that of shuffled ones.
    stored = Weights([suite[n] for n in (*names, "init")], CPU)
    stored.load(stored.names)
    wide = {name: tensor.float() for name, tensor in stored._stacks.items()}
    wide[parameter][:3] = own
    stored._stacks, stored.dtype = wide, torch.float32
    expected = merge_tensor(recipe, stored, parameter)
    torch.testing.assert_close(merge_tensor(recipe, shuffled, parameter), expected)
    assert not torch.allclose(expected, merge_tensor(recipe, weights, parameter), atol=1e-3)
