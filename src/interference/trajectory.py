"""Training trajectories: losses of two runs over their steps, and of their merge where both have a checkpoint."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd

from interference.corpus import Corpus
from interference.errors import UserError, check_known
from interference.evaluate import Evaluator
from interference.path import KNOWS
from interference.recipe import Recipe
from interference.scored import Scored
from interference.settings import configuration_notes
from interference.statistics import clustered_means
from interference.steps import Steps, nth
from interference.suite import Suite
from interference.tables import PER_BYTE, known_units, unit_sizes
from interference.training import in_runs, stem

FIRST, SECOND, MERGE, UNTRAINED = "first", "second", "merge", "untrained"
POINT_COLUMNS = ("step", "language", "role", "model", "sentences", "value", "low", "high")
SUMMARY_COLUMNS = (
    "step", "language", "better_parent", "excess", "excess_low", "excess_high", "kept", "mergeable", "why_not_said",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One training run: its checkpoints' names by step, in the order of steps, and its language if it has one."""

    name: str
    language: str | None
    checkpoints: Mapping[int, str]


@dataclass(frozen=True)
class Course:
    """Two runs of a suite, whose checkpoints of the same step are averaged."""

    first: str
    second: str

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise UserError(f"The run {self.first} can't be merged with itself. Name two runs.")


@dataclass(frozen=True)
class TrajectoryTable:
    """Losses of two runs and of their merge over training.

    `points[unit]` has POINT_COLUMNS, one row for each step, language and role, with its 95 % interval. `summary[unit]`
    has SUMMARY_COLUMNS, one row for each step that both runs have and each language: the merge's excess over the better
    parent of that step, and what share it keeps of that parent's gain over the untrained model. It is mergeable where
    it keeps more than KNOWS with all of its interval; this is None, with the reason, where there is no gain to keep.
    """

    course: Course
    languages: tuple[str, ...]
    points: Mapping[str, pd.DataFrame]
    summary: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def joined(self, unit: str) -> pd.DataFrame:
        """The points with the summary beside those of the merge, and empty beside the others."""
        return self.points[unit].merge(
            self.summary[unit].assign(role=MERGE), on=["step", "language", "role"], how="left"
        )


def runs(suite: Suite) -> dict[str, Run]:
    """The runs of two or more checkpoints of a suite by name, see `in_runs`.

    A run is named as its checkpoints are without the number they end in, else by what they share. Raises UserError
    where a run has one step twice.
    """
    named: dict[str, Run] = {}
    for members in in_runs(suite.checkpoints):
        steps = {int(c.step or 0): c.name for c in members}
        if len(steps) < len(members):
            twice = next(c for c in members if steps[int(c.step or 0)] != c.name)
            other = steps[int(twice.step or 0)]
            raise UserError(
                f"{twice.name} and {other} are both step {twice.step} of one run: of one role, language, parent. "
                "Give them other steps, or names that differ in more than the last number, in suite.yaml."
            )
        if len(steps) > 1:
            stems, first = {stem(name) for name in steps.values()}, members[0]
            shared = first.role, first.language, first.parent, *(stems if len(stems) == 1 else ())
            free = stems - named.keys()
            name = free.pop() if len(free) == 1 else "-".join(filter(None, shared))
            named[name] = Run(name, first.language, steps)
    return named


def known_course(suite: Suite, first: str | None = None, second: str | None = None) -> Course:
    """Two runs of a suite: those named, else its first ones of different languages. Raises UserError for none."""
    known = runs(suite)
    if len(known) < 2:
        raise UserError(
            f"The suite {suite.name} has {len(known) or 'no'} training run{'' if len(known) == 1 else 's'}; a "
            "trajectory needs two. Give the checkpoints of each run their `step` in suite.yaml, and the same role and "
            "language."
        )
    check_known(f"The suite {suite.name} has no training run", known, *filter(None, (first, second)))
    first = first or next(name for name in known if name != second)
    rest = [run for run in known.values() if run.name != first]
    other = [run for run in rest if run.language != known[first].language]
    return Course(first, second or (other or rest)[0].name)


