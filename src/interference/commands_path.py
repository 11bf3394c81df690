"""The commands about what lies between checkpoints."""

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
    several_named,
    with_bar,
)


def path(
    first: Annotated[str, typer.Argument(help="The checkpoint to start at: a name of the suite, or a folder.")],
    second: Annotated[str, typer.Argument(help="The checkpoint to end at.")],
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    language: LanguagesOption = None,
    points: Annotated[int, typer.Option(help="Models scored along the path, both ends included: an odd number.")] = 11,
    method: Annotated[str, typer.Option(help="linear or slerp.")] = "linear",
    unit: UnitOption = "bits per sentence",
    sentences: SentencesOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Loss of every language along the path between two checkpoints, with excess over the better one and barrier."""
    from interference.path import Walk
    from interference.sweep import path_steps

    walk = Walk(first, second, points, method)
    evaluator, _ = evaluator_for(suite, corpus, device, [first, second])
    evaluator.check_unit(unit)
    languages = tuple(dict.fromkeys(language or evaluator.corpus.languages))
    table = with_bar("path", path_steps(evaluator, walk, languages, sentences))
    print_table(table.points[unit].merge(table.summary[unit], on="language"), form)
    note(*table.notes)


def paths(
    models: Annotated[list[str], several_named("Two or more checkpoints: names of the suite, or folders.")],
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    language: LanguagesOption = None,
    points: Annotated[int, typer.Option(help="Models scored along each path, both ends included: an odd number.")] = 5,
    method: Annotated[str, typer.Option(help="linear or slerp.")] = "linear",
    unit: UnitOption = "bits per sentence",
    sentences: SentencesOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Loss of every language along the path between every two of some checkpoints."""
    import pandas as pd

    from interference.path import pairs_notes
    from interference.sweep import pairs_steps

    evaluator, _ = evaluator_for(suite, corpus, device, models)
    evaluator.check_unit(unit)
    languages = tuple(dict.fromkeys(language or evaluator.corpus.languages))
    tables = with_bar("paths", pairs_steps(evaluator, models, points, method, languages, sentences))
    print_table(pd.concat([t.points[unit].merge(t.summary[unit], on="language") for t in tables]), form)
    note(*pairs_notes(tables))


def plane(
    first: Annotated[str, typer.Argument(help="The checkpoint at the origin: a name of the suite, or a folder.")],
    second: Annotated[str, typer.Argument(help="The checkpoint to its right.")],
    third: Annotated[str, typer.Argument(help="The checkpoint above them.")],
    language: Annotated[str, typer.Option("--language", help="The language of the corpus whose loss is measured.")],
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    points: Annotated[int, typer.Option(help="Points on each side of the plane.")] = 9,
    unit: UnitOption = "bits per sentence",
    sentences: SentencesOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Loss of one language on the plane through three checkpoints."""
    from interference.errors import UserError
    from interference.plane import Plane, plane_steps

    wanted = Plane((first, second, third), language, points)
    evaluator, _ = evaluator_for(suite, corpus, device, wanted.models)
    evaluator.check_unit(unit)
    table = with_bar("plane", plane_steps(evaluator, wanted, sentences))
    if unit not in table.units:
        raise UserError(f"The tokenizer loses text of {language}, so there are no {unit}. Use bits per sentence.")
    print_table(table.units[unit].assign(unit=unit), form)
    note(*table.notes, *(f"{c.model} lies at {c.x:.3f}, {c.y:.3f}" for c in table.corners[unit].itertuples()))


def linearity(
    first: Annotated[str, typer.Argument(help="The checkpoint to start at: a name of the suite, or a folder.")],
    second: Annotated[str, typer.Argument(help="The checkpoint to end at.")],
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    language: LanguagesOption = None,
    points: Annotated[int, typer.Option(help="Models along the path, both ends included: an odd number.")] = 3,
    method: Annotated[str, typer.Option(help="linear or slerp.")] = "linear",
    sentences: Annotated[int, typer.Option("--sentences", min=1, help="Sentences of each language.")] = 24,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Whether activations mix along a path as the weights do, layer by layer, and whether their variance survives."""
    from interference.linearity import layer_steps
    from interference.path import Walk

    walk = Walk(first, second, points, method)
    evaluator, _ = evaluator_for(suite, corpus, device, [first, second])
    languages = tuple(dict.fromkeys(language or evaluator.corpus.languages))
    table = with_bar("layers", layer_steps(evaluator, walk, languages, sentences))
    print_table(table.frame, form)
    note(*table.notes)
