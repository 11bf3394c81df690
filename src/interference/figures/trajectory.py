"""Figures of training trajectories."""

from collections.abc import Collection

import pandas as pd
import plotly.graph_objects as go

from interference.figures.hover import all_between
from interference.figures.losses import BLUE, GREEN, GREY, ORANGE, RED, band
from interference.figures.panels import panels

MEASURES = ("loss", "excess over the better parent")
_ROLES = {"first": GREEN, "second": ORANGE, "merge": BLUE}


def trajectory_figure(
    points: pd.DataFrame, summary: pd.DataFrame, names: dict[str, str], unit: str, measure: str,
    step: int | None = None, own: Collection[str | None] = (),
) -> go.Figure:  # fmt: skip
    """One panel for each language: losses of both runs and of their merge over training, or the merge's excess.

    The frames are a TrajectoryTable's of the unit; `names` says what the roles are called; `step` is marked.
    """
    factors = _by_factors(points["step"])
    figure, cells = panels(
        list(dict.fromkeys(points["language"])),
        own,
        f"step of training{', on a logarithmic axis' if factors else ''}",
        unit if measure == MEASURES[0] else f"extra {unit}",
        210,
    )
    for number, (code, cell) in enumerate(cells.items()):
        part, own_summary = (frame[frame["language"] == code] for frame in (points, summary))
        traces = _losses(part, names, unit) if measure == MEASURES[0] else _excess(own_summary, names, unit)
        for trace in traces:
            trace.showlegend = bool(trace.name) and not number
            figure.add_trace(trace, **cell)
        if measure != MEASURES[0]:
            figure.add_hline(0, line={"color": GREEN, "dash": "dot", "width": 1}, **cell)
        if step is not None:
            figure.add_vline(step, line={"color": RED, "dash": "dot", "width": 1.5}, **cell)
    figure.update_xaxes(nticks=4)
    if factors:
        wide = points["step"].max() > 1e4 * points.loc[points["step"] > 0, "step"].min()
        figure.update_xaxes(type="log", dtick=2 if wide else 1, tickformat="~s", nticks=None)
    return figure


def _by_factors(steps: pd.Series) -> bool:
    """Whether steps lie as at equal factors: most of them in the first tenth of training, which a log axis shows."""
    after = sorted(set(steps[steps > 0]))
    return len(after) > 3 and after[len(after) // 2] <= after[-1] / 10


def _losses(part: pd.DataFrame, names: dict[str, str], unit: str) -> list[go.Scatter]:
    traces = []
    for role, color in _ROLES.items():
        own = part[part["role"] == role].sort_values("step").dropna(subset=["value"])
        if role == "merge":
            traces += _band(own["step"], own["low"], own["high"])
        traces.append(_line(own, "value", names[role], color, unit))
    untrained = part[part["role"] == "untrained"].dropna(subset=["value"])
    if len(untrained):
        trained = part.loc[part["role"] != "untrained", "step"]
        ends = [trained.min(), trained.max()]
        traces.append(
            go.Scatter(
                x=ends, y=[untrained["value"].iloc[0]] * 2, mode="lines", name="untrained",
                line={"color": GREY, "dash": "dash", "width": 1.5},
                hovertemplate="untrained<br>%{y:.3f} " + unit + "<extra></extra>",
            )
        )  # fmt: skip
    return traces


def _excess(own: pd.DataFrame, names: dict[str, str], unit: str) -> list[go.Scatter]:
    own = own.sort_values("step").dropna(subset=["excess"])
    renamed = own.rename(columns={"excess_low": "low", "excess_high": "high"})
    return [*_band(own["step"], own["excess_low"], own["excess_high"]),
            _line(renamed, "excess", names["merge"], BLUE, unit)]  # fmt: skip


def _line(own: pd.DataFrame, column: str, name: str, color: str, unit: str) -> go.Scatter:
    return go.Scatter(
        x=own["step"], y=own[column], mode="lines+markers", name=name,
        line={"color": color, "width": 2}, marker={"size": 5}, customdata=all_between(own["low"], own["high"]),
        hovertemplate=f"{name}<br>step %{{x:,}}<br>%{{y:.3f}} {unit}%{{customdata}}<extra></extra>",
    )  # fmt: skip


def _band(step: pd.Series, low: pd.Series, high: pd.Series) -> list[go.Scatter]:
    return [] if low.isna().any() else [band(step, low, high)]
