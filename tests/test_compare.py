"""Methods compared: nothing searched sees the test half, every method has its line, the command prints the same."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import llama, write_checkpoint, write_corpus

from interference import learn, search, sweep
from interference.compare import BEST as BEST_LINE
from interference.compare import (
    COLUMNS,
    DEFAULT,
    REFERENCE,
    STEP,
    TRIES,
    Comparison,
    Line,
    changed,
    compare_sentence,
    moves,
)
from interference.corpus import Corpus
from interference.ensemble import BEST, PROBABILITIES, Ensemble
from interference.errors import Shortage, UserError
from interference.evaluate import Evaluator
from interference.figures.compare import LEVELS, compare_figure
from interference.learn import learn_steps
from interference.recipe import Recipe
from interference.registry import methods, post_steps
from interference.search import EACH, search_steps
from interference.statistics import clustered_means
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite
from interference.sweep import compare_steps, compared

CPU = torch.device("cpu")
PAIR = ("mono-eng", "mono-deu")
BITS = "bits per sentence"


def hasten(patch: pytest.MonkeyPatch) -> None:
    """Three settings of each method instead of eight, and rough intervals."""
    for module in ("compare", "search"):
        patch.setattr(f"interference.{module}.TRIES", 3)
    patch.setattr("interference.statistics.RESAMPLES", 60)


@pytest.fixture(scope="module")
def whole(suite_folder, tmp_path_factory):
    """Every method on a pair: the evaluator, the table, and the lines in the order in which they were told."""
    store = Store(tmp_path_factory.mktemp("whole"))
    evaluator, told = Evaluator(open_suite(suite_folder), store, CPU), list[Line]()
    asked = Comparison(PAIR, ("eng", "deu"), "init", sentences=6)
    shares: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        hasten(patch)
        table = finish(compare_steps(evaluator, asked, told.append), shares.append)
    return evaluator, table, told, shares


def compare(evaluator: Evaluator, **changes):
    asked = Comparison(**({"models": PAIR, "languages": ("eng", "deu"), "sentences": 6} | changes))
    return finish(compare_steps(evaluator, asked))


# --- every method has its line ----------------------------------------------------------------------------------


def test_every_method_step_and_reference_has_its_line(whole):
    _, table, told, shares = whole
    assert list(table.lines) == told
    lines = {(line.name, line.variant): line for line in table.lines}
    assert len(lines) == len(table.lines)
    assert {n for n, variant in lines if variant == DEFAULT} == set(methods())
    assert {n for n, variant in lines if variant == STEP} == {f"linear+{name}" for name in post_steps()}
    assert {n for n, variant in lines if variant == REFERENCE} == {
        "best parent", "mean of probabilities", "mean of logits", "bigram", "unigram", "init",
    }  # fmt: skip
    assert {n for n, v in lines if v == DEFAULT and not lines[n, v].reason} == {n for n, v in lines if v == BEST_LINE}
    assert shares == sorted(shares)
    for line in table.lines:
        assert (line.table is None) == bool(line.reason)
        assert np.isnan(line.seconds) == (line.recipe is None or bool(line.reason))


def test_what_cannot_be_run_says_why_and_has_no_numbers(whole, tiny):
    """Methods of one model here; without a base all that need one, which are the registry's; the rest goes on."""
    frame = whole[1].in_unit(BITS)
    reasons = frame[frame["reason"] != ""].set_index("method")["reason"].to_dict()
    assert set(reasons) == {"passthrough", "arcee_fusion", "nearswap"}
    assert "merges exactly 1 model" in reasons["passthrough"]
    assert frame[frame["reason"] != ""][["value", "cost", "recovery", "seconds"]].isna().all(axis=None)
    assert frame[frame["reason"] == ""][["value", "low", "high", "cost"]].notna().all(axis=None)
    table = compare(tiny, search=False, languages=("deu",), sentences=2)
    lacking = {line.name for line in table.lines if "needs a base" in line.reason}
    assert lacking == {name for name, method in methods().items() if method.needs_base}


