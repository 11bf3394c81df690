"""Widgets of the Causal map page."""

from typing import TYPE_CHECKING

import streamlit as st

from interference.languages import language_name
from interference.signs import signed
from interference.ui import state
from interference.ui.shell import EXPORT, Bench, run_steps, user_errors
from interference.ui.widgets import keep_valid, take_to_merge

if TYPE_CHECKING:
    from interference.causal import CausalTable, Trial

_READING = (
    "Brown is damage: on the left what one component of the merge costs the intact parent, on the right what the merge "
    "gains when it gets that component back. Purple is the opposite. In parentheses: the interval contains zero."
)


def choose_trial(bench: Bench) -> "Trial":
    """The merge of the Merge page, a language, and the checkpoint it is held against."""
    from interference.causal import Trial, default_parent
    from interference.conflict.survey import default_models, equal_average

    recipe = state.present_recipe(bench.suite) or equal_average(default_models(bench.suite))
    keep_valid("causal_language", bench.languages, codes=str)
    parents = ["", *bench.suite.names]
    keep_valid("causal_parent", parents)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        language = st.selectbox(
            "Language", bench.languages, format_func=language_name, key="causal_language", bind="query-params",
            width=180, help="The language whose loss is measured.",
        )  # fmt: skip
        default = default_parent(recipe, bench.suite.reference(language))
        parent = st.selectbox(
            "Parent", parents, format_func=lambda n: n or f"{default} (of the language)",
            key="causal_parent", bind="query-params", width=260,
            help="The intact model that components of the merge are put into, and taken from.",
        )  # fmt: skip
        control = st.toggle(
            "Untrained control", key="causal_control", bind="query-params",
            help="A third map: the same with the untrained model's components, as the cost of losing each.",
        )  # fmt: skip
    st.caption(f"The merge: {recipe.label()} of {', '.join(recipe.models)}, as the Merge page has it.")
    return Trial(recipe, parent or default, language, control)


def compute_causal(bench: Bench, trial: "Trial") -> "CausalTable":
    """The table of the map; what is known already is drawn while the rest is computed."""
    from interference.causal import causal_steps

    place, figure = st.empty(), st.empty()
    latest: list[CausalTable] = []

    def glance() -> None:
        if latest:
            table = latest[-1]
            latest.clear()
            figure.plotly_chart(_figure(bench, table), config=EXPORT)

    table = run_steps(
        bench, "causal", lambda found: causal_steps(found, trial, state.sentences(), latest.append),
        "Exchanging components", place, glance,
    )  # fmt: skip
    figure.empty()
    return table


def _figure(bench: Bench, table: "CausalTable") -> object:
    from interference.figures.causal import causal_figure

    frame = table.units[bench.unit]
    return causal_figure(frame, bench.unit, list(dict.fromkeys(frame["map"])))


def draw_causal(bench: Bench, table: "CausalTable") -> None:
    """What is seen in one sentence, the maps with their reading, the chosen cell, and what can be taken away."""
    from interference.views import causal_sentence

    frame = table.units[bench.unit]
    st.markdown(causal_sentence(table, bench.unit))
    chosen = st.plotly_chart(
        _figure(bench, table), config=EXPORT, key="causal_figure", on_select="rerun", selection_mode="points",
        alt=f"Damage of every component of the merge on {table.trial.language}",
    )  # fmt: skip
    st.caption(f"{_READING} {' '.join(table.notes)}")
    points = chosen["selection"]["points"] if chosen else []
    if points:
        _draw_cell(bench, table, points[0])
    else:
        st.caption("Click a cell to take it to the Merge page.")
    with st.expander("Table"):
        st.dataframe(frame, hide_index=True, placeholder="", key="causal_table")
    st.download_button(
        "Causal map, CSV", lambda: frame.assign(unit=bench.unit, **table.provenance).to_csv(index=False), "causal.csv",
        "text/csv", on_click="ignore", icon=":material/download:", key="causal_csv",
        help="Every component with its interval.",
    )  # fmt: skip


def _draw_cell(bench: Bench, table: "CausalTable", point: dict) -> None:
    """The cell's number, its recipe if filters can say it, and the way to the Merge page."""
    from interference.causal import MAPS, RESTORED, UNTRAINED, cell_recipe
    from interference.hybrid import Component

    frame = table.units[bench.unit]
    kind = list(dict.fromkeys(frame["map"]))[point.get("curve_number", 0)]
    component = Component(None if point["y"] == "outside" else int(point["y"]), point["x"])
    row = frame[(frame["map"] == kind) & (frame["component"] == component.label)]
    if row.empty:
        return
    bits, low, high = row[["bits", "low", "high"]].iloc[0]
    interval = f"95 % {signed(low, 3)} to {signed(high, 3)}"
    st.markdown(f"**{component.label}**, {MAPS[kind]}: {signed(bits, 3)} {bench.unit} ({interval}).")
    if kind == UNTRAINED:
        return
    with user_errors(stop=False):
        parameters = list(bench.suite[table.trial.parent].shapes)
        recipe = cell_recipe(table.trial, component, kind == RESTORED, parameters)
        with st.container(horizontal=True):
            st.button(
                "Set the Merge page to it", icon=":material/merge:", key="causal_take", on_click=take_to_merge,
                args=(bench.key, recipe), help="Its recipe, with filters by tensor, goes to the Merge page.",
            )  # fmt: skip
            st.download_button(
                "Recipe, YAML", recipe.to_yaml, "cell.yaml", "text/yaml", on_click="ignore",
                icon=":material/download:", key="causal_yaml", help="mergekit's schema, with filters by tensor.",
            )  # fmt: skip
