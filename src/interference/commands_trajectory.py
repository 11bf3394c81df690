"""The command about training trajectories."""

from typing import Annotated

import typer

from interference.commands import (
    CorpusOption,
    DeviceOption,
    Format,
    LanguagesOption,
    SentencesOption,
    SuiteOption,
    UnitOption,
    evaluator_for,
    note,
    print_table,
    with_bar,
)


def trajectory(
    first: Annotated[
        str | None, typer.Argument(help="A training run: what its checkpoints' names have in common.")
    ] = None,
    second: Annotated[str | None, typer.Argument(help="The run it is merged with, step by step.")] = None,
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    language: LanguagesOption = None,
    unit: UnitOption = "bits per sentence",
    sentences: SentencesOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Losses of two training runs and of their average, step by step: when do they stop being mergeable?"""
    from interference.trajectory import known_course, trajectory_sentence, trajectory_steps

    evaluator, _ = evaluator_for(suite, corpus, device)
    course = known_course(evaluator.suite, first, second)
    evaluator.check_unit(unit)
    languages = tuple(dict.fromkeys(language or evaluator.corpus.languages))
    table = with_bar("trajectory", trajectory_steps(evaluator, course, languages, sentences))
    print_table(table.joined(unit).assign(unit=unit), form)
    note(trajectory_sentence(table, unit).replace("**", ""), *table.notes)
