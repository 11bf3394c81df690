"""The live components in a fragment each, with numbers that mean nothing: for test_live.py."""

from dataclasses import replace

import plotly.graph_objects as go
import streamlit as st

from interference.ui.live import Place, coefficient_panel, live_plot, move_panel
from interference.ui.live.profile import profile_editor

NAMES = {
    "eng": "English", "nld": "Dutch", "deu": "German", "fra": "French", "spa": "Spanish", "ita": "Italian",
    "rus": "Russian", "tur": "Turkish", "ara": "Arabic", "zho": "Chinese",
}  # fmt: skip
TICKS = 5

st.set_page_config(layout="wide")
count = int(st.query_params.get("parents", 10))
width = int(st.query_params.get("width", 420))
parents = tuple((f"mono-{code}" if n < 10 else f"branch-{code}") for n, code in enumerate([*NAMES, *NAMES][:count]))
names = tuple([*NAMES.values(), *NAMES.values()][:count])


def preset(key: str, values: tuple[float, ...]) -> None:
    kept = st.session_state[f"{key} kept"].panel
    values = tuple(round(value, 4) for value in values)
    move_panel(key, replace(kept, values=values, muted=(False,) * count, solo=None))


@st.fragment
def panel_part() -> None:
    with st.container(horizontal=True):
        equal, first = (1 / count,) * count, (1.0,) + (0.0,) * (count - 1)
        st.button("Equal", key="equal", on_click=preset, args=("weights", equal))
        st.button("First", key="first", on_click=preset, args=("weights", first))
    with st.container(width=width):
        panel, moving = coefficient_panel(
            parents,
            st.session_state.get("asked", equal),
            key="weights",
            names=names,
            help="What each parent is multiplied with.",
        )
    runs = st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    said = st.session_state.get("weights")
    sequence = said["value"].get("seq") if isinstance(said, dict) and isinstance(said.get("value"), dict) else None
    st.text(f"values {list(panel.values)}")
    st.text(f"effective {list(panel.effective)}")
    st.text(f"moving {moving}")
    st.text(f"seq {sequence}")
    st.text(f"runs {runs}")


@st.fragment
def plot_part() -> None:
    with st.container(horizontal=True):
        if st.button("Start", key="start"):
            st.session_state["step"] = 0
        if st.button("More", key="more"):
            st.session_state["offset"] = st.session_state.get("offset", 0) + 1
        st.button("Same", key="same")
    plot = st.session_state.get("plot") or {}
    step = st.session_state.get("step", TICKS)
    if plot.get("tick"):
        step = st.session_state["step"] = min(TICKS, step + 1)
    offset = st.session_state.get("offset", 0)
    bars = [n + offset for n in range(step)]
    figure = go.Figure(go.Bar(x=list(NAMES.values())[:step], y=bars))
    figure.update_layout(xaxis={"title": "language"}, yaxis={"title": "bits"}, margin={"t": 30})
    live_plot(
        figure, key="plot", height=300, alt="Made-up bits by language", pending=step < TICKS, tick_ms=100,
        on_click=lambda point: st.session_state.update(clicked=f"{point.x} {point.y}"),
    )  # fmt: skip
    st.text(f"step {step}")
    st.text(f"offset {offset}")
    st.text(f"tick {plot.get('tick')}")
    st.text(f"clicked {st.session_state.get('clicked')}")


@st.fragment
def profile_part() -> None:
    st.button("Flat", key="flat", on_click=st.session_state.update, args=({"lines": [[0.5], [0.5]]},))
    lines = st.session_state.get("lines", [[0.0, 0.5, 1.0], [0.25, 0.25]])
    found = profile_editor(("first", "second"), lines, layers=4, key="profile", label="weight over the layers")
    st.session_state["lines"] = found.rows
    st.text(f"lines {[list(row) for row in found.rows]}")


@st.fragment
def places_part() -> None:
    """A panel and a plot that follows it: bars as high as the coefficients, in another scope as low."""

    def turn() -> None:
        st.session_state["sign"] = -st.session_state.get("sign", 1)

    def turn_and_move() -> None:
        turn()
        preset("places", (0.1,) * count)

    with st.container(horizontal=True):
        st.button("High", key="high", on_click=preset, args=("places", (0.9,) * count))
        st.button("Scope", key="scope", on_click=turn)
        st.button("Low elsewhere", key="both", on_click=turn_and_move)
    panel, moving = coefficient_panel(parents, (0.1,) * count, key="places", names=names)
    sign = st.session_state.get("sign", 1)
    bars = [sign * value for value in panel.effective]
    title = "preview" if moving else "whole"
    axes = {"xaxis": {"range": [-0.5, count - 0.5]}, "yaxis": {"range": [-1, 1]}}
    figure = go.Figure(go.Bar(x=list(parents), y=bars), {"title": {"text": title}, **axes})
    place = Place(panel.effective, panel.normalise, sign, not moving)
    live_plot(figure, key="placed", height=300, alt="Made-up bits by parent", place=place)


left, right = st.columns([2, 3]) if width > 400 else (st.container(), st.container())
with left:
    if "places" in st.query_params.get("show", ""):
        places_part()
    else:
        panel_part()
if "plot" in st.query_params.get("show", "plot"):
    with right:
        plot_part()
if "profile" in st.query_params.get("show", "plot"):
    with right:
        profile_part()
