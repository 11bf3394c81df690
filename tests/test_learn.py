"""Coefficients learned on the dev half: the loss falls, and the recipe written is the merge that was learned."""

import math

import pytest
import torch
from conftest import llama, write_checkpoint, write_corpus

from interference import learn as learning
from interference.corpus import read_corpus
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.groups import group_of, layer_of
from interference.learn import SCOPES, filters, learn_steps
from interference.merge import merge, merge_tensor
from interference.recipe import Recipe, Slice, parse_recipe
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite

CPU = torch.device("cpu")
PAIR = ("mono-eng", "mono-deu")
AVERAGE = Recipe("linear", PAIR, (0.5, 0.5))
LANGUAGES = ("eng", "deu")


def learned(evaluator, recipe, scope="model", steps=8, rate=0.05, languages=LANGUAGES):
    told: list = []
    found = finish(learn_steps(evaluator, recipe, languages, scope, steps, rate), told.append)
    return found, told


def dev_bits(evaluator, recipe) -> float:
    rows = evaluator.corpus.rows(learning.EACH, "dev")
    return float(sum(evaluator.bits(recipe, c, rows).mean() for c in LANGUAGES) / len(LANGUAGES))


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "recipe",
    [
        AVERAGE,
        Recipe("task_arithmetic", PAIR, (0.4, 0.4), base="init"),
        Recipe("ties", PAIR, (0.5, 0.5), (("density", 0.5),), "init", ("rescale",)),
        Recipe("regmean", PAIR, (0.5, 0.5), post=("vocabulary_rows",)),
    ],
    ids=lambda recipe: recipe.method,
)
def test_the_recipe_has_the_loss_that_was_learned(recipe, scope, tiny):
    """Its bits on the dev half, scored as any recipe, are the best that was told, and less than those of the start;
    through its YAML too."""
    found, told = learned(tiny, recipe, scope, steps=4)
    assert parse_recipe(found.to_yaml()) == found
    assert told[-1].first == pytest.approx(dev_bits(tiny, recipe), rel=1e-4)
    assert told[-1].best == pytest.approx(dev_bits(tiny, found), rel=1e-4)
    assert told[-1].best < 0.999 * told[-1].first
    assert (found.method, found.models, found.knobs, found.post) == (
        recipe.method, recipe.models, recipe.knobs, recipe.post,
    )  # fmt: skip


