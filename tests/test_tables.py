"""Loss tables: costs, recovery, best parents, what is empty and why, columns and units."""

import math

import numpy as np
import pandas as pd
import pytest

from interference.corpus import Corpus
from interference.statistics import clustered_means
from interference.tables import BEST_PARENT, COLUMNS, UNITS, LossTable, Subject, glimpse, loss_table
from interference.views import merge_sentence

DOCUMENTS = tuple(f"d{row // 3}" for row in range(24))
CORPUS = Corpus(
    "made",
    {"eng": tuple(f"sentence {row}" for row in range(24)), "rus": tuple(f"предложение {row}" for row in range(24))},
    DOCUMENTS,
    True,
)
ROWS = CORPUS.rows(None)
LEVELS = {"init": 100.0, "mono-eng": 20.0, "mono-rus": 60.0, "other": 40.0, "merge": 50.0}


def made_bits() -> dict[tuple[str, str], np.ndarray]:
    """Bits by sentence around a level of each model; in Russian the two monos change places."""
    rng = np.random.default_rng(0)
    swap = {"mono-eng": "mono-rus", "mono-rus": "mono-eng"}
    return {
        (name, language): LEVELS[swap.get(name, name) if language == "rus" else name] + rng.normal(size=len(ROWS))
        for name in LEVELS
        for language in CORPUS.languages
    }


BITS = made_bits()
BOTH = {"eng": "mono-eng", "rus": "mono-rus"}


def made(names=("merge",), references=None, init="init", corpus=CORPUS, rows=ROWS, **more) -> LossTable:
    subjects = [Subject(n, ("mono-eng", "mono-rus") if n == "merge" else ()) for n in names]
    return loss_table(subjects, BITS, corpus, rows, BOTH if references is None else references, init, **more)


def row_of(table: LossTable, model: str, language: str) -> pd.Series:
    frame = table.frame
    return frame[(frame["model"] == model) & (frame["language"] == language)].iloc[0]


def test_columns_are_those_of_the_command_line_in_order():
    """The one list that scripts of users rely on."""
    assert list(made().frame.columns) == [
        "model", "language", "sentences", "bits", "bytes", "bits_per_sentence", "bits_per_sentence_low",
        "bits_per_sentence_high", "bits_per_byte", "cost", "cost_low", "cost_high", "reference", "recovery",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "frame",
    [
        made().frame.drop(columns="cost"),
        made().frame.assign(more=1),
        made().frame[list(COLUMNS[::-1])],
        made().frame.rename(columns={"bits": "loss"}),
    ],
    ids=["one missing", "one more", "other order", "other name"],
)
def test_frame_with_other_columns_is_no_loss_table(frame):
    with pytest.raises(ValueError, match="columns"):
        LossTable(frame)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bits_that_are_not_finite_are_no_loss_table(value):
    with pytest.raises(ValueError, match="finite"):
        LossTable(made().frame.assign(bits=value))


def test_empty_frame_is_a_loss_table():
    assert len(LossTable(pd.DataFrame(columns=list(COLUMNS))).frame) == 0


def test_rows_stand_in_the_order_asked_for():
    frame = made(("other", "merge", "init"), languages=("rus", "eng")).frame
    expected = [(m, lang) for m in ("other", "merge", "init") for lang in ("rus", "eng")]
    assert list(zip(frame["model"], frame["language"], strict=True)) == expected


def test_losses_are_totals_and_their_ratios():
    row = row_of(made(), "merge", "rus")
    size = sum(len(CORPUS.sentences["rus"][r].encode()) for r in ROWS)
    total = BITS["merge", "rus"].sum()
    assert (row["sentences"], row["bytes"], row["bits"]) == (len(ROWS), size, total)
    assert row["bits_per_sentence"] == pytest.approx(total / len(ROWS))
    assert row["bits_per_byte"] == pytest.approx(total / size)


def test_bytes_are_those_of_the_scored_rows_only():
    table = loss_table([Subject("m")], {("m", "eng"): np.ones(2)}, CORPUS, np.array([0, 23]), {}, None, ["eng"])
    assert table.frame["bytes"][0] == len("sentence 0") + len("sentence 23")


