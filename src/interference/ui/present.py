"""Presentation mode: one finding a screen, large, with the coefficients of its merge still live."""

import html
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

import streamlit as st

from interference.bench import View, on_panel, with_faders
from interference.errors import UserError, nearest
from interference.findings import Block, Findings, from_json
from interference.store import list_findings, read_findings
from interference.ui.address import leave_out
from interference.ui.live import live_plot, move_panel
from interference.ui.sidebar import Bench, open_view
from interference.ui.watch import place_of, watch
from interference.ui.widgets import draw_panel, faders_of

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator


_NAME, _SLIDE = "present", "slide"  # parameters of the address
_AT = "slide at"  # what a slide goes by: its figure's ticks may still say the address of the one before
_LINE = 80  # letters in a line of a slide
_LEADING, _GAP = 1.4, 0.5  # the height of a line in sizes of its type, that of an empty one in lines
_ALONE, _BESIDE = 74, 24  # hundredths of the screen's height that a text may fill, alone and above a figure


def presented() -> str | None:
    """The name of the findings that are being presented, if any; one that none are kept by leads to the others."""
    name = st.query_params.get(_NAME)
    kept = [one.name for one in list_findings()] if name is not None else []
    if name is None or name in kept:
        return name
    _drop_address()
    leave_out(_NAME, name, kept)
    return None


def draw_presentation(bench: Bench) -> None:
    """The slide that the address names; what moves is drawn in a fragment of its own."""
    st.html(f"<style>{_style()}</style>")
    st.session_state[_AT] = st.query_params.get(_SLIDE, "1")
    _draw_slide(bench)


@cache
def _style() -> str:
    return Path(__file__).with_name("present.css").read_text(encoding="utf-8")


@st.fragment
def _draw_slide(bench: Bench) -> None:
    name = presented()
    if name is None:
        st.rerun()  # left
    try:
        findings = _found(name)
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        st.button("Leave", key="slide leave", shortcut="Escape", on_click=_leave, args=(name,))
        return
    last = max(len(findings.blocks) - 1, 0)
    number = _position(last)
    content = st.container(key="slide")
    _draw_controls(findings, number, last)
    with content:
        if findings.blocks:
            _draw_block(bench, number, findings.blocks[number])
        else:
            st.html(f"<div class='slide-heading'>{html.escape(findings.title)}</div>")
            st.info("These findings have no blocks yet. Leave, and add some.")


def _found(name: str) -> Findings:
    kept = read_findings(name)
    if kept is None:
        known = [one.name for one in list_findings()]
        raise UserError(f"No findings named '{name[:80]}' are kept here: {nearest(name[:80], known)}")
    return from_json(kept.document).renamed(kept.name)


def _position(last: int) -> int:
    """The slide, counted from 0; the nearest that there is."""
    text = st.session_state[_AT]
    return min(max(int(text) - 1, 0), last) if text.isascii() and text.isdigit() and len(text) < 4 else 0


def _go(number: int) -> None:
    st.session_state[_AT] = st.query_params[_SLIDE] = str(number + 1)


def _leave(name: str) -> None:
    _drop_address()
    st.session_state["findings"] = name


def _drop_address() -> None:
    for name in (_NAME, _SLIDE):
        st.query_params.pop(name, None)


def _draw_controls(findings: Findings, number: int, last: int) -> None:
    """Buttons to move and to leave, and the keys of a keyboard or a pointer that do the same."""
    back, on = max(number - 1, 0), min(number + 1, last)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="slide_controls"):
        buttons = (
            ("First", "first_page", 0, "Home", number == 0), ("Back", "chevron_left", back, "Left", number == 0),
            ("Next", "chevron_right", on, "Right", number == last), ("Last", "last_page", last, "End", number == last),
        )  # fmt: skip
        for label, icon, to, key, disabled in buttons:
            st.button(
                label, icon=f":material/{icon}:", key=f"slide {label}", type="tertiary", shortcut=key, on_click=_go,
                args=(to,), disabled=disabled,
            )  # fmt: skip
        place = f"{number + 1} / {last + 1} · {findings.title}"
        st.html(f"<div class='slide-quiet'>{html.escape(place)}</div>", width="stretch")
        st.button(
            "Leave", icon=":material/close:", key="slide leave", type="tertiary", shortcut="Escape", on_click=_leave,
            args=(findings.title,),
        )  # fmt: skip
    with st.container(key="slide_keys"):
        for key, to in (("Space", on), ("Down", on), ("PageDown", on), ("Up", back), ("PageUp", back)):
            st.button(key, key=f"slide key {key}", shortcut=key, on_click=_go, args=(to,))


