"""Files that are there complete or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(file: Path, text: str) -> None:
    """Write a text file in UTF-8, or leave what was there. Raises OSError where it can't be written."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(file)
    finally:
        with suppress(OSError):  # it has its name, or there was no place for it
            part.unlink()
