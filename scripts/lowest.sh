#!/usr/bin/env bash
# Run the tests with the oldest versions that pyproject.toml admits, in .venv-lowest: some GB, for torch comes for CUDA.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv-lowest/bin/python
[ -x "$python" ] || python3.11 -m venv .venv-lowest
"$python" -m pip --disable-pip-version-check install --quiet uv
.venv-lowest/bin/uv pip install --quiet --python "$python" --resolution lowest-direct --editable '.[test]'
browser="$(scripts/browser.sh)"
# Left out: results that ship with the package are those of constraints.txt's versions, and torch 2.11 for CUDA dies on
# machines without a GPU when a second thread compiles.
INTERFERENCE_BROWSER="$browser" "$python" -m pytest -n auto --dist loadfile -m "not parity" \
    --deselect tests/test_facts.py::test_first_page_of_the_built_in_suite_needs_no_transformers \
    --deselect tests/test_finding.py::test_results_cover_the_first_pages \
    --deselect tests/test_fused.py::test_every_thread_compiles_every_kind "$@"
