"""Tasks of lm-evaluation-harness on checkpoints and merges in memory. Needs the extra `tasks`; imported when asked."""

import copy
import hashlib
import importlib.metadata
import json
import math
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from glob import glob
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pandas as pd

from interference.checkpoint import Checkpoint
from interference.errors import UserError, nearest
from interference.evaluate import Evaluator
from interference.memory import ran_out
from interference.scored import BIGRAM, UNIGRAM, Model, model_digest, name_of
from interference.steps import Result, Steps, nth, telling
from interference.store import digest

COLUMNS = ("model", "task", "metric", "filter", "value", "standard_error", "samples", "shots", "higher_is_better")
_EXTRA = (
    "Tasks are run by lm-evaluation-harness, which is not installed here. Install the extra: "
    f"{sys.executable} -m pip install 'interference[tasks]'."
)
_ADVICE = (
    "Data of the Hub that do not lie in the cache need it: be online for the first time, and unset HF_HUB_OFFLINE. A "
    "description of your own is to be put right."
)
_ASSERTED = "lm-evaluation-harness asks that of this task with this model, its tokenizer and its context."
_DATA = ("dataset_path", "dataset_kwargs")  # of a description: where data are
_LOADERS = ("json", "csv", "parquet", "text")  # what a `dataset_path` may be called beside a folder or an id
_RESAMPLES = 1000  # for standard errors of metrics that have no formula
_AT_ONCE = 64  # requests of the harness that are answered before others may use the networks
_PATIENCE = 0.02  # seconds to wait for the harness before they may


def tasks_steps(
    evaluator: Evaluator,
    models: Mapping[str, Model],
    tasks: Sequence[str],
    limit: int | None = None,
    shots: int | None = None,
    include: Path | None = None,
) -> Steps[tuple[pd.DataFrame, tuple[str, ...]]]:
    """Every metric of every task for every model, as the harness computes it: one row each, with COLUMNS.

    Where a task can't be run on a model the others go on, and what to say of it comes beside the table.

    `limit` is how many samples of each task are taken, `shots` the examples before each (None: the task's own number),
    `include` a folder of task descriptions of one's own. Results are kept in the store, those of one's own tasks until
    a file in their folder or of their data changes. Raises UserError for an unknown task, a missing extra, or where
    nothing can be run.
    """
    if limit is not None and limit < 1:
        raise UserError(f"{limit} samples of each task were asked for; give 1 or more.")
    if counted := [model for model in models.values() if model in (UNIGRAM, BIGRAM)]:
        raise UserError(f"{counted[0]} counts tokens, and tasks are run on networks. Take it out.")
    manager = yield from _aside(lambda: _manager(tasks, include))
    files = [hashlib.sha256(file.read_bytes()).hexdigest() for file in _files(include, manager)] if include else []
    rows, total = [], len(models) * len(tasks)
    failed: dict[str, list[str]] = {}
    for number, (name, task) in enumerate((name, task) for name in models for task in tasks):
        steps = _kept(evaluator, models[name], task, limit, shots, files, manager)
        try:
            found = yield from nth(number, total, steps)
        except UserError as error:
            failed.setdefault(str(error), []).append(name_of(models[name]))
        else:
            rows += [(name, *row) for row in found]
    said = [why if len(names) == len(models) else f"{', '.join(names)}: {why}" for why, names in failed.items()]
    if said and not rows:
        raise UserError("\n".join(said))
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"samples": "Int64"})  # a group has none of its own
    return frame, tuple(said)


def _manager(tasks: Sequence[str], include: Path | None) -> Any:
    """The harness's own list of tasks, which takes it many seconds, or where it suffices that of a folder."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise UserError(_EXTRA) from None
    own = str(include) if include else None
    manager = TaskManager(include_path=own, include_defaults=False) if own else None
    if manager is None or not set(tasks) <= set(manager.all_tasks):
        manager = TaskManager(include_path=own)
    for task in tasks:
        check_task(task, manager.all_tasks, include)
    return manager


def check_task(task: str, known: Sequence[str], include: Path | None = None) -> None:
    """Raise UserError with the nearest name unless a task is known; of thousands that are not near none is listed."""
    if task not in known:
        close = nearest(task, known)
        hint = close if close.startswith("did you mean") else "`lm-eval ls tasks` lists them."
        own = f", and nothing in {include} that reads as YAML describes it" if include else ""
        raise UserError(f"lm-evaluation-harness has no task '{task}'{own}: {hint}")


def _files(include: Path, manager: Any) -> list[Path]:
    """The files in a folder of task descriptions, and those here that these name as their data."""
    entries = [one for one in manager.task_index.values() if one.yaml_path and include in one.yaml_path.parents]
    named = {text for one in entries for text in _texts([(one.cfg or {}).get(key) for key in _DATA])} - set(_LOADERS)
    patterns = [pattern for text in named if text for pattern in (text, f"{text}/**")]
    data = [Path(found) for one in patterns for found in glob(one, recursive=True)]  # noqa: PTH207 - absolute ones too
    return sorted(file for file in {*include.rglob("*"), *data} if file.is_file())


def _texts(value: Any) -> Iterator[str]:
    """Every text in lists and mappings, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | Sequence):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _kept(
    evaluator: Evaluator,
    model: Model,
    task: str,
    limit: int | None,
    shots: int | None,
    own: Sequence[str],
    manager: Any,
) -> Steps[list[tuple]]:
    """The rows of one model and task, from the store where they are known for these `own` files."""
    version = importlib.metadata.version("lm_eval")
    key = digest(
        "harness", version, task, limit, shots, own, model_digest(evaluator.suite, model), evaluator.place(model)
    )
    found = evaluator.store.read_document(key)
    if found is None:
        with evaluator.room(f"running the task {task}"):
            found = yield from _run(evaluator, model, task, limit, shots, manager)
        evaluator.store.write_document(key, found)
    return [tuple(row) for row in json.loads(found)]


