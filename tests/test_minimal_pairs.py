"""Minimal pairs and accuracy on them: the grammar's own pairs, files, scores by second derivations, and the finding."""

import json
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import tokenizers
import torch
from conftest import llama, write_checkpoint
from scipy.stats import binomtest
from transformers import PreTrainedTokenizerFast

from interference.checkpoint import Checkpoint
from interference.demo.forms import LANGUAGES, render
from interference.demo.meaning import DETERMINERS, TENSES, TRANSITIVE_ANIMATE, Phrase, Sentence
from interference.demo.pairs import FEWEST, PER_PHENOMENON, minimal_pairs
from interference.demo.text import held_out, training_text
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.losses import sentence_bits, tokenize
from interference.minimal_pairs import (
    ALL,
    COLUMNS,
    EXAMPLES,
    AccuracyTable,
    Pair,
    PairSet,
    accuracy_table,
    own_pairs,
    read_pairs,
)
from interference.recipe import Recipe
from interference.results import open_evaluator
from interference.scored import UNIGRAM
from interference.statistics import clustered_proportion
from interference.steps import finish
from interference.store import Store
from interference.suite import Suite, open_suite
from interference.sweep import accuracy_steps
from interference.views_accuracy import accuracy_models, accuracy_sentence

PHENOMENA = {  # no gender in English, Turkish and Chinese, no case that an error could show in most
    "eng": {"determiner number", "negation", "order", "subject-verb number"},
    "nld": {"adjective gender", "determiner gender", "order", "subject-verb number"},
    "deu": {"adjective gender", "case", "determiner gender", "order", "subject-verb number"},
    "fra": {"adjective gender", "determiner gender", "negation", "order", "predicate gender", "subject-verb number"},
    "spa": {"adjective gender", "determiner gender", "order", "predicate gender", "subject-verb number"},
    "ita": {"adjective gender", "determiner gender", "order", "predicate gender", "subject-verb number"},
    "rus": {"adjective gender", "case", "determiner gender", "order", "predicate gender", "predicate number",
            "subject-verb gender", "subject-verb number"},
    "tur": {"case", "numeral number", "order", "vowel harmony"},
    "ara": {"adjective gender", "case", "determiner gender", "numeral gender", "order", "subject-verb gender"},
    "zho": {"auxiliary order", "classifier", "order"},
}  # fmt: skip
PAIRS = PairSet(
    "hand",
    (
        Pair("The dog sleeps.", "The dog sleep.", "number", "eng"),
        Pair("A cat eats an apple.", "A cat eats apple an.", "order", "eng"),
        Pair("Der Hund schläft.", "Die Hund schläft.", "gender", "deu"),
    ),
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_pairs_of_a_language(language):
    """Enough of them, of the phenomena that the language has; right sentences of the test half, each with one error."""
    pairs = minimal_pairs(language)
    counted = Counter(pair.phenomenon for pair in pairs)
    assert len(pairs) >= 300
    assert set(counted) == PHENOMENA[language]
    assert all(FEWEST <= count <= PER_PHENOMENON for count in counted.values())
    test_half = {render(language, s) for document in held_out()[::2] for s in document}
    assert {pair.good for pair in pairs} <= test_half
    for pair in pairs:
        good, bad = words(pair.good), words(pair.bad)
        assert pair.bad[0] == pair.bad[0].upper()
        assert pair.bad[-1] == pair.good[-1]
        changed = [a != b for a, b in zip(good, bad, strict=False)]
        if pair.phenomenon.endswith(("order", "negation")) and language not in ("fra", "zho"):
            assert sorted(good) == sorted(bad), pair
            assert good != bad, pair
        elif pair.phenomenon.split()[0] in ("subject-verb", "predicate", "adjective", "determiner", "numeral"):
            assert len(good) == len(bad), pair
            assert sum(changed) == 1, pair
        assert pair.bad != pair.good


def words(text: str) -> list[str]:
    return text[:-1].replace("İ", "i").lower().split()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_wrong_sentence_is_right_in_another_reading(language):
    """The grammar says none of them, whatever the number, determiner, tense and role of the phrases of its meaning."""
    meanings = {render(language, s): s for document in held_out()[::2] for s in document}
    chosen = minimal_pairs(language)
    for pair in chosen[::3]:
        near = {render(language, other) for other in neighbours(meanings[pair.good])}
        assert pair.good in near
        assert pair.bad not in near, pair


def test_the_check_of_readings_can_fail():
    """*Die Schlüssel* for *den Schlüssel* would be a plural."""
    singular = (s for d in held_out() for s in d if s.clauses[0].object and s.clauses[0].object.noun == "key")
    chosen = next(s for s in singular if "den Schlüssel" in render("deu", s))
    assert render("deu", chosen).replace("den Schlüssel", "die Schlüssel") in {
        render("deu", other) for other in neighbours(chosen)
    }


def neighbours(sentence: Sentence) -> list[Sentence]:
    """The sentence with the first clause's phrases of other number and determiner, of other tense, roles exchanged."""
    clause = sentence.clauses[0]
    roles = [("subjects", i) for i in range(len(clause.subjects))] + ["object", "recipient", "place"]
    clauses = [replace(clause, tense=tense, adverbial=a) for tense in TENSES for a in ("", clause.adverbial)]
    for role in roles:
        phrase = clause.subjects[role[1]] if isinstance(role, tuple) else getattr(clause, role)
        if phrase:
            for other in phrases(phrase):
                if isinstance(role, tuple):
                    subjects = [*clause.subjects[: role[1]], other, *clause.subjects[role[1] + 1 :]]
                    clauses.append(replace(clause, subjects=tuple(subjects)))
                else:
                    clauses.append(replace(clause, **{role: other}))
    if clause.object and len(clause.subjects) == 1 and clause.verb in TRANSITIVE_ANIMATE:
        clauses.append(replace(clause, subjects=(clause.object,), object=clause.subjects[0]))
    clauses.append(replace(clause, negated=not clause.negated))
    return [replace(sentence, clauses=(other, *sentence.clauses[1:])) for other in clauses]


def phrases(phrase: Phrase) -> list[Phrase]:
    kinds = [k for k in DETERMINERS if k[0] != "count"]
    counts = [("count", True, n) for n in (2, 3, 7)] if not phrase.relative else []
    return [replace(phrase, determiner=d, plural=p, count=n) for d, p, n in [*((*k, 0) for k in kinds), *counts]]


def test_pairs_are_those_of_their_seed():
    assert minimal_pairs("eng") == minimal_pairs.__wrapped__("eng", 0)
    assert set(minimal_pairs("eng", 1)) != set(minimal_pairs("eng"))
    with pytest.raises(UserError, match="no language 'en': did you mean 'eng'"):
        minimal_pairs("en")


def test_right_sentences_are_never_trained_on():
    text = training_text("eng", 0)
    assert not {pair.good for pair in minimal_pairs("eng")} & {next(text) for _ in range(5000)}


def test_accuracy_by_hand():
    """Two right, one tie and one wrong of four: 2.5 of 4; a tie is one to rounding."""
    pairs = PairSet("p", tuple(Pair(f"a{i}", f"b{i}", "xy"[i % 2], "eng") for i in range(4)))
    bits = {("m", "eng"): np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 2.0 + 1e-9, 9.0, 3.0]])}
    table = accuracy_table(pairs, bits)
    assert tuple(table.frame.columns) == COLUMNS
    assert tuple(table.examples.columns) == EXAMPLES
    whole = table.by("language").iloc[0]
    assert (whole["accuracy"], whole["ties"], whole["pairs"], whole["chance"]) == (2.5 / 4, 1, 4, 0.5)
    assert whole["margin"] == pytest.approx((1 + 0 + 6 - 1) / 4)
    assert table.by("phenomenon").set_index("phenomenon")["accuracy"].to_dict() == {"x": 1.0, "y": 0.25}
    assert table.examples["right"].tolist() == [1, 0.5, 1, 0]
    with pytest.raises(UserError, match="not by 'size'"):
        table.by("size")


