"""The two live parts of a page: the panel of coefficients, and a figure that changes in place."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from interference.bench import Faders

_HERE = Path(__file__).parent
_runs = itertools.count()
_TICK_MS = 120  # between a figure that is not complete and the next look at it


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


_PANEL = st.components.v2.component(
    "interference.panel", html=_text("panel.html"), css=_text("panel.css"), js=_text("panel.js")
)
_PLOT = st.components.v2.component(
    "interference.plot", html="<div class='live-plot'></div>", js=_text("plot.js"), isolate_styles=False
)


@dataclass(frozen=True)
class Panel:
    """The coefficients as they stand, and whether one is being moved just now."""

    faders: "Faders"
    moving: bool


@dataclass
class _Memory:
    """What a panel was set to last, and how often it was set by anything but itself."""

    parents: tuple[str, ...] = ()
    faders: "Faders | None" = None
    version: int = 0


def coefficient_panel(
    parents: Sequence[str],
    faders: "Faders",
    *,
    low: float,
    high: float,
    step: float,
    languages: Sequence[str],
    key: str,
    throttle_ms: int,
) -> Panel:
    """A slider, a typed entry, lock, solo and mute for each parent, normalise and share for all.

    `faders` is what this returned in the run before, or what anything else wants it to be: then the thumbs follow.
    While a thumb is dragged the page runs at most once in `throttle_ms`.
    """
    memory = st.session_state.setdefault(f"{key} memory", _Memory())
    if (memory.parents, memory.faders) != (tuple(parents), faders):
        memory.parents, memory.faders, memory.version = tuple(parents), faders, memory.version + 1
    state = {name: getattr(faders, name) for name in type(faders).__dataclass_fields__}
    data = {
        "names": list(parents), "languages": list(languages), "low": low, "high": high, "step": step,
        "throttle": throttle_ms, "version": memory.version, "state": state,
    }  # fmt: skip
    found = _PANEL(key=key, data=data, default={"value": None}, on_value_change=lambda: None).value
    sent = _checked(found, len(parents), low, high)
    if sent and found["version"] == memory.version:
        memory.faders = sent
        return Panel(sent, found.get("moving") is True)
    return Panel(faders, False)


def _checked(found: Any, parents: int, low: float, high: float) -> "Faders | None":
    """What a browser sent, if it is a panel of so many parents."""
    from interference.bench import parse_faders
    from interference.errors import UserError

    if not isinstance(found, dict):
        return None
    try:
        faders = parse_faders({k: v for k, v in dict(found).items() if k not in ("version", "moving")}, parents)
    except UserError:
        return None
    return faders if all(low <= value <= high for value in faders.values) and "version" in found else None


def live_plot(
    figure: "go.Figure", *, key: str, height: int, alt: str, pending: bool = False, name: str = "figure"
) -> None:
    """A figure drawn in place, so that zoom and selection outlive new numbers.

    While `pending`, the page (or the fragment around it) is run again shortly after it was drawn.
    """
    import plotly

    base = st.get_option("server.baseUrlPath").strip("/")
    source = f"/{base}/app/static/plotly.min.js?{plotly.__version__}".replace("//", "/")
    data = {
        "figure": figure.to_json(), "height": height, "alt": alt, "pending": pending, "tick": _TICK_MS, "name": name,
        "source": source, "run": next(_runs),
    }  # fmt: skip
    _PLOT(key=key, data=data, height=height, on_tick_change=lambda: None, on_click_change=lambda: None)
