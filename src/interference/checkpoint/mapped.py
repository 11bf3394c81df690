"""Parameters of a checkpoint one at a time from its files, mapped into memory rather than read into it."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from interference.checkpoint.checkpoint import Checkpoint
from interference.checkpoint.models import canonical_names, stored_twins
from interference.checkpoint.reading import check_finite, check_tied, first_line, read_pickle
from interference.errors import UserError


class MappedTensors(Mapping[str, Tensor]):
    """Every parameter under its name in the model, in its stored dtype, on the CPU; the system may drop its pages.

    A tensor is checked to be finite when it is first asked for, tied copies to be equal when the first is. Raises
    UserError as `Checkpoint.tensors` does.
    """

    def __init__(self, checkpoint: Checkpoint):
        self._checkpoint, meta, headers = checkpoint, checkpoint.meta, checkpoint.headers
        self._stored = canonical_names(meta, headers)
        self._joined = {n: j for j in checkpoint.joined for n in j.make(meta, headers.__getitem__)}
        self._files: dict[str, Any] = {}  # name in the file -> what gives its tensor
        self._ranges: dict[str, tuple[Path, int, int]] = {}
        self._checked: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self._open()
        if part := self._joined.get(name):
            tensor = part.make(self._checkpoint.meta, self._tensor)[name]
        else:
            tensor = self._tensor(self._stored[name])
        if name not in self._checked:
            check_finite(self._checkpoint.name, name, tensor, self._checkpoint.path)
            self._checked.add(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        yield from self._stored
        yield from self._joined

    def __len__(self) -> int:
        return len(self._stored) + len(self._joined)

    def ahead(self, name: str) -> None:
        """Have the system start to read what will be asked for next."""
        part = self._joined.get(name)
        for stored in [self._stored[name]] if part is None else [piece for _, piece in part.pieces]:
            if not hasattr(os, "posix_fadvise") or stored not in self._ranges:
                continue
            file, start, length = self._ranges[stored]
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)

    def _tensor(self, stored: str) -> Tensor:
        source = self._files[stored]
        return source if isinstance(source, Tensor) else source.get_tensor(stored)

    def _open(self) -> None:
        if self._files:
            return
        self._checkpoint.check_files()
        for file in self._checkpoint.files:
            try:
                self._map(file)
            except UserError as error:
                raise UserError(f"{self._checkpoint.name}: {error}") from None
            except Exception as error:  # damaged bytes make the readers raise whatever they trip over
                raise UserError(
                    f"{self._checkpoint.name}: {file} can't be read: {first_line(error)} Download or copy it again."
                ) from None
        for one, other in stored_twins(self._checkpoint.meta, self._files).items():
            if one < other:
                equal = torch.equal(self._tensor(one), self._tensor(other))
                check_tied(self._checkpoint.name, one, other, equal, self._checkpoint.path)

    def _map(self, file: Path) -> None:
        if file.suffix != ".safetensors":
            self._files |= dict(read_pickle(file))
            return
        handle = safe_open(file, framework="pt")
        self._files |= dict.fromkeys(handle.keys(), handle)
        with file.open("rb") as contents:
            size = int.from_bytes(contents.read(8), "little")
            header = json.loads(contents.read(size))
        self._ranges |= {
            name: (file, 8 + size + entry["data_offsets"][0], entry["data_offsets"][1] - entry["data_offsets"][0])
            for name, entry in header.items()
            if name != "__metadata__"
        }
