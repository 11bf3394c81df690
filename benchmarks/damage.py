"""What averaging monolingual models costs, and what is won back by scale, rows and training, in bits per byte.

On the built-in suite: all pairs among six languages, and all ten monos. Damage is the mean over the merged languages of
the bits per byte above each language's own mono, on sentences of the test half.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import torch
from measuring import report

from interference.ensemble import LOGITS, PROBABILITIES, Ensemble
from interference.evaluate import Evaluator
from interference.recipe import Recipe
from interference.results import store_of
from interference.scored import BIGRAM, Scored
from interference.suite import open_suite

LANGUAGES = ("eng", "deu", "fra", "spa", "rus", "tur")
SENTENCES = 25
POST = {
    "average": (),
    "+ rescaled": ("rescale",),
    "+ REPAIR": ("repair",),
    "+ token rows": ("vocabulary_rows",),
    "+ token rows, REPAIR": ("vocabulary_rows", "repair"),
    "+ token rows, trained": ("vocabulary_rows", "finetune"),
    "+ trained": ("finetune",),
}


def damage(evaluator: Evaluator, model: Scored, languages: tuple[str, ...]) -> float:
    corpus = evaluator.corpus
    rows = corpus.rows(SENTENCES)
    above = []
    for language in languages:
        bits = evaluator.bits(model, language, rows) - evaluator.bits(f"mono-{language}", language, rows)
        above.append(bits.sum() / corpus.sizes(language, rows).sum())
    return float(np.mean(above))


def rows(languages: tuple[str, ...]) -> Mapping[str, Scored]:
    """Every merge of the languages' monos, and what they say unmerged."""
    names = tuple(f"mono-{language}" for language in languages)
    even = (1 / len(names),) * len(names)
    merges: dict[str, Scored] = {label: Recipe("linear", names, even, post=post) for label, post in POST.items()}
    merges |= {label: Recipe(method, names, even) for label, method in (("Fisher", "fisher"), ("RegMean", "regmean"))}
    merges |= {kind: Ensemble(names, kind) for kind in (LOGITS, PROBABILITIES)}
    return merges | {BIGRAM: BIGRAM}


def measure() -> None:
    suite = open_suite()
    evaluator = Evaluator(suite, store_of(suite), torch.device("cpu"))
    pairs = [
        {label: damage(evaluator, model, pair) for label, model in rows(pair).items()}
        for pair in combinations(LANGUAGES, 2)
    ]
    every = evaluator.corpus.languages
    table = []
    for label, model in rows(every).items():
        found = [one[label] for one in pairs]
        table.append((label, f"{np.mean(found):.3f}", f"{np.std(found):.3f}", f"{damage(evaluator, model, every):.3f}"))
    report(
        f"Bits per byte above each language's own mono, {SENTENCES} sentences of the test half",
        ("", f"mean of {len(pairs)} pairs", "sd over pairs", f"all {len(every)} monos"),
        table,
        [f"Pairs among {', '.join(LANGUAGES)}, which share models: not {len(pairs)} independent trials."],
    )


if __name__ == "__main__":
    measure()
