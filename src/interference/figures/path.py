"""Figures of paths between two checkpoints."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interference.figures.hover import all_between, all_said
from interference.figures.losses import BLUE, GREEN, GREY, RED, band
from interference.figures.panels import panels
from interference.path import PathTable

MEASURES = {"loss": "value", "excess over the better parent": "excess"}


def path_figure(
    table: PathTable, unit: str, measure: str, place: float | None = None, own: Collection[str | None] = ()
) -> go.Figure:
    """One panel for each language: the measure along the path with its 95 % band.

    With the loss are drawn the better parent, the untrained level and, where a barrier is defined, the chord between
    the ends. `place` is where on the path the bench stands.
    """
    points, levels = table.points[unit], table.summary[unit].set_index("language").to_dict("index")
    figure, cells = panels(
        list(map(str, levels)),
        own,
        f"share of {table.walk.second} (the rest is {table.walk.first})",
        f"{'extra ' if measure != 'loss' else ''}{unit}",
        190,
    )
    named: set[str] = set()
    for code, cell in cells.items():
        part = points[points["language"] == code]
        for trace in _traces(part, levels[code], MEASURES[measure], unit):
            trace.showlegend = trace.name is not None and trace.name not in named
            named |= {trace.name}
            figure.add_trace(trace, **cell)
        if place is not None:
            figure.add_vline(place, line={"color": RED, "dash": "dot", "width": 1.5}, **cell)
    # Matching x axes of a fixed range leave matching y axes without a range of their own.
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1], matches=None)
    return figure


def _traces(part: pd.DataFrame, level: Mapping[Any, Any], column: str, unit: str) -> list[go.Scatter]:
    weight, value = part["weight"], part[column]
    low, high = part[f"{column}_low"], part[f"{column}_high"]
    traces = []
    if low.notna().any():
        traces.append(band(weight, low, high))
    traces.append(
        go.Scatter(
            x=weight, y=value, mode="lines+markers", name="along the path",
            line={"color": BLUE, "width": 2}, marker={"size": 4},
            customdata=np.stack(
                [all_between(low, high), all_said(part["excess"], "+.3f"), all_said(part["gap"], "+.3f")], axis=1
            ),
            hovertemplate="share %{x:.2f}<br>%{y:.3f} " + unit + "%{customdata[0]}"
            "<br>excess %{customdata[1]}, over the chord %{customdata[2]}<extra></extra>",
        )
    )  # fmt: skip
    if column == "value":
        ends = [float(value.iloc[0]), float(value.iloc[-1])]
        lines = [("better parent", GREEN, "dot", [level["best"]] * 2)]
        if pd.notna(level["untrained"]):
            lines.append(("untrained", GREY, "dash", [level["untrained"]] * 2))
        if not level["why_no_barrier"]:
            lines.append(("chord between the ends", RED, "solid", ends))
        traces += [
            go.Scatter(
                x=[0, 1], y=heights, mode="lines", name=name,
                line={"color": color, "dash": dash, "width": 1.5},
                hovertemplate=f"{name}<br>%{{y:.3f}} {unit}<extra></extra>",
            )
            for name, color, dash, heights in lines
        ]  # fmt: skip
    return traces
