"""The one owner of the device: a queue, one worker thread, the newest request of a slot wins."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any


class Superseded(CancelledError):
    """A newer request of the same owner and slot took this one's place, or its owner went away."""


@dataclass
class Job:
    """One request. The function gets the job: it calls `check()` between batches and sets `progress` from 0 to 1."""

    owner: str
    slot: str
    function: Callable[["Job"], Any]
    future: Future = field(default_factory=Future)
    progress: float = 0.0
    stopped: bool = False

    def check(self) -> None:
        """Raise Superseded if nobody waits for the result any more."""
        if self.stopped:
            raise Superseded(f"{self.owner}/{self.slot} was superseded")


class Engine:
    """Runs submitted functions one at a time on one thread, which alone touches models, buffers and the device.

    Requests queue by (owner, slot). Owners take turns, so one session's many requests do not hold up another's.
    """

    def __init__(self, name: str = "engine"):
        self._condition = threading.Condition()
        self._queues: OrderedDict[str, OrderedDict[str, Job]] = OrderedDict()
        self._running: Job | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, owner: str, slot: str, function: Callable[[Job], Any]) -> Job:
        """Queue a request; an older one of the same owner and slot is dropped, or stopped at its next check."""
        job = Job(owner, slot, function)
        with self._condition:
            if self._closed:
                raise RuntimeError("the engine is closed")
            self._drop(owner, slot)
            self._queues.setdefault(owner, OrderedDict())[slot] = job
            self._condition.notify()
        return job

    def run(self, owner: str, slot: str, function: Callable[[Job], Any]) -> Any:
        """Submit and wait for the result."""
        return self.submit(owner, slot, function).future.result()

    def cancel(self, owner: str, slot: str | None = None) -> None:
        """Drop an owner's requests, of one slot or all."""
        with self._condition:
            running = [self._running.slot] if self._running and self._running.owner == owner else []
            for each in [slot] if slot else [*self._queues.get(owner, {}), *running]:
                self._drop(owner, each)

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
            if queued.future.set_running_or_notify_cancel():  # False: its asker has cancelled it already
                queued.future.set_exception(Superseded(f"{owner}/{slot} was superseded"))
        running = self._running
        if running and (running.owner, running.slot) == (owner, slot):
            running.stopped = True

    def _next(self) -> Job | None:
        with self._condition:
            while not any(self._queues.values()):
                if self._closed:
                    return None
                self._queues.clear()
                self._condition.wait()
            owner = next(owner for owner, queue in self._queues.items() if queue)
            _, job = self._queues[owner].popitem(last=False)
            self._queues.move_to_end(owner)
            self._running = job
            return job

    def _work(self) -> None:
        while job := self._next():
            if job.future.set_running_or_notify_cancel():  # False: its asker has cancelled it, and it takes no result
                _run(job)
            with self._condition:
                self._running = None


def _run(job: Job) -> None:
    try:
        job.check()
        result = job.function(job)
        job.check()
    except BaseException as error:  # the worker must outlive whatever a job raises
        job.future.set_exception(error)
    else:
        job.progress = 1.0
        job.future.set_result(result)
