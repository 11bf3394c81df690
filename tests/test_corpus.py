"""The corpus: bad tables are refused by line, halves split by document, subsets spread over all documents."""

import csv
import hashlib
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interference.corpus import Corpus, _spread, read_corpus
from interference.errors import UserError


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "text.tsv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def corpus_of(sizes: list[int]) -> Corpus:
    """A corpus of one language whose document k has sizes[k] sentences."""
    documents = tuple(f"d{k}" for k, size in enumerate(sizes) for _ in range(size))
    return Corpus("made", {"eng": tuple(map(str, range(len(documents))))}, documents, True)


BAD: dict[str, tuple[str | bytes, list[str]]] = {
    "nothing at all": ("", ["0 rows of text", "at least one row"]),
    "a header alone": ("eng\tdeu\n", ["0 rows of text"]),
    "a missing cell": ("eng\tdeu\na\tb\nc\n", ["line 3 has 1 cells, the header has 2"]),
    "a cell too many": ("eng\tdeu\na\tb\tc\n", ["line 2 has 3 cells, the header has 2"]),
    "an empty cell": ("eng\tdeu\na\t\n", ["line 2 has no text for 'deu'"]),
    "a cell of blanks": ("eng\tdeu\na\t  \n", ["line 2 has no text for 'deu'"]),
    "an empty line": ("eng\tdeu\na\tb\n\nc\td\n", ["line 3 is empty"]),
    "an empty line at the end": ("eng\na\n\n", ["line 3 is empty"]),
    "a row without its document": ("document\teng\n\ta\n", ["line 2 has no text for 'document'"]),
    "a language twice": ("eng\teng\na\tb\n", ["the header has 'eng' twice"]),
    "a column without a name": ("eng\t\na\tb\n", ["column 2 of the header is empty"]),
    "documents and no language": ("document\nd\n", ["the header names no language"]),
    "no header": ("The dog.\tDer Hund.\nA cat.\tEine Katze.\n", ["names no language, it is 'The dog., Der Hund.'"]),
    "commas": ("document,eng,deu\na,b,c\n", ["names no language, it is 'document,eng,deu'. Expected tab-separated"]),
    "JSON": ('[\n{"eng": "a"}\n]\n', ["names no language, it is '['"]),
    "not UTF-8": (b"eng\n\xff\xfe\n", ["can't be read as UTF-8", "Save it as UTF-8"]),
    "several faults": (
        "eng\tdeu\na\n\nb\t\n",
        ["line 2 has 1 cells", "line 3 is empty", "line 4 has no text for 'deu'"],
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_table_is_refused_with_file_and_lines(kind, tmp_path):
    text, wanted = BAD[kind]
    path = written(tmp_path, text)
    with pytest.raises(UserError) as error:
        read_corpus(path)
    for part in [str(path), *wanted]:
        assert part in str(error.value)


def test_many_faults_are_counted_not_all_shown(tmp_path):
    with pytest.raises(UserError, match="and 92 more"):
        read_corpus(written(tmp_path, "eng\tdeu\n" + "a\n" * 100))


@pytest.mark.parametrize("name", ["absent.tsv", "."])
def test_missing_file_and_folder_are_refused_by_name(name, tmp_path):
    with pytest.raises(UserError) as error:
        read_corpus(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_text_is_kept_to_the_byte(tmp_path):
    """Quotes, blanks, decomposed letters and unusual line separators inside a cell are text; nothing is normalised."""
    cells = ['"quoted" "', '"so ""too"""', "  two  blanks ", "e\u0301", "a\u2028b\x0bc\x85\rd", "नमस्ते", "x" * 200_000]
    corpus = read_corpus(written(tmp_path, "eng\n" + "\n".join(cells) + "\n"))
    assert corpus.sentences["eng"] == tuple(cells)
    assert corpus.digest("eng") == hashlib.sha256("\n".join(cells).encode()).hexdigest()


@pytest.mark.parametrize(
    "text", ["eng\tdeu\na\tb\n", "eng\tdeu\na\tb", "eng\tdeu\r\na\tb\r\n", "eng\tdeu\ra\tb\r", "\ufeffeng\tdeu\na\tb\n"]
)
def test_line_ends_and_byte_order_mark_are_not_text(text, tmp_path):
    corpus = read_corpus(written(tmp_path, text))
    assert corpus.sentences == {"eng": ("a",), "deu": ("b",)}


def test_marks_that_a_program_put_around_cells_are_no_text(tmp_path):
    """Where every cell with marks is written as CSV writes it; beside one that is not, all are text."""
    said = ['He said "no".', '"Yes."', "Well."]
    frame = pd.DataFrame({"eng": said, "deu": ["a", "b", "c"]})
    path = tmp_path / "t.tsv"
    frame.to_csv(path, sep="\t", index=False)
    assert '"He said ""no""."' in path.read_text()
    assert read_corpus(path).sentences["eng"] == tuple(said)
    frame[1:].replace('"Yes."', "Yes.").to_csv(tmp_path / "all.tsv", sep="\t", index=False, quoting=csv.QUOTE_ALL)
    assert read_corpus(tmp_path / "all.tsv").sentences == {"eng": ("Yes.", "Well."), "deu": ("b", "c")}
    path.write_text(path.read_text() + 'a "b\tc\n')
    assert read_corpus(path).sentences["eng"][0] == '"He said ""no""."'


def test_columns_that_no_language_names_are_left(tmp_path):
    corpus = read_corpus(written(tmp_path, "id\teng\turl\tEnglish title\n1\ta\thttp\t\n2\tb\t\tx\n"))
    assert corpus.sentences == {"eng": ("a", "b")}


def test_languages_go_by_the_codes_that_are_in_use(tmp_path):
    codes = ["en", "deu", "pt-BR", "zh_Hans", "es-419", "sr-Latn-RS"]
    rows = "\t".join([*codes, "row_id"]) + "\n" + "\t".join("abcdefg") + "\n"
    assert list(read_corpus(written(tmp_path, rows)).sentences) == codes


def test_document_column_may_stand_anywhere_and_is_no_language(tmp_path):
    corpus = read_corpus(written(tmp_path, "eng\tdocument\tdeu\na\tone\tb\nc\ttwo\td\n"))
    assert corpus.languages == ("eng", "deu")
    assert corpus.documents == ("one", "two")
    assert corpus.has_documents


def test_without_documents_each_sentence_is_its_own_and_all_is_test(tmp_path):
    corpus = read_corpus(written(tmp_path, "eng\na\nb\nc\n"))
    assert len(set(corpus.documents)) == 3
    assert not corpus.has_documents
    assert list(corpus.halves["test"]) == [0, 1, 2]
    assert not len(corpus.halves["dev"])


def test_halves_never_share_a_document():
    """Also where a document's rows do not stand together; every row is in exactly one half."""
    documents = ("a", "b", "a", "c", "b", "d", "c")
    corpus = Corpus("mixed", {"eng": tuple("1234567")}, documents, True)
    names = {half: {documents[row] for row in rows} for half, rows in corpus.halves.items()}
    assert names == {"test": {"a", "c"}, "dev": {"b", "d"}}
    assert sorted(np.concatenate(list(corpus.halves.values()))) == list(range(7))


def test_single_document_is_all_test():
    assert not len(corpus_of([5]).halves["dev"])


@pytest.mark.parametrize("half", ["test", "dev"])
def test_rows_stay_in_their_half(half):
    corpus = corpus_of([4] * 10)
    assert set(corpus.rows(7, half)) <= set(corpus.halves[half])
    assert list(corpus.rows(None, half)) == list(corpus.halves[half])


@pytest.mark.parametrize("count", range(1, 61))
def test_rows_take_as_many_as_asked_from_documents_alike(count):
    """Distinct, in order, and no document gives two more than another."""
    corpus = corpus_of([6] * 20)
    rows = corpus.rows(count)
    quotas = np.bincount([int(corpus.documents[row][1:]) // 2 for row in rows], minlength=10)
    assert len(set(rows)) == count
    assert list(rows) == sorted(rows)
    assert quotas.max() - quotas.min() <= 1


@pytest.mark.parametrize("count", [2, 3, 7, 12, 19, 23, 33])
def test_rows_reach_from_the_first_to_the_last_documents(count):
    """What is left over after whole rounds is spread too: no stretch of documents gives more than its share."""
    corpus = corpus_of([2] * 40)
    chosen = np.array([int(corpus.documents[row][1:]) // 2 for row in corpus.rows(count)])
    for part in range(1, 5):
        assert np.sum(chosen < 5 * part) == pytest.approx(count * part / 4, abs=1)


def test_rows_of_a_document_are_spread_inside_it():
    assert list(corpus_of([9]).rows(3)) == [1, 4, 7]


def test_small_documents_give_what_they_have_and_large_ones_the_rest():
    corpus = corpus_of([1, 1, 8, 1, 8])
    quotas = [sum(corpus.documents[row] == f"d{k}" for row in corpus.rows(9)) for k in (0, 2, 4)]
    assert quotas == [1, 4, 4]


def test_rows_are_fixed_and_the_same_in_every_language():
    first, second = corpus_of([3, 4, 5, 6, 7]), corpus_of([3, 4, 5, 6, 7])
    np.testing.assert_array_equal(first.rows(8), second.rows(8))


def test_rows_of_many_documents_take_no_longer_than_reading_them():
    """100,000 documents in well under the minutes that comparing them in pairs takes; a second asking costs nothing.

    Counted in this thread's own time: a busy machine takes none of it.
    """
    size = 100_000
    corpus = Corpus("long", {"eng": ("x",) * size}, tuple(map(str, range(size))), False)
    start = time.thread_time()
    rows = corpus.rows(size // 2)
    assert time.thread_time() - start < 20
    assert corpus.rows(size // 2) is rows


@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8), share=st.floats(0, 1))
def test_rows_are_those_of_giving_one_at_a_time(sizes, share):
    """Full rounds are counted together; given one by one they come to the same."""
    documents, start = [], 0
    for size in sizes:
        documents.append(list(range(start, start + size)))
        start += size
    count = max(int(share * start), 1)
    quotas, left = [0] * len(sizes), count
    while left:
        free = [i for i, size in enumerate(sizes) if quotas[i] < size]
        taken = min(left, len(free))
        for k in range(taken):
            quotas[free[int((k + 0.5) * len(free) / taken)]] += 1
        left -= taken
    found = _spread(documents, count)
    assert [len(set(rows) & set(found)) for rows in documents] == quotas
    assert len(set(found)) == count


@pytest.mark.parametrize("count", [None, 3])
def test_rows_cannot_be_written_to(count):
    """They are kept and handed out again."""
    with pytest.raises(ValueError, match="read-only"):
        corpus_of([3] * 4).rows(count)[0] = 1


def test_asking_for_all_or_more_gives_the_whole_half():
    corpus = corpus_of([3] * 4)
    assert list(corpus.rows(6)) == list(corpus.rows(99)) == list(corpus.halves["test"])


@pytest.mark.parametrize("count", [0, -3])
def test_asking_for_no_sentences_is_refused_with_the_number(count):
    with pytest.raises(UserError, match=f"{count} sentences asked for; give 1 to 6"):
        corpus_of([3] * 4).rows(count)


def test_digest_changes_with_one_byte_and_with_the_line_break_between_sentences():
    one = Corpus("a", {"eng": ("ab", "c")}, ("0", "1"), False)
    assert one.digest("eng") == Corpus("b", {"eng": ("ab", "c")}, ("0", "1"), False).digest("eng")
    assert one.digest("eng") != Corpus("a", {"eng": ("ab", "C")}, ("0", "1"), False).digest("eng")
    assert one.digest("eng") != Corpus("a", {"eng": ("a", "bc")}, ("0", "1"), False).digest("eng")
    there, here = (Corpus("a", {"eng": text}, ("0", "1"), False) for text in (("a\nb", "c"), ("a", "b\nc")))
    assert there.digest("eng") != here.digest("eng"), "a line that moves to the next sentence"


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([3], "(1 document); no intervals: they need at least two documents"),
        ([1] * 28, "by document; of fewer than 15 documents they are too narrow"),
        ([1] * 30, "(test half, 15 documents); intervals are 95 %, by document"),
    ],
)
def test_intervals_of_few_documents_are_said_to_be_too_narrow(sizes, said):
    corpus = corpus_of(sizes)
    assert corpus.clusters(corpus.rows(None)).endswith(said)
