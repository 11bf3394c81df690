"""Hidden states: pooling by hand, against transformers called plainly, kept by digest, and what is refused."""

import numpy as np
import pytest
import torch
from conftest import llama, write_checkpoint
from transformers import AutoModelForCausalLM

from interference import activations
from interference.activations import (
    POOLINGS,
    all_states_steps,
    numerals,
    pool_weights,
    readings_steps,
    states_steps,
    text_of,
)
from interference.arrays import Arrays
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.recipe import Recipe
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite

CPU = torch.device("cpu")


def english(evaluator: Evaluator, count: int = 8):
    return text_of(evaluator.corpus, "eng", evaluator.corpus.rows(count))


def test_poolings_by_hand():
    """A prefix, three tokens and one place of padding."""
    own = torch.tensor([[False, True, True, True, False], [False, True, False, False, False]])
    expected = {"mean": [0, 1 / 3, 1 / 3, 1 / 3, 0], "weighted": [0, 1 / 6, 2 / 6, 3 / 6, 0], "last": [0, 0, 0, 1, 0]}
    assert expected.keys() == POOLINGS.keys()
    for pooling, row in expected.items():
        found = pool_weights(own, pooling)
        assert found[0].tolist() == pytest.approx(row)
        assert found[1].tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_states_are_those_of_transformers_one_sentence_at_a_time(tiny, suite_folder, pooling, monkeypatch):
    """Embeddings, each block, and the last after the final norm; without the prefix; in batches of several lengths."""
    monkeypatch.setitem(activations._BATCH_TOKENS, "cpu", 64)
    text, checkpoint = english(tiny), tiny.suite["mono-eng"]
    states = finish(states_steps(tiny, "mono-eng", text, pooling))
    assert states.values.shape == (3, 8, 32)
    model = AutoModelForCausalLM.from_pretrained(suite_folder / "mono-eng", dtype=torch.float32).eval()
    for place, sentence in enumerate(text.sentences):
        ids = checkpoint.tokenizer(sentence, add_special_tokens=False)["input_ids"]
        assert states.tokens[place] == len(ids)
        with torch.no_grad():
            layers = model(torch.tensor([[0, *ids]]), output_hidden_states=True).hidden_states
        own = torch.stack(layers)[:, 0, 1:].numpy()
        counts = {"mean": np.ones(len(ids)), "weighted": np.arange(1, len(ids) + 1), "last": np.eye(len(ids))[-1]}
        expected = np.einsum("lpd,p->ld", own, counts[pooling] / counts[pooling].sum())
        np.testing.assert_allclose(states.values[:, place], expected, atol=2e-5)


def test_states_are_computed_once_and_outlive_the_process(tiny, tmp_path, monkeypatch):
    text = english(tiny)
    merge = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    first = {model: finish(states_steps(tiny, model, text)).values for model in ("mono-eng", merge)}
    real, ran = activations._pooled, []
    monkeypatch.setattr(activations, "_pooled", lambda *given: ran.append(1) or real(*given))
    for model, values in first.items():
        np.testing.assert_array_equal(finish(states_steps(tiny, model, text)).values, values)
    again = Evaluator(tiny.suite, Store(tmp_path / "own"), CPU)
    np.testing.assert_array_equal(finish(states_steps(again, "mono-eng", text)).values, first["mono-eng"])
    assert not ran
    finish(states_steps(again, merge, text))
    assert ran, "merges pass by and are kept in memory only"
    ran.clear()
    finish(states_steps(again, "mono-eng", english(tiny, 7)))
    finish(states_steps(again, "mono-eng", text, "last"))
    assert len(ran) >= 2, "another text and another pooling are other states"


def test_texts_read_together_have_the_states_of_each(tiny, tmp_path, monkeypatch):
    """In fewer passes, in the order asked for, and kept one by one."""
    merge = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))
    texts = [text_of(tiny.corpus, language, tiny.corpus.rows(count)) for language, count in (("deu", 5), ("eng", 8))]
    real, ran = activations._pooled, []
    monkeypatch.setattr(activations, "_pooled", lambda *given: ran.append(1) or real(*given))
    together = finish(all_states_steps(tiny, merge, texts))
    assert len(ran) == 1, "both fit into one batch"
    assert [states.values.shape for states in together] == [(3, 5, 32), (3, 8, 32)]
    for text, states in zip(texts, together, strict=True):
        np.testing.assert_array_equal(finish(states_steps(tiny, merge, text)).values, states.values)
        assert len(ran) == 1, "they are kept"
    alone = Evaluator(tiny.suite, Store(tmp_path / "other"), CPU)
    for text, states in zip(texts, together, strict=True):
        own = finish(states_steps(alone, merge, text))
        np.testing.assert_allclose(own.values, states.values, atol=1e-5)
        assert own.tokens.tolist() == states.tokens.tolist()


