"""The command line: its contract word for word, and one message with exit code 2 for whatever can't be used."""

import csv
import io
import json
import math
import os
import pickle
import pty
import select
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import gpt2, llama, write_checkpoint, write_corpus
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from interference.__main__ import main
from interference.demo.forms import LANGUAGES
from interference.store import default_folder
from interference.suite import built_in, open_suite

COLUMNS = [
    "model", "language", "sentences", "bits", "bytes", "bits_per_sentence", "bits_per_sentence_low",
    "bits_per_sentence_high", "bits_per_byte", "cost", "cost_low", "cost_high", "reference", "recovery",
]  # fmt: skip


@pytest.fixture
def rows(told):
    """The rows of `losses ... --format json`."""
    return lambda *arguments: json.loads(told("losses", *arguments, "--format", "json")[0])


def write_recipe(file: Path, weights: dict, method: str = "linear", **more) -> Path:
    models = [{"model": str(m), "parameters": {"weight": w}} for m, w in weights.items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"merge_method": method, "models": models} | more))
    return file


def numbers(table: list[dict]) -> list[list]:
    return [[row[c] for c in COLUMNS[1:]] for row in table]


# losses


def test_rows_are_recipes_then_checkpoints_in_the_order_given(suite_folder, rows, tmp_path):
    first = write_recipe(tmp_path / "zz.yaml", {"mono-eng": 1, "mono-deu": 1})
    second = write_recipe(tmp_path / "aa.yaml", {"mono-eng": 3, "mono-deu": 1})
    table = rows(
        "--checkpoint", "mixed", "--recipe", first, "--checkpoint", "init", "--recipe", second, "--suite", suite_folder
    )  # fmt: skip
    assert [(r["model"], r["language"]) for r in table] == [
        (model, language) for model in ("zz", "aa", "mixed", "init") for language in ("eng", "deu")
    ]
    assert all(list(row) == COLUMNS for row in table)
    assert len({row["bits"] for row in table}) == 8


def test_without_a_choice_every_checkpoint_is_scored(suite_folder, rows):
    assert [r["model"] for r in rows("--suite", suite_folder)[::2]] == list(open_suite(suite_folder).names)


def test_columns_agree_with_each_other_and_with_the_text(suite_folder, rows):
    """Totals, ratios and costs by their definitions from the row itself and the rows they refer to."""
    table = {(r["model"], r["language"]): r for r in rows("--suite", suite_folder)}
    corpus = open_suite(suite_folder).corpus
    for (_, language), row in table.items():
        own, untrained = table[f"mono-{language}", language], table["init", language]
        texts = corpus.text(language, corpus.halves["test"])
        assert row["sentences"] == len(texts)
        assert row["bytes"] == sum(len(text.encode()) for text in texts)
        assert row["bits_per_sentence"] == pytest.approx(row["bits"] / row["sentences"])
        assert row["bits_per_byte"] == pytest.approx(row["bits"] / row["bytes"])
        assert row["bits_per_sentence_low"] <= row["bits_per_sentence"] <= row["bits_per_sentence_high"]
        assert row["reference"] == f"mono-{language}"
        assert row["cost"] == pytest.approx(row["bits_per_sentence"] - own["bits_per_sentence"], abs=1e-9)
        assert row["recovery"] is None, "of weights at random none is better than the untrained ones"
        assert untrained["bits"] < own["bits"]
    assert table["mono-eng", "eng"]["cost"] == 0


def test_recovery_is_by_its_definition_from_the_rows_it_refers_to(rows):
    table = {
        r["model"]: r for r in rows("--checkpoint", "init,mixed,mono-eng", "--language", "eng", "--sentences", "9")
    }
    untrained, own = table["init"], table["mono-eng"]
    for row in table.values():
        gone = (untrained["bits"] - row["bits"]) / (untrained["bits"] - own["bits"])
        assert row["recovery"] == pytest.approx(gone, abs=1e-9)
    assert (untrained["recovery"], own["recovery"]) == (0, 1)


def test_bits_are_those_of_transformers_called_plainly(suite_folder, rows):
    """Sentence by sentence, BOS before each, summed in float64."""
    corpus = open_suite(suite_folder).corpus
    model = AutoModelForCausalLM.from_pretrained(suite_folder / "mixed").eval()
    tokenizer = AutoTokenizer.from_pretrained(suite_folder / "mixed")
    for row in rows("--suite", suite_folder, "--checkpoint", "mixed", "--device", "cpu"):
        bits = 0.0
        for text in corpus.text(row["language"], corpus.halves["test"]):
            ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
            with torch.no_grad():
                chances = model(ids).logits[0, :-1].log_softmax(-1)
            bits -= float(chances.gather(1, ids[0, 1:, None]).double().sum()) / math.log(2)
        assert row["bits"] == pytest.approx(bits, rel=1e-5)


