"""The model that a configuration describes, and which stored tensor is which of its parameters."""

import functools
import json
import threading
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

# Buffers that earlier versions of transformers stored and today's models no longer have.
_OLD_BUFFERS = (".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias")


def canonical_names(meta: nn.Module, stored: Iterable[str]) -> dict[str, str]:
    """Parameter name in the model -> name in the file. Buffers are left out, and tied copies of what is stored."""
    parameters, twins = _names(meta)
    buffers = {name for name, _ in meta.named_buffers()}
    names, copies = {}, {}
    for name, stored_name in _in_model(meta, stored).items():
        if name in twins:
            copies[twins[name]] = stored_name
        elif name in parameters or not (name in buffers or name.endswith(_OLD_BUFFERS)):
            names[name] = stored_name
    return copies | names


def stored_twins(meta: nn.Module, stored: Iterable[str]) -> dict[str, str]:
    """Names in the file of tied tensors that are both stored, each to the other."""
    in_model = _in_model(meta, stored)
    both = [(in_model[a], in_model[b]) for a, b in _names(meta)[1].items() if a in in_model and b in in_model]
    return dict(both) | {b: a for a, b in both}


def _in_model(meta: nn.Module, stored: Iterable[str]) -> dict[str, str]:
    """Name in the model -> name in the file: the language-model class puts a prefix before its body's names.

    GPT-2 checkpoints are often stored without it.
    """
    parameters, twins = _names(meta)
    known, prefix = {*parameters, *twins, *(name for name, _ in meta.named_buffers())}, meta.base_model_prefix
    return {f"{prefix}.{n}" if n not in known and f"{prefix}.{n}" in known else n: n for n in stored}


def _names(meta: nn.Module) -> tuple[set[str], dict[str, str]]:
    """Parameter names of the model, tied ones once; and each tied copy's name to that of its original."""
    originals = {id(parameter): name for name, parameter in meta.named_parameters()}
    every = meta.named_parameters(remove_duplicate=False)
    return set(originals.values()), {n: originals[id(p)] for n, p in every if originals[id(p)] != n}


def tied_names(meta: nn.Module) -> frozenset[str]:
    """Names that share their tensor with another name."""
    twins = _names(meta)[1]
    return frozenset({*twins, *twins.values()})


@functools.lru_cache(maxsize=16)
def meta_model(config_json: str) -> nn.Module:
    import_models()
    from transformers import AutoConfig

    values = json.loads(config_json)
    return build(AutoConfig.for_model(values.pop("model_type"), **values), "meta")


def build(config: Any, device: str | torch.device = "cpu") -> nn.Module:
    """A model of this configuration in float32 with arbitrary weights, in evaluation mode.

    Its attention is sdpa, or eager where the architecture has no sdpa, whatever the configuration asks for.
    """
    import_models()
    from transformers import AutoModelForCausalLM as Kind

    # No attention named is transformers' own choice of the two, for each part of a model; but releases of it take sdpa
    # for architectures that cap attention's logits, and sdpa leaves the cap out without a word.
    attention = "eager" if getattr(config, "attn_logit_softcapping", None) else None
    with torch.device(device):
        return Kind.from_config(
            config, attn_implementation=attention, dtype=torch.float32, trust_remote_code=False
        ).eval()


def import_models() -> None:
    """Import what reading and building models needs of transformers: seconds, and the same ones at first use.

    One thread at a time: transformers imports its parts when they are asked for, and fails where two threads ask.
    """
    with _IMPORTING:
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer  # noqa: F401
        from transformers.models.llama import modeling_llama  # noqa: F401 - the built-in suite's


_IMPORTING = threading.Lock()
