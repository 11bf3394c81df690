"""What configurations say beyond shapes, where the checkpoints of a merge differ in it."""

from collections.abc import Sequence
from typing import Any

from interference.checkpoint.reading import json_mapping
from interference.errors import listed
from interference.recipe import Recipe
from interference.suite import Suite

_SHOWN = 3  # differences that are named
_LONGEST = 40  # characters of a value
# What is not asked when a text is scored, what the shapes have said already, and what only names or stores the model.
_IDLE = (
    "architectures", "attn_implementation", "auto_map", "dtype", "initializer_range",
    "model_max_length", "n_ctx", "pretraining_tp", "tie_word_embeddings", "torch_dtype", "transformers_version",
    "use_cache", "vocab_size",
)  # fmt: skip
_IDLE_PARTS = ("_token_id", "dropout", "pdrop", "output_", "summary_")


def settings_notes(recipe: Recipe, suite: Suite) -> tuple[str, ...]:
    """What to say beside a merge, which computes as its first model does, see `configuration_notes`."""
    first = recipe.models[0]
    names = (first, *(name for name in recipe.needed if name != first))
    return configuration_notes(names, suite, f"The merge computes as {first} does.")


def configuration_notes(names: Sequence[str], suite: Suite, consequence: str) -> tuple[str, ...]:
    """What to say where checkpoints compute otherwise with the same shapes, as with another rope_theta, and what comes
    of it. Files that say the same are not read by transformers, which takes long."""
    first, *others = names
    own = _said(suite, first)
    found: dict[str, str] = {}
    for other in others:
        if _said(suite, other) == own:
            continue
        one, two = (_leaves(suite[name].config.to_dict()) for name in (first, other))
        for key in dict.fromkeys((*one, *two)):
            if one.get(key) != two.get(key):
                there = f"{_value(two.get(key))} in {other}"
                found.setdefault(key, f"{key} is {_value(one.get(key))} in {first} and {there}")
    if not found:
        return ()
    differences = listed(list(found.values()), _SHOWN)
    return (f"Merged checkpoints differ in their configurations: {differences}. {consequence}",)


def _said(suite: Suite, name: str) -> dict[str, Any]:
    """What a configuration says as it is written."""
    return _leaves(json_mapping(name, suite[name].path / "config.json"))


def _leaves(document: dict[Any, Any], within: str = "") -> dict[str, Any]:
    """Every value that counts by its path, as rope_parameters.rope_theta."""
    found: dict[str, Any] = {}
    for key, value in ((str(key), value) for key, value in document.items()):  # labels of classes have numbers
        if key in _IDLE or key.startswith("_") or any(part in key for part in _IDLE_PARTS):
            continue
        found |= _leaves(value, f"{within}{key}.") if isinstance(value, dict) else {f"{within}{key}": value}
    return found


def _value(value: Any) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
