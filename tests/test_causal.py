"""The causal map: a planted broken component is the largest cell of both maps, and nothing else is blamed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import llama, write_checkpoint

from interference.__main__ import main
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
)
from interference.conflict.survey import equal_average
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.hybrid import Component, Hybrid, components
from interference.recipe import Recipe, Slice
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite

BROKEN = Component(1, "mlp")


@pytest.fixture(scope="module")
def suite(tmp_path_factory, tokenizer, suite_folder):
    """A model and a copy of it whose second MLP is another's, beside an untrained one."""
    folder = tmp_path_factory.mktemp("broken")
    models = {"init": llama(0), "whole": llama(3), "broken": llama(3), "other": llama(7)}
    with torch.no_grad():
        parameters = dict(models["broken"].named_parameters())
        for name in BROKEN.names(parameters):
            torch.manual_seed(len(name))
            parameters[name].copy_(torch.randn_like(parameters[name]))
    for name, model in models.items():
        write_checkpoint(model, tokenizer, folder / name)
    roles = {"init": "init", "whole": "mono, language: eng", "broken": "other", "other": "other"}
    entries = [f"  - {{name: {n}, path: ./{n}, role: {r}}}" for n, r in roles.items()]
    text = f"name: broken\ncorpus: {suite_folder / 'corpus.tsv'}\ncheckpoints:\n" + "\n".join(entries)
    (folder / "suite.yaml").write_text(text + "\n")
    return open_suite(folder)


@pytest.fixture(scope="module")
def evaluator(suite, tmp_path_factory):
    return Evaluator(suite, Store(tmp_path_factory.mktemp("store")), torch.device("cpu"))


def run(evaluator: Evaluator, trial: Trial, **named) -> CausalTable:
    return finish(causal_steps(evaluator, trial, None, **named))


@pytest.fixture(scope="module")
def table(evaluator):
    return run(evaluator, Trial(equal_average(("whole", "broken")), "whole", "eng"))


@pytest.mark.parametrize("kind", [TRANSPLANTED, RESTORED])
def test_the_broken_component_is_blamed_and_nothing_else(table, kind):
    for frame in table.units.values():
        part = frame[(frame["map"] == kind) & (frame["component"] != WHOLE)]
        worst = part.loc[part["bits"].idxmax()]
        assert worst["component"] == BROKEN.label
        assert worst["low"] > 0
        others = part[part["component"] != BROKEN.label]
        assert ((others["low"] <= 0) & (others["high"] >= 0)).all()
        assert len(others) == len(components(llama(0).state_dict())) - 2  # the tied head is no parameter of its own


def test_both_maps_agree_with_the_whole_where_one_component_is_all_the_difference(table):
    frame = table.units["bits per sentence"].set_index(["map", "component"])["bits"]
    for kind in (TRANSPLANTED, RESTORED):
        assert frame[kind, BROKEN.label] == pytest.approx(frame[kind, WHOLE], abs=1e-4)


def test_the_control_is_the_untrained_models(table, evaluator):
    frame = table.units["bits per sentence"]
    part = frame[frame["map"] == UNTRAINED].set_index("component")
    rows = evaluator.corpus.rows(None)
    expected = (evaluator.bits("init", "eng", rows) - evaluator.bits("whole", "eng", rows)).mean()
    assert part.loc[WHOLE, "bits"] == pytest.approx(expected)
    assert (part["bits"] != 0).all()


def test_a_cell_is_the_model_it_says(evaluator, suite):
    """The network of a hybrid holds the parent's tensors but for the component's, which are the merge's; or back."""
    recipe = Recipe("linear", ("whole", "other"), (0.25, 0.75))
    whole, other = (dict(suite[n].tensors()) for n in ("whole", "other"))
    for restored in (False, True):
        network = evaluator.put(Hybrid(recipe, "whole", BROKEN, restored))
        for name, parameter in network.named_parameters():
            merge = (".layers.1.mlp." in name) != restored
            expected = 0.25 * whole[name] + 0.75 * other[name] if merge else whole[name]
            torch.testing.assert_close(parameter.data, expected)


