"""What is computed over many merges at once: paths, of two checkpoints and of every two of many."""

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np

from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.path import PathTable, Walk, path_table
from interference.steps import Steps, telling, within


def path_steps(evaluator: Evaluator, walk: Walk, languages: Sequence[str], sentences: int | None) -> Steps[PathTable]:
    """Score every point of a path on every language, one batch at a time; points are kept in the store."""
    suite = evaluator.suite
    suite.mergeable((walk.first, walk.second))
    evaluator.check_languages(languages)
    rows = evaluator.corpus.rows(sentences)
    bits: dict[tuple[float, str], np.ndarray] = {}
    for weight, language in product(walk.weights, languages):  # every merge is made once
        steps = evaluator.bits_steps(walk.at(weight), language, rows)
        bits[weight, language] = yield from telling(len(bits) / (len(languages) * walk.points), steps)
    levels: dict[tuple[str, str], np.ndarray] = {}
    for language in languages:
        named = {"untrained": suite.init.name if suite.init else None, "reference": suite.reference(language)}
        for role, name in named.items():
            if name:
                levels[role, language] = yield from telling(1.0, evaluator.bits_steps(name, language, rows))
    ends = (walk.first, walk.second)
    cells, notes = evaluator.tokenization({name: suite[name] for name in ends}, languages, rows)
    lossy = {language for _, language in cells}
    return path_table(walk, bits, levels, evaluator.corpus, rows, evaluator.provenance(ends), lossy, notes)


def pairs_steps(
    evaluator: Evaluator,
    models: Sequence[str],
    points: int,
    method: str,
    languages: Sequence[str],
    sentences: int | None,
) -> Steps[tuple[PathTable, ...]]:
    """The path between every two of the checkpoints, in the order of their pairs."""
    pairs = list(combinations(dict.fromkeys(models), 2))
    if not pairs:
        raise UserError("Paths between pairs need two checkpoints or more. Name at least two.")
    found = []
    for number, (first, second) in enumerate(pairs):
        steps = path_steps(evaluator, Walk(first, second, points, method), languages, sentences)
        found.append((yield from within(number, len(pairs), steps)))
    return tuple(found)
