"""Downloads from the Hub: gone on from where they broke off, checked against the Hub's checksums, stopped at any time.

huggingface_hub starts a file anew when a process ends in the middle of it, which at 4 GB a file costs too much.
"""

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interference.checkpoint import Checkpoint
from interference.checkpoint.reading import file_digest, json_mapping, origin
from interference.errors import UserError
from interference.hub.convert import convert_steps, converted_name
from interference.hub.failures import hub_failures
from interference.hub.ids import DONE, HubId, references
from interference.hub.listing import TIMEOUT, HubFile, Listing
from interference.memory import ran_out
from interference.steps import Steps
from interference.whole import write_whole

_TRIES = 5  # in a row without one more byte
_PART = ".part"
_SPARE = 1 << 30  # bytes left free on a disk


def to_fetch(found: Listing) -> int:
    """Bytes that are still to be downloaded."""
    if fetched_at(found):
        return 0
    folder = _folder(found)
    return sum(file.size - _have(folder, file) for file in found.needed)


def disk_need(listings: Sequence[Listing]) -> int:
    """Bytes of disk needed besides what is there: while a pickle is converted it lies there twice."""
    pickles = (f.size for each in listings if not fetched_at(each) for f in each.weights if f.name.endswith(".bin"))
    return sum(map(to_fetch, listings)) + max(pickles, default=0)


def fetched_at(found: Listing) -> Path | None:
    """The folder where this very commit is complete, every file as long as it was when it was checked."""
    folder = _folder(found)
    there = _record(folder) is not None and not _damaged(folder)
    if found.which.kind == "dataset":  # of which other files may have been fetched
        there = there and all((folder / file.name).is_file() for file in found.needed)
    return folder if there else None


def changed(found: Listing) -> tuple[Path, ...]:
    """Weights that are here and are no longer what was fetched or converted, by their checksums."""
    folder = _folder(found)
    known = origin(folder) if _record(folder) is not None else None
    files = {folder / name: checksum for name, checksum in known.sums.items()} if known else {}
    return tuple(file for file, checksum in files.items() if file.is_file() and file_digest(file) != checksum)


def check_disk(listings: Sequence[Listing]) -> None:
    """Raise UserError unless everything fits on the disk, with a gigabyte to spare."""
    need = disk_need(listings)
    root = listings[0].which.root if listings else Path()
    there = next(p for p in (root, *root.parents) if p.exists())
    free = shutil.disk_usage(there).free
    if need and need + _SPARE > free:
        raise UserError(
            f"{_names(listings)} need {need / 2**30:.1f} GiB of disk and {_SPARE / 2**30:.0f} to spare; {there} has "
            f"{free / 2**30:.1f} GiB free. Free some, set INTERFERENCE_CACHE to a larger disk, or fetch fewer models."
        )


Say = Callable[[str], object]  # is told what a download waits for


def fetch_steps(listings: Sequence[Listing], say: Say = lambda text: None) -> Steps[tuple[Path, ...]]:
    """Download what is missing, yielding the share that is here after every chunk; the folders in the same order.

    Closing the generator stops; what is there stays and is gone on from. `say` is told what is waited for, and '' once
    the wait is over. Raises UserError.
    """
    check_disk(listings)
    total = max(sum(file.size for each in listings for file in each.needed), 1)
    done, folders = total - sum(to_fetch(each) for each in listings), []
    for each in listings:
        steps = _fetch(each, say)
        while True:
            try:
                done += next(steps)
            except StopIteration as end:
                folders.append(end.value)
                break
            yield min(max(done / total, 0.0), 1.0)  # of damaged files more or less is counted than comes
    return tuple(folders)