@pytest.mark.parametrize(("right", "count"), [(0, 9), (9, 9), (40, 73), (1, 300)])
def test_an_interval_without_clusters_is_wilsons(right, count):
    values = np.array([1.0] * right + [0.0] * (count - right))
    expected = binomtest(right, count).proportion_ci(method="wilson")
    share, low, high = clustered_proportion(values, [str(i) for i in range(count)])
    assert (share, low, high) == pytest.approx((right / count, expected.low, expected.high))


def test_pairs_of_one_document_tell_less():
    """Documents all of one kind are as many pairs as documents; one document alone gives no interval."""
    values = np.repeat([1.0, 0.0, 1.0, 1.0, 0.0, 1.0] * 5, 10)
    documents = np.repeat(np.arange(30), 10).astype(str).tolist()
    _, low, high = clustered_proportion(values, documents)
    expected = binomtest(20, 30).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.01)
    narrow = clustered_proportion(values, [str(i) for i in range(300)])
    assert narrow[2] - narrow[1] < 0.5 * (high - low)
    assert np.isnan(clustered_proportion(values, ["a"] * 300)[1:]).all()


def test_bits_are_those_of_the_sentences(tiny, monkeypatch):
    """Checkpoint and merge against a second derivation; the second time all comes from the store."""
    merge = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    models = {"mono-eng": "mono-eng", "merge": merge, UNIGRAM: UNIGRAM}
    table = finish(accuracy_steps(tiny, models, PAIRS, PAIRS.languages))
    for name, model in (("mono-eng", "mono-eng"), ("merge", merge)):
        rows = table.examples[(table.examples["model"] == name) & (table.examples["language"] == "eng")]
        for side in ("good", "bad"):
            text = tokenize(tiny.suite["mono-eng"].tokenizer, rows[side].tolist())
            np.testing.assert_allclose(rows[f"{side}_bits"], sentence_bits(tiny.networks.put(model), text), rtol=1e-6)
    monkeypatch.setattr(tiny, "score_steps", lambda *rest: pytest.fail("scored again"))
    again = finish(accuracy_steps(tiny, models, PAIRS, PAIRS.languages))
    pd.testing.assert_frame_equal(again.frame, table.frame)


