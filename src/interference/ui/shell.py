"""The frame around every page: menu, sidebar, the engine, and how a page computes."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.errors import UserError, user_path
from interference.languages import language_name
from interference.ui.links import draw_link_error, open_link
from interference.ui.live import load_ahead
from interference.ui.widgets import csv_of, keep_valid

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from interference.corpus import Corpus
    from interference.engine import Engine, Job
    from interference.evaluate import Evaluator
    from interference.scored import Request
    from interference.steps import Steps
    from interference.suite import Suite
    from interference.tables import LossTable

EXPORT = {"toImageButtonOptions": {"format": "svg", "scale": 2}, "displaylogo": False, "showSendToCloud": False}

_PAUSE = 2.0  # seconds between the first page and the imports it does without


@dataclass(frozen=True)
class Bench:
    """What the sidebar has settled: an open suite and where and how to measure."""

    suite: "Suite"
    key: tuple[str, str, str]
    languages: tuple[str, ...]
    unit: str

    @property
    def corpus(self) -> "Corpus":
        """The corpus losses are measured on; a bench is not opened without one."""
        assert self.suite.corpus is not None
        return self.suite.corpus


def serve(options: list[str]) -> Any:
    """Run the app.py of this folder with Streamlit's own options until it is stopped; its exit status."""
    from streamlit.web import cli

    return cli.main(["run", "app.py", *options], standalone_mode=False)


# Title, icon and file of every page under the heading of its question, in the order of the menu.
PAGES = {
    "What happens": {
        "merge": ("Merge", ":material/merge:"),
        "compare": ("Compare", ":material/leaderboard:"),
        "path": ("Path", ":material/route:"),
        "trajectory": ("Trajectory", ":material/timeline:"),
        "text": ("Text", ":material/notes:"),
        "accuracy": ("Accuracy", ":material/spellcheck:"),
    },
    "Where and why": {
        "weights": ("Weights", ":material/difference:"),
        "causal": ("Causal map", ":material/grid_view:"),
        "similarity": ("Similarity", ":material/hub:"),
        "predict": ("Prediction", ":material/query_stats:"),
    },
    "Models and findings": {
        "suite": ("Suite", ":material/grid_on:"),
        "models": ("Models", ":material/cloud_download:"),
        "findings": ("Findings", ":material/menu_book:"),
    },
}


def build_pages() -> dict[str, list[Any]]:
    """The pages of the menu; the merge comes first."""
    return {
        heading: [
            st.Page(
                Path("pages", f"{name}.py"),
                title=title,
                icon=icon,
                default=name == "merge",
                url_path=None if name == "merge" else name,
            )
            for name, (title, icon) in pages.items()
        ]
        for heading, pages in PAGES.items()
    }


def run() -> None:
    """What app.py does: the frame around every page."""
    page = _frame()
    st.session_state["_shell"] = True
    open_link()
    try:
        page.run()
    finally:
        _finish_imports()


def ensure_shell() -> None:
    """First line of every page: a deep link to a fresh server runs the page without app.py; go around through it."""
    if "_shell" not in st.session_state:
        _frame()
        st.rerun()


def _frame() -> Any:
    """Title, icon, style and menu; the page that was asked for."""
    icon = Path(__file__).with_name("icon.svg")  # one of Streamlit's would be fetched from afar
    st.set_page_config(page_title="Interference", page_icon=str(icon), layout="wide", initial_sidebar_state=240)
    st.html(Path(__file__).with_name("page.css"))
    page = st.navigation(build_pages(), expanded=True)  # no page behind "View more"
    ahead = st.container(key="ahead", height=1, border=False)  # always: what comes and goes has all below drawn anew
    if not _imported().is_set():
        with ahead:
            load_ahead()
    return page


@contextmanager
def user_errors(stop: bool = True) -> Iterator[None]:
    """Show a user's mistake as a message where it was made, and draw no further; the widgets stay alive.

    Without `stop` only what stands inside is left out, and the page goes on.
    """
    try:
        yield
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        if stop:
            st.stop()


@st.cache_resource(show_spinner=False)
def _engine() -> "Engine":
    """The one engine of the process, after the imports that a page of known results needs."""
    import plotly.graph_objects

    import interference.evaluate  # noqa: F401 - torch with it
    from interference.engine import Engine

    plotly.graph_objects.Figure()  # loads the validators
    _freeze()
    return Engine()


def open_view(bench: Bench, suite: str, corpus: str) -> Bench:
    """The same bench on another suite and corpus, all languages. Raises UserError if they can't be opened."""
    key = (suite, corpus, bench.key[2])
    evaluator = _evaluator(*key)
    return Bench(evaluator.suite, key, evaluator.corpus.languages, bench.unit)