def test_cells_are_kept_by_what_made_them(evaluator):
    """No two of them share a place in the store, nor one with the merge."""
    recipe = equal_average(("whole", "other"))
    made = [Hybrid(recipe, "whole", part, back) for part in components(llama(0).state_dict()) for back in (False, True)]
    keys = {evaluator._key(model, "eng") for model in (*made, recipe, Hybrid(recipe, "other", BROKEN))}
    assert len(keys) == len(made) + 2


@pytest.mark.parametrize("restored", [False, True])
def test_a_cell_as_a_recipe_of_filters_is_the_same_model(evaluator, suite, restored):
    trial = Trial(Recipe("linear", ("whole", "other"), (0.25, 0.75)), "whole", "eng")
    for part in components(suite["whole"].shapes):
        made = cell_recipe(trial, part, restored, list(suite["whole"].shapes))
        rows = evaluator.corpus.rows(4)
        cell = Hybrid(trial.recipe, "whole", part, restored)
        np.testing.assert_allclose(*(evaluator.bits(model, "eng", rows) for model in (made, cell)), rtol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe("ties_paper", ("whole", "other"), (1.0, 1.0), base="@zero"), "only a normalised linear average"),
        (equal_average(("broken", "other")), "is not among the models"),
    ],
)
def test_what_filters_can_not_say_is_refused(suite, recipe, message):
    with pytest.raises(UserError, match=message):
        cell_recipe(Trial(recipe, "whole", "eng"), BROKEN, False, list(suite["whole"].shapes))


def test_any_method_and_any_parent(evaluator):
    """A parent that is not in the merge, a method with a base, a post-step of the whole network."""
    ties = Recipe("ties", ("broken", "other"), (1.0, 1.0), base="init", post=("rescale",))
    frame = run(evaluator, Trial(ties, "whole", "eng", control=False)).units["bits per sentence"]
    assert set(frame["map"]) == {TRANSPLANTED, RESTORED}
    assert np.isfinite(frame["bits"]).all()


def test_results_appear_as_they_come(evaluator):
    seen: list[CausalTable] = []
    last = run(evaluator, Trial(equal_average(("whole", "other")), "whole", "eng"), show=seen.append)
    assert [one.done for one in seen] == sorted({one.done for one in seen})
    assert 0 < seen[0].done < 1
    assert len(seen[0].units["bits per byte"]) < len(last.units["bits per byte"])


def test_an_untrained_parent_is_its_own_control(evaluator):
    frame = run(evaluator, Trial(equal_average(("whole", "other")), "init", "eng")).units["bits per byte"]
    assert UNTRAINED not in set(frame["map"])


def test_slices_and_wrong_tables_are_refused(table):
    sliced = Recipe("linear", slices=(Slice(("a", "b"), ((0, 1), (0, 1)), (0.5, 0.5)),))
    with pytest.raises(UserError, match="made of slices"):
        Trial(sliced, "a", "eng")
    with pytest.raises(ValueError, match=f"has the columns \\('{COLUMNS[0]}'"):
        replace(table, units={"x": table.units["bits per byte"].drop(columns="low")})


def test_command(suite, capsys):
    arguments = ["causal", "whole", "broken", "--suite", str(suite.path), "--format", "json", "--sentences", "6"]
    assert call([*arguments, "--language", "eng", "--no-control"]) == 0
    rows = json.loads(capsys.readouterr().out)
    worst = max((row for row in rows if row["component"] != WHOLE), key=lambda row: row["bits"])
    assert worst["component"] == BROKEN.label
    for wrong, message in (
        (["--language", "en"], "has no language 'en'"),
        (["--language", "eng", "--unit", "bits per"], "has no unit"),
        (["--language", "eng", "--recipe", "x.yaml"], "one of the two"),
        (["--language", "eng", "--parent", "nobody"], "has no checkpoint 'nobody'"),
    ):
        assert call([*arguments, *wrong]) == 2
        assert message in capsys.readouterr().err


def call(arguments: list[str]) -> int:
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0
