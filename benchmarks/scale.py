"""One move of a slider at the size of real models: random weights of a real shape, merged and scored.

    scale.py --models 10 --shape hplt-2b [--device cuda] [--residency resident|pinned|streamed] [--tokens 25600]

Prints the seconds of a linear merge, of TIES merged again with other coefficients, of scoring and of a slider's move,
their shares of what this machine can do (bandwidth of a copy, products of large matrices, both measured here),
and the memory beyond the parents in models of float32; on a GPU each beside what is aimed at, with ten languages of 64
sentences.
"""

import argparse
import importlib.util
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import RandomCheckpoint, alternate, memory, report
from safetensors.torch import save_file
from torch import nn
from transformers import LlamaConfig, PreTrainedConfig, Qwen2Config

from interference.checkpoint import Checkpoint, build
from interference.chunks import settle
from interference.conflict.survey import Survey, decomposed_matrices
from interference.layout import linear_layers, token_rows
from interference.losses import TokenizedText, products, sentence_bits
from interference.merge import merge_into
from interference.precision import takes_tf32
from interference.recipe import MEAN, Recipe
from interference.weights import RESIDENCIES, STREAMED, Weights, pick_device

SHAPES: dict[str, Callable[[], PreTrainedConfig]] = {
    "hplt-2b": lambda: LlamaConfig(
        vocab_size=262_272, hidden_size=2048, num_hidden_layers=24, num_attention_heads=32, num_key_value_heads=32,
        intermediate_size=8192, max_position_embeddings=2048, tie_word_embeddings=True,
    ),
    "qwen-0.5b": lambda: Qwen2Config(
        vocab_size=151_936, hidden_size=896, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2,
        intermediate_size=4864, max_position_embeddings=32_768, tie_word_embeddings=True,
    ),
    "tiny": lambda: LlamaConfig(
        vocab_size=8192, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024,
        tie_word_embeddings=True,
    ),
}  # fmt: skip
SENTENCE = 40  # tokens, about a sentence of news
TOKENS = {"cpu": 2000, "cuda": 10 * 64 * SENTENCE}  # scored at every move


def on_disk(made: RandomCheckpoint, config: PreTrainedConfig, folder: Path) -> Checkpoint:
    """The same as files, for weights that are streamed from them."""
    config.save_pretrained(folder)
    save_file({name: tensor.cpu() for name, tensor in made.tensors()}, folder / "model.safetensors")
    return Checkpoint(made.name, folder)