def test_cost_is_the_mean_paired_difference_with_its_own_interval():
    """Paired by sentence and clustered by document: far narrower than the interval of either loss would allow."""
    row = row_of(made(), "merge", "eng")
    differences = BITS["merge", "eng"] - BITS["mono-eng", "eng"]
    expected = clustered_means(differences[None], [DOCUMENTS[r] for r in ROWS])
    assert (row["cost"], row["cost_low"], row["cost_high"]) == pytest.approx([float(v[0]) for v in expected])
    assert row["cost"] == pytest.approx(30, abs=1)
    assert row["reference"] == "mono-eng"


def test_pairing_removes_what_sentences_have_in_common():
    """Long and short sentences spread the losses by hundreds of bits; the cost of 1 bit each stays 1 to 1."""
    hard = np.linspace(10, 500, len(ROWS))
    bits = {("merge", "eng"): hard + 1, ("mono-eng", "eng"): hard}
    row = loss_table([Subject("merge")], bits, CORPUS, ROWS, BOTH, None, ["eng"]).frame.iloc[0]
    assert (row["cost"], row["cost_low"], row["cost_high"]) == pytest.approx((1, 1, 1))
    assert row["bits_per_sentence_high"] - row["bits_per_sentence_low"] > 100


def test_each_language_has_its_own_reference():
    table = made()
    assert row_of(table, "merge", "rus")["reference"] == "mono-rus"
    expected = (BITS["merge", "rus"] - BITS["mono-rus", "rus"]).mean()
    assert row_of(table, "merge", "rus")["cost"] == pytest.approx(expected)


def test_recovery_is_one_at_the_reference_and_zero_at_init():
    table = made(("mono-eng", "init", "merge", "other"))
    assert row_of(table, "mono-eng", "eng")["recovery"] == 1
    assert row_of(table, "mono-eng", "eng")["cost"] == 0
    assert row_of(table, "init", "eng")["recovery"] == 0
    assert row_of(table, "merge", "eng")["recovery"] == pytest.approx((100 - 50) / (100 - 20), abs=0.02)


@pytest.mark.parametrize(("level", "expected"), [(120.0, -0.25), (4.0, 1.2)])
def test_recovery_is_not_clamped(level, expected):
    """Worse than untrained is below 0, better than the reference above 1."""
    levels = {"m": level, "init": 100.0, "ref": 20.0}
    bits = {(name, "eng"): np.full(len(ROWS), value) for name, value in levels.items()}
    table = loss_table([Subject("m")], bits, CORPUS, ROWS, {"eng": "ref"}, "init", ["eng"])
    assert table.frame["recovery"][0] == pytest.approx(expected)


def test_recovery_is_empty_where_reference_and_init_are_alike():
    table = made(("merge",), {"eng": "init", "rus": "init"})
    assert table.frame["recovery"].isna().all()


def test_recovery_is_empty_with_the_reason_where_the_reference_is_worse_than_init():
    """Else what is worse than untrained would have a recovery above 0, and what is better one below."""
    levels = {"m": 150.0, "init": 100.0, "ref": 200.0}
    bits = {(name, "eng"): np.full(len(ROWS), value) for name, value in levels.items()}
    table = loss_table([Subject("m")], bits, CORPUS, ROWS, {"eng": "ref"}, "init", ["eng"])
    assert table.frame["recovery"].isna().all()
    assert table.frame["cost"][0] == -50
    assert "No recovery in eng: what costs are counted from is no better than untrained." in table.notes


def test_best_parent_stands_in_for_a_missing_reference():
    """By language the parent with the fewest bits; the label says that it is one, and which."""
    table = made(references={})
    assert row_of(table, "merge", "eng")["reference"] == f"{BEST_PARENT}: mono-eng"
    assert row_of(table, "merge", "rus")["reference"] == f"{BEST_PARENT}: mono-rus"
    assert row_of(table, "merge", "eng")["cost"] == row_of(made(), "merge", "eng")["cost"]
    assert row_of(table, "merge", "eng")["recovery"] == row_of(made(), "merge", "eng")["recovery"]


def test_best_parent_is_one_of_the_parents():
    """`other` has fewer bits than `mono-rus` in English and is no parent."""
    table = loss_table([Subject("merge", ("mono-rus", "init"))], BITS, CORPUS, ROWS, {}, "init", ["eng"])
    assert table.frame["reference"][0] == f"{BEST_PARENT}: mono-rus"


