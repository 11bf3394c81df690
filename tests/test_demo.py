"""The built-in suite: its grammar, its entropy, its training, and that what ships is what the code makes."""

import math
import pickle
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from types import ModuleType

import numpy as np
import pytest
import torch

from interference.demo import meaning, train
from interference.demo.forms import LANGUAGES, render
from interference.demo.text import corpus_tables, held_out, held_out_texts, text_bits, training_text
from interference.errors import UserError
from interference.suite import built_in


@pytest.mark.parametrize("language", LANGUAGES)
def test_different_meanings_read_differently(language):
    """Two meanings share a text only where a language may leave *the* against *a* unsaid."""
    sampler = meaning.Sampler("injective")
    seen: dict = {}
    for _ in range(4000):
        sentence = sampler.sentence()
        text = render(language, sentence)
        other = seen.setdefault(text, sentence)
        assert other == sentence or sentence in set(meaning.variants(other)), (text, other, sentence)
        assert text == text.strip()
        assert "  " not in text
        assert text[-1] in ".?。？؟"


def test_every_concept_has_a_form_of_its_own_in_every_language():
    """Swapping one concept for another of its list changes the text, for all nouns, verbs, adjectives, adverbials."""
    dog = meaning.Phrase("dog", "the", False)
    nouns = [_clause("sleep", meaning.Phrase(n, "the", False)) for n in meaning.ANIMATES]
    things = [_clause("buy", dog, object=meaning.Phrase(n, "the", False)) for n in meaning.THINGS]
    places = [_clause("sleep", dog, place=meaning.Phrase(n, "the", False)) for n in meaning.PLACES]
    verbs = [_clause(v, dog) for v in meaning.INTRANSITIVE]
    animate = [_clause(v, dog, object=dog) for v in meaning.TRANSITIVE_ANIMATE]
    thing = [_clause(v, dog, object=meaning.Phrase("book", "the", False)) for v in meaning.TRANSITIVE_THING]
    given = [_clause(v, dog, object=meaning.Phrase("book", "the", False), recipient=dog) for v in meaning.DITRANSITIVE]
    motion = [_clause(v, dog, place=meaning.Phrase("house", "the", False)) for v in meaning.MOTION]
    predicates = [_clause("be", dog, predicate=a) for a in meaning.ADJECTIVES_ANIMATE]
    adjectives = [
        _clause("buy", dog, object=meaning.Phrase("book", "the", False, adjective=a)) for a in meaning.ADJECTIVES_THING
    ]
    adverbials = [_clause("sleep", dog, tense="past", adverbial=a) for a in meaning.ADVERBIALS_ANY]
    counts = [_clause("sleep", meaning.Phrase("dog", "count", True, n)) for n in meaning.COUNTS]
    determiners = [_clause("sleep", meaning.Phrase("dog", d, p)) for d, p in meaning.DETERMINERS if d in ("this", "my")]
    for family in (
        nouns,
        things,
        places,
        verbs,
        animate,
        thing,
        given,
        motion,
        predicates,
        adjectives,
        adverbials,
        counts,
        determiners,
    ):
        for language in LANGUAGES:
            texts = [render(language, sentence) for sentence in family]
            assert len(set(texts)) == len(texts), (language, [t for t, n in Counter(texts).items() if n > 1])


def _clause(verb: str, subject: meaning.Phrase, tense: str = "present", **parts) -> meaning.Sentence:
    frame = next(frame for frame, verbs in meaning.VERBS.items() if verb in verbs)
    return meaning.Sentence((meaning.Clause(frame, (subject,), verb, tense, **parts),))


def test_sizes_of_the_lexicon():
    """At least 60 nouns, 40 verbs, 30 adjectives and 20 adverbials."""
    adjectives = {a for group in meaning.ADJECTIVES.values() for a in group}
    assert sum(map(len, meaning.NOUNS.values())) >= 60
    assert sum(map(len, meaning.VERBS.values())) >= 40
    assert len(adjectives) >= 30
    assert len(set(meaning.ADVERBIALS)) >= 20
    assert sorted(meaning.ANIMATES) == sorted(meaning.PERSONS + meaning.ANIMALS)


