"""The linear merge of ten models held in memory, against copying the same bytes; and the memory it needs."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from measuring import alternate, report
from transformers import LlamaConfig

from interference.checkpoint import build
from interference.merge import merge, merge_into
from interference.recipe import Recipe
from interference.weights import Weights

MODELS, ROUNDS = 10, 9
CPU = torch.device("cpu")
CONFIG = {
    "vocab_size": 16384, "hidden_size": 512, "num_hidden_layers": 7, "num_attention_heads": 8,
    "intermediate_size": 1408, "tie_word_embeddings": True,
}  # fmt: skip


@dataclass(frozen=True)
class RandomCheckpoint:
    """What `Weights` asks of a checkpoint, made up on the spot: no disk in the measurement."""

    name: str
    meta: torch.nn.Module = field(repr=False)
    dtype: str = "float32"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(p.shape) for name, p in self.meta.named_parameters()}

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, shape in self.shapes.items():
            yield name, torch.randn(shape)


def checkpoints() -> list[Any]:
    meta = build(LlamaConfig(**CONFIG), "meta")  # type: ignore[arg-type]
    return [RandomCheckpoint(f"model-{i}", meta) for i in range(MODELS)]


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


def memory(field: str) -> int:
    """Bytes, from Linux' account of this process alone: getrusage's peak is inherited from the starting process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    measure_memory() if "memory" in sys.argv[1:] else measure_time()
