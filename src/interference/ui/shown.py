"""What pages show alike: a figure's options, tables, their downloads, a user's mistake."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.errors import UserError
from interference.ui.address import stop_page

if TYPE_CHECKING:
    import pandas as pd

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


def draw_table(frame: "pd.DataFrame", key: str, **options: Any) -> Any:
    """A table as it is, with no numbers of rows, and nothing where there is nothing; what is chosen in it, if asked."""
    return st.dataframe(frame, hide_index=True, placeholder="", key=key, **options)


def fold_table(frame: "pd.DataFrame", key: str, **options: Any) -> None:
    """A table that is seen once it is asked for."""
    with st.expander("Table"):
        draw_table(frame, key, **options)


def draw_download(
    label: str,
    numbers: "pd.DataFrame | Callable[[], pd.DataFrame]",
    provenance: Mapping[str, str],
    name: str,
    help: str,
    key: str = "",
    **more: str,
) -> None:
    """Numbers and what they come from as CSV, made when they are downloaded; `more` are columns besides."""

    def made() -> str:
        from interference.tables import with_provenance

        frame = numbers() if callable(numbers) else numbers
        return with_provenance(frame, provenance, **more).to_csv(index=False)

    st.download_button(
        label, made, f"{name}.csv", "text/csv", on_click="ignore", icon=":material/download:", help=help,
        key=key or f"{name}_csv",
    )  # fmt: skip
