"""The results file of a suite: what its first pages show, computed once and shipped beside it.

Bits of every checkpoint and of the merge that the Merge page opens with on every sentence, and what opening and
tokenising found out.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml

from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.export import writing
from interference.facts import FILE, MADE_FROM, facts, read_made_from, same_readers, versions
from interference.guide import opening
from interference.losses import TOKEN_COUNTS
from interference.scored import SHIPPED, Model, bits_key, model_digest, tokens_key
from interference.store import Store
from interference.suite import Suite, named_corpus, open_suite
from interference.weights import pick_device

MERGE = "merge"  # no checkpoint has this name


def write_results(suite: Suite, out: Path, progress: Callable[[float], None] = lambda share: None) -> None:
    """Score the models on all rows of the corpus, dev and test, on the CPU; a float32 array for each and language.

    All is computed anew. The file appears complete or not at all; raises UserError if it can't be written.
    """
    if out.is_dir() or not out.parent.is_dir():
        raise UserError(
            f"The results can't be written to {out}: expected a file in a folder that exists. Name another."
        )
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    try:
        with writing("The results", out):
            part.touch()  # a place that can't be written is found before the work
        arrays = _score(suite, progress)
        with writing("The results", out):
            with part.open("wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
            part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _models(suite: Suite) -> dict[str, Model]:
    """What is scored: every checkpoint, and the merge that the Merge page opens with."""
    merge = opening(suite)
    return {name: name for name in suite.names} | ({MERGE: merge} if merge else {})


def _score(suite: Suite, progress: Callable[[float], None]) -> dict[str, np.ndarray]:
    models = _models(suite)
    with TemporaryDirectory() as folder:
        store = Store(Path(folder), {})
        evaluator = Evaluator(suite, store, torch.device("cpu"))
        rows, arrays = np.arange(len(evaluator.corpus.documents)), {}
        for number, (name, model) in enumerate(models.items(), start=1):
            for language in evaluator.corpus.languages:
                arrays[f"{name}/{language}"] = evaluator.bits(model, language, rows).astype(np.float32)
            progress(number / len(models))
        for checkpoint, language in product(suite.checkpoints, evaluator.corpus.languages):
            counts = evaluator.token_counts(checkpoint, language, rows)
            arrays[f"{checkpoint.digest_of_tokenizer}/{language}"] = counts.astype(np.int32)
        store.close()
    made_from = {
        "digests": {name: model_digest(suite, model, SHIPPED) for name, model in models.items()},
        "facts": {c.name: facts(c) for c in suite.checkpoints},
        "versions": versions(),
    }
    return arrays | {MADE_FROM: np.array(json.dumps(made_from))}


def shipped_results(suite: Suite) -> dict[str, np.ndarray]:
    """The arrays of the results file beside a suite.yaml under the store's keys; {} where there is none.

    They are of the suite's own corpus and of the weights and recipes they were computed from: a language whose text is
    another one here has none, nor has a checkpoint whose files have changed. What tokenising found out needs the same
    versions of the libraries besides. Under SHIPPED stands what they were computed with. Raises UserError for a file
    that holds anything else.
    """
    if suite.corpus is None or suite.path is None or not suite.path.is_file():
        return {}
    file, rows = suite.path.parent / FILE, len(suite.corpus.documents)
    if not file.is_file():
        return {}
    own, arrays, made_from = _own_texts(suite.path), *_read(file, suite)
    made_with = made_from["versions"]
    found = {SHIPPED: np.array(", ".join(f"{name} {number}" for name, number in made_with.items()) + " on a CPU")}
    unchanged = _unchanged(suite, made_from["digests"])
    if same_readers(made_with):
        unchanged |= {c.digest_of_tokenizer: c.digest_of_tokenizer for c in suite.checkpoints}
    for name, array in arrays.items():
        subject, _, language = name.rpartition("/")
        if subject in unchanged and own.get(language) == suite.corpus.sentences.get(language, ()):
            shape = (rows,) if array.dtype.kind == "f" else (len(TOKEN_COUNTS), rows)
            if array.shape != shape:
                raise _unusable(file, suite, f"'{name}' has the shape {list(array.shape)}, the corpus {rows} rows")
            if array.dtype.kind == "f":
                key = bits_key(unchanged[subject], suite.corpus, language, "cpu")
            else:
                key = tokens_key(subject, suite.corpus, language)
            found[key] = array
    return found


def store_of(suite: Suite) -> Store:
    """The user's store with the results that ship with a suite."""
    return Store(shipped=shipped_results(suite))


def _unchanged(suite: Suite, digests: Mapping[str, str]) -> dict[str, str]:
    """The digests of the models whose shipped results are those of what is here now."""
    here = {}
    for name, model in _models(suite).items():
        if name in digests and digests[name] == model_digest(suite, model, SHIPPED):
            here[name] = digests[name]
    return here


def open_evaluator(
    suite: Path | str | None = None, corpus: Path | str | None = None, device: str | None = None
) -> Evaluator:
    """What measures a suite (the built-in one unless given), with the results that ship with it and the user's store.

    Raises UserError for what can't be opened.
    """
    opened = open_suite(Path(suite) if suite else None, Path(corpus) if corpus else None)
    return Evaluator(opened, store_of(opened), pick_device(device))


def _own_texts(file: Path) -> dict[str, tuple[str, ...]]:
    """The text that a suite.yaml names itself, by language."""
    named = yaml.safe_load(file.read_text(encoding="utf-8")).get("corpus")
    return dict(named_corpus(named, file).sentences) if named else {}


def _read(file: Path, suite: Suite) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Every array of a results file under a name of the form model/language, and what they were made from."""
    try:
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files if name != MADE_FROM}
        made_from = read_made_from(file)
    except Exception as error:  # of numpy, zipfile and zlib, each with exceptions of its own
        raise _unusable(file, suite, str(error) or type(error).__name__) from None
    for name, array in arrays.items():
        if "/" not in name or array.dtype.kind not in "fi":
            raise _unusable(file, suite, f"'{name}' is no array of bits named checkpoint/language")
    return arrays, made_from


def _unusable(file: Path, suite: Suite, why: str) -> UserError:
    return UserError(
        f"{file} can't be used as the results of the suite {suite.name}: {why}. Delete it, or make it again with "
        f"`interference demo results --suite {suite.path} --out {file}`."
    )
