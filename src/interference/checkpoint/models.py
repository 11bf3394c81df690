"""The model that a configuration describes, and which stored tensor is which of its parameters."""

import copy
import functools
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from interference.groups import beside_text

# Buffers that earlier versions of transformers stored and today's models no longer have.
_OLD_BUFFERS = (".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias")


@dataclass(frozen=True)
class Joined:
    """Parameters stored in other pieces than the model has, as a layer's experts are, and what makes them of those."""

    converter: Any  # of transformers
    first: str  # the first parameter that it makes
    pieces: tuple[tuple[str, str], ...]  # pattern of the converter, name in the file

    def make(self, meta: nn.Module, read: Callable[[str], Tensor]) -> dict[str, Tensor]:
        """The parameters by name. Raises what transformers does where the pieces do not fit."""
        converter = copy.deepcopy(self.converter)  # it keeps what it is given
        for pattern, stored in self.pieces:
            converter.add_tensor(self.first, stored, pattern, read(stored))
        made = converter.convert(self.first, model=meta, config=meta.config)
        return {name: found[0] if isinstance(found, list) else found for name, found in made.items()}


def joined(meta: nn.Module, stored: Iterable[str]) -> list[Joined]:
    """What has to be made of several stored tensors, or of a part of one."""
    return [Joined(converter, first, tuple(pieces)) for (first, converter), pieces in _pieces(meta, stored).items()]


def _pieces(meta: nn.Module, stored: Iterable[str]) -> dict[tuple[str, Any], list[tuple[str, str]]]:
    """By the first parameter that is made, and its converter."""
    if not (today := _renamed(meta, stored)):
        return {}
    from transformers.core_model_loading import WeightConverter, dot_natural_key

    known, converters = _known(meta), [c for c in _conversions(meta) if isinstance(c, WeightConverter)]
    found: defaultdict[tuple[str, Any], list[tuple[str, str]]] = defaultdict(list)
    for name in sorted(today, key=dot_natural_key):  # experts in the order of their numbers
        renamed = today[name]
        for converter in converters if renamed not in known else ():
            first, pattern = converter.rename_source_key(renamed)
            if pattern is not None:
                found[_in_body(meta, known, first), converter].append((pattern, name))
                break
    left_out = _left_out(meta, known)
    return {key: pieces for key, pieces in found.items() if key[0] in known or not left_out(key[0])}


def _left_out(meta: nn.Module, known: set[str]) -> Callable[[str], bool]:
    """Whether transformers leaves in the file what the model has not: layers that draft tokens (MTP), the vision tower
    of a model of which it builds the text model alone."""
    patterns: Iterable[str] = getattr(meta, "_keys_to_ignore_on_load_unexpected", None) or ()
    left, tower = [re.compile(pattern) for pattern in patterns], not any(map(beside_text, known))
    return lambda name: any(pattern.search(name) for pattern in left) or (tower and beside_text(name))


def canonical_names(meta: nn.Module, stored: Iterable[str]) -> dict[str, str]:
    """Parameter name in the model -> name in the file, of what is stored whole.

    Buffers are left out, and tied copies of what is stored.
    """
    parameters, twins = _names(meta)
    buffers = {name for name, _ in meta.named_buffers()}
    names, copies = {}, {}
    for name, stored_name in _in_model(meta, stored).items():
        if name in twins:
            copies[twins[name]] = stored_name
        elif name in parameters or not (name in buffers or name.endswith(_OLD_BUFFERS)):
            names[name] = stored_name
    return copies | names


def left_in_file(meta: nn.Module, stored: Iterable[str]) -> list[str]:
    """Stored tensors that the model has no use for and transformers leaves too; sorted."""
    known, stored = _known(meta), list(stored)
    left_out = _left_out(meta, known)
    renamed = {name: _in_body(meta, known, today) for name, today in _renamed(meta, stored).items()}
    return sorted(name for name, today in renamed.items() if today not in known and left_out(today))


def stored_twins(meta: nn.Module, stored: Iterable[str]) -> dict[str, str]:
    """Names in the file of tied tensors that are both stored, each to the other."""
    in_model = _in_model(meta, stored)
    both = [(in_model[a], in_model[b]) for a, b in _names(meta)[1].items() if a in in_model and b in in_model]
    return dict(both) | {b: a for a, b in both}


def _in_model(meta: nn.Module, stored: Iterable[str]) -> dict[str, str]:
    """Name in the model -> name in the file, of what is stored whole."""
    stored, known = list(stored), _known(meta)
    pieces = {piece for found in _pieces(meta, stored).values() for _, piece in found}
    today = {name: name for name in stored if name in known} | _renamed(meta, stored)
    found = {_in_body(meta, known, renamed): name for name, renamed in today.items() if name not in pieces}
    left_out = _left_out(meta, known)
    return {name: stored_name for name, stored_name in found.items() if name in known or not left_out(name)}


def _in_body(meta: nn.Module, known: set[str], name: str) -> str:
    """The language-model class puts a prefix before its body's names; GPT-2 checkpoints are often stored without it.

    And the text model of Llama 4 is stored with that of the whole model, which it has not.
    """
    prefix = f"{meta.base_model_prefix}."
    return next((n for n in (name, prefix + name, name.removeprefix(prefix)) if n in known), name)


def _renamed(meta: nn.Module, stored: Iterable[str]) -> dict[str, str]:
    """What is stored under a name that the model has not, by what transformers calls it today, as GPT-NeoX's head."""
    known = _known(meta)
    if not (names := {name: name for name in stored if name not in known}):
        return {}
    from transformers.core_model_loading import WeightRenaming

    for renaming in _conversions(meta):
        if isinstance(renaming, WeightRenaming):
            names = {name: renaming.rename_source_key(today)[0] for name, today in names.items()}
    return names


