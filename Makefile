# Everything lives in .venv, which is set up again only when pyproject.toml or constraints.txt change.
SHELL := /bin/bash
PYTHON := .venv/bin/python
BENCHMARKS := $(sort $(wildcard benchmarks/bench_*.py))

.DEFAULT_GOAL := help
.PHONY: help app test lowest lint bench install clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 10

app: .venv/.app  ## open the dashboard; options of `interference app` go into ARGS="--port 8600"
	@.venv/bin/interference app $(ARGS)

test: .venv/.test  ## run all the tests, browser and parity ones included; pytest's options go into ARGS="-k merge"
	@browser="$$(scripts/browser.sh)" && INTERFERENCE_BROWSER="$$browser" $(PYTHON) -m pytest -rs -n auto --dist loadfile $(ARGS)

lowest:  ## run the tests with the oldest versions that pyproject.toml admits, in an environment of its own (some GB)
	@scripts/lowest.sh $(ARGS)

lint: .venv/.test  ## check format, style and types
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy src tests pages benchmarks app.py

bench: .venv/.test  ## measure what README says about speed (10 minutes on an idle machine)
	@browser="$$(scripts/browser.sh)" && export INTERFERENCE_BROWSER="$$browser" && \
		for script in $(BENCHMARKS); do echo && $(PYTHON) $$script || exit; done

install: .venv/.app  ## set up what the dashboard and the command line need, and run nothing

clean:  ## remove .venv and all that tests, tools and builds leave behind
	@rm -rf .venv .venv-lowest build dist test-results .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.app: pyproject.toml constraints.txt
	@scripts/setup.sh

.venv/.test: pyproject.toml constraints.txt
	@scripts/setup.sh test,parity
