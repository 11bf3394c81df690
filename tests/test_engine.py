"""The engine: the newest request of a slot wins, owners take turns, nothing kills the worker, numbers are their own."""

import gc
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from interference import networks, sweep, weights
from interference.compare import Comparison
from interference.conflict.survey import Survey, equal_average, resident_steps
from interference.engine import Engine, Job, Superseded
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.generate import Question, Sampling, answer_steps
from interference.linearity import layer_steps
from interference.merge import merge
from interference.path import Walk
from interference.plane import Plane, plane_steps
from interference.recipe import Recipe
from interference.scored import Request
from interference.sentences import token_line_steps
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.ui.running import Pace, _open, result_of, session
from interference.weights import Weights

WAIT = 120  # seconds after which a test that hangs fails


@pytest.fixture
def engine():
    engine = Engine("under test")
    yield engine
    engine.close()


class Gate:
    """A job that says when it runs and runs on until it is let go, or is stopped at its check."""

    def __init__(self):
        self.running, self.open = threading.Event(), threading.Event()

    def __call__(self, job: Job) -> str:
        self.running.set()
        while not self.open.wait(0.005):
            job.check()
        return "through"


@pytest.fixture
def gate(engine):
    """A job that holds the worker, so that what is submitted meanwhile waits."""
    gate = Gate()
    job = engine.submit("holder", "gate", gate)
    assert gate.running.wait(WAIT)
    yield gate
    gate.open.set()
    assert job.future.exception(WAIT) is None or job.stopped


def noting(record: list, name: str) -> Callable[[Job], str]:
    def function(job: Job) -> str:
        record.append(name)
        return name

    return function


def test_result_comes_back_and_progress_ends_at_one(engine):
    job = engine.submit("a", "s", lambda job: 6 * 7)
    assert job.future.result(WAIT) == 42
    assert job.progress == 1.0
    assert engine.run("a", "s", lambda job: "waited for") == "waited for"


def test_all_jobs_run_on_the_one_worker_thread(engine):
    """Whoever asks, from whatever thread."""
    found = []

    def ask(owner: str) -> None:
        found.append(engine.run(owner, "s", lambda job: threading.current_thread()))

    threads = [threading.Thread(target=ask, args=(owner,)) for owner in "abcd"]
    for t in threads:
        t.start()
    for t in threads:
        t.join(WAIT)
    assert len(found) == 4
    assert {t.name for t in found} == {"under test"}


def test_newest_of_a_slot_wins_and_older_ones_never_run(engine, gate):
    """Of ten positions of a slider that came in while the worker was busy only the last is computed."""
    ran: list = []
    jobs = [engine.submit("a", "slider", noting(ran, str(n))) for n in range(10)]
    assert engine.depth() == 1
    gate.open.set()
    assert jobs[-1].future.result(WAIT) == "9"
    assert ran == ["9"]
    assert all(isinstance(job.future.exception(WAIT), Superseded) for job in jobs[:-1])


def test_other_slots_and_other_owners_are_not_superseded(engine, gate):
    ran: list = []
    names = [("a", "one"), ("a", "two"), ("b", "one")]
    jobs = [engine.submit(owner, slot, noting(ran, owner + slot)) for owner, slot in names]
    gate.open.set()
    assert [job.future.result(WAIT) for job in jobs] == ["aone", "atwo", "bone"]


def test_running_job_is_stopped_at_its_check_by_a_newer_one(engine, gate):
    newer = engine.submit("holder", "gate", lambda job: "newer")
    assert newer.future.result(WAIT) == "newer"
    assert not gate.open.is_set()


def test_running_job_is_not_stopped_by_another_slot(engine):
    gate = Gate()
    job = engine.submit("a", "one", gate)
    assert gate.running.wait(WAIT)
    engine.submit("a", "two", lambda job: None)
    engine.submit("b", "one", lambda job: None)
    assert not job.stopped
    gate.open.set()
    assert job.future.result(WAIT) == "through"


