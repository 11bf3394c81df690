"""The live components: what is believed of a browser, and both of them in a real Chromium."""

import itertools
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from streamlit.testing.v1 import AppTest
from test_browser import WAIT, box_of, server_unheard, serving, shoot, wait_for_rest

import interference.ui.live

FOLDER = Path(interference.ui.live.__file__).parent
APP = Path(__file__).parent / "live_app.py"
EQUAL = (0.1,) * 10


@pytest.fixture(autouse=True)
def counted(monkeypatch) -> None:
    """Versions of a panel from 1, so that a test can say something of one before there is any."""
    monkeypatch.setattr("interference.ui.live.panel.turn", itertools.count(1).__next__)


def text_of(at: AppTest, name: str) -> str:
    return next(t.value for t in at.text if t.value.startswith(f"{name} ")).removeprefix(f"{name} ")


def said(**changes: Any) -> dict[str, Any]:
    """What the panel of ten parents sends first, with some things changed."""
    off = [False] * 10
    state = {"values": [0.2] * 10, "lock": off, "mute": off, "solo": None, "normalise": False, "share": False}
    return {"value": state | {"moving": False, "seq": 1, "version": 1} | changes}


def run_app(state: Any = None) -> AppTest:
    at = AppTest.from_file(str(APP), default_timeout=120)
    if state is not None:
        at.session_state["weights"] = state
    at.run()
    assert not at.exception
    return at


def test_panel_starts_where_the_page_says():
    assert text_of(run_app(), "values") == str(list(EQUAL))


def test_panel_takes_what_the_browser_says():
    at = run_app(said(mute=[True] + [False] * 9, moving=True))
    assert text_of(at, "values") == str([0.2] * 10)
    assert text_of(at, "effective") == str([0.0] + [0.2] * 9)
    assert text_of(at, "moving") == "True"


@pytest.mark.parametrize(
    "state",
    [
        "text",
        {"value": None},
        {"value": [0.2] * 10},
        said(values=[0.2] * 9),
        said(values=["0.2"] * 10),
        said(values=[True] * 10),
        said(values=[float("nan")] + [0.2] * 9),
        said(values=[float("inf")] + [0.2] * 9),
        said(values=[1.01] + [0.2] * 9),
        said(values=[10**400] + [0.2] * 9),
        said(values={"0": 0.2}),
        said(lock=[0] * 10),
        said(mute=[]),
        said(solo=10),
        said(solo=-1),
        said(solo=True),
        said(solo="0"),
        said(version=7),
        said(version=[]),
    ],
)
def test_panel_does_not_take_what_no_panel_says(state):
    assert text_of(run_app(state), "values") == str(list(EQUAL))


def test_panel_falls_back_to_its_last_good_values():
    at = run_app(said())
    at.session_state["weights"] = said(values=["x"] * 10)
    at.run()
    assert text_of(at, "values") == str([0.2] * 10)


def test_new_values_of_the_page_move_the_panel_and_the_same_ones_do_not():
    at = run_app(said(mute=[True] * 10))
    at.session_state["asked"] = (0.5,) * 10
    assert text_of(at.run(), "effective") == str([0.5] * 10), "new values are heard, so mutes are off"
    at.session_state["weights"] = said(version=2)
    assert text_of(at.run(), "values") == str([0.2] * 10)
    at.button(key="equal").click().run()
    assert text_of(at, "values") == str(list(EQUAL))
    at.session_state["weights"] = said(version=2)
    assert text_of(at.run(), "values") == str(list(EQUAL)), "said before the browser had seen the preset"


def test_panel_shows_what_sets_its_parents_apart():
    """Of ids of the Hub, whose ends there is no room for; the whole name is the row's title."""

    def page() -> None:
        from interference.ui.live import coefficient_panel

        coefficient_panel(("pythia-14m-seed1", "pythia-14m-seed2"), (0.5, 0.5), key="panel")

    (part,) = AppTest.from_function(page, default_timeout=120).run().get("bidi_component")
    assert json.loads(part.proto.bytes or part.proto.json)["form"]["labels"] == ["…seed1", "…seed2"]


