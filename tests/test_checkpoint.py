"""Checkpoints on disk: every layout of real models is read alike, and what can't be used is one message."""

import json
import os
import pickle
import re
import shutil
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from conftest import ENGLISH, experts, gpt2, llama, other, write_checkpoint
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, BambaConfig, Gemma2Config, Gemma3Config, PreTrainedModel

from interference.checkpoint import Checkpoint, MappedTensors, build, reads_ahead
from interference.checkpoint.models import meta_model
from interference.checkpoint.reading import not_finite
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.store import Store
from interference.suite import open_suite

MODELS: dict[str, Callable[[int], PreTrainedModel]] = {
    "llama": llama,
    "gpt2": gpt2,
    "untied llama": lambda seed: llama(seed, tie_word_embeddings=False),
}


def write_shards(state: dict, folder, kind: str) -> None:
    """Two shards and their index, as large models are stored."""
    suffix, stem = ("safetensors", "model") if kind == "safetensors" else ("bin", "pytorch_model")
    names = sorted(state)
    weight_map: dict[str, str] = {}
    for number in (1, 2):
        part = {name: state[name].contiguous() for name in names[number - 1 :: 2]}
        file = f"{stem}-{number:05}-of-00002.{suffix}"
        save_file(part, folder / file) if suffix == "safetensors" else torch.save(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def store(model, tokenizer, folder, layout: str, change=lambda state: state):
    """The model in one of the layouts that checkpoints come in; `change` edits the state dict before."""
    write_checkpoint(model, tokenizer, folder)
    (folder / "model.safetensors").unlink()
    state = change({name: tensor.detach().clone() for name, tensor in model.state_dict().items()})
    if layout == "safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors")
    elif layout == "bin":
        torch.save(state, folder / "pytorch_model.bin")
    elif layout == "old bin":
        torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    elif layout == "bin of parameters":
        torch.save({n: torch.nn.Parameter(t) for n, t in state.items()}, folder / "pytorch_model.bin")
    else:
        write_shards(state, folder, layout.removeprefix("sharded "))
    return Checkpoint(folder.name, folder)


def assert_is(checkpoint: Checkpoint, model) -> None:
    """The checkpoint's tensors are the model's parameters: same names, shapes and values, tied ones once."""
    wanted = dict(model.named_parameters())
    found = dict(checkpoint.tensors())
    assert found.keys() == checkpoint.shapes.keys() == wanted.keys()
    for name, parameter in wanted.items():
        assert torch.equal(found[name], parameter), name
        assert not found[name].requires_grad
    assert checkpoint.parameters == sum(p.numel() for p in model.parameters())


def refusal(checkpoint: Checkpoint) -> str:
    """What the user is told on reading everything; one paragraph that names the checkpoint."""
    with pytest.raises(UserError) as error:
        _ = checkpoint.shapes, checkpoint.vocabulary_digest, list(checkpoint.tensors())
    message = str(error.value)
    assert message.startswith(f"{checkpoint.name}: ")
    assert "Traceback" not in message
    return message


def edit_config(folder, **values) -> None:
    config = json.loads((folder / "config.json").read_text()) | values
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


LAYOUTS = ("safetensors", "bin", "old bin", "bin of parameters", "sharded safetensors", "sharded bin")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", MODELS)
def test_every_layout_gives_the_models_own_tensors(kind, layout, tokenizer, tmp_path):
    model = MODELS[kind](1)
    assert_is(store(model, tokenizer, tmp_path / "m", layout), model)


