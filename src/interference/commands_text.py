"""Commands about single texts: what models write, and what single sentences cost."""

from pathlib import Path
from typing import Annotated, Any

import typer

from interference.commands import (
    CheckpointsOption,
    CorpusOption,
    DeviceOption,
    Format,
    RecipesOption,
    SentencesOption,
    SuiteOption,
    evaluator_for,
    note,
    print_table,
    several,
    with_bar,
)
from interference.errors import UserError


def say(
    language: Annotated[str, typer.Option(help="A language of the corpus.")],
    prompt: Annotated[
        str | None, typer.Option(help="What to continue; unless given, how the first test sentence begins.")
    ] = None,
    checkpoint: CheckpointsOption = None,
    recipe: RecipesOption = None,
    length: Annotated[int, typer.Option(help="Tokens at most.")] = 40,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token every time.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest tokens of so much probability.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed draws the same text.")] = 0,
    tokens: Annotated[bool, typer.Option("--tokens", help="A row for each token, with its probability.")] = False,
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Continue a text with checkpoints and merges; unless named the language's reference, the equal merge and mixed."""
    from interference.generate import Question, Sampling, answer_steps, default_models, default_prompt, equal_merge

    sampling = Sampling(length, temperature, top_p, seed)
    evaluator, recipes = evaluator_for(suite, corpus, device, checkpoint or [], recipe or [])
    evaluator.check_languages([language])
    named = tuple((name, name) for name in checkpoint or []) + tuple(
        (path.stem, one) for path, one in zip(recipe or [], recipes, strict=True)
    )
    models = named or default_models(evaluator.suite, language, equal_merge(evaluator.suite))
    text = default_prompt(evaluator.corpus, language) if prompt is None else prompt
    answers = with_bar("writing", answer_steps(evaluator, Question(models, text, sampling)))
    print_table(answers.tokens() if tokens else answers.summary(), form)
    note(answers.sentence())


def sentences(
    language: Annotated[list[str], several("--language", "A language of the corpus.")],
    checkpoint: Annotated[str | None, typer.Option("--checkpoint", help="A checkpoint's name or folder.")] = None,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="A recipe in mergekit's YAML.")] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="A checkpoint to count costs from; the reference unless given.")
    ] = None,
    number: SentencesOption = None,
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """List sentences with what a checkpoint or a merge costs on each against the reference, the worst first."""
    from interference.sentences import sentence_steps

    if (recipe is None) == (checkpoint is None):
        raise UserError("Give either --recipe or --checkpoint: one model whose sentences are compared.")
    names = [name for name in (checkpoint, against) if name]
    evaluator, recipes = evaluator_for(suite, corpus, device, names, [recipe] if recipe else [])
    model: Any = recipes[0] if recipes else checkpoint
    table = with_bar("scoring", sentence_steps(evaluator, model, list(dict.fromkeys(language)), number, against))
    print_table(table.frame, form)
    note(table.sentence(), table.note)