def test_figure_travels_without_template_and_with_typed_arrays():
    import numpy as np
    import plotly.graph_objects as go

    from interference.ui.live.plot import _compact

    figure = go.Figure(go.Heatmap(z=np.zeros((50, 50), dtype=np.float32)), {"title": {"text": "bits"}})
    assert len(_compact(figure)) < 14_000 < len(figure.to_json())
    assert '"title":{"text":"bits"}' in _compact(figure)


@pytest.mark.parametrize("click", [None, 3, {}, {"curve": "0", "x": 1}])
def test_click_that_no_plot_sends_is_none(click):
    from interference.ui.live.plot import _point

    assert _point(click) is None


# In the browser


@pytest.mark.parametrize(
    ("name", "scripts", "older", "newer"),
    [
        ("panel", ("coefficients.js", "pace.js", "panel.js"), {"values": [0.1, 0.2]}, {"values": [0.3, 0.4]}),
        ("profile", ("coefficients.js", "pace.js", "profile.js"), [[0.1, 0.2]], [[0.3, 0.4]]),
        ("choice", ("choice.js",), "a", "b"),
        ("live-plot", ("load.js", "plot.js"), "older", "newer"),
    ],
)
def test_an_update_that_was_overtaken_is_not_heard(browser, name, scripts, older, newer):
    """The first two of a component wait for its script, and browsers may let the second go first."""

    def data(turn: int, value: Any) -> dict[str, Any]:
        off = {"lock": [False] * 2, "mute": [False] * 2, "solo": None, "normalise": False, "share": False}
        form = {"parents": ["x", "y"], "labels": ["x", "y"], "names": ["", ""], "low": 0, "high": 1, "step": 0.01}
        lines = {"columns": ["p", "q"], "layers": 0, "most": 2} if name == "profile" else {}
        if name == "panel":
            return {"version": turn, "label": "", "help": "", "form": form, "state": off | value}
        if name == "profile":
            return {"version": turn, "label": "", "help": "", "form": form | lines | {"names": ["x"]}, "rows": value}
        if name == "choice":
            groups = [["", False, [["a", "A"], ["b", "B"]]]]
            return {"turn": turn, "label": "", "help": "", "groups": groups, "value": value, "disabled": False}
        return {"turn": turn, "src": "data:text/javascript,", "height": 100, "alt": value, "pending": False}

    page = browser.new_page()
    found = page.evaluate(
        """async ([name, script, updates]) => {
          const { default: show } = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
          const part = document.body, nothing = () => {};
          part.innerHTML = `<div class="${name}"></div><div class="${name}-message"></div>`;
          for (const said of updates) {
            const data = name === "live-plot" ? new TextEncoder().encode(JSON.stringify(said)) : said;
            show({ data, parentElement: part, setStateValue: nothing, setTriggerValue: nothing });
          }
          const { panel, editor, select, livePlot } = part.firstChild;
          return panel?.state.values ?? editor?.rows ?? select?.value ?? livePlot.asked.alt;
        }""",
        [name, interference.ui.live.plot.source(*scripts), [data(2, newer), data(1, older)]],
    )
    page.close()
    assert found == (newer["values"] if name == "panel" else newer)


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """The app of this test, served from a folder that can't be written to."""
    folder = tmp_path_factory.mktemp("live")
    (folder / "empty").mkdir(mode=0o500)
    command = ["streamlit", "run", str(APP), "--server.port={port}", "--server.headless=true"]
    command += ["--browser.gatherUsageStats=false", "--server.fileWatcherType=none", "--server.address=127.0.0.1"]
    command += ["--global.minCachedMessageSize=1e12"]  # as in .streamlit/config.toml
    with serving(*command, folder=folder / "empty", log=folder / "log", HOME=str(folder / "empty")) as served:
        yield served


@pytest.fixture
def page(browser, address) -> Iterator[Page]:
    """The app, opened; at the end the console must be free of errors."""
    yield from opened(browser, address)


def opened(browser: Browser, address: str, query: str = "", **options: Any) -> Iterator[Page]:
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
    page = context.new_page()
    page.set_default_timeout(WAIT)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        page.goto(f"{address}/{query}")
        slider(page, "mono-eng").wait_for()
        yield page
    finally:
        context.close()
    assert complaints == []


def slider(page: Page, parent: str) -> Locator:
    return page.get_by_role("slider", name=re.compile(f"^{parent}"))