@pytest.mark.parametrize("layout", ["safetensors", "bin"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("stored", ["both", "embedding", "head"])
def test_tied_head_stored_or_not(kind, layout, stored, tokenizer, tmp_path):
    """One matrix under either name or under both is one parameter."""
    model = MODELS[kind](1)
    body = "model.embed_tokens.weight" if kind == "llama" else "transformer.wte.weight"
    absent = {"both": (), "embedding": ("lm_head.weight",), "head": (body,)}[stored]
    checkpoint = store(
        model, tokenizer, tmp_path / "m", layout, lambda s: {n: t for n, t in s.items() if n not in absent}
    )
    assert_is(checkpoint, model)


def test_head_that_differs_from_the_embedding_it_is_tied_to_is_refused(tokenizer, tmp_path):
    """Reading either of the two in silence would give the losses of another model."""
    checkpoint = store(
        llama(1), tokenizer, tmp_path / "m", "safetensors", lambda s: s | {"lm_head.weight": s["lm_head.weight"] + 1}
    )
    message = refusal(checkpoint)
    assert "lm_head.weight" in message
    assert "tie_word_embeddings" in message


def test_untied_head_must_be_there(tokenizer, tmp_path):
    checkpoint = store(
        MODELS["untied llama"](1), tokenizer, tmp_path / "m", "safetensors",
        lambda s: {n: t for n, t in s.items() if n != "lm_head.weight"},
    )  # fmt: skip
    assert "lm_head.weight is missing" in refusal(checkpoint)


@pytest.mark.parametrize("layout", ["safetensors", "bin", "sharded bin"])
def test_gpt2_without_prefix_and_with_old_buffers(layout, tokenizer, tmp_path):
    """The first published GPT-2 files: bare names, no head, the causal mask stored as `attn.bias`."""
    model = gpt2(1)

    def as_published(state):
        bare = {n.removeprefix("transformer."): t for n, t in state.items() if n != "lm_head.weight"}
        masks = {f"h.{i}.attn.bias": torch.tril(torch.ones(64, 64)).view(1, 1, 64, 64).bool() for i in range(2)}
        return bare | masks | {f"h.{i}.attn.masked_bias": torch.tensor(-float("inf")) for i in range(2)}

    assert_is(store(model, tokenizer, tmp_path / "m", layout, as_published), model)


def test_llama_with_old_rotary_buffers(tokenizer, tmp_path):
    model = llama(1)
    buffers = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(2)}
    assert_is(store(model, tokenizer, tmp_path / "m", "safetensors", lambda s: s | buffers), model)


def test_body_saved_alone_is_the_same_architecture(tokenizer, tmp_path):
    """A checkpoint that declares GPT2Model is read as the language model that its names make."""
    checkpoint = store(gpt2(1), tokenizer, tmp_path / "m", "safetensors")
    edit_config(checkpoint.path, architectures=["GPT2Model"])
    assert checkpoint.architecture == "GPT2LMHeadModel"
    assert_is(checkpoint, gpt2(1))


def test_vocabulary_in_two_files_is_the_one_of_tokenizer_json(tokenizer, tmp_path):
    """`vocab.json` and `merges.txt` alone, as with older GPT-2 checkpoints."""
    new = Checkpoint("new", write_checkpoint(gpt2(1), tokenizer, tmp_path / "new"))
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    (tmp_path / "old" / "tokenizer.json").unlink()
    vocabulary = tokenizer.get_vocab()
    (tmp_path / "old" / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "old" / "merges.txt").write_text("#version: 0.2\n")
    settings = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    (tmp_path / "old" / "tokenizer_config.json").write_text(json.dumps(settings | {"unk_token": "<s>"}))
    assert Checkpoint("old", tmp_path / "old").vocabulary_digest == new.vocabulary_digest


def test_safetensors_are_preferred_to_a_pickle(tokenizer, tmp_path):
    model = llama(1)
    checkpoint = store(model, tokenizer, tmp_path / "m", "safetensors")
    (tmp_path / "m" / "pytorch_model.bin").write_bytes(b"never read")
    assert_is(checkpoint, model)


def test_digest_changes_with_a_weight_and_with_the_tokenizer(tokenizer, tmp_path):
    folders = {
        name: write_checkpoint(llama(1), tokenizer, tmp_path / name) for name in ("a", "same", "weights", "words")
    }
    state = load_file(folders["weights"] / "model.safetensors")
    state["model.norm.weight"][0] += 1
    save_file(state, folders["weights"] / "model.safetensors", metadata={"format": "pt"})
    text = (folders["words"] / "tokenizer.json").read_text()
    (folders["words"] / "tokenizer.json").write_text(text + "\n")
    digests = {name: Checkpoint(name, folder).digest for name, folder in folders.items()}
    assert digests["a"] == digests["same"]
    assert len(set(digests.values())) == 3


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("sentencepiece.bpe.model", True), ("source.spm.model", True), ("Vocab.json", True), ("merges.txt", True),
        ("tekken_tokens.json", True), ("README.md", False), ("generation_config.json", False),
    ],
)  # fmt: skip
def test_every_tokenizer_file_counts_in_the_digest(file, counts, tokenizer, tmp_path):
    folder = write_checkpoint(llama(1), tokenizer, tmp_path / "m")
    before = Checkpoint("m", folder).digest_of_tokenizer
    (folder / file).write_text("other")
    (folder / "tokens").mkdir()
    assert (Checkpoint("m", folder).digest_of_tokenizer != before) == counts


