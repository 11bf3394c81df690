"""The dashboard in a real Chromium: start to the first page with its result, and reruns without work."""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measuring import report
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

ROUNDS, RERUNS = 3, 20
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
LIMIT = 120_000  # milliseconds
FIGURE = ".live-plot .main-svg, .js-plotly-plot .main-svg"


@contextmanager
def served(*command: str) -> Iterator[str]:
    """The dashboard as `make app` starts it, on a free port and with an empty store; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"INTERFERENCE_CACHE": folder}
        server = subprocess.Popen([*command, "app", "--port", str(port)], env=environment, stdout=subprocess.DEVNULL)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def visit(page: Page, address: str) -> None:
    """Open the address as soon as the server listens; a browser that tries in vain would take its processor time."""
    host, port = address.removeprefix("http://").split(":")
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    page.goto(address)


def time_start(browser: Browser) -> tuple[float, float]:
    """Seconds from the command to the page's frame, its menu and sidebar, and to the first figure."""
    start = time.perf_counter()
    with served(str(Path(sys.executable).with_name("interference"))) as address:
        page = browser.new_page()
        visit(page, address)
        page.get_by_role("textbox", name="Suite").wait_for(timeout=LIMIT)
        frame = time.perf_counter() - start
        page.locator(FIGURE).first.wait_for(timeout=LIMIT)
        figure = time.perf_counter() - start
        page.close()
    return frame, figure


def time_reruns(browser: Browser) -> dict[str, float]:
    """Median milliseconds that the server spends on a rerun for which every result is at hand."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "seconds")
        with served(sys.executable, __file__, "serve", str(log)) as address:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            visit(page, address)
            page.locator(FIGURE).first.wait_for(timeout=LIMIT)
            page.wait_for_timeout(2000)
            equal = page.get_by_role("button", name="Equal", exact=True)
            found = {"the fragment of the Merge page": reruns(page, log, equal.click)}
            found["the whole page, between pages"] = reruns(page, log, lambda: follow(page))
            page.close()
    return found


def follow(page: Page) -> None:
    """To the other page of the menu."""
    other = "Suite" if page.get_by_role("heading", name="Merge").count() else "Merge"
    page.get_by_role("link", name=other).click()
    page.get_by_role("heading", name=other, exact=True).wait_for(timeout=LIMIT)
    page.wait_for_timeout(300)


def reruns(page: Page, log: Path, act: Callable[[], object]) -> float:
    """Median milliseconds of the server's runs of the script after `act`, which is repeated; the first two warm up."""
    spent: list[float] = []
    for number in range(RERUNS + 2):
        before = len(log.read_text().splitlines())
        act()
        while len(lines := log.read_text().splitlines()) == before:
            page.wait_for_timeout(20)
        page.wait_for_timeout(200)
        if number > 1:
            spent += map(float, lines[before:])
    return statistics.median(spent) * 1e3


def serve(log: Path, arguments: list[str]) -> None:
    """The dashboard, writing the seconds of every run of its script, the collection of garbage after it included."""
    from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

    from interference.__main__ import main

    run = ScriptRunner._run_script

    def timed(self: ScriptRunner, *rest: object) -> None:
        start = time.perf_counter()
        try:
            run(self, *rest)  # type: ignore[arg-type]
        finally:
            with log.open("a") as handle:
                handle.write(f"{time.perf_counter() - start}\n")

    ScriptRunner._run_script = timed  # type: ignore[method-assign, assignment]
    main(arguments)


def browser_of(playwright: Playwright) -> Browser:
    """The browser that `make bench` found or installed."""
    path = os.environ.get("INTERFERENCE_BROWSER") or shutil.which("google-chrome") or shutil.which("chromium")
    if not path:
        sys.exit("No Chrome or Chromium found: set INTERFERENCE_BROWSER to its path, or run `make bench`.")
    return playwright.chromium.launch(executable_path=path, args=list(FLAGS))


def measure() -> None:
    with sync_playwright() as playwright:
        browser = browser_of(playwright)
        starts = [time_start(browser) for _ in range(ROUNDS + 1)][1:]
        spent = time_reruns(browser)
        browser.close()
    frame, figure = (statistics.median(times) for times in zip(*starts, strict=True))
    rows = [
        ("start to the page's frame, menu and sidebar", f"{frame:.2f} s"),
        ("start to the first figure, ten losses in it", f"{figure:.2f} s"),
    ]
    rows += [(f"server time of a rerun without work, {name}", f"{ms:.0f} ms") for name, ms in spent.items()]
    report("The dashboard in Chromium, from `interference app` on", ("", "median"), rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]), sys.argv[3:])
    else:
        measure()
