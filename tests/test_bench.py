"""The state of the bench: what it gives out it takes back, moves can be undone, and a link is data that is checked."""

import base64
import json
import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interference.bench import LINK_BYTES, Faders, History, Link, Pin, State, View, from_link, to_link
from interference.errors import UserError
from interference.recipe import Recipe

LINEAR = Recipe("linear", ("mono-eng", "mono-deu"), (0.3, 0.7))
TIES = Recipe("ties", ("mono-eng", "mono-deu"), (0.5, 1.25), (("density", 0.4), ("normalize", False)), "init")
FADERS = Faders((0.3, 0.7), (True, False), (False, True), 1, True, True)
PLAIN = State(View(LINEAR))
FULL = State(
    View(TIES, "suites/mine", "text.tsv", ("eng", "zho"), "bits per byte", 20, ("rescaled",), FADERS),
    (Pin("first", View(LINEAR)), Pin("<script>alert(1)</script>", View(TIES))),
    1,
)


def packed(document: object) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(document).encode())).decode().rstrip("=")


def unpacked(text: str) -> dict:
    return json.loads(zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))


@pytest.mark.parametrize("state", [PLAIN, FULL])
def test_a_link_gives_back_exactly_the_state(state):
    link = to_link(state)
    assert from_link(link.text) == state
    assert not link.without_pins
    assert set(link.text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(
    st.lists(st.floats(-1, 2).map(lambda x: round(x, 4)), min_size=2, max_size=10),
    st.text(max_size=40),
    st.lists(st.text(min_size=1, max_size=30).filter(str.split), max_size=4),
)
def test_any_state_survives_its_link(weights, suite, names):
    recipe = Recipe("task_arithmetic", tuple(f"m{i}" for i in range(len(weights))), tuple(weights), base="@mean")
    state = State(View(recipe, suite.encode("utf-8", "ignore").decode()))
    for name in names:
        state = state.pinned(name.encode("utf-8", "ignore").decode() or "x")
    assert from_link(to_link(state).text) == state


def test_a_link_that_would_be_too_long_leaves_the_pins_out_and_says_so():
    state, rng = PLAIN, random.Random(0)
    for number in range(50):
        recipe = Recipe("linear", tuple(f"{rng.getrandbits(64):x}" for _ in range(20)), (0.05,) * 20)
        state = replace(state, view=View(recipe)).pinned(f"pin {number}")
    link = to_link(state)
    assert link.without_pins
    assert len(link.text) <= LINK_BYTES
    assert from_link(link.text) == State(state.view)


def test_a_view_that_no_link_can_hold_is_refused():
    noise = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=12000))
    with pytest.raises(UserError, match="as a link"):
        to_link(State(View(LINEAR, suite=noise)))


@pytest.mark.parametrize(
    "text", ["", "x", "%%%", "Ω", "A" * (LINK_BYTES + 1), to_link(FULL).text[:-9], packed([])[:-2]]
)
def test_a_damaged_link_is_one_message(text):
    with pytest.raises(UserError, match=r"damaged"):
        from_link(text)


def test_a_link_that_unpacks_without_end_is_refused():
    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * 5_000_000, 9)).decode()
    assert len(bomb) < LINK_BYTES
    with pytest.raises(UserError, match="damaged"):
        from_link(bomb)


