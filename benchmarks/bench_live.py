"""Dragging a coefficient in a real Chromium: ten parents, ten languages, the built-in suite."""

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_app import LIMIT, browser_of, served, visit
from measuring import memory, report
from playwright.sync_api import Browser, Page, sync_playwright

ROUNDS, MOVES, DRAG_SECONDS = 30, 500, 1.0
LISTEN = """() => {
  const plot = document.querySelector('.live-plot');
  window.drawn = []; window.changed = []; window.thumbs = []; window.reacts = [];
  plot.on('plotly_afterplot', () => requestAnimationFrame(() => window.changed.push(performance.now())));
  // Heard too where the figure stays as it is: what is on the screen is then what was asked for.
  document.addEventListener('interference:drawn', () => requestAnimationFrame(() => window.drawn.push(
    [performance.now(), !plot.layout.title.text.includes('preview')])));
  const react = Plotly.react;
  Plotly.react = async (...rest) => {
    const start = performance.now();
    const found = await react(...rest);
    window.reacts.push(performance.now() - start);
    return found;
  };
  const panel = [...document.querySelectorAll('*')].find((e) => e.shadowRoot?.querySelector('.panel')).shadowRoot;
  let moved = 0;
  document.addEventListener('keydown', (event) => { window.pressed = event.timeStamp; }, true);
  panel.addEventListener('pointermove', (event) => { moved = event.timeStamp; }, true);
  panel.addEventListener('input', () => {
    const from = moved;
    requestAnimationFrame(() => { if (from) window.thumbs.push(performance.now() - from); });
  }, true);
}"""


class Bench:
    """A page on the dashboard, its figure drawn and its panel listened to."""

    def __init__(self, browser: Browser, address: str, log: Path, slider: int = 2):
        self.page: Page = browser.new_page(viewport={"width": 1440, "height": 900})
        self.log = log
        visit(self.page, address)
        self.rest()
        self.page.evaluate(LISTEN)
        box = self.page.get_by_role("slider").nth(slider).bounding_box()
        assert box
        self.left, self.width, self.y = box["x"] + 8, box["width"] - 16, box["y"] + box["height"] / 2
        self.place = 0.1

    def rest(self) -> None:
        self.page.wait_for_function("document.querySelector('.live-plot')?.dataset.pending === 'false'", timeout=LIMIT)

    def to(self, place: float) -> None:
        self.page.mouse.move(self.left + self.width * place, self.y)

    def drag(self, place: float, seconds: float = DRAG_SECONDS) -> dict[str, float]:
        """Drag the third slider to a place; milliseconds of each part of what follows."""
        page, start = self.page, self.place
        self.to(start)
        page.mouse.down()
        page.evaluate("() => { drawn.length = changed.length = thumbs.length = reacts.length = 0; }")
        began = time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds:
            self.to(start + (place - start) * spent / seconds)
            time.sleep(0.01)
        moving, spent = page.evaluate("changed.length"), time.perf_counter() - began
        self.to(place)
        before = len(self.log.read_text().splitlines())
        released = page.evaluate("performance.now()")
        page.mouse.up()
        page.wait_for_function("(t) => drawn.some(([at, full]) => at > t && full)", arg=released, timeout=LIMIT)
        drawn = [(at - released, full) for at, full in page.evaluate("drawn") if at > released]
        parts = [line.split() for line in self.log.read_text().splitlines()[before:]]
        self.place = place
        sums = {kind: sum(float(s) for k, s in parts if k == kind) * 1e3 for kind in ("merge", "score", "script")}
        return {
            "figure updates a second while dragging": moving / spent,
            "pointer to thumb, ms": statistics.median(page.evaluate("thumbs") or [0.0]),
            "release to first figure, ms": drawn[0][0],
            "release to full figure, ms": next(at for at, full in drawn if full),
            "of which merging, ms": sums["merge"],
            "of which scoring, ms": sums["score"],
            "of which the page's script, ms": sums["script"],
            "drawing one figure, ms": statistics.median(page.evaluate("reacts") or [0.0]),
        }


