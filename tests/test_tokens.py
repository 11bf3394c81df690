"""Single sentences and tokens: sums are the losses, costs are the loss table's, lines of tokens are safe HTML."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ENGLISH, gpt2, llama, write_checkpoint
from test_suite import poor_and_rich

from interference.errors import UserError
from interference.evaluate import Evaluator
from interference.figures.tokens import CIVIDIS, PUOR, contrast, ink, line_html, probability_legend, said_html
from interference.generate import Token, token_frame
from interference.losses import TokenizedText, sentence_bits, token_bits, tokenize
from interference.recipe import Recipe
from interference.scored import Request
from interference.sentences import COLUMNS, TOKEN_COLUMNS, choose, sentence_steps, token_line_steps
from interference.signs import signed
from interference.steps import finish
from interference.store import Store
from interference.suite import open_suite, suite_of_paths, with_paths
from interference.tokens import pieces

MERGE = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))


@pytest.mark.parametrize("limit", [None, 64, 7, 1])
@pytest.mark.parametrize("make", [llama, gpt2])
def test_tokens_sum_to_the_sentence(make, limit, tokenizer):
    """In rolling windows too; every token has bits of its own."""
    network, text = make(1), tokenize(tokenizer, [*ENGLISH, "", "é" * 30])
    bits = token_bits(network, text, limit=limit)
    assert [len(line) for line in bits] == [len(ids) for ids in text.ids]
    assert [line.sum() for line in bits] == pytest.approx(sentence_bits(network, text, limit=limit), rel=1e-13)
    assert all((line > 0).all() for line in bits)


def test_tokens_in_windows_are_those_of_each_window(tokenizer):
    """By a second derivation: a plain forward pass over each window alone."""
    network, text = llama(1), tokenize(tokenizer, ["The book is old."])
    ids = (text.prefix, *text.ids[0])
    expected = []
    for end in range(2, len(ids) + 1, 1):
        last = min((end - 2) // 5 * 5 + 5, len(ids) - 1)  # windows of five tokens, with as much before as fits
        first = max(0, last - 5)
        logits = network(input_ids=torch.tensor([ids[first:last]])).logits[0, end - 2 - first]
        expected.append(-float(logits.detach().double().log_softmax(dim=-1)[ids[end - 1]]) / np.log(2))
    assert token_bits(network, text, limit=5)[0] == pytest.approx(expected, abs=1e-4)


def test_an_unknown_token_costs_the_vocabulary(tokenizer):
    text = TokenizedText(((5, 9, 5),), 0, "BOS", (1,), (False,), 9)
    assert token_bits(llama(1), text)[0][1] == pytest.approx(np.log2(259))


def test_pieces_join_to_the_text(tokenizer):
    text = " Straße\t漂亮🙂 é."
    found = pieces(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])
    assert "".join(found) == text
    assert pieces(tokenizer, []) == ()


def test_a_token_with_a_whole_and_a_begun_character():
    """The built-in tokenizer has tokens of a space and a first byte: the space is shown at once."""
    tokenizer = open_suite()["mixed"].tokenizer
    text = "الأحصنة في كثير"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = pieces(tokenizer, ids)
    assert "".join(found) == text
    assert "" in found
    assert any(tokenizer.decode([i]).endswith("\ufffd") and piece for i, piece in zip(ids, found, strict=True))


# sentences


@pytest.mark.parametrize("sentences", [None, 5])
def test_costs_are_those_of_the_loss_table(tiny, sentences):
    """Their means by language are its bits and costs; the worst come first."""
    found = finish(sentence_steps(tiny, MERGE, ["eng", "deu"], sentences))
    table = tiny.table(Request((("merge", MERGE),), ("eng", "deu"), sentences)).frame.set_index("language")
    frame = found.frame
    assert tuple(frame.columns) == COLUMNS
    for language, part in frame.groupby("language"):
        assert sorted(part["row"]) == tiny.corpus.rows(sentences).tolist()
        assert part["bits"].mean() == pytest.approx(table["bits_per_sentence"][language], rel=1e-12)
        assert part["cost"].mean() == pytest.approx(table["cost"][language], rel=1e-9)
        assert set(part["reference"]) == {table["reference"][language]}
    assert frame["cost"].is_monotonic_decreasing
    assert frame["cost"].to_numpy() == pytest.approx(frame["bits"] - frame["reference_bits"])
    assert list(frame["text"]) == [
        tiny.corpus.sentences[language][row] for language, row in zip(frame["language"], frame["row"], strict=True)
    ]
    assert found.provenance["recipe"] == MERGE.to_yaml()


def test_costs_against_another_checkpoint(tiny):
    found = finish(sentence_steps(tiny, "mixed", ["eng"], None, "mixed")).frame
    assert (found["cost"] == 0).all()
    other = finish(sentence_steps(tiny, "mixed", ["eng"], None, "init")).frame
    assert set(other["reference"]) == {"init"}
    assert (other["cost"] != 0).all()


def test_without_a_reference_it_is_the_best_parent(suite_folder, tmp_path):
    """Chosen by the language, as the loss table does; a lone checkpoint has none, and that is said."""
    paths = [str(suite_folder / name) for name in ("mono-eng", "mono-deu")]
    suite = suite_of_paths(paths, suite_folder / "corpus.tsv")
    evaluator = Evaluator(suite, Store(tmp_path / "s", {}), torch.device("cpu"))
    rows = evaluator.corpus.rows(None)
    found = finish(sentence_steps(evaluator, Recipe("linear", tuple(paths), (0.5, 0.5)), ["eng"])).frame
    best = min(paths, key=lambda path: evaluator.bits(path, "eng", rows).sum())
    assert set(found["reference"]) == {best}
    with pytest.raises(UserError, match="no reference for eng"):
        finish(sentence_steps(evaluator, paths[0], ["eng"]))


def test_reading_of_the_sentences(tiny):
    found = finish(sentence_steps(tiny, MERGE, ["eng"], 5))
    cost = found.frame["cost"]
    assert found.sentence().startswith(f"{(cost > 0).sum()} of 5 sentences")
    assert f"{signed(cost.mean(), 1)} bits on average, {signed(cost.max(), 1)} at worst" in found.sentence()
    after = "Each sentence follows BOS; float32 on cpu."
    assert found.note == f"5 of 12 sentences of the test half in each language. {after}"
    tiny.corpus = replace(tiny.corpus, has_documents=False)
    found = finish(sentence_steps(tiny, MERGE, ["eng"], 5))
    assert found.note == f"5 of 24 sentences in each language. {after}"


@pytest.mark.parametrize(("model", "reference"), [("rich", "poor"), ("poor", "rich")])
def test_costs_of_sentences_that_a_tokenizer_loses_are_told_as_such(tokenizer, tmp_path, model, reference):
    found = finish(sentence_steps(poor_and_rich(tokenizer, tmp_path), model, ["eng"], 2, reference))
    assert found.note.count("Sentences that the tokenizer of poor does not give back: 2 of 2 (") == 1


def test_a_language_that_the_corpus_lacks(tiny):
    with pytest.raises(UserError, match="has no language 'den'"):
        finish(sentence_steps(tiny, MERGE, ["den"]))


def test_filters():
    frame = pd.DataFrame(
        {
            "text": ["A cat (old).", "Der Hund", "Eine Katze", "a CAT"],
            "language": ["eng", "deu", "deu", "eng"],
            "document": ["d1", "d1", "d2", "d2"],
            "tokens": [4, 3, 9, 2],
        }
    )
    assert list(choose(frame).index) == [0, 1, 2, 3]
    assert list(choose(frame, text="cat").index) == [0, 3]
    assert list(choose(frame, text="(OLD").index) == [0]
    assert list(choose(frame, ["deu"], ["d2"]).index) == [2]
    assert list(choose(frame, tokens=(3, 4)).index) == [0, 1]
    assert choose(frame, ["deu"], text="cat").empty


def test_token_line_is_the_sentence_of_the_table(tiny):
    """Tokens join to the sentence, and sum to its bits under the merge and the reference."""
    table = finish(sentence_steps(tiny, MERGE, ["deu"], 5)).frame
    row = table.iloc[1]
    line = finish(token_line_steps(tiny, MERGE, "merge", "mono-deu", "deu", int(row["row"])))
    assert tuple(line.frame.columns) == TOKEN_COLUMNS
    assert line.frame["text"].sum() == row["text"]
    assert len(line.frame) == row["tokens"]
    assert line.frame["bits"].sum() == pytest.approx(row["bits"], abs=1e-3)
    assert line.frame["reference_bits"].sum() == pytest.approx(row["reference_bits"], abs=1e-3)
    assert line.frame["cost"].sum() == pytest.approx(row["cost"], abs=1e-3)
    worst = int(line.frame["cost"].argmax())
    assert f"(token {worst + 1} of {len(line.frame)}): {line.frame['cost'].max():+.1f} bits" in line.sentence()
    assert line.provenance["recipe"] == MERGE.to_yaml()


def test_other_weights_between_the_two_change_nothing(tiny):
    alone = finish(token_line_steps(tiny, MERGE, "merge", "mono-deu", "deu", 0)).frame
    disturbed = finish(
        token_line_steps(tiny, MERGE, "merge", "mono-deu", "deu", 0), lambda share: tiny.networks.put("init")
    ).frame
    pd.testing.assert_frame_equal(alone, disturbed)


def test_tokens_of_different_tokenizers_are_not_laid_side_by_side(suite_folder, tmp_path):
    tokenizer = open_suite()["mixed"].tokenizer
    other = str(write_checkpoint(llama(1, vocab_size=1024), tokenizer, tmp_path / "other"))
    suite = with_paths(open_suite(suite_folder), [other])
    evaluator = Evaluator(suite, Store(tmp_path / "s", {}), torch.device("cpu"))
    with pytest.raises(UserError, match="different tokenizers"):
        finish(token_line_steps(evaluator, MERGE, "merge", other, "eng", 0))
    assert len(finish(sentence_steps(evaluator, MERGE, ["eng"], 3, other)).frame) == 3


def test_weights_that_overflow_are_named(tiny):
    broken = Recipe("linear", ("mono-eng", "mono-deu"), (3.3e38, 3.3e38), (("normalize", False),))
    with pytest.raises(UserError, match="not finite"):
        finish(sentence_steps(tiny, broken, ["eng"]))
    with pytest.raises(UserError, match=r"^merge gives .* not finite"):
        finish(token_line_steps(tiny, broken, "merge", "mono-eng", "eng", 0))


# figures


class Cells(HTMLParser):
    """The cells of a line, each its attributes and text, and every tag that was opened."""

    def __init__(self, html: str):
        super().__init__()
        self.cells: list[tuple[dict, str]] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if "it-t" in (dict(attrs).get("class") or "").split():
            self.cells.append((dict(attrs), ""))
            self.open = True
        else:
            self.open = False

    def handle_data(self, data: str) -> None:
        if self.cells and self.open:
            self.cells[-1] = (self.cells[-1][0], self.cells[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        self.open = False


def colors(found: Cells) -> list[str]:
    return [attributes["style"].removeprefix("background:")[:7] for attributes, _ in found.cells]


NASTY = "<script>alert('x')</script>\"'&"


def test_what_was_written_is_coloured_by_probability():
    """One cell per token with its number for hover and focus; whitespace, part characters and the end are visible."""
    tokens = [
        Token(4, "Ġcat", " cat", 1.0),
        Token(5, "å", "", 0.25),
        Token(6, "Ċ", "\n", 0.0),
        Token(1, "</s>", "", 0.5, True),
    ]
    found = Cells(said_html("A", token_frame(tokens)))
    assert [text for _, text in found.cells] == ["·cat", "‥", "↵", "■"]
    assert colors(found)[::2] == [CIVIDIS[-1], CIVIDIS[0]]
    assert found.cells[1][0]["data-tip"] == "'å' (5)\nprobability 0.25\n2.00 bits"
    assert "inf bits" in found.cells[2][0]["data-tip"]
    assert all(a["tabindex"] == "0" and a["aria-label"] == a["data-tip"] for a, _ in found.cells)
    assert "it-bar" in probability_legend()


def line_frame(text: str = " a") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "position": [0, 1], "token": ["Ġa", NASTY], "id": [3, 4], "text": [text, ""], "bits": [8.0, 1.0],
            "reference_bits": [0.0, 3.0], "cost": [8.0, -2.0],
        }
    )  # fmt: skip


def test_a_line_has_reference_merge_and_difference():
    found = Cells(line_html(line_frame(), "merge", "mono-eng"))
    assert [text for _, text in found.cells] == ["·a", "·a", "+8.0", "‥", "‥", "−2.0"]
    tips = [a["data-tip"] for a, _ in found.cells]
    assert [tip.splitlines()[-1] for tip in tips[:3]] == ["mono-eng: 0.00 bits", "merge: 8.00 bits", "+8.00 bits"]
    assert colors(found)[:3] == [CIVIDIS[-1], CIVIDIS[0], PUOR[-1]]


def test_nothing_that_a_model_writes_becomes_markup():
    for html in (
        said_html(NASTY, token_frame([Token(1, NASTY, NASTY, 0.5)])),
        line_html(line_frame(NASTY), NASTY, NASTY),
    ):
        found = Cells(html)
        assert {tag for tag, _ in found.tags} == {"style", "div", "span"}
        assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
        assert any(NASTY in text for _, text in found.cells)


@pytest.mark.parametrize(
    ("text", "way"),
    [("«2» كتاب book", "rtl"), ("ספר", "rtl"), ("book كتاب", "ltr"), ("书", "ltr"), ("12 ■", "ltr"), ("", "ltr")],
)
def test_lines_run_the_way_their_text_does(text, way):
    assert f"dir='{way}'" in said_html(text, token_frame([]))
    assert f"dir='{way}'" in said_html("", token_frame([Token(3, "Ġa", text, 0.5)]))
    assert f"dir='{way}'" in line_html(line_frame(text), "m", "r")


def test_an_empty_line_is_drawn():
    assert Cells(line_html(line_frame().iloc[:0], "m", "r")).cells == []


def test_text_can_be_read_on_every_colour():
    """WCAG's 4.5 at every hundredth of both scales; black on white is 21."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert ink("#ffffff") == "#000000"
    frame = pd.DataFrame(
        {"position": 0, "token": "a", "id": 1, "text": "a", "bits": np.linspace(0, 9, 101),
         "reference_bits": np.linspace(9, 0, 101), "cost": np.linspace(-9, 9, 101)}
    )  # fmt: skip
    pairs = re.findall("style='background:(#......);color:(#......)", line_html(frame, "m", "r"))
    assert len(pairs) == 303
    assert min(contrast(*pair) for pair in pairs) >= 4.5
