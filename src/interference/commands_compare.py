"""The command that compares merge methods."""

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
    several,
    several_named,
    with_bar,
)


def compare(
    models: Annotated[
        list[str] | None,
        several_named("Checkpoints to merge, names of the suite or folders; its monolingual ones unless given."),
    ] = None,
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    base: Annotated[
        str | None,
        typer.Option(help="What differences are taken from: a checkpoint, @mean or @zero. Methods may need one."),
    ] = None,
    methods: Annotated[list[str] | None, several("--methods", "`all` or a method's name.")] = None,
    search: Annotated[
        bool, typer.Option("--search/--no-search", help="Also each method at its best settings on the dev half.")
    ] = True,
    language: LanguagesOption = None,
    unit: UnitOption = "bits per sentence",
    sentences: SentencesOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """The same checkpoints under every merge method, at its default and its best, beside what needs no merge."""
    from interference.compare import Comparison, compare_sentence
    from interference.conflict.survey import default_models, default_notes
    from interference.errors import UserError
    from interference.recipe import checkpoint_of
    from interference.sweep import compare_steps

    evaluator, _ = evaluator_for(suite, corpus, device, [*(models or []), *filter(None, [checkpoint_of(base)])])
    evaluator.check_unit(unit)
    names = tuple(models or default_models(evaluator.suite))
    languages = tuple(dict.fromkeys(language or evaluator.corpus.languages))
    if "all" in (named := methods or ["all"]) and len(named) > 1:
        raise UserError("`all` is every merge method. Leave it out of --methods, or the others.")
    asked = Comparison(names, languages, base, () if named == ["all"] else tuple(named), search, sentences)
    table = with_bar("comparing", compare_steps(evaluator, asked))
    print_table(table.in_unit(unit), form)
    note(
        compare_sentence(table, unit).replace("**", ""),
        *table.notes,
        *(() if models else default_notes(evaluator.suite)),
    )
