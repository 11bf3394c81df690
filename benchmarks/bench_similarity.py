"""Debiased CKA of a whole suite: every checkpoint, language and layer with every other, against a plain loop."""

import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from measuring import alternate, report

from interference.activations import states_steps, text_of
from interference.evaluate import Evaluator
from interference.similarities import everything_steps
from interference.similarity import measures
from interference.similarity.table import Preparation, Side, prepared
from interference.similarity_request import SimilarityRequest
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite

SENTENCES, ROUNDS, PAIRS = 300, 3, 400
CPU = torch.device("cpu")


def measure(folder: Path) -> None:
    suite = open_suite()
    evaluator = Evaluator(suite, Store(folder / "store"), CPU)
    asked = SimilarityRequest(tuple((name, name) for name in suite.names), sentences=SENTENCES)
    started, used = time.perf_counter(), time.process_time()
    found = finish(everything_steps(evaluator, asked))
    first, processor = time.perf_counter() - started, time.process_time() - used
    places = found.places
    rows = evaluator.corpus.rows(SENTENCES)
    states = {
        (p.model, p.language): finish(states_steps(evaluator, p.model, text_of(evaluator.corpus, p.language, rows)))
        for p in places
    }
    random = np.random.default_rng(0)
    pairs = list(combinations(range(len(places)), 2))
    some = [pairs[i] for i in random.choice(len(pairs), PAIRS, replace=False)]
    cka, values = measures()["debiased_cka"], np.empty(PAIRS)

    def states_at(number: int) -> np.ndarray:
        place = places[number]
        one = states[place.model, place.language]
        return prepared(Side(one.values[place.layer], one.tokens.astype(float)), Preparation())

    def plain() -> None:
        for number, (a, b) in enumerate(some):
            values[number] = cka.between(states_at(a), states_at(b))[0]

    def again() -> None:
        finish(everything_steps(evaluator, asked))

    seconds = alternate({"plain": plain, "again": again}, ROUNDS)
    loop = seconds["plain"] / PAIRS * len(pairs)
    difference = np.abs(values - found.values[tuple(np.array(some).T)]).max()
    report(
        f"Debiased CKA of {len(places)} places ({len(suite.names)} checkpoints, {len(evaluator.corpus.languages)} "
        f"languages, all layers, {SENTENCES} sentences), {len(pairs):,} pairs",
        ("", "seconds", "ratio"),
        [
            (f"pair by pair, states at hand, from {PAIRS} pairs", f"{loop:.0f}", "1"),
            ("here, relations at hand", f"{seconds['again']:.2f}", f"{loop / seconds['again']:,.0f} x faster"),
            ("here, from nothing: text to table, once", f"{first:.0f}", f"{processor:.0f} s of processor time"),
        ],
        [f"Largest difference of a value: {difference:.1e}"],
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))
