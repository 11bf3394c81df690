"""Causal models of many kinds, tiny and random: a checkpoint and a merge are those of transformers, and as written."""

from typing import Any

import pytest
import torch
from conftest import other, write_checkpoint
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM

from interference.dev import DevHalf
from interference.export import write_merge
from interference.networks import Networks
from interference.recipe import Recipe
from interference.suite import suite_of_paths

CPU = torch.device("cpu")
SMALL = {
    "num_key_value_heads": 4, "head_dim": 8, "n_positions": 64, "max_position_embeddings": 64, "ffn_dim": 48,
    "d_model": 32, "word_embed_proj_dim": 32, "decoder_layers": 2, "decoder_ffn_dim": 48, "encoder_layers": 2,
    "rotary_dim": 4, "state_size": 4, "attention_hidden_size": 32, "query_pre_attn_scalar": 8, "num_local_experts": 4,
    "num_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "n_group": 1,
    "topk_group": 1, "first_k_dense_replace": 1, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4, "v_head_dim": 8, "decoder_attention_heads": 4, "mamba_n_heads": 4, "mamba_d_head": 16,
    "n_shared_experts": 1,
}  # fmt: skip
KINDS = (
    "apertus", "arcee", "bamba", "bart", "biogpt", "bitnet", "bloom", "codegen", "cohere", "cohere2", "ctrl",
    "deepseek_v2", "deepseek_v3", "diffllama", "dots1", "ernie4_5", "ernie4_5_moe", "exaone4", "exaone_moe", "falcon",
    "falcon_mamba", "flex_olmo", "gemma", "gemma2", "gemma3_text", "glm", "glm4", "glm4_moe", "gpt2", "gpt_bigcode",
    "gpt_neox", "gpt_oss", "gptj", "granite", "granitemoe", "helium", "hrm_text", "jamba", "jetmoe", "llama4_text",
    "mamba", "marian", "minimax", "ministral", "mistral", "mixtral", "mpt", "nemotron", "olmo", "olmo2", "olmo3",
    "olmo_hybrid", "olmoe", "openai-gpt", "opt", "persimmon", "phi", "phi3", "phimoe", "qwen2", "qwen2_moe", "qwen3",
    "qwen3_moe", "rwkv", "smollm3", "stablelm", "starcoder2", "xglm",
)  # fmt: skip


def tiny(kind: str, seed: int) -> Any:
    """With numbers of its own in what is stored as buffers too."""
    usual = AutoConfig.for_model(kind)
    sizes = {key: size for key, size in SMALL.items() if isinstance(getattr(usual, key, ""), int | None)}
    sizes = {key: size for key, size in sizes.items() if not isinstance(getattr(type(usual), key, None), property)}
    if "qk_rope_head_dim" in sizes:
        sizes["head_dim"] = sizes["qk_rope_head_dim"]
    model = other(kind, seed, **sizes)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.normal_()
    return model


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in CONFIG_MAPPING])
def test_a_checkpoint_and_a_merge_are_those_of_transformers(kind, tokenizer, tmp_path):
    paths = tuple(str(write_checkpoint(tiny(kind, seed), tokenizer, tmp_path / f"m{seed}")) for seed in (1, 2))
    suite, recipe = suite_of_paths(paths), Recipe("linear", paths, (0.5, 0.5), out_dtype="float32")
    one, two = (AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval() for path in paths)
    networks, ids = Networks(suite, CPU, DevHalf(suite, CPU)), torch.tensor([[0, 3, 1, 4, 1, 5, 9, 2, 6]])

    def logits(model: Any) -> torch.Tensor:
        with torch.no_grad():
            return model(input_ids=ids, use_cache=False).logits.log_softmax(-1)

    torch.testing.assert_close(logits(networks.put(paths[0])), logits(one), rtol=1e-4, atol=1e-4)
    other_state = two.state_dict()
    mean = {name: (t + other_state[name]) / 2 if t.is_floating_point() else t for name, t in one.state_dict().items()}
    one.load_state_dict(mean)
    assert (logits(one) - logits(two)).abs().max() > 0.01
    torch.testing.assert_close(logits(networks.put(recipe)), logits(one), rtol=1e-4, atol=1e-4)
    written = AutoModelForCausalLM.from_pretrained(
        write_merge(recipe, suite, tmp_path / "out", CPU), attn_implementation="eager"
    )
    torch.testing.assert_close(logits(written.eval()), logits(one), rtol=1e-4, atol=1e-4)