def test_what_is_known_is_told_after_each_language(tiny, monkeypatch):
    monkeypatch.setattr("interference.sweep._PAUSE", 0)
    models = {"merge": Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5)), "init": "init"}
    told: list[AccuracyTable] = []
    whole = finish(accuracy_steps(tiny, models, PAIRS, PAIRS.languages, told.append)).frame
    assert len(told) == len(PAIRS.languages) - 1 > 0
    for count, table in enumerate(told, start=1):
        known = whole[whole["language"].isin(PAIRS.languages[:count])].reset_index(drop=True)
        pd.testing.assert_frame_equal(table.frame, known)


def test_what_is_kept_is_of_these_sentences_and_this_model(tiny):
    """As many other pairs, the sides exchanged, and another model have bits of their own."""
    turned = PairSet("turned", tuple(Pair(p.bad, p.good, p.phenomenon, p.language) for p in PAIRS.of("eng")))
    for name in ("mono-eng", "init"):
        there, back = (
            finish(accuracy_steps(tiny, {name: name}, one, ("eng",))).examples[["good_bits", "bad_bits"]].to_numpy()
            for one in (PAIRS, turned)
        )
        np.testing.assert_allclose(there, back[:, ::-1], rtol=1e-6)
        text = tokenize(tiny.suite[name].tokenizer, [PAIRS.of("eng")[0].good])
        np.testing.assert_allclose(there[0, 0], sentence_bits(tiny.networks.put(name), text)[0], rtol=1e-6)


def test_the_unigram_control_is_blind_to_order(tiny):
    """The same bytes in another order: a tie, which counts half."""
    table = finish(accuracy_steps(tiny, {UNIGRAM: UNIGRAM}, PAIRS, ("eng",)))
    order = table.by("phenomenon").set_index("phenomenon").loc["order"]
    assert (order["accuracy"], order["ties"]) == (0.5, 1)


def test_what_tokenizers_lose_of_pairs_is_said(tiny, tokenizer, tmp_path, monkeypatch):
    """As beside losses, with how many sentences and whose; also where the bits come from the store."""
    lower = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    lower.normalizer = tokenizers.normalizers.Lowercase()
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    folder = write_checkpoint(llama(1), PreTrainedTokenizerFast(tokenizer_object=lower, **named), tmp_path / "lower")
    suite = Suite("own", None, (*tiny.suite.checkpoints, Checkpoint("lower", folder)), tiny.corpus)
    evaluator = Evaluator(suite, Store(tmp_path / "kept"), torch.device("cpu"))
    models = {name: name for name in ("mono-eng", "lower")}
    pairs = PairSet("own", (Pair("Dogs bark.", "dogs bark.", "case", "eng"), Pair("a b", "b a", "order", "eng")))
    said = "Sentences that the tokenizer of lower does not give back: 1 of 4 in eng."
    for _ in range(2):
        table = finish(accuracy_steps(evaluator, models, pairs, ("eng",)))
        assert [note for note in table.notes if "give back" in note] == [said]
        assert table.notes[-1] == "Where a pair's difference is lost, it ties or the number of UNK decides."
        monkeypatch.setattr(evaluator, "_kept", lambda *rest: pytest.fail("read again"))
    assert not any("lost" in note for note in finish(accuracy_steps(tiny, {"init": "init"}, pairs, ("eng",))).notes)


