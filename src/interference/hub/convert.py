"""Pickled weights into safetensors, without running what they may hold."""

import json
from collections.abc import Generator, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from interference.checkpoint import Checkpoint
from interference.checkpoint.models import tied_names
from interference.checkpoint.reading import file_digest, first_line, read_pickle
from interference.errors import UserError
from interference.memory import ran_out
from interference.whole import write_whole

_INDEX = "model.safetensors.index.json"


def converted_name(file: Path) -> Path:
    """Where a pickle's tensors are once it was converted."""
    return file.with_name(file.name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors")


def convert_steps(name: str, folder: Path) -> Generator[int, None, dict[str, str]]:
    """Convert the pytorch_model*.bin of a folder and delete each once its tensors were read back equal.

    Yields 0, the bytes that came, after every file; returns the SHA-256 of each new one. A head that is tied to the
    embedding and stored with it is kept once. Raises UserError for a pickle that holds more than tensors, which is
    deleted.
    """
    tied = tied_names(Checkpoint(name, folder).meta)
    for file in sorted(folder.glob("pytorch_model*.bin")):
        _convert(name, file, tied)
        yield 0
    index, found = folder / "pytorch_model.bin.index.json", sorted(folder.glob("model*.safetensors"))
    if index.is_file():
        places: dict[str, str] = {}
        for file in found:
            with safe_open(file, framework="pt") as handle:
                places |= dict.fromkeys(handle.keys(), file.name)
        write_whole(folder / _INDEX, json.dumps({"metadata": {}, "weight_map": places}))
        index.unlink()
    return {file.name: file_digest(file) for file in found}


def _convert(name: str, file: Path, tied: frozenset[str]) -> None:
    target, partial = converted_name(file), converted_name(file).with_suffix(".writing")
    try:
        tensors = dict(_once(read_pickle(file), tied))
    except UserError as error:
        file.unlink()
        raise UserError(f"{name}: {error} It was deleted.") from None
    except Exception as error:  # damaged bytes make the reader raise whatever it trips over
        if isinstance(error, OSError) or ran_out(error):  # of this machine
            raise UserError(
                f"{name}: {file} can't be read now: {first_line(error)} What was downloaded stays; fetch again."
            ) from None
        size = file.stat().st_size
        file.unlink()
        raise UserError(
            f"{name}: {file} can't be read ({size:,} bytes; truncated, or not a weight file? {type(error).__name__}). "
            "It has the checksum that the Hub lists, so it is broken there, and was deleted. Take another revision."
        ) from None
    try:
        save_file(tensors, partial, metadata={"format": "pt"})
    except (SafetensorError, OSError) as error:  # a full disk is an exception of the library's own
        partial.unlink(missing_ok=True)
        raise UserError(
            f"{name}: the tensors of {file} can't be written beside it: {error}. Free some space and fetch again; what "
            "was downloaded stays."
        ) from None
    with safe_open(partial, framework="pt") as handle:
        for parameter, tensor in tensors.items():
            if not _same(handle.get_tensor(parameter), tensor):
                raise UserError(f"{name}: {parameter} of {file} did not come through its conversion. Fetch again.")
    partial.replace(target)
    del tensors
    file.unlink()


def _once(stored: Iterator[tuple[str, Tensor]], tied: frozenset[str]) -> Iterator[tuple[str, Tensor]]:
    """What is stored, memory that several names share written once if they are tied, else for each."""
    seen: dict[int, str] = {}
    for name, tensor in stored:
        place = tensor.untyped_storage().data_ptr()
        first = seen.setdefault(place, name)
        if first == name or not tensor.numel():
            yield name, tensor.contiguous()
        elif not {first, name} <= tied:
            yield name, tensor.clone().contiguous()


def _same(one: Tensor, other: Tensor) -> bool:
    """Bit for bit, NaN too."""
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))
