"""What an address asks for and its page does not take is said, once, with what would be taken."""

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_pages import ROOT, settled

from interference.findings import Findings, to_json
from interference.store import write_findings
from interference.ui import shell, watch

MERGE, PATH, SUITE = "pages/merge.py", "pages/path.py", "pages/suite.py"


@pytest.fixture
def framed(own_suite, monkeypatch):
    """Pages in their frame, as a browser sees them: beside a folder of this name the runner draws them without it."""
    monkeypatch.setattr(shell, "Path", lambda *parts: ROOT.joinpath(*parts))


def visit(page: str, **query: str | list[str]) -> AppTest:
    app = AppTest.from_string("from interference import ui\nui.run()", default_timeout=120)
    if page != MERGE:
        app.run().switch_page(str(ROOT / page))
    for key, value in query.items():
        app.query_params[key] = value
    app = settled(app.run())
    assert not app.exception
    return app


def notice(app: AppTest) -> str:
    return "\n".join(warning.value for warning in app.warning)


def test_what_a_page_does_not_take_is_said_until_a_setting_is_changed(framed):
    app = visit(MERGE, method="tise", metod="ties", unit="bit", languages=["deu", "xx"], sentences="9999", embed="true")
    heading, *lines = notice(app).split("\n")
    assert heading == "Not all of this address was understood."
    said = {line.split("`")[1]: line for line in lines}
    assert set(said) == {"method=tise", "metod=ties", "unit=bit", "languages=xx", "sentences=9999"}
    assert "Shown: `Linear average`" in said["method=tise"]
    assert "`TIES" in said["method=tise"]
    assert "Shown: `bits per sentence`. Allowed: `bits per sentence`, `bits per byte`" in said["unit=bit"]
    assert "Shown: `German (deu)`. Allowed: `English (eng)`, `German (deu)`." in said["languages=xx"]
    assert "a number from 1 to 12" in said["sentences=9999"]
    assert "Did you mean `method`?" in said["metod=ties"]
    assert notice(app.run()).split("\n") == [heading, *lines]
    app.selectbox(key="unit").set_value("bits per byte").run()
    assert not app.warning


@pytest.mark.parametrize(
    ("page", "query", "said"),
    [
        (PATH, {"from": "mono-xyz", "points": "7"}, ["`from=mono-xyz` is left out. Shown: `mono-eng`."]),
        (PATH, {"from": "mono-xyz", "points": "8"}, ["`from=mono-xyz`"]),  # the page ends with an error
        (PATH, {"points": ["5", "7"], "walk": "x"}, ["`points=5`", "1 of them", "`walk=x`", "`linear`, `slerp`"]),
        (SUITE, {"suite_measure": "cost", "measure": "costs"}, ["Did you mean `measure`?", "`measure=costs`"]),
        (SUITE, {"device": "`*gpu*`\n# x"}, ["`device='*gpu*' # x` is left out."]),
        ("pages/similarity.py", {"similarity": "cosin"}, ["`similarity=cosin`", "Allowed: `Cosine of translations`"]),
        ("pages/similarity.py", {"similarity_centred": "maybe"}, ["Shown: `true`. Allowed: `true`, `false`."]),
        ("pages/models.py", {"family": "x", "famly": "y"}, ["`family=x`", "Did you mean `family`?"]),  # ends early
    ],
)
def test_every_kind_of_widget(framed, page, query, said):
    app = visit(page, **query)
    for words in said:
        assert words in notice(app)


@pytest.mark.parametrize(
    ("page", "query", "address"),
    [
        (MERGE, {"method": "linear", "languages": ""}, {}),
        (
            MERGE,
            {"languages": "deu", "base": "@zero", "method": "ties"},
            {"languages": "German (deu)", "base": "zero", "method": "TIES"},
        ),
        (PATH, {"points": "7", "from": "mono-deu"}, {"points": "7", "from": "mono-deu"}),
        (SUITE, {"unit": "bits per byte", "languages": "German (deu)"}, None),
        ("pages/weights.py", {"conflict": "sign_conflict"}, {"conflict": "Sign conflict"}),
        ("pages/similarity.py", {"similarity": "Cosine of translations"}, {"similarity": "cosine"}),
    ],
)
def test_nothing_is_said_of_what_is_taken_and_codes_stay_in_the_address(framed, page, query, address):
    app = visit(page, **query)
    assert not app.warning
    now = query if address is None else address
    assert set(app.query_params) == set(now)
    assert all(now[name] in app.query_params[name] for name in now)


def test_what_another_setting_makes_invalid_is_no_fault_of_the_address(framed, own_suite, tmp_path):
    lines = (own_suite / "corpus.tsv").read_text().splitlines()
    (tmp_path / "english.tsv").write_text("\n".join("\t".join(line.split("\t")[:2]) for line in lines) + "\n")
    app = visit(SUITE)
    app.multiselect(key="languages").set_value(["deu"]).run()
    app.text_input(key="corpus").set_value(str(tmp_path / "english.tsv")).run()
    assert not app.exception
    assert app.multiselect(key="languages").value == []
    assert not app.warning


def test_what_was_said_goes_with_its_page(framed):
    app = visit(SUITE, measure="costs", metod="ties")
    assert notice(app).count("\n") == 2
    settled(app.switch_page(str(ROOT / PATH)).run())
    assert not app.warning
    settled(app.switch_page(str(ROOT / SUITE)).run())
    assert not app.warning


def test_it_is_said_before_a_long_job_is_done(framed, monkeypatch):
    monkeypatch.setattr(shell, "compare_with_address", lambda whole: None)  # when the page is through
    assert "`from=mono-xyz`" in notice(visit(PATH, **{"from": "mono-xyz"}))


def test_a_setting_that_is_changed_during_a_first_estimate_was_taken(framed, monkeypatch):
    """A newer run of the page ends the one that waits for it."""
    with monkeypatch.context() as patch:
        patch.setattr(watch, "device", lambda bench: st.stop())
        app = visit(MERGE, sentences="3")
    settled(app.number_input(key="sentences").set_value(2).run())
    assert not app.warning


def test_findings_that_are_not_kept_lead_to_those_that_are(framed, tmp_path, monkeypatch):
    monkeypatch.setenv("INTERFERENCE_CACHE", str(tmp_path))
    write_findings("Mine", to_json(Findings("Mine")))
    app = visit("pages/findings.py", present="Mina", slide="2")
    assert app.title[0].value == "Findings"
    assert app.selectbox(key="findings").value == "Mine"
    assert "`present=Mina` is left out. Shown as without it. Allowed: `Mine`." in notice(app)
    assert not app.query_params


@pytest.mark.parametrize(("page", "name", "first"), [(PATH, "walk", "linear"), (SUITE, "measure", "loss")])
def test_an_address_that_names_no_option_where_one_is_needed_shows_the_first(framed, page, name, first):
    app = visit(page, **{name: ""})
    assert not app.error
    app.run()
    assert not app.error
    assert app.session_state[name] == first
