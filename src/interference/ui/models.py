"""Widgets of the Models page."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.catalogue import FAMILIES, Family, compose, known_of, members, suite_document
from interference.errors import UserError
from interference.hub import HubId, fetched, hub_id
from interference.languages import language_name
from interference.store import default_folder, digest
from interference.ui.running import read_path
from interference.ui.shown import draw_table, user_errors
from interference.ui.uncut import uncut
from interference.ui.widgets import keep_valid

if TYPE_CHECKING:
    from interference.hub.background import Background
    from interference.hub.plan import Plan

_LISTED, _PLAN = "models listed", "models plan"
_LONGEST = 100  # of a suite's name, which is its folder's


@dataclass(frozen=True)
class Wanted:
    """The models that were chosen, each (id, language, role), and the text they are to be measured on."""

    name: str
    models: tuple[tuple[HubId, str | None, str], ...]
    corpus: str

    @property
    def ids(self) -> tuple[HubId, ...]:
        return tuple(dict.fromkeys(which for which, *_ in self.models))


def choose_models() -> Wanted:
    """A suite of the catalogue with its languages or models, one revision, and ids that were typed."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = st.selectbox(
            "Suite of the catalogue", list(FAMILIES), format_func=lambda key: FAMILIES[key].title, key="family",
            bind="query-params", persist_state="session", width=340,
            help="Known suites of models that were trained apart.",
        )  # fmt: skip
        family = FAMILIES[key]
        revision = st.text_input(
            "Revision", "main", key="revision", bind="query-params", persist_state="session", width=220,
            help=f"A branch or tag of the repositories, the same for all. Here: {family.revisions}.",
        )  # fmt: skip
        if _clicked(
            "List from the Hub", icon=":material/cloud_sync:", key="list_family",
            help="Ask the Hub which models of this suite there are now. Nothing is downloaded.",
        ):  # fmt: skip
            _list(family)
    st.markdown(f":small[{family.note} [Source]({family.source}).]")  # as a caption its link would be too pale
    repos = st.session_state.get(_LISTED, {}).get(key, family.known)
    with user_errors(stop=False):
        chosen = _choose_members(family, repos, revision.strip() or "main")
        typed = _typed_ids()
        corpus = st.text_input(
            "Parallel text", "", key="models_corpus", persist_state="session",
            placeholder="none: give one in the sidebar later",
            help="A file or folder of parallel text that the suite is to be measured on.",
        )  # fmt: skip
        return Wanted(_suite_name(family, chosen, typed), (*chosen, *typed), corpus.strip())
    return Wanted("", (), "")


def _list(family: Family) -> None:
    with user_errors(stop=False), st.spinner("Asking the Hub…"), _answered("list_family"):
        listed = st.session_state.setdefault(_LISTED, {})
        listed[family.key] = members(family, listed=True)


def _clicked(label: str, *, key: str, help: str, **more: Any) -> bool:
    """A button, and whether it waits for an answer: a newer run may end the one of the click before that."""
    waits = f"{key} clicked"
    if key not in st.session_state:  # the page is new: what an earlier visit left is not begun now
        st.session_state.pop(waits, None)
    st.button(label, key=key, help=help, on_click=st.session_state.update, args=({waits: True},), **more)
    return waits in st.session_state


@contextmanager
def _answered(key: str) -> Iterator[None]:
    """What a button asks for, done whole; what it raises is an answer too."""
    with uncut():
        try:
            yield
        finally:
            st.session_state.pop(f"{key} clicked", None)


def _choose_members(family: Family, repos: tuple[str, ...], revision: str) -> tuple[tuple[HubId, str | None, str], ...]:
    """Ticked languages, or ticked models where the suite's ids name no language."""
    if not repos:
        st.info(
            "The ids of this suite are not documented: list them from the Hub, or type them below.",
            icon=":material/info:",
        )
        return ()
    spoken = tuple(dict.fromkeys(code for repo in repos if (code := family.language(repo))))
    options = spoken or repos
    key = f"ticked {family.key}"
    keep_valid(key, options)
    ticked = st.pills(
        "Languages" if spoken else "Models", options, selection_mode="multi", key=key, persist_state="session",
        format_func=language_name if spoken else lambda repo: repo.split("/")[1],
        help="Those that are fetched, each with one model." if spoken else "Those that are fetched.",
    )  # fmt: skip
    if spoken:
        return tuple((which, code, family.role) for which, code in compose(family, ticked, repos, revision))
    return tuple((hub_id(repo, revision), None, family.role) for repo in ticked)


def _typed_ids() -> tuple[tuple[HubId, str | None, str], ...]:
    typed = st.text_area(
        "Further ids, one a line", "", key="typed_ids", persist_state="session", height=80,
        placeholder="org/name@revision",
        help="Any causal language model of the Hub that transformers loads without code of its own.",
    )  # fmt: skip
    return tuple((which := hub_id(line), *known_of(which.repo)) for line in typed.split() if line)


