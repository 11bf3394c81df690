"""What the codes of languages say."""

import re
from importlib.resources import files

import pytest

from interference.languages import english, language_name, same_language


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("deu", "German (deu)"),
        ("arb_Arab", "Arabic (arb_Arab)"),
        ("pt-BR", "Portuguese (pt-BR)"),
        ("xxx", "xxx"),
        ("amh_Ethi", "Amharic (amh_Ethi)"),
    ],
)
def test_languages_have_names_by_the_codes_that_corpora_use(code, name):
    assert language_name(code) == name


@pytest.mark.parametrize(
    ("codes", "found"),
    [(["deu", "eng"], "eng"), (["de", "en"], "en"), (["deu_Latn", "eng_Latn"], "eng_Latn"), (["en-GB"], "en-GB"),
     (["enm", "deu"], None), ([], None)],
)  # fmt: skip
def test_english_is_known_by_any_of_its_codes(codes, found):
    assert english(codes) == found


@pytest.mark.parametrize(
    ("code", "codes", "found"),
    [("eng", ["deu_Latn", "eng_Latn"], "eng_Latn"), ("arb", ["eng", "ara"], "ara"), ("pt-BR", ["por"], "por"),
     ("eng", ["en", "eng"], "eng"), ("zho", ["zho_Hant"], None), ("zho", ["zho_Hans"], "zho_Hans"),
     ("srp_Cyrl", ["srp_Latn"], None), ("quy", ["quy_Latn"], "quy_Latn"), ("nob", ["nno"], None),
     ("am", ["amh_Ethi"], "amh_Ethi"), ("uz", ["uzn_Latn"], "uzn_Latn")],
)  # fmt: skip
def test_a_language_is_found_by_another_of_its_codes(code, codes, found):
    assert same_language(code, codes) == found


def test_a_code_is_of_one_language():
    table = files("interference") / "data" / "languages.tsv"
    codes = [
        code for line in table.read_text(encoding="utf-8").splitlines()[1:] for code in line.split("\t")[0].split()
    ]
    assert len(codes) == len(set(codes)) > 300
    assert all(re.fullmatch("[a-z]{2,3}", code) for code in codes)
