"""Names of languages beside their ISO 639-3 codes."""

NAMES = {
    "eng": "English", "nld": "Dutch", "deu": "German", "fra": "French", "spa": "Spanish", "ita": "Italian",
    "rus": "Russian", "tur": "Turkish", "ara": "Arabic", "zho": "Chinese", "por": "Portuguese", "pol": "Polish",
    "ces": "Czech", "swe": "Swedish", "dan": "Danish", "nob": "Norwegian", "fin": "Finnish", "est": "Estonian",
    "hun": "Hungarian", "ell": "Greek", "ukr": "Ukrainian", "ron": "Romanian", "bul": "Bulgarian", "cat": "Catalan",
    "eus": "Basque", "jpn": "Japanese", "kor": "Korean", "hin": "Hindi", "vie": "Vietnamese", "ind": "Indonesian",
    "heb": "Hebrew", "fas": "Persian", "bos": "Bosnian", "hrv": "Croatian", "lit": "Lithuanian", "slk": "Slovak",
}  # fmt: skip


def language_name(code: str) -> str:
    """'English (eng)', or the code alone where its name is not known here; a script suffix is kept in the code."""
    name = NAMES.get(code.split("_")[0])
    return f"{name} ({code})" if name else code


def direction(code: str) -> str:
    """'rtl' for languages written from right to left, else 'ltr', as HTML calls them."""
    return "rtl" if code.split("_")[0] in ("ara", "heb", "fas", "urd") else "ltr"