def test_result_that_came_after_a_newer_request_is_not_given_out(engine):
    """A job that never checks is let run to its end, and its result is still Superseded."""
    running, open_ = threading.Event(), threading.Event()

    def deaf(job: Job) -> str:
        running.set()
        assert open_.wait(WAIT)
        return "stale"

    old = engine.submit("a", "s", deaf)
    assert running.wait(WAIT)
    new = engine.submit("a", "s", lambda job: "new")
    open_.set()
    assert isinstance(old.future.exception(WAIT), Superseded)
    assert new.future.result(WAIT) == "new"


def test_owners_take_turns(engine, gate):
    """Five requests of one session and one each of two others: the others are not behind all five."""
    ran: list = []
    jobs = [engine.submit("a", f"s{n}", noting(ran, "a")) for n in range(5)]
    jobs += [engine.submit(owner, "s", noting(ran, owner)) for owner in "bc"]
    gate.open.set()
    [job.future.result(WAIT) for job in jobs]
    assert ran == ["a", "b", "c", "a", "a", "a", "a"]


# Jobs in steps


class Stepper:
    """A generator of so many steps that notes each, and may wait at one until it is let go."""

    def __init__(self, record: list, name: str, steps: int, gate: tuple[int, Gate] | None = None):
        self.record, self.name, self.steps, self.gate = record, name, steps, gate

    def __call__(self, job: Job) -> Generator[float, None, str]:
        for number in range(self.steps):
            if self.gate and self.gate[0] == number:
                self.gate[1].running.set()
                assert self.gate[1].open.wait(WAIT)
            self.record.append(self.name)
            yield number / self.steps
        return self.name


def test_a_generator_runs_to_its_result(engine):
    record: list = []
    job = engine.submit("a", "s", Stepper(record, "x", 5))
    assert job.future.result(WAIT) == "x"
    assert (record, job.progress) == (["x"] * 5, 1.0)


def test_an_urgent_job_waits_for_one_step_at_most(engine):
    record: list = []
    gate = Gate()
    long = engine.submit("a", "full", Stepper(record, "long", 100, (3, gate)))
    assert gate.running.wait(WAIT)
    waiting = engine.submit("b", "full", noting(record, "waiting"))
    urgent = engine.submit("b", "preview", noting(record, "urgent"), urgent=True)
    gate.open.set()
    assert urgent.future.result(WAIT) == "urgent"
    assert (long.future.result(WAIT), waiting.future.result(WAIT)) == ("long", "waiting")
    assert record.index("urgent") == 4
    assert record.count("long") == 100


def test_an_urgent_job_does_not_stop_the_one_it_interrupts(engine):
    """Not even of the same owner: another slot is another request."""
    record: list = []
    gate = Gate()
    long = engine.submit("a", "full", Stepper(record, "long", 10, (2, gate)))
    assert gate.running.wait(WAIT)
    engine.submit("a", "preview", noting(record, "urgent"), urgent=True)
    gate.open.set()
    assert long.future.result(WAIT) == "long"
    assert record == ["long"] * 3 + ["urgent"] + ["long"] * 7


def test_long_jobs_of_two_owners_take_turns(engine, monkeypatch):
    monkeypatch.setattr("interference.engine._TURN", 0.0)
    monkeypatch.setattr("interference.engine._SHORT", 0.0)
    record: list = []
    gate = Gate()
    first = engine.submit("a", "full", Stepper(record, "a", 6, (1, gate)))
    assert gate.running.wait(WAIT)
    second = engine.submit("b", "full", Stepper(record, "b", 6))
    own = engine.submit("a", "later", noting(record, "own"))
    gate.open.set()
    assert [job.future.result(WAIT) for job in (first, second, own)] == ["a", "b", "own"]
    assert record == ["a", "a", *"babababab", "b", "own"] or record == ["a", "a", *"babababab", "own", "b"]


