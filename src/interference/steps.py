"""Work in steps: generators that yield between batches, where others may come in, and return a result."""

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


def telling(share: float, steps: Generator[None, None, Result]) -> Steps[Result]:
    """The same steps, each telling the share that is done."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        yield share


def within(number: int, count: int, steps: Steps[Result]) -> Steps[Result]:
    """The steps of one of `count` equal parts, each telling the share of all parts that is done."""
    while True:
        try:
            yield (number + next(steps)) / count
        except StopIteration as end:
            return end.value
