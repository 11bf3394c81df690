"""What views show, measured: the same numbers for the pages, reports and presentations."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from interference.bench import View
from interference.errors import UserError, nearest
from interference.evaluate import Evaluator
from interference.recipe import Recipe
from interference.scored import Request
from interference.steps import Steps, finish
from interference.suite import Suite
from interference.tables import LossTable, known_units
from interference.views import merge_request, merge_view


@dataclass(frozen=True)
class Shown:
    """The rows of a view's figure, the table they are from, and name and digest of every checkpoint in it."""

    frame: pd.DataFrame
    table: LossTable
    sentences: int
    checkpoints: tuple[tuple[str, str], ...]


Outcome = Shown | str | None  # of a block: its numbers, or why there are none, or it has no view
Opener = Callable[[str, str], Evaluator]  # suite and corpus as a view names them


def request_in(view: View, suite: Suite) -> Request:
    """What has to be measured for a view. Raises UserError where this suite and its corpus lack what it names."""
    corpus = suite.corpus
    assert corpus is not None  # an evaluator refuses suites without one
    for names, known, what in (
        (view.languages, corpus.languages, "language"),
        ((view.unit,), known_units(corpus), "unit"),
    ):
        for name in names:
            if name not in known:
                name = name[:40]
                raise UserError(f"The corpus {corpus.name} has no {what} '{name}': {nearest(name, known)}")
    languages = tuple(dict.fromkeys(view.languages)) or corpus.languages
    for name in view.recipe.needed:
        suite[name]  # raises
    return merge_request(view.recipe, suite, languages, view.sentences, view.controls)


def show_steps(view: View, evaluator: Evaluator) -> Steps[Shown]:
    """Measure a view one batch at a time."""
    request = request_in(view, evaluator.suite)
    table = yield from evaluator.table_steps(request)
    rows, suite = evaluator.corpus.rows(view.sentences), evaluator.suite
    frame = merge_view(table.in_unit(view.unit), view.recipe, suite, rows)
    return Shown(frame, table, len(rows), _digests(suite, request))


def _digests(suite: Suite, request: Request) -> tuple[tuple[str, str], ...]:
    merged = [name for _, model in request.models if isinstance(model, Recipe) for name in model.needed]
    names = dict.fromkeys([*merged, *(name for name, model in request.models if model == name)])
    return tuple((name, suite[name].digest) for name in names if name in suite.names)


def show_all(
    views: Iterable[View | None], open_evaluator: Opener, progress: Callable[[float], None] = lambda share: None
) -> tuple[Outcome, ...]:
    """Every view measured on the suite that it names; one that can't be is its error message, and the rest goes on."""
    asked, outcomes = tuple(views), list[Outcome]()
    for number, view in enumerate(asked):

        def tell(share: float, done: int = number) -> None:
            progress((done + share) / len(asked))

        try:
            steps = view and show_steps(view, open_evaluator(view.suite, view.corpus))
            outcomes.append(finish(steps, tell) if steps else None)
        except UserError as error:
            outcomes.append(str(error))
    return tuple(outcomes)
