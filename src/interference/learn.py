"""Coefficients learned by gradient descent on the merge's own loss on the dev half."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log

import torch
from torch import Tensor

from interference.dev import Batch
from interference.errors import UserError, check_known
from interference.evaluate import Evaluator
from interference.groups import depth_of, group_of, layer_of
from interference.merge import merge_with
from interference.recipe import Gradient, Recipe, Where, site_at
from interference.registry import methods
from interference.scored import scoring

SCOPES = {
    "model": "one coefficient for each model",
    "group": "one for each model and part: embeddings, attention, MLPs, norms, head",
    "layer": "one for each model and layer, and each parameter outside the layers",
}
EACH, SIZE = 24, 32  # dev sentences of each language, all seen in every step; sentences in a batch
_DIGITS = 6  # of the coefficients in the recipe


@dataclass(frozen=True)
class Learned:
    """How far it is and the bits per sentence so far: of the first, the last and the best coefficients."""

    share: float
    first: float
    last: float
    best: float


def learn_steps(
    evaluator: Evaluator, recipe: Recipe, languages: Sequence[str], scope: str, steps: int, rate: float
) -> Generator[Learned, None, Recipe]:
    """The recipe with the coefficients of the least loss that Adam met on its way from the recipe's own.

    The loss is bits per sentence of the dev half, the mean of the languages; no sentence of the test half is read.
    Raises UserError for what can't be learned.
    """
    _check(evaluator, recipe, languages, scope, steps, rate)
    with evaluator.room(scoring(recipe)):
        return (yield from _learn(evaluator, recipe, languages, scope, steps, rate))


def _learn(
    evaluator: Evaluator, recipe: Recipe, languages: Sequence[str], scope: str, steps: int, rate: float
) -> Generator[Learned, None, Recipe]:
    for _ in evaluator.dev.steps(recipe):
        yield Learned(0.0, 0.0, 0.0, 0.0)
    weights = evaluator.networks.weights(recipe.needed)
    depth = depth_of(weights.shapes)
    unit = {name: _unit(name, scope) for name in weights.shapes}
    names = {u: name for name, u in reversed(unit.items())}
    table = {
        u: torch.tensor(site_at(recipe, name, depth).weights, device=evaluator.device).requires_grad_()
        for u, name in names.items()
    }
    batches = evaluator.dev.batches(recipe.models, EACH, SIZE, languages)
    sentences = sum(len(batch.ids) for batch in batches)
    optimizer = torch.optim.Adam(table.values(), rate)
    first, best, found = 0.0, float("inf"), dict(table)
    for step in range(steps + 1):
        optimizer.zero_grad()
        last = 0.0
        for loss in _descend(evaluator, recipe, lambda name: table[unit[name]], batches):
            last += loss / sentences
            yield Learned(step / (steps + 1), first or last, last, min(best, last))
        first = first or last
        if last < best:
            best, found = last, {u: row.detach().clone() for u, row in table.items()}
        optimizer.step()
        if recipe.definition.positive:
            with torch.no_grad():
                for row in table.values():
                    row.clamp_(min=0)
    yield Learned(1.0, first, last, best)
    rows = {u: [round(w, _DIGITS) for w in row.tolist()] for u, row in found.items()}
    values = (_value(unit, {u: row[i] for u, row in rows.items()}, depth) for i in range(len(recipe.models)))
    return replace(recipe, weights=tuple(values))


def _check(evaluator: Evaluator, recipe: Recipe, languages: Sequence[str], scope: str, steps: int, rate: float) -> None:
    evaluator.check_languages(languages)
    check_known("Unknown scope", SCOPES, scope)
    if steps < 1 or not 0 < rate < float("inf"):
        raise UserError(f"{steps} steps at a rate of {rate:g} are asked for; expected at least 1 step, a rate above 0.")
    if not recipe.definition.weighted or "gradient" in recipe.definition.lacks:
        known = (n for n, m in methods().items() if m.weighted and "gradient" not in m.lacks)
        raise UserError(f"{recipe.method} has no coefficients with a gradient. Use one of {', '.join(known)}.")
    if recipe.slices or recipe.finished:
        what = "slices" if recipe.slices else "a post-step that works on the whole network"
        raise UserError(f"No coefficients are learned for a recipe with {what}. Take that out first.")


def _unit(name: str, scope: str) -> str | int:
    """What a parameter shares its coefficients with."""
    layer = layer_of(name)
    shared = {"model": "all", "group": group_of(name), "layer": name if layer is None else layer}
    return shared[scope]


def _descend(
    evaluator: Evaluator, recipe: Recipe, coefficients: Callable[[str], Tensor], batches: Sequence[Batch]
) -> Generator[float, None, None]:
    """Bits of one batch after another; at the end the coefficients have the gradient of their sum."""
    network = evaluator.networks.network(recipe)
    with torch.enable_grad():
        merged = merge_with(recipe, evaluator.networks.weights(recipe.needed), coefficients)
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in merged.items()}
    for batch in batches:
        arguments = {"input_ids": batch.inputs, "use_cache": False}
        with torch.enable_grad():
            bits = batch.nats(torch.func.functional_call(network, leaves, (), arguments).logits) / log(2)
            bits.backward()
        yield float(bits.detach())
    torch.autograd.backward(list(merged.values()), [leaf.grad for leaf in leaves.values()])


def _value(unit: Mapping[str, str | int], row: Mapping[str | int, float], depth: int) -> float | Where:
    """One model's coefficients as a recipe has them: a number, or cases by name with a gradient over the layers."""
    if len(row) == 1:
        return next(iter(row.values()))
    kinds = {name: "layers" if isinstance(u, int) else u for name, u in unit.items()}
    values = {kind: row[kind] for kind in kinds.values() if kind in row}
    layers = {"layers": Gradient(tuple(row[i] for i in range(depth)))} if 0 in row else {}
    return Where(tuple((part, (values | layers)[kind]) for part, kind in filters(kinds)))


def filters(kinds: Mapping[str, str]) -> list[tuple[str | None, str]]:
    """Parts of names that tell the kinds of parameters apart, the first that fits deciding; the most frequent is last.

    Of the words between the dots of names, and the names, the ones that fit most of a kind and nothing of another.
    """
    rest = dict(kinds)
    frequent = max(dict.fromkeys(kinds.values()), key=list(kinds.values()).count)
    found: list[tuple[str | None, str]] = []
    for kind in dict.fromkeys(kinds.values()):
        while kind != frequent and (own := [n for n, k in rest.items() if k == kind]):
            others = [n for n, k in rest.items() if k != kind]
            words = {word for n in own for word in (n, *n.split(".")) if not any(word in other for other in others)}
            part = max(words, key=lambda word: (sum(word in n for n in own), -len(word), word))
            found.append((part, kind))
            rest = {n: k for n, k in rest.items() if part not in n}
    return [*found, (None, frequent)]
