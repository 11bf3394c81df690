"""The command about what lies between two checkpoints."""

from typing import Annotated

import typer

from interference.commands import (
    CorpusOption,
    DeviceOption,
    Format,
    SuiteOption,
    note,
    print_table,
    store_of,
    suite_for,
)


def path(
    first: Annotated[str, typer.Argument(help="The checkpoint to start at: a name of the suite, or a folder.")],
    second: Annotated[str, typer.Argument(help="The checkpoint to end at.")],
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", help="A language of the corpus, all unless given. May be repeated."),
    ] = None,
    points: Annotated[int, typer.Option(help="Models scored along the path, both ends included: an odd number.")] = 11,
    method: Annotated[str, typer.Option(help="linear or slerp.")] = "linear",
    unit: Annotated[str, typer.Option(help="bits per sentence, bits per byte or bits per English byte.")] = (
        "bits per sentence"
    ),
    sentences: Annotated[
        int | None, typer.Option("--sentences", help="A fixed subset of so many, spread over all documents.")
    ] = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Loss of every language along the path between two checkpoints, with excess over the better one and barrier."""
    from interference.errors import UserError, nearest
    from interference.evaluate import Evaluator
    from interference.path import Walk
    from interference.progress import progress_bar
    from interference.steps import finish
    from interference.sweep import path_steps
    from interference.tables import known_units
    from interference.weights import pick_device

    walk = Walk(first, second, points, method)
    target = pick_device(device)
    opened = suite_for(suite, corpus, [first, second])
    evaluator = Evaluator(opened, store_of(opened), target)
    if unit not in (known := known_units(evaluator.corpus)):
        raise UserError(f"This corpus has no unit '{unit}': {nearest(unit, known)}")
    languages = tuple(dict.fromkeys(language or evaluator.corpus.languages))
    with progress_bar("path") as bar:
        table = finish(path_steps(evaluator, walk, languages, sentences), bar)
    print_table(table.points[unit].merge(table.summary[unit], on="language"), form)
    note(*table.notes)
