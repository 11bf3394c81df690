"""One checkpoint on disk: what its files say, without loading its weights, and then its weights."""

import functools
import hashlib
import json
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from interference.errors import UserError

_SAFE, _BIN = "model.safetensors", "pytorch_model.bin"
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
    "tokenizer.model", "spiece.model", "vocab.txt",
)  # fmt: skip
_FILES = (_SAFE, f"{_SAFE}.index.json", _BIN, f"{_BIN}.index.json")


@dataclass(frozen=True)
class Checkpoint:
    """One model at one revision and its part in a study.

    `role` is mono, mixed, branch, init or other; `parent` and `step` are None where unknown. The properties read
    the files when first asked and raise UserError that names the file.
    """

    name: str
    path: Path
    role: str = "other"
    language: str | None = None
    parent: str | None = None
    step: int | None = None

    @cached_property
    def config(self) -> Any:
        """The model's configuration, as transformers reads it; code inside a checkpoint is never run."""
        file = self.path / "config.json"
        if not file.is_file():
            raise UserError(f"{self.name}: {file} does not exist; expected a Hugging Face checkpoint folder.")
        try:
            return AutoConfig.from_pretrained(self.path, local_files_only=True, trust_remote_code=False)
        except (ValueError, OSError, KeyError) as error:
            kind = _model_type(file)
            raise UserError(
                f"{self.name}: transformers can't read {file} (model_type {kind!r}) without running code from the "
                f"checkpoint, which this project never does: {_first_line(error)}"
            ) from None

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter by its name in the model, tied ones once."""
        expected = _parameter_shapes(self.config.to_json_string())
        found = {name: shape for name, (shape, _) in _canonical(self, self._headers).items()}
        wrong = [f"{n} is missing" for n in expected if n not in found]
        wrong += [
            f"{n} is {list(found[n])}, config.json asks for {list(s)}"
            for n, s in expected.items()
            if found.get(n, s) != s
        ]
        wrong += [f"{n} is no parameter of {self.architecture}" for n in found if n not in expected]
        if wrong:
            more = f"; and {len(wrong) - 4} more" if len(wrong) > 4 else ""
            raise UserError(
                f"{self.name}: the weights in {self.path} do not fit its config.json: {'; '.join(wrong[:4])}{more}."
            )
        return {name: found[name] for name in expected}

    @cached_property
    def _headers(self) -> dict[str, tuple[tuple[int, ...], str]]:
        return {name: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for name, t in self._raw(headers_only=True)}

    @property
    def architecture(self) -> str:
        """The name of the model class, for example LlamaForCausalLM."""
        return (self.config.architectures or [type(self.config).__name__])[0]

    @property
    def parameters(self) -> int:
        """Number of weights, tied ones once."""
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())

    @cached_property
    def dtype(self) -> str:
        """The stored dtype, or the several joined by '+'."""
        return "+".join(sorted({dtype for _, dtype in _canonical(self, self._headers).values()}))

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The weight files in the order of the index; safetensors are preferred to pickles."""
        kind = next((name for name in _FILES if (self.path / name).is_file()), None)
        if kind is None:
            raise UserError(f"{self.name}: {self.path} has no weights; expected one of {', '.join(_FILES)}.")
        if not kind.endswith(".index.json"):
            return (self.path / kind,)
        try:
            names = dict.fromkeys(json.loads((self.path / kind).read_text())["weight_map"].values())
        except (ValueError, KeyError, AttributeError):
            raise UserError(f"{self.name}: {self.path / kind} is not an index of weight files.") from None
        if outside := [name for name in names if Path(name).name != name]:
            raise UserError(f"{self.name}: {kind} names '{outside[0]}', which lies outside {self.path}.")
        if missing := [name for name in names if not (self.path / name).is_file()]:
            raise UserError(
                f"{self.name}: {kind} names {', '.join(missing)}, missing from {self.path}. Download again."
            )
        return tuple(self.path / name for name in names)

    @cached_property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)

    @cached_property
    def tokenizer(self) -> Any:
        try:
            return AutoTokenizer.from_pretrained(self.path, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # transformers raises many kinds here; all mean the same to the user
            raise UserError(f"{self.name}: no tokenizer can be read from {self.path}: {_first_line(error)}") from None

    @cached_property
    def vocabulary_digest(self) -> str:
        """SHA-256 of the token-to-id map."""
        file = self.path / "tokenizer.json"
        if file.is_file():
            try:
                return _vocabulary_digest(file, _digest_of(file))
            except Exception as error:  # the tokenizers library raises plain Exception
                raise UserError(f"{self.name}: {file} is not a tokenizer: {_first_line(error)}") from None
        return _map_digest(self.tokenizer.get_vocab())

    @cached_property
    def digest_of_tokenizer(self) -> str:
        """SHA-256 of the tokenizer's files: equal digests give equal token ids for every text."""
        found = sorted(f for f in self.path.iterdir() if f.name in _TOKENIZER_FILES)
        return hashlib.sha256("".join(map(_digest_of, found)).encode()).hexdigest()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the contents of config, weights and tokenizer: what a loss depends on."""
        parts = [*map(_digest_of, [*self.files, self.path / "config.json"]), self.digest_of_tokenizer]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every parameter under its name in the model, in its stored dtype, on the CPU, one at a time.

        Raises UserError if one holds a value that is not finite.
        """
        wanted, seen = self.shapes, set()
        names = {stored: name for name, stored in _canonical_names(self, self._headers).items()}
        for stored, tensor in self._raw():
            name = names.get(stored)
            if name in wanted and name not in seen:
                seen.add(name)
                if not torch.isfinite(tensor).all():
                    bad = int((~torch.isfinite(tensor)).sum())
                    raise UserError(f"{self.name}: {bad} of the values of {stored} in {self.path} are NaN or infinite.")
                yield name, tensor

    def _raw(self, headers_only: bool = False) -> Iterator[tuple[str, Any]]:
        for file in self.files:
            try:
                yield from _safetensors(file, headers_only) if file.suffix == ".safetensors" else _pickle(file)
            except (SafetensorError, OSError, RuntimeError, EOFError, ValueError) as error:
                if isinstance(error, UserError):
                    raise
                size = file.stat().st_size if file.exists() else 0
                raise UserError(
                    f"{self.name}: {file} can't be read ({size:,} bytes; truncated or not a weight file?): "
                    f"{_first_line(error)} Download or copy it again."
                ) from None


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    dtype: torch.dtype


_SAFE_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def _safetensors(file: Path, headers_only: bool) -> Iterator[tuple[str, Any]]:
    with safe_open(file, framework="pt") as handle:
        for name in handle.keys():  # noqa: SIM118 - not a mapping
            part = handle.get_slice(name)
            if part.get_dtype() not in _SAFE_DTYPES:
                raise UserError(
                    f"{file}: {name} is stored as {part.get_dtype()}; expected float32, float16 or bfloat16."
                )
            header = _Header(tuple(part.get_shape()), _SAFE_DTYPES[part.get_dtype()])
            yield name, header if headers_only else handle.get_tensor(name)


def _pickle(file: Path) -> Iterator[tuple[str, torch.Tensor]]:
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{file} holds more than tensors, and loading it could run code, so it was not loaded. "
            "Convert it to safetensors where you trust it."
        ) from None
    if not isinstance(loaded, dict) or not all(isinstance(v, torch.Tensor) for v in loaded.values()):
        raise UserError(f"{file} is not a mapping of names to tensors; expected the state dict of a model.")
    yield from loaded.items()