@pytest.mark.parametrize(("patience", "order"), [(1000.0, "short, long"), (0.0, "long, short")])
def test_short_jobs_go_before_long_ones_for_a_while(engine, monkeypatch, patience, order):
    """Two owners' long jobs and a third's short one: while the second runs, first and third wait."""
    monkeypatch.setattr("interference.engine._TURN", 0.0)
    monkeypatch.setattr("interference.engine._SHORT", 0.0)
    monkeypatch.setattr("interference.engine._PATIENCE", patience)
    record: list = []
    gates = Gate(), Gate()
    first = engine.submit("a", "full", Stepper(record, "long", 3, (0, gates[0])))
    assert gates[0].running.wait(WAIT)
    second = engine.submit("b", "full", Stepper(record, "other", 2, (0, gates[1])))
    gates[0].open.set()
    assert gates[1].running.wait(WAIT)
    third = engine.submit("c", "full", noting(record, "short"))
    gates[1].open.set()
    assert [job.future.result(WAIT) for job in (first, second, third)] == ["long", "other", "short"]
    assert ", ".join(record[2:4]) == order


def test_a_long_job_keeps_its_turn_beside_jobs_of_its_own_session(engine, monkeypatch):
    monkeypatch.setattr("interference.engine._TURN", 0.0)
    monkeypatch.setattr("interference.engine._SHORT", 0.0)
    record: list = []
    gate = Gate()
    engine.submit("a", "full", Stepper(record, "a", 4, (0, gate)))
    assert gate.running.wait(WAIT)
    own = engine.submit("a", "later", noting(record, "own"))
    gate.open.set()
    assert own.future.result(WAIT) == "own"
    assert record == ["a"] * 4 + ["own"]


def test_an_interrupted_job_can_be_superseded_and_is_closed_on_the_worker(engine):
    closed_on, gate, interrupting = [], Gate(), Gate()

    def stepping(job: Job) -> Iterator[float]:
        try:
            gate.running.set()
            assert gate.open.wait(WAIT)
            yield 0.5
            yield 0.6
        finally:
            closed_on.append(threading.current_thread().name)

    old = engine.submit("a", "full", stepping)
    assert gate.running.wait(WAIT)
    engine.submit("b", "preview", interrupting, urgent=True)
    gate.open.set()
    assert interrupting.running.wait(WAIT)
    new = engine.submit("a", "full", lambda job: "new")  # while the old one waits, begun and interrupted
    assert isinstance(old.future.exception(WAIT), Superseded)
    interrupting.open.set()
    assert new.future.result(WAIT) == "new"
    assert closed_on == ["under test"]


def test_a_generator_that_fails_half_way_tells_its_asker_and_the_worker_lives_on(engine):
    def failing(job: Job) -> Iterator[float]:
        yield 0.5
        raise torch.OutOfMemoryError("no room")

    assert isinstance(engine.submit("a", "s", failing).future.exception(WAIT), torch.OutOfMemoryError)
    assert engine.run("b", "s", lambda job: "alive") == "alive"


@pytest.mark.parametrize("waiting", [False, True])
def test_a_job_that_fails_while_it_is_given_up_does_not_kill_the_worker(engine, waiting):
    started = threading.Event()

    def steps(job):
        try:
            while True:
                started.set()
                yield 0.5
        finally:
            raise OSError("no room to tidy up")

    job = engine.submit("a", "s", steps)
    assert started.wait(WAIT)
    if waiting:
        engine.run("b", "s", lambda other: engine.cancel("a"), urgent=True)  # the first is in the middle and waits
    else:
        engine.cancel("a")
    with pytest.raises(Superseded):
        job.future.result(WAIT)
    assert engine.run("b", "s", lambda other: "lives on") == "lives on"


def test_closing_drops_interrupted_jobs_too():
    engine, gate = Engine("closing"), Gate()
    record: list = []
    begun = engine.submit("a", "full", Stepper(record, "a", 5, (1, gate)))
    assert gate.running.wait(WAIT)
    holding = Gate()
    engine.submit("b", "preview", holding, urgent=True)
    gate.open.set()
    assert holding.running.wait(WAIT)
    engine.close()
    assert isinstance(begun.future.exception(WAIT), Superseded)
    assert "closing" not in {t.name for t in threading.enumerate()}


