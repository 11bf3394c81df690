"""Findings as values, as files, and kept in the store."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interference.bench import Faders, View, with_faders
from interference.errors import UserError
from interference.findings import HEADING, MOST_BLOCKS, TEXT, Block, Findings, from_json, to_json
from interference.recipe import Recipe
from interference.store import (
    Store,
    delete_findings,
    list_findings,
    read_findings,
    rename_findings,
    write_findings,
)

RECIPE = Recipe("linear", ("mono-eng", "mono-deu"), (0.7, 0.3))
VIEW = View(RECIPE, "some/suite", "", ("eng",), "bits per byte", 12, ("unigram",))
HOSTILE = "</script><script>alert(1)</script> & \"quoted\" 'too' \u202e\u2028 שלום مرحبا <!-- ]]> \x00"
FINDINGS = Findings("Averages", (Block("One", "First *text*.", VIEW), Block("Two", HOSTILE), Block("Three")))


def headings(findings: Findings) -> str:
    return " ".join(block.heading for block in findings.blocks)


def test_operations_give_new_values():
    """Each changes what it says and nothing else; the one before is as it was."""
    assert headings(FINDINGS.moved(2, 0)) == "Three One Two"
    assert headings(FINDINGS.moved(0, 2)) == "Two Three One"
    assert headings(FINDINGS.removed(1)) == "One Three"
    assert headings(FINDINGS.inserted(1, Block("New"), Block("Newer"))) == "One New Newer Two Three"
    assert headings(FINDINGS.changed(1, Block("Other"))) == "One Other Three"
    assert FINDINGS.renamed("  A \n title ").title == "A title"
    assert headings(FINDINGS) == "One Two Three"


def test_every_view_on_another_suite():
    moved = FINDINGS.on_suite("other")
    assert moved.blocks[0].view == replace(VIEW, suite="other")
    assert moved.blocks[1:] == FINDINGS.blocks[1:]


@given(st.lists(st.tuples(st.text(max_size=HEADING), st.text(max_size=300), st.booleans()), max_size=5))
def test_file_gives_the_same_back(blocks):
    """Whatever text: control characters, other directions, markup."""
    faders = Faders((0.7, 0.3), (False, True), (False, False), 1)
    view = replace(VIEW, faders=faders)
    written = Findings("t", tuple(Block(heading, text, view if has else None) for heading, text, has in blocks))
    assert from_json(to_json(written)) == written
    assert from_json(to_json(written).encode()) == written


def test_limits():
    """What is too long or too much is refused with the limit, wherever it comes from."""
    with pytest.raises(UserError, match=str(HEADING)):
        Block("x" * (HEADING + 1))
    with pytest.raises(UserError, match=str(TEXT)):
        Block("", "x" * (TEXT + 1))
    full = Findings("t", (Block(),) * MOST_BLOCKS)
    with pytest.raises(UserError, match=str(MOST_BLOCKS)):
        full.inserted(0, Block())
    for title in ("", "x" * 81, " x", "two\nlines"):
        with pytest.raises(UserError, match="title"):
            Findings(title)


def broken(**changes: object) -> str:
    return json.dumps(json.loads(to_json(FINDINGS)) | changes)


def with_view(**changes: object) -> str:
    document = json.loads(to_json(FINDINGS))
    document["blocks"][0]["view"] |= changes
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no file of findings"),
        ("[" * 100_000, "no file of findings"),
        ("[]", "no mapping"),
        (b"\xff\xfe", "no file of findings"),
        ('{"title": "t"}', "kind is 'None'"),
        (broken(version=2), "version '2'"),
        (broken(more=1), "unknown field 'more'"),
        (broken(title=None), "'title'"),
        (broken(title="\ud800"), "surrogates"),
        (broken(blocks={}), "'blocks'"),
        (broken(blocks=[{}] * (MOST_BLOCKS + 1)), "50 blocks"),
        (broken(blocks=[{}, 3]), "Block 2: The block is no mapping"),
        (broken(blocks=[{"heading": ["x"]}]), "Block 1: The field 'heading'"),
        (broken(blocks=[{"text": "x" * (TEXT + 1)}]), "Block 1: A block's text"),
        (broken(blocks=[{"view": None}]), "Block 1: The view is no mapping"),
        (broken(blocks=[{"script": ""}]), "Block 1: The block has an unknown field"),
        (with_view(recipe="!!python/object/apply:os.system ['true']"), "Block 1: "),
        (with_view(sentences=0), "Block 1: The view asks for 0 sentences"),
        (with_view(sentences=math.nan), "no file of findings"),
        ("x" * 2_000_001, "2000001 bytes"),
    ],
)  # fmt: skip
def test_a_file_that_is_anything_else_is_refused(text, said):
    with pytest.raises(UserError) as error:
        from_json(text)
    assert said in str(error.value)
    assert len(str(error.value)) < 500


def names() -> list[str]:
    return [kept.name for kept in list_findings()]


def test_kept_findings_come_back():
    """Listed last changed first; read, renamed, deleted."""
    first = write_findings("first", to_json(FINDINGS))
    write_findings("second", "{}")
    assert names() == ["second", "first"]
    assert read_findings("first") == first
    assert from_json(first.document) == FINDINGS
    again = write_findings("first", "{}", since=first.changed)
    assert again.changed > first.changed
    assert names() == ["first", "second"]
    rename_findings("second", "other")
    assert sorted(names()) == ["first", "other"]
    delete_findings("first")
    delete_findings("never there")
    assert names() == ["other"]
    assert read_findings("first") is None


def test_two_tabs_lose_nothing():
    """The second of two writes made from one version is kept beside the first, and so is a new one of a taken name."""
    start = write_findings("mine", "start")
    one = write_findings("mine", "one", since=start.changed)
    two = write_findings("mine", "two", since=start.changed)
    three = write_findings("mine", "three")
    assert (one.name, two.name, three.name) == ("mine", "mine (2)", "mine (3)")
    assert {kept.name: kept.document for kept in list_findings()} == {
        "mine": "one",
        "mine (2)": "two",
        "mine (3)": "three",
    }
    long = "x" * 80
    write_findings(long, "")
    assert Findings(write_findings(long, "").name).title == "x" * 75 + " (2)"


def test_what_was_deleted_elsewhere_is_kept_again():
    start = write_findings("mine", "start")
    delete_findings("mine")
    assert write_findings("mine", "edited", since=start.changed).name == "mine"
    assert names() == ["mine"]


def test_renaming_never_replaces():
    write_findings("one", "1")
    write_findings("two", "2")
    with pytest.raises(UserError, match="'two' already"):
        rename_findings("one", "two")
    with pytest.raises(UserError, match="no findings named 'three'"):
        rename_findings("three", "four")
    assert sorted(names()) == ["one", "two"]


def test_findings_and_results_share_the_file(tmp_path):
    """Whichever comes first makes the file; threads that write at once all get their findings in."""
    write_findings("early", "", folder=tmp_path)
    store = Store(tmp_path)
    store.write("key", np.ones(2))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: write_findings("same", str(n), folder=tmp_path), range(16)))
    kept = list_findings(tmp_path)
    assert len({one.name for one in kept}) == len({one.changed for one in kept}) == 17
    assert {one.document for one in kept} == {"", *map(str, range(16))}
    np.testing.assert_array_equal(store.read("key", 2), np.ones(2))
    store.close()


def test_a_broken_file_is_a_message(tmp_path):
    (tmp_path / "results.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match=r"results\.sqlite"):
        list_findings(tmp_path)
    with pytest.raises(UserError, match=r"results\.sqlite"):
        write_findings("x", "", folder=tmp_path)


def test_a_recipe_with_a_panel():
    """Muted parents count nothing, a panel that normalises gives a sum of one, and silence is no merge."""
    no, yes = (False, False), (True, False)
    assert with_faders(RECIPE, Faders((0.2, 0.6), no, no)).weights == (0.2, 0.6)
    assert with_faders(RECIPE, Faders((0.2, 0.6), no, yes)).weights == (0.0, 0.6)
    assert with_faders(RECIPE, Faders((0.2, 0.0), no, yes)) is None
    normal = with_faders(RECIPE, Faders((0.2, 0.6), no, no, None, True))
    assert normal
    assert normal.settings()["normalize"] is True
    assert normal.weights == (0.2, 0.6)
    assert with_faders(normal, Faders((0.2, 0.6), no, no)).settings()["normalize"] is False