def test_a_merge_has_the_states_of_its_weights(tiny):
    """Of one parent alone those of that parent; of two neither's, whatever network was put in between."""
    text = english(tiny)
    alone = Recipe("linear", ("mono-eng", "mono-deu"), (1.0, 0.0))
    steps, found = states_steps(tiny, alone, text), []

    def interrupted():
        found.append((yield from steps).values)

    for _ in interrupted():
        tiny.networks.put("mono-deu")
    np.testing.assert_allclose(found[0], finish(states_steps(tiny, "mono-eng", text)).values, atol=1e-5)
    half = finish(states_steps(tiny, Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5)), text)).values
    assert np.abs(half - found[0]).max() > 0.01


def test_the_logit_lens_of_the_last_layer_is_what_the_model_predicts(tiny, suite_folder):
    """At the last token: the likeliest next tokens."""
    text = english(tiny)
    read = finish(readings_steps(tiny, "mono-eng", text, "last", 5))
    assert read.shape == (3, 8, 5)
    model = AutoModelForCausalLM.from_pretrained(suite_folder / "mono-eng", dtype=torch.float32).eval()
    ids = tiny.suite["mono-eng"].tokenizer(text.sentences[0], add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        assert read[-1, 0].tolist() == model(torch.tensor([[0, *ids]])).logits[0, -1].topk(5).indices.tolist()


def test_numerals():
    assert len(numerals(None).sentences) == 1001
    few = numerals(11)
    assert few.sentences == ("0", "100", "200", "300", "400", "500", "600", "700", "800", "900", "1000")
    assert few.documents == tuple(sorted(few.documents))


def test_what_a_model_cannot_read_is_cut_and_counted(tiny, tokenizer, tmp_path):
    """Contexts of 64 positions: a sentence of 20 tokens is read whole, by a model of 16 in part."""
    for name, positions in (("short", 16), ("long", 64)):
        write_checkpoint(llama(1, max_position_embeddings=positions), tokenizer, tmp_path / "two" / name)
    (tmp_path / "text.tsv").write_text("eng\n" + "\n".join(["a" * 20, "b" * 4, "c" * 5, "d" * 6]) + "\n")
    evaluator = Evaluator(open_suite(tmp_path / "two", tmp_path / "text.tsv"), Store(tmp_path / "s"), CPU)
    text = text_of(evaluator.corpus, "eng", evaluator.corpus.rows(None))
    short, long = (finish(states_steps(evaluator, name, text)) for name in ("short", "long"))
    assert (short.cut.tolist(), long.cut.tolist()) == ([5, 0, 0, 0], [0, 0, 0, 0])
    assert (short.read == short.tokens - [5, 0, 0, 0]).all()
    np.testing.assert_allclose(short.values[:, 1:], long.values[:, 1:], atol=1e-5)
    assert np.abs(short.values[:, 0] - long.values[:, 0]).max() > 1e-3


def test_what_is_refused(tiny, tmp_path, tokenizer):
    with pytest.raises(UserError, match="pooled by 'maen': did you mean 'mean'"):
        finish(states_steps(tiny, "mono-eng", english(tiny), "maen"))
    with pytest.raises(UserError, match="no language 'fra'"):
        text_of(tiny.corpus, "fra", tiny.corpus.rows(4))
    broken = llama(1)
    with torch.no_grad():
        broken.model.layers[0].mlp.down_proj.weight.fill_(3e38)
    write_checkpoint(broken, tokenizer, tmp_path / "broken" / "b")
    suite = open_suite(tmp_path / "broken")
    evaluator = Evaluator(
        type(suite)(suite.name, suite.path, suite.checkpoints, tiny.corpus), Store(tmp_path / "s"), CPU
    )
    with pytest.raises(UserError, match="b gives states that are not finite in eng"):
        finish(states_steps(evaluator, "b", english(tiny)))


def test_arrays_make_room_and_survive_a_broken_file(tmp_path):
    kept = Arrays(tmp_path, memory=1000, disk=2000)
    for name in "abc":
        kept.write(name, {"x": np.full(100, ord(name), dtype=np.float32)}, lasting=True)
    assert sorted(file.stem for file in tmp_path.glob("*.npz")) == ["a", "b", "c"]
    fresh = Arrays(tmp_path, memory=1000, disk=2000)
    assert fresh.read("a")["x"][0] == ord("a")
    kept.write("d", {"x": np.zeros(300, dtype=np.float32)}, lasting=True)
    assert {file.stem for file in tmp_path.glob("*.npz")} < {"a", "b", "c", "d"}
    assert (tmp_path / "d.npz").is_file(), "the newest stays"
    (tmp_path / "d.npz").write_bytes(b"PK no zip")
    assert Arrays(tmp_path).read("d") is None
    assert Arrays(tmp_path).read("never") is None
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="can't be kept in"):
        Arrays(tmp_path / "file").write("e", {"x": np.zeros(1)}, lasting=True)


def test_on_a_full_disk_arrays_are_held_in_memory(tmp_path, monkeypatch):
    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    kept = Arrays(tmp_path)
    kept.write("a", {"x": np.ones(3)}, lasting=True)
    assert kept.read("a")["x"].tolist() == [1, 1, 1]
    assert "No space left" in kept.said
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    kept.write("b", {"x": np.ones(3)}, lasting=True)
    assert not kept.said
