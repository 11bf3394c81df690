"""Minimal pairs: held-out sentences of the built-in suite beside the same ones with a single error of grammar.

Agreement errors need no rules of a language: the sentence is said again with a noun of another number or gender, and
one word that then changes, and belongs to what must agree with the noun, is put back into the sentence. Errors of case
and order are made phrase by phrase. What another reading would make grammatical is left out, with the reason.
"""

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from interference.demo.forms import LANGUAGES, ara, deu, eng, finish, fra, ita, nld, render, rus, spa, tur, zho
from interference.demo.meaning import NOUNS, PERSONS, Clause, Phrase, Sentence, noun_class
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
                    yield _name(kind, feature), _finished(language, bad)  # else: die Frau sieht mein Vater
                if kind == "verb":
                    break  # of a finite verb and its participle the first alone


def _name(kind: str, feature: str) -> str:
    return f"{'subject-verb' if kind == 'verb' else kind} {feature}"


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


# --- case --------------------------------------------------------------------------------------------------------


def _phrases(clause: Clause) -> list[tuple[str, Phrase]]:
    """Object, recipient and place, without those that have a relative clause."""
    named = [(role, getattr(clause, role)) for role in ("object", "recipient", "place")]
    return [(role, phrase) for role, phrase in named if phrase and not phrase.relative]


def _case_rus(clause: Clause) -> Iterator[tuple[str, str]]:
    """A form that is neither the case asked for nor one that another reading could ask for."""
    if clause.negated:  # whose object may be a genitive
        return
    for role, phrase in _phrases(clause):
        if phrase.count:
            continue
        forms = {case: " ".join(rus._phrase(phrase, case, clause.tense)) for case in rus.CASES}
        preposition, asked = "", "dat"
        if role == "object":
            preposition, asked = rus.GOVERNMENT.get(clause.verb, ("", "acc"))
        if role == "place":
            preposition, asked = rus._place(clause)[0], "acc" if clause.frame == "motion" else "prep"
        wrong = {"object": ("nom", "prep"), "recipient": ("prep",), "place": ("ins",)}[role]
        # A subject that could as well be an object leaves a nominative to be the subject: лошадь видит собака.
        clear = all(s.noun not in rus.FEMININE_IN_SOFT_SIGN for s in clause.subjects)
        for case in wrong:
            rest = {form for name, form in forms.items() if name != case}
            if forms[case] not in rest and (case != "nom" or clear):
                head = preposition and preposition + " "
                yield head + forms[asked], head + forms[case]
                break


def _case_deu(clause: Clause) -> Iterator[tuple[str, str]]:
    """Dative for accusative and the reverse; no adverbial, whose genitive a dative could be (letzte Woche der Frau)."""
    if clause.negated or clause.adverbial or any(subject.relative for subject in clause.subjects):
        return
    for role, phrase in _phrases(clause):
        if role == "place":  # one can run, swim or jump into the garden
            if clause.verb in ("sleep", "work", "laugh", "wait", "sing", "cry", "smile", "dream"):
                yield deu._place(phrase, "dat", False), deu._place(phrase, "acc", False)
            continue
        asked, wrong = ("dat", "acc") if role == "recipient" or clause.verb in deu.DATIVE_VERBS else ("acc", "dat")
        if role == "object" and (clause.frame != "transitive" or clause.verb == "call"):  # jemandem rufen
            continue
        other = deu._phrase(replace(phrase, plural=not phrase.plural), asked)
        if (bad := deu._phrase(phrase, wrong)) != other:  # den Bären: the bear; den Jungen: to the boys
            yield deu._phrase(phrase, asked), bad


def _case_tur(clause: Clause) -> Iterator[tuple[str, str]]:
    """The case that the verb never takes, be its object unsaid (köpeğe buldu: found something for the dog)."""
    for role, phrase in _phrases(clause):
        asked, wrong = "dative", "accusative"
        if role == "object":
            if clause.frame != "transitive":
                continue
            asked = tur._object_case(clause.verb, phrase, clause.negated)
            if asked == "accusative":
                if clause.verb not in ("see", "follow", "greet", "visit", "watch", "protect", "wash", "repair", "eat"):
                    continue
                wrong = "dative"
            elif not asked:
                continue
        if role == "place":
            if clause.verb not in ("go", "return", "travel", "sleep", "laugh", "smile", "rest", "sing"):
                continue
            asked = "dative" if clause.frame == "motion" else "locative"
        yield tur._phrase(phrase, asked, clause.tense), tur._phrase(phrase, wrong, clause.tense)


