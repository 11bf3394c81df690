"""The Similarity page in a real Chromium: measures that are greyed out, the headline, and the merge that follows."""

import re

import pytest
import torch
from playwright.sync_api import Page, expect
from test_browser import (
    WAIT,
    box_of,
    drag,
    merge_sentence,
    opened,
    quiet,
    served,
    shoot,
    slider,
    wait_for_figure,
    wait_for_rest,
)

from interference.evaluate import Evaluator
from interference.recipe import Recipe
from interference.scored import Model
from interference.similarities import similarity_steps
from interference.similarity_request import SimilarityRequest
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite

pytestmark = pytest.mark.browser
HEADLINE = re.compile("^Rotation gap")
# The headline, and what the server says after it, is not heard before `letGo`.
HOLD = """
const listen = WebSocket.prototype.addEventListener, held = [];
let holding = true;
window.letGo = () => { holding = false; for (const hear of held.splice(0)) hear(); };
WebSocket.prototype.addEventListener = function (kind, hear, ...more) {
  const later = (event) => {
    const headline = /Rotation gap: .*mono × mono/.test(new TextDecoder().decode(event.data));
    if (holding && (headline || held.length)) held.push(() => hear.call(this, event));
    else hear.call(this, event);
  };
  return listen.call(this, kind, kind === "message" ? later : hear, ...more);
};
"""


def drawn(page: Page) -> dict[str, list[float]]:
    """The curves of the figure by name."""
    return page.evaluate(
        "Object.fromEntries(document.querySelector('.live-plot')._fullData.map((t) => [t.name, Array.from(t.y)]))"
    )


def measured(values: dict[str, float], folder) -> dict[str, list[float]]:
    """The same by the library alone, of a linear merge of the built-in monos."""
    evaluator = Evaluator(open_suite(), Store(folder, {}), torch.device("cpu"))
    names = tuple(c.name for c in evaluator.suite.with_role("mono"))
    recipe = Recipe("linear", names, tuple(values.get(name, 0.1) for name in names), (("normalize", True),))
    models: tuple[tuple[str, Model], ...] = (("merge", recipe), *((name, name) for name in names))
    frame = finish(similarity_steps(evaluator, SimilarityRequest(models, against=("merge",), intervals=False))).frame
    return {str(name): part["value"].tolist() for name, part in frame.groupby("model_b")}


def test_what_does_not_apply_is_greyed_out_with_the_reason(browser, tmp_path):
    with served(tmp_path) as address, opened(browser, f"{address}/similarity?similarity_view=Layers") as page:
        wait_for_figure(page)
        measure = page.get_by_role("combobox", name="Measure")
        option = measure.locator("option", has_text="Cosine of translations")
        expect(option).to_be_disabled(timeout=WAIT)
        assert measure.locator("option").count() > 10
        assert option.evaluate("(o) => getComputedStyle(o).color !== getComputedStyle(o.closest('select')).color")
        expect(page.get_by_text("Greyed out: Cosine of translations")).to_contain_text("share no initialisation")
        shoot(page, "similarity_greyed")
        measure.select_option("cka")
        expect(page).to_have_url(re.compile("similarity=cka"), timeout=WAIT)
        expect(page.get_by_text("CKA, linear, biased:").or_(page.locator("p", has_text=re.compile("^CKA.*: the same")))
               ).to_be_visible(timeout=WAIT)  # fmt: skip
        measure.focus()
        page.keyboard.press("ArrowDown")
        expect(page).not_to_have_url(re.compile("similarity=cka"), timeout=WAIT)
        expect(measure).not_to_have_value("cka", timeout=WAIT)
        page.wait_for_timeout(500)  # as a hand that goes to the next list, which would close while the page is drawn
        wait_for_rest(page)
        page.get_by_role("combobox", name="Across").click()
        page.get_by_role("option", name="mono-eng", exact=True).click()
        expect(page.get_by_text("Greyed out")).to_be_hidden(timeout=WAIT)
        expect(option).to_be_enabled(timeout=WAIT)  # its list may come after the words
        measure.select_option("cosine")
        expect(page.locator("p", has_text=re.compile("^Cosine of translations: "))).to_be_visible(timeout=WAIT)
        wait_for_rest(page)
        expect(page).to_have_url(re.compile("similarity=cosine"), timeout=WAIT)
        link = page.url
        with opened(browser, link, scheme="dark") as other:
            expect(other.get_by_role("combobox", name="Measure")).to_have_value("cosine", timeout=WAIT)