def _fetch(found: Listing, say: Say) -> Generator[int, None, Path]:
    """One repository; yields the bytes that came with every step, less where a file has to be begun anew."""
    folder = _folder(found)
    if fetched_at(found) and not changed(found):
        _remember(found)
        return folder
    with hub_failures(found.which):
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, found.which):
            for damaged in (*_damaged(folder), *changed(found)):
                damaged.unlink(missing_ok=True)
            for file in found.beside:
                yield from _download(found, file, folder, say)
            if found.which.kind == "model":  # before gigabytes of weights come that no model here would take
                _ = Checkpoint(str(found.which), folder).meta
            for file in found.needed:
                yield from _download(found, file, folder, say)
            _check_index(found, folder)
            converted = (yield from convert_steps(str(found.which), folder)) if found.converts else {}
            _check_weights(found, folder)
            record: dict[str, Any] = {"repository": found.which.repo, "commit": found.commit, "converted": converted}
            record["files"] = {f.name: {"bytes": f.size, "checksum": f.checksum} for f in found.needed}
            kept = (folder / name for name in (*record["files"], *converted))
            record["lengths"] = {str(f.relative_to(folder)): f.stat().st_size for f in kept if f.is_file()}
            _write_json(folder / DONE, record)
            _remember(found)
    return folder


def config_steps(found: Listing) -> Generator[int, None, Path]:
    """The configuration of a model, for a plan; the folder it is in, which a download later fills."""
    folder = _folder(found)
    folder.mkdir(parents=True, exist_ok=True)
    config = next(file for file in found.needed if file.name == "config.json")
    if _length(folder / config.name) != config.size:  # else whoever fetches the model is not waited for
        with _alone(folder, found.which, wait=TIMEOUT):
            yield from _download(found, config, folder, lambda text: None)
    return folder


def _download(found: Listing, file: HubFile, folder: Path, say: Say) -> Generator[int, None, None]:
    """One file into its place: bytes that are there are kept, and all are checked at the end."""
    part = folder / (file.name + _PART)
    if _have(folder, file) == file.size and not part.exists() and file.size:
        return
    part.parent.mkdir(parents=True, exist_ok=True)
    for attempt in ("gone on from what was there", "begun anew"):
        digest = _digest(file)
        if part.exists():
            with part.open("rb") as handle:
                while chunk := handle.read(1 << 20):
                    digest.update(chunk)
        yield from _stream(found, file, part, digest, say)
        if not file.checksum or digest.hexdigest() == file.checksum:
            part.replace(folder / file.name)
            return
        size = part.stat().st_size
        part.unlink()
        if attempt == "begun anew":
            raise UserError(
                f"{found.which}: {file.name} came with another checksum than the Hub lists "
                f"({digest.hexdigest()[:12]}… for {file.checksum[:12]}…), twice, and was deleted. Something between "
                "here and the Hub changes it; try again from another network."
            )
        yield -size


def _stream(found: Listing, file: HubFile, part: Path, digest: Any, say: Say) -> Generator[int, None, None]:
    """Append to a part until it has the size that the Hub lists; a connection that breaks off is made again."""
    from huggingface_hub.errors import HTTPError

    tries = 0
    while (start := _length(part) or 0) < file.size or not part.exists():
        try:
            yield from _request(found, file, part, digest, start)
        except HTTPError as error:
            wait = _pause(error, tries)
            tries = tries + 1 if (_length(part) or 0) == start else 1
            if wait is None or tries >= _TRIES:
                raise
            say(f"{found.which}: {_reason(error)}; {file.name} is gone on with in {math.ceil(wait)} s.")
            until = time.monotonic() + wait
            while time.monotonic() < until:  # short, so that it can be stopped meanwhile
                time.sleep(0.1)
                yield 0
            say("")


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is None:
        return "the connection broke off"
    return "the Hub asks to wait (429)" if response.status_code == 429 else f"the Hub answers {response.status_code}"


def _request(found: Listing, file: HubFile, part: Path, digest: Any, start: int) -> Generator[int, None, None]:
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    which = found.which
    url = hf_hub_url(which.repo, file.name, revision=found.commit, repo_type=which.kind)
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT, follow_redirects=True) as response:
        hf_raise_for_status(response)
        if start and response.status_code != 206:
            raise UserError(
                f"{which}: {file.name} can't be gone on from, for the server sends all of it again. Delete {part} and "
                "fetch once more."
            )
        with part.open("ab") as handle:
            for chunk in response.iter_bytes():  # as it comes, so that nothing is lost where it breaks off
                if handle.tell() + len(chunk) > file.size:
                    raise UserError(
                        f"{which}: {file.name} is longer than the {file.size:,} bytes that the Hub lists. It may have "
                        "changed just now: plan and fetch again."
                    )
                handle.write(chunk)
                digest.update(chunk)
                yield len(chunk)


