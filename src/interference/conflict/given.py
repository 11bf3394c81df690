"""What measures are given of one tensor: the models' own, the same shuffled, or noise."""

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interference.conflict.registry import Measure
from interference.conflict.sums import Frames, frames_of, gram_of
from interference.groups import depth_of, group_of
from interference.merge import merge_tensor
from interference.recipe import MEAN, checkpoint_of, site_at
from interference.stacks import Stack
from interference.weights import Weights

if TYPE_CHECKING:
    from interference.conflict.survey import Survey


@dataclass(frozen=True, eq=False)
class Given:
    """One parameter of all models as measures ask for it; what is asked for first is made then, and once."""

    stack: Float[Tensor, "model *shape"]
    group: str
    merge: Callable[[], Tensor] | None = None
    measured: Callable[[], Tensor] | None = None
    weigh: Callable[[], Tensor] | None = None

    def sums(self, measure: Measure, knobs: Mapping[str, float]) -> np.ndarray:
        """What a measure makes of it, [subject, part]."""
        given = {name: getattr(self, name) for name in measure.inputs}
        return measure.function(**given, **knobs).numpy()

    @cached_property
    def gram(self) -> Tensor:
        return gram_of(self.stack)

    @cached_property
    def frames(self) -> Frames:
        return frames_of(self.stack)

    @cached_property
    def merged(self) -> Tensor:
        assert self.merge is not None  # the registry lets no Gaussian null ask for it
        return self.merge()

    @cached_property
    def merged_frames(self) -> Frames:
        return frames_of(self.merged[None])

    @cached_property
    def coefficients(self) -> Tensor:
        assert self.weigh is not None
        return self.weigh()

    @cached_property
    def fisher(self) -> Tensor:
        assert self.measured is not None
        return self.measured()


def given_of(weights: Weights, survey: "Survey", name: str) -> Given:
    """One parameter of a survey's models, less its base."""
    recipe, models = survey.recipe, survey.recipe.models

    def less_base(tensors: Tensor) -> Tensor:
        """Differences from the base in float32, matrices as [out, in]."""
        base = None
        if survey.base == MEAN:
            base = weights.read(name, models).float().mean(dim=0)
        elif own := checkpoint_of(survey.base):
            base = weights.read(name, [own])[0].float()
        less = tensors.float() if base is None else tensors - base  # on a GPU one stack in float32, not two
        return less.transpose(1, 2) if name in weights.transposed else less

    def measured() -> Tensor:
        found = weights.measured("fisher", models, [name] * len(models))
        assert found is not None  # every parameter has a gradient
        return found.whole()

    def weigh() -> Tensor:
        row = site_at(recipe, name, depth_of(weights.shapes)).weights or (1.0,) * len(models)
        return torch.tensor(row, dtype=torch.float32, device=weights.device)

    return Given(
        less_base(weights.read(name, models)),
        group_of(name),
        lambda: less_base(merge_tensor(recipe, weights, name)[None])[0],
        measured,
        weigh,
    )


def noise(shape: tuple[int, ...], name: str, device: torch.device) -> Given:
    """A tensor of independent normal numbers, the same for every model and on every device."""
    return Given(torch.randn(1, *shape, generator=_generator("noise", name)).to(device), group_of(name))


class Shuffled(Weights):
    """The same weights with the rows and columns of every model's tensors in another order for each model.

    What is shuffled are differences from a base that is a checkpoint, which itself stays as it is.
    """

    def __init__(self, weights: Weights, survey: "Survey", draw: int):
        self.__dict__.update(weights.__dict__)
        self._plain, self._survey, self._draw = weights, survey, draw
        self._masks: dict[Hashable, Any] = {}

    def read(self, parameter: str, names: Sequence[str]) -> Float[Tensor, "model *shape"]:
        base = checkpoint_of(self._survey.base)
        offset = self._plain.read(parameter, [base])[0].float() if base else 0.0
        rows = []
        for name in names:
            own = self._plain.read(parameter, [name])[0].float()
            shuffled = name in self._survey.recipe.models
            rows.append(offset + self._shuffle(own - offset, parameter, name) if shuffled else own)
        return torch.stack(rows)

    def views(self, parameter: str, names: Sequence[str]) -> list[Float[Tensor, "*shape"]]:
        return list(self.read(parameter, names))

    def here(self, part: Tensor) -> Tensor:
        return part

    def measured(self, kind: str, names: Sequence[str], parameters: Sequence[str]) -> Stack | None:
        found = self._plain.measured(kind, names, parameters)
        if found is None or kind == "counts":
            return found
        axes = (1, 1) if kind == "grams" else None
        return Stack([self._shuffle(one, parameters[0], n, axes) for one, n in zip(found, names, strict=True)])

    def prepared(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What a method prepares of one tensor is of no use to the next; of a whole model it is kept."""
        if self._survey.recipe.definition.scope == "tensor":
            return make()
        if key not in self._masks:
            self._masks[key] = make()
        return self._masks[key]

    def _shuffle(self, tensor: Tensor, parameter: str, model: str, axes: tuple[int, ...] | None = None) -> Tensor:
        for place, axis in enumerate(axes or range(tensor.ndim)):
            generator = _generator(self._draw, parameter, model, axis)
            order = torch.randperm(tensor.shape[place], generator=generator).to(tensor.device)
            tensor = tensor.index_select(place, order)
        return tensor


def _generator(*parts: object) -> torch.Generator:
    number = int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])
    return torch.Generator().manual_seed(number)
