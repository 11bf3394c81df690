"""Figures for a screen that is read from the back of a room."""

import plotly.graph_objects as go

_FONT, _MARKS = 18, 1.35  # pixels, times
_HEIGHT = (400, 600)  # pixels


def enlarged(figure: go.Figure) -> go.Figure:
    """The same merge figure with large type and marks, of a height that leaves room for a heading on one screen."""
    large = go.Figure(figure)
    for trace in large.select_traces({"type": "scatter"}):
        trace.marker.size = trace.marker.size * _MARKS
    large.update_layout(
        height=min(max(1.2 * figure.layout.height, _HEIGHT[0]), _HEIGHT[1]),
        font={"size": _FONT},
        title={"font": {"size": _FONT}},
        legend={"entrywidth": 150, "font": {"size": _FONT - 1}},
        hoverlabel={"font": {"size": _FONT}},
        margin={"t": 110},
    )
    large.update_xaxes(title={"font": {"size": _FONT}})
    return large
