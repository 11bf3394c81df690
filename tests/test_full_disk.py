"""A disk that is full: one message that names the place, nothing half-written under its name, the old content kept."""

import errno
import os
import pathlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from conftest import llama, write_checkpoint
from safetensors import SafetensorError

from interference.errors import UserError
from interference.hub import convert
from interference.hub.convert import convert_steps
from interference.recipe import Recipe
from interference.store import list_findings, write_findings
from interference.suite import write_suite
from interference.whole import write_whole


@pytest.fixture
def full(monkeypatch):
    """Every text file takes half of what is written to it."""

    def half(self, text, *args, **options):
        with self.open("w", encoding="utf-8") as file:
            file.write(text[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    return lambda: monkeypatch.setattr(pathlib.Path, "write_text", half)


def test_a_text_is_written_whole_or_not_at_all(tmp_path, full):
    write_whole(tmp_path / "a", "before\n")
    full()
    for name in ("a", "b"):
        with pytest.raises(OSError, match="No space left"):
            write_whole(tmp_path / name, "after\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"before\n"


def test_a_suite_file_keeps_what_it_said(tmp_path, full):
    """As the Models page writes it: over the one that is open."""
    write_suite({"name": "old"}, tmp_path / "suite.yaml")
    with pytest.raises(UserError, match="exists already"):
        write_suite({"name": "new"}, tmp_path / "suite.yaml")
    full()
    for name in ("suite.yaml", "other.yaml"):
        with pytest.raises(UserError, match=r"yaml can't be written.*No space left.*Free some space"):
            write_suite({"name": "new"}, tmp_path / name, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["suite.yaml"]
    assert yaml.safe_load((tmp_path / "suite.yaml").read_text()) == {"name": "old"}


def test_a_learned_recipe_leaves_no_half(suite_folder, tmp_path, full, refused):
    (tmp_path / "r.yaml").write_text(Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5)).to_yaml())
    full()
    said = refused("learn", tmp_path / "r.yaml", "--suite", suite_folder, "--out", tmp_path / "l.yaml", "--steps", "1")
    assert "l.yaml" in said
    assert "No space left" in said
    assert not [path for path in tmp_path.iterdir() if "l.yaml" in path.name]


def test_a_conversion_that_has_no_room_keeps_the_download(tmp_path, tokenizer, monkeypatch):
    """safetensors has an exception of its own; the pickle is still there to be converted again."""
    folder = write_checkpoint(llama(0), tokenizer, tmp_path / "m")
    (folder / "model.safetensors").unlink()
    torch.save(llama(0).state_dict(), folder / "pytorch_model.bin")
    save = convert.save_file

    def fail(tensors, file, **options):
        Path(file).write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(convert, "save_file", fail)
    with pytest.raises(UserError, match=r"org/m: .*pytorch_model\.bin.* No space left.* Free some space"):
        list(convert_steps("org/m", folder))
    assert not [path for path in folder.iterdir() if path.suffix in (".writing", ".safetensors")]
    monkeypatch.setattr(convert, "save_file", save)
    list(convert_steps("org/m", folder))
    assert (folder / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.EIO, "Input/output error"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_download_that_this_machine_can_not_read_is_kept(error, tmp_path, tokenizer, monkeypatch):
    """And the repository is not blamed."""
    folder = write_checkpoint(llama(0), tokenizer, tmp_path / "m")
    (folder / "model.safetensors").unlink()
    torch.save(llama(0).state_dict(), folder / "pytorch_model.bin")

    def fail(file):
        raise error

    monkeypatch.setattr(convert, "read_pickle", fail)
    with pytest.raises(UserError, match=r"can't be read now: .* What was downloaded stays; fetch again\."):
        list(convert_steps("org/m", folder))
    assert (folder / "pytorch_model.bin").is_file()


def test_findings_are_refused_and_those_before_are_kept(tmp_path, monkeypatch):
    import sqlite3

    write_findings("mine", "before", folder=tmp_path)
    connect = sqlite3.connect

    def small(*args, **options):
        connection = connect(*args, **options)
        connection.execute("pragma max_page_count = 3")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(UserError, match=r"results\.sqlite.*full.*Free some space"):
        write_findings("mine", "after" * 10_000, since=list_findings(tmp_path)[0].changed, folder=tmp_path)
    assert [(kept.name, kept.document) for kept in list_findings(tmp_path)] == [("mine", "before")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_a_table_that_has_no_room_is_one_message(form):
    command = [sys.executable, "-m", "interference", "measures", "--format", form]
    with Path("/dev/full").open("w") as out:
        found = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, env=os.environ.copy())
    assert found.returncode == 2
    assert found.stderr.startswith("interference: The output can't be written: [Errno 28]")
    assert found.stderr.count("\n") == 1
