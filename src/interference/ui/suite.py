"""Widgets of the Suite page."""

from typing import TYPE_CHECKING

import streamlit as st

from interference.ui.running import compute
from interference.ui.shown import EXPORT, draw_table
from interference.ui.sidebar import Bench

if TYPE_CHECKING:
    from interference.tables import LossTable

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
        st.dataframe(
            frame,
            hide_index=True,
            placeholder="",
            key="checkpoints",
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
    options = list(READINGS)
    return st.segmented_control(
        "Measure",
        options,
        default=options[0],
        key="measure",
        required=True,
        bind="query-params",
        help="What the cells of the heat map show.",
    )


def compute_suite(bench: Bench) -> "LossTable":
    """Every checkpoint on every language chosen, on all of the test half."""
    from interference.scored import Request

    return compute(bench, Request(tuple((n, n) for n in bench.suite.names), bench.languages), "Scoring the checkpoints")


def draw_losses(bench: Bench, result: "LossTable", measure: str) -> None:
    """Heat map, its reading, and the table with a download."""
    from interference.figures.losses import heat_map
    from interference.views import suite_view

    rows = bench.corpus.rows(None)
    frame = suite_view(result, bench.corpus, rows, bench.unit)
    if measure != "loss" and result.frame[{"recovery": "recovery"}.get(measure, "cost")].isna().all():
        st.info(f"No {measure}. " + " ".join(result.notes[1:]))
        return
    st.plotly_chart(
        heat_map(frame, measure, bench.unit),
        config=EXPORT,
        key="losses_heat_map",
        alt=f"Heat map of {measure}, models by languages",
    )
    star = " A star: the tokenizer loses some of this text." if frame["bits_per_byte"].isna().any() else ""
    st.caption(f"{READINGS[measure]}{star} {' '.join(result.notes)}")
    draw_table(result, "losses")
