"""What the READMEs say is so: computed tables are current, commands exist, the example runs."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from interference.__main__ import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def script():
    spec = importlib.util.spec_from_file_location("readme", ROOT / "scripts/readme.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("index", [0, 1])
def test_computed_parts_are_current(index):
    """`python scripts/readme.py` would change nothing but the last digit of a number."""
    module = script()
    file = list(module.PARTS)[index]
    old, new = file.read_text(encoding="utf-8"), module.filled(file)
    number = re.compile(r"\b\d+\.\d\b")
    assert number.sub("#", old) == number.sub("#", new)
    for a, b in zip(number.findall(old), number.findall(new), strict=True):
        assert abs(float(a) - float(b)) <= 0.1 + 1e-9


def test_every_command_is_in_the_table():
    """Each command of the command line stands in the README, and each one there exists."""
    group: Any = get_command(app)
    groups = ("demo", "hub")
    commands = {name for name in group.commands if name not in groups}
    commands |= {f"{outer} {name}" for outer in groups for name in group.commands[outer].commands}
    listed = {
        " ".join(m.split()) for m in re.findall(r"^\| `interference ((?:(?:demo|hub) )?\w+)", README, re.MULTILINE)
    }
    assert listed == commands


def test_the_example_of_own_models_runs(tmp_path):
    """The README's example, copied into a shell in an empty folder, ends with a merge that transformers loads."""
    example = next(b for b in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) if "my-suite" in b)
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "average" in done.stdout
    assert (tmp_path / "merged/provenance.json").is_file()
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(tmp_path / "merged").num_parameters() == 541536


def test_local_links_lead_somewhere():
    """Every file the README points at exists."""
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
