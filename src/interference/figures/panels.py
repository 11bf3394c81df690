"""A panel for each language, in rows."""

from collections.abc import Collection, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interference.languages import language_name

PANELS = 30
_COLUMNS = 5
_TOP, _BOTTOM, _LEGEND = 60, 60, 30  # pixels: the margins, and from the panels up to the legend


def panels_note(languages: int) -> str:
    """What a caption says where so many languages have no panel each; empty where they have."""
    if languages <= PANELS:
        return ""
    return (
        f" The figure has room for {PANELS} of {languages} languages, the models' own first; choose others in the "
        "sidebar. The table has all."
    )


def panels(
    languages: Sequence[str], own: Collection[str | None], x_title: str, y_title: str, height: int
) -> tuple[go.Figure, dict[str, dict[str, int]]]:
    """An empty figure of rows as high as `height`, and where in it each language is.

    Where there are more than PANELS, `own`, the languages of the models drawn, have one before others.
    """
    if len(languages) > PANELS:
        languages = sorted(languages, key=lambda code: code not in own)[:PANELS]
    columns = min(_COLUMNS, len(languages))
    rows = -(-len(languages) // columns)
    figure = make_subplots(
        rows, columns, shared_xaxes=True, shared_yaxes="all", subplot_titles=[language_name(c) for c in languages],
        horizontal_spacing=0.025, vertical_spacing=0.16 / rows, x_title=x_title, y_title=y_title,
    )  # fmt: skip
    figure.update_annotations(font_size=12)
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(
        height=_TOP + height * rows + _BOTTOM,
        margin={"l": 65, "r": 10, "t": _TOP, "b": _BOTTOM},
        legend={"orientation": "h", "y": 1 + _LEGEND / (height * rows), "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
    return figure, {
        code: {"row": number // columns + 1, "col": number % columns + 1} for number, code in enumerate(languages)
    }
