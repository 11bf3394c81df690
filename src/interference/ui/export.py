"""Writing a merge to disk from the page: in the background, with its progress in the sidebar of every page."""

import os
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from interference.bench import View
from interference.errors import UserError
from interference.recipe import DTYPES
from interference.ui.running import cancel, device, read_path, session
from interference.ui.sidebar import Bench

if TYPE_CHECKING:
    from interference.engine import Job

_SLOT = "export"  # of the engine; and where the session keeps what it exports
_AS_MERGED = "as measured"
_OVERWRITE = "Overwrite"
_TICK = 0.5  # seconds


@dataclass
class _Export:
    """What is being written, or was, and whether the outcome has been said."""

    folder: str
    job: "Job"
    said: bool = False


def draw_export(bench: Bench, view: View) -> None:
    """A popover that asks where to, and starts the writing."""
    with st.popover(
        "Export", icon=":material/save:", key="export_open", on_change="rerun",
        help="Write this merge as a checkpoint folder that transformers loads.",
    ) as popover:  # fmt: skip
        if popover.open:
            with st.container(width=330):
                _draw_form(bench, view)


def _draw_form(bench: Bench, view: View) -> None:
    from interference.shards import MAX_SHARD_SIZE

    st.text_input(
        "Folder", "merged", key="export_folder", persist_state="session",
        help=f"On the machine that runs the dashboard, relative to {os.environ.get('INTERFERENCE_FOLDER', '.')}.",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Data type", [_AS_MERGED, *DTYPES], key="export_dtype", persist_state="session", width=140,
            help="Of the weights that are written. As measured: what the losses on this page are those of.",
        )  # fmt: skip
        st.text_input(
            "Largest file", MAX_SHARD_SIZE, key="export_shard", persist_state="session", width=110,
            help="Weights beyond this size go to further files, as 5GB or 500MB.",
        )  # fmt: skip
    st.toggle(
        _OVERWRITE, key="export_overwrite", persist_state="session",
        help="Replace an earlier merge that was written here, or an empty folder; nothing else is ever replaced.",
    )  # fmt: skip
    running = _running()
    st.button(
        "Write", type="primary", key="export_write", disabled=running, on_click=_start, args=(bench, view),
        help="Another is being written." if running else None,
    )  # fmt: skip
    if message := st.session_state.get("export_refused"):
        st.error(message, icon=":material/error:")
    st.caption(
        "With tokenizer, recipe, provenance and a model card that holds these losses. It goes on in the background "
        "while this tab is open."
    )


def _running() -> bool:
    export: _Export | None = st.session_state.get(_SLOT)
    return export is not None and not export.job.future.done()


def _start(bench: Bench, view: View) -> None:
    """Begin, and say at once what can't be."""
    from interference.export import Target, check_target, export_steps

    if _running():  # a second click
        return
    st.session_state["export_refused"] = None
    dtype = st.session_state["export_dtype"]
    evaluator, engine = device(bench)
    try:
        if (folder := read_path(st.session_state["export_folder"].strip())) is None:
            raise UserError("The export needs a folder. Name one that does not exist.")
        target = Target(
            folder, None if dtype == _AS_MERGED else dtype, st.session_state["export_shard"],
            st.session_state["export_overwrite"], f"turn on '{_OVERWRITE}'",
        )  # fmt: skip
        check_target(view.recipe, bench.suite, target)
    except UserError as error:
        st.session_state["export_refused"] = str(error)
        return
    job = engine.submit(
        session(), _SLOT, lambda job: export_steps(evaluator, view.recipe, target, view.sentences)
    )  # fmt: skip
    st.session_state[_SLOT] = _Export(str(target.folder), job)
    st.session_state["rerun"] = True  # for the sidebar, which lies outside the page's fragment


def draw_exporting() -> None:
    """What is being written: progress and a way to stop it, then the outcome until it is taken away."""
    export: _Export | None = st.session_state.get(_SLOT)
    if export is not None:
        st.fragment(_draw_exporting, run_every=_TICK if _running() else None)()


def _draw_exporting() -> None:
    export: _Export | None = st.session_state.get(_SLOT)
    if export is None:
        return
    if not export.job.future.done():
        st.progress(export.job.progress, f"Writing {export.folder}")
        st.button(
            "Stop writing",
            key="export_stop",
            icon=":material/stop:",
            on_click=_stop,
            help="Nothing half written stays.",
        )
        return
    first, export.said = not export.said, True
    try:
        told = f"{export.job.future.result()} is written."
        st.success(told, icon=":material/check:")
    except UserError as error:
        told = str(error)
        st.error(told, icon=":material/error:")
    except CancelledError:
        told = f"{export.folder} was not written: stopped."
        st.info(told, icon=":material/stop:")
    except Exception:
        del st.session_state[_SLOT]
        raise
    st.button("Close", key="export_close", on_click=_close, help="Take this message away.")
    if first:
        st.toast(told, duration="long")
        st.rerun()  # the timer off, and the popover's button on


def _stop() -> None:
    cancel(_SLOT)


def _close() -> None:
    st.session_state.pop(_SLOT, None)
