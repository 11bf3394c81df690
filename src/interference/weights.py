"""The weights of checkpoints for a device: resident there, else in the host's memory or read from mapped files."""

import os
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from interference.checkpoint import Checkpoint, MappedTensors
from interference.chunks import Span, chunks, spans
from interference.errors import UserError
from interference.layout import transposed
from interference.memory import ran_out
from interference.registry import DATA
from interference.stacks import Stack
from interference.steps import finish

if TYPE_CHECKING:
    from interference.dev import DevHalf


def pick_device(name: str | None = None) -> torch.device:
    """The device asked for, else CUDA where there is one, else the CPU. Raises UserError for one that can't be used."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise UserError(f"'{name}' is no device; use cpu, cuda or cuda:N.") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"'{name}' is not supported; use cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"'{name}' is not on this machine, which has {torch.cuda.device_count()} CUDA devices; use --device cpu."
        )
    return device


RESIDENT, PINNED, STREAMED = "resident", "pinned", "streamed"
RESIDENCIES = (RESIDENT, PINNED, STREAMED)
_BETWEEN, _LEAST = 6, 3  # float32 tensors of the largest size that lie between in a merge: of masks, of sums


class Weights:
    """Parameters of checkpoints that can be merged with each other, in their stored dtype, for a device.

    Where there is room they are resident: each parameter is one tensor `[model, *shape]` on the device, in chunks with
    others as `spans` say, and a checkpoint's row is read from disk when it is first asked for. Else, chosen when this
    is made and said in `said`, the same lies in pinned memory of the host, or nothing is held and every read comes from
    the mapped files.
    `dev` says what was measured on a checkpoint's parameter, or None, for each kind that methods know (registry.DATA),
    and is the text that post-steps of the network work with.
    What methods prepare is kept here too, the least recently used dropped beyond half the size of the weights, or a
    quarter of the room that is left where they are not resident, or on a GPU.
    """

    def __init__(
        self,
        checkpoints: Sequence[Checkpoint],
        device: torch.device,
        dev: "DevHalf | None" = None,
        residency: str | None = None,
    ):
        self.device = device
        self._dev = dev
        self._prepared: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.names = tuple(c.name for c in checkpoints)
        self.shapes = checkpoints[0].shapes
        self._order = tuple(self.shapes)
        self.transposed = transposed(checkpoints[0].meta)
        self._checkpoints = {c.name: c for c in checkpoints}
        self._mapped: dict[str, MappedTensors] = {}
        self._loaded: set[str] = set()
        self.reading = ""  # the checkpoint that is on its way from disk
        self.dtype = self.dtype_of(self.names)
        self.residency = residency or self._choose()
        self._budget = self.nbytes // 2
        if (self.residency != RESIDENT or device.type == "cuda") and (free := free_bytes(device)) is not None:
            held = self.nbytes if self.residency == RESIDENT else 0
            self._budget = min(self._budget, max(free - held - self._network, 0) // 4)
        self.spans = spans(self.shapes)
        self._chunks: list[Tensor] = []
        self._stacks = {} if self.residency == STREAMED else self._allocate()

    @property
    def said(self) -> str:
        """Where the weights are if they are not on the device, and why; else ''."""
        if self.residency == RESIDENT:
            return ""
        where = "in pinned memory of the host" if self.residency == PINNED else "read from disk at every merge"
        return (
            f"The weights of {len(self.names)} checkpoints ({self.nbytes / 2**30:.1f} GiB) and one model in float32 do "
            f"not fit on {self.device} together: they are {where}, which is slower and gives the same numbers."
        )

    @property
    def _network(self) -> int:
        """Bytes of one model in float32, which is always on the device."""
        return 4 * sum(torch.Size(shape).numel() for shape in self.shapes.values())

    def _choose(self) -> str:
        """Where the weights can be. Raises UserError where not even one model fits."""
        free = free_bytes(self.device)
        tensor = 4 * max(torch.Size(shape).numel() for shape in self.shapes.values())
        cuda = self.device.type == "cuda"  # what does not fit there is refused, where a CPU has the system make room
        if free is None or self.nbytes + self._network + _BETWEEN * tensor * cuda <= free:
            return RESIDENT
        if self._network + _LEAST * tensor > free:
            raise self._no_room(f"which has {free / 2**30:.1f} GiB free")
        host = free_bytes(torch.device("cpu"))
        return PINNED if cuda and host and self._pinned_bytes < host * 0.8 else STREAMED

    @property
    def _pinned_bytes(self) -> int:
        """What the weights take in pinned memory, where torch rounds each tensor up to a power of two."""
        own = (len(self.names) * self.dtype.itemsize * torch.Size(shape).numel() for shape in self.shapes.values())
        return sum(1 << (size - 1).bit_length() for size in own)

    def _allocate(self) -> dict[str, Tensor]:
        try:
            if self.residency == RESIDENT:
                found: dict[str, Tensor] = {}
                for chunk, views in chunks(self.shapes, len(self.names), self.dtype, self.device):
                    self._chunks.append(chunk)
                    found |= views
                return found
            pinned = torch.cuda.is_available()
            return {
                name: torch.empty((len(self.names), *shape), dtype=self.dtype, pin_memory=pinned)
                for name, shape in self.shapes.items()
            }
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            raise self._no_room("which refused them") from None

    @property
    def nbytes(self) -> int:
        return len(self.names) * self.dtype.itemsize * sum(torch.Size(s).numel() for s in self.shapes.values())

    def dtype_of(self, names: Sequence[str]) -> torch.dtype:
        """The dtype that the stored dtypes of the named checkpoints promote to, whatever else is resident."""
        parts = (part for name in names for part in self._checkpoints[name].dtype.split("+"))
        return reduce(torch.promote_types, (getattr(torch, part) for part in parts))

    def load(self, names: Sequence[str]) -> None:
        """Read the named checkpoints from disk unless they are here already. Raises UserError on a broken file."""
        finish(self.load_steps(names))

    def load_steps(self, names: Sequence[str]) -> Generator[None, None, None]:
        """The same a tensor at a time; what is told of it meanwhile is `reading`."""
        try:
            for name in names if self.residency != STREAMED else ():
                row = self.names.index(name)
                for parameter, tensor in self._checkpoints[name].tensors() if name not in self._loaded else ():
                    self.reading = name
                    # Past autograd, which holds other rows for a merge's gradient and can't tell them from this one.
                    self._stacks[parameter].data[row].copy_(tensor)
                    yield
                    if name in self._loaded:  # by another meanwhile
                        break
                self._loaded.add(name)
        finally:
            self.reading = ""

    def read(self, parameter: str, names: Sequence[str]) -> Float[Tensor, "model *shape"]:
        """One parameter of the named checkpoints in that order, on the device in the stack's dtype.

        Of resident weights a view if they are neighbours, and of mapped ones on the CPU if it is one alone.
        """
        if self.residency != RESIDENT:
            found = self.views(parameter, names)
            if self.device.type == "cpu" and len(found) == 1:
                return found[0].to(self.dtype)[None]
            return torch.stack([self.here(each) for each in found])
        self.load(names)
        rows = [self.names.index(name) for name in names]
        stack = self._stacks[parameter]
        if rows == list(range(rows[0], rows[0] + len(rows))):
            return stack[rows[0] : rows[0] + len(rows)]
        return stack[torch.tensor(rows, device=self.device)]

    def whole(self, name: str) -> dict[str, Float[Tensor, "..."]]:
        """All parameters of a checkpoint in float32 on the device."""
        return {parameter: self.read(parameter, [name])[0].float() for parameter in self.shapes}

    def views(self, parameter: str, names: Sequence[str]) -> list[Float[Tensor, "*shape"]]:
        """One parameter of each of the named checkpoints where it is, uncopied; what follows it is read ahead."""
        self.load(names)
        if self.residency != STREAMED:
            return [self._stacks[parameter][self.names.index(name)] for name in names]
        after = self._order[(self._order.index(parameter) + 1) % len(self._order)]
        for name in names:
            if name not in self._mapped:
                self._mapped[name] = MappedTensors(self._checkpoints[name])
        found = [self._mapped[name][parameter] for name in names]
        for name in names:
            self._mapped[name].ahead(after)
        return found

    def entries(self, span: Span, names: Sequence[str]) -> list[Float[Tensor, " entry"]]:
        """What lies in a span of resident weights, of each of the named checkpoints, uncopied."""
        self.load(names)
        return [self._chunks[span.chunk][self.names.index(name), span.start : span.stop] for name in names]

    def here(self, part: Tensor) -> Tensor:
        """A part of a view on the device, in the stack's dtype; over the bus it goes as it is stored."""
        return part.to(self.device, non_blocking=True).to(self.dtype)

    def measured(self, kind: str, names: Sequence[str], parameters: Sequence[str]) -> Stack | None:
        """One kind of data of each named checkpoint's parameter, in float32; None where one has none."""
        if self._dev is None:
            raise UserError(
                f"This merge needs {DATA[kind]}, and nothing of the kind was measured. Give a suite with a corpus."
            )
        rows = [self._dev.source(kind, name, parameter) for name, parameter in zip(names, parameters, strict=True)]
        found = [row for row in rows if row is not None]
        return Stack(found, here=lambda part: part.to(self.device)) if len(found) == len(rows) else None

    @property
    def dev(self) -> "DevHalf":
        if self._dev is None:
            raise UserError("A post-step of this merge works with the dev half's text. Give a suite with a corpus.")
        return self._dev

    def prepared(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value kept under a key, or made now and kept while there is room."""
        if key not in self._prepared:
            value = make()
            size = _size(value)
            if size > self._budget:
                return value
            self._prepared[key] = value, size
            while sum(size for _, size in self._prepared.values()) > self._budget:
                self._prepared.popitem(last=False)
        self._prepared.move_to_end(key)
        return self._prepared[key][0]

    def forget(self) -> None:
        """Drop what methods prepared; it is made again when it is asked for."""
        self._prepared.clear()

    @contextmanager
    def unprepared(self) -> Iterator[None]:
        """Nothing that methods prepared is at hand inside; outside it is again, and what was made inside is not."""
        kept, self._prepared = self._prepared, OrderedDict()
        try:
            yield
        finally:
            self._prepared = kept

    def _no_room(self, why: str) -> UserError:
        other = "--device cpu or " if self.device.type == "cuda" else ""
        return UserError(
            f"{len(self.names)} checkpoints of the suite need {self.nbytes / 2**30:.1f} GiB of memory, one model in "
            f"float32 alone {self._network / 2**30:.1f} GiB on {self.device}, {why}. Use {other}a suite of fewer "
            "checkpoints or of smaller models."
        )


def _size(value: Any) -> int:
    """Bytes of the tensors in a value, one that stands twice counted once."""
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in _tensors(value)}.values())


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def free_bytes(device: torch.device) -> int | None:
    """Memory that can be had on a device now; on systems without /proc/meminfo all there is, or None."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(device)[0]
    meminfo = Path("/proc/meminfo")
    lines = meminfo.read_text().splitlines() if meminfo.is_file() else []
    if available := [line.split()[1] for line in lines if line.startswith("MemAvailable:")]:
        return int(available[0]) * 1024
    known = getattr(os, "sysconf_names", {})
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in known else None
