"""Conflict measures: by hand, their invariances, their nulls, a planted conflict, and the one pass against a loop."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import gpt2, llama, write_checkpoint

from interference import scored
from interference.conflict import survey as surveys
from interference.conflict.given import Given
from interference.conflict.registry import CHANGES, At, Measure, conflict_measure, measures
from interference.conflict.survey import Survey, equal_average, resident_steps, survey_steps
from interference.conflict.table import ALL, COLUMNS, ConflictTable
from interference.dev import DevHalf
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.figures.landscape import linearity_figure
from interference.figures.weights import layer_figure, tensor_figure
from interference.groups import layer_of
from interference.recipe import Recipe
from interference.steps import finish
from interference.store import Store
from interference.suite import Suite, open_suite
from interference.views import conflict_sentence
from interference.weights import Weights

MEASURES = measures()
PLANTED = "model.layers.1.mlp.up_proj.weight"
# What a pair of task vectors that agree everywhere but in one tensor, where they oppose, does to each measure there.
SEES = {
    "cancellation": max, "coordinate_match": min, "cosine": min, "elected_mass": max, "l2_relative": max,
    "norm_shrinkage": min, "sign_conflict": max, "sign_conflict_of_set": max, "update_retention": min,
}  # fmt: skip
BLIND = {  # of one model alone, of subspaces whatever the sign, of sizes, or of text
    "effective_rank", "fisher_overlap", "l2", "rank_95", "singular_task_interference", "stable_rank",
    "subspace_alignment", "subspace_overlap", "top_k_mass", "trimmed_mass",
}  # fmt: skip


def given(stack: torch.Tensor, merged: torch.Tensor | None = None, fisher: torch.Tensor | None = None) -> Given:
    """A stack with its mean as the merge, its squares as Fisher information and equal coefficients."""
    return Given(
        stack,
        "mlp",
        lambda: stack.mean(dim=0) if merged is None else merged,
        lambda: stack.square() if fisher is None else fisher,
        lambda: torch.ones(len(stack)),
    )


def values(measure: Measure, one: Given, **knobs: float) -> np.ndarray:
    return measure.of_sums(one.sums(measure, measure.defaults | knobs))


def stack_of(*rows: list) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


def diagonal(*values: float) -> torch.Tensor:
    return torch.diag(torch.tensor(values, dtype=torch.float32))


@pytest.mark.parametrize(
    ("name", "stack", "expected", "knobs"),
    [
        ("cosine", stack_of([3, 4], [4, 3]), [24 / 25], {}),
        ("l2", stack_of([3, 4], [0, 0]), [5], {}),
        ("l2_relative", stack_of([3, 4], [-3, -4]), [2], {}),
        ("sign_conflict", stack_of([1, -1, 0, 2], [1, 1, 5, -2]), [2 / 3], {}),
        ("sign_conflict_of_set", stack_of([1, -1, 0, 2], [1, 1, 5, -2]), [2 / 3], {}),
        ("cancellation", stack_of([1, -1, 0, 2], [1, 1, 5, -2]), [6 / 13], {}),
        ("trimmed_mass", stack_of([4, -3, 2, -1]), [3 / 10], {"density": 0.5}),
        ("top_k_mass", stack_of([4, -3, 2, -1]), [25 / 30], {"share": 0.5}),
        ("elected_mass", stack_of([4, 0, 0, -3], [-1, 0, 0, -2]), [1 / 10], {"density": 0.5}),  # 4 - 1, -3 - 2
        ("norm_shrinkage", stack_of([3, 4], [-3, 4]), [0.8, 0.8], {}),  # the mean is (0, 4)
        ("update_retention", stack_of([2, 0], [0, 4]), [0.5, 0.5], {}),
        ("stable_rank", diagonal(2, 1)[None], [5 / 4], {}),
        ("effective_rank", diagonal(1, 1)[None], [2], {}),
        ("rank_95", torch.stack([diagonal(10, 1), diagonal(1, 1)]), [1, 2], {}),
        ("subspace_overlap", torch.stack([diagonal(2, 1), diagonal(2, 1)]), [1], {}),
        ("subspace_overlap", torch.stack([diagonal(2, 1), diagonal(1, 2)]), [0], {}),
        (
            "subspace_alignment",
            torch.stack([diagonal(1, 0), diagonal(0, 9)]),
            [0, 1],
            {},
        ),  # the mean is mostly the last
        ("singular_task_interference", torch.stack([diagonal(2, 1), diagonal(2, 1)]), [1], {}),
        ("singular_task_interference", torch.stack([diagonal(2, 1), diagonal(1, 2)]), [0], {}),
        ("coordinate_match", torch.stack([torch.eye(4), torch.eye(4)[[1, 0, 2, 3]]]), [0.5], {}),
        ("fisher_overlap", stack_of([1, 0, 0], [0, 1, 0]), [0], {}),
        ("fisher_overlap", stack_of([1, 1, 0], [0, 1, 1]), [0.5], {}),
    ],
)
def test_by_hand(name, stack, expected, knobs):
    np.testing.assert_allclose(values(MEASURES[name], given(stack), **knobs), expected, atol=1e-6)


def test_every_measure_is_worked_out_by_hand_and_placed():
    marks = test_by_hand.pytestmark[0].args[1]
    assert {name for name, *_ in marks} == set(MEASURES)
    assert set(SEES) | BLIND == set(MEASURES)


def changed(stack: torch.Tensor, change: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    if change == "scale":
        return stack * torch.tensor([0.2, 3.0, 1.0])[:, None, None]
    if change == "common scale":
        return stack * 3.0
    if change == "own permutation":
        return torch.stack([one[torch.randperm(len(one), generator=generator)] for one in stack])
    left, right = (torch.linalg.qr(torch.randn(n, n, generator=generator))[0] for n in stack.shape[1:])
    return left @ stack @ right


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", MEASURES)
def test_declared_changes_leave_it_and_all_others_do_not(name, change):
    """Three related matrices, so that each measure has something to lose."""
    torch.manual_seed(1)
    stack = torch.randn(24, 20) + 3.0 * torch.randn(3, 24, 20)
    before, after = (values(MEASURES[name], given(one)) for one in (stack, changed(stack, change)))
    if change in MEASURES[name].unchanged:
        np.testing.assert_allclose(after, before, rtol=1e-3)
    else:
        assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize("name", [m.name for m in MEASURES.values() if m.closed])
def test_independent_gaussian_tensors_have_the_closed_form(name):
    torch.manual_seed(0)
    measure, shape = MEASURES[name], (60, 50)
    found = values(measure, given(torch.randn(6, *shape))).mean()
    assert measure.closed
    assert found == pytest.approx(measure.closed(At(6, shape, "mlp", measure.defaults)), abs=0.012)


@pytest.mark.parametrize("name", MEASURES)
def test_values_stay_in_the_declared_range(name):
    measure = MEASURES[name]
    torch.manual_seed(2)
    for stack in (torch.randn(2, 8, 6), torch.ones(2, 8, 6), torch.stack([torch.ones(8, 6), -torch.ones(8, 6)])):
        found = values(measure, given(stack, merged=torch.ones(8, 6)))
        assert np.all((found >= measure.span[0] - 1e-6) & (found <= measure.span[1] + 1e-6) | np.isnan(found))


@pytest.mark.parametrize("name", MEASURES)
def test_of_nothing_but_zeros_there_is_no_value(name):
    found = values(MEASURES[name], given(torch.zeros(2, 4, 3)))
    assert np.isnan(found).all() if name != "l2" else (found == 0).all()


def test_what_is_no_measure_is_refused():
    with pytest.raises(ValueError, match="'triple' is none of"):
        conflict_measure(label="x", source="", of="triple", best="low", reading="", span=(0, 1), value=lambda a: a)


@pytest.fixture(scope="module")
def planted(tmp_path_factory, tokenizer, suite_folder) -> Suite:
    """A base and two models that moved alike, but oppositely in one tensor; and one that did not move."""
    folder = tmp_path_factory.mktemp("planted")
    torch.manual_seed(0)
    moves = {n: torch.randn_like(p) * 0.05 for n, p in llama(3).named_parameters()}
    for name in ("base", "a", "b", "still"):
        model = llama(3)
        with torch.no_grad():
            for n, p in model.named_parameters():
                if name in ("a", "b"):
                    sign = -1.0 if name == "b" and n == PLANTED else 1.0
                    p.add_(sign * moves[n] + 0.01 * torch.randn_like(p))
        write_checkpoint(model, tokenizer, folder / name)
    entries = [
        f"  - {{name: {n}, role: {r}, path: ./{n}, language: {c}}}"
        for n, r, c in (
            ("base", "other", "eng"),
            ("a", "branch", "eng"),
            ("b", "branch", "deu"),
            ("still", "other", "eng"),
        )
    ]
    text = f"name: planted\ncorpus: {suite_folder / 'corpus.tsv'}\ncheckpoints:\n" + "\n".join(entries)
    (folder / "suite.yaml").write_text(text + "\n")
    return open_suite(folder)


def survey(suite: Suite, *models: str, folder=None, store: Store | None = None, **named) -> ConflictTable:
    dev = DevHalf(suite, torch.device("cpu"))
    made = Survey(named.pop("recipe", None) or equal_average(models), **named)
    weights = Weights([suite[n] for n in made.needed], torch.device("cpu"), dev)
    return finish(survey_steps(suite, weights, store or Store(folder), made))


@pytest.fixture(scope="module")
def table(planted, tmp_path_factory) -> ConflictTable:
    return survey(planted, "a", "b", base="base", folder=tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("name", SEES)
def test_a_planted_conflict_is_found_by_what_claims_to_see_it(table, name):
    """In the tensor, its layer and its group."""
    frame = table.frame[table.frame["measure"] == name]
    for level, expected in (("tensor", ("mlp", 1)), ("layer", ("mlp", 1)), ("group", ("mlp", None))):
        part = frame[(frame["by"] == level) & (frame["group"] != ALL)]
        found = part.loc[part["value"] == SEES[name](part["value"])].iloc[0]
        assert found["group"] == expected[0]
        assert expected[1] is None or found["layer"] == expected[1]
        assert level != "tensor" or found["tensor"] == PLANTED


@pytest.mark.parametrize("name", sorted(BLIND - {"fisher_overlap", "l2", "subspace_alignment"}))
def test_what_does_not_claim_to_see_it_does_not_change(table, name):
    """The planted tensor looks like its neighbour of the same shape, where nothing is opposed."""
    frame = table.by("tensor").set_index(["measure", "tensor"])["value"]
    other = PLANTED.replace("up_proj", "gate_proj")
    mine, neighbour = (np.mean(frame.loc[(name, one)]) for one in (PLANTED, other))
    assert mine == pytest.approx(neighbour, rel=0.15)


def test_pooled_values_are_those_of_all_entries_at_once(table, planted):
    """Cosine, signs, distance and norm of a group, against flattened vectors; ranks are means over matrices."""
    tensors = {n: dict(planted[n].tensors()) for n in ("base", "a", "b")}
    names = [n for n in planted["a"].shapes if ".mlp." in n]
    a, b = (torch.cat([(tensors[m][n] - tensors["base"][n]).flatten() for n in names]).double() for m in ("a", "b"))
    rows = table.by("group").query("group == 'mlp'").set_index("measure")["value"]
    assert rows["cosine"] == pytest.approx(float(torch.nn.functional.cosine_similarity(a, b, dim=0)), abs=1e-6)
    assert rows["l2"] == pytest.approx(float((a - b).norm()), rel=1e-6)
    assert rows["sign_conflict"] == pytest.approx(float((a.sign() != b.sign()).double().mean()))
    assert rows["norm_shrinkage"].to_numpy() == pytest.approx([float((a + b).norm() / 2 / v.norm()) for v in (a, b)])
    single = table.by("tensor").query("group == 'mlp' and measure == 'rank_95' and first == 'a'")["value"]
    whole = table.by("group").query("group == 'mlp' and measure == 'rank_95' and first == 'a'")["value"]
    assert whole.item() == pytest.approx(single.mean())


@pytest.mark.parametrize(("budget", "layers"), [(1e9, {None, 0, 1}), (2e6, {0, 1}), (1.0, {1})])
def test_large_matrices_are_not_all_decomposed_and_it_says_so(planted, table, tmp_path, monkeypatch, budget, layers):
    """First without embeddings, then fewer layers; what is still there has its own numbers, other measures all."""
    monkeypatch.setitem(surveys._DECOMPOSED, "cpu", budget)
    found = survey(planted, "a", "b", base="base", folder=tmp_path, measures=("cosine", "rank_95"))
    rows = found.by("tensor").set_index(["measure", "tensor"])
    assert {layer_of(name) for name in rows.loc["rank_95"].index} == layers
    assert set(rows.loc["cosine"].index) == set(planted["a"].shapes)
    before = table.by("tensor").set_index(["measure", "tensor", "first"])["value"]
    after = found.by("tensor").set_index(["measure", "tensor", "first"])["value"]
    for key, value in after.loc[["rank_95"]].items():
        assert value == before[key]
    assert any("would take too long" in note for note in found.notes) == (None not in layers)
    if layers == {1}:  # counted as in the parameters' names
        assert found.notes[-1].endswith("those of the layers 1 (the first is 0).")


def test_rows_of_every_level(table, planted):
    frame = table.by("whole").query("measure == 'cosine'")
    assert list(frame["by"].unique()) == ["group", "whole"], "the whole model never without its groups"
    assert frame.query("by == 'whole'")["entries"].item() == planted["a"].parameters
    assert len(table.by("tensor").query("measure == 'cosine'")) == len(planted["a"].shapes)
    assert set(table.by("layer")["layer"].dropna()) == {0, 1}
    assert tuple(table.frame.columns) == COLUMNS
    assert "from base" in table.notes[0]
    with pytest.raises(ValueError, match="has the columns"):
        replace(table, frame=table.frame.drop(columns="chance"))


def test_chance_is_what_unrelated_models_have(planted, table):
    """Shuffled task vectors keep their norms and lose their directions; norm gains' weights all point one way."""
    cosines = table.by("group").query("measure == 'cosine' and group == 'mlp'")
    assert cosines["value"].item() > 0.3
    assert abs(cosines["chance"].item()) < 0.02
    norms = survey(planted, "a", "b", measures=("cosine",)).by("group").query("group == 'norms'")
    assert norms["chance"].item() > 0.99
    assert norms["closed_form"].item() == 0


