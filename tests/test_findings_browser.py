"""Findings in a real Chromium: the report opens offline, the presentation follows keys and sliders."""

import re

import pytest
from playwright.sync_api import expect
from test_browser import (
    SHOTS,
    WAIT,
    box_of,
    opened,
    served,
    server_unheard,
    shoot,
    wait_for_figure,
    wait_for_rest,
)

from interference.bench import View
from interference.findings import Block, Findings, to_json
from interference.recipe import Recipe
from interference.report import report_html
from interference.results import open_evaluator
from interference.shown import show_all
from interference.store import write_findings

pytestmark = pytest.mark.browser
SETTLED = 300  # ms until a page that shows a slide listens to keys; nobody presses the next one sooner
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> مرحبا بالعالم"
TABLE = f"*Text.*\n\n| a | b |\n|---|---|\n| {'many words ' * 40} | 1 |\n"


@pytest.fixture
def findings(suite_folder) -> Findings:
    """Three slides: a merge, words, a merge in another unit."""
    view = View(Recipe("linear", ("mono-eng", "mono-deu"), (0.7, 0.3)), str(suite_folder), sentences=6)
    other = View(Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5)), str(suite_folder), "", (), "bits per byte", 6)
    return Findings("Mine", (Block("One", TABLE, view), Block(HOSTILE, HOSTILE), Block("Three", "", other)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_opens_offline(browser, findings, tmp_path, scheme):
    """Every figure is drawn in the reader's colours; nothing is asked for, nothing complains, nobody's script runs."""
    outcomes = show_all((b.view for b in findings.blocks), lambda suite, corpus: open_evaluator(suite, device="cpu"))
    file = tmp_path / "report.html"
    file.write_text(report_html(findings, outcomes, "2026-01-02"), encoding="utf-8")
    context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": 800, "height": 900})
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    expect(page.locator(".figure > .plot-container")).to_have_count(2)
    text = page.locator(".xtick text").first.evaluate("e => getComputedStyle(e).fill")
    assert text == {"light": "rgb(36, 38, 45)", "dark": "rgb(232, 234, 240)"}[scheme]
    for width in (390, 800):
        page.set_viewport_size({"width": width, "height": 900})
        # Axes keep their names apart, and all fits, once the figures are drawn anew.
        sides = [f"document.querySelector('.figure .{axis}title')?.getBoundingClientRect()" for axis in ("x", "x2")]
        apart, fits = f"{sides[0]}?.right < {sides[1]}?.left", "document.documentElement.scrollWidth <= innerWidth"
        for _ in range(WAIT // 100):  # Playwright's own waiting is a script that the report forbids
            if page.evaluate(f"{apart} && {fits}"):
                break
            page.wait_for_timeout(100)
        else:
            pytest.fail(f"the names of axes meet, or the report is wider than {width}")
    assert page.title() == "Mine"
    assert (said, asked) == ([], [file.as_uri()])
    with page.expect_download() as download:
        page.get_by_role("link", name="Table, CSV").first.click()
    assert download.value.path().read_text().startswith("model,language,sentences,bits")
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"report_{scheme}.png", full_page=True)
    context.close()


def test_presentation(browser, findings, tmp_path):
    """Keys and buttons move, the address remembers the slide, sliders keep their own keys, Escape leaves."""
    (tmp_path / "app").mkdir()
    write_findings("Mine", to_json(findings), folder=tmp_path / "app/store")
    with served(tmp_path / "app") as address, opened(browser, f"{address}/findings?present=Mine") as page:

        def at(number: int) -> None:
            expect(page.get_by_text(f"{number} / 3 · Mine")).to_be_visible(timeout=WAIT)
            if number > 1:
                expect(page).to_have_url(re.compile(rf"slide={number}"))
            wait_for_rest(page)
            page.wait_for_timeout(SETTLED)

        at(1)
        wait_for_figure(page)
        expect(page.get_by_test_id("stSidebar")).to_be_hidden()
        shoot(page, "present")
        for key, number in (
            ("ArrowRight", 2), ("Space", 3), ("Home", 1), ("End", 3), ("ArrowLeft", 2), ("PageUp", 1), ("PageDown", 2),
        ):  # fmt: skip
            page.keyboard.press(key)
            at(number)
        expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
        assert page.locator("img[src=x]").count() == 0
        page.reload()
        at(2)
        page.keyboard.press("Home")
        at(1)
        page.get_by_role("button", name="Next").click()
        at(2)
        page.keyboard.press("Space")  # the button has the focus: one step all the same
        at(3)
        wait_for_figure(page)
        wait_for_rest(page)
        before = page.locator(".slide-text", has_text="The merge needs").inner_text()
        slider = page.get_by_role("slider", name="mono-eng")
        slider.focus()
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        expect(page.locator(".slide-text", has_text="The merge needs")).not_to_have_text(before, timeout=WAIT)
        at(3)
        assert slider.input_value() == "0.7"
        page.keyboard.press("Escape")
        expect(page.get_by_role("heading", name="Findings")).to_be_visible(timeout=WAIT)
        expect(page.get_by_role("textbox", name="Title")).to_have_value("Mine")
        expect(page).not_to_have_url(re.compile("present="))
        wait_for_figure(page)
        shoot(page, "findings")


def test_a_slide_of_ten_languages_fits_a_small_projector(browser, tmp_path):
    """All of its figure, axes included, above the buttons, and every language with its name."""
    monos = tuple(f"mono-{code}" for code in ("eng", "nld", "deu", "fra", "spa", "ita", "rus", "tur", "ara", "zho"))
    ten = Findings(
        "Ten",
        (Block("All averaged", "They do not average.", View(Recipe("linear", monos, (0.1,) * 10), sentences=10)),),
    )
    (tmp_path / "app").mkdir()
    write_findings("Ten", to_json(ten), folder=tmp_path / "app/store")
    with (
        served(tmp_path / "app") as address,
        opened(browser, f"{address}/findings?present=Ten", 1280, 720) as page,
    ):
        wait_for_figure(page)
        wait_for_rest(page)
        shoot(page, "present_small")
        title = box_of(page.locator(".live-plot .xtitle").first)
        assert title["y"] + title["height"] <= box_of(page.locator(".st-key-slide_controls"))["y"]
        expect(page.locator(".live-plot .yaxislayer-above .ytick text")).to_have_count(10)


def test_a_slide_left_is_not_come_back_to(browser, findings, tmp_path):
    """A figure that asks for more says the address as it was before the key was heard."""
    (tmp_path / "app").mkdir()
    write_findings("Mine", to_json(findings), folder=tmp_path / "app/store")
    with served(tmp_path / "app") as address, opened(browser, f"{address}/findings?present=Mine") as page:
        expect(page.get_by_text("1 / 3 · Mine")).to_be_visible(timeout=WAIT)
        wait_for_figure(page)
        wait_for_rest(page)
        page.wait_for_timeout(SETTLED)
        with server_unheard(page):
            page.keyboard.press("End")
            page.wait_for_function("held.length === 1")
            page.evaluate("document.querySelector('.live-plot').livePlot.trigger('tick', 99)")
            page.wait_for_function("held.length === 2")
        expect(page.get_by_text("3 / 3 · Mine")).to_be_visible(timeout=WAIT)
        page.wait_for_timeout(1500)
        wait_for_rest(page)
        expect(page.get_by_text("3 / 3 · Mine")).to_be_visible()
        page.go_back()
        expect(page.get_by_text("1 / 3 · Mine")).to_be_visible(timeout=WAIT)


def test_presenting_is_one_step_back(browser, findings, tmp_path):
    (tmp_path / "app").mkdir()
    write_findings("Mine", to_json(findings), folder=tmp_path / "app/store")
    with served(tmp_path / "app") as address, opened(browser, f"{address}/findings") as page:
        wait_for_figure(page)
        wait_for_rest(page)
        page.get_by_role("button", name="Present", exact=True).click()
        expect(page.get_by_text("1 / 3 · Mine")).to_be_visible(timeout=WAIT)
        wait_for_rest(page)
        page.go_back()
        expect(page.get_by_role("heading", name="Findings", exact=True)).to_be_visible(timeout=WAIT)
