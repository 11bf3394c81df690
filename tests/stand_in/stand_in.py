"""Makes torch believe in a GPU on a machine without one: `python -m pytest -p stand_in tests/gpu`, with a C++ compiler.

What is to be compiled for the GPU is traced and run operator by operator. It finds tensors on two devices, what is held
at once, and wrong numbers; it says nothing of speed, of TF32, or of the kernels of a compiler.
"""

import importlib.util
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch.utils import _device
from torch.utils.cpp_extension import include_paths, library_paths

from interference import fused


def build(name: str = "stand_in_device") -> ModuleType:
    """The device, compiled: about 20 seconds."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, f"{name}.so")
        found = [f"-I{path}" for path in (*include_paths(), sysconfig.get_path("include"))]
        linked = [*(f"-L{path}" for path in library_paths()), "-lc10", "-ltorch_cpu", "-ltorch", "-ltorch_python"]
        flags = ["-std=c++20", "-O1", "-w", "-fPIC", "-shared", f"-DTORCH_EXTENSION_NAME={name}"]
        source = str(Path(__file__).with_name("stand_in.cpp"))
        subprocess.run(["c++", *flags, *found, source, "-o", str(library), *linked], check=True)
        spec = importlib.util.spec_from_file_location(name, library)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


device = build()
_BYTES = 64 << 30
_told: dict[str, Any] = {
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "_lazy_init": lambda: None,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "synchronize": lambda *_: None,
    "empty_cache": lambda: None,
    "get_rng_state": lambda *_: torch.get_rng_state(),
    "set_rng_state": lambda *_: None,
    "mem_get_info": lambda *_: (_BYTES - device.live(), _BYTES),
    "max_memory_allocated": lambda *_: device.peak(),
    "get_device_properties": lambda *_: SimpleNamespace(name="a stand-in", major=9, minor=0, total_memory=_BYTES),
    "reset_peak_memory_stats": lambda *_: device.forget_peak(),
}
for _name, _value in _told.items():
    setattr(torch.cuda, _name, _value)
setattr(torch._C, "_cuda_getDevice", lambda: 0)  # noqa: B010 - what the tracer asks
_device._device_constructors()  # looked up once, before `empty` is replaced below
_empty = torch.empty
torch.empty = lambda *size, pin_memory=False, **named: _empty(*size, **named)  # type: ignore[assignment]
fused.BACKEND = "aot_eager"
