"""Commands about findings: what is kept, and reports."""

from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from interference.commands import DeviceOption, Format, note, print_table
from interference.errors import UserError, nearest, user_path
from interference.findings import MOST_BYTES, Findings, from_json, to_json
from interference.store import Kept, list_findings, read_findings
from interference.whole import write_whole


def findings(
    name: Annotated[str | None, typer.Argument(help="Print the findings of this name as a file to share.")] = None,
    form: Format = "table",
) -> None:
    """List the findings that are kept here, or print those of one name as JSON."""
    if name is not None:
        kept = read_findings(name)
        if kept is None:
            raise UserError(f"No findings named '{name}' are kept here: {nearest(name, _names())}")
        print(to_json(from_json(kept.document).renamed(kept.name)), end="")
        return
    import pandas as pd

    rows = [_row(kept) for kept in list_findings()]
    if form == "table" and not rows:
        note("No findings are kept here yet: the page Findings makes some.")
        return
    table = pd.DataFrame(rows, columns=["name", "blocks", "views", "changed"])
    print_table(table.astype({"blocks": "Int64", "views": "Int64"}), form)


def _names() -> list[str]:
    return [kept.name for kept in list_findings()]


def _row(kept: Kept) -> tuple[str, int | None, int | None, str]:
    from datetime import UTC, datetime

    changed = datetime.fromtimestamp(kept.changed // 10**9, UTC).isoformat()
    try:
        blocks = from_json(kept.document).blocks
    except UserError:  # of another version: it is listed, and whoever opens it is told
        return kept.name, None, None, changed
    return kept.name, len(blocks), sum(block.view is not None for block in blocks), changed


def report(
    findings: Annotated[str, typer.Argument(help="The name of findings that are kept here, or their file.")],
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.")],
    suite: Annotated[
        Path | None, typer.Option("--suite", help="Measure every view on this suite instead of the one it names.")
    ] = None,
    device: DeviceOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    date: Annotated[str | None, typer.Option("--date", help="The date it bears; today unless given.")] = None,
) -> None:
    """Write findings as one HTML file that opens anywhere, offline."""
    target = _target(out, force)
    told = _told(findings)
    if suite is not None:
        told = told.on_suite(str(suite))
    from datetime import date as day

    from interference.export import writing
    from interference.progress import progress_bar
    from interference.report import report_html
    from interference.results import open_evaluator
    from interference.shown import show_all
    from interference.weights import pick_device

    chosen = str(pick_device(device))
    opener = cache(lambda s, c: open_evaluator(s and user_path(s), c and user_path(c), chosen))
    with progress_bar("report") as bar:
        outcomes = show_all((block.view for block in told.blocks), opener, bar)
    with writing("The report", target):
        write_whole(target, report_html(told, outcomes, date or day.today().isoformat()))
    note(f"wrote {out}: {told.title}")
    note(*(f"block {n}: {message}" for n, message in enumerate(outcomes, start=1) if isinstance(message, str)))


def _target(out: Path, force: bool) -> Path:
    target = user_path(out)
    if target.is_dir() or not target.parent.is_dir():
        raise UserError(f"The report can't be written to {out}: expected a file in a folder that exists. Name another.")
    if target.exists() and not force:
        raise UserError(f"{out} exists already. Name another file for --out, or give --force to replace it.")
    return target


def _told(findings: str) -> Findings:
    """Findings by their name, else from a file. A name is never taken for a file of the same name; ./NAME is one."""
    if kept := read_findings(findings):
        return from_json(kept.document).renamed(kept.name)
    path = user_path(findings)
    if not path.is_file():
        raise UserError(
            f"No findings named '{findings}' are kept here, and there is no such file: {nearest(findings, _names())}"
        )
    try:
        with path.open("rb") as file:
            return from_json(file.read(MOST_BYTES + 1))
    except OSError as error:
        raise UserError(f"{findings} can't be read: {error.strerror}.") from None
