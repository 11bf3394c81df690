"""What `make help` promises is there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISED = ("app", "bench", "clean", "help", "install", "lint", "lowest", "test")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """make as from a shell: under `make test` it would take itself for a part of that run and print where it is."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    command = ["make", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def documented() -> list[str]:
    """The targets that `make help` lists."""
    return [line.split()[0] for line in make("help").stdout.splitlines()]


def test_every_documented_target_exists(documented):
    """make knows a rule for each (a dry run: nothing is done), and knows none for a name that is not there."""
    assert len(set(documented)) == len(documented)
    for target in documented:
        run = make("--dry-run", target)
        assert run.returncode == 0, run.stderr
    assert make("--dry-run", "no-such-target").returncode != 0


def test_every_target_is_documented(documented):
    """Help is complete: it lists the promised targets and every one that the Makefile calls phony."""
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert sorted(documented) == sorted(phony[1].split()) == list(PROMISED)
