"""The table of conflicts: values of sums by tensor, layer, group and for the whole model. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd

from interference.conflict.registry import Measure
from interference.groups import group_of, layer_of

LEVELS = ("tensor", "layer", "group", "whole")
ALL = "all"
COLUMNS = (
    "measure", "of", "first", "second", "by", "group", "layer", "tensor", "entries", "value", "chance", "closed_form",
)  # fmt: skip


@dataclass(frozen=True)
class ConflictTable:
    """Conflicts of models by part of the model. `frame` has exactly COLUMNS.

    `by` says what a row is about: one `tensor`; a `layer`, all of it (group 'all') and each group in it; a `group` over
    all layers; or the `whole` model. Parameters outside the layers have no layer. A pair has `first` and `second`, a
    model `first` alone, the set neither. `value` is empty where it is undefined, `chance` is the same measure's on the
    null that its registry entry names, `closed_form` its value for independent Gaussian tensors of one norm.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(self.frame.columns) != COLUMNS:
            raise ValueError(f"a conflict table has the columns {COLUMNS}, not {tuple(self.frame.columns)}")
        if np.isinf(self.frame[["value", "chance", "closed_form"]].to_numpy(dtype=float)).any():
            raise ValueError("a conflict table holds no infinite values")

    def by(self, level: str) -> pd.DataFrame:
        """The rows of one level; with the whole model come its groups, for embeddings alone may decide it."""
        wanted = ("group", "whole") if level == "whole" else (level,)
        return self.frame[self.frame["by"].isin(wanted)].reset_index(drop=True)


@dataclass(frozen=True)
class Sums:
    """What one measure found: sums [own or null, tensor, subject, part], and the closed form for every tensor."""

    measure: Measure
    sums: np.ndarray
    closed: Sequence[float]


def subjects(of: str, models: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """What a measure of a kind has values of: (first, second)."""
    if of == "pair":
        return list(combinations(models, 2))
    return [(name, None) for name in models] if of == "model" else [(None, None)]


def conflict_table(
    models: Sequence[str], shapes: Mapping[str, tuple[int, ...]], found: Sequence[Sums], notes: Sequence[str] = ()
) -> ConflictTable:
    """The table of some measures' sums over the tensors of `shapes`, in its order."""
    frames = [_frame(one, models, shapes) for one in found]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))
    return ConflictTable(frame, tuple(notes))


def _frame(found: Sums, models: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> pd.DataFrame:
    names = np.array(list(shapes))
    asked = ~np.isnan(found.sums[0]).any(axis=(1, 2))
    heads = subjects(found.measure.of, models)
    sizes = np.array([int(np.prod(shapes[str(name)])) for name in names], dtype=np.int64)
    closed = np.array(found.closed, dtype=float)
    parts = _parts(names[asked].tolist())
    members = [np.flatnonzero(asked)[part[-1]] for part in parts]
    sums = np.stack([found.sums[:, rows].sum(axis=1) for rows in members])
    values = found.measure.of_sums(sums)  # [part, own or null, subject]
    count = len(heads)
    frame = pd.DataFrame(
        {
            "measure": found.measure.name,
            "of": found.measure.of,
            "first": [first for first, _ in heads] * len(parts),
            "second": [second for _, second in heads] * len(parts),
            **{name: [part[at] for part in parts for _ in heads] for at, name in enumerate(COLUMNS[4:8])},
            "entries": np.repeat([sizes[rows].sum() for rows in members], count),
            "value": values[:, 0].ravel(),
            "chance": values[:, 1].ravel(),
            "closed_form": np.repeat([_common(closed[rows]) for rows in members], count),
        }
    )
    return frame.astype({"layer": "Int64", "first": object, "second": object, "tensor": object})


def _common(values: np.ndarray) -> float:
    """The one value that all are; NaN where they differ, for then it is none of the whole."""
    return float(values[0]) if np.all(values == values[0]) else np.nan


def _parts(names: Sequence[str]) -> list[tuple[str, str, int | None, str | None, list[int]]]:
    """(by, group, layer, tensor, positions) of everything that the tensors are summed up to."""
    groups, layers = [group_of(name) for name in names], [layer_of(name) for name in names]
    found: list[tuple[str, str, int | None, str | None, list[int]]] = [
        ("tensor", groups[i], layers[i], name, [i]) for i, name in enumerate(names)
    ]
    every = range(len(names))
    for layer in dict.fromkeys(layers):
        inside = [i for i in every if layers[i] == layer]
        found.append(("layer", ALL, layer, None, inside))
        found += [
            ("layer", group, layer, None, [i for i in inside if groups[i] == group])
            for group in dict.fromkeys(groups[i] for i in inside)
        ]
    found += [("group", group, None, None, [i for i in every if groups[i] == group]) for group in dict.fromkeys(groups)]
    return [*found, ("whole", ALL, None, None, list(every))]