@pytest.mark.parametrize(
    "error", [ValueError("no"), UserError("no"), MemoryError("no"), KeyboardInterrupt("no"), SystemExit(1)]
)
def test_error_reaches_its_asker_and_the_worker_lives_on(engine, error):
    def fail(job: Job) -> None:
        raise error

    assert engine.submit("a", "s", fail).future.exception(WAIT) is error
    assert engine.run("b", "s", lambda job: "alive") == "alive"


@pytest.mark.parametrize("end", ["through", "failed", "dropped while it waits", "dropped when interrupted"])
def test_a_job_that_has_ended_holds_nothing_of_what_it_worked_with(end, engine):
    """Whoever has asked may keep it, as a session does that shows its result."""

    class Held:
        def steps(self, job: Job) -> Generator[float, None, None]:
            yield 0.5
            running.set()
            if end == "failed":
                raise RuntimeError
            while end == "dropped when interrupted":
                yield 0.5

    held, running, gate = Held(), threading.Event(), Gate()
    ref = weakref.ref(held)
    if end == "dropped while it waits":
        engine.submit("holder", "gate", gate)
        assert gate.running.wait(WAIT)
    job = engine.submit("a", "s", held.steps)
    del held
    if end == "dropped when interrupted":
        assert running.wait(WAIT)
        engine.submit("holder", "gate", gate, urgent=True)
        assert gate.running.wait(WAIT)
    if "dropped" in end:
        engine.cancel("a")
        gate.open.set()
    with suppress(RuntimeError, CancelledError):
        job.future.result(WAIT)
    engine.run("b", "s", lambda job: None)  # by then the worker has done with the other
    traceback.clear_frames(getattr(job.future.exception(), "__traceback__", None))
    gc.collect()
    assert ref() is None


def test_an_evaluator_that_nobody_uses_is_freed_though_the_collector_overlooks_it(suite_folder, tmp_path):
    """Pages have it overlook all that is there once the imports are through, the first open suites among it."""
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path), torch.device("cpu"))
    recipe = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    request = Request((("merge", recipe),), ("eng", "deu"), 5)
    finish(evaluator.glimpse_steps(request))
    finish(evaluator.table_steps(request))
    refs: list[weakref.ref] = [weakref.ref(evaluator), weakref.ref(evaluator.networks.weights(recipe.models))]
    gc.disable()
    try:
        del evaluator
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()


def test_future_cancelled_by_its_asker_does_not_kill_the_worker(engine, gate):
    """Both of a waiting and of a running job: a cancelled future takes no result."""
    waiting = engine.submit("a", "s", lambda job: "never asked for")
    waiting.future.cancel()
    gate.open.set()
    assert engine.submit("b", "s", lambda job: "alive").future.result(WAIT) == "alive"
    second = Gate()
    running = engine.submit("a", "s", second)
    assert second.running.wait(WAIT)
    running.future.cancel()
    second.open.set()
    assert engine.submit("b", "s", lambda job: "alive").future.result(WAIT) == "alive"


def test_cancelled_waiting_future_may_be_superseded(engine, gate):
    """A newer request of the slot finds an older one that its asker has already cancelled."""
    engine.submit("a", "s", lambda job: "old").future.cancel()
    new = engine.submit("a", "s", lambda job: "new")
    gate.open.set()
    assert new.future.result(WAIT) == "new"


def test_superseded_is_a_cancellation():
    """So that whoever waits may treat both alike."""
    assert issubclass(Superseded, CancelledError)


def test_cancel_drops_an_owners_waiting_and_running_jobs(engine, gate):
    waiting = [engine.submit("holder", f"s{n}", lambda job: None) for n in range(3)]
    other = engine.submit("b", "s", lambda job: "other")
    engine.cancel("holder")
    assert all(isinstance(job.future.exception(WAIT), Superseded) for job in waiting)
    assert other.future.result(WAIT) == "other"
    assert not gate.open.is_set()


