"""The command about which component of a merge does the damage."""

from pathlib import Path
from typing import Annotated

import typer

from interference.commands import (
    CorpusOption,
    DeviceOption,
    Format,
    SentencesOption,
    SuiteOption,
    UnitOption,
    evaluator_for,
    note,
    print_table,
    several_named,
    with_bar,
)
from interference.errors import UserError


def causal(
    language: Annotated[str, typer.Option("--language", help="The language of the corpus whose loss is measured.")],
    models: Annotated[
        list[str] | None, several_named("The checkpoints whose mean is the merge; or give --recipe.")
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
    unit: UnitOption = "bits per sentence",
    sentences: SentencesOption = None,
    corpus: CorpusOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Which component of a merge does the damage: each put into the parent alone, and back into the merge alone."""
    from interference.causal import Trial, causal_steps, default_parent
    from interference.conflict.survey import equal_average

    if bool(models) == bool(recipe):
        raise UserError("Name the checkpoints whose mean is looked at, or give --recipe: one of the two.")
    named = [*(models or []), *([parent] if parent else [])]
    evaluator, recipes = evaluator_for(suite, corpus, device, named, [recipe] if recipe else [])
    evaluator.check_unit(unit)
    chosen = recipes[0] if recipes else equal_average(tuple(models or ()))
    trial = Trial(chosen, parent or default_parent(evaluator.suite, chosen, language), language, control)
    table = with_bar("causal map", causal_steps(evaluator, trial, sentences))
    print_table(table.units[unit].assign(unit=unit), form)
    note(*table.notes)
