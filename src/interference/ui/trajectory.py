"""Widgets of the Trajectory page."""

from typing import TYPE_CHECKING

import streamlit as st

from interference.errors import UserError
from interference.ui import state
from interference.ui.address import stop_page
from interference.ui.running import run_steps
from interference.ui.shown import EXPORT, draw_download, draw_table
from interference.ui.sidebar import Bench
from interference.ui.widgets import choose_listed, choose_one, decimals, keep_valid, table_height

if TYPE_CHECKING:
    from interference.trajectory import Course, TrajectoryTable

_READINGS = {
    "loss": "Lower is better. The merge stays near the better run as long as the two are mergeable; at the dashed "
    "untrained level nothing of what they learned is left.",
    "excess over the better parent": "Zero is as good as the better parent of that step; what stands above it is what "
    "merging costs at that step. Below zero says little where neither parent is better than an untrained model.",
}


def choose_course(bench: Bench) -> "Course":
    """The two runs. Stops the page with a message where the suite has not two: most have none."""
    from interference.trajectory import known_course, runs

    try:
        default = known_course(bench.suite)
    except UserError as error:
        st.info(str(error), icon=":material/info:")
        stop_page()
    names = list(runs(bench.suite))
    chosen = []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for label, key, name in (("Run", "run", default.first), ("Merged with", "other_run", default.second)):
            chosen.append(
                choose_listed(
                    label, names, default=name, key=key, width=220,
                    help="A training run: checkpoints of the suite with a step, of one role and language.",
                )
            )  # fmt: skip
    return known_course(bench.suite, *chosen)


def compute_trajectory(bench: Bench, course: "Course") -> "TrajectoryTable":
    """The losses along both runs, as many sentences as the Merge page takes."""
    from interference.trajectory import trajectory_steps

    sentences = state.sentences()
    return run_steps(
        bench, "trajectory", lambda found: trajectory_steps(found, course, bench.languages, sentences), "Scoring steps"
    )


def draw_trajectory(bench: Bench, table: "TrajectoryTable") -> None:
    """What is seen in one sentence, the figure with its reading, one step's numbers, and what can be taken away."""
    from interference.figures.panels import panels_note
    from interference.figures.trajectory import MEASURES, trajectory_figure
    from interference.trajectory import runs, trajectory_sentence

    points, summary = table.points[bench.unit], table.summary[bench.unit]
    st.markdown(trajectory_sentence(table, bench.unit))
    steps = sorted(int(step) for step in summary["step"].unique())
    measure = choose_one(
        "Measure", MEASURES, key="trajectory_measure",
        label_visibility="collapsed", help="What the curves show.",
    )  # fmt: skip
    keep_valid("trajectory_step", steps, default=steps[-1])
    step = (
        st.select_slider(
            "Step", steps, steps[-1], format_func=lambda s: f"{s:,}", key="trajectory_step", bind="query-params",
            help="The step whose merge is marked in the figure and listed below.",
        )
        if len(steps) > 1
        else steps[0]
    )  # fmt: skip
    names = {"first": table.course.first, "second": table.course.second, "merge": "their merge"}
    known = runs(bench.suite)
    own = known[table.course.first].language, known[table.course.second].language
    st.plotly_chart(
        trajectory_figure(points, summary, names, bench.unit, measure, step, own),
        config=EXPORT, key="trajectory_figure",
        alt=f"{measure} over the training of {table.course.first} and {table.course.second}, and of their merge",
    )  # fmt: skip
    listed = " The dotted line is the step of the table" if len(steps) > 1 else " The table is of this step"
    now = summary[summary["step"] == step]
    st.caption(f"{_READINGS[measure]}{panels_note(len(now))} {' '.join(table.notes)}{listed}, in {bench.unit}.")
    draw_table(now, "trajectory_table", height=table_height(now), column_config=decimals(summary, 2))
    draw_download(
        "Trajectory, CSV", lambda: table.joined(bench.unit), table.provenance, "trajectory",
        "Every step with its intervals.", unit=bench.unit,
    )  # fmt: skip
