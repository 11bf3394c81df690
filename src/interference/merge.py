"""The one loop that merges: a recipe and weights in, merged tensors in the output buffer."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interference.recipe import MEAN, ZERO, Recipe
from interference.registry import Knob
from interference.weights import Weights

CONTROL_FLOOR = 1e-12  # norms below this are not divided by


def merge(recipe: Recipe, weights: Weights) -> dict[str, Tensor]:
    """The merged parameters in the recipe's output dtype, as new tensors on the weights' device."""
    dtype = output_dtype(recipe, weights)
    buffer = {name: torch.empty(shape, dtype=dtype, device=weights.device) for name, shape in weights.shapes.items()}
    merge_into(recipe, weights, buffer)
    return buffer


@torch.no_grad()
def merge_into(recipe: Recipe, weights: Weights, buffer: Mapping[str, Tensor]) -> None:
    """Merge tensor by tensor in float32 and write each, rounded to the recipe's output dtype, into the buffer."""
    dtype = output_dtype(recipe, weights)
    coefficients = torch.tensor(recipe.weights, dtype=torch.float32, device=weights.device)
    for name, out in buffer.items():
        if _is_plain_sum(recipe):
            _weighted_sum(weights.read(name, recipe.models), coefficients, recipe.settings()["normalize"], out, dtype)
        else:
            out.copy_(merge_tensor(recipe, weights, name, coefficients).to(dtype))


def merge_tensor(
    recipe: Recipe, weights: Weights, name: str, coefficients: Float[Tensor, " model"]
) -> Float[Tensor, "*shape"]:
    """One merged parameter in float32 by the method's own function: the reference path."""
    method = recipe.definition
    parents = _as_float32(weights.read(name, recipe.models), recipe)
    base = _base(recipe, weights, name, parents) if method.needs_base else None
    arguments: dict[str, Any] = {method.takes: parents if base is None else parents - base}
    if method.weighted:
        arguments["weights"] = coefficients
    if method.seeded:
        arguments["uniforms"] = _uniforms(recipe, name, parents)
    merged = method.function(**arguments, **_settings(recipe))
    merged = merged if base is None else base + merged
    return _rescale(merged, parents) if "rescale" in recipe.post else merged


def output_dtype(recipe: Recipe, weights: Weights) -> torch.dtype:
    """What the merge is rounded to: `out_dtype`, else `dtype`, else what its checkpoints' own dtypes promote to."""
    name = recipe.out_dtype or recipe.dtype
    return getattr(torch, name) if name else weights.dtype_of(recipe.needed)


def _is_plain_sum(recipe: Recipe) -> bool:
    return recipe.method == "linear" and not recipe.post and recipe.dtype in (None, "float32")


_CHUNK = 1 << 18  # elements of each parent converted at a time: small enough to stay in a CPU's cache


def _weighted_sum(
    stack: Float[Tensor, "model *shape"],
    weights: Float[Tensor, " model"],
    normalize: bool,
    out: Tensor,
    dtype: torch.dtype,
) -> None:
    """The linear merge as one pass over the stack.

    Within 1e-6 of the reference path, relative to the largest parent's magnitude times the summed magnitudes of the
    effective weights where these exceed one.
    """
    row = weights / weights.sum() if normalize else weights
    parents, flat = stack.reshape(len(row), -1), out.view(-1)
    if dtype == out.dtype == parents.dtype == torch.float32:
        torch.mv(parents.T, row, out=flat)
        return
    for start in range(0, flat.numel(), _CHUNK):
        part = slice(start, start + _CHUNK)
        flat[part] = torch.mv(parents[:, part].float().T, row).to(dtype)


def _as_float32(parents: Tensor, recipe: Recipe) -> Float[Tensor, "model *shape"]:
    """Parents as mergekit reads them: cast to `dtype` first if the recipe names one, then to float32."""
    return parents.to(getattr(torch, recipe.dtype)).float() if recipe.dtype else parents.float()


def _base(
    recipe: Recipe, weights: Weights, name: str, parents: Float[Tensor, "model *shape"]
) -> Float[Tensor, "*shape"]:
    if recipe.base == MEAN:
        return parents.mean(dim=0)
    if recipe.base == ZERO:
        return torch.zeros_like(parents[0])
    return _as_float32(weights.read(name, [str(recipe.base)]), recipe)[0]


def _settings(recipe: Recipe) -> dict[str, Any]:
    values = recipe.settings()
    return {
        a.parameter: torch.tensor(v, dtype=torch.float64).expand(len(recipe.models))
        if isinstance(a.control, Knob) and a.control.per_model
        else v
        for a in recipe.definition.arguments
        for v in [values[a.name]]
    }


def _uniforms(recipe: Recipe, name: str, parents: Float[Tensor, "model *shape"]) -> Float[Tensor, "model *shape"]:
    """Uniform numbers fixed by seed, parameter and parent, drawn on the CPU so that every device gets the same."""
    rows = []
    for model in recipe.models:
        seed = int.from_bytes(hashlib.sha256(f"{recipe.seed} {name} {model}".encode()).digest()[:7])
        rows.append(torch.rand(parents.shape[1:], generator=torch.Generator().manual_seed(seed)))
    return torch.stack(rows).to(parents.device)


def _rescale(merged: Float[Tensor, "*shape"], parents: Float[Tensor, "model *shape"]) -> Float[Tensor, "*shape"]:
    """The merged tensor at the mean Frobenius norm of its parents; a tensor of norm zero stays as it is."""
    norm = merged.norm()
    target = parents.flatten(1).norm(dim=1).mean()
    return merged * torch.where(norm > CONTROL_FLOOR, target / norm.clamp_min(CONTROL_FLOOR), 1)
