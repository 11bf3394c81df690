"""Findings as values, as files, and kept in the store."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interference.bench import Faders, View
from interference.errors import UserError
from interference.findings import HEADING, MOST_BLOCKS, TEXT, Block, Findings, from_json, to_json
from interference.recipe import Recipe

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
