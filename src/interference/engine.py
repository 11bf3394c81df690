"""The one owner of the device: a queue, one worker thread, the newest request of a slot wins."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_TURN = 0.25  # seconds an owner's long job keeps the device while other owners wait; a switch costs a merge
_SHORT = 1.0  # seconds of a job's work that go before other owners' long ones, so that a slider's is soon through
_PATIENCE = 2.0  # seconds after which a long job waits no longer for short ones


class Superseded(CancelledError):
    """A newer request of the same owner and slot took this one's place, or its owner went away."""


@dataclass
class Job:
    """One request. What its function returns is the result; a generator runs from yield to yield.

    A generator yields its progress from 0 to 1 after every batch: there the job is stopped if nobody waits for it any
    more, urgent jobs come in between, and after its turn other owners do. Whatever it left on the device may then be
    another's. A function that is no generator holds the device to its end, or until its own `check()` raises.
    """

    owner: str
    slot: str
    function: Callable[["Job"], Any]
    urgent: bool = False
    future: Future = field(default_factory=Future)
    progress: float = 0.0
    stopped: bool = False
    steps: Generator[float, None, Any] | None = None
    spent: float = 0.0  # seconds on the device
    waiting: float = field(default_factory=time.monotonic)  # since when

    def check(self) -> None:
        """Raise Superseded if nobody waits for the result any more."""
        if self.stopped:
            raise self.superseded

    @property
    def superseded(self) -> Superseded:
        return Superseded(f"{self.owner}/{self.slot} was superseded")