def test_progress_tells_the_share_and_the_losses(tiny):
    _, told = learned(tiny, AVERAGE, steps=3)
    shares = [one.share for one in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert told[-1].best == min(one.last for one in told[:-1] if one.last >= told[-1].best - 1e-9)


def test_others_may_load_their_checkpoints_between_batches(suite_folder, tmp_path, tiny):
    """Into the same memory, of which a gradient holds the parents' part."""
    alone = finish(learn_steps(tiny, AVERAGE, LANGUAGES, "group", 2, 0.05))
    other = Evaluator(open_suite(suite_folder), Store(tmp_path / "other"), CPU)
    names = iter(("mixed", "init", "branch-eng", "branch-deu"))

    def between(learned) -> None:
        if name := next(names, ""):
            other.networks.put(name)

    assert finish(learn_steps(other, AVERAGE, LANGUAGES, "group", 2, 0.05), between) == alone
    assert next(names, "") == ""


def test_the_first_step_goes_down_the_slope(tiny):
    """The sign of Adam's first step is that of finite differences of the loss that is reported."""
    found, _ = learned(tiny, AVERAGE, steps=1, rate=0.01)
    step = 0.01
    for i, (after, before) in enumerate(zip(found.weights, AVERAGE.weights, strict=True)):
        row = list(AVERAGE.weights)
        row[i] += step
        up = dev_bits(tiny, Recipe("linear", PAIR, tuple(row)))
        row[i] -= 2 * step
        down = dev_bits(tiny, Recipe("linear", PAIR, tuple(row)))
        assert math.copysign(0.01, down - up) == pytest.approx(after - before, rel=1e-3)


def test_one_language_draws_the_coefficients_to_its_own_parent(tiny):
    start = Recipe("linear", ("branch-eng", "init"), (0.5, 0.5))
    found, _ = learned(tiny, start, steps=5, languages=("eng",))
    other, _ = learned(tiny, start, steps=5, languages=("deu",))
    assert found.weights != other.weights


def test_scopes_share_what_they_say(tiny):
    """Every parameter of a unit has one coefficient, and different units have different ones."""
    weights = tiny.networks.weights(PAIR)
    units = {"model": lambda n: 0, "group": group_of, "layer": lambda n: n if layer_of(n) is None else layer_of(n)}
    for scope, unit in units.items():
        found, _ = learned(tiny, AVERAGE, scope, steps=2)
        rows: dict = {}
        for name in weights.shapes:
            probe = merge_tensor(found, weights, name)
            a, b = weights.read(name, PAIR).flatten(1).double()
            share = float(((probe.flatten().double() - b) @ (a - b)) / ((a - b) @ (a - b))) if (a - b).any() else None
            if share is not None:
                rows.setdefault(unit(name), []).append(share)
        for shares in rows.values():
            assert max(shares) - min(shares) < 1e-5
        assert len({round(s[0], 5) for s in rows.values()}) == len(rows)


def test_weights_of_averages_by_information_stay_above_zero(tiny):
    found, _ = learned(tiny, Recipe("fisher", PAIR, (0.02, 0.98)), steps=6, rate=0.1)
    assert min(found.weights) >= 0
    merge(found, tiny.networks.weights(PAIR))


@pytest.mark.parametrize(
    "names",
    [
        ("wte.weight", "h.0.ln_1.weight", "h.0.attn.c_proj.weight", "h.0.mlp.c_proj.weight", "h.1.ln_2.bias",
         "h.1.mlp.c_fc.weight", "ln_f.weight", "wpe.weight"),
        ("model.embed_tokens.weight", "model.layers.0.self_attn.q_norm.weight", "lm_head.weight",
         "model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight"),
    ],
)  # fmt: skip
def test_filters_tell_the_parts_of_a_model_apart(names):
    """The first that fits decides, as in a recipe; each is a word of the names."""
    kinds = {name: group_of(name) for name in names}
    found = filters(kinds)
    for name, kind in kinds.items():
        assert next(k for part, k in found if part is None or part in name) == kind
    assert found[-1][0] is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": Recipe("slerp", PAIR)}, "slerp has no coefficients with a gradient"),
        ({"recipe": Recipe("linear", PAIR, (0.5, 0.5), post=("repair",))}, "works on the whole network"),
        ({"recipe": Recipe("linear", slices=(Slice(PAIR, ((0, 1),) * 2, (0.5, 0.5)),))}, "slices"),
        ({"scope": "layers"}, "did you mean 'layer'"),
        ({"steps": 0}, "at least 1 step"),
        ({"rate": 0.0}, "a rate above 0"),
        ({"languages": ("fra",)}, "no language 'fra'"),
    ],
)
def test_what_cannot_be_learned_is_refused(tiny, changes, words):
    with pytest.raises(UserError, match=words):
        learned(tiny, **({"recipe": AVERAGE} | changes))


def test_a_device_that_runs_out_of_memory_is_said_and_the_next_request_works(tiny, monkeypatch):
    def fail(*arguments):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(learning, "_descend", fail)
    with pytest.raises(UserError, match=r"ran out of memory .* fewer sentences, checkpoints in a smaller dtype"):
        learned(tiny, AVERAGE, steps=1)
    monkeypatch.undo()
    assert learned(tiny, AVERAGE, steps=1)[0].models == PAIR


def test_the_command_says_what_is_cut_off(tokenizer, tmp_path, capsys):
    from interference.__main__ import app

    for seed, name in enumerate(PAIR):
        write_checkpoint(llama(seed, max_position_embeddings=24), tokenizer, tmp_path / "suite" / name)
    corpus, recipe = write_corpus(tmp_path / "c.tsv"), tmp_path / "start.yaml"
    recipe.write_text(AVERAGE.to_yaml())
    arguments = ["learn", str(recipe), "--out", str(tmp_path / "out.yaml"), "--suite", str(tmp_path / "suite")]
    app([*arguments, "--corpus", str(corpus), "--language", "deu", "--steps", "1"], standalone_mode=False)
    read = read_corpus(corpus)
    long = sum(len(sentence.encode()) > 24 for sentence in read.text("deu", read.rows(None, "dev")))
    assert f"Sentences cut off at a context of 24 tokens: {long} of deu." in capsys.readouterr().err


def test_the_command_writes_a_recipe(suite_folder, tmp_path, capsys):
    from interference.__main__ import app

    recipe, out = tmp_path / "start.yaml", tmp_path / "learned.yaml"
    recipe.write_text(AVERAGE.to_yaml())
    arguments = ["learn", str(recipe), "--out", str(out), "--suite", str(suite_folder), "--steps", "3"]
    app(arguments, standalone_mode=False)
    printed = capsys.readouterr()
    assert "learned" in printed.out
    assert "sentences of the dev half" in printed.err
    assert "test half was not read" in printed.err
    assert parse_recipe(out.read_text()).models == PAIR
    with pytest.raises(UserError, match="Name another for --out"):
        app(arguments, standalone_mode=False)