def test_a_merge_that_fails_is_a_line_and_not_the_end(tiny, monkeypatch):
    real = sweep.search_steps

    def failing(tiny, start, languages):
        if start.method == "slerp":
            raise UserError("It overflows.")
        return (yield from real(tiny, start, languages))

    monkeypatch.setattr(sweep, "search_steps", failing)
    lines = compare(tiny, methods=("linear", "slerp")).lines
    assert [(line.name, line.variant) for line in lines if line.reason] == [("slerp", BEST_LINE)]
    assert lines[-1].variant == STEP


def test_numbers_are_those_of_the_recipe_on_the_test_half(whole):
    evaluator, table, _, _ = whole
    frame = table.in_unit(BITS).set_index(["method", "variant", "language"])
    assert tuple(table.in_unit(BITS).columns) == COLUMNS
    rows = evaluator.corpus.rows(6)
    assert set(rows) <= set(evaluator.corpus.halves["test"])
    for line in table.lines:
        if line.recipe and not line.reason:
            found = frame.loc[(line.name, line.variant, "deu")]
            own, reference = (evaluator.bits(model, "deu", rows) for model in (line.recipe, "mono-deu"))
            assert found["value"] == pytest.approx(own.mean())
            assert found["cost"] == pytest.approx((own - reference).mean(), abs=1e-9)
    byte = table.in_unit("bits per byte").set_index(["method", "variant", "language"])
    size = evaluator.corpus.sizes("deu", rows).mean()
    assert byte.loc[("linear", DEFAULT, "deu"), "value"] == pytest.approx(
        frame.loc[("linear", DEFAULT, "deu"), "value"] / size
    )


def test_defaults_are_the_registrys_and_the_merge_pages(whole):
    """Equal coefficients and declared defaults; the best is never worse on the dev half than they are."""
    evaluator, table, _, _ = whole
    lines = {(line.name, line.variant): line for line in table.lines}
    for name, method in methods().items():
        default = lines[name, DEFAULT].recipe
        if default:
            assert dict(default.knobs) == {a.name: a.default for a in method.arguments}
            assert default.weights == ((0.5, 0.5) if method.weighted else ())
            best = lines[name, BEST_LINE]
            assert 1 <= best.tried <= 3
            assert best.recipe is not None
            assert dev_bits(evaluator, best.recipe) <= dev_bits(evaluator, default)


def dev_bits(evaluator: Evaluator, recipe: Recipe) -> float:
    rows = evaluator.corpus.rows(EACH, "dev")
    return float(np.mean([evaluator.bits(recipe, code, rows).mean() for code in ("eng", "deu")]))


def test_it_is_all_in_the_store(whole, monkeypatch):
    """The second time nothing is scored and nothing is merged, seconds included; before the first it is not there."""
    evaluator, table, _, _ = whole
    hasten(monkeypatch)
    again = Evaluator(evaluator.suite, evaluator.store, CPU)
    assert compared(again, table.asked)
    assert not compared(again, replace(table.asked, sentences=5))
    assert not compared(again, replace(table.asked, search=False))
    with monkeypatch.context() as patch:
        patch.setattr("interference.evaluate._SINCE", "later")
        assert not compared(again, table.asked), "the losses kept until then were wrong"

    def never(*rest, **named):
        raise AssertionError("computed again")

    monkeypatch.setattr(Evaluator, "score_steps", never)
    monkeypatch.setattr(sweep, "merge", never)
    found = finish(compare_steps(again, table.asked))
    assert found.in_unit(BITS).equals(table.in_unit(BITS))


