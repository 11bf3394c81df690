"""How commands end: signals, streams that are closed or can't be written, and what killed processes left behind."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import llama, write_checkpoint

from interference.arrays import Arrays
from interference.errors import UserError
from interference.export import Target, write_merge
from interference.recipe import Recipe
from interference.suite import open_suite

CPU = torch.device("cpu")
INTERFERENCE = [sys.executable, "-m", "interference"]
AVERAGE = Recipe("linear", ("mono-eng", "mono-deu"), (0.5, 0.5))


def recipe_file(folder: Path, recipe: Recipe = AVERAGE) -> Path:
    (folder / "r.yaml").write_text(recipe.to_yaml())
    return folder / "r.yaml"


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Interrupts and hangups, also where the tests run under `nohup` or in the background: commands inherit that."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def large(tmp_path, tokenizer) -> Recipe:
    """An average of two checkpoints of some hundred megabytes, which takes a while to write."""
    sizes = {"hidden_size": 1024, "num_hidden_layers": 4, "intermediate_size": 3072}
    folders = [str(write_checkpoint(llama(seed, **sizes), tokenizer, tmp_path / f"m{seed}")) for seed in (1, 2)]
    return Recipe("linear", tuple(folders), (0.5, 0.5))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_merge_that_is_stopped_clears_up(number, large, tmp_path):
    command = [*INTERFERENCE, "merge", str(recipe_file(tmp_path, large)), "--out", str(tmp_path / "out")]
    command += ["--max-shard-size", "20MB"]  # many files: it is stopped after the first
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".out.*/model*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (128 + number, "", "")
    assert not list(tmp_path.glob("*out*"))


def test_an_interrupt_before_the_command_has_begun_is_no_traceback():
    code = (
        "import signal; from interference import __main__ as m;"
        "m.app = lambda a: signal.raise_signal(signal.SIGINT); m.main([])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (130, "", "")


def test_what_is_ignored_under_nohup_stays_ignored(tmp_path):
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from interference import __main__ as m;"
        "m.app = lambda a: signal.raise_signal(signal.SIGHUP); m.main([])"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_a_killed_export_left_is_cleared_by_the_next(suite_folder, tmp_path):
    left, held, other = (tmp_path / name for name in (".out.0123abcd", ".out.89abcdef", ".out.mine"))
    for folder in (left, held, other):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
    lock = os.open(held, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # one that is still written
    write_merge(AVERAGE, open_suite(suite_folder), tmp_path / "out", CPU)
    os.close(lock)
    assert {p.name for p in tmp_path.iterdir()} == {held.name, other.name, "out"}


def test_a_merge_in_the_works_is_not_cleared_by_another(suite_folder, tmp_path):
    from interference.export import write_steps

    suite = open_suite(suite_folder)
    first = write_steps(AVERAGE, suite, Target(tmp_path / "out"), CPU)
    next(first)
    write_merge(AVERAGE, suite, tmp_path / "out", CPU)
    with pytest.raises(UserError, match="exists already"):
        list(first)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_the_current_folder_is_not_replaced(suite_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (Path(), Path("..")):
        with pytest.raises(UserError, match=r"^\.+ can't be replaced from inside.*Name a folder"):
            write_merge(AVERAGE, open_suite(suite_folder), Target(folder, overwrite=True), CPU)


def test_a_home_is_expanded_in_the_path_of_a_recipe(suite_folder, tmp_path, monkeypatch):
    from interference.commands import recipe_of

    recipe_file(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert recipe_of(Path("~/r.yaml"), suite_folder).models == AVERAGE.models


def test_arrays_that_were_never_finished_make_room(tmp_path):
    (tmp_path / ".0123").write_bytes(b"x" * 3000)
    os.utime(tmp_path / ".0123", (0, 0))
    kept = Arrays(tmp_path, disk=2000)
    kept.write("a", {"x": np.zeros(10)}, lasting=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_another_process_may_make_room_meanwhile(tmp_path, monkeypatch):
    kept = Arrays(tmp_path, disk=2000)
    kept.write("a", {"x": np.zeros(10)}, lasting=True)
    stat = Path.stat

    def gone(self, **options):
        if self.name == "a.npz":
            self.unlink(missing_ok=True)
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", gone)
    kept.write("b", {"x": np.zeros(10)}, lasting=True)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_may_be_closed(closed, suite_folder):
    command = f"exec {sys.executable} -m interference losses --suite '{suite_folder}' --checkpoint init {closed}"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr
    assert bool(found.stdout) == (">&- " not in f" {closed} ".replace("2>&-", ""))
    assert "Each sentence follows BOS" not in found.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_notes_that_can_not_be_written_cost_no_result(suite_folder):
    with Path("/dev/full").open("w") as full:
        losses = [*INTERFERENCE, "losses", "--suite", str(suite_folder), "--checkpoint", "init", "--format", "csv"]
        found = subprocess.run(losses, stdout=subprocess.PIPE, stderr=full, text=True)
    assert found.returncode == 0
    assert found.stdout.count("\n") == 3


def test_letters_that_the_output_lacks_are_one_message():
    command = [*INTERFERENCE, "demo", "text", "--language", "rus", "--sentences", "1"]
    found = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("interference: The output can't be written in ascii, which lacks '\\u04")
    assert found.stderr.count("\n") == 1


def test_training_that_is_stopped_ends_at_once(tmp_path):
    command = [*INTERFERENCE, "demo", "train", "--out", str(tmp_path / "t"), "--jobs", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 240
    while not (tmp_path / "t/init").is_dir() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.communicate(timeout=60)[1] == ""  # which ends when the last process that may write there has
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_dashboard_ends_when_it_is_told_to(number):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*INTERFERENCE, "app", "--port", str(port)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with socket.socket() as server:
            if server.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    time.sleep(1)  # a server that has only begun to listen hears nothing yet
    process.send_signal(number)
    try:
        assert "Traceback" not in process.communicate(timeout=30)[1]
    finally:
        process.kill()
    assert process.returncode == 0
