"""What commands share: their options, how they print, and how they open what was named."""

import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from interference.errors import UserError, user_path

_SEVERAL = "Several: with commas, or repeated."


def apart(values: list[str] | None) -> list[str] | None:
    """Names one by one, whether they were given in repeated options, with commas between them, or both.

    A folder that is there is one name, whatever its path holds. Raises UserError for a value that names nothing.
    """
    found = []
    for value in values or ():
        whole = "," not in value or user_path(value).exists()
        names = [value] if whole else [name for part in value.split(",") if (name := part.strip())]
        if not "".join(names).strip():
            raise UserError(f"'{value}' names nothing. Give a name, or several with commas between them.")
        found += names
    return found or values


def several(flag: str, help: str) -> Any:
    """An option that takes names, see `apart`."""
    return typer.Option(flag, help=f"{help} {_SEVERAL}", callback=apart)


def several_named(help: str) -> Any:
    """An argument that takes names, with spaces or commas between them."""
    return typer.Argument(help=help, callback=apart)


Format = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="How to print the table.")]
SuiteOption = Annotated[
    Path | None, typer.Option("--suite", help="suite.yaml or folder of checkpoints; the built-in suite unless given.")
]
CorpusOption = Annotated[
    Path | None,
    typer.Option(
        "--corpus", help="Parallel text instead of the suite's own: TSV, JSONL, parquet, a folder or a .yaml."
    ),
]

DeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda or cuda:N; CUDA where there is one unless given.")
]
LanguagesOption = Annotated[list[str] | None, several("--language", "A language of the corpus. All unless given.")]
CheckpointsOption = Annotated[list[str] | None, several("--checkpoint", "A checkpoint's name or folder.")]
ScoredOption = Annotated[
    list[str] | None,
    several("--checkpoint", "A checkpoint's name or folder, or `unigram`, `bigram`: controls that count tokens."),
]
RecipesOption = Annotated[
    list[Path] | None, typer.Option("--recipe", help="A recipe in mergekit's YAML; may be repeated.")
]
UnitOption = Annotated[str, typer.Option(help="bits per sentence, bits per byte or bits per English byte.")]
SentencesOption = Annotated[
    int | None, typer.Option("--sentences", help="A fixed subset of so many, about equally many of each document.")
]


def print_table(frame: Any, form: str) -> None:
    """One table on standard output: nothing else ever goes there."""
    if form == "json":
        rows = frame.itertuples(index=False, name=None)
        records = [dict(zip(frame.columns, map(_plain, row), strict=True)) for row in rows]
        print(json.dumps(records, indent=1, ensure_ascii=False))
    elif form == "csv":
        print(frame.to_csv(index=False), end="")
    else:
        empty = {name: "" for name in frame.columns if frame[name].dtype == object}  # pandas would print None there
        print(frame.fillna(empty).to_string(index=False, na_rep="", float_format=lambda x: f"{x:.3f}"))


def _plain(value: Any) -> Any:
    """A cell as JSON has it, numbers in full; null for what is missing or infinite."""
    import numpy as np
    import pandas as pd

    if isinstance(value, np.generic):
        value = value.item()
    return None if pd.isna(value) or value in (math.inf, -math.inf) else value


def with_bar(title: str, steps: Any) -> Any:
    """What steps result in, their progress on standard error meanwhile."""
    from interference.progress import progress_bar
    from interference.steps import finish

    with progress_bar(title) as bar:
        return finish(steps, bar)


def note(*lines: str) -> None:
    """Lines on standard error; where that can't be written, the result is worth no less."""
    try:
        for line in lines:
            print(line, file=sys.stderr)
    except OSError:
        drop(2)


def drop(number: int) -> None:
    """Send the rest of a standard stream nowhere, or Python would try to write it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def suite_for(suite: Path | None, corpus: Path | None, names: Sequence[str]) -> Any:
    """The suite asked for with the folders that were named; folders alone make a suite of their own.

    Those are measured on the built-in suite's text unless other text is given. A name of the built-in suite is never
    taken for a folder of the same name; `./NAME` is one.
    """
    from interference.hub import local_folder
    from interference.progress import spinner
    from interference.suite import built_in, open_suite, suite_of_paths, with_paths

    with spinner("opening"):
        if suite is None and names and all(local_folder(name) for name in names):
            built = open_suite() if (built_in() / "suite.yaml").is_file() else None
            if built is None or not set(names) & set(built.names):
                return suite_of_paths(names, corpus, built.corpus if built else None)
        return with_paths(open_suite(suite, corpus), names)


def recipe_of(path: Path, suite: Path | None) -> Any:
    """The recipe of a file. A bare name that the suite lacks is a folder beside the file, if there is one."""
    from interference.recipe import read_recipe
    from interference.suite import open_suite

    path = user_path(path)
    recipe = read_recipe(path)
    folders = {
        n: str((path.parent / n).resolve()) for n in recipe.needed if "/" not in n and (path.parent / n).is_dir()
    }
    if not folders:
        return recipe
    known = open_suite(suite).names
    places = {n: folder for n, folder in folders.items() if n not in known}
    return recipe.renamed(lambda model: places.get(model, model))


def by_name(recipe: Any, suite: Any) -> Any:
    """The recipe with the suite's names in place of their folders, so that one merge is written in one way only."""
    from interference.hub import local_folder

    known = {c.path: c.name for c in reversed(suite.checkpoints)}
    places = {c.name: c.path for c in suite.checkpoints}

    def name(model: str) -> str:
        bare = Path(model).name == model
        return model if bare else known.get(places.get(model) or local_folder(model), model)

    return recipe.renamed(name)


def evaluator_for(
    suite: Path | None,
    corpus: Path | None,
    device: str | None,
    names: Sequence[str] = (),
    recipes: Sequence[Path] = (),
) -> tuple[Any, list[Any]]:
    """What measures the suite with the folders that were named, and the recipes of files in the suite's names."""
    from interference.evaluate import Evaluator
    from interference.results import store_of
    from interference.weights import pick_device

    target = pick_device(device)
    read = [recipe_of(path, suite) for path in recipes]
    opened = suite_for(suite, corpus, [*names, *(name for one in read for name in one.needed)])
    return Evaluator(opened, store_of(opened), target), [by_name(one, opened) for one in read]