def test_empty_cells_are_null_and_the_reason_is_on_standard_error(tokenizer, cli, tmp_path):
    """A folder without roles has no costs and no recovery."""
    write_checkpoint(gpt2(1), tokenizer, tmp_path / "s" / "g")
    corpus = write_corpus(tmp_path / "c.tsv")
    code, out, err = cli("losses", "--suite", tmp_path / "s", "--corpus", corpus, "--format", "json")
    assert code == 0
    assert "role" in err
    for row in json.loads(out):
        assert list(row) == COLUMNS
        assert [row[c] for c in ("cost", "cost_low", "cost_high", "reference", "recovery")] == [None] * 5
        assert row["bits"] > 0
    _, out, _ = cli("losses", "--suite", tmp_path / "s", "--corpus", corpus, "--format", "csv")
    assert out.splitlines()[1].endswith(",,,,,")
    _, out, _ = cli("losses", "--suite", tmp_path / "s", "--corpus", corpus)
    assert "None" not in out
    assert "NaN" not in out


def test_three_formats_hold_the_same_numbers(suite_folder, cli):
    forms = {f: cli("losses", "--suite", suite_folder, "--format", f) for f in ("json", "csv", "table")}
    assert {code for code, _, _ in forms.values()} == {0}
    table = json.loads(forms["json"][1])
    comma = list(csv.DictReader(io.StringIO(forms["csv"][1])))
    lines = forms["table"][1].splitlines()
    assert list(comma[0]) == lines[0].split() == COLUMNS
    assert len(table) == len(comma) == len(lines) - 1
    for row, other, line in zip(table, comma, lines[1:], strict=True):
        assert float(other["bits"]) == pytest.approx(row["bits"], rel=1e-12)
        assert line.split()[:3] == [row["model"], row["language"], str(row["sentences"])]
        assert line.split()[3] == f"{row['bits']:.3f}"
    assert cli("losses", "--suite", suite_folder)[1] == forms["table"][1], "table is the default"


@pytest.mark.parametrize("count", [1, 5, 12])
def test_sentences_takes_a_fixed_subset(count, suite_folder, rows, tmp_path, monkeypatch):
    arguments = ("--suite", suite_folder, "--checkpoint", "mixed", "--sentences", count)
    table = rows(*arguments)
    assert {row["sentences"] for row in table} == {count}
    monkeypatch.setenv("INTERFERENCE_CACHE", str(tmp_path / "another"))
    assert rows(*arguments) == table


def test_a_checkpoint_may_be_a_folder(suite_folder, rows, monkeypatch):
    """Alone, beside names, relative to where the command runs: the same bits as by name."""
    monkeypatch.chdir(suite_folder)
    named = rows("--suite", suite_folder, "--checkpoint", "mixed")
    for path in ("./mixed", suite_folder / "mixed"):
        alone = rows("--corpus", suite_folder / "corpus.tsv", "--checkpoint", path)
        beside = rows("--suite", suite_folder, "--checkpoint", path, "--checkpoint", "init")[:2]
        assert {r["model"] for r in (*alone, *beside)} == {str(path)}
        assert numbers(beside) == numbers(named)
        assert [r["bits"] for r in alone] == [r["bits"] for r in named]


def test_two_folders_of_one_name_are_two_models(tokenizer, rows, tmp_path):
    for seed in (1, 2):
        write_checkpoint(llama(seed), tokenizer, tmp_path / str(seed) / "m")
    corpus, folders = write_corpus(tmp_path / "c.tsv"), [tmp_path / "1" / "m", tmp_path / "2" / "m"]
    both = rows("--corpus", corpus, "--checkpoint", folders[0], "--checkpoint", folders[1])
    alone = [row for folder in folders for row in rows("--corpus", corpus, "--checkpoint", folder)]
    assert both == alone
    assert len({row["bits"] for row in both}) == 4


def test_recipes_of_one_stem_keep_their_own_numbers(suite_folder, rows, tmp_path):
    """Also beside a checkpoint of that name, which stays the reference that it is."""
    files = [
        write_recipe(tmp_path / "a" / "mono-eng.yaml", {"mono-eng": 1, "mono-deu": 1}),
        write_recipe(tmp_path / "b" / "mono-eng.yaml", {"mono-eng": 3, "mono-deu": 1}),
        write_recipe(tmp_path / "c" / "other.yaml", {"mono-eng": 1, "mono-deu": 1}),
    ]
    suite = ("--suite", suite_folder)
    table = rows(*suite, *(x for f in files for x in ("--recipe", f)), "--checkpoint", "mono-eng")
    assert [r["model"] for r in table[::2]] == ["mono-eng", "mono-eng", "other", "mono-eng"]
    assert numbers(table[:2]) == numbers(table[4:6])
    assert table[2:4] == rows(*suite, "--recipe", files[1])
    assert table[6:] == rows(*suite, "--checkpoint", "mono-eng")
    assert table[6]["cost"] == 0
    assert table[0]["cost"] != 0


