"""Corpora in the layouts that parallel text comes in: all give the same corpus, and what is not parallel is named."""

import json

import pandas as pd
import pytest
import yaml

from interference.corpus import read_corpus
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


@pytest.mark.parametrize("layout", [tsv, lines, parquet, folders, tables, described])
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
    "other keys": ({"eng.jsonl": '{"text": "a"}\n{"txt": "b"}'}, "row 2 differs from the first in 'text'"),
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
        (tmp_path / name).write_bytes(contents.encode() if isinstance(contents, str) else contents)
    with pytest.raises(UserError) as error:
        read_corpus(tmp_path)
    assert expected in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"path": "absent.tsv"}, "does not exist"),
        ({"path": "t.tsv", "column": {}}, "unknown key 'column': did you mean 'columns'?"),
        ({"path": "t.tsv", "columns": {"eng": "English"}}, "has no column 'English'"),
        ({"path": "t.tsv", "columns": ["eng"]}, "'columns' is no mapping"),
        ({"path": "t.tsv", "inside": "../.."}, "expected a folder of the data set"),
        ({"path": "org/texts", "revision": "main"}, "interference hub corpus org/texts"),
        ([], "describes no corpus"),
    ],
)
def test_a_description_that_does_not_fit_is_one_message(document, expected, tmp_path):
    tsv(tmp_path)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(UserError) as error:
        read_corpus(tmp_path / "c.yaml")
    assert expected in str(error.value)
