"""One pass over the weights of ten models beside a plain loop over pairs and parameters: same numbers, which is faster.

    python benchmarks/bench_conflict.py

Both measure cosine, distance and sign conflict of all pairs of the built-in suite's monolingual models, by tensor; the
pass sums them up by layer, group and model too, in its table. With chance levels it measures all
again on shuffled weights.
"""

import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from interference.conflict.survey import Survey, default_models, equal_average, survey_steps
from interference.dev import DevHalf
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.weights import Weights

MEASURES = ("cosine", "l2", "sign_conflict")
REPEATS = 3


def plain(weights: Weights, models: tuple[str, ...]) -> dict[tuple[str, str, str, str], float]:
    """What one would write: two models at a time, one parameter at a time."""
    found = {}
    for first, second in combinations(models, 2):
        for name in weights.shapes:
            a, b = (weights.read(name, [model])[0].flatten().double() for model in (first, second))
            both = (a != 0) & (b != 0)
            found["cosine", name, first, second] = float(a @ b / (a.norm() * b.norm()))
            found["l2", name, first, second] = float((a - b).norm())
            found["sign_conflict", name, first, second] = float((a.sign() != b.sign())[both].double().mean())
    return found


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the fastest of some runs, and the last result."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result


def main() -> None:
    torch.set_num_threads(1)
    suite, device = open_suite(), torch.device("cpu")
    models = default_models(suite)
    weights = Weights([suite[name] for name in models], device, DevHalf(suite, device))
    weights.load(models)

    def one_pass(chance: bool = False) -> Any:
        with TemporaryDirectory() as folder:
            survey = Survey(equal_average(models), measures=MEASURES, chance=chance)
            return finish(survey_steps(suite, weights, Store(Path(folder)), survey))

    loop_seconds, expected = timed(lambda: plain(weights, models))
    pass_seconds, table = timed(one_pass)
    both_seconds, _ = timed(lambda: one_pass(chance=True))
    rows = table.by("tensor").set_index(["measure", "tensor", "first", "second"])["value"]
    worst = max(abs(rows[key] - value) / max(1.0, abs(value)) for key, value in expected.items())
    print(f"{len(models)} models, {len(expected)} numbers, same to {worst:.1e}")
    print(f"plain loop / one pass: {loop_seconds / pass_seconds:.1f} ({loop_seconds:.2f} s, {pass_seconds:.2f} s)")
    print(f"with chance levels the pass takes {both_seconds / pass_seconds:.1f} times as long")


if __name__ == "__main__":
    main()
