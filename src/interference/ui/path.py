"""Widgets of the Path page."""

from typing import TYPE_CHECKING

import streamlit as st

from interference.ui import state
from interference.ui.running import run_drawing
from interference.ui.shown import EXPORT, draw_download, draw_table
from interference.ui.sidebar import Bench
from interference.ui.widgets import choose_listed, choose_number, choose_one, decimals, table_height

if TYPE_CHECKING:
    from interference.path import PathTable, Walk

# As much of the summary as is seen without scrolling: what is lost halfway, and the barrier or why there is none.
ORDER = (
    "language", "best_parent", "best", "untrained", "middle_excess", "middle_excess_low", "middle_excess_high",
    "barrier", "barrier_low", "barrier_high", "why_no_barrier",
)  # fmt: skip
READINGS = {
    "loss": "Lower is better. The green line is the better parent{untrained}; a bulge above the red chord is a "
    "barrier, and there is a chord only where both ends know the language.",
    "excess over the better parent": "Zero is as good as the better parent; what stands above it is lost on the "
    "way. Where neither end knows the language both are worse than untrained, and below zero nothing is gained.",
}


def choose_walk(bench: Bench) -> "Walk":
    """The two ends, how to go from one to the other, and in how many points."""
    from interference.path import METHODS, POINTS, Walk

    first, second = _default_ends(bench)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        ends = []
        for label, key, default in (("From", "from", first), ("To", "to", second)):
            ends.append(
                choose_listed(
                    label, bench.suite.names, default=default, key=key, width=200,
                    help=f"The checkpoint at the {'left' if key == 'from' else 'right'} end of the path.",
                )
            )  # fmt: skip
        method = choose_one(
            "By", METHODS, key="walk",
            help="Straight through weight space, or along the great circle of every tensor.",
        )  # fmt: skip
        points = choose_number(
            "Points", *POINTS, 11, 2, key="points", width=130,
            help="Models scored along the path, both ends included: an odd number.",
        )  # fmt: skip
    return Walk(ends[0], ends[1], points, method)


def _default_ends(bench: Bench) -> tuple[str, str]:
    """The first two parents of the present merge, else of those that are merged unless told."""
    present = state.present()
    wanted = (present.view.recipe.models if present else ()), bench.suite.together
    for names in wanted:
        known = [name for name in names if name in bench.suite.names]
        if len(known) > 1:
            return known[0], known[1]
    return bench.suite.names[0], bench.suite.names[-1]


def compute_path(bench: Bench, walk: "Walk") -> "PathTable":
    """The losses along the path, as many sentences as the Merge page takes; few points are drawn while others come."""
    from interference.figures.path import MEASURES, path_figure
    from interference.sweep import path_steps

    sentences, measure = state.sentences(), st.session_state.get("path_measure") or next(iter(MEASURES))
    return run_drawing(
        bench, "path", lambda found, tell: path_steps(found, walk, bench.languages, sentences, tell),
        f"Walking, {sentences} sentences as on the Merge page",
        lambda table: st.plotly_chart(path_figure(table, bench.unit, measure, None, _own(bench, walk)), config=EXPORT),
    )  # fmt: skip


def _own(bench: Bench, walk: "Walk") -> tuple[str | None, str | None]:
    """The languages that the ends are of."""
    return bench.suite[walk.first].language, bench.suite[walk.second].language


def draw_path(bench: Bench, table: "PathTable") -> None:
    """What is seen in one sentence, the figure with its reading, the summary, and what can be taken away."""
    from interference.figures.panels import panels_note
    from interference.figures.path import MEASURES, path_figure
    from interference.views import path_sentence

    present = state.present()
    place = table.walk.place(present.view.recipe) if present else None
    st.markdown(path_sentence(table, bench.unit))
    measure = choose_one(
        "Measure", list(MEASURES), key="path_measure",
        label_visibility="collapsed", help="What the curves show.",
    )  # fmt: skip
    st.plotly_chart(
        path_figure(table, bench.unit, measure, place, _own(bench, table.walk)),
        config=EXPORT,
        key="path_figure",
        alt=f"{measure} of every language along the path from {table.walk.first} to {table.walk.second}",
    )
    where = f" The dotted red line is the merge of the Merge page, at {place:.2f}." if place is not None else ""
    summary = table.summary[bench.unit]
    reading = READINGS[measure].format(
        untrained=", the dashed grey one an untrained model" if summary["untrained"].notna().any() else ""
    )
    st.caption(f"{reading}{panels_note(len(summary))}{where} {' '.join(table.notes)} The table is in {bench.unit}.")
    draw_table(
        summary, "path_summary", height=table_height(summary), column_order=ORDER, column_config=decimals(summary, 2)
    )
    points = table.points[bench.unit].merge(summary, on="language")
    draw_download("Path, CSV", points, table.provenance, "path", "Every point with its intervals.")
