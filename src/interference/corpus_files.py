"""Parallel text in the layouts it comes in: tables, one file or folder per language, and data sets of the Hub.

Each is read into the columns of one table: a language, or `document`, to its cells, row by row.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from interference.corpus import Corpus, language_columns, may_be_language, read_lines, tab_cells
from interference.errors import UserError, check_known, listed, nearest, user_path
from interference.hub import local_folder
from interference.strict_yaml import load_yaml

TABLES = (".jsonl", ".ndjson", ".parquet", ".tsv")
TEXTS = (".txt",)
_NO_TEXTS = (*TABLES, ".json", ".csv")  # what has columns and can't be taken line by line
_PART = re.compile(r"-\d+-of-\d+(?=\.\w+$)")  # in the names of the parts that a large table lies in
_SHOWN = 8  # faults that a message lists


@dataclass(frozen=True)
class Layout:
    """How a corpus lies there.

    `columns` maps a language to the column, file or folder that holds it; without it they are named by language. A
    column inside another is `translation.de`, a file inside a folder `deu_Latn/dev.parquet`.
    `text` is the column of the sentences where each language has a table of its own, `document` that of documents.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    text: str = "text"
    document: str = "document"

    def documents(self, table: Mapping[str, Sequence[Any]], file: Path) -> Sequence[Any] | None:
        """What tells documents apart; None where nothing does. Raises UserError for a named column that is not there.

        A `document` that is not named may be lacking.
        """
        if self.document not in table and self.document != Layout.document:
            raise UserError(
                f"{file} has no column '{self.document}' that tells documents apart: {nearest(self.document, table)}"
            )
        return table.get(self.document)


def read_layout(path: Path, layout: Layout | None = None) -> Corpus:
    """Read a folder, a table (.jsonl, .parquet, .tsv) or a description (.yaml). Raises UserError with all faults."""
    if path.suffix in (".yaml", ".yml"):
        return _described(path)
    layout = layout or Layout()
    try:
        columns = _folder(path, layout) if path.is_dir() else _wide(path, layout)
    except OSError as error:
        raise UserError(f"Corpus {path} can't be read: {error}.") from None
    return _corpus(path, columns)


def read_described(document: Any, beside: Path, name: str) -> Corpus:
    """Read the corpus that a mapping describes: {path, revision, inside, columns, text, document}."""
    keys = ("path", "revision", "inside", *(f.name for f in fields(Layout)))
    if not isinstance(document, dict) or not isinstance(document.get("path"), str):
        raise UserError(f"{name} describes no corpus; expected a mapping with 'path' and any of {', '.join(keys[1:])}.")
    wrong = [f"unknown key '{key}': {nearest(str(key), keys)}" for key in document if key not in keys]
    columns = document.get("columns") or {}
    if not isinstance(columns, dict) or not all(isinstance(v, str) for v in (*columns, *columns.values())):
        wrong.append(
            "'columns' is no mapping of language codes to names; quote codes that YAML reads as something else"
        )
    wrong += [
        f"'{key}' is {document[key]!r}; expected text"
        for key in ("revision", "inside", "text", "document")
        if not isinstance(document.get(key, ""), str)
    ]
    if wrong:
        raise UserError(f"{name} can't be used: {'; '.join(wrong)}.")
    own = {key: document[key] for key in ("columns", "text", "document") if document.get(key)}
    return read_layout(_place(document, beside, name), Layout(**own))


def _place(document: dict, beside: Path, name: str) -> Path:
    path = user_path(beside / user_path(document["path"]))
    inside = document.get("inside") or ""
    if Path(inside).is_absolute() or ".." in Path(inside).parts:
        raise UserError(f"{name}: 'inside' is {inside!r}; expected a folder of the data set.")
    if "revision" not in document and path.exists():
        return path / inside
    if folder := local_folder(document["path"], document.get("revision"), beside, "dataset"):
        return folder / inside
    raise UserError(f"{name}: {path} does not exist. Give a file or folder here, or the id of a data set of the Hub.")


def _described(path: Path) -> Corpus:
    try:
        document = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise UserError(f"Corpus {path} can't be read as YAML: {' '.join(str(error).split())[:300]}.") from None
    return read_described(document, path.parent, str(path))


