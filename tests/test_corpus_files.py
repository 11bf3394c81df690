"""Corpora in the layouts that parallel text comes in: all give the same corpus, and what is not parallel is named."""

import json

import pandas as pd
import pytest
import yaml

from interference.corpus import read_corpus
from interference.corpus_files import Layout, read_layout
from interference.errors import UserError

ENG, DEU = ["One.", "Two.", "Three.", "Four."], ["Eins.", "Zwei.", "Drei.", "Vier."]
DOCUMENTS = ["a", "a", "b", "b"]
FRAME = pd.DataFrame({"document": DOCUMENTS, "eng": ENG, "deu": DEU})


def jsonl(frame: pd.DataFrame) -> str:
    return frame.to_json(orient="records", lines=True, force_ascii=False)


def tsv(folder):
    FRAME.to_csv(folder / "t.tsv", sep="\t", index=False)
    return folder / "t.tsv"


def lines(folder):
    (folder / "t.jsonl").write_text(jsonl(FRAME), encoding="utf-8")
    return folder / "t.jsonl"


def parquet(folder):
    FRAME.to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


def folders(folder):
    """eng/a.txt, eng/b.txt, deu/a.txt, ...: each file a document."""
    for code, text in (("eng", ENG), ("deu", DEU)):
        (folder / "t" / code).mkdir(parents=True)
        for name, part in (("a", text[:2]), ("b", text[2:])):
            (folder / "t" / code / f"{name}.txt").write_text("\n".join(part) + "\n", encoding="utf-8")
    return folder / "t"


def tables(folder):
    """One table for each language, as data sets of the Hub have, with other columns besides."""
    (folder / "t").mkdir()
    for code, text in (("eng", ENG), ("deu", DEU)):
        frame = pd.DataFrame({"id": range(4), "text": text, "document": DOCUMENTS})
        (folder / "t" / f"{code}.jsonl").write_text(jsonl(frame), encoding="utf-8")
    return folder / "t"


def described(folder):
    frame = FRAME.rename(columns={"eng": "sentence_en", "deu": "sentence_de", "document": "url"}).assign(number=1)
    frame.to_parquet(folder / "own.parquet")
    columns = {"eng": "sentence_en", "deu": "sentence_de"}
    text = yaml.safe_dump({"path": "own.parquet", "columns": columns, "document": "url"})
    (folder / "t.yaml").write_text(text)
    return folder / "t.yaml"


def newline_delimited(folder):
    """JSON by its other name, with an empty line at the end and keys that not every row has."""
    rows = [row | ({"note": 1} if n else {}) for n, row in enumerate(FRAME.to_dict("records"))]
    (folder / "t.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows) + "\n", encoding="utf-8")
    return folder / "t.ndjson"


def parts(folder):
    """eng/test-00000-of-00002.parquet, ...: a folder for each language, its table in parts, as the Hub has them."""
    for code, text in (("eng", ENG), ("deu", DEU)):
        (folder / "t" / code).mkdir(parents=True)
        for n in range(2):
            frame = pd.DataFrame({"text": text, "document": DOCUMENTS})[2 * n : 2 * n + 2]
            frame.to_parquet(folder / "t" / code / f"test-0000{n}-of-00002.parquet")
    return folder / "t"


def splits(folder):
    """The same with a second split beside it: a description says which is meant."""
    parts(folder)
    for code, text in (("eng", ENG), ("deu", DEU)):
        pd.DataFrame({"text": text, "url": DOCUMENTS}).to_json(
            folder / f"t/{code}/dev.jsonl", orient="records", lines=True
        )
    columns = {"eng": "eng/dev.jsonl", "deu": "deu/dev.jsonl"}
    (folder / "s.yaml").write_text(yaml.safe_dump({"path": "t", "columns": columns, "document": "url"}))
    return folder / "s.yaml"


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_translations_inside_a_column_are_columns(ending, tmp_path):
    """As data sets of translations have them: {"translation": {"en": ..., "de": ...}}."""
    frame = pd.DataFrame({"id": range(4), "translation": [{"en": e, "de": d} for e, d in zip(ENG, DEU, strict=True)]})
    if ending == "parquet":
        frame.to_parquet(tmp_path / "t.parquet")
    else:
        (tmp_path / "t.jsonl").write_text(jsonl(frame))
    with pytest.raises(UserError, match=r"has the columns id, translation\.\w+, translation\.\w+, none of them"):
        read_corpus(tmp_path / f"t.{ending}")
    columns = {"eng": "translation.en", "deu": "translation.de"}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({"path": f"t.{ending}", "columns": columns}))
    assert read_corpus(tmp_path / "t.yaml").sentences == {"eng": tuple(ENG), "deu": tuple(DEU)}


@pytest.mark.parametrize("layout", [tsv, lines, parquet, folders, tables, described, newline_delimited, parts, splits])
def test_every_layout_gives_the_same_corpus(layout, tmp_path):
    corpus = read_corpus(layout(tmp_path))
    assert corpus.sentences == {"eng": tuple(ENG), "deu": tuple(DEU)} or layout in (folders, tables)
    assert {c: list(s) for c, s in corpus.sentences.items()} == {"eng": ENG, "deu": DEU}
    assert corpus.has_documents
    assert corpus.documents == tuple(DOCUMENTS)


def test_texts_line_by_line_have_no_documents(tmp_path):
    (tmp_path / "eng.txt").write_text("\ufeff" + "\n".join(ENG) + "\n", encoding="utf-8")
    (tmp_path / "deu.txt").write_text("\n".join(DEU), encoding="utf-8")
    (tmp_path / "README.md").write_text("What this is.")
    corpus = read_corpus(tmp_path)
    assert corpus.sentences == {"deu": tuple(DEU), "eng": tuple(ENG)}
    assert not corpus.has_documents