def _case_ara(clause: Clause) -> Iterator[tuple[str, str]]:
    """After a preposition the accusative where writing shows it, else the nominative where it does."""
    for role, phrase in _phrases(clause):
        if not (preposition := _ara_preposition(clause, role)):
            continue
        asked = ara._phrase(phrase, clause.tense, ara.GENITIVE)
        for case in (ara.ACCUSATIVE, ara.NOMINATIVE):
            if (wrong := ara._phrase(phrase, clause.tense, case)) != asked:
                yield f"{preposition} {asked}", f"{preposition} {wrong}"
                break


CASE = {"rus": _case_rus, "deu": _case_deu, "tur": _case_tur, "ara": _case_ara}


# --- order -------------------------------------------------------------------------------------------------------


def _article_last(say: Callable[[Phrase, str], str], clause: Clause, good: str) -> Iterator[tuple[str, str]]:
    """The article after its noun; not the subject's, which before a verb would be a pronoun (perros los abrazan)."""
    for _, phrase in _phrases(clause):
        if not phrase.adjective and phrase.determiner in ("the", "a"):
            article, *rest = say(phrase, clause.tense).split()
            if len(rest) == 1 and f" {article} {rest[0]} " in f" {good} ":
                yield f"{article} {rest[0]}", f"{rest[0]} {article}"


def _verb_last(language: str, clause: Clause, good: str) -> Iterator[tuple[str, str]]:
    """The finite verb at the end of a main clause."""
    if any(phrase and phrase.relative for phrase in (*clause.subjects, clause.object)):
        return
    if language == "deu":
        finite, _ = deu._verb(clause.verb, clause.tense, clause.subjects)
        particle = clause.verb in deu.PREFIXES
    else:
        finite, _ = nld._bracket(clause)
        particle = clause.verb in nld.PARTICLES
    before, found, after = f" {good} ".partition(f" {finite} ")
    if found and after and not particle:
        yield good, f"{before.strip()} {after.strip()} {finite}"


def _preposition_last(language: str, clause: Clause, good: str) -> Iterator[tuple[str, str]]:
    """The preposition after its phrase."""
    for role, phrase in _phrases(clause):
        if language == "ara":
            preposition, text = _ara_preposition(clause, role), ara._phrase(phrase, clause.tense, ara.GENITIVE)
        else:
            words = rus._place(clause) if role == "place" else rus._object(clause.verb, phrase, clause.tense)
            preposition, *words = words
            text = " ".join(filter(None, words))
        if preposition and (language == "ara" or role != "recipient"):
            yield f"{preposition} {text}", f"{text} {preposition}"


def _ara_preposition(clause: Clause, role: str) -> str:
    if role == "place":
        return "إلى" if clause.frame == "motion" else "في"
    return (ara.OBJECT_PREPOSITIONS if role == "object" else ara.RECIPIENT_PREPOSITIONS).get(clause.verb, "")


def _order_tur(clause: Clause, good: str) -> Iterator[tuple[str, str]]:
    """The numeral, or a relative clause, after its noun, unless the next noun could take it (kedi iki köpeği gördü)."""
    phrases = [phrase for phrase in (*clause.subjects, clause.object, clause.recipient, clause.place) if phrase]
    for phrase in phrases:
        if not phrase.count and not phrase.relative:
            continue
        text = next(t for t in _tur_forms(phrase, clause.tense) if f" {t} " in f" {good} ")
        after = f" {good} ".partition(f" {text} ")[2]
        others = {form for other in phrases if other is not phrase for form in _tur_forms(other, clause.tense)}
        if not any(f" {other} " in f" {after}" for other in others):
            before = tur._relative(phrase.relative, clause.tense) if phrase.relative else text.split()[0]
            yield text, f"{text.removeprefix(before).strip()} {before}"


def _tur_forms(phrase: Phrase, tense: str) -> list[str]:
    """The phrase in every case, the longer ones first."""
    return [tur._phrase(phrase, case, tense) for case in ("accusative", "dative", "locative", "")]


def _order_zho(clause: Clause, good: str) -> Iterator[tuple[str, str]]:
    """When after what; the classifier before the word that asks for it."""
    if (time := zho._time(clause)) and not clause.negated:
        before, _, after = good.partition(time)
        yield good, before + after + time
        return
    for phrase in (*clause.subjects, clause.object, clause.recipient, clause.place):
        if phrase and not phrase.relative and phrase.determiner != "my" and not (phrase.plural and not phrase.count):
            text, determiner = zho._phrase(phrase, clause.tense), zho._determiner(phrase)
            yield text, determiner[1:] + determiner[0] + text.removeprefix(determiner)


