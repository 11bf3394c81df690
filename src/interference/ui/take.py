"""What can be taken away from the Merge page: figure, table, recipe, and the view as a command, as Python, as a link."""

from typing import TYPE_CHECKING

import streamlit as st

from interference.ui.shell import Bench
from interference.ui.watch import Watched

if TYPE_CHECKING:
    from collections.abc import Callable

    import plotly.graph_objects as go

    from interference.bench import View
    from interference.tables import LossTable


def draw_take_away(bench: Bench, view: "View", figure: "go.Figure", watched: Watched) -> None:
    """One row of downloads; while numbers are estimates there is nothing to take but the recipe."""
    from interference.snippets import as_command, as_python
    from interference.tables import LossTable

    found, recipe = watched.found, view.recipe.to_yaml()
    table = found if isinstance(found, LossTable) else None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _download("Table, CSV", "csv", "text/csv", table and (lambda: _taken(table, recipe).to_csv(index=False)))
        _download(
            "Table, Parquet", "parquet", "application/vnd.apache.parquet",
            table and (lambda: _taken(table, recipe).to_parquet(index=False)),
        )  # fmt: skip
        _download(
            "Figure, HTML", "html", "text/html", table and (lambda: figure.to_html(include_plotlyjs=True)),
            help="A page that opens anywhere, offline. SVG and PNG are in the figure's own toolbar.",
        )  # fmt: skip
        _download(
            "Recipe, YAML", "yaml", "text/yaml", lambda: recipe,
            help="For mergekit-yaml, or `interference merge merge.yaml --out DIR`.",
        )  # fmt: skip
        with st.popover("Copy as code", icon=":material/code:", help="The same numbers without the dashboard."):
            st.caption("As a command: the losses of this merge.")
            st.code(as_command(view), language="bash", wrap_lines=True)
            st.caption("As Python: the same table.")
            st.code(as_python(view), language="python", wrap_lines=True)
    with st.expander("Table", expanded=False, key="merge_table_open", on_change="rerun") as expander:
        if expander.open:
            st.dataframe(found.frame, hide_index=True, key="merge_table")


def _taken(table: "LossTable", recipe: str) -> "pd.DataFrame":  # noqa: F821
    """The table with where its numbers come from in columns of their own."""
    return table.frame.assign(**table.provenance, recipe=recipe)


def _download(
    label: str, suffix: str, mime: str, make: "Callable[[], str | bytes] | None", help: str | None = None
) -> None:
    st.download_button(
        label,
        make or "",
        f"merge.{suffix}",
        mime,
        on_click="ignore",
        icon=":material/download:",
        key=f"merge_{suffix}",
        disabled=make is None,
        help=help or "Every number of this page with its interval, its reference and where it comes from.",
    )
