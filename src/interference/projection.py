"""Sentences of several languages in one checkpoint's states: a plane to look at them, and each one's neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float

from interference.activations import States, Text, states_steps, text_of
from interference.errors import UserError, check_known
from interference.evaluate import Evaluator
from interference.groups import depth_of
from interference.losses import cut_notes
from interference.scored import Model, scored_by
from interference.similarity.kernels import cosines
from interference.similarity.table import Preparation, Side, prepared
from interference.similarity_request import multilingual
from interference.steps import Steps, nth

PLANES = {
    "PCA": "the two directions of largest variance",
    "MDS": "classical scaling of cosine distances",
}
COLUMNS = ("row", "document", "language", "text", "x", "y")
NEAR_COLUMNS = ("rank", "language", "row", "cosine", "translation", "text")


@dataclass(frozen=True)
class Projection:
    """Sentences in a plane. `frame` has COLUMNS; `shares` are of the variance on either axis."""

    frame: pd.DataFrame
    shares: tuple[float, float]
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spot:
    """Where states are read for a plane or for neighbours: one model, one layer, several languages.

    States are prepared on all of `sentences`; `drawn` of them, evenly spaced, are drawn in a plane.
    """

    name: str
    model: Model
    layer: int
    languages: tuple[str, ...]
    sentences: int
    drawn: int = 24
    pooling: str = "mean"
    preparation: Preparation = field(default_factory=Preparation)


def spot_in(
    evaluator: Evaluator,
    name: str | None,
    layer: int | None,
    languages: Sequence[str],
    sentences: int,
    drawn: int,
    pooling: str,
    preparation: Preparation,
) -> Spot:
    """Where to read states: unless said in the multilingual checkpoint, else the first, in its middle layer and in all
    languages. Raises UserError for unknown names."""
    suite = evaluator.suite
    name = name or multilingual(suite)
    evaluator.check_languages(languages)
    middle = (depth_of(suite[name].shapes) + 1) // 2
    chosen = tuple(dict.fromkeys(languages)) or evaluator.corpus.languages
    return Spot(name, name, middle if layer is None else layer, chosen, sentences, drawn, pooling, preparation)


def projection_steps(evaluator: Evaluator, spot: Spot, plane: str = "PCA") -> Steps[Projection]:
    """The sentences of every language as points of a plane, the same sentences in all."""
    check_known("There is no plane", PLANES, plane)
    texts, sides, cut = yield from _read(evaluator, spot)
    count = len(texts[spot.languages[0]].rows)
    few = np.unique(np.linspace(0, count - 1, min(spot.drawn, count)).round().astype(int))
    x = np.concatenate([sides[language][few] for language in spot.languages])
    points, shares = (principal if plane == "PCA" else scaled)(x)
    texts = {language: _some(text, few) for language, text in texts.items()}
    text = texts[spot.languages[0]]
    frame = pd.DataFrame(
        {
            "row": np.tile(text.rows, len(spot.languages)),
            "document": text.documents * len(spot.languages),
            "language": np.repeat(spot.languages, len(text.rows)),
            "text": [sentence for language in spot.languages for sentence in texts[language].sentences],
            "x": points[:, 0],
            "y": points[:, 1],
        },
        columns=list(COLUMNS),
    )
    centred = spot.preparation.centred or spot.preparation.scaled
    notes = (
        f"{len(text.rows)} of n = {count} sentences in {len(spot.languages)} languages, d = {x.shape[1]}; "
        f"{spot.preparation.label()}.",
        "Every language has its own mean taken out: what is left apart is not its place but its shape."
        if centred
        else "Languages keep their means: their distance is a part of the picture.",
        f"The plane holds {sum(shares):.0%} of the variance; distances in it are no more than a sketch.",
        *cut_notes(scored_by(evaluator.suite, spot.model).positions, cut),
    )
    where = {
        "checkpoint": spot.name,
        "layer": str(spot.layer),
        "plane": plane,
        "states": f"{spot.pooling}; {spot.preparation.label()}; {count} sentences",
    }
    return Projection(frame, shares, notes, evaluator.provenance([spot.model]) | where)


def neighbour_steps(evaluator: Evaluator, spot: Spot, language: str, row: int) -> Steps[pd.DataFrame]:
    """All sentences of the languages but this one, the nearest to it by cosine first: NEAR_COLUMNS."""
    texts, sides, _ = yield from _read(evaluator, spot)
    rows = texts[language].rows
    if row not in rows:
        raise UserError(f"Row {row} is none of the {len(rows)} sentences that are compared. Choose one of them.")
    own = sides[language][[rows.index(row)]]
    frames = []
    for code in spot.languages:
        scores = cosines(own, sides[code])[0]
        frames.append(
            pd.DataFrame(
                {"language": code, "row": rows, "cosine": scores, "translation": np.array(rows) == row,
                 "text": texts[code].sentences}
            )
        )  # fmt: skip
    frame = pd.concat(frames, ignore_index=True)
    frame = frame[(frame["language"] != language) | (frame["row"] != row)]
    frame = frame.sort_values("cosine", ascending=False, kind="stable", ignore_index=True)
    return frame.assign(rank=frame.index + 1)[list(NEAR_COLUMNS)]


def _some(text: Text, places: np.ndarray) -> Text:
    parts = [tuple(part[place] for place in places) for part in (text.sentences, text.documents, text.rows)]
    return Text(text.language, *parts)


def principal(x: Float[np.ndarray, "point dim"]) -> tuple[Float[np.ndarray, "point two"], tuple[float, float]]:
    """Coordinates on the two principal components, and their shares of the variance."""
    return _coordinates(x, "linear")


def scaled(x: Float[np.ndarray, "point dim"]) -> tuple[Float[np.ndarray, "point two"], tuple[float, float]]:
    """Classical scaling of the distances sqrt(2 - 2 cosine), that is kernel PCA of cosines, and the axes' shares."""
    return _coordinates(x, "cosine")


