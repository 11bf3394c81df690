"""Widgets of the Suite page."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import streamlit as st

from interference.steps import Steps, within
from interference.ui.running import run_drawing
from interference.ui.shown import EXPORT, draw_download, draw_table, fold_table
from interference.ui.sidebar import Bench
from interference.ui.widgets import choose_one

if TYPE_CHECKING:
    from interference.evaluate import Evaluator
    from interference.tables import LossTable

_FEW = 16  # sentences of a first look
READINGS = {
    "loss": "Lower is better. A model that knows its language stands out as a pale cell in a dark row.",
    "cost against the reference": (
        "Zero is as good as the language's reference, positive is so much worse, sentence by sentence."
    ),
    "recovery": (
        "1 is as good as the language's reference, 0 as bad as the untrained model, below 0 worse than untrained; what "
        "is below −1 has the colour of −1."
    ),
}


def draw_checkpoints(bench: Bench) -> None:
    """The checkpoints with role, language, size and step, and what fits together."""
    from interference.views import suite_table

    frame = suite_table(bench.suite)
    groups = bench.suite.groups
    with st.expander(
        f"{len(frame)} checkpoints, {_mergeable_sentence(groups)}", expanded=len(groups) > 1 or not bench.suite.corpus
    ):
        draw_table(
            frame,
            "checkpoints",
            height="content" if len(frame) < 8 else 300,
            column_config={
                "parameters": st.column_config.NumberColumn(format="localized"),
                "bytes": st.column_config.NumberColumn("size", format="bytes"),
                "why_not": st.column_config.TextColumn("why not with group 1", width="large"),
            },
        )


def _mergeable_sentence(groups: tuple[tuple[str, ...], ...]) -> str:
    if len(groups) == 1:
        return "all of which can be merged with each other"
    return f"in {len(groups)} groups that can't be merged with each other"


def choose_measure() -> str:
    """Loss, cost or recovery."""
    return choose_one("Measure", list(READINGS), key="measure", help="What the cells of the heat map show.")


def compute_suite(bench: Bench, measure: str) -> "LossTable":
    """Every checkpoint on every language chosen, on all of the test half; few sentences are drawn while others come."""
    from interference.scored import Request

    request = Request(tuple((name, name) for name in bench.suite.names), bench.languages)
    most = len(bench.corpus.rows(None))

    def steps(evaluator: "Evaluator", tell: "Callable[[LossTable], None]") -> "Steps[LossTable]":
        start = 0.0
        cells = product(bench.suite.names, bench.languages)
        if most > _FEW and any(evaluator.unknown(*cell, bench.corpus.rows(None)) for cell in cells):
            start = _FEW / most
            tell((yield from within(0.0, start, evaluator.table_steps(replace(request, sentences=_FEW)))))
        return (yield from within(start, 1.0, evaluator.table_steps(request)))

    def draw(table: "LossTable") -> None:
        _draw_heat(bench, table, measure, _FEW)
        st.caption(f"A first look, at {_FEW} of {most} sentences.")

    return run_drawing(bench, "page", steps, "Scoring the checkpoints", draw)


def draw_losses(bench: Bench, result: "LossTable", measure: str) -> None:
    """Heat map, its reading, and the table with a download."""
    if not _draw_heat(bench, result, measure):
        return
    star = " A star: the tokenizer loses some of this text." if result.frame["bits_per_byte"].isna().any() else ""
    st.caption(f"{READINGS[measure]}{star} {' '.join(result.notes)}")
    fold_table(result.frame, "losses_table")
    draw_download(
        "Table as CSV", result.frame, result.provenance, "losses",
        "Every number of this page with its interval, its reference and where it comes from.",
    )  # fmt: skip


def _draw_heat(bench: Bench, result: "LossTable", measure: str, sentences: int | None = None) -> bool:
    """The heat map, or why there is none; whether there is one."""
    from interference.figures.losses import heat_map
    from interference.views import suite_view

    if measure != "loss" and result.frame[{"recovery": "recovery"}.get(measure, "cost")].isna().all():
        why = [note for note in result.notes if note.startswith("No ") and measure.split()[0] in note]
        st.info(" ".join(why) or f"No {measure}. {' '.join(result.notes[1:])}")
        return False
    frame = suite_view(result, bench.corpus, bench.corpus.rows(sentences), bench.unit)
    st.plotly_chart(
        heat_map(frame, measure, bench.unit),
        config=EXPORT,
        key="losses_heat_map" if sentences is None else None,
        alt=f"Heat map of {measure}, models by languages",
    )
    return True
