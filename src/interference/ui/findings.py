"""Widgets of the Findings page: documents, and their blocks with live figures."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.bench import View
from interference.errors import UserError
from interference.findings import HEADING, TEXT, Block, Findings, from_json, to_json
from interference.store import (
    Kept,
    delete_findings,
    digest,
    list_findings,
    read_findings,
    rename_findings,
    write_findings,
)
from interference.ui import state
from interference.ui.live import live_plot
from interference.ui.running import run_steps
from interference.ui.sidebar import Bench, open_view
from interference.ui.watch import leave

if TYPE_CHECKING:
    from interference.shown import Outcome, Shown

_OPEN, _UNDO, _MESSAGE = "findings open", "findings undo", "findings message"
_CHOSEN = "findings"  # the widget's key, and the parameter in the address


@dataclass
class _Open:
    """The findings that are open, as they were kept last; None where there are none, or they have been deleted.

    Callbacks set it in place: a click may come before the page is drawn again, and ends the one before it where that
    speaks to the session next.
    """

    kept: Kept | None


def choose_findings() -> str | None:
    """Title, and which findings are open; None while there are none."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Findings", anchor=False, width="content")
        kept = {one.name: one for one in list_findings()}
        if st.session_state.get(_CHOSEN) not in kept:
            st.session_state.pop(_CHOSEN, None)
        name = None
        if kept:
            with st.container(horizontal=True, vertical_alignment="bottom", width="content"):
                name = st.selectbox(
                    "Findings", list(kept), key=_CHOSEN, bind="query-params", width=300, label_visibility="collapsed",
                    help="What is kept here, changed last first.",
                )  # fmt: skip
                st.button("New", key="findings new", icon=":material/add:", on_click=_new, help="Begin new findings.")
                _draw_import()
    st.session_state[_OPEN] = _Open(kept[name] if name else None)
    _draw_messages()
    return name


def opened() -> Findings:
    """The findings that are open, as they are kept. Raises UserError where a click has just deleted them."""
    kept = _open().kept
    if kept is None:
        raise UserError("These findings are deleted. Undo brings them back.")
    return from_json(kept.document).renamed(kept.name)


def _open() -> _Open:
    found: _Open = st.session_state[_OPEN]
    return found


def _draw_messages() -> None:
    if message := st.session_state.get(_MESSAGE):
        st.warning(message, icon=":material/info:")
    if undo := st.session_state.get(_UNDO):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(undo[-1][0], width="content")
            st.button(
                "Undo", key="findings undo button", icon=":material/undo:", type="tertiary", on_click=_undo,
                help="Bring back what was removed last.",
            )  # fmt: skip


def _forget_message() -> None:
    """When the page is drawn whole: a newer run may end this one right after it was said."""
    st.session_state.pop(_MESSAGE, None)


def _keep(make: Callable[[], Findings]) -> bool:
    """Keep what is made of the open findings, and whether in their place. What another tab changed meanwhile stays
    beside it, and that is said."""
    now = _open()
    try:
        made = make()
        now.kept = kept = write_findings(made.title, to_json(made), now.kept.changed if now.kept else None)
    except UserError as error:
        st.session_state[_MESSAGE] = str(error)
        return False
    if kept.name != made.title:
        st.session_state[_MESSAGE] = (
            f"“{made.title}” was changed in another tab meanwhile. Both are kept: yours as “{kept.name}”."
        )
    st.session_state[_CHOSEN] = kept.name
    st.session_state.pop(_UNDO, None)
    return kept.name == made.title


def _add_new(findings: Findings) -> None:
    """Keep new findings and open them; if the name is taken they get a number."""
    try:
        st.session_state[_CHOSEN] = write_findings(findings.title, to_json(findings)).name
    except UserError as error:
        st.session_state[_MESSAGE] = str(error)
        return
    st.session_state.pop(_UNDO, None)


def _new(blocks: tuple[Block, ...] = ()) -> None:
    _add_new(Findings("Untitled", blocks))


def _undo() -> None:
    """Keep what was there before the last removal, in place of what has come of it unless somebody changed that."""
    if not (undo := st.session_state.pop(_UNDO, ())):  # a second click
        return
    *earlier, (_, before, since) = undo
    if earlier:
        st.session_state[_UNDO] = tuple(earlier)
    try:
        st.session_state[_CHOSEN] = write_findings(before.name, before.document, since).name
    except UserError as error:
        st.session_state[_UNDO], st.session_state[_MESSAGE] = undo, str(error)


def _delete(name: str) -> None:
    if (before := read_findings(name)) is None:  # a second click
        return
    try:
        delete_findings(name)
    except UserError as error:
        st.session_state[_MESSAGE] = str(error)
        return
    undo = st.session_state.get(_UNDO, ())  # those before too: a second click may have been meant for the first
    st.session_state[_UNDO] = (*undo, (f"“{name}” is deleted.", before, None))
    _open().kept = None


def _rename(name: str, key: str) -> None:
    if key not in st.session_state:  # it is drawn no more
        return
    try:
        now, new = _open(), opened().renamed(st.session_state[key]).title
        if new != name:
            rename_findings(name, new)
            now.kept = read_findings(new)
        st.session_state[_CHOSEN] = new
    except UserError as error:
        st.session_state[_MESSAGE] = str(error)


