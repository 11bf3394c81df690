"""Three journeys through the dashboard in a real Chromium, each leaving screenshots in test-results/."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect, sync_playwright

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[1]
SHOTS = ROOT / "test-results"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Scheme = Literal["light", "dark"]
WAIT = 120_000  # milliseconds for a first result on a busy machine


def browser_path() -> str:
    """The browser that `make test` found or installed."""
    names = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser")
    found = os.environ.get("INTERFERENCE_BROWSER") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.fail(
            "No Chrome or Chromium found. Run `make test`, which installs one, or set INTERFERENCE_BROWSER to its path."
        )
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield instance
        instance.close()


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """`interference app` on a free port, started in an empty folder; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"INTERFERENCE_CACHE": str(folder / "store")}
    command = [sys.executable, "-m", "interference", "app", "--port", str(port), *options]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait_for(address: str, server: subprocess.Popen) -> None:
    for _ in range(300):
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
    page = context.new_page()
    page.goto(address)
    yield page
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


def wait_for_figure(page: Page) -> None:
    page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=WAIT)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def merge_sentence(page: Page) -> Locator:
    return page.locator("p", has_text=re.compile("^The merge needs"))


def test_first_visit(browser, tmp_path):
    """The built-in suite opens with the equal merge drawn; every page answers a deep link on a fresh server."""
    with served(tmp_path) as address:
        with opened(browser, f"{address}/suite") as page:  # the first request this server ever gets
            wait_for_figure(page)
            expect(page.get_by_role("link", name="Merge")).to_be_visible()
            shoot(page, "suite")
        with opened(browser, address) as page:
            wait_for_figure(page)
            sliders = page.get_by_test_id("stSlider")
            expect(sliders).to_have_count(10)
            boxes = [box_of(sliders.nth(i)) for i in range(10)]
            assert all(box["y"] >= 0 and box["y"] + box["height"] <= 900 for box in boxes), "ten sliders need scrolling"
            assert "10 of 10" in merge_sentence(page).inner_text(), (
                "the equal merge of the monos should be at the untrained level"
            )
            shoot(page, "merge")
        views: tuple[tuple[str, int, Scheme], ...] = (
            ("dark", 1440, "dark"),
            ("narrow", 800, "light"),
            ("phone", 390, "dark"),
        )
        for name, width, scheme in views:
            with opened(browser, address, width, 900, scheme) as page:
                wait_for_figure(page)
                shoot(page, f"merge_{name}")
                overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                assert overflow <= 0, f"the page is {overflow} px too wide at {width}"


def test_moving_a_slider(browser, tmp_path):
    """Released at another value, the slider redraws the losses; Only gives the favoured language its expert back."""
    with served(tmp_path) as address, opened(browser, address) as page:
        wait_for_figure(page)
        before = merge_sentence(page).inner_text()
        handle = page.get_by_role("slider", name="mono-deu")
        box = box_of(page.get_by_test_id("stSlider").filter(has_text="mono-deu"))
        thumb = box_of(handle.locator("xpath=.."))
        page.mouse.move(thumb["x"] + thumb["width"] / 2, thumb["y"] + thumb["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.9, thumb["y"] + thumb["height"] / 2, steps=8)
        page.mouse.up()
        expect(merge_sentence(page)).not_to_have_text(before, timeout=WAIT)
        shoot(page, "slider_moved")
        page.get_by_role("button", name="Only").click()
        expect(merge_sentence(page)).to_contain_text("9 of 10", timeout=WAIT)
        shoot(page, "only_english")


def test_own_suite(browser, tmp_path, suite_folder):
    """A path in the sidebar opens another suite; a wrong one is a message, and another session goes on."""
    with (
        served(tmp_path, "--suite", str(suite_folder)) as address,
        opened(browser, address) as page,
        opened(browser, f"{address}/suite") as other,
    ):
        wait_for_figure(page)
        expect(page.get_by_test_id("stSlider")).to_have_count(2)
        shoot(page, "own_suite")
        field = page.get_by_label("Suite", exact=True)
        field.fill("/no/such/suite")
        field.press("Enter")
        expect(page.get_by_text("/no/such/suite does not exist")).to_be_visible(timeout=WAIT)
        shoot(page, "wrong_suite")
        wait_for_figure(other)
        field.fill(str(suite_folder))
        field.press("Enter")
        wait_for_figure(page)


def test_curves_of_a_path_are_inside_their_panels(browser, tmp_path):
    """All panels share one range, which holds every value; a figure drawn by the page alone would not show it."""
    with served(tmp_path / "app") as address, opened(browser, f"{address}/path?points=3") as page:
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
