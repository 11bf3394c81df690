"""Random numbers by key and place: the published ones, and what masks of them need."""

import pytest
import torch

from interference import draws, scored
from interference.draws import philox, uniforms
from interference.recipe import Recipe
from interference.scored import model_digest
from interference.suite import open_suite

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("counter", "keys", "words"),
    [
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_words_are_those_published_with_the_generator(counter, keys, words):
    """The known answers of Random123, its authors' own."""
    found = philox([torch.tensor([word]) for word in counter], torch.tensor(keys))
    assert tuple(int(word) for word in found) == words


@pytest.mark.parametrize("size", [1, 8, 1 << 20])
def test_a_number_depends_on_its_place_alone(size, monkeypatch):
    """Not on how many are drawn at a time, nor on how many follow."""
    whole = uniforms("a key", (11, 13), CPU)
    monkeypatch.setitem(draws._COUNTERS, "cpu", size)
    assert torch.equal(uniforms("a key", (11, 13), CPU), whole)
    assert torch.equal(uniforms("a key", (50,), CPU), whole.flatten()[:50])
    assert uniforms("a key", (), CPU) == whole[0, 0]


def test_numbers_are_uniform_and_keys_and_places_are_independent():
    """Counts in 64 cells of one row, and of pairs: of two keys, of neighbours, of what one word apart is drawn at."""
    draw = 1 << 20
    rows = [uniforms(key, (draw,), CPU) for key in ("0 embed one", "0 embed two", "1 embed one")]
    assert all(float(row.min()) >= 0 and float(row.max()) < 1 for row in rows)
    for row in rows:
        assert chi_squared((row * 64).long(), 64) < 63 + 5 * (2 * 63) ** 0.5
    pairs = [(rows[0], rows[1]), (rows[0], rows[2]), (rows[0][:-1], rows[0][1:]), (rows[0][:-4], rows[0][4:])]
    for one, other in pairs:
        cells = (one * 16).long() * 16 + (other * 16).long()
        assert chi_squared(cells, 256) < 255 + 5 * (2 * 255) ** 0.5


def chi_squared(cells: torch.Tensor, count: int) -> float:
    expected = len(cells) / count
    return float(((torch.bincount(cells, minlength=count) - expected) ** 2 / expected).sum())


def test_what_was_drawn_otherwise_is_not_taken_for_it(monkeypatch):
    """Stored numbers of a merge by other masks are another merge's; those of merges without any stay good."""
    suite, names = open_suite(), ("mono-eng", "mono-nld")
    recipes = [Recipe(method, names, (0.5, 0.5), base="init") for method in ("dare_ties", "ties")]
    before = [model_digest(suite, recipe) for recipe in recipes]
    monkeypatch.setattr(scored, "GENERATOR", "another")
    drawn, plain = (model_digest(suite, recipe) for recipe in recipes)
    assert drawn != before[0]
    assert plain == before[1]
