"""Losses of one merge in ten languages, against transformers called plainly sentence by sentence."""

import tempfile
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import torch
from measuring import alternate, plain_bits, report
from transformers import AutoModelForCausalLM, AutoTokenizer

from interference.evaluate import Evaluator
from interference.export import write_merge
from interference.recipe import Recipe
from interference.store import Store
from interference.suite import open_suite

SENTENCES, ROUNDS = 100, 3
CPU = torch.device("cpu")


def measure(folder: Path) -> None:
    suite = open_suite()
    assert suite.corpus is not None
    corpus, rows = suite.corpus, suite.corpus.rows(SENTENCES)
    parents = tuple(c.name for c in suite.with_role("mono"))
    recipe = Recipe("linear", parents, (1.0,) * len(parents))
    evaluator = Evaluator(suite, Store(folder / "store"), CPU)
    written = write_merge(recipe, suite, folder / "merge", CPU)
    model = AutoModelForCausalLM.from_pretrained(written, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(written)
    seeds = count(1)  # a seed changes nothing in a linear merge but the key it is remembered by: each round is computed
    found: dict[str, np.ndarray] = {}

    def here() -> None:
        fresh = replace(recipe, seed=next(seeds))
        found["here"] = np.array([evaluator.bits(fresh, language, rows) for language in corpus.languages])

    def plain() -> None:
        texts = [corpus.text(language, rows) for language in corpus.languages]
        found["plain"] = np.array([list(plain_bits(model, tokenizer, text)) for text in texts])

    seconds = alternate({"here": here, "plain": plain}, ROUNDS)
    report(
        f"Losses of one merge of {len(parents)} models, {len(corpus.languages)} languages x {SENTENCES} sentences",
        ("", "seconds", "ratio"),
        [
            ("transformers, sentence by sentence, merge not counted", f"{seconds['plain']:.2f}", "1.0"),
            ("here, merge counted", f"{seconds['here']:.2f}", f"{seconds['plain'] / seconds['here']:.1f} x faster"),
        ],
        [f"Largest difference in a sentence's bits: {np.abs(found['here'] - found['plain']).max():.1e}"],
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))