def random_text(vocabulary: int, tokens: int) -> TokenizedText:
    count = max(tokens // SENTENCE, 1)
    ids = np.random.default_rng(0).integers(0, vocabulary, (count, SENTENCE))
    rows = tuple(tuple(map(int, row)) for row in ids)
    return TokenizedText(rows, 0, "BOS", (0,) * count, (True,) * count, None)


class Memory:
    """The most memory held since it was begun: on CUDA what torch allocated, else what the system can't take back."""

    def __init__(self, device: torch.device):
        self._device, self._most, self._going = device, 0, True
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self._going:
            self._most = max(self._most, memory("RssAnon"))
            time.sleep(0.005)

    def peak(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        self._going = False
        return max(self._most, memory("RssAnon"))


def waited(function: Callable[[], object], device: torch.device) -> Callable[[], None]:
    def run() -> None:
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def ceilings(device: torch.device) -> dict[str, float]:
    """Bytes a second that a copy reads and writes, and operations a second of a product of matrices as in scoring."""
    cuda = device.type == "cuda"
    source = torch.randn((1 << 31 if cuda else 1 << 28) // 4, device=device)  # of ones alone a GPU clocks higher
    target, size = torch.empty_like(source), 8192 if cuda else 2048
    one = torch.randn((size, size), device=device)
    jobs = {"copy": lambda: target.copy_(source), "product": lambda: one @ one}
    with products(tf32=True) if cuda else nullcontext():
        seconds = alternate({name: waited(job, device) for name, job in jobs.items()}, 5)
    return {"bandwidth": 2 * source.nbytes / seconds["copy"], "flops": 2 * size**3 / seconds["product"]}


def others_do(
    weights: Weights, network: nn.Module, text: TokenizedText, device: torch.device
) -> dict[str, float | None]:
    """Seconds that others take for the same: mergekit's merge of the same tensors, None where it is not installed or
    the weights are not in memory, and transformers called for one sentence after another, all from the first few."""
    few = text.ids[:10]

    def plainly() -> None:
        with torch.no_grad():
            for ids in few:
                row = torch.tensor([[text.prefix, *ids]], device=device)
                logits = network(input_ids=row).logits[0, :-1].float()
                logits.log_softmax(dim=-1).gather(1, row[0, 1:, None]).sum().item()

    with products(bool(network.tf32)) if device.type == "cuda" else nullcontext():  # as ours
        waited(plainly, device)()
        start = time.perf_counter()
        waited(plainly, device)()
    found: dict[str, float | None] = {"transformers": (time.perf_counter() - start) * len(text.ids) / len(few)}
    found["mergekit"] = None
    if importlib.util.find_spec("mergekit") and weights.residency != STREAMED:
        from mergekit.merge_methods import merge_state_dicts

        states = {n: {p: weights.views(p, [n])[0] for p in weights.shapes} for n in weights.names}
        shares = {name: 1.0 / len(weights.names) for name in weights.names}
        start = time.perf_counter()
        waited(lambda: merge_state_dicts(states, "linear", parameters={"weight": shares}), device)()
        found["mergekit"] = time.perf_counter() - start
    return found


def compared(theirs: float | None, ours: float) -> tuple[str, str, str]:
    """Cells of a row about others."""
    return ("", "not measured here", "") if theirs is None else (f"{theirs:.3f}", f"{theirs / ours:.1f} x ours", "")


def singular_values(weights: Weights) -> str:
    """What the singular values of all matrices would take, from one of them, and what the survey does about it."""
    matrices = {name: shape for name, shape in weights.shapes.items() if len(shape) == 2}
    survey = Survey(Recipe("linear", weights.names, (1.0,) * len(weights.names)))
    work = {name: rows * columns * min(rows, columns) for name, (rows, columns) in matrices.items()}
    one = sorted(matrices, key=lambda name: work[name])[len(work) // 2]
    job = waited(lambda: torch.linalg.svd(weights.views(one, weights.names[:1])[0].float()), weights.device)
    job()
    start = time.perf_counter()
    job()
    spent = time.perf_counter() - start
    some = decomposed_matrices(weights, survey)
    whole, part = (
        2 * len(weights.names) * sum(work[n] for n in names) / work[one] * spent / 60 for names in (matrices, some)
    )
    return (
        f"singular values: one matrix {list(matrices[one])} {spent:.2f} s; of all models and their chance levels about "
        f"{whole:.0f} minutes, so the survey takes those of {len(some)} of {len(matrices)} matrices, {part:.0f} minutes"
    )


def aims(bandwidth: float, ties: float, move: float, models: float) -> tuple[str, ...]:
    """Lines that hold what was measured on a GPU against what is aimed at on one H200 with ten models of 2.15 B."""
    found = (
        ("linear merge, of a copy's bandwidth", f"{bandwidth:.0%}", "at least 70%", bandwidth >= 0.7),
        ("TIES merged again, against linear", f"{ties:.1f} x", "at most 3 x", ties <= 3),
        ("slider's move to all losses", f"{1e3 * move:.0f} ms", "at most 500 ms", move <= 0.5),
        ("memory beyond the parents, TIES included", f"{models:.2f} models", "at most 1.5 models", models <= 1.5),
    )
    return tuple(f"{what}: {value} (aim: {aim}): {'reached' if good else 'missed'}" for what, value, aim, good in found)


def measure(options: argparse.Namespace, folder: Path) -> None:
    device, config = pick_device(options.device), SHAPES[options.shape]()
    top = ceilings(device)
    text = random_text(config.vocab_size, options.tokens or TOKENS[device.type])
    meta = build(config, "meta")
    made: list[Any] = [RandomCheckpoint(f"model-{n}", meta, device, "bfloat16") for n in range(options.models)]
    if options.residency == STREAMED:
        made = [on_disk(each, config, folder / each.name) for each in made]
    start = 0 if device.type == "cuda" else memory("RssAnon")
    watch = Memory(device)
    weights = Weights(made, device, residency=options.residency)
    network = build(config, device)
    settle(network)
    network.tf32 = takes_tf32(device.type)  # type: ignore[assignment]
    weights.load(weights.names)  # in this order, as the dashboard does: a network takes more while it is being made
    parameters = dict(network.named_parameters())
    one = sum(p.nbytes for p in parameters.values())
    others = (1.0,) * (options.models - 1)
    recipes = (Recipe("linear", weights.names, (1.0 + n, *others)) for n in range(999))
    jobs = {
        "merge": lambda: merge_into(next(recipes), weights, parameters),
        "scoring": lambda: sentence_bits(network, text),
    }
    seconds = alternate({name: waited(job, device) for name, job in jobs.items()}, options.rounds)
    held = watch.peak() - start
    ties = (Recipe("ties", weights.names, (1.0 + n, *others), (("density", 0.5),), MEAN) for n in range(999))
    again = {"merge again": lambda: merge_into(next(ties), weights, parameters)}  # the first finds the thresholds
    seconds["ties"] = alternate({n: waited(job, device) for n, job in again.items()}, options.rounds)["merge again"]
    held_by_ties = watch.peak() - start if device.type == "cuda" else 0
    peers = others_do(weights, network, text, device)
    parents = 0 if weights.residency == STREAMED else weights.nbytes
    on_device = parents if weights.residency == "resident" or device.type == "cpu" else 0
    multiplied = {*linear_layers(network), token_rows(network)[-1]}  # attention's own products are left out
    matrices = sum(parameters[name].numel() for name in multiplied)
    rates = {
        "bandwidth": (weights.nbytes + one) / seconds["merge"],
        "flops": 2 * matrices * sum(map(len, text.ids)) / seconds["scoring"],
    }
    shares = {name: rate / top[name] for name, rate in rates.items()}
    notes = [
        singular_values(weights),
        f"{len(text.ids)} sentences of {SENTENCE} tokens; parents {weights.nbytes / 2**30:.2f} GiB in bfloat16, one "
        f"model in float32 {one / 2**30:.2f} GiB",
        f"peak memory: {held / 2**30:.2f} GiB = parents held ({on_device / 2**30:.2f} GiB) + "
        f"{(held - on_device) / one:.2f} models in float32",
    ]
    if device.type == "cuda":
        total, most = seconds["merge"] + seconds["scoring"], max(held, held_by_ties)
        notes += aims(shares["bandwidth"], seconds["ties"] / seconds["merge"], total, (most - on_device) / one)
    report(
        f"One slider move: {options.models} models of the shape {options.shape} on {device}, {weights.residency}",
        ("", "seconds", "rate", "of what is possible here"),
        rows_of(seconds, rates, shares, peers),
        notes,
    )


def rows_of(
    seconds: dict[str, float], rates: dict[str, float], shares: dict[str, float], peers: dict[str, Any]
) -> list[tuple[str, ...]]:
    return [
        ("merge", f"{seconds['merge']:.3f}", f"{rates['bandwidth'] / 1e9:.1f} GB/s",
         f"{shares['bandwidth']:.0%} of a copy"),
        ("TIES, merged again", f"{seconds['ties']:.3f}", f"{seconds['ties'] / seconds['merge']:.1f} x linear", ""),
        ("scoring", f"{seconds['scoring']:.3f}", f"{rates['flops'] / 1e12:.2f} TFLOP/s",
         f"{shares['flops']:.0%} of matrix products"),
        ("slider move", f"{seconds['merge'] + seconds['scoring']:.3f}", "", ""),
        ("mergekit's merge, in memory", *compared(peers["mergekit"], seconds["merge"])),
        ("transformers, sentence by sentence", *compared(peers["transformers"], seconds["scoring"])),
    ]  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--shape", choices=SHAPES, default="hplt-2b")
    parser.add_argument("--device")
    parser.add_argument("--residency", choices=RESIDENCIES)
    parser.add_argument("--tokens", type=int, help="Scored at every move: 2,000 on a CPU, 25,600 on a GPU.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Where streamed models are written for the while.")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as temporary:
        measure(parser.parse_args(), Path(temporary))
