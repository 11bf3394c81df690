"""Suites: named checkpoints with their roles, their corpus, and what of them can be merged."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from interference.checkpoint import Checkpoint
from interference.corpus import Corpus, read_corpus
from interference.errors import UserError, nearest, user_path
from interference.facts import FILE, with_facts
from interference.hub import local_folder
from interference.roles import OF_A_LANGUAGE, ROLES
from interference.strict_yaml import load_yaml
from interference.training import in_order, last_steps
from interference.whole import write_whole

_SUITE_KEYS = ("name", "corpus", "entropy", "reference", "checkpoints")
RESERVED = (  # rows of tables that are no checkpoints
    "merge", "merge, before its post-steps", "merge, rescaled", "unigram", "bigram", "perfect model",
    "mean of logits", "mean of probabilities", "best parent",
)  # fmt: skip
_CHECKPOINT_KEYS = ("name", "role", "language", "parent", "step", "path", "revision")


@dataclass(frozen=True)
class Suite:
    """A set of checkpoints and what is known of them. `references` maps a language to a checkpoint's name."""

    name: str
    path: Path | None
    checkpoints: tuple[Checkpoint, ...]
    corpus: Corpus | None = None
    references: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Checkpoint:
        for checkpoint in self.checkpoints:
            if checkpoint.name == name:
                return checkpoint
        lora = " In mergekit a + adds a LoRA, which merging by parameter name can't honour." if "+" in name else ""
        raise UserError(
            f"The suite {self.name} has no checkpoint '{name}', and there is no such folder: "
            f"{nearest(name, self.names)}{lora}"
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.checkpoints)

    @property
    def roles(self) -> dict[str, str]:
        """The role of every checkpoint by name."""
        return {c.name: c.role for c in self.checkpoints}

    def with_role(self, role: str) -> tuple[Checkpoint, ...]:
        return tuple(c for c in self.checkpoints if c.role == role)

    @cached_property
    def init(self) -> Checkpoint | None:
        """The untrained checkpoint, if there is exactly one."""
        found = self.with_role("init")
        return found[0] if len(found) == 1 else None

    @property
    def untrained(self) -> str | None:
        """The name of `init`."""
        return self.init.name if self.init else None

    def reference(self, language: str) -> str | None:
        """The checkpoint a language's costs are counted from, if the suite settles it: its own say, else the only mono.

        Of a training run that is its last checkpoint. None means the best parent of each merge; for a suite without
        roles it means that there are no costs.
        """
        if language in self.references:
            return self.references[language]
        monos = [c.name for c in self.last_with_role("mono") if c.language == language]
        return monos[0] if len(monos) == 1 else None

    @cached_property
    def last_steps(self) -> tuple[Checkpoint, ...]:
        """The checkpoints, of every training run the last alone."""
        return last_steps(self.checkpoints)

    def last_with_role(self, role: str) -> tuple[Checkpoint, ...]:
        """Those of a role, of every training run the last alone."""
        return tuple(c for c in self.last_steps if c.role == role)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages the suite speaks of: those of its checkpoints and of its references; () if of none."""
        return tuple(dict.fromkeys([*(c.language for c in self.checkpoints if c.language), *self.references]))

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Names of checkpoints that can be merged: same architecture, parameter names, shapes, heads and token ids."""
        found: dict[tuple, list[str]] = {}
        for c in self.checkpoints:
            found.setdefault(_merge_key(c), []).append(c.name)
        return tuple(tuple(names) for names in found.values())

    @cached_property
    def together(self) -> tuple[str, ...]:
        """What is merged unless told: as many monos as can be merged with each other, without two the largest group.

        Of training runs the last checkpoints, unless there are not two. () where no two checkpoints can be merged.
        """
        roles, last = self.roles, {c.name for c in self.last_steps}
        monos = [tuple(name for name in group if roles[name] == "mono") for group in self.groups]
        sets = [[tuple(name for name in one if name in last) for one in every] for every in (monos, self.groups)]
        return next((found for every in (*sets, self.groups) if len(found := max(every, key=len)) > 1), ())

    def fits(self, names: Sequence[str]) -> bool:
        """Whether all of these can be merged by parameter name."""
        return any(set(names) <= set(group) for group in self.groups)

    def mergeable(self, names: Sequence[str]) -> None:
        """Raise UserError with the reasons unless all of these can be merged by parameter name."""
        first, *others = (self[name] for name in names)
        reasons = [why for other in others if (why := difference(first, other))]
        if reasons:
            raise UserError(
                f"These checkpoints can't be merged by parameter name: {' '.join(reasons)} "
                "Merge checkpoints of one group; `interference suite` lists them."
            )