def test_a_passing_shortage_of_memory_ends_a_search_and_is_tried_again(tiny, monkeypatch):
    asked = Comparison(PAIR, ("eng",), methods=("slerp",), sentences=5)
    real, calls = Evaluator.score_steps, [0]

    def short(self, model, *rest):
        if isinstance(model, Recipe) and model.method == "slerp":
            calls[0] += 1
            if calls[0] == 4:
                raise Shortage("no room")
        return (yield from real(self, model, *rest))

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "score_steps", short)
        found = {(line.name, line.variant): line for line in finish(compare_steps(tiny, asked)).lines}
    assert not found["slerp", DEFAULT].reason
    assert found["slerp", BEST_LINE].reason == "no room"
    assert not compared(tiny, asked)
    again = {(line.name, line.variant): line for line in finish(compare_steps(tiny, asked)).lines}
    assert again["slerp", BEST_LINE].table is not None
    assert compared(tiny, asked)


# --- nothing searched sees the test half ------------------------------------------------------------------------


def divided(suite_folder, tmp_path, dev: int) -> Evaluator:
    """The tiny suite on a corpus whose halves are of different languages: English documents and German ones take
    turns under the head eng, so that what is best on one half is not on the other."""
    english, german = (["The dog sleeps.", "Two birds sing."], ["Der Hund schläft.", "Zwei Vögel singen."])
    halves = (german, english) if dev else (english, german)
    texts = tuple(text for number in range(4) for text in halves[number % 2])
    documents = tuple(f"d{number}" for number in range(4) for _ in range(2))
    suite = open_suite(suite_folder)
    corpus = Corpus("divided", {"eng": texts, "deu": texts}, documents, True)
    return Evaluator(replace(suite, corpus=corpus), Store(tmp_path / f"divided {dev}"), CPU)


def searched(evaluator: Evaluator, start: Recipe) -> tuple[Recipe, int]:
    return finish(search_steps(evaluator, start, ("eng",)))


START = Comparison(PAIR, ("eng",)).default(methods()["slerp"])


def by_half(evaluator: Evaluator, half: str) -> Recipe:
    """The best of all settings that the search may try, by the given half alone."""
    tried = [START, *(changed(START, *change) for changes in moves(START) for change in changes)]
    rows = evaluator.corpus.halves[half]
    return min((one for one in tried if one), key=lambda one: evaluator.bits(one, "eng", rows).sum())


def test_the_best_settings_are_the_dev_halfs_and_not_the_test_halfs(suite_folder, tmp_path):
    """On two corpora that are each other's halves exchanged; on one at least the halves favour different settings."""
    favoured = []
    for dev in (0, 1):
        evaluator = divided(suite_folder, tmp_path, dev)
        best, tried = searched(evaluator, START)
        assert best == by_half(evaluator, "dev")
        assert tried == 1 + sum(map(len, moves(START))) <= TRIES
        favoured.append(best == by_half(evaluator, "test"))
    assert favoured == [False, False]


def test_the_search_reads_no_test_sentence(tiny, monkeypatch):
    read = set()
    real = Evaluator.bits_steps

    def noted(self, model, language, rows):
        read.update(rows.tolist())
        return real(self, model, language, rows)

    monkeypatch.setattr(Evaluator, "bits_steps", noted)
    finish(search_steps(tiny, START, ("eng", "deu")))
    assert read
    assert not read & set(tiny.corpus.halves["test"].tolist())


def test_the_best_parent_is_the_dev_halfs_and_not_the_test_halfs(suite_folder, tmp_path):
    """Halves that are unlike each other, and two parents that are each the better one on one of them."""
    for dev in (0, 1):
        evaluator = divided(suite_folder, tmp_path, dev)
        names = ("mono-eng", "mono-deu", "mixed", "init", "branch-eng")
        sums = {
            half: {name: evaluator.bits(name, "eng", rows).sum() for name in names}
            for half, rows in evaluator.corpus.halves.items()
        }
        pairs = [
            (a, b) for a in names for b in names
            if sums["dev"][a] < sums["dev"][b] and sums["test"][a] > sums["test"][b]
        ]  # fmt: skip
        assert pairs, "no two of these models change places between the halves"
        for a, b in pairs:
            rows = evaluator.corpus.halves["test"]
            found = evaluator.bits(Ensemble((b, a), BEST), "eng", rows)
            np.testing.assert_array_equal(found, evaluator.bits(a, "eng", rows))