def test_cancel_of_one_slot_leaves_the_others(engine, gate):
    ran: list = []
    jobs = [engine.submit("a", slot, noting(ran, slot)) for slot in ("one", "two")]
    engine.cancel("a", "one")
    engine.cancel("a", "never submitted")
    engine.cancel("nobody")
    gate.open.set()
    assert jobs[1].future.result(WAIT) == "two"
    assert ran == ["two"]
    assert isinstance(jobs[0].future.exception(WAIT), Superseded)


def test_a_dropped_request_leaves_a_newer_one_of_its_slot(engine, gate):
    """Waiting or running: what is dropped late is dropped alone."""
    holder = engine._running
    old, new = [engine.submit("a", "s", lambda job: "asked for") for _ in range(2)]
    newer = engine.submit("holder", "gate", lambda job: "newer")
    engine.drop(old)
    engine.drop(holder)
    assert newer.future.result(WAIT) == "newer"
    assert new.future.result(WAIT) == "asked for"
    running = Gate()
    job = engine.submit("a", "s", running)
    assert running.running.wait(WAIT)
    waiting = engine.submit("a", "other", lambda job: "never asked for")
    for each in (waiting, job):
        engine.drop(each)
        assert isinstance(each.future.exception(WAIT), Superseded)


def test_depth_counts_what_waits(engine, gate):
    assert engine.depth() == 0
    engine.submit("a", "one", lambda job: None)
    last = engine.submit("b", "one", lambda job: None)
    assert engine.depth() == 2
    gate.open.set()
    last.future.result(WAIT)
    assert engine.depth() == 0


def test_close_stops_the_running_job_drops_the_others_and_ends_the_thread():
    engine, gate = Engine("closing"), Gate()
    running = engine.submit("a", "s", gate)
    assert gate.running.wait(WAIT)
    waiting = engine.submit("b", "s", lambda job: None)
    engine.close()
    for job in (running, waiting):
        assert isinstance(job.future.exception(WAIT), Superseded)
    assert "closing" not in {t.name for t in threading.enumerate()}
    with pytest.raises(RuntimeError, match="closed"):
        engine.submit("a", "s", lambda job: None)
    engine.close()


def test_idle_engine_closes_at_once():
    engine = Engine("idle")
    engine.close()
    assert "idle" not in {t.name for t in threading.enumerate()}


