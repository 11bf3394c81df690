"""What is done to a merge afterwards, with text: rows by vocabulary, REPAIR, a little training."""

import dataclasses

import pytest
import torch
from conftest import gpt2, llama, write_checkpoint

from interference import networks
from interference.checkpoint import build
from interference.corpus import Corpus
from interference.dev import DevHalf
from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.export import write_merge
from interference.merge import merge, merge_network_steps
from interference.post import finetune as training
from interference.post import repair as repairing
from interference.post.vocabulary_rows import vocabulary_rows
from interference.recipe import Recipe, Slice
from interference.registry import post_steps
from interference.steps import finish
from interference.store import Store
from interference.suite import Suite, open_suite
from interference.weights import Weights

CPU = torch.device("cpu")
PAIR = ("mono-eng", "mono-deu")
AVERAGE = Recipe("linear", PAIR, (0.5, 0.5))


@pytest.fixture
def suite(suite_folder) -> Suite:
    return open_suite(suite_folder)


def weights_of(suite: Suite) -> Weights:
    dev = DevHalf(suite, CPU)
    return Weights(suite.checkpoints, CPU, dev)


def merged(suite: Suite, recipe: Recipe) -> torch.nn.Module:
    network = build(suite[recipe.models[0]].config, CPU)
    finish(merge_network_steps(recipe, weights_of(suite), network))
    return network


def after(recipe: Recipe, *post: str) -> Recipe:
    return dataclasses.replace(recipe, post=post)


# --- rows by vocabulary -----------------------------------------------------------------------------------------


def test_rows_follow_the_use_of_their_tokens():
    """By hand: a token of one language is that parent's row, a shared one shared by relative use, an unused one the
    method's; languages of unequal amounts of text count alike."""
    parents = torch.tensor([[[1.0], [2.0], [3.0], [4.0]], [[10.0], [20.0], [30.0], [40.0]]])
    counts = torch.tensor([[5.0, 0.0, 5.0, 0.0], [0.0, 50.0, 150.0, 0.0]])
    rows = vocabulary_rows(torch.full((4, 1), -1.0), parents, counts)
    torch.testing.assert_close(rows, torch.tensor([[1.0], [20.0], [(0.5 * 3 + 0.75 * 30) / 1.25], [-1.0]]))
    torch.testing.assert_close(vocabulary_rows(torch.full((4,), -1.0), parents[..., 0], counts), rows[:, 0])
    same = torch.ones(3, 2)
    assert vocabulary_rows(same, same.expand(2, 3, 2), None) is same


@pytest.mark.parametrize("method", ["linear", "slerp", "regmean"])
def test_rows_combine_with_any_method(method, suite):
    """Other tensors, and rows of tokens that neither language has, are the method's own."""
    even = () if method == "slerp" else (0.5, 0.5)
    weights = weights_of(suite)
    plain, with_rows = (merge(Recipe(method, PAIR, even, post=p), weights) for p in ((), ("vocabulary_rows",)))
    measured = weights.measured("counts", PAIR, ["model.embed_tokens.weight"] * 2)
    assert measured is not None
    counts = measured.whole()
    for name, tensor in with_rows.items():
        changed = ~torch.isclose(tensor, plain[name], rtol=1e-5, atol=1e-6).reshape(len(tensor), -1).all(dim=1)
        used = counts.sum(dim=0) > 0
        assert torch.equal(changed, used) if "embed" in name else not changed.any()
    eng = counts.ne(0) == torch.tensor([[True], [False]])
    own = with_rows["model.embed_tokens.weight"][eng.all(dim=0)]
    assert len(own)
    parent = weights.read("model.embed_tokens.weight", PAIR)[0][eng.all(dim=0)]
    torch.testing.assert_close(own, parent)


# --- REPAIR -----------------------------------------------------------------------------------------------------


def spreads(suite, network):
    batches = DevHalf(suite, CPU).batches(PAIR, repairing.EACH, repairing.SIZE)
    return [repairing._spreads(network, block, batches) for block in range(2)]


