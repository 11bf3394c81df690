"""Weights as safetensors files, written one tensor after another."""

import json
import os
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from interference.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub import StateDictSplit

MAX_SHARD_SIZE = "5GB"
_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}


def write_weights(
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: torch.dtype,
    tensor: Callable[[str], Float[Tensor, "*shape"]],
    max_shard_size: str = MAX_SHARD_SIZE,
) -> Generator[float, None, None]:
    """Write `model.safetensors`, or shards of at most `max_shard_size` with the index that transformers reads.

    `tensor` is asked for one parameter at a time, and none is held once it is written. Yields the share that is done.
    Names, order and index of the shards are transformers' own. Raises UserError for a size that can't be read.
    """
    plan = shards(shapes, dtype, max_shard_size)
    total, done = sum(bytes_of(shape, dtype) for shape in shapes.values()), 0
    for file, names in plan.filename_to_tensors.items():
        with (folder / file).open("wb") as out:
            out.write(_header({name: shapes[name] for name in names}, dtype))
            for name in names:
                flat = tensor(name).to(dtype).contiguous().cpu().reshape(-1).view(torch.uint8)
                out.write(flat.numpy().data)
                done += flat.numel()
                yield done / total
            out.flush()
            os.fsync(out.fileno())  # a disk that is full says so now, and not after the folder has its name
    if plan.is_sharded:
        metadata = plan.metadata | {"total_parameters": sum(torch.Size(shape).numel() for shape in shapes.values())}
        index = {"metadata": metadata, "weight_map": plan.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def shards(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, max_shard_size: str) -> "StateDictSplit":
    """Which parameters go into which file. Raises UserError for a size that can't be read."""
    from huggingface_hub import split_torch_state_dict_into_shards

    meta = {name: torch.empty(shape, dtype=dtype, device="meta") for name, shape in shapes.items()}
    try:
        if not float(max_shard_size.strip()[:-2]) > 0:
            raise ValueError("a shard has to hold something")
        return split_torch_state_dict_into_shards(
            meta, filename_pattern="model{suffix}.safetensors", max_shard_size=max_shard_size
        )
    except (ValueError, OverflowError):
        raise UserError(
            f"The largest shard is '{max_shard_size[:40]}'; expected a number above 0 with KB, MB, GB or TB, such as "
            f"{MAX_SHARD_SIZE}."
        ) from None


def bytes_of(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return torch.Size(shape).numel() * dtype.itemsize


def _header(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype) -> bytes:
    """The length of the table of contents and the table: its offsets count from its end, which is a multiple of 8."""
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, shape in shapes.items():
        end = start + bytes_of(shape, dtype)
        table[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
