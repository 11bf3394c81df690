"""The plane through three checkpoints: the loss of every point around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from interference.conflict.sums import gram_of
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.recipe import Recipe
from interference.settings import configuration_notes
from interference.statistics import clustered_means
from interference.steps import Steps, nth, telling
from interference.tables import PER_BYTE, known_units, unit_sizes
from interference.weights import Weights

POINTS = (3, 41)  # on a side, at least and at most
MARGIN = 0.25  # of the triangle's width and height, around it
COLUMNS = ("x", "y", "first", "second", "third", "sentences", "value", "low", "high")
CORNERS = ("model", "x", "y", "value", "low", "high")


@dataclass(frozen=True)
class Plane:
    """Three checkpoints, a language, and in how many points a side of the plane is cut."""

    models: tuple[str, str, str]
    language: str
    points: int = 9

    def __post_init__(self) -> None:
        if len(set(self.models)) != 3:
            raise UserError("A plane goes through three checkpoints. Name three different ones.")
        if not POINTS[0] <= self.points <= POINTS[1]:
            raise UserError(f"A plane of {self.points} points a side was asked for; give {POINTS[0]} to {POINTS[1]}.")


@dataclass(frozen=True)
class PlaneTable:
    """Losses on a plane through three checkpoints.

    `x` and `y` are distances in weight space (Euclidean, of all parameters): the first checkpoint lies at 0, 0, the
    second to its right. `units[unit]` has COLUMNS, one row a point, with what each checkpoint is weighted by there;
    `corners[unit]` has CORNERS, one row for each checkpoint. `untrained` is the level of the untrained checkpoint.
    """

    plane: Plane
    units: Mapping[str, pd.DataFrame]
    corners: Mapping[str, pd.DataFrame]
    untrained: Mapping[str, float]
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


def triangle(gram: Float[np.ndarray, "model model"]) -> Float[np.ndarray, "model axis"]:
    """Where three vectors with these inner products lie in their plane. Raises UserError if they lie on one line."""
    squares = gram.diagonal()
    a, b = (squares[0] + squares[i] - 2 * gram[0, i] for i in (1, 2))
    dot = gram[1, 2] - gram[0, 1] - gram[0, 2] + squares[0]
    width = np.sqrt(max(a, 0.0))
    height = np.sqrt(max(b - dot**2 / a, 0.0)) if a > 0 else 0.0
    if height <= 1e-6 * np.sqrt(max(squares.max(), 1e-30)) or width == 0:
        raise UserError("These three checkpoints lie on one line, so there is no plane through them alone.")
    return np.array([[0.0, 0.0], [width, 0.0], [dot / width, height]])


def plane_steps(evaluator: Evaluator, plane: Plane, sentences: int | None) -> Steps[PlaneTable]:
    """Score every point of a plane on its language, one batch at a time; points are kept in the store."""
    suite, language = evaluator.suite, plane.language
    evaluator.check_languages([language])
    weights = evaluator.networks.weights(plane.models)
    yield 0.0
    yield from telling(0.0, weights.load_steps(plane.models))
    with evaluator.room("measuring distances of three models"):
        gram = _gram(weights, plane.models)
    places = triangle(gram)
    rows = evaluator.corpus.rows(sentences)
    span = np.ptp(places, axis=0)
    low, high = places.min(axis=0) - MARGIN * span, places.max(axis=0) + MARGIN * span
    xs, ys = (np.linspace(low[axis], high[axis], plane.points) for axis in (0, 1))
    points = [(float(x), float(y)) for y in ys for x in xs]
    shares = [_shares(places, np.array(point)) for point in points]
    bits = []
    for number, share in enumerate(shares):
        recipe = Recipe("linear", plane.models, share)
        bits.append((yield from nth(number, len(shares), evaluator.bits_steps(recipe, language, rows))))
    ends = []
    for name in plane.models:
        ends.append((yield from telling(1.0, evaluator.bits_steps(name, language, rows))))
    untrained = None
    if suite.untrained:
        untrained = yield from telling(1.0, evaluator.bits_steps(suite.untrained, language, rows))
    documents = [evaluator.corpus.documents[row] for row in rows]
    units, corners, levels = {}, {}, {}
    lossy, notes = evaluator.tokenization({plane.models[0]: plane.models[0]}, [language], rows)
    for unit in known_units(evaluator.corpus):
        if lossy and unit in PER_BYTE:
            continue
        size = unit_sizes(unit, evaluator.corpus, language, rows)
        found = np.stack(clustered_means(np.stack([*bits, *ends]), documents, np.tile(size, (len(bits) + 3, 1))), 1)
        heads = [(*point, *share, len(rows)) for point, share in zip(points, shares, strict=True)]
        units[unit] = pd.DataFrame(
            [(*head, *row) for head, row in zip(heads, found[: len(bits)], strict=True)], columns=list(COLUMNS)
        )
        marks = zip(plane.models, places.tolist(), found[len(bits) :].tolist(), strict=True)
        corners[unit] = pd.DataFrame([(name, *place, *row) for name, place, row in marks], columns=list(CORNERS))
        levels[unit] = float(untrained.sum() / size.sum()) if untrained is not None else np.nan
    own = (
        f"{len(rows)} sentences of {language} at each of {len(points)} points {evaluator.corpus.clusters(rows)}. "
        "Distances are Euclidean, of all parameters.",
    )
    differing = configuration_notes(plane.models, suite, f"Every point computes as {plane.models[0]} does.")
    where = {"plane": " ".join(plane.models), "language": language}
    return PlaneTable(
        plane, units, corners, levels, (*own, *notes, *differing), evaluator.provenance(plane.models) | where
    )


def _gram(weights: Weights, models: tuple[str, ...]) -> np.ndarray:
    grams = [gram_of(weights.read(name, models).float()) for name in weights.shapes]
    return torch.stack(grams).sum(dim=0).cpu().numpy()


def _shares(places: np.ndarray, point: np.ndarray) -> tuple[float, float, float]:
    """What each corner is weighted by at a point: they sum to one."""
    second, third = np.linalg.solve((places[1:] - places[0]).T, point - places[0])
    first, second, third = (round(float(share), 6) + 0.0 for share in (1 - second - third, second, third))  # no -0.0
    return first, second, third
