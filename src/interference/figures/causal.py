"""Figures of causal maps: one heat map of components for each way of exchanging them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interference.figures.hover import all_between
from interference.figures.weights import OUTSIDE, WHOLE, row_of
from interference.groups import GROUPS, LAYER_AXIS
from interference.signs import signed, signed_short

TITLES = {
    "transplanted": ("merge's component in the parent", "cost"),
    "restored": ("parent's component in the merge", "gain"),
    "untrained": ("untrained component in the parent", "control, cost"),
}


def causal_figure(frame: pd.DataFrame, unit: str, kinds: Sequence[str]) -> go.Figure:
    """Layers × groups, a heat map for each of `kinds`, on one scale; `frame` is a CausalTable's of the unit.

    A cell whose interval contains zero is written in parentheses.
    """
    cells = frame[frame["component"] != WHOLE]
    rows = [OUTSIDE, *(str(layer) for layer in sorted(cells["layer"].dropna().unique()))]
    groups = [group for group in GROUPS if group in set(cells["group"])]
    figure = make_subplots(
        1, len(kinds), shared_yaxes=True, horizontal_spacing=0.03, y_title=LAYER_AXIS,
        subplot_titles=[_title(frame, kind) for kind in kinds],
    )  # fmt: skip
    for number, kind in enumerate(kinds, start=1):
        part = cells[cells["map"] == kind]
        part = part.assign(row=[row_of(layer) for layer in part["layer"]])
        grids = [
            part.pivot(index="row", columns="group", values=c).reindex(index=rows, columns=groups).to_numpy(np.float32)
            for c in ("bits", "low", "high")
        ]
        figure.add_trace(
            go.Heatmap(
                z=grids[0], x=groups, y=rows, customdata=all_between(grids[1], grids[2], "+.3f"), coloraxis="coloraxis",
                xgap=1, ygap=1,
                text=[[_text(*cell) for cell in line] for line in np.stack(grids, axis=-1).tolist()],
                texttemplate="%{text}", hoverongaps=False, name=kind,
                hovertemplate="%{y}, %{x}<br>%{z:+.3f} " + unit
                + "%{customdata}<extra></extra>",
            ), 1, number,
        )  # fmt: skip
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    figure.update_annotations(font_size=12)
    figure.update_layout(
        height=165 + 34 * len(rows),
        margin={"l": 65, "r": 10, "t": 65, "b": 30},
        coloraxis={"colorscale": "PuOr_r", "cmid": 0,
                   "colorbar": {"title": {"text": unit, "side": "right"}, "thickness": 12}},
    )  # fmt: skip
    return figure


def _title(frame: pd.DataFrame, kind: str) -> str:
    whole = frame.loc[(frame["map"] == kind) & (frame["component"] == WHOLE), "bits"]
    known = f" (whole model {signed(whole.item(), 1)})" if len(whole) and pd.notna(whole.item()) else ""
    return "<br>".join(TITLES[kind]) + known  # in two lines: three maps stand side by side


def _text(bits: float, low: float, high: float) -> str:
    if np.isnan(bits):
        return ""
    text = signed_short(bits)
    return f"({text})" if low <= 0 <= high else text
