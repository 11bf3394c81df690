"""A merge as a checkpoint folder that transformers loads, with its recipe and provenance inside."""

import json
import shutil
import uuid
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import PreTrainedModel

from interference.checkpoint import build
from interference.errors import UserError
from interference.merge import merge_into, output_dtype
from interference.recipe import Recipe
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
        network.save_pretrained(part)
        first.tokenizer.save_pretrained(part)
        (part / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        (part / "provenance.json").write_text(json.dumps(provenance(recipe, suite), indent=1) + "\n", encoding="utf-8")
        part.rename(out)
    except Exception as error:  # safetensors reports a full disk as its own error, the rest as OSError
        if not isinstance(error, OSError) and "SafetensorError" not in type(error).__name__:
            raise
        raise UserError(
            f"The merge can't be written to {out}: {error}. Free some space or name another folder."
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


def _merged(recipe: Recipe, suite: Suite, device: torch.device) -> PreTrainedModel:
    """A model with the configuration of the recipe's first and the merged weights, all of them finite."""
    try:
        weights = Weights([suite[name] for name in recipe.needed], device)
        network = build(suite[recipe.models[0]].config, device).to(output_dtype(recipe, weights))  # type: ignore[arg-type]
        merge_into(recipe, weights, dict(network.named_parameters()))
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


def provenance(recipe: Recipe, suite: Suite) -> dict:
    """What a merge was made from and by: enough to make it again and to see whether it would be the same."""
    return {
        "recipe_sha256": recipe.digest(),
        "checkpoints": {name: {"path": str(suite[name].path), "sha256": suite[name].digest} for name in recipe.needed},
        "label": recipe.label(),
        "versions": {name: version(name) for name in ("interference", "torch", "transformers", "safetensors")},
    }
