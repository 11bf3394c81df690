"""The commands `findings` and `report`: what is kept, and reports that are written whole or not at all."""

import json
from pathlib import Path

import pytest

from interference.bench import View
from interference.findings import Block, Findings, to_json
from interference.recipe import Recipe
from interference.report import report_html
from interference.results import open_evaluator
from interference.shown import show_all
from interference.store import write_findings

RECIPE = Recipe("linear", ("mono-eng", "mono-deu"), (0.7, 0.3))


@pytest.fixture
def findings(suite_folder) -> Findings:
    return Findings(
        "My <findings>", (Block("One", "Text.", View(RECIPE, str(suite_folder), sentences=6)), Block("Two"))
    )


def test_listed_and_exported(cli, findings):
    """All with their sizes in every format, one as the file that the page would give."""
    code, out, err = cli("findings")
    assert (code, out) == (0, "")
    assert "No findings" in err
    write_findings(findings.title, to_json(findings))
    write_findings("broken", "{}")
    code, out, _ = cli("findings", "--format", "json")
    listed = {entry["name"]: (entry["blocks"], entry["views"]) for entry in json.loads(out)}
    assert listed == {"My <findings>": (2, 1), "broken": (None, None)}
    assert "broken" in cli("findings")[1]
    assert cli("findings", findings.title) == (0, to_json(findings), "")
    code, out, err = cli("findings", "My findings")
    assert (code, out) == (2, "")
    assert "did you mean 'My <findings>'" in err


def test_report_is_that_of_the_library(cli, findings, tmp_path):
    """By name and from a file, the same bytes as the function that the page calls."""
    outcomes = show_all((b.view for b in findings.blocks), lambda suite, corpus: open_evaluator(suite, device="cpu"))
    write_findings(findings.title, to_json(findings))
    file = tmp_path / "findings.json"
    file.write_text(to_json(findings), encoding="utf-8")
    for number, source in enumerate((findings.title, file)):
        out = tmp_path / f"{number}.html"
        code, printed, err = cli("report", source, "--out", out, "--date", "2026-01-02", "--device", "cpu")
        assert (code, printed) == (0, "")
        assert "wrote" in err
        assert out.read_bytes() == report_html(findings, outcomes, "2026-01-02").encode()
    assert sorted(p.name for p in tmp_path.glob("*html*")) == ["0.html", "1.html"]


def test_report_never_replaces_unasked(cli, findings, tmp_path):
    """Also not a folder, and not into one that is not there; what stood there stays."""
    file, out = tmp_path / "findings.json", tmp_path / "out.html"
    file.write_text(to_json(Findings("t", (Block("One"),))), encoding="utf-8")
    out.write_text("mine")
    code, _, err = cli("report", file, "--out", out)
    assert code == 2
    assert "--force" in err
    assert out.read_text() == "mine"
    assert cli("report", file, "--out", out, "--force")[0] == 0
    assert "<h2>One</h2>" in out.read_text()
    for bad in (tmp_path, tmp_path / "no/such.html"):
        code, _, err = cli("report", file, "--out", bad)
        assert code == 2
        assert "can't be written" in err


def test_another_suite_for_all(cli, findings, tmp_path, suite_folder):
    """A file from another machine names paths of that machine: they are said, and --suite replaces them."""
    file = tmp_path / "findings.json"
    file.write_text(to_json(findings.on_suite("/their/suite")), encoding="utf-8")
    code, _, err = cli("report", file, "--out", tmp_path / "a.html")
    assert code == 0
    assert "block 1: Suite /their/suite does not exist" in err
    assert 'class="error"' in (tmp_path / "a.html").read_text(encoding="utf-8")
    code, _, err = cli("report", file, "--out", tmp_path / "b.html", "--suite", suite_folder)
    assert code == 0
    assert "block" not in err
    assert 'data-figure="figure-1"' in (tmp_path / "b.html").read_text(encoding="utf-8")


def test_findings_that_are_not_there(cli, tmp_path):
    out = Path(tmp_path / "out.html")
    code, _, err = cli("report", "nothing", "--out", out)
    assert code == 2
    assert "No findings named 'nothing'" in err
    (tmp_path / "bad.json").write_text("[]")
    code, _, err = cli("report", tmp_path / "bad.json", "--out", out)
    assert code == 2
    assert "no mapping" in err
    assert not out.exists()
