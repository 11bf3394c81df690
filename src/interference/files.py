"""Whether the files that a suite was opened from are still what they were."""

import os
import time
from contextlib import suppress

from interference.suite import Suite

_SELDOM = 9  # times that looking at the files took pass before it is done again


class Files:
    """The files of a suite as they are now."""

    def __init__(self, suite: Suite):
        self._suite, self._stamps, self._unchanged_until = suite, _stamps(suite), 0.0

    def changed(self) -> bool:
        """Whether one of them has changed since, or is gone, or a new one is there.

        Looked at so seldom that it takes a tenth of the time at most: a suite may be a thousand files of a slow disk.
        """
        started = time.monotonic()
        if started < self._unchanged_until:
            return False
        changed = self._stamps != _stamps(self._suite)
        if not changed:
            ended = time.monotonic()
            self._unchanged_until = ended + _SELDOM * (ended - started)
        return changed


def _stamps(suite: Suite) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file that a suite was opened from, as far as they are still there."""
    found = {}
    folders = [(c.path, "") for c in suite.checkpoints]
    folders += [(suite.path.parent, ".")] if suite.path and suite.path.is_file() else []
    for folder, part in folders:
        with suppress(FileNotFoundError):  # gone since: the others still differ from what they were
            for file in os.scandir(folder):  # pathlib would take several times as long
                if part in file.name and file.is_file():
                    found[file.path] = (file.stat().st_size, file.stat().st_mtime_ns)
    return found
