"""A choice among groups of options of which some are greyed out, which Streamlit's own select box can't do.

It is the browser's own list, so that keyboards, screen readers and phones know it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from interference.ui.address import know_options
from interference.ui.live.plot import source, turn

_MOUNT = st.components.v2.component(
    "interference.grouped_choice",
    html="<div class='choice'></div>",
    css=source("choice.css"),
    js=source("choice.js"),
)


@dataclass(frozen=True)
class Group:
    """Options under a heading, their labels by value; with `disabled` they are seen and can't be chosen."""

    label: str
    options: Mapping[str, str]
    disabled: bool = False


def grouped_choice(
    label: str, groups: Sequence[Group], default: str, *, key: str, help: str = "", disabled: bool = False,
    width: int = 280,
) -> str:  # fmt: skip
    """The value that is chosen, kept under `key` and in the address, where its label stands for it as well.

    What an address asks for is chosen though it is greyed out: it is for the page to say why it does not apply.
    """
    known = {value: text for group in groups for value, text in group.options.items()}
    know_options(key, known)
    if st.session_state.get(key) not in known:
        given = st.query_params.get(key)
        st.session_state[key] = next((value for value in known if given in (value, known[value])), default)

    def pick() -> None:
        said = st.session_state.get(f"{key} box")
        if isinstance(said, Mapping) and said.get("picked") in known:
            st.session_state[key] = said["picked"]

    value: str = st.session_state[key]
    _write_address(key, None if value == default else value)
    data: dict[str, Any] = {"label": label, "help": help, "value": value, "disabled": disabled, "turn": turn()}
    data["groups"] = [[group.label, group.disabled, list(group.options.items())] for group in groups]
    _MOUNT(key=f"{key} box", data=data, width=width, on_picked_change=pick)
    return value


def _write_address(key: str, value: str | None) -> None:
    if value is None:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != value:
        st.query_params[key] = value
