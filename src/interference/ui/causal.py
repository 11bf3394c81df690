"""Widgets of the Causal map page."""

import time
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from interference.labels import merge_of
from interference.signs import signed
from interference.ui import state
from interference.ui.live import live_plot
from interference.ui.running import run_steps
from interference.ui.shown import EXPORT, draw_download, fold_table, user_errors
from interference.ui.sidebar import Bench
from interference.ui.widgets import choose_language, choose_listed, take_to_merge

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from interference.causal import CausalTable, Trial
    from interference.ui.live import Point

_CELL, _STOPPED = "causal_cell", "causal_stopped"
_READING = (
    "Brown is damage: in the first map what one component of the merge costs the intact parent, in the second what the "
    "merge gains when it gets the parent's back. Purple is the opposite. In parentheses: the interval contains zero."
)
_CONTROL = " The third map is the first with the untrained model's components: what losing each one costs."


def choose_trial(bench: Bench) -> "Trial":
    """The merge of the Merge page, a language, and the checkpoint it is held against."""
    from interference.causal import Trial, default_parent

    recipe, taken = state.merge_looked_at(bench.suite), state.taken_from("causal", bench.suite)
    if taken and taken[0]:
        recipe = taken[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        language = choose_language(
            bench.languages, key="causal_language", width=180, help="The language whose loss is measured."
        )
        default = default_parent(bench.suite, recipe, language)
        parent = choose_listed(
            "Parent", ["", *bench.suite.names], format_func=lambda n: n or "of the language",
            key="causal_parent", width=260,
            help="The intact model that components of the merge are put into, and taken from.",
        )  # fmt: skip
        control = st.toggle(
            "Untrained control", key="causal_control", bind="query-params",
            help="A third map: the same with the untrained model's components, as the cost of losing each.",
        )  # fmt: skip
    since = "had it before a component of this map was set there; change it there to map another" if taken else "has it"
    st.caption(f"The merge: {merge_of(recipe)}, as the Merge page {since}.")
    return Trial(recipe, parent or default, language, control)


def compute_causal(bench: Bench, trial: "Trial") -> "CausalTable | None":
    """The table of the map; what is known already is drawn while the rest is computed. None where it was cancelled."""
    from interference.causal import causal_steps

    sentences = state.sentences()
    asked = (trial, sentences)
    suite, stopped, shown = st.session_state.get(_STOPPED, (None, None, []))
    if suite is bench.suite and stopped == asked:
        _draw_stopped(bench, shown)
        return None
    place, cancel, figure = st.empty(), st.empty(), st.empty()
    told: list[CausalTable] = []
    started, drawn = time.monotonic(), [0, 0]  # of the tables, and whether the button stands

    def glance() -> None:
        if not drawn[1] and time.monotonic() - started > 0.3:  # what is known already needs no button
            drawn[1] = 1
            cancel.button(
                "Cancel", icon=":material/close:", key="causal_cancel", on_click=_stop, args=(bench, asked, told),
                help="What has been tried so far is kept.",
            )  # fmt: skip
        if len(told) > drawn[0]:
            drawn[0] = len(told)
            figure.plotly_chart(_figure(bench, told[-1]), config=EXPORT)

    table = run_steps(
        bench, "causal", lambda found: causal_steps(found, trial, sentences, told.append),
        f"Exchanging components, {sentences} sentences as on the Merge page", place, glance,
    )  # fmt: skip
    cancel.empty()
    figure.empty()
    return table


def _stop(bench: Bench, asked: object, told: "Sequence[CausalTable]") -> None:
    st.session_state[_STOPPED] = (bench.suite, asked, told[-1:])


def _draw_stopped(bench: Bench, shown: "Sequence[CausalTable]") -> None:
    """What was found before the map was cancelled, and the way to go on."""
    done = f" with {100 * shown[0].done:.0f} % of the components tried" if shown else ""
    st.info(f"Cancelled{done}. What has been tried is kept.", icon=":material/pause:")
    st.button(
        "Go on", icon=":material/play_arrow:", type="primary", key="causal_start",
        on_click=st.session_state.pop, args=(_STOPPED, None), help="Try the other components.",
    )  # fmt: skip
    if shown:
        st.plotly_chart(_figure(bench, shown[0]), config=EXPORT, key="causal_so_far")


def _figure(bench: Bench, table: "CausalTable") -> "go.Figure":
    from interference.figures.causal import causal_figure

    frame = table.units[bench.unit]
    return causal_figure(frame, bench.unit, list(dict.fromkeys(frame["map"])))


def draw_causal(bench: Bench, table: "CausalTable") -> None:
    """What is seen in one sentence, the maps with their reading, the chosen cell, and what can be taken away."""
    from interference.causal import UNTRAINED
    from interference.views import causal_sentence

    frame = table.units[bench.unit]
    st.markdown(causal_sentence(table, bench.unit))
    figure = _figure(bench, table)
    live_plot(  # Streamlit's own chart hears no clicks on a heat map
        figure, key="causal_figure", height=figure.layout.height,
        on_click=partial(_choose_cell, list(dict.fromkeys(frame["map"]))),
        alt=f"Damage of every component of the merge on {table.trial.language}", filename="causal",
    )  # fmt: skip
    control = _CONTROL if frame["map"].eq(UNTRAINED).any() else ""
    st.caption(f"{_READING}{control} {' '.join(table.notes)}")
    if not _draw_cell(bench, table):
        st.caption("Click a cell to take it to the Merge page.")
    fold_table(frame, "causal_table")
    draw_download(
        "Causal map, CSV", frame, table.provenance, "causal", "Every component with its interval.", unit=bench.unit
    )


def _choose_cell(kinds: "Sequence[str]", point: "Point") -> None:
    st.session_state[_CELL] = (kinds[point.curve], str(point.x), str(point.y))


def _draw_cell(bench: Bench, table: "CausalTable") -> bool:
    """The clicked cell's number, its recipe if filters can say it, and the way to the Merge page; False for none."""
    from interference.causal import MAPS, RESTORED, UNTRAINED, cell_recipe
    from interference.figures.causal import OUTSIDE
    from interference.hybrid import Component

    frame = table.units[bench.unit]
    kind, group, layer = st.session_state.get(_CELL, ("", "", OUTSIDE))
    component = Component(None if layer == OUTSIDE else int(layer), group)
    row = frame[(frame["map"] == kind) & (frame["component"] == component.label)]
    if row.empty:
        return False
    bits, low, high = row[["bits", "low", "high"]].iloc[0]
    interval = f"95 % {signed(low, 3)} to {signed(high, 3)}"
    st.markdown(f"**{component.label}**, {MAPS[kind]}: {signed(bits, 3)} {bench.unit} ({interval}).")
    if kind == UNTRAINED:
        return True
    with user_errors(stop=False):
        parameters = list(bench.suite[table.trial.parent].shapes)
        recipe = cell_recipe(table.trial, component, kind == RESTORED, parameters)
        with st.container(horizontal=True):
            st.button(
                "Set the Merge page to it", icon=":material/merge:", key="causal_take", on_click=take_to_merge,
                args=(bench, recipe, "causal", table.trial.recipe),
                help="Its recipe, with filters by tensor, goes to the Merge page.",
            )  # fmt: skip
            st.download_button(
                "Recipe, YAML", recipe.to_yaml, "cell.yaml", "text/yaml", on_click="ignore",
                icon=":material/download:", key="causal_yaml", help="mergekit's schema, with filters by tensor.",
            )  # fmt: skip
    return True