def entry(page: Page, parent: str) -> Locator:
    return page.get_by_role("textbox", name=re.compile(f"^{parent}"))


def button(page: Page, name: str) -> Locator:
    return page.locator(".panel").get_by_role("button", name=re.compile(f"^{name}"))


def line(page: Page, name: str) -> Locator:
    return page.get_by_test_id("stText").filter(has_text=re.compile(f"^{name} "))


def number(page: Page, name: str) -> int:
    return int(line(page, name).inner_text().split()[1])


def expect_values(page: Page, *values: float, name: str = "values") -> None:
    """The server's values; those not given are like the last one given."""
    whole = [*values, *[values[-1]] * (10 - len(values))]
    expect(line(page, name)).to_have_text(f"{name} {whole}")


def type_value(page: Page, parent: str, text: str) -> None:
    entry(page, parent).fill(text)
    entry(page, parent).press("Enter")


WATCH = """(slider) => {
  window.seen = [];
  new MutationObserver(() => {
    const texts = [...document.querySelectorAll('[data-testid=stText]')].map((t) => t.innerText);
    const now = texts.filter((t) => /^(values|moving)/.test(t)).join(' ');
    if (now !== window.seen.at(-1)) window.seen.push(now);
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
  window.lags = [];
  slider.addEventListener('pointermove', (event) => {
    const box = slider.getBoundingClientRect(), at = (event.clientX - box.left - 7) / (box.width - 14);
    requestAnimationFrame(() => window.lags.push(Math.abs(Number(slider.value) - at)));
  });
}"""


def drag(page: Page, parent: str, to: float, steps: int = 30) -> None:
    """Press on the thumb, move to a part of the slider's length, and stay there."""
    box, value = box_of(slider(page, parent)), float(slider(page, parent).input_value())
    at = lambda part: box["x"] + 7 + part * (box["width"] - 14)  # noqa: E731
    page.mouse.move(at(value), box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(1, steps + 1):
        page.mouse.move(at(value + (to - value) * step / steps), box["y"] + box["height"] / 2)
        page.wait_for_timeout(20)


@pytest.mark.browser
def test_drag_is_heard_while_it_moves_and_once_at_its_end(page):
    slider(page, "mono-deu").evaluate(WATCH)
    drag(page, "mono-deu", 0.9, steps=80)
    assert max(page.evaluate("window.lags")) < 0.02, "the thumb is where the pointer is, at the next frame"
    box, results = box_of(slider(page, "mono-deu")), "new Set(window.seen.filter((s) => /moving True/.test(s))).size"
    for step in range(WAIT // 20):  # to and fro, as long as a slow machine takes
        if page.evaluate(results) >= 3 and step % 10 == 0:
            break
        part = 0.9 - 0.01 * ((step + 1) % 10)
        page.mouse.move(box["x"] + 7 + part * (box["width"] - 14), box["y"] + box["height"] / 2)
        page.wait_for_timeout(20)
    assert page.evaluate(results) >= 3, "results arrive while the slider moves"
    expect(line(page, "moving")).to_have_text("moving True")
    page.mouse.up()
    expect(line(page, "moving")).to_have_text("moving False")
    expect_values(page, 0.1, 0.1, 0.9, 0.1)
    wait_for_rest(page)
    sequence = number(page, "seq")
    page.wait_for_timeout(600)
    wait_for_rest(page)
    assert number(page, "seq") == sequence, "one message at the end, and then silence"


@pytest.mark.browser
def test_finger_drags_and_targets_are_large(browser, address):
    options = {"viewport": {"width": 390, "height": 900}, "has_touch": True, "is_mobile": True}
    for page in opened(browser, address, "?width=340", **options):
        box = box_of(slider(page, "mono-nld"))
        assert box["height"] >= 40
        client = page.context.new_cdp_session(page)
        at = lambda part, box=box: {"x": box["x"] + 11 + part * (box["width"] - 22), "y": box["y"] + 20}  # noqa: E731
        client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at(0.1)]})
        for step in range(1, 21):
            client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at(0.1 + 0.02 * step)]})
            page.wait_for_timeout(20)
        expect(line(page, "moving")).to_have_text("moving True")
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        expect(line(page, "moving")).to_have_text("moving False")
        expect_values(page, 0.1, 0.5, 0.1)
        shoot(page, "live_touch")


