"""Widgets of the Compare page."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from interference.errors import UserError
from interference.languages import language_name
from interference.recipe import BASES, Recipe
from interference.registry import methods
from interference.ui import state
from interference.ui.running import duration, run_steps
from interference.ui.shown import EXPORT, draw_download, draw_table
from interference.ui.sidebar import Bench
from interference.ui.widgets import choose_listed, decimals, keep_valid, take_to_merge

if TYPE_CHECKING:
    import pandas as pd

    from interference.compare import CompareTable, Comparison, Line

NO_BASE, ALL = "none", "all"
ORDER = (
    "method", "variant", "language", "value", "low", "high", "cost", "cost_low", "cost_high", "recovery", "seconds",
    "settings", "tried", "reason", "family", "label",
)  # fmt: skip
_ASKED, _FOUND, _OUTLOOK = "_comparison", "_compared", "_outlook"


def choose_comparison(bench: Bench) -> "tuple[Comparison, str]":
    """What is compared: parents, base, and whether settings are searched; and the language shown, or all."""
    from interference.compare import Comparison
    from interference.conflict.survey import default_models, default_notes

    parents, base = _defaults(bench)
    bases = (NO_BASE, *bench.suite.names, *BASES)
    keep_valid("compare", bench.suite.names)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.multiselect(
            "Parents", bench.suite.names, parents, key="compare", bind="query-params", width=420,
            help="Checkpoints to merge by every method.",
        )  # fmt: skip
        picked = choose_listed(
            "Base", bases, default=base, format_func=lambda b: BASES.get(b, b), key="compare_base", width=170,
            help="What methods that need a base take differences from.",
        )  # fmt: skip
        search = st.toggle(
            "Search settings", True, key="compare_search", bind="query-params",
            help="Also each method at its best settings, found on the dev half. Takes several times as long.",
        )  # fmt: skip
        language = choose_listed(
            "Language", (*bench.languages, ALL), key="compare_language", width=170,
            format_func=lambda c: "all of them" if c == ALL else language_name(c),
            help="Whose losses are drawn and listed.",
        )  # fmt: skip
    if tuple(chosen) == default_models(bench.suite) and (said := default_notes(bench.suite)):
        st.caption(" ".join(said))
    if len(chosen) == 1:
        raise UserError(f"{chosen[0]} alone is no merge. Name two checkpoints or more.")
    sentences = min(state.sentences(), len(bench.corpus.rows(None)))  # as many as the Merge page shows of them
    named = None if picked == NO_BASE else picked
    return Comparison(tuple(chosen), bench.languages, named, (), bool(search), sentences), language


def _looked_at(bench: Bench) -> Recipe | None:
    """The present merge, or what was that before one of this page was opened in its place."""
    present, taken = state.present(), state.taken_from("compare", bench.suite)
    return taken[0] if taken else present.view.recipe if present else None


def _defaults(bench: Bench) -> tuple[list[str], str]:
    """Parents and base of the present merge, else the monolingual checkpoints from the untrained one."""
    from interference.conflict.survey import default_models

    recipe = _looked_at(bench)
    names = list(recipe.models if recipe else default_models(bench.suite))
    init = bench.suite.untrained or NO_BASE
    base = recipe.base if recipe and recipe.base else init
    known = [name for name in names if name in bench.suite.names]
    return known, base if base not in known and base in (*bench.suite.names, "@mean", "@zero") else NO_BASE


def choose_families() -> list[str]:
    """The families of methods that are shown; none chosen is all of them."""
    from interference.compare import AFTER, REFERENCES

    families = [REFERENCES, *sorted({m.family for m in methods().values()}), AFTER]
    keep_valid("compare_families", families)
    return st.pills(
        "Families", families, selection_mode="multi", key="compare_families", bind="query-params",
        help="Kinds of methods to show; all of them unless some are chosen.",
    )  # fmt: skip


def compute_comparison(
    bench: Bench, asked: "Comparison", draw: "Callable[[CompareTable], None]"
) -> "CompareTable | None":
    """The comparison if it is known, else a button that starts it; lines are drawn as they come."""
    from interference.compare import CompareTable
    from interference.sweep import compare_steps

    kept = st.session_state.get(_FOUND)
    if kept and kept[0] is bench.suite and kept[1].asked == asked:
        return kept[1]
    if st.session_state.get(_ASKED) != (bench.key, asked) and (seconds := _outlook(bench, asked)):
        st.button(
            f"Compare (about {duration(seconds)})", icon=":material/play_arrow:", type="primary",
            key="compare_start", on_click=_start, args=(bench, asked),
            help="Runs in the background; lines appear as they come, and what is done is kept.",
        )  # fmt: skip
        return None
    cancel = st.empty()
    cancel.button("Cancel", icon=":material/close:", key="compare_cancel", on_click=_stop, help="What is done is kept.")
    told: list[Line] = []
    drawn = [0]

    def glance() -> None:
        if len(told) > drawn[0]:
            drawn[0] = len(told)
            draw(CompareTable(asked, tuple(told)))

    found = run_steps(
        bench, "compare", lambda evaluator: compare_steps(evaluator, asked, told.append), "Comparing", glance=glance
    )
    cancel.empty()
    _stop()
    st.session_state[_FOUND] = (bench.suite, found)
    return found


def _outlook(bench: Bench, asked: "Comparison") -> float:
    """About how many seconds a comparison takes, 0 of one that is in the store; looked up once."""
    from interference.sweep import outlook_steps

    kept = st.session_state.get(_OUTLOOK)
    if kept and kept[0] is bench.suite and kept[1] == asked:
        return kept[2]
    title = "Trying how long a comparison takes"
    found = run_steps(bench, "compare outlook", lambda evaluator: outlook_steps(evaluator, asked), title)
    st.session_state[_OUTLOOK] = (bench.suite, asked, found)
    return found


def _start(bench: Bench, asked: "Comparison") -> None:
    st.session_state[_ASKED] = (bench.key, asked)


def _stop() -> None:
    st.session_state.pop(_ASKED, None)
    st.session_state.pop(_OUTLOOK, None)


def draw_comparison(
    bench: Bench, table: "CompareTable", language: str, families: list[str], final: bool = True
) -> None:
    """What is seen in one sentence, the figure with its reading, the table, and what can be taken away."""
    from interference.compare import compare_sentence
    from interference.figures.compare import compare_figure

    frame = table.in_unit(bench.unit)
    frame = frame if language == ALL else frame[frame["language"] == language]
    st.markdown(compare_sentence(table, bench.unit, None if language == ALL else language, families))
    drawn = frame.dropna(subset=["value"])
    frame = frame[frame["family"].isin(families)] if families else frame
    if drawn["family"].isin(frame["family"]).any():
        st.plotly_chart(
            compare_figure(drawn, bench.unit, families), config=EXPORT, key="compare_figure" if final else None,
            alt="Loss of every method at its default and its best, chance levels as lines",
        )  # fmt: skip
    levels = {"unigram": "red line is worse than counting tokens", "init": "grey line is worse than no training"}
    right = ", right of the ".join(text for name, text in levels.items() if name in set(drawn["method"]))
    st.caption(
        f"Lower is better. Open circles are defaults{', filled ones the best settings' if table.asked.search else ''}"
        f"{f'; a merge right of the {right}' if right else ''}. {' '.join(table.notes)}"
        f"{f' The table is in {bench.unit}.' if final else ''}"
    )
    if final:
        _draw_table(bench, table, frame)


def _draw_table(bench: Bench, table: "CompareTable", frame: "pd.DataFrame") -> None:
    event = draw_table(
        frame, "compare_table", height=400, on_select="rerun", selection_mode="single-row", column_order=ORDER,
        column_config=decimals(frame, 2) | {"seconds": st.column_config.NumberColumn(format="%.3f")},
    )  # fmt: skip
    chosen = [row for row in event["selection"]["rows"] if row < len(frame)]
    recipe = _recipe(table, frame.iloc[chosen[0]]) if chosen else None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Open on the Merge page", icon=":material/merge:", disabled=recipe is None, key="compare_open",
            on_click=_take, args=(bench, recipe),
            help="Set the Merge page to the recipe of the chosen row.",
        )  # fmt: skip
        draw_download(
            "Comparison, CSV", lambda: table.with_recipes(bench.unit), table.provenance, "comparison",
            "Every line and language with intervals and settings.",
        )  # fmt: skip
        st.caption(recipe.label() if recipe else "Choose a merge's row to open it on the Merge page.")


def _take(bench: Bench, recipe: Recipe) -> None:
    take_to_merge(bench, recipe, "compare", _looked_at(bench))


def _recipe(table: "CompareTable", row: "pd.Series") -> Recipe | None:
    lines = {(line.name, line.variant): line for line in table.lines}
    return lines[row["method"], row["variant"]].recipe