def test_reference_settled_by_the_suite_goes_before_a_better_parent():
    assert row_of(made(references={"eng": "other"}), "merge", "eng")["reference"] == "other"


def test_suite_without_roles_has_losses_and_no_costs_with_the_reason():
    table = made(references={}, init=None, has_roles=False)
    assert table.frame[["cost", "cost_low", "cost_high", "recovery"]].isna().all(axis=None)
    assert table.frame["reference"].isna().all()
    assert np.isfinite(table.frame["bits_per_sentence_low"]).all()
    assert any("No cost or recovery" in note for note in table.notes)


def test_subject_without_reference_and_parents_has_no_cost_with_the_reason():
    """A unigram model is made of no checkpoint."""
    table = loss_table([Subject("merge")], BITS, CORPUS, ROWS, {}, "init", ["eng"])
    assert math.isnan(table.frame["cost"][0])
    assert any("No cost" in note for note in table.notes)


def test_without_init_recovery_is_empty_with_the_reason_and_costs_stay():
    table = made(init=None)
    assert table.frame["recovery"].isna().all()
    assert np.isfinite(table.frame["cost"]).all()
    assert any("no single checkpoint of role init" in note for note in table.notes)


def test_complete_table_gives_no_reason_for_emptiness():
    assert not any("No " in note for note in made().notes)
    assert not made().frame.isna().any(axis=None)


def test_notes_say_what_was_scored():
    rows = CORPUS.rows(5)
    bits = {key: value[: len(rows)] for key, value in BITS.items()}
    table = loss_table([Subject("merge")], bits, CORPUS, rows, BOTH, "init")
    assert table.notes[0].startswith("5 of 12 sentences (test half, 4 documents)")


@pytest.mark.parametrize(
    ("documents", "has_documents", "wanted"),
    [
        (tuple("abcd"), False, "each sentence is its own cluster"),
        (tuple("aaaa"), True, "(1 document)"),
        (tuple("aaaa"), True, "no intervals: they need at least two documents"),
        (tuple("abcd"), False, "of fewer than 15 sentences they are too narrow"),
        (tuple("aabc"), True, "(test half, 2 documents); intervals are 95 %, by document; of fewer than 15"),
    ],
)
def test_notes_say_what_the_intervals_stand_on(documents, has_documents, wanted):
    corpus = Corpus("c", {"eng": tuple("wxyz")}, documents, has_documents)
    rows = corpus.rows(None)
    table = loss_table([Subject("m")], {("m", "eng"): np.array([1.0, 2, 3, 5])[rows]}, corpus, rows, {}, None)
    assert any(wanted in note for note in table.notes)
    assert np.isfinite(table.frame["bits_per_sentence_low"][0]) == (len(set(documents)) > 1)


def test_units_are_one_number_in_three_measures():
    """Sentences and bytes of one's own language and of English turn one into the other, costs too."""
    table, english = made(), float(sum(len(t.encode()) for t in CORPUS.text("eng", ROWS)))
    plain, per_byte, per_english = map(table.in_unit, UNITS)
    for column in ("value", "cost_value"):
        scale = plain["sentences"] / plain["bytes"]
        np.testing.assert_allclose(per_byte[column], plain[column] * scale)
        np.testing.assert_allclose(per_english[column], plain[column] * len(ROWS) / english)
    np.testing.assert_allclose(plain["value"], table.frame["bits_per_sentence"])
    np.testing.assert_allclose(per_byte["value"], table.frame["bits_per_byte"])


def test_intervals_of_bits_per_byte_resample_the_bytes_too():
    """Bits in proportion to bytes vary by document, their ratio does not: its interval has no width."""
    texts = tuple("x" * n for n in (3, 9, 4, 20, 7, 5))
    corpus = Corpus("c", {"eng": texts}, tuple("aabbcc"), True)
    rows = np.arange(6)
    table = loss_table([Subject("m")], {("m", "eng"): np.array([2.0 * len(t) for t in texts])}, corpus, rows, {}, None)
    sentence, byte = table.in_unit("bits per sentence").iloc[0], table.in_unit("bits per byte").iloc[0]
    assert sentence["high"] - sentence["low"] > 1
    assert byte["low"] == byte["value"] == byte["high"] == 2