# --- what is tried ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", methods())
@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_moves_stay_in_the_declared_ranges_and_in_the_budget(name, count):
    asked = Comparison(tuple(f"m{i}" for i in range(count)), ("eng",), "@mean")
    method = methods()[name]
    if not method.parents[0] <= count <= method.parents[1]:
        with pytest.raises(UserError, match="merges"):
            asked.default(method)
        return
    start = asked.default(method)
    arguments = {a.name: a for a in method.arguments}
    for changes in moves(start):
        for knob, value in changes:
            if knob == "weight":
                assert len(value) == count
            elif isinstance(arguments[knob].default, bool):
                assert value is not arguments[knob].default
            else:
                control = arguments[knob].control
                assert control.low <= value <= control.high  # type: ignore[union-attr]
                assert value != arguments[knob].default
                assert isinstance(value, int) == arguments[knob].whole
    knobs = {knob for changes in moves(start) for knob, _ in changes}
    assert knobs - {"weight"} == set(arguments)


def test_the_search_keeps_to_its_budget_and_passes_over_what_overflows(tiny, monkeypatch):
    scored: list[Recipe] = []

    def dev(tiny, recipe, languages):
        scored.append(recipe)
        if dict(recipe.knobs)["lambda"] == 0.5:
            raise UserError("It overflows.")
        return 2.0 - dict(recipe.knobs)["density"]
        yield

    monkeypatch.setattr(search, "_dev_bits", dev)
    start = Comparison(PAIR, ("eng",), "init").default(methods()["ties"])
    start = replace(start, knobs=tuple((dict(start.knobs) | {"density": 0.2}).items()))
    best, tried = finish(search_steps(tiny, start, ("eng",)))
    assert dict(best.knobs)["density"] == 0.5
    assert tried == len(scored) - sum(dict(one.knobs)["lambda"] == 0.5 for one in scored) <= TRIES
    assert len(set(scored)) == len(scored)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": ()}, "No models"),
        ({"models": ("mixed", "mixed")}, "named twice"),
        ({"base": "mono-eng"}, "the base and one of the models"),
        ({"methods": ("tie",)}, "did you mean 'ties'"),
        ({"models": ("mono-egn", "mono-deu")}, "did you mean 'mono-eng'"),
        ({"base": "inti"}, "did you mean 'init'"),
        ({"base": "@men"}, "no checkpoint '@men'"),
        ({"languages": ("fra",)}, "no language 'fra'"),
    ],
)
def test_what_cannot_be_compared_is_refused(tiny, changes, words):
    with pytest.raises(UserError, match=words):
        compare(tiny, **changes)


# --- what it stands on ------------------------------------------------------------------------------------------


def test_the_mean_of_probabilities_against_a_plain_loop(tiny):
    """Sentence by sentence, token by token, model by model, in plain numbers."""
    names, rows = ("mono-eng", "mono-deu", "mixed"), tiny.corpus.rows(3)
    found = tiny.bits(Ensemble(names, PROBABILITIES), "deu", rows)
    networks = [tiny.dev.network(name) for name in names]
    for bits, text in zip(found, tiny.corpus.text("deu", rows), strict=True):
        ids = [0, *tiny.suite["mixed"].tokenizer(text, add_special_tokens=False)["input_ids"]]
        expected = 0.0
        for place in range(1, len(ids)):
            mean = 0.0
            for network in networks:
                with torch.no_grad():
                    logits = network(input_ids=torch.tensor([ids[:place]])).logits[0, -1].double().tolist()
                top = max(logits)
                mean += math.exp(logits[ids[place]] - top) / sum(math.exp(x - top) for x in logits) / len(names)
            expected -= math.log2(mean)
        assert bits == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("method", "lowest"), [("fisher", 0.0), ("linear", -1.0)])
