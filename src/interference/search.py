"""Settings of a method searched on the dev half: no sentence of the test half is read."""

from collections.abc import Sequence

import numpy as np

from interference.compare import TRIES, changed, moves
from interference.errors import Shortage, UserError
from interference.evaluate import Evaluator
from interference.recipe import Recipe
from interference.steps import Steps, nth

EACH = 24  # dev sentences of each language


def search_steps(evaluator: Evaluator, start: Recipe, languages: Sequence[str]) -> Steps[tuple[Recipe, int]]:
    """The best of at most TRIES settings and how many were scored, the given one first.

    The loss is bits per sentence of the dev half, the mean of the languages. One knob is moved after another; a
    setting that can't be merged or overflows is passed over. Raises UserError where the corpus has no dev half.
    """
    best, least, tried = start, (yield from nth(0, TRIES, _dev_bits(evaluator, start, languages))), 1
    for changes in moves(start):
        before = best
        for name, value in changes:
            candidate = changed(before, name, value) if tried < TRIES else None
            if candidate is None:
                continue
            try:
                bits = yield from nth(tried, TRIES, _dev_bits(evaluator, candidate, languages))
            except Shortage:  # says nothing of the setting
                raise
            except UserError:
                continue
            tried += 1
            if bits < least:
                best, least = candidate, bits
    return best, tried


def _dev_bits(evaluator: Evaluator, recipe: Recipe, languages: Sequence[str]) -> Steps[float]:
    rows = evaluator.dev.rows(EACH)
    means: list[float] = []
    for language in languages:
        bits = yield from nth(len(means), len(languages), evaluator.bits_steps(recipe, language, rows))
        means.append(bits.mean())
    return float(np.mean(means))