def test_a_recipe_of_paths_needs_no_suite(suite_folder, tokenizer, cli, rows, tmp_path):
    """Relative ones are beside the recipe; the text is given or the built-in suite's."""
    for seed in (1, 2):
        write_checkpoint(llama(seed), tokenizer, tmp_path / f"m{seed}")
    relative = write_recipe(tmp_path / "relative.yaml", {"m1": 1, "./m2": 1})
    absolute = write_recipe(tmp_path / "x" / "absolute.yaml", {tmp_path / "m1": 1, tmp_path / "m2": 1})
    corpus = write_corpus(tmp_path / "c.tsv")
    table = rows("--corpus", corpus, "--recipe", relative, "--recipe", absolute)
    assert numbers(table[:2]) == numbers(table[2:])
    assert {r["language"] for r in rows("--recipe", relative, "--sentences", 1)} == set(LANGUAGES)
    code, out, _ = cli("merge", relative, "--out", tmp_path / "out")
    assert (code, out) == (0, "")
    assert [r["bits"] for r in rows("--corpus", corpus, "--checkpoint", tmp_path / "out")] == [
        r["bits"] for r in table[:2]
    ]


@pytest.mark.parametrize("method", ["linear", "dare_ties+seed=5"])
def test_names_and_paths_of_one_checkpoint_are_one_recipe(method, suite_folder, rows, tmp_path):
    """A random method draws by the parent's name, so the spelling must not matter; nor a recipe beside its folders."""
    base = {} if method == "linear" else {"base_model": "mixed", "parameters": {"density": 0.5}}
    shutil.copytree(suite_folder, tmp_path / "s")
    weights = {"branch-eng": 1, "branch-deu": 1}
    recipes = [
        write_recipe(tmp_path / "named.yaml", weights, method, **base),
        write_recipe(
            tmp_path / "paths.yaml", {tmp_path / "s" / name: w for name, w in weights.items()}, method, **base
        ),
        write_recipe(tmp_path / "s" / "beside.yaml", weights, method, **base),
    ]
    table = rows("--suite", tmp_path / "s", *(x for r in recipes for x in ("--recipe", r)))
    assert numbers(table[:2]) == numbers(table[2:4]) == numbers(table[4:])


def test_a_checkpoint_that_is_named_twice_is_listed_once(suite_folder, rows):
    table = rows("--suite", suite_folder, "--checkpoint", "init,mixed,init", "--sentences", 2)
    assert list(dict.fromkeys(row["model"] for row in table)) == ["init", "mixed"]
    assert len({(row["model"], row["language"]) for row in table}) == len(table)


