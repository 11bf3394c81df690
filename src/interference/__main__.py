"""The command line: the same functions and tables as the pages."""

import os
import signal
import sys
import threading
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interference import (
    commands_accuracy,
    commands_causal,
    commands_compare,
    commands_conflict,
    commands_findings,
    commands_hub,
    commands_learn,
    commands_path,
    commands_predict,
    commands_similarity,
    commands_text,
    commands_trajectory,
)
from interference.commands import (
    CorpusOption,
    DeviceOption,
    Format,
    LanguagesOption,
    RecipesOption,
    ScoredOption,
    SentencesOption,
    SuiteOption,
    by_name,
    drop,
    evaluator_for,
    note,
    print_table,
    recipe_of,
    several,
    suite_for,
    with_bar,
)
from interference.errors import UserError, check_known, user_path
from interference.store import no_room

if TYPE_CHECKING:
    from collections.abc import Iterator

_HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)  # which Windows lacks
app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
demo = typer.Typer(help="The built-in suite: ten languages, tiny models, and how they are made.", no_args_is_help=True)
app.add_typer(demo, name="demo")
app.add_typer(commands_hub.hub, name="hub")


@app.command("app")
def run_app(
    suite: SuiteOption = None,
    corpus: CorpusOption = None,
    device: DeviceOption = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8501,
) -> None:
    """Open the dashboard in the browser."""
    for path in (suite, corpus):
        if path is not None and not user_path(path).exists():
            raise UserError(f"{path} does not exist.")
    from interference.store import default_folder

    settings = {
        "SUITE": suite and user_path(suite).resolve(),
        "CORPUS": corpus and user_path(corpus).resolve(),
        "CACHE": default_folder().resolve(),
        "DEVICE": device,
        "FOLDER": Path.cwd(),
    }
    os.environ |= {f"INTERFERENCE_{name}": str(value) for name, value in settings.items() if value}
    packaged, checkout = Path(__file__).parent / "app", Path(__file__).parents[2]
    folder = packaged if (packaged / "app.py").is_file() else checkout
    os.chdir(folder)  # streamlit takes its settings from the folder it starts in
    headless = "false" if sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform == "darwin") else "true"
    share_cores()
    threading.Thread(target=_preload, daemon=True).start()
    from interference import ui

    if signal.getsignal(_HANGUP) is not signal.SIG_IGN:  # Streamlit's server ends in order at SIGTERM alone
        signal.signal(_HANGUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))
    options = [f"--server.port={port}", f"--server.headless={headless}"]
    sys.exit(ui.serve(options))


def share_cores() -> None:
    """Settings that torch's threads read when it is first imported: they share the cores with pages and a browser."""
    # Threads that spin while they wait for work stall each other tenfold there.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # One core is the page's: a thread that waits for its turn there holds all others up. Batches of text wait for each
    # other less often and are scored on all cores.
    cores = os.cpu_count() or 1
    os.environ.setdefault("INTERFERENCE_THREADS", os.environ.get("OMP_NUM_THREADS", str(cores)))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores - 1)))


def _preload() -> None:
    """Start on the slow imports while the server and the browser start."""
    import interference.evaluate  # noqa: F401


@app.command()
def suite(
    path: Annotated[Path | None, typer.Argument(help="The suite; the built-in one unless given.")] = None,
    form: Format = "table",
) -> None:
    """List a suite's checkpoints and what of them can be merged."""
    from interference.progress import spinner

    with spinner("opening"):
        from interference.suite import open_suite
        from interference.views import suite_table

        opened = open_suite(path)
        table = suite_table(opened)
    print_table(table, form)
    if opened.corpus:
        halves = opened.corpus.halves
        note(
            f"corpus {opened.corpus.name}: {len(halves['test'])} test and {len(halves['dev'])} dev sentences in "
            f"{', '.join(opened.corpus.languages)}"
        )


