"""Meanings: what a sentence of the built-in suite says, before any language says it.

A `Sentence` is drawn by a chain of independent weighted choices, so its probability is known exactly.
`Sampler` draws; `log2_probability` derives the same number from the finished meaning. The rules below
keep every meaning sayable in all ten languages:

- a relative clause has an animate head, the head is its subject, and it shares the clause's tense;
- counted phrases ("three dogs") carry no relative clause, and two-clause sentences none at all;
- questions are not negated, and two joined subjects stand only in statements with a full verb;
- adverbials agree with the tense; copular clauses take only those that fix it; frequency is never negated.
"""

import functools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

PERSONS = (
    "man", "woman", "boy", "girl", "teacher", "doctor", "friend", "king", "queen", "farmer", "neighbor", "brother",
    "sister", "baker", "soldier", "grandmother", "grandfather", "painter", "student", "thief", "uncle", "aunt", "poet",
    "sailor", "judge", "cook",
)  # fmt: skip
ANIMALS = ("dog", "cat", "horse", "bird", "cow", "mouse", "wolf", "bear", "fox", "elephant", "rabbit", "duck")
THINGS = (
    "book", "letter", "apple", "key", "table", "hat", "chair", "picture", "flower", "cup", "box", "bag", "lamp", "knife",
    "ring", "coat", "ball", "stone", "bottle", "egg",
)  # fmt: skip
PLACES = (
    "house",
    "garden",
    "city",
    "village",
    "forest",
    "school",
    "kitchen",
    "shop",
    "park",
    "room",
    "church",
    "museum",
)
# Persons and animals share one frequency list, interleaved so that both have common and rare members.
ANIMATES = (
    *(noun for pair in zip(PERSONS[::2], ANIMALS + PERSONS[25:], strict=True) for noun in pair),
    *PERSONS[1:25:2],
)

INTRANSITIVE = (
    "sleep", "work", "laugh", "wait", "sing", "dance", "run", "cry", "swim", "smile", "rest", "jump", "dream",
)  # fmt: skip
TRANSITIVE_ANIMATE = (
    "see", "help", "find", "call", "follow", "greet", "visit", "watch", "hug", "protect", "push", "thank",
)  # fmt: skip
TRANSITIVE_THING = (
    "buy", "look_for", "sell", "eat", "wash", "carry", "paint", "lose", "hide", "repair", "choose", "steal",
)  # fmt: skip
DITRANSITIVE = ("give", "show", "send", "bring", "give_back")
MOTION = ("go", "return", "walk", "travel")
TRANSITIVE = tuple(verb for pair in zip(TRANSITIVE_ANIMATE, TRANSITIVE_THING, strict=True) for verb in pair)

ADJECTIVES_ANIMATE = (
    "old", "small", "young", "big", "happy", "tired", "strong", "beautiful", "hungry", "poor", "sad", "clever", "rich",
    "brave", "lazy", "friendly", "weak", "famous",
)  # fmt: skip
ADJECTIVES_THING = (
    "new", "big", "red", "old", "small", "white", "heavy", "expensive", "black", "clean", "green", "beautiful", "dirty",
    "cheap", "round", "blue",
)  # fmt: skip
ADJECTIVES_PLACE = ("big", "old", "small", "beautiful", "dark", "new", "quiet", "cold", "empty", "warm")

ADVERBIALS_BY_TENSE = {
    "past": ("yesterday", "last_week", "last_year", "three_days_ago"),
    "present": ("often", "now", "always", "every_day", "sometimes"),
    "future": ("tomorrow", "soon", "next_week", "next_year"),
}
FREQUENCY = ("often", "always", "sometimes")
ADVERBIALS_ANY = (
    "today", "quickly", "in_the_morning", "slowly", "at_night", "quietly", "in_the_evening", "carefully", "gladly",
    "secretly", "without_fear", "with_pleasure",
)  # fmt: skip
ADVERBIALS = (*(a for group in ADVERBIALS_BY_TENSE.values() for a in group), *ADVERBIALS_ANY)
COUNTS = (2, 3, 4, 5, 6, 7, 8, 9, 10)

