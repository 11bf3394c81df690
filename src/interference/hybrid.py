"""A checkpoint with one component of a merge in it, or a merge with one component of a checkpoint."""

from collections.abc import Iterable
from dataclasses import dataclass

from interference.groups import GROUPS, group_of, layer_of
from interference.recipe import Recipe


@dataclass(frozen=True)
class Component:
    """One group of parameters in one layer; `layer` is None for what stands outside the layers."""

    layer: int | None
    group: str

    @property
    def label(self) -> str:
        return self.group if self.layer is None else f"layer {self.layer}, {self.group}"

    def names(self, parameters: Iterable[str]) -> list[str]:
        """Its parameters."""
        return [name for name in parameters if (layer_of(name), group_of(name)) == (self.layer, self.group)]


def components(parameters: Iterable[str]) -> tuple[Component, ...]:
    """Every component that a model with these parameters has, layer by layer, what is outside the layers first."""
    found = {(layer_of(name), group_of(name)) for name in parameters}
    ordered = sorted(found, key=lambda one: (-1 if one[0] is None else one[0], GROUPS.index(one[1])))
    return tuple(Component(*one) for one in ordered)


@dataclass(frozen=True)
class Hybrid:
    """Two models in one: `component` is the merge's and all else the parent's, or, `restored`, the other way round."""

    recipe: Recipe
    parent: str
    component: Component
    restored: bool = False

    @property
    def models(self) -> tuple[str, ...]:
        """The parent, whose tokenizer and context it is scored with, and the recipe's models."""
        return tuple(dict.fromkeys((self.parent, *self.recipe.models)))

    @property
    def needed(self) -> tuple[str, ...]:
        """Every checkpoint that is read."""
        return tuple(dict.fromkeys((self.parent, *self.recipe.needed)))

    def merged(self, parameters: Iterable[str]) -> list[str]:
        """The parameters that are the merge's."""
        names = list(parameters)
        own = set(self.component.names(names))
        return [name for name in names if (name in own) != self.restored]
