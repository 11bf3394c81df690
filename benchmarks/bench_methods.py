"""Merging again after a coefficient moved, method by method: here and with mergekit, in memory and by its command."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import yaml
from measuring import CONFIG, alternate, memory, report
from transformers import AutoTokenizer, LlamaConfig

from interference.checkpoint import build
from interference.chunks import chunks
from interference.merge import merge_into
from interference.recipe import Recipe
from interference.registry import methods
from interference.suite import open_suite
from interference.sums import Sums
from interference.weights import Weights

MODELS, ROUNDS = ("one", "two", "three", "four"), 9
CPU = torch.device("cpu")
MERGEKIT = Path(sys.executable).with_name("mergekit-yaml")
WHOLE = ("linear", "ties", "sce")  # compared with the command, and by peak memory, which both take a process each
KNOBS: dict[str, dict[str, Any]] = {
    "slerp": {"t": 0.4}, "nearswap": {"t": 0.01}, "passthrough": {"scale": 0.9}, "sce": {"select_topk": 0.5},
    "ram": {"epsilon": 0.01}, "ramplus_tl": {"r": 0.3}, "karcher": {"max_iter": 10},
}  # fmt: skip


def write_models(folder: Path) -> None:
    """Random Llamas with the built-in suite's tokenizer, which nothing here calls."""
    tokenizer = AutoTokenizer.from_pretrained(open_suite()["init"].path)
    for seed, name in enumerate(MODELS):
        tokenizer.save_pretrained(folder / name)
        torch.manual_seed(seed)
        build(LlamaConfig(**CONFIG), "cpu").float().save_pretrained(folder / name)  # type: ignore[arg-type, operator]


def recipe(method: str, move: int) -> Recipe:
    """The method with one of its coefficients, or without any its knobs that may move, moved for the time `move`."""
    known, base = methods()[method], MODELS[0]
    models = (MODELS[1:] if known.base == "required" else MODELS)[: known.parents[1]]
    knobs = dict(KNOBS.get(method, {}))
    if any(a.name == "density" for a in known.arguments):
        knobs["density"] = 0.5
    if not known.weighted:
        knobs = {name: value * (1 - move / 100) if isinstance(value, float) else value for name, value in knobs.items()}
    weights = tuple(0.5 - 0.1 * i + 0.01 * move * (i == 1) for i in range(len(models))) if known.weighted else ()
    return Recipe(method, models, weights, tuple(knobs.items()), base if known.base == "required" else None)


class Here:
    """Checkpoints held in memory, merged into one buffer."""

    def __init__(self, folder: Path):
        self.weights = Weights(open_suite(folder).checkpoints, CPU)
        self.weights.load(self.weights.names)
        self.buffer: dict[str, torch.Tensor] = {}
        for _, views in chunks(self.weights.shapes, 1, torch.float32, CPU):  # as networks are laid out
            self.buffer |= {name: view[0].zero_() for name, view in views.items()}
        self.there: Sums | None = None

    def merge(self, asked: Recipe) -> None:
        """As a slider that is dragged has it: from the merge that is there."""
        self.there = merge_into(asked, self.weights, self.buffer, self.there)

    def anew(self, asked: Recipe) -> None:
        merge_into(asked, self.weights, self.buffer)
        self.there = None


class Mergekit:
    """The same tensors, merged by mergekit's function for state dicts."""

    def __init__(self, weights: Weights):
        self.states = {n: {p: weights.read(p, [n])[0] for p in weights.shapes} for n in weights.names}

    def merge(self, asked: Recipe) -> None:
        from mergekit.merge_methods import merge_state_dicts

        document = yaml.safe_load(asked.to_yaml())
        own = {entry["model"]: entry.get("parameters", {}) for entry in document["models"]}
        parameters = document.get("parameters", {}) | {
            key: {model: values[key] for model, values in own.items()} for values in own.values() for key in values
        }
        base = document.get("base_model")
        names = dict.fromkeys([*([base] if base else []), *own])
        merge_state_dicts({n: self.states[n] for n in names}, asked.method, parameters=parameters, base=base)


def moving(merge: Callable[[Recipe], None], method: str) -> Callable[[], None]:
    """The merge as a function that finds another coefficient at every call."""
    moves = iter(range(1000))
    return lambda: merge(recipe(method, next(moves)))


def measure_memory(folder: Path, side: str, method: str) -> None:
    """Print the peak of this process over its size with the models loaded, in models."""
    here = Here(folder)
    merge = here.merge if side == "here" else Mergekit(here.weights).merge
    torch.mv(torch.randn(512, 512), torch.randn(512))
    if side == "mergekit":
        here.buffer.clear()
        import mergekit.merge_methods  # noqa: F401
    start = memory("VmRSS")
    moving(merge, method)()
    model = here.weights.nbytes / len(MODELS)
    print((memory("VmHWM") - start) / model)


def peak(folder: Path, side: str, method: str) -> float:
    ask = [sys.executable, __file__, "memory", str(folder), side, method]
    return float(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()[-1])


def by_command(folder: Path, method: str) -> float:
    """Seconds of mergekit-yaml, its start-up included."""
    file = folder / "recipe.yaml"
    file.write_text(recipe(method, 1).renamed(lambda name: str(folder / name)).to_yaml())
    start = time.perf_counter()
    subprocess.run([str(MERGEKIT), str(file), str(folder / "out"), "--quiet"], check=True, capture_output=True)
    return time.perf_counter() - start


def row_of(name: str, seconds: dict[str, float]) -> list[str]:
    row = [name, f"{seconds['here']:.3f}"]
    if "mergekit" in seconds:
        row += [f"{seconds['mergekit']:.2f}", f"{seconds['mergekit'] / seconds['here']:.1f}"]
    return row


def measure(folder: Path, asked: list[str]) -> None:
    torch.set_num_threads(2)
    here = Here(folder)
    theirs = Mergekit(here.weights)
    rows: list[list[str]] = []
    for name in asked:
        sides = {"here": moving(here.merge, name)}
        if methods()[name].mergekit:
            sides["mergekit"] = moving(theirs.merge, name)
        row = row_of(name, seconds := alternate(sides, ROUNDS))
        if name in WHOLE:
            row += [f"{peak(folder, side, name):.1f}" for side in ("here", "mergekit")]
            command = by_command(folder, name)
            row += [f"{command:.1f}", f"{command / seconds['here']:.0f}"]
        told = [row]
        if here.there:
            told.append(row_of(f"{name}, anew", alternate(sides | {"here": moving(here.anew, name)}, ROUNDS)))
        for one in told:
            print(*one, file=sys.stderr, flush=True)
            rows.append(one + [""] * (8 - len(one)))
    million = here.weights.nbytes / len(MODELS) / 4e6
    report(
        f"Merging {len(MODELS)} models of {million:.1f} M parameters again after a coefficient moved, float32",
        ("", "here, s", "mergekit, s", "ratio", "peak here", "peak mergekit", "mergekit-yaml, s", "ratio"),
        rows,
        [
            "Peaks are those of a first merge, over the size with all models loaded, in models.",
            "Anew: as the full result after a release has it; while a slider moves, about every fourteenth merge is.",
        ],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        measure_memory(Path(sys.argv[2]), *sys.argv[3:])
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_models(Path(folder))
            measure(Path(folder), sys.argv[1:] or list(methods()))