def _pause(error: Exception, tries: int) -> float | None:
    """Seconds to wait before the next try; None where another try is of no use."""
    response = getattr(error, "response", None)
    if response is None:  # broke off, or no connection
        return 0.5 * 2**tries
    if response.status_code == 429:
        asked = response.headers.get("Retry-After", "")
        return float(asked) if asked.isdigit() and int(asked) <= 60 else None
    return 0.5 * 2**tries if response.status_code >= 500 else None


def _check_weights(found: Listing, folder: Path) -> None:
    """Raise UserError where weights that came as the Hub lists them can't be read, or are not those of the model."""
    if found.which.kind != "model":
        return
    checkpoint = Checkpoint(str(found.which), folder)
    try:
        _ = checkpoint.shapes
    except UserError as error:
        cause = error.__context__
        if isinstance(cause, OSError) or (cause and ran_out(cause)):  # of this machine
            raise
        raise UserError(
            f"{str(error).removesuffix(' Download or copy it again.')} The files came as the Hub lists them at "
            f"{found.commit[:12]}, so it is the repository that is broken: take another revision. {folder} can be "
            "deleted."
        ) from None


def _check_index(found: Listing, folder: Path) -> None:
    """Raise UserError where an index names shards that the repository lacks."""
    for file in found.weights:
        if file.name.endswith(".index.json") and (folder / file.name).is_file():
            index = json_mapping(str(found.which), folder / file.name)
            if not isinstance(places := index.get("weight_map"), dict):
                raise UserError(
                    f"{found.which}: {file.name} does not say which weights are in which file: it has no mapping "
                    f"'weight_map' at {found.commit[:12]}. Take another revision."
                )
            named = set(places.values())
            if lacking := sorted(named - {f.name for f in found.weights}):
                raise UserError(
                    f"{found.which}: {file.name} names {lacking[0]}, and the repository lacks it at {found.commit[:12]}"
                    ". Take another revision."
                )


def _digest(file: HubFile) -> Any:
    """The checksum the Hub lists: SHA-256 of large files, git's SHA-1 of a header and the contents of small ones."""
    if file.sha256:
        return hashlib.sha256()
    return hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)


def _have(folder: Path, file: HubFile) -> int:
    """Bytes of a file that are here, whole or in part."""
    if file.name.endswith(".bin") and converted_name(folder / file.name).is_file():
        return file.size
    for path in (folder / file.name, folder / (file.name + _PART)):
        if (size := _length(path)) is not None and size <= file.size:
            return size
    return 0


def _length(file: Path) -> int | None:
    """Bytes of a file, None where there is none: asked once, for a download may rename it while a page looks."""
    try:
        return file.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _damaged(folder: Path) -> list[Path]:
    """Files that are gone or have another length since they were fetched."""
    files = {folder / name: length for name, length in (_record(folder) or {}).get("lengths", {}).items()}
    return [file for file, length in files.items() if _length(file) != length]


def _record(folder: Path) -> dict[str, Any] | None:
    """What was written of a folder when it was complete; None where it was not, or where that can't be read."""
    try:
        record = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _folder(found: Listing) -> Path:
    return found.which.root / found.commit


def _remember(found: Listing) -> None:
    known = references(found.which)
    if known.get(found.which.revision) != found.commit:
        _write_json(found.which.root / "revisions.json", known | {found.which.revision: found.commit})


def _write_json(file: Path, document: dict) -> None:
    write_whole(file, json.dumps(document, indent=1))


@contextmanager
def _alone(folder: Path, which: HubId, wait: float = 0.2) -> Iterator[None]:
    """One download of a folder at a time, on this machine: two would append to the same part."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / ".lock", timeout=wait):
            yield
    except Timeout:
        raise UserError(f"{which} is being fetched by another process. Wait for it, or stop that one.") from None


def _names(listings: Sequence[Listing]) -> str:
    names = [str(each.which) for each in listings]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
