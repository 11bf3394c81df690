"""What a language's code says: its name, and whether it is English. Codes are as `eng`, `eng_Latn` or `en-GB`."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib.resources import files


@cache
def _names() -> dict[str, str]:
    """The English name of a language by each of its codes, those of two letters and of three."""
    table = files("interference").joinpath("data", "languages.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines()[1:])
    return {code: name for codes, name in rows for code in codes.split()}


def language_name(code: str) -> str:
    """'English (eng)', or the code alone where its name is not known here; script and region stay in the code."""
    name = _names().get(_language(code))
    return f"{name} ({code})" if name else code


def english(codes: Sequence[str]) -> str | None:
    """The first of these codes that stands for English; None where none does."""
    return next((code for code in codes if _meant(code) == "English"), None)


def same_language(code: str, codes: Sequence[str]) -> str | None:
    """The code itself if it is among `codes`, else the first that means its language: `eng_Latn` for `eng` or `en`.

    None where none does. Two in different scripts do not mean the same; Chinese is `Hans` unless it is said.
    """
    found = (other for other in codes if _meant(other) == _meant(code) and len({*_script(other), *_script(code)}) < 2)
    return code if code in codes else next(found, None)


def direction(text: str) -> str:
    """'rtl' for text whose first letter is written from right to left, else 'ltr', as HTML calls them."""
    kinds = map(unicodedata.bidirectional, text)
    return "rtl" if next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L" else "ltr"


def _meant(code: str) -> str:
    return _names().get(_language(code), _language(code))


def _script(code: str) -> list[str]:
    named = [part.lower() for part in re.split("[-_]", code)[1:] if len(part) == 4]
    return named or (["hans"] if _meant(code) == "Chinese" else [])


def _language(code: str) -> str:
    return re.split("[-_]", code, maxsplit=1)[0].lower()
