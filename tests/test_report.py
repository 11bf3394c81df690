"""Reports: one file that loads nothing, runs nothing of its reader's, and holds the numbers of the tables."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import plotly.io
import pytest

from interference.bench import View
from interference.findings import Block, Findings, from_json
from interference.recipe import Recipe, parse_recipe
from interference.report import markdown_html, report_html
from interference.results import open_evaluator
from interference.shown import request_in, show_all
from interference.views import merge_sentence, merge_view

RECIPE = Recipe("linear", ("mono-eng", "mono-deu"), (0.7, 0.3))
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> \"&' \u202e </style> -->  ]]> \u2028 مرحبا"


class Page(HTMLParser):
    """Tags with their attributes, and the text of scripts and cells, as a browser would find them."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "td": [], "th": [], "h2": [], "p": [], "pre": []}
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in self.texts:
            self.open = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag):
        self.open = "" if tag == self.open else self.open

    def handle_data(self, data):
        if self.open:
            self.texts[self.open][-1] += data

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attrs[name] or "" for found, attrs in self.tags if found == tag and name in attrs]


@pytest.fixture(scope="module")
def findings(suite_folder) -> Findings:
    """Two views, hostile text and a view of a suite that is not there."""
    view = View(RECIPE, str(suite_folder), "", (), "bits per byte", 12, ("unigram",))
    other = View(RECIPE, str(suite_folder), "", ("deu",), sentences=6)
    missing = View(RECIPE, "/no/such/<b>suite</b>")
    blocks = (Block("One", "First.", view), Block(HOSTILE, HOSTILE), Block("", "", missing), Block("Two", "", other))
    return Findings(HOSTILE[:60], blocks)


@pytest.fixture(scope="module")
def evaluator(suite_folder, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("INTERFERENCE_CACHE", str(tmp_path_factory.mktemp("store")))
    yield open_evaluator(suite_folder, device="cpu")
    patch.undo()


@pytest.fixture(scope="module")
def outcomes(findings, evaluator, suite_folder):
    def opener(suite: str, corpus: str):
        return evaluator if suite == str(suite_folder) else open_evaluator(suite, corpus)

    return show_all((block.view for block in findings.blocks), opener)


@pytest.fixture(scope="module")
def report(findings, outcomes) -> str:
    return report_html(findings, outcomes, "25 November 2026")


@pytest.fixture(scope="module")
def page(report) -> Page:
    return Page(report)


def test_same_input_same_bytes(findings, outcomes, report):
    """And the date is the one thing that is not in the findings or the numbers."""
    assert report_html(findings, outcomes, "25 November 2026") == report
    other = report_html(findings, outcomes, "26 November 2026")
    assert other != report
    assert other.replace("26 November", "25 November") == report


def test_the_dashboard_and_the_command_write_the_same(findings, outcomes, report, monkeypatch):
    """Streamlit gives all figures of its process a template whose colours its own pages alone replace."""
    monkeypatch.setattr(plotly.io.templates, "default", "plotly_dark")
    assert report_html(findings, outcomes, "25 November 2026") == report


def test_nothing_is_loaded(page):
    """No element names anything outside the file, and the policy forbids it besides."""
    assert [
        name for tag, attrs in page.tags for name in attrs if name in ("src", "srcset", "action", "background")
    ] == []
    assert {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "img", "base", "form"} == set()
    assert all(href.startswith(("#", "data:")) for href in page.attributes("a", "href"))
    policy = page.attributes("meta", "content")[0]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy
    assert "script-src 'unsafe" not in policy


def test_policy_lets_exactly_the_two_scripts_run(page):
    """Its digests are those of the scripts that are no data; nobody else's script is there."""
    kinds = [attrs.get("type") for tag, attrs in page.tags if tag == "script"]
    assert kinds == ["application/json"] * 2 + [None] * 2
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.texts["script"][2:]]
    assert re.findall(r"sha256-([^']+)'", page.attributes("meta", "content")[0]) == digests


def test_hostile_text_is_text(page):
    """It comes out as it was written, in no element of its own and without an attribute that acts."""
    assert page.texts["h2"] == ["One", HOSTILE, "Two"]
    assert any("<script>alert(1)</script>" in text for text in page.texts["p"])
    assert [name for _, attrs in page.tags for name in attrs if name.startswith("on")] == []


def test_hostile_recipe_stays_in_its_place(findings, outcomes):
    """A checkpoint named like the end of a script, in the recipe, the label and the figure's data."""
    recipe = Recipe("linear", ("</script><script>x", "b"), (0.5, 0.5))
    view = View(recipe, "</script>", "'; rm -rf /")
    written = Page(report_html(Findings("t", (Block("", "", view),)), outcomes[:1], ""))
    assert [attrs.get("type") for tag, attrs in written.tags if tag == "script"] == ["application/json", None, None]
    assert parse_recipe(written.texts["pre"][0]) == recipe


