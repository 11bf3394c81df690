"""Suites: what can be opened, what of it can be merged, and why not."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import gpt2, llama, write_checkpoint, write_corpus
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from interference import losses
from interference.checkpoint import Checkpoint, build
from interference.ensemble import LOGITS, Ensemble
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.figures.losses import heat_map
from interference.generate import equal_merge
from interference.guide import guide
from interference.recipe import Recipe, Slice
from interference.scored import Request
from interference.steps import finish
from interference.store import Store
from interference.suite import RESERVED, Suite, built_in, open_suite, suite_of_paths, with_paths

CPU = torch.device("cpu")


def swapped(tokenizer) -> PreTrainedTokenizerFast:
    """The same tokens with the ids of two of them exchanged."""
    text = tokenizer.backend_tokenizer.to_str().replace('"!":3,', '"!":4,').replace('"\\"":4,', '"\\"":3,')
    other = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(text), bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    assert other.get_vocab() != tokenizer.get_vocab()
    assert sorted(other.get_vocab()) == sorted(tokenizer.get_vocab())
    return other


@pytest.fixture(scope="module")
def mixed_folder(tmp_path_factory, tokenizer):
    """Checkpoints that all open, and of which only `a` and `b` can be merged."""
    folder = tmp_path_factory.mktemp("mixed")
    models = {
        "a": llama(1), "b": llama(2), "deep": llama(3, num_hidden_layers=3), "wide": llama(3, intermediate_size=64),
        "large": llama(3, vocab_size=300), "heads": llama(3, num_attention_heads=8, num_key_value_heads=4),
        "gpt": gpt2(1), "untied": llama(3, tie_word_embeddings=False),
    }  # fmt: skip
    for name, model in models.items():
        write_checkpoint(model, tokenizer, folder / name)
    write_checkpoint(llama(3), swapped(tokenizer), folder / "words")
    return folder


def write_suite(folder, checkpoints: str, more: str = ""):
    file = folder / "suite.yaml"
    file.write_text(f"{more}\ncheckpoints:\n{checkpoints}\n", encoding="utf-8")
    return file


def refusal(*arguments) -> str:
    with pytest.raises(UserError) as error:
        open_suite(*arguments)
    return str(error.value)


@pytest.mark.parametrize(
    ("roles", "together"),
    [
        ({"a": "mono", "deep": "mono", "b": "mono"}, ("a", "b")),  # not all monos, as one has another shape
        ({"a": "other", "b": "other", "deep": "mono", "wide": "mono"}, ("a", "b")),  # no two monos
        ({"deep": "mono", "wide": "mono", "words": "mono"}, ()),
    ],
)
def test_what_is_merged_unless_told_can_be_merged(mixed_folder, roles, together, tmp_path):
    entries = (f"  - {{path: {mixed_folder}/{name}, role: {role}, language: eng}}" for name, role in roles.items())
    suite = open_suite(write_suite(tmp_path, "\n".join(entries)))
    assert suite.together == together
    merge = equal_merge(suite)
    assert (merge.models if merge else ()) == together
    assert bool(guide(suite)) == (roles.get("b") == "mono")
    assert (suite.fits(("a", "b")), suite.fits(("deep", "words"))) == ("b" in roles, False)


def test_a_suite_yaml_its_folder_and_its_relative_paths_are_one_suite(suite_folder, monkeypatch):
    monkeypatch.chdir(suite_folder)
    from pathlib import Path

    opened = [open_suite(p) for p in (suite_folder, suite_folder / "suite.yaml", Path(), Path("suite.yaml"))]
    assert len({(s.name, s.checkpoints, s.path, s.languages) for s in opened}) == 1
    assert opened[0].names == ("init", "mono-eng", "mono-deu", "mixed", "branch-eng", "branch-deu")
    assert opened[0]["mono-deu"].role == "mono"
    assert opened[0].init.name == "init"
    assert [opened[0].reference(lang) for lang in ("eng", "deu", "fra")] == ["mono-eng", "mono-deu", None]


def test_a_folder_of_checkpoint_folders_is_a_suite_of_role_other(mixed_folder):
    """What lies beside them and is no checkpoint is no part of it."""
    opened = open_suite(mixed_folder)
    assert opened.names == ("a", "b", "deep", "gpt", "heads", "large", "untied", "wide", "words")
    assert {c.role for c in opened.checkpoints} == {"other"}
    assert opened.corpus is opened.init is None
    assert opened.languages == ()


def test_one_checkpoint_folder_is_a_suite_of_one(mixed_folder):
    opened = open_suite(mixed_folder / "gpt")
    assert opened.names == ("gpt",)
    assert opened["gpt"].architecture == "GPT2LMHeadModel"


def test_roles_and_references_come_from_the_yaml(mixed_folder, tmp_path):
    file = write_suite(
        tmp_path,
        f"  - {{path: {mixed_folder}/a, role: mono, language: eng, step: 7}}\n"
        f"  - {{name: second, path: {mixed_folder}/b, role: mono, language: eng, parent: a}}",
        "reference: {eng: second, fra: a}",
    )
    opened = open_suite(file)
    assert opened.names == ("a", "second")
    assert (opened["a"].step, opened["second"].parent) == (7, "a")
    assert [opened.reference(lang) for lang in ("eng", "fra")] == ["second", "a"]
    assert opened.languages == ("eng", "fra")


# Which checkpoints can be merged


def test_only_checkpoints_of_one_group_can_be_merged(mixed_folder):
    opened = open_suite(mixed_folder)
    assert {frozenset(g) for g in opened.groups} == {frozenset("ab")} | {
        frozenset([n]) for n in ("deep", "gpt", "heads", "large", "untied", "wide", "words")
    }
    opened.mergeable(["a", "b"])


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("deep", "Only deep has model.layers.2."),
        ("wide", "is [48, 32] in a and [64, 32] in wide"),
        ("large", "model.embed_tokens.weight is [259, 32] in a and [300, 32] in large"),
        ("heads", "num_attention_heads is 4 in a and 8 in heads"),
        ("gpt", "a is a LlamaForCausalLM, gpt a GPT2LMHeadModel"),
        ("untied", "Only untied has lm_head.weight"),
        ("words", "different tokenizers"),
    ],
)
def test_merge_across_groups_is_refused_with_the_reason(other, reason, mixed_folder, tmp_path):
    """In either order; each of the two alone has its losses."""
    write_corpus(tmp_path / "c.tsv")
    opened = open_suite(mixed_folder, tmp_path / "c.tsv")
    for names in (["a", other], [other, "a"], ["a", "b", other]):
        with pytest.raises(UserError, match="can't be merged") as error:
            opened.mergeable(names)
        assert other in str(error.value)
    with pytest.raises(UserError) as error:
        opened.mergeable(["a", other])
    assert reason in str(error.value)
    evaluator = Evaluator(opened, Store(tmp_path), CPU)
    rows = opened.corpus.rows(2)
    assert (evaluator.bits("a", "eng", rows) > 0).all()
    assert (evaluator.bits(other, "eng", rows) > 0).all()
    with pytest.raises(UserError, match="can't be merged"):
        evaluator.bits(Recipe("linear", ("a", other), (1.0, 1.0)), "eng", rows)


def test_each_checkpoint_is_scored_with_its_own_configuration(tokenizer, tmp_path):
    """Equal shapes may go with other rotary frequencies: each alone gives the same as in company."""
    write_checkpoint(llama(1), tokenizer, tmp_path / "s" / "a")
    write_checkpoint(llama(1, rms_norm_eps=0.5), tokenizer, tmp_path / "s" / "b")
    corpus = write_corpus(tmp_path / "c.tsv")
    together = open_suite(tmp_path / "s", corpus)
    rows = together.corpus.rows(4)
    bits = {}
    for name in ("a", "b"):
        alone = Evaluator(open_suite(tmp_path / "s" / name, corpus), Store(tmp_path / f"alone-{name}"), CPU)
        company = Evaluator(together, Store(tmp_path / f"company-{name}"), CPU)
        company.bits("a" if name == "b" else "b", "eng", rows)
        bits[name] = company.bits(name, "eng", rows)
        assert (bits[name] == alone.bits(name, "eng", rows)).all()
    assert abs(bits["a"] - bits["b"]).max() > 0.1


def test_tokens_beyond_the_embedding_are_refused_by_number(tokenizer, tmp_path):
    write_checkpoint(llama(1, vocab_size=40), tokenizer, tmp_path / "small")
    opened = open_suite(tmp_path / "small", write_corpus(tmp_path / "c.tsv"))
    with pytest.raises(UserError, match="vocab_size of 40") as error:
        Evaluator(opened, Store(tmp_path), CPU).bits("small", "eng", opened.corpus.rows(2))
    assert str(tmp_path / "small") in str(error.value)


def test_tokens_that_another_of_the_same_tokenizer_has_rows_for_are_refused_too(tokenizer, tmp_path):
    write_checkpoint(llama(1), tokenizer, tmp_path / "s" / "large")
    write_checkpoint(llama(1, vocab_size=40), tokenizer, tmp_path / "s" / "small")
    opened = open_suite(tmp_path / "s", write_corpus(tmp_path / "c.tsv"))
    evaluator, rows = Evaluator(opened, Store(tmp_path), CPU), opened.corpus.rows(2)
    evaluator.bits("large", "eng", rows)
    with pytest.raises(UserError, match="vocab_size of 40"):
        evaluator.bits("small", "eng", rows)
    with pytest.raises(UserError, match="vocab_size of 40"):
        evaluator.dev.batches(["small"], 2, 2, ["eng"])


# Folders beside the suite


def test_paths_alone_make_a_suite(mixed_folder):
    paths = [str(mixed_folder / "a"), str(mixed_folder / "b"), str(mixed_folder / "a")]
    opened = suite_of_paths(paths)
    assert opened.names == tuple(paths[:2])
    opened.mergeable(paths)


def test_folders_join_a_suite_and_names_stay_names(suite_folder, mixed_folder):
    opened = open_suite(suite_folder)
    joined = with_paths(opened, ["mixed", str(mixed_folder / "a"), "nowhere"])
    assert joined.names == (*opened.names, str(mixed_folder / "a"))
    with pytest.raises(UserError, match="no checkpoint 'nowhere'"):
        joined["nowhere"]


def test_unknown_checkpoint_names_the_nearest(suite_folder):
    with pytest.raises(UserError, match="did you mean 'mono-eng'"):
        open_suite(suite_folder)["mono-engl"]


# What can't be opened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("checkpoints: [", "can't be read as YAML"),
        ("", "needs a list 'checkpoints'"),
        ("checkpoints: {a: b}", "needs a list 'checkpoints'"),
        ("checkpoints: []", "needs a list 'checkpoints'"),
        ("chekpoints:\n- {path: A}", "needs a list 'checkpoints'"),
        ("corpsu: x\ncheckpoints:\n- {path: A}", "unknown key 'corpsu': did you mean 'corpus'?"),
        ("checkpoints:\n- {path: A, rol: mono}", "unknown key 'rol': did you mean 'role'?"),
        ("checkpoints:\n- {path: A, role: momo}", "unknown role 'momo': did you mean 'mono'?"),
        ("checkpoints:\n- {path: A, role: mono}", "a mono needs its 'language'"),
        ("checkpoints:\n- {name: a}", "has no 'path'"),
        ("checkpoints:\n- {path: 3}", "has no 'path'"),
        ("checkpoints:\n- a", "'a' has no 'path'"),
        ("checkpoints:\n- {path: ORG/MODEL}", "`interference hub fetch ORG/MODEL` gets it"),
        ("checkpoints:\n- {path: A}\n- {path: B, name: a}", "two checkpoints are named 'a'"),
        ("checkpoints:\n- {path: A}\n- {path: A}", "two checkpoints are named 'a'"),
        ("reference: {eng: aa}\ncheckpoints:\n- {path: A}", "the reference of eng is 'aa', which is no checkpoint"),
        ("reference: [eng]\ncheckpoints:\n- {path: A}", "'reference' is ['eng']"),
        ("corpus: [x]\ncheckpoints:\n- {path: A}", "'corpus' is ['x']"),
        ("checkpoints:\n- {path: A, role: mono, language: no}", "a: 'language' is False; expected text"),
        ("checkpoints:\n- {path: A, name: 7}", "7: 'name' is 7; expected text"),
        ("checkpoints:\n- {path: A, parent: [b]}", "a: 'parent' is ['b']; expected text"),
        ("name: on\ncheckpoints:\n- {path: A}", "the suite: 'name' is True; expected text"),
        ("reference: {no: a}\ncheckpoints:\n- {path: A}", "'language' is False; expected text"),
        ("checkpoints:\n- {path: A, parent: bb}\n- {path: B}", "its parent 'bb' is no checkpoint: did you mean 'b'?"),
        ("checkpoints:\n- {path: A, step: 1.5}", "a: 'step' is 1.5; expected a whole number"),
        ("checkpoints:\n- {path: A, step: 7k}", "a: 'step' is '7k'; expected a whole number"),
        ("checkpoints:\n- {path: A, step: yes}", "a: 'step' is True; expected a whole number"),
        ("checkpoints:\n- {path: A, step: ''}", "a: 'step' is ''; expected a whole number"),
        ("checkpoints:\n- {path: A, revision: main}", "'revision' (main) belongs to a repository of the Hub"),
        ("checkpoints:\n- {path: ~nobody-of-this-name/x}", "~nobody-of-this-name/x is no path"),
        ("corpus: ~nobody-of-this-name/x\ncheckpoints:\n- {path: A}", "~nobody-of-this-name/x is no path"),
        ("corpus: nowhere.tsv\ncheckpoints:\n- {path: A}", "nowhere.tsv does not exist"),
        ("reference: {eng: a, eng: b}\ncheckpoints:\n- {path: A}\n- {path: B}", "the key 'eng' stands twice"),
    ],
)
def test_suite_yaml_that_cannot_be_used(text, expected, mixed_folder, tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text(text.replace("A", str(mixed_folder / "a")).replace("B", str(mixed_folder / "b")))
    message = refusal(tmp_path)
    assert expected in message
    assert str(tmp_path) in message


@pytest.mark.parametrize("name", RESERVED)
def test_names_of_other_table_rows_are_refused(name, mixed_folder, tmp_path):
    """In a suite.yaml, in a folder of folders, and as a folder named alone."""
    shutil.copytree(mixed_folder / "a", tmp_path / "folders" / name)
    file = write_suite(tmp_path, f"  - {{path: {mixed_folder}/a, name: '{name}'}}")
    for path in (file, tmp_path / "folders", tmp_path / "folders" / name):
        message = refusal(path)
        assert f"named '{name}'" in message
        assert "Rename" in message


def test_reserved_names_are_those_that_tables_use():
    from interference.ensemble import KINDS
    from interference.scored import BIGRAM, UNIGRAM
    from interference.views import BEFORE, MERGE, PERFECT, RESCALED

    assert set(RESERVED) == {MERGE, BEFORE, RESCALED, UNIGRAM, BIGRAM, PERFECT, *KINDS.values()}


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "x" * 5000, "\0"])
def test_what_cannot_be_a_path_is_a_message_everywhere(path, suite_folder):
    from pathlib import Path

    ways = (
        lambda: open_suite(Path(path)),
        lambda: suite_of_paths([path]),
        lambda: with_paths(open_suite(suite_folder), [path])[path],
    )
    for way in ways:
        with pytest.raises(UserError) as error:
            way()
        assert path[:20] in str(error.value)


def test_a_folder_that_may_not_be_read_is_named(suite_folder, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self.path))

    monkeypatch.setattr(Checkpoint, "files", property(refuse))
    message = refusal(suite_folder / "mixed")
    assert "Permission denied" in message
    assert str(suite_folder / "mixed") in message


def test_two_entries_without_a_name_are_two_checkpoints(mixed_folder, tmp_path):
    file = write_suite(tmp_path, f"  - {{path: {mixed_folder}/a}}\n  - {{path: {mixed_folder}/b}}")
    assert open_suite(file).names == ("a", "b")


def test_everything_wrong_is_said_at_once(mixed_folder, tmp_path):
    file = write_suite(tmp_path, "  - {path: x, rol: mono}\n  - {path: y, role: momo}", "corpsu: c.tsv")
    message = refusal(file)
    assert all(part in message for part in ("corpsu", "rol", "momo", "/x is not", "/y is not"))


def test_every_checkpoint_that_cannot_be_read_is_named_at_once(mixed_folder, tmp_path):
    for name in "abc":
        shutil.copytree(mixed_folder / "a", tmp_path / name)
    (tmp_path / "a" / "model.safetensors").write_bytes(b"cut")
    (tmp_path / "c" / "config.json").write_text("{")
    message = refusal(tmp_path)
    assert "2 checkpoints can't be read" in message
    assert str(tmp_path / "a" / "model.safetensors") in message
    assert str(tmp_path / "c" / "config.json") in message


def test_places_without_a_suite_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "does not exist" in refusal(tmp_path / "nowhere")
    assert "holds no suite.yaml" in refusal(tmp_path / "empty")
    assert "can't be read as YAML" in refusal(tmp_path / "binary")
    for name in ("nowhere", "empty", "binary"):
        assert str(tmp_path / name) in refusal(tmp_path / name)


def test_corpus_with_a_language_that_the_suite_lacks_is_refused(suite_folder, mixed_folder, tmp_path):
    """A likely misspelling where the suite names its languages; a suite that names none takes any text."""
    text = write_corpus(tmp_path / "c.tsv").read_text()
    (tmp_path / "c.tsv").write_text(text.replace("deu", "ger", 1))
    message = refusal(suite_folder, tmp_path / "c.tsv")
    assert "'ger'" in message
    assert "deu" in message
    assert str(tmp_path / "c.tsv") in message
    assert open_suite(mixed_folder, tmp_path / "c.tsv").corpus.languages == ("eng", "ger")


def test_languages_of_a_corpus_beyond_the_suites_are_left_and_named(suite_folder, tmp_path):
    """As of a text in two hundred languages; the numbers are those of the text without them."""
    rows = write_corpus(tmp_path / "two.tsv").read_text().splitlines()
    wide = [f"{row}\t{'fra' if not number else 'Oui.'}" for number, row in enumerate(rows)]
    (tmp_path / "three.tsv").write_text("\n".join(wide) + "\n")
    tables = []
    for name in ("two", "three"):
        evaluator = Evaluator(open_suite(suite_folder, tmp_path / f"{name}.tsv"), Store(tmp_path / name), CPU)
        tables.append(evaluator.table(Request((("init", "init"),), evaluator.corpus.languages)))
    assert tables[0].frame.equals(tables[1].frame)
    assert set(tables[1].notes) - set(tables[0].notes) == {"Not read of three: fra, no language of the suite."}


def test_nan_is_found_when_the_weights_are_read(mixed_folder, tmp_path):
    for name in "ab":
        shutil.copytree(mixed_folder / name, tmp_path / "s" / name)
    state = load_file(tmp_path / "s" / "b" / "model.safetensors")
    state["model.norm.weight"][5] = float("nan")
    save_file(state, tmp_path / "s" / "b" / "model.safetensors", metadata={"format": "pt"})
    opened = open_suite(tmp_path / "s", write_corpus(tmp_path / "c.tsv"))
    evaluator, rows = Evaluator(opened, Store(tmp_path), CPU), opened.corpus.rows(2)
    for model in ("b", Recipe("linear", ("a", "b"), (1.0, 1.0))):
        with pytest.raises(UserError, match="NaN") as error:
            evaluator.bits(model, "eng", rows)
        assert str(tmp_path / "s" / "b" / "model.safetensors") in str(error.value)
    assert (evaluator.bits("a", "eng", rows) > 0).all(), "the good one still works in the same evaluator"


def test_entropy_table_must_fit_the_corpus(mixed_folder, tmp_path):
    write_corpus(tmp_path / "c.tsv")
    lines = (tmp_path / "c.tsv").read_text().splitlines()
    numbers = [lines[0], *(f"{line.split(chr(9))[0]}\t1.5\t2.5" for line in lines[1:])]
    file = write_suite(tmp_path, f"  - {{path: {mixed_folder}/a}}", "corpus: c.tsv\nentropy: e.tsv")
    (tmp_path / "e.tsv").write_text("\n".join(numbers))
    assert open_suite(file).corpus.entropy["deu"][:2] == (2.5, 2.5)
    (tmp_path / "e.tsv").write_text("\n".join(numbers[:-1]))
    assert "e.tsv has other columns or rows" in refusal(file)
    (tmp_path / "e.tsv").write_text("\n".join([*numbers[:-1], "d3\tmany\t1"]))
    assert "'many'" in refusal(file)
    for number in ("nan", "inf", "-1"):
        (tmp_path / "e.tsv").write_text("\n".join([*numbers[:-1], f"d3\t1\t{number}"]))
        assert f"e.tsv has {number} for deu; expected bits per sentence, 0 or more" in refusal(file)


def test_the_built_in_suite_opens_whole():
    """Ten languages, one merging group, a reference for each language."""
    opened = open_suite()
    assert opened.path == built_in() / "suite.yaml"
    assert len(opened.groups) == 1
    assert len(opened.corpus.languages) == 10
    assert all(opened.reference(language) for language in opened.corpus.languages)


def test_a_suite_is_made_in_python_too(mixed_folder):
    made = Suite("mine", None, (Checkpoint("a", mixed_folder / "a"), Checkpoint("g", mixed_folder / "gpt")))
    assert made.groups == (("a",), ("g",))


def test_a_lora_is_refused_as_one(mixed_folder):
    made = Suite("mine", None, (Checkpoint("a", mixed_folder / "a"),))
    with pytest.raises(UserError, match=r"no checkpoint 'a\+b'.* LoRA"):
        made.mergeable(["a+b"])


def test_a_model_that_has_no_value_is_no_row_of_the_heat_map():
    """The perfect model has a loss, but no cost against a reference."""
    frame = pd.DataFrame(
        {"model": ["perfect model", "a"], "language": "eng", "value": [1.0, 2.0], "low": 0.5, "high": 2.5}
    ).assign(
        bits_per_byte=1.0, cost_value=[float("nan"), 0.0], cost_low_value=float("nan"), cost_high_value=float("nan")
    )
    assert list(heat_map(frame, "loss", "bits").data[0].y) == ["perfect model", "a"]
    assert list(heat_map(frame, "cost against the reference", "bits").data[0].y) == ["a"]


def poor_and_rich(tokenizer, tmp_path, **references) -> Evaluator:
    """Two checkpoints: one whose tokenizer has few letters, one that loses nothing."""
    letters = {token: number for number, token in enumerate(["<s>", "<unk>", *"Thedogslps."])}
    poor = Tokenizer(models.WordLevel(letters, unk_token="<unk>"))
    poor.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=poor, bos_token="<s>", unk_token="<unk>")
    write_checkpoint(llama(1), fast, tmp_path / "poor")
    write_checkpoint(llama(2), tokenizer, tmp_path / "rich")
    suite = replace(open_suite(tmp_path, write_corpus(tmp_path / "corpus.tsv")), references=references)
    return Evaluator(suite, Store(tmp_path / "s"), CPU)


def test_numbers_of_a_tokenizer_that_loses_text_are_marked_and_said_once_for_each(tokenizer, tmp_path):
    """Monolingual tokenizers read a foreign script as few UNK, which looks better than to know the language."""
    evaluator = poor_and_rich(tokenizer, tmp_path)
    table = evaluator.table(Request((("poor", "poor"), ("rich", "rich")), ("eng", "deu"), 2))
    cells = heat_map(table.in_unit("bits per sentence"), "loss", "bits per sentence").data[0].text
    assert [[cell.endswith("*") for cell in row] for row in cells] == [[True, True], [False, False]]
    (lost,) = [note for note in table.notes if "poor" in note]
    assert lost.count("2 of 2 (") == 2
    assert "does not give back: 2 of 2 (" in lost
    assert sum("UNK log2 of the vocabulary" in note for note in table.notes) == 1


def test_what_costs_are_counted_from_may_lose_text_too(tokenizer, tmp_path):
    table = poor_and_rich(tokenizer, tmp_path, eng="poor").table(Request((("rich", "rich"),), ("eng",), 2))
    assert any("the tokenizer of poor does not give back: 2 of 2 (" in note for note in table.notes)
    assert np.isfinite(table.in_unit("bits per byte")["value"]).all()
    assert table.in_unit("bits per byte")["cost_value"].isna().all()
    assert np.isfinite(table.frame["cost"]).all()


def test_an_estimate_has_no_more_bits_per_byte_than_the_full_result(tokenizer, tmp_path):
    evaluator = poor_and_rich(tokenizer, tmp_path, eng="poor", deu="rich")
    request = Request((("poor", "poor"), ("rich", "rich")), ("eng", "deu"), 4)
    estimate = finish(evaluator.glimpse_steps(request))
    table = evaluator.table(request)
    for unit in table.units:
        for column in ("value", "cost_value"):
            assert (estimate.in_unit(unit)[column].isna() == table.in_unit(unit)[column].isna()).all(), (unit, column)
    assert (estimate.frame["bits_per_byte"].isna() == table.frame["bits_per_byte"].isna()).all()


def test_parents_that_read_text_otherwise_are_named_beside_a_merge(tokenizer, tmp_path):
    """Token ids are the same, so they can be merged, and the merge reads as its first model does."""
    lower = copy.deepcopy(tokenizer)
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    for name, own in (("as-written", tokenizer), ("lower", lower), ("as-written-too", tokenizer)):
        write_checkpoint(llama(1), own, tmp_path / name)
    evaluator = Evaluator(open_suite(tmp_path, write_corpus(tmp_path / "corpus.tsv")), Store(tmp_path / "s"), CPU)

    def notes(*names):
        recipe = Recipe("linear", names, (0.5, 0.5))
        return [note for note in evaluator.table(Request((("m", recipe),), ("eng",), 2)).notes if "first model" in note]

    said = "Merges whose first model is {} read text as it does, not as {}."
    assert notes("as-written", "lower") == [said.format("as-written", "lower")]
    assert notes("lower", "as-written") == [said.format("lower", "as-written")]
    assert notes("as-written", "as-written-too") == []


@pytest.mark.parametrize(
    ("names", "reference", "told"),
    [
        (("rich", "unigram"), "poor", True), (("unigram",), "rich", True), (("bigram",), "poor", False),
        (("poor", "unigram"), "poor", False), (("rich",), "poor", False),
    ],
)  # fmt: skip
def test_whose_tokens_are_counted_is_said_where_others_stand_beside(tokenizer, tmp_path, names, reference, told):
    evaluator = poor_and_rich(tokenizer, tmp_path, eng=reference)
    notes = evaluator.table(Request(tuple((name, name) for name in names), ("eng",), 2)).notes
    assert ("Tokens are counted as poor has them; others are those of rich." in notes) == told


def test_models_scored_in_turns_are_scored_as_alone(tokenizer, tmp_path, monkeypatch):
    """Whatever is put between two batches: checkpoints in bfloat16, a merge, merges of other depths, an ensemble."""
    monkeypatch.setitem(losses._BATCH_TOKENS, "cpu", 24)
    for seed, name in ((1, "a"), (2, "b")):
        write_checkpoint(llama(seed).bfloat16(), tokenizer, tmp_path / "suite" / name)
    write_corpus(tmp_path / "c.tsv")
    whole, one = Slice(("a",), ((0, 2),)), Slice(("b",), ((0, 1),))
    scored = (
        "a", "b", Recipe("linear", ("a", "b"), (0.3, 0.7)), Recipe("passthrough", slices=(whole, one)),
        Recipe("passthrough", slices=(one,)), Ensemble(("a", "b"), LOGITS),
    )  # fmt: skip

    alone: list[np.ndarray] = []
    turns: list[object] = []
    for model in scored:
        evaluator = Evaluator(open_suite(tmp_path / "suite", tmp_path / "c.tsv"), Store(tmp_path), CPU)
        alone.append(finish(begun(evaluator, model), turns.append))
    assert len(turns) > 3 * len(scored), "there are batches to come between"
    for number, bits in in_turns(tmp_path, scored).items():
        np.testing.assert_array_equal(bits, alone[number], err_msg=str(scored[number]))


def begun(evaluator, model):
    return evaluator.score_steps(model, evaluator.text(evaluator.suite["a"], "eng", evaluator.corpus.rows(None)))


def in_turns(tmp_path, scored):
    """The bits of models, by place, that are put one after the other between their batches."""
    evaluator = Evaluator(open_suite(tmp_path / "suite", tmp_path / "c.tsv"), Store(tmp_path), CPU)
    running, found = {number: begun(evaluator, model) for number, model in enumerate(scored)}, {}
    while running:
        for number, steps in list(running.items()):
            try:
                next(steps)
            except StopIteration as end:
                found[number] = end.value
                del running[number]
    return found


def test_merges_of_slices_are_scored_as_alone_while_others_of_their_depth_and_another_are(
    tokenizer, tmp_path, monkeypatch
):
    """The network of one depth is given up for that of another, but not while somebody is in the middle of it; and
    slices that make up the parents' own depth are put into the network of the parents, which stays."""
    monkeypatch.setitem(losses._BATCH_TOKENS, "cpu", 24)
    for seed, name in ((1, "a"), (2, "b")):
        write_checkpoint(llama(seed), tokenizer, tmp_path / "suite" / name)
    write_corpus(tmp_path / "c.tsv")

    def sliced(*parts):
        return Recipe("passthrough", slices=tuple(Slice((name,), (layers,)) for name, layers in parts))

    deep = sliced(("a", (0, 2)), ("b", (0, 1))), sliced(("b", (0, 2)), ("a", (0, 1)))
    own, shallow = sliced(("a", (0, 1)), ("b", (1, 2))), sliced(("b", (0, 1)))
    for scored in ((*deep, shallow), (own, "a", "b", shallow)):
        for number, bits in in_turns(tmp_path, scored).items():
            evaluator = Evaluator(open_suite(tmp_path / "suite", tmp_path / "c.tsv"), Store(tmp_path), CPU)
            alone = finish(begun(evaluator, scored[number]))
            np.testing.assert_array_equal(bits, alone, err_msg=str(scored[number]))


def test_a_network_leaves_the_configuration_that_it_is_of(tokenizer, tmp_path):
    """It is told from others by that."""
    write_checkpoint(llama(1).bfloat16(), tokenizer, tmp_path / "m")
    config = Checkpoint("m", tmp_path / "m").config
    before = config.to_json_string()
    build(config)
    assert config.to_json_string() == before
    assert '"dtype": "bfloat16"' in before


def test_what_another_transformers_computed_is_not_taken(suite_folder, tmp_path, monkeypatch):
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path), torch.device("cpu"))
    before = evaluator.key("init", "eng")
    monkeypatch.setattr("interference.evaluate.TRANSFORMERS", "transformers 0")
    assert evaluator.key("init", "eng") != before