@pytest.mark.parametrize("document", [False, True])
def test_probability_of_a_meaning_two_ways(document):
    """What the sampler spent while drawing equals what the finished meaning costs, in and out of documents."""
    sampler = meaning.Sampler("bits")
    if document:
        sampler.document(1)
    for _ in range(500):
        sentence = sampler.sentence()
        assert math.isclose(meaning.log2_probability(sentence), -sampler.bits, abs_tol=1e-9)


def test_a_sentence_of_a_document_is_distributed_like_a_free_one():
    """The cast links sentences without changing what one sentence says: first subjects are as frequent in both."""

    def subjects(sentences) -> Counter:
        return Counter(c.subjects[0].noun for s in sentences for c in s.clauses[:1] if c.subjects)

    sampler = meaning.Sampler("documents")
    free = subjects(sampler.sentence() for _ in range(20000))
    linked = subjects(s for _ in range(4000) for s in sampler.document(5))
    for noun in meaning.ANIMATES[:10]:
        a, b = free[noun] / free.total(), linked[noun] / linked.total()
        assert abs(a - b) < 0.25 * a, (noun, a, b)


def test_documents_share_participants():
    """Sentences of one document meet each other's nouns more often than sentences of different documents."""

    def overlap(a, b) -> bool:
        return bool({p.noun for c in a.clauses for p in c.subjects} & {p.noun for c in b.clauses for p in c.subjects})

    documents = held_out()
    within = np.mean([overlap(d[i], d[i + 1]) for d in documents for i in range(19)])
    across = np.mean([overlap(d[i], e[i]) for d, e in pairwise(documents) for i in range(20)])
    assert within > 1.5 * across


def test_entropy_counts_every_meaning_that_reads_alike():
    """English says every difference; Russian leaves articles unsaid, so its text is more probable."""
    sentence = _clause("sleep", meaning.Phrase("dog", "the", False))
    other = _clause("sleep", meaning.Phrase("dog", "a", False))
    assert math.isclose(text_bits("eng", sentence), -meaning.log2_probability(sentence))
    both = sum(2 ** meaning.log2_probability(s) for s in (sentence, other))
    assert math.isclose(text_bits("rus", sentence), -math.log2(both))


@pytest.mark.parametrize("language", LANGUAGES)
def test_training_text_leaves_out_the_held_out_set(language):
    """No held-out sentence is ever printed, and the same seed gives the same text."""
    text = list(islice(training_text(language, 0), 20000))
    assert not held_out_texts(language) & set(text)
    assert text[:50] == list(islice(training_text(language, 0), 50))
    assert text[:50] != list(islice(training_text(language, 1), 50))


def test_the_filter_of_training_text_can_fail(monkeypatch):
    """With the first sentence of a stream held out, the stream starts with the second."""
    first, second = islice(training_text("eng", 0), 2)
    monkeypatch.setattr("interference.demo.text.held_out_texts", lambda language: frozenset({first}))
    assert next(training_text("eng", 0)) == second


def test_shipped_text_is_what_the_grammar_says():
    """corpus.tsv and entropy.tsv are exactly what the code makes today: 50 documents of 20 sentences, ten languages."""
    for table, file in zip(corpus_tables(), ("corpus.tsv", "entropy.tsv"), strict=True):
        assert (built_in() / file).read_text(encoding="utf-8") == "".join("\t".join(row) + "\n" for row in table)
    assert [len(d) for d in held_out()] == [20] * 50


@pytest.fixture
def tiny_training(tmp_path, monkeypatch):
    """Training shrunk to a few seconds."""
    monkeypatch.setattr(
        train,
        "CONFIG",
        train.CONFIG | {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "vocab_size": 300},
    )
    monkeypatch.setattr(train, "BATCH", 4)
    monkeypatch.setattr(train, "KEEP_EVERY", 3)
    train.train_tokenizer(20).save_pretrained(tmp_path / "tokenizer")
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def test_training_is_deterministic_and_resumes_exactly(tiny_training):
    """An interrupted run goes on to the very weights of an uninterrupted one."""
    run = replace(train.runs()[1], steps=8)
    whole = train.train(run, tiny_training)
    weights = (whole / "model.safetensors").read_bytes()
    whole.rename(tiny_training / "kept")

    def interrupt(step: int) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.train(run, tiny_training, interrupt)
    assert (tiny_training / f".{run.name}.state").is_file()
    assert (train.train(run, tiny_training) / "model.safetensors").read_bytes() == weights
    assert not (tiny_training / f".{run.name}.state").exists()


