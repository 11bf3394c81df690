"""Figures of conflict tables: a measure by group, along the layers, tensor by tensor, and between every two models."""

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interference.conflict.table import ALL
from interference.figures.losses import BLUE, GREY, ORANGE, TOOLBAR, band
from interference.groups import GROUPS, LAYER_AXIS
from interference.signs import plain

OUTSIDE, WHOLE = "outside", "whole model"
Span = tuple[float, float]  # of a scale of colours
_FEW = 5  # models of a small map that still has room for numbers


def group_figure(frame: pd.DataFrame, label: str) -> go.Figure:
    """Every model's, pair's or the set's value in each group and the whole model, beside its chance level.

    `frame` is one measure's of `ConflictTable.by("whole")`.
    """
    frame = frame.replace({"group": {ALL: WHOLE}})
    groups = [g for g in (*GROUPS, WHOLE) if g in set(frame["group"])]
    names = _subjects(frame)
    figure = go.Figure(
        [
            go.Scatter(
                x=frame["chance"], y=frame["group"], mode="markers", name="chance level", customdata=names,
                marker={"symbol": "line-ns", "size": 15, "color": GREY, "line": {"width": 1.5, "color": GREY}},
                hovertemplate="%{customdata}<br>chance level %{x:.4g}<extra></extra>",
            ),
            go.Scatter(
                x=frame["closed_form"], y=frame["group"], mode="markers", name="closed form, Gaussian",
                marker={"symbol": "diamond-open", "size": 9, "color": ORANGE},
                hovertemplate="independent Gaussian tensors<br>%{x:.4g}<extra></extra>",
            ),
            go.Scatter(
                x=frame["value"], y=frame["group"], mode="markers", name="value", customdata=np.stack(
                    [names, frame["chance"]], axis=1),
                marker={"size": 8, "color": BLUE, "opacity": 0.75},
                hovertemplate="%{customdata[0]}, %{y}<br>%{x:.4g}, chance %{customdata[1]:.4g}<extra></extra>",
            ),
        ]
    )  # fmt: skip
    if frame["closed_form"].isna().all():
        figure.data = [trace for trace in figure.data if trace.name != "closed form, Gaussian"]
    figure.update_layout(
        height=130 + 44 * len(groups),
        margin={"l": 10, "r": 10, "t": 40, "b": 45},
        xaxis={"title": label},
        yaxis={"title": "part of the model", "categoryorder": "array", "categoryarray": groups[::-1]},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def layer_figure(frame: pd.DataFrame, label: str) -> go.Figure:
    """One panel for each group: the mean over models or pairs along the layers, their range, and the chance level.

    `frame` is one measure's of `ConflictTable.by("layer")`; what stands outside the layers is left out.
    """
    inside = frame[frame["layer"].notna()]
    groups = [g for g in (ALL, *GROUPS) if g in set(inside["group"])]
    figure = make_subplots(
        1, len(groups), shared_yaxes=True, subplot_titles=["all of the layer" if g == ALL else g for g in groups],
        horizontal_spacing=0.02, x_title=LAYER_AXIS, y_title=label,
    )  # fmt: skip
    for number, group in enumerate(groups, start=1):
        by_layer = inside[inside["group"] == group].groupby("layer")
        value, chance = by_layer["value"], by_layer["chance"].mean()
        mean, low, high = value.mean(), value.min(), value.max()
        layers = [int(layer) for layer in mean.index]
        shown = number == 1
        between = band(layers, low, high, name="lowest to highest", showlegend=shown, legendgroup="range")
        figure.add_trace(between, 1, number)
        figure.add_trace(
            go.Scatter(
                x=layers, y=mean, mode="lines+markers", name="mean", line={"color": BLUE}, marker={"size": 5},
                showlegend=shown, legendgroup="mean", customdata=np.stack([low, high, chance], axis=1),
                hovertemplate=f"layer %{{x}}, {group}<br>%{{y:.4g}} (%{{customdata[0]:.4g}} to %{{customdata[1]:.4g}})"
                "<br>chance %{customdata[2]:.4g}<extra></extra>",
            ), 1, number,
        )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=layers, y=chance, mode="lines", name="chance level", line={"color": GREY, "dash": "dash"},
                showlegend=shown, legendgroup="chance", hovertemplate="chance %{y:.4g}<extra></extra>",
            ), 1, number,
        )  # fmt: skip
    figure.update_xaxes(tickformat="d", dtick=1 if inside["layer"].nunique() < 9 else None)
    figure.update_annotations(font_size=12)
    figure.update_layout(
        height=330, margin={"l": 65, "r": 10, "t": 60, "b": 55},
        legend={"orientation": "h", "y": 1.1, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    return figure


def tensor_figure(frame: pd.DataFrame, label: str) -> go.Figure:
    """Layers × kinds of tensor: the mean over models or pairs, above its chance level.

    `frame` is one measure's of `ConflictTable.by("tensor")`.
    """
    found = frame.assign(row=[row_of(layer) for layer in frame["layer"]], kind=[_kind(n) for n in frame["tensor"]])
    means = found.groupby(["row", "kind"], sort=False)[["value", "chance"]].mean().reset_index()
    rows, kinds = list(dict.fromkeys(means["row"])), list(dict.fromkeys(means["kind"]))
    rows = [r for r in rows if r != OUTSIDE] + [r for r in rows if r == OUTSIDE]
    grids = [means.pivot(index="row", columns="kind", values=c).loc[rows, kinds] for c in ("value", "chance")]
    return _heat(grids[0], grids[1], label, "kind of tensor", LAYER_AXIS, "%{y}, %{x}", beside=False)


def pair_figure(frame: pd.DataFrame, label: str, part: str, span: Span | None = None) -> go.Figure:
    """Models × models: one measure of every pair in one part of the model, beside its chance level.

    `frame` is of that part alone; the colours reach over `span`, else over its own values.
    """
    value, chance = _grids(frame)
    return _heat(value, chance, f"{label}, {part}", "model", "model", "%{y} and %{x}", beside=True, span=span)


def part_figure(frame: pd.DataFrame, label: str, part: str, span: Span) -> go.Figure:
    """The map of `pair_figure` small, without its chance level, which the title has; for several beside each other."""
    value, chance = _grids(frame)
    z, most = value.to_numpy(dtype=np.float32), max(map(abs, span))
    means = [_cell(float(np.nanmean(grid.to_numpy(dtype=float))), most) for grid in (value, chance)]
    figure = go.Figure(
        go.Heatmap(
            z=z, x=list(value.columns), y=list(value.index), customdata=chance.to_numpy(dtype=np.float32),
            coloraxis="coloraxis", hoverongaps=False, text=[[_cell(float(v), most) for v in row] for row in z],
            texttemplate="%{text}" if len(z) <= _FEW else None,
            hovertemplate=f"%{{y}} and %{{x}}, {part}<br>{label} %{{z:.4g}}, chance %{{customdata:.4g}}<extra></extra>",
        )
    )  # fmt: skip
    axis = {"type": "category", "showgrid": False, "dtick": 1, "tickfont": {"size": 10}}
    figure.update_layout(
        coloraxis={"colorscale": "Cividis", "cmin": span[0], "cmax": span[1], "showscale": False},
        title={
            "text": f"{part}<br><span style='font-size:11px'>mean {means[0]}, chance {means[1]}</span>",
            "font": {"size": 14},
            "x": 0.5,
        },
        height=140 + max(100, 18 * len(z)),
        margin={"l": 5, "r": 5, "t": 55, "b": 5},
        xaxis=axis | {"tickangle": -90},
        yaxis=axis | {"autorange": "reversed"},
    )
    return figure


def span_of(frame: pd.DataFrame) -> Span:
    """The least and greatest value or chance level, so that maps of several parts have one scale."""
    numbers = frame[["value", "chance"]].to_numpy(dtype=float)
    return float(np.nanmin(numbers)), float(np.nanmax(numbers))


def _grids(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values and chance levels of pairs as symmetric maps."""
    names = list(dict.fromkeys([*frame["first"], *frame["second"]]))
    both = pd.concat([frame, frame.rename(columns={"first": "second", "second": "first"})])
    value, chance = (
        both.pivot(index="first", columns="second", values=c).reindex(index=names, columns=names)
        for c in ("value", "chance")
    )
    return value, chance


def _heat(
    value: pd.DataFrame, chance: pd.DataFrame, label: str, x: str, y: str, where: str, beside: bool,
    span: Span | None = None,
) -> go.Figure:  # fmt: skip
    """Two maps of one scale, what is measured and its chance level, `beside` each other or one below the other."""
    figure = make_subplots(
        *((1, 2) if beside else (2, 1)), shared_xaxes=True, shared_yaxes=True, subplot_titles=["measured", "by chance"],
        horizontal_spacing=0.02, vertical_spacing=0.12,
    )  # fmt: skip
    grids = [grid.to_numpy(dtype=np.float32) for grid in (value, chance)]
    for at, (z, other) in enumerate((grids, grids[::-1])):
        most = float(np.nanmax(np.abs(z), initial=0))
        own, its = ("%{z:.4g}", "%{customdata:.4g}") if at == 0 else ("%{customdata:.4g}", "%{z:.4g}")
        figure.add_trace(
            go.Heatmap(
                z=z, x=[str(c) for c in value.columns], y=[str(r) for r in value.index], customdata=other,
                coloraxis="coloraxis", hoverongaps=False, text=[[_cell(float(v), most) for v in row] for row in z],
                texttemplate="%{text}" if z.size <= 200 else None,
                hovertemplate=f"{where}<br>{own}, chance {its}<extra></extra>",
            ), 1 if beside else at + 1, at + 1 if beside else 1,
        )  # fmt: skip
    limits = {"cmin": span[0], "cmax": span[1]} if span else {}
    bar = {"title": {"text": label, "side": "right"}, "thickness": 12}
    figure.update_layout(
        coloraxis={"colorscale": "Cividis", "colorbar": bar} | limits,
        height=max(320, 170 + 26 * len(value) * (1 if beside else 2)),  # or the name of the colours would not fit
        margin={"l": 10, "r": 10, "t": TOOLBAR + 10, "b": 10},
    )  # fmt: skip
    figure.update_annotations(font_size=12)
    figure.update_xaxes(type="category", tickangle=-35, showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, title=y)
    figure.update_xaxes(title=x, row=None if beside else 2)
    if beside:
        figure.update_yaxes(title="", showticklabels=False, col=2)
    return figure


def _cell(value: float, most: float) -> str:
    """Three digits from one on; below it as many decimals as show two digits of the map's largest value."""
    if np.isnan(value):
        return ""
    size = abs(value) if abs(value) >= 1 else min(most, 1)
    return plain(value, min(3, max(0, (2 if size >= 1 else 1) - math.floor(math.log10(size)))) if size else 2)


def _subjects(frame: pd.DataFrame) -> np.ndarray:
    """What each row is about, in words."""
    heads = zip(frame["first"], frame["second"], strict=True)
    return np.array([" and ".join(n for n in head if isinstance(n, str)) or "the set" for head in heads], dtype=object)


def row_of(layer: object) -> str:
    """What a layer is called on an axis; parameters outside the layers have none."""
    return OUTSIDE if pd.isna(layer) else str(layer)  # type: ignore[call-overload]


def _kind(name: str) -> str:
    """A tensor's name without what is the same in all layers: `self_attn.q_proj` of layer 3's."""
    parts = name.removesuffix(".weight").split(".")
    number = next((i for i, part in enumerate(parts) if part.isdigit()), None)
    return ".".join(parts[number + 1 :] if number is not None else parts[-1:])
