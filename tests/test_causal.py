"""The causal map: a planted broken component is the largest cell of both maps, and nothing else is blamed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import llama, write_checkpoint

from interference.causal import (
    COLUMNS,
    RESTORED,
    TRANSPLANTED,
    UNTRAINED,
    WHOLE,
    CausalTable,
    Trial,
    causal_steps,
    cell_recipe,
    default_parent,
)
from interference.conflict.survey import equal_average
from interference.dev import DevHalf
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.hybrid import Component, Hybrid, components
from interference.recipe import Recipe, Slice
from interference.recipe.values import Where
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite, with_paths

BROKEN = Component(1, "mlp")
SENTENCES = 12


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """The built-in suite and, as `broken`, a copy of its English model whose second MLP is noise."""
    folder = str(tmp_path_factory.mktemp("suite") / "broken")
    built = open_suite()
    network = DevHalf(built, torch.device("cpu")).network("mono-eng")
    parameters = dict(network.named_parameters())
    torch.manual_seed(0)
    with torch.no_grad():
        for name in BROKEN.names(parameters):
            parameters[name].copy_(torch.randn_like(parameters[name]))
    write_checkpoint(network, built["mono-eng"].tokenizer, Path(folder))
    return with_paths(built, [folder])


@pytest.fixture(scope="module")
def evaluator(suite, tmp_path_factory):
    return Evaluator(suite, Store(tmp_path_factory.mktemp("store")), torch.device("cpu"))


def run(evaluator: Evaluator, trial: Trial, **named) -> CausalTable:
    return finish(causal_steps(evaluator, trial, SENTENCES, **named))


@pytest.fixture(scope="module")
def table(evaluator, suite):
    return run(evaluator, Trial(equal_average(("mono-eng", suite.names[-1])), "mono-eng", "eng"))


@pytest.mark.parametrize("kind", [TRANSPLANTED, RESTORED])
def test_the_broken_component_is_blamed_and_nothing_else(table, suite, kind):
    for frame in table.units.values():
        part = frame[(frame["map"] == kind) & (frame["component"] != WHOLE)]
        worst = part.loc[part["bits"].idxmax()]
        assert worst["component"] == BROKEN.label
        assert worst["low"] > 0
        others = part[part["component"] != BROKEN.label]
        assert ((others["low"] <= 0) & (others["high"] >= 0)).all()
        assert len(others) == len(components(suite["mono-eng"].shapes)) - 1


def test_both_maps_agree_with_the_whole_where_one_component_is_all_the_difference(table):
    frame = table.units["bits per sentence"].set_index(["map", "component"])["bits"]
    for kind in (TRANSPLANTED, RESTORED):
        assert frame[kind, BROKEN.label] == pytest.approx(frame[kind, WHOLE], abs=1e-4)


def test_the_control_is_the_untrained_models(table, evaluator):
    frame = table.units["bits per sentence"]
    part = frame[frame["map"] == UNTRAINED].set_index("component")
    rows = evaluator.corpus.rows(SENTENCES)
    expected = (evaluator.bits("init", "eng", rows) - evaluator.bits("mono-eng", "eng", rows)).mean()
    assert part.loc[WHOLE, "bits"] == pytest.approx(expected)
    assert (part["bits"] != 0).all()


def test_a_cell_is_the_model_it_says(evaluator, suite):
    """The network of a hybrid holds the parent's tensors but for the component's, which are the merge's; or back."""
    recipe = Recipe("linear", ("mono-eng", "mono-deu"), (0.25, 0.75))
    whole, other = ({n: t.float() for n, t in suite[one].tensors()} for one in ("mono-eng", "mono-deu"))
    for restored in (False, True):
        network = evaluator.networks.put(Hybrid(recipe, "mono-eng", BROKEN, restored))
        for name, parameter in network.named_parameters():
            merge = (".layers.1.mlp." in name) != restored
            mixed = (0.25 * whole[name] + 0.75 * other[name]).bfloat16().float()  # the suite is stored in bfloat16
            torch.testing.assert_close(parameter.data, mixed if merge else whole[name], rtol=0.01, atol=1e-3)


def test_cells_are_kept_by_what_made_them(evaluator):
    """No two of them share a place in the store, nor one with the merge."""
    recipe = equal_average(("mono-eng", "mono-deu"))
    parts = components(evaluator.suite["mono-eng"].shapes)
    made = [Hybrid(recipe, "mono-eng", part, back) for part in parts for back in (False, True)]
    keys = {evaluator.key(model, "eng") for model in (*made, recipe, Hybrid(recipe, "mono-deu", BROKEN))}
    assert len(keys) == len(made) + 2


