"""What pages show alike: a figure's options, a table with its download, a user's mistake."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import streamlit as st

from interference.errors import UserError
from interference.ui.address import stop_page
from interference.ui.widgets import csv_of

if TYPE_CHECKING:
    from interference.tables import LossTable

EXPORT = {"toImageButtonOptions": {"format": "svg", "scale": 2}, "displaylogo": False, "showSendToCloud": False}


@contextmanager
def user_errors(stop: bool = True) -> Iterator[None]:
    """Show a user's mistake as a message where it was made, and draw no further; the widgets stay alive.

    Without `stop` only what stands inside is left out, and the page goes on.
    """
    try:
        yield
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        if stop:
            stop_page(whole=False)


def draw_table(result: "LossTable", name: str, **columns: str) -> None:
    """A loss table as it is, with a download that carries its provenance and the given columns besides."""
    with st.expander("Table"):
        st.dataframe(result.frame, hide_index=True, placeholder="", key=f"{name}_table")

    st.download_button(
        "Table as CSV",
        csv_of(result.frame, result.provenance, **columns),
        f"{name}.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        key=f"{name}_csv",
        help="Every number of this page with its interval, its reference and where it comes from.",
    )
