"""Widgets for tasks of lm-evaluation-harness on the Accuracy page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from interference.errors import UserError
from interference.labels import merge_of
from interference.recipe import Recipe
from interference.steps import Steps
from interference.ui import state
from interference.ui.address import stop_page
from interference.ui.running import read_path, run_steps, stamp
from interference.ui.shown import EXPORT, draw_download, draw_table
from interference.ui.sidebar import Bench
from interference.ui.widgets import choose_listed, choose_number, choose_one, decimals, keep_valid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from interference.evaluate import Evaluator
    from interference.scored import Model

    _Found = tuple[pd.DataFrame, Mapping[str, str], tuple[str, ...]]

KINDS = ("minimal pairs", "tasks")
_MOST, _DEFAULT = 100_000, 100  # samples of each task
_ASKED, _FOUND = "_tasks_asked", "_tasks_found"


@dataclass(frozen=True)
class TaskRequest:
    """What is run on which models: `models` are names of the suite, and MERGE for the recipe; `changed` is when the
    folder of descriptions did."""

    recipe: Recipe
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    limit: int
    shots: int | None
    include: "Path | None"
    changed: tuple[int, int] | None

    def scored(self) -> "dict[str, Model]":
        from interference.views import MERGE

        return {name: self.recipe if name == MERGE else name for name in self.models}


def choose_kind() -> str:
    """Minimal pairs, or tasks of lm-evaluation-harness."""
    return choose_one(
        "Accuracy on", KINDS, key="accuracy_on",
        help="Minimal pairs of grammar, or any task of lm-evaluation-harness, which the extra `tasks` installs.",
    )  # fmt: skip


def choose_tasks(bench: Bench) -> TaskRequest:
    """The merge of the Merge page, other models beside it, and the tasks."""
    from interference.views import MERGE

    recipe = state.merge_looked_at(bench.suite)
    options = (MERGE, *bench.suite.names)
    init = [bench.suite.untrained] if bench.suite.untrained else []
    keep_valid("task_models", options)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = st.text_input(
            "Tasks", placeholder="belebele_deu_Latn, xnli_de", key="task_names", bind="query-params", width=320,
            help="Names of tasks or groups, with commas; `lm-eval ls tasks` lists them. Their data are fetched from "
            "the Hub unless they are in its cache.",
        )  # fmt: skip
        limit = choose_number(
            "Samples of each", 1, _MOST, _DEFAULT, 100, key="task_limit", width=150,
            help="The first so many of each task.",
        )  # fmt: skip
        shots = st.number_input(
            "Examples", 0, 100, None, key="task_shots", bind="query-params", width=130, placeholder="default",
            help="Examples before each sample; empty is the task's own number.",
        )  # fmt: skip
        folder = st.text_input(
            "Descriptions of your own", placeholder="folder of .yaml files", key="task_folder", bind="query-params",
            width=220, help="A folder of task descriptions in the harness's YAML, beside its own.",
        )  # fmt: skip
    models = st.multiselect(
        "Models", options, list(dict.fromkeys([MERGE, *recipe.models, *init])), key="task_models", bind="query-params",
        help=f"Where the tasks are run; `{MERGE}` is what the Merge page has.",
    )  # fmt: skip
    st.caption(f"The merge: {merge_of(recipe)}, as the Merge page has it.")
    tasks = tuple(dict.fromkeys(part.strip() for part in names.split(",") if part.strip()))
    if not tasks or not models:
        st.info(f"There is {'no model' if tasks else 'no task'} yet. Name one or more above.", icon=":material/info:")
        stop_page()
    include = read_path(folder.strip())
    if include and not include.is_dir():
        raise UserError(f"{include} is no folder. Name a folder of task descriptions (.yaml), or leave it empty.")
    where = include.resolve() if include else None
    examples = None if shots is None else int(shots)
    return TaskRequest(recipe, tuple(models), tasks, limit, examples, where, stamp(folder.strip()))


def compute_tasks(bench: Bench, asked: TaskRequest) -> "_Found | None":
    """Every metric, where it comes from and what failed, if they are known; else a button that starts the harness."""
    kept = st.session_state.get(_FOUND)
    if st.session_state.get(_ASKED) != (bench.key, asked):
        found = kept[2] if kept and kept[0] is bench.suite and kept[1] == asked else None
        if found is None or found[2]:  # what failed may be tried again
            _draw_start(bench, asked)
        return found
    cancel = st.empty()
    cancel.button("Cancel", icon=":material/close:", key="tasks_cancel", on_click=_stop, help="What is done is kept.")

    def steps(evaluator: "Evaluator") -> "Steps[_Found]":
        from interference.harness import tasks_steps

        models = asked.scored()
        frame, failed = yield from tasks_steps(evaluator, models, asked.tasks, asked.limit, asked.shots, asked.include)
        return frame, evaluator.provenance(list(models.values())) | {"limit": str(asked.limit)}, failed

    try:
        found = run_steps(bench, "tasks", steps, "Running tasks")
    except UserError:
        _stop()
        cancel.empty()
        _draw_start(bench, asked)
        raise
    cancel.empty()
    _stop()
    st.session_state[_FOUND] = (bench.suite, asked, found)
    if found[2]:
        _draw_start(bench, asked)
    return found


def _draw_start(bench: Bench, asked: TaskRequest) -> None:
    st.button(
        "Run", icon=":material/play_arrow:", type="primary", key="tasks_start",
        on_click=st.session_state.__setitem__, args=(_ASKED, (bench.key, asked)),
        help="Runs in the background, one model and task after the other; what is done is kept.",
    )  # fmt: skip


def _stop() -> None:
    st.session_state.pop(_ASKED, None)


def draw_tasks(
    bench: Bench, asked: TaskRequest, frame: "pd.DataFrame", provenance: "Mapping[str, str]", failed: tuple[str, ...]
) -> None:
    """What failed, what is seen in one sentence, a figure of one metric with its reading, every number, a download."""
    from interference.figures.accuracy import tasks_figure
    from interference.views_accuracy import task_sentence, task_view

    for message in failed:
        st.warning(message, icon=":material/warning:")
    metrics = list(dict.fromkeys(frame["metric"]))
    metric = choose_listed("Metric", metrics, key="task_metric", width=220, help="What is drawn; the table has all.")
    view = task_view(frame[frame["metric"] == metric], asked.recipe, bench.suite)
    st.markdown(task_sentence(view))
    st.plotly_chart(
        tasks_figure(view), config=EXPORT, key="tasks_figure",
        alt=f"{metric} of the merge, its parents and the untrained model on each task",
    )  # fmt: skip
    st.caption(
        "As lm-evaluation-harness computes it; the merge's bar is 1.96 of its standard errors to each side. Of each "
        f"task the first {asked.limit} samples were asked for."
    )
    draw_table(frame, "tasks_table", column_config=decimals(frame, 4))
    draw_download("Tasks, CSV", frame, provenance, "tasks", "Every metric of every model and task.")
