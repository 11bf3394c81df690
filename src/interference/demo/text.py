"""Text of the built-in suite: the held-out parallel set, endless training text, and the entropy of both.

No sentence of the held-out set is ever trained on: training text leaves out its meanings, and in each language every
other meaning that would read the same.
"""

import functools
import math
from collections.abc import Iterator

from interference.demo.forms import LANGUAGES, render
from interference.demo.meaning import Sampler, Sentence, log2_probability, variants

DOCUMENTS, SENTENCES_PER_DOCUMENT = 50, 20


@functools.cache
def held_out() -> tuple[tuple[Sentence, ...], ...]:
    """The meanings of the parallel set by document; all 1,000 are different, in every language."""
    sampler, seen = Sampler("held out"), set[str]()
    documents: list[tuple[Sentence, ...]] = []
    while len(documents) < DOCUMENTS:
        document = tuple(sampler.document(SENTENCES_PER_DOCUMENT))
        texts = {render("rus", sentence) for sentence in document}  # the language that leaves most unsaid
        if len(texts) == SENTENCES_PER_DOCUMENT and not texts & seen:
            documents.append(document)
            seen |= texts
    return tuple(documents)


@functools.cache
def held_out_texts(language: str) -> frozenset[str]:
    return frozenset(render(language, sentence) for document in held_out() for sentence in document)


def training_text(language: str, seed: int | str) -> Iterator[str]:
    """Endless sentences of one language, each drawn independently, never one of the held-out set."""
    sampler, banned = Sampler(f"train {seed}"), held_out_texts(language)
    while True:
        text = render(language, sampler.sentence())
        if text not in banned:
            yield text


def text_bits(language: str, sentence: Sentence) -> float:
    """Bits that a perfect model of the generator needs for the sentence as written in one language.

    Minus log2 of the summed probability of every meaning that is written alike.
    """
    text = render(language, sentence)
    alike = (v for v in variants(sentence) if render(language, v) == text)
    return -math.log2(math.fsum(2 ** log2_probability(v) for v in alike))


def held_out_mass(language: str) -> float:
    """Probability that a free draw is one of the held-out sentences: what training text lacks of the whole."""
    return math.fsum(2 ** -text_bits(language, sentence) for document in held_out() for sentence in document)


def corpus_tables() -> tuple[list[list[str]], list[list[str]]]:
    """The held-out set and its bits under the perfect model, as rows of cells, headers first."""
    header = ["document", *LANGUAGES]
    texts, bits = [header], [header]
    for number, document in enumerate(held_out(), start=1):
        for sentence in document:
            texts.append([f"d{number:02}", *(render(language, sentence) for language in LANGUAGES)])
            bits.append([f"d{number:02}", *(f"{text_bits(language, sentence):.6f}" for language in LANGUAGES)])
    return texts, bits
