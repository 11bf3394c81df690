"""What may import what, checked in fresh interpreters and in the source; and that these checks can fail."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CHECKED

import interference
from interference.statistics import clustered_means

ROOT = Path(__file__).parents[1]
SOURCE = Path(interference.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]


def module_name(file: Path) -> str:
    parts = ("interference", *file.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [module_name(file) for file in FILES]
DRAWING = [m for m in MODULES if m.startswith("interference.figures")]
LIBRARY = [m for m in MODULES if not m.startswith("interference.ui") and m not in DRAWING]
LIGHT = ["interference.tables", "interference.statistics", "interference.corpus", *DRAWING]
LIGHT += ["interference.store", "interference.engine", "interference.errors", "interference.languages"]
LIGHT += ["interference.findings", "interference.report", "interference.hub", "interference.catalogue"]


def loaded(modules: list[str], watched: tuple[str, ...]) -> set[str]:
    """Which of the watched packages a fresh interpreter has after importing the modules."""
    code = f"import sys, {', '.join(modules)}; print(*({set(watched)!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def imports(tree: ast.AST) -> set[str]:
    """Top-level names of everything that a source imports, anywhere in it."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {"." * n.level + (n.module or "") for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return {name.split(".")[0] or "." for name in names}


def unannotated(tree: ast.AST) -> list[str]:
    """Functions without a return annotation. `__init__` returns None by definition and needs none."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return [f.name for f in functions if f.returns is None and f.name != "__init__"]


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def test_library_imports_without_the_dashboard_and_the_plots():
    """All of it at once; figures alone draw and the dashboard's own package alone knows pages."""
    assert "interference.evaluate" in LIBRARY
    assert loaded(LIBRARY, ("streamlit", "plotly")) == set()


def test_library_imports_where_the_project_is_not_installed():
    """From its source alone, as on a machine that is there for the GPU tests."""
    hide = "version = m.version; m.version = lambda name: version('none' if name == 'interference' else name)"
    code = f"import importlib.metadata as m; {hide}; import {', '.join(LIBRARY)}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_figures_import_without_the_dashboard():
    assert loaded(DRAWING, ("streamlit",)) == set()


@pytest.mark.parametrize("module", LIGHT)
def test_module_imports_without_torch(module):
    """Tables, statistics and figures come up in the time that pandas takes, and never touch a device."""
    assert loaded([module], ("torch", "transformers", "streamlit")) == set()


def test_dashboard_draws_its_frame_before_torch_is_loaded():
    """Importing the dashboard's package loads neither torch nor transformers."""
    assert loaded(["interference.ui"], ("torch", "transformers")) == set()


def test_guard_of_imports_can_fail():
    """The same guard on modules that do import what is watched."""
    assert loaded(["interference.ui"], ("streamlit", "torch")) == {"streamlit"}
    assert loaded(["interference.figures.losses"], ("plotly", "torch")) == {"plotly"}
    assert loaded(["interference.losses"], ("torch", "streamlit")) == {"torch"}


def test_guard_of_imports_notices_a_module_that_breaks():
    with pytest.raises(AssertionError, match="no_such_module"):
        loaded(["interference.no_such_module"], ("torch",))


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_pages_import_only_streamlit_and_the_package(page):
    assert imports(parsed(page)) <= {"streamlit", "interference"}


def test_there_are_pages():
    """Else the check of pages would check nothing."""
    assert len(PAGES) >= 3


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_only_the_dashboard_and_its_starter_mention_streamlit(file):
    """Also inside functions, where a fresh interpreter would not see it."""
    allowed = file.is_relative_to(SOURCE / "ui") or file.name == "__main__.py"
    assert allowed or "streamlit" not in imports(parsed(file))


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_every_function_says_what_it_returns(file):
    assert unannotated(parsed(file)) == []


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_annotations_are_never_postponed(file):
    """Strings instead of annotations would switch off the checks of shapes and the sliders made from signatures."""
    assert "__future__" not in imports(parsed(file))


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_imports_are_absolute(file):
    assert "." not in imports(parsed(file))


def test_tables_leave_cells_without_a_value_empty():
    """As `draw_table` does; Streamlit writes None there otherwise."""
    assert [file.name for file in (SOURCE / "ui").rglob("*.py") if "st.dataframe(" in file.read_text()] == ["shown.py"]


CONTROLS = {
    "button", "download_button", "file_uploader", "multiselect", "number_input", "pills", "popover",
    "segmented_control", "select_slider", "selectbox", "slider", "text_area", "text_input", "toggle",
}  # fmt: skip
CHOICES = {"choose_language", "choose_listed", "choose_number", "choose_one", "draw_download"}


def without_help(tree: ast.Module) -> list[int]:
    """Lines of controls that do not say what they are for."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    controls = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in CONTROLS]
    return [call.lineno for call in controls if "help" not in {keyword.arg for keyword in call.keywords}]


def test_controls_of_two_pages_have_keys_of_their_own():
    """The session and the address know a control by its key alone: another page's would take its value."""
    files: dict[str, set[str]] = {}
    for file in (SOURCE / "ui").rglob("*.py"):
        for call in (node for node in ast.walk(parsed(file)) if isinstance(node, ast.Call)):
            if getattr(call.func, "attr", getattr(call.func, "id", None)) in CONTROLS | CHOICES:
                for keyword in call.keywords:
                    if keyword.arg == "key" and isinstance(keyword.value, ast.Constant):
                        files.setdefault(str(keyword.value.value), set()).add(file.name)
    assert {key: names for key, names in files.items() if len(names) > 1} == {}


@pytest.mark.parametrize("file", [*sorted((SOURCE / "ui").rglob("*.py")), *PAGES], ids=lambda file: file.name)
def test_every_control_has_a_line_of_help(file):
    """But for those of a presentation, which are keys and arrows."""
    if file.name != "present.py":
        assert without_help(ast.parse(file.read_text(encoding="utf-8"))) == []


def test_guards_of_the_source_can_fail():
    assert without_help(ast.parse("st.toggle('x')\nst.toggle('y', help='z')")) == [1]
    bad = ast.parse(
        "from __future__ import annotations\nfrom . import x\n"
        "def f(a):\n    import torch.nn\n    async def g(): ...\n"
        "class C:\n    def __init__(self): ...\n    def m(self): ...\n"
    )
    assert imports(bad) == {"__future__", ".", "torch"}
    assert sorted(unannotated(bad)) == ["f", "g", "m"]
    assert unannotated(ast.parse("def f() -> None: ...")) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="nothing is checked where functions are compiled")
def test_shapes_and_types_are_checked_while_tests_run():
    """In every module but those that conftest.py gives its reason for; a wrong shape raises."""
    named = set(CHECKED)
    tops = {".".join(m.split(".")[:2]) for m in MODULES if m != "interference"}
    assert tops - named == {"interference.__main__", "interference.demo", "interference.recipe"}
    assert named <= tops
    with pytest.raises(TypeError, match="Type-check error"):
        clustered_means(np.zeros(3), ["a", "b", "c"])


def test_work_is_not_done_at_import():
    """Importing the whole library writes nothing, starts no thread and reads no device."""
    code = (
        f"import os, sys, threading, {', '.join(LIBRARY)}, torch; "
        "print(threading.active_count(), torch.cuda.is_initialized(), os.path.exists(os.environ['INTERFERENCE_CACHE']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "False", "False"]
