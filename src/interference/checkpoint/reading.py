"""The files of a checkpoint: tensors one at a time, their headers, JSON and digests; nothing in them is executed."""

import functools
import hashlib
import json
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from interference.errors import UserError
from interference.hub.ids import DONE

_SHA256 = 64  # characters; small files have git's SHA-1
_SAFE_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def not_finite(tensor: torch.Tensor) -> int:
    """How many values of a tensor are NaN or infinite.

    Extremes tell of both in one look with nothing made beside the tensor; `isfinite` takes many times as long on a CPU.
    """
    if not tensor.numel() or torch.stack(torch.aminmax(tensor)).isfinite().all():
        return 0
    return int((~torch.isfinite(tensor)).sum())


def check_finite(owner: str, name: str, tensor: torch.Tensor, place: Path) -> None:
    """Raise UserError where a tensor of a checkpoint holds a value that is not finite."""
    if bad := not_finite(tensor):
        raise UserError(
            f"{owner}: {bad} of the {tensor.numel()} values of {name} in {place} are NaN or infinite; expected finite "
            "weights. Take another checkpoint of this training, or download it again."
        )


def check_tied(owner: str, one: str, other: str, equal: bool, place: Path) -> None:
    """Raise UserError where two stored tensors that the model ties are not equal."""
    if not equal:
        raise UserError(
            f"{owner}: {one} and {other} in {place} differ, but config.json ties them. "
            "Set tie_word_embeddings to false in config.json if the two were trained apart."
        )


def read_safetensors(file: Path, headers_only: bool) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor by its name; at will without its contents, on the device `meta`."""
    with safe_open(file, framework="pt") as handle:
        for name in handle.keys():  # noqa: SIM118 - not a mapping
            part = handle.get_slice(name)
            if part.get_dtype() not in _SAFE_DTYPES:
                raise UserError(
                    f"{file}: {name} is stored as {part.get_dtype()}; expected float32, float16 or bfloat16."
                )
            if headers_only:
                yield name, torch.empty(part.get_shape(), dtype=_SAFE_DTYPES[part.get_dtype()], device="meta")
            else:
                yield name, handle.get_tensor(name)


def read_pickle(file: Path) -> Iterator[tuple[str, torch.Tensor]]:
    with file.open("rb") as handle:
        zipped = handle.read(2) == b"PK"  # files of before 2020 are not, and can't be mapped into memory
    try:
        with warnings.catch_warnings(action="ignore"):
            loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError:
        raise UserError(
            f"{file} holds more than tensors, and loading it could run code, so it was not loaded; expected a state "
            "dict. Convert it to safetensors where you trust it."
        ) from None
    if not isinstance(loaded, dict) or not all(isinstance(v, torch.Tensor) for v in loaded.values()):
        raise UserError(
            f"{file} is not a mapping of names to tensors; expected the state dict of a model. Save that alone."
        )
    for name in list(loaded):
        yield name, loaded.pop(name).detach()


@dataclass(frozen=True)
class Origin:
    """Where a folder was fetched from, and the SHA-256 of its files by name; `converted` are those made of pickles."""

    which: str
    sums: dict[str, str]
    converted: frozenset[str]


def origin(folder: Path) -> Origin | None:
    """What was recorded of a folder when it was fetched; None where it was not."""
    if not (folder / DONE).is_file():
        return None
    record = json_mapping(folder.name, folder / DONE)
    listed = {name: entry["checksum"] for name, entry in record.get("files", {}).items()}
    converted = record.get("converted", {})
    sums = {name: checksum for name, checksum in (listed | converted).items() if len(checksum) == _SHA256}
    return Origin(f"{record.get('repository')}@{record.get('commit')}", sums, frozenset(converted))


def map_digest(vocabulary: dict[str, int]) -> str:
    return hashlib.sha256(json.dumps(sorted(vocabulary.items())).encode()).hexdigest()


_maps: dict[str, str] = {}  # digest of a tokenizer file's contents -> of its map


def map_digest_of(file: Path, contents: str) -> str:
    """Digest of a tokenizer file's map; `contents` is that of the file's contents.

    Read once for all files of these contents: the checkpoints of a training run share one tokenizer, of many megabytes.
    """
    from tokenizers import Tokenizer

    if contents not in _maps:
        _maps[contents] = map_digest(Tokenizer.from_file(str(file)).get_vocab())
    return _maps[contents]


def file_digest(file: Path) -> str:
    return _contents_digest(file, file.stat().st_size, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=65536)
def _contents_digest(file: Path, size: int, modified_ns: int) -> str:
    """SHA-256 of a file; size and time of change are part of the key so that a changed file is read again."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def json_mapping(name: str, file: Path) -> dict[str, Any]:
    """The mapping in a checkpoint's JSON file."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{name}: {file} is not JSON: {first_line(error)} Download or copy it again.") from None
    if not isinstance(document, dict):
        raise UserError(f"{name}: {file} holds no JSON mapping. Download or copy it again.")
    return document


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."
