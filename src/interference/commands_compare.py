"""The command that compares merge methods."""

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


def compare(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Checkpoints to merge, names of the suite or folders; its monolingual ones unless given."),
    ] = None,
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    base: Annotated[
        str | None,
        typer.Option(help="What differences are taken from: a checkpoint, @mean or @zero. Methods may need one."),
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option("--methods", help="`all` or a method's name; may be repeated.")
    ] = None,
    search: Annotated[
        bool, typer.Option("--search/--no-search", help="Also each method at its best settings on the dev half.")
    ] = True,
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
    """The same checkpoints under every merge method, at its default and its best, beside what needs no merge."""
    from interference.compare import Comparison
    from interference.errors import UserError, nearest
    from interference.evaluate import Evaluator
    from interference.progress import progress_bar
    from interference.recipe import BASES
    from interference.steps import finish
    from interference.sweep import compare_steps
    from interference.tables import known_units
    from interference.weights import pick_device

    target = pick_device(device)
    folders = [base] if base and base not in BASES else []
    opened = suite_for(suite, corpus, [*(models or []), *folders])
    evaluator = Evaluator(opened, store_of(opened), target)
    if unit not in (known := known_units(evaluator.corpus)):
        raise UserError(f"This corpus has no unit '{unit}': {nearest(unit, known)}")
    names = tuple(models or (c.name for c in opened.with_role("mono")))
    languages = tuple(dict.fromkeys(language or evaluator.corpus.languages))
    chosen = () if "all" in (methods or ["all"]) else tuple(methods or ())
    asked = Comparison(names, languages, base, chosen, search, sentences)
    with progress_bar("comparing") as bar:
        table = finish(compare_steps(evaluator, asked), bar)
    print_table(table.in_unit(unit), form)
    note(*table.notes)
