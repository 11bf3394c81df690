"""Results on disk, by digest of what made them: one SQLite file, safe to share between processes."""

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections import OrderedDict
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


_RECENT = 4096  # arrays kept in memory


class Store:
    """Bits of sentences by key. An array runs over a whole corpus; what was never scored is NaN.

    `shipped` are arrays that came with the suite, read only, looked at first; bits of another length are not used.
    """

    def __init__(self, folder: Path | None = None, shipped: dict[str, np.ndarray] | None = None):
        self._file = (folder or default_folder()) / "results.sqlite"
        self._shipped = shipped or {}
        self._recent: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._file, check_same_thread=False, timeout=30)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise self._failure("kept in", error) from None

    def _prepare(self) -> None:
        """Make the table. SQLite does not wait for its lock while the journal's mode changes, so try again."""
        deadline = time.monotonic() + 30
        while True:
            try:
                self._connection.execute("pragma journal_mode=wal")
                self._connection.execute("create table if not exists bits (key text primary key, value blob not null)")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _failure(self, verb: str, error: Exception) -> UserError:
        return UserError(
            f"Results can't be {verb} {self._file}: {error}. Free some space, delete a broken file, or name another "
            "folder in INTERFERENCE_CACHE."
        )

    def shipped(self, key: str) -> np.ndarray | None:
        """The array of this key that came with the suite, None where none did."""
        return self._shipped.get(key)

    def read(self, key: str, length: int) -> np.ndarray:
        """Bits of all sentences of one text, float64 `[sentence]`, NaN where unknown."""
        if self._shipped.get(key, np.empty(0)).shape == (length,):
            return self._shipped[key].astype(np.float64)
        try:
            with self._lock:
                if self._recent.get(key, np.empty(0)).shape == (length,):
                    self._recent.move_to_end(key)
                    return self._recent[key].copy()
                row = self._connection.execute("select value from bits where key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._failure("read from", error) from None
        found = np.frombuffer(row[0]) if row else np.empty(0)
        return found.copy() if len(found) == length else np.full(length, np.nan)

    def write(self, key: str, bits: np.ndarray) -> None:
        """Keep an array, all at once or not at all. A full disk is reported as UserError; results so far stay."""
        try:
            with self._lock, self._connection:
                self._connection.execute(
                    "insert or replace into bits values (?, ?)", (key, bits.astype(np.float64).tobytes())
                )
        except sqlite3.Error as error:
            raise self._failure("kept in", error) from None
        with self._lock:
            self._recent[key] = bits.astype(np.float64)
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)

    def close(self) -> None:
        self._connection.close()
