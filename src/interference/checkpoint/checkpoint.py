"""A checkpoint folder as a frozen value whose properties read its files when first asked."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from interference.checkpoint.models import (
    Joined,
    canonical_names,
    import_models,
    joined,
    left_in_file,
    meta_model,
    positions_of_padding,
    stored_twins,
)
from interference.checkpoint.reading import (
    check_finite,
    check_tied,
    file_digest,
    first_line,
    json_mapping,
    map_digest,
    map_digest_of,
    origin,
    read_pickle,
    read_safetensors,
)
from interference.errors import UserError, listed

_SAFE, _BIN = "model.safetensors", "pytorch_model.bin"
_TOKENIZER_FILE = re.compile(r"token|vocab|merges|spiece|sentencepiece|\.model$", re.IGNORECASE)
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
        document = json_mapping(self.name, file)
        own_code = [value for key, value in (document.get("auto_map") or {}).items() if key in _OWN_CODE]
        if own_code:
            raise UserError(
                f"{self.name}: {file} says that its model is code in the folder (auto_map: {own_code[0]}), and code "
                "from a checkpoint is never run here. Convert it to an architecture that transformers has, and take "
                "auto_map out."
            )
        if kernels := [name for name in _attentions(document) if "/" in name]:
            raise UserError(
                f"{self.name}: {file} asks for the attention '{kernels[0]}', which is code to be downloaded, and none "
                "is run here. Take attn_implementation out of it; the weights do not depend on it."
            )
        import_models()
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(self.path, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # an unknown model_type, values out of range, wrong types: each its own kind
            raise UserError(
                f"{self.name}: transformers can't use {file} (model_type {document.get('model_type')!r}): "
                f"{' '.join(str(error).split())[:300]} Expected the configuration of a model that transformers has."
            ) from None

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter by its name in the model, tied ones once."""
        expected = {name: tuple(p.shape) for name, p in self.meta.named_parameters()}
        headers = self._headers_in_model
        found = {name: tuple(tensor.shape) for name, tensor in headers.items()}
        wrong = [f"{n} is missing" for n in expected if n not in found]
        wrong += [
            f"{n} is {list(found[n])}, config.json asks for {list(s)}"
            for n, s in expected.items()
            if found.get(n, s) != s
        ]
        wrong += [f"{n} is no parameter of {self.architecture}" for n in found if n not in expected]
        if wrong:
            quantised = getattr(self.config, "quantization_config", None)
            raise UserError(
                f"{self.name}: the weights in {self.path} do not fit its config.json: {listed(wrong, 4)}. "
                + (_QUANTISED if quantised else "Take config and weights from the same checkpoint.")
            )
        for name, tensor in headers.items():
            if not tensor.is_floating_point():
                raise UserError(
                    f"{self.name}: {name} in {self.path} is stored as {_dtype(tensor)}; expected float32, float16 or "
                    f"bfloat16. {_QUANTISED}"
                )
        return {name: found[name] for name in expected}

    @cached_property
    def _headers_in_model(self) -> dict[str, torch.Tensor]:
        """`headers` of every parameter by its name in the model, of what is no parameter by its stored one."""
        found = {name: self.headers[stored] for name, stored in canonical_names(self.meta, self.headers).items()}
        for part in self.joined:
            try:
                found |= part.make(self.meta, self.headers.__getitem__)
            except Exception:  # transformers raises many kinds here; its pieces are named as what does not fit
                found |= {stored: self.headers[stored] for _, stored in part.pieces}
        return found

    @property
    def left_in_file(self) -> list[str]:
        """Names of stored tensors that are no part of the model, as the layers that draft tokens (MTP)."""
        return left_in_file(self.meta, self.headers)

    @cached_property
    def joined(self) -> list[Joined]:
        """The parameters that are stored in other pieces."""
        return joined(self.meta, self.headers)

    @cached_property
    def headers(self) -> dict[str, torch.Tensor]:
        """Every stored tensor without its contents by its own name in the files."""
        return {name: tensor.to("meta") for _, name, tensor in self._stored(headers_only=True)}

    @cached_property
    def meta(self) -> nn.Module:
        """The model without memory for its weights. Raises UserError for what is no causal language model."""
        file = self.path / "config.json"
        declared = (self.config.architectures or [""])[0]
        try:
            meta = meta_model(self.config.to_json_string())
        except Exception as error:  # transformers raises many kinds here; all mean the same to the user
            kind = declared or type(self.config).__name__
            raise UserError(
                f"{self.name}: transformers has no causal language model for {file} ({kind}): "
                f"{' '.join(str(error).split())[:200]}"
            ) from None
        # A masked language model has the same weights as the causal one of its family: its numbers would mean nothing.
        if declared and "LM" in declared and declared != type(meta).__name__ and not _CAUSAL.search(declared):
            raise UserError(
                f"{self.name}: {file} declares {declared}; expected a causal language model such as "
                f"{type(meta).__name__}. Take another checkpoint."
            )
        return meta

    @cached_property
    def architecture(self) -> str:
        """The name of the model class, for example LlamaForCausalLM."""
        return type(self.meta).__name__

    @cached_property
    def vocabulary(self) -> int:
        """Number of rows of the output embedding."""
        return int(self.meta.get_output_embeddings().weight.shape[0])  # type: ignore[operator]

    @cached_property
    def positions(self) -> int | None:
        """The longest text the model reads at once, in tokens; None where its configuration does not say."""
        text = self.config.get_text_config()
        limit = getattr(text, "max_position_embeddings", getattr(text, "max_seq_len", None))  # MPT's name for it
        return limit and limit - positions_of_padding(self.meta)

    @cached_property
    def heads(self) -> tuple[tuple[str, Any], ...]:
        """What the shapes leave open: the same matrix is cut into heads of this number."""
        text = self.config.get_text_config()
        layers = text.per_layer_config if getattr(text, "is_heterogeneous", False) else None

        def value(key: str) -> Any:
            return str([getattr(c, key, None) for c in layers]) if layers else getattr(text, key, None)

        return tuple((key, value(key)) for key in ("num_attention_heads", "num_key_value_heads"))

    @property
    def parameters(self) -> int:
        """Number of weights, tied ones once."""
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())

    @cached_property
    def dtype(self) -> str:
        """The stored dtype, or the several joined by '+'."""
        return "+".join(sorted(set(map(_dtype, self._headers_in_model.values()))))

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The weight files in the order of the index; safetensors are preferred to pickles."""
        kind = next((name for name in _FILES if (self.path / name).is_file()), None)
        if kind is None:
            raise UserError(
                f"{self.name}: {self.path} has no weights; expected one of {', '.join(_FILES)}. "
                "Download or copy them there."
            )
        if not kind.endswith(".index.json"):
            return (self.path / kind,)
        weight_map = json_mapping(self.name, self.path / kind).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
            raise UserError(
                f"{self.name}: {self.path / kind} is not an index of weight files; expected a 'weight_map' of "
                "parameter names to file names. Download or copy it again."
            )
        names = dict.fromkeys(weight_map.values())
        if outside := [name for name in names if Path(name).name != name]:
            raise UserError(f"{self.name}: {kind} names '{outside[0]}', which lies outside {self.path}.")
        if missing := [name for name in names if not (self.path / name).is_file()]:
            raise UserError(
                f"{self.name}: {self.path / kind} names {', '.join(missing)}, missing from the folder. "
                "Download or copy again."
            )
        return tuple(self.path / name for name in names)

    @cached_property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)

    @cached_property
    def tokenizer(self) -> Any:
        if not any(_TOKENIZER_FILE.search(file.name) for file in self.path.iterdir()):
            raise UserError(
                f"{self.name}: {self.path} holds no tokenizer. Copy the model's tokenizer files (tokenizer.json) there."
            )
        import_models()
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(self.path, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # transformers raises many kinds here; all mean the same to the user
            raise UserError(
                f"{self.name}: no tokenizer can be read from {self.path}: {first_line(error)} "
                "Copy the model's tokenizer files (tokenizer.json) there."
            ) from None

    @cached_property
    def vocabulary_digest(self) -> str:
        """SHA-256 of the token-to-id map."""
        file = self.path / "tokenizer.json"
        if file.is_file():
            try:
                return map_digest_of(file, file_digest(file))
            except Exception as error:  # the tokenizers library raises plain Exception
                raise UserError(
                    f"{self.name}: {file} is not a tokenizer: {first_line(error)} Download or copy it again."
                ) from None
        return map_digest(self.tokenizer.get_vocab())

    @cached_property
    def digest_of_tokenizer(self) -> str:
        """SHA-256 of the tokenizer's files: equal digests give equal token ids for every text."""
        found = sorted(f for f in self.path.iterdir() if _TOKENIZER_FILE.search(f.name) and f.is_file())
        return hashlib.sha256("".join(map(file_digest, found)).encode()).hexdigest()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the contents of config, weights and tokenizer: what a loss depends on."""
        parts = [*map(file_digest, [*self.files, self.path / "config.json"]), self.digest_of_tokenizer]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def check_files(self) -> None:
        """Raise UserError where weights that were fetched, or converted then, are no longer what they were.

        Their digests are taken anyway, for the keys of results: once in a process, and again for a changed file.
        """
        if (known := origin(self.path)) is None:
            return
        for file in self.files:
            recorded, found = known.sums.get(file.name), file_digest(file)
            if recorded and recorded != found:
                raise UserError(
                    f"{self.name}: {file} was damaged or changed since it was fetched: its SHA-256 is {found[:12]}…, "
                    f"and {recorded[:12]}… was recorded. `interference hub fetch {known.which}` gets it "
                    f"{'and converts it ' if file.name in known.converted else ''}anew."
                )

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every parameter under its name in the model, in its stored dtype, on the CPU, one at a time.

        Raises UserError if one holds a value that is not finite, or if a tied copy is not equal to its original.
        """
        names = {stored: name for name, stored in canonical_names(self.meta, self.headers).items()}
        twins = stored_twins(self.meta, self.headers)
        part_of = {stored: part for part in self.joined for _, stored in part.pieces}
        held: dict[str, torch.Tensor] = {}
        for file, stored, tensor in self._stored():
            if stored in names or stored in twins or stored in part_of:
                check_finite(self.name, stored, tensor, file)
            if stored in twins:  # the first of the two is kept until the second comes: one tensor more in memory
                other = held.pop(twins[stored], None)
                if other is None:
                    held[stored] = tensor
                else:
                    check_tied(self.name, stored, twins[stored], torch.equal(other, tensor), self.path)
            if stored in names:
                yield names[stored], tensor
            elif part := part_of.get(stored):  # pieces are kept until the last of theirs comes
                held[stored] = tensor
                if all(piece in held for _, piece in part.pieces):
                    yield from part.make(self.meta, held.pop).items()

    def _stored(self, headers_only: bool = False) -> Iterator[tuple[Path, str, torch.Tensor]]:
        """Every tensor of every file with the file's path and its own name there; of safetensors at will without its
        contents."""
        if not headers_only:
            self.check_files()
        for file in self.files:
            try:
                contents = read_safetensors(file, headers_only) if file.suffix == ".safetensors" else read_pickle(file)
                for name, content in contents:
                    yield file, name, content
            except UserError as error:
                raise UserError(f"{self.name}: {error}") from None
            except Exception as error:  # damaged bytes make the readers raise whatever they trip over
                size = file.stat().st_size if file.exists() else 0
                raise UserError(
                    f"{self.name}: {file} can't be read ({size:,} bytes; truncated or not a weight file?): "
                    f"{first_line(error)} Download or copy it again."
                ) from None


_QUANTISED = "Quantised weights can't be merged: take the checkpoint before quantisation."
_OWN_CODE = ("AutoConfig", "AutoModel", "AutoModelForCausalLM")
_CAUSAL = re.compile("CausalLM|LMHead", re.IGNORECASE)


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _attentions(document: Any, here: bool = False) -> list[str]:
    """Every attention that a config.json asks for, also in its parts, where one may be a mapping of parts to names."""
    if not isinstance(document, dict):
        return [str(document)] if here else []
    return [n for key, part in document.items() for n in _attentions(part, here or "attn_implementation" in key)]