DETERMINERS = {  # (determiner, plural): weight
    ("the", False): 28, ("a", False): 20, ("the", True): 12, ("a", True): 8, ("my", False): 8, ("count", True): 8,
    ("this", False): 7, ("this", True): 5, ("my", True): 4,
}  # fmt: skip
QUESTIONS = {"": 80, "polar": 10, "who": 5, "what": 5}
FRAMES = {"transitive": 45, "intransitive": 22, "copular": 13, "ditransitive": 10, "motion": 10}
TENSES = {"past": 40, "present": 35, "future": 25}
CONNECTIVES = {"and": 50, "but": 30, "because": 20}
CHANCES = {
    "two clauses": 0.2, "joined subjects": 0.08, "adjective": 0.35, "relative": 0.12, "negated": 0.18, "adverbial": 0.45,
    "location": 0.35,
}  # fmt: skip
VERBS = {
    "transitive": TRANSITIVE, "intransitive": INTRANSITIVE, "copular": ("be",), "ditransitive": DITRANSITIVE, "motion": MOTION,
}  # fmt: skip
NOUNS = {"animate": ANIMATES, "thing": THINGS, "place": PLACES}
ADJECTIVES = {"animate": ADJECTIVES_ANIMATE, "thing": ADJECTIVES_THING, "place": ADJECTIVES_PLACE}


@dataclass(frozen=True)
class Phrase:
    """A noun phrase. `determiner` is the, a, this, my or count; `plural` is true for counts; no adjective is ''."""

    noun: str
    determiner: str
    plural: bool
    count: int = 0
    adjective: str = ""
    relative: "Relative | None" = None


@dataclass(frozen=True)
class Relative:
    """A relative clause whose subject is its head and whose tense is that of the clause around it."""

    verb: str
    object: Phrase


@dataclass(frozen=True)
class Clause:
    """One clause. `subjects` is empty when the question is *who*, `object` is None when it is *what*.

    `place` is where an intransitive verb happens ("in the garden") or where a motion verb leads ("to the garden").
    `predicate` is the adjective of a copular clause, whose verb is "be".
    """

    frame: str
    subjects: tuple[Phrase, ...]
    verb: str
    tense: str
    negated: bool = False
    object: Phrase | None = None
    recipient: Phrase | None = None
    place: Phrase | None = None
    predicate: str = ""
    adverbial: str = ""


@dataclass(frozen=True)
class Sentence:
    """One meaning: a clause, or two joined by and, but, because; `question` is '', polar, who or what."""

    clauses: tuple[Clause, ...]
    connective: str = ""
    question: str = ""


@functools.cache
def zipf(options: tuple) -> dict:
    """Weights 1 / (rank + 2), first is most frequent."""
    return {option: 1 / (rank + 2) for rank, option in enumerate(options, start=1)}


def noun_class(noun: str) -> str:
    """animate, thing or place."""
    return next(name for name, nouns in NOUNS.items() if noun in nouns)


def object_class(verb: str) -> str:
    """The class of nouns a transitive or ditransitive verb takes as its direct object."""
    return "animate" if verb in TRANSITIVE_ANIMATE else "thing"


def _frames(question: str) -> dict[str, float]:
    if question == "what":
        return {"transitive": 1}
    return {k: w for k, w in FRAMES.items() if not (question == "who" and k == "copular")}


def _verbs(frame: str, question: str) -> tuple[str, ...]:
    return TRANSITIVE_THING if question == "what" else VERBS[frame]


def _adverbials(clause: Clause) -> tuple[str, ...]:
    own = tuple(a for a in ADVERBIALS_BY_TENSE[clause.tense] if not (clause.negated and a in FREQUENCY))
    return own if clause.frame == "copular" else (*own, *ADVERBIALS_ANY)


