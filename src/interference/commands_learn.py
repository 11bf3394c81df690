"""The command that learns a recipe's coefficients."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from interference.commands import (
    CorpusOption,
    DeviceOption,
    Format,
    SuiteOption,
    evaluator_for,
    note,
    print_table,
    several,
)


def learn(
    recipe: Annotated[Path, typer.Argument(help="A recipe in mergekit's YAML; its coefficients are where it starts.")],
    out: Annotated[Path, typer.Option("--out", help="The recipe to write; it must not exist.")],
    scope: Annotated[
        Literal["model", "group", "layer"],
        typer.Option(help="What has coefficients of its own: models, their parts, or their layers."),
    ] = "model",
    steps: Annotated[int, typer.Option(help="Steps of Adam.")] = 50,
    rate: Annotated[float, typer.Option(help="Adam's learning rate.")] = 0.05,
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    language: Annotated[
        list[str] | None,
        several("--language", "A language of the corpus. The models' own unless given."),
    ] = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Learn a merge's coefficients by gradient descent on its loss on the dev half, and write the recipe."""
    import pandas as pd

    from interference.errors import UserError, user_path
    from interference.export import writing
    from interference.learn import EACH, Learned, learn_steps
    from interference.losses import cut_notes
    from interference.progress import progress_bar
    from interference.steps import finish
    from interference.whole import write_whole

    file = user_path(out)
    if file.exists() or not file.parent.is_dir():
        raise UserError(f"{out} can't be written: expected a new file in a folder that exists. Name another for --out.")
    evaluator, (start,) = evaluator_for(suite, corpus, device, recipes=[recipe])
    languages = tuple(dict.fromkeys(language or evaluator.dev.languages(start.models)))
    told: list[Learned] = []
    with progress_bar("learning") as bar:

        def tell(learned: Learned) -> None:
            told.append(learned)
            bar(learned.share)

        found = finish(learn_steps(evaluator, start, languages, scope, steps, rate), tell)
    with writing("The recipe", out):
        write_whole(file, found.to_yaml())
    end = told[-1]
    print_table(
        pd.DataFrame(
            [
                {"dev_bits_per_sentence": bits, "coefficients": name}
                for name, bits in (("given", end.first), ("learned", end.best))
            ]
        ),
        form,
    )
    count = len(evaluator.dev.rows(EACH))
    note(
        f"wrote {out}: bits per sentence on {count} sentences of the dev half, mean of {', '.join(languages)}; "
        "the test half was not read",
        *cut_notes(evaluator.suite[start.models[0]].positions, evaluator.dev.beyond(start.models[0], languages, EACH)),
    )