@app.command()
def losses(
    suite: SuiteOption = None,
    checkpoint: ScoredOption = None,
    recipe: RecipesOption = None,
    ensemble: Annotated[
        list[str] | None,
        several(
            "--ensemble",
            "What the models of each recipe say unmerged: `logits` or `probabilities`, their mean, or `best`, the best "
            "of them by language.",
        ),
    ] = None,
    corpus: CorpusOption = None,
    language: LanguagesOption = None,
    sentences: SentencesOption = None,
    device: DeviceOption = None,
    form: Format = "table",
) -> None:
    """Bits of every language under checkpoints and merges, with cost and recovery."""
    from interference.ensemble import KINDS, Ensemble
    from interference.scored import Request

    check_known("Unknown ensemble", KINDS, *(ensemble or []))
    if ensemble and not recipe:
        raise UserError("--ensemble needs the models of a recipe. Give --recipe.")
    evaluator, recipes = evaluator_for(suite, corpus, device, checkpoint or [], recipe or [])
    names = list(dict.fromkeys(checkpoint or ([] if recipes else evaluator.suite.names)))
    unmerged = [Ensemble(r.models, KINDS[kind]) for kind in dict.fromkeys(ensemble or []) for r in recipes]
    # A recipe's file may be called like a checkpoint or like another recipe's: inside, it goes by its number.
    models: tuple[tuple[str, Any], ...] = (
        *((f"recipe {n}\0", r) for n, r in enumerate([*recipes, *unmerged])),
        *((name, name) for name in names),
    )
    request = Request(models, tuple(dict.fromkeys(language or evaluator.corpus.languages)), sentences)
    table = with_bar("losses", evaluator.table_steps(request))
    stems = [path.stem for path in recipe or []]
    shown = stems + [f"{stem}, {KINDS[kind]}" for kind in dict.fromkeys(ensemble or []) for stem in stems] + names
    print_table(table.frame.assign(model=[name for name in shown for _ in request.languages]), form)
    note(*table.notes, *(f"{path}: {r.label()}" for path, r in zip(recipe or [], recipes, strict=True)))


@app.command()
def merge(
    recipe: Annotated[Path, typer.Argument(help="A recipe in mergekit's YAML.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    suite: SuiteOption = None,
    device: DeviceOption = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float32, float16 or bfloat16, in place of the recipe's out_dtype.")
    ] = None,
    max_shard_size: Annotated[str, typer.Option("--max-shard-size", help="The largest weight file.")] = "5GB",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier merge that was written here, or an empty folder.")
    ] = False,
    sentences: Annotated[
        int,
        typer.Option("--sentences", min=0, help="Behind each loss in the model card; 0 leaves the losses out."),
    ] = 150,
) -> None:
    """Write a merge as a checkpoint folder that transformers loads."""
    from interference.evaluate import Evaluator
    from interference.export import Target, check_target, export_steps, write_steps
    from interference.results import store_of
    from interference.weights import pick_device

    place = pick_device(device)
    parsed = recipe_of(recipe, suite)
    opened = suite_for(suite, None, parsed.needed)
    parsed = by_name(parsed, opened)
    target = Target(user_path(out), dtype, max_shard_size, overwrite, "give --overwrite")
    check_target(target.recipe(parsed), opened, target)
    # Folders alone are no suite: the text that they would be measured on was chosen by nobody.
    known = sentences and opened.corpus is not None and opened.path is not None
    if known:
        steps = export_steps(Evaluator(opened, store_of(opened), place), parsed, target, sentences)
    else:
        steps = write_steps(parsed, opened, target, place)
    with_bar("merging", steps)
    note(f"wrote {out}: {parsed.label()}")


@app.command()
def methods(form: Format = "table") -> None:
    """List the merge methods with what they need and their parameters."""
    from interference.views import method_table

    print_table(method_table(), form)


for command in (
    commands_causal.causal, commands_conflict.conflict, commands_conflict.measures, commands_compare.compare,
    commands_accuracy.accuracy, commands_accuracy.tasks, commands_learn.learn, commands_path.path,
    commands_similarity.similarity, commands_similarity.projection, commands_similarity.neighbours,
    commands_predict.predict, commands_path.paths, commands_path.plane, commands_path.linearity,
    commands_trajectory.trajectory, commands_text.say, commands_text.sentences, commands_findings.findings,
    commands_findings.report,
):  # fmt: skip
    app.command()(command)
