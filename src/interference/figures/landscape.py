"""Figures around paths: every two of many checkpoints, the plane through three, and activations along the layers."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interference.figures.hover import all_between, all_said
from interference.figures.losses import BLUE, GREEN, GREY, ORANGE, RED
from interference.figures.panels import panels
from interference.groups import LAYER_AXIS
from interference.languages import language_name
from interference.path import PathTable

_KNOWN = {  # the most telling last, over the others
    "neither does, or it can't be said": ("rgba(136, 136, 136, 0.4)", 1),
    "one end knows it": (ORANGE, 1.5),
    "both ends know the language": (BLUE, 2),
}
LINEARITY = {
    "cosine": ("cosine of the merge's and the mixed activations", "cosine_chance", "tokens shuffled"),
    "norm ratio": ("norm of the merge's activations to the mixed ones'", "", ""),
    "deviation ratio": ("standard deviation of a unit to the ends'", "deviation_unrelated", "unrelated units, mixed"),
}


def pairs_figure(tables: Sequence[PathTable], unit: str, own: Collection[str | None] = ()) -> go.Figure:
    """One panel for each language, one curve for each pair: the excess over the pair's better end.

    Colours tell whether both ends know the language, so that a barrier is defined, or one does, or neither.
    """
    summary = pd.concat([t.summary[unit].assign(pair=_pair(t)) for t in tables])
    points = pd.concat([t.points[unit].assign(pair=_pair(t)) for t in tables])
    languages = list(dict.fromkeys(points["language"]))
    figure, cells = panels(languages, own, "share of the pair's second checkpoint", f"extra {unit}", 190)
    named: set[str] = set()
    for code, cell in cells.items():
        levels = summary[summary["language"] == code].set_index("pair")
        walked = points[points["language"] == code]
        kinds = [_knowers(*row) for row in zip(levels["known_by"], levels["why_no_barrier"], strict=True)]
        for pair, name in sorted(zip(levels.index, kinds, strict=True), key=lambda one: list(_KNOWN).index(one[1])):
            part, why = walked[walked["pair"] == pair], levels.loc[pair, "why_no_barrier"]
            barrier = f"no barrier: {why}" if why else f"barrier {levels.loc[pair, 'barrier']:.3f}"
            color, width = _KNOWN[name]
            figure.add_trace(
                go.Scatter(
                    x=part["weight"], y=part["excess"], mode="lines", name=name, legendgroup=name,
                    showlegend=name not in named, line={"color": color, "width": width},
                    customdata=all_between(part["excess_low"], part["excess_high"]),
                    hovertemplate=f"{pair}<br>share %{{x:.2f}}<br>%{{y:+.3f}} {unit}%{{customdata}}<br>{barrier}"
                    "<extra></extra>",
                ), **cell,
            )  # fmt: skip
            named.add(name)
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1], matches=None)
    return figure


def _knowers(known_by: str | None, why_no_barrier: str) -> str:
    if not why_no_barrier:
        return "both ends know the language"
    return "one end knows it" if known_by else "neither does, or it can't be said"


def _pair(table: PathTable) -> str:
    return f"{table.walk.first} to {table.walk.second}"


def plane_figure(frame: pd.DataFrame, corners: pd.DataFrame, untrained: float, unit: str) -> go.Figure:
    """Contours of the loss on a plane through three checkpoints, which are marked with their own loss.

    What is worse than one and a half times the untrained level, or than the corners', is drawn in one colour.
    """
    grid = frame.pivot(index="y", columns="x", values="value")
    shares = np.dstack([frame.pivot(index="y", columns="x", values=c).to_numpy() for c in ("first", "second", "third")])
    low = float(frame["value"].min())
    limit = 1.5 * untrained if np.isfinite(untrained) else float(corners["value"].max())
    high = min(max(limit, low * 1.05), float(frame["value"].max()))
    shown = all_said(grid, ".3f")
    a, b, c = corners["model"]
    figure = go.Figure(
        [
            go.Contour(
                x=grid.columns, y=grid.index, z=np.minimum(grid.to_numpy(), high), customdata=shares, text=shown,
                colorscale="Cividis_r", zmin=low, zmax=high, ncontours=16, line={"width": 0.5},
                colorbar={"title": {"text": unit, "side": "right"}, "thickness": 12},
                hovertemplate=f"%{{text}} {unit}<br>{a} %{{customdata[0]:.2f}}<br>{b} %{{customdata[1]:.2f}}"
                f"<br>{c} %{{customdata[2]:.2f}}<extra></extra>",
            ),
            go.Scatter(
                x=[*corners["x"], corners["x"].iloc[0]], y=[*corners["y"], corners["y"].iloc[0]], mode="lines",
                line={"color": RED, "dash": "dot", "width": 1.5}, hoverinfo="skip", showlegend=False,
            ),
            go.Scatter(
                x=corners["x"], y=corners["y"], mode="markers+text", text=corners["model"], textposition="top center",
                marker={"size": 11, "color": "white", "line": {"color": RED, "width": 2}}, showlegend=False,
                textfont={"color": "white", "shadow": "0 0 4px black, 0 0 4px black"},
                customdata=np.stack(
                    [all_said(corners["value"], ".3f"), all_between(corners["low"], corners["high"])], axis=1
                ),
                hovertemplate="%{text}<br>%{customdata[0]} " + unit + "%{customdata[1]}<extra></extra>",
            ),
        ]
    )  # fmt: skip
    figure.update_layout(
        height=520,
        margin={"l": 65, "r": 10, "t": 20, "b": 50},
        xaxis={"title": f"distance in weight space, from {a} to {b}", "showgrid": False, "zeroline": False,
               "constrain": "domain"},
        yaxis={"title": f"towards {c}", "scaleanchor": "x", "showgrid": False, "zeroline": False,
               "constrain": "domain"},
    )  # fmt: skip
    return figure


def linearity_figure(frame: pd.DataFrame, measure: str, language: str, weight: float) -> go.Figure:
    """One panel for each place in a layer: a measure of LINEARITY over depth at one point of the path.

    The chosen language is drawn in full with its chance level, the others faintly behind it.
    """
    column = measure.replace(" ", "_")
    label, null, null_name = LINEARITY[measure]
    here = frame[np.isclose(frame["weight"], weight)]
    sites = list(dict.fromkeys(here["site"]))
    figure = make_subplots(
        1, len(sites), shared_yaxes=True, subplot_titles=sites, horizontal_spacing=0.02, x_title=LAYER_AXIS,
        y_title=label,
    )  # fmt: skip
    for number, site in enumerate(sites, start=1):
        part, shown = here[here["site"] == site], number == 1
        for code, line in part.groupby("language", sort=False):
            own = code == language
            figure.add_trace(
                go.Scatter(
                    x=line["layer"], y=line[column], mode="lines+markers" if own else "lines", showlegend=shown and own,
                    name=language_name(str(code)), opacity=1 if own else 0.3, legendgroup=str(code),
                    line={"color": BLUE if own else GREY, "width": 2 if own else 1},
                    hovertemplate=f"{language_name(str(code))}, layer %{{x}}<br>%{{y:.4f}}<extra></extra>",
                ), 1, number,
            )  # fmt: skip
        if null:
            line = part[part["language"] == language]
            figure.add_trace(
                go.Scatter(
                    x=line["layer"], y=line[null], mode="lines", name=null_name, showlegend=shown, legendgroup="null",
                    line={"color": ORANGE, "dash": "dash"}, hovertemplate=f"{null_name}<br>%{{y:.4f}}<extra></extra>",
                ), 1, number,
            )  # fmt: skip
        figure.add_hline(1, line={"color": GREEN, "dash": "dot", "width": 1}, row=1, col=number)
    figure.update_xaxes(tickformat="d", dtick=1 if here["layer"].nunique() < 9 else None)
    figure.update_yaxes(rangemode="tozero")
    figure.update_annotations(font_size=12)
    figure.update_layout(
        height=340, margin={"l": 65, "r": 10, "t": 60, "b": 55},
        legend={"orientation": "h", "y": 1.1, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    return figure
