"""Minimal pairs: held-out sentences of the built-in suite beside the same ones with a single error of grammar.

Agreement errors need no rules of a language: the sentence is said again with a noun of another number or gender, and
one word that then changes, and belongs to what must agree with the noun, is put back into the sentence. Errors of case
and order are made phrase by phrase (phrase_errors). What another reading would make grammatical is left out, with the
reason.
"""

import functools
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from interference.demo.forms import LANGUAGES, ara, deu, finish, fra, ita, nld, render, rus, spa
from interference.demo.meaning import NOUNS, PERSONS, Clause, Phrase, Sentence, noun_class
from interference.demo.phrase_errors import CASE, ORDER, OWN
from interference.demo.text import held_out
from interference.errors import UserError, nearest
from interference.minimal_pairs import Pair

PER_PHENOMENON = 120  # pairs kept of each phenomenon, at most
FEWEST = 10  # a phenomenon with fewer is left out
Error = tuple[str, str]  # phenomenon, ungrammatical text

# fmt: off
GENDERS = {
    "nld": lambda noun: nld.NOUNS[noun].split()[0], "deu": lambda noun: deu.NOUNS[noun][0],
    "fra": lambda noun: "f" if noun in fra.FEMININE else "m", "spa": lambda noun: "f" if noun in spa.FEMININE else "m",
    "ita": lambda noun: "f" if noun in ita.FEMININE else "m", "rus": rus._gender,
    "ara": lambda noun: "f" if ara._is_feminine(noun) else "m",
}
_MODIFIERS = ["determiner gender", "adjective gender"]
_ROMANCE = {
    "subject": ["verb number", "verb gender", "predicate number", "predicate gender", *_MODIFIERS],
    "object": _MODIFIERS, "place": _MODIFIERS,
}
AGREEMENT: dict[str, dict[str, list[str]]] = {  # language: by the noun's role, what agrees with it and in what
    "eng": {"subject": ["verb number", "determiner number"], "object": ["determiner number"]},
    "nld": {"subject": ["verb number", *_MODIFIERS], "object": _MODIFIERS},
    "deu": {"subject": ["verb number"], "object": _MODIFIERS},
    "fra": _ROMANCE, "spa": _ROMANCE, "ita": _ROMANCE,
    "rus": _ROMANCE | {"place": ["adjective gender"]},
    "ara": {"subject": ["verb gender", "predicate gender"], "object": _MODIFIERS, "place": ["adjective gender"]},
}
# Other persons may be women or men: la juge, врач пришла, la poeta.
SEXED = {
    "man", "woman", "boy", "girl", "king", "queen", "brother", "sister", "grandmother", "grandfather", "uncle", "aunt",
}
HOMONYMS = {  # words of another gender that mean something else: die Junge, la livre, de bos; het or de schilderij
    "deu": {"boy", "hat"}, "nld": {"ball", "forest", "picture"}, "fra": {"book"},
}
# fmt: on


@functools.cache
def minimal_pairs(language: str, seed: int = 0) -> tuple[Pair, ...]:
    """Pairs of one language of the built-in suite from the test half of its held-out sentences, sorted by phenomenon.

    Each phenomenon takes one error of a sentence, and keeps PER_PHENOMENON sentences, both drawn by the seed.
    """
    if language not in LANGUAGES:
        raise UserError(f"The built-in suite has no language '{language}': {nearest(language, LANGUAGES)}")
    draw = random.Random(f"pairs {language} {seed}")
    found: dict[str, list[Pair]] = {}
    for number, document in enumerate(held_out()[::2]):  # as a corpus is halved: every other document is dev
        for sentence in document:
            errors: dict[str, list[str]] = {}
            for phenomenon, bad in _errors(language, sentence, draw):
                errors.setdefault(phenomenon, []).append(bad)
            good = render(language, sentence)
            for phenomenon, bads in errors.items():
                found.setdefault(phenomenon, []).append(
                    Pair(good, draw.choice(bads), phenomenon, language, f"d{2 * number + 1:02}")
                )
    enough = {name: pairs for name, pairs in sorted(found.items()) if len(pairs) >= FEWEST}
    kept = [draw.sample(pairs, min(PER_PHENOMENON, len(pairs))) for pairs in enough.values()]
    return tuple(pair for pairs in kept for pair in pairs)


def _errors(language: str, sentence: Sentence, draw: random.Random) -> Iterator[Error]:
    """Ungrammatical texts, each one error away from the sentence. Questions are left out."""
    if sentence.question:
        return
    good, clause = _plain(render(language, sentence)), sentence.clauses[0]
    alone = len(sentence.clauses) == 1
    if language in AGREEMENT:
        yield from _agreement(language, sentence, draw)
    if language in CASE and alone:
        for old, new in CASE[language](clause):
            yield from _changed(language, good, "case", old, new)
    if language in ORDER and alone:
        for old, new in ORDER[language](clause, good):
            yield from _changed(language, good, "order", old, new)
    if language in OWN:
        for phenomenon, old, new in OWN[language](clause, draw):
            yield from _changed(language, good, phenomenon, old, new)