class _Desk:
    """What the harness's thread asks of a language model, and the steps of a job answer, between those of others."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[str, list, Future]] = SimpleQueue()
        self._closed = threading.Event()

    def ask(self, kind: str, requests: list) -> Any:
        """The answers, once they are there; raises CancelledError where none come any more."""
        reply: Future = Future()
        self._asked.put((kind, requests, reply))
        while not wait([reply], timeout=1).done:
            if self._closed.is_set():
                raise CancelledError
        return reply.result()

    def answer_steps(self, answer: Callable[[str, list], list]) -> Steps[None]:
        """Answer what has been asked by now, some at a time."""
        while not self._asked.empty():
            kind, requests, reply = self._asked.get()
            found: list = []
            for start in range(0, len(requests), _AT_ONCE):
                found += answer(kind, requests[start : start + _AT_ONCE])
                yield len(found) / len(requests)
            reply.set_result(found)

    def close(self) -> None:
        self._closed.set()


def _run(
    evaluator: Evaluator, model: Model, task: str, limit: int | None, shots: int | None, manager: Any
) -> Steps[str]:
    """The harness runs in a thread of its own, and what it asks of the model is answered here."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    # The same draws without processes of their own, which are forked beside threads that hold locks, or run the app.
    os.environ["DISABLE_MULTIPROC"] = "1"
    desk = _Desk()

    class Relay(HFLM):
        def loglikelihood(self, requests: list, disable_tqdm: bool = False) -> Any:
            return desk.ask("loglikelihood", requests)

        def loglikelihood_rolling(self, requests: list, disable_tqdm: bool = False) -> Any:
            return desk.ask("loglikelihood_rolling", requests)

        def generate_until(self, requests: list, disable_tqdm: bool = False) -> Any:
            return desk.ask("generate_until", requests)

    yield from telling(0.0, evaluator.networks.ready_steps(model))
    first = evaluator.scored_by(model)
    language_model = Relay(
        pretrained=evaluator.networks.put(model),  # type: ignore[arg-type]
        tokenizer=copy.deepcopy(first.tokenizer),  # it is given a padding token where it has none
        device=str(evaluator.device),
        batch_size=16 if evaluator.device.type == "cuda" else 4,
        max_length=first.positions,
    )

    def answer(kind: str, requests: list) -> list:
        _check_ends(first, kind, task, name_of(model))
        evaluator.networks.put(model)  # another's weights may be there by now
        return getattr(HFLM, kind)(language_model, requests, disable_tqdm=True)

    def work() -> Any:
        return simple_evaluate(
            language_model, tasks=[task], limit=limit, num_fewshot=shots, task_manager=manager, log_samples=False,
            bootstrap_iters=_RESAMPLES,
        )  # fmt: skip

    try:
        found = yield from _aside(work, lambda: desk.answer_steps(answer))
    except UserError:
        raise
    except Exception as error:  # of the Hub, of data sets and of tasks, each with exceptions of its own
        if ran_out(error):
            raise
        why = " ".join(str(error).split())[:300].rstrip(".") or _line(error)
        what = "Install that." if isinstance(error, ImportError) else _ADVICE
        what = _ASSERTED if isinstance(error, AssertionError) else what
        raise UserError(f"The task {task} can't be run: {why}. {what}") from None
    finally:
        desk.close()
    return json.dumps([row for name in found["results"] for row in _rows(name, found)])


def _check_ends(checkpoint: Checkpoint, kind: str, task: str, model: str) -> None:
    """Raise UserError where a tokenizer lacks the token that the harness begins or ends a text with."""
    tokenizer = checkpoint.tokenizer
    if tokenizer.bos_token_id is None and tokenizer.eos_token_id is None:
        raise UserError(
            f"lm-evaluation-harness puts BOS or EOS before a text, and the tokenizer of {checkpoint.name} has neither. "
            "Name one in its tokenizer_config.json, or take the model out."
        )
    if kind == "generate_until" and tokenizer.eos_token_id is None:
        raise UserError(
            f"The task {task} has {model} write text until its EOS token, and the tokenizer of {checkpoint.name} has "
            "none. Name one in its tokenizer_config.json, or take tasks that score given answers."
        )


def _line(error: Exception) -> str:
    """Where an error without words comes from."""
    found = traceback.extract_tb(error.__traceback__)
    return (found[-1].line if found else "") or type(error).__name__


def _aside(work: Callable[[], Result], meanwhile: Callable[[], Steps[None]] | None = None) -> Steps[Result]:
    """What another thread makes, while others may use the networks; `meanwhile` is run again and again."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    share = 0.0
    while not wait([future], timeout=_PATIENCE).done:
        yield share
        for share in meanwhile() if meanwhile else ():
            yield share
    return future.result()


def _rows(name: str, found: Mapping[str, Any]) -> list[tuple]:
    """The metrics of one task, or one of a group's, as (task, metric, filter, value, ...)."""
    rows = []
    for key, value in found["results"][name].items():
        metric, _, how = key.partition(",")
        if not how or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        error = found["results"][name].get(f"{metric}_stderr,{how}")
        error = float(error) if isinstance(error, int | float) and math.isfinite(error) else None
        samples = found.get("n-samples", {}).get(name, {}).get("effective")
        better = found.get("higher_is_better", {}).get(name, {}).get(metric)
        rows.append((name, metric, how, float(value), error, samples, found.get("n-shot", {}).get(name), better))
    return rows
