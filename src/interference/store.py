"""Results by digest of what made them, and findings by name: one SQLite file, safe to share between processes."""

import errno
import hashlib
import json
import os
import sqlite3
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from interference.errors import UserError


def default_folder() -> Path:
    """Where results are kept: $INTERFERENCE_CACHE, else `interference` in the user's cache folder."""
    given = os.environ.get("INTERFERENCE_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "interference"


def digest(*parts: object) -> str:
    """SHA-256 of what made a result."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def _file(folder: Path | None) -> Path:
    return (folder or default_folder()) / "results.sqlite"


def _identity(file: Path) -> tuple[int, int] | None:
    """What tells a file from another of its name; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _failure(file: Path, verb: str, error: Exception) -> UserError:
    return UserError(
        f"Results can't be {verb} {file}: {error}. Free some space, delete a broken file, or name another folder in "
        "INTERFERENCE_CACHE."
    )


def no_room(error: Exception) -> bool:
    """Whether something could not be kept because the disk is full: then work goes on without being kept."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # Of a database in WAL mode the file of its index can't be made or grow, which SQLite calls an I/O error.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def unkept(place: Path, error: Exception) -> str:
    """What to say where results are not kept for lack of room."""
    return (
        f"Results are held in memory only, for they can't be kept in {place}: {error}. Free some space, or name "
        "another folder in INTERFERENCE_CACHE."
    )


def _packed(raw: bytes) -> bytes:
    """An array's bytes as they are kept: of a large corpus few sentences are scored, and the rest is all alike."""
    packed = zlib.compress(raw, 1)
    return packed if len(packed) < len(raw) else raw


def _unpacked(kept: bytes, length: int) -> bytes:
    """The bytes that were packed; those of their whole length never were."""
    try:
        return kept if len(kept) == length else zlib.decompress(kept)
    except zlib.error:
        return b""


_RECENT = 1 << 28  # bytes of arrays kept in memory
_DISK = 1 << 31  # bytes kept in the file, as many as of hidden states beside it
_DROPPED = 8  # results that make room for one, so that a file that is too large becomes smaller and nobody waits for it

# The row with the highest id is the one that was used last, roughly.
_DROP = "delete from bits where rowid in (select rowid from bits where key != ? order by rowid limit ?)"
_RENEW = """update bits set rowid = (select max(rowid) from bits) + 1
    where key = ? and rowid < (select max(rowid) from bits) / 2 + (select min(rowid) from bits) / 2"""


def _connect(place: Path | str) -> sqlite3.Connection:
    """Open a file with its table. SQLite does not wait for its lock while the journal's mode changes, so try again."""
    connection = sqlite3.connect(place, check_same_thread=False, timeout=30)
    deadline = time.monotonic() + 30
    while True:
        try:
            connection.execute("pragma journal_mode=wal")
            connection.execute("create table if not exists bits (key text primary key, value blob not null)")
            return connection
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class Store:
    """Bits of sentences by key. An array runs over a whole corpus; what was never scored is NaN.

    `shipped` are arrays that came with the suite, read only, looked at first; bits of another length are not used.
    Where the disk is full results are held in memory, so that scoring goes on, and `said` is what to say of it. Where
    the file holds all that it may, those go that were written or read from it longest ago.
    """

    said: str = ""
    _unopened: str = ""  # what to say while the file itself can't be made
    _connection: sqlite3.Connection

    def __init__(self, folder: Path | None = None, shipped: dict[str, np.ndarray] | None = None):
        self._file = _file(folder)
        self.folder = self._file.parent
        self._shipped = shipped or {}
        self._recent: OrderedDict[str, np.ndarray] = OrderedDict()
        self._held = 0  # bytes in memory
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        """Open the file; one in memory while there is no room for it, whose results are kept as soon as there is."""
        held, self._identity = self._connection if self._unopened else None, None
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            opened = _connect(self._file)
            if held:
                with opened:
                    opened.executemany(
                        "insert or ignore into bits values (?, ?)", held.execute("select key, value from bits")
                    )
            self._connection, self._identity, self._unopened = opened, _identity(self._file), ""
        except (OSError, sqlite3.Error) as error:
            if not no_room(error):
                raise _failure(self._file, "kept in", error) from None
            self.said = self._unopened = unkept(self._file, error)
            self._connection = held or _connect(":memory:")

    def _heed_file(self) -> None:
        """Open the file anew where another is in its place or none: what is kept in one that was deleted is lost."""
        if not self._unopened and (self._identity is None or self._identity != _identity(self._file)):
            self._connection.close()  # first, for both would write to the same index of the journal
            self._open()

    def shipped(self, key: str) -> np.ndarray | None:
        """The array of this key that came with the suite, None where none did."""
        return self._shipped.get(key)

    def read(self, key: str, length: int) -> np.ndarray:
        """Bits of all sentences of one text, float64 `[sentence]`, NaN where unknown."""
        if self._shipped.get(key, np.empty(0)).shape == (length,):
            return self._shipped[key].astype(np.float64)
        with self._lock:
            if self._recent.get(key, np.empty(0)).shape == (length,):
                self._recent.move_to_end(key)
                return self._recent[key].copy()
        return self._stored(key, length)

    def read_anew(self, key: str, length: int) -> np.ndarray:
        """What `read` gives, and what others have kept since, who have stores of their own in this folder."""
        known = self.read(key, length)
        return np.where(np.isnan(known), self._stored(key, length), known)

    def _stored(self, key: str, length: int) -> np.ndarray:
        kept = self._select(key)
        raw = b"" if kept is None else _unpacked(kept, 8 * length)
        whole = len(raw) == 8 * length  # what was cut off is computed anew
        return np.frombuffer(raw).copy() if whole else np.full(length, np.nan)

    def _select(self, key: str) -> bytes | None:
        try:
            with self._lock:
                self._heed_file()
                row = self._row(key)
        except sqlite3.Error as error:
            if not no_room(error):
                raise _failure(self._file, "read from", error) from None
            return None
        return row[0] if row else None

    def _row(self, key: str) -> tuple[bytes] | None:
        """What is kept under a key; of a file that fills, what comes of its older half is made the newest."""
        row = self._connection.execute("select value from bits where key = ?", (key,)).fetchone()
        if row and self._bytes() > _DISK // 2:
            with suppress(sqlite3.Error), self._connection:  # then it is as old as it was
                self._connection.execute(_RENEW, (key,))
        return row

    def _bytes(self) -> int:
        """How much the file holds, without what was dropped, whose place is taken again."""
        whole, free, size = (
            self._connection.execute(f"pragma {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (whole - free) * size

    def write(self, key: str, bits: np.ndarray) -> None:
        """Keep an array, all at once or not at all; on a full disk in memory alone, and results so far stay."""
        array = bits.astype(np.float64)
        self._insert(key, _packed(array.tobytes()))
        with self._lock:
            self._held += array.nbytes - self._recent.pop(key, np.empty(0)).nbytes
            self._recent[key] = array
            while self._held > _RECENT and len(self._recent) > 1:
                self._held -= self._recent.popitem(last=False)[1].nbytes

    def read_document(self, key: str) -> str | None:
        """A text that was kept under a key, None where there is none."""
        kept = self._select(key)
        return None if kept is None else kept.decode()

    def write_document(self, key: str, document: str) -> None:
        """Keep a text under a key that no array has; on a full disk it is not kept."""
        self._insert(key, document.encode())

    def _insert(self, key: str, value: bytes) -> None:
        try:
            with self._lock:
                self._heed_file()
                if self._unopened:
                    self._open()
                with self._connection:
                    self._connection.execute("insert or replace into bits values (?, ?)", (key, value))
                    if self._bytes() > _DISK:
                        self._connection.execute(_DROP, (key, _DROPPED))
            self.said = self._unopened
        except sqlite3.Error as error:
            if not no_room(error):
                raise _failure(self._file, "kept in", error) from None
            self.said = unkept(self._file, error)

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True)
class Kept:
    """Findings as they are kept. `changed` is when, in nanoseconds since 1970, and never the same for two writes."""

    name: str
    document: str
    changed: int


def list_findings(folder: Path | None = None) -> tuple[Kept, ...]:
    """All findings, the one changed last first. Nothing is written, so that whoever only looks needs no room."""
    file = _file(folder)
    try:
        if not file.is_file():
            return ()
        with closing(sqlite3.connect(file, timeout=30)) as connection:
            if not connection.execute("select 1 from sqlite_master where name = 'findings'").fetchone():
                return ()
            rows = connection.execute("select name, document, changed from findings order by changed desc").fetchall()
    except (OSError, sqlite3.Error) as error:
        raise _failure(file, "read from", error) from None
    return tuple(Kept(*row) for row in rows)


def read_findings(name: str, folder: Path | None = None) -> Kept | None:
    """The findings of a name, None where there are none."""
    return next((kept for kept in list_findings(folder) if kept.name == name), None)


def write_findings(name: str, document: str, since: int | None = None, folder: Path | None = None) -> Kept:
    """Keep a document that was made from the one that was kept under this name and `changed` at `since`.

    New ones (`since` None) whose name is taken, and ones whose original has been changed by somebody else since, are
    kept beside it: under the name in what comes back, the same with a number. Nothing that was kept is lost.
    """
    with _findings(folder) as table:
        there = _read(table, name)
        if there and there.changed != since:
            stem = name[: _NAME - 5]
            name = next(other for n in count(2) if not _read(table, other := f"{stem} ({n})"))
        newest = table.execute("select coalesce(max(changed), 0) from findings").fetchone()[0]
        kept = Kept(name, document, max(time.time_ns(), newest + 1))
        table.execute("insert or replace into findings values (?, ?, ?)", (kept.name, kept.document, kept.changed))
    return kept


def rename_findings(name: str, new: str, folder: Path | None = None) -> None:
    """Keep findings under another name. Raises UserError where that is taken, or there are none of the old one."""
    with _findings(folder) as table:
        if _read(table, new):
            raise UserError(f"There are findings named '{new}' already. Choose another name, or delete those first.")
        if not table.execute("update findings set name = ? where name = ?", (new, name)).rowcount:
            raise UserError(f"There are no findings named '{name}' any more: they were renamed or deleted elsewhere.")


def delete_findings(name: str, folder: Path | None = None) -> None:
    """Delete the findings of a name, if there are any."""
    with _findings(folder) as table:
        table.execute("delete from findings where name = ?", (name,))


_NAME = 80  # characters of a name, its number included


def _read(table: sqlite3.Connection, name: str) -> Kept | None:
    row = table.execute("select name, document, changed from findings where name = ?", (name,)).fetchone()
    return Kept(*row) if row else None


@contextmanager
def _findings(folder: Path | None) -> Iterator[sqlite3.Connection]:
    """The table of findings in one transaction that nobody else writes in: all that is done there, or none of it."""
    file = _file(folder)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection, connection:
            connection.execute("begin immediate")
            connection.execute(
                "create table if not exists findings (name text primary key, document text not null, changed integer)"
            )
            yield connection
    except (OSError, sqlite3.Error) as error:
        raise _failure(file, "kept in", error) from None
