"""Pins: merges that are kept beside the next try, compared with each other and with a baseline."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from interference.bench import Pin, State
from interference.errors import UserError
from interference.ui import state
from interference.ui.links import draw_link
from interference.ui.running import run_steps
from interference.ui.shown import EXPORT, draw_download, user_errors
from interference.ui.sidebar import Bench
from interference.ui.uncut import uncut
from interference.ui.widgets import ASKED, write_view

_PIN = "pin asked for"  # in the session


def draw_toolbar() -> None:
    """Undo, redo, keep, share."""
    history = state.history()
    st.button(
        "Undo", icon=":material/undo:", key="undo", shortcut="Ctrl+Z", on_click=_back, args=(state.undo,),
        disabled=not (history and history.past), help="Take back the last move (Ctrl+Z).",
    )  # fmt: skip
    st.button(
        "Redo", icon=":material/redo:", key="redo", shortcut="Ctrl+Y", on_click=_back, args=(state.redo,),
        disabled=not (history and history.future), help="Make the move again that was taken back (Ctrl+Y).",
    )  # fmt: skip
    st.button(
        "Pin", icon=":material/keep:", key="pin", shortcut="Ctrl+Shift+Enter", on_click=_pin, disabled=history is None,
        help="Keep this merge beside the next try (Ctrl+Shift+Enter).",
    )  # fmt: skip
    if history:
        draw_link(history.present)


def _back(step: Callable[[], None]) -> None:
    step()
    if after := state.present():
        write_view(after.view)


def _pin() -> None:
    st.session_state[_PIN] = True


def pin_if_asked() -> None:
    """Keep the present view: not when Pin was clicked, for a move right before the click may be heard with it, and
    becomes the present view when it is drawn."""

    def pinned(present: State) -> State:
        recipe = present.view.recipe
        return present.pinned(f"{recipe.method}, {len(recipe.models)} parents, {len(present.pins) + 1}")

    if _PIN in st.session_state:
        with uncut():
            del st.session_state[_PIN]
            _move(pinned)
        rerun_if_asked()


def _move(make: Callable[[State], State]) -> None:
    """A move from the state as it is by now: a name may have been typed, or another button clicked, since the pins were
    drawn."""
    present = state.present()
    assert present  # there is no button that moves without one
    try:
        state.move(make(present))
    except UserError as error:
        st.toast(str(error), icon=":material/error:")
    st.session_state["rerun"] = True


def _change(number: int, make: Callable[[State], State]) -> None:
    """The same of a pin, unless it has been deleted since."""
    _move(lambda present: make(present) if number < len(present.pins) else present)


def rerun_if_asked() -> None:
    """What lies outside the fragment has changed, or is to change for a recipe: run the whole page."""
    if st.session_state.pop("rerun", False) or ASKED in st.session_state:
        st.rerun()


def draw_pins(bench: Bench) -> None:
    """The pins: what each one is, what can be done with it, and one figure of all."""
    present = state.present()
    if present is None or not present.pins:
        st.caption("Nothing pinned yet. *Pin* keeps a merge here, to be compared with the next.")
        return
    st.header(f"Pins ({len(present.pins)})", anchor=False)
    for number, pin in enumerate(present.pins):
        _draw_pin(present, number, pin)
    shown = [pin for pin in present.pins if (pin.view.suite, pin.view.corpus) == bench.key[:2]]
    if len(shown) < len(present.pins):
        elsewhere = present.baseline is not None and present.pins[present.baseline] not in shown
        others = " The baseline is one of them, so there are no differences." if elsewhere else ""
        st.caption(
            f"{len(present.pins) - len(shown)} of another suite are not in the figure; restoring one opens it.{others}"
        )
    if shown:
        with user_errors():
            _draw_comparison(bench, present, shown)


def _draw_pin(present: State, number: int, pin: Pin) -> None:
    last = len(present.pins) - 1
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        key = f"pin name {number} {pin.name}"
        st.text_input(
            "Name", pin.name, key=key, width=280, label_visibility="collapsed",
            on_change=_rename, args=(number, key),
            help="Type another name to rename it.",
        )  # fmt: skip
        actions: tuple[tuple[str, str, str, bool, Callable[[], None]], ...] = (
            ("Restore", "restore", "Set the bench to this merge.", False, lambda: _restore(pin)),
            ("Up", "arrow_upward", "Move it up.", number == 0, lambda: _shift(number, -1)),
            ("Down", "arrow_downward", "Move it down.", number == last, lambda: _shift(number, 1)),
            ("Delete", "delete", "Delete it; Undo brings it back.", False, lambda: _delete(number)),
        )
        for label, icon, help_, disabled, act in actions:
            st.button(
                f"{label} {pin.name}" if label == "Delete" else label, icon=f":material/{icon}:", disabled=disabled,
                key=f"pin {label} {number}", on_click=act, help=help_, type="tertiary",
            )  # fmt: skip
        chosen = present.baseline == number
        st.button(
            "Baseline" if chosen else "Make baseline", key=f"pin baseline {number}",
            type="primary" if chosen else "tertiary", help="Show all others as differences from this one.",
            on_click=lambda: _change(number, lambda now: replace(now, baseline=None if chosen else number)),
        )  # fmt: skip
        st.caption(pin.view.recipe.label())


def _rename(number: int, key: str) -> None:
    if key in st.session_state:  # else it is drawn no more, and a browser that has not heard says what it showed
        _change(number, lambda now: now.renamed(number, st.session_state[key]))


def _shift(number: int, by: int) -> None:
    _change(number, lambda now: now.moved(number, number + by))


def _delete(number: int) -> None:
    _change(number, lambda now: now.deleted(number))


def _restore(pin: Pin) -> None:
    _move(lambda now: replace(now, view=pin.view))
    write_view(pin.view)


def _draw_comparison(bench: Bench, present: State, shown: list[Pin]) -> None:
    from interference.figures.pins import delta_map, small_multiples
    from interference.views import pin_request

    baseline = present.pins[present.baseline] if present.baseline is not None else None
    baseline = baseline if baseline in shown else None  # costs can't be counted from a merge of another suite
    request, names = pin_request(shown, baseline, bench.languages, present.view.sentences)
    table = run_steps(bench, "pins", lambda evaluator: evaluator.table_steps(request), "Scoring the pins")
    recipes = {name: pin.view.recipe.to_yaml() for name, pin in zip(names, shown, strict=True)}
    frame = table.in_unit(bench.unit)
    frame = frame.assign(recipe=frame["model"].map(recipes)).replace({"model": names, "reference": names})
    if baseline:
        figure = delta_map(frame, bench.unit, baseline.name)
        reading = f"Positive is worse than {baseline.name}, sentence by sentence."
    else:
        figure = small_multiples(frame, bench.unit)
        reading = "Lower is better; every pin on the same sentences, lines are 95 % intervals."
    st.plotly_chart(figure, config=EXPORT, key="pins_figure", alt="The pinned merges by language")
    st.caption(f"{reading} {' '.join(table.notes)}")
    draw_download("Pins, CSV", frame, table.provenance, "pins", "The numbers of this figure.", unit=bench.unit)
