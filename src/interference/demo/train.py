"""Training of the built-in suite: one tokenizer and 25 tiny Llamas, deterministic and resumable."""

import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from interference.demo.forms import LANGUAGES
from interference.demo.text import corpus_tables, training_text
from interference.export import writing
from interference.whole import write_whole

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
CONFIG: dict[str, Any] = {
    "vocab_size": 1024, "hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4,
    "intermediate_size": 256, "max_position_embeddings": 256, "tie_word_embeddings": True, "rope_theta": 10000.0,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "initializer_range": 0.05,
}  # fmt: skip
BATCH = 64  # sentences in a step
BUCKET = 16  # steps whose sentences are sorted by length together
STEPS, BRANCH_STEPS = 1400, 120
PEAK_RATE, BRANCH_RATE, WARMUP = 6e-3, 5e-4, 50
KEEP_EVERY = 200  # steps between the states that an interrupted run goes on from


@dataclass(frozen=True)
class Run:
    """How one checkpoint comes about: from the initial weights of `seed` or from `parent`, on text of `languages`."""

    name: str
    role: str
    languages: tuple[str, ...]
    seed: int
    language: str | None = None
    parent: str | None = None
    steps: int = STEPS
    rate: float = PEAK_RATE


def runs() -> list[Run]:
    """All checkpoints in the order of the suite; parents before their branches."""
    found = [Run("init", "init", LANGUAGES, seed=1, steps=0)]
    found += [Run(f"mono-{lang}", "mono", (lang,), seed=100 + i, language=lang) for i, lang in enumerate(LANGUAGES)]
    found += [Run("mixed", "mixed", LANGUAGES, seed=1, parent="init")]
    found += [
        Run(f"branch-{lang}", "branch", (lang,), 1, lang, "mixed", BRANCH_STEPS, BRANCH_RATE) for lang in LANGUAGES
    ]
    found += [Run("twin-eng", "other", ("eng",), seed=200, language="eng")]
    found += [Run(f"sibling-{lang}", "other", (lang,), seed=300, language=lang) for lang in ("eng", "deu")]
    return found


def train_tokenizer(sentences_per_language: int = 4000) -> PreTrainedTokenizerFast:
    """One byte-level BPE for all languages, from equally many sentences of each."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=CONFIG["vocab_size"],
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = [s for lang in LANGUAGES for s in islice(training_text(lang, f"tokenizer {lang}"), sentences_per_language)]
    tokenizer.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD)


def batches(run: Run, tokenizer: PreTrainedTokenizerFast, start: int) -> Iterator[Tensor]:
    """Padded batches `[sentence, position]` from step `start` on, each sentence between BOS and EOS.

    What a step sees depends on the run and the step's number alone, so that training can stop and go on.
    """
    pad = tokenizer.pad_token_id
    for bucket in range(start // BUCKET, math.ceil(run.steps / BUCKET)):
        count = BUCKET * BATCH // len(run.languages)
        text = [s for lang in run.languages for s in islice(training_text(lang, f"{run.name} {bucket} {lang}"), count)]
        ids = sorted(([0, *row, 1] for row in tokenizer(text, add_special_tokens=False)["input_ids"]), key=len)
        generator = torch.Generator().manual_seed(bucket)
        order = torch.randperm(BUCKET, generator=generator).tolist()
        for step, place in enumerate(order, start=bucket * BUCKET):
            if start <= step < run.steps:
                rows = ids[place * len(ids) // BUCKET : (place + 1) * len(ids) // BUCKET]
                width = max(map(len, rows))
                yield torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])


def initial_model(seed: int) -> LlamaForCausalLM:
    """The untrained network of this seed."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**CONFIG, dtype="float32"))


def learning_rate(run: Run, step: int) -> float:
    """Linear warm-up, then a cosine to a hundredth."""
    share = (step - WARMUP) / max(1, run.steps - WARMUP)
    return run.rate * ((step + 1) / WARMUP if step < WARMUP else 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def train(run: Run, out: Path, report: Callable[[int], None] = lambda step: None) -> Path:
    """Train one checkpoint into `out/<name>` and return that folder; a finished one is left as it is.

    State is kept every KEEP_EVERY steps beside it and taken up again after an interruption.
    """
    folder, state_file = out / run.name, out / f".{run.name}.state"
    if (folder / "config.json").is_file():
        return folder
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    disable_progress_bar()  # of saving: it would be drawn into the training's own, and into logs
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out / "tokenizer")
    model = (
        initial_model(run.seed)
        if run.parent in (None, "init")
        else LlamaForCausalLM.from_pretrained(out / run.parent, dtype=torch.float32)
    )
    decay = [p for p in model.parameters() if p.ndim > 1]
    gains = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": gains, "weight_decay": 0.0}], betas=(0.9, 0.98)
    )
    start = 0
    if state_file.is_file():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    for step, ids in enumerate(batches(run, tokenizer, start), start=start):
        _step(model, optimizer, ids, learning_rate(run, step), tokenizer.pad_token_id)
        report(step + 1)
        if (step + 1) % KEEP_EVERY == 0 and step + 1 < run.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, state_file.with_suffix(".part"))
            state_file.with_suffix(".part").replace(state_file)
    _save(model, tokenizer, folder)
    state_file.unlink(missing_ok=True)
    return folder