def _draw_import() -> None:
    with st.popover("Import", icon=":material/upload:", help="Findings that somebody exported."):
        number = st.session_state.setdefault("findings imports", 0)
        key = f"findings import {number}"
        st.file_uploader(
            "A file of findings (JSON)", type="json", key=key, on_change=_import, args=(key,),
            help="As Export, JSON writes it; nothing in it is executed.",
        )  # fmt: skip


def _import(key: str) -> None:
    if (file := st.session_state.get(key)) is None:
        return
    st.session_state["findings imports"] += 1  # an empty uploader
    try:
        _add_new(from_json(file.getvalue()))
    except UserError as error:
        st.session_state[_MESSAGE] = str(error)


def draw_no_findings() -> None:
    """What findings are, how they come about and what comes of them."""
    st.markdown(
        "Findings are views that you pinned, in an order of your own, with headings and words between them.\n\n"
        "1. On the Merge page, set up what you want to show and press **Pin** (Ctrl+Shift+Enter), as often as you "
        "like.\n"
        "2. Here, put the pins in order and say what each one shows.\n"
        "3. **Present** them full screen, sliders still live, or hand them on: as one HTML file that opens anywhere, "
        "offline, with every number and where it comes from, or as a small file that others open here."
    )
    blocks = _pinned()
    with st.container(horizontal=True, vertical_alignment="center"):
        if blocks:
            plural = "s" if len(blocks) > 1 else ""
            st.button(
                f"Begin with the {len(blocks)} pin{plural} of this session", key="findings begin", type="primary",
                icon=":material/keep:", on_click=_new, args=(blocks,), help="One block for each pin, in their order.",
            )  # fmt: skip
        else:
            st.page_link("pages/merge.py", label="Nothing is pinned yet: go to Merge", icon=":material/merge:")
        st.button(
            "Begin empty", key="findings new", icon=":material/add:", on_click=_new, help="Begin without any block."
        )
        _draw_import()
    _forget_message()


def _pinned() -> tuple[Block, ...]:
    present = state.present()
    return tuple(Block(pin.name, "", pin.view) for pin in present.pins) if present else ()


def draw_findings_bar(name: str) -> st.delta_generator.DeltaGenerator:
    """The title, and what can be done with all of it; returns where the downloads belong once there are numbers."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        key = f"findings title {name}"  # another field for others, as of the blocks
        st.session_state[key] = name
        st.text_input(
            "Title", key=key, width=420, max_chars=80, on_change=_rename, args=(name, key),
            help="The name that these findings are kept and shared under.",
        )  # fmt: skip
        st.button(
            "Present", icon=":material/slideshow:", key="findings present", type="primary", on_click=_present,
            help="Full screen, one finding at a time; the arrow keys move on, Escape leaves.",
        )  # fmt: skip
        place = st.container(horizontal=True, gap="small", width="content")
        st.button(  # a button of these findings alone: a second click is not to delete those that are opened next
            "Delete", icon=":material/delete:", key=f"findings delete {name}", type="tertiary", on_click=_delete,
            args=(name,), help="Delete these findings; Undo brings them back.",
        )  # fmt: skip
    return place


def _present() -> None:
    title = opened().title  # which may have been typed just now
    st.query_params.update(present=title, slide="1")  # at once: each change is an entry of the browser's history


def draw_blocks(bench: Bench) -> "list[Outcome]":
    """Every block with its figure, and what can be changed; what the figures show comes back."""
    leave()  # a presentation
    findings = opened()
    if not findings.blocks:
        st.info("No blocks yet. Add pins, the view that Merge shows, or words.", icon=":material/add_notes:")
    outcomes = []
    for number, block in enumerate(findings.blocks):
        with st.container(border=True, key=f"block-{number}"):
            _draw_heading(findings, number)
            _draw_text(number, block)
            outcomes.append(_draw_view(bench, number, block.view) if block.view else None)
    return outcomes


def _draw_heading(findings: Findings, number: int) -> None:
    last = len(findings.blocks) - 1
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _field(st.text_input, "Heading", number, findings.blocks[number].heading, "heading", HEADING)
        up, down, remove = f"Up {number}", f"Down {number}", f"Remove {number} of {last + 1}"  # again: not the next one
        actions: tuple[tuple[str, str, bool, Callable[[], Any]], ...] = (
            (up, "arrow_upward", number == 0, lambda: _keep(lambda: opened().moved(number, number - 1))),
            (down, "arrow_downward", number == last, lambda: _keep(lambda: opened().moved(number, number + 1))),
            (remove, "delete", False, lambda: _remove(number, last + 1)),
        )
        for name, icon, disabled, act in actions:
            label = name.split()[0]
            st.button(
                label, icon=f":material/{icon}:", key=f"block {name}", type="tertiary", disabled=disabled,
                on_click=act, help=f"{label}: block {number + 1}.",
            )  # fmt: skip


def _draw_text(number: int, block: Block) -> None:
    from interference.report import markdown_html

    if block.text:
        style = (
            "<style>.prose *{max-width:46rem;unicode-bidi:plaintext;overflow-wrap:anywhere}"
            ".prose :is(th,td){padding:.1rem 1rem .1rem 0;text-align:start;vertical-align:baseline}</style>"
        )
        st.html(f"{style}<div class='prose'>{markdown_html(block.text)}</div>")
    with st.expander("Edit the text" if block.text else "Add text", icon=":material/edit_note:"):
        _field(st.text_area, "Text in Markdown; it shows above", number, block.text, "text", TEXT)


def _field(widget: Callable, label: str, number: int, value: str, name: str, most: int) -> None:
    """A block's heading or text in a widget, kept when it is left.

    Each in a field of its own: of one that showed another before, a browser that has not heard yet may still say that.
    """
    key = f"block {name} {number} {digest(value)}"
    st.session_state[key] = value

    def changed() -> Findings:
        now, said = opened(), st.session_state[key].strip()
        block = now.blocks[number] if number < len(now.blocks) else None
        if block is None or getattr(block, name) != value:
            raise UserError(f"The block has been moved or changed meanwhile, so this is not kept: {said}")
        return now.changed(number, replace(block, **{name: said}))

    def change() -> None:
        if key in st.session_state:  # else it is drawn no more, and a browser that has not heard says what it showed
            _keep(changed)

    collapsed = "collapsed" if name == "heading" else "visible"
    widget(label, key=key, on_change=change, max_chars=most, placeholder=name.capitalize(), label_visibility=collapsed)


def _remove(number: int, of: int) -> None:
    now = _open()
    if (before := now.kept) is None or len(opened().blocks) != of:  # a second click
        return
    if _keep(lambda: opened().removed(number)):
        said = f"Block {number + 1} is removed."
        st.session_state[_UNDO] = ((said, before, now.kept and now.kept.changed),)


def _draw_view(bench: Bench, number: int, view: View) -> "Outcome":
    """A block's figure with its reading, or why there is none; the other blocks go on."""
    from interference.report import figure_of, reading_of
    from interference.shown import show_steps

    try:
        shown: Shown = run_steps(
            open_view(bench, view.suite, view.corpus),
            f"finding {number}",
            lambda evaluator: show_steps(view, evaluator),
            f"Measuring block {number + 1}",
        )
    except UserError as error:
        st.error(f"This view can't be computed. {error}", icon=":material/error:")
        return str(error)
    st.markdown(reading_of(view, shown))
    figure, label = figure_of(view, shown), view.recipe.label()
    live_plot(
        figure,
        key=f"finding figure {number}",
        height=int(figure.layout.height),
        alt=label,
        filename=f"finding-{number + 1}",
    )
    st.caption(f"{label}. {' '.join(shown.table.notes)}")
    return shown


