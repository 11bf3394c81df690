"""Journeys through the dashboard in a real Chromium, each leaving screenshots in test-results/."""

import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import pytest
import torch
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from interference.evaluate import Evaluator
from interference.recipe import Recipe
from interference.scored import Request
from interference.store import Store
from interference.suite import open_suite

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[1]
SHOTS = ROOT / "test-results"
Scheme = Literal["light", "dark"]
WAIT = 240_000  # milliseconds for a first result on a busy machine


@contextmanager
def serving(*command: str, folder: Path, log: Path, **environment: str) -> Iterator[str]:
    """A server that is started in a folder, on a free port, which its command calls {port}; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", *(word.format(port=port) for word in command)]
    with (
        log.open("w") as said,
        subprocess.Popen(words, cwd=folder, env=os.environ | environment, stdout=said, stderr=said) as server,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=WAIT / 1000)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """`interference app` on a free port, started in an empty folder; yields its address."""
    folder.mkdir(exist_ok=True)
    command, log, store = ("interference", "app", "--port", "{port}", *options), folder / "log", str(folder / "store")
    with serving(*command, folder=folder, log=log, INTERFERENCE_CACHE=store) as address:
        yield address
    assert "missing ScriptRunContext" not in log.read_text()  # see `no_session_in_jobs`


def _wait_for(address: str, server: subprocess.Popen) -> None:
    for _ in range(600):
        assert server.poll() is None, "the server stopped while starting"
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(address)


@contextmanager
def opened(
    browser: Browser, address: str, width: int = 1440, height: int = 900, scheme: Scheme = "light"
) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    try:
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(address)
        yield page
    finally:  # else the page of a test that failed goes on beside those that follow
        context.close()


def box_of(element: Locator) -> FloatRect:
    """Where an element is on the page; it must be drawn."""
    box = element.bounding_box()
    assert box
    return box


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(exist_ok=True)
    page.wait_for_timeout(700)  # plots fade in
    page.screenshot(path=SHOTS / f"{name}.png")


SAID = """async (panels) => { while (panels.some(({ panel }) => panel?.moving || panel?.unsaid))
                                await new Promise(requestAnimationFrame); }"""
WHOLE = """() => {
  const root = document.querySelector('.live-plot');
  if (!root) return true; // a chart of Streamlit's own
  const { asked, at, figure } = root.livePlot ?? {};
  return asked && !asked.pending && root.dataset.pending === 'false'
    && (!asked.place || (asked.whole && asked.place === (at ?? asked.place)))
    && JSON.stringify(asked.figure) === JSON.stringify(figure);
}"""


def wait_for_figure(page: Page) -> None:
    """Until a figure is there and, beside a panel, is all that there is to say of where its sliders stand."""
    page.locator(".live-plot .main-svg, .js-plotly-plot .main-svg").first.wait_for(timeout=WAIT)
    page.locator(".panel").evaluate_all(SAID)
    page.wait_for_function(WHOLE, timeout=WAIT)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def wait_for_rest(page: Page) -> None:
    """Until the script that has begun to draw the page is through: what stands below a figure comes after it."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=WAIT)
    expect(page.get_by_test_id("stException")).to_have_count(0)


@contextmanager
def server_unheard(page: Page) -> Iterator[None]:
    """What the page says is held back, then said."""
    page.evaluate(
        """() => { window.held = []; window.say ??= WebSocket.prototype.send;
                  WebSocket.prototype.send = function (said) { held.push([this, said]); }; }"""
    )
    yield
    page.evaluate(
        "() => { WebSocket.prototype.send = say; for (const [to, said] of held.splice(0)) say.call(to, said); }"
    )


def shown(page: Page) -> dict[str, float]:
    """The merge's bits by language, as the figure draws them."""
    whole = "document.querySelector('.live-plot')?._fullData?.every((t) => t.name !== 'preview')"
    page.wait_for_function(whole, timeout=WAIT)
    return page.evaluate(
        """() => { const found = document.querySelector('.live-plot')._fullData.find((t) => t.name === 'the merge');
                   return Object.fromEntries(found.y.map((name, i) => [name.match(/\\((.*)\\)/)[1], found.x[i]])); }"""
    )