def test_closed_forms_are_of_matrices_as_they_are_measured(tokenizer, tmp_path):
    """GPT-2 stores its matrices [in, out]: what is unrelated has the value of their outputs, not of their inputs."""
    for seed, name in enumerate("ab"):
        write_checkpoint(gpt2(seed), tokenizer, tmp_path / name)
    found = survey(
        open_suite(tmp_path), "a", "b", folder=tmp_path / "store", measures=("subspace_overlap", "coordinate_match")
    )
    rows = found.by("tensor").set_index(["measure", "tensor"])["closed_form"]
    for part, outputs in (("attn.c_attn", 96), ("mlp.c_fc", 128), ("mlp.c_proj", 32)):
        name = f"transformer.h.0.{part}.weight"
        assert rows["coordinate_match", name] == pytest.approx(1 / outputs)
        assert rows["subspace_overlap", name] == pytest.approx(3 / outputs)


def test_the_sentence_rounds_all_parts_alike(planted, table):
    """A cosine of a hundred thousandth beside one of a half is nothing, and no negative nothing."""
    frame = table.frame.query("measure == 'cosine'").assign(value=0.5, chance=-2.26e-05)
    frame.loc[frame["group"] == "mlp", "value"] = -0.00254
    sentence = conflict_sentence(replace(table, frame=frame), measures()["cosine"])
    assert sentence.startswith("**Cosine of the whole model: 0.500, chance 0.000**")
    assert "mlp −0.003 (chance 0.000)" in sentence
    frame = frame.assign(value=145.2, chance=2.339)
    assert "145, chance 2.34" in conflict_sentence(replace(table, frame=frame), measures()["cosine"])
    figure = tensor_figure(table.by("tensor").query("measure == 'cosine'").assign(value=-0.0001), "Cosine")
    assert {text for row in figure.data[0].text for text in row} <= {"0.000", ""}


