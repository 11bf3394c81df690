"""How a merge follows its sliders: an estimate at once, the full result language by language."""

import time
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import streamlit as st

from interference.bench import View
from interference.steps import Steps
from interference.ui.live import Place
from interference.ui.running import cancel, device, result_of, session
from interference.ui.sidebar import Bench

if TYPE_CHECKING:
    from interference.engine import Engine, Job
    from interference.evaluate import Evaluator
    from interference.scored import Request
    from interference.tables import Glimpse, LossTable

_FULL, _GLIMPSE = "full", "glimpse"  # slots of the engine
_LOOKED_AT = "estimate looked at"  # in the session: the request, what was found, and who looks for more
_PATIENCE = 1.0  # seconds that an estimate takes at most where a slider is to be followed
_GLANCE = 0.1  # seconds that a figure waits for a newer estimate of the same
_TICK_MS = (80, 350)  # how soon a figure asks again, at the earliest and at the latest


Full = TypeVar("Full")
Quick = TypeVar("Quick")


@dataclass(frozen=True)
class Watched(Generic[Full, Quick]):
    """What is known of a request now; `pending` while more is on its way, which is worth asking for in `tick_ms`, and
    `share` of it done."""

    found: Full | Quick
    pending: bool
    tick_ms: int = _TICK_MS[1]
    share: float = 0.0


@dataclass(frozen=True)
class Asked(Generic[Full, Quick]):
    """A result and a quick estimate of it: how both are made of an evaluator, and the full one where it is there
    already. `request` tells it from others."""

    request: Hashable
    finished: "Callable[[Evaluator], Full | None]"
    full: "Callable[[Evaluator], Steps[Full]]"
    glimpse: "Callable[[Evaluator], Steps[Quick]]"


def watch(bench: Bench, request: "Request", moving: bool) -> "Watched[LossTable, Glimpse]":
    """The losses of a request as far as they are known."""
    asked: Asked[LossTable, Glimpse] = Asked(
        request,
        lambda evaluator: evaluator.finished(request),
        lambda evaluator: evaluator.table_steps(request),
        lambda evaluator: evaluator.glimpse_steps(request),
    )
    return follow(bench, asked, moving)


def follow(bench: Bench, asked: "Asked[Full, Quick]", moving: bool) -> "Watched[Full, Quick]":
    """The full result of a request where it is there, else what can be said at once while the engine goes on.

    Nothing but the estimate is computed for positions that a moving slider passes.
    """
    evaluator, engine = device(bench)
    if (table := asked.finished(evaluator)) is not None:
        engine.cancel(session(), _FULL)
        return Watched(table, False)
    if moving:
        engine.cancel(session(), _FULL)
        return Watched(_glimpse(bench, evaluator, engine, asked), False)
    job, started = _full(bench, evaluator, engine, asked)
    with suppress(TimeoutError):
        job.future.exception(timeout=0.05)  # what is in the store needs no estimate
    try:
        if not job.future.done():
            found = _glimpse_again(bench, evaluator, engine, asked)
            if not job.future.done():
                return Watched(found, True, _tick_ms(job, time.monotonic() - started), job.progress)
        return Watched(job.future.result(), False)
    except CancelledError:  # a newer run of the page goes on
        st.stop()
    except Exception:
        del st.session_state[_FULL]  # so that the next move tries again
        raise


def leave() -> None:
    """Go on with nothing that is followed, for the figure that asked for it is not looked at any more: what else this
    session asks for would wait for it. What is done of it is kept."""
    for slot in (_FULL, _GLIMPSE):
        cancel(slot)


def place_of(bench: Bench, view: View, watched: Watched) -> Place | None:
    """Where the panel stood when this was known of a view, if it has one."""
    from interference.tables import LossTable

    if (panel := view.faders) is None:
        return None
    equal = replace(view.recipe, weights=(1.0,) * len(view.recipe.weights))
    scope = hash((id(bench.suite), bench.key, replace(view, recipe=equal, faders=None)))
    return Place(panel.effective, panel.normalise, scope, isinstance(watched.found, LossTable))


def _glimpse(bench: Bench, evaluator: "Evaluator", engine: "Engine", asked: "Asked[Any, Quick]") -> Quick:
    """The estimate; how far it is shows where it is slow."""
    job = engine.submit(session(), _GLIMPSE, lambda job: asked.glimpse(evaluator), urgent=True)

    def doing() -> str:
        reading = evaluator.networks.reading
        return f"Reading the weights of {reading}" if reading else "A first look, at a few sentences of each language"

    found = result_of(engine, job, doing, _PATIENCE)
    st.session_state[_LOOKED_AT] = _of(bench, evaluator, asked), found, None
    return found


def _of(bench: Bench, evaluator: "Evaluator", asked: "Asked[Any, Any]") -> Hashable:
    """What a result is of: a suite whose files have changed is opened anew, and is another."""
    return bench.key, weakref.ref(evaluator), asked.request


def _glimpse_again(bench: Bench, evaluator: "Evaluator", engine: "Engine", asked: "Asked[Any, Quick]") -> Quick:
    """The estimate of a request that is looked at already: as it was, where the engine does not come to it soon."""
    request, found, job = st.session_state.get(_LOOKED_AT, (None, None, None))
    if request != _of(bench, evaluator, asked):
        return _glimpse(bench, evaluator, engine, asked)
    job = job or engine.submit(session(), _GLIMPSE, lambda job: asked.glimpse(evaluator), urgent=True)
    try:
        found, job = job.future.result(timeout=_GLANCE), None
    except TimeoutError:
        pass
    except CancelledError:
        job = None
    st.session_state[_LOOKED_AT] = request, found, job
    return found


def _full(bench: Bench, evaluator: "Evaluator", engine: "Engine", asked: "Asked[Any, Any]") -> "tuple[Job, float]":
    """The job that computes the request, the one that runs if it is for this request, and when it was submitted."""
    request, job, started = st.session_state.get(_FULL, (None, None, 0.0))
    if request != _of(bench, evaluator, asked) or job.stopped:
        job, started = engine.submit(session(), _FULL, lambda job: asked.full(evaluator)), time.monotonic()
        st.session_state[_FULL] = (_of(bench, evaluator, asked), job, started)
    return job, started


def _tick_ms(job: "Job", spent: float) -> int:
    """When the job should be through, by what it has done so far, or earlier."""
    left = spent * (1 / job.progress - 1) if job.progress else _TICK_MS[1]
    return int(min(max(1e3 * left, _TICK_MS[0]), _TICK_MS[1]))