class Sampler:
    """Draws sentences; a document's cast makes its sentences share participants.

    The cast is drawn from the same weights as free nouns, and one sentence uses each member at most once, so a
    single sentence of a document has exactly the distribution of a free one.
    """

    def __init__(self, seed: int | str):
        self._random = random.Random(f"interference {seed}")
        self._cast: dict[str, list[str]] = {}
        self._free: dict[str, list[str]] = {}
        self.bits = 0.0

    def document(self, sentences: int = 20) -> list[Sentence]:
        """Sentences about one cast of 8 animates, 6 things and 4 places."""
        sizes = {"animate": 8, "thing": 6, "place": 4}
        self._cast = {name: [self._choose(zipf(NOUNS[name])) for _ in range(n)] for name, n in sizes.items()}
        drawn = [self.sentence() for _ in range(sentences)]
        self._cast = {}
        return drawn

    def sentence(self) -> Sentence:
        """One meaning; `bits` then holds minus the log2 of its probability."""
        self.bits = 0.0
        self._free = {name: self._random.sample(nouns, len(nouns)) for name, nouns in self._cast.items()}
        question = self._choose(QUESTIONS)
        if not question and self._happens("two clauses"):
            clauses = (self._clause("", relatives=False), self._clause("", relatives=False))
            return Sentence(clauses, connective=self._choose(CONNECTIVES))
        return Sentence((self._clause(question, relatives=True),), question=question)

    def _choose(self, weights: dict) -> Any:
        total = sum(weights.values())
        mark = self._random.random() * total
        for option, weight in weights.items():  # noqa: B007 - the last one tried is the choice
            mark -= weight
            if mark < 0:
                break
        self.bits -= math.log2(weight / total)
        return option

    def _happens(self, chance: str) -> bool:
        return self._choose({True: CHANCES[chance], False: 1 - CHANCES[chance]})

    def _noun(self, kind: str) -> str:
        if not self._cast:
            return self._choose(zipf(NOUNS[kind]))
        noun = self._free[kind].pop()
        self.bits += cost(zipf(NOUNS[kind]), noun)
        return noun

    def _phrase(self, kind: str, relatives: bool) -> Phrase:
        determiner, plural = self._choose(DETERMINERS)
        count = self._choose(zipf(COUNTS)) if determiner == "count" else 0
        adjective = self._choose(zipf(ADJECTIVES[kind])) if self._happens("adjective") else ""
        phrase = Phrase(self._noun(kind), determiner, plural, count, adjective)
        if relatives and kind == "animate" and not count and self._happens("relative"):
            verb = self._choose(zipf(TRANSITIVE))
            return replace(phrase, relative=Relative(verb, self._phrase(object_class(verb), relatives=False)))
        return phrase

    def _clause(self, question: str, relatives: bool) -> Clause:
        frame = self._choose(_frames(question))
        tense = self._choose(TENSES)
        verb = self._choose(zipf(_verbs(frame, question)))
        negated = not question and self._happens("negated")
        subjects: tuple[Phrase, ...] = ()
        if question != "who":
            joined = not question and frame != "copular" and self._happens("joined subjects")
            subjects = tuple(self._phrase("animate", relatives and not joined) for _ in range(2 if joined else 1))
        clause = Clause(frame, subjects, verb, tense, negated)
        if frame in ("transitive", "ditransitive") and question != "what":
            clause = replace(clause, object=self._phrase(object_class(verb), relatives))
        if frame == "ditransitive":
            clause = replace(clause, recipient=self._phrase("animate", relatives=False))
        if frame == "motion" or (frame == "intransitive" and self._happens("location")):
            clause = replace(clause, place=self._phrase("place", relatives=False))
        if frame == "copular":
            clause = replace(clause, predicate=self._choose(zipf(ADJECTIVES["animate"])))
        if self._happens("adverbial"):
            clause = replace(clause, adverbial=self._choose(zipf(_adverbials(clause))))
        return clause