@contextmanager
def opened(browser: Browser) -> Iterator[tuple[str, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "seconds")
        log.touch()
        with served(sys.executable, __file__, "serve", str(log)) as address:
            yield address, log


def measure(browser: Browser) -> list[tuple[str, str, str]]:
    rng = random.Random(0)
    # No place twice: the full result of a known one is drawn before the slider is released.
    places = iter(rng.sample([n / 100 for n in range(12, 96)], ROUNDS + ROUNDS // 3))
    with opened(browser) as (address, log):
        bench = Bench(browser, address, log)
        alone = [bench.drag(next(places)) for _ in range(ROUNDS)]
        seen, grown = back(bench), memory_of(bench, log)
        busy = Bench(browser, address, log, slider=5)
        busy.page.get_by_role("spinbutton", name="Sentences per language").fill("500")
        busy.page.keyboard.press("Enter")
        beside = []
        for place in rng.sample([n / 100 for n in range(12, 96)], ROUNDS // 3):
            busy.page.mouse.click(busy.left + busy.width * place, busy.y)
            beside.append(bench.drag(next(places)))
        busy.page.close()
    rows = [(name, *spread([one[name] for one in alone])) for name in alone[0]]
    both = ("figure updates a second while dragging", "release to first figure, ms", "release to full figure, ms")
    rows += [(f"beside a full evaluation: {name}", *spread([one[name] for one in beside])) for name in both]
    for what, values in zip(("the figure", "all of the page"), seen, strict=True):
        rows.append((f"back at a place seen before: {what}, ms", *spread(values)))
    rows += [(f"memory after {MOVES} moves, MiB more", grown, "")]
    return rows


def spread(values: list[float]) -> tuple[str, str]:
    ordered = sorted(values)
    return f"{statistics.median(ordered):.1f}", f"{ordered[int(0.95 * (len(ordered) - 1))]:.1f}"


def back(bench: Bench) -> tuple[list[float], list[float]]:
    """Milliseconds from a key that moves the slider to a place known in full: to its figure, and to all of the page."""
    page, figures, pages = bench.page, [], []
    page.get_by_role("slider").nth(2).focus()
    for number in range(ROUNDS + 2):
        page.evaluate("() => { drawn.length = changed.length = 0; }")
        page.keyboard.press("ArrowLeft" if number % 2 else "ArrowRight")
        if number < 2:  # not seen before
            page.wait_for_function("drawn.some(([, full]) => full)", timeout=LIMIT)
        else:
            page.wait_for_function("drawn.length > 0", timeout=LIMIT)
            figures.append(page.evaluate("changed[0] - pressed"))
            pages.append(page.evaluate("drawn[0][0] - pressed"))
        page.wait_for_timeout(800)
        bench.rest()
    return figures, pages


def memory_of(bench: Bench, log: Path) -> str:
    """How much the server's resident memory grew over many moves, after as many to warm up."""
    pid = int(log.with_name("pid").read_text())

    def resident() -> float:
        return memory("VmRSS", pid) / 2**20

    rng, before = random.Random(1), 0.0
    bench.page.get_by_role("slider").nth(2).focus()
    for number in range(2 * MOVES):
        if number == MOVES:
            before = resident()
        bench.page.keyboard.press(rng.choice(("ArrowLeft", "ArrowRight")))
        bench.page.wait_for_timeout(20)
    bench.page.wait_for_timeout(2000)
    bench.rest()
    return f"{resident() - before:.0f}"


def serve(log: Path, arguments: list[str]) -> None:
    """The dashboard, writing what merging, scoring and every run of its script take."""
    from interference.__main__ import main, share_cores

    share_cores()  # before torch is imported
    from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

    from interference import evaluate, networks

    log.with_name("pid").write_text(str(os.getpid()))

    def note(kind: str, start: float) -> None:
        with log.open("a") as handle:
            handle.write(f"{kind} {time.perf_counter() - start}\n")

    merge_into, score, run = networks.merge_into, evaluate.Evaluator.score_steps, ScriptRunner._run_script

    def merging(*rest):  # type: ignore[no-untyped-def]
        start = time.perf_counter()
        try:
            return merge_into(*rest)
        finally:
            note("merge", start)

    def scoring(self, *rest, **named):  # type: ignore[no-untyped-def]
        steps = score(self, *rest, **named)
        while True:
            start = time.perf_counter()
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            note("score", start)
            yield

    def running(self, *rest):  # type: ignore[no-untyped-def]
        start = time.perf_counter()
        try:
            run(self, *rest)
        finally:
            note("script", start)

    networks.merge_into = merging
    evaluate.Evaluator.score_steps = scoring  # type: ignore[method-assign]
    ScriptRunner._run_script = running  # type: ignore[method-assign]
    main(arguments)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]), sys.argv[3:])
    else:
        with sync_playwright() as playwright:
            rows = measure(browser_of(playwright))
        report(f"Dragging one of ten coefficients in Chromium, {ROUNDS} times", ("", "median", "95th percentile"), rows)