def test_deviations_are_those_of_all_tokens_however_they_are_batched(suite):
    network, dev = merged(suite, AVERAGE), DevHalf(suite, CPU)
    some, all_at_once = (dev.batches(PAIR, repairing.EACH, size) for size in (5, 1000))
    assert (len(some) > 2, len(all_at_once)) == (True, 1)
    for block in range(2):
        found, expected = (repairing._spreads(network, block, batches) for batches in (some, all_at_once))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_repaired_writes_vary_as_the_parents_do(suite):
    """Attention's and the MLP's, in every channel and block; before they do not."""
    parents = [spreads(suite, DevHalf(suite, CPU).network(name)) for name in PAIR]
    plain, repaired = (spreads(suite, merged(suite, after(AVERAGE, *p))) for p in ((), ("repair",)))
    for block in range(2):
        for which in (0, 2):
            wanted = (parents[0][block][which] + parents[1][block][which]) / 2
            torch.testing.assert_close(repaired[block][which], wanted, rtol=1e-3, atol=1e-5)
            assert not torch.allclose(plain[block][which], wanted, rtol=0.1)


def test_repair_scales_rows_and_columns_of_the_writing_matrices_alone(suite):
    """Attention's last matrix by rows; the MLP's by rows and, for its hidden layer, by columns: an outer product."""
    plain, repaired = (dict(merged(suite, after(AVERAGE, *p)).named_parameters()) for p in ((), ("repair",)))
    for name, tensor in plain.items():
        ratio = (repaired[name] / tensor).detach()
        if "o_proj" in name:
            torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-3, atol=1e-5)
        elif "down_proj" in name:
            torch.testing.assert_close(ratio, ratio[:, :1] * ratio[:1] / ratio[0, 0], rtol=1e-3, atol=1e-5)
            assert float(ratio[0].std()) > 0.01
        else:
            assert torch.equal(repaired[name], tensor)
            continue
        assert float(ratio[:, 0].std()) > 0.01


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_repair_leaves_a_single_parent_unchanged(kind, tokenizer, tmp_path):
    """Bit for bit; and where its last write was doubled, it comes back."""
    model = llama(0) if kind == "llama" else gpt2(0)
    write_checkpoint(model, tokenizer, tmp_path / "a")
    text = {"eng": tuple(f"Sentence number {i}." for i in range(8))}
    suite = dataclasses.replace(open_suite(tmp_path), corpus=Corpus("x", text, tuple("aabbccdd"), True))
    recipe = Recipe("linear", ("a",), (1.0,), post=("repair",))
    network = build(suite["a"].config, CPU)
    finish(merge_network_steps(recipe, weights_of(suite), network))
    parameters = dict(network.named_parameters())
    assert all(torch.equal(parameters[n], p) for n, p in model.named_parameters())
    writer = "mlp.down_proj" if kind == "llama" else "mlp.c_proj"
    with torch.no_grad():
        scaled = [p for n, p in parameters.items() if writer in n]
        scaled[-1].mul_(2)
    list(repairing.repair(network, recipe, DevHalf(suite, CPU)))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameters[name].detach(), parameter.detach(), rtol=1e-3, atol=1e-5)


def test_repair_refuses_blocks_that_it_does_not_know(suite, monkeypatch):
    monkeypatch.delitem(repairing._WRITERS, "LlamaForCausalLM")
    with pytest.raises(UserError, match="REPAIR does not know what the blocks of a LlamaForCausalLM write"):
        merged(suite, after(AVERAGE, "repair"))


def test_repair_refuses_slices(suite):
    part = Slice(PAIR[:1], ((0, 1),))
    with pytest.raises(UserError, match="slices have no such block"):
        merged(suite, Recipe("passthrough", slices=(part, part), post=("repair",)))


# --- training ---------------------------------------------------------------------------------------------------


def test_training_lowers_the_dev_loss_the_same_way_each_time(suite):
    """And by another order with another seed; the label says that it trains, and for how long."""
    recipe = after(AVERAGE, "finetune")
    batches = DevHalf(suite, CPU).batches(PAIR, 12, 8)
    plain, first, again, other = (
        merged(suite, r) for r in (AVERAGE, recipe, recipe, dataclasses.replace(recipe, seed=1))
    )
    losses = [sum(b.nats(n(input_ids=b.inputs).logits).item() for b in batches) for n in (plain, first, again, other)]
    assert losses[1] < 0.9 * losses[0]
    assert losses[1] == losses[2] != losses[3]
    assert f"trained for {training.STEPS} steps on the dev half" in recipe.label()
    assert all(p.grad is None for p in first.parameters())


# --- in the evaluator and on disk -------------------------------------------------------------------------------


