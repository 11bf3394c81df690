"""A merge as a checkpoint folder that transformers loads, with its recipe and provenance inside."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from interference.checkpoint import build
from interference.dev import DevHalf
from interference.errors import UserError
from interference.merge import merge_network, output_config, output_dtype
from interference.recipe import Recipe
from interference.steps import finish
from interference.suite import Suite
from interference.weights import Weights


def write_merge(recipe: Recipe, suite: Suite, out: Path, device: torch.device) -> Path:
    """Merge and write `out`: weights in the recipe's output dtype, config and tokenizer of the first model.

    `recipe.yaml` and `provenance.json` say what was merged, by the digests of the parents' files. The folder appears
    complete or not at all. Raises UserError if it exists or can't be written.
    """
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} exists already. Name another folder for --out, or remove it first.")
    suite.mergeable(recipe.needed)
    first = suite[recipe.models[0]]
    first.tokenizer  # noqa: B018 - what is wrong with it is said before the work
    network = _merged(recipe, suite, device)
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    try:
        with writing("The merge", out):
            network.save_pretrained(part)
            first.tokenizer.save_pretrained(part)
            (part / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
            made_from = provenance(recipe, suite, network.dtype)  # type: ignore[arg-type]
            (part / "provenance.json").write_text(json.dumps(made_from, indent=1) + "\n", encoding="utf-8")
            part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


@contextmanager
def writing(what: str, out: Path) -> Iterator[None]:
    """Report a place that is full or can't be written as one UserError that names it."""
    try:
        yield
    except Exception as error:  # a full disk is an OSError here and there; tokenizers raises a plain Exception
        own = "SafetensorError" in type(error).__name__ or "PytorchStreamWriter" in str(error)
        if not isinstance(error, OSError) and type(error) is not Exception and not own:
            raise
        raise UserError(
            f"{what} can't be written to {out}: {error}. Free some space or name another place with --out."
        ) from None


def _merged(recipe: Recipe, suite: Suite, device: torch.device) -> Any:
    """A model with the configuration of the recipe's first and the merged weights, all of them finite."""
    try:
        dev = DevHalf(suite, device)
        finish(dev.steps(recipe))
        weights = Weights([suite[name] for name in recipe.needed], device, dev.sources, dev)
        network = build(output_config(recipe, suite[recipe.models[0]].config), device)
        if not recipe.finished:  # what is done to a whole network is done in float32
            network = network.to(output_dtype(recipe, weights))  # type: ignore[arg-type]
        merge_network(recipe, weights, network)
        network = network.to(output_dtype(recipe, weights))  # type: ignore[arg-type]
    except torch.OutOfMemoryError:
        raise UserError(
            f"{device} ran out of memory while merging {len(recipe.needed)} models. Use --device cpu."
        ) from None
    for name, parameter in network.named_parameters():
        if not torch.isfinite(parameter).all():
            raise UserError(
                f"The merge has values of {name} that are too large for {parameter.dtype}. Expected finite weights: "
                "use smaller weights in the recipe, or out_dtype: float32."
            )
    return network


def provenance(recipe: Recipe, suite: Suite, dtype: torch.dtype) -> dict:
    """What a merge was made from and by: enough to make it again and to see whether it would be the same."""
    corpus = suite.corpus
    text = {"text_sha256": {c: corpus.digest(c) for c in corpus.languages}} if corpus and recipe.data else {}
    return {
        "recipe_sha256": recipe.digest(),
        "checkpoints": {name: {"path": str(suite[name].path), "sha256": suite[name].digest} for name in recipe.needed},
        "tokenizer_sha256": suite[recipe.models[0]].digest_of_tokenizer,
        "out_dtype": str(dtype).removeprefix("torch."),
        "label": recipe.label(),
        "versions": {name: version(name) for name in ("interference", "torch", "transformers", "safetensors")},
        **text,
    }