def _merge_key(c: Checkpoint) -> tuple:
    return (c.architecture, tuple(c.shapes.items()), c.heads, c.vocabulary_digest)


def difference(first: Checkpoint, other: Checkpoint) -> str:
    """Why two checkpoints can't be merged by parameter name, in one sentence; '' if they can."""
    if first.architecture != other.architecture:
        return f"{first.name} is a {first.architecture}, {other.name} a {other.architecture}."
    only = set(first.shapes) ^ set(other.shapes)
    if only:
        name = sorted(only)[0]
        return f"Only {first.name if name in first.shapes else other.name} has {name} ({len(only)} parameters differ)."
    for name, shape in first.shapes.items():
        if other.shapes[name] != shape:
            return f"{name} is {list(shape)} in {first.name} and {list(other.shapes[name])} in {other.name}."
    for (key, value), (_, others) in zip(first.heads, other.heads, strict=True):
        if value != others:
            return f"{key} is {value} in {first.name} and {others} in {other.name}."
    if first.vocabulary_digest != other.vocabulary_digest:
        return (
            f"{first.name} and {other.name} map tokens to different ids, so a row of one embedding is another token "
            "in the other: these checkpoints have different tokenizers."
        )
    return ""


def difference_of_models(first: Checkpoint, other: Checkpoint) -> str:
    """The same as far as configurations alone tell: architecture, names, shapes and heads."""
    one, two = (dataclasses.replace(c) for c in (first, other))
    for c in (one, two):
        shapes = {name: tuple(p.shape) for name, p in c.meta.named_parameters()}
        vars(c).update(shapes=shapes, vocabulary_digest="")  # where cached properties look first
    return difference(one, two)


def built_in() -> Path:
    """The folder of the suite that ships with the package."""
    return Path(str(files("interference"))) / "demo" / "suite"


def open_suite(path: Path | None = None, corpus: Path | None = None) -> Suite:
    """Open a suite.yaml, a folder that holds one, a folder of checkpoint folders, or one checkpoint folder.

    Without a path the built-in suite. A corpus given here replaces the suite's own. Raises one UserError that lists
    everything that can't be read.
    """
    path = built_in() if path is None else user_path(path)
    if not path.exists():
        raise UserError(f"Suite {path} does not exist. Give a suite.yaml, or a folder of checkpoint folders.")
    file = user_path(path / "suite.yaml") if path.is_dir() else path
    suite = _from_yaml(file.resolve()) if file.is_file() else _from_folder(path.resolve())
    text = read_corpus(corpus) if corpus else suite.corpus
    known = with_facts(suite.checkpoints, file.parent / FILE) if file.is_file() else suite.checkpoints
    opened = Suite(suite.name, suite.path, known, text, suite.references)
    check_readable(opened.checkpoints)
    extra = [name for name in text.languages if name not in opened.languages] if text and opened.languages else []
    if text and extra and set(opened.languages) <= set(text.languages):
        return Suite(suite.name, suite.path, known, text.only(opened.languages), suite.references)
    if text and extra:  # beside one that is missing this is likely that one by another name
        raise UserError(
            f"Corpus {corpus or text.name} has the column '{extra[0]}', a language that the suite {opened.name} "
            f"lacks, and not all of its own: {nearest(extra[0], opened.languages)} Take the column out, name it as the "
            "suite does, say in a corpus.yaml which columns are read (path: ..., columns: {deu: de}), or give the "
            "language a checkpoint or a reference in suite.yaml."
        )
    return opened


def suite_of_paths(paths: Sequence[str], corpus: Path | None = None, default: Corpus | None = None) -> Suite:
    """A suite of role `other` made of checkpoint folders, each named by its path: for recipes of paths alone."""
    checkpoints = _of_folders(paths)
    check_readable(checkpoints)
    return Suite("paths", None, checkpoints, read_corpus(corpus) if corpus else default)


def with_paths(suite: Suite, names: Sequence[str]) -> Suite:
    """The suite and, as checkpoints of role `other`, those of the names that are folders rather than names of it.

    An id of the Hub, org/name or org/name@revision, is the folder it was fetched into.
    """
    added = _of_folders([name for name in names if name not in suite.names])
    check_readable(added)
    return Suite(suite.name, suite.path, (*suite.checkpoints, *added), suite.corpus, suite.references)


