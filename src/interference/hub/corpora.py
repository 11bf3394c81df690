"""Data sets of the Hub as corpora: the files of the languages that were asked for, and how they are described."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from interference.corpus_files import TABLES, TEXTS
from interference.errors import UserError, nearest
from interference.hub.listing import Listing


def narrowed(found: Listing, inside: str, names: Mapping[str, str]) -> Listing:
    """The listing with the files of the given languages alone: one named so, or those of a folder named so.

    Where no file is named by a language, the one table that lies there. Raises UserError that lists what there is.
    """
    folder = PurePosixPath(inside)
    paths = {file: PurePosixPath(file.name) for file in found.files}
    readable = {file: path for file, path in paths.items() if path.suffix in (*TABLES, *TEXTS)}
    here = {file: path.relative_to(folder) for file, path in readable.items() if path.is_relative_to(folder)}
    if not here:
        folders = sorted({str(path.parent) for path in readable.values()}) or ["none"]
        raise UserError(
            f"{found.which} has no text in '{inside or '.'}' that can be read ({', '.join((*TABLES, *TEXTS))}). It has "
            f"some in: {', '.join(folders[:20])}. Give one with --inside."
        )
    named = {file: {path.parts[0] if len(path.parts) > 1 else path.stem, path.name} for file, path in here.items()}
    known = set().union(*named.values())
    lacking = [name for name in names.values() if name not in known]
    if len(lacking) == len(names) and len(here) == 1:
        return replace(found, files=tuple(here))
    if lacking:
        raise UserError(
            f"{found.which} has no text named '{lacking[0]}' in '{inside or '.'}': {nearest(lacking[0], known)} Give "
            "--language CODE=NAME."
        )
    return replace(found, files=tuple(file for file, own in named.items() if own & set(names.values())))


def description(found: Listing, inside: str, names: Mapping[str, str], text: str, document: str) -> dict:
    """What a corpus.yaml says of the files that `narrowed` left: a folder of files, or the one table with all."""
    table = len(found.files) == 1 and len(names) > 1
    place = found.files[0].name if table else inside
    own = {"path": found.which.repo, "revision": found.which.revision, "inside": place, "columns": dict(names)}
    return own | ({} if table else {"text": text}) | {"document": document}
