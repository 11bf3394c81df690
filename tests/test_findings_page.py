"""The Findings page and its presentation through Streamlit's own test runner."""

import json
import re
from dataclasses import replace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_pages import as_seen, open_page

from interference.bench import Pin, State, View
from interference.errors import UserError
from interference.findings import Block, Findings, from_json, to_json
from interference.recipe import Recipe
from interference.store import list_findings, read_findings, write_findings

PAGE = "pages/findings.py"
HOSTILE = "</script><script>alert(1)</script> <img src=x onerror=alert(1)> ![x](https://example.org/x.png) مرحبا"


@pytest.fixture
def view(own_suite) -> View:
    return View(Recipe("linear", ("mono-eng", "mono-deu"), (0.7, 0.3)), str(own_suite), sentences=6)


@pytest.fixture(autouse=True)
def nothing_kept(own_suite, tmp_path, monkeypatch):
    """A store of the test's own, whatever was kept before."""
    monkeypatch.setenv("INTERFERENCE_CACHE", str(tmp_path / "own store"))


def kept() -> dict[str, Findings]:
    return {one.name: from_json(one.document) for one in list_findings()}


def write(findings: Findings) -> None:
    write_findings(findings.title, to_json(findings))


def plots(app: AppTest) -> list[dict]:
    parts = [part.proto for part in app.get("bidi_component")]
    return [json.loads(part.bytes) for part in parts if part.component_name == "interference.live_plot"]


def field(app: AppTest, key: str):
    """The field of this key, which goes on with what it shows."""
    return next(one for one in (*app.text_input, *app.text_area) if one.key.startswith(f"{key} "))