def _freeze() -> None:
    """Take all that was imported from the collector, which runs after every rerun and would walk it each time."""
    import gc

    gc.collect()
    gc.freeze()


@st.cache_resource(show_spinner=False)
def _finish_imports() -> threading.Timer:
    """What scoring needs besides, imported on the engine's thread once the first page is seen.

    The pause is for the browser: an import would hold up the script and the styles that it still loads.
    """
    imported, engine = _imported(), _engine()

    def imports(job: "Job") -> None:
        from interference.checkpoint import import_models

        import_models()
        _freeze()
        imported.set()

    timer = threading.Timer(_PAUSE, lambda: engine.submit("process", "imports", imports))
    timer.daemon = True
    timer.start()
    return timer


@st.cache_resource(show_spinner=False)
def _imported() -> threading.Event:
    return threading.Event()


def _importing() -> bool:
    """Whether the last of what `import_models` imports is not there yet, whoever imports it."""
    return "transformers.models.llama.modeling_llama" not in sys.modules


def cancel(slot: str) -> None:
    """Drop this session's request of a slot."""
    _engine().cancel(session(), slot)


def _evaluator(suite: str, corpus: str, device: str) -> "Evaluator":
    """The evaluator of a suite, a corpus and a device, made anew when their files have changed."""
    _engine()  # the heavy imports first
    from interference.weights import pick_device

    key = (suite, corpus, str(pick_device(device or None)))
    evaluator = _open(*key, stamp(corpus))
    if evaluator.changed():
        _open.clear(*key, stamp(corpus))
        evaluator = _open(*key, stamp(corpus))
    return evaluator


def stamp(corpus: str) -> tuple[int, int] | None:
    """Size and time of change of a corpus that was named here, None for the suite's own."""
    path = read_path(corpus)
    if path is None or not path.exists():
        return None
    stats = [file.stat() for file in ([path] if path.is_file() else path.rglob("*"))]
    return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)


@st.cache_resource(show_spinner=False, max_entries=4)
def _open(suite: str, corpus: str, device: str, corpus_stamp: tuple[int, int] | None) -> "Evaluator":
    """Made and used on the engine's thread alone."""
    import torch

    from interference.evaluate import Evaluator
    from interference.results import shipped_results
    from interference.store import Store
    from interference.suite import open_suite

    def make(job: "Job") -> Evaluator:
        opened = open_suite(read_path(suite), read_path(corpus))
        return Evaluator(opened, Store(shipped=shipped_results(opened)), torch.device(device))

    return _engine().run("process", f"open {suite} {corpus} {device}", make)


def read_path(text: str) -> Path | None:
    """A path as typed: relative to where the command was started."""
    return Path(os.environ.get("INTERFERENCE_FOLDER", "."), user_path(text)) if text else None


def open_sidebar() -> None:
    """The sidebar alone, for a page that needs no suite; one that can't be opened is said there."""
    try:
        _open_bench()
    except UserError as error:
        st.sidebar.error(str(error), icon=":material/error:")


def folder_of(text: str) -> Path:
    """A folder to write as typed. Raises UserError for an unusable name."""
    return Path(os.environ.get("INTERFERENCE_FOLDER", "."), user_path(text))


def open_bench() -> Bench:
    """The sidebar, and the suite it names. Stops the page with a message if that can't be opened."""
    try:
        return _open_bench()
    except UserError as error:
        st.error(str(error), icon=":material/error:")
        st.stop()


def _open_bench() -> Bench:
    from interference.ui.export import draw_exporting

    for name in ("suite", "corpus"):
        if name in st.session_state:  # set anew, or what came with an address would be lost on the way to another page
            st.session_state[name] = st.session_state[name]
    with st.sidebar:
        draw_exporting()
        suite = st.text_input(
            "Suite",
            os.environ.get("INTERFERENCE_SUITE", ""),
            placeholder="built-in: ten languages",
            key="suite",
            bind="query-params",
            help="A suite.yaml, or a folder of checkpoint folders. Empty is the built-in suite.",
        )
        corpus = st.text_input(
            "Corpus",
            os.environ.get("INTERFERENCE_CORPUS", ""),
            placeholder="the suite's own",
            key="corpus",
            bind="query-params",
            help="Parallel text: a table (TSV, JSONL, parquet) with a column for each language and optionally "
            "`document`, a folder of eng.txt, deu.txt, ..., or a corpus.yaml that describes either.",
        )
        device = _choose_device()
    key = (suite.strip(), corpus.strip(), device)
    draw_link_error()
    place = st.empty()
    try:
        with place.container(), st.spinner("Loading torch and opening the suite…"):
            evaluator = _evaluator(*key)
    finally:
        place.empty()
    from interference.tables import known_units

    with st.sidebar:
        languages = _choose_languages(evaluator.corpus.languages)
        known = known_units(evaluator.corpus)
        keep_valid("unit", known)
        unit = st.selectbox(
            "Unit", known, key="unit", bind="query-params",
            help="Bits per sentence are fair across languages (the same meaning), bits per byte across tokenizers.",
        )  # fmt: skip
        sizes = f"{len(evaluator.suite.checkpoints)} checkpoints, {len(evaluator.corpus.rows(None))} test sentences"
        left = evaluator.corpus.left
        said = f"; not read: {', '.join(left)}, no language of the suite" if left else ""
        st.caption(f"**{evaluator.suite.name}**: {sizes}, on {evaluator.device}{said}")
    return Bench(evaluator.suite, key, languages, unit)


