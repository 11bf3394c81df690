"""Data sets of the Hub as corpora: the files of the languages that were asked for, and how they are described."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from interference.corpus_files import TABLES, TEXTS, Layout, tables_of
from interference.errors import UserError, nearest
from interference.hub.listing import Listing


def narrowed(found: Listing, inside: str, names: Mapping[str, str]) -> Listing:
    """The listing with the files of the given languages alone: one named so, or those of a folder named so.

    Where no file is named by a language, the one table that lies there. Raises UserError that lists what there is.
    """
    folder = PurePosixPath(inside)
    paths = {file: PurePosixPath(file.name) for file in found.files}
    readable = {file: path for file, path in paths.items() if path.suffix in (*TABLES, *TEXTS)}
    here = {file: path for file, path in readable.items() if path.is_relative_to(folder)}
    if not here:
        folders = sorted({str(path.parent) for path in readable.values()}) or ["none"]
        raise UserError(
            f"{found.which} has no text in '{inside or '.'}' that can be read ({', '.join((*TABLES, *TEXTS))}). It has "
            f"some in: {', '.join(folders[:20])}. Give one with --inside."
        )
    known = set().union(*(_names(path, folder) for path in here.values()))
    lacking = [name for name in names.values() if name not in known]
    if len(lacking) == len(names) and len(here) == 1:
        return replace(found, files=tuple(here))
    if lacking:
        deeper = sorted({str(path.parent) for path in here.values() if path.stem == lacking[0]})
        where = (
            f"it has some in: {', '.join(deeper)}. Give one with --inside." if deeper else nearest(lacking[0], known)
        )
        raise UserError(
            f"{found.which} has no text named '{lacking[0]}' in '{inside or '.'}': {where} Other names are given as "
            "--language CODE=NAME; where it is a column, name the one table that has it with --inside."
        )
    for name in names.values():
        own = sorted(str(path.relative_to(folder)) for path in here.values() if name in _names(path, folder))
        if len(tables_of(own)) > 1 and not all(one.endswith(TEXTS) for one in own):
            raise UserError(
                f"{found.which} has several texts named '{name}' in '{inside or '.'}': {', '.join(own[:20])}. Give "
                f"the one that is meant: --language CODE={own[0]}."
            )
    return replace(found, files=tuple(f for f, path in here.items() if _names(path, folder) & set(names.values())))


def _names(path: PurePosixPath, folder: PurePosixPath) -> set[str]:
    """What a file, or the folder of a language that it lies in, may be called inside the folder that was named."""
    parts = path.relative_to(folder).parts
    return {parts[0] if len(parts) > 1 else path.stem, path.name, "/".join(parts)}


def description(found: Listing, inside: str, names: Mapping[str, str], text: str, document: str) -> dict:
    """What a corpus.yaml says of the files that `narrowed` left: a folder of files, or the one table with all."""
    first = PurePosixPath(found.files[0].name)
    table = len(found.files) == 1 and not _names(first, PurePosixPath(inside)) & set(names.values())
    place = str(first) if table else inside
    own = {"path": found.which.repo, "revision": found.which.revision, "inside": place, "columns": dict(names)}
    return own | ({} if table and text == Layout.text else {"text": text}) | {"document": document}