ORDER: dict[str, Callable[[Clause, str], Iterator[tuple[str, str]]]] = {
    "eng": partial(_article_last, eng._phrase), "spa": partial(_article_last, spa.noun_phrase),
    "ita": partial(_article_last, ita.noun_phrase),
    "fra": partial(_article_last, lambda phrase, tense: " ".join(fra._elide(fra._phrase(phrase, tense)))),
    "nld": partial(_verb_last, "nld"), "deu": partial(_verb_last, "deu"), "rus": partial(_preposition_last, "rus"),
    "ara": partial(_preposition_last, "ara"), "tur": _order_tur, "zho": _order_zho,
}  # fmt: skip


# --- what one language alone has ---------------------------------------------------------------------------------


def _own_eng(clause: Clause, draw: random.Random) -> Iterator[tuple[str, str, str]]:
    """*Not* before the auxiliary."""
    if clause.negated:
        plural = len(clause.subjects) == 2 or any(subject.plural for subject in clause.subjects)
        auxiliary, _ = eng._verb(clause.verb, clause.tense, plural, True)
        yield "negation", f"{auxiliary} not", f"not {auxiliary}"


def _own_fra(clause: Clause, draw: random.Random) -> Iterator[tuple[str, str, str]]:
    """*Pas* before the finite verb, which it follows."""
    if clause.negated and len(clause.subjects) and clause.verb not in fra.REFLEXIVE:
        plural = len(clause.subjects) > 1 or any(subject.plural for subject in clause.subjects)
        finite, _ = fra._forms(clause.verb, clause.tense, False, plural, False)
        good, bad = (" ".join(fra._elide(["ne", *order])) for order in ((finite, "pas"), ("pas", finite)))
        yield "negation", good, bad


def _own_ara(clause: Clause, draw: random.Random) -> Iterator[tuple[str, str, str]]:
    """A numeral in its noun's own gender, and its noun in the accusative."""
    for phrase in (*clause.subjects, clause.object, clause.recipient, clause.place):
        if phrase and phrase.count > 2:
            numeral, noun = ara._counted(phrase, ara.NOMINATIVE).split()
            bare = ara.NUMERALS[phrase.count]
            yield "numeral gender", f"{numeral} {noun}", f"{bare if numeral != bare else bare + 'ة'} {noun}"
            yield "case", f"{numeral} {noun}", f"{numeral} {ara._inflected(noun, ara.ACCUSATIVE)}"


def _own_tur(clause: Clause, draw: random.Random) -> Iterator[tuple[str, str, str]]:
    """A plural after a numeral; a plural ending against vowel harmony."""
    for phrase in (*clause.subjects, clause.object, clause.recipient, clause.place):
        if not phrase or not phrase.plural:
            continue
        for case in ("", "accusative", "dative", "locative"):
            text = tur._phrase(phrase, case, clause.tense)
            singular, plural = (tur._noun(phrase.noun, many, phrase.determiner == "my", case) for many in (False, True))
            if phrase.count:
                yield "numeral number", text, text.removesuffix(singular) + plural
            else:
                stem = tur.NOUNS[phrase.noun]
                other = {"e": "a", "a": "e"}[tur._low(stem)]
                yield "vowel harmony", text, text.removesuffix(plural) + f"{stem}l{other}r" + plural[len(stem) + 3 :]


def _own_zho(clause: Clause, draw: random.Random) -> Iterator[tuple[str, str, str]]:
    """A classifier of another kind of noun; the verb before its auxiliary."""
    for phrase in (*clause.subjects, clause.object, clause.recipient, clause.place):
        if phrase and not phrase.relative and not (phrase.plural and not phrase.count):
            text, own = zho._phrase(phrase, clause.tense), zho.NOUNS[phrase.noun][0]
            # Those of things are rarer than those of persons: so neither side is the more frequent one throughout.
            other = draw.choice("把本座间") if noun_class(phrase.noun) == "animate" else "位"
            if own in text[:4]:
                yield "classifier", text, text.replace(own, other, 1)
    auxiliary = zho._auxiliary(clause.verb, clause.tense, zho._negated(clause), clause.adverbial)
    if auxiliary and clause.frame == "transitive" and clause.verb not in zho.RESULTATIVE and clause.object:
        verb, target = zho.TRANSITIVE[clause.verb], zho._phrase(clause.object, clause.tense)
        yield "auxiliary order", auxiliary + verb + target, verb + auxiliary + target


OWN = {"eng": _own_eng, "fra": _own_fra, "ara": _own_ara, "tur": _own_tur, "zho": _own_zho}