def _wide(path: Path, layout: Layout) -> dict[str, Sequence[Any]]:
    """One table with a column for each language."""
    table = read_table(path)
    if layout.text != Layout.text:
        raise UserError(
            f"Corpus {path} is one table, and 'text' ({layout.text}) names the column of sentences where each language "
            "has a table of its own. Take it out, and name the columns: columns: {eng: the column's name, ...}."
        )
    names = dict(layout.columns) or {c: c for c in language_columns(table) if c != layout.document}
    check_known(f"Corpus {path} has no column", table, *names.values())
    if not names:
        raise UserError(
            f"Corpus {path} has the columns {', '.join(table) or 'none'}, none of them named by a language code as "
            "eng is. Describe it in a corpus.yaml: path, and columns: {eng: the column's name, ...}."
        )
    found = {language: table[column] for language, column in names.items()}
    documents = layout.documents(table, path)
    return found if documents is None else found | {"document": documents}


def _folder(path: Path, layout: Layout) -> dict[str, Sequence[Any]]:
    """One text, table or folder of texts for each language."""
    entries = {entry.name: entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")}
    called: dict[str, list[str]] = {}
    for entry in entries.values():
        for name in {entry.name, entry.stem} if entry.suffix in (*TABLES, *TEXTS) else {entry.name}:
            called.setdefault(name, []).append(entry.name)
    entries |= {name: entries[first] for name, (first, *_) in called.items()}
    entries |= {name: path / name for name in layout.columns.values() if name not in entries and (path / name).exists()}
    names = dict(layout.columns) or {n: n for n, e in entries.items() if may_be_language(n) and _holds_text(e)}
    check_known(f"Corpus {path} has no file or folder", entries, *names.values())
    if not names:
        raise UserError(
            f"Corpus {path} holds no text that is named by a language; expected eng.txt, deu.txt, ..., or eng/*.txt, "
            "or eng.jsonl or eng.parquet. Other names are given in a corpus.yaml: columns: {eng: the file's name}."
        )
    if several := next((called[name] for name in names.values() if len(called.get(name, ())) > 1), None):
        raise UserError(
            f"Corpus {path} has {' and '.join(several)}, and one of them is to be read. Take the others out, or name "
            f"the one that is meant in a corpus.yaml: columns: {{{Path(several[0]).stem}: {several[-1]}}}."
        )
    parts = {language: _language(entries[name], layout) for language, name in names.items()}
    sizes = {language: len(sentences) for language, (sentences, _) in parts.items()}
    if len(set(sizes.values())) > 1:
        raise UserError(
            f"Corpus {path} is not parallel: {', '.join(f'{n} sentences of {c}' for c, n in sizes.items())}. Expected "
            "the same number, line by line with the same meaning."
        )
    found: dict[str, Sequence[Any]] = {language: sentences for language, (sentences, _) in parts.items()}
    named = {language: documents for language, (_, documents) in parts.items() if documents is not None}
    if len(set(map(tuple, named.values()))) > 1:
        raise UserError(
            f"Corpus {path} has other documents in {' than in '.join(list(named)[:2])}. Expected the same for each row."
        )
    return found | ({"document": next(iter(named.values()))} if named else {})


def _holds_text(entry: Path) -> bool:
    return entry.is_dir() or entry.suffix in (*TABLES, *TEXTS)


def _language(entry: Path, layout: Layout) -> tuple[list[Any], list[Any] | None]:
    """The sentences of one language and, where they are known, their documents."""
    if entry.is_dir():
        return _folder_of_language(entry, layout)
    if entry.suffix not in _NO_TEXTS:
        return _lines(entry, layout), None
    table = read_table(entry)
    if layout.text not in table:
        raise UserError(
            f"{entry} has no column '{layout.text}': {nearest(layout.text, table)} Name the column of sentences: text: "
            "... in a corpus.yaml, --text of `interference hub corpus`."
        )
    documents = layout.documents(table, entry)
    return list(table[layout.text]), None if documents is None else list(documents)


def _lines(file: Path, layout: Layout) -> list[str]:
    """The sentences of a text, which has no columns."""
    for key, named, default in (
        ("text", layout.text, Layout.text), ("document", layout.document, Layout.document),
    ):  # fmt: skip
        if named != default:
            raise UserError(f"{file} is a text without columns, and '{key}' names the column '{named}'. Take it out.")
    return read_lines(file)


def _folder_of_language(folder: Path, layout: Layout) -> tuple[list[Any], list[Any] | None]:
    """Texts, each a document, or one table in one or more parts."""
    files = sorted(folder.iterdir())
    if texts := {file.stem: _lines(file, layout) for file in files if file.suffix in TEXTS}:
        return [s for text in texts.values() for s in text], [name for name, text in texts.items() for _ in text]
    tables = [file for file in files if file.suffix in TABLES]
    if len(tables_of([file.name for file in tables])) != 1:
        raise UserError(
            f"{folder} holds {', '.join(file.name for file in files[:_SHOWN]) or 'nothing'}; expected the text of one "
            f"language: .txt, each a document, or one table. Name the one that is meant in a corpus.yaml: columns: "
            f"{{{folder.name}: {folder.name}/its name}}; or give this folder where it holds a file for each language."
        )
    parts = [_language(file, layout) for file in tables]
    documents = [own for _, own in parts if own is not None]
    sentences = [sentence for own, _ in parts for sentence in own]
    return sentences, [d for own in documents for d in own] if len(documents) == len(parts) else None


def tables_of(names: Iterable[str]) -> set[str]:
    """The tables that files of these names are, those in parts (-00000-of-00002) once."""
    return {_PART.sub("", name) for name in names}


def read_table(file: Path) -> dict[str, Sequence[Any]]:
    """The columns of a table."""
    if not file.is_file():
        raise UserError(f"Corpus {file} does not exist. Give a file or folder of parallel text.")
    if file.suffix == ".parquet":
        return _parquet(file)
    if file.suffix not in (".tsv", ".jsonl", ".ndjson", ".json"):
        raise UserError(f"{file} is no table that can be read here; expected .tsv, .jsonl or .parquet.")
    rows = list(_json_rows(file) if file.suffix != ".tsv" else _tab_rows(file))
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _parquet(file: Path) -> dict[str, Sequence[Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        read = parquet.read_table(file).flatten()  # what stands inside a column is named as _json_rows names it
    except (pyarrow.ArrowException, OSError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{file} can't be read as parquet: {why[:300]} Download or copy it again.") from None
    _once(file, read.column_names)
    return {name: read.column(name).to_pylist() for name in read.column_names}


def _once(file: Path, names: Sequence[str]) -> None:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{file} has two columns '{twice}', and one of them is to be read. Rename or drop the other.")


def _json_rows(file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"{file}: line {number} is not JSON: {error}. Expected one JSON mapping on every line."
            ) from None
        if not isinstance(row, dict):
            raise UserError(f"{file}: line {number} is no JSON mapping; expected {{language: sentence, ...}}.")
        inner = {f"{name}.{key}": v for name, cell in row.items() if isinstance(cell, dict) for key, v in cell.items()}
        yield {name: cell for name, cell in row.items() if not isinstance(cell, dict)} | inner


def _tab_rows(file: Path) -> Iterator[dict[str, Any]]:
    header, *rows = tab_cells(read_lines(file)) or [[]]
    _once(file, header)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{file}: line {number} has {len(row)} cells, the header has {len(header)}.")
        yield dict(zip(header, row, strict=True))


def _corpus(path: Path, columns: Mapping[str, Sequence[Any]]) -> Corpus:
    rows = len(next(iter(columns.values())))
    wrong = [] if rows else ["it has no rows"]
    for name, cells in columns.items():
        for number, cell in enumerate(cells, start=1):
            if not isinstance(cell, str) and (name != "document" or cell is None):
                wrong.append(f"row {number} has {_short(cell)} for '{name}', and no text")
            elif not str(cell).strip():
                wrong.append(f"row {number} has no text for '{name}'")
    if wrong:
        raise UserError(
            f"Corpus {path} is not a table of parallel text: {listed(wrong, _SHOWN)}. Expected a sentence in "
            "every language for every row. Fill them or take the rows out."
        )
    found = {name: tuple(map(str, cells)) for name, cells in columns.items()}
    documents = found.pop("document", None)
    return Corpus(path.stem, found, documents or tuple(map(str, range(rows))), documents is not None)


def _short(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