def _of_folders(names: Sequence[str]) -> tuple[Checkpoint, ...]:
    """A checkpoint of each of the names that is a folder, named as it was."""
    places = {name: local_folder(name) for name in names}
    return tuple(Checkpoint(name, place) for name, place in places.items() if place)


def check_readable(checkpoints: Sequence[Checkpoint]) -> None:
    """Raise one UserError that lists every checkpoint that can't be read, or has a name that tables need."""
    wrong = []
    for checkpoint in checkpoints:
        if checkpoint.name in RESERVED:
            wrong.append(
                f"A checkpoint is named '{checkpoint.name}' ({checkpoint.path}), which is another row of the tables. "
                "Rename its folder, or give it another 'name' in a suite.yaml."
            )
        try:
            _merge_key(checkpoint)
        except UserError as error:
            wrong.append(str(error))
        except OSError as error:
            wrong.append(f"{checkpoint.name}: {checkpoint.path} can't be read: {error}. Give yourself the right to.")
    if wrong:
        raise UserError(
            "\n".join(wrong) if len(wrong) == 1 else f"{len(wrong)} checkpoints can't be read:\n- " + "\n- ".join(wrong)
        )


def _from_folder(folder: Path) -> Suite:
    if not folder.is_dir():
        raise UserError(f"{folder} is neither a suite.yaml nor a folder.")
    if (folder / "config.json").is_file():
        return Suite(folder.name, folder, (Checkpoint(folder.name, folder),))
    found = sorted((p.parent for p in folder.glob("*/config.json")), key=lambda p: in_order(p.name))
    if not found:
        raise UserError(
            f"{folder} holds no suite.yaml, and no folder in it holds a config.json. "
            "Point at a folder of checkpoint folders."
        )
    return Suite(folder.name, folder, tuple(Checkpoint(p.name, p) for p in found))


