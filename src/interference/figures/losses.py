"""Figures of loss tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interference.figures.hover import all_between, between, said
from interference.labels import ticks
from interference.languages import language_name
from interference.signs import plain, signed_short

# Okabe and Ito's colours, told apart by colour-blind readers and on light and dark ground.
BLUE, ORANGE, GREEN, RED, PINK, SKY, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#888888"
MANY = 30  # rows or columns; more are drawn closer together
TOOLBAR = 30  # pixels above a map for Plotly's buttons, which would cover its highest row
MEASURES = {
    "loss": "value", "cost against the reference": "cost_value", "recovery": "recovery",
}  # fmt: skip


def heat_map(frame: pd.DataFrame, measure: str, unit: str) -> go.Figure:
    """Models × languages. `frame` comes from `LossTable.in_unit`; `measure` is a key of MEASURES.

    With more than MANY languages cells have no room for numbers, and codes stand for names. A star marks numbers of a
    tokenizer that loses text, which are too low.
    """
    column = MEASURES[measure]
    frame = frame[frame[column].notna().groupby(frame["model"]).transform("any")]
    grid = frame.pivot(index="model", columns="language", values=column)
    grid = grid.loc[list(dict.fromkeys(frame["model"])), list(dict.fromkeys(frame["language"]))]
    values = grid.to_numpy(dtype=np.float32)
    title = {"loss": unit, "cost against the reference": f"extra {unit}", "recovery": "recovery"}[measure]
    scale: dict[str, Any] = (
        {"colorscale": "Cividis_r"}
        if measure == "loss"
        else {"colorscale": "PuOr_r" if measure != "recovery" else "PuOr", "zmid": 0}
    )
    if measure == "recovery":
        scale |= {"zmin": -1, "zmax": 1}
    low, high = _sides(measure)
    lossy = np.isnan(_grid(frame, grid, "bits_per_byte"))
    custom = all_between(_grid(frame, grid, low), _grid(frame, grid, high)) if low and high else None
    interval = "%{customdata}" if low else ""
    many = len(grid.columns) > MANY
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=[language_name(c) for c in grid.columns],
            y=list(grid.index),
            customdata=custom,
            text=[
                [_short(v) + "*" * bool(v == v and lost) for v, lost in zip(*rows, strict=True)]
                for rows in zip(values, lossy, strict=True)
            ],
            texttemplate=None if many else "%{text}",
            colorbar={"title": {"text": title, "side": "right"}, "thickness": 12, "y": 1, "yanchor": "top"}
            | {"lenmode": "pixels", "len": 24 * min(len(grid), MANY)},
            hovertemplate="%{y} on %{x}<br>%{z:.3f} " + title + interval + "<extra></extra>",
            hoverongaps=False,
            **scale,
        )
    )
    figure.update_layout(
        height=110 + height_of(len(grid), 24, 12),
        margin={"l": 10, "r": 10, "t": TOOLBAR, "b": 10},
        xaxis={"side": "top", "title": "language of the text"},
        yaxis={"autorange": "reversed", "title": "checkpoint"} | ticks(list(grid.index)),
    )
    if many:  # left to itself Plotly leaves out every second name
        names = [language_name(code) for code in grid.columns]
        figure.update_xaxes(tickvals=names, ticktext=list(grid.columns), tickangle=-90, tickfont={"size": 8})
    if len(grid) > MANY:
        figure.update_yaxes(tickfont={"size": 9})
    return figure


def band(x: Sequence[float] | pd.Series, low: pd.Series, high: pd.Series, **more: Any) -> go.Scatter:
    """What lies between two curves of the colour BLUE."""
    return go.Scatter(
        x=[*x, *x[::-1]], y=[*high, *low[::-1]], mode="lines", fill="toself", fillcolor="rgba(0, 114, 178, 0.22)",
        line={"width": 0}, hoverinfo="skip", **more,
    )  # fmt: skip


def reach(value: pd.Series, low: pd.Series, high: pd.Series, **more: Any) -> dict[str, Any]:
    """Plotly's bars of intervals, which need not lie even about their values."""
    return {"type": "data", "array": high - value, "arrayminus": value - low, **more}


