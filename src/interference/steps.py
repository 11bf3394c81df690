"""Work in steps: generators that yield between batches, where others may come in, and return a result."""

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")
Steps = Generator[float, None, Result]  # yields the share that is done after every batch


def finish(steps: Generator[Any, None, Result], progress: Callable[[Any], None] = lambda step: None) -> Result:
    """Run a generator to its end and return its result; `progress` is called with all it yields."""
    while True:
        try:
            progress(next(steps))
        except StopIteration as end:
            return end.value


def telling(share: float, steps: Generator[Any, None, Result]) -> Steps[Result]:
    """The same steps, each telling the share that is done."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        yield share


def nth(number: int, total: int, steps: Steps[Result]) -> Steps[Result]:
    """The same steps as the one of that number, from 0, of `total` alike."""
    return within(number / total, (number + 1) / total, steps)


def within(start: float, stop: float, steps: Steps[Result]) -> Steps[Result]:
    """The same steps, their share of 0 to 1 told as one of `start` to `stop`."""
    while True:
        try:
            share = next(steps)
        except StopIteration as end:
            return end.value
        yield start + (stop - start) * share


def clocked(
    steps: Generator[Any, None, Any], settle: Callable[[], None] = lambda: None
) -> Generator[None, None, float]:
    """Seconds spent inside of steps, not between them, where others work; `settle` waits for what a step set off."""
    spent, ended = 0.0, False
    while True:
        started = time.perf_counter()
        try:
            next(steps)
        except StopIteration:
            ended = True
        settle()
        spent += time.perf_counter() - started
        if ended:
            return spent
        yield