@pytest.mark.parametrize("model", [UNIGRAM, Recipe("regmean", ("mono-eng", "mono-deu"), (0.5, 0.5))])
def test_what_is_learned_from_the_dev_half_is_kept_by_its_documents(model, suite_folder, tmp_path):
    """The first sentence in a document of its own moves all others to the other half."""
    text = (suite_folder / "corpus.tsv").read_text()
    (tmp_path / "moved.tsv").write_text(text.replace("d0\t", "own\t", 1))
    found = []
    for corpus, store in ((None, "one"), (tmp_path / "moved.tsv", "one"), (tmp_path / "moved.tsv", "other")):
        evaluator = Evaluator(open_suite(suite_folder, corpus), Store(tmp_path / store), torch.device("cpu"))
        found.append(finish(evaluator.text_steps(model, ["The dog eats.", "Who is it?"], "eng")))
    first, again, anew = found
    np.testing.assert_array_equal(again, anew)
    assert (first != anew).all()


def test_tokens_are_counted_only_where_there_is_text_to_count(tiny):
    pairs = PairSet("p", (Pair("a", "b", "x", "fra"), Pair("c", "d", "x", "eng")))
    table = finish(accuracy_steps(tiny, {UNIGRAM: UNIGRAM, "init": "init"}, pairs, pairs.languages))
    assert set(zip(table.frame["model"], table.frame["language"], strict=True)) == {
        (UNIGRAM, "eng"), ("init", "fra"), ("init", "eng"),
    }  # fmt: skip
    assert any("no fra" in one for one in table.notes)


@pytest.mark.parametrize("ending", ["tsv", "jsonl", "parquet"])
def test_files_in_multiblimps_columns(ending, tmp_path):
    frame = pd.DataFrame(
        {"sen": ["The dog sleeps.", "Der Hund."], "wrong_sen": ["The dog sleep.", "Die Hund."],
         "phenomenon": ["SV-#", "SP-G"], "language": ["eng", "deu"], "verb": ["sleep", "x"]}
    )  # fmt: skip
    file = tmp_path / f"eng.{ending}"

    def write(part: pd.DataFrame) -> None:
        if ending == "tsv":
            part.to_csv(file, sep="\t", index=False)
        elif ending == "jsonl":
            part.to_json(file, orient="records", lines=True, force_ascii=False)
        else:
            part.to_parquet(file)

    write(frame)
    expected = (Pair("The dog sleeps.", "The dog sleep.", "SV-#", "eng"), Pair("Der Hund.", "Die Hund.", "SP-G", "deu"))
    assert read_pairs(file).pairs == expected
    write(frame[["sen", "wrong_sen"]])
    assert [(p.phenomenon, p.language) for p in read_pairs(file).pairs] == [("pairs", "eng")] * 2
    assert read_pairs(file, "nld").languages == ("nld",)
    with pytest.raises(UserError, match="is a folder"):
        read_pairs(tmp_path)
    (tmp_path / "deu").mkdir()
    assert read_pairs(file.rename(tmp_path / f"deu/data.{ending}")).languages == ("deu",), "as MultiBLiMP lies there"


