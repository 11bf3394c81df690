"""The commands about the Hugging Face Hub: what there is, what it needs, and getting it."""

from pathlib import Path
from typing import Annotated

import typer

from interference.commands import Format, note, print_table, several, several_named, with_bar
from interference.errors import UserError, user_path

hub = typer.Typer(help="Models of the Hugging Face Hub. Nothing is downloaded but by `fetch`.", no_args_is_help=True)
Ids = Annotated[list[str], several_named("org/name or org/name@revision; every training step may be a revision.")]
Name = Annotated[str, typer.Argument(help="A suite of the catalogue, as `interference hub catalogue` lists them.")]


@hub.command()
def catalogue(
    name: Annotated[str | None, typer.Argument(help="One suite of it, with its ids.")] = None,
    listed: Annotated[bool, typer.Option("--listed", help="Ask the Hub which ids there are now.")] = False,
    form: Format = "table",
) -> None:
    """List known suites of separately pre-trained models, or the ids of one."""
    from interference.catalogue import FAMILIES, family, members
    from interference.views_hub import catalogue_table, members_table

    if name is None and listed:
        raise UserError("--listed asks the Hub for the ids of one suite. Name it.")
    if name is None:
        print_table(catalogue_table(), form)
        note(*(f"{key}: {found.note} ({found.source})" for key, found in FAMILIES.items()))
        return
    found = family(name)
    print_table(members_table(found, members(found, listed)), form)
    note(found.note, "" if listed else "Ids whose existence is documented; --listed asks the Hub for all.")


@hub.command()
def revisions(repository: Annotated[str, typer.Argument(help="org/name")]) -> None:
    """List the branches and tags of a repository."""
    from interference.hub import hub_id
    from interference.hub.listing import revisions

    print(*revisions(hub_id(repository)), sep="\n")


@hub.command("plan")
def plan_models(ids: Ids, form: Format = "table") -> None:
    """Say what models need of disk and memory, whether they share a tokenizer, and why some can't be merged."""
    from interference.hub import hub_id
    from interference.hub.fetch import check_disk
    from interference.hub.plan import plan, room
    from interference.progress import spinner

    with spinner("asking the Hub"):
        made = plan([hub_id(text) for text in ids])
    print_table(made.frame(), form)
    note(*made.notes(), room())
    if not made.usable:
        raise UserError("None of these can be loaded; the last column of the table says why.")
    check_disk(made.listings)


@hub.command()
def fetch(ids: Ids) -> None:
    """Download models, going on from where an earlier download broke off; prints their folders."""
    from interference.hub import hub_id
    from interference.hub.fetch import changed, fetch_steps
    from interference.hub.plan import plan_to_fetch, room
    from interference.progress import spinner

    with spinner("asking the Hub"):
        made = plan_to_fetch([hub_id(text) for text in ids])
    note(made.needs(), room())
    for found in made.listings:
        again = "fetched and converted" if found.converts else "fetched"
        note(*(f"{file} was damaged or changed since; it is {again} anew." for file in changed(found)))
    print(*with_bar("fetching", fetch_steps(made.listings, _said)), sep="\n")


def _said(text: str) -> None:
    if text:
        note(text)


@hub.command()
def compose(
    name: Name,
    language: Annotated[list[str], several("--language", "ISO 639-3 code.")],
    out: Annotated[Path, typer.Option("--out", help="The suite.yaml to write; it must not exist.")],
    revision: Annotated[str, typer.Option("--revision", help="A branch or tag, the same for all.")] = "main",
    also: Annotated[
        list[str] | None,
        several("--also", "A further id, of the role that the catalogue gives it."),
    ] = None,
    corpus: Annotated[str | None, typer.Option("--corpus", help="Parallel text, as the file is to name it.")] = None,
    listed: Annotated[bool, typer.Option("--listed", help="Ask the Hub for the ids there are now.")] = False,
) -> None:
    """Write a suite.yaml of a catalogued suite's models in some languages; nothing is downloaded."""
    from interference.catalogue import compose, family, known_of, members, suite_document
    from interference.hub import HubId, fetched, hub_id
    from interference.suite import write_suite

    found = family(name)
    models: list[tuple[HubId, str | None, str]] = [
        (which, code, found.role) for which, code in compose(found, language, members(found, listed), revision)
    ]
    others = [hub_id(text) for text in also or []]
    models += [(which, *known_of(which.repo)) for which in others]
    write_suite(suite_document(name, models, corpus), user_path(out))
    missing = [str(which) for which, *_ in models if fetched(which) is None]
    note(f"wrote {out}", *([f"still to be fetched: interference hub fetch {' '.join(missing)}"] if missing else []))


@hub.command()
def corpus(
    repository: Annotated[str, typer.Argument(help="A data set: org/name or org/name@revision.")],
    language: Annotated[
        list[str], several("--language", "CODE or CODE=NAME of its file, folder or column, eng=eng_Latn.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The corpus.yaml to write; it must not exist.")],
    inside: Annotated[
        str, typer.Option(help="The folder of the data set, for example devtest, or its one table.")
    ] = "",
    text: Annotated[str, typer.Option(help="The column of sentences in one language's file.")] = "text",
    document: Annotated[str, typer.Option(help="The column that tells documents apart.")] = "document",
) -> None:
    """Download the text of some languages of a data set, and describe it as a corpus that `--corpus` takes."""
    from interference.corpus import read_corpus
    from interference.hub import hub_id
    from interference.hub.corpora import description, narrowed
    from interference.hub.fetch import fetch_steps
    from interference.hub.listing import listing
    from interference.suite import check_new, write_suite

    names = {pair.split("=", 1)[0]: pair.split("=", 1)[-1] for pair in language}
    file = user_path(out)
    check_new(file)
    found = narrowed(listing(hub_id(repository, kind="dataset")), inside, names)
    with_bar("fetching", fetch_steps([found], _said))
    write_suite(description(found, inside, names, text, document), file)
    try:
        read = read_corpus(file)
    except UserError:
        file.unlink()
        raise
    note(f"wrote {out}: {len(read.documents)} sentences in {', '.join(read.languages)}")