def _step(model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, ids: Tensor, rate: float, pad: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=pad)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def _save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(part)  # type: ignore[arg-type]
    tokenizer.save_pretrained(part)
    part.replace(folder)


def _train_reporting(run: Run, out: Path, steps: object) -> str:
    def report(step: int) -> None:
        if step % 20 == 0 or step == run.steps:
            steps[run.name] = step  # type: ignore[index]

    with writing("The suite", out):  # here, for not every library's error can be sent to the other process
        train(run, out, report)
    return run.name


def train_suite(out: Path, jobs: int, progress: Callable[[dict[str, int]], None]) -> None:
    """Train everything into `out`: a suite that `open_suite` opens. Finished parts are kept, so it can be called again.

    Runs `jobs` trainings at a time in processes of one thread each; `progress` gets the steps done by name, those of
    finished runs too. Raises UserError if `out` can't be written.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with writing("The suite", out):
        out.mkdir(parents=True, exist_ok=True)
        done = {run.name: run.steps for run in runs() if (out / run.name / "config.json").is_file()}
        if len(done) < len(runs()) and not (out / "tokenizer").is_dir():
            _write_tokenizer(out)
        write_suite_files(out)
    _train_all(out, jobs, done, progress)
    shutil.rmtree(out / "tokenizer", ignore_errors=True)


def _write_tokenizer(out: Path) -> None:
    """`out/tokenizer`, complete or not at all."""
    part = out / ".tokenizer.part"
    shutil.rmtree(part, ignore_errors=True)
    train_tokenizer().save_pretrained(part)
    part.replace(out / "tokenizer")


def _train_all(out: Path, jobs: int, done: dict[str, int], progress: Callable[[dict[str, int]], None]) -> None:
    """Train what is not in `done`, each run once its parent is there; a failure starts no further one."""
    context = get_context("spawn")
    with context.Manager() as manager, _ended_early(ProcessPoolExecutor(jobs, mp_context=context)) as pool:
        steps = manager.dict(done)
        waiting, running = [run for run in runs() if run.name not in done], dict[Future, Run]()
        while waiting or running:
            ready = [r for r in waiting if not r.parent or (out / r.parent / "config.json").is_file()]
            for run in ready:
                with _deaf():
                    running[pool.submit(_train_reporting, run, out, steps)] = run
                waiting.remove(run)
            try:
                for future in as_completed(running, timeout=1):
                    if future.exception():
                        pool.shutdown(wait=False, cancel_futures=True)
                    future.result()
                    running.pop(future)
                    break
            except TimeoutError:
                pass
            progress(dict(steps))
        progress(dict(steps))


@contextmanager
def _ended_early(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """A pool that is not waited for where its user is stopped: trainings go on from what they kept last."""
    others = active_children()
    with pool:
        try:
            yield pool
        except (KeyboardInterrupt, SystemExit):
            for process in set(active_children()) - set(others):
                process.terminate()
            raise


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that start here do not hear Ctrl-C, which a terminal sends to all: whoever started them ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def write_suite_files(out: Path) -> None:
    """suite.yaml, the held-out corpus and its entropy."""
    texts, bits = corpus_tables()
    for name, table in (("corpus.tsv", texts), ("entropy.tsv", bits)):
        write_whole(out / name, "".join("\t".join(row) + "\n" for row in table))
    entries = []
    for run in runs():
        entry = {
            "name": run.name,
            "role": run.role,
            "language": run.language,
            "parent": run.parent,
            "path": f"./{run.name}",
            "step": run.steps,
        }
        entries.append({k: v for k, v in entry.items() if v is not None})
    document = {"name": "built-in", "corpus": "corpus.tsv", "entropy": "entropy.tsv", "checkpoints": entries}
    write_whole(out / "suite.yaml", yaml.safe_dump(document, sort_keys=False))
    (out / "training.json").write_text(
        json.dumps({"config": CONFIG, "batch": BATCH, "steps": STEPS, "branch_steps": BRANCH_STEPS}, indent=1) + "\n"
    )