def test_learned_coefficients_are_kept_from_below_zero(tiny, monkeypatch, method, lowest):
    """Where a loss falls the lower a coefficient is: Fisher's, which merges nothing below zero, stops there."""
    losses = iter(range(100, 0, -1))

    def descend(tiny, recipe, coefficients, batches):
        coefficients("model.norm.weight").grad = torch.tensor([1.0, 0.0])
        yield float(next(losses))

    monkeypatch.setattr(learn, "_descend", descend)
    found = finish(learn_steps(tiny, Recipe(method, PAIR, (0.5, 0.5)), ("deu",), "model", 3, 0.5))
    assert found.weights == pytest.approx((lowest, 0.5), abs=1e-3)


# --- figure, sentence, command ----------------------------------------------------------------------------------


def test_the_figure_has_every_number_and_the_chance_levels(whole):
    table = whole[1]
    frame = table.in_unit(BITS).dropna(subset=["value"])
    figure = compare_figure(frame, BITS)
    drawn = [x for trace in figure.data if trace.mode == "markers" for x in trace.x]
    assert sorted(drawn) == sorted(frame["value"])
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert len(shown) == len(set(shown))
    assert {label for label, _, _ in LEVELS.values()} <= set(shown)
    few = compare_figure(frame[frame["language"] == "deu"], BITS, ["spherical"])
    names = {str(y).strip() for trace in few.data if trace.mode == "markers" for y in trace.y}
    assert names == {name for name, method in methods().items() if method.family == "spherical"}
    assert any(trace.name == "unigram model" for trace in few.data), "levels stay where the references have no rows"


@pytest.mark.filterwarnings("error")
def test_lines_without_costs_are_drawn(whole):
    """A suite without references has none."""
    frame = whole[1].in_unit(BITS).dropna(subset=["value"])
    assert compare_figure(frame.assign(cost=np.nan), BITS).data


def test_the_sentence_names_the_best_merge(whole):
    table = whole[1]
    frame = table.in_unit(BITS).dropna(subset=["value"])
    means = frame[frame["variant"].isin([DEFAULT, BEST_LINE])].groupby("method")["value"].min()
    sentence = compare_sentence(table, BITS)
    assert f"Of {len(means)} methods" in sentence
    assert "best parent" in sentence
    assert "No method" in compare_sentence(replace(table, lines=()), BITS)
    first = tuple(line for line in table.lines if line.name == "linear")
    assert "Of 1 method linear" in compare_sentence(replace(table, lines=first), BITS)
    german = frame[(frame["language"] == "deu") & frame["variant"].isin([DEFAULT, BEST_LINE])]
    best = german.loc[german["value"].idxmin()]
    alone = f" For German (deu) alone it is {best['method']} ({best['variant']}) with {best['value']:.3g}."
    assert compare_sentence(table, BITS, "deu") == sentence + alone


@pytest.mark.parametrize("unit", [BITS, "bits per byte"])
def test_the_next_best_merge_is_held_against_the_best_sentence_by_sentence(whole, unit):
    """The mean is the table's; its interval is narrower than those of the two, which rise and fall together."""
    evaluator, table, *_ = whole
    frame = table.in_unit(unit).dropna(subset=["value"])
    frame = frame[frame["variant"].isin([DEFAULT, BEST_LINE])]
    means = frame.groupby(["method", "variant"], sort=False)["value"].mean()
    best = means.idxmin()
    rivals = means[(means.index.get_level_values("method") != best[0]) & (means > means.min())]
    more, low, high = table.beyond(rivals.idxmin(), best, ["eng", "deu"], unit)
    assert more == pytest.approx(rivals.min() - means.min())
    assert low <= more <= high
    said = f"Next is {rivals.idxmin()[0]} ({rivals.idxmin()[1]}) with {more:.3g} ({low:.3g} to {high:.3g}) more."
    assert said in compare_sentence(table, unit)
    assert table.beyond(best, best, ["eng"], unit) == (0, 0, 0)
    rows = evaluator.corpus.rows(6)
    apart = [rivals.idxmin(), best]
    ones = [next(line for line in table.lines if (line.name, line.variant) == name).bits["eng"] for name in apart]
    documents = [evaluator.corpus.documents[row] for row in rows]
    (mean,), (less,), (most,) = clustered_means((ones[0] - ones[1])[None], documents)
    assert table.beyond(*apart, ["eng"], BITS) == pytest.approx((mean, less, most))