def _from_yaml(file: Path) -> Suite:
    try:
        document = load_yaml(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{file} can't be read as YAML: {' '.join(str(error).split())}") from None
    if (
        not isinstance(document, dict)
        or not isinstance(document.get("checkpoints"), list)
        or not document["checkpoints"]
    ):
        raise UserError(
            f"{file} needs a list 'checkpoints' of entries {{name: ..., role: ..., language: ..., path: ...}}."
        )
    wrong = [f"unknown key '{k}': {nearest(str(k), _SUITE_KEYS)}" for k in document if k not in _SUITE_KEYS]
    for entry in document["checkpoints"]:
        wrong += _entry_problems(entry, file.parent)
    entries = [entry for entry in document["checkpoints"] if isinstance(entry, dict) and entry.get("path")]
    names = [_entry_name(entry) for entry in entries]
    wrong += [
        f"{_entry_name(entry)}: its parent '{entry['parent']}' is no checkpoint: {nearest(entry['parent'], names)}"
        for entry in entries
        if isinstance(entry.get("parent"), str) and entry["parent"] not in names
    ]
    wrong += [
        f"two checkpoints are named '{name}'; give each its own 'name'"
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    wrong += _text_problems(document, names)
    if wrong:
        raise UserError(f"{file} can't be used:\n- " + "\n- ".join(wrong))
    checkpoints = tuple(_entry(entry, file.parent) for entry in document["checkpoints"])
    corpus = named_corpus(document["corpus"], file) if document.get("corpus") else None
    if corpus and document.get("entropy"):
        corpus = with_entropy(corpus, file.parent / user_path(document["entropy"]))
    return Suite(document.get("name") or file.parent.name, file, checkpoints, corpus, document.get("reference") or {})


def named_corpus(named: str | dict, file: Path) -> Corpus:
    """The corpus that a suite names by its path, or describes."""
    if isinstance(named, str):
        return read_corpus(file.parent / user_path(named))
    from interference.corpus_files import read_described

    return read_described(named, file.parent, f"'corpus' in {file}")


def _text_problems(document: dict, names: Sequence[str]) -> list[str]:
    """What is wrong with the keys beside `checkpoints`."""
    wrong = [
        f"'{key}' is {document[key]!r}; expected the name of a file"
        for key, kinds in (("corpus", str | dict), ("entropy", str))
        if not isinstance(document.get(key) or "", kinds)
    ]
    wrong += _string_problems("the suite", document, ("name",))
    for path in (document[key] for key in ("corpus", "entropy") if isinstance(document.get(key), str)):
        try:
            user_path(path)
        except UserError as error:
            wrong.append(str(error))
    references = document.get("reference") or {}
    if not isinstance(references, dict):
        return [*wrong, f"'reference' is {references!r}; expected {{language: checkpoint}}"]
    wrong += [p for key in references for p in _string_problems("'reference'", {"language": key}, ("language",))]
    return wrong + [
        f"the reference of {language} is '{name}', which is no checkpoint: {nearest(str(name), names)}"
        for language, name in references.items()
        if name not in names
    ]


def _entry_problems(entry: Any, folder: Path) -> list[str]:
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str) or not entry["path"]:
        return [f"{entry!r} has no 'path'; expected the folder of a checkpoint"]
    name = _entry_name(entry)
    unknown = [k for k in entry if k not in _CHECKPOINT_KEYS]
    wrong = [f"{name}: unknown key '{k}': {nearest(str(k), _CHECKPOINT_KEYS)}" for k in unknown]
    wrong += _string_problems(name, entry, ("name", "language", "parent", "revision"))
    if type(entry.get("step")) not in (int, type(None)):
        wrong.append(f"{name}: 'step' is {entry['step']!r}; expected a whole number")
    if entry.get("role", "other") not in ROLES:
        wrong.append(f"{name}: unknown role '{entry['role']}': {nearest(str(entry['role']), ROLES)}")
    if entry.get("role") in OF_A_LANGUAGE and not entry.get("language"):
        wrong.append(f"{name}: a {entry['role']} needs its 'language'")
    try:
        if isinstance(entry.get("revision"), str | None) and _place(entry, folder) is None:
            wrong.append(
                f"{name}: {user_path(folder / user_path(entry['path']))} is not a folder; give the path of a "
                "checkpoint on this machine, or org/name of one that was fetched from the Hub"
            )
    except UserError as error:
        wrong.append(f"{name}: {error}")
    return wrong


def _place(entry: dict, folder: Path) -> Path | None:
    """The folder of an entry; of one with a revision that of what was fetched from the Hub."""
    if (revision := entry.get("revision")) and user_path(folder / user_path(entry["path"])).is_dir():
        raise UserError(
            f"'revision' ({revision}) belongs to a repository of the Hub, and {entry['path']} is a folder here: take "
            "'revision' out, or rename the folder"
        )
    return local_folder(entry["path"], revision, folder)


def _string_problems(owner: str, mapping: dict, keys: Sequence[str]) -> list[str]:
    """Which of the keys hold no text: YAML reads an unquoted `no` as false and digits as a number."""
    return [
        f"{owner}: '{key}' is {mapping[key]!r}; expected text. YAML reads some unquoted words and numbers as other "
        f'things than text, as the language code `no`: quote it, {key}: "..."'
        for key in keys
        if not isinstance(mapping.get(key, ""), str | None)
    ]


def _entry_name(entry: dict) -> str:
    return str(entry.get("name") or Path(str(entry["path"])).name)


def _entry(entry: dict, folder: Path) -> Checkpoint:
    path = _place(entry, folder)
    assert path is not None  # its problems were listed before
    return Checkpoint(
        _entry_name(entry),
        path,
        entry.get("role", "other"),
        entry.get("language"),
        entry.get("parent"),
        entry.get("step"),
    )


def check_new(file: Path) -> None:
    """Raise UserError where a file is there already."""
    if file.exists():
        raise UserError(f"{file} exists already. Give another name, or delete it first.")


def write_suite(document: dict, file: Path, replace: bool = False) -> None:
    """Write a suite.yaml, whole or not at all.

    Raises UserError where it can't be written, or is there already and not to be replaced.
    """
    try:
        if not replace:
            check_new(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise UserError(f"{file} can't be written: {error}. Free some space or give another place.") from None


def with_entropy(corpus: Corpus, file: Path) -> Corpus:
    """The corpus with, from a table like its own, the bits that a perfect model of its generator needs per sentence."""
    table = read_corpus(file)
    if table.languages != corpus.languages or len(table.documents) != len(corpus.documents):
        raise UserError(
            f"{file} has other columns or rows than the corpus {corpus.name}; expected one number per sentence."
        )
    try:
        entropy = {language: tuple(map(float, cells)) for language, cells in table.sentences.items()}
    except ValueError as error:
        raise UserError(f"{file}: {error}; expected bits per sentence as decimal numbers.") from None
    for language, bits in entropy.items():
        if wrong := [number for number in bits if not 0 <= number < math.inf]:
            raise UserError(f"{file} has {wrong[0]:g} for {language}; expected bits per sentence, 0 or more.")
    return Corpus(corpus.name, corpus.sentences, corpus.documents, corpus.has_documents, entropy)
