"""Figures of methods compared."""

from collections.abc import Collection

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interference.figures.hover import all_between, all_said
from interference.figures.losses import BLUE, GREEN, GREY, ORANGE, PINK, RED, reach
from interference.languages import language_name

# variant: (name in the legend, colour, symbol, size)
MARKS = {
    "default": ("default", BLUE, "circle-open", 9),
    "best": ("best on the dev half", BLUE, "circle", 8),
    "post-step": ("average with a post-step", ORANGE, "square", 8),
    "reference": ("not merged", PINK, "diamond", 8),
}
# line of a reference across the panel: (name in the legend, colour, dash)
LEVELS = {
    "init": ("untrained", GREY, "dash"),
    "unigram": ("unigram model", RED, "dashdot"),
    "best parent": ("best parent", GREEN, "dot"),
}
_COLUMNS, _ROW = 5, 17


def compare_figure(frame: pd.DataFrame, unit: str, families: Collection[str] = ()) -> go.Figure:
    """One panel for each language: the loss of every method, grouped by family, at its default and its best.

    `frame` is a comparison in a unit, the lines without numbers left out; of its families only those given have rows.
    Chance levels are lines across the panel; beside a single language stands what merging took.
    """
    languages = list(dict.fromkeys(frame["language"]))
    levels, frame = frame, frame[frame["family"].isin(families)] if families else frame
    rows = _rows(frame)
    alone = len(languages) == 1
    columns = 2 if alone else min(len(languages), _COLUMNS)
    down = 1 if alone else -(-len(languages) // columns)
    titles = [language_name(code) for code in languages] + ([""] if alone else [])
    figure = make_subplots(
        down, columns, shared_yaxes=True, shared_xaxes="all" if down > 1 else False, subplot_titles=titles,
        column_widths=[0.76, 0.24] if alone else None, horizontal_spacing=0.015, vertical_spacing=0.07 / down,
    )  # fmt: skip
    for number, code in enumerate(languages):
        cell = {"row": number // columns + 1, "col": number % columns + 1}
        part, level = (found[found["language"] == code] for found in (frame, levels))
        for trace in (*_levels(level, list(rows.values()), unit), *_dots(part, rows, unit)):
            trace.showlegend = not number
            figure.add_trace(trace, **cell)
        if cell["row"] == down or number + columns >= len(languages):
            figure.update_xaxes(title_text=unit if alone or columns < 3 else unit.replace("bits per", "bits /"), **cell)
    figure.update_xaxes(rangemode="tozero")
    if alone:
        figure.add_trace(_seconds(frame, rows), row=1, col=2)
        figure.update_xaxes(type="log", title_text="time to merge, s", tickformat="~g", dtick=1, row=1, col=2)
    figure.update_yaxes(
        categoryorder="array", categoryarray=[*rows.values()], range=[len(rows) - 0.5, -0.5], tickmode="array",
        tickvals=[*rows.values()], tickfont={"size": 11}, showgrid=True,
    )  # fmt: skip
    figure.update_annotations(font_size=13)
    figure.update_layout(
        height=120 + down * (_ROW * len(rows) + 60),
        margin={"l": 10, "r": 10, "t": 70, "b": 50},
        legend={"orientation": "h", "y": 1 + 34 / (down * (_ROW * len(rows) + 60)), "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
    return figure


def _rows(frame: pd.DataFrame) -> dict[str, str]:
    """What stands at the axis, from top to bottom: each family, and under it its methods by name."""
    found: dict[str, str] = {}
    for family, part in frame.groupby("family", sort=False):
        found[f"\0{family}"] = f"<b>{family}</b>"
        found |= {name: f"{name} " for name in dict.fromkeys(part["method"])}  # no method is taken for a family
    return found


def _levels(part: pd.DataFrame, rows: list[str], unit: str) -> list[go.Scatter]:
    values = part[part["variant"] == "reference"].set_index("method")["value"]
    return [
        go.Scatter(
            x=[values[name]] * len(rows), y=rows, mode="lines", name=label,
            line={"color": color, "dash": dash, "width": 1.5},
            hovertemplate=f"{label}<br>%{{x:.3f}} {unit}<extra></extra>",
        )
        for name, (label, color, dash) in LEVELS.items()
        if name in values
    ]  # fmt: skip


def _dots(part: pd.DataFrame, rows: dict[str, str], unit: str) -> list[go.Scatter]:
    traces = []
    for variant, (name, color, symbol, size) in MARKS.items():
        own = part[part["variant"] == variant]
        if own.empty:
            continue
        traces.append(
            go.Scatter(
                x=own["value"], y=own["method"].map(rows), mode="markers", name=name,
                marker={"color": color, "symbol": symbol, "size": size},
                error_x=reach(own["value"], own["low"], own["high"], color=color, thickness=1),
                customdata=np.stack(
                    [
                        own["label"], all_between(own["low"], own["high"]), all_said(own["cost"], "+.3f"),
                        own["settings"],
                    ], axis=1,
                ),
                hovertemplate="%{customdata[0]}, " + name + "<br>%{x:.3f} " + unit
                + "%{customdata[1]}<br>cost %{customdata[2]}<br>%{customdata[3]}<extra></extra>",
            )
        )  # fmt: skip
    return traces


def _seconds(frame: pd.DataFrame, rows: dict[str, str]) -> go.Scatter:
    own = frame.dropna(subset=["seconds"])
    own = own[own["variant"] != "best"]
    return go.Scatter(
        x=own["seconds"], y=own["method"].map(rows), mode="markers", showlegend=False,
        marker={"color": GREY, "symbol": "square", "size": 7}, customdata=own[["label"]].to_numpy(),
        hovertemplate="%{customdata[0]}<br>%{x:.3g} s to merge at its default<extra></extra>",
    )  # fmt: skip