def test_many_threads_each_get_their_own_results(engine):
    """Four owners with three slots each, all at once, each sees exactly what it asked for."""
    wrong: list = []

    def ask(owner: int) -> None:
        for n in range(50):
            wanted = (owner, n)
            if engine.run(str(owner), str(n % 3), lambda job, wanted=wanted: wanted) != wanted:
                wrong.append(wanted)

    threads = [threading.Thread(target=ask, args=(owner,)) for owner in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(WAIT)
    assert not wrong
    assert not any(t.is_alive() for t in threads)


# With real models

RECIPES = {
    "equal": Recipe("linear", ("mono-eng", "mono-deu"), (1.0, 1.0)),
    "favour": Recipe("linear", ("mono-eng", "mono-deu"), (0.9, 0.1)),
    "branches": Recipe("task_arithmetic", ("branch-eng", "branch-deu"), (1.0, 1.0), base="mixed"),
    "rescaled": Recipe("linear", ("mono-eng", "mono-deu", "init"), (1.0, 2.0, 3.0), post=("rescale",)),
}


def asked(name: str) -> Request:
    return Request(((name, RECIPES[name]),), ("eng", "deu"), 5)


def test_threads_with_different_recipes_get_the_librarys_own_numbers(engine, suite_folder, tmp_path):
    """Four sessions share the engine, its weights and its one output buffer; each table is the one computed alone."""
    suite, found = open_suite(suite_folder), {}
    shared = Evaluator(suite, Store(tmp_path / "shared"), torch.device("cpu"))

    def session(name: str) -> None:
        found[name] = engine.run(name, "merge", lambda job: shared.table(asked(name))).frame

    threads = [threading.Thread(target=session, args=(name,)) for name in RECIPES]
    for t in threads:
        t.start()
    for t in threads:
        t.join(WAIT)
    assert set(found) == set(RECIPES)
    for name in RECIPES:
        alone = Evaluator(suite, Store(tmp_path / name), torch.device("cpu"))
        pd.testing.assert_frame_equal(found[name], alone.table(asked(name)).frame)
    assert len({round(frame["bits"].sum(), 3) for frame in found.values()}) == len(RECIPES)


def test_bits_of_a_merge_are_those_of_transformers_on_the_merged_weights(suite_folder, tmp_path):
    """The second derivation, with the library's merge in a fresh model and one plain call by sentence."""
    suite = open_suite(suite_folder)
    recipe, rows = RECIPES["favour"], suite.corpus.rows(3)
    weights = Weights([suite[name] for name in recipe.models], torch.device("cpu"))
    model = suite_model(suite)
    model.load_state_dict(merge(recipe, weights), strict=False)
    model.tie_weights()  # type: ignore[operator]
    expected = []
    for text in suite.corpus.text("deu", rows):
        ids = torch.tensor([[0, *suite["init"].tokenizer(text, add_special_tokens=False)["input_ids"]]])
        with torch.no_grad():
            mean = model(input_ids=ids, labels=ids).loss
        expected.append(float(mean) * (ids.shape[1] - 1) / np.log(2))
    found = Evaluator(suite, Store(tmp_path), torch.device("cpu")).bits(recipe, "deu", rows)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def suite_model(suite) -> torch.nn.Module:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(suite["init"].path, dtype=torch.float32).eval()


def test_superseded_merge_leaves_no_wrong_numbers_behind(engine, suite_folder, tmp_path):
    """A merge stopped half-way keeps only whole results; asked again it gives the same table as if never stopped."""
    suite = open_suite(suite_folder)
    shared = Evaluator(suite, Store(tmp_path / "shared"), torch.device("cpu"))

    def stopped(job: Job) -> Iterator[float]:
        for number, share in enumerate(shared.table_steps(asked("equal"))):
            if number == 4:
                engine.submit("a", "merge", lambda job: None)
            yield share

    assert isinstance(engine.submit("a", "merge", stopped).future.exception(WAIT), Superseded)
    again = engine.run("a", "again", lambda job: shared.table_steps(asked("equal")))
    alone = Evaluator(suite, Store(tmp_path / "alone"), torch.device("cpu")).table(asked("equal"))
    pd.testing.assert_frame_equal(again.frame, alone.frame)


@pytest.mark.parametrize("interrupting", ["table_steps", "glimpse_steps"])
def test_merges_that_take_turns_on_one_network_keep_their_numbers(suite_folder, tmp_path, interrupting):
    """After every single batch of one merge, another merge takes the network; both come out as if alone."""
    suite = open_suite(suite_folder)
    shared = Evaluator(suite, Store(tmp_path / "shared"), torch.device("cpu"))
    steps, share, others = shared.table_steps(asked("equal")), 0.0, []
    for number in count():
        try:
            share = next(steps)
        except StopIteration as end:
            result = end.value
            break
        assert 0 <= share <= 1
        other = Recipe("linear", ("mono-eng", "mono-deu"), (1.0, number + 2.0))
        others.append((other, finish(getattr(shared, interrupting)(Request((("merge", other),), ("eng",), 3)))))
    alone = Evaluator(suite, Store(tmp_path / "alone"), torch.device("cpu"))
    pd.testing.assert_frame_equal(result.frame, alone.table(asked("equal")).frame)
    for other, found in others:
        expected = alone.table(Request((("merge", other),), ("eng",), 3)).frame
        if interrupting == "table_steps":
            pd.testing.assert_frame_equal(found.frame, expected)
        else:  # the estimate of three sentences is made of all three
            np.testing.assert_allclose(found.frame["bits"], expected["bits"], rtol=1e-6)


FINETUNED = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5), post=("finetune",))
JOBS: dict[str, Callable[[Evaluator], Any]] = {
    "losses": lambda e: e.table_steps(Request((("merge", FINETUNED),), ("eng",), 3)),
    "estimate": lambda e: e.glimpse_steps(Request((("merge", FINETUNED),), ("eng",), 3)),
    "text": lambda e: answer_steps(e, Question((("merge", FINETUNED), ("mixed", "mixed")), "The", Sampling(3))),
    "tokens": lambda e: token_line_steps(e, FINETUNED, "merge", "mono-eng", "eng", 0),
    "layers": lambda e: layer_steps(e, Walk("mono-eng", "mono-deu", 3), ("eng",), 2),
    "plane": lambda e: plane_steps(e, Plane(("mono-eng", "mono-deu", "mixed"), "eng", 3), 3),
    "conflicts": lambda e: resident_steps(e, Survey(equal_average(FINETUNED.models), chance=False)),
    "comparison": lambda e: sweep.outlook_steps(e, Comparison(("mono-eng", "mono-deu"), ("eng",))),
    "seconds of a merge": lambda e: sweep._timed(e, FINETUNED),
}