def test_a_carriage_return_inside_a_line_ends_none(tmp_path):
    """One in each language would leave as many lines of both, and pair those between them with the wrong ones."""
    (tmp_path / "eng.txt").write_bytes(b"One.\r\nTw\ro.\r\nThree.\r\nFour.\r\n")
    (tmp_path / "id.txt").write_bytes(b"Satu.\nDua.\nTi\rga.\nEmpat.")
    corpus = read_corpus(tmp_path)
    assert corpus.sentences["eng"] == ("One.", "Tw\ro.", "Three.", "Four.")
    assert corpus.sentences["id"] == ("Satu.", "Dua.", "Ti\rga.", "Empat."), "Indonesian"


BAD: dict[str, tuple[dict[str, str | bytes], str]] = {
    "other numbers of lines": ({"eng.txt": "a\nb", "deu.txt": "a"}, "1 sentences of deu, 2 sentences of eng"),
    "an empty line": ({"eng.txt": "a\n\nb", "deu.txt": "a\nb\nc"}, "row 2 has no text for 'eng'"),
    "no language": ({"notes.txt": "a"}, "no text that is named by a language"),
    "not UTF-8": ({"eng.txt": b"\xff\xfe"}, "can't be read as UTF-8"),
    "other documents": (
        {f"{c}.jsonl": json.dumps({"text": "a", "document": c}) for c in ("eng", "deu")},
        "has other documents in deu than in eng",
    ),
    "no column of text": ({"eng.jsonl": json.dumps({"sentence": "a"})}, "no column 'text'"),
    "no JSON": ({"eng.jsonl": '{"text": "a"}\n{"text"'}, "line 2 is not JSON"),
    "no mapping": ({"eng.jsonl": "3"}, "line 1 is no JSON mapping"),
    "other keys": ({"eng.jsonl": '{"text": "a"}\n{"txt": "b"}'}, "row 2 has nothing for 'eng'"),
    "several tables": (
        {f"eng/{half}-00000-of-00001.parquet": b"" for half in ("dev", "test")},
        "eng holds dev-00000-of-00001.parquet, test-00000-of-00001.parquet; expected the text of one language",
    ),
    "a folder of other things": ({"dev/eng_Latn.dev": "a"}, "dev holds eng_Latn.dev; expected the text of one"),
    "no text": (
        {"eng.jsonl": '{"text": "a"}\n{"text": 3}\n{"text": null}'},
        "row 2 has a int for 'eng', and no text; row 3 has nothing",
    ),
    "no parquet": ({"eng.parquet": b"PAR1 not"}, "can't be read as parquet"),
    "nothing": ({}, "no text that is named by a language"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_parallel_is_one_message(kind, tmp_path):
    files, expected = BAD[kind]
    for name, contents in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(contents.encode() if isinstance(contents, str) else contents)
    with pytest.raises(UserError) as error:
        read_corpus(tmp_path)
    assert expected in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"path": "absent.tsv"}, "does not exist"),
        ({"path": ".", "columns": {"eng": "eng.csv"}}, "eng.csv is no table that can be read here"),
        ({"path": "t.tsv", "column": {}}, "unknown key 'column': did you mean 'columns'?"),
        ({"path": "t.tsv", "columns": {"eng": "English"}}, "has no column 'English'"),
        ({"path": "t.tsv", "columns": ["eng"]}, "'columns' is no mapping"),
        ({"path": "t.tsv", "inside": "../.."}, "expected a folder of the data set"),
        ({"path": "t.tsv", "document": "docuemnt"}, "no column 'docuemnt' that tells documents apart: did you mean"),
        ({"path": "t.tsv", "text": "sentence"}, "is one table, and 'text' (sentence) names the column"),
        ({"path": "twice.tsv", "columns": {"eng": "eng"}}, "has two columns 'eng'"),
        ({"path": "both"}, "has eng.jsonl and eng.txt, and one of them is to be read"),
        ({"path": "both", "columns": {"eng": "eng.jsonl"}, "document": "url"}, "no column 'url' that tells documents"),
        ({"path": "both", "columns": {"eng": "eng.txt"}, "document": "url"}, "'document' names the column 'url'"),
        ({"path": "org/texts", "revision": "main"}, "interference hub corpus org/texts"),
        ([], "describes no corpus"),
    ],
)
def test_a_description_that_does_not_fit_is_one_message(document, expected, tmp_path):
    tsv(tmp_path)
    (tmp_path / "eng.csv").write_text("text\nOne.")
    (tmp_path / "twice.tsv").write_text("eng\teng\nOne.\tUno.")
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "eng.txt").write_text("One.")
    (tmp_path / "both" / "eng.jsonl").write_text('{"text": "Uno."}')
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(UserError) as error:
        read_corpus(tmp_path / "c.yaml")
    assert expected in str(error.value)


def test_one_of_two_files_of_a_language_may_be_named(tmp_path):
    (tmp_path / "eng.txt").write_text("One.")
    (tmp_path / "eng.jsonl").write_text('{"text": "Uno."}')
    for name, read in (("eng.txt", "One."), ("eng.jsonl", "Uno.")):
        assert read_layout(tmp_path, Layout({"eng": name})).sentences == {"eng": (read,)}


def test_a_language_is_described_once(tmp_path):
    tsv(tmp_path)
    (tmp_path / "c.yaml").write_text("path: t.tsv\ncolumns: {eng: deu, eng: eng}")
    with pytest.raises(UserError, match="the key 'eng' stands twice in one mapping"):
        read_corpus(tmp_path / "c.yaml")