def test_a_composite_configuration_has_its_text_models_sizes(tmp_path):
    """Gemma 3's config.json holds the numbers of its language model one level down."""
    text = {
        "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 16,
        "num_key_value_heads": 1, "intermediate_size": 48, "max_position_embeddings": 77,
    }  # fmt: skip
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    Gemma3Config(text_config=text, vision_config=vision).save_pretrained(tmp_path / "m")
    checkpoint = Checkpoint("m", tmp_path / "m")
    assert not hasattr(checkpoint.config, "max_position_embeddings")
    assert (checkpoint.vocabulary, checkpoint.positions) == (99, 77)


@pytest.mark.parametrize("asked", [None, "eager", "flash_attention_2", "kernels-community/flash-attn2"])
def test_attention_is_sdpa_whatever_the_configuration_asks_for(asked):
    """Asked for flash attention, transformers would look for a kernel to download."""
    config = llama(1).config
    config._attn_implementation = asked
    assert build(config).config._attn_implementation == "sdpa"


def test_attention_is_eager_where_the_architecture_has_no_sdpa():
    config = Gemma2Config(
        vocab_size=9, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
        intermediate_size=8, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    config._attn_implementation = "kernels-community/flash-attn2"
    assert build(config, "meta").config._attn_implementation == "eager"


# What is stored under other names, or in other pieces, than the model has: a head, experts, projections side by side.
STORED = {
    "gpt_neox": (lambda: other("gpt_neox", 1), "embed_out.weight"),
    "mixtral": (lambda: experts(1), "model.layers.1.block_sparse_moe.experts.3.w2.weight"),
    "hrm_text": (
        lambda: other("hrm_text", 1, num_key_value_heads=4, head_dim=8),
        "model.L_module.layers.0.attn.gqkv_proj.weight",
    ),
}


@pytest.mark.parametrize("size", ["1GB", "9KB"])
@pytest.mark.parametrize("kind", [kind for kind in STORED if kind in CONFIG_MAPPING])
def test_what_is_stored_otherwise_than_the_model_has_it(kind, size, tokenizer, tmp_path):
    """As transformers reads it, whole and in shards that the pieces of one parameter are spread over."""
    make, stored = STORED[kind]
    make().save_pretrained(tmp_path / "m", max_shard_size=size)
    tokenizer.save_pretrained(tmp_path / "m")
    checkpoint, wanted = Checkpoint("m", tmp_path / "m"), dict(make().named_parameters())
    assert stored in checkpoint.headers
    assert (len(checkpoint.files) > 1) == (size == "9KB")
    assert_is(checkpoint, make())
    assert checkpoint.dtype == "float32"
    mapped = MappedTensors(checkpoint)
    assert set(mapped) == wanted.keys()
    assert len(mapped) == len(wanted)
    for name in mapped:
        mapped.ahead(name)
        assert torch.equal(mapped[name], wanted[name])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_value_that_is_not_finite_is_seen_wherever_it_stands(value, dtype):
    for shape in [(), (1,), (7, 65), (3, 4099)]:
        tensor = torch.linspace(-3, 3, max(int(np.prod(shape)), 1), dtype=dtype).reshape(shape)
        assert not not_finite(tensor)
        for place in {0, tensor.numel() // 2, tensor.numel() - 1}:
            changed = tensor.clone()
            changed.view(-1)[place] = value
            assert not_finite(changed) == 1
    assert not not_finite(torch.empty(0, 4, dtype=dtype))
    assert not not_finite(torch.tensor([torch.finfo(dtype).max, torch.finfo(dtype).min], dtype=dtype))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state, name: state.pop(name), "mlp.experts.gate_up_proj is missing"),
        (lambda state, name: state[name].fill_(torch.nan), "NaN or infinite"),
    ],
)
def test_experts_that_are_not_whole_are_refused(change, told, tokenizer, tmp_path):
    write_checkpoint(experts(1), tokenizer, tmp_path / "m")
    state = load_file(tmp_path / "m/model.safetensors")
    change(state, "model.layers.1.block_sparse_moe.experts.3.w3.weight")
    save_file(state, tmp_path / "m/model.safetensors")
    assert told in refusal(Checkpoint("m", tmp_path / "m"))
    with pytest.raises(UserError):
        _ = Checkpoint("m", tmp_path / "m").shapes, dict(MappedTensors(Checkpoint("m", tmp_path / "m")))