@pytest.mark.parametrize("post", [("repair",), ("finetune",), ("vocabulary_rows", "repair")])
def test_what_is_scored_is_what_is_written(post, suite, tmp_path):
    """One network from the evaluator and from the folder, also where another was put in between; made once."""
    recipe = after(AVERAGE, *post)
    evaluator = Evaluator(suite, Store(tmp_path / "store"), CPU)
    rows = evaluator.corpus.rows(4)
    bits = evaluator.bits(recipe, "eng", rows)
    kept = evaluator.networks._finished[recipe]
    evaluator.networks.put("init")
    network = evaluator.networks.put(recipe)
    assert evaluator.networks._finished[recipe] is kept
    again = Evaluator(suite, Store(tmp_path / "other"), CPU)
    assert (again.bits(recipe, "eng", rows) == bits).all()
    written = write_merge(recipe, suite, tmp_path / "written", CPU)
    stored = dict(open_suite(written).checkpoints[0].tensors())
    assert all(torch.equal(stored[name], p) for name, p in network.named_parameters())


def test_the_evaluator_yields_while_it_makes_a_merge(suite, tmp_path):
    """So that urgent work comes in between: other merges can be put at every step and change nothing."""
    recipe = after(AVERAGE, "finetune")
    alone, shared = (Evaluator(suite, Store(tmp_path / name), CPU) for name in "ab")
    rows, yields = alone.corpus.rows(4), []

    def interrupt(_) -> None:
        yields.append(shared.networks.put("init"))

    assert (finish(shared.bits_steps(recipe, "eng", rows), interrupt) == alone.bits(recipe, "eng", rows)).all()
    assert len(yields) >= training.STEPS


def test_two_who_ask_for_one_training_share_it(suite, tmp_path, monkeypatch):
    """Turn by turn, as sessions of one server; where the first goes away the other has what was done so far."""
    made: list[None] = []
    training = networks.merge_network_steps

    def counted(*given):
        for _ in training(*given):
            made.append(None)
            yield

    monkeypatch.setattr(networks, "merge_network_steps", counted)
    recipe = after(AVERAGE, "finetune")
    alone = Evaluator(suite, Store(tmp_path / "alone"), CPU)
    finish(alone.networks.ready_steps(recipe))
    whole = len(made)
    for left in (0, 5):
        made.clear()
        both = Evaluator(suite, Store(tmp_path / "both"), CPU)
        jobs = [both.networks.ready_steps(recipe) for _ in range(2)]
        while jobs:
            jobs = [job for job in jobs if next(job, "end") is None]
            if left and len(made) >= left and len(jobs) == 2:
                jobs.pop(0).close()
        assert len(made) == whole
        expected = alone.networks._finished[recipe]
        assert all(torch.equal(tensor, expected[name]) for name, tensor in both.networks._finished[recipe].items())

    def short(*given):
        yield from range(9)
        raise UserError("no room")

    monkeypatch.setattr(networks, "merge_network_steps", short)
    failing = Evaluator(suite, Store(tmp_path / "failing"), CPU).networks
    asked = [failing.ready_steps(recipe) for _ in range(2)]
    while not failing._finishing:
        next(asked[0])
    next(asked[1])
    for steps in asked:
        with pytest.raises(UserError, match="no room"):
            finish(steps)
    monkeypatch.setattr(networks, "merge_network_steps", counted)
    dropped = Evaluator(suite, Store(tmp_path / "dropped"), CPU).networks
    asked = [dropped.ready_steps(recipe) for _ in range(2)]
    while not dropped._finishing:
        next(asked[0])
    for steps in asked:
        next(steps)
        steps.close()
    assert not dropped._finished


def test_half_precision_merges_are_finished_in_float32_and_rounded_once(suite, tmp_path):
    recipe = dataclasses.replace(after(AVERAGE, "repair"), out_dtype="bfloat16")
    written = write_merge(recipe, suite, tmp_path / "written", CPU)
    network = Evaluator(suite, Store(tmp_path / "store"), CPU).networks.put(recipe)
    for name, tensor in open_suite(written).checkpoints[0].tensors():
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor.float(), network.get_parameter(name))


def test_every_post_step_says_what_it_does():
    assert {"rescale", "vocabulary_rows", "repair", "finetune"} <= post_steps().keys()
    assert all(step.label and step.caption.endswith(".") for step in post_steps().values())
