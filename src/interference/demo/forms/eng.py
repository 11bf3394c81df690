"""English: simple present, simple past and *will*, do-support in negation and questions, American spelling.

Frequency, *gladly* and *secretly* stand before the main verb, other adverbials end the clause. Beside a relative clause
that would claim them, adverbs in -ly move before the main verb or to the end, and the others open the sentence,
unless *not* denies them: then they follow it.
"""

from interference.demo.forms import finish
from interference.demo.meaning import FREQUENCY, PERSONS, Clause, Phrase, Sentence

# fmt: off
PLURALS = {
    "man": "men", "woman": "women", "thief": "thieves", "mouse": "mice", "wolf": "wolves", "knife": "knives",
}
PASTS = {
    "sleep": "slept", "sing": "sang", "run": "ran", "swim": "swam", "see": "saw", "find": "found", "hug": "hugged",
    "buy": "bought", "sell": "sold", "eat": "ate", "lose": "lost", "hide": "hid", "choose": "chose", "steal": "stole",
    "give": "gave", "send": "sent", "bring": "brought", "go": "went",
}
NUMERALS = {
    2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten",
}
# fmt: on
DETERMINERS = {("the", False): "the", ("the", True): "the", ("my", False): "my", ("my", True): "my"}
DETERMINERS |= {("this", False): "this", ("this", True): "these", ("a", True): ""}
DENIABLE = ("every_day", "without_fear", "with_pleasure")  # beside adverbs in -ly: denied together with the verb


def render(sentence: Sentence) -> str:
    """Say the meaning in English."""
    if sentence.question:
        return finish(_clause(sentence.clauses[0], sentence.question), "?")
    words = _clause(sentence.clauses[0])
    if sentence.connective:
        # The comma keeps a negation in the first clause from reaching into the reason.
        comma = sentence.connective != "because" or sentence.clauses[0].negated
        words += ["," if comma else "", sentence.connective, *_clause(sentence.clauses[1])]
    return finish(words)


def _clause(clause: Clause, question: str = "") -> list[str]:
    """The words of one clause, in the order that the question, if any, asks for."""
    front, middle, end = _adverbials(clause)
    subject = " and ".join(_phrase(subject, clause.tense) for subject in clause.subjects)
    plural = len(clause.subjects) == 2 or any(subject.plural for subject in clause.subjects)
    support = clause.negated or question in ("polar", "what")
    auxiliary, main = _verb(clause.verb, clause.tense, plural, support)
    negation = "not" if clause.negated else ""
    opening = {
        "": [subject, auxiliary, negation],
        "polar": [auxiliary, subject],
        "who": ["who", auxiliary],
        "what": ["what", auxiliary, subject],
    }[question]
    return [front, *opening, middle, main, *_complements(clause), end]


def _adverbials(clause: Clause) -> tuple[str, str, str]:
    """The adverbial in one of three slots: before the clause, before the main verb, at the end."""
    words = clause.adverbial.replace("_", " ")
    heavy = clause.object is not None and clause.object.relative is not None
    # Behind "did not" no relative clause of the subject can claim the adverb, and only there does "not" deny it.
    after_relative = any(subject.relative for subject in clause.subjects) and not clause.negated
    denied = heavy and clause.negated and clause.adverbial in DENIABLE
    movable = denied or (heavy and words.endswith("ly")) or clause.adverbial in ("gladly", "secretly")
    if clause.adverbial in FREQUENCY or (movable and not after_relative):
        return "", words, ""
    return (words + ",", "", "") if heavy and words else ("", "", words)


def _verb(verb: str, tense: str, plural: bool, support: bool) -> tuple[str, str]:
    """Auxiliary and main verb, either of which may be empty; `support` asks for *do* where nothing else is finite."""
    if tense == "future":
        return "will", verb.split("_")[0]
    if verb == "be":
        return ("are" if plural else "is") if tense == "present" else ("were" if plural else "was"), ""
    stem = verb.split("_")[0]
    if tense == "past":
        return ("did", stem) if support else ("", PASTS.get(stem) or _ed(stem))
    if support:
        return "do" if plural else "does", stem
    return "", stem if plural else _s(stem)


def _complements(clause: Clause) -> list[str]:
    """What follows the main verb: object, particle, recipient, place or predicate adjective."""
    words = ["for"] if clause.verb == "look_for" else []
    words += [_phrase(clause.object, clause.tense)] if clause.object else []
    words += ["back"] if clause.verb == "give_back" else []
    words += ["to", _phrase(clause.recipient, clause.tense)] if clause.recipient else []
    words += ["to" if clause.frame == "motion" else "in", _phrase(clause.place, clause.tense)] if clause.place else []
    return [*words, clause.predicate]


def _phrase(phrase: Phrase, tense: str) -> str:
    """A noun phrase; `tense` is that of the clause, which a relative clause shares."""
    noun = (PLURALS.get(phrase.noun) or _s(phrase.noun)) if phrase.plural else phrase.noun
    core = f"{phrase.adjective} {noun}".strip()
    article = NUMERALS.get(phrase.count) or DETERMINERS.get((phrase.determiner, phrase.plural))
    if article is None:
        article = "an" if core[0] in "aeiou" else "a"
    words = [article, core]
    if phrase.relative:
        relative = phrase.relative
        words += ["who" if phrase.noun in PERSONS else "that"]
        words += [*_verb(relative.verb, tense, phrase.plural, False), "for" if relative.verb == "look_for" else ""]
        words += [_phrase(relative.object, tense)]
    return " ".join(word for word in words if word)


def _s(word: str) -> str:
    """Plural of a noun or third person singular of a verb."""
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "o", "sh", "ch")) else "s")


def _ed(verb: str) -> str:
    """Regular past."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return verb + ("d" if verb.endswith("e") else "ed")
