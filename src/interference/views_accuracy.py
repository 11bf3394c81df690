"""What the accuracy of a merge is shown with: its parents, references and controls, by role."""

from collections.abc import Sequence

import pandas as pd

from interference.languages import language_name
from interference.minimal_pairs import AccuracyTable
from interference.recipe import Recipe
from interference.scored import UNIGRAM, Scored
from interference.suite import Suite
from interference.views import MERGE


def accuracy_models(recipe: Recipe, suite: Suite, languages: Sequence[str]) -> dict[str, Scored]:
    """The merge, its parents, each language's reference, the untrained model and the one that counts tokens.

    That counts on the dev half, and is left out where the corpus has none.
    """
    references = [suite.reference(language) for language in languages]
    names = [*recipe.models, *references, suite.untrained]
    counted = {UNIGRAM: UNIGRAM} if suite.corpus and suite.corpus.has_dev else {}
    return {MERGE: recipe, **{name: name for name in names if name}, **counted}


def accuracy_view(table: AccuracyTable, recipe: Recipe, suite: Suite) -> pd.DataFrame:
    """The rows by language with a column `role`: merge, reference, best parent, untrained, unigram.

    In `above` the merge's say whether it is clearly above chance, the untrained model and counted tokens.
    """
    frame = table.by("language")
    merged = frame[frame["model"] == MERGE]
    controls = [control for control in (suite.untrained, UNIGRAM) if control]
    parents = frame[frame["model"].isin(recipe.models)]
    reference = frame["language"].map({code: suite.reference(code) for code in set(frame["language"])})
    found = {
        "merge": merged.assign(above=table.above(merged, controls)),
        "reference": frame[frame["model"] == reference],
        "best parent": parents.loc[parents.groupby("language", sort=False)["accuracy"].idxmax()],
        "untrained": frame[frame["model"] == suite.untrained],
        "unigram": frame[frame["model"] == UNIGRAM],
    }
    return pd.concat([rows.assign(role=role) for role, rows in found.items()], ignore_index=True)


def accuracy_sentence(view: pd.DataFrame) -> str:
    """What the figure shows, in one sentence: means over languages, and where the merge is above the controls.

    What lacks one of the languages has no mean.
    """
    means = view.pivot(index="role", columns="language", values="accuracy").mean(axis=1, skipna=False).dropna()
    merged = view[view["role"] == "merge"].set_index("language")
    above = [str(code) for code in merged.index[merged["above"].astype(bool)]]
    parts = [
        f"{role} {_percent(means[role])}"
        for role in ("reference", "best parent", "untrained", "unigram")
        if role in means
    ]
    where = f"in {', '.join(map(language_name, above))}" if above else "in no language"
    if 1 < len(above) == len(merged):
        where = "in every language"
    return (
        f"**The merge is right on {_percent(means['merge'])} of the pairs** (mean of {len(merged)} "
        f"language{'s' if len(merged) > 1 else ''}; chance 50 %, {', '.join(parts)}). With all of its interval it is "
        f"above chance and the controls {where}."
    )


def task_view(frame: pd.DataFrame, recipe: Recipe, suite: Suite) -> pd.DataFrame:
    """The rows of one metric of `harness.tasks_steps` with a column `role`: merge, parent, untrained, other."""
    roles = dict.fromkeys(recipe.models, "parent") | {MERGE: "merge", suite.untrained: "untrained"}
    return frame.assign(role=frame["model"].map(lambda name: roles.get(name, "other")))


def task_sentence(view: pd.DataFrame) -> str:
    """What the figure shows, in one sentence: means over the tasks that all of the models have."""
    view = view[view.groupby("task")["model"].transform("nunique") == view["model"].nunique()]
    if view.empty:
        return "There is no task that was run on all of these models."
    better = view["higher_is_better"].iloc[0]
    means = view.groupby(["role", "model"], sort=False)["value"].mean()
    count = view["task"].nunique()
    beside = [
        f"{name} {found.min() if better is False else found.max():.3f}"
        for role, name in (("parent", "best parent"), ("other", "best other"), ("untrained", "untrained"))
        if role in means and len(found := means[role])
    ]
    merged = f"**The merge has {means['merge'].iloc[0]:.3f}**" if "merge" in means else "The merge is not among these"
    which = f"{view['metric'].iloc[0]}, mean of {count} task{'s' if count > 1 else ''}"
    return f"{merged} ({'; '.join([which, *([', '.join(beside)] if beside else [])])})."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
