"""The command about accuracy on minimal pairs."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from interference.commands import (
    CheckpointsOption,
    CorpusOption,
    DeviceOption,
    Format,
    RecipesOption,
    ScoredOption,
    SuiteOption,
    evaluator_for,
    note,
    print_table,
    several,
    several_named,
    with_bar,
)


def accuracy(
    suite: SuiteOption = None,
    checkpoint: ScoredOption = None,
    recipe: RecipesOption = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            help="Minimal pairs (.tsv, .jsonl, .parquet) in MultiBLiMP's columns; those of the built-in grammar unless "
            "given.",
        ),
    ] = None,
    language: Annotated[
        list[str] | None,
        several("--language", "A language of the pairs, all unless given; what a file without languages is in."),
    ] = None,
    by: Annotated[str, typer.Option(help="language or phenomenon.")] = "language",
    count: Annotated[
        int | None, typer.Option("--count", help="Pairs of each phenomenon and language at most; all unless given.")
    ] = None,
    corpus: CorpusOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """How often models need fewer bits for a right sentence than for the same one with one error of grammar."""
    from interference.errors import UserError
    from interference.minimal_pairs import BY
    from interference.sweep import accuracy_steps

    if by not in BY:
        raise UserError(f"Accuracy is listed by {' or '.join(BY)}, not by '{by}'.")
    evaluator, recipes = evaluator_for(suite, corpus, device, checkpoint or [], recipe or [])
    asked = chosen_pairs(pairs, tuple(dict.fromkeys(language or ())), evaluator.corpus.languages).few(count)
    models, shown = _models(recipes, recipe or [], checkpoint or ([] if recipes else evaluator.suite.names))
    table = with_bar("accuracy", accuracy_steps(evaluator, models, asked, asked.languages))
    frame = table.by(by)
    print_table(frame.assign(model=frame["model"].map(shown)), form)
    note(*table.notes, *(f"{path}: {r.label()}" for path, r in zip(recipe or [], recipes, strict=True)))


def tasks(
    task: Annotated[list[str], several_named("Tasks of lm-evaluation-harness, as belebele_deu_Latn.")],
    recipe: RecipesOption = None,
    checkpoint: CheckpointsOption = None,
    suite: SuiteOption = None,
    limit: Annotated[int | None, typer.Option(help="Samples of each task; all unless given.")] = None,
    shots: Annotated[
        int | None, typer.Option(min=0, help="Examples before each sample; the task's own number.")
    ] = None,
    include: Annotated[Path | None, typer.Option(help="A folder of task descriptions of your own.")] = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Run tasks of lm-evaluation-harness on merges in memory; needs the extra `tasks`."""
    from interference.errors import UserError, user_path
    from interference.harness import tasks_steps

    if not recipe and not checkpoint:
        raise UserError("There is no model to run the tasks on. Give --recipe or --checkpoint.")
    folder = user_path(include) if include else None
    if folder and not folder.is_dir():
        raise UserError(f"{folder} is no folder. Give a folder of task descriptions (.yaml).")
    evaluator, recipes = evaluator_for(suite, None, device, checkpoint or [], recipe or [])
    models, shown = _models(recipes, recipe or [], checkpoint or [])
    # The harness says on standard output what it bootstraps.
    with redirect_stdout(sys.stderr):
        frame, failed = with_bar("tasks", tasks_steps(evaluator, models, task, limit, shots, folder))
    print_table(frame.assign(model=frame["model"].map(shown)), form)
    if failed:
        raise UserError("\n".join(failed))


def _models(
    recipes: Sequence[Any], files: Sequence[Path], names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The models by what they go by inside, and what each of these is shown as.

    A recipe's file may be called like a checkpoint or like another recipe's: inside, it goes by its number.
    """
    models = {f"recipe {n}\0": r for n, r in enumerate(recipes)} | {name: name for name in names}
    return models, dict(zip(models, [*(file.stem for file in files), *dict.fromkeys(names)], strict=True))


def chosen_pairs(file: Path | None, languages: tuple[str, ...], known: tuple[str, ...]) -> Any:
    """The pairs of a file, or the built-in ones, of the languages asked for: else all of the file, or of the corpus."""
    from interference.demo.forms import LANGUAGES
    from interference.errors import UserError, user_path
    from interference.languages import same_language
    from interference.minimal_pairs import PairSet, own_pairs, read_pairs

    if file is None:
        made = languages or tuple(code for code in known if same_language(code, LANGUAGES))
        if not made:
            raise UserError(
                "The built-in grammar makes no pairs in the languages of this corpus. Give a file of your own: --pairs."
            )
        return own_pairs(made)
    found = read_pairs(user_path(file), languages[0] if len(languages) == 1 else None).called(languages or known)
    return PairSet(found.name, tuple(p for code in languages for p in found.of(code))) if languages else found


def print_pairs(
    language: Annotated[str, typer.Option(help="One of the ten languages.")],
    seed: Annotated[int, typer.Option(help="Which errors and sentences are drawn.")] = 0,
    form: Format = "table",
) -> None:
    """Print minimal pairs of one language: a held-out sentence, and the same one with one error of grammar."""
    import pandas as pd

    from interference.demo.pairs import minimal_pairs

    rows = [(p.good, p.bad, p.phenomenon, p.language, p.cluster) for p in minimal_pairs(language, seed)]
    print_table(pd.DataFrame(rows, columns=["sen", "wrong_sen", "phenomenon", "language", "document"]), form)