def test_figures_count_layers_as_parameter_names_do(planted, table):
    """From 0, which the axis says: along the layers of a measure, tensor by tensor, and along a path."""
    along = layer_figure(table.by("layer").query("measure == 'cosine'"), "Cosine")
    assert next(list(trace.x) for trace in along.data if trace.name == "mean") == [0, 1]
    lines = {"language": "eng", "weight": 0.5, "layer": [0, 1], "site": "residual stream", "cosine": 1.0}
    path = pd.DataFrame(lines | {"cosine_chance": 0.0})
    drawn = linearity_figure(path, "cosine", "eng", 0.5)
    assert list(drawn.data[0].x) == [0, 1]
    for figure in (along, drawn):
        assert "layer (the first is 0)" in {a.text for a in figure.layout.annotations}
    figure = tensor_figure(table.by("tensor").query("measure == 'cosine'"), "Cosine")
    assert figure.layout.yaxis.title.text == "layer (the first is 0)"
    assert {"0", "1"} <= set(figure.data[0].y)


def test_without_chance_levels_the_values_are_the_same(planted, tmp_path):
    """Nor is one kept in the other's place."""
    store = Store(tmp_path)
    quick, full = (
        survey(planted, "a", "b", store=store, measures=("cosine",), chance=chance).frame for chance in (False, True)
    )
    assert quick["value"].equals(full["value"])
    assert quick["chance"].isna().all()
    assert full["chance"].notna().all()