def _canonical_names(checkpoint: Checkpoint, stored: Iterable[str]) -> dict[str, str]:
    """Parameter name in the model -> name in the file. Buffers and tied copies are left out."""
    parameters, ignored, prefix = _names(checkpoint.config.to_json_string())
    known, names = {*parameters, *ignored}, {}
    for name in stored:
        # GPT-2 checkpoints are often stored without the prefix of the language-model class.
        model_name = f"{prefix}.{name}" if name not in known and f"{prefix}.{name}" in known else name
        if model_name not in ignored and not name.endswith(_OLD_BUFFERS):
            names[model_name] = name
    return names


# Buffers that earlier versions of transformers stored and today's models no longer have.
_OLD_BUFFERS = (".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias")


def _canonical(checkpoint: Checkpoint, stored: dict) -> dict:
    return {name: stored[file_name] for name, file_name in _canonical_names(checkpoint, stored).items()}


def _parameter_shapes(config_json: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in _meta_model(config_json).named_parameters()}


def _names(config_json: str) -> tuple[set[str], set[str], str]:
    """Parameter names of the model, names of its tied copies and buffers, and the prefix of its body."""
    meta = _meta_model(config_json)
    parameters = {name for name, _ in meta.named_parameters()}
    tied = {name for name, _ in meta.named_parameters(remove_duplicate=False)} - parameters
    return parameters, tied | {name for name, _ in meta.named_buffers()}, meta.base_model_prefix


@functools.lru_cache(maxsize=16)
def _meta_model(config_json: str) -> PreTrainedModel:
    values = json.loads(config_json)
    return build(AutoConfig.for_model(values.pop("model_type"), **values), "meta")


def build(config: Any, device: str | torch.device = "cpu") -> PreTrainedModel:
    """A model of this configuration in float32 with arbitrary weights, in evaluation mode."""
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False).eval()


def _map_digest(vocabulary: dict[str, int]) -> str:
    return hashlib.sha256(json.dumps(sorted(vocabulary.items())).encode()).hexdigest()


@functools.lru_cache(maxsize=64)
def _vocabulary_digest(file: Path, contents: str) -> str:
    """Digest of a tokenizer file's map; the digest of its contents is part of the key."""
    return _map_digest(Tokenizer.from_file(str(file)).get_vocab())


def _digest_of(file: Path) -> str:
    return _file_digest(file, file.stat().st_size, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _file_digest(file: Path, size: int, modified_ns: int) -> str:
    """SHA-256 of a file; size and time of change are part of the key so that a changed file is read again."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _model_type(file: Path) -> object:
    try:
        return json.loads(file.read_text()).get("model_type")
    except (ValueError, AttributeError, OSError):
        return None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."
