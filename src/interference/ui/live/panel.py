"""The coefficient panel: one slider, typed value, lock, solo and mute for each parent.

The browser owns what is on the panel and says so while it moves; `panel.js` and `coefficients.js` do the arithmetic of
sharing. Here is what a page asks for and what may be believed of the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from interference.bench import Faders
from interference.labels import labels
from interference.ui.live.plot import source, turn
from interference.ui.uncut import uncut

DIGITS = 4  # of a coefficient, here and in coefficients.js
_MOUNT = st.components.v2.component(
    "interference.coefficient_panel",
    html="<div class='panel'></div>",
    css=source("panel.css"),
    js=source("coefficients.js", "pace.js", "panel.js"),
)


@dataclass(frozen=True)
class _Kept:
    """What the last run knew; what the browser says of another version was said before it saw that one."""

    parents: tuple[str, ...]
    asked: tuple[float, ...]
    panel: Faders
    version: int


def coefficient_panel(
    parents: Sequence[str],
    values: Sequence[float],
    *,
    key: str,
    low: float = 0.0,
    high: float = 1.0,
    names: Sequence[str] = (),
    help: str = "",
) -> tuple[Faders, bool]:
    """The panel as it stands, and whether a slider is held.

    It starts at `values`, and goes there again when they are others than last time. Inside a fragment, that alone runs
    at every move. `names` are shown under the parents, which stand there without the words they share.
    """
    parents, asked = tuple(parents), tuple(round(float(v), DIGITS) for v in values)
    with uncut():  # else where the page has moved the panel is known no more
        kept = _keep(st.session_state.get(f"{key} kept"), parents, asked, st.session_state.pop(f"{key} moved", None))
        said = st.session_state.get(key)
        panel, moving = _believed(said.get("value") if isinstance(said, Mapping) else None, kept, low, high)
        st.session_state[f"{key} kept"] = replace(kept, panel=panel)
    state = {
        "values": panel.values, "lock": panel.locked, "mute": panel.muted, "solo": panel.solo,
        "normalise": panel.normalise, "share": panel.share,
    }  # fmt: skip
    rows = {"parents": parents, "labels": labels(parents), "names": tuple(names) or ("",) * len(parents)}
    _MOUNT(
        key=key,
        data={
            "form": {**rows, "low": low, "high": high},
            "label": "Coefficients",
            "help": help,
            "version": kept.version,
            "state": state,
        },
        on_value_change=lambda: None,  # makes a name a state; the value is read when the script runs
    )
    return panel, moving


def move_panel(key: str, to: Faders) -> None:
    """Have a panel stand elsewhere when it is drawn next: for the callbacks of presets and undo."""
    st.session_state[f"{key} moved"] = to


def _keep(kept: _Kept | None, parents: tuple[str, ...], asked: tuple[float, ...], to: Faders | None) -> _Kept:
    """What was kept, or the next version of it where the page has moved the panel.

    Other values take off solo and mutes, so that they are what is heard; locks stay.
    """
    no = (False,) * len(parents)
    if kept is None or kept.parents != parents:
        start = Faders(asked, no, no)
        if kept is not None:
            start = replace(start, normalise=kept.panel.normalise, share=kept.panel.share)
        kept = _Kept(parents, asked, start, turn())
    elif to is None and asked not in (kept.asked, kept.panel.values):
        to = replace(kept.panel, values=asked, muted=no, solo=None)
    kept = replace(kept, asked=asked)
    if to is None or len(to.values) != len(parents):
        return kept
    return replace(kept, panel=to, version=turn())


def _believed(said: Any, kept: _Kept, low: float, high: float) -> tuple[Faders, bool]:
    """What the browser said, and whether a slider is held, if it is a state of this panel; else what was kept, within
    the range."""
    count = len(kept.parents)
    if isinstance(said, Mapping) and said.get("version") == kept.version:
        values = _numbers(said.get("values"), count, low, high)
        locked, muted = (_flags(said.get(name, [False] * count), count) for name in ("lock", "mute"))
        solo = said.get("solo")
        if values and locked and muted and (solo is None or (type(solo) is int and 0 <= solo < count)):
            normalise, share, moving = (said.get(name) is True for name in ("normalise", "share", "moving"))
            return Faders(values, locked, muted, solo, normalise, share), moving
    return replace(kept.panel, values=tuple(min(high, max(low, v)) for v in kept.panel.values)), False


def _numbers(said: Any, count: int, low: float, high: float) -> tuple[float, ...] | None:
    if not isinstance(said, list) or len(said) != count:
        return None
    if not all(type(x) in (int, float) and low <= x <= high for x in said):
        return None
    return tuple(round(float(x), DIGITS) for x in said)


def _flags(said: Any, count: int) -> tuple[bool, ...] | None:
    if not isinstance(said, list) or len(said) != count or not all(isinstance(x, bool) for x in said):
        return None
    return tuple(said)
