"""Large arrays by digest of what made them: the newest in memory, and those that outlive a session in files."""

import os
import uuid
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from interference.errors import UserError
from interference.store import no_room, unkept

MEMORY, DISK = 1 << 30, 1 << 31  # bytes kept
Named = Mapping[str, np.ndarray]


class Arrays:
    """Named arrays under a key. Of both kinds of place the least recently used are dropped when it is full."""

    said: str = ""

    def __init__(self, folder: Path, memory: int = MEMORY, disk: int = DISK):
        self._folder, self._memory, self._disk = folder, memory, disk
        self._recent: OrderedDict[str, Named] = OrderedDict()
        self._held = 0  # bytes in memory

    def read(self, key: str) -> Named | None:
        """The arrays of a key, None where there are none. A file that can't be read is as good as none."""
        if key not in self._recent:
            file = self._file(key)
            try:
                with np.load(file) as stored:
                    self._keep(key, {name: stored[name] for name in stored.files})
                os.utime(file)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                return None
        self._recent.move_to_end(key)
        return self._recent[key]

    def write(self, key: str, arrays: Named, lasting: bool = False) -> None:
        """Keep arrays, with `lasting` in a file too: all at once or not at all.

        Where the disk is full they are in memory alone, and `said` is what to say of it; raises UserError where a file
        can't be written for another reason.
        """
        self._keep(key, arrays)
        if lasting:
            part = self._folder / f".{uuid.uuid4().hex}"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with part.open("wb") as file:
                    np.savez(file, **arrays)  # type: ignore[arg-type]
                part.replace(self._file(key))
                self.said = ""
                self._make_room()
            except OSError as error:
                if no_room(error):
                    self.said = unkept(self._folder, error)
                    return
                raise UserError(
                    f"Results can't be kept in {self._folder}: {error}. Free some space, or name another folder in "
                    "INTERFERENCE_CACHE."
                ) from None
            finally:
                with suppress(OSError):  # there is no such folder
                    part.unlink()

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.npz"

    def _keep(self, key: str, arrays: Named) -> None:
        for array in arrays.values():
            array.setflags(write=False)
        self._held += _bytes(arrays) - _bytes(self._recent.pop(key, {}))
        self._recent[key] = arrays
        while self._held > self._memory and len(self._recent) > 1:
            self._held -= _bytes(self._recent.popitem(last=False)[1])

    def _make_room(self) -> None:
        files = []
        for file in self._folder.iterdir():  # with what a process was killed in the middle of: nobody reads that again
            with suppress(FileNotFoundError):  # another process makes room here, too
                files.append((file.stat().st_mtime_ns, file.stat().st_size, file))
        files.sort()
        total = sum(size for _, size, _ in files)
        for _, size, file in files[:-1]:
            if total <= self._disk:
                break
            file.unlink(missing_ok=True)
            total -= size


def _bytes(arrays: Named) -> int:
    return sum(array.nbytes for array in arrays.values())