def _coordinates(
    x: Float[np.ndarray, "point dim"], kernel: str
) -> tuple[Float[np.ndarray, "point two"], tuple[float, float]]:
    from sklearn.decomposition import KernelPCA  # half a second, which other commands are spared

    found = KernelPCA(kernel=kernel, eigen_solver="dense")
    points = np.pad(found.fit_transform(x), ((0, 0), (0, 2)))[:, :2]  # states on one line have one component
    points *= np.where((points**3).sum(axis=0) < 0, -1, 1)  # the longer tail to the right, whatever rounding did
    shares = np.pad(found.eigenvalues_, (0, 2)) / max(float(found.eigenvalues_.sum()), 1e-300)
    return points, (float(shares[0]), float(shares[1]))


def _read(evaluator: Evaluator, spot: Spot) -> Steps[tuple[dict[str, Text], dict[str, np.ndarray], dict[str, int]]]:
    """Text and prepared states of every language, each prepared by itself, and how many sentences go beyond the
    context."""
    rows = evaluator.corpus.rows(spot.sentences)
    if len(rows) < 3 or not spot.languages:
        raise UserError("A plane takes three sentences and one language at least.")
    texts = {language: text_of(evaluator.corpus, language, rows) for language in spot.languages}
    found: dict[str, np.ndarray] = {}
    cut: dict[str, int] = {}
    for language, text in texts.items():
        steps = states_steps(evaluator, spot.model, text, spot.pooling)
        states: States = yield from nth(len(found), len(texts), steps)
        if not 0 <= spot.layer < len(states.values):
            raise UserError(
                f"{spot.name} has no layer {spot.layer}; expected 0 (the embeddings) to {len(states.values) - 1}."
            )
        cut[language] = int((states.cut > 0).sum())
        side = Side(states.values[spot.layer], states.read.astype(float))
        found[language] = prepared(side, spot.preparation)
        yield len(found) / len(texts)
    return texts, found, cut