class Engine:
    """Runs submitted functions one at a time on one thread, which alone touches models, buffers and the device.

    Requests queue by (owner, slot). Owners take turns, so neither one session's many requests nor its long one hold
    up another's; urgent requests go before all others and wait for one batch at most, short ones go before long ones.
    """

    def __init__(self, name: str = "engine"):
        self._condition = threading.Condition()
        self._queues: OrderedDict[str, OrderedDict[str, Job]] = OrderedDict()
        self._running: Job | None = None
        self._given_up: list[Job] = []  # begun and then dropped: only the worker closes them
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, owner: str, slot: str, function: Callable[[Job], Any], *, urgent: bool = False) -> Job:
        """Queue a request; an older one of the same owner and slot is dropped, or stopped at its next check."""
        job = Job(owner, slot, function, urgent)
        with self._condition:
            if self._closed:
                raise RuntimeError("the engine is closed")
            self._drop(owner, slot)
            self._queues.setdefault(owner, OrderedDict())[slot] = job
            self._condition.notify()
        return job

    def run(self, owner: str, slot: str, function: Callable[[Job], Any], *, urgent: bool = False) -> Any:
        """Submit and wait for the result."""
        return self.submit(owner, slot, function, urgent=urgent).future.result()

    def cancel(self, owner: str, slot: str | None = None) -> None:
        """Drop an owner's requests, of one slot or all."""
        with self._condition:
            running = [self._running.slot] if self._running and self._running.owner == owner else []
            for each in [slot] if slot else [*self._queues.get(owner, {}), *running]:
                self._drop(owner, each)

    def drop(self, job: Job) -> None:
        """Drop a request that nobody waits for any more; a newer one of its owner and slot goes on."""
        with self._condition:
            if self._queues.get(job.owner, OrderedDict()).get(job.slot) is job:
                self._drop(job.owner, job.slot)
            job.stopped = True

    def depth(self) -> int:
        """Requests waiting, the running one not counted."""
        with self._condition:
            return sum(map(len, self._queues.values()))

    def close(self) -> None:
        """Stop the running job at its next check, drop the others and end the thread."""
        with self._condition:
            self._closed = True
            for job in [j for queue in self._queues.values() for j in queue.values()]:
                self._drop(job.owner, job.slot)
            if self._running:
                self._running.stopped = True
            self._condition.notify()
        self._thread.join(timeout=10)

    def _drop(self, owner: str, slot: str) -> None:
        if queued := self._queues.get(owner, OrderedDict()).pop(slot, None):
            queued.stopped = True
            if queued.steps:
                self._given_up.append(queued)
            # False where its asker has cancelled a job that never ran; one that has run is marked as running already.
            if queued.steps or queued.future.set_running_or_notify_cancel():
                queued.future.set_exception(queued.superseded)
            queued.function = _nothing
        running = self._running
        if running and (running.owner, running.slot) == (owner, slot):
            running.stopped = True

    def _next(self) -> Job | None:
        """The first urgent job in the order of owners, else the first that has its turn before long ones, else the
        first; its owner goes to the end of that order."""
        with self._condition:
            while not any(self._queues.values()):
                if self._closed:
                    return None
                self._queues.clear()
                self._condition.wait()
            queues = (enumerate(queue.values()) for queue in self._queues.values())
            waiting = [job for queue in queues for place, job in queue if job.urgent or place == 0]
            now = time.monotonic()
            job = min(waiting, key=lambda j: (not j.urgent, j.spent > _SHORT and now - j.waiting < _PATIENCE))
            del self._queues[job.owner][job.slot]
            self._queues.move_to_end(job.owner)
            self._running = job
            return job

    def _work(self) -> None:
        while job := self._next():
            # A future that takes no result was cancelled by its asker.
            wanted = job.steps is not None or job.future.set_running_or_notify_cancel()
            finished = self._advance(job) if wanted else True
            if finished:
                _end(job)
            with self._condition:
                self._running = None
                if not finished:
                    self._put_back(job)
                given_up, self._given_up = self._given_up, []
            for dropped in given_up:
                _end(dropped)

    def _advance(self, job: Job) -> bool:
        """Run a job until it has ended or has to make room for another; whether it has ended."""
        started = time.monotonic()
        try:
            job.check()
            if job.steps is None:
                result = job.function(job)
                if not isinstance(result, Generator):
                    job.check()
                    return _give(job, result)
                job.steps = result
            while True:
                job.progress = next(job.steps)
                job.check()
                if self._makes_room(job, time.monotonic() - started):
                    job.waiting = time.monotonic()
                    job.spent += job.waiting - started
                    return False
        except StopIteration as end:
            return _give(job, end.value)
        except BaseException as error:  # the worker must outlive whatever a job raises
            _end(job)
            job.future.set_exception(error)
            return True

    def _makes_room(self, job: Job, spent: float) -> bool:
        with self._condition:
            waiting = [j for queue in self._queues.values() for j in queue.values()]
        urgent = any(j.urgent for j in waiting) and not job.urgent
        turn = max(_TURN, _SHORT - job.spent)
        return urgent or (spent > turn and any(j.owner != job.owner for j in waiting))

    def _put_back(self, job: Job) -> None:
        """An interrupted job waits before its owner's others and after other owners, if it is still wanted."""
        if job.stopped:
            self._given_up.append(job)
            job.future.set_exception(job.superseded)
            return
        queue = self._queues.setdefault(job.owner, OrderedDict())
        queue[job.slot] = job
        queue.move_to_end(job.slot, last=False)
        self._queues.move_to_end(job.owner)


def _end(job: Job) -> None:
    """Close the steps of a job that does not go on; what goes wrong in that is nobody's, and the worker outlives it.

    Its asker may keep it for long, but not what it was to work with: that may be all the weights of a suite.
    """
    if job.steps:
        with suppress(Exception):
            job.steps.close()
    job.function, job.steps = _nothing, None


def _nothing(job: Job) -> None:
    """What is left to do of a job that has ended."""


def _give(job: Job, result: Any) -> bool:
    """Hand over the result, unless it came too late."""
    if job.stopped:
        job.future.set_exception(job.superseded)
    else:
        job.progress = 1.0
        job.future.set_result(result)
    return True
