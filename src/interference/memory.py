"""What is done where a device runs out of memory: everything is released first, and the message says what would fit."""

import ctypes
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from interference.errors import Shortage

# Of a CPU, of a host's pinned memory and of CUDA's libraries, which have no kind of error of their own for this. An
# "illegal memory access" is another trouble and no want of memory.
_REFUSED = re.compile(
    r"out of memory|(can't|cannot|not able to) allocate|not enough memory|ALLOC_FAILED|bad_alloc|"
    r"NOT_INITIALIZED when calling `cu\w+Create",  # CUDA's libraries have room of their own, taken at first use
    re.IGNORECASE,
)


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there was no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(_REFUSED.search(str(error)))


@contextmanager
def room(device: torch.device, doing: str, release: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Raise Shortage where memory runs out inside, once what failed is gone and `release` has freed the rest.

    What the calling function itself still names stays: call it around a function of its own.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        _forget_frames(error)
        release()
        torch.cuda.empty_cache()
        raise Shortage(
            f"{device} ran out of memory while {doing}. Use fewer models, fewer sentences, checkpoints in a smaller "
            "dtype, or another device."
        ) from None


def trim() -> None:
    """Give the system back what was freed in the heap, which glibc keeps for tensors of up to 32 MiB each."""
    if sys.platform == "linux" and (give_back := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        give_back(0)


def _forget_frames(error: BaseException | None) -> None:
    """Drop what failed functions still name, or their tensors would live as long as the message."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
