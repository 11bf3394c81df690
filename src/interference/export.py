"""A merge as a checkpoint folder that transformers loads, with its recipe, provenance and model card inside."""

import copy
import glob
import json
import os
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interference import __version__
from interference.card import UNIT, Measured, model_card
from interference.checkpoint import Checkpoint, build
from interference.checkpoint.models import Storing, meta_model
from interference.checkpoint.reading import not_finite
from interference.dev import DevHalf
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.memory import room
from interference.merge import merge_into, merge_network_steps, output_config, output_dtype, output_shapes
from interference.recipe import Recipe
from interference.scored import UNIGRAM
from interference.shards import MAX_SHARD_SIZE, bytes_of, shards, write_weights
from interference.steps import Steps, finish, telling, within
from interference.suite import Suite
from interference.views import merge_request, merge_view
from interference.weights import Weights

PROVENANCE, GENERATION = "provenance.json", "generation_config.json"


@dataclass(frozen=True)
class Target:
    """The folder to write, and how. `dtype` stands in place of the recipe's output dtype, if given.

    With `overwrite` an earlier export or an empty folder is replaced; nothing else ever is. `ask` says how whoever
    asks does so, for the message about a folder that is there.
    """

    folder: Path
    dtype: str | None = None
    max_shard_size: str = MAX_SHARD_SIZE
    overwrite: bool = False
    ask: str = "set overwrite=True"

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe of what is written. Raises UserError for an unknown dtype."""
        return replace(recipe, out_dtype=self.dtype) if self.dtype else recipe


def write_merge(recipe: Recipe, suite: Suite, target: Target | Path, device: torch.device) -> Path:
    """Merge and write a folder: weights in the recipe's output dtype, config and tokenizer of the first model.

    `recipe.yaml`, `provenance.json` and the model card say what was merged, by the digests of the parents' files.
    The folder appears complete or not at all, and beside the parents one tensor is in memory at a time. Raises
    UserError if the target exists, can't be written or has no room.
    """
    return finish(write_steps(recipe, suite, target if isinstance(target, Target) else Target(target), device))


def export_steps(evaluator: Evaluator, recipe: Recipe, target: Target, sentences: int) -> Steps[Path]:
    """`write_merge` with the weights that an evaluator holds, and the losses of what is written in its model card."""
    recipe = target.recipe(recipe)
    check_target(recipe, evaluator.suite, target)
    try:
        measured = yield from within(0.0, 0.5, _measure(evaluator, recipe, sentences))
        weights = evaluator.networks.weights(recipe.needed)
    except UserError as error:  # a suite too large for the memory, for example: the merge itself may still be made
        measured, weights = Measured(None, (str(error),)), None
    steps = write_steps(recipe, evaluator.suite, target, evaluator.device, weights, measured)
    return (yield from within(0.5, 1.0, steps))


def _measure(evaluator: Evaluator, recipe: Recipe, sentences: int) -> Steps[Measured]:
    """Losses of the merge as it is written, in all languages of the corpus, with all that belongs beside them."""
    corpus, suite = evaluator.corpus, evaluator.suite
    controls = (UNIGRAM,) if corpus.has_dev else ()
    request = merge_request(recipe, suite, corpus.languages, sentences, controls)
    table = yield from evaluator.table_steps(request)
    return Measured(merge_view(table.in_unit(UNIT), recipe, suite, corpus.rows(sentences)), table.notes)


def write_steps(
    recipe: Recipe,
    suite: Suite,
    target: Target,
    device: torch.device,
    weights: Weights | None = None,
    measured: Measured | None = None,
) -> Steps[Path]:
    """`write_merge` tensor by tensor; closed in between, it leaves nothing behind."""
    recipe, out = target.recipe(recipe), target.folder
    check_target(recipe, suite, target)
    first = suite[recipe.models[0]]
    weights = weights or _weights(recipe, suite, device)
    dtype = output_dtype(recipe, weights)
    shapes = output_shapes(recipe, weights.shapes)
    _clear(out)
    _check_room(out, sum(bytes_of(shape, dtype) for shape in shapes.values()))
    part, held = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}"), None
    try:
        with writing("The merge", out):
            part.mkdir(parents=True)
            held = _hold(part)
        with room(device, f"merging {len(recipe.needed)} models", weights.forget), writing("The merge", out):
            yield from _write_merged(recipe, suite, weights, shapes, dtype, part, target.max_shard_size)
        with writing("The merge", out):
            _write_config(recipe, first, dtype, part)
            first.tokenizer.save_pretrained(part)
            (part / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
            made_from = provenance(recipe, suite, dtype)
            (part / PROVENANCE).write_text(json.dumps(made_from, indent=1) + "\n", encoding="utf-8")
            card = model_card(out.name, recipe, suite, made_from, measured)
            (part / "README.md").write_text(card, encoding="utf-8")
            check_target(recipe, suite, target)  # another may have been written there meanwhile
            _put_in_place(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if held is not None:
            os.close(held)
    return out


def check_target(recipe: Recipe, suite: Suite, target: Target) -> None:
    """Raise UserError for what can be said to be wrong before any work."""
    out = target.folder
    if out.name in ("", ".."):
        raise UserError(f"{out} can't be replaced from inside or above. Name a folder by its own name.")
    if out.exists() or out.is_symlink():
        if not target.overwrite:
            raise UserError(
                f"{out} exists already. Name another folder, remove it first, or {target.ask} to replace it."
            )
        if not _replaceable(out):
            raise UserError(
                f"{out} is not overwritten, for it is neither empty nor a merge that was written here (it holds no "
                f"{PROVENANCE}). Name another folder, or remove it first."
            )
    if (place := _nearest(out)) and not place.is_dir():
        raise UserError(f"{out} can't be written, for {place} is a file. Name another folder.")
    shards({}, torch.float32, target.max_shard_size)
    inside = [c for c in suite.checkpoints if c.path.resolve().is_relative_to(out.resolve())]
    if inside:
        raise UserError(f"{out} holds the checkpoint {inside[0].name} of the suite itself. Name another folder.")
    suite.mergeable(recipe.needed)
    suite[recipe.models[0]].tokenizer  # noqa: B018 - what is wrong with it is said before the work


def _replaceable(out: Path) -> bool:
    return out.is_dir() and not out.is_symlink() and ((out / PROVENANCE).is_file() or not any(out.iterdir()))


def _nearest(out: Path) -> Path | None:
    """What exists of the path to a folder."""
    return next((p for p in out.absolute().parents if p.exists()), None)


def _check_room(out: Path, needed: int) -> None:
    """Raise UserError where the disk has less room than the weights take; what goes with them is small."""
    place = _nearest(out)
    free = shutil.disk_usage(place).free if place else needed
    if needed > free:
        sizes = f"it takes {needed / 1e6:,.1f} MB and {place} has {free / 1e6:,.1f} MB free"
        raise UserError(
            f"The merge can't be written to {out}: {sizes}. Free some space, name another place, or "
            "write it in a smaller dtype."
        )


def _hold(folder: Path) -> int | None:
    """A lock on a folder until it is closed or its process ends; None where another holds it, or there are no locks."""
    try:
        import fcntl  # which Windows lacks
    except ImportError:
        return None
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        return None
    return held


def _clear(out: Path) -> None:
    """Delete what processes that were killed left of their writing here: the parts that nobody holds."""
    own = f".{glob.escape(out.name)}.{'[0-9a-f]' * 8}"
    replaced = out.parent.glob(f"{own}.old") if out.exists() else ()  # or another is putting it in place just now
    for part in (*out.parent.glob(own), *replaced):
        with suppress(OSError):  # it is gone meanwhile, or is not ours
            if (held := _hold(part)) is not None:
                shutil.rmtree(part, ignore_errors=True)
                os.close(held)


def _put_in_place(part: Path, out: Path) -> None:
    """Give the complete folder its name; what it replaces is gone only then."""
    if not out.exists():
        part.rename(out)
        return
    old = out.with_name(f"{part.name}.old")
    out.rename(old)
    try:
        part.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def writing(what: str, out: Path) -> Iterator[None]:
    """Report a place that is full or can't be written as one UserError that names it."""
    try:
        yield
    except Exception as error:  # a full disk is an OSError here and there; tokenizers raises a plain Exception
        own = "SafetensorError" in type(error).__name__ or "PytorchStreamWriter" in str(error)
        if not isinstance(error, OSError) and type(error) is not Exception and not own:
            raise
        raise UserError(f"{what} can't be written to {out}: {error}. Free some space or name another place.") from None


