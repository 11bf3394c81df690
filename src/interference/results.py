"""The results file of a suite: bits of every checkpoint on every sentence, computed once and shipped beside it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from interference.evaluate import Evaluator, bits_key
from interference.store import Store
from interference.suite import Suite

FILE = "results.npz"


def write_results(suite: Suite, out: Path, progress: Callable[[float], None] = lambda share: None) -> None:
    """Score every checkpoint on all rows of the corpus, dev and test, on the CPU; a float32 array for each."""
    evaluator = Evaluator(suite, Store(None, {}), torch.device("cpu"))
    rows, arrays = np.arange(len(evaluator.corpus.documents)), {}
    for number, name in enumerate(suite.names, start=1):
        for language in evaluator.corpus.languages:
            arrays[f"{name}/{language}"] = evaluator.bits(name, language, rows).astype(np.float32)
        progress(number / len(suite.names))
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]


def shipped_results(suite: Suite) -> dict[str, np.ndarray]:
    """The arrays of the results file beside a suite.yaml under the store's keys; {} where there is none.

    The keys hold the digests of weights and text, so numbers of other weights or other text are never taken for these.
    """
    file = suite.path.parent / FILE if suite.path else None
    if file is None or not file.is_file() or suite.corpus is None:
        return {}
    with np.load(file) as arrays:
        found = {}
        for name in arrays.files:
            checkpoint, language = name.rsplit("/", 1)
            if checkpoint in suite.names and language in suite.corpus.languages:
                found[bits_key(suite[checkpoint].digest, suite.corpus, language, "cpu")] = arrays[name]
    return found
