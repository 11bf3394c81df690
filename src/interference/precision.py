"""In what precision a merge is computed here and by mergekit, and in what its checkpoints are stored. No torch."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from interference.hybrid import Hybrid
from interference.recipe import Recipe

if TYPE_CHECKING:
    import torch

    from interference.scored import Scored
    from interference.suite import Suite

_HALVES = ("bfloat16", "float16")


def stored_dtype(recipe: Recipe, suite: "Suite") -> str:
    """What the stored dtypes of all that the merge reads promote to."""
    kinds = _stored(recipe, suite)
    return next(iter(kinds)) if len(kinds) == 1 else "float64" if "float64" in kinds else "float32"


def mergekit_dtype(recipe: Recipe, suite: "Suite") -> str:
    """The half precision that mergekit would compute this merge in, where this project takes float32; else ''."""
    method = recipe.definition
    computed = recipe.dtype or stored_dtype(recipe, suite)
    return computed if method.mergekit and not method.mergekit_float32 and computed in _HALVES else ""


def arithmetic(device: "torch.device") -> str:
    """What models are scored in on a device."""
    products = ", products with 16-bit weights in TF32" if takes_tf32(device.type) else ""
    return f"float32{products} on {device}"


def in_tf32(model: "Scored", suite: "Suite", device_type: str) -> bool:
    """Whether a model's products are in TF32: on a GPU, where all its weights have values of a half precision.

    TF32 has all of these, so that activations alone are rounded, to 11 binary digits where bfloat16 would leave 8. In
    full float32 a GPU takes several times as long.
    """
    if not takes_tf32(device_type):
        return False
    if isinstance(model, str):
        return model in suite.names and suite[model].dtype in _HALVES
    if isinstance(model, Recipe):
        return (model.out_dtype or model.dtype or stored_dtype(model, suite)) in _HALVES
    parts = (model.parent, model.recipe) if isinstance(model, Hybrid) else model.models
    return all(in_tf32(part, suite, device_type) for part in parts)


def takes_tf32(device_type: str) -> bool:
    """On a GPU, unless NVIDIA's own switch for all its libraries forbids it."""
    return device_type == "cuda" and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0"


def in_float32(recipe: Recipe, suite: "Suite") -> Recipe:
    """The same merge with its precision written out, so that mergekit computes in float32 too.

    A recipe that rounds its parents to half precision first stays as it is: mergekit has no other way to say that.
    """
    if recipe.dtype or not mergekit_dtype(recipe, suite):
        return recipe
    return replace(recipe, dtype="float32", out_dtype=recipe.out_dtype or stored_dtype(recipe, suite))


def precision_notes(recipe: Recipe, suite: "Suite") -> tuple[str, ...]:
    """What to say beside a merge whose checkpoints differ in dtype, or that mergekit would compute more coarsely."""
    notes, kinds = [], _stored(recipe, suite)
    if len(kinds) > 1:
        rounded = recipe.out_dtype or recipe.dtype or stored_dtype(recipe, suite)
        listed = ", ".join(f"{kind} ({kinds[kind]})" for kind in sorted(kinds))
        notes.append(f"Merged checkpoints are stored in several dtypes: {listed}; the merge is rounded to {rounded}.")
    if half := mergekit_dtype(recipe, suite):
        unless = "" if recipe.dtype else ", unless the recipe says dtype: float32"
        notes.append(f"{recipe.method} is computed in float32, where mergekit computes in {half}{unless}.")
    return tuple(notes)


def _stored(recipe: Recipe, suite: "Suite") -> dict[str, str]:
    """Each stored dtype with the first checkpoint that has it."""
    found: dict[str, str] = {}
    for name in recipe.needed:
        for kind in suite[name].dtype.split("+"):
            found.setdefault(kind, name)
    return found