def _weights(recipe: Recipe, suite: Suite, device: torch.device) -> Weights:
    weights = Weights([suite[name] for name in recipe.needed], device, DevHalf(suite, device))
    weights.load(recipe.needed)
    return weights


def _write_merged(
    recipe: Recipe,
    suite: Suite,
    weights: Weights,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: torch.dtype,
    folder: Path,
    max_shard_size: str,
) -> Generator[float, None, None]:
    tensor = yield from _merged(recipe, suite, weights, shapes, dtype)
    config = output_config(recipe, suite[recipe.models[0]])
    storing = Storing(meta_model(config.to_json_string()), shapes)
    yield from write_weights(folder, storing.shapes, dtype, lambda name: storing.tensor(name, tensor), max_shard_size)


def _merged(
    recipe: Recipe, suite: Suite, weights: Weights, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype
) -> Generator[float, None, Callable[[str], Tensor]]:
    """What gives each merged tensor: merged when it is asked for, or out of a network that needs post-steps whole."""
    if recipe.data:
        yield from telling(0.0, weights.dev.steps(recipe))
    if not recipe.finished:

        def made(name: str) -> Tensor:
            buffer = torch.empty(shapes[name], dtype=dtype, device=weights.device)
            merge_into(recipe, weights, {name: buffer})
            return _finite(name, buffer)

        return made
    network = build(output_config(recipe, suite[recipe.models[0]]), weights.device)
    yield from telling(0.0, merge_network_steps(recipe, weights, network))
    parameters = dict(network.named_parameters())
    return lambda name: _finite(name, parameters[name].detach().to(dtype))


