"""Findings as one HTML file: it opens anywhere, offline, and holds all that its numbers come from. No torch."""

import base64
import hashlib
import html
import importlib.util
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from interference import __version__
from interference.bench import View
from interference.findings import Block, Findings, to_json
from interference.languages import language_name
from interference.snippets import as_command
from interference.tables import with_provenance

if TYPE_CHECKING:
    from interference.shown import Outcome, Shown

_PACKAGES = ("torch", "transformers", "plotly")
_LINKS = ("https://", "http://", "mailto:")
_COLUMNS = {  # roles that come first in the table beside the figure, after the merge's own columns, and their heads
    "reference": "reference", "best parent": "best parent", "untrained": "untrained", "perfect model": "perfect model",
    "rescaled": "merge, rescaled", "unigram": "unigram model",
}  # fmt: skip


def report_html(findings: Findings, outcomes: "Sequence[Outcome]", date: str) -> str:
    """The whole report; the same input gives the same text. `outcomes` are those of the blocks, in order."""
    sections = [
        _section(number, block, outcome)
        for number, (block, outcome) in enumerate(zip(findings.blocks, outcomes, strict=True), start=1)
    ]
    drawn = any(outcome is not None and not isinstance(outcome, str) for outcome in outcomes)
    scripts = (_plotly(), _asset("report.js")) if drawn else ()
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(findings.title)}</title><style>{_asset('report.css')}</style>"
    )
    body = [_header(findings, date), "<main>", *sections, "</main>", _footer(findings)]
    body += [f"<script>{script}</script>" for script in scripts]
    return "\n".join(
        ["<!doctype html>", '<html lang="en">', f"<head>{head}</head>", "<body>", *body, "</body></html>\n"]
    )


def markdown_html(text: str) -> str:
    """Markdown as HTML that can do nothing: no markup of its own, no images, links to the web and to mail alone."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.validateLink = lambda url: url.startswith(_LINKS)  # type: ignore[method-assign]
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"  # below the block's own
    for child in (child for token in tokens for child in token.children or ()):
        if child.type == "link_open":
            child.attrSet("rel", "noopener noreferrer")
    return parser.renderer.render(tokens, parser.options, {})


def figure_of(view: View, shown: "Shown") -> Any:
    """The figure of a view, as the Merge page draws it."""
    from interference.figures.losses import merge_figure

    return merge_figure(shown.frame, view.unit, view.recipe.label(), shown.sentences)


def reading_of(view: View, shown: "Shown") -> str:
    """What a view's figure shows, in Markdown."""
    from interference.views import merge_sentence

    return merge_sentence(shown.frame, view.unit)


def _text(text: object) -> str:
    return html.escape(str(text))


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    """The script of the Plotly that is installed."""
    spec = importlib.util.find_spec("plotly")
    assert spec
    assert spec.origin
    return (Path(spec.origin).parent / "package_data/plotly.min.js").read_text(encoding="utf-8")


