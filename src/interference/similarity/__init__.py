"""Measures of how alike two sets of hidden states are, and the machinery that makes one of a decorated function.

To add a measure, write one file in this folder. What it is given decides its form:

- `relations(x)`: how the sentences relate under one model, a matrix [sentence, sentence]. Two models are as alike as
  the cosine of their matrices; nothing need correspond but the sentences. The full table of many models is one product.
- `scores(x, y)`: every sentence's score with every sentence of the other side [sentence, sentence]. The measure is the
  mean over translations, the diagonal.
- `scores(fit_x, fit_y, x, y)`: the same after something was fitted on other sentences, each half of them in turn.

States come in as float64 [sentence, dim]. In all three forms the mean over all permutations of the sentences, which is
the chance level, follows from the matrices exactly.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from interference.registry import caption_of, discover

INVARIANCES = {  # of one side alone
    "rotation": "an orthogonal map, permutations of dimensions among them",
    "scale": "one positive factor",
    "shift": "one vector added to every sentence's states",
    "neuron": "a positive factor and a shift of its own for every dimension",
    "linear": "any invertible linear map",
}
BEST = ("high", "low", "zero")
FORMS = {("x",): "relations", ("x", "y"): "scores", ("fit_x", "fit_y", "x", "y"): "held out"}
NEEDS = {
    "sentences": "nothing but the same sentences or translations",
    "basis": "dimensions that correspond: one checkpoint, or models of one initialisation",
    "vocabulary": "one map of tokens to ids: reads the tokens that each model's own head makes of the states",
}
FEWEST = 4  # sentences: below, U-centring divides by zero
Square = Float[np.ndarray, "sentence sentence"]


@dataclass(frozen=True)
class Measure:
    """A registered measure. `form` is a value of FORMS, `needs` a key of NEEDS, `best` one of BEST.

    `invariant` names those of INVARIANCES under which it does not change when one side alone is transformed.
    """

    name: str
    label: str
    caption: str
    source: str
    best: str
    needs: str
    invariant: frozenset[str]
    form: str
    function: Callable[..., Square]
    symmetric: bool = True
    equal_width: bool = False

    def between(
        self,
        x: Float[np.ndarray, "sentence dim"],
        y: Float[np.ndarray, "other_sentence other"],
        folds: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """The value and its chance level: the plain way, one pair at a time.

        `folds` (0 or 1 by sentence) are the halves for measures that fit on one and score on the other, every other
        sentence unless given. Raises ValueError for fewer than FEWEST sentences, different numbers of them or numbers
        that are not finite; both are NaN where the states do not vary.
        """
        if len(x) != len(y) or len(x) < FEWEST:
            raise ValueError(
                f"{len(x)} and {len(y)} sentences; expected the same on both sides and at least {FEWEST} of them"
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError("states that are not finite have no similarity")
        if self.needs != "vocabulary" and not (varies(x).any() and varies(y).any()):
            return np.nan, np.nan
        if self.form == "relations":
            a, b = unit(self.function(x)), unit(self.function(y))
            return float((a * b).sum()), float(expected(moments(a), moments(b), len(x)))
        if self.form == "scores":
            table = self.function(x, y)
            return float(np.trace(table) / len(table)), float(table.mean())
        folds = np.arange(len(x)) % 2 if folds is None else folds
        halves = []
        for fold in (0, 1):
            fit, own = folds != fold, folds == fold
            table = self.function(x[fit], y[fit], x[own], y[own])
            halves.append((np.trace(table), table.mean() * len(table)))
        value, chance = np.sum(halves, axis=0) / len(x)
        return float(value), float(chance)


def varies(x: Float[np.ndarray, "sentence dim"]) -> Bool[np.ndarray, " dim"]:
    """Which dimensions vary between sentences by more than float32 rounds."""
    return x.std(axis=0) > 1e-6 * np.abs(x).max(axis=0)


def unit(matrix: Square) -> Square:
    """The matrix divided by its Frobenius norm; NaN where that is zero."""
    norm = np.linalg.norm(matrix)
    return matrix / norm if norm > 0 else np.full_like(matrix, np.nan)


def moments(matrix: Square) -> Float[np.ndarray, "two"]:
    """Trace, and sum of all else: what a permutation of the sentences leaves unchanged."""
    trace = np.trace(matrix)
    return np.array([trace, matrix.sum() - trace])


def expected(a: Float[np.ndarray, "*#pair two"], b: Float[np.ndarray, "*#pair two"], n: int) -> np.ndarray | float:
    """The mean of the inner product of two matrices over all permutations of one's sentences, from their moments."""
    return a[..., 0] * b[..., 0] / n + a[..., 1] * b[..., 1] / (n * (n - 1))


_MEASURES: dict[str, Measure] = {}


def measure(
    *, label: str, source: str, invariant: tuple[str, ...], best: str = "high", needs: str = "sentences",
    symmetric: bool = True, equal_width: bool = False,
) -> Callable[[Callable], Callable]:  # fmt: skip
    """Register a pure function as a measure; the function is returned unchanged. Its first docstring line is the
    caption. With `symmetric=False` its matrix of relations is directed, as that of nearest neighbours is; with
    `equal_width`, as with a shared basis, both sides are to have as many dimensions."""
    if unknown := set(invariant) - INVARIANCES.keys():
        raise ValueError(f"{label}: no invariance is named {unknown}")
    if best not in BEST or needs not in NEEDS:
        raise ValueError(f"{label}: best is {best}, needs {needs}; expected one of {BEST} and one of {tuple(NEEDS)}")

    def register(function: Callable) -> Callable:
        name = function.__name__
        form = FORMS.get(tuple(inspect.signature(function).parameters))
        if form is None or name in _MEASURES:
            raise ValueError(f"{name} needs the arguments of one of FORMS, and a name of its own")
        _MEASURES[name] = Measure(
            name, label, caption_of(function), source, best, needs, frozenset(invariant), form, function, symmetric,
            equal_width or needs == "basis",
        )  # fmt: skip
        return function

    return register


def measures() -> Mapping[str, Measure]:
    """All measures by name: those that compare any two models first."""
    discover(__name__)
    order = list(NEEDS)
    return dict(sorted(_MEASURES.items(), key=lambda item: (order.index(item[1].needs), item[0] != DEFAULT, item[0])))


DEFAULT = "debiased_cka"
