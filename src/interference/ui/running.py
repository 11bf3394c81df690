"""How a page computes: the process's one engine, evaluators of what is open, and jobs whose progress shows."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, wait
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from interference.errors import user_path
from interference.steps import Steps
from interference.ui.address import compare_with_address

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from interference.engine import Engine, Job
    from interference.evaluate import Evaluator
    from interference.ui.sidebar import Bench

_PAUSE = 2.0  # seconds between the first page and the imports it does without
_SHOWN = 1.0  # seconds after which what is known is drawn, for a little later it may be all there
_SETTLED = 5.0  # seconds after which a job tells how long it should still take
_OPENED_ANEW = threading.Lock()


@st.cache_resource(show_spinner=False)
def engine() -> "Engine":
    """The one engine of the process, after the imports that a page of known results needs."""
    import plotly.graph_objects

    import interference.evaluate  # noqa: F401 - torch with it
    from interference.engine import Engine

    plotly.graph_objects.Figure()  # loads the validators
    _freeze()
    return Engine()


def _freeze() -> None:
    """Take all that was imported from the collector, which runs after every rerun and would walk it each time."""
    import gc

    gc.collect()
    gc.freeze()


@st.cache_resource(show_spinner=False)
def finish_imports() -> threading.Timer:
    """What scoring needs besides, imported on the engine's thread once the first page is seen.

    The pause is for the browser: an import would hold up the script and the styles that it still loads.
    """
    done, owner = imported(), engine()

    def imports(job: "Job") -> None:
        from interference.checkpoint import import_models

        import_models()
        _freeze()
        done.set()

    timer = threading.Timer(_PAUSE, lambda: owner.submit("process", "imports", imports))
    timer.daemon = True
    timer.start()
    return timer


@st.cache_resource(show_spinner=False)
def imported() -> threading.Event:
    return threading.Event()


def _importing() -> bool:
    """Whether the last of what `import_models` imports is not there yet, whoever imports it."""
    return "transformers.models.llama.modeling_llama" not in sys.modules


def evaluator_of(suite: str, corpus: str, device: str) -> "Evaluator":
    """The evaluator of a suite, a corpus and a device, made anew when their files have changed."""
    engine()  # the heavy imports first
    from interference.weights import pick_device

    key = (suite, corpus, str(pick_device(device or None)))
    evaluator = _open(*key, stamp(corpus))
    if not evaluator.changed():
        return evaluator
    with _OPENED_ANEW:  # by one session: another's request would take the place of what the first waits for
        if _open(*key, stamp(corpus)) is evaluator:
            _open.clear(*key, stamp(corpus))
        return _open(*key, stamp(corpus))


def stamp(typed: str) -> tuple[int, int] | None:
    """Size and time of change of a file or a folder as typed, None for nothing."""
    path = read_path(typed)
    if path is None or not path.exists():
        return None
    stats = []
    for file in [path] if path.is_file() else path.rglob("*"):
        with suppress(FileNotFoundError):  # gone since, or an editor's mark, which is a link to nothing
            stats.append(file.stat())
    return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)


@st.cache_resource(show_spinner=False, max_entries=4)
def _open(suite: str, corpus: str, device: str, corpus_stamp: tuple[int, int] | None) -> "Evaluator":
    """Made and used on the engine's thread alone."""
    import torch

    from interference.evaluate import Evaluator
    from interference.results import store_of
    from interference.suite import open_suite

    def make(job: "Job") -> Evaluator:
        opened = open_suite(read_path(suite), read_path(corpus))
        return Evaluator(opened, store_of(opened), torch.device(device))

    # A corpus that changes while it is opened is opened beside that by whoever comes meanwhile.
    return engine().run("process", f"open {suite} {corpus} {device} {corpus_stamp}", make)


def read_path(text: str) -> Path | None:
    """A path as typed: relative to where the command was started; None for nothing. Raises UserError for an unusable
    name."""
    return Path(os.environ.get("INTERFERENCE_FOLDER", "."), user_path(text)) if text else None


def session() -> str:
    """This session's name in the engine's queue; its requests are dropped when the session ends.

    Streamlit begins a newer run of a page while the one before still goes on: that one ends here, where its session
    state is looked at, and leaves what the newer has asked for alone.
    """
    _ = "session" in st.session_state
    return _session()


@st.cache_resource(scope="session", show_spinner=False, on_release=lambda owner: engine().cancel(owner))
def _session() -> str:
    import uuid

    return uuid.uuid4().hex


def cancel(slot: str) -> None:
    """Drop this session's request of a slot."""
    engine().cancel(session(), slot)


def device(bench: "Bench") -> "tuple[Evaluator, Engine]":
    """What measures the open suite, and the engine on whose thread alone it is to be used."""
    return evaluator_of(*bench.key), engine()


def run_steps(
    bench: "Bench",
    slot: str,
    steps: "Callable[[Evaluator], Steps[Any]]",
    title: str,
    place: "DeltaGenerator | None" = None,
    glance: Callable[[], None] = lambda: None,
) -> Any:
    """Run a job in steps on the engine; the newest of this session and slot wins, whatever page it is from.

    Progress shows in `place`, which is then emptied; `glance` is called again and again meanwhile.
    """
    compare_with_address()  # not only when the job is done: what it asks for is drawn
    evaluator, engine = device(bench)
    job = engine.submit(session(), slot, lambda job: steps(evaluator))
    return result_of(
        engine, job, lambda: f"{title} ({engine.depth()} waiting)" if engine.depth() else title, 0.3, place, glance
    )


def run_drawing(
    bench: "Bench",
    slot: str,
    steps: "Callable[[Evaluator, Callable[[Any], None]], Steps[Any]]",
    title: str,
    draw: Callable[[Any], object],
) -> Any:
    """`run_steps` of a job that tells what it knows so far, which is drawn until the whole is there."""
    place, figure, told = st.empty(), st.empty(), list[Any]()
    started, drawn = time.monotonic(), [0]

    def glance() -> None:
        if len(told) > drawn[0] and time.monotonic() - started > _SHOWN:
            drawn[0] = len(told)
            with figure.container():
                draw(told[-1])

    found = run_steps(bench, slot, lambda evaluator: steps(evaluator, told.append), title, place, glance)
    figure.empty()
    return found


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
    place, started, pace = place or st.empty(), time.monotonic(), Pace()
    try:
        while not wait([job.future], timeout=0.1).done:
            glance()
            if (now := time.monotonic()) - started > patience:
                said = "Loading transformers…" if _importing() else title() + pace.left(job.progress, now)
                place.progress(job.progress, text=said)
    finally:
        if not job.future.done():  # this run of the page was ended by another
            engine.drop(job)
    place.empty()
    try:
        return job.future.result()
    except CancelledError:  # a newer rerun of this session has taken over
        st.stop()


class Pace:
    """How long a job should still take, by when the share that is done, from 0 to 1, was seen to move."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []  # time and share, when first seen and when it moved last

    def left(self, share: float, now: float) -> str:
        """What to say of the time left; empty where nothing is known of it or it took longer than that."""
        if not self._seen or share != self._seen[-1][1]:
            self._seen[1:] = [(now, share)]
        (start, before), (moved, done) = self._seen[0], self._seen[-1]
        if moved - start < _SETTLED or done <= before:
            return ""
        left = (1 - done) * (moved - start) / (done - before) - (now - moved)
        return f", about {duration(left)} left" if left >= 0 else ""


def duration(seconds: float) -> str:
    """An estimate in steps of 5 seconds, in minutes or in hours."""
    if seconds < 90:
        return f"{5 * max(math.ceil(seconds / 5), 1)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
