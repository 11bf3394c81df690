"""The command about training trajectories."""

from typing import Annotated

import typer

from interference.commands import CorpusOption, DeviceOption, Format, SuiteOption, note, print_table, store_of


def trajectory(
    first: Annotated[
        str | None, typer.Argument(help="A training run: what its checkpoints' names have in common.")
    ] = None,
    second: Annotated[str | None, typer.Argument(help="The run it is merged with, step by step.")] = None,
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", help="A language of the corpus, all unless given. May be repeated."),
    ] = None,
    unit: Annotated[str, typer.Option(help="bits per sentence, bits per byte or bits per English byte.")] = (
        "bits per sentence"
    ),
    sentences: Annotated[
        int | None, typer.Option("--sentences", help="A fixed subset of so many, spread over all documents.")
    ] = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Losses of two training runs and of their average, step by step: when do they stop being mergeable?"""
    from interference.errors import UserError, nearest
    from interference.evaluate import Evaluator
    from interference.progress import progress_bar
    from interference.steps import finish
    from interference.suite import open_suite
    from interference.tables import known_units
    from interference.trajectory import known_course, trajectory_sentence, trajectory_steps
    from interference.weights import pick_device

    target = pick_device(device)
    opened = open_suite(suite, corpus)
    course = known_course(opened, first, second)
    evaluator = Evaluator(opened, store_of(opened), target)
    if unit not in (known := known_units(evaluator.corpus)):
        raise UserError(f"This corpus has no unit '{unit}': {nearest(unit, known)}")
    languages = tuple(dict.fromkeys(language or evaluator.corpus.languages))
    with progress_bar("trajectory") as bar:
        table = finish(trajectory_steps(evaluator, course, languages, sentences), bar)
    print_table(table.joined(unit), form)
    note(trajectory_sentence(table, unit).replace("**", ""), *table.notes)
