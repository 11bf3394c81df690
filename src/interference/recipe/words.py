"""Messages about what stands in a recipe file."""

import reprlib

from interference.errors import UserError, nearest


def shown(value: object) -> str:
    """A value as messages show it: short, whatever a file holds."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python prints no whole number of over 4300 digits
        return f"a {type(value).__name__} too long to print"


def known_keys(mapping: object, known: tuple[str, ...], where: str) -> None:
    """Raise UserError for what is no mapping and for a key that nothing reads."""
    if not isinstance(mapping, dict):
        raise UserError(f"The {where} is {shown(mapping)}; expected a mapping.")
    for key in mapping:
        if key not in known:
            close = nearest(key, known) if isinstance(key, str) else nearest("", known)
            raise UserError(f"Unknown key {shown(key)} in {where}: {close}")
