"""A Plotly figure that is drawn in place, from the script that the plotly package brings along."""

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

PACKAGE, ASSETS = "interference", "plotly"
_TURNS = itertools.count(time.time_ns() // 10**6)  # above those of a server that was here before


def source(*names: str) -> str:
    """Scripts or styles of this folder, one behind the other."""
    return "".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in names)


def turn() -> int:
    """A number above all before. While a browser still loads a component's script, two updates may reach it the wrong
    way round: the one with the lower number was overtaken."""
    return next(_TURNS)


_MOUNT = st.components.v2.component(
    "interference.live_plot",
    html="<div><div class='live-plot'></div><div class='live-plot-message'></div></div>",
    css=source("plot.css"),
    js=source("load.js", "plot.js"),
    isolate_styles=False,  # Plotly puts its styles into the page's head
)
_AHEAD = st.components.v2.component(
    "interference.plotly_ahead", html="<i></i>", js=source("load.js", "ahead.js"), isolate_styles=False
)
_HISTORY = st.components.v2.component(
    "interference.history", html="<i></i>", js=source("history.js"), isolate_styles=False
)


@dataclass(frozen=True)
class Point:
    """What was clicked: the trace, and where in its axes."""

    curve: int
    x: Any
    y: Any


@dataclass(frozen=True)
class Place:
    """Where a panel of coefficients stood when a figure was made: what it said, and all else that the figure is of.

    A whole figure, one that stays as it is, is drawn again by the browser itself when the panel comes back.
    """

    coefficients: tuple[float, ...]
    normalise: bool
    scope: int
    whole: bool


def live_plot(
    figure: Any,
    *,
    key: str,
    height: int,
    alt: str,
    pending: bool = False,
    tick_ms: int = 350,
    on_click: Callable[[Point], None] | None = None,
    filename: str = "figure",
    place: Place | None = None,
) -> None:
    """A figure, or its dictionary, in a fixed height; zoom and selection stay while its numbers change.

    While `pending`, the script, or the fragment around, is run again `tick_ms` after each drawing, as long as somebody
    looks. The figure's own template and height give way to the page's. `alt` is what a screen reader says.
    """

    def clicked() -> None:
        said = st.session_state.get(key)
        point = _point(said.get("click")) if isinstance(said, Mapping) else None
        if point and on_click:
            on_click(point)

    said = {
        "src": _serve_plotly(),
        "height": height,
        "alt": alt,
        "pending": pending,
        "tick_ms": tick_ms,
        "filename": filename,
        **_placed(place),
        "turn": turn(),  # a pending figure asks again after every run, also after one that found nothing new
    }
    payload = f'{json.dumps(said)[:-1]},"figure":{_compact(figure)}}}'
    _MOUNT(key=key, data=payload.encode(), on_click_change=clicked, on_tick_change=lambda: None)  # a tick is a run


def _placed(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {}
    said = [*place.coefficients, place.normalise]
    return {"place": said, "scope": str(place.scope), "whole": place.whole}  # as text: a browser rounds such integers


def load_ahead() -> None:
    """Have the browser load Plotly's script while the page has nothing to draw yet."""
    _AHEAD(key="plotly_ahead", data=_serve_plotly(), height=1)


def keep_history(settings: Sequence[str], session: str, on_reload: Callable[[str], None]) -> None:
    """Have the browser go back and forward from page to page, each with its settings; those named hold on all.

    `on_reload` is called with the name of the session that this one comes after, where the page was loaded anew.
    """

    def reloaded() -> None:
        said = st.session_state.get(key)
        before = said.get("reloaded") if isinstance(said, Mapping) else None
        if isinstance(before, str):
            on_reload(before)

    key = "one_entry_per_page"
    _HISTORY(key=key, data={"settings": list(settings), "session": session}, height=1, on_reloaded_change=reloaded)


def _compact(figure: Any) -> str:
    """The figure's JSON without its template, which is as large as a small figure and is replaced."""
    from plotly.io.json import to_json_plotly

    plain = figure if isinstance(figure, dict) else figure.to_dict()
    plain["layout"].pop("template", None)
    return to_json_plotly(plain)


def _point(said: Any) -> Point | None:
    """A click as the browser sent it, if it is one."""
    if not isinstance(said, Mapping) or type(said.get("curve")) is not int:
        return None
    return Point(said["curve"], said.get("x"), said.get("y"))


def _serve_plotly() -> str:
    """The address of the script: the plotly package's data are served where they lie, copied nowhere.

    It is relative, as Streamlit's own are: the server does not know what a proxy before it takes off an address.
    """
    import plotly
    from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
    from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

    manager, name = get_bidi_component_manager(), f"{PACKAGE}.{ASSETS}"
    if manager.get_component_path(name) is None:
        manifest = ComponentManifest(PACKAGE, plotly.__version__, [ComponentConfig(ASSETS, "package_data")])
        manager.register_from_manifest(manifest, Path(plotly.__file__).parent)
    return f"_stcore/bidi-components/{name}/plotly.min.js?{plotly.__version__}"