@pytest.mark.parametrize("job", JOBS)
def test_no_job_holds_others_up_while_it_reads_checkpoints_or_trains(job, suite_folder, tmp_path, monkeypatch):
    """All of that is done in the job's own steps, between which others come in, and not at once where it is needed."""
    held: list[Any] = []
    for module in (networks, weights):
        monkeypatch.setattr(module, "finish", lambda steps: held.extend(steps))
    finish(JOBS[job](Evaluator(open_suite(suite_folder), Store(tmp_path), torch.device("cpu"))))
    assert not held


def test_a_job_of_few_sentences_leaves_what_another_kept_meanwhile(suite_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("interference.losses._BATCH_TOKENS", {"cpu": 64})
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path / "own"), torch.device("cpu"))
    every = evaluator.corpus.rows(None)
    few = evaluator.bits_steps("mixed", "eng", evaluator.corpus.rows(2))
    next(few)
    evaluator.bits("mixed", "eng", every)
    finish(few)
    assert evaluator.unknown("mixed", "eng", every) == 0


def test_what_another_process_has_kept_of_a_text_stays(suite_folder, tmp_path):
    """Each has a store of its own in the one folder, and what it has written in memory."""
    opened = open_suite(suite_folder)
    one, other = (Evaluator(opened, Store(tmp_path / "own"), torch.device("cpu")) for _ in range(2))
    every = one.corpus.rows(None)
    for evaluator, row in ((one, 0), (other, 1), (one, 2)):
        evaluator.bits("mixed", "eng", every[row : row + 1])
    later = Evaluator(opened, Store(tmp_path / "own"), torch.device("cpu"))
    assert later.unknown("mixed", "eng", every[:3]) == 0


def test_engine_needs_no_page_and_no_torch():
    code = "import sys, interference.engine; print([m for m in ('streamlit', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


class Place:
    """Where a page shows how far a job is."""

    def __init__(self):
        self.shown, self.told = [], threading.Event()

    def progress(self, share, text):
        self.shown.append((share, text))
        self.told.set()

    def empty(self):
        self.shown.append("")


@pytest.mark.parametrize("imported", [False, True])
def test_a_page_says_how_far_a_job_is_that_takes_longer_than_its_patience(engine, imported, monkeypatch):
    monkeypatch.setattr("interference.ui.running._importing", lambda: not imported)
    places: list[Any] = [Place(), Place()]
    quick, slow = places

    def steps(job):
        yield 0.25
        assert slow.told.wait(WAIT)
        return 2

    assert result_of(engine, engine.submit("a", "s", lambda job: 1), lambda: "Scoring", WAIT, quick) == 1
    assert quick.shown == [""]
    assert result_of(engine, engine.submit("a", "s", steps), lambda: "Scoring", 0.0, slow) == 2
    assert set(slow.shown[:-1]) == {(0.25, "Scoring" if imported else "Loading transformers…")}
    assert slow.shown[-1] == ""


