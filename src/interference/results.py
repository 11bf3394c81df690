"""The results file of a suite: bits of every checkpoint on every sentence, computed once and shipped beside it."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import yaml

from interference.corpus import read_corpus
from interference.errors import UserError, user_path
from interference.evaluate import Evaluator, bits_key
from interference.export import writing
from interference.store import Store
from interference.suite import Suite, open_suite
from interference.weights import pick_device

FILE = "results.npz"
MADE_FROM = "checkpoints"  # the digests of what was scored, as JSON


def write_results(suite: Suite, out: Path, progress: Callable[[float], None] = lambda share: None) -> None:
    """Score every checkpoint on all rows of the corpus, dev and test, on the CPU; a float32 array for each.

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


def _score(suite: Suite, progress: Callable[[float], None]) -> dict[str, np.ndarray]:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder), {})
        evaluator = Evaluator(suite, store, torch.device("cpu"))
        rows, arrays = np.arange(len(evaluator.corpus.documents)), {}
        for number, name in enumerate(suite.names, start=1):
            for language in evaluator.corpus.languages:
                arrays[f"{name}/{language}"] = evaluator.bits(name, language, rows).astype(np.float32)
            progress(number / len(suite.names))
        store.close()
    return arrays | {MADE_FROM: np.array(json.dumps({c.name: c.digest for c in suite.checkpoints}))}


def shipped_results(suite: Suite) -> dict[str, np.ndarray]:
    """The arrays of the results file beside a suite.yaml under the store's keys; {} where there is none.

    They are of the suite's own corpus and of the weights they were computed from: a language whose text is another one
    here has none, nor has a checkpoint whose files have changed. Raises UserError for a file
    that holds anything else.
    """
    if suite.corpus is None or suite.path is None or not suite.path.is_file():
        return {}
    file, rows = suite.path.parent / FILE, len(suite.corpus.documents)
    if not file.is_file():
        return {}
    own, found = _own_texts(suite.path), {}
    arrays, digests = _read(file, suite)
    for name, array in arrays.items():
        checkpoint, _, language = name.rpartition("/")
        unchanged = checkpoint in suite.names and digests.get(checkpoint) == suite[checkpoint].digest
        if unchanged and own.get(language) == suite.corpus.sentences.get(language, ()):
            if array.shape != (rows,):
                raise _unusable(file, suite, f"'{name}' has the shape {list(array.shape)}, the corpus {rows} rows")
            found[bits_key(suite[checkpoint].digest, suite.corpus, language, "cpu")] = array
    return found


def open_evaluator(
    suite: Path | str | None = None, corpus: Path | str | None = None, device: str | None = None
) -> Evaluator:
    """What measures a suite (the built-in one unless given), with the results that ship with it and the user's store.

    Raises UserError for what can't be opened.
    """
    opened = open_suite(Path(suite) if suite else None, Path(corpus) if corpus else None)
    return Evaluator(opened, Store(shipped=shipped_results(opened)), pick_device(device))


def _own_texts(file: Path) -> dict[str, tuple[str, ...]]:
    """The text that a suite.yaml names itself, by language."""
    named = yaml.safe_load(file.read_text(encoding="utf-8")).get("corpus")
    return dict(read_corpus(file.parent / user_path(named)).sentences) if named else {}


def _read(file: Path, suite: Suite) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Every array of a results file under a name of the form checkpoint/language, and the checkpoints' digests."""
    try:
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        digests = json.loads(str(arrays.pop(MADE_FROM)))
    except Exception as error:  # of numpy, zipfile and zlib, each with exceptions of its own
        raise _unusable(file, suite, str(error) or type(error).__name__) from None
    for name, array in arrays.items():
        if "/" not in name or array.dtype.kind != "f":
            raise _unusable(file, suite, f"'{name}' is no array of bits named checkpoint/language")
    return arrays, digests


def _unusable(file: Path, suite: Suite, why: str) -> UserError:
    return UserError(
        f"{file} can't be used as the results of the suite {suite.name}: {why}. Delete it, or make it again with "
        f"`interference demo results --suite {suite.path} --out {file}`."
    )
