"""Parts and layers told from parameter names, on models that transformers itself builds."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from interference.groups import GROUPS, at_layer, depth_of, group_of, layer_of, opens

SMALL = {
    "llama": {"num_key_value_heads": 2}, "mistral": {"num_key_value_heads": 2}, "qwen2": {"num_key_value_heads": 2},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8}, "gemma3_text": {"num_key_value_heads": 2, "head_dim": 8},
    "gpt2": {}, "gpt_neox": {}, "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32}, "bloom": {}, "phi": {},
    "gptj": {"rotary_dim": 4}, "falcon": {}, "olmo2": {"num_key_value_heads": 2},
    "mixtral": {"num_key_value_heads": 2, "num_local_experts": 2},
}  # fmt: skip


def names(kind: str) -> list[str]:
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 64}
    sizes |= {"tie_word_embeddings": False, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1}
    config = AutoConfig.for_model(kind, **(sizes | SMALL[kind]))
    with torch.device("meta"):
        return [name for name, _ in AutoModelForCausalLM.from_config(config).named_parameters()]


@pytest.mark.parametrize("kind", SMALL)
def test_every_parameter_has_its_part(kind):
    """Each group is found, nothing is `other`, and what stands in no layer is embeddings, norm or head."""
    found = {name: group_of(name) for name in names(kind)}
    assert set(found.values()) == set(GROUPS) - {"other"}
    assert {g for n, g in found.items() if layer_of(n) is None} <= {"embeddings", "norms", "head"}
    assert {g for n, g in found.items() if layer_of(n) is not None} == {"attention", "mlp", "norms"}


@pytest.mark.parametrize("kind", SMALL)
def test_layers_are_numbered_and_can_be_renamed(kind):
    """Moving every parameter of layer 0 to layer 2 gives exactly the parameters of layer 2."""
    all_names = names(kind)
    assert depth_of(all_names) == 3
    moved = {at_layer(n, 2) for n in all_names if layer_of(n) == 0}
    assert moved == {n for n in all_names if layer_of(n) == 2}


@pytest.mark.parametrize("kind", SMALL)
def test_embeddings_come_before_the_layers_and_norm_and_head_after(kind):
    outside = [n for n in names(kind) if layer_of(n) is None]
    first = [n for n in outside if opens(n)]
    assert first
    assert all("embed" in n or "wte" in n or "wpe" in n for n in first)
    assert {group_of(n) for n in outside if not opens(n)} >= {"head"}


@pytest.mark.parametrize(
    ("name", "group", "layer"),
    [
        ("model.layers.3.self_attn.q_norm.weight", "norms", 3),
        ("model.layers.3.block_sparse_moe.experts.7.w1.weight", "mlp", 3),
        ("transformer.h.11.attn.c_attn.weight", "attention", 11), ("transformer.ln_f.weight", "norms", None),
        ("embed_out.weight", "head", None), ("transformer.word_embeddings_layernorm.bias", "norms", None),
        ("model.vision_tower.encoder.layers.3.self_attn.q_proj.weight", "other", None),
        ("model.language_model.layers.3.self_attn.q_proj.weight", "attention", 3),
        ("model.embed_audio.embedding_projection.weight", "other", None), ("something.else", "other", None),
    ],
)  # fmt: skip
def test_names_that_could_be_two_things(name, group, layer):
    assert group_of(name) == group
    assert layer_of(name) == layer


def test_names_without_layers_have_depth_zero():
    assert depth_of(["lm_head.weight"]) == 0
