"""Names of what lies on the Hub, and where it lies here once it was fetched."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from interference.errors import UserError, user_path
from interference.store import default_folder

MAIN = "main"
DONE = "fetched.json"  # written into a folder when all of it is there and checked
_REVISION = r"\w[\w./-]*"
_ID = re.compile(  # as the Hub has them: no `--` or `..`, and names that neither end with `.git` nor with `.` or `-`
    rf"(?P<repo>(?![^@]*(--|\.\.|\.git(@|$)))\w([\w.-]*\w)?/\w([\w.-]{{,94}}\w)?)(@(?P<revision>{_REVISION}))?"
)
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class HubId:
    """A repository of the Hub at one revision: a branch, a tag or a commit."""

    repo: str
    revision: str = MAIN
    kind: Literal["model", "dataset"] = "model"

    def __str__(self) -> str:
        return self.repo if self.revision == MAIN else f"{self.repo}@{self.revision}"

    @property
    def page(self) -> str:
        """What its page is called after the Hub's address."""
        return self.repo if self.kind == "model" else f"datasets/{self.repo}"

    @property
    def root(self) -> Path:
        """The folder of all that was fetched of the repository, whatever its revision."""
        return default_folder() / "hub" / f"{self.kind}s--{self.repo.replace('/', '--')}"


def hub_id(text: str, revision: str | None = None, kind: Literal["model", "dataset"] = "model") -> HubId:
    """`org/name` or `org/name@revision`. Raises UserError for what can be none, or has two revisions."""
    if revision and (not re.fullmatch(_REVISION, revision) or ".." in revision):
        raise UserError(
            f"'{revision[:200]}' can be no revision of {text}; expected a branch, a tag or a commit, for example "
            f"{MAIN} or checkpoint_0010000."
        )
    found = _ID.fullmatch(text.strip())
    if not found or ".." in text:
        raise UserError(
            f"'{text[:200]}' is no id of the Hub; expected org/name or org/name@revision, for example "
            "HPLT/hplt2c_eng_checkpoints@checkpoint_0010000."
        )
    if found["revision"] and revision and found["revision"] != revision:
        raise UserError(f"'{text}' names the revision {found['revision']}, and {revision} is asked for. Give one.")
    return HubId(found["repo"], found["revision"] or revision or MAIN, kind)


def fetched(which: HubId) -> Path | None:
    """The folder on this machine, None where it was not fetched: this project's own, else the Hub's own cache."""
    commit = which.revision if _COMMIT.fullmatch(which.revision) else references(which).get(which.revision)
    if commit and (which.root / commit / DONE).is_file():
        return which.root / commit
    from huggingface_hub import try_to_load_from_cache

    if which.kind == "dataset":
        return None
    there = try_to_load_from_cache(which.repo, "config.json", revision=which.revision)
    return Path(there).parent if isinstance(there, str) and _has_weights(Path(there).parent) else None


def _has_weights(folder: Path) -> bool:
    return any(file.is_file() and file.suffix in (".safetensors", ".bin") for file in folder.iterdir())


def references(which: HubId) -> dict[str, str]:
    """The commit that each revision stood at when it was fetched."""
    file = which.root / "revisions.json"
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file} can't be read: {error}. Delete it and fetch {which} again.") from None


def local_folder(
    text: str, revision: str | None = None, beside: Path = Path(), kind: Literal["model", "dataset"] = "model"
) -> Path | None:
    """The folder that a path or an id of the Hub means here; None where there is none.

    A folder that is there comes first. Raises UserError for an id that was not fetched yet, saying how it is.
    """
    path = user_path(beside / user_path(text))
    if revision is None and path.is_dir():
        return path.resolve()
    if not _ID.fullmatch(text) or ".." in text:
        return None
    which = hub_id(text, revision, kind)
    if folder := fetched(which):
        return folder
    if revision is None and "@" not in text and path.parent.is_dir() and path.parent != beside:
        return None  # a folder of that name would lie in one that is there: a slip, no id
    how = f"`interference hub plan {which}` says what it needs, `interference hub fetch {which}` gets it."
    if kind == "dataset":
        how = f"`interference hub corpus {which} --language ... --out corpus.yaml` gets it."
    raise UserError(
        f"{which} is neither a folder here nor fetched from the Hub, and nothing is downloaded without being asked. "
        + how
    )
