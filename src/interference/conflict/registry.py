"""How one decorated function becomes a conflict measure of the page, the command line, the documentation and the tests.

To add a measure, write one file in `interference/conflict`:

    @conflict_measure(
        label="Cosine", source="arXiv:2212.04089", of="pair", best="high", span=(-1, 1), reading="...",
        value=lambda dot, a, b: dot / np.sqrt(a * b), closed=lambda at: 0.0, unchanged=("scale", "rotation"),
    )
    def cosine(gram):
        '''One line: the caption.'''

The function is called tensor by tensor and returns sums `[subject, part]` over the tensor's entries: one row for each
model, each pair or the whole set, one column for each argument of `value`. Sums of tensors add up to those of a layer,
a group and the whole model, and `value` makes the number of them. Arguments get what INPUTS say of their names; the
rest are knobs with a default. With `matrices` it is not asked about vectors.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from interference.registry import Argument, caption_of, discover, part_of

INPUTS = {
    "stack": "the tensor of every model, or its difference from the base [model, *shape], matrices as [out, in]",
    "gram": "inner products of the models' tensors in float64 [model, model]",
    "frames": "the singular value decomposition of every model's matrix",
    "merged": "the merge, or its difference from the base [*shape]",
    "merged_frames": "the singular value decomposition of the merge's matrix",
    "coefficients": "what the recipe gives each model [model]",
    "fisher": "diagonal Fisher information from the dev half [model, *shape]",
    "group": "the tensor's part of the model, see interference.groups",
}
NEEDS = {"merged": "a recipe", "merged_frames": "a recipe", "coefficients": "a recipe", "fisher": "a corpus"}
KINDS = ("model", "pair", "set")
BEST = ("high", "low", "zero", "neither")
NULLS = {
    "permuted": "the same on every model's tensor with its rows and columns shuffled, each by an order of its own",
    "Gaussian": "the same on a tensor of independent normal numbers of this shape",
}
CHANGES = {
    "scale": "each model's tensor times a positive factor of its own",
    "common scale": "all models' tensors times one positive factor",
    "rotation": "all models' matrices turned by the same two rotations",
    "own permutation": "each model's rows shuffled by an order of its own",
}


@dataclass(frozen=True)
class At:
    """Where a closed form holds: so many models and a tensor of this shape, with these knobs."""

    models: int
    shape: tuple[int, ...]
    group: str
    knobs: Mapping[str, float]


@dataclass(frozen=True)
class Measure:
    """A registered conflict measure.

    `of` says what has a value: each model, each pair, or the set. `best` says which values are good for merging,
    `span` is the range and `reading` tells how to read it. `null` names what the chance level is computed from (NULLS);
    `closed` gives it for independent Gaussian tensors of equal norm. `unchanged` are those of CHANGES that leave the
    value as it is.
    """

    name: str
    label: str
    caption: str
    source: str
    of: str
    best: str
    span: tuple[float, float]
    reading: str
    function: Callable
    value: Callable
    parts: int
    inputs: tuple[str, ...]
    arguments: tuple[Argument, ...]
    null: str
    closed: Callable[[At], float] | None
    unchanged: frozenset[str]
    matrices: bool

    @property
    def needs(self) -> tuple[str, ...]:
        """What it can't do without besides weights: a recipe, a corpus."""
        return tuple(dict.fromkeys(NEEDS[name] for name in self.inputs if name in NEEDS))

    @property
    def decomposes(self) -> bool:
        return any("frames" in name for name in self.inputs)

    @property
    def defaults(self) -> dict[str, float]:
        return {argument.name: float(argument.default) for argument in self.arguments}

    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        """The values of sums `[..., part]`; NaN where undefined, as the cosine of a tensor of zeros is."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.asarray(self.value(*np.moveaxis(sums, -1, 0)), dtype=float)
        return np.where(np.isfinite(found), found, np.nan)


_MEASURES: dict[str, Measure] = {}


def conflict_measure(
    *,
    label: str,
    source: str,
    of: str,
    best: str,
    reading: str,
    span: tuple[float, float],
    value: Callable,
    null: str = "permuted",
    closed: Callable[[At], float] | None = None,
    unchanged: tuple[str, ...] = (),
    matrices: bool = False,
) -> Callable[[Callable], Callable]:
    """Register a function of one tensor as a conflict measure; it is returned unchanged. See this module's text."""
    for given, known in ((of, KINDS), (best, BEST), (null, NULLS), *((change, CHANGES) for change in unchanged)):
        if given not in known:
            raise ValueError(f"{label}: '{given}' is none of {', '.join(known)}")

    def register(function: Callable) -> Callable:
        name = function.__name__
        if name in _MEASURES:
            raise ValueError(f"a conflict measure named {name} is registered already")
        part = part_of(function, tuple(INPUTS), tuple(INPUTS))
        _MEASURES[name] = Measure(
            name, label, caption_of(function), source, of, best, span, reading, function, value,
            len(inspect.signature(value).parameters), part.inputs, part.arguments, null, closed, frozenset(unchanged),
            matrices or any("frames" in one for one in part.inputs),
        )  # fmt: skip
        return function

    return register


def measures() -> Mapping[str, Measure]:
    """All conflict measures by name, in alphabetical order."""
    discover("interference.conflict")
    return dict(sorted(_MEASURES.items()))
