"""The command about which component of a merge does the damage."""

from pathlib import Path
from typing import Annotated

import typer

from interference.commands import (
    CorpusOption,
    DeviceOption,
    Format,
    SuiteOption,
    by_name,
    note,
    print_table,
    recipe_of,
    store_of,
    suite_for,
)
from interference.errors import UserError, nearest


def causal(
    language: Annotated[str, typer.Option("--language", help="The language of the corpus whose loss is measured.")],
    models: Annotated[
        list[str] | None, typer.Argument(help="The checkpoints whose mean is the merge; or give --recipe.")
    ] = None,
    suite: SuiteOption = None,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="The merge, in mergekit's YAML.")] = None,
    parent: Annotated[
        str | None,
        typer.Option("--parent", help="The checkpoint it is held against; the language's reference unless given."),
    ] = None,
    control: Annotated[
        bool, typer.Option(help="The same with the untrained model's components, where the suite has one.")
    ] = True,
    unit: Annotated[str, typer.Option(help="bits per sentence, bits per byte or bits per English byte.")] = (
        "bits per sentence"
    ),
    sentences: Annotated[
        int | None, typer.Option("--sentences", help="A fixed subset of so many, spread over all documents.")
    ] = None,
    corpus: CorpusOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Which component of a merge does the damage: each put into the parent alone, and back into the merge alone."""
    from interference.causal import Trial, causal_steps, default_parent
    from interference.conflict.survey import equal_average
    from interference.evaluate import Evaluator
    from interference.progress import progress_bar
    from interference.steps import finish
    from interference.tables import known_units
    from interference.weights import pick_device

    if bool(models) == bool(recipe):
        raise UserError("Name the checkpoints whose mean is looked at, or give --recipe: one of the two.")
    target = pick_device(device)
    parsed = recipe_of(recipe, suite) if recipe else None
    named = [*(parsed.needed if parsed else models or []), *([parent] if parent else [])]
    opened = suite_for(suite, corpus, named)
    evaluator = Evaluator(opened, store_of(opened), target)
    if unit not in (known := known_units(evaluator.corpus)):
        raise UserError(f"This corpus has no unit '{unit}': {nearest(unit, known)}")
    chosen = by_name(parsed, opened) if parsed else equal_average(tuple(models or ()))
    trial = Trial(chosen, parent or default_parent(chosen, opened.reference(language)), language, control)
    with progress_bar("causal map") as bar:
        table = finish(causal_steps(evaluator, trial, sentences), bar)
    print_table(table.units[unit], form)
    note(*table.notes)
