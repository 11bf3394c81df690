"""What a repository of the Hub holds, asked without downloading it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from interference.errors import UserError
from interference.hub.failures import hub_failures
from interference.hub.ids import HubId

TIMEOUT = 10  # seconds until a Hub that says nothing counts as out of reach
_MOST = 1000  # ids that are listed of a word
_WEIGHTS = {  # the first kind that is there is taken: safetensors, in shards or one file, are preferred to pickles
    "safetensors": re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?"),
    "pickle": re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?"),
}
_BESIDE = re.compile(
    r"config\.json|generation_config\.json|added_tokens\.json|special_tokens_map\.json|"
    r"(tokenizer|vocab|merges|spiece|sentencepiece|tokenizer_config)[\w.]*\.(json|txt|model|tiktoken)"
)


@dataclass(frozen=True)
class HubFile:
    """One file of a repository: its size in bytes and its checksum, SHA-256 of large files, git's SHA-1 of small."""

    name: str
    size: int
    sha256: str | None
    git: str | None

    @property
    def checksum(self) -> str:
        return self.sha256 or self.git or ""


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one commit."""

    which: HubId
    commit: str
    files: tuple[HubFile, ...]

    @cached_property
    def weights(self) -> tuple[HubFile, ...]:
        """The files of the weights, in one of the formats that can be read. Raises UserError where there is none."""
        if self.which.kind == "dataset":
            return ()
        for pattern in _WEIGHTS.values():
            found = tuple(file for file in self.files if pattern.fullmatch(file.name))
            if any(not file.name.endswith(".json") for file in found):
                return found
        have = ", ".join(sorted({f.name.rpartition(".")[2] for f in self.files if f.size > 1e6})) or "none that large"
        raise UserError(
            f"{self.which} has no weights that can be read: expected model.safetensors or pytorch_model.bin, whole or "
            f"in shards, beside config.json. Its large files end in: {have}. Take a revision or a repository that has "
            "them; adapters and other formats are to be converted first."
        )

    @property
    def converts(self) -> bool:
        """Whether the weights come as pickles, which are converted to safetensors once they are here."""
        return any(file.name.endswith(".bin") for file in self.weights)

    @cached_property
    def beside(self) -> tuple[HubFile, ...]:
        """Configuration and tokenizer of a model; code and whatever else lies there is left."""
        if self.which.kind == "dataset":
            return ()
        return tuple(file for file in self.files if _BESIDE.fullmatch(file.name))

    @property
    def needed(self) -> tuple[HubFile, ...]:
        """All that is downloaded, small files first; of a data set, what it was narrowed to."""
        if self.which.kind == "dataset":
            return self.files
        if "config.json" not in {file.name for file in self.files}:
            raise UserError(f"{self.which} has no config.json: it is no model that transformers loads.")
        return (*self.beside, *self.weights)

    @property
    def weight_bytes(self) -> int:
        return sum(file.size for file in self.weights)

    @property
    def tokenizer(self) -> tuple[str, ...]:
        """Checksums of the files that settle which token has which id: equal ones are one tokenizer."""
        named = {file.name: file.checksum for file in self.files}
        whole = [named[n] for n in ("tokenizer.json",) if n in named]
        parts = [named[n] for n in ("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model",
                                    "sentencepiece.bpe.model", "added_tokens.json") if n in named]  # fmt: skip
        return tuple(whole or parts)


def _api() -> Any:
    """The Hub's own client; it would wait for ever for a Hub that says nothing."""
    from huggingface_hub import HfApi, get_session

    if get_session().timeout.read is None:
        get_session().timeout = TIMEOUT
    return HfApi()


def listing(which: HubId) -> Listing:
    """The files of a model or data set at a revision. Raises UserError where it can't be asked."""
    with hub_failures(which):
        info = _api().repo_info(
            which.repo, revision=which.revision, repo_type=which.kind, files_metadata=True, timeout=TIMEOUT
        )
        files = tuple(
            HubFile(f.rfilename, int(f.size), f.lfs.sha256 if f.lfs else None, f.blob_id)
            for f in info.siblings or ()
            if f.size is not None
        )
        if not info.sha:
            raise ValueError("no commit in its answer")
        if outside := [f.name for f in files if f.name.startswith("/") or ".." in f.name.split("/")]:
            raise ValueError(f"it lists a file '{outside[0]}' outside the repository")
        return Listing(which, info.sha, files)


def revisions(which: HubId) -> tuple[str, ...]:
    """Branches and tags of a repository in their order; every training step of some suites is one."""
    with hub_failures(which.repo):
        refs = _api().list_repo_refs(which.repo, repo_type=which.kind)
        return tuple(dict.fromkeys([*sorted(ref.name for ref in refs.branches), *(ref.name for ref in refs.tags)]))


def search(author: str, words: Sequence[str]) -> tuple[str, ...]:
    """Ids of an author's models whose names hold any of the words."""

    def found() -> Iterator[str]:
        for word in words:
            for model in _api().list_models(author=author, search=word, limit=_MOST):
                yield model.id

    with hub_failures(f"{author}/*"):
        return tuple(sorted(dict.fromkeys(found())))
