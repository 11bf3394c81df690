"""From a changed coefficient to ten losses: here, and with mergekit and a plain loop over the sentences."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from measuring import plain_bits, report
from transformers import AutoModelForCausalLM, AutoTokenizer

from interference.corpus import Corpus
from interference.evaluate import Evaluator
from interference.recipe import Recipe
from interference.store import Store
from interference.suite import Suite, open_suite

SENTENCES, ROUNDS = 100, 3
CPU = torch.device("cpu")
MERGEKIT = Path(sys.executable).with_name("mergekit-yaml")


class MergekitFlow:
    """mergekit-yaml writes the merge to disk, transformers loads it, and each sentence is scored by itself."""

    def __init__(self, suite: Suite, folder: Path):
        self.suite, self.folder = suite, folder

    def recipe(self, recipe: Recipe) -> Path:
        paths = tuple(str(self.suite[name].path) for name in recipe.models)
        file = self.folder / "recipe.yaml"
        file.write_text(replace(recipe, models=paths, seed=0).to_yaml())
        return file

    def merge_by_command(self, recipe: Recipe, out: Path) -> None:
        """What a user does: a fresh process."""
        command = [str(MERGEKIT), str(self.recipe(recipe)), str(out), "--quiet"]
        subprocess.run(command, check=True, capture_output=True)

    def merge_in_process(self, recipe: Recipe, out: Path) -> None:
        """The kinder comparison: mergekit is imported already."""
        import yaml
        from mergekit.config import MergeConfiguration
        from mergekit.merge import run_merge
        from mergekit.options import MergeOptions

        document = yaml.safe_load(self.recipe(recipe).read_text())
        run_merge(MergeConfiguration.model_validate(document), str(out), MergeOptions(quiet=True))

    def score(self, out: Path, corpus: Corpus, rows: np.ndarray) -> np.ndarray:
        model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(out)
        return np.array([list(plain_bits(model, tokenizer, corpus.text(code, rows))) for code in corpus.languages])


def timed(function: Callable, *arguments: object) -> tuple[float, object]:
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def measure(folder: Path) -> None:
    suite = open_suite()
    assert suite.corpus is not None
    corpus, rows = suite.corpus, suite.corpus.rows(SENTENCES)
    parents = tuple(c.name for c in suite.with_role("mono"))
    evaluator, theirs = Evaluator(suite, Store(folder / "store"), CPU), MergekitFlow(suite, folder)
    merging: list[float] = []
    evaluator.networks.put = stopwatch(evaluator.networks.put, merging)  # type: ignore[method-assign]
    seconds: dict[str, list[float]] = {key: [] for key in ("merge", "all", "command", "process", "score")}
    difference = 0.0
    for number in range(ROUNDS + 1):  # every round with another coefficient; the first is not counted
        recipe = Recipe("linear", parents, (0.2 + 0.05 * number, *(0.1 for _ in parents[1:])), dtype="bfloat16")

        def ours(recipe: Recipe = recipe) -> np.ndarray:
            return np.array([evaluator.bits(recipe, language, rows) for language in corpus.languages])

        spent, bits = timed(ours)
        seconds["all"].append(spent)
        seconds["merge"].append(sum(merging))
        merging.clear()
        command, process = folder / f"command-{number}", folder / f"process-{number}"
        seconds["command"].append(timed(theirs.merge_by_command, recipe, command)[0])
        seconds["process"].append(timed(theirs.merge_in_process, recipe, process)[0])
        spent, plain = timed(theirs.score, command, corpus, rows)
        seconds["score"].append(spent)
        difference = max(difference, float(np.abs(np.asarray(bits) / np.asarray(plain) - 1).max()))
    draw(seconds, len(parents), len(corpus.languages), difference)


def stopwatch(function: Callable, spent: list[float]) -> Callable:
    """The function, adding the seconds of each of its calls to a list."""

    def timing(*arguments: object) -> object:
        seconds, result = timed(function, *arguments)
        spent.append(seconds)
        return result

    return timing


def draw(seconds: dict[str, list[float]], models: int, languages: int, difference: float) -> None:
    m = {key: statistics.median(times[1:]) for key, times in seconds.items()}
    here = m["all"]
    flows = {
        "mergekit-yaml, then transformers sentence by sentence": (m["command"], m["score"]),
        "mergekit imported already, then the same": (m["process"], m["score"]),
        "here": (m["merge"], here - m["merge"]),
    }
    report(
        f"From a changed coefficient of {models} models to {languages} losses of {SENTENCES} sentences",
        ("", "merging, s", "evaluating, s", "together, s", "ratio to here"),
        [(name, f"{a:.3f}", f"{b:.2f}", f"{a + b:.2f}", f"{(a + b) / here:.1f}") for name, (a, b) in flows.items()],
        [f"Largest relative difference in a sentence's bits: {difference:.1e}"],
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))
