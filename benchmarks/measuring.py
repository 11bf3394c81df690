"""How the benchmarks measure: alternately in one process, medians, one small table each."""

import math
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOAD = os.getloadavg()[0]  # before this process adds its own
CONFIG = {  # of a Llama of 30 M parameters
    "vocab_size": 16384, "hidden_size": 512, "num_hidden_layers": 7, "num_attention_heads": 8,
    "intermediate_size": 1408, "tie_word_embeddings": True,
}  # fmt: skip


@dataclass(frozen=True)
class RandomCheckpoint:
    """What `Weights` asks of a checkpoint, made up on the device: no disk in the measurement."""

    name: str
    meta: torch.nn.Module = field(repr=False)
    device: torch.device
    dtype: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(p.shape) for name, p in self.meta.named_parameters()}

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, shape in self.shapes.items():
            yield name, torch.randn(shape, dtype=getattr(torch, self.dtype), device=self.device).mul_(0.02)


def memory(field: str, process: int | str = "self") -> int:
    """Bytes, from Linux' account of a process alone: getrusage's peak is inherited from the starting process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def alternate(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each function; they take turns, so that whatever else the machine does meets all alike.

    One round more is run first and not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def report(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> None:
    """Print a table, the command that makes it and the machine it was made on.

    Only ratios from an idle machine mean much: where others take the cores, waiting threads spin, and short calls
    pay for that most.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    print(f"{title}\n$ .venv/bin/python {shlex.join([f'benchmarks/{Path(sys.argv[0]).name}', *sys.argv[1:]])}")
    machine = f"{os.cpu_count()} cores ({platform.machine()}), {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        machine += f", {torch.cuda.get_device_name()}"
    print(f"{machine}, torch {torch.__version__}, load before: {LOAD:.1f}\n")
    for row in (head, ["-" * width for width in widths], *rows):
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]).rstrip())
    print(*notes, sep="\n", flush=True)


def plain_bits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str]) -> Iterator[float]:
    """Bits of each sentence as one writes it down with transformers: one sentence at a time, nothing shared."""
    for sentence in sentences:
        ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(sentence, add_special_tokens=False)["input_ids"]]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits
        logs = torch.log_softmax(logits[0, :-1].float(), dim=-1)
        yield -logs.gather(1, ids[0, 1:, None]).double().sum().item() / math.log(2)
