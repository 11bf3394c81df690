"""Running out of memory anywhere: one message, what failed is gone, and the next request works."""

import json
import sys
import types
import weakref
from collections.abc import Callable

import pytest
import torch

from interference.activations import readings_steps, text_of
from interference.compare import Comparison
from interference.conflict.survey import Survey, equal_average, resident_steps
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.export import Target, write_steps
from interference.harness import tasks_steps
from interference.linearity import layer_steps
from interference.memory import ran_out, room
from interference.path import Walk
from interference.plane import Plane, plane_steps
from interference.recipe import Recipe
from interference.sentences import token_line_steps
from interference.steps import finish
from interference.sweep import compare_steps, outlook_steps

CPU = torch.device("cpu")
PAIR = ("mono-eng", "mono-deu")
TIES = Recipe("ties", PAIR, (0.5, 0.5), base="init")


@pytest.fixture(autouse=True)
def harness(monkeypatch):
    """Just enough of lm-evaluation-harness to reach a model: what is run is `simple_evaluate`."""

    def evaluate(*arguments, **settings):
        return {"results": {"own": {"acc,none": 0.5}}}

    names: dict[str, dict] = {
        "lm_eval": {"simple_evaluate": evaluate},
        "lm_eval.tasks": {"TaskManager": lambda **settings: types.SimpleNamespace(all_tasks=["own"])},
        "lm_eval.models": {},
        "lm_eval.models.huggingface": {"HFLM": types.SimpleNamespace},
    }
    for name, contents in names.items():
        module = types.ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("interference.harness.importlib.metadata.version", lambda name: "0")


def conflict(evaluator: Evaluator) -> object:
    return finish(resident_steps(evaluator, Survey(equal_average(PAIR), measures=("cosine",))))


def layers(evaluator: Evaluator) -> object:
    return finish(layer_steps(evaluator, Walk(*PAIR, points=3), ("eng",), 2))


def tasks(evaluator: Evaluator) -> object:
    return finish(tasks_steps(evaluator, {"init": "init"}, ["own"]))


def timed(evaluator: Evaluator) -> object:
    asked = Comparison(PAIR, ("eng",), methods=("linear",), search=False, sentences=2)
    table = finish(compare_steps(evaluator, asked))
    line = next(line for line in table.lines if line.name == "linear")
    if line.reason:
        raise UserError(line.reason)
    return table


def estimate(evaluator: Evaluator) -> object:
    return finish(outlook_steps(evaluator, Comparison(PAIR, ("eng",))))


def plane(evaluator: Evaluator) -> object:
    return finish(plane_steps(evaluator, Plane((*PAIR, "init"), "eng", points=3), 2))


def tokens(evaluator: Evaluator) -> object:
    return finish(token_line_steps(evaluator, "mono-eng", "m", "init", "eng", int(evaluator.corpus.rows(None)[0])))


def lens(evaluator: Evaluator) -> object:
    text = text_of(evaluator.corpus, "eng", evaluator.corpus.rows(2))
    return finish(readings_steps(evaluator, "mono-eng", text, "mean", 3))


# What is asked for, the function in which memory runs out, and what the message says was being done.
CASES: dict[str, tuple[Callable[[Evaluator], object], str, str]] = {
    "conflict": (conflict, "interference.conflict.survey.given_of", "measuring conflicts of 2 models"),
    "linearity": (layers, "interference.linearity._states", "comparing layers of mono-eng and mono-deu"),
    "tasks": (tasks, "lm_eval.simple_evaluate", "running the task own"),
    "timed merge": (timed, "interference.sweep.merge", "timing the linear merge"),
    "estimate": (estimate, "interference.sweep.sentence_bits", "scoring mono-eng"),
    "plane": (plane, "interference.plane.gram_of", "measuring distances of three models"),
    "tokens": (tokens, "interference.sentences.token_bits", "scoring mono-eng"),
    "logit lens": (lens, "interference.activations._read", "scoring mono-eng"),
}


@pytest.mark.parametrize("name", CASES)
def test_everything_is_released_and_the_next_request_works(name, tiny, monkeypatch):
    """What failed is gone while its message is still kept, and so is what methods had prepared."""
    ask, place, doing = CASES[name]
    tiny.bits(TIES, "eng", tiny.corpus.rows(2))
    weights = tiny.networks.weights(TIES.needed)
    tiny.dev._kept["kind"] = {"parameter": torch.zeros(1)}
    assert weights._prepared
    held = []

    def fail(*arguments, **named):
        tensor = torch.zeros(1000)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("no room")

    with monkeypatch.context() as planted:
        planted.setattr(place, fail)
        with pytest.raises(UserError) as message:
            ask(tiny)
    assert str(message.value) == (
        f"cpu ran out of memory while {doing}. Use fewer models, fewer sentences, checkpoints in a smaller dtype, or "
        "another device."
    )
    assert {reference() for reference in held} == {None}
    assert not weights._prepared
    assert not tiny.dev._kept
    assert ask(tiny) is not None


def test_an_export_is_stopped_alike(tiny, tmp_path, monkeypatch):
    held = []

    def fail(*arguments):
        tensor = torch.zeros(1000)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("no room")

    weights = tiny.networks.weights(TIES.needed)
    asked = (TIES, tiny.suite, Target(tmp_path / "out"), CPU, weights)
    with monkeypatch.context() as planted:
        planted.setattr("interference.export.merge_into", fail)
        with pytest.raises(UserError, match="ran out of memory while merging 3 models") as message:
            finish(write_steps(*asked))
    assert message.value
    assert {reference() for reference in held} == {None}
    assert list(tmp_path.glob("*out*")) == []
    assert json.loads((finish(write_steps(*asked)) / "config.json").read_text())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: out of memory"), True),  # of pinned memory of the host
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("unsupported operation: more than one element refers to a single memory location"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_running_out_of_memory(error, expected):
    assert ran_out(error) is expected


def test_what_the_causes_of_an_error_hold_goes_too():
    """As where a library catches the device's error and raises its own."""
    held = []

    def fail():
        tensor = torch.zeros(1000)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("no room")

    def wrap():
        try:
            fail()
        except RuntimeError as error:
            raise RuntimeError("CUDA out of memory in a library") from error

    with pytest.raises(UserError) as message, room(CPU, "testing"):
        wrap()
    assert message.value
    assert held[0]() is None