def _suite_name(family: Family, chosen: tuple, typed: tuple) -> str:
    parts = [family.key] if chosen else []
    parts += [code or which.repo.split("/")[1] for which, code, _ in (*chosen, *typed)]
    revisions = dict.fromkeys(which.revision for which, *_ in (*chosen, *typed))
    name = "-".join([*parts, *(r.replace("/", "-") for r in revisions if r != "main")])
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}-{digest(name)[:8]}"


def draw_plan(wanted: Wanted) -> None:
    """What the chosen models need and what fits together, once it was asked for."""
    from interference.hub.plan import plan

    asked, made = st.session_state.get(_PLAN, (None, None))
    if _clicked(
        "Check what they need", icon=":material/rule:", key="plan_models",
        help="Ask the Hub for sizes and configurations: kilobytes. No weights are downloaded.",
    ):  # fmt: skip
        with st.spinner("Asking the Hub…"), _answered("plan_models"):
            asked, made = st.session_state[_PLAN] = wanted.ids, plan(wanted.ids)
    if asked == wanted.ids and made is not None:
        _draw_needs(made)


def _draw_needs(made: "Plan") -> None:
    from interference.hub.plan import room

    size = st.column_config.NumberColumn(format="bytes")
    draw_table(
        made.frame(), "plan_table", height="content",
        column_config={
            "parameters": st.column_config.NumberColumn(format="localized"), "weights": size, "to download": size,
            "why not with the first": st.column_config.TextColumn(width="large"),
        },
    )  # fmt: skip
    st.caption(" ".join([*made.notes(), room()]))
    reasons = [reason for model in made.usable if (reason := made.why_not(model))]
    for model in made.models:
        if model.refused:
            st.warning(model.refused, icon=":material/block:")
    if reasons:
        st.warning("Not all of these can be merged with each other. " + reasons[0], icon=":material/call_split:")


def draw_download(wanted: Wanted) -> None:
    """Download, stop and open: the download runs on whatever page is shown, or none."""
    background = _background()
    with user_errors():
        here = [which for which in wanted.ids if fetched(which)]
    running = background.state.running
    with st.container(horizontal=True, vertical_alignment="center"):
        if _clicked(
            "Download", icon=":material/download:", key="download_models",
            type="primary" if len(here) < len(wanted.ids) else "secondary",
            disabled=running,
            help="Download the chosen models, going on from where an earlier download was stopped. What is here is "
            "checked, and fetched anew where it was damaged or changed since.",
        ):  # fmt: skip
            with user_errors(stop=False):
                with _answered("download_models"):
                    background.start(wanted.ids)
                st.rerun()
        st.button(
            "Open this suite", icon=":material/folder_open:", key="open_models", on_click=_open_suite, args=(wanted,),
            type="primary" if len(here) == len(wanted.ids) else "secondary", disabled=len(here) < len(wanted.ids),
            help="Make it the dashboard's suite, as if its path had been typed in the sidebar.",
        )  # fmt: skip
        st.caption(f"{len(here)} of {len(wanted.ids)} are on this machine.")
    draw_progress()


def draw_progress() -> None:
    """How the last download stands; asked again every half second while it runs."""
    background = _background()
    running = background.state.running

    @st.fragment(run_every=0.5 if running else None)
    def progress() -> None:
        state = background.state
        if running and not state.running:
            st.rerun()
        names = ", ".join(map(str, state.ids[:3])) + (f" and {len(state.ids) - 3} more" if len(state.ids) > 3 else "")
        if state.running:
            stopping = background.stopping
            doing = "Stopping once the Hub has answered" if stopping else "Downloading"
            st.progress(state.share, text=f"{doing}: {names}, {state.share:.0%}")
            if state.waits:
                st.caption(state.waits)
            st.button(
                "Stop", icon=":material/stop:", key="stop_download", on_click=background.stop, disabled=stopping,
                help="What has been fetched is kept.",
            )  # fmt: skip
        elif state.error:
            st.error(state.error, icon=":material/error:")
        elif state.stopped:
            done = int(100 * state.share)  # not rounded to all of it
            st.info(f"Stopped at {done} % of {names}. Download goes on from there.", icon=":material/pause:")
        elif state.finished:
            st.success(f"Downloaded and checked: {names}.", icon=":material/check:")

    progress()


@st.cache_resource(show_spinner=False)
def _background() -> "Background":
    from interference.hub.background import Background

    return Background()


def _open_suite(wanted: Wanted) -> None:
    """Write the suite's file and have the sidebar name it."""
    from interference.suite import write_suite

    file = default_folder() / "suites" / wanted.name / "suite.yaml"
    try:
        text = read_path(wanted.corpus)
        corpus = str(text.resolve()) if text else None
        write_suite(suite_document(wanted.name, wanted.models, corpus), file, replace=True)
    except (UserError, OSError, RuntimeError) as error:
        st.toast(str(error), icon=":material/error:", duration="long")
        return
    st.session_state["suite"] = str(file)
    st.session_state["corpus"] = ""
