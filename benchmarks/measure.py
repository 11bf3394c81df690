"""What the benchmarks share: timing several ways side by side in one run, and printing ratios."""

import statistics
import time
from collections.abc import Callable

import torch


def side_by_side(ways: dict[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Median seconds of each way, run in turn `rounds` times after one run unmeasured."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def report(title: str, seconds: dict[str, float], aim: str) -> None:
    """Print seconds and ratios to the first way."""
    first = next(iter(seconds.values()))
    print(f"{title} ({torch.get_num_threads()} threads; aim: {aim})")
    for name, value in seconds.items():
        print(f"  {name:<44} {value:8.3f} s   {value / first:6.2f} x")