@pytest.mark.parametrize("restored", [False, True])
def test_a_cell_as_a_recipe_of_filters_is_the_same_model(evaluator, suite, restored):
    trial = Trial(Recipe("linear", ("mono-eng", "mono-deu"), (0.25, 0.75)), "mono-eng", "eng")
    for part in components(suite["mono-eng"].shapes):
        made = cell_recipe(trial, part, restored, list(suite["mono-eng"].shapes))
        rows = evaluator.corpus.rows(4)
        cell = Hybrid(trial.recipe, "mono-eng", part, restored)
        np.testing.assert_allclose(*(evaluator.bits(model, "eng", rows) for model in (made, cell)), rtol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe("ties_paper", ("mono-eng", "mono-deu"), (1.0, 1.0), base="@zero"), "only a normalised linear average"),
        (equal_average(("mono-fra", "mono-deu")), "is not among the models"),
        (
            Recipe("linear", ("mono-eng", "mono-deu"), (Where((("mlp", 0.2), (None, 0.5))), 0.5)),
            "one weight for the whole model, or undo",
        ),
    ],
)
def test_what_filters_can_not_say_is_refused(suite, recipe, message):
    with pytest.raises(UserError, match=message):
        cell_recipe(Trial(recipe, "mono-eng", "eng"), BROKEN, False, list(suite["mono-eng"].shapes))


def test_any_method_and_any_parent(evaluator):
    """A parent that is not in the merge, a method with a base, a post-step of the whole network."""
    ties = Recipe("ties", ("mono-fra", "mono-deu"), (1.0, 1.0), base="init", post=("rescale",))
    frame = run(evaluator, Trial(ties, "mono-eng", "eng", control=False)).units["bits per sentence"]
    assert set(frame["map"]) == {TRANSPLANTED, RESTORED}
    assert np.isfinite(frame["bits"]).all()


def test_a_reference_of_another_shape_is_no_parent(tokenizer, tmp_path):
    for name, width in (("mono-eng", 64), ("eng", 48), ("deu", 48)):
        write_checkpoint(llama(1, intermediate_size=width), tokenizer, tmp_path / name)
    entries = [
        "{path: ./mono-eng, role: mono, language: eng}", "{path: ./deu, role: branch, language: deu}",
        "{path: ./eng, role: branch, language: eng}",
    ]  # fmt: skip
    (tmp_path / "suite.yaml").write_text("checkpoints:\n" + "".join(f"- {entry}\n" for entry in entries))
    found = open_suite(tmp_path)
    assert found.reference("eng") == "mono-eng"
    assert default_parent(found, equal_average(("deu", "eng")), "eng") == "eng"
    assert default_parent(found, equal_average(("mono-eng",)), "eng") == "mono-eng"
    assert default_parent(found, equal_average(("deu", "eng")), "fra") == "deu"


def test_copies_say_what_was_tried(table):
    """The rows themselves name components alone."""
    assert table.provenance["language"] == "eng"
    assert table.provenance["parent"] == "mono-eng"
    assert table.provenance["recipe"] == table.trial.recipe.to_yaml()


def test_results_appear_as_they_come(evaluator):
    seen: list[CausalTable] = []
    last = run(evaluator, Trial(equal_average(("mono-eng", "mono-deu")), "mono-eng", "eng"), show=seen.append)
    assert [one.done for one in seen] == sorted({one.done for one in seen})
    assert 0 < seen[0].done < 1
    assert len(seen[0].units["bits per byte"]) < len(last.units["bits per byte"])


def test_an_untrained_parent_is_its_own_control(evaluator):
    frame = run(evaluator, Trial(equal_average(("mono-eng", "mono-deu")), "init", "eng")).units["bits per byte"]
    assert UNTRAINED not in set(frame["map"])


def test_slices_and_wrong_tables_are_refused(table):
    sliced = Recipe("linear", slices=(Slice(("a", "b"), ((0, 1), (0, 1)), (0.5, 0.5)),))
    with pytest.raises(UserError, match="made of slices"):
        Trial(sliced, "a", "eng")
    with pytest.raises(ValueError, match=f"has the columns \\('{COLUMNS[0]}'"):
        replace(table, units={"x": table.units["bits per byte"].drop(columns="low")})


def test_command(suite, told, refused):
    arguments = ["causal", "mono-eng", suite.names[-1], "--format", "json", "--sentences", "6"]
    rows = json.loads(told(*arguments, "--language", "eng", "--no-control")[0])
    worst = max((row for row in rows if row["component"] != WHOLE), key=lambda row: row["bits"])
    assert worst["component"] == BROKEN.label
    for wrong, message in (
        (["--language", "en"], "has no language 'en'"),
        (["--language", "eng", "--unit", "bits per"], "has no unit"),
        (["--language", "eng", "--recipe", "x.yaml"], "one of the two"),
        (["--language", "eng", "--parent", "nobody"], "has no checkpoint 'nobody'"),
    ):
        assert message in refused(*arguments, *wrong)