@pytest.mark.skipif("gemma4_text" not in CONFIG_MAPPING, reason="this transformers has no Gemma 4")
def test_heads_that_differ_from_layer_to_layer(tokenizer, tmp_path):
    sizes = {"head_dim": 8, "global_head_dim": 16, "num_key_value_heads": 2, "hidden_size_per_layer_input": 0}
    kinds = {"layer_types": ["sliding_attention", "full_attention"], "attention_k_eq_v": True}
    folders = [
        write_checkpoint(
            other("gemma4_text", 1, **sizes, **kinds, num_global_key_value_heads=heads),
            tokenizer,
            tmp_path / str(heads),
        )
        for heads in (1, 4)
    ]
    checkpoints = [Checkpoint("m", folder) for folder in folders]
    if not hasattr(checkpoints[0].config, "per_layer_config"):
        pytest.skip("this transformers has one number of heads for all layers")
    assert [checkpoint.heads[1][1] for checkpoint in checkpoints] == ["[2, 1]", "[2, 4]"]


@pytest.mark.skipif("qwen3_next" not in CONFIG_MAPPING, reason="this transformers has no Qwen 3 Next")
def test_layers_that_draft_tokens_are_left_in_the_file(tokenizer, tmp_path):
    """As transformers does, which builds no such layers; experts among them are no experts of the model."""
    model = other(
        "qwen3_next",
        1,
        num_key_value_heads=2,
        head_dim=8,
        num_experts=4,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
    )
    write_checkpoint(model, tokenizer, tmp_path / "m")
    state = load_file(tmp_path / "m/model.safetensors")
    experts_of = "model.layers.1.mlp.experts."
    drafting = {f"mtp.{n.removeprefix('model.')}": t.clone() for n, t in state.items() if n.startswith(experts_of)}
    assert len(drafting) == 12
    save_file(state | drafting | {"mtp.fc.weight": torch.zeros(2)}, tmp_path / "m/model.safetensors")
    checkpoint = Checkpoint("m", tmp_path / "m")
    assert_is(checkpoint, model)
    assert checkpoint.left_in_file == sorted([*drafting, "mtp.fc.weight"])