def _conversions(meta: nn.Module) -> list[Any]:
    from transformers.conversion_mapping import get_model_conversion_mapping

    return get_model_conversion_mapping(meta)  # type: ignore[arg-type]


def _known(meta: nn.Module) -> set[str]:
    """Names of parameters, tied copies and buffers."""
    parameters, twins = _names(meta)
    return {*parameters, *twins, *(name for name, _ in meta.named_buffers())}


def _names(meta: nn.Module) -> tuple[set[str], dict[str, str]]:
    """Parameter names of the model, tied ones once; and each tied copy's name to that of its original."""
    originals = {id(parameter): name for name, parameter in meta.named_parameters()}
    every = meta.named_parameters(remove_duplicate=False)
    return set(originals.values()), {n: originals[id(p)] for n, p in every if originals[id(p)] != n}


class Storing:
    """Parameters under the names and in the pieces in which transformers stores them, which others read too."""

    def __init__(self, meta: nn.Module, shapes: Mapping[str, tuple[int, ...]]):
        self._meta = meta
        whole = self._stored({name: torch.empty(shape, device="meta") for name, shape in shapes.items()})
        self.shapes = {name: tuple(tensor.shape) for name, tensor in whole.items()}
        self._of = {stored: [name] for name, stored in canonical_names(meta, whole).items()}
        for part in joined(meta, whole):
            made = list(part.make(meta, whole.__getitem__))
            self._of |= {stored: made for _, stored in part.pieces}
        self._made: dict[str, Tensor] = {}  # what is stored beside each other is asked for so

    def _stored(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        from transformers.core_model_loading import revert_weight_conversion

        return revert_weight_conversion(self._meta, parameters)  # type: ignore[arg-type]

    def tensor(self, stored: str, parameter: Callable[[str], Tensor]) -> Tensor:
        """One stored tensor, given what gives each parameter."""
        if stored not in self._made:
            self._made.clear()
            self._made = self._stored({name: parameter(name) for name in self._of[stored]})
        return self._made.pop(stored)


def tied_names(meta: nn.Module) -> frozenset[str]:
    """Names that share their tensor with another name."""
    twins = _names(meta)[1]
    return frozenset({*twins, *twins.values()})


@functools.lru_cache(maxsize=16)
def meta_model(config_json: str) -> nn.Module:
    import_models()
    from transformers import AutoConfig

    values = json.loads(config_json, object_hook=_number)
    return build(AutoConfig.for_model(values.pop("model_type"), **values), "meta")


def _number(value: dict[str, Any]) -> Any:
    """What transformers writes for numbers that JSON has not."""
    return float(value["__float__"]) if value.keys() == {"__float__"} else value


def build(config: Any, device: str | torch.device = "cpu") -> nn.Module:
    """A model of this configuration in float32 with arbitrary weights, in evaluation mode; it has a copy of it.

    Its attention is sdpa, or eager where the architecture has no sdpa, whatever the configuration asks for.
    """
    import_models()
    config = copy.deepcopy(config)  # transformers writes the dtype into it
    from transformers import AutoModelForCausalLM as Kind

    # No attention named is transformers' own choice of the two, for each part of a model; but releases of it take sdpa
    # for architectures that cap attention's logits, and sdpa leaves the cap out without a word.
    attention = "eager" if getattr(config.get_text_config(), "attn_logit_softcapping", None) else None
    place = torch.device(device)
    with torch.random.fork_rng([place] if place.type == "cuda" else []), place:  # the caller's seed is the caller's
        network = Kind.from_config(config, attn_implementation=attention, dtype=torch.float32, trust_remote_code=False)
    _own_what_is_stored(network)
    return network.eval()


def _own_what_is_stored(network: nn.Module) -> None:
    """Make parameters of the numbers that are stored as buffers: a router's biases are learned, by other means."""
    for module in network.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_floating_point() and name not in module._non_persistent_buffers_set:
                delattr(module, name)
                module.register_parameter(name, nn.Parameter(buffer, requires_grad=False))


def reads_ahead(network: nn.Module) -> bool:
    """Whether a token changes what is predicted before it, as in encoders that transformers builds as causal too.

    Seen of arbitrary weights: causal models differ by less than 1e-7 of the logits' deviation, encoders by over 1e-3.
    """
    embeddings = network.get_input_embeddings().weight  # type: ignore[operator]
    ids = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]], device=embeddings.device) % len(embeddings)
    with torch.no_grad():
        logits = network(input_ids=ids, use_cache=False).logits[:, :3].float()
    return bool((logits[0] - logits[1]).abs().max() > 1e-4 * logits.std())


def positions_of_padding(network: nn.Module) -> int:
    """How many of a model's positions no token has: RoBERTa and kin count them from after the padding token's number,
    and keep a row for that."""
    named = ((name.rpartition(".")[2], module) for name, module in network.named_modules())
    found = [m.padding_idx for name, m in named if name == "position_embeddings" and isinstance(m, nn.Embedding)]
    return next((index + 1 for index in found if index is not None), 0)


def import_models() -> None:
    """Import what reading and building models needs of transformers: seconds, and the same ones at first use.

    One thread at a time: transformers imports its parts when they are asked for, and fails where two threads ask.
    """
    with _IMPORTING:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer  # noqa: F401
        from transformers.models.llama import modeling_llama  # noqa: F401 - the built-in suite's


_IMPORTING = threading.Lock()
