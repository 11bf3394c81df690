"""What an address asks for that its page did not take, said once on the page that it opened.

Streamlit gives a widget its default where the address holds what the widget can't, and takes that out of the address
without a word. So what it held is kept from the start, and compared with where the widgets stand when they are drawn.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

import streamlit as st
from streamlit.runtime.state import get_session_state

if TYPE_CHECKING:
    from streamlit.runtime.state.common import WidgetMetadata
    from streamlit.runtime.state.query_params import QueryParams

_ASKED, _NOTICE, _STRANGE, _PLACE = "address asked", "address notice", "address strange", "address place"
_OPTIONS = "address options"  # of widgets that keep their parameter themselves: labels by value
_FEW = 5  # options that are named
_LONG = 60  # letters of a value that are repeated


@dataclass(frozen=True)
class Asked:
    """What the address of a page held that no widget has been compared with yet."""

    page: str
    values: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Notice:
    """What was not understood, a line each, and how the widgets of the address stood when it was said."""

    lines: tuple[str, ...]
    stood: Mapping[str, Any]


def heed_address(page: str) -> None:
    """Keep what the address of a page asks for before any widget is drawn, and say again what was not understood until
    the user changes something."""
    st.session_state[_PLACE] = st.empty()
    if _ASKED not in st.session_state or st.session_state[_ASKED].page != page:
        read_elsewhere = {"view", "present", "slide"} if page == "findings" else {"view"}
        names = [name for name in st.query_params if name not in read_elsewhere]
        st.session_state[_ASKED] = Asked(page, {name: tuple(st.query_params.get_all(name)) for name in names})
        st.session_state.pop(_NOTICE, None)
    notice: Notice | None = st.session_state.get(_NOTICE)
    if notice and any(st.session_state.get(name, value) != value for name, value in notice.stood.items()):
        del st.session_state[_NOTICE]
    _say(())


def know_options(name: str, options: Mapping[str, str]) -> None:
    """Labels by value of a widget that keeps its parameter of the address itself."""
    st.session_state[_OPTIONS] = st.session_state.get(_OPTIONS, {}) | {name: options}


def leave_out(name: str, value: str, options: Sequence[str]) -> None:
    """Say that a parameter names none of these, and that the page is as without it."""
    _say([_line(name, value, _named(value, {option: option for option in options}), [])])


def compare_with_address(whole: bool = False) -> None:
    """Say what of the address the widgets drawn so far don't stand at, and of a page that is drawn as a whole which
    names none of them has."""
    asked: Asked | None = st.session_state.get(_ASKED)
    if asked is None or not asked.values:
        return
    with get_session_state().query_params() as address:
        found = {name: _compare(address, name, values) for name, values in asked.values.items()}
        known = [*address._bindings_by_param, *st.session_state.get(_OPTIONS, {})]
    lines = [line for compared in found.values() for line in compared or ()]
    left = {name: values for name, values in asked.values.items() if found[name] is None}
    if whole:
        lines += _strange(left, known)
        left = {}
    st.session_state[_ASKED] = Asked(asked.page, left)
    _say(lines)


def stop_page(whole: bool = True) -> NoReturn:
    """End the page here: from then on nothing can be said."""
    compare_with_address(whole)
    st.stop()


def _say(lines: Sequence[str]) -> None:
    """The notice, with these lines below those that it has; no element where there is nothing to say."""
    notice: Notice = st.session_state.get(_NOTICE, Notice((), {}))
    if lines:
        with get_session_state().query_params() as address:
            stood = {name: st.session_state[name] for name in address._bindings_by_param if name in st.session_state}
        notice = st.session_state[_NOTICE] = Notice((*notice.lines, *lines), stood)
    if notice.lines:
        said = "\n".join(f"- {line}" for line in notice.lines)
        st.session_state[_PLACE].warning(f"Not all of this address was understood.\n{said}", icon=":material/link_off:")


def _compare(address: "QueryParams", name: str, values: Sequence[str]) -> list[str] | None:
    """What is to be said of a parameter; None where no widget has it so far. One that names options by their codes is
    written with their labels, for Streamlit has taken it out."""
    if name not in st.session_state:
        return None
    stands = st.session_state[name]
    binding = address.get_binding_for_param(name)
    drawn = get_session_state()._state
    widget: WidgetMetadata[Any] | None = drawn.get_widget_metadata(binding.widget_id) if binding else None
    if widget:
        shown = widget.serializer(stands)
        if stands != widget.deserializer(None) and not address.has_param(name):
            address.set_corrected_value(name, shown, widget.value_type)
        wrong = [value for value in values if not _stands_at(value, stands, shown, widget.clearable)]
        allowed = ((value, _allowed(widget, values, value)) for value in wrong)
        return [_line(name, value, said, _texts(shown)) for value, said in allowed if said]
    options: Mapping[str, str] | None = st.session_state.get(_OPTIONS, {}).get(name)
    if options is None:
        return None
    wrong = [value for value in values if value not in (stands, options[stands])]
    return [_line(name, value, _named(value, options), [options[stands]]) for value in wrong]


def _stands_at(value: str, stands: Any, shown: Any, clearable: bool) -> bool:
    """Whether a widget stands where an address asks, which may name an option by its label or its code."""
    if not value:
        return clearable or shown == ""
    if isinstance(shown, bool):
        return value.lower() == str(shown).lower()
    if isinstance(shown, int | float):
        with suppress(ValueError):
            return float(value) == shown
    return value in (*_texts(shown), *_texts(stands))


def _texts(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return [] if value is None else [str(value).lower() if isinstance(value, bool) else str(value)]


def _allowed(widget: "WidgetMetadata[Any]", values: Sequence[str], value: str) -> str:
    """What of an address a widget takes, in a few words; none where that is what it was given."""
    drawn = getattr(widget.deserializer, "__self__", None)
    most = widget.max_array_length if widget.value_type.endswith("array_value") else 1
    labels = widget.formatted_options
    if labels is not None and value not in labels:
        codes = [str(option) for option in getattr(drawn, "options", labels)]
        return _named(value, dict(zip(codes, labels, strict=True)))
    if most is not None and len(values) > most:
        return f"{most} of them"
    if widget.value_type == "bool_value":
        return "`true`, `false`"
    low, high = getattr(drawn, "min_value", None), getattr(drawn, "max_value", None)
    return "" if low is None else f"a number from {low} to {high}"


def _named(value: str, options: Mapping[str, str]) -> str:
    """A few of these labels by value, first those whose label or value is close to what was given."""
    names = {name.lower(): label for code, label in options.items() for name in (label, code)}
    close = [names[name] for name in get_close_matches(value.lower(), names, n=2)]
    few = list(dict.fromkeys([*close, *options.values()]))[:_FEW]
    more = f" and {len(options) - len(few)} more" if len(options) > len(few) else ""
    return f"{', '.join(map(_code, few)) or 'nothing here yet'}{more}"


def _line(name: str, value: str, allowed: str, shown: Sequence[str]) -> str:
    stands = f"Shown: {', '.join(map(_code, shown))}" if any(shown) else "Shown as without it"
    return f"{_code(f'{name}={value}')} is left out. {stands}. Allowed: {allowed}."


def _strange(values: Mapping[str, Sequence[str]], known: Sequence[str]) -> list[str]:
    """What to say of names that no widget of the page has, once in a session, for they stay in the address."""
    said: set[str] = st.session_state.setdefault(_STRANGE, set())
    new = [name for name in values if name not in said]
    said.update(new)
    lines = []
    for name in new:
        close = get_close_matches(name, known, n=1)
        hint = f" Did you mean {_code(close[0])}?" if close else ""
        lines.append(f"{_code(f'{name}={values[name][-1]}')} is left out: it sets nothing that is shown here.{hint}")
    return lines


def _code(text: str) -> str:
    """Anybody's text as it is, for Markdown: on one line, and not too long."""
    text = " ".join(text.replace("`", "'").split())
    return f"`{text[:_LONG]}{'…' * (len(text) > _LONG)}`"