def test_the_sentence_is_about_the_methods_that_are_shown(whole):
    table = whole[1]
    frame = table.in_unit(BITS).dropna(subset=["value"])
    frame = frame[frame["variant"].isin([DEFAULT, BEST_LINE])]
    worst = max(frame.groupby("family")["value"].mean().items(), key=lambda pair: pair[1])[0]
    own = frame[frame["family"] == worst]
    best = own.groupby(["method", "variant"], sort=False)["value"].mean().idxmin()
    count = own["method"].nunique()
    expected = f"Of the {count} method{'s' * (count > 1)} shown {best[0]} ({best[1]}) needs least"
    assert expected in compare_sentence(table, BITS, families=[worst])
    everything = compare_sentence(table, BITS)
    assert best[0] not in everything
    assert compare_sentence(table, BITS, families=["references"]) == everything


def test_means_beside_the_best_method_are_over_its_languages(whole):
    """Where a tokenizer loses one language there are bits per byte of the others only."""
    table = whole[1]
    lacking, full, means = [], [], {}
    for line in table.lines:
        if line.table and line.name in ("linear", "unigram", "init"):
            own = line.table.in_unit(BITS)
            units = line.table.units[BITS].copy()
            if line.name == "linear":
                units.loc[own["language"] == "deu", "value"] = np.nan
            means[line.name] = own["value"][own["language"] == "eng"].iloc[0]
            lacking.append(replace(line, table=replace(line.table, units={BITS: units})))
            full.append(line)
    sentence = compare_sentence(replace(table, lines=tuple(lacking)), BITS)
    assert "mean of 1 language (" in sentence
    assert f"unigram {means['unigram']:.3g}, init {means['init']:.3g})" in sentence
    assert "mean of 2 languages" in compare_sentence(replace(table, lines=tuple(full)), BITS)


def test_a_comparison_comes_from_its_base_too(suite_folder, tmp_path):
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path), CPU)
    table = compare(evaluator, base="mixed", methods=("linear", "task_arithmetic"), search=False)
    named = [part.split(":")[0] for part in table.provenance["weights_sha256"].split()]
    assert {*PAIR, "mixed", "init"} <= set(named)


def test_the_command_prints_what_the_page_shows(suite_folder, told, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["compare", *PAIR, "--suite", str(suite_folder), "--language", "deu", "--sentences", "6"]
    chosen = ["--base", "init", "--methods", "ties", "--methods", "nearswap", "--no-search", "--format", "json"]
    printed, err = told(*arguments, *chosen)
    out = json.loads(printed)
    evaluator = Evaluator(open_suite(suite_folder), Store(tmp_path / "own"), CPU)
    table = compare(evaluator, languages=("deu",), base="init", methods=("ties", "nearswap"), search=False)
    frame = table.in_unit(BITS)
    assert [row["method"] for row in out] == list(frame["method"])
    assert [row["value"] for row in out if row["value"]] == pytest.approx(list(frame["value"].dropna()))
    assert [row["reason"] for row in out] == list(frame["reason"])
    assert "test half" in err
    assert "did you mean 'ties'" in refused(*arguments, "--methods", "tie")
    assert "`all` is every merge method" in refused(*arguments, "--methods", "all,tie")


def test_the_command_says_why_a_suite_has_nothing_to_compare(tokenizer, tmp_path, refused):
    for width in (48, 64):
        write_checkpoint(llama(1, intermediate_size=width), tokenizer, tmp_path / "suite" / f"w{width}")
    corpus = write_corpus(tmp_path / "corpus.tsv")
    said = refused("compare", "--suite", tmp_path / "suite", "--corpus", corpus)
    assert "mlp.gate_proj.weight is [48, 32] in w48 and [64, 32] in w64" in said