def test_a_name_of_the_built_in_suite_is_not_a_folder_that_happens_to_lie_here(tokenizer, rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_checkpoint(gpt2(1), tokenizer, tmp_path / "init")
    asked = ("--sentences", 1, "--checkpoint")
    assert {r["reference"] for r in rows(*asked, "init")} == {f"mono-{language}" for language in LANGUAGES}
    assert {r["reference"] for r in rows(*asked, "./init")} == {None}


# merge


@pytest.mark.parametrize("method", ["linear", "linear+rescale", "slerp", "task_arithmetic", "ties", "dare_ties"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_losses_of_the_written_merge_are_those_of_its_recipe(method, dtype, suite_folder, cli, rows, tmp_path):
    """To the last bit: what is scored in memory is what is written."""
    more = {"out_dtype": dtype}
    if method == "slerp":
        recipe = tmp_path / "r.yaml"
        models = [{"model": "mono-eng"}, {"model": "mono-deu"}]
        recipe.write_text(yaml.safe_dump({"merge_method": "slerp", "base_model": "mono-eng", "models": models,
                                          "parameters": {"t": 0.3}} | more))  # fmt: skip
    else:
        base = {} if method.startswith("linear") else {"base_model": "mixed"}
        recipe = write_recipe(tmp_path / "r.yaml", {"mono-eng": 0.25, "mono-deu": 1}, method, **base, **more)
    code, out, err = cli("merge", recipe, "--out", tmp_path / "m", "--suite", suite_folder)
    assert (code, out) == (0, ""), err
    table = rows("--suite", suite_folder, "--recipe", recipe, "--checkpoint", tmp_path / "m")
    assert [r["model"] for r in table[::2]] == ["r", str(tmp_path / "m")]
    assert numbers(table[:2]) == numbers(table[2:])
    assert table[0]["bits"] not in [r["bits"] for r in rows("--suite", suite_folder)]


def test_merge_writes_what_transformers_loads_with_its_recipe_inside(suite_folder, cli, tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", {"mono-eng": 1, "mono-deu": 1})
    assert cli("merge", recipe, "--out", tmp_path / "m", "--suite", suite_folder)[0] == 0
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    parents = [AutoModelForCausalLM.from_pretrained(suite_folder / f"mono-{lang}") for lang in ("eng", "deu")]
    for name, tensor in model.named_parameters():
        mean = (parents[0].get_parameter(name) + parents[1].get_parameter(name)) / 2
        torch.testing.assert_close(tensor, mean, atol=1e-6, rtol=0)
    assert yaml.safe_load((tmp_path / "m" / "recipe.yaml").read_text())["merge_method"] == "linear"
    assert set(json.loads((tmp_path / "m" / "provenance.json").read_text())["checkpoints"]) == {"mono-eng", "mono-deu"}


# The other commands


def test_suite_lists_checkpoints_and_why_they_do_not_fit(suite_folder, tokenizer, cli, tmp_path):
    code, out, err = cli("suite", suite_folder, "--format", "json")
    assert code == 0
    assert [r["name"] for r in json.loads(out)] == list(open_suite(suite_folder).names)
    assert "12 test and 12 dev" in err
    write_checkpoint(llama(1), tokenizer, tmp_path / "s" / "a")
    write_checkpoint(gpt2(1), tokenizer, tmp_path / "s" / "b")
    table = json.loads(cli("suite", tmp_path / "s", "--format", "json")[1])
    assert [r["group"] for r in table] == [1, 2]
    assert not table[0]["why_not"]
    assert "GPT2LMHeadModel" in table[1]["why_not"]
    assert table[1]["step"] is None


def test_suite_of_one_checkpoint_folder(tokenizer, cli, tmp_path):
    folder = write_checkpoint(gpt2(1), tokenizer, tmp_path / "only")
    assert [r["name"] for r in json.loads(cli("suite", folder, "--format", "json")[1])] == ["only"]


def test_methods_are_listed(cli):
    from interference.registry import methods

    code, out, err = cli("methods", "--format", "json")
    assert (code, err) == (0, "")
    assert [row["method"] for row in json.loads(out)] == list(methods())


def test_demo_path_is_a_suite(cli):
    code, out, err = cli("demo", "path")
    assert (code, err, out) == (0, "", f"{built_in()}\n")
    assert (Path(out.strip()) / "suite.yaml").is_file()


@pytest.mark.parametrize("language", LANGUAGES)
def test_demo_text_is_deterministic_and_never_held_out(language, cli):
    """Against the text that ships; a longer text begins with a shorter one, another seed is another text.

    One free draw in 700 is a held-out sentence: of 3,000 some would be, if nothing left them out.
    """
    code, out, err = cli("demo", "text", "--language", language, "--sentences", 3000, "--seed", 13)
    assert (code, err) == (0, "")
    texts = out.splitlines()
    held_out = set(open_suite().corpus.sentences[language])
    assert len(texts) == 3000
    assert len(held_out) == 1000
    assert not held_out & set(texts)
    assert cli("demo", "text", "--language", language, "--sentences", 20, "--seed", 13)[1].splitlines() == texts[:20]
    assert cli("demo", "text", "--language", language, "--sentences", 20, "--seed", 8)[1].splitlines() != texts[:20]


# Bad input. Case -> the command, the text of its file, what the message holds. SUITE and HERE are folders.

RECIPE = """
models: [{model: mono-eng, parameters: {weight: 1}}, {model: mono-deu, parameters: {weight: W}}]
merge_method: """
MERGED = "losses --suite SUITE --recipe HERE/file"
MEASURED = "losses --suite SUITE --corpus HERE/file"
SCORED = "losses --suite SUITE"
MERGE = "merge HERE/file --suite SUITE --out"
BAD = {
    "suite": ("suite HERE/no", "", ["HERE/no", "does not exist", "Give a suite.yaml"]),
    "empty suite": ("suite HERE/there", "", ["HERE/there", "config.json", "Point at"]),
    "suite key": ("suite HERE/file", "checkpoint: []\n", ["HERE/file", "'checkpoints'"]),
    "no corpus": ("losses --suite SUITE/init", "", ["no corpus", "Give one"]),
    "checkpoint": (f"{SCORED} --checkpoint mono-dou", "", ["'mono-dou'", "did you mean 'mono-deu'"]),
    "folder": (f"{SCORED} --checkpoint HERE/no", "", ["'HERE/no'", "no such folder"]),
    "recipe": (f"{SCORED} --recipe HERE/no.yaml", "", ["HERE/no.yaml", "No such file"]),
    "folder as recipe": (f"{SCORED} --recipe HERE/there", "", ["HERE/there", "directory"]),
    "no YAML": (MERGED, "models: [", ["HERE/file", "not YAML"]),
    "no recipe": (MERGED, "linear", ["HERE/file", "merge_method"]),
    "unknown key": (MERGED, f"{RECIPE}linear\nout_dtpye: float16", ["HERE/file", "'out_dtpye'", "'out_dtype'"]),
    "unknown key of a model": (MERGED, f"{RECIPE}linear".replace("weight: W", "wieght: 1"), ["'wieght'", "'weight'"]),
    "unknown method": (MERGED, f"{RECIPE}linaer", ["HERE/file", "'linaer'", "did you mean 'linear'"]),
    "unknown model": (MERGED, f"{RECIPE}linear".replace("mono-deu", "mono-dou"), ["'mono-dou'", "'mono-deu'"]),
    "weights sum to zero": (MERGED, f"{RECIPE}linear".replace("W", "-1"), ["HERE/file", "sum to 0", "Change a weight"]),
    "sum of nearly zero": (MERGED, f"{RECIPE}linear".replace("W", "-1.0000001"), ["HERE/file", "sum to -1e-07"]),
    "infinite weight": (MERGED, f"{RECIPE}linear".replace("W", ".inf"), ["HERE/file", "mono-deu", "inf", "finite"]),
    "weight in words": (MERGED, f"{RECIPE}linear".replace("W", "much"), ["HERE/file", "'much'", "number"]),
    "no base": (MERGED, f"{RECIPE}ties", ["HERE/file", "base", "@mean"]),
    "base of another name": (MERGED, f"{RECIPE}ties\nbase_model: mixd", ["'mixd'", "did you mean 'mixed'"]),
    "missing cell": (MEASURED, "eng\tdeu\nA cat.\t\n", ["HERE/file", "line 2 has no text for 'deu'", "Fill the cells"]),
    "empty line": (MEASURED, "eng\tdeu\nA.\tB.\n\nC.\tD.\n", ["HERE/file", "line 3 is empty"]),
    "ragged row": (MEASURED, "eng\tdeu\nA.\tB.\nC.\n", ["HERE/file", "line 3 has 1 cells, the header has 2"]),
    "strange language": (MEASURED, "eng\tger\nA.\tB.\n", ["HERE/file", "'ger'", "deu", "name it as the suite does"]),
    "corpus": (f"{SCORED} --corpus HERE/no.tsv", "", ["HERE/no.tsv", "does not exist"]),
    "no sentences": (f"{SCORED} --sentences 0", "", ["0 sentences", "1 to 12"]),
    "device in words": (f"{SCORED} --device gpu", "", ["'gpu'", "cpu, cuda or cuda:N"]),
    "device of another kind": (f"{SCORED} --device mps", "", ["'mps'", "cpu, cuda or cuda:N"]),
    "device that is not there": (f"{SCORED} --device cuda:99", "", ["'cuda:99'", "--device cpu"]),
    "merge on no device": (f"{MERGE} HERE/o --device cuda:99", f"{RECIPE}linear", ["'cuda:99'"]),
    "output that exists": (f"{MERGE} HERE/there", f"{RECIPE}linear", ["HERE/there exists", "give --overwrite to"]),
    "language of the demo": ("demo text --language dutch", "", ["'dutch'", "nld"]),
    "home of nobody": ("suite ~nobody-of-that-name/x", "", ["~nobody-of-that-name/x", "Give a file or a folder"]),
    "app in the home of nobody": ("app --corpus ~nobody-of-that-name/x", "", ["~nobody-of-that-name/x"]),
    "merge into the home of nobody": (f"{MERGE} ~nobody-of-that-name/x", f"{RECIPE}linear", ["~nobody-of-that-name/x"]),
    "training into a file": ("demo train --out HERE/file", "", ["HERE/file", "name another"]),
    "results nowhere": ("demo results --suite SUITE --out HERE/no/r.npz", "", ["HERE/no/r.npz", "Name another"]),
    "results as a folder": ("demo results --suite SUITE --out HERE/there", "", ["HERE/there", "Name another"]),
    "app without its suite": ("app --suite HERE/no", "", ["HERE/no", "does not exist"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_message(case, suite_folder, refused, tmp_path):
    command, text, expected = BAD[case]
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text(text.replace("weight: W", "weight: 1"))
    places = {"SUITE": str(suite_folder), "HERE": str(tmp_path)}

    def place(part: str) -> str:
        for word, folder in places.items():
            part = part.replace(word, folder)
        return part

    message = refused(*(place(part) for part in command.split()))
    for part in expected:
        assert place(part) in message
    assert {p.name for p in tmp_path.iterdir()} <= {"there", "file", "store"}


def spoil(folder: Path, how: str, proof: Path) -> None:
    """Damage the checkpoint in the folder."""
    weights, config = folder / "model.safetensors", folder / "config.json"
    if how == "missing":
        weights.unlink()
    elif how == "truncated":
        weights.write_bytes(weights.read_bytes()[:20_000])
    elif how == "NaN":
        state = load_file(weights)
        state["model.norm.weight"][3] = float("nan")
        save_file(state, weights, metadata={"format": "pt"})
    elif how == "code":
        weights.unlink()

        class Payload:
            def __reduce__(self):
                return (os.mkdir, (str(proof),))

        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Payload()}))
    else:
        values = {"unknown": {"model_type": "wonder"}, "remote": {"auto_map": {"AutoConfig": "own.Config"}}}[how]
        config.write_text(json.dumps(json.loads(config.read_text()) | values))


@pytest.mark.parametrize(
    ("how", "file", "expected"),
    [
        ("missing", "", "model.safetensors"),
        ("truncated", "model.safetensors", "20,000 bytes"),
        ("NaN", "model.safetensors", "model.norm.weight"),
        ("code", "pytorch_model.bin", "run code"),
        ("unknown", "config.json", "'wonder'"),
        ("remote", "config.json", "own.Config"),
    ],
)
@pytest.mark.parametrize("command", ["losses", "merge"])
def test_checkpoint_that_cannot_be_used_is_one_message(command, how, file, expected, tokenizer, refused, tmp_path):
    """By file and value, whether it is scored or merged; nothing of it runs and nothing is written."""
    folders = [write_checkpoint(llama(seed), tokenizer, tmp_path / str(seed)) for seed in (1, 2)]
    spoil(folders[1], how, tmp_path / "ran")
    recipe = write_recipe(tmp_path / "r.yaml", {"./1": 1, "./2": 1})
    arguments = (recipe, "--out", tmp_path / "out") if command == "merge" else ("--recipe", recipe, "--corpus", CORPUS)
    message = refused(command, *(write_corpus(tmp_path / "c.tsv") if a is CORPUS else a for a in arguments))
    assert str(folders[1] / file) in message
    assert expected in message
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


CORPUS = object()


def test_merge_across_groups_is_refused_and_losses_are_not(tokenizer, refused, rows, tmp_path):
    folders = [write_checkpoint(model, tokenizer, tmp_path / name) for name, model in (("a", llama(1)), ("b", gpt2(1)))]
    recipe, corpus = write_recipe(tmp_path / "r.yaml", {"a": 1, "b": 1}), write_corpus(tmp_path / "c.tsv")
    for arguments in (("merge", recipe, "--out", tmp_path / "o"), ("losses", "--recipe", recipe, "--corpus", corpus)):
        message = refused(*arguments)
        assert "LlamaForCausalLM" in message
        assert "GPT2LMHeadModel" in message
    assert len(rows("--corpus", corpus, "--checkpoint", folders[0], "--checkpoint", folders[1])) == 4


def test_results_that_cannot_be_kept_are_one_message(suite_folder, refused, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("INTERFERENCE_CACHE", str(tmp_path / "file"))
    message = refused("losses", "--suite", suite_folder)
    assert str(tmp_path / "file") in message
    assert "INTERFERENCE_CACHE" in message


@pytest.fixture
def own_suite(suite_folder, tmp_path) -> Path:
    """A copy of the suite for a results.npz."""
    return shutil.copytree(suite_folder, tmp_path / "own")


def test_results_are_computed_anew_and_serve_the_suite_they_lie_beside(own_suite, cli, rows, monkeypatch):
    """Neither what the store holds nor a broken file in its place gets into the file; the table reads it."""
    out = own_suite / "results.npz"
    computed = rows("--suite", own_suite)
    out.write_bytes(b"broken")
    monkeypatch.setattr("interference.store.Store.shipped", lambda self, key: None)
    with sqlite3.connect(Path(os.environ["INTERFERENCE_CACHE"]) / "results.sqlite") as store:
        store.execute("update bits set value = zeroblob(length(value))")
    assert cli("demo", "results", "--suite", own_suite, "--out", out)[:2] == (0, "")
    assert [p.name for p in own_suite.iterdir() if "results" in p.name] == ["results.npz"]
    monkeypatch.undo()
    monkeypatch.setattr("interference.evaluate.sentence_bits_steps", lambda *a, **n: pytest.fail("scored again"))
    for row, expected in zip(rows("--suite", own_suite, "--device", "cpu"), computed, strict=True):
        assert row["bits"] == pytest.approx(expected["bits"], rel=1e-6)


def test_results_do_not_serve_changed_weights(own_suite, cli, rows):
    """A checkpoint trained further is scored anew, the others are not."""
    cli("demo", "results", "--suite", own_suite, "--out", own_suite / "results.npz")
    before = {name: rows("--suite", own_suite, "--checkpoint", name) for name in ("mixed", "init")}
    shutil.copy(own_suite / "branch-eng/model.safetensors", own_suite / "mixed/model.safetensors")
    after = {name: rows("--suite", own_suite, "--checkpoint", name) for name in ("mixed", "init")}
    assert [r["bits"] for r in before["init"]] == [r["bits"] for r in after["init"]]
    branch = rows("--suite", own_suite, "--checkpoint", "branch-eng")
    assert [r["bits"] for r in after["mixed"]] == pytest.approx([r["bits"] for r in branch], rel=1e-5)
    assert [r["bits"] for r in after["mixed"]] != pytest.approx([r["bits"] for r in before["mixed"]], rel=1e-5)


def test_results_do_not_serve_other_text(own_suite, cli, rows, tmp_path):
    """Neither text of another length nor other text of the same length gets the numbers of the suite's own."""
    asked = ("--suite", own_suite, "--checkpoint", "mixed", "--corpus")
    shorter, other = write_corpus(tmp_path / "shorter.tsv", 2), write_corpus(tmp_path / "other.tsv")
    other.write_text(other.read_text().replace("The dog", "The old dog"))
    computed = [row["bits"] for text in (shorter, other) for row in rows(*asked, text)]
    cli("demo", "results", "--suite", own_suite, "--out", own_suite / "results.npz")
    assert [row["bits"] for text in (shorter, other) for row in rows(*asked, text)] == pytest.approx(computed, rel=1e-6)


@pytest.mark.parametrize("kind", ["no archive", "empty", "cut", "spoiled", "foreign", "other rows", "words", "npy"])
def test_results_that_cannot_be_used_are_one_message(kind, own_suite, refused, rows):
    out = own_suite / "results.npz"
    arrays = {"mixed/eng": np.arange(24, dtype=np.float32)}
    others: dict[str, dict[str, Any]] = {
        "foreign": {"weights": np.ones(3)},
        "other rows": {"mixed/eng": np.ones(3, np.float32)},
        "words": {"mixed/eng": np.array(["a"] * 24)},
    }
    np.savez_compressed(out, **others.get(kind, arrays))
    contents = out.read_bytes()
    if kind == "npy":
        with out.open("wb") as file:
            np.save(file, arrays["mixed/eng"])
    elif kind not in others:
        middle = contents[:80] + bytes(b ^ 255 for b in contents[80:90]) + contents[90:]
        out.write_bytes({"no archive": b"numbers", "empty": b"", "cut": contents[:100], "spoiled": middle}[kind])
    message = refused("losses", "--suite", own_suite)
    assert str(out) in message
    assert f"interference demo results --suite {own_suite}" in message
    out.unlink()
    assert rows("--suite", own_suite, "--checkpoint", "init")


def test_results_on_a_full_disk_are_one_message_and_leave_what_was_there(own_suite, refused, monkeypatch):
    out = own_suite / "results.npz"
    out.write_text("before")

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    message = refused("demo", "results", "--suite", own_suite, "--out", out)
    assert str(out) in message
    assert "No space left" in message
    assert [p.name for p in own_suite.iterdir() if "results" in p.name] == ["results.npz"]
    assert out.read_text() == "before"


def test_unigram_is_a_control_and_the_help_says_so(suite_folder, cli, rows):
    assert {r["model"] for r in rows("--suite", suite_folder, "--checkpoint", "unigram")} == {"unigram"}
    assert "unigram" in cli("losses", "--help")[1]


def test_app_finds_a_relative_cache_where_it_was_started(suite_folder, monkeypatch, tmp_path):
    """Streamlit starts in another folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ | {"INTERFERENCE_CACHE": "kept"})
    monkeypatch.setattr("streamlit.web.cli.main", lambda *a, **n: 0)
    monkeypatch.setattr("interference.__main__._preload", lambda: None)
    with pytest.raises(SystemExit):
        main(["app", "--suite", str(suite_folder)])
    assert Path.cwd() != tmp_path
    assert default_folder() == tmp_path / "kept"


def test_device_too_small_for_the_suite_is_one_message(suite_folder, refused, monkeypatch):
    """What the device says of its memory is asked before anything is put there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2**30))
    message = refused("losses", "--suite", suite_folder, "--device", "cuda")
    assert "cuda" in message
    assert "GiB free" in message
    assert "--device cpu" in message


def test_device_that_runs_out_of_memory_is_one_message(suite_folder, refused, monkeypatch):
    def fail(*arguments, **named):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr("interference.evaluate.sentence_bits_steps", fail)
    message = refused("losses", "--suite", suite_folder, "--checkpoint", "mixed")
    assert "cpu ran out of memory while scoring" in message


@pytest.mark.parametrize(
    "arguments",
    [
        "nonsense", "losses --format xml", "losses --sentences many", "losses --recipe", "losses --nonsense", "merge",
        "merge r.yaml", "demo text", "demo text --language eng --sentences 0", "methods --format",
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2_and_says_so_on_standard_error(arguments, cli):
    code, out, err = cli(*arguments.split())
    assert (code, out) == (2, "")
    assert "Error" in err
    assert "Traceback" not in err


# In a process of its own: nothing of the libraries underneath reaches standard output


def process(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "interference", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )


def test_process_prints_the_table_and_nothing_else(suite_folder, tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", {"mono-eng": 1, "mono-deu": 1})
    done = process("losses", "--suite", suite_folder, "--recipe", recipe, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [row["model"] for row in json.loads(done.stdout)] == ["r", "r"]
    assert "Linear average" in done.stderr


def test_process_writes_a_merge_and_prints_nothing(suite_folder, tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", {"mono-eng": 1, "mono-deu": 1})
    done = process("merge", recipe, "--out", tmp_path / "m", "--suite", suite_folder)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "m" / "model.safetensors").is_file()


def test_process_ends_with_2_and_one_message(tokenizer, tmp_path):
    folder = write_checkpoint(llama(1), tokenizer, tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"cut")
    done = process("losses", "--checkpoint", folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"interference: {folder}: {folder}/model.safetensors can't be read")
    assert len(done.stderr.splitlines()) == 1


def in_terminal(*arguments, table: Path) -> str:
    """What a command writes to a terminal on standard error; standard output goes to the file."""
    outer, inner = pty.openpty()
    with table.open("w") as file:
        command = [sys.executable, "-m", "interference", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=file, stderr=inner, env=os.environ | {"TERM": "xterm"})
    os.close(inner)
    shown = read_terminal(outer, lambda text: False)
    assert process.wait() == 0, shown
    return shown


def read_terminal(terminal: int, enough) -> str:
    """The text of a terminal until it says enough or is closed."""
    text, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline and not enough(text):
        try:
            text += os.read(terminal, 4096) if select.select([terminal], [], [], 1)[0] else b""
        except OSError:  # the other end is closed
            break
    return text.decode(errors="replace")


@pytest.mark.parametrize(
    ("command", "titles"),
    [
        ("suite SUITE --format json", ["opening"]),
        ("merge HERE/r.yaml --suite SUITE --out HERE/m", ["opening", "merging"]),
        ("demo entropy --format json", ["entropy"]),
    ],
)
def test_progress_is_on_standard_error_and_the_table_alone_on_standard_output(command, titles, suite_folder, tmp_path):
    write_recipe(tmp_path / "r.yaml", {"mono-eng": 1, "mono-deu": 1})
    arguments = command.replace("SUITE", str(suite_folder)).replace("HERE", str(tmp_path)).split()
    shown = in_terminal(*arguments, table=tmp_path / "table")
    for title in titles:
        assert title in shown
    table = (tmp_path / "table").read_text()
    assert not table if command.startswith("merge") else json.loads(table)


@pytest.mark.parametrize(
    "command",
    [
        "losses --checkpoint mono-eng",
        "path mono-eng mono-deu --points 3",
        "plane mixed branch-eng branch-deu --language eng --points 3",
        "causal mono-eng mono-deu --language eng",
        "similarity --layer 1",
    ],
)
def test_documents_are_spoken_of_only_where_the_corpus_has_some(command, suite_folder, cli, tmp_path):
    """Without them nothing was resampled by document, and their number is not that of the sentences."""
    table = pd.read_csv(suite_folder / "corpus.tsv", sep="\t", keep_default_na=False)
    table.drop(columns="document").to_csv(tmp_path / "plain.tsv", sep="\t", index=False)
    _, _, said = cli(*command.split(), "--suite", suite_folder)
    assert "documents" in said
    code, _, said = cli(*command.split(), "--suite", suite_folder, "--corpus", tmp_path / "plain.tsv")
    assert code == 0, said
    assert "no document column" in said
    assert "documents" not in said
    assert "by document" not in said


def test_app_starts_in_a_terminal_of_someone_who_never_used_streamlit(suite_folder, tmp_path):
    """With a display and an empty home Streamlit would ask for an e-mail address and wait."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outer, inner = pty.openpty()
    (tmp_path / "home").mkdir()
    command = [sys.executable, "-m", "interference", "app", "--suite", str(suite_folder), "--port", str(port)]
    environment = os.environ | {"HOME": str(tmp_path / "home"), "DISPLAY": ":99", "BROWSER": "true"}
    process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment, cwd=tmp_path)
    os.close(inner)
    try:
        shown = read_terminal(outer, lambda text: b"127.0.0.1:%d\x1b" % port in text or b"Email:" in text)
        assert "Email" not in shown
        assert f"http://127.0.0.1:{port}" in shown
    finally:
        process.terminate()
        process.wait()
