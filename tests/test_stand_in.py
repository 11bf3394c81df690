"""The GPU tests on a device of the same type in the host's memory, where there is no GPU."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
HEADERS = Path(sysconfig.get_path("include"), "Python.h")
pytestmark = [
    pytest.mark.skipif(torch.cuda.is_available(), reason="a real device is here"),
    pytest.mark.skipif(not shutil.which("c++") or not HEADERS.is_file(), reason="needs c++ and Python's headers"),
]
REAL = "not multiply_in_tf32"  # what only a real one can do


@pytest.mark.timeout(3600)  # for some hundred tests
def test_the_gpu_tests_pass_on_a_stand_in():
    """Tensors of the CPU beside those of the device are refused there as on a GPU."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests/stand_in"), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-p", "stand_in", "-p", "no:cacheprovider", "tests/gpu", "-k", REAL]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "skipped" not in ran.stdout
