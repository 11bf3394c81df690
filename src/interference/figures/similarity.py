"""Figures of similarity tables: maps of models, layers and languages, curves over depth, sentences in a plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interference.figures.hover import all_between, all_said
from interference.figures.losses import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, TOOLBAR, reach
from interference.labels import labels, ticks
from interference.languages import language_name
from interference.signs import plain
from interference.views_similarity import Map

_COLORS = (BLUE, ORANGE, GREEN, RED, PINK, SKY, "#8C6D00", "#666666", "#8A5CF6", "#A65628")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "cross", "star", "hexagon", "triangle-down", "pentagon")
_SLANTED, _SHORT = 5, 12  # pixels that a letter of a name below a map is high, and letters there is room for anyway
_TEXT = 16  # rows of a map that still have room for numbers


def _scale(label: str, chance: float, best: str, room: float) -> dict[str, Any]:
    """Colours from 0, or the least there is, to 1, the chance level marked on the bar with so much of it for itself."""
    low = -1.0 if best == "zero" else 0.0
    ticks = [t for t in np.linspace(low, 1, 5) if abs(t - chance) > room * (1 - low)]
    bar = {
        "title": {"text": label, "side": "right"},
        "thickness": 12,
        "tickvals": [*ticks, chance],
        "ticktext": [*(f"{t:g}" for t in ticks), f"chance {chance:.2f}"],
    }
    colors = {"colorscale": "PuOr_r", "cmid": 0} if best == "zero" else {"colorscale": "Cividis"}
    return {"cmin": low, "cmax": 1.0, "colorbar": bar} | colors


def _heat(grid: Map, label: str, where: str, text: bool) -> go.Heatmap:
    value = grid.value.to_numpy(dtype=float)
    low, high, chance = (grid.parts[part].to_numpy(dtype=float) for part in ("low", "high", "chance"))
    raw, scaled = (grid.parts[part].to_numpy(dtype=float) for part in ("raw", "z_scored"))
    custom = np.dstack([all_between(low, high), *(all_said(part, ".3f") for part in (chance, raw, scaled))])
    names = _names(grid)
    unclear = np.isfinite(low) & (low <= chance)
    texts = [
        ["" if not np.isfinite(v) else plain(v, 2) + ("*" if u else "") for v, u in zip(row, stars, strict=True)]
        for row, stars in zip(value, unclear, strict=True)
    ]
    return go.Heatmap(
        z=value, x=names[0], y=names[1], customdata=custom, coloraxis="coloraxis", hoverongaps=False,
        text=texts if text else None, texttemplate="%{text}" if text else None,
        hovertemplate=f"{where}<br>{label} %{{z:.3f}}%{{customdata[0]}}<br>chance %{{customdata[1]}}"
        "<br>raw %{customdata[2]}, z-scored %{customdata[3]}<extra></extra>",
    )  # fmt: skip


def _names(grid: Map) -> tuple[list[str], list[str]]:
    """What stands along x, and along y."""
    return [str(name) for name in grid.value.columns], [str(name) for name in grid.value.index]


def map_figure(grid: Map, label: str, best: str, x: str, y: str, title: str = "") -> go.Figure:
    """One map; a star marks values whose interval holds the chance level. With a title it is small, without numbers."""
    rows = len(grid.value)
    where = "layers %{y} and %{x}" if grid.rows == "layer" else "%{y} and %{x}"
    figure = go.Figure(_heat(grid, label, where, rows <= _TEXT and not title))
    scale = _scale(label, float(np.nanmean(grid.parts["chance"].to_numpy(dtype=float))), best, 0.3 if title else 0.06)
    if title:
        scale["colorbar"] |= {"orientation": "h", "y": 1.0, "yanchor": "bottom", "len": 1, "title": {"text": ""}}
    along, down = _names(grid)
    below = 0 if title else _SLANTED * max(0, max(map(len, labels(along))) - _SHORT)
    figure.update_layout(
        coloraxis=scale,
        height=max(340, 150 + (26 if rows <= _TEXT else 15 if title else 20) * rows) + below,
        margin={"l": 10, "r": 10, "t": 70 if title else TOOLBAR, "b": 10},
        title={"text": title, "font": {"size": 13}, "x": 0.5, "y": 0.995, "yanchor": "top"} if title else None,
        xaxis={"title": x, "type": "category", "tickangle": -45 if grid.rows != "layer" else 0, "showgrid": False},
        yaxis={"title": y, "type": "category", "autorange": "reversed", "showgrid": False},
    )
    if grid.rows != "layer":
        figure.update_layout(xaxis=ticks(along), yaxis=ticks(down))
    return figure


def depth_figure(frame: pd.DataFrame, label: str) -> go.Figure:
    """A line over the layers for every pair, in the colour of its kind, with the mean of the kind and of its chance.

    `frame` is one measure's with a column `kind`. With one pair of a kind its intervals are drawn.
    """
    figure = go.Figure()
    for number, (kind, part) in enumerate(frame.groupby("kind", sort=False)):
        color = _COLORS[number % len(_COLORS)]
        pairs = list(part.groupby(["model_a", "language_a", "model_b", "language_b"], sort=False))
        if len(pairs) > 1:
            figure.add_trace(_thin_lines(pairs, str(kind), color))
        mean = part.groupby("layer_a")[["value", "low", "high", "chance"]].mean()
        alone = len(pairs) == 1
        figure.add_trace(
            go.Scatter(
                x=mean.index, y=mean["value"], mode="lines+markers", name=str(kind), legendgroup=str(kind),
                line={"color": color, "width": 3}, marker={"size": 7, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
                error_y=reach(mean["value"], mean["low"], mean["high"], color=color, thickness=1)
                if alone and mean["low"].notna().any() else None,
                customdata=mean["chance"],
                hovertemplate=f"{kind}{'' if alone else ', mean'}<br>layer %{{x}}: %{{y:.3f}}"
                "<br>chance %{customdata:.3f}<extra></extra>",
            )
        )  # fmt: skip
    chance = frame.groupby("layer_a")["chance"].mean()
    figure.add_trace(
        go.Scatter(
            x=chance.index, y=chance, mode="lines", name="chance level", line={"color": GREY, "dash": "dash"},
            hovertemplate="chance level at layer %{x}: %{y:.3f}<extra></extra>",
        )
    )  # fmt: skip
    layers = sorted(frame["layer_a"].unique())
    figure.update_layout(
        height=460,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={
            "title": "layer (0 the embeddings, the last after the final norm)",
            "tickvals": layers if len(layers) < 14 else None,
        },
        yaxis={"title": label},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
    return figure


def follow_figure(frame: pd.DataFrame, label: str, best: str, said: str) -> go.Figure:
    """`depth_figure` as it follows a slider: one range whatever the values, and above it what they are made of."""
    figure = depth_figure(frame, label)
    low = min(-1.0 if best == "zero" else 0.0, float(np.nanmin(frame[["value", "low"]].to_numpy(dtype=float))))
    figure.update_layout(
        title={"text": said, "font": {"size": 13}, "x": 0, "xref": "paper", "y": 0.99, "yref": "container",
               "yanchor": "top"},
        margin={"l": 10, "r": 10, "t": 34, "b": 10},
        yaxis={"range": [low - 0.05, 1.05]},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0},
    )  # fmt: skip
    return figure


def _thin_lines(pairs: Sequence[tuple], kind: str, color: str) -> go.Scatter:
    x: list[float | None] = []
    y: list[float | None] = []
    names: list[str] = []
    for (a, one, b, other), part in pairs:
        part = part.dropna(subset=["value"]).sort_values("layer_a")
        x += [*part["layer_a"], None]
        y += [*part["value"], None]
        names += [f"{a} on {one}, {b} on {other}"] * (len(part) + 1)
    return go.Scatter(
        x=x, y=y, mode="lines", line={"color": color, "width": 1}, opacity=0.3, legendgroup=kind, showlegend=False,
        customdata=names, hovertemplate="%{customdata}<br>layer %{x}: %{y:.3f}<extra></extra>",
    )  # fmt: skip


def projection_figure(frame: pd.DataFrame, shares: tuple[float, float], plane: str) -> go.Figure:
    """Sentences as points in the colour and symbol of their language, a line through the translations of each."""
    x: list[float | None] = []
    y: list[float | None] = []
    for _, part in frame.groupby("row", sort=False):
        x += [*part["x"], None]
        y += [*part["y"], None]
    figure = go.Figure(
        go.Scatter(
            x=x, y=y, mode="lines", line={"color": GREY, "width": 1}, opacity=0.35, hoverinfo="skip",
            name="translations",
        )
    )  # fmt: skip
    for number, (language, part) in enumerate(frame.groupby("language", sort=False)):
        figure.add_trace(
            go.Scatter(
                x=part["x"], y=part["y"], mode="markers", name=language_name(str(language)),
                marker={"color": _COLORS[number % len(_COLORS)], "size": 9,
                        "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
                customdata=part[["row", "language", "text"]].to_numpy(),
                hovertemplate="%{customdata[2]}<br>row %{customdata[0]}, %{customdata[1]}<extra></extra>",
            )
        )  # fmt: skip
    names = [f"{'component' if plane == 'PCA' else 'axis'} {k} ({share:.0%})" for k, share in enumerate(shares, 1)]
    figure.update_layout(
        height=540,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": names[0], "zeroline": False},
        yaxis={"title": names[1], "zeroline": False, "scaleanchor": "x"},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        dragmode="pan",
        clickmode="event+select",
    )
    return figure