def test_quoted_speech_is_scored_as_it_is(tmp_path):
    """MultiBLiMP's tables are written with pandas, which puts sentences with quotation marks into more of them."""
    frame = pd.DataFrame({"sen": ['"Go," he says.', "A."], "wrong_sen": ['"Go," he say.', "B."]})
    frame.to_csv(tmp_path / "eng.tsv", sep="\t")
    assert read_pairs(tmp_path / "eng.tsv").pairs[0] == Pair('"Go," he says.', '"Go," he say.', "pairs", "eng")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sen\tbad\na\tb\n", "no column 'wrong_sen'.* It has: sen, bad"),
        ("sen\twrong_sen\n", "holds no minimal pairs|no column 'sen'"),
        ("sen\twrong_sen\na\ta\n \tb\n", "row 1 has the same sentence twice; row 2 has an empty cell"),
        ("sen\twrong_sen\na\n", "line 2 has 1 cells, the header has 2"),
        ("sen\twrong_sen\tphenomenon\na\tb\tall\n", "row 1 has the phenomenon 'all', which is what all of them"),
    ],
)
def test_what_is_no_file_of_pairs(text, message, tmp_path):
    (tmp_path / "p.tsv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_pairs(tmp_path / "p.tsv")
    with pytest.raises(UserError, match="The file of pairs"):
        read_pairs(tmp_path / "q.tsv")


def test_a_few_of_each_phenomenon():
    few = own_pairs(["eng"]).few(3)
    assert set(Counter(pair.phenomenon for pair in few.pairs).values()) == {3}
    assert own_pairs(["eng"]).few(None) == own_pairs(["eng"])
    with pytest.raises(UserError, match="give 1 or more"):
        few.few(0)
    with pytest.raises(UserError, match="no language 'deu'"):
        few.of("deu")


def test_the_finding_on_the_built_in_suite():
    """A mono is right in its own language and guesses in one that it never saw; an average of two guesses in both."""
    evaluator = open_evaluator()
    pairs = own_pairs(["eng", "deu"]).few(8)
    merge = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    table = finish(
        accuracy_steps(
            evaluator, {"mono-eng": "mono-eng", "mono-deu": "mono-deu", "merge": merge}, pairs, pairs.languages
        )
    )
    share = table.by("language").set_index(["model", "language"])["accuracy"]
    for model, language in product(("mono-eng", "mono-deu"), ("eng", "deu")):
        own = model.endswith(language)
        assert share[model, language] > 0.9 if own else 0.3 < share[model, language] < 0.65, (model, language)
    assert share["merge"].between(0.35, 0.75).all()


def test_the_command_prints_the_table(suite_folder, told, refused, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "average.yaml").write_text(Recipe("linear", ("mono-eng", "mono-deu"), (1.0, 1.0)).to_yaml())
    (tmp_path / "eng.tsv").write_text("sen\twrong_sen\tphenomenon\nThe dog sleeps.\tThe dog sleep.\tSV-#\n")
    options = ["--suite", str(suite_folder), "--pairs", "eng.tsv", "--recipe", "average.yaml"]
    options += ["--checkpoint", f"{UNIGRAM},{UNIGRAM}"]
    out, err = told("accuracy", *options, "--by", "phenomenon", "--format", "json")
    rows = json.loads(out)
    assert [(row["model"], row["phenomenon"], row["pairs"]) for row in rows] == [
        ("average", "SV-#", 1),
        (UNIGRAM, "SV-#", 1),
    ]
    assert "a tie counts half" in err
    for wrong, message in ((["--by", "size"], "not by 'size'"), (["--count", "0"], "give 1 or more")):
        assert message in refused("accuracy", *options, *wrong)
    header, first, *_ = told("demo", "pairs", "--language", "eng", "--format", "csv")[0].splitlines()
    assert header == "sen,wrong_sen,phenomenon,language,document"
    assert first.count(",") >= 4
    refused("demo", "pairs", "--language", "xx")


def test_a_table_says_which_merge_it_is_of(tiny):
    merge = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.25))
    table = finish(accuracy_steps(tiny, {"merge": merge, "init": "init"}, PAIRS, PAIRS.languages))
    assert table.provenance["recipes"] == merge.to_yaml()


def test_text_without_documents_has_no_control_that_counts_on_the_dev_half(suite_folder, tmp_path):
    """A table of plain sentences, as many a test set is, has no dev half, and accuracy needs none."""
    (tmp_path / "plain.tsv").write_text("eng\tdeu\nA dog.\tEin Hund.\n", encoding="utf-8")
    merge = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    names = ["merge", "mono-eng", "mono-deu", "init"]
    assert list(accuracy_models(merge, open_suite(suite_folder, tmp_path / "plain.tsv"), ["eng"])) == names
    assert list(accuracy_models(merge, open_suite(suite_folder), ["eng"])) == [*names, "unigram"]


