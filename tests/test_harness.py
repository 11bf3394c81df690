"""Tasks of lm-evaluation-harness on models in memory: its accuracy is this project's own; what is said without it."""

import json
import multiprocessing
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import yaml

from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.harness import COLUMNS, check_task, tasks_steps
from interference.minimal_pairs import read_pairs
from interference.recipe import Recipe
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.sweep import accuracy_steps
from interference.views_accuracy import task_sentence


def test_a_missing_extra_is_said(tiny, monkeypatch, refused, suite_folder):
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(UserError, match=r"pip install 'interference\[tasks\]'"):
        run_tasks(tiny, {"init": "init"}, ["belebele_deu_Latn"])
    for wrong, said in (
        ([], "Give --recipe or --checkpoint"),
        (["--checkpoint", "init", "--include", "none"], "no folder"),
    ):
        assert said in refused("tasks", "belebele_deu_Latn", "--suite", suite_folder, *wrong)


def run_tasks(*arguments, **named):
    frame, failed = finish(tasks_steps(*arguments, **named))
    assert failed == ()
    return frame


def test_documents_are_kept_beside_arrays(tmp_path):
    store = Store(tmp_path / "own")
    assert store.read_document("key") is None
    store.write_document("key", '["ä"]')
    assert Store(tmp_path / "own").read_document("key") == '["ä"]'


def test_results_kept_before_scoring_was_right_are_not_taken(tiny, monkeypatch):
    runs = []

    def run(*arguments):
        runs.append(arguments)
        yield 0.0
        return "[]"

    monkeypatch.setattr("interference.harness._run", run)
    monkeypatch.setattr("interference.harness._manager", lambda tasks, include: None)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1")
    for _ in range(2):
        run_tasks(tiny, {"init": "init"}, ["own"])
    assert len(runs) == 1
    monkeypatch.setattr("interference.evaluate._SINCE", "later")
    run_tasks(tiny, {"init": "init"}, ["own"])
    assert len(runs) == 2


def test_what_fails_on_one_model_or_task_ends_nothing_else(tiny, suite_folder, monkeypatch, cli):
    """The others' numbers are shown and kept, what failed is named, and is all that is run again."""
    runs = []

    def run(evaluator, model, task, *rest):
        runs.append((model, task))
        yield 0.0
        if task == "offline" or model == "mono-deu":
            raise UserError(f"The task {task} can't be run: no such data.")
        return json.dumps([(task, "acc", "none", 0.5, None, 3, 0, True)])

    monkeypatch.setattr("interference.harness._run", run)
    monkeypatch.setattr("interference.harness._manager", lambda tasks, include: None)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1")
    models = {name: name for name in ("mono-eng", "mono-deu", "init")}
    frame, failed = finish(tasks_steps(tiny, models, ["own", "offline"]))
    assert list(frame["model"]) == ["mono-eng", "init"]
    expected = (
        "The task offline can't be run: no such data.",
        "mono-deu: The task own can't be run: no such data.",
    )
    assert failed == expected
    assert len(runs) == 6
    finish(tasks_steps(tiny, models, ["own", "offline"]))
    assert len(runs) == 6 + 4
    with pytest.raises(UserError, match="offline can't be run"):
        finish(tasks_steps(tiny, models, ["offline"]))
    options = ["--suite", str(suite_folder), "--format", "json", "--checkpoint", ",".join(models)]
    code, out, err = cli("tasks", "own,offline", *options)
    assert code == 2
    assert [row["model"] for row in json.loads(out)] == ["mono-eng", "init"]
    assert all(line in err for line in expected)


def test_means_are_of_tasks_that_all_models_have():
    rows = [("merge", "a", 0.2), ("one", "a", 0.4), ("one", "b", 0.9)]
    frame = pd.DataFrame(rows, columns=["model", "task", "value"])
    view = frame.assign(metric="acc", higher_is_better=True, role=["merge", "parent", "parent"])
    assert task_sentence(view) == "**The merge has 0.200** (acc, mean of 1 task; best parent 0.400)."
    assert task_sentence(view[1:].assign(model=["one", "two"])).startswith("There is no task")


def test_an_unknown_task_is_named_beside_the_nearest():
    check_task("belebele_deu_Latn", ["belebele_deu_Latn"])
    with pytest.raises(UserError, match="no task 'belebele_deu': did you mean 'belebele_deu_Latn'"):
        check_task("belebele_deu", ["belebele_deu_Latn", "hellaswag"])
    with pytest.raises(UserError, match="no task 'xyz': `lm-eval ls tasks` lists them"):
        check_task("xyz", ["belebele_deu_Latn", "hellaswag"])
    with pytest.raises(UserError, match="no task 'xyz', and nothing in own that reads as YAML describes it"):
        check_task("xyz", ["belebele_deu_Latn"], Path("own"))