@pytest.mark.browser
def test_forty_fast_keys_are_all_counted(page):
    slider(page, "mono-eng").focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    expect(line(page, "moving")).to_have_text("moving False")
    expect_values(page, 0.5, 0.1)
    page.keyboard.press("End")
    expect_values(page, 1.0, 0.1)
    page.keyboard.press("PageDown")
    expect_values(page, 0.9, 0.1)
    page.keyboard.press("Home")
    expect_values(page, 0.0, 0.1)


@pytest.mark.browser
def test_typed_values(page):
    type_value(page, "mono-eng", "0,3")
    expect_values(page, 0.3, 0.1)
    expect(entry(page, "mono-eng")).to_have_value("0.30")
    type_value(page, "mono-eng", " .3333 ")
    expect_values(page, 0.3333, 0.1)
    for nonsense, message in (("rc3", "Not a number"), ("1.5", "Only 0 to 1"), ("-0.1", "Only 0 to 1"), ("", "Not a")):
        type_value(page, "mono-nld", nonsense)
        expect(page.get_by_role("alert").filter(has_text=message)).to_be_visible()
        expect(entry(page, "mono-nld")).to_have_value(nonsense)
    type_value(page, "mono-zho", "0.2")  # the other row's mistake stays to be put right
    expect_values(page, 0.3333, *EQUAL[1:9], 0.2)
    expect(page.get_by_role("alert").filter(has_text="Not a")).to_be_visible()
    entry(page, "mono-nld").press("Escape")
    expect(entry(page, "mono-nld")).to_have_value("0.10")
    expect(page.get_by_role("alert").filter(has_text="Not a")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)  # the app's shortcuts on r and c heard nothing


@pytest.mark.browser
def test_solo_mute_and_normalise(page):
    button(page, "Mute mono-nld").click()
    expect_values(page, 0.1, 0.0, 0.1, name="effective")
    button(page, "Solo mono-eng").click()
    expect_values(page, 0.1, 0.0, name="effective")
    expect(slider(page, "mono-deu")).to_have_attribute("aria-valuetext", "0.10, counts with 0.00")
    button(page, "Solo mono-deu").click()
    expect_values(page, 0.0, 0.0, 0.1, 0.0, name="effective")
    expect_values(page, 0.1)
    button(page, "Solo mono-deu").click()
    button(page, "Normalise").click()
    expect(slider(page, "mono-deu")).to_have_attribute("aria-valuetext", "0.10, counts with 0.1111")
    expect(page.locator(".sum")).to_have_text("Sum 1.00")
    expect_values(page, 0.1, 0.0, 0.1, name="effective")


@pytest.mark.browser
def test_sharing_keeps_the_sum_and_gives_back(page):
    type_value(page, "mono-ita", "0.2")  # else those brought to 0 would come back right by chance
    button(page, "Share").click()
    button(page, "Lock mono-nld").click()
    button(page, "Mute mono-zho").click()
    drag(page, "mono-eng", 0.5, steps=10)
    expect(entry(page, "mono-deu")).to_have_value("0.05")
    drag_back = box_of(slider(page, "mono-eng"))
    page.mouse.move(drag_back["x"] + drag_back["width"], drag_back["y"] + 10)  # further than the others can give
    expect(entry(page, "mono-eng")).to_have_value("0.90")
    expect(entry(page, "mono-deu")).to_have_value("0.00")
    page.mouse.move(drag_back["x"] + 7 + 0.1 * (drag_back["width"] - 14), drag_back["y"] + 10)
    page.mouse.up()
    expect_values(page, *EQUAL[:5], 0.2, 0.1)


@pytest.mark.browser
def test_preset_moves_the_thumbs(page):
    drag(page, "mono-eng", 0.6, steps=5)
    page.mouse.up()
    button(page, "Mute mono-nld").click()
    expect_values(page, 0.6, 0.0, 0.1, name="effective")
    page.get_by_role("button", name="First").click()
    expect(slider(page, "mono-eng")).to_have_value("1")
    expect(slider(page, "mono-nld")).to_have_value("0")
    page.get_by_role("button", name="Equal").click()
    expect(slider(page, "mono-nld")).to_have_value("0.1")
    expect_values(page, 0.1, name="effective")
    slider(page, "mono-zho").press("ArrowRight")
    expect_values(page, *EQUAL[:9], 0.11)