def expect_shown(page: Page, bits: dict[str, float]) -> None:
    """The figure shows these, now or soon."""
    for _ in range(WAIT // 100):
        if shown(page) == pytest.approx(bits, rel=1e-4):
            return
        page.wait_for_timeout(100)
    assert shown(page) == pytest.approx(bits, rel=1e-4)


def measured(weights: dict[str, float], folder: Path, sentences: int = 150) -> dict[str, float]:
    """The same by the library alone, of a linear merge of the built-in monos."""
    evaluator = Evaluator(open_suite(), Store(folder, {}), torch.device("cpu"))
    names = tuple(c.name for c in evaluator.suite.with_role("mono"))
    recipe = Recipe("linear", names, tuple(weights.get(name, 0.1) for name in names))
    frame = evaluator.table(Request((("merge", recipe),), evaluator.corpus.languages, sentences)).frame
    return dict(zip(frame["language"], frame["bits_per_sentence"], strict=True))


def slider(page: Page, parent: str) -> Locator:
    return page.get_by_role("slider", name=parent)


def drag(page: Page, parent: str, to: float, release: bool = True) -> None:
    """Move the thumb of a parent from where it stands to a value."""
    thumb = slider(page, parent)
    box, value = box_of(thumb), float(thumb.input_value())
    left, width, y = box["x"] + 8, box["width"] - 16, box["y"] + box["height"] / 2
    page.mouse.move(left + width * value, y)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(left + width * (value + (to - value) * step / 10), y)
        page.wait_for_timeout(40)
    if release:
        page.mouse.up()


@contextmanager
def quiet(page: Page) -> Iterator[None]:
    """Nothing in the browser's console, and no request to anywhere else, while this lasts."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("requestfailed", lambda request: heard.append(f"{request.url} failed"))
    yield
    assert not heard


def merge_sentence(page: Page) -> Locator:
    return page.locator("p", has_text=re.compile("^The merge needs"))


def test_first_visit(browser, tmp_path):
    """The built-in suite opens with the equal merge drawn; every page answers a deep link on a fresh server."""
    with served(tmp_path) as address:
        with opened(browser, f"{address}/suite") as page:  # the first request this server ever gets
            wait_for_figure(page)
            expect(page.get_by_role("link", name="Merge")).to_be_visible()
            assert round(box_of(page.get_by_test_id("stSidebar"))["width"]) == 240
            expect(page.get_by_role("link", name="Findings")).to_be_visible()  # the last, not behind "View more"
            shoot(page, "suite")
        with opened(browser, address) as page:
            wait_for_figure(page)
            sliders = page.get_by_role("slider", name="mono-")
            expect(sliders).to_have_count(10)
            wait_for_rest(page)
            boxes = [box_of(sliders.nth(i)) for i in range(10)]
            assert all(box["y"] >= 0 and box["y"] + box["height"] <= 900 for box in boxes), "ten sliders need scrolling"
            # The equal merge of the monos is at the untrained level.
            expect(merge_sentence(page)).to_contain_text("10 of 10", timeout=WAIT)
            shoot(page, "merge")
        views: tuple[tuple[str, int, Scheme], ...] = (
            ("dark", 1440, "dark"),
            ("narrow", 800, "light"),
            ("phone", 390, "dark"),
        )
        for name, width, scheme in views:
            with opened(browser, address, width, 900, scheme) as page:
                wait_for_figure(page)
                wait_for_rest(page)
                shoot(page, f"merge_{name}")
                overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                assert overflow <= 0, f"the page is {overflow} px too wide at {width}"


def test_dragging_a_coefficient(browser, tmp_path):
    """A preview while the thumb moves, the library's own numbers at rest, with the mouse and with keys; then a pin,
    undo, and the link in a fresh browser."""
    with served(tmp_path / "app") as address, opened(browser, address) as page:
        wait_for_figure(page)
        with quiet(page):
            drag(page, "mono-deu", 0.8, release=False)
            expect(page.locator(".live-plot")).to_contain_text("preview", timeout=WAIT)
            shoot(page, "dragging")
            page.mouse.up()
            expect(page.locator(".live-plot")).not_to_contain_text("preview", timeout=WAIT)
            wait_for_figure(page)
            value = float(slider(page, "mono-deu").input_value())
            assert value == pytest.approx(0.8, abs=0.02)
            assert shown(page) == pytest.approx(measured({"mono-deu": value}, tmp_path / "a"), rel=1e-4)
            page.get_by_role("button", name="Pin").click()
            expect(page.get_by_role("heading", name="Pins (1)")).to_be_visible(timeout=WAIT)
            slider(page, "mono-eng").focus()
            for _ in range(30):
                page.keyboard.press("ArrowRight")
            assert slider(page, "mono-eng").input_value() == "0.4", "a key was lost"
            wait_for_figure(page)
            expected = measured({"mono-deu": value, "mono-eng": 0.4}, tmp_path / "b")
            assert shown(page) == pytest.approx(expected, rel=1e-4)
            shoot(page, "pinned")
            page.keyboard.press("ArrowRight")
            wait_for_figure(page)
            assert shown(page) != pytest.approx(expected, rel=1e-4)
            wait_for_rest(page)
            with server_unheard(page):  # the browser itself knows the place
                page.keyboard.press("ArrowLeft")
                expect_shown(page, expected)
                page.wait_for_function("held.length")
            wait_for_figure(page)
        page.get_by_role("button", name="Link").click()
        link = page.locator("code", has_text="?view=").inner_text()
        page.keyboard.press("Escape")
        page.evaluate("document.querySelector('.live-plot').mark = 'the same node'")
        entry = page.get_by_role("textbox", name="mono-eng, English (eng): value")
        entry.fill("0.6")  # one move, as keys are on a fast machine alone
        entry.press("Enter")
        wait_for_figure(page)
        wait_for_rest(page)
        page.get_by_role("button", name="Undo").click()
        expect(slider(page, "mono-eng")).to_have_value("0.4", timeout=WAIT)
        expect(page.get_by_role("button", name="Redo")).to_be_enabled(timeout=WAIT)
        page.locator("h1").click()
        page.keyboard.press("Control+y")
        expect(slider(page, "mono-eng")).to_have_value("0.6", timeout=WAIT)
        with opened(browser, link, scheme="dark") as other:
            wait_for_figure(other)
            expect(slider(other, "mono-eng")).to_have_value("0.4")
            expect(other.get_by_role("heading", name="Pins (1)")).to_be_visible(timeout=WAIT)
            assert shown(other) == pytest.approx(expected, rel=1e-4)
            shoot(other, "link_opened_dark")
        assert page.evaluate("document.querySelector('.live-plot').mark") == "the same node", "drawn anew"
        page.get_by_role("button", name="Undo").click()
        expect(slider(page, "mono-eng")).to_have_value("0.4", timeout=WAIT)
        pins = page.get_by_role("heading", name="Pins (1)")
        expect(pins).to_be_visible()
        for _ in range(40):  # on a slow machine keys were heard one by one
            before = slider(page, "mono-eng").input_value()
            if before == "0.1":
                break
            page.get_by_role("button", name="Undo").click()
            expect(slider(page, "mono-eng")).not_to_have_value(before, timeout=WAIT)
        page.get_by_role("button", name="Undo").click()
        expect(pins).to_be_hidden(timeout=WAIT)
        expect(slider(page, "mono-eng")).to_have_value("0.1")


def test_typed_muted_shared(browser, tmp_path):
    """A comma is a point, nonsense keeps the old value, mute and share do what they say."""
    with served(tmp_path) as address, opened(browser, address) as page:
        wait_for_figure(page)
        entry = page.get_by_role("textbox", name="mono-eng, English (eng): value")
        entry.fill("0,35")
        entry.press("Enter")
        expect(slider(page, "mono-eng")).to_have_value("0.35")
        for wrong, message in (("many", "Not a number"), ("7", "Only 0 to 1"), ("", "Not a number")):
            entry.fill(wrong)
            entry.press("Enter")
            expect(page.get_by_text(message)).to_be_visible()
            expect(slider(page, "mono-eng")).to_have_value("0.35")
        shoot(page, "typed_wrong")
        page.get_by_role("button", name="Mute mono-zho").click()
        page.get_by_role("button", name="Share: moving").click()
        page.get_by_role("button", name="Lock mono-nld").click()
        drag(page, "mono-eng", 0.75)
        values = [float(page.get_by_role("slider", name="mono-").nth(i).input_value()) for i in range(10)]
        assert (values[1], values[9]) == (0.1, 0.1), "locked and muted ones stay"
        assert sum(values) == pytest.approx(1.25, abs=0.05), "the sum stays"
        assert values[2:9] == pytest.approx([values[2]] * 7, abs=0.011)


def test_a_reload_keeps_the_merge_the_pins_and_what_can_be_undone(browser, tmp_path, suite_folder):
    """On whatever page; an address that is opened begins afresh."""
    with served(tmp_path, "--suite", str(suite_folder)) as address, opened(browser, address) as page:
        pins, undo = page.get_by_role("heading", name="Pins (1)"), page.get_by_role("button", name="Undo")
        wait_for_figure(page)
        entry = page.get_by_role("textbox", name="mono-eng, English (eng): value")
        entry.fill("0.35")
        entry.press("Enter")
        expect(undo).to_be_enabled(timeout=WAIT)
        page.get_by_role("button", name="Pin").click()
        expect(pins).to_be_visible(timeout=WAIT)
        for leave in (None, page.get_by_role("link", name="Suite")):
            if leave:
                leave.click()
                expect(page.get_by_role("heading", name="Losses")).to_be_visible(timeout=WAIT)
            page.reload(wait_until="domcontentloaded")
            page.reload()
            if leave:
                expect(page.get_by_role("heading", name="Losses")).to_be_visible(timeout=WAIT)
                wait_for_rest(page)
                page.get_by_role("link", name="Merge").click()
            expect(pins).to_be_visible(timeout=WAIT)
            expect(slider(page, "mono-eng")).to_have_value("0.35", timeout=WAIT)
            expect(undo).to_be_enabled(timeout=WAIT)
        page.goto(address)
        wait_for_figure(page)
        expect(slider(page, "mono-eng")).to_have_value("0.5")
        expect(pins).to_be_hidden()


def test_a_link_is_followed_that_is_clicked_right_after_a_reload(browser, tmp_path, suite_folder):
    """Before the page has said what it was: that would go back from where the link leads."""
    with served(tmp_path, "--suite", str(suite_folder)) as address, opened(browser, address) as page:
        wait_for_figure(page)
        entry = page.get_by_role("textbox", name="mono-eng, English (eng): value")
        entry.fill("0.35")
        entry.press("Enter")
        expect(page.get_by_role("button", name="Undo")).to_be_enabled(timeout=WAIT)
        page.get_by_role("link", name="Suite").click()
        expect(page.get_by_role("heading", name="Losses")).to_be_visible(timeout=WAIT)
        wait_for_rest(page)
        page.add_init_script(
            """const click = () => {
                 const link = document.querySelector("a[data-testid=stSidebarNavLink]");
                 if (!link || !document.querySelector("h1")) return requestAnimationFrame(click);
                 const say = WebSocket.prototype.send;
                 WebSocket.prototype.send = function (said) { setTimeout(() => say.call(this, said), 1000); };
                 link.focus();
                 link.click();
               };
               click();"""
        )
        page.reload()
        expect(slider(page, "mono-eng")).to_have_value("0.35", timeout=WAIT)


def test_undo_and_yaml_reach_what_lies_above_the_sliders(browser, tmp_path):
    """The sliders run by themselves; what moves them from within may change the method too, which lies outside."""
    with served(tmp_path) as address, opened(browser, address) as page:
        wait_for_figure(page)
        method = page.get_by_role("combobox", name="Method")
        slider(page, "mono-eng").focus()
        for key, value in (("ArrowRight", "0.11"), ("Control+z", "0.1"), ("Control+y", "0.11")):
            page.keyboard.press(key)
            expect(slider(page, "mono-eng")).to_have_value(value, timeout=WAIT)
            button = page.get_by_role("button", name="Redo" if key == "Control+z" else "Undo")
            expect(button).to_be_enabled(timeout=WAIT)
        page.get_by_text("YAML", exact=True).click()
        field = page.get_by_role("textbox", name="Recipe")
        expect(field).to_have_value(re.compile("merge_method: linear"), timeout=WAIT)
        wait_for_figure(page)
        wait_for_rest(page)
        field.press("x")
        field.press("Control+z")
        page.wait_for_timeout(500)
        wait_for_rest(page)
        expect(page.get_by_role("button", name="Redo")).to_be_disabled()
        page.wait_for_timeout(500)  # nobody types sooner
        field.fill(
            "merge_method: slerp\nmodels: [{model: mono-eng}, {model: mono-fra}]\nbase_model: mono-eng\n"
            "parameters: {t: 0.25}\n"
        )
        page.keyboard.press("Control+Enter")
        expect(method).to_have_value(re.compile("Slerp", re.IGNORECASE), timeout=WAIT)
        expect(page.get_by_text(re.compile("^SLERP.*Lower is better"))).to_be_visible(timeout=WAIT)
        wait_for_figure(page)
        wait_for_rest(page)
        expect(page.get_by_role("heading", name="Pins (1)")).to_be_hidden()
        for weight in ("0.11", "0.1"):
            page.get_by_role("button", name="Undo").click()
            expect(method).to_have_value("Linear average", timeout=WAIT)
            expect(field).to_have_value(re.compile(rf"mono-eng\s+parameters:\s+weight: {weight}\s"), timeout=WAIT)
            wait_for_rest(page)
        expect(page.get_by_role("button", name="Undo")).to_be_disabled(timeout=WAIT)
        page.get_by_text("Whole model", exact=True).click()
        expect(slider(page, "mono-eng")).to_have_value("0.1", timeout=WAIT)


def test_two_browsers_and_one_that_goes_away(browser, tmp_path):
    """Two sessions with different recipes see their own numbers only, while a third leaves in the middle of a drag."""
    with served(tmp_path / "app") as address, opened(browser, address) as one, opened(browser, address) as two:
        wait_for_figure(one)
        wait_for_figure(two)
        with opened(browser, address) as gone:
            wait_for_figure(gone)
            drag(gone, "mono-rus", 0.9, release=False)
        for parent, page, other in (("mono-eng", one, two), ("mono-tur", two, one)):
            drag(page, parent, 0.7)
            drag(other, "mono-ita" if other is one else "mono-spa", 0.5)
        for page in (one, two):
            wait_for_figure(page)
        for number, page in enumerate((one, two)):
            values = {f"mono-{code}": 0.1 for code in ("eng", "tur", "ita", "spa")}
            values = {name: float(slider(page, name).input_value()) for name in values}
            assert shown(page) == pytest.approx(measured(values, tmp_path / str(number)), rel=1e-4)


@pytest.mark.parametrize("name", ["path", "text"])
def test_other_pages(browser, tmp_path, name):
    """They answer a deep link on a fresh server and fit narrow screens."""
    views: tuple[tuple[int, Scheme], ...] = ((1440, "light"), (800, "dark"))
    with served(tmp_path) as address:
        for width, scheme in views:
            with opened(browser, f"{address}/{name}", width, 900, scheme) as page:
                page.get_by_role("button", name="CSV").first.wait_for(timeout=WAIT)
                wait_for_rest(page)
                shoot(page, f"{name}_{width}_{scheme}")
                overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                assert overflow <= 0, f"the page is {overflow} px too wide at {width}"


def test_own_suite(browser, tmp_path, suite_folder):
    """A path in the sidebar opens another suite; a wrong one is a message, and another session goes on."""
    with (
        served(tmp_path, "--suite", str(suite_folder)) as address,
        opened(browser, address) as page,
        opened(browser, f"{address}/suite") as other,
    ):
        wait_for_figure(page)
        expect(page.get_by_role("slider", name="mono-")).to_have_count(2)
        shoot(page, "own_suite")
        field = page.get_by_label("Suite", exact=True)
        field.fill("/no/such/suite")
        field.press("Enter")
        expect(page.get_by_text("/no/such/suite does not exist")).to_be_visible(timeout=WAIT)
        expect(page.locator(".live-plot")).to_have_count(0, timeout=WAIT)
        shoot(page, "wrong_suite")
        wait_for_figure(other)
        field.fill(str(suite_folder))
        field.press("Enter")
        wait_for_figure(page)


def test_a_suite_in_the_address_is_kept_on_the_way_to_another_page(browser, tmp_path, suite_folder):
    with served(tmp_path) as address, opened(browser, f"{address}/suite?suite={suite_folder}") as page:
        field = page.get_by_label("Suite", exact=True)
        wait_for_figure(page)
        expect(field).to_have_value(str(suite_folder))
        page.get_by_role("link", name="Models").click()
        expect(page.get_by_text("Choose languages or models above")).to_be_visible(timeout=WAIT)
        expect(field).to_have_value(str(suite_folder))


def test_unit_and_languages_in_the_address_are_kept_on_the_way_to_another_page(browser, tmp_path, suite_folder):
    with (
        served(tmp_path, "--suite", str(suite_folder)) as address,
        opened(browser, f"{address}/suite?unit=bits+per+byte&languages=deu") as page,
    ):
        wait_for_figure(page)
        page.get_by_role("link", name="Merge", exact=True).click()
        expect(merge_sentence(page)).to_contain_text("bits per byte (mean of 1 language", timeout=WAIT)


def test_back_and_forward_go_from_page_to_page_with_their_settings(browser, tmp_path):
    """One press each, also over pages whose settings are at their defaults."""
    with served(tmp_path / "app") as address, opened(browser, f"{address}/suite?unit=bits+per+byte") as page:
        wait_for_figure(page)

        def at(pattern: str, heading: str) -> None:
            expect(page).to_have_url(re.compile(pattern), timeout=WAIT)
            expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible(timeout=WAIT)
            expect(page).to_have_title(f"{heading} · Interference")
            wait_for_figure(page)

        page.get_by_role("link", name="Path", exact=True).click()
        at(r"/path\?unit=bits\+per\+byte$", "Path")
        points = page.get_by_role("spinbutton", name="Points")
        points.fill("7")
        points.press("Enter")
        at(r"/path\?points=7&unit=bits\+per\+byte$", "Path")
        page.get_by_role("link", name="Suite", exact=True).click()
        at(r"/suite\?unit=bits\+per\+byte$", "Suite")
        unit = page.get_by_role("combobox", name="Unit")
        unit.click()
        page.get_by_role("option", name="bits per sentence", exact=True).click()
        at(r"/suite$", "Suite")
        entries = page.context.new_cdp_session(page).send("Page.getNavigationHistory")["entries"]
        titles = [f"{name} · Interference" for name in ("Suite", "Path", "Suite")]
        assert [entry["title"] for entry in entries[-3:]] == titles
        page.go_back()
        at(r"/path\?points=7&unit=bits\+per\+byte$", "Path")
        expect(points).to_have_value("7")
        expect(unit).to_have_value("bits per byte")
        page.go_back()
        at(r"/suite\?unit=bits\+per\+byte$", "Suite")
        for _ in range(2):
            page.go_forward()
        at(r"/suite$", "Suite")
        expect(unit).to_have_value("bits per sentence")


def test_back_leads_to_a_page_as_it_was_left(browser, tmp_path, suite_folder):
    """Also where Undo took a setting out of its address, and where something was clicked meanwhile."""
    with served(tmp_path, "--suite", str(suite_folder)) as address, opened(browser, f"{address}/?view=no") as page:
        wait_for_figure(page)
        damaged = page.get_by_text("This link is damaged")
        expect(damaged).to_be_visible()
        before = page.evaluate("history.length")
        unit = page.get_by_role("combobox", name="Unit")
        unit.click()
        page.get_by_role("option", name="bits per byte", exact=True).click()
        expect(page).to_have_url(f"{address}/?unit=bits+per+byte")
        page.get_by_role("button", name="Undo").click()
        expect(page).to_have_url(f"{address}/")
        page.get_by_role("link", name="Path", exact=True).click()
        points = page.get_by_role("spinbutton", name="Points")
        points.fill("7")
        points.press("Enter")
        expect(page).to_have_url(f"{address}/path?points=7")
        expect(damaged).to_have_count(0)
        page.evaluate(  # clicks that come between the messages of a change of pages
            """() => new MutationObserver(() => document.body.click())
                       .observe(document.querySelector("title"), { childList: true })"""
        )
        page.get_by_role("link", name="Suite", exact=True).click()
        expect(page).to_have_url(f"{address}/suite")
        wait_for_rest(page)
        assert page.evaluate("history.length") == before + 2
        page.evaluate(
            """() => { new MutationObserver((_, observer) => {
                         if (document.querySelector("h1")?.innerText !== "Path") return;
                         observer.disconnect();
                         document.querySelector('a[href$="/weights"]').click();
                       }).observe(document, { childList: true, characterData: true, subtree: true });
                       history.back(); }"""
        )
        expect(page).to_have_url(f"{address}/weights")
        for entry in ("/path?points=7", "/"):
            wait_for_rest(page)
            page.go_back()
            expect(page).to_have_url(f"{address}{entry}")
        wait_for_figure(page)
        expect(unit).to_have_value("bits per sentence")


def test_back_passes_over_an_address_that_was_put_right(browser, tmp_path, suite_folder):
    """On a warm server Streamlit does that before any script of ours is there."""
    with served(tmp_path, "--suite", str(suite_folder)) as address:
        for asked, taken in (
            ("/", "/"),
            ("/?view=no", "/"),
            ("/suite?languages=deu&unit=no", r"/suite?languages=German+%28deu%29"),
        ):
            with opened(browser, f"{address}{asked}") as page:
                wait_for_figure(page)
                wait_for_rest(page)
                expect(page).to_have_url(f"{address}{taken}")
                page.evaluate("history.back()")
                expect(page).to_have_url("about:blank")


def run_history(page: Page) -> None:
    script = ROOT.joinpath("src/interference/ui/live/history.js").read_text(encoding="utf-8")
    page.evaluate(f"(() => {{ {script.replace('export default', 'return')} }})()({{ data: {{ settings: [] }} }})")


@pytest.mark.parametrize(("gone_to", "back_at"), [("/", "about:blank"), ("/path", "http://app.test/")])
def test_back_passes_over_no_page_that_was_left_before_the_script_came(browser, gone_to, back_at):
    with browser.new_page() as page:
        page.route("**/*", lambda route: route.fulfill(body="<title>page</title>", content_type="text/html"))
        page.goto("http://app.test/?unit=no")
        page.evaluate("to => ['/', to].forEach(address => history.pushState({}, '', address))", gone_to)
        run_history(page)
        page.evaluate("history.back()")
        expect(page).to_have_url(back_at)


@pytest.mark.parametrize("storage", ["throw new DOMException('none', 'SecurityError')", "return null"])
def test_pages_are_gone_back_to_where_a_browser_keeps_nothing(browser, storage):
    with browser.new_page() as page:
        page.add_init_script(f"Object.defineProperty(window, 'sessionStorage', {{ get() {{ {storage} }} }})")
        page.route("**/*", lambda route: route.fulfill(body="<title>page</title>", content_type="text/html"))
        page.goto("http://app.test/")
        run_history(page)
        assert page.evaluate("history.onePerPage")


def test_a_page_in_a_tab_of_its_own_takes_along_what_is_set_on_all(browser, tmp_path, suite_folder):
    with (
        served(tmp_path, "--suite", str(suite_folder)) as address,
        opened(browser, f"{address}/?unit=bits+per+byte&languages=deu&sentences=9") as page,
    ):
        wait_for_figure(page)
        wait_for_rest(page)
        before = page.url
        with page.context.expect_page() as new:
            page.get_by_role("link", name="Suite", exact=True).click(modifiers=["Control"])
        expect(new.value).to_have_url(f"{address}/suite?unit=bits+per+byte&languages=German+%28deu%29")
        assert page.url == before


def test_a_cell_goes_to_the_merge_page_where_the_address_names_widgets(browser, tmp_path, suite_folder):
    with (
        served(tmp_path, "--suite", str(suite_folder)) as address,
        opened(browser, f"{address}/causal?unit=bits+per+byte&causal_parent=mono-deu") as page,
    ):
        page.get_by_text("Click a cell").wait_for(timeout=WAIT)
        wait_for_rest(page)
        wait_for_figure(page)
        box = box_of(page.locator(".js-plotly-plot .heatmaplayer image").first)
        page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.4 * box["height"])
        page.get_by_role("button", name="Set the Merge page to it").click()
        expect(merge_sentence(page)).to_contain_text("bits per byte", timeout=WAIT)


def test_curves_of_a_path_are_inside_their_panels(browser, tmp_path):
    """All panels share one range, which holds every value; a figure drawn by the page alone would not show it."""
    with served(tmp_path / "app") as address, opened(browser, f"{address}/path?points=3") as page:
        page.get_by_role("button", name="CSV").first.wait_for(timeout=WAIT)
        wait_for_rest(page)
        wait_for_figure(page)
        shoot(page, "path")
        ranges, values = page.evaluate(
            "(() => { const plot = document.querySelector('.js-plotly-plot'), layout = plot._fullLayout;"
            "return [Object.keys(layout).filter(k => /^yaxis\\d*$/.test(k)).map(k => layout[k].range),"
            "plot._fullData.flatMap(trace => Array.from(trace.y))]; })()"
        )
    assert len(ranges) == 10
    assert all(limits == ranges[0] for limits in ranges)
    assert ranges[0][0] <= min(values)
    assert max(values) <= ranges[0][1]


def test_a_causal_map_is_cancelled_goes_on_and_hands_a_cell_over(browser, tmp_path):
    """What was tried before is kept; a click on a heat map is heard, which Streamlit's own charts do not hear."""
    with served(tmp_path / "app") as address, opened(browser, f"{address}/causal") as page:
        page.get_by_role("button", name="Cancel").click(timeout=WAIT)
        page.get_by_text("What has been tried is kept").wait_for(timeout=WAIT)
        page.get_by_role("button", name="Go on").click()
        page.get_by_text("Click a cell").wait_for(timeout=WAIT)
        wait_for_rest(page)
        wait_for_figure(page)
        expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        panel = box_of(page.locator(".live-plot .hm").first)
        page.mouse.click(panel["x"] + panel["width"] * 0.62, panel["y"] + panel["height"] * 0.3)
        expect(page.get_by_text("layer 0, mlp, one component of the merge in the parent")).to_be_visible(timeout=WAIT)
        shoot(page, "causal_cell")
        page.get_by_role("button", name="Set the Merge page to it").click()
        expect(page).to_have_url(re.compile(r"merge|/\?|/$"), timeout=WAIT)
        wait_for_figure(page)
        expect(page.get_by_text("layers.0.mlp").first).to_be_visible(timeout=WAIT)


@pytest.mark.parametrize(
    ("page_name", "maps"), [("weights?weights_view=Pairs", 5), ("similarity?similarity_view=Conditions", 3)]
)
def test_small_maps_fit_a_phone(browser, tmp_path, suite_folder, page_name, maps):
    """Those of the tensor groups and of the conditions are read without scrolling them."""
    with (
        served(tmp_path, "--suite", str(suite_folder)) as address,
        opened(browser, f"{address}/{page_name}", 390, 844, "dark") as page,
    ):
        page.get_by_role("button", name="CSV").first.wait_for(timeout=WAIT)
        wait_for_rest(page)
        expect(page.locator(".js-plotly-plot")).to_have_count(maps, timeout=WAIT)
        small = page.locator("[class*=st-key-small_maps] .js-plotly-plot .main-svg:first-child")
        expect(small).to_have_count(maps - 1 if "weights" in page_name else maps, timeout=WAIT)
        for box in (box_of(small.nth(n)) for n in range(small.count())):
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
        shoot(page, f"small_maps_{page_name.split('?')[0]}")


@contextmanager
def behind_a_prefix(address: str, prefix: str) -> Iterator[str]:
    """A proxy that passes on what is below the prefix without it, and tells the server nothing of it."""
    host, _, port = address.removeprefix("http://").partition(":")

    class Proxy(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (byte := self.request.recv(1)):
                    return
                head += byte
            first, rest = head.split(b"\r\n", 1)
            verb, path, version = first.split(b" ")
            if not path.startswith(f"/{prefix}/".encode()):
                self.request.sendall(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n")
                return
            if b"upgrade: websocket" not in rest.lower():  # one request is all that is read of a connection
                rest = b"Connection: close\r\n" + re.sub(rb"(?im)^connection:.*\r\n", b"", rest)
            with socket.create_connection((host, int(port))) as server:
                server.sendall(b" ".join((verb, path.removeprefix(f"/{prefix}".encode()), version)) + b"\r\n" + rest)
                back = threading.Thread(target=_pass_on, args=(server, self.request), daemon=True)
                back.start()
                _pass_on(self.request, server)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as proxy:
        proxy.daemon_threads, proxy.block_on_close = True, False
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}/{prefix}"
        proxy.shutdown()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def test_figures_and_links_behind_a_proxy_that_strips_its_prefix(browser, tmp_path, suite_folder):
    """The prefix ends as a page's name does, which is no page here."""
    with (
        served(tmp_path, "--suite", str(suite_folder)) as direct,
        behind_a_prefix(direct, "hub/models") as address,
        opened(browser, f"{address}/suite") as page,
    ):
        page.locator(".main-svg").first.wait_for()
        page.get_by_role("link", name="Merge", exact=True).click()
        wait_for_figure(page)
        expect(page).to_have_url(f"{address}/")
        page.get_by_role("button", name="Link").click()
        link = page.locator("code", has_text="?view=").inner_text()
        assert link.startswith(f"{address}/?view=")
        page.goto(link)
        wait_for_figure(page)
        expect(page).to_have_url(f"{address}/")
