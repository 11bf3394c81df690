"""Parallel text: one row per meaning, one column per language, rows grouped into documents."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from interference.errors import UserError, listed

_FEW = 15  # documents: 95 % intervals of fewer hold the truth in nine of ten cases at best, of two in half of them
_AS_CSV = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True)
class Corpus:
    """Parallel sentences.

    `sentences[language]` and `documents` run over the same rows. `entropy` holds, where the text comes from a known
    generator, the bits per sentence that a perfect model of it needs, row by row. `left` are languages of the text that
    were left out.
    """

    name: str
    sentences: dict[str, tuple[str, ...]]
    documents: tuple[str, ...]
    has_documents: bool
    entropy: dict[str, tuple[float, ...]] = field(default_factory=dict)
    left: tuple[str, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self.sentences)

    def only(self, languages: Collection[str]) -> "Corpus":
        """The same rows in those of the languages that it has."""
        kept = {code: text for code, text in self.sentences.items() if code in languages}
        return replace(self, sentences=kept, left=tuple(code for code in self.languages if code not in kept))

    @cached_property
    def halves(self) -> dict[str, np.ndarray]:
        """Row numbers of the `test` and `dev` halves: every other document, in order of appearance.

        Without documents all rows are test and dev is empty, for there is nothing to split by.
        """
        order = {name: i for i, name in enumerate(dict.fromkeys(self.documents))}
        parity = np.array([order[name] % 2 if self.has_documents and len(order) > 1 else 0 for name in self.documents])
        return {half: _read_only(np.flatnonzero(parity == i)) for i, half in enumerate(("test", "dev"))}

    @property
    def has_dev(self) -> bool:
        """Whether there is a dev half."""
        return len(self.halves["dev"]) > 0

    def clusters(self, rows: Sequence[int] | np.ndarray) -> str:
        """In words, which half these rows are of and what intervals resample: documents, where there are any."""
        count = len({self.documents[row] for row in rows})
        what = "no document column: each sentence is its own cluster"
        if self.has_documents:
            half = "test half, " if self.has_dev else ""
            what = f"{half}{count} document{'' if count == 1 else 's'}"
        return f"({what}); {self.intervals(rows)}"

    def intervals(self, rows: Sequence[int] | np.ndarray) -> str:
        """What to say of intervals of these rows, which stand on their documents, or on sentences each by itself."""
        count = len({self.documents[row] for row in rows})
        if count < 2:
            return "no intervals: they need at least two documents"
        how, of = (", by document", "documents") if self.has_documents else ("", "sentences")
        return f"intervals are 95 %{how}" + f"; of fewer than {_FEW} {of} they are too narrow" * (count < _FEW)

    @cached_property
    def _subsets(self) -> dict[tuple[int, str], np.ndarray]:
        """What `rows` has given so far."""
        return {}

    def rows(self, count: int | None, half: str = "test") -> np.ndarray:
        """A fixed subset of `count` rows of one half spread evenly over its documents; all of them when None.

        Documents are taken in turn, one row of each at a time, rows evenly spaced inside a document. The array can't
        be written to.
        """
        rows = self.halves[half]
        if count is None or count >= len(rows):
            return rows
        if count < 1:
            raise UserError(f"{count} sentences asked for; give 1 to {len(rows)}, the size of the {half} half.")
        if (count, half) not in self._subsets:
            members: dict[str, list[int]] = {}
            for row in rows.tolist():
                members.setdefault(self.documents[row], []).append(row)
            self._subsets[count, half] = _read_only(np.array(sorted(_spread(list(members.values()), count))))
        return self._subsets[count, half]

    def text(self, language: str, rows: Sequence[int] | np.ndarray) -> list[str]:
        return [self.sentences[language][row] for row in rows]

    def sizes(self, language: str, rows: np.ndarray) -> np.ndarray:
        """UTF-8 bytes of each of the given sentences, float64."""
        return self._sizes[language][rows]

    @cached_property
    def _sizes(self) -> dict[str, np.ndarray]:
        return {code: np.array([float(len(s.encode())) for s in text]) for code, text in self.sentences.items()}

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {code: _digest(text) for code, text in self.sentences.items()}

    def digest(self, language: str) -> str:
        """SHA-256 of the exact text of one language."""
        return self._digests[language]

    @cached_property
    def digest_of_documents(self) -> str:
        """SHA-256 of which rows belong to one document."""
        return _digest(self.documents)


def _digest(texts: tuple[str, ...]) -> str:
    """SHA-256 of texts, one a line; as JSON where some are of several lines, for a line may move to the next text."""
    lines = "\n".join(texts)
    whole = lines if lines.count("\n") < len(texts) else json.dumps(texts)
    return hashlib.sha256(whole.encode()).hexdigest()


def _read_only(rows: np.ndarray) -> np.ndarray:
    rows.setflags(write=False)
    return rows


def _spread(documents: list[list[int]], count: int) -> list[int]:
    """Quotas as equal as the documents' sizes allow, then evenly spaced rows inside each document."""
    quotas = [0] * len(documents)
    while count:
        open_documents = [i for i, rows in enumerate(documents) if quotas[i] < len(rows)]
        taken = min(count, len(open_documents))
        # Rounds in which every open document gives one row are taken together: as many as all of them can give.
        each = max(min(count // taken, *(len(documents[i]) - quotas[i] for i in open_documents)), 1)
        for k in range(taken):
            quotas[open_documents[int((k + 0.5) * len(open_documents) / taken)]] += each
        count -= taken * each
    return [rows[int((k + 0.5) * len(rows) / q)] for rows, q in zip(documents, quotas, strict=True) for k in range(q)]


def read_corpus(path: Path) -> Corpus:
    """Read parallel text, one row per meaning: a table with a column per language and optionally `document`.

    Tab-separated, .jsonl or .parquet; or a folder with a file or folder per language; or a .yaml that describes one of
    these. Columns that no language code names are left. Raises UserError that lists every bad row at once.
    """
    if path.suffix in (".yaml", ".yml", ".jsonl", ".ndjson", ".parquet") or path.is_dir():
        from interference.corpus_files import read_layout

        return read_layout(path)
    try:
        rows = tab_cells(read_lines(path))
    except FileNotFoundError:
        raise UserError(
            f"Corpus {path} does not exist. Give a file or folder of parallel text, for example a tab-separated table "
            "with language codes as its header."
        ) from None
    except OSError as error:
        raise UserError(f"Corpus {path} can't be read: {error}.") from None
    if len(rows) < 2:
        raise UserError(
            f"Corpus {path} has {max(len(rows) - 1, 0)} rows of text; expected a header line and at least one row."
        )
    header, body = rows[0], rows[1:]
    used = [*language_columns(header), *(["document"] if "document" in header else [])]
    _check(path, header, body, used)
    columns = {name: tuple(row[header.index(name)] for row in body) for name in used}
    named = columns.pop("document", None)
    return Corpus(path.stem, columns, named or tuple(str(i) for i in range(len(body))), named is not None)


def read_lines(file: Path) -> list[str]:
    """The lines of a text. They end with LF or CRLF: a CR among these, as U+2028 and its like, is text."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except ValueError as error:
        raise UserError(
            f"{file} can't be read as UTF-8 text: {error}. Save it as UTF-8, unpacked if it is compressed."
        ) from None
    text = text.replace("\r\n", "\n")
    text = (text if "\n" in text else text.replace("\r", "\n")).removesuffix("\n")
    return text.split("\n") if text else []


def tab_cells(lines: Sequence[str]) -> list[list[str]]:
    """The cells of tab-separated lines, as they stand there.

    Where every cell with quotation marks stands in marks and has its own doubled, a program wrote the table as CSV, as
    pandas does, and the cells are what it was given; so where all of the header stands in marks, as R writes it.
    """
    rows = [line.split("\t") for line in lines]
    marked = {cell for row in rows for cell in row if '"' in cell}
    as_csv = any('""' in cell[1:-1] for cell in marked) or all(cell in marked for row in rows[:1] for cell in row)
    if as_csv and all(_AS_CSV.fullmatch(cell) for cell in marked):
        rows = [[cell[1:-1].replace('""', '"') if cell in marked else cell for cell in row] for row in rows]
    return rows


def may_be_language(name: str) -> bool:
    """eng, en, zho_Hans, pt-BR: what text without a description may be named to be taken for that of a language."""
    return re.fullmatch(r"[a-z]{2,3}([_-]([A-Z][a-z]{3}|[A-Z]{2}|\d{3}))*", name) is not None


def language_columns(names: Iterable[str]) -> list[str]:
    """Which columns of a table hold a language each: not `id` and `url`, which are codes and never meant as such."""
    return [name for name in names if may_be_language(name) and name not in ("id", "url")]


def _check(path: Path, header: list[str], body: list[list[str]], used: list[str]) -> None:
    if not set(used) - {"document"}:
        raise UserError(
            f"Corpus {path} is not a table of parallel text: the header names no language, it is "
            f"{', '.join(header)[:200]!r}. Expected tab-separated cells, in the first line language codes as eng is. "
            "Columns of other names are given in a corpus.yaml: path, and columns: {eng: the column's name, ...}."
        )
    wrong = [f"column {i + 1} of the header is empty" for i, name in enumerate(header) if not name.strip()]
    wrong += [f"the header has '{name}' twice" for name in sorted({n for n in header if header.count(n) > 1})]
    for number, row in enumerate(body, start=2):
        if not any(cell.strip() for cell in row):
            wrong.append(f"line {number} is empty")
        elif len(row) != len(header):
            wrong.append(f"line {number} has {len(row)} cells, the header has {len(header)}")
        else:
            named = zip(header, row, strict=True)
            wrong += [f"line {number} has no text for '{h}'" for h, cell in named if h in used and not cell.strip()]
    if wrong:
        raise UserError(
            f"Corpus {path} is not a table of parallel text: {listed(wrong, 8)}. Expected one tab-separated cell for "
            "every column in every row. Fill the cells or take the rows out."
        )
