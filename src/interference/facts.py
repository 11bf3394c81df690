"""What opening a checkpoint found out, kept in the results file beside a suite so that it is not found out again.

Facts are used only for files of the very contents they were read from, and under the versions that read them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from interference.checkpoint import Checkpoint
from interference.errors import UserError

FILE = "results.npz"
MADE_FROM = "made from"  # of what and with what the file was made, as JSON
_FACTS = ("architecture", "shapes", "heads", "vocabulary", "positions", "dtype", "vocabulary_digest")


def versions() -> dict[str, str]:
    """The libraries that results and facts depend on."""
    return {name: version(name) for name in ("torch", "transformers", "tokenizers", "safetensors")}


def same_readers(made_with: Mapping[str, str]) -> bool:
    """Whether configurations and tokenizers are read here by the versions given."""
    own = versions()
    return all(made_with.get(name) == own[name] for name in own if name != "torch")


def read_made_from(file: Path) -> dict[str, Any]:
    """What a results file says it was made from. Raises exceptions of numpy, zipfile, zlib and json."""
    with np.load(file) as stored:
        made_from = json.loads(str(stored[MADE_FROM]))
    return {key: dict(made_from[key]) for key in ("digests", "facts", "versions")}


def facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """All that opening and listing a checkpoint asks of it, as data for JSON."""
    return {name: getattr(checkpoint, name) for name in _FACTS}


def with_facts(checkpoints: Sequence[Checkpoint], file: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints, those knowing their facts whose files are the ones that a results file was made from.

    A file that can't be used says nothing here; who asks for its results is told.
    """
    try:
        made_from = read_made_from(file)
    except Exception:  # of numpy, zipfile, zlib and json, each with exceptions of its own
        return tuple(checkpoints)
    if not same_readers(made_from["versions"]):
        return tuple(checkpoints)
    return tuple(_knowing(c, made_from["digests"].get(c.name), made_from["facts"].get(c.name)) for c in checkpoints)


def _knowing(checkpoint: Checkpoint, digest: str | None, known: Any) -> Checkpoint:
    try:
        if digest is None or checkpoint.digest != digest or set(known) != set(_FACTS):
            return checkpoint
        known = known | {
            "shapes": {name: tuple(shape) for name, shape in known["shapes"].items()},
            "heads": tuple((key, value) for key, value in known["heads"]),
        }
    except (UserError, OSError, AttributeError, TypeError, ValueError):  # opening it says what is wrong
        return checkpoint
    found = replace(checkpoint)
    vars(found).update(known, digest=digest)  # where cached properties look first
    return found