def trajectory_steps(
    evaluator: Evaluator, course: Course, languages: Sequence[str], sentences: int | None
) -> Steps[TrajectoryTable]:
    """Score every checkpoint of both runs, and the average of each step that both have; all is kept in the store."""
    suite, known = evaluator.suite, runs(evaluator.suite)
    known_course(suite, course.first, course.second)
    evaluator.check_languages(languages)
    first, second = known[course.first].checkpoints, known[course.second].checkpoints
    common = [step for step in first if step in second]
    if not common:
        raise UserError(f"{course.first} and {course.second} have no step in common, so there is nothing to merge.")
    suite.mergeable([first[common[0]], second[common[0]]])
    rows = evaluator.corpus.rows(sentences)
    models: dict[tuple[int, str], Scored] = {(step, FIRST): name for step, name in first.items()}
    models |= {(step, SECOND): name for step, name in second.items()}
    models |= {(step, MERGE): Recipe("linear", (first[step], second[step]), (0.5, 0.5)) for step in common}
    if suite.untrained:
        models[0, UNTRAINED] = suite.untrained
    bits: dict[tuple[int, str, str], np.ndarray] = {}
    for (place, model), language in product(models.items(), languages):  # every merge is made once
        steps = evaluator.bits_steps(model, language, rows)
        bits[(*place, language)] = yield from nth(len(bits), len(models) * len(languages), steps)
    names = [*first.values(), *second.values()]
    cells, notes = evaluator.tokenization({name: name for name in names}, languages, rows)
    lossy = {language for _, language in cells}
    both = first[common[0]], second[common[0]]
    notes = (*notes, *configuration_notes(both, suite, f"Every merge computes as that of {course.first} does."))
    own = tuple(code for code in languages if code in (known[course.first].language, known[course.second].language))
    shown = {place: model if isinstance(model, str) else MERGE for place, model in models.items()}
    scored = [*names, *filter(None, [suite.untrained])]
    return trajectory_table(
        course, own or tuple(languages), bits, shown, evaluator.corpus, rows, evaluator.provenance(scored), lossy, notes
    )


def trajectory_table(
    course: Course,
    own: tuple[str, ...],
    bits: Mapping[tuple[int, str, str], np.ndarray],
    models: Mapping[tuple[int, str], str],
    corpus: Corpus,
    rows: np.ndarray,
    provenance: Mapping[str, str],
    lossy: Collection[str] = (),
    notes: Sequence[str] = (),
) -> TrajectoryTable:
    """The table from the bits of every sentence, `bits[step, role, language]`; the untrained model has step 0.

    `own` are the languages that the runs are judged by; those in `lossy` have no bits per byte.
    """
    documents = [corpus.documents[row] for row in rows]
    points, summary = {}, {}
    for unit in known_units(corpus):
        cells = list(bits)
        sizes = {code: unit_sizes(unit, corpus, code, rows) for code in {cell[2] for cell in cells}}
        means = clustered_means(np.stack(list(bits.values())), documents, np.stack([sizes[c[2]] for c in cells]))
        points[unit] = pd.DataFrame(
            [
                (step, language, role, models[step, role], len(rows), *numbers)
                for (step, role, language), numbers in zip(cells, np.stack(means, axis=1).tolist(), strict=True)
            ],
            columns=list(POINT_COLUMNS),
        )
        names = {FIRST: course.first, SECOND: course.second}
        summary[unit] = _summary(bits, sizes, documents).replace({"better_parent": names})
        if unit in PER_BYTE and lossy:
            for frame in (points[unit], summary[unit]):
                numbers = frame.columns.intersection(["value", "low", "high", "excess", "excess_low", "excess_high"])
                frame.loc[frame["language"].isin(list(lossy)), numbers] = np.nan
    ours = (
        f"{len(rows)} sentences per language {corpus.clusters(rows)}.",
        "The merge is the plain average of both runs' checkpoints of one step. It counts as mergeable where it keeps "
        f"more than {KNOWS:g} of the better parent's gain over the untrained model with all of its interval.",
    )
    return TrajectoryTable(course, own, points, summary, (*ours, *notes), provenance)


