"""Figures of accuracy on minimal pairs."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interference.figures.hover import all_between, all_said
from interference.figures.losses import GREEN, GREY, MARKS, ORANGE, categories, height_of, reach
from interference.languages import language_name

ROLES = ("reference", "best parent", "untrained", "unigram", "merge")


def accuracy_figure(frame: pd.DataFrame) -> go.Figure:
    """One line for each language: the share of pairs that the merge, its parents and the controls get right.

    `frame` has AccuracyTable's columns and `role`, one of ROLES.
    """
    languages = list(dict.fromkeys(frame["language"]))
    names = [language_name(code) for code in languages]
    figure = go.Figure()
    for role in ROLES:
        part = frame[frame["role"] == role]
        if part.empty:
            continue
        name, color, symbol, size = MARKS[role]
        share, low, high = (100 * part[column] for column in ("accuracy", "low", "high"))
        figure.add_trace(
            go.Scatter(
                x=share, y=part["language"].map(language_name), mode="markers", name=name,
                marker={"color": color, "symbol": symbol, "size": size, "line": {"width": 2, "color": color}},
                error_x=reach(share, low, high, color=color, thickness=1.5) if role in ("merge", "reference") else None,
                customdata=_custom(part), hovertemplate="%{y}<br>" + name + _HOVER,
            )
        )  # fmt: skip
    figure.add_vline(50, line={"color": GREY, "dash": "dash", "width": 1.5}, annotation_text="chance",
                     annotation_position="bottom right")  # fmt: skip
    figure.update_layout(
        height=130 + height_of(len(languages), 33, 16),
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        xaxis={"title": "pairs right, % (higher is better)", "range": [0, 103], "dtick": 25},
        yaxis=categories(names) | {"showgrid": True},
        legend={"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
    return figure


_HOVER = (
    " (%{customdata[0]})<br>%{customdata[1]} of %{customdata[2]} pairs%{customdata[3]}<br>%{customdata[4]} ties, "
    "margin %{customdata[5]} bits<extra></extra>"
)


def _custom(part: pd.DataFrame) -> np.ndarray:
    return np.stack(
        [
            part["model"], all_said(part["accuracy"], ".1%"), part["pairs"],
            all_between(part["low"], part["high"], ".1%"), part["ties"], all_said(part["margin"], "+.2f"),
        ], axis=1,
    )  # fmt: skip


TASK_MARKS = {  # role: (name in the legend, colour, symbol, size)
    "parent": ("a parent", ORANGE, "circle", 7),
    "other": ("another checkpoint", GREEN, "diamond-open", 10),
    "untrained": MARKS["untrained"],
    "merge": MARKS["merge"],
}

_TASK_HOVER = (
    " %{x:.4f}<br>standard error %{customdata[1]}<br>%{customdata[2]} samples, %{customdata[3]} examples, filter "
    "%{customdata[4]}<extra></extra>"
)


def tasks_figure(frame: pd.DataFrame) -> go.Figure:
    """One line for each task: one metric of every model. `frame` has the columns of `harness.COLUMNS` and `role`."""
    figure, metric = go.Figure(), frame["metric"].iloc[0]
    for role, (name, color, symbol, size) in TASK_MARKS.items():
        part = frame[frame["role"] == role]
        if part.empty:
            continue
        figure.add_trace(
            go.Scatter(
                x=part["value"], y=part["task"].where(part["filter"] == "none", part["task"] + ", " + part["filter"]),
                mode="markers", name=name,
                marker={"color": color, "symbol": symbol, "size": size, "line": {"width": 2, "color": color}},
                error_x={
                    "type": "data", "array": 1.96 * part["standard_error"].astype(float), "color": color,
                    "thickness": 1.5,
                } if role == "merge" else None,
                customdata=part.assign(
                    standard_error=all_said(part["standard_error"].astype(float), ".4f"),
                    samples=all_said(part["samples"].astype(float), ".0f"),
                )[["model", "standard_error", "samples", "shots", "filter"]].astype(object).to_numpy(),
                hovertemplate="%{y}<br>%{customdata[0]}<br>" + metric + _TASK_HOVER,
            )
        )  # fmt: skip
    better = frame["higher_is_better"].iloc[0]
    reading = "" if better is None else " (higher is better)" if better else " (lower is better)"
    figure.update_layout(
        height=130 + 40 * len(frame[["task", "filter"]].drop_duplicates()),
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        xaxis={"title": f"{metric}{reading}"},
        yaxis={"autorange": "reversed", "title": "task", "showgrid": True},
        legend={"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
    return figure


def phenomenon_figure(frame: pd.DataFrame, control: pd.DataFrame) -> go.Figure:
    """Phenomena × languages of one model: the share of pairs right, bold where `above`.

    Both frames are AccuracyTable's rows by phenomenon of one model each, the first with what AccuracyTable.above says
    of them; the control may lack cells.
    """
    languages = list(dict.fromkeys(frame["language"]))
    rows = list(frame["phenomenon"].value_counts(sort=False).sort_values(ascending=False, kind="stable").index)
    named = {column: (frame, column) for column in ("accuracy", "low", "high", "pairs", "margin", "above")}
    share, low, high, pairs, margin, above, other = (
        part.pivot(index="phenomenon", columns="language", values=column)
        .reindex(index=rows, columns=languages)
        .to_numpy(float)
        for part, column in (*named.values(), (control, "accuracy"))
    )
    text = [
        [
            "" if np.isnan(own) else f"<b>{own:.0f}</b>" if clear else f"{own:.0f}"
            for own, clear in zip(*line, strict=True)
        ]
        for line in zip(100 * share, above == 1, strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=100 * share, x=languages, y=rows, zmin=0, zmax=100, zmid=50, colorscale="PuOr", xgap=1, ygap=1,
            text=text, texttemplate="%{text}", textfont={"size": 11}, hoverongaps=False,
            customdata=np.dstack([
                all_between(low, high, ".1%"), all_said(pairs, ".0f"), all_said(margin, "+.2f"), all_said(other, ".1%"),
            ]),
            colorbar={
                "title": {"text": "pairs right, %", "side": "right"}, "orientation": "h", "thickness": 10, "len": 0.6,
                "yref": "container", "y": 0, "yanchor": "bottom",
            },
            hovertemplate="%{y}, %{x}<br>%{z:.1f} % of %{customdata[1]} pairs%{customdata[0]}"
            "<br>margin %{customdata[2]} bits<br>unigram control %{customdata[3]}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        height=150 + 26 * len(rows),
        margin={"l": 10, "r": 10, "t": 10, "b": 75},
        xaxis={"side": "top", "title": "language of the pairs", "showgrid": False, "tickangle": 0, "dtick": 1},
        yaxis={"autorange": "reversed", "title": "error", "showgrid": False},
    )
    return figure
