"""Around the path: every two of many, the plane through three, and activations along the layers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import llama, other, write_checkpoint, write_corpus

from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.linearity import ATTENTION, COLUMNS, HIDDEN, MLP, RESIDUAL, SITES, activations, layer_steps
from interference.path import Walk, pairs_notes
from interference.plane import Plane, plane_steps, triangle
from interference.projection import Spot, projection_steps
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.sweep import pairs_steps, path_steps


@pytest.fixture(scope="module")
def tiny(suite_folder, tmp_path_factory):
    return Evaluator(open_suite(suite_folder), Store(tmp_path_factory.mktemp("own")), torch.device("cpu"))


def test_every_pair_has_its_own_path(tiny):
    shares: list[float] = []
    tables = finish(pairs_steps(tiny, ("mono-eng", "mono-deu", "mixed"), 3, "linear", ("eng",), 6), shares.append)
    assert [(t.walk.first, t.walk.second) for t in tables] == [
        ("mono-eng", "mono-deu"), ("mono-eng", "mixed"), ("mono-deu", "mixed"),
    ]  # fmt: skip
    one = finish(path_steps(tiny, Walk("mono-eng", "mixed", 3), ("eng",), 6))
    assert tables[1].points["bits per byte"].equals(one.points["bits per byte"])
    assert shares == sorted(shares)
    said = [replace(tables[0], notes=("one", "both")), replace(tables[1], notes=("both", "other"))]
    assert pairs_notes(said) == ("one", "both", "other")
    with pytest.raises(UserError, match="two checkpoints or more"):
        finish(pairs_steps(tiny, ("mixed", "mixed"), 3, "linear", ("eng",), 6))


def test_a_triangle_of_known_sides():
    """3, 4 and 5, wherever it lies."""
    corners = np.array([[1.0, 2.0, 7.0], [4.0, 2.0, 7.0], [1.0, 2.0, 11.0]])
    np.testing.assert_allclose(triangle(corners @ corners.T), [[0, 0], [3, 0], [0, 4]], atol=1e-9)
    line = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    with pytest.raises(UserError, match="on one line"):
        triangle(line @ line.T)


@pytest.fixture(scope="module")
def plane(tiny):
    return finish(plane_steps(tiny, Plane(("mono-eng", "mono-deu", "mixed"), "eng", 5), 6))


def test_the_corners_of_a_plane_are_the_checkpoints(tiny, plane):
    assert plane.provenance["plane"] == "mono-eng mono-deu mixed"
    assert plane.provenance["language"] == "eng"
    corners = plane.corners["bits per sentence"].set_index("model")
    rows = tiny.corpus.rows(6)
    tensors = {name: dict(tiny.suite[name].tensors()) for name in corners.index}
    for name in corners.index:
        assert corners.loc[name, "value"] == pytest.approx(tiny.bits(name, "eng", rows).mean())
    flat = {name: torch.cat([t.flatten() for t in found.values()]) for name, found in tensors.items()}
    for first, second in (("mono-eng", "mono-deu"), ("mono-deu", "mixed"), ("mono-eng", "mixed")):
        drawn = np.linalg.norm(
            corners.loc[first, ["x", "y"]].to_numpy(float) - corners.loc[second, ["x", "y"]].to_numpy(float)
        )
        assert drawn == pytest.approx(float((flat[first] - flat[second]).norm()), rel=1e-5)


def test_every_point_of_a_plane_is_the_merge_that_lies_there(tiny, plane):
    """Weights sum to one and put the point where it is drawn; its loss is that merge's."""
    frame, corners = plane.units["bits per sentence"], plane.corners["bits per sentence"]
    shares = frame[["first", "second", "third"]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(shares @ corners[["x", "y"]].to_numpy(), frame[["x", "y"]], atol=1e-3)
    assert len(frame) == 25
    assert frame["value"].notna().all()


@pytest.fixture(scope="module")
def layers(tiny):
    return finish(layer_steps(tiny, Walk("mono-eng", "mono-deu", 3), ("eng", "deu"), 5)).frame


def test_the_ends_of_a_path_are_linear_by_definition(layers):
    ends = layers[layers["weight"].isin([0.0, 1.0])]
    for column in ("cosine", "norm_ratio", "deviation_ratio", "deviation_unrelated"):
        np.testing.assert_allclose(ends[column], 1, atol=1e-5)
    middle = layers[layers["weight"] == 0.5]
    assert (middle["cosine"] < 0.999).all()
    assert middle["deviation_unrelated"].between(0.6, 0.8).all()


def test_models_of_unlike_contexts_read_the_same_tokens_and_what_is_cut_off_is_said(tokenizer, tmp_path):
    for seed, (name, positions) in enumerate((("wide", 64), ("narrow", 24))):
        write_checkpoint(llama(seed, max_position_embeddings=positions), tokenizer, tmp_path / "s" / name)
    opened = open_suite(tmp_path / "s", write_corpus(tmp_path / "c.tsv"))
    evaluator = Evaluator(opened, Store(tmp_path), torch.device("cpu"))
    long = {code: sum(len(s.encode()) > 23 for s in opened.corpus.text(code, opened.corpus.rows(None)))
            for code in ("eng", "deu")}  # fmt: skip
    said = f"Sentences cut off at a context of 24 tokens: {long['eng']} of eng, {long['deu']} of deu."
    for ends in (("wide", "narrow"), ("narrow", "wide")):
        table = finish(layer_steps(evaluator, Walk(*ends, 3), ("eng", "deu")))
        assert said in table.notes
    spot = Spot("narrow", "narrow", 1, ("eng", "deu"), 12)
    assert said in finish(projection_steps(evaluator, spot)).notes
    assert not any(
        "cut off" in note
        for note in finish(projection_steps(evaluator, replace(spot, name="wide", model="wide"))).notes
    )


def test_identical_ends_stay_linear_and_keep_their_variance(tiny):
    """Two branches a small step from one model: nothing collapses, unlike between independent ones."""
    near = finish(layer_steps(tiny, Walk("branch-eng", "branch-deu", 3), ("eng",), 5)).frame
    far = finish(layer_steps(tiny, Walk("mono-eng", "mono-deu", 3), ("eng",), 5)).frame
    for frame, low, high in ((near, 0.97, 1.01), (far, 0.0, 0.97)):
        inside = frame[(frame["weight"] == 0.5) & (frame["site"] == RESIDUAL) & (frame["layer"] == 1)]
        assert low <= inside["cosine"].item() <= high


def test_activations_are_transformers_own(tiny):
    """The residual stream is what output_hidden_states says; the MLP's write is the difference that it makes."""
    network = tiny.networks.put("mixed")
    line = torch.tensor([[0, 70, 71, 72, 73]])
    with torch.no_grad(), activations(network) as seen:
        found = network(input_ids=line, output_hidden_states=True).hidden_states
    assert set(seen) == {(layer, site) for layer in (0, 1) for site in SITES}
    torch.testing.assert_close(seen[0, RESIDUAL], found[1])
    torch.testing.assert_close(found[0] + seen[0, ATTENTION] + seen[0, MLP], found[1])
    assert seen[0, HIDDEN].shape[-1] == 48


@pytest.mark.parametrize(
    ("kind", "sizes", "written"),
    [
        ("phi3", {"num_key_value_heads": 2}, (ATTENTION, MLP)),
        ("gptj", {"rotary_dim": 4}, (ATTENTION, MLP)),
        ("opt", {"ffn_dim": 48, "word_embed_proj_dim": 32}, (ATTENTION, MLP)),
        # A router, or the gate of a shared expert, writes nothing; what experts write is no single matrix's.
        ("mixtral", {"num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2}, (ATTENTION,)),
        (
            "qwen2_moe",
            {"num_key_value_heads": 2, "num_experts": 4, "shared_expert_intermediate_size": 16},
            (ATTENTION,),
        ),
    ],
)
def test_what_is_written_is_what_the_residual_stream_gains(kind, sizes, written):
    """Whatever an architecture calls its matrices, and in whatever order it has them."""
    network = other(kind, 1, **sizes)
    with torch.no_grad(), activations(network) as seen:
        network(input_ids=torch.tensor([[0, 70, 71, 72, 73]]))
    assert {site for _, site in seen} - {RESIDUAL, HIDDEN} == set(written)
    lines = {key: states.reshape(5, -1) for key, states in seen.items()}  # some layers have rows and positions as one
    gained = lines[1, RESIDUAL] - lines[0, RESIDUAL]
    both = torch.stack([lines[1, site] for site in written]).sum(dim=0)
    assert torch.allclose(gained, both, atol=1e-5) == (MLP in written)


def test_the_table_of_layers_has_a_row_for_each(layers):
    assert tuple(layers.columns) == COLUMNS
    assert len(layers) == 2 * 3 * 2 * len(SITES)
    assert layers.drop(columns=["deviation_ratio"]).notna().all(axis=None)


@pytest.mark.parametrize(
    ("models", "points", "message"),
    [
        (("a", "a", "b"), 5, "three different"),
        (("a", "b", "c"), 2, "give 3 to 41"),
        (("a", "b", "c"), 99, "give 3 to 41"),
    ],
)
def test_planes_that_are_none(models, points, message):
    with pytest.raises(UserError, match=message):
        Plane(models, "eng", points)


@pytest.mark.parametrize(
    "command",
    [
        ["paths", "mono-eng", "mono-deu", "--points", "3"],
        ["plane", "mono-eng", "mono-deu", "mixed", "--points", "3", "--language", "eng"],
        ["linearity", "mono-eng", "mono-deu"],
    ],
)
def test_commands(suite_folder, told, refused, command):
    arguments = (*command, "--suite", suite_folder, "--sentences", "3")
    assert json.loads(told(*arguments, "--format", "json")[0])
    assert "has no language 'en'" in refused(*arguments, "--language", "en")