ARITHMETIC = {
    "format": ("[0, 0.3, 1/3, -0.5, 0.123, 2].map(format)", ["0.00", "0.30", "0.3333", "-0.50", "0.123", "2.00"]),
    "comma": ("readEntry('0,3', 0, 1)", {"value": 0.3}),
    "minus": ("readEntry('\u22120.25', -1, 2)", {"value": -0.25}),
    "exponent": ("readEntry('1e-1', 0, 1)", {"problem": "Not a number"}),
    "proportional": ("share([0.2, 0.6, 0.2], 0, 0.6, 0, 1, [0,0,0])", [0.6, 0.3, 0.1]),
    "zeros share equally": ("share([1, 0, 0, 0], 0, 0.4, 0, 1, [0,0,0,0])", [0.4, 0.2, 0.2, 0.2]),
    "thirds sum up": ("share([1, 0, 0, 0], 0, 0, 0, 1, [0,0,0,0])", [0, 0.3334, 0.3333, 0.3333]),
    "held": ("share([0.5, 0.2, 0.3], 0, 0.9, 0, 1, [0,1,0])", [0.8, 0.2, 0]),
    "alone": ("share([0.5, 0.2], 0, 0.9, 0, 1, [0,1])", [0.5, 0.2]),
    "ceiling": ("share([1, 0.8, 0.2], 0, 0.4, 0, 1, [0,0,0])", [0.4, 1, 0.6]),
    "ceiling and zero": ("share([1, 0.9, 0], 0, 0.5, 0, 1, [0,0,0])", [0.5, 1, 0.4]),
    "below zero": ("share([1, 0.5, -0.5], 0, 0.6, -1, 2, [0,0,0])", [0.6, 0.7, -0.3]),
    "floor": ("share([0, -0.9, -0.3], 0, 0.6, -1, 2, [0,0,0])", [0.6, -1, -0.8]),
    "solo": ("effective({values: [1, 2], mute: [true, false], solo: 0})", [1, 0]),
    "no sum": ("counted({values: [0.5, -0.5], mute: [0, 0], solo: null, normalise: true})", [0.5, -0.5]),
}


@pytest.mark.browser
@pytest.mark.parametrize("case", ARITHMETIC)
def test_arithmetic_of_the_panel(browser, case):
    expression, expected = ARITHMETIC[case]
    page = browser.new_page()
    assert page.evaluate(f"() => {{ {(FOLDER / 'coefficients.js').read_text()}; return {expression} }}") == expected
    page.close()


@pytest.mark.browser
def test_sharing_keeps_sum_and_range_whatever_is_on_the_panel(browser):
    page = browser.new_page()
    worst = page.evaluate(
        f"""() => {{ {(FOLDER / "coefficients.js").read_text()}
        let seed = 1, worst = 0;
        const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
        for (let n = 0; n < 3000; n++) {{
          const low = n % 2 ? 0 : -1, high = n % 2 ? 1 : 2;
          const values = Array.from({{length: 2 + n % 19}}, () => rounded(low + (high - low) * random()));
          const held = values.map(() => random() < 0.3);
          const after = share(values, 0, low + (high - low) * random(), low, high, held);
          if (after.some((x) => x < low || x > high) || held.some((h, i) => h && i && after[i] !== values[i])) return n;
          worst = Math.max(worst, Math.abs(total(after) - total(values)));
        }}
        return worst }}"""
    )
    page.close()
    assert worst < 1e-12


