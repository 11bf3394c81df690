"""The profile editor: one line of points for each parent, over tensor groups or along the layers.

Like the coefficient panel, the browser owns what is drawn and says so while a point moves; `profile.js` draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from interference.ui.live.panel import DIGITS
from interference.ui.live.plot import source, turn

_MOUNT = st.components.v2.component(
    "interference.profile_editor",
    html="<div class='profile'></div>",
    css=source("profile.css"),
    js=source("coefficients.js", "pace.js", "profile.js"),
)
Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Profile:
    """The values of each row; `moving` while a point is held."""

    rows: Rows
    moving: bool = False


@dataclass(frozen=True)
class _Kept:
    """What the last run knew; what the browser says of another version was said before it saw that one."""

    form: tuple[Any, ...]
    rows: Rows
    version: int


def profile_editor(
    names: Sequence[str],
    rows: Sequence[Sequence[float]],
    *,
    key: str,
    columns: Sequence[str] = (),
    layers: int = 0,
    most: int = 12,
    low: float = 0.0,
    high: float = 1.0,
    step: float = 0.01,
    label: str = "",
    help: str = "",
) -> Profile:
    """The lines as they stand. They go to `rows` when these are others than what was said last.

    With `columns` each row has a value for each of them; without, one to `most` values at equal distances from the
    first to the last of so many `layers`.
    """
    asked = tuple(tuple(round(float(v), DIGITS) for v in row) for row in rows)
    form = (tuple(names), tuple(columns), layers, most, low, high, step)
    kept = st.session_state.get(f"{key} kept")
    said = st.session_state.get(key)
    now = _believed(said.get("value") if isinstance(said, Mapping) else None, kept, form)
    if kept is None or kept.form != form or asked != kept.rows:
        now = Profile(asked)
        kept = _Kept(form, asked, turn())
    st.session_state[f"{key} kept"] = replace(kept, rows=now.rows)
    _MOUNT(
        key=key,
        data={
            "form": {
                "names": list(names), "columns": list(columns), "layers": layers, "most": most, "low": low,
                "high": high, "step": step,
            },
            "label": label,
            "help": help,
            "version": kept.version,
            "rows": [list(row) for row in now.rows],
        },
        on_value_change=lambda: None,  # makes a name a state; the value is read when the script runs
    )  # fmt: skip
    return now


def _believed(said: Any, kept: _Kept | None, form: tuple[Any, ...]) -> Profile:
    """What the browser said, if it is a state of this editor; else what was kept."""
    if kept is None:
        return Profile(())
    if isinstance(said, Mapping) and said.get("version") == kept.version and kept.form == form:
        rows = _rows(said.get("rows"), form)
        if rows:
            return Profile(rows, said.get("moving") is True)
    return Profile(kept.rows)


def _rows(said: Any, form: tuple[Any, ...]) -> Rows | None:
    names, columns, _, most, low, high, _ = form
    if not isinstance(said, list) or len(said) != len(names):
        return None
    for row in said:
        if not isinstance(row, list) or not (len(row) == len(columns) if columns else 1 <= len(row) <= most):
            return None
        if not all(type(v) in (int, float) and low <= v <= high for v in row):
            return None
    return tuple(tuple(round(float(v), DIGITS) for v in row) for row in said)
