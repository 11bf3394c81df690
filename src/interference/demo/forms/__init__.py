"""Forms: ten grammars, one file per language, each saying every meaning in one grammatical sentence."""

import importlib

from interference.demo.meaning import Sentence

LANGUAGES = ("eng", "nld", "deu", "fra", "spa", "ita", "rus", "tur", "ara", "zho")


def render(language: str, sentence: Sentence) -> str:
    """The sentence in this language, with capital and punctuation. Different meanings give different texts,
    except that a language may leave the difference between *the* and *a* unsaid."""
    return importlib.import_module(f"interference.demo.forms.{language}").render(sentence)


def finish(words: list[str], end: str = ".", separator: str = " ") -> str:
    """Join non-empty words, no space before a comma, first letter capital, `end` attached."""
    text = separator.join(word for word in words if word).replace(" ,", ",")
    return text[0].upper() + text[1:] + end
