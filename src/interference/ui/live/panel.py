"""The coefficient panel: one slider, typed value, lock, solo and mute for each parent.

The browser owns what is on the panel and says so while it moves; `panel.js` and `coefficients.js` do the arithmetic of
sharing. Here is what a page asks for and what may be believed of the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from interference.labels import labels

DIGITS = 4  # of a coefficient, here and in coefficients.js
FOLDER = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "interference.coefficient_panel",
    html="<div class='panel'></div>",
    css=(FOLDER / "panel.css").read_text(encoding="utf-8"),
    js="".join((FOLDER / name).read_text(encoding="utf-8") for name in ("coefficients.js", "pace.js", "panel.js")),
)


@dataclass(frozen=True)
class Panel:
    """What is on the panel, in the order of the parents. `moving` while a slider is held."""

    values: tuple[float, ...]
    locked: tuple[bool, ...]
    muted: tuple[bool, ...]
    solo: int | None = None
    normalise: bool = False
    share: bool = False
    moving: bool = False

    @property
    def effective(self) -> tuple[float, ...]:
        """What each parent counts with, before any normalising: the soloed one alone, or all that are not muted."""
        heard = [not muted if self.solo is None else self.solo == i for i, muted in enumerate(self.muted)]
        return tuple(round(value, DIGITS) if h else 0.0 for value, h in zip(self.values, heard, strict=True))


@dataclass(frozen=True)
class _Kept:
    """What the last run knew; what the browser says of another version was said before it saw that one."""

    parents: tuple[str, ...]
    asked: tuple[float, ...]
    panel: Panel
    version: int


def coefficient_panel(
    parents: Sequence[str],
    values: Sequence[float],
    *,
    key: str,
    low: float = 0.0,
    high: float = 1.0,
    step: float = 0.01,
    names: Sequence[str] = (),
    label: str = "Coefficients",
    help: str = "",
    throttle_ms: int = 50,
) -> Panel:
    """The panel as it stands. It starts at `values`, and goes there again when they are others than last time.

    Inside a fragment, that alone runs at every move. `names` are shown under the parents, which stand there
    without the words they share. `throttle_ms` is the least
    time between two messages while a slider moves.
    """
    parents, asked = tuple(parents), tuple(round(float(v), DIGITS) for v in values)
    kept = _keep(st.session_state.get(f"{key} kept"), parents, asked, st.session_state.pop(f"{key} moved", None))
    said = st.session_state.get(key)
    panel = _believed(said.get("value") if isinstance(said, Mapping) else None, kept, low, high)
    st.session_state[f"{key} kept"] = replace(kept, panel=panel)
    state = asdict(panel) | {"lock": panel.locked, "mute": panel.muted}
    rows = {"parents": parents, "labels": labels(parents), "names": tuple(names) or ("",) * len(parents)}
    _MOUNT(
        key=key,
        data={
            "form": {**rows, "low": low, "high": high, "step": step},
            "label": label,
            "help": help,
            "throttle_ms": throttle_ms,
            "version": kept.version,
            "state": {name: state[name] for name in ("values", "lock", "mute", "solo", "normalise", "share")},
        },
        on_value_change=_nothing,
    )
    return panel


def move_panel(key: str, to: "Panel | Sequence[float]") -> None:
    """Have a panel stand elsewhere when it is drawn next: for the callbacks of presets and undo.

    Values alone take off solo and mutes, so that they are what is heard; locks stay.
    """
    st.session_state[f"{key} moved"] = to


def _nothing() -> None:
    """The callback that makes a name a state; the value is read when the script runs."""


def _keep(
    kept: _Kept | None, parents: tuple[str, ...], asked: tuple[float, ...], to: "Panel | Sequence[float] | None"
) -> _Kept:
    """What was kept, or the next version of it where the page has moved the panel."""
    count = len(parents)
    if kept is None or kept.parents != parents:
        start = Panel(asked, (False,) * count, (False,) * count)
        if kept is not None:
            start = replace(start, normalise=kept.panel.normalise, share=kept.panel.share)
        kept = _Kept(parents, asked, start, kept.version + 1 if kept else 1)
    elif to is None and asked not in (kept.asked, kept.panel.values):
        to = asked
    kept = replace(kept, asked=asked)
    if to is None or len(to.values if isinstance(to, Panel) else to) != count:
        return kept
    if not isinstance(to, Panel):
        numbers = tuple(round(float(v), DIGITS) for v in to)
        to = replace(kept.panel, values=numbers, muted=(False,) * count, solo=None)
    return replace(kept, panel=replace(to, moving=False), version=kept.version + 1)


def _believed(said: Any, kept: _Kept, low: float, high: float) -> Panel:
    """What the browser said, if it is a state of this panel; else what was kept, within the range."""
    count = len(kept.parents)
    if isinstance(said, Mapping) and said.get("version") == kept.version:
        values = _numbers(said.get("values"), count, low, high)
        locked, muted = (_flags(said.get(name, [False] * count), count) for name in ("lock", "mute"))
        solo = said.get("solo")
        if values and locked and muted and (solo is None or (type(solo) is int and 0 <= solo < count)):
            flags = (said.get(name) is True for name in ("normalise", "share", "moving"))
            return Panel(values, locked, muted, solo, *flags)
    return replace(kept.panel, values=tuple(min(high, max(low, v)) for v in kept.panel.values), moving=False)


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