@pytest.fixture
def few_runs(tmp_path, monkeypatch):
    """A suite of init and one monolingual model; the folder has no tokenizer yet."""
    # New processes run the main module again, and tests of pages leave one of theirs there.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    few = [replace(run, steps=min(run.steps, 2)) for run in train.runs()[:2]]
    monkeypatch.setattr(train, "runs", lambda: few)
    monkeypatch.setattr(train, "train_tokenizer", partial(train.train_tokenizer, 20))
    monkeypatch.setattr(train, "corpus_tables", lambda: ([], []))
    return tmp_path / "out"


def test_finished_runs_count_as_done(few_runs):
    """A resumed training ends at all of its steps, and one that was finished trains nothing."""
    for run in train.runs():
        (few_runs / run.name).mkdir(parents=True)
        (few_runs / run.name / "config.json").write_text("{}")
    seen: list[dict] = []
    train.train_suite(few_runs, 1, seen.append)
    assert seen[-1] == {run.name: run.steps for run in train.runs()}
    assert not (few_runs / "tokenizer").exists()


def test_tokenizer_is_there_complete_or_not_at_all(few_runs, monkeypatch):
    """Interrupted while its files are written, it is written again, not taken for finished."""
    from transformers import PreTrainedTokenizerFast

    save = PreTrainedTokenizerFast.save_pretrained

    def interrupted(self, folder):
        save(self, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(PreTrainedTokenizerFast, "save_pretrained", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.train_suite(few_runs, 1, print)
    assert not (few_runs / "tokenizer").exists()
    monkeypatch.setattr(PreTrainedTokenizerFast, "save_pretrained", save)
    train._write_tokenizer(few_runs)
    assert PreTrainedTokenizerFast.from_pretrained(few_runs / "tokenizer").pad_token_id == 2
    assert not (few_runs / ".tokenizer.part").exists()


def test_training_into_a_file_is_one_message(few_runs):
    few_runs.write_text("here")
    with pytest.raises(UserError, match="name another") as error:
        train.train_suite(few_runs, 1, print)
    assert str(few_runs) in str(error.value)


def test_disk_that_fills_while_training_is_one_message(tiny_training, monkeypatch):
    """torch has an error of its own for it, raised in another process."""

    def fail(*arguments):
        raise RuntimeError("[enforce fail at inline_container.cc] PytorchStreamWriter failed writing file data/1")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(UserError, match="PytorchStreamWriter") as error:
        train._train_reporting(replace(train.runs()[1], steps=8), tiny_training, {})
    assert str(tiny_training) in str(pickle.loads(pickle.dumps(error.value)))


def test_training_sees_every_sentence_between_bos_and_eos(tiny_training):
    """Batches hold whole sentences of the run's language, right-padded."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_training / "tokenizer")
    run = replace(train.runs()[3], steps=4)
    for ids in train.batches(run, tokenizer, 0):
        for row in ids.tolist():
            body = row[: row.index(1) + 1]
            assert body[0] == 0
            assert set(row[len(body) :]) <= {2}
            assert tokenizer.decode(body[1:-1]).endswith((".", "?"))


def test_runs_are_the_suite():
    """init, ten monos, mixed, ten branches, a twin and two siblings; the same and different beginnings where meant."""
    runs = {run.name: run for run in train.runs()}
    assert len(runs) == 25
    assert len({runs[f"mono-{language}"].seed for language in LANGUAGES} | {runs["init"].seed}) == 11
    assert runs["mixed"].seed == runs["init"].seed
    assert runs["mixed"].steps == runs["mono-eng"].steps
    assert runs["twin-eng"].seed != runs["mono-eng"].seed
    assert runs["twin-eng"].languages == ("eng",)
    assert runs["sibling-eng"].seed == runs["sibling-deu"].seed
    assert all(runs[f"branch-{language}"].parent == "mixed" for language in LANGUAGES)