@pytest.mark.parametrize("counted", ["unigram", "bigram"])
def test_what_counts_tokens_is_refused(tiny, counted):
    with pytest.raises(UserError, match=f"{counted} counts tokens, and tasks are run on networks"):
        run_tasks(tiny, {"init": "init", counted: counted}, ["own"])


@pytest.mark.parity
def test_the_harness_finds_the_same_pairs_right(tiny, tmp_path, monkeypatch):
    """A task of one's own with the same pairs, on a checkpoint and a merge; the second time from the store."""
    rows = [("The dog sleeps.", "The dog sleep."), ("A cat eats an apple.", "A cat eats apple an."),
            ("Two birds sing.", "Two bird sing."), ("Who is there?", "Who there is?")]  # fmt: skip
    file = tmp_path / "eng.jsonl"
    file.write_text("".join(json.dumps({"sen": good, "wrong_sen": bad}) + "\n" for good, bad in rows))
    task = {
        "task": "own_pairs", "dataset_path": "json", "dataset_kwargs": {"data_files": {"train": str(file)}},
        "output_type": "multiple_choice", "test_split": "train", "doc_to_text": "", "target_delimiter": "",
        "doc_to_target": 0, "doc_to_choice": "{{[sen,wrong_sen]}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }  # fmt: skip
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/own.yaml").write_text(yaml.safe_dump(task))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "data"))
    merge = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    models: dict[str, str | Recipe] = {"mono-eng": "mono-eng", "merge": merge}
    frame = run_tasks(tiny, models, ["own_pairs"], include=tmp_path / "tasks")
    assert tuple(frame.columns) == COLUMNS
    pairs = read_pairs(file)
    own = finish(accuracy_steps(tiny, models, pairs, ("eng",))).by("language").set_index("model")["accuracy"]
    accuracy = frame[frame["metric"] == "acc"].set_index("model")
    assert accuracy["value"].to_dict() == pytest.approx(own.to_dict())
    assert set(accuracy["samples"]) == {len(rows)}
    others = Evaluator(tiny.suite, Store(tmp_path / "others"), torch.device("cpu"))
    asked, shares = tasks_steps(others, models, ["own_pairs"], include=tmp_path / "tasks"), []

    def between(share: float) -> None:
        """Another's weights are put into the networks whenever they are free."""
        shares.append(share)
        others.networks.put("mixed")

    assert finish(asked, between)[0].equals(frame)
    assert shares == sorted(shares)
    assert {0.5, 1.0} <= set(shares)
    monkeypatch.setattr("interference.harness._run", lambda *rest: pytest.fail("run again"))
    assert run_tasks(tiny, models, ["own_pairs"], include=tmp_path / "tasks").equals(frame)
    monkeypatch.undo()
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "more data"))
    file.write_text(file.read_text().splitlines()[0])
    again = run_tasks(tiny, models, ["own_pairs"], include=tmp_path / "tasks")
    assert set(again["samples"]) == {1}, "what is kept is of these data, wherever they lie"


def writing_task(folder, monkeypatch, **changes):
    """A folder with the description of a task `own_text` that has models write, its data beside it."""
    task = {
        "task": "own_text", "dataset_path": "json", "dataset_kwargs": {"data_files": str(folder / "own.jsonl")},
        "output_type": "generate_until", "test_split": "train", "doc_to_text": "{{one}}", "doc_to_target": "{{one}}",
        "generation_kwargs": {"until": ["."], "max_gen_toks": 2}, "metric_list": [{"metric": "exact_match"}],
    }  # fmt: skip
    (folder / "own.jsonl").write_text('{"one": "The dog"}\n{"one": "A cat eats"}\n')
    (folder / "tasks").mkdir()
    (folder / "tasks/own.yaml").write_text(yaml.safe_dump(task | changes))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "data"))
    return folder / "tasks"


@pytest.mark.parity
def test_the_harness_leaves_the_tokenizer_as_it_was(suite_folder, tmp_path, monkeypatch):
    """It gives those without a padding token one, which would be written with every merge after that."""
    own = shutil.copytree(suite_folder, tmp_path / "own suite") / "init"
    config = json.loads((own / "tokenizer_config.json").read_text())
    (own / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "pad_token"}))
    tasks = writing_task(tmp_path, monkeypatch)
    evaluator = Evaluator(open_suite(own.parent), Store(tmp_path / "own"), torch.device("cpu"))
    tokenizer = evaluator.suite["init"].tokenizer
    tokenizer.save_pretrained(tmp_path / "before")
    run_tasks(evaluator, {"init": "init"}, ["own_text"], include=tasks)
    tokenizer.save_pretrained(tmp_path / "after")
    assert tokenizer.pad_token is None
    for file in (tmp_path / "before").iterdir():
        assert (tmp_path / "after" / file.name).read_text() == file.read_text()