def _plain(text: str) -> str:
    """A statement without its capital and full stop."""
    return ("i" if text[0] == "İ" else text[0].lower()) + text[1:-1]


def _finished(language: str, text: str) -> str:
    """The statement with its capital and full stop."""
    if language == "zho":
        return text + "。"
    return "İ" + text[1:] + "." if language == "tur" and text[0] == "i" else finish([text])


def _changed(language: str, good: str, phenomenon: str, old: str, new: str) -> Iterator[Error]:
    """The statement with `new` in place of `old`, if that stands there once and is whole words."""
    frame = "{}" if language == "zho" else " {} "
    text, part = frame.format(good), frame.format(old)
    if old and old != new and text.count(part) == 1:
        yield phenomenon, _finished(language, text.replace(part, frame.format(new)).strip())


# --- agreement ---------------------------------------------------------------------------------------------------


def _agreement(language: str, sentence: Sentence, draw: random.Random) -> Iterator[Error]:
    """One word in the form that another noun would ask for."""
    for role, rules in AGREEMENT[language].items():
        phrase = _role(sentence.clauses[0], role)
        if phrase is None or phrase.relative:
            continue
        either = language != "ara" and phrase.noun in PERSONS and phrase.noun not in SEXED
        if either or phrase.noun in HOMONYMS.get(language, ()):
            rules = [rule for rule in rules if rule.endswith("number")]
        for feature in ("number", "gender"):
            kinds = {rule.split()[0] for rule in rules if rule.endswith(feature)}
            yield from _disagreeing(language, sentence, role, feature, kinds, draw)


def _disagreeing(
    language: str, sentence: Sentence, role: str, feature: str, kinds: set[str], draw: random.Random
) -> Iterator[Error]:
    clause, words = sentence.clauses[0], _plain(render(language, sentence)).split()
    phrase = _role(clause, role)
    assert phrase
    others = _others(language, phrase, feature, draw) if kinds else []
    nouns = _positions(language, sentence, role, words) if others else set()
    if not nouns:
        return
    adjectives = _changing(language, _with(sentence, role, _readjectived(phrase)), words) if phrase.adjective else set()
    predicates = _changing(language, _repredicated(sentence), words) if clause.predicate else set()
    start = min(nouns | adjectives)
    for other in others:
        changed = _plain(render(language, _with(sentence, role, other))).split()
        if len(changed) != len(words):
            continue
        for place in sorted(_differing(words, changed) - nouns):
            verb_first = language == "ara" and (place != start - 1 or phrase.determiner != "this")
            kind = _kind(place, start, adjectives, predicates, role, verb_first)
            if kind in kinds and _is_wrong(language, clause, phrase, kind, feature, start - place):
                bad = " ".join([*words[:place], changed[place], *words[place + 1 :]])
                if not (language == "deu" and kind == "determiner" and f" {deu._phrase(phrase, 'nom')} " in f" {bad} "):
                    what = "subject-verb" if kind == "verb" else kind
                    yield f"{what} {feature}", _finished(language, bad)  # else: die Frau sieht mein Vater
                if kind == "verb":
                    break  # of a finite verb and its participle the first alone


def _kind(place: int, start: int, adjectives: set[int], predicates: set[int], role: str, verb_first: bool) -> str:
    """What the word at a place is to the noun whose phrase begins, after its determiners, at `start`."""
    if place in adjectives:
        return "adjective"
    if place in predicates:
        return "predicate"
    if role == "subject" and (place > start or verb_first):
        return "verb"
    return "determiner" if place < start else ""


def _is_wrong(language: str, clause: Clause, phrase: Phrase, kind: str, feature: str, before: int) -> bool:
    """Whether the form can't be that of another reading; `before` is how many words it stands before the noun."""
    subject, direct = clause.subjects[0] if clause.subjects else None, clause.object
    if kind in ("verb", "predicate"):
        if len(clause.subjects) > 1:
            return False
        if direct and subject:  # else the object could be what the verb agrees with: Die Katze sehen die Hunde
            like = direct.plural == subject.plural
            gender = GENDERS.get(language, lambda noun: "")
            if not like or (feature == "gender" and gender(direct.noun) != gender(subject.noun)):
                return False
    if language == "rus" and phrase.count:
        return False  # пять собак спит
    if language == "ara" and kind in ("verb", "adjective", "determiner", "predicate"):
        definite = phrase.determiner in ("the", "this", "my")
        if phrase.plural or (kind == "adjective" and not definite):
            return False  # a plural's verb may be of either gender
        if kind == "verb" and before > 1:
            return False  # a verb apart from its subject may be masculine
        if kind == "determiner" and phrase.determiner != "this":
            return False
        if kind == "adjective" and subject and subject.determiner in ("a", "count") and clause.object is phrase:
            return False  # شكر ولد العمة المتعب: the aunt's tired boy gave thanks
    if language == "nld" and kind == "adjective" and phrase.noun in PERSONS:
        return False  # een groot man
    if kind == "determiner" and feature == "number":
        return phrase.determiner == "this"
    if language == "rus" and kind == "determiner":
        return phrase.determiner in ("this", "my") and not phrase.plural
    if language == "deu" and kind in ("determiner", "adjective"):
        _, singular, plural = deu.NOUNS[phrase.noun]
        return singular != plural and phrase.noun not in deu.WEAK_NOUNS and clause.verb not in deu.DATIVE_VERBS
    return True


