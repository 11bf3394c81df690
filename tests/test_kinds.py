"""Causal models of many kinds, tiny and random: a checkpoint and a merge are those of transformers, and as written."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import other, write_checkpoint
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from interference.checkpoint import Checkpoint
from interference.dev import DevHalf
from interference.errors import UserError
from interference.export import write_merge
from interference.groups import depth_of
from interference.networks import Networks
from interference.recipe import Recipe, Slice
from interference.suite import open_suite, suite_of_paths

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

OWN: dict[str, dict[str, Any]] = {  # kinds that need sizes that fit each other
    "falcon_h1": {
        "mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8,
        "num_key_value_heads": 2, "head_dim": 8,
    },
    "gemma4_text": {
        "num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2, "num_kv_shared_layers": 2,
        "head_dim": 8, "global_head_dim": 16, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 259,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "num_heads": 4, "window_size": 8},
    "lfm2_moe": {
        "layer_types": ["conv", "full_attention"], "num_dense_layers": 1, "num_key_value_heads": 2, "num_experts": 4,
        "num_experts_per_tok": 2, "moe_intermediate_size": 16,
    },
    "mamba2": {"num_heads": 8, "head_dim": 8, "expand": 2, "state_size": 8, "n_groups": 1, "chunk_size": 8},
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "moe"], "num_key_value_heads": 2, "head_dim": 8, "n_groups": 1,
        "n_routed_experts": 4, "moe_intermediate_size": 16, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2,
    },
    "cohere_compass_text": {
        "num_key_value_heads": 2, "head_dim": 8,
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}},
    },
    "xmod": {"is_decoder": True, "languages": ["en_XX", "de_DE"], "default_language": "en_XX"},
    "zamba": {
        "num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid"] * 2, "attention_hidden_size": 64,
        "attention_head_dim": 16, "mamba_d_state": 8, "mamba_dt_rank": 4, "num_key_value_heads": 4,
        "use_mamba_kernels": False,  # older ones of transformers do not go without by themselves
    },
    "zamba2": {
        "num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid"] * 2, "num_mem_blocks": 1, "mamba_d_state": 8,
        "mamba_headdim": 8, "n_mamba_heads": 8, "mamba_ngroups": 1, "mamba_expand": 2, "attention_hidden_size": 64,
        "attention_head_dim": 16, "num_key_value_heads": 4, "chunk_size": 8,
    },
}  # fmt: skip


def tiny(kind: str, seed: int) -> Any:
    """With numbers of its own in what is stored as buffers too."""
    usual = AutoConfig.for_model(kind)
    sizes = {} if kind in OWN else {k: v for k, v in SMALL.items() if isinstance(getattr(usual, k, ""), int | None)}
    sizes = {key: size for key, size in sizes.items() if not isinstance(getattr(type(usual), key, None), property)}
    sizes |= OWN.get(kind, {})
    if "qk_rope_head_dim" in sizes:
        sizes["head_dim"] = sizes["qk_rope_head_dim"]
    model = other(kind, seed, **sizes)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.normal_()
    return model


def assert_as_transformers(paths: tuple[str, ...], out: Path) -> None:
    """Logits of the first checkpoint, of the mean of two, and of that as written."""
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
    written = AutoModelForCausalLM.from_pretrained(write_merge(recipe, suite, out, CPU), attn_implementation="eager")
    torch.testing.assert_close(logits(written.eval()), logits(one), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [kind for kind in (*KINDS, *OWN) if kind in CONFIG_MAPPING])
def test_a_checkpoint_and_a_merge_are_those_of_transformers(kind, tokenizer, tmp_path):
    paths = tuple(str(write_checkpoint(tiny(kind, seed), tokenizer, tmp_path / f"m{seed}")) for seed in (1, 2))
    assert_as_transformers(paths, tmp_path / "out")


TEXT = {
    "vocab_size": 259, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 8, "intermediate_size": 48, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
    "initializer_range": 0.2,
}  # fmt: skip
VISION = {
    "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 28,
    "patch_size": 14, "depth": 1, "num_heads": 2, "out_hidden_size": 32, "num_global_layers": 1,
    "intermediate_layers_indices": [0],
}  # fmt: skip
# What reads images too, of which transformers' causal model is the whole or the text model alone.
WHOLE: dict[str, dict[str, Any]] = {
    "gemma3": {"query_pre_attn_scalar": 8, "max_position_embeddings": 64},
    "llama4": {"num_local_experts": 4, "interleave_moe_layer_step": 2},
    "mllama": {"cross_attention_layers": [1]},
    "qwen3_5": {
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "layer_types": ["linear_attention", "full_attention"],
    },
}  # fmt: skip


def whole(kind: str, seed: int) -> Any:
    usual = AutoConfig.for_model(kind).vision_config
    sizes = {key: value for key, value in VISION.items() if hasattr(usual, key)}
    config = AutoConfig.for_model(kind, text_config=TEXT | WHOLE[kind], vision_config=sizes)
    torch.manual_seed(seed)
    return AutoModelForImageTextToText.from_config(config, dtype=torch.float32)


@pytest.mark.parametrize("kind", [kind for kind in WHOLE if kind in CONFIG_MAPPING])
def test_models_that_read_images_too_are_their_text_models(kind, tokenizer, tmp_path):
    """As transformers has them, and their layers are the text model's, without those of the tower."""
    paths = tuple(str(write_checkpoint(whole(kind, seed), tokenizer, tmp_path / f"m{seed}")) for seed in (1, 2))
    assert_as_transformers(paths, tmp_path / "out")
    checkpoint = Checkpoint("m", Path(paths[0]))
    assert depth_of(checkpoint.shapes) == 2
    assert checkpoint.heads == (("num_attention_heads", 4), ("num_key_value_heads", 2))
    left = checkpoint.left_in_file  # the tower, where the text model alone is built
    assert all("vision" in name or "visual" in name or "projector" in name for name in left)
    assert bool(left) == (kind != "gemma3")
    assert (f"Not in it: {len(left)} stored tensors" in (tmp_path / "out/README.md").read_text()) == bool(left)