def _choose_device() -> str:
    given = os.environ.get("INTERFERENCE_DEVICE", "")
    options = list(dict.fromkeys([given, "", "cpu", "cuda"])) if given else ["", "cpu", "cuda"]
    return st.selectbox(
        "Device", options, format_func=lambda d: d or "automatic", key="device", bind="query-params",
        help="Where merges and losses are computed: automatic is CUDA where there is one, else the CPU.",
    )  # fmt: skip


def _choose_languages(known: tuple[str, ...]) -> tuple[str, ...]:
    keep_valid("languages", known, codes=list)
    chosen = st.multiselect(
        "Languages", known, placeholder="all", format_func=language_name, key="languages", bind="query-params",
        help="Languages of the corpus to show; empty is all of them.",
    )  # fmt: skip
    return tuple(code for code in known if code in chosen) or known


def device(bench: Bench) -> "tuple[Evaluator, Engine]":
    """What measures the open suite, and the engine on whose thread alone it is to be used."""
    return _evaluator(*bench.key), _engine()


def compute(
    bench: Bench, request: "Request", title: str, place: "DeltaGenerator | None" = None, slot: str = "page"
) -> "LossTable":
    """The loss table of a request."""
    return run_steps(bench, slot, lambda evaluator: evaluator.table_steps(request), title, place)


def run_steps(
    bench: Bench,
    slot: str,
    steps: "Callable[[Evaluator], Steps[Any]]",
    title: str,
    place: "DeltaGenerator | None" = None,
    glance: Callable[[], None] = lambda: None,
) -> Any:
    """Run a job in steps on the engine; the newest of this session and slot wins, whatever page it is from.

    Progress shows in `place`, which is then emptied; `glance` is called again and again meanwhile.
    """
    evaluator, engine = device(bench)
    job = engine.submit(session(), slot, lambda job: steps(evaluator))
    return result_of(
        engine, job, lambda: f"{title} ({engine.depth()} waiting)" if engine.depth() else title, 0.3, place, glance
    )


def result_of(
    engine: "Engine",
    job: "Job",
    title: Callable[[], str],
    patience: float,
    place: "DeltaGenerator | None" = None,
    glance: Callable[[], None] = lambda: None,
) -> Any:
    """What a job of this session comes to; its progress shows where it takes longer than `patience` seconds.

    From then on the job ends where a newer run of the page begins, which before that waits for it.
    """
    place, started = place or st.empty(), time.monotonic()
    try:
        while not wait([job.future], timeout=0.1).done:
            glance()
            if time.monotonic() - started > patience:
                place.progress(job.progress, text="Loading transformers…" if _importing() else title())
    finally:
        if not job.future.done():  # this run of the page was ended by another
            engine.cancel(job.owner, job.slot)
    place.empty()
    try:
        return job.future.result()
    except CancelledError:  # a newer rerun of this session has taken over
        st.stop()


@st.cache_resource(scope="session", show_spinner=False, on_release=lambda owner: _engine().cancel(owner))
def session() -> str:
    """This session's name in the engine's queue; its requests are dropped when the session ends."""
    import uuid

    return uuid.uuid4().hex


def draw_table(result: "LossTable", name: str, **columns: str) -> None:
    """A loss table as it is, with a download that carries its provenance and the given columns besides."""
    with st.expander("Table"):
        st.dataframe(result.frame, hide_index=True, placeholder="", key=f"{name}_table")

    st.download_button(
        "Table as CSV",
        csv_of(result.frame, result.provenance, **columns),
        f"{name}.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        key=f"{name}_csv",
        help="Every number of this page with its interval, its reference and where it comes from.",
    )