def test_a_sentencepiece_model_alone_is_a_tokenizer(tmp_path):
    """As older Llamas come, without tokenizer.json."""
    write_checkpoint(llama(1), SimpleNamespace(save_pretrained=lambda folder: None), tmp_path / "m")
    (tmp_path / "text").write_text("\n".join(ENGLISH * 100))
    trained, model = sentencepiece.SentencePieceTrainer, tmp_path / "m/tokenizer"
    trained.train(
        input=str(tmp_path / "text"), model_prefix=str(model), vocab_size=60, model_type="bpe", minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    own = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (tmp_path / "m/tokenizer_config.json").write_text(json.dumps(own))
    expected = sentencepiece.SentencePieceProcessor(model_file=f"{model}.model").encode(ENGLISH[1])
    found = Checkpoint("m", tmp_path / "m").tokenizer(ENGLISH[1], add_special_tokens=False)["input_ids"]
    assert found == expected
    assert len(expected) > 5


def test_quantised_weights_are_told_as_such(tokenizer, tmp_path):
    """They come under names of their own, as in gpt-oss: the advice is not to look for other files of the kind."""
    write_checkpoint(llama(1), tokenizer, tmp_path / "m")
    state = load_file(tmp_path / "m/model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    state[f"{name}_blocks"] = state.pop(name).to(torch.uint8)
    save_file(state, tmp_path / "m/model.safetensors")
    assert "Take config and weights from the same checkpoint." in refusal(Checkpoint("m", tmp_path / "m"))
    config = json.loads((tmp_path / "m/config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4"}
    (tmp_path / "m/config.json").write_text(json.dumps(config))
    assert "take the checkpoint before quantisation." in refusal(Checkpoint("m", tmp_path / "m"))


def test_numbers_that_json_has_not_are_those_of_the_configuration():
    config = BambaConfig(num_hidden_layers=1)
    found: Any = meta_model(config.to_json_string()).config
    assert found.time_step_limit[1] == float("inf")


def test_models_that_read_ahead_are_told_from_causal_ones():
    """With weights as small as transformers starts with, where an encoder shows itself least."""
    assert not any(map(reads_ahead, (llama(1), gpt2(1), experts(1), other("bert", 1, is_decoder=True))))
    assert reads_ahead(other("bert", 1))
    assert reads_ahead(other("roberta", 1, initializer_range=0.02))


def test_losses_of_an_encoder_are_refused(suite_folder, tokenizer, tmp_path):
    write_checkpoint(other("bert", 1), tokenizer, tmp_path / "m")
    shutil.copy(suite_folder / "corpus.tsv", tmp_path)
    (tmp_path / "suite.yaml").write_text("name: t\ncorpus: corpus.tsv\ncheckpoints:\n  - {name: m, path: ./m}\n")
    evaluator = Evaluator(open_suite(tmp_path), Store(tmp_path / "store"), torch.device("cpu"))
    for _ in range(2):
        with pytest.raises(UserError, match=r"m: .*BertLMHeadModel reads the tokens after the one it predicts"):
            evaluator.bits("m", "eng", np.arange(3))


# What can't be read. Each damages a good checkpoint; the message must hold all of the given texts.


def cut(file, share: float = 0.5) -> None:
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [0, 0.0005, 0.01, 0.3, 0.97])
def test_truncated_weights_are_named_with_their_size(layout, share, tokenizer, tmp_path):
    store(llama(1), tokenizer, tmp_path / "m", layout)
    file = sorted(f for f in (tmp_path / "m").iterdir() if f.suffix in (".safetensors", ".bin"))[-1]
    cut(file, share)
    message = refusal(Checkpoint("m", tmp_path / "m"))
    assert str(file) in message
    assert f"{file.stat().st_size:,} bytes" in message
    assert "again" in message


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_missing_shard_is_named(kind, tokenizer, tmp_path):
    store(llama(1), tokenizer, tmp_path / "m", f"sharded {kind}")
    lost = next((tmp_path / "m").glob(f"*-00002-of-00002.{kind}"))
    lost.unlink()
    message = refusal(Checkpoint("m", tmp_path / "m"))
    assert lost.name in message
    assert f"{kind}.index.json" in message


@pytest.mark.parametrize(
    "index", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": null}}', '{"weight_map": {"a": "../x.bin"}}']
)
def test_index_that_is_none_is_named(index, tokenizer, tmp_path):
    store(llama(1), tokenizer, tmp_path / "m", "sharded bin")
    (tmp_path / "m" / "pytorch_model.bin.index.json").write_text(index)
    assert "pytorch_model.bin.index.json" in refusal(Checkpoint("m", tmp_path / "m"))


@pytest.mark.parametrize(
    ("file", "expected"),
    [("config.json", "does not exist"), ("model.safetensors", "has no weights"), ("tokenizer.json", "no tokenizer")],
)
def test_missing_file_is_named_with_its_folder(file, expected, tokenizer, tmp_path):
    folder = write_checkpoint(llama(1), tokenizer, tmp_path / "m")
    (folder / file).unlink()
    message = refusal(Checkpoint("m", folder))
    assert expected in message
    assert str(folder) in message


def test_a_folder_of_weights_alone_is_said_to_hold_no_tokenizer(tokenizer, tmp_path):
    folder = write_checkpoint(llama(1), tokenizer, tmp_path / "m")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).unlink()
    expected = f"m: {folder} holds no tokenizer. Copy the model's tokenizer files (tokenizer.json) there."
    assert refusal(Checkpoint("m", folder)) == expected


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_truncated_text_file_is_named(file, tokenizer, tmp_path):
    folder = write_checkpoint(llama(1), tokenizer, tmp_path / "m")
    cut(folder / file)
    assert str(folder / file) in refusal(Checkpoint("m", folder))


class Payload:
    """On loading, writes the file that proves that code ran."""

    def __init__(self, proof):
        self.proof = str(proof)

    def __reduce__(self):
        return (os.mkdir, (self.proof,))


@pytest.mark.parametrize("how", ["torch.save", "old torch.save", "pickle", "beside good tensors", "second shard"])
def test_code_in_a_pickle_is_refused_and_does_not_run(how, tokenizer, tmp_path):
    """The same bytes do run where a reader lets them: the proof can fail."""
    checkpoint, proof = store(llama(1), tokenizer, tmp_path / "m", "sharded bin"), tmp_path / "ran"
    file = tmp_path / "m" / "pytorch_model.bin"
    if how == "second shard":
        file = tmp_path / "m" / "pytorch_model-00002-of-00002.bin"
    else:
        (tmp_path / "m" / "pytorch_model.bin.index.json").unlink()
    if how == "pickle":
        file.write_bytes(pickle.dumps({"a": Payload(proof)}))
    else:
        good = {} if how in ("torch.save", "old torch.save") else llama(1).state_dict()
        torch.save(good | {"a": Payload(proof)}, file, _use_new_zipfile_serialization=how != "old torch.save")
    message = refusal(checkpoint)
    assert str(file) in message
    assert "run code" in message
    assert "safetensors" in message
    assert not proof.exists()
    pickle.loads(file.read_bytes()) if how == "pickle" else torch.load(file, weights_only=False)
    assert proof.is_dir()


@pytest.mark.parametrize("content", [{"state_dict": {"a": torch.ones(1)}}, [torch.ones(1)], {"step": 3}])
def test_pickle_that_is_no_state_dict_is_refused(content, tokenizer, tmp_path):
    checkpoint = store(llama(1), tokenizer, tmp_path / "m", "bin")
    torch.save(content, tmp_path / "m" / "pytorch_model.bin")
    message = refusal(checkpoint)
    assert str(tmp_path / "m" / "pytorch_model.bin") in message
    assert "state dict" in message


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_counted_and_named(value, layout, tokenizer, tmp_path):
    def spoil(state):
        state["model.layers.1.mlp.up_proj.weight"][0, :3] = value
        return state

    message = refusal(store(llama(1), tokenizer, tmp_path / "m", layout, spoil))
    assert "3 of the 1536 values of model.layers.1.mlp.up_proj.weight" in message
    assert re.search(r"m/\S+\.(safetensors|bin) are NaN", message)


@pytest.mark.parametrize("layout", ["safetensors", "sharded safetensors"])
def test_reading_holds_no_more_than_a_few_tensors(layout, tokenizer, tmp_path):
    """The search for NaN goes with the reading: of ten layers never more than three tensors live at a time."""
    store(llama(1, num_hidden_layers=10), tokenizer, tmp_path / "m", layout)
    alive: list[weakref.ref] = []
    most = 0
    for _, tensor in Checkpoint("m", tmp_path / "m").tensors():
        alive.append(weakref.ref(tensor.untyped_storage()))
        alive.append(weakref.ref(tensor))
        del tensor
        most = max(most, sum(isinstance(ref(), torch.Tensor) for ref in alive))
    assert len(alive) == 2 * 92
    assert most <= 3


def test_shapes_need_no_weights(tokenizer, tmp_path, monkeypatch):
    """Opening reads headers only: no tensor of a safetensors file is loaded to say what it is."""
    from interference.checkpoint import checkpoint as module

    folder = write_checkpoint(llama(1), tokenizer, tmp_path / "m")
    asked = []
    original = module.read_safetensors

    def record(file, headers_only):
        asked.append(headers_only)
        return original(file, headers_only)

    monkeypatch.setattr(module, "read_safetensors", record)
    checkpoint = Checkpoint("m", folder)
    assert checkpoint.dtype == "float32"
    assert checkpoint.parameters == 23_808
    assert asked == [True]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: {n: t for n, t in s.items() if n != "model.norm.weight"}, "model.norm.weight is missing"),
        (lambda s: s | {"model.norm.weight": torch.ones(7)}, "model.norm.weight is [7], config.json asks for [32]"),
        (lambda s: s | {"extra.weight": torch.ones(7)}, "extra.weight is no parameter of LlamaForCausalLM"),
        (lambda s: s | {"model.norm.weight": torch.ones(32, dtype=torch.int8)}, "stored as int8"),
        (lambda s: s | {"model.norm.weight": torch.ones(32).to(torch.float8_e4m3fn)}, "float32, float16 or bfloat16"),
    ],
)
def test_weights_that_do_not_fit_the_config_are_named(change, expected, tokenizer, tmp_path):
    message = refusal(store(llama(1), tokenizer, tmp_path / "m", "safetensors", change))
    assert expected in message
    assert str(tmp_path / "m") in message


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"model_type": "wonder", "architectures": ["WonderForCausalLM"]}, "'wonder'"),
        ({"model_type": None}, "model_type"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "T5ForConditionalGeneration"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"num_attention_heads": 5}, "attention heads"),
        ({"vocab_size": -1}, "config.json"),
    ],
)
def test_architecture_that_is_not_known_is_named_with_its_file(values, expected, tokenizer, tmp_path):
    folder = write_checkpoint(llama(1), tokenizer, tmp_path / "m")
    edit_config(folder, **values)
    message = refusal(Checkpoint("m", folder))
    assert expected in message
    assert "config.json" in message