def _summary(
    bits: Mapping[tuple[int, str, str], np.ndarray], sizes: Mapping[str, np.ndarray], documents: Sequence[str]
) -> pd.DataFrame:
    records, series, scale = [], [], []
    for step, role, language in bits:
        if role != MERGE:
            continue
        parents = {name: bits[step, name, language] for name in (FIRST, SECOND)}
        better = min(parents, key=lambda name: float(parents[name].sum()))
        series.append(bits[step, MERGE, language] - parents[better])
        scale.append(sizes[language])
        untrained = bits.get((0, UNTRAINED, language))
        judged = _judged(bits[step, MERGE, language], parents[better], untrained, documents)
        records.append((step, language, better, *judged))
    excess = np.stack(clustered_means(np.stack(series), documents, np.stack(scale)), axis=1)
    rows = [(*record[:3], *numbers, *record[3:]) for record, numbers in zip(records, excess.tolist(), strict=True)]
    frame = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS)).sort_values(["step"], kind="stable")
    return frame.reset_index(drop=True)


def _judged(
    merged: np.ndarray, better: np.ndarray, untrained: np.ndarray | None, documents: Sequence[str]
) -> tuple[float, bool | None, str]:
    """What share of the better parent's gain the merge keeps, whether it is above KNOWS, and why it isn't said."""
    if untrained is None:
        return np.nan, None, "the suite has no single untrained checkpoint"
    gain = untrained - better
    required = untrained - KNOWS * gain  # the bits of a merge that keeps KNOWS
    means, low, _ = clustered_means(np.stack([gain, required - merged]), documents)
    gained, keeps = np.where(np.isnan(low), means, low)  # without an interval the mean decides
    if gained <= 1e-9:
        return np.nan, None, "neither parent is better than untrained by then"
    return float((untrained - merged).sum() / gain.sum()), bool(keeps > 0), ""


def mergeable_steps(table: TrajectoryTable, unit: str) -> tuple[list[int], list[int]]:
    """The steps at which the runs are mergeable in all of their languages that it can be said of, and the others."""
    frame = table.summary[unit]
    frame = frame[frame["language"].isin(table.languages)].dropna(subset=["mergeable"])
    judged = {int(part["step"].iloc[0]): all(part["mergeable"]) for _, part in frame.groupby("step")}
    return [step for step, able in judged.items() if able], [step for step, able in judged.items() if not able]


def trajectory_sentence(table: TrajectoryTable, unit: str) -> str:
    """At which step the runs stop being mergeable, in one sentence, and how many steps it is not said of."""
    able, unable = mergeable_steps(table, unit)
    frame = table.summary[unit]
    own = frame[frame["language"].isin(table.languages)].groupby("step")["mergeable"].count()
    left = {
        "can't be judged": own == 0,
        "are judged in some of the languages alone": own.between(1, len(table.languages) - 1),
    }
    said = [f"{steps.sum()} of {len(own)} steps {what}" for what, steps in left.items() if steps.any()]
    judged = f" {'; '.join(said)}." if said and (able or unable) else ""
    return _when(table, unit, able, unable) + judged


def _when(table: TrajectoryTable, unit: str, able: list[int], unable: list[int]) -> str:
    who = f"{table.course.first} and {table.course.second}"
    if not able and not unable:
        why = table.summary[unit]["why_not_said"].iloc[0] if len(table.summary[unit]) else "there are no common steps"
        return f"**When {who} stop being mergeable can't be said**: {why}."
    if not unable:
        return f"**{who} are mergeable at every step** of both where that can be judged, up to {max(able):,}."
    if not able:
        return (
            f"**{who} are mergeable at no step**: at step {min(unable):,} already their average is not shown to keep "
            f"{KNOWS:g} of what the better parent gained in all of the languages."
        )
    after = [step for step in unable if step > max(able)]
    if not after:
        return f"**{who} are mergeable at the end**, at step {max(able):,}, but not at {len(unable)} steps before."
    between = len([step for step in unable if step < max(able)])
    gaps = f", with {between} exception{'s' * (between > 1)} before" if between else ""
    return f"**{who} stop being mergeable between step {max(able):,} and {min(after):,}**{gaps}."
