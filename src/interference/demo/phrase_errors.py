"""Errors of case and of word order, and those that one language alone has, made phrase by phrase."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from interference.demo.forms import ara, deu, eng, fra, ita, nld, rus, spa, tur, zho
from interference.demo.meaning import Clause, Phrase, noun_class

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