def height_of(rows: int, full: int, least: int) -> int:
    """Pixels of so many rows: `full` for each of MANY at most, and `least` for each of very many."""
    return max(full * min(rows, MANY), least * rows)


def _sides(measure: str) -> tuple[str, str] | tuple[None, None]:
    if measure == "recovery":
        return None, None
    stem = "cost_{}_value" if measure != "loss" else "{}"
    return stem.format("low"), stem.format("high")


def _grid(frame: pd.DataFrame, like: pd.DataFrame, column: str) -> np.ndarray:
    return (
        frame.pivot(index="model", columns="language", values=column)
        .loc[like.index, like.columns]
        .to_numpy(dtype=np.float32)
    )


def _short(value: float | np.floating) -> str:
    if not np.isfinite(value):
        return ""
    return plain(float(value), 0 if abs(float(value)) >= 10 else 2)


MARKS: dict[str, tuple[str, str, str, int]] = {  # role in the merge figure: (name in the legend, colour, symbol, size)
    "merge": ("the merge", BLUE, "circle", 13),
    "preview": ("preview", BLUE, "circle-open", 13),
    "reference": ("reference", GREEN, "diamond-open", 14),
    "best parent": ("best parent here", ORANGE, "circle", 6),
    "untrained": ("untrained", GREY, "line-ns-open", 14),
    "perfect model": ("perfect model", PINK, "line-ns-open", 14),
    "before post-steps": ("before post-steps", BLUE, "square-open", 11),
    "rescaled": ("merge, rescaled", SKY, "circle-open", 12),
    "mean of logits": ("mean of logits", PINK, "triangle-up-open", 11),
    "mean of probabilities": ("mean of prob.", PINK, "triangle-down-open", 11),
    "best on dev": ("best on dev", ORANGE, "star-open", 11),
    "unigram": ("unigram model", RED, "x-thin-open", 9),
    "bigram": ("bigram model", RED, "cross-thin-open", 10),
}


def merge_figure(frame: pd.DataFrame, unit: str, label: str, sentences: int) -> go.Figure:
    """`merge_data` as a figure."""
    return go.Figure(merge_data(frame, unit, label, sentences))


def merge_data(frame: pd.DataFrame, unit: str, label: str, sentences: int) -> dict[str, list | dict]:
    """One line per language: bits on the left, the merge's paired cost on the right; as Plotly's JSON.

    `label` says what was merged; it stands in the figure with the number of sentences, so that a copy keeps them. A
    merge that is estimated from fewer than `sentences` is drawn open, as a preview. `frame` has language, role (a key
    of MARKS), sentences, value, low, high, and for the role merge cost_value and its sides.
    """
    # Plain lists and an unvalidated dictionary: it is drawn anew many times a second, and pandas and Plotly's classes
    # would take most of that time.
    cells = [dict(zip(frame.columns, row, strict=True)) for row in zip(*_lists(frame), strict=True)]
    languages = list(dict.fromkeys(cell["language"] for cell in cells))
    names = {code: language_name(code) for code in languages}
    merged = [cell for cell in cells if cell["role"] == "merge"]
    few = [cell["sentences"] for cell in merged if cell["sentences"] < sentences]
    for cell in merged:
        cell["role"] = "preview" if cell["sentences"] < sentences else "merge"
    by_role = {role: [cell for cell in cells if cell["role"] == role] for role in MARKS}
    marks = MARKS | ({"merge": ("after post-steps", *MARKS["merge"][1:])} if by_role["before post-steps"] else {})
    traces = [_dots(found, names, *marks[role], unit) for role, found in by_role.items() if found]
    if costs := [cell for cell in merged if cell["cost_value"] is not None]:
        traces.append(_costs(costs, names, unit))
    zero = {"type": "line", "xref": "x2", "yref": "y domain", "x0": 0, "x1": 0, "y0": 0, "y1": 1}
    beside = {  # nothing where nothing is a reference
        "xaxis2": {"title": {"text": f"cost: extra {unit}"}, "domain": [0.66, 1], "anchor": "y"},
        "shapes": [zero | {"line": {"color": GREEN, "dash": "dot", "width": 1}}],
    }
    title = f"{label}; {sentences} sentences per language"
    if few:
        title = f"{label}; preview from {min(few)} of {sentences} sentences in {len(few)} of {len(languages)} languages"
    height = merge_figure_height(len(languages))
    below_title = {"yref": "container", "y": 1 - 24 / height, "yanchor": "top"}
    legend = {"orientation": "h", "x": 0, "entrywidth": 108, "entrywidthmode": "pixels"} | below_title
    layout = {
        "xaxis": {"title": {"text": f"{unit} (lower is better)"}, "rangemode": "tozero"}
        | ({"domain": [0, 0.63]} if costs else {}),
        "yaxis": categories(list(names.values())) | {"showgrid": True},
        "height": height,
        "uirevision": f"{unit} {languages}",  # a zoom outlives new numbers, not other axes
        "margin": {"l": 10, "r": 10, "t": 70, "b": 10},
        "hovermode": "closest",
        "title": {"text": title, "font": {"size": 13}, "x": 0, "y": 1 - 3 / height, "yanchor": "top"},
        "legend": legend,
    }
    return {"data": traces, "layout": layout | (beside if costs else {})}