def test_a_tiny_distance_is_exact():
    """A last bit of a weight apart, where inner products would say anything."""
    a = torch.full((1, 1000), 1000.0)
    found = values(MEASURES["l2"], given(torch.cat([a, a + 2**-10])))
    assert found.item() == pytest.approx(1000**0.5 * 2**-10, rel=1e-6)


def test_a_model_that_did_not_move_has_no_direction(planted):
    frame = survey(planted, "a", "still", base="base", measures=("cosine", "l2", "subspace_overlap")).by("group")
    assert frame.query("measure == 'cosine'")["value"].isna().all()
    assert frame.query("measure == 'l2'")["value"].notna().all()


def test_copies_say_whose_weights_they_are_of(planted, tmp_path):
    evaluator = Evaluator(planted, Store(tmp_path), torch.device("cpu"))
    asked = Survey(equal_average(("a", "b")), "base", ("cosine",))
    said = finish(resident_steps(evaluator, asked)).provenance
    assert said["base"] == "base"
    assert said["recipe"] == asked.recipe.to_yaml()
    assert all(planted[name].digest in said["weights_sha256"] for name in ("a", "b", "base"))


def test_sums_are_kept(planted, tmp_path, monkeypatch):
    """The second time nothing is computed; another knob, base or recipe is another key."""
    store, named = Store(tmp_path), {"measures": ("top_k_mass", "update_retention"), "base": "base"}
    first = survey(planted, "a", "b", store=store, **named)
    passes: list[Survey] = []
    real = surveys._pass
    monkeypatch.setattr(
        surveys, "_pass", lambda weights, made, chosen: (passes.append(made), real(weights, made, chosen))[1]
    )
    assert survey(planted, "a", "b", store=store, **named).frame.equals(first.frame)
    assert not passes
    survey(planted, "a", "b", store=store, knobs=(("top_k_mass.share", 0.5),), **named)
    survey(planted, "a", "b", store=store, recipe=Recipe("linear", ("a", "b"), (0.9, 0.1)), **named)
    survey(planted, "a", "b", store=store, **(named | {"base": None}))
    assert len(passes) == 3


