"""A download that goes on while its asker does other things."""

import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from interference.errors import UserError
from interference.hub.ids import HubId


@dataclass(frozen=True)
class Download:
    """What is known of a download now. `error` is what stopped it, `waits` what it waits for, '' where nothing does."""

    ids: tuple[HubId, ...] = ()
    share: float = 0.0
    running: bool = False
    stopped: bool = False
    error: str = ""
    waits: str = ""

    @property
    def finished(self) -> bool:
        return bool(self.ids) and not (self.running or self.stopped or self.error)


class Background:
    """One download at a time on a thread of its own, for all sessions of a process; any of them may stop it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._state = Download()

    @property
    def state(self) -> Download:
        return self._state

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop and still waits for a chunk or an answer."""
        return self._state.running and self._stop.is_set()

    def start(self, ids: Sequence[HubId]) -> None:
        """Begin. Raises UserError while another download runs."""
        with self._lock:
            if self._state.running:
                raise UserError("Another download is running. Wait for it, or stop it first.")
            self._stop.clear()
            self._state = Download(tuple(ids), running=True)
        threading.Thread(target=self._work, args=(tuple(ids),), name="download", daemon=True).start()

    def stop(self) -> None:
        """Stop at the next answer or chunk; what is there stays and is gone on from."""
        self._stop.set()

    def _hear(self, waits: str) -> None:
        self._state = replace(self._state, waits=waits)

    def _work(self, ids: tuple[HubId, ...]) -> None:
        state = Download(ids)
        try:
            steps = _steps(ids, self._hear)
            for share in steps:
                self._state = replace(state, share=share, running=True, waits=self._state.waits)
                if self._stop.is_set():
                    steps.close()
                    state = replace(state, share=share, stopped=True)
                    break
            else:
                state = replace(state, share=1.0)
        except UserError as error:
            state = replace(state, share=self._state.share, error=str(error))
        except Exception as error:  # a thread's own exceptions would be seen by nobody
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            state = replace(state, share=self._state.share, error=f"The download ended with {why}. Try again.")
        finally:
            self._state = state


def _steps(ids: Sequence[HubId], say: Callable[[str], object]) -> Generator[float]:
    """The share that is here, after the listing of every model and after every chunk."""
    from interference.hub.fetch import fetch_steps
    from interference.hub.listing import listing

    found = []
    for which in ids:
        found.append(listing(which))
        yield 0.0
    yield from fetch_steps(found, say)