def _draw_block(bench: Bench, number: int, block: Block) -> None:
    from interference.report import markdown_html

    if block.heading:
        st.html(f"<div class='slide-heading' role='heading' aria-level='1'>{html.escape(block.heading)}</div>")
    if block.text:
        alone = "" if block.view else " slide-alone"
        room = _BESIDE if block.view else _ALONE
        fit = f"--fit: {room / (_LEADING * _lines(block.text)):.2f}vh"
        st.html(f"<div class='slide-text{alone}' style='{fit}'>{markdown_html(block.text)}</div>")
    if block.view:
        try:
            _draw_live(open_view(bench, block.view.suite, block.view.corpus), number, block.view)
        except UserError as error:
            st.error(f"This view can't be computed. {error}", icon=":material/error:")


def _lines(text: str) -> float:
    """About how many lines a text takes, rather too many than too few."""
    widths = [sum(1 + (east_asian_width(sign) in "FW") for sign in line) for line in text.splitlines()]
    return max(1.0, sum(max(1, -(-width // _LINE)) if width else _GAP for width in widths))


def _draw_live(bench: Bench, number: int, view: View) -> None:
    """The panel and the figure of a view, which follow each other as on the Merge page."""
    reading = st.container()
    if not on_panel(view.recipe):
        _draw_figure(bench, number, view, False, reading)
        return
    with st.container(horizontal=True, gap="medium"):
        left, right = st.container(key="slide_panel"), st.container(key="slide_figure")
    with left:
        moved, moving = _move(bench, number, view)
    with right:
        if moved is None:
            st.info("Give at least one parent a coefficient other than zero.", icon=":material/tune:")
        else:
            _draw_figure(bench, number, moved, moving, reading)


def _move(bench: Bench, number: int, view: View) -> tuple[View | None, bool]:
    """The view with the coefficients of the panel beside it, and whether one is being moved."""
    recipe, key = view.recipe, f"slide panel {presented()} {number} {view.recipe.digest()}"
    before = st.session_state.get(f"{key} faders") or view.faders or faders_of(recipe)
    low, high = (-1.0, 2.0) if recipe.definition.needs_base else (0.0, 1.0)
    if f"{key} faders" not in st.session_state:
        move_panel(key, before)
    between = min(low, *before.values), max(high, *before.values)
    now, moving = draw_panel(bench, recipe.models, before.values, between, key=key)
    st.session_state[f"{key} faders"] = now
    touched = now != (view.faders or faders_of(recipe))
    moved = with_faders(recipe, now) if touched else recipe
    return (replace(view, recipe=moved, faders=now) if moved else None), moving


def _draw_figure(bench: Bench, number: int, view: View, moving: bool, reading: "DeltaGenerator") -> None:
    """The figure as far as its numbers are known, and what it shows in `reading`."""
    from interference.figures.large import enlarged
    from interference.figures.losses import merge_figure
    from interference.report import markdown_html
    from interference.shown import request_in
    from interference.views import merge_sentence, merge_view

    watched = watch(bench, request_in(view, bench.suite), moving)
    rows = bench.corpus.rows(view.sentences)
    frame = merge_view(watched.found.in_unit(view.unit), view.recipe, bench.suite, rows)
    figure = enlarged(merge_figure(frame, view.unit, view.recipe.label(), len(rows)))
    reading.html(f"<div class='slide-text'>{markdown_html(merge_sentence(frame, view.unit))}</div>")
    live_plot(
        figure, key=f"slide figure {number}", height=int(figure.layout.height), pending=watched.pending,
        tick_ms=watched.tick_ms, alt=view.recipe.label(), place=place_of(bench, view, watched),
    )  # fmt: skip