def test_the_merge_is_the_recipes(planted):
    """All of a and nothing of b keeps all of a."""
    only = Recipe("linear", ("a", "b"), (1.0, 0.0))
    rows = survey(planted, recipe=only, base="base", measures=("update_retention", "norm_shrinkage")).by("whole")
    rows = rows.query("by == 'whole' and first == 'a'")
    assert rows["value"].to_numpy() == pytest.approx([1, 1], abs=1e-5)
    assert rows["closed_form"].isna().all(), "closed forms are those of equal averages"
    ties = Recipe("ties_paper", ("a", "b"), (1.0, 1.0), base="base")
    assert survey(planted, recipe=ties, base="base", measures=("norm_shrinkage",)).by("whole")["chance"].notna().all()


def test_without_documents_the_fisher_overlap_is_left_out_and_the_rest_is_there(suite_folder, planted):
    suite = replace(planted, corpus=None)
    table = survey(suite, "a", "b", measures=("cosine", "fisher_overlap"))
    assert set(table.frame["measure"]) == {"cosine"}
    assert "Fisher overlap is left out" in table.notes[0]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"measures": ("cosin",)}, "did you mean 'cosine'"),
        ({"base": "a"}, "is the base and one of the models"),
        ({"knobs": (("top_k_mass.shar", 0.2),)}, "did you mean 'top_k_mass.share'"),
        ({"knobs": (("top_k_mass.share", 2.0),)}, "expected 0.01 to 1"),
        ({"recipe": Recipe("passthrough", ("a",))}, "two models or more"),
        ({"recipe": Recipe("linear", ("a", "b"), (0.5, 0.5), post=("repair",))}, "whole network"),
        ({"base": "nobody"}, "has no checkpoint 'nobody'"),
    ],
)
def test_what_can_not_be_measured_is_said(planted, named, message):
    with pytest.raises(UserError, match=message):
        survey(planted, "a", "b", **named)