demo.command("pairs")(commands_accuracy.print_pairs)


@demo.command("path")
def demo_path() -> None:
    """Print the folder of the built-in suite."""
    from interference.suite import built_in

    print(built_in())


@demo.command("train")
def demo_train(
    out: Annotated[Path, typer.Option("--out", help="Where to; what is finished there is kept.")],
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time, one core each.")] = os.cpu_count() or 1,
) -> None:
    """Train the built-in suite from nothing: deterministic, and resumed where it was interrupted."""
    from interference.demo.train import runs, train_suite
    from interference.progress import progress_bar

    total = sum(run.steps for run in runs())
    with progress_bar("training") as bar:
        train_suite(user_path(out), jobs, lambda steps: bar(sum(steps.values()) / total))
    note(f"wrote {out}/suite.yaml")


@demo.command("text")
def demo_text(
    language: Annotated[str, typer.Option(help="One of the ten languages.")],
    sentences: Annotated[int, typer.Option(min=1)] = 10,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Print sentences of the training text of one language."""
    from interference.demo.forms import LANGUAGES
    from interference.demo.text import training_text

    check_known("The built-in suite has no language", LANGUAGES, language)
    for text in islice(training_text(language, seed), sentences):
        print(text)


@demo.command("entropy")
def demo_entropy(form: Format = "table") -> None:
    """Print the generator's own entropy on the held-out sentences: the perfect model's bits per sentence."""
    import pandas as pd

    from interference.demo.forms import LANGUAGES
    from interference.demo.text import held_out, held_out_mass, text_bits
    from interference.progress import progress_bar

    rows = []
    with progress_bar("entropy") as bar:
        sentences = [sentence for document in held_out() for sentence in document]
        for number, lang in enumerate(LANGUAGES, start=1):
            bits = sum(text_bits(lang, s) for s in sentences) / len(sentences)
            rows.append({"language": lang, "sentences": len(sentences), "bits_per_sentence": bits,
                         "held_out_probability": held_out_mass(lang)})  # fmt: skip
            bar(number / len(LANGUAGES))
    print_table(pd.DataFrame(rows), form)


@demo.command("results")
def demo_results(
    out: Annotated[Path, typer.Option("--out", help="The file to write (.npz).")],
    suite: SuiteOption = None,
) -> None:
    """Compute the bits of a suite's checkpoints on every sentence of its corpus, as they ship with the built-in one."""
    from interference.progress import progress_bar
    from interference.results import write_results
    from interference.suite import open_suite

    with progress_bar("results") as bar:
        write_results(open_suite(suite), user_path(out), bar)


@contextmanager
def _stopped_in_order() -> "Iterator[None]":
    """Have the signals of `kill` and of a terminal that is closed unwind the work, so that it clears up after itself.

    One that is ignored, as under `nohup`, stays so. Ctrl-C does so of itself.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    taken = [s for s in {signal.SIGTERM, _HANGUP} if signal.getsignal(s) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        taken = []
    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _open_streams() -> None:
    """Have a standard stream that was closed lead nowhere, or the next file opened would take its number."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - it stays open


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a user's mistake is one message on standard error and exit code 2, and so is a full disk."""
    _open_streams()
    try:
        with _stopped_in_order():
            try:
                app(arguments)
            finally:
                sys.stdout.flush()
    except KeyboardInterrupt:  # before a command has begun, from when on typer ends it so
        sys.exit(128 + signal.SIGINT)
    except UserError as error:
        note(f"interference: {error}")
        sys.exit(2)
    except UnicodeEncodeError as error:
        note(
            f"interference: The output can't be written in {error.encoding}, which lacks "
            f"{error.object[error.start : error.end][:20]!a}. Set PYTHONIOENCODING=utf-8:surrogateescape."
        )
        sys.exit(2)
    except OSError as error:
        if not no_room(error):
            raise
        note(f"interference: The output can't be written: {error}. Free some space, or send it to another place.")
        drop(1)
        sys.exit(2)


if __name__ == "__main__":
    main()
