"""Along the layers of a path: whether activations mix as the weights do, and whether their variance survives."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from interference.evaluate import Evaluator
from interference.groups import group_of, layer_of
from interference.layout import linear_layers
from interference.losses import TokenizedText, cut_notes
from interference.path import Walk
from interference.scored import Model
from interference.settings import configuration_notes
from interference.steps import Steps, telling

RESIDUAL, ATTENTION, HIDDEN, MLP = "residual stream", "attention's write", "MLP's hidden units", "MLP's write"
SITES = (RESIDUAL, ATTENTION, HIDDEN, MLP)
SENTENCES = 24  # behind these numbers: states of two models are held at once
COLUMNS = (
    "first", "second", "language", "weight", "layer", "site", "tokens", "cosine", "cosine_chance", "norm_ratio",
    "deviation_ratio", "deviation_unrelated",
)  # fmt: skip


@dataclass(frozen=True)
class LayerTable:
    """Activations along a path, layer by layer. `frame` has exactly COLUMNS.

    `cosine`: of a token's activations in the merge and the mixture of the ends' (cross-task linearity: 1 is linear),
    the mean over tokens; `cosine_chance` is the same with the tokens of the mixture shuffled. `norm_ratio`: of the
    merge's norm to the mixture's. `deviation_ratio`: a unit's standard deviation over tokens in the merge, divided by
    the ends' mixed as the weights are, the median over units (variance collapse: 1 is none); `deviation_unrelated` is
    what a linear mixture of unrelated units would have, 0.71 halfway between equal ones.
    """

    walk: Walk
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(self.frame.columns) != COLUMNS:
            raise ValueError(f"a layer table has the columns {COLUMNS}, not {tuple(self.frame.columns)}")


@contextmanager
def activations(network: nn.Module) -> Iterator[dict[tuple[int, str], Tensor]]:
    """What the network's layers give while it runs, by layer and site [row, position, unit], the last call's.

    Sites are the residual stream after a layer, what its attention and its MLP add to it, and the MLP's hidden units.
    """
    seen: dict[tuple[int, str], Tensor] = {}

    def keep(key: tuple[int, str], module: nn.Module, arguments: tuple, output: object) -> None:
        seen[key] = (output[0] if isinstance(output, list | tuple) else output).detach()  # type: ignore[union-attr]

    def keep_input(key: tuple[int, str], module: nn.Module, arguments: tuple) -> None:
        seen[key] = arguments[0].detach()

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            layer = layer_of(f"{name}.x")
            if layer is not None and layer_of(name) is None:  # the layer itself, and nothing in it
                hooks.enter_context(module.register_forward_hook(partial(keep, (layer, RESIDUAL))))
        for (layer, group), module in _writers(network).items():
            site = ATTENTION if group == "attention" else MLP
            hooks.enter_context(module.register_forward_hook(partial(keep, (layer, site))))
            if group == "mlp":
                hooks.enter_context(module.register_forward_pre_hook(partial(keep_input, (layer, HIDDEN))))
        yield seen


# How architectures call the matrix that ends attention or the MLP, and writes to the residual stream.
_LAST = re.compile(r"(?<![^.])(o_proj|out_proj|dense|c_proj|wo|down_proj|dense_4h_to_h|fc2|fc_out|w2)$")


def _writers(network: nn.Module) -> dict[tuple[int, str], nn.Module]:
    """The matrix of every layer's attention and of its MLP that writes to the residual stream.

    A layer where that is none, or several, as with experts or with attention to another text, is left out.
    """
    found: defaultdict[tuple[int | None, str], list[nn.Module]] = defaultdict(list)
    for name, module in linear_layers(network).items():
        if _LAST.search(name.removesuffix(".weight")):
            found[layer_of(name), group_of(name)].append(module)
    experts = {(layer_of(name), group_of(name)) for name, _ in network.named_parameters() if "experts" in name}
    return {
        (layer, group): modules[0]
        for (layer, group), modules in found.items()
        if layer is not None and group in ("attention", "mlp") and len(modules) == 1 and (layer, group) not in experts
    }


def layer_steps(
    evaluator: Evaluator, walk: Walk, languages: Sequence[str], sentences: int = SENTENCES
) -> Steps[LayerTable]:
    """Run the ends and every point of a path over the same tokens, and compare what their layers give."""
    with evaluator.room(f"comparing layers of {walk.first} and {walk.second}"):
        return (yield from _layer_steps(evaluator, walk, languages, sentences))


def _layer_steps(evaluator: Evaluator, walk: Walk, languages: Sequence[str], sentences: int) -> Steps[LayerTable]:
    suite = evaluator.suite
    suite.mergeable((walk.first, walk.second))
    evaluator.check_languages(languages)
    rows = evaluator.corpus.rows(min(sentences, len(evaluator.corpus.rows(None))))
    yield from telling(0.0, evaluator.networks.ready_steps(walk.at(0.5)))
    records: list[tuple] = []
    inner = [weight for weight in walk.weights if weight not in (0.0, 1.0)]
    total = len(languages) * (2 + len(inner))
    done = 0
    limit = min((c.positions for c in (suite[walk.first], suite[walk.second]) if c.positions), default=None)
    cut: dict[str, int] = {}
    for language in languages:
        text = evaluator.text(suite[walk.first], language, rows)
        if limit and (beyond := sum(len(ids) >= limit for ids in text.ids)):
            cut[language] = beyond
        ends = []
        for model in (walk.first, walk.second):
            ends.append(_states(evaluator, model, text, limit))
            done += 1
            yield done / total
        for weight in walk.weights:
            # At the ends the merge is the end itself: the comparison is then with itself, exactly one.
            own = ends[int(weight)] if weight in (0.0, 1.0) else _states(evaluator, walk.at(weight), text, limit)
            records += [
                (walk.first, walk.second, language, weight, layer, site, len(own[layer, site]),
                 *_compare(own[layer, site], ends[0][layer, site], ends[1][layer, site], weight))
                for layer, site in sorted(own, key=lambda key: (SITES.index(key[1]), key[0]))
            ]  # fmt: skip
            if weight in inner:
                done += 1
                yield done / total
    half = "test half, " if evaluator.corpus.has_dev else ""
    notes = (
        f"{len(rows)} sentences of each language ({half}the same tokens in every model, the prefix left out).",
        "RMSNorm hides a shrinking residual stream from the layers after it, so look inside the blocks too.",
        *cut_notes(limit, cut),
        *configuration_notes((walk.first, walk.second), suite, f"All between the ends computes as {walk.first} does."),
    )
    frame = pd.DataFrame(records, columns=list(COLUMNS))
    return LayerTable(walk, frame, notes, evaluator.provenance((walk.first, walk.second)))


@torch.no_grad()
def _states(
    evaluator: Evaluator, model: Model, text: TokenizedText, limit: int | None
) -> dict[tuple[int, str], Float[Tensor, "token unit"]]:
    """The activations of all tokens of a text within `limit` positions, the prefix left out, on the CPU."""
    network = evaluator.networks.put(model)
    found: dict[tuple[int, str], list[Tensor]] = {}
    with activations(network) as seen:
        for ids in text.ids:
            line = torch.tensor([[text.prefix, *ids][:limit]], device=evaluator.device)
            network(input_ids=line, use_cache=False)
            for key, states in seen.items():
                found.setdefault(key, []).append(states.reshape(-1, states.shape[-1])[1:].float().cpu())
    return {key: torch.cat(parts) for key, parts in found.items()}


def _compare(
    own: Float[Tensor, "token unit"], first: Float[Tensor, "token unit"], second: Float[Tensor, "token unit"],
    weight: float,
) -> tuple[float, float, float, float, float]:  # fmt: skip
    """Cosine, its chance, norm ratio, variance ratio, and that of unrelated units."""
    mixed = (1 - weight) * first + weight * second
    order = torch.randperm(len(mixed), generator=torch.Generator().manual_seed(0))
    cosine, chance = (nn.functional.cosine_similarity(own, one, dim=1).mean() for one in (mixed, mixed[order]))
    norms = own.norm(dim=1).mean() / mixed.norm(dim=1).mean()
    spread, a, b = (one.std(dim=0, correction=0) for one in (own, first, second))
    level = (1 - weight) * a + weight * b
    there = level > 0
    unrelated = (((1 - weight) * a).square() + (weight * b).square()).sqrt()
    ratios = (_median(one[there] / level[there]) for one in (spread, unrelated))
    return float(cosine), float(chance), float(norms), *ratios  # type: ignore[return-value]


def _median(values: Tensor) -> float:
    return float(np.median(values.numpy())) if values.numel() else float("nan")
