"""The weights of a suite on one device, and the networks that its checkpoints and merges are put into."""

from collections import OrderedDict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import torch

from interference.checkpoint import build, reads_ahead
from interference.chunks import settle
from interference.dev import DevHalf
from interference.ensemble import Averaged, Ensemble
from interference.errors import UserError
from interference.hybrid import Hybrid
from interference.merge import merge_into, merge_network_steps, output_config
from interference.precision import in_tf32
from interference.recipe import Recipe
from interference.scored import Model, Scored, needed, parents, scored_by
from interference.steps import finish
from interference.suite import Suite
from interference.sums import Sums
from interference.weights import Weights

_FINISHED = 4  # merges kept whole whose post-steps take long


@dataclass
class _Finishing:
    """Steps that finish a merge, and how many wait for it."""

    steps: Generator[None, None, None]
    askers: int = 0


class Networks:
    """Weights by merging group and one network per configuration; only the engine's worker uses it."""

    def __init__(self, suite: Suite, device: torch.device, dev: DevHalf):
        self.suite, self.device, self.dev = suite, device, dev
        self._weights: dict[tuple[str, ...], Weights] = {}
        self._models: dict[str, torch.nn.Module] = {}  # by configuration
        self._sliced: WeakValueDictionary[str, torch.nn.Module] = WeakValueDictionary()  # of another depth
        self._last_sliced: torch.nn.Module | None = None
        self._held: WeakKeyDictionary[torch.nn.Module, tuple[Model | Hybrid, Sums | None]] = WeakKeyDictionary()
        self._finished: OrderedDict[Recipe, dict[str, torch.Tensor]] = OrderedDict()
        self._finishing: dict[Recipe, _Finishing] = {}

    @property
    def said(self) -> tuple[str, ...]:
        """Where weights are that are not on the device, and why."""
        return tuple(held.said for held in self._weights.values() if held.said)

    @property
    def reading(self) -> str:
        """The checkpoint that is being read from disk, '' where none is; any thread may ask."""
        return next((name for held in tuple(self._weights.values()) if (name := held.reading)), "")

    def release(self) -> None:
        """Free all that can be made again; the networks stay, for others may be in the middle of them."""
        self._finished.clear()
        self.dev.forget()
        for weights in self._weights.values():
            weights.forget()

    def ready_steps(self, model: Scored) -> Generator[None, None, None]:
        """What takes long before a model can be put: reading it or its parents, measuring these, and what is done to
        the whole network."""
        names = needed(model)
        yield from self.weights(names).load_steps(names)
        model = model.recipe if isinstance(model, Hybrid) else model
        if not isinstance(model, Recipe) or model in self._finished:
            return
        yield from self.dev.steps(model)
        while model.finished and model not in self._finished:  # where another's steps failed, these fail too
            shared = self._finishing.setdefault(model, _Finishing(self._finish_steps(model)))
            shared.askers += 1
            try:
                for _ in shared.steps:  # not `yield from`: where one asker goes away, the others go on with it
                    yield
            finally:
                shared.askers -= 1
                if not shared.askers:
                    shared.steps.close()

    def _finish_steps(self, model: Recipe) -> Generator[None, None, None]:
        """Merge and do what is done to the whole network, once for all who ask for it meanwhile."""
        try:
            network = build(self._config(model), self.device)
            yield from merge_network_steps(model, self.weights(model.needed), network)
            # In the host's memory: on a GPU they would be in the way of the weights.
            self._finished[model] = {name: p.detach().cpu() for name, p in network.named_parameters()}
            if len(self._finished) > _FINISHED:
                self._finished.popitem(last=False)
        finally:
            del self._finishing[model]

    def put(self, model: Scored, exact: bool = True) -> torch.nn.Module:
        """The network holding a checkpoint's or a merge's weights; they stay until another model is put.

        What is not to be exact may be made of the merge that is there, and so differ by where a slider came from.
        """
        network = self._averaged(model) if isinstance(model, Ensemble) else self._put(model, exact)
        network.tf32 = in_tf32(model, self.suite, self.device.type)  # type: ignore[assignment]
        return network

    def _put(self, model: Model | Hybrid, exact: bool) -> torch.nn.Module:
        names = parents(model) if isinstance(model, str) else model.needed
        for network, (held, sums) in self._held.items():
            if held == model and not (exact and sums and sums.error):
                return network
        weights = self.weights(names)  # first, for it asks whether there is room
        finish(self.ready_steps(model))
        network = self.network(model)
        _, sums = self._held.pop(network, (None, None))  # what a failing merge leaves behind is nobody's
        parameters = dict(network.named_parameters())
        if isinstance(model, Recipe):
            sums = self._merge(model, weights, parameters, None if exact else sums)
        else:
            sums = None
            parent, merged = (model, []) if isinstance(model, str) else (model.parent, model.merged(parameters))
            with torch.no_grad():
                for name in parameters.keys() - set(merged):
                    parameters[name].copy_(weights.read(name, [parent])[0])
            if isinstance(model, Hybrid):
                self._merge(model.recipe, weights, {name: parameters[name] for name in merged})
        self._held[network] = model, sums
        return network

    def _merge(
        self, recipe: Recipe, weights: Weights, parameters: Mapping[str, torch.Tensor], before: Sums | None = None
    ) -> Sums | None:
        """The merge's tensors into some or all of a network's parameters, see `merge_into`."""
        if not recipe.finished:
            return merge_into(recipe, weights, parameters, before)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(self._finished[recipe][name])
        return None

    def _averaged(self, model: Ensemble) -> Averaged:
        """The models of an ensemble, which share the networks of their configurations and leave what these hold."""
        weights = self.weights(model.models)
        return Averaged([(self.network(name), partial(weights.whole, name)) for name in model.models], model.kind)

    def weights(self, names: Sequence[str]) -> Weights:
        """The resident weights of the merging group of checkpoints. Raises UserError if they can't be merged."""
        self.suite.mergeable(names)
        group = next(group for group in self.suite.groups if names[0] in group)
        if group not in self._weights:
            checkpoints = [self.suite[name] for name in group]
            self._weights[group] = Weights(checkpoints, self.device, self.dev)
        return self._weights[group]

    def _config(self, model: Scored) -> Any:
        first = scored_by(self.suite, model)
        return output_config(model, first) if isinstance(model, Recipe) else first.config

    def network(self, model: Scored) -> torch.nn.Module:
        """One network for each configuration: equal shapes may still go with other frequencies or another epsilon.

        Of the networks of another depth, which merges of slices need, the last one alone is kept, and those that
        others are in the middle of: theirs must be the one that is put again.
        """
        own, config = scored_by(self.suite, model).config, self._config(model)
        key = config.to_json_string()
        sliced = config is not own and key != own.to_json_string()
        network = self._models.get(key) or self._sliced.get(key)
        if network is None:
            if sliced:
                self._last_sliced = None  # first, for the room
            network = build(config, self.device)
            if reads_ahead(network):
                raise UserError(
                    f"{parents(model)[0]}: as config.json describes it, this {type(network).__name__} reads the tokens "
                    "after the one it predicts, so its loss would mean nothing. Expected a causal language model; an "
                    "encoder that was trained as one has is_decoder true in config.json."
                )
            settle(network)
            (self._sliced if sliced else self._models)[key] = network
        if sliced:
            self._last_sliced = network
        return network
