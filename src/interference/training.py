"""Training runs: which checkpoints are steps of one training, and which is its last."""

import re
from collections.abc import Sequence

from interference.checkpoint import Checkpoint


def in_runs(checkpoints: Sequence[Checkpoint]) -> list[tuple[Checkpoint, ...]]:
    """The checkpoints that have a step, run by run, each in the order of steps.

    A run shares role, language and parent. Where several runs do, the names tell them apart, up to the number they
    end in.
    """
    found: dict[tuple, list[Checkpoint]] = {}
    for c in checkpoints:
        if c.step is not None:
            found.setdefault((c.role, c.language, c.parent), []).append(c)
    for key, members in list(found.items()):
        if len({c.step for c in members}) < len(members):
            for c in found.pop(key):
                found.setdefault((*key, stem(c.name)), []).append(c)
    return [tuple(sorted(members, key=lambda c: c.step or 0)) for members in found.values()]


def last_steps(checkpoints: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
    """The checkpoints less those that are an earlier step of a run."""
    earlier = {c.name for run in in_runs(checkpoints) for c in run if c.step != run[-1].step}
    return tuple(c for c in checkpoints if c.name not in earlier)


def stem(name: str) -> str:
    """A name without the number at its end."""
    return name.rstrip("0123456789").rstrip("-_@. ") or name


def in_order(name: str) -> tuple[list[tuple[str, int]], str]:
    """What names are sorted by so that step200 comes before step1000."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)], name