def draw_add() -> None:
    """New blocks at the end: words, the view that the Merge page shows, pins of this session."""
    present, pins = state.present(), _pinned()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.button(
            "Add text", icon=":material/notes:", key="add text", on_click=_add_text,
            help="A block without a figure.",
        )  # fmt: skip
        st.button(
            "Add the present view", icon=":material/merge:", key="add present", disabled=present is None,
            on_click=_add_present,
            help="What the Merge page shows now." if present else "Open the Merge page first.",
        )  # fmt: skip
        chosen = st.multiselect(
            "Pins of this session", range(len(pins)), format_func=lambda n: pins[n].heading, key="add which",
            placeholder="Pins of this session" if pins else "Nothing is pinned", label_visibility="collapsed",
            disabled=not pins, width=330, help="Pins of the Merge page that are to be added.",
        )  # fmt: skip
        st.button(
            "Add pins", icon=":material/keep:", key="add pins", disabled=not chosen,
            on_click=lambda: _add(*(pins[n] for n in chosen)), help="Add the chosen pins in this order.",
        )  # fmt: skip


def _add_text() -> None:
    _add(Block("New heading"))


def _add_present() -> None:
    if present := state.present():
        _add(Block(present.view.recipe.label()[:80], "", present.view))


def _add(*blocks: "Block") -> None:
    _keep(lambda: (now := opened()).inserted(len(now.blocks), *blocks))
    st.session_state.pop("add which", None)


def draw_report(outcomes: "list[Outcome]") -> None:
    """The report with the numbers on this page, and the findings themselves as a file."""
    import re
    from datetime import date

    from interference.report import report_html

    findings = opened()
    stem = re.sub(r"[^\w-]+", "-", findings.title).strip("-") or "findings"
    st.download_button(
        "Report, HTML", lambda: report_html(findings, outcomes, date.today().isoformat()), f"{stem}.html", "text/html",
        on_click="ignore", icon=":material/download:", key="findings html",
        help="One file that opens anywhere, offline: figures, tables, recipes and where every number comes from. "
        "The same as `interference report` writes.",
    )  # fmt: skip
    st.download_button(
        "Export, JSON", to_json(findings), f"{stem}.json", "application/json", on_click="ignore",
        icon=":material/share:", key="findings json", help="To be imported here, or given to `interference report`.",
    )  # fmt: skip
    _forget_message()
