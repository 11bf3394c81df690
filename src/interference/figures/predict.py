"""Figures of predictions: every measure's correlation with the damage, and one measure against it pair by pair."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interference.figures.hover import all_between, all_said
from interference.figures.losses import BLUE, GREY, ORANGE, reach
from interference.languages import language_name
from interference.predict import PairTable, Prediction

LABELLED = 45  # points that get names in the figure


def forest_figure(prediction: Prediction) -> go.Figure:
    """Spearman's correlation of every measure with the damage, its interval and its chance level; best first."""
    damage = prediction.table.outcome.split(",")[0]  # a correlation has no unit
    frame = prediction.frame[prediction.frame["why_not"] == ""]
    labels = frame["label"].tolist()
    figure = go.Figure()
    for sign in (-1, 1):
        figure.add_trace(
            go.Scatter(
                x=sign * frame["chance"], y=labels, mode="markers", name="chance: 5 % of relabellings beyond",
                marker={"symbol": "line-ns", "size": 15, "color": GREY, "line": {"width": 1.5, "color": GREY}},
                showlegend=sign > 0, hovertemplate="%{y}<br>chance %{x:+.2f}<extra></extra>",
            )
        )  # fmt: skip
    for name, column, color, symbol in (
        ("Spearman, with its 95 % interval over languages", "spearman", BLUE, "circle"),
        ("beyond what languages alone explain", "partial", ORANGE, "diamond"),
    ):
        error = None
        if column == "spearman":
            error = reach(frame[column], frame["low"], frame["high"], thickness=1.5, width=4)
        prefix = "partial_p" if column == "partial" else "p"
        chance = "partial_chance" if column == "partial" else "chance"
        symbols = [symbol if one else f"{symbol}-open" for one in frame[column].abs() > frame[chance]]
        figure.add_trace(
            go.Scatter(
                x=frame[column], y=labels, mode="markers", name=name, error_x=error,
                marker={"color": color, "symbol": symbols, "size": 9, "line": {"width": 2, "color": color}},
                customdata=np.stack(
                    [
                        *(all_said(frame[one], ".4f") for one in (prefix, f"{prefix}_holm")),
                        all_between(frame["low"], frame["high"], "+.2f") if error else [""] * len(frame),
                        all_said(frame[chance], ".2f"), frame["survives"],
                    ], axis=1,
                ),
                hovertemplate="%{y}<br>" + name + ": %{x:+.3f}<br>p %{customdata[0]}, Holm %{customdata[1]}"
                "%{customdata[2]}, chance %{customdata[3]}<br>survives: %{customdata[4]}<extra></extra>",
            )
        )  # fmt: skip
    figure.add_vline(0, line={"color": GREY, "width": 1})
    figure.update_xaxes(range=[-1.02, 1.02], title=f"Spearman's ρ with the {damage}")
    figure.update_yaxes(autorange="reversed", title="measure", automargin=True)
    figure.update_layout(
        height=150 + 27 * len(labels),
        margin={"l": 10, "r": 10, "t": 45, "b": 45},
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0},
    )
    return figure


def pairs_figure(table: PairTable, measure: str, marked: str = "", beyond: pd.DataFrame | None = None) -> go.Figure:
    """One measure against the damage, a point for each pair; those with the language `marked` in another colour.

    With `beyond` (see `beyond_languages`) both axes show what additive effects of languages leave.
    """
    label = next(", ".join(filter(None, (p.label, p.unit))) for p in table.predictors if p.name == measure)
    frame = table.frame.assign(x=table.frame[measure], y=table.frame["damage"])
    if beyond is not None:
        frame = frame.assign(x=beyond["x"], y=beyond["y"])
    chosen = (frame["first"] == marked) | (frame["second"] == marked)
    figure = go.Figure()
    for name, part, color, symbol in (
        ("other pairs" if marked else "pairs", frame[~chosen], BLUE, "circle"),
        (f"pairs with {language_name(marked)}", frame[chosen], ORANGE, "diamond"),
    ):
        if part.empty:
            continue
        names = part["first"] + "-" + part["second"]
        error = None
        if beyond is None and part["damage_low"].notna().all():
            error = reach(part["y"], part["damage_low"], part["damage_high"], thickness=1, width=0)
        figure.add_trace(
            go.Scatter(
                x=part["x"], y=part["y"], mode="markers+text" if len(frame) <= LABELLED else "markers", name=name,
                text=names, textposition="middle right", textfont={"size": 9}, error_y=error,
                marker={"color": color, "symbol": symbol, "size": 8}, cliponaxis=False,
                hovertemplate="%{text}<br>%{x:.4g}<br>%{y:.4g}<extra></extra>",
            )
        )  # fmt: skip
    left = " left by languages" if beyond is not None else ""
    figure.update_xaxes(title=f"{label}{left}")
    figure.update_yaxes(title=f"{table.outcome}{left}")
    figure.update_layout(
        height=460,
        margin={"l": 65, "r": 15, "t": 40, "b": 45},
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0},
        showlegend=True,
    )
    return figure
