"""Work in steps: generators that yield between batches, where others may come in, and return a result."""

import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")
Steps = Generator[float, None, Result]  # yields the share that is done after every batch


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, torch computes as unless told otherwise: in float32, on the CPU where no device is named, without
    autocast, which keeps weights that have been merged over since, and outside of inference mode."""
    torch = sys.modules.get("torch")
    if torch is None:  # whoever has not loaded it has told it nothing
        yield
        return
    with ExitStack() as stack:
        if (dtype := torch.get_default_dtype()) != torch.float32:
            stack.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        yield


def finish(steps: Generator[Any, None, Result], progress: Callable[[Any], None] = lambda step: None) -> Result:
    """Run a generator to its end and return its result; `progress` is called with all it yields.

    Whatever the caller has set of torch, as a default dtype, changes no number.
    """
    with undisturbed():
        while True:
            try:
                progress(next(steps))
            except StopIteration as end:
                return end.value


def telling(share: float, steps: Generator[Any, None, Result]) -> Steps[Result]:
    """The same steps, each telling the share that is done."""
    return _each(steps, lambda told: share)


def nth(number: int, total: int, steps: Steps[Result]) -> Steps[Result]:
    """The same steps as the one of that number, from 0, of `total` alike."""
    return within(number / total, (number + 1) / total, steps)


def within(start: float, stop: float, steps: Steps[Result]) -> Steps[Result]:
    """The same steps, their share of 0 to 1 told as one of `start` to `stop`."""
    return _each(steps, lambda share: start + (stop - start) * share)


def _each(steps: Generator[Any, None, Result], share: Callable[[Any], float]) -> Steps[Result]:
    """The same steps, each telling what a function makes of what it told."""
    while True:
        try:
            told = next(steps)
        except StopIteration as end:
            return end.value
        yield share(told)


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