def click(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def with_pins(app: AppTest, view: View) -> AppTest:
    """The session as the Merge page leaves it: one view with two pins."""
    from interference.bench import History

    pins = (Pin("First pin", view), Pin("Second pin", replace(view, unit="bits per byte")))
    app.session_state["history"] = History(State(view, pins))
    return app.run()


def test_empty_page_says_how_to_begin(view):
    """Without pins it points at the Merge page, with pins it begins with them, named as they are."""
    app = open_page(PAGE)
    assert not app.exception
    assert app.title[0].value == "Findings"
    assert "Pin" in app.markdown[0].value
    assert "findings begin" not in [button.key for button in app.button]
    app = click(with_pins(app, view), "findings begin")
    blocks = kept()["Untitled"].blocks
    assert [(b.heading, b.view) for b in blocks] == [
        ("First pin", view),
        ("Second pin", replace(view, unit="bits per byte")),
    ]
    assert len(plots(app)) == 2
    assert "bits per byte" in json.dumps(plots(app)[1]["figure"])


def test_blocks_are_edited_moved_and_removed(view):
    """Every edit is kept at once; a removal can be taken back."""
    write(Findings("Mine", (Block("One", "Text", view), Block("Two"))))
    app = open_page(PAGE)
    assert len(plots(app)) == 1
    field(app, "block heading 0").set_value("Uno").run()
    field(app, "block text 1").set_value(HOSTILE).run()
    assert [(b.heading, b.text) for b in kept()["Mine"].blocks] == [("Uno", "Text"), ("Two", HOSTILE)]
    click(app, "block Down 0")
    assert [b.heading for b in kept()["Mine"].blocks] == ["Two", "Uno"]
    assert [field(app, f"block heading {n}").value for n in (0, 1)] == ["Two", "Uno"]
    click(app, "block Up 1")
    click(app, "block Remove 0 of 2")
    assert [b.heading for b in kept()["Mine"].blocks] == ["Two"]
    click(app, "findings undo button")
    assert [b.heading for b in kept()["Mine"].blocks] == ["Uno", "Two"]
    assert list(kept()) == ["Mine"]


def test_hostile_text_is_shown_as_text(view):
    write(Findings("Mine", (Block(HOSTILE, HOSTILE),)))
    app = open_page(PAGE)
    assert not app.exception
    shown = "".join(part.proto.body for part in app.get("html"))
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script" not in shown.replace("<style", "")
    assert "<img" not in shown


def test_adding_text_views_and_pins(view):
    write(Findings("Mine"))
    app = open_page(PAGE)
    assert "No blocks yet" in app.info[0].value
    click(app, "add text")
    click(with_pins(app, view), "add present")
    app.multiselect(key="add which").set_value([1]).run()
    click(app, "add pins")
    assert [b.heading for b in kept()["Mine"].blocks] == ["New heading", "Linear average", "Second pin"]
    assert app.multiselect(key="add which").value == []


def test_rename_delete_and_undo():
    write(Findings("Mine", (Block("One"),)))
    write(Findings("Other"))
    app = open_page(PAGE, findings="Mine")
    field(app, "findings title").set_value("Other").run()
    assert "'Other' already" in app.warning[0].value
    field(app, "findings title").set_value(" My  findings ").run()
    assert sorted(kept()) == ["My findings", "Other"]
    assert app.selectbox(key="findings").value == "My findings"
    click(app, "findings delete My findings")
    assert list(kept()) == ["Other"]
    click(app, "findings undo button")
    assert kept()["My findings"].blocks == (Block("One"),)
    assert app.selectbox(key="findings").value == "My findings"


def test_clicks_before_the_page_is_drawn_again_are_of_one_tab(view):
    """What was typed and the click that left its field come together or shortly after each other: both count."""
    write(Findings("Mine", (Block("One", "", view), Block("Two"))))
    app = open_page(PAGE)
    field(app, "block heading 0").set_value("Uno")
    app.button(key="block Down 0").click().run()
    assert {name: [b.heading for b in f.blocks] for name, f in kept().items()} == {"Mine": ["Two", "Uno"]}
    field(app, "findings title").set_value("Ours")
    app.button(key="add text").click().run()
    assert {name: len(f.blocks) for name, f in kept().items()} == {"Ours": 3}
    field(app, "findings title").set_value("Theirs")
    app.button(key="findings present").click().run()
    assert not app.warning
    assert not app.exception
    assert app.query_params["present"] == "Theirs"


def test_what_a_full_disk_does_not_take_is_said(monkeypatch):
    """And no more: the page is drawn, and once there is room the same click does it, Undo too."""

    def full(*given):
        raise UserError("Results can't be kept. Free some space.")

    app = open_page(PAGE)
    for key, then in (
        ("findings new", ["Untitled"]), ("findings delete Untitled", []), ("findings undo button", ["Untitled"]),
    ):  # fmt: skip
        before = list(kept())
        with monkeypatch.context() as patch:
            for name in ("write_findings", "delete_findings"):
                patch.setattr(f"interference.ui.findings.{name}", full)
            click(app, key)
        assert "Free some space" in app.warning[0].value
        assert list(kept()) == before
        click(app, key)
        assert list(kept()) == then


@pytest.mark.parametrize(
    "ended", ["ensure_shell", "draw_findings_bar", "draw_report"]
)  # where a newer run ends an older
@pytest.mark.parametrize("key", ["findings delete Mine", "findings undo button", "block Remove 0 of 2"])
def test_a_second_click_that_comes_before_the_page_is_drawn_does_no_more(key, ended, monkeypatch):
    write(Findings("Mine", (Block("One"), Block("Two"))))
    write(Findings("Other", (Block("Three"), Block("Four"))))
    app = open_page(PAGE, findings="Mine")
    if key == "findings undo button":
        click(app, "block Remove 0 of 2")
    seen = app._tree
    with monkeypatch.context() as patch:
        patch.setattr(f"interference.ui.{ended}", lambda *given: st.stop())
        click(app, key)
    app._tree = seen
    click(app, key)
    left = {"block Remove 0 of 2": {"Mine": ["Two"]}, "findings undo button": {"Mine": ["One", "Two"]}}.get(key, {})
    names = {name: [b.heading for b in f.blocks] for name, f in kept().items()}
    assert names == left | {"Other": ["Three", "Four"]}
    if key != "findings undo button":
        click(app, "findings undo button")
        assert len(kept()["Mine"].blocks) == 2


@pytest.mark.parametrize("key", ["findings delete Mine", "block Down 0"])
def test_what_a_browser_has_not_heard_yet_is_not_changed_back_by_it(key):
    """The next click brings what its fields still show."""
    write(Findings("Mine", (Block("One", "1"), Block("Two", "2"))))
    write(Findings("Other", (Block("Three", "3"), Block("Four", "4"))))
    app = open_page(PAGE, findings="Mine")
    seen = as_seen(app)
    click(app, key)
    app._tree = seen
    app.button(key=key).set_value(False)
    click(app, "add text")
    other, new = {"Other": ["Three 3", "Four 4"]}, "New heading "
    left = {"Mine": ["Two 2", "One 1", new]} | other if "Down" in key else {"Other": [*other["Other"], new]}
    assert {name: [f"{b.heading} {b.text}" for b in f.blocks] for name, f in kept().items()} == left


def test_findings_deleted_by_two_clicks_come_back_one_by_one():
    """The second may have come when the next were open already."""
    for name in ("Mine", "Other"):
        write(Findings(name))
    app = open_page(PAGE, findings="Mine")
    for key in ("findings delete Mine", "findings delete Other", "findings undo button"):
        click(app, key)
    assert list(kept()) == ["Other"]
    click(app, "findings undo button")
    assert sorted(kept()) == ["Mine", "Other"]


def test_two_tabs_keep_both():
    """A second tab edits what it was shown, not what the first has made of it: both are kept, and that is said."""
    write(Findings("Mine", (Block("One"),)))
    first, second = open_page(PAGE), open_page(PAGE)
    field(first, "block heading 0").set_value("From the first").run()
    assert not first.warning
    field(second, "block heading 0").set_value("From the second").run()
    assert "Both are kept" in second.warning[0].value
    assert {name: f.blocks[0].heading for name, f in kept().items()} == {
        "Mine": "From the first",
        "Mine (2)": "From the second",
    }
    assert second.selectbox(key="findings").value == "Mine (2)"


def test_a_file_is_imported_as_data(view):
    """One that was exported comes back under a name of its own; any other is a message."""
    write(Findings("Mine", (Block("One", "", view),)))
    app = open_page(PAGE)
    uploaded = app.get("file_uploader")[0]
    uploaded.set_value(("f.json", read_findings("Mine").document.encode(), "application/json")).run()
    assert not app.exception
    assert kept()["Mine (2)"].blocks == kept()["Mine"].blocks
    app.get("file_uploader")[0].set_value(("f.json", b"[]", "application/json")).run()
    assert not app.exception
    assert "no mapping" in app.warning[0].value
    assert len(kept()) == 2


def test_views_of_other_suites_and_views_that_fail(view, suite_folder):
    """Each on its own suite, whatever the sidebar names; one that can't be opened is a message in its place."""
    write(Findings("Mine", (Block("Gone", "", replace(view, suite="/no/such")), Block("There", "", view))))
    app = open_page(PAGE)
    assert not app.exception
    assert len(app.error) == 1
    assert "This view can't be computed. Suite /no/such does not exist" in app.error[0].value
    assert len(plots(app)) == 1


def test_findings_that_this_version_cannot_read():
    write_findings("Broken", "{}")
    write_findings("Fine", to_json(Findings("Fine", (Block("One"),))))
    app = open_page(PAGE, findings="Broken")
    assert not app.exception
    assert "no file of findings" in app.error[0].value
    app.selectbox(key="findings").set_value("Fine").run()
    assert not app.error
    assert field(app, "block heading 0").value == "One"


def slide(app: AppTest) -> str:
    return next(part.proto.body for part in app.get("html") if "slide-quiet" in part.proto.body)


def test_presentation_from_the_address(view):
    """The slide of the address, the nearest for one that there is not; large type; leaving opens the page again."""
    write(Findings("Mine", (Block("One", "", view), Block("Two", "Words."))))
    app = open_page(PAGE, present="Mine")
    assert not app.exception
    assert "1 / 2 · Mine" in slide(app)
    assert plots(app)[0]["figure"]["layout"]["font"]["size"] >= 18
    for wrong in ("99", "x", "-1", "٣", "9" * 5000):
        app.query_params["slide"] = wrong
        app.run()
        assert not app.exception
        assert ("2 / 2" if wrong == "99" else "1 / 2") in slide(app)
    click(app, "slide Next")
    assert "2 / 2" in slide(app)
    assert not plots(app)
    click(app, "slide leave")
    assert app.title[0].value == "Findings"
    assert app.selectbox(key="findings").value == "Mine"


def test_a_long_text_is_set_smaller_than_a_short_one(view):
    """So that a slide fits; the style sheet keeps both within what can be read."""
    long = "A sentence of some length that fills most of a line of a slide.\n\n" * 20
    texts = ("Words.", long, "汉" * 400)
    write(Findings("Mine", (*(Block("", text) for text in texts), Block("", long, view))))
    sizes: list[float] = []
    for number in range(1, 5):
        app = open_page(PAGE, present="Mine", slide=str(number))
        sizes += map(float, re.findall(r"--fit: ([\d.]+)vh", "".join(e.proto.body for e in app.get("html"))))
    short, many, wide, above = sizes
    assert short > wide > many > above


def test_presentation_of_nothing():
    """Findings without blocks are said, and can be left."""
    write(Findings("Mine"))
    app = open_page(PAGE, present="Mine")
    assert "no blocks" in app.info[0].value
    click(app, "slide leave")
    assert app.title[0].value == "Findings"
