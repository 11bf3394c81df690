"""Pickled weights into safetensors, without running what they may hold."""

import hashlib
import json
from collections.abc import Generator
from pathlib import Path

from interference.errors import UserError


def convert_steps(name: str, folder: Path) -> Generator[None, None, dict[str, str]]:
    """Convert the pytorch_model*.bin of a folder and delete each once its tensors were read back equal.

    Yields after every file; returns the SHA-256 of each new one. A tensor that is stored under two names, as a tied
    head is, is kept once. Raises UserError for a pickle that holds more than tensors, which is deleted.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    from interference.checkpoint import read_pickle

    found, places = {}, {}
    for file in sorted(folder.glob("pytorch_model*.bin")):
        target = file.with_name(file.name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors")
        try:
            tensors = {}
            seen: dict[tuple, str] = {}
            for parameter, tensor in read_pickle(file):
                place = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
                if tensor.numel() and place in seen:
                    continue
                seen[place] = parameter
                tensors[parameter] = tensor.contiguous()
        except UserError as error:
            file.unlink()
            raise UserError(f"{name}: {error} It was deleted.") from None
        except Exception as error:  # damaged bytes make the reader raise whatever it trips over
            raise UserError(f"{name}: {file} can't be read ({type(error).__name__}): delete it, fetch again.") from None
        partial = target.with_suffix(".writing")
        save_file(tensors, partial, metadata={"format": "pt"})
        with safe_open(partial, framework="pt") as handle:
            for parameter, tensor in tensors.items():
                if not _same(handle.get_tensor(parameter), tensor):
                    raise UserError(f"{name}: {parameter} of {file} did not come through the conversion unchanged.")
        places |= dict.fromkeys(tensors, target.name)
        partial.replace(target)
        with target.open("rb") as contents:
            found[target.name] = hashlib.file_digest(contents, "sha256").hexdigest()
        del tensors
        file.unlink()
        yield
    index = folder / "pytorch_model.bin.index.json"
    if index.is_file():
        for file in folder.glob("model-*.safetensors"):  # those that an earlier call has converted too
            with safe_open(file, framework="pt") as handle:
                places |= dict.fromkeys(handle.keys(), file.name)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
        index.unlink()
    return found


def _same(one: "object", other: "object") -> bool:
    import torch

    assert isinstance(one, torch.Tensor)
    assert isinstance(other, torch.Tensor)
    same = one.dtype == other.dtype and one.shape == other.shape
    return same and bool(torch.equal(one.view(torch.uint8), other.view(torch.uint8)) if one.dim() else one == other)