GOOD = unpacked(to_link(FULL).text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v": 2}, "version 2"),
        ({"v": None}, "version None"),
        ({"pages": 1}, "unknown field 'pages'"),
        ({"view": 3}, "no mapping"),
        ({"view": {}}, "'recipe' is missing"),
        ({"view": {"recipe": "merge_method: evil\nmodels: []"}}, "Unknown merge method 'evil'"),
        ({"view": {"recipe": "!!python/object/apply:os.system ['true']"}}, "not YAML"),
        ({"view": GOOD["view"] | {"sentences": 0}}, "asks for 0 sentences"),
        ({"view": GOOD["view"] | {"sentences": "many"}}, "wrong kind"),
        ({"view": GOOD["view"] | {"sentences": True}}, "wrong kind"),
        ({"view": GOOD["view"] | {"languages": "eng"}}, "wrong kind"),
        ({"view": GOOD["view"] | {"languages": [1]}}, "list of names"),
        ({"view": GOOD["view"] | {"unti": "x"}}, "did you mean 'unit'"),
        ({"view": GOOD["view"] | {"faders": {"values": [1]}}}, "do not fit 2 parents"),
        ({"view": GOOD["view"] | {"faders": GOOD["view"]["faders"] | {"values": [1, "x"]}}}, "do not fit"),
        ({"view": GOOD["view"] | {"faders": GOOD["view"]["faders"] | {"values": [1, float("inf")]}}}, "do not fit"),
        ({"view": GOOD["view"] | {"faders": GOOD["view"]["faders"] | {"locked": [1, 0]}}}, "do not fit"),
        ({"view": GOOD["view"] | {"faders": GOOD["view"]["faders"] | {"solo": 2}}}, "solos parent 2"),
        ({"pins": [{"name": " ", "view": GOOD["view"]}]}, "needs a name"),
        ({"pins": [{"view": GOOD["view"]}]}, "'name' is missing"),
        ({"pins": GOOD["pins"] * 30}, "60 pins"),
        ({"baseline": 2}, "deltas from pin 2"),
        ({"baseline": "0"}, "wrong kind"),
    ],
)
def test_what_no_state_can_be_is_one_message(change, message):
    with pytest.raises(UserError, match=message):
        from_link(packed(GOOD | change))


def test_faders_count_what_is_heard():
    values, no = (0.12345678, 0.5, 1.0), (False,) * 3
    assert Faders(values, no, no).effective == (0.1235, 0.5, 1.0)
    assert Faders(values, no, (False, True, False)).effective == (0.1235, 0.0, 1.0)
    assert Faders(values, no, (False, True, False), solo=1).effective == (0.0, 0.5, 0.0)


def test_pins_are_renamed_moved_and_deleted_and_the_baseline_stays_the_same_pin():
    state = replace(PLAIN.pinned("a").pinned(" b   b ").pinned("c"), baseline=1)
    assert [pin.name for pin in state.pins] == ["a", "b b", "c"]

    def order(state: State) -> tuple[str, str | None]:
        names = [pin.name for pin in state.pins]
        return " ".join(names), names[state.baseline] if state.baseline is not None else None

    assert order(state.moved(1, 0)) == ("b b a c", "b b")
    assert order(state.moved(0, 2)) == ("b b c a", "b b")
    assert order(state.deleted(0)) == ("b b c", "b b")
    assert order(state.deleted(1)) == ("a c", None)
    assert order(state.deleted(2)) == ("a b b", "b b")
    assert order(state.renamed(1, "B")) == ("a B c", "B")
    with pytest.raises(UserError, match="needs a name"):
        state.renamed(0, "  ")


def test_no_more_pins_than_a_page_can_hold():
    state = PLAIN
    for number in range(50):
        state = state.pinned(str(number))
    with pytest.raises(UserError, match="50 pins"):
        state.pinned("one more")


def test_history_undoes_redoes_and_forgets_what_was_undone_before_a_new_move():
    a, b, c = (State(View(replace(LINEAR, weights=(w, 1.0)))) for w in (0.1, 0.2, 0.3))
    history = History(a).move(b).move(b).move(c)
    assert len(history.past) == 2, "a move to the same state is none"
    assert history.undo().undo().present == a
    assert history.undo().undo().undo().present == a
    assert history.undo().redo() == history
    assert history.redo() == history
    branched = history.undo().move(a)
    assert (branched.present, branched.redo()) == (a, branched)


def test_history_is_bounded():
    history = History(PLAIN)
    for number in range(500):
        history = history.move(State(View(LINEAR, sentences=number + 1)))
    assert len(history.past) == 200


def test_link_text_is_of_one_view_only_one():
    """Two equal states have one link: a link can be compared."""
    assert to_link(FULL) == to_link(from_link(to_link(FULL).text))
    assert isinstance(to_link(FULL), Link)