def _finite(name: str, tensor: Tensor) -> Tensor:
    if not_finite(tensor):
        raise UserError(
            f"The merge has values of {name} that are too large for {tensor.dtype}. Expected finite weights: "
            "use smaller weights in the recipe, or out_dtype: float32."
        )
    return tensor


def _write_config(recipe: Recipe, first: Checkpoint, dtype: torch.dtype, folder: Path) -> None:
    """Configuration of the merge, and how its first model generates text."""
    from transformers import GenerationConfig

    config = copy.deepcopy(output_config(recipe, first))
    config.dtype = str(dtype).removeprefix("torch.")
    config.architectures = [first.architecture]
    config.save_pretrained(folder)
    own = first.path / GENERATION
    if own.is_file():
        shutil.copyfile(own, folder / GENERATION)
    else:
        GenerationConfig.from_model_config(config).save_pretrained(folder)


def provenance(recipe: Recipe, suite: Suite, dtype: torch.dtype) -> dict[str, Any]:
    """What a merge was made from and by: enough to make it again and to see whether it would be the same."""
    corpus = suite.corpus
    text = {"text_sha256": {c: corpus.digest(c) for c in corpus.languages}} if corpus and recipe.data else {}
    return {
        "recipe_sha256": recipe.digest(),
        "checkpoints": {name: {"path": str(suite[name].path), "sha256": suite[name].digest} for name in recipe.needed},
        "tokenizer_sha256": suite[recipe.models[0]].digest_of_tokenizer,
        "out_dtype": str(dtype).removeprefix("torch."),
        "label": recipe.label(),
        "versions": {"interference": __version__}
        | {name: version(name) for name in ("torch", "transformers", "safetensors")},
        **text,
    }