def cost(weights: dict, option: Any) -> float:
    """Bits of choosing `option` with probability proportional to its weight."""
    return -math.log2(weights[option] / sum(weights.values()))


def _chance_cost(chance: str, happened: bool) -> float:
    return -math.log2(CHANCES[chance] if happened else 1 - CHANCES[chance])


def _phrase_cost(phrase: Phrase, relatives: bool) -> float:
    kind = noun_class(phrase.noun)
    bits = cost(DETERMINERS, (phrase.determiner, phrase.plural)) + cost(zipf(NOUNS[kind]), phrase.noun)
    bits += _chance_cost("adjective", bool(phrase.adjective))
    if phrase.count:
        bits += cost(zipf(COUNTS), phrase.count)
    if phrase.adjective:
        bits += cost(zipf(ADJECTIVES[kind]), phrase.adjective)
    if relatives and kind == "animate" and not phrase.count:
        bits += _chance_cost("relative", phrase.relative is not None)
        if phrase.relative:
            bits += cost(zipf(TRANSITIVE), phrase.relative.verb) + _phrase_cost(phrase.relative.object, False)
    return bits


def _clause_cost(clause: Clause, question: str, relatives: bool) -> float:
    bits = cost(_frames(question), clause.frame) + cost(TENSES, clause.tense)
    bits += cost(zipf(_verbs(clause.frame, question)), clause.verb) + _chance_cost("adverbial", bool(clause.adverbial))
    if not question:
        bits += _chance_cost("negated", clause.negated)
        if clause.frame != "copular":
            bits += _chance_cost("joined subjects", len(clause.subjects) == 2)
    bits += sum(_phrase_cost(subject, relatives and len(clause.subjects) == 1) for subject in clause.subjects)
    bits += sum(
        _phrase_cost(p, relatives and p is clause.object) for p in (clause.object, clause.recipient, clause.place) if p
    )
    if clause.frame == "intransitive":
        bits += _chance_cost("location", clause.place is not None)
    if clause.predicate:
        bits += cost(zipf(ADJECTIVES["animate"]), clause.predicate)
    if clause.adverbial:
        bits += cost(zipf(_adverbials(clause)), clause.adverbial)
    return bits


def log2_probability(sentence: Sentence) -> float:
    """Log2 of the probability of drawing exactly this meaning, at most 0."""
    bits = cost(QUESTIONS, sentence.question)
    if not sentence.question:
        bits += _chance_cost("two clauses", len(sentence.clauses) == 2)
    if sentence.connective:
        bits += cost(CONNECTIVES, sentence.connective)
    relatives = len(sentence.clauses) == 1
    return -bits - sum(_clause_cost(clause, sentence.question, relatives) for clause in sentence.clauses)


def _phrase_variants(phrase: Phrase | None) -> list[Any]:
    if phrase is None or phrase.count:
        return [phrase]
    inner = _phrase_variants(phrase.relative.object) if phrase.relative else [None]
    articles = ("the", "a") if phrase.determiner in ("the", "a") else (phrase.determiner,)
    return [
        replace(phrase, determiner=article, relative=phrase.relative and replace(phrase.relative, object=o))
        for article, o in product(articles, inner)
    ]


def _clause_variants(clause: Clause) -> Iterator[Clause]:
    parts = [*clause.subjects, clause.object, clause.recipient, clause.place]
    for varied in product(*map(_phrase_variants, parts)):
        subjects, (direct, recipient, place) = varied[: len(clause.subjects)], varied[-3:]
        yield replace(clause, subjects=subjects, object=direct, recipient=recipient, place=place)


def variants(sentence: Sentence) -> Iterator[Sentence]:
    """Every meaning that differs from this one in nothing but *the* against *a*: what a language may leave unsaid."""
    for clauses in product(*map(_clause_variants, sentence.clauses)):
        yield replace(sentence, clauses=clauses)