@pytest.mark.parametrize("model_type", ["llama", "own-kind"])
def test_config_that_wants_its_own_code_is_refused_and_the_code_does_not_run(model_type, tokenizer, tmp_path):
    """Also where transformers has a class of that name: the folder's own may compute something else."""
    folder, proof = write_checkpoint(llama(1), tokenizer, tmp_path / "m"), tmp_path / "ran"
    code = f"import os\nos.mkdir({str(proof)!r})\nclass Config: pass\nclass Model: pass\n"
    (folder / "own.py").write_text(code)
    auto_map = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    edit_config(folder, auto_map=auto_map, model_type=model_type)
    message = refusal(Checkpoint("m", folder))
    assert "own.Config" in message
    assert "never run" in message
    assert str(folder / "config.json") in message
    assert not proof.exists()
    exec(code, {})
    assert proof.is_dir()


def test_tokenizer_that_wants_its_own_code_does_not_get_to_run_it(tokenizer, tmp_path):
    folder, proof = write_checkpoint(llama(1), tokenizer, tmp_path / "m"), tmp_path / "ran"
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(proof)!r})\nclass Words: pass\n")
    (folder / "tokenizer.json").unlink()
    settings = {"tokenizer_class": "Words", "auto_map": {"AutoTokenizer": ["own.Words", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert "no tokenizer" in refusal(Checkpoint("m", folder))
    assert not proof.exists()


KERNEL = "kernels-community/flash-attn2"


@pytest.mark.parametrize(
    "values",
    [
        {"attn_implementation": KERNEL},
        {"_attn_implementation": KERNEL},
        {"attn_implementation": {"": "sdpa", "text_config": KERNEL}},
        {"text_config": {"_attn_implementation": KERNEL}},
    ],
)
def test_attention_that_would_be_downloaded_is_refused(values, tokenizer, tmp_path):
    folder = write_checkpoint(llama(1), tokenizer, tmp_path / "m")
    edit_config(folder, **values)
    message = refusal(Checkpoint("m", folder))
    assert KERNEL in message
    assert str(folder / "config.json") in message
    assert "Take attn_implementation out" in message


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("roberta", {"max_position_embeddings": 34, "is_decoder": True}),
        ("bert", {"max_position_embeddings": 34, "is_decoder": True}),
        ("mpt", {"max_seq_len": 32}),
        ("opt", {"max_position_embeddings": 32, "ffn_dim": 48, "word_embed_proj_dim": 32}),
    ],
)
def test_positions_are_as_many_tokens_as_are_read_at_once(kind, sizes, tokenizer, tmp_path):
    network = other(kind, 1, **sizes)
    positions = Checkpoint(kind, write_checkpoint(network, tokenizer, tmp_path / kind)).positions
    assert positions
    ids = torch.randint(3, 259, (1, positions + 1))
    with torch.no_grad():
        assert network(input_ids=ids[:, 1:], use_cache=False).logits.isfinite().all()
        with pytest.raises((RuntimeError, IndexError)):
            network(input_ids=ids, use_cache=False)