@pytest.mark.browser
def test_moving_control_speaks_again_once_its_last_word_is_drawn(browser):
    """10 ms after a message the next one would come 400 ms after it; where that is drawn, 60 ms after it."""
    page = browser.new_page()
    waits = page.evaluate(
        f"""() => {{
          const waits = [], performance = {{ now: () => 1000 }};
          const setTimeout = (_, wait) => waits.push(wait), clearTimeout = () => null;
          {(FOLDER / "pace.js").read_text()}
          sendSoon(paced({{ root: document.body, last: 990, timer: 0, awaited: true }}));
          document.dispatchEvent(new Event("interference:drawn"));
          return waits;
        }}"""
    )
    assert waits == [390, 50]
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize(("parents", "width", "most"), [(10, 420, 480), (10, 320, 480), (20, 700, 800)])
def test_rows_fit(browser, address, parents, width, most):
    viewport = {"width": 1800 if width > 400 else 360, "height": 900}
    for page in opened(browser, address, f"?parents={parents}&width={width}&show=no", viewport=viewport):
        panel = page.locator(".panel")
        expect(panel.locator(".row")).to_have_count(parents)
        assert box_of(panel)["height"] <= most
        assert panel.evaluate("panel => panel.scrollWidth - panel.clientWidth") == 0
        assert box_of(slider(page, "mono-eng"))["width"] >= 70
        shoot(page, f"live_{parents}_{width}")


@pytest.mark.browser
def test_script_of_plots_is_the_installed_one(page):
    import plotly

    source = page.locator("script[src*='plotly.min.js']").evaluate("script => script.src")
    with urllib.request.urlopen(source) as answer:
        shipped = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
        assert answer.read() == shipped.read_bytes()


def plot(page: Page) -> Locator:
    drawn = page.locator(".live-plot.js-plotly-plot")
    drawn.locator(".main-svg").first.wait_for()
    expect(page.locator(".live-plot[data-pending]")).to_have_count(1)  # it hears clicks by now
    return drawn


@pytest.mark.browser
def test_plot_says_when_it_has_drawn_also_what_is_drawn_already(page):
    """Controls that move wait for it."""
    plot(page)
    wait_for_rest(page)
    page.evaluate(
        "() => { window.heard = 0; document.addEventListener('interference:drawn', () => (window.heard += 1)); }"
    )
    page.get_by_role("button", name="More").click()
    page.wait_for_function("window.heard")
    wait_for_rest(page)
    page.evaluate("window.heard = 0")
    page.get_by_role("button", name="Same").click()
    page.wait_for_function("window.heard")


def expect_bars(page: Page, first: float, second: float, title: str = "whole") -> None:
    drawn = "(root) => root?.layout && root.layout.title.text + ' ' + root.data[0].y.slice(0, 2).join(' ')"
    wanted = f"{title} {first:g} {second:g}"
    page.wait_for_function(f"({drawn})(document.querySelector('.live-plot')) === '{wanted}'")


@pytest.mark.browser
def test_plot_comes_back_to_a_place_without_the_server(browser, address):
    for page in opened(browser, address, "?show=places&parents=3"):
        expect_bars(page, 0.1, 0.1)
        for value in (0.3, 0.5):
            type_value(page, "mono-eng", str(value))
            expect_bars(page, value, 0.1)
        with server_unheard(page):
            type_value(page, "mono-eng", "0.3")
            expect_bars(page, 0.3, 0.1)
            button(page, "Mute mono-eng").click()
            page.wait_for_timeout(300)
            expect_bars(page, 0.3, 0.1)  # what was never seen is waited for
            button(page, "Mute mono-eng").click()
            type_value(page, "mono-eng", "0.1")
            expect_bars(page, 0.1, 0.1)
            type_value(page, "mono-eng", "0.7")
        expect_bars(page, 0.7, 0.1)


@pytest.mark.browser
def test_plot_forgets_places_of_another_scope(browser, address):
    for page in opened(browser, address, "?show=places&parents=3"):
        type_value(page, "mono-eng", "0.5")
        expect_bars(page, 0.5, 0.1)
        page.get_by_role("button", name="Scope").click()
        expect_bars(page, -0.5, -0.1)
        with server_unheard(page):
            type_value(page, "mono-eng", "0.1")
            page.wait_for_timeout(500)
            expect_bars(page, -0.5, -0.1)
        expect_bars(page, -0.1, -0.1)


@pytest.mark.browser
def test_a_held_slider_that_the_page_moves_is_heard_when_it_is_let_go(browser, address):
    """Undo by keys while the mouse is down: what the panel then shows is what is merged."""
    for page in opened(browser, address, "?show=places&parents=3"):
        box = box_of(slider(page, "mono-eng"))
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
        page.mouse.down()
        held = float(slider(page, "mono-eng").input_value())
        expect_bars(page, held, 0.1, "preview")
        page.get_by_role("button", name="High").dispatch_event("click")
        expect_bars(page, 0.9, 0.9)
        page.mouse.up()
        expect_bars(page, held, 0.9)


