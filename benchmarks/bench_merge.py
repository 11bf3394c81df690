"""The linear merge of ten models held in memory, against copying the same bytes; and the memory it needs."""

import subprocess
import sys
from typing import Any

import torch
from measuring import CONFIG, RandomCheckpoint, alternate, memory, report
from transformers import LlamaConfig

from interference.checkpoint import build
from interference.merge import merge, merge_into
from interference.recipe import Recipe
from interference.weights import Weights

MODELS, ROUNDS = 10, 9
CPU = torch.device("cpu")


def checkpoints() -> list[Any]:
    meta = build(LlamaConfig(**CONFIG), "meta")  # type: ignore[arg-type]
    return [RandomCheckpoint(f"model-{i}", meta, CPU, "float32") for i in range(MODELS)]


def loaded() -> tuple[Recipe, Weights]:
    weights = Weights(checkpoints(), CPU)
    weights.load(weights.names)
    return Recipe("linear", weights.names, tuple(1.0 + i for i in range(MODELS))), weights


def measure_time() -> None:
    recipe, weights = loaded()
    parents = [weights.read(name, weights.names) for name in weights.shapes]
    copies = [torch.zeros_like(parent) for parent in parents]
    buffer = {name: torch.zeros(shape) for name, shape in weights.shapes.items()}

    def copy() -> None:
        for target, source in zip(copies, parents, strict=True):
            target.copy_(source)

    seconds = alternate(
        {"copy": copy, "into": lambda: merge_into(recipe, weights, buffer), "new": lambda: merge(recipe, weights)},
        ROUNDS,
    )
    million = weights.nbytes / MODELS / 4e6
    names = {
        "copy": f"copy of the {weights.nbytes / 1e9:.2f} GB of the parents",
        "into": "linear merge into the buffer at hand",
        "new": "linear merge into new memory",
    }
    rows = [(text, f"{seconds[key] * 1e3:.0f}", f"{seconds[key] / seconds['copy']:.2f}") for key, text in names.items()]
    ask = [sys.executable, __file__, "memory"]
    peak = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    report(
        f"Linear merge of {MODELS} models of {million:.1f} M parameters, float32, in memory",
        ("", "milliseconds", "ratio"),
        rows,
        [f"Peak memory of loading and merging, in models: {peak} ({MODELS} are the parents)"],
    )


def measure_memory() -> None:
    """Print the growth of the process' peak resident memory over its size before anything is loaded, in models."""
    torch.mv(torch.randn(512, 512), torch.randn(512))  # thread pools and libraries belong to the start
    start = memory("VmRSS")
    recipe, weights = loaded()
    merge(recipe, weights)
    print(f"{(memory('VmHWM') - start) / (weights.nbytes / MODELS):.2f}")


if __name__ == "__main__":
    measure_memory() if "memory" in sys.argv[1:] else measure_time()
