"""The command about hidden states: how alike models are in what they make of the same sentences."""

from pathlib import Path
from typing import Annotated

import typer

from interference.commands import (
    CorpusOption,
    DeviceOption,
    Format,
    SuiteOption,
    evaluator_for,
    note,
    print_table,
)


def similarity(
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    measure: Annotated[
        list[str] | None, typer.Option("--measure", help="debiased_cka unless given; an unknown one lists them.")
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option("--checkpoint", help="A name of the suite or a folder; may be repeated. All monos unless given."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", help="A merge, compared with the checkpoints named, its parents unless given."),
    ] = None,
    layer: Annotated[
        list[int] | None, typer.Option("--layer", help="0 is the embeddings; may be repeated. All unless given.")
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", help="What is read in the conditions pivot and languages; may be repeated."),
    ] = None,
    condition: Annotated[
        str,
        typer.Option(
            help="own: each model reads its own language; pivot: all read one; numerals: all read 0 to 1000; "
            "languages: each model by itself, its languages with each other."
        ),
    ] = "own",
    across: Annotated[bool, typer.Option("--across", help="Every layer with every layer.")] = False,
    sentences: Annotated[
        int, typer.Option("--sentences", help="A fixed subset of so many, spread over all documents.")
    ] = 150,
    pooling: Annotated[str, typer.Option(help="mean, weighted (by position) or last (token).")] = "mean",
    raw: Annotated[bool, typer.Option("--raw", help="States as they are, not z-scored.")] = False,
    uncentred: Annotated[
        bool, typer.Option("--uncentred", help="With --raw: do not take each language's mean out.")
    ] = False,
    without_length: Annotated[
        bool, typer.Option("--without-length", help="Regress the logarithm of the number of tokens out.")
    ] = False,
    without_massive: Annotated[
        bool, typer.Option("--without-massive", help="Set dimensions to zero that are far larger than the median one.")
    ] = False,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """How alike models are in the hidden states of the same sentences, with chance level and interval."""
    from interference.errors import UserError
    from interference.progress import progress_bar
    from interference.scored import Model
    from interference.similarities import SimilarityRequest, similarity_steps
    from interference.similarity import DEFAULT
    from interference.similarity.table import Preparation
    from interference.steps import finish

    if uncentred and not raw:
        raise UserError("z-scored states are centred. Give --raw with --uncentred.")
    evaluator, recipes = evaluator_for(suite, corpus, device, checkpoint or [], [recipe] if recipe else [])
    opened, merge = evaluator.suite, recipes[0] if recipes else None
    monos = tuple(c.name for c in opened.with_role("mono")) or opened.names
    names = tuple(dict.fromkeys(checkpoint or (merge.models if merge else monos)))
    models: tuple[tuple[str, Model], ...] = tuple((name, name) for name in names)
    against: tuple[str, ...] = ()
    if merge and recipe:
        if recipe.stem in names:
            raise UserError(f"The recipe {recipe} has the name of a checkpoint; rename the file.")
        models, against = ((recipe.stem, merge), *models), (recipe.stem,)
    asked = SimilarityRequest(
        models,
        tuple(measure or (DEFAULT,)),
        condition,
        tuple(dict.fromkeys(language or ())),
        tuple(layer or ()),
        across,
        against if condition != "languages" else (),
        sentences,
        pooling,
        Preparation(not raw, not uncentred, without_length, without_massive),
    )
    with progress_bar("similarity") as bar:
        table = finish(similarity_steps(evaluator, asked), bar)
    print_table(table.frame, form)
    note(*table.notes, *(f"Warning: {line}" for line in table.warnings()))
