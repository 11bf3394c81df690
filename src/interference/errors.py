"""The exceptions for what a user can put right."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path


class UserError(ValueError):
    """Something the user gave can't be used. The message names it, says what was expected and what to do."""


class Shortage(UserError):
    """A device had no memory left for what was asked: it may have another time."""


def nearest(name: str, known: Iterable[str]) -> str:
    """How a message about an unknown name ends: the closest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or 'none'}."


def check_known(what: str, known: Collection[str], *names: str) -> None:
    """Raise UserError for the first of the names that is not known; `what` is how its message begins."""
    for name in names:
        if name not in known:
            raise UserError(f"{what} '{name}': {nearest(name, known)}")


def listed(faults: Sequence[str], most: int) -> str:
    """The first of several faults, and how many more there are."""
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(faults[:most]) + more


def user_path(text: str | Path) -> Path:
    """A path as a user typed it, `~` expanded. Raises UserError for a home that is not there or an unusable name."""
    try:
        path = Path(text).expanduser()
        path.resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()  # Python 3.14's `exists` does not tell a name that is too long from one that is not there
    except (RuntimeError, OSError, ValueError) as error:
        why = str(error)[:200].rstrip(".")
        raise UserError(
            f"{str(text)[:200]} is no path that can be used here: {why}. Give a file or a folder."
        ) from None
    return path
