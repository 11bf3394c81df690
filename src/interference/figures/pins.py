"""Figures of pinned merges side by side."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interference.figures.hover import all_between
from interference.figures.losses import BLUE, GREY, TOOLBAR, reach
from interference.languages import language_name
from interference.signs import signed_short

_COLUMNS = 5


def small_multiples(frame: pd.DataFrame, unit: str) -> go.Figure:
    """One panel for each pin on common axes: the loss of every language with its interval.

    `frame` is a loss table in a unit with the pins' names as `model`.
    """
    pins, languages = list(dict.fromkeys(frame["model"])), list(dict.fromkeys(frame["language"]))
    columns = min(len(pins), _COLUMNS)
    rows = -(-len(pins) // columns)
    figure = make_subplots(
        rows, columns, shared_xaxes=True, shared_yaxes=True, subplot_titles=[_short(pin) for pin in pins],
        horizontal_spacing=0.015, vertical_spacing=0.12 / rows, x_title=f"{unit} (lower is better)",
    )  # fmt: skip
    for number, pin in enumerate(pins):
        part = frame[frame["model"] == pin]
        bar = go.Bar(
            x=part["value"],
            y=[language_name(code) for code in part["language"]],
            orientation="h",
            marker_color=BLUE,
            error_x=reach(part["value"], part["low"], part["high"], color=GREY),
            customdata=all_between(part["low"], part["high"]),
            hovertemplate="%{y}<br>%{x:.3f} " + unit + f"%{{customdata}}<extra>{_escaped(pin)}</extra>",
            showlegend=False,
        )  # fmt: skip
        figure.add_trace(bar, row=number // columns + 1, col=number % columns + 1)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(rangemode="tozero", range=[0, float(np.nanmax(frame["high"].fillna(frame["value"]))) * 1.05])
    figure.update_layout(height=70 + rows * (60 + 20 * len(languages)), margin={"l": 10, "r": 10, "t": 40, "b": 50})
    return figure


def delta_map(frame: pd.DataFrame, unit: str, baseline: str) -> go.Figure:
    """Pins × languages: the paired difference from the baseline, its interval on hover.

    `frame` is a loss table in a unit whose costs are counted from the baseline.
    """
    pins, languages = list(dict.fromkeys(frame["model"])), list(dict.fromkeys(frame["language"]))

    def grid(column: str) -> np.ndarray:
        return frame.pivot(index="model", columns="language", values=column).loc[pins, languages].to_numpy(float)

    values, largest = grid("cost_value"), float(np.nanmax(np.abs(frame["cost_value"]))) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=[language_name(code) for code in languages],
            y=[_short(pin) for pin in pins],
            customdata=all_between(grid("cost_low_value"), grid("cost_high_value")),
            text=[[signed_short(v) for v in row] for row in values],
            texttemplate="%{text}",
            colorscale="PuOr_r",
            zmid=0,
            zmin=-largest,
            zmax=largest,
            colorbar={"title": {"text": f"extra {unit}", "side": "right"}, "thickness": 12},
            hovertemplate="%{y} on %{x}<br>%{z:+.3f} " + unit + " against " + _escaped(baseline)
            + "%{customdata}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        height=130 + 30 * len(pins),
        margin={"l": 10, "r": 10, "t": TOOLBAR, "b": 10},
        xaxis={"side": "top", "title": "language of the text"},
        yaxis={"autorange": "reversed", "title": "pin"},
    )
    return figure


def _short(name: str) -> str:
    """A user's name as Plotly draws it: as text, of a length that fits."""
    return _escaped(name if len(name) <= 32 else name[:31] + "…")


def _escaped(text: str) -> str:
    """Plotly reads a few tags and entities in texts, and `%{` in templates."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "% {")
