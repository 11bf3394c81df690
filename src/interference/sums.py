"""Merges that are weighted sums of tensors: getting from one to the next by way of the one tensor that moved."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

Addends = Mapping[tuple[str, str], float]  # how much of which parameter of which checkpoint

DRIFT = 2e-6  # of the largest entry of a checkpoint: what steps may add to the rounding of a sum
_ROUNDING = 2.0**-24  # of one operation in float32


@dataclass(frozen=True)
class Sums:
    """What a merge left in its buffer: the addends of each parameter, and by how much steps have missed their sum.

    `error` is a bound for every entry, relative to the largest entry of a checkpoint and, where it exceeds one, the
    sum of the addends' magnitudes.
    """

    addends: Mapping[str, Addends]
    error: float = 0.0


@dataclass(frozen=True)
class Step:
    """A tensor becomes `scale` times itself and the addends."""

    scale: float
    added: Addends


def steps_between(before: Sums, addends: Mapping[str, Addends]) -> tuple[dict[str, Step], Sums] | None:
    """The step of each parameter that changes, and what is there after them; None where they would miss by over DRIFT.

    When one coefficient moves, all others are scaled alike, by one or by what normalising makes of them, and a base may
    take up what is left to one.
    """
    if before.addends.keys() != addends.keys():
        return None
    steps, error = {}, before.error
    for name, new in addends.items():
        old = before.addends[name]
        if old == new:
            continue
        keys = tuple(dict.fromkeys((*old, *new)))
        had, wanted = (tuple(one.get(key, 0.0) for key in keys) for one in (old, new))
        found = _nearest(had, wanted)
        error = max(error, found.error + abs(found.scale) * before.error * _size(had) / _size(wanted))
        if error > DRIFT:
            return None
        steps[name] = Step(found.scale, {keys[place]: share for place, share in found.shares.items()})
    return steps, Sums(addends, error)


@dataclass(frozen=True)
class _Found:
    error: float
    scale: float
    shares: Mapping[int, float]


@lru_cache(maxsize=256)  # many parameters share their coefficients
def _nearest(had: tuple[float, ...], wanted: tuple[float, ...]) -> _Found:
    """The step that misses least by adding at one place, or at one and the last, a base's, where one is not enough."""
    count = len(had)
    best = min((_leaving(had, wanted, (n,)) for n in range(count)), key=lambda f: f.error)
    if best.error > DRIFT and count > 3:  # to read fewer than all
        best = min((_leaving(had, wanted, (n, count - 1)) for n in range(count - 1)), key=lambda f: f.error)
    return best


def _leaving(had: tuple[float, ...], wanted: tuple[float, ...], free: tuple[int, ...]) -> _Found:
    """The step that scales all but the places left free, and by how much it misses with its own rounding."""
    rest = [(h, w) for n, (h, w) in enumerate(zip(had, wanted, strict=True)) if n not in free]
    square = sum(h * h for h, _ in rest)
    scale = sum(h * w for h, w in rest) / square if square else 0.0
    shares = {n: wanted[n] - scale * had[n] for n in free}
    missed = sum(abs(w - scale * h) for h, w in rest)
    rounding = 2 * _ROUNDING * (abs(scale) * sum(map(abs, had)) + sum(map(abs, shares.values())))
    return _Found((missed + rounding) / _size(wanted), scale, shares)


def _size(shares: tuple[float, ...]) -> float:
    return max(1.0, sum(map(abs, shares)))