def sliced(paths: tuple[str, ...], *ranges: tuple[int, int]) -> Recipe:
    """Layers of the first model, then of the second."""
    return Recipe("passthrough", slices=tuple(Slice((path,), (r,)) for path, r in zip(paths, ranges, strict=True)))


@pytest.mark.parametrize("kind", [kind for kind in ("gemma3", "qwen3_5") if kind in CONFIG_MAPPING])
def test_slices_are_of_the_text_model_and_its_kinds_of_layers(kind, tokenizer, tmp_path):
    """Two layers of one model and the second again, of another."""
    paths = tuple(str(write_checkpoint(whole(kind, seed), tokenizer, tmp_path / f"m{seed}")) for seed in (1, 2))
    suite, recipe, ids = suite_of_paths(paths), sliced(paths, (0, 2), (1, 2)), torch.tensor([[0, 3, 1, 4, 1, 5]])
    written = AutoModelForCausalLM.from_pretrained(write_merge(recipe, suite, tmp_path / "out", CPU)).eval()
    network = Networks(suite, CPU, DevHalf(suite, CPU)).put(recipe)
    assert depth_of(name for name, _ in network.named_parameters()) == 3
    assert dict(written.named_parameters()).keys() == dict(network.named_parameters()).keys()
    with torch.no_grad():
        found, wanted = (model(input_ids=ids, use_cache=False).logits for model in (network, written))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_layers_of_one_kind_do_not_stand_at_the_place_of_another(tokenizer, tmp_path):
    """The first layer of a DeepSeek has no experts, the second has."""
    paths = tuple(str(write_checkpoint(tiny("deepseek_v3", seed), tokenizer, tmp_path / f"m{seed}")) for seed in (1, 2))
    suite = suite_of_paths(paths)
    networks = Networks(suite, CPU, DevHalf(suite, CPU))
    networks.put(sliced(paths, (0, 2), (1, 2)))
    with pytest.raises(UserError, match="can't be made of the layers 1, 0 of"):
        networks.put(sliced(paths, (1, 2), (0, 1)))
    with pytest.raises(UserError, match="layers of this architecture differ in kind"):
        networks.put(Recipe("linear", slices=(Slice(paths, ((0, 1), (1, 2)), (0.5, 0.5)),)))


def test_information_leaves_out_what_is_not_learned_by_gradients(suite_folder, tokenizer, tmp_path):
    """A router's biases are merged all the same."""
    suite = open_suite(suite_folder)
    path = write_checkpoint(tiny("deepseek_v3", 1), tokenizer, tmp_path / "m")
    dev = DevHalf(replace(suite_of_paths((str(path),)), corpus=suite.corpus), CPU)
    information = partial(dev.source, "fisher")
    assert not information(str(path), "model.layers.1.mlp.gate.e_score_correction_bias").any()
    assert information(str(path), "model.layers.1.mlp.gate.weight").any()


def test_readme_says_how_many_kinds_are_tried():
    assert f"tries {len({*KINDS, *OWN, *WHOLE})} kinds" in (Path(__file__).parents[1] / "README.md").read_text()
