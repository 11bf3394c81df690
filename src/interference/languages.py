"""What a language's code says: its name, and whether it is English. Codes are as `eng`, `eng_Latn` or `en-GB`."""

import re
import unicodedata
from collections.abc import Sequence

NAMES = {
    "eng": "English", "nld": "Dutch", "deu": "German", "fra": "French", "spa": "Spanish", "ita": "Italian",
    "rus": "Russian", "tur": "Turkish", "ara": "Arabic", "zho": "Chinese", "por": "Portuguese", "pol": "Polish",
    "ces": "Czech", "swe": "Swedish", "dan": "Danish", "nob": "Norwegian", "fin": "Finnish", "est": "Estonian",
    "hun": "Hungarian", "ell": "Greek", "ukr": "Ukrainian", "ron": "Romanian", "bul": "Bulgarian", "cat": "Catalan",
    "eus": "Basque", "jpn": "Japanese", "kor": "Korean", "hin": "Hindi", "vie": "Vietnamese", "ind": "Indonesian",
    "heb": "Hebrew", "fas": "Persian", "bos": "Bosnian", "hrv": "Croatian", "lit": "Lithuanian", "slk": "Slovak",
    "afr": "Afrikaans", "als": "Albanian", "arb": "Arabic", "bel": "Belarusian", "ben": "Bengali", "cmn": "Chinese",
    "cym": "Welsh", "ekk": "Estonian", "gle": "Irish", "glg": "Galician", "isl": "Icelandic", "kat": "Georgian",
    "lav": "Latvian", "lvs": "Latvian", "mkd": "Macedonian", "mlt": "Maltese", "nno": "Norwegian Nynorsk",
    "nor": "Norwegian", "pes": "Persian", "slv": "Slovenian", "sqi": "Albanian", "srp": "Serbian", "swa": "Swahili",
    "swh": "Swahili", "tam": "Tamil", "tel": "Telugu", "tha": "Thai", "urd": "Urdu",
    "en": "English", "nl": "Dutch", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "ru": "Russian",
    "tr": "Turkish", "ar": "Arabic", "zh": "Chinese", "pt": "Portuguese", "pl": "Polish", "cs": "Czech",
    "sv": "Swedish", "da": "Danish", "nb": "Norwegian", "no": "Norwegian", "fi": "Finnish", "et": "Estonian",
    "hu": "Hungarian", "el": "Greek", "uk": "Ukrainian", "ro": "Romanian", "bg": "Bulgarian", "ca": "Catalan",
    "eu": "Basque", "ja": "Japanese", "ko": "Korean", "hi": "Hindi", "vi": "Vietnamese", "id": "Indonesian",
    "he": "Hebrew", "fa": "Persian", "lt": "Lithuanian", "sk": "Slovak", "sl": "Slovenian", "sw": "Swahili",
}  # fmt: skip


def language_name(code: str) -> str:
    """'English (eng)', or the code alone where its name is not known here; script and region stay in the code."""
    name = NAMES.get(_language(code))
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
    return NAMES.get(_language(code), _language(code))


def _script(code: str) -> list[str]:
    named = [part.lower() for part in re.split("[-_]", code)[1:] if len(part) == 4]
    return named or (["hans"] if _meant(code) == "Chinese" else [])


def _language(code: str) -> str:
    return re.split("[-_]", code, maxsplit=1)[0].lower()