@pytest.mark.browser
def test_plot_shows_the_scope_that_comes_with_a_move(browser, address):
    """Undo of another unit moves the panel and brings other numbers, in one message."""
    for page in opened(browser, address, "?show=places&parents=3"):
        expect_bars(page, 0.1, 0.1)
        for value in (-0.1, 0.1, -0.1):
            page.get_by_role("button", name="Low elsewhere").click()
            expect_bars(page, value, value)
            page.wait_for_timeout(300)
            expect_bars(page, value, value)


@pytest.mark.browser
def test_plot_keeps_no_zoom_with_a_place(browser, address):
    zoomed = "document.querySelector('.live-plot').layout.xaxis.range"
    for page in opened(browser, address, "?show=places&parents=3"):
        for value in ("0.3", "0.5"):
            type_value(page, "mono-eng", value)
            expect_bars(page, float(value), 0.1)
        whole = page.evaluate(zoomed)
        box = box_of(page.locator(".live-plot .nsewdrag"))
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + box["width"] / 4, y, steps=5)
        page.mouse.up()
        page.wait_for_function(f"{zoomed}[0] > {whole[0] + 0.5}")
        type_value(page, "mono-eng", "0.3")
        expect_bars(page, 0.3, 0.1)
        for _ in range(20):  # on a slow machine two clicks may be too far apart
            page.mouse.dblclick(x, y)
            page.wait_for_timeout(500)
            if page.evaluate(zoomed)[0] == whole[0]:
                break
        page.wait_for_function(f"{zoomed}[0] === {whole[0]}")
        with server_unheard(page):
            type_value(page, "mono-eng", "0.5")
            expect_bars(page, 0.5, 0.1)
            assert page.evaluate(zoomed) == whole


@pytest.mark.browser
def test_plot_follows_a_panel_that_the_page_moves(browser, address):
    """To places that were seen and to such that were not, whichever of panel and plot hears first."""
    for page in opened(browser, address, "?show=places&parents=3"):
        for value in (0.3, 0.5, 0.3):
            type_value(page, "mono-eng", str(value))
            expect_bars(page, value, 0.1)
            page.get_by_role("button", name="High").click()
            expect_bars(page, 0.9, 0.9)
            for parent in ("mono-eng", "mono-nld", "mono-deu"):
                type_value(page, parent, "0.1")
            expect_bars(page, 0.1, 0.1)


@pytest.mark.browser
def test_plot_keeps_its_zoom_and_its_node(page):
    drawn = plot(page)
    drawn.evaluate("node => (node.mark = 1)")
    box = box_of(drawn.locator(".nsewdrag"))
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    zoomed = "node => node.layout.xaxis.range"
    page.wait_for_function(f"({zoomed})(document.querySelector('.live-plot'))[0] > 0.5")
    chosen = drawn.evaluate(zoomed)
    page.get_by_role("button", name="More").click()
    expect(line(page, "offset")).to_have_text("offset 1")
    page.wait_for_function("document.querySelector('.live-plot').data[0].y[0] === 1")
    assert drawn.evaluate(zoomed) == chosen
    assert drawn.evaluate("node => node.mark") == 1
    expect(page.get_by_role("figure", name="Made-up bits by language")).to_have_count(1)
    titles = page.locator(".modebar-btn").evaluate_all("all => all.map(b => b.dataset.title)")
    assert {"Download as SVG", "Download as PNG"} <= set(titles)
    assert not [t for t in titles if "loud" in t], "nothing is sent anywhere"


@pytest.mark.browser
@pytest.mark.parametrize("form", ["SVG", "PNG"])
def test_plot_is_exported_dark_on_white(page, form, tmp_path):
    plot(page).hover()
    with page.expect_download() as download:
        page.locator(f"[data-title='Download as {form}']").click()
    download.value.save_as(tmp_path / "figure")
    content = (tmp_path / "figure").read_bytes()
    if form == "PNG":
        assert content.startswith(b"\x89PNG")
        assert int.from_bytes(content[20:24], "big") == 900, "three dots for a pixel of its height"
    else:
        assert b"rgb(255, 255, 255)" in content
        assert b"fill: rgb(0, 0, 0)" in content