def test_a_lossy_tokenizer_has_no_bits_per_byte():
    """Where the text is not given back its bytes were not scored; bits per sentence stay."""
    frame = made(lossy={("merge", "rus")}).frame.set_index("language")
    assert np.isnan(frame["bits_per_byte"]["rus"])
    assert np.isfinite(frame["bits_per_sentence"]["rus"])
    assert np.isfinite(frame["bits_per_byte"]["eng"])


@pytest.mark.parametrize("language", ["eng", "rus"])
def test_what_has_no_bits_per_byte_has_none_per_english_byte(language):
    """Of English they are one number; of other languages both would be too low for the same reason."""
    bits = {(name, code): np.ones(len(ROWS)) for name in ("merge", "mono") for code in ("eng", "rus")}
    means = {cell: (1.0, len(ROWS)) for cell in bits}
    references, lossy = {"eng": "mono", "rus": "mono"}, {("mono", language)}
    subjects, languages = [Subject("merge"), Subject("mono")], ("eng", "rus")
    full = loss_table(subjects, bits, CORPUS, ROWS, references, None, languages, lossy=lossy)
    early = glimpse(subjects, means, CORPUS, ROWS, references, None, languages, lossy=lossy)
    for table in (full, early):
        sentence, *bytewise = (table.in_unit(unit).set_index(["model", "language"]) for unit in UNITS)
        assert sentence[["value", "cost_value"]].notna().all(axis=None)
        for found in bytewise:
            assert found["value"].isna().to_dict() == {cell: cell in lossy for cell in found.index}
            assert found["cost_value"].isna().to_dict() == {cell: cell[1] == language for cell in found.index}


def test_a_lossy_reference_gives_no_costs_in_bits_per_byte():
    table = made(lossy={("mono-rus", "rus")})
    byte, sentence = (table.in_unit(unit).set_index("language") for unit in ("bits per byte", "bits per sentence"))
    assert byte[["cost_value", "cost_low_value", "cost_high_value"]].isna().loc["rus"].all()
    assert np.isfinite(byte["value"]["rus"])
    assert np.isfinite(byte["cost_value"]["eng"])
    assert np.isfinite(sentence["cost_value"]["rus"])


def test_a_checkpoint_is_not_its_own_best_parent():
    """Without a reference only merges have parents to be compared with."""
    frame = made(("merge", "other"), references={}).frame
    assert frame[frame["model"] == "other"]["cost"].isna().all()
    assert frame[frame["model"] == "merge"]["reference"].str.startswith("best parent").all()


def test_bits_per_english_byte_equal_bits_per_byte_in_english_only():
    """A Russian sentence of the same meaning has more bytes, so its bits per byte look better than they are."""
    frame = made().in_unit("bits per English byte").set_index("language")
    assert frame["value"]["eng"] == pytest.approx(frame["bits_per_byte"]["eng"])
    assert frame["value"]["rus"] > 1.5 * frame["bits_per_byte"]["rus"]


def test_bits_per_english_byte_need_english():
    """Without an English column there is no such unit."""
    corpus = Corpus("c", {"rus": ("а", "б")}, ("a", "b"), True)
    table = loss_table([Subject("m")], {("m", "rus"): np.array([1.0, 2.0])}, corpus, np.arange(2), {}, None)
    with pytest.raises(ValueError, match="English"):
        table.in_unit("bits per English byte")


def test_units_leave_the_table_as_it_is():
    table = made()
    before = table.frame.copy()
    changed = table.in_unit("bits per byte")
    changed.loc[:, "bits"] = 0
    pd.testing.assert_frame_equal(table.frame, before)


def test_unknown_unit_is_refused_by_name():
    with pytest.raises(ValueError, match="furlongs"):
        made().in_unit("furlongs")


def test_a_merge_is_held_against_the_untrained_level_where_there_is_one():
    """In bits per byte there is none where the untrained model's tokenizer loses text."""
    rows = [("merge", "eng", 2.0), ("merge", "deu", 5.0), ("untrained", "eng", 9.0), ("untrained", "deu", np.nan)]
    sentence = merge_sentence(pd.DataFrame(rows, columns=["role", "language", "value"]), "bits per byte")
    assert sentence.endswith("Untrained level or worse (at least 90 % of its bits) in 0 of 1.")
    sentence = merge_sentence(pd.DataFrame(rows[:2], columns=["role", "language", "value"]), "bits per byte")
    assert "Untrained" not in sentence