def _others(language: str, phrase: Phrase, feature: str, draw: random.Random) -> list[Phrase]:
    """The phrase with a noun of other number, or some of other gender."""
    if feature == "number":
        if phrase.count:
            return [replace(phrase, determiner="this", plural=False, count=0)]
        return [replace(phrase, plural=not phrase.plural)]
    gender = GENDERS[language]
    if phrase.plural and language not in ("fra", "spa", "ita"):
        return []
    nouns = [n for n in NOUNS[noun_class(phrase.noun)] if gender(n) != gender(phrase.noun) and _is_plain(n, phrase)]
    return [replace(phrase, noun=noun) for noun in draw.sample(nouns, min(3, len(nouns)))]


def _is_plain(noun: str, phrase: Phrase) -> bool:
    """Whether a noun is of the same kind as another, so that *who* stays *who* and *essen* stays *essen*."""
    return noun != phrase.noun and noun != "egg" and (noun in PERSONS) == (phrase.noun in PERSONS)


def _positions(language: str, sentence: Sentence, role: str, words: list[str]) -> set[int]:
    """Where the noun itself stands: what changes with it when another of the same gender takes its place."""
    phrase = _role(sentence.clauses[0], role)
    assert phrase
    gender = GENDERS.get(language, lambda noun: "")
    nouns = [n for n in NOUNS[noun_class(phrase.noun)] if gender(n) == gender(phrase.noun) and _is_plain(n, phrase)]
    found = [_changing(language, _with(sentence, role, replace(phrase, noun=noun)), words) for noun in nouns[:6]]
    best: set[int] = min(filter(None, found), key=len, default=set())
    # Where an article melts into the noun (l'ami) there is no word to put wrong.
    return best if len(best) == 1 and not any("'" in words[i] for i in best) else set()


def _changing(language: str, other: Sentence, words: list[str]) -> set[int]:
    """Positions whose words are others in another sentence of as many words; none where it has more or fewer."""
    changed = _plain(render(language, other)).split()
    return _differing(words, changed) if len(changed) == len(words) else set()


def _differing(words: list[str], others: list[str]) -> set[int]:
    return {i for i, (a, b) in enumerate(zip(words, others, strict=True)) if a != b and "'" not in a + b}


_ADJECTIVES = {  # two of each class of nouns that French puts after the noun
    "animate": ("strong", "tired"), "thing": ("red", "heavy"), "place": ("dark", "empty"),
}  # fmt: skip


def _readjectived(phrase: Phrase) -> Phrase:
    """The phrase with another adjective that stands on the same side of its noun in French, and is no *bello*."""
    first, second = ("small", "big") if phrase.adjective in fra.PRENOMINAL else _ADJECTIVES[noun_class(phrase.noun)]
    return replace(phrase, adjective=second if phrase.adjective == first else first)


def _repredicated(sentence: Sentence) -> Sentence:
    """The sentence with another predicate."""
    clause = sentence.clauses[0]
    other = "hungry" if clause.predicate != "hungry" else "tired"
    if clause.predicate not in spa.STATES:  # said with ser, as other predicates are not
        other = "famous" if clause.predicate != "famous" else "rich"
    return replace(sentence, clauses=(replace(clause, predicate=other), *sentence.clauses[1:]))


def _role(clause: Clause, role: str) -> Phrase | None:
    if role == "subject":
        return clause.subjects[0] if len(clause.subjects) == 1 else None
    found: Phrase | None = getattr(clause, role)
    return found


def _with(sentence: Sentence, role: str, phrase: Phrase) -> Sentence:
    """The sentence with another phrase in a role of its first clause."""
    clause = sentence.clauses[0]
    changes: dict[str, Any] = {"subjects": (phrase,)} if role == "subject" else {role: phrase}
    changed = replace(clause, **changes)
    return replace(sentence, clauses=(changed, *sentence.clauses[1:]))