def test_the_help_of_the_measures_is_there_for_fingers_and_keys(browser, tmp_path):
    with served(tmp_path) as address, opened(browser, f"{address}/similarity?similarity_view=Depth", 390) as page:
        wait_for_figure(page)
        mark = page.get_by_role("button", name="Help for Measure")
        text = page.get_by_text("Needs nothing but the same sentences")
        expect(text).to_be_hidden()
        mark.click()
        expect(text).to_be_visible()
        shoot(page, "similarity_help_390")
        box = box_of(text)
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["y"] > 40, "no room to tap beside it"
        page.mouse.click(190, 10)
        expect(text).to_be_hidden()
        mark.focus()
        page.keyboard.press("Enter")
        expect(text).to_be_visible()


@pytest.mark.parametrize("width", [1440, 390])
def test_the_headline_comes_last_and_moves_nothing(browser, tmp_path, width):
    with served(tmp_path) as address, opened(browser, "about:blank", width) as page:
        page.add_init_script(HOLD)
        page.goto(f"{address}/similarity?similarity_view=Depth")
        figure = page.locator(".js-plotly-plot")
        figure.locator(".main-svg").first.wait_for(timeout=WAIT)
        page.get_by_role("button", name="Similarities, CSV").wait_for(timeout=WAIT)
        headline = page.locator("p", has_text=HEADLINE)
        assert headline.filter(has_text="mono × mono").count() == 0
        page.wait_for_timeout(700)  # until the figure stands
        before = box_of(figure)["y"]
        page.evaluate("letGo()")
        expect(headline).to_contain_text("mono × mono", timeout=WAIT)
        assert box_of(figure)["y"] == pytest.approx(before, abs=1)
        shoot(page, f"similarity_headline_{width}")


def test_the_merge_follows_its_coefficients(browser, tmp_path):
    """A preview while the thumb moves, the library's own numbers at rest, and the Merge page moves with it."""
    with served(tmp_path / "app") as address, opened(browser, f"{address}/similarity?similarity_view=Merge") as page:
        wait_for_figure(page)
        with quiet(page):
            page.evaluate("document.querySelector('.live-plot').mark = 'the same node'")
            drag(page, "mono-deu", 0.8, release=False)
            expect(page.locator(".live-plot")).to_contain_text("preview from 16 of 150", timeout=WAIT)
            expect(page.get_by_text("This is a preview from 16 of 150 sentences")).to_be_visible(timeout=WAIT)
            shoot(page, "similarity_dragging")
            page.mouse.up()
            expect(page.locator(".live-plot")).not_to_contain_text("preview", timeout=WAIT)
            expect(page.get_by_text("This is a preview")).to_be_hidden()
            expect(page.locator("p", has_text=HEADLINE)).to_contain_text("mean of all pairs")
            wait_for_rest(page)
            shoot(page, "similarity_rested")
        value = float(slider(page, "mono-deu").input_value())
        assert value == pytest.approx(0.8, abs=0.02)
        curves, expected = drawn(page), measured({"mono-deu": value}, tmp_path / "own")
        for name, own in expected.items():
            assert curves[name] == pytest.approx(own, abs=1e-4), name
        assert page.evaluate("document.querySelector('.live-plot').mark") == "the same node", "drawn anew"
        page.get_by_role("link", name="Merge", exact=True).click()
        merge_sentence(page).wait_for(timeout=WAIT)  # of this page alone: the other has a figure as well
        expect(slider(page, "mono-deu")).to_have_value(str(value), timeout=WAIT)
        wait_for_rest(page)
        wait_for_figure(page)
        drag(page, "mono-zho", 0.5)
        wait_for_figure(page)
        wait_for_rest(page)
        page.get_by_role("link", name="Similarity").click()
        page.get_by_test_id("stButtonGroup").get_by_text("Merge", exact=True).click()
        expect(slider(page, "mono-zho")).to_have_value(re.compile("^0.[45]"), timeout=WAIT)
        expect(slider(page, "mono-deu")).to_have_value(str(value))
