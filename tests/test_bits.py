"""Masks at a bit an entry: what is put in comes out, whole and in parts, by either way of doing it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interference import bits
from interference.bits import Bits, joined, packed, unpacked


@pytest.fixture(params=[(), ("cpu",)], ids=["plain", "compiled"])
def way(request, monkeypatch):
    """numpy's, or the one that compilers look through."""
    monkeypatch.setattr(bits, "DEVICES", request.param)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (8,), (3, 5), (2, 3, 40)])
def test_what_is_packed_comes_back_at_an_eighth_of_the_memory(shape, way):
    mask = torch.rand((3, *shape), generator=torch.Generator().manual_seed(0)) < 0.4
    found = Bits.of(mask)
    assert torch.equal(found.here(), mask)
    assert found.packed.numel() == 3 * -(-mask[0].numel() // 8)


def test_both_ways_pack_alike(monkeypatch):
    mask = torch.rand((2, 77), generator=torch.Generator().manual_seed(0)) < 0.5
    one = Bits.of(mask)
    monkeypatch.setattr(bits, "DEVICES", ("cpu",))
    assert torch.equal(one.packed, Bits.of(mask).packed)


@given(start=st.integers(0, 9).map(lambda n: 8 * n), length=st.integers(1, 77))
def test_a_part_is_that_part_of_all(start, length):
    mask = torch.rand((2, 77), generator=torch.Generator().manual_seed(0)) < 0.5
    stop = min(start + length, 77)
    assert torch.equal(Bits.of(mask).within(slice(start, stop)).here(), mask[:, start:stop])


def test_masks_alone_are_packed_and_rows_go_below_each_other(way):
    masks = torch.rand((4, 5, 5), generator=torch.Generator().manual_seed(0)) < 0.5
    made = [packed((masks[row : row + 1], torch.tensor([float(row)])), 2) for row in range(4)]
    whole = joined(made, 4)
    assert isinstance(whole[0], Bits)
    assert whole[1].dtype == torch.float32
    mask, factors = unpacked(whole)
    assert torch.equal(mask, masks)
    assert factors.tolist() == [0, 1, 2, 3]
