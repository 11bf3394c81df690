"""Which part of a model a parameter is, told from its name."""

import re
from collections.abc import Iterable

GROUPS = ("embeddings", "attention", "mlp", "norms", "head", "other")
LAYER_AXIS = "layer (the first is 0)"  # titles of axes: layers are counted as in parameter names and in layer_range
_LAYER = re.compile(r"(?<![^.])(layers?|h|blocks?)\.(\d+)(?=\.)")
_WORDS = {  # the first group with a match is the parameter's: `self_attn.q_norm` is a norm, `embed_out` a head
    "norms": re.compile(r"norm|(?<![^._])ln\d?(_|\.|$)", re.IGNORECASE),
    "head": re.compile(r"(?<![^.])(lm_head|head|embed_out|output|score)\."),
    "embeddings": re.compile(r"embed|(?<![^.])(wte|wpe)\."),
    "attention": re.compile(r"attn|attention|mixer|mamba|temporal_block|mlstm"),
    "mlp": re.compile(r"mlp|ffn|feed_forward|experts|moe|(?<![^.])(fc1|fc2)\."),
}
_BESIDE_TEXT = re.compile(r"(^|[._])(vision|visual|image|audio|speech|multi_modal|vqmodel)")


def group_of(name: str) -> str:
    """One of GROUPS, for the parameter names of Llama, Mistral, Qwen, Gemma, GPT-2, GPT-NeoX, OPT, BLOOM and kin."""
    return "other" if beside_text(name) else next((g for g, words in _WORDS.items() if words.search(name)), "other")


def beside_text(name: str) -> bool:
    """Whether a parameter belongs to what reads images or sound in a model that also does, as Gemma 3's vision tower:
    no text passes through it."""
    return _BESIDE_TEXT.search(name) is not None


def layer_of(name: str) -> int | None:
    """The index of the parameter's layer; None for embeddings, final norm and head, and outside the text model."""
    found = None if beside_text(name) else _LAYER.search(name)
    return int(found[2]) if found else None


def at_layer(name: str, layer: int) -> str:
    """The name of the same parameter in another layer."""
    return _LAYER.sub(lambda found: f"{found[1]}.{layer}", name, count=1)


def depth_of(names: Iterable[str]) -> int:
    """Number of layers of the model that has these parameters."""
    return 1 + max((layer for name in names if (layer := layer_of(name)) is not None), default=-1)


def opens(name: str) -> bool:
    """Whether a parameter outside the layers is used before them, as embeddings are, rather than after."""
    return group_of(name) != "head" and ("embed" in name or group_of(name) == "embeddings")