def test_numbers_are_those_of_the_table(findings, evaluator, page):
    """The table shown, the table to download and the evaluator's own table; the figures hold the same rows."""
    view = findings.blocks[0].view
    table = evaluator.table(request_in(view, evaluator.suite))
    frame = merge_view(table.in_unit("bits per byte"), RECIPE, evaluator.suite, evaluator.corpus.rows(12))
    merge = frame[frame["role"] == "merge"].set_index("language")
    assert page.texts["td"][:2] == ["English (eng)", f"{merge['value']['eng']:.3f}"]
    links = {attrs["download"]: attrs["href"] for tag, attrs in page.tags if tag == "a" and "download" in attrs}
    csv = base64.b64decode(unquote(links["block-1.csv"]).partition(",")[2]).decode()
    found = pd.read_csv(io.StringIO(csv))
    pd.testing.assert_frame_equal(found[list(table.frame.columns)], table.frame, check_dtype=False)
    assert set(found["corpus_sha256"]) == {table.provenance["corpus_sha256"]}
    assert parse_recipe(found["recipe"][0]) == RECIPE
    figure = json.loads(page.texts["script"][0])
    assert "bits per byte" in figure["layout"]["xaxis"]["title"]["text"]
    shared = base64.b64decode(links["findings.json"].partition(",")[2]).decode()
    assert from_json(shared) == findings


def test_provenance_names_every_checkpoint(page, suite_folder, evaluator):
    """Digests of the files that were merged and compared with, and of the text."""
    for name in ("mono-eng", "mono-deu", "init"):
        assert evaluator.suite[name].digest in page.texts["td"]
    assert any(f"--suite {suite_folder}" in text for text in page.texts["pre"])


def test_a_view_that_fails_is_its_message(outcomes, page):
    """In its place; what comes after it is there."""
    assert [type(outcome).__name__ for outcome in outcomes] == ["Shown", "NoneType", "str", "Shown"]
    assert any("/no/such/<b>suite</b> does not exist" in text for text in page.texts["p"])
    assert len(page.attributes("div", "data-figure")) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit": "furlongs"}, "no unit 'furlongs'"),
        ({"languages": ("eng", "xyz")}, "no language 'xyz'"),
        ({"recipe": Recipe("linear", ("mono-eng", "mono-fra"), (0.5, 0.5))}, "'mono-fra'"),
    ],
)
def test_views_that_this_suite_has_not(evaluator, changes, said):
    """What a file from elsewhere may name is a message, not a failure of the whole."""
    (outcome,) = show_all([replace(View(RECIPE), **changes)], lambda suite, corpus: evaluator)
    assert isinstance(outcome, str)
    assert said in outcome


def test_findings_without_views_need_no_script(findings):
    text = report_html(Findings("t", (Block("a", "b"),)), [None], "")
    assert "<script" not in text
    assert "script-src 'none'" in text
    assert len(text) < 10_000


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*a* **b**", "<p><em>a</em> <strong>b</strong></p>\n"),
        ("# a", "<h3>a</h3>\n"),
        ("###### a", "<h6>a</h6>\n"),
        ("<b>a</b>", "<p>&lt;b&gt;a&lt;/b&gt;</p>\n"),
        ("[a](https://b.org)", '<p><a href="https://b.org" rel="noopener noreferrer">a</a></p>\n'),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>\n"),
        ("[a](data:image/png;base64,AA)", "<p>[a](data:image/png;base64,AA)</p>\n"),
        ("[a](//b.org)", "<p>[a](//b.org)</p>\n"),
    ],
)
def test_markdown_can_do_nothing(text, html):
    assert markdown_html(text) == html


def test_markdown_has_no_images():
    """They would be fetched from afar: what is left is a link that nothing follows by itself."""
    assert "<img" not in markdown_html("![x](https://example.org/x.png)")


def test_all_that_a_figure_shows_is_in_the_table(evaluator):
    """Whatever was asked for beside the merge; in a unit that the columns of a loss table have not, too."""
    view = View(RECIPE, unit="bits per English byte", sentences=12, controls=("bigram", "logits", "best"))
    (shown,) = show_all([view], lambda suite, corpus: evaluator)
    written = Page(report_html(Findings("t", (Block("", "", view),)), [shown], ""))
    assert {"bigram", "mean of logits", "best on dev"} <= set(written.texts["th"])
    bigram = shown.frame[shown.frame["role"] == "bigram"]["value"]
    assert {f"{value:.3f}" for value in bigram} <= set(written.texts["td"])
    (link,) = (attrs["href"] for tag, attrs in written.tags if attrs.get("download") == "block-1.csv")
    found = pd.read_csv(io.StringIO(base64.b64decode(link.partition(",")[2]).decode()))
    assert set(found["unit"]) == {view.unit}
    drawn = shown.frame[shown.frame["role"] == "merge"]["value"]
    assert found[found["model"] == "merge"]["value"].tolist() == drawn.tolist()


def test_means_in_a_sentence_are_over_the_languages_of_the_merge():
    """Its tokenizer loses one of three, and one has no reference."""
    values = {
        "merge": (3.0, 5.0, None), "best parent": (2.0, 3.0, None), "untrained": (4.0, 8.0, 90.0),
        "reference": (1.0, None, 70.0), "perfect model": (1.0, 2.0, 60.0),
    }  # fmt: skip
    rows = [(role, code, v) for role, own in values.items() for code, v in zip(("eng", "deu", "rus"), own, strict=True)]
    said = merge_sentence(pd.DataFrame(rows, columns=["role", "language", "value"]).astype({"value": float}), "bits")
    assert "needs 4.00 bits** (mean of 2 languages, best parents 2.50, untrained 6.00, perfect 1.50)." in said
    assert said.endswith("in 0 of 2.")