def _policy(scripts: Iterable[str]) -> str:
    """Nothing may be loaded from anywhere, and no script may run but these."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )


def _data(text: str, name: str, mime: str, label: str) -> str:
    coded = base64.b64encode(text.encode()).decode()
    return f'<a download="{name}" href="data:{mime};charset=utf-8;base64,{coded}">{label}</a>'


def _header(findings: Findings, date: str) -> str:
    entries = [
        f'<li><a href="#block-{number}">{_text(block.heading or f"Block {number}")}</a></li>'
        for number, block in enumerate(findings.blocks, start=1)
    ]
    contents = f"<nav><ol>{''.join(entries)}</ol></nav>" if len(entries) > 1 else ""
    return f'<header><h1>{_text(findings.title)}</h1><p class="quiet">{_text(date)}</p>{contents}</header>'


def _footer(findings: Findings) -> str:
    versions = ", ".join([f"interference {__version__}", *(f"{name} {version(name)}" for name in _PACKAGES)])
    return (
        f'<footer class="quiet"><p>Made by {versions}.</p><p class="downloads">'
        f"{_data(to_json(findings), 'findings.json', 'application/json', 'These findings as a file')}: "
        "<code>interference report findings.json --out report.html</code> makes this report again.</p></footer>"
    )


def _section(number: int, block: Block, outcome: "Outcome") -> str:
    parts = [f'<section id="block-{number}">']
    if block.heading:
        parts.append(f"<h2>{_text(block.heading)}</h2>")
    if block.text:
        parts.append(f'<div class="prose">{markdown_html(block.text)}</div>')
    if isinstance(outcome, str):
        parts.append(f'<p class="error">This view can\'t be computed. {_text(outcome)}</p>')
    if block.view and isinstance(outcome, str):
        parts.append(_details("Recipe", f"<pre>{_text(block.view.recipe.to_yaml())}</pre>"))
    elif block.view and outcome is not None:
        parts += _measured(number, block.view, outcome)  # type: ignore[arg-type]
    return "\n".join([*parts, "</section>"])


def _measured(number: int, view: View, shown: "Shown") -> list[str]:
    """Figure, reading, table, recipe and provenance."""
    label, recipe = view.recipe.label(), view.recipe.to_yaml()
    figure = figure_of(view, shown).update_layout(template=None)  # the dashboard's is not the command line's
    drawn = figure.to_json().replace("<", "\\u003c")  # or a label could end the script that it stands in
    csv = with_provenance(shown.table.in_unit(view.unit), shown.table.provenance, unit=view.unit, recipe=recipe)
    downloads = [
        _data(csv.to_csv(index=False), f"block-{number}.csv", "text/csv", "Table, CSV"),
        _data(recipe, f"block-{number}.yaml", "text/yaml", "Recipe, YAML"),
    ]
    return [
        f'<div class="reading">{markdown_html(reading_of(view, shown))}</div>',
        f'<script type="application/json" id="figure-{number}">{drawn}</script>',
        f'<div class="wide"><div class="figure" data-figure="figure-{number}" role="img" '
        f'style="height:{figure.layout.height}px" aria-label="{_text(label)}"></div></div>',
        f'<p class="quiet">{_text(label)}. {_text(" ".join(shown.table.notes))}</p>',
        _details("Table", f'<div class="wide">{_loss_table(view, shown)}</div>'),
        _details("Recipe", f"<pre>{_text(recipe)}</pre>"),
        _details("Where the numbers come from", _provenance(view, shown)),
        f'<p class="downloads quiet">{" · ".join(downloads)}</p>',
    ]


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{_text(summary)}</summary>{content}</details>"


def _loss_table(view: View, shown: "Shown") -> str:
    """A line for each language: the merge and its cost with their intervals, and what stands beside it."""
    frame = shown.frame
    merge = frame[frame["role"] == "merge"].set_index("language")
    roles = [role for role in dict.fromkeys([*_COLUMNS, *frame["role"]]) if role != "merge"]
    beside = [(_COLUMNS.get(role, role), frame[frame["role"] == role].set_index("language")["value"]) for role in roles]
    beside = [(name, values) for name, values in beside if len(values)]
    heads = ["language", f"merge, {view.unit}", "95 %", "cost", "95 %", "against", "recovery", *(n for n, _ in beside)]
    rows = []
    for code, row in merge.iterrows():
        cells = [f"{language_name(str(code))}", _number(row["value"]), _interval(row, "{}"), _number(row["cost_value"])]
        cells += [_interval(row, "cost_{}_value"), row["reference"] or "", _number(row["recovery"])]
        rows.append([*cells, *(_number(values.get(code)) for _, values in beside)])
    return _table(rows, heads)


def _table(rows: Iterable[Iterable[object]], heads: Iterable[str] = (), kind: str = "") -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="{kind}">{f"<thead><tr>{head}</tr></thead>" if head else ""}<tbody>{body}</tbody></table>'


def _number(value: Any) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.3f}"


def _interval(row: pd.Series, names: str) -> str:
    low, high = (row[names.format(side)] for side in ("low", "high"))
    return "" if pd.isna(low) else f"{low:.3f} to {high:.3f}"


def _provenance(view: View, shown: "Shown") -> str:
    """Every file's digest, how it was scored, and the command that prints the same table."""
    made_from = dict(shown.table.provenance)
    made_from.pop("weights_sha256", None)  # the rows below have them one by one
    facts = [(name.replace("_", " "), value) for name, value in made_from.items()]
    facts += [("path of the suite", view.suite)] * bool(view.suite) + [("path of the corpus", view.corpus)] * bool(
        view.corpus
    )
    facts += [(f"{name} sha256", value) for name, value in shown.checkpoints]
    return f"{_table(facts, kind='facts')}<pre>{_text(as_command(view))}</pre>"