@pytest.mark.browser
def test_pending_plot_asks_until_it_is_complete(page):
    plot(page)
    height = box_of(page.locator(".live-plot"))["height"]
    page.get_by_role("button", name="Start").click()
    expect(line(page, "tick")).to_have_text("tick 5")
    expect(line(page, "step")).to_have_text("step 5")
    page.wait_for_function("document.querySelector('.live-plot').data[0].x.length === 5")
    page.wait_for_timeout(500)
    assert number(page, "tick") == 5, "a complete plot does not ask"
    assert box_of(page.locator(".live-plot"))["height"] == height == 300


@pytest.mark.browser
def test_hidden_plot_does_not_ask(page):
    plot(page)
    page.evaluate("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})")
    page.get_by_role("button", name="Start").click()
    expect(line(page, "step")).to_have_text("step 0")
    page.wait_for_timeout(3000)
    expect(line(page, "step")).to_have_text("step 0")
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(line(page, "step")).to_have_text("step 5")


@pytest.mark.browser
def test_click_on_a_bar_is_told(page):
    plot(page)
    box = box_of(page.locator(".live-plot .barlayer .point").nth(3))
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(line(page, "clicked")).to_have_text("clicked French 3")


@pytest.mark.browser
def test_dark_page_has_a_dark_plot_and_follows_a_switch(browser, address):
    for page in opened(browser, address, color_scheme="dark"):
        ink = "getComputedStyle(document.querySelector('.live-plot .xtick text')).fill"
        text = "getComputedStyle(document.querySelector('[data-testid=stText]')).color"
        ground = plot(page).evaluate("node => node._fullLayout.paper_bgcolor")
        dark = page.evaluate(ink)
        assert (ground, dark) == ("rgba(0,0,0,0)", page.evaluate(text))
        shoot(page, "live_dark")
        runs = number(page, "runs")
        page.emulate_media(color_scheme="light")
        page.wait_for_function(f"{ink} !== '{dark}' && {ink} === {text}")
        assert number(page, "runs") == runs


@pytest.mark.browser
def test_points_of_a_line_are_dragged_typed_and_moved_by_keys(browser, address):
    """The server has what is drawn: by pointer, arrow keys, as numbers, with more points, and what it sets itself."""
    for page in opened(browser, address, "?show=profile"):
        point = page.get_by_role("slider", name="first, layer 1.5")
        box = box_of(point)
        at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(*at)
        page.mouse.down()
        page.mouse.move(at[0], at[1] - 94, steps=5)  # half the height of the plot's inside
        page.mouse.up()
        expect(line(page, "lines")).to_have_text("lines [[0.0, 1.0, 1.0], [0.25, 0.25]]")
        point.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("PageUp")
        expect(line(page, "lines")).to_have_text("lines [[0.1, 0.99, 1.0], [0.25, 0.25]]")
        page.get_by_role("button", name="Edit second").click()
        page.get_by_role("button", name="One point more").click()
        expect(line(page, "lines")).to_have_text("lines [[0.1, 0.99, 1.0], [0.25, 0.25, 0.25]]")
        numbers = page.get_by_role("textbox", name="weight over the layers: values")
        for wrong, why in (("0.5 2", "Only 0 to 1"), ("0.5 x", "Not a number"), (" ".join(["0.5"] * 13), "1 to 12")):
            numbers.fill(wrong)
            numbers.press("Enter")
            expect(page.locator(".profile").get_by_role("alert")).to_contain_text(why)
        numbers.fill("0.1, 0,9")
        numbers.press("Enter")
        expect(line(page, "lines")).to_have_text("lines [[0.1, 0.99, 1.0], [0.1, 0.9]]")
        page.get_by_role("button", name="Move all parents together").click()
        page.get_by_role("slider", name="all parents, layer 0").focus()
        page.keyboard.press("Home")
        expect(line(page, "lines")).to_have_text("lines [[0.0, 0.99, 1.0], [0.0, 0.9]]")
        page.get_by_role("button", name="Flat").click()
        expect(line(page, "lines")).to_have_text("lines [[0.5], [0.5]]")
        expect(page.get_by_role("slider", name="all parents, all layers")).to_have_attribute("aria-valuenow", "0.5")