def merge_figure_height(languages: int) -> int:
    """Pixels."""
    return 130 + height_of(languages, 33, 16)


def categories(names: list[str]) -> dict[str, Any]:
    """Plotly's settings of an axis with a row for every name from the top: its own range has space for many rows."""
    return {
        "categoryorder": "array", "categoryarray": names, "dtick": 1, "range": [len(names) - 0.5, -0.5],
    }  # fmt: skip


def _lists(frame: pd.DataFrame) -> list[list]:
    """The columns of a frame, None for what is missing."""
    return [[None if x != x else x for x in frame[column].tolist()] for column in frame.columns]


def _error(cells: list[dict], value: str, low: str, high: str, color: str) -> dict | None:
    """`reach` of plain lists; None where there is no interval."""
    if all(cell[low] is None for cell in cells):
        return None
    sides = [
        [None if c[low] is None else a * (c[side] - c[value]) for c in cells] for side, a in ((high, 1), (low, -1))
    ]
    return {"type": "data", "array": sides[0], "arrayminus": sides[1], "color": color}


def _dots(cells: list[dict], names: dict, name: str, color: str, symbol: str, size: int, unit: str) -> dict:
    error = _error(cells, "value", "low", "high", color)
    return {
        "type": "scatter",
        "uid": name,
        "legendrank": 2000 if name == "preview" else 1000,  # it comes and goes, and the others stay in place
        "x": [cell["value"] for cell in cells],
        "y": [names[cell["language"]] for cell in cells],
        "name": name,
        "mode": "markers",
        "customdata": [[between(cell["low"], cell["high"]), cell["model"]] for cell in cells],
        "marker": {"color": color, "symbol": symbol, "size": size, "line": {"width": 2, "color": color}},
        "error_x": error and error | {"thickness": 1.5},
        "hovertemplate": "%{y}<br>"
        + name
        + " (%{customdata[1]})<br>%{x:.3f} "
        + unit
        + "%{customdata[0]}<extra></extra>",
    }


def _costs(cells: list[dict], names: dict, unit: str) -> dict:
    values = [cell["cost_value"] for cell in cells]
    return {
        "type": "bar",
        "uid": "cost",
        "xaxis": "x2",
        "x": values,
        "y": [names[cell["language"]] for cell in cells],
        "orientation": "h",
        "marker": {"color": BLUE, "opacity": [0.4 if cell["role"] == "preview" else 0.75 for cell in cells]},
        "error_x": _error(cells, "cost_value", "cost_low_value", "cost_high_value", GREY),
        "showlegend": False,
        "text": [signed_short(v) for v in values],
        "textposition": "inside",
        "insidetextanchor": "start",
        "customdata": [
            [between(c["cost_low_value"], c["cost_high_value"]), c["reference"], said(c["recovery"], ".2f")]
            for c in cells
        ],
        "hovertemplate": "%{y}<br>%{x:+.3f} "
        + unit
        + " against %{customdata[1]}%{customdata[0]}<br>recovery %{customdata[2]}<extra></extra>",
    }