def test_a_job_ends_where_a_newer_run_of_its_page_begins(engine, monkeypatch):
    """Streamlit ends a run of a page in the middle, wherever it draws."""
    closed = threading.Event()
    place: Any = Place()

    def steps(job):
        try:
            while True:
                yield 0.5
        finally:
            closed.set()

    def ended(share, text):
        raise RuntimeError("a newer run")

    monkeypatch.setattr(place, "progress", ended)
    with pytest.raises(RuntimeError, match="a newer run"):
        result_of(engine, engine.submit("a", "s", steps), lambda: "Scoring", 0.0, place)
    assert closed.wait(WAIT)


def test_a_run_that_ends_late_leaves_what_the_newer_run_asked_for(engine):
    """Streamlit begins the newer run at once, and ends the older one where that draws next."""
    place: Any = Place()
    running, through = threading.Event(), threading.Event()
    newer = []

    def step(job):
        running.set()
        return through.wait(WAIT)

    def ended(share, text):
        newer.append(engine.submit("a", "s", lambda job: "the newer run's"))
        raise RuntimeError("a newer run")

    place.progress = ended
    job = engine.submit("a", "s", step)
    assert running.wait(WAIT)
    with pytest.raises(RuntimeError, match="a newer run"):
        result_of(engine, job, lambda: "Scoring", 0.0, place)
    through.set()
    assert newer[0].future.result(WAIT) == "the newer run's"


def test_a_run_that_was_ended_asks_for_nothing_more(monkeypatch):
    """It ends before it names its session to the engine, not when it has cancelled what the newer run asked for."""

    class Ended:
        def __contains__(self, key):
            raise RuntimeError("a newer run")

    monkeypatch.setattr("streamlit.session_state", Ended())
    with pytest.raises(RuntimeError, match="a newer run"):
        session()


def test_a_corpus_that_changes_while_it_is_opened_is_opened_by_both_who_ask(engine, suite_folder, monkeypatch):
    begun, through = threading.Event(), threading.Event()

    def slow(*paths):
        begun.set()
        assert through.wait(WAIT)
        return open_suite(suite_folder)

    monkeypatch.setattr("interference.suite.open_suite", slow)
    monkeypatch.setattr("interference.ui.running.engine", lambda: engine)
    with ThreadPoolExecutor(2) as pool:
        opening = [pool.submit(_open, "", "", "cpu", (1, 1))]
        assert begun.wait(WAIT)
        opening.append(pool.submit(_open, "", "", "cpu", (2, 2)))
        while not engine.depth():
            time.sleep(0.01)
        through.set()
        assert [found.result(WAIT).suite.name for found in opening] == ["tiny", "tiny"]
    _open.clear()


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ([], ""),
        ([(0.5, 4.0)], ""),
        ([(0.5, 10.0)], ", about 10 s left"),
        ([(0.1, 60.0)], ", about 9 min left"),
        ([(0.01, 100.0)], ", about 3 h left"),
        ([(0.5, 50.0), (0.5, 68.0)], ", about 35 s left"),  # counts down while nothing moves
        ([(0.5, 50.0), (0.5, 101.0)], ""),
    ],
)
def test_the_time_left_follows_when_progress_moved(seen, said):
    pace = started(0.0)
    assert [pace.left(share, now) for share, now in [(0.0, 1.0), *seen]][-1] == said


def test_what_was_done_at_once_says_nothing_of_the_rest():
    """Half of it was in the store."""
    assert started(0.5).left(0.75, 60.0) == ", about 60 s left"


def started(share):
    pace = Pace()
    assert pace.left(share, 0.0) == ""
    return pace
