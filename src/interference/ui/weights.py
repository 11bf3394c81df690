"""Widgets of the Weights page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from interference.labels import capitalised
from interference.recipe import BASES
from interference.registry import Argument, Knob
from interference.ui import state
from interference.ui.address import stop_page
from interference.ui.running import run_steps
from interference.ui.shown import EXPORT, draw_download, fold_table
from interference.ui.sidebar import Bench
from interference.ui.widgets import choose_checkpoints, choose_listed, choose_one, keep_within

if TYPE_CHECKING:
    import pandas as pd

    from interference.conflict.registry import Measure
    from interference.conflict.survey import Survey
    from interference.conflict.table import ConflictTable

_LEVELS = {"Groups": "whole", "Layers": "layer", "Tensors": "tensor", "Pairs": "whole"}  # of the table, by view
VIEWS = tuple(_LEVELS)
NO_BASE = "none"
GOOD = {
    "high": "High is good for merging.",
    "low": "Low is good for merging.",
    "zero": "Zero is good for merging.",
    "neither": "Neither high nor low is good in itself.",
}
_CLOSED = "Diamonds are the value of independent Gaussian tensors with mean zero, which norm gains are not."


@dataclass(frozen=True)
class Wanted:
    """What is measured, by which measure, and how it is shown."""

    survey: "Survey"
    measure: "Measure"
    view: str


def choose_survey(bench: Bench) -> Wanted:
    """Models, base, measure with its knobs, and the view."""
    from interference.conflict.registry import measures
    from interference.conflict.survey import Survey, default_models, default_notes, equal_average

    known = measures()
    present = state.present()
    recipe = present.view.recipe if present else None
    fits = recipe and len(recipe.models) > 1 and not recipe.slices and set(recipe.models) <= set(bench.suite.names)
    default = recipe.models if recipe and fits else default_models(bench.suite)
    bases = [NO_BASE, *(c.name for c in bench.suite.checkpoints), *BASES]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        models = choose_checkpoints(
            bench.suite.names, default, "weights_models",
            "The checkpoints whose weights are compared. At first those of the Merge page.",
        )  # fmt: skip
        base = choose_listed(
            "Base", bases, format_func=lambda b: BASES.get(b, b), key="weights_base", width=220,
            help="Compare differences from this (task vectors); with none the weights themselves.",
        )  # fmt: skip
        name = choose_listed(
            "Measure", list(known), default="cosine", format_func=lambda n: known[n].label, key="conflict", width=230,
            help="\n".join(f"- **{m.label}**: {m.caption}" for m in known.values()),
        )  # fmt: skip
        knobs = tuple((f"{name}.{a.name}", _knob(name, a)) for a in known[name].arguments)
        view = choose_one(
            "Show", [v for v in VIEWS if v != "Pairs" or known[name].of == "pair"],
            key="weights_view", help="By part of the model, along its depth, tensor by tensor, "
            "or between every two models.",
        )  # fmt: skip
    if tuple(models) == default_models(bench.suite) and (said := default_notes(bench.suite)):
        st.caption(" ".join(said))
    merge = recipe if recipe and fits and tuple(models) == recipe.models else equal_average(tuple(models))
    return Wanted(Survey(merge, None if base == NO_BASE else base, (name,), knobs), known[name], view)


def _knob(measure: str, argument: Argument) -> float:
    control, key = argument.control, f"{measure} {argument.name}"
    assert isinstance(control, Knob)  # measures have no switches
    keep_within(key, control.low, control.high)
    low, high, default, step = map(float, (control.low, control.high, argument.default, control.step))
    return st.number_input(argument.name, low, high, default, step, key=key, width=110, help=control.caption)


def compute_conflict(bench: Bench, wanted: Wanted) -> "ConflictTable":
    """The table of the measure that is looked at."""
    from interference.conflict.survey import resident_steps

    return run_steps(bench, "conflict", lambda found: resident_steps(found, wanted.survey), "Measuring")


def draw_conflict(bench: Bench, wanted: Wanted, table: "ConflictTable") -> None:
    """What is seen in one sentence, the figure with its reading, the numbers, and what can be taken away."""
    from interference.figures.weights import group_figure, layer_figure, tensor_figure
    from interference.views import conflict_sentence

    measure = wanted.measure
    if table.frame.empty:
        st.info(table.notes[0], icon=":material/info:")
        stop_page()
    st.markdown(conflict_sentence(table, measure))
    shown = table.by(_LEVELS[wanted.view])
    if wanted.view == "Pairs":
        _draw_pairs(shown, measure)
    else:
        draw = {"Groups": group_figure, "Layers": layer_figure, "Tensors": tensor_figure}[wanted.view]
        st.plotly_chart(
            draw(shown, measure.label), config=EXPORT, key="conflict_figure",
            alt=f"{measure.label} by {wanted.view.lower()}",
        )  # fmt: skip
    closed = wanted.view == "Groups" and shown["closed_form"].notna().any()
    form = f" {_CLOSED}" if closed else ""
    reading = capitalised(measure.reading)
    st.caption(f"{measure.caption} {reading}. {GOOD[measure.best]}{form} {' '.join(table.notes)}")
    fold_table(shown, "conflict_table")
    draw_download(
        "Conflicts, CSV", table.frame, table.provenance, "conflict",
        "This measure of every tensor, layer, group and the whole model, with chance levels.",
    )  # fmt: skip


def _draw_pairs(frame: "pd.DataFrame", measure: "Measure") -> None:
    """Every pair in one part of the model, at first all of it, with the same map of every other part below."""
    from interference.conflict.table import ALL
    from interference.figures.weights import pair_figure, part_figure, span_of

    parts = sorted(dict.fromkeys(frame["group"]), key=lambda part: part != ALL)  # it first, the others as they are
    part = st.selectbox(
        "Part of the model", parts, key="weights_part", bind="query-params", width=220,
        help="The part that is drawn large, with its chance level; 'all' is the whole model.",
    )  # fmt: skip
    span, label = span_of(frame), measure.label
    st.plotly_chart(
        pair_figure(frame[frame["group"] == part], label, part, span), config=EXPORT, key="conflict_figure",
        alt=f"{label} of every two models, {part}",
    )  # fmt: skip
    with st.container(horizontal=True, key="small_maps conflict"):
        for other in (name for name in parts if name != part):
            st.plotly_chart(
                part_figure(frame[frame["group"] == other], label, other, span), width=260, config=EXPORT,
                key=f"conflict_figure {other}", alt=f"{label} of every two models, {other}",
            )  # fmt: skip
    st.caption("Every part in the colours of one scale, so that what decides the whole model is seen.")