@pytest.mark.parity
def test_text_without_an_end_is_refused(suite_folder, tmp_path, monkeypatch):
    own = shutil.copytree(suite_folder, tmp_path / "own suite") / "init"
    config = json.loads((own / "tokenizer_config.json").read_text())
    (own / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "eos_token"}))
    evaluator = Evaluator(open_suite(own.parent), Store(tmp_path / "own"), torch.device("cpu"))
    with pytest.raises(UserError, match=r"own_text has init write text until its EOS .* of init has none\. Name one"):
        run_tasks(evaluator, {"init": "init"}, ["own_text"], include=writing_task(tmp_path, monkeypatch))


@pytest.mark.parity
def test_a_tokenizer_without_beginning_and_end_is_refused(suite_folder, tmp_path, monkeypatch):
    """One with CLS alone has losses here, and no tasks there: the message is about that and not about data."""
    own = shutil.copytree(suite_folder, tmp_path / "own suite") / "init"
    config = json.loads((own / "tokenizer_config.json").read_text())
    left = {key: value for key, value in config.items() if key not in ("bos_token", "eos_token")}
    (own / "tokenizer_config.json").write_text(json.dumps(left | {"cls_token": "<s>"}))
    evaluator = Evaluator(open_suite(own.parent), Store(tmp_path / "own"), torch.device("cpu"))
    scored = writing_task(tmp_path, monkeypatch, output_type="loglikelihood", metric_list=[{"metric": "acc"}])
    with pytest.raises(UserError, match=r"puts BOS or EOS before a text, and the tokenizer of init has neither\. Name"):
        run_tasks(evaluator, {"init": "init"}, ["own_text"], include=scored)


@pytest.mark.parity
def test_tasks_that_are_stopped_leave_no_thread(tiny, tmp_path, monkeypatch):
    """The harness waits for answers that do not come any more."""
    import lm_eval

    def asks(language_model, **options):
        language_model.loglikelihood([SimpleNamespace(args=("The", " dog"), request_type="loglikelihood")])
        return language_model.loglikelihood([SimpleNamespace(args=("The", " cat"), request_type="loglikelihood")])

    monkeypatch.setattr(lm_eval, "simple_evaluate", asks)
    monkeypatch.setattr("interference.harness._manager", lambda tasks, include: None)
    before = set(threading.enumerate())
    steps = tasks_steps(tiny, {"init": "init"}, ["own"])
    while not next(steps):
        pass
    steps.close()
    for thread in set(threading.enumerate()) - before:
        if thread.name != "tqdm_monitor":  # one for the whole process, started by its first bar
            thread.join(timeout=120)
            assert not thread.is_alive()


@pytest.mark.parity
def test_a_table_of_tasks_is_all_that_is_printed(suite_folder, tmp_path, monkeypatch, cli):
    """Also of a metric whose error is bootstrapped, and a description that is broken is said to be."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "data"))
    (tmp_path / "own.jsonl").write_text('{"one": "The dog", "two": " sleeps."}\n' * 3)
    task = {
        "task": "own_words", "dataset_path": "json", "dataset_kwargs": {"data_files": str(tmp_path / "own.jsonl")},
        "output_type": "loglikelihood", "test_split": "train", "doc_to_text": "{{one}}", "doc_to_target": "{{two}}",
        "target_delimiter": "", "metric_list": [{"metric": "perplexity", "aggregation": "perplexity"}],
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(task))
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(task | {"task": "own_broken", "doc_to_text": "{{one"}))
    group = {"group": "own_group", "task": ["own_words"], "aggregate_metric_list": [{"metric": "perplexity"}]}
    (tmp_path / "group.yaml").write_text(yaml.safe_dump(group))
    long = task | {"task": "own_long", "doc_to_target": "{{two}}" * 40}
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(long))
    (tmp_path / "own.py").write_text("import no_such_package\n\ndef docs(rows): ...\n")
    (tmp_path / "lacking.yaml").write_text(
        yaml.safe_dump(task | {"task": "own_lacking"}) + "process_docs: !function own.docs\n"
    )
    options = ["--suite", str(suite_folder), "--checkpoint", "init", "--include", str(tmp_path), "--format", "json"]
    # Processes begun here would inherit locks of other threads, or run what is the main module: the app.
    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", lambda self: pytest.fail("a process is begun"))
    cases = {"own_words": 0, "own_group": 0, "own_lacking": 2, "own_broken": 2, "own_long": 2}
    out, err = {}, {}
    for name, expected in cases.items():
        code, out[name], err[name] = cli("tasks", name, *options)
        assert code == expected
    (row,) = json.loads(out["own_words"])
    assert (row["metric"], row["samples"]) == ("perplexity", 3)
    of_group = {row["task"]: row["samples"] for row in json.loads(out["own_group"])}
    assert repr(of_group) == "{'own_words': 3, 'own_group': None}"
    assert "No module named 'no_such_package'. Install that." in err["own_lacking"]
    assert "A description of your own is to be put right" in err["own_broken"]
    assert "assert len(continuation_enc) <= self.max_length. lm-evaluation-harness asks that" in err["own_long"]