def test_command(planted, told, refused):
    arguments = ["conflict", "a", "b", "--suite", str(planted.path), "--base", "base", "--format", "json"]
    rows = json.loads(told(*arguments, "--measure", "cosine", "--by", "whole")[0])
    assert {row["group"] for row in rows} == {"embeddings", "attention", "mlp", "norms", ALL}
    assert "did you mean 'cosine'" in refused(*arguments, "--measure", "cosin")
    assert "has no number" in refused(*arguments, "--knob", "top_k_mass.share=x")
    refused("conflict", "a", "--suite", planted.path)
    assert {row["measure"] for row in json.loads(told("measures", "--format", "json")[0])} == set(MEASURES)


def test_stored_measures_of_a_merge_are_those_of_its_masks(suite_folder, monkeypatch):
    """Masks drawn otherwise make another merge of the same recipe; what needs no merge stays as it is."""
    suite = open_suite(suite_folder)
    weights = Weights(suite.checkpoints, torch.device("cpu"))
    survey = Survey(Recipe("dare_ties", ("mono-eng", "mono-deu"), (0.5, 0.3), base="init"), base="init")
    needing, plain = (next(m for m in measures().values() if bool(m.needs) == asked) for asked in (True, False))
    before = [surveys._key(suite, weights, survey, measure) for measure in (needing, plain)]
    monkeypatch.setattr(scored, "GENERATOR", "another")
    assert surveys._key(suite, weights, survey, needing) != before[0]
    assert surveys._key(suite, weights, survey, plain) == before[1]
