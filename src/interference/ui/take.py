"""What can be taken away from the Merge page: figure, table, recipe, and the view as a command and as Python."""

from typing import TYPE_CHECKING

import streamlit as st

from interference.bench import View
from interference.recipe import beyond_mergekit
from interference.ui.shown import draw_table
from interference.ui.sidebar import Bench
from interference.ui.watch import Watched

if TYPE_CHECKING:
    from collections.abc import Callable


def draw_take_away(bench: Bench, view: View, figure: dict, watched: Watched) -> None:
    """One row of downloads; while numbers are estimates there is nothing to take but the recipe."""
    from interference.snippets import as_command, as_python, for_mergekit
    from interference.tables import LossTable, with_provenance

    found, recipe = watched.found, view.recipe.to_yaml()
    ours = ", ".join(beyond_mergekit(view.recipe))
    table = found if isinstance(found, LossTable) else None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        made_from = {"unit": view.unit, "recipe": recipe}
        taken = None if table is None else with_provenance(table.in_unit(view.unit), table.provenance, **made_from)
        csv, parquet = (taken.to_csv, taken.to_parquet) if taken is not None else (None, None)
        _download("Table, CSV", "csv", "text/csv", csv and (lambda: csv(index=False)))
        _download(
            "Table, Parquet", "parquet", "application/vnd.apache.parquet", parquet and (lambda: parquet(index=False))
        )
        _download(
            "Figure, HTML", "html", "text/html",
            (lambda: _html(figure)) if table else None,
            help="A page that opens anywhere, offline. SVG and PNG are in the figure's own toolbar.",
        )  # fmt: skip
        _download(
            "Recipe, YAML", "yaml", "text/yaml", lambda: for_mergekit(view.recipe, bench.suite),
            help=f"For `interference merge merge.yaml --out DIR`; mergekit can't express {ours}."
            if ours
            else "For `mergekit-yaml merge.yaml DIR`, or `interference merge merge.yaml --out DIR`.",
        )  # fmt: skip
        with st.popover(
            "Copy as code", icon=":material/code:", key="code_open", on_change="rerun",
            help="The same numbers without the dashboard.",
        ) as popover:  # fmt: skip
            if popover.open:
                st.caption("As a command: the losses of this merge.")
                st.code(as_command(view), language="bash", wrap_lines=True)
                st.caption("As Python: the same table.")
                st.code(as_python(view), language="python", wrap_lines=True)
    with st.expander("Table", expanded=False, key="merge_table_open", on_change="rerun") as expander:
        if expander.open:
            draw_table(found.frame, "merge_table")


def _html(figure: dict) -> str:
    import plotly.graph_objects as go

    return go.Figure(figure).to_html(include_plotlyjs=True)


def _download(
    label: str, suffix: str, mime: str, make: "Callable[[], str | bytes] | None", help: str | None = None
) -> None:
    icon, help = ":material/download:", help or "Every number of this page with its interval and where it comes from."
    if make is None:
        st.button(label, icon=icon, key=f"no merge_{suffix}", disabled=True, help="Wait for the full result.")
        return
    st.download_button(
        label, make, f"merge.{suffix}", mime, on_click="ignore", icon=icon, key=f"merge_{suffix}", help=help
    )