def test_many_ties_are_told():
    """They count half, so a model with UNK for both sentences seems to be at chance."""
    pairs = PairSet("some", tuple(Pair(f"a{i}", f"b{i}", "p", "eng") for i in range(20)))
    apart = np.stack([np.zeros(20), np.ones(20)])
    for ties, told in (
        (1, ()),
        (2, ("Many pairs tie, as where a tokenizer has UNK for both words: up to 2 of 20 of eng.",)),
    ):
        some = apart.copy()
        some[1, :ties] = 0
        table = accuracy_table(pairs, {("one", "eng"): apart, ("two", "eng"): some, ("unigram", "eng"): apart * 0})
        assert tuple(note for note in table.notes if "tie," in note and "Many" in note) == told


def test_pairs_are_found_under_the_codes_of_the_suite():
    """Of two languages of a file that could be the same one neither is taken for the other."""
    own = own_pairs(["eng_Latn", "arb_Arab", "deu"])
    assert own.languages == ("eng_Latn", "arb_Arab", "deu")
    assert own.name == "built-in, eng as eng_Latn, ara as arb_Arab"
    assert [p.good for p in own.of("eng_Latn")] == [p.good for p in own_pairs(["eng"]).pairs]
    assert PAIRS.called(["fra_Latn"]) is PAIRS
    double = PairSet("two", tuple(Pair("a", "b", "p", code) for code in ("ara", "arb")))
    assert double.called(["arb_Arab"]).languages == ("ara", "arb")


def test_a_table_is_all_rows_of_every_language_once(tiny):
    table: AccuracyTable = finish(accuracy_steps(tiny, {"init": "init"}, PAIRS, PAIRS.languages))
    assert (table.frame["phenomenon"] == ALL).sum() == 2
    assert not table.frame.duplicated(["model", "language", "phenomenon"]).any()


def test_pairs_that_were_written_out_are_read_as_they_were(tmp_path):
    """Their documents too: without them intervals of 150 pairs from 50 documents would be too narrow."""
    own = own_pairs(["deu"]).pairs[:150]
    pairs = tuple(replace(pair, cluster=f"{number // 3}") for number, pair in enumerate(own))
    rows = [(pair.good, pair.bad, pair.phenomenon, "deu", pair.cluster) for pair in pairs]
    frame = pd.DataFrame(rows, columns=["sen", "wrong_sen", "phenomenon", "language", "document"])
    frame.to_csv(tmp_path / "pairs.tsv", sep="\t", index=False)
    frame.to_json(tmp_path / "pairs.jsonl", orient="records", lines=True)
    for name in ("pairs.tsv", "pairs.jsonl"):
        assert read_pairs(tmp_path / name).pairs == pairs


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text("merge_method: linear")
    with pytest.raises(UserError, match=r"recipe\.yaml is no table .* expected \.tsv, \.jsonl or \.parquet"):
        read_pairs(tmp_path / "recipe.yaml")


def test_means_in_a_sentence_are_over_the_languages_of_the_merge():
    """A control that was not counted in one of them has no mean to stand beside."""
    rows = [("merge", "eng", 0.9, True), ("merge", "rus", 0.5, False), ("untrained", "eng", 0.6, None),
            ("untrained", "rus", 0.4, None), ("unigram", "eng", 0.7, None)]  # fmt: skip
    said = accuracy_sentence(pd.DataFrame(rows, columns=["role", "language", "accuracy", "above"]))
    assert "right on 70 % of the pairs** (mean of 2 languages; chance 50 %, untrained 50 %)." in said


def test_above_a_control_is_judged_on_the_same_pairs():
    """What is right wherever the control is and in few pairs more is clearly above it, though no interval of one alone
    shows that; what is right as often in other pairs is not."""
    rng, pairs = np.random.default_rng(0), 400
    control = rng.random(pairs) < 0.7
    more = control | (rng.random(pairs) < 0.08)
    others = rng.permutation(more)
    found = PairSet("made", tuple(Pair(f"a {i}", f"b {i}", "order", "eng", f"{i // 4}") for i in range(pairs)))
    right = {"control": control, "more": more, "others": others}
    table = accuracy_table(
        found, {(name, "eng"): np.array([np.zeros(pairs), np.where(won, 1.0, -1.0)]) for name, won in right.items()}
    )
    rows = table.by("language").set_index("model", drop=False)
    assert rows.loc["more", "low"] < rows.loc["control", "accuracy"]
    assert table.above(rows.loc[["more", "others", "control"]], ["control"]) == [True, False, False]
    assert table.above(rows, ["none that was scored"]) == [True, True, True]
    assert table.above(table.by("phenomenon")[lambda frame: frame["model"] == "more"], ["control"]) == [True]
