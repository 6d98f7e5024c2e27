# Tailrace. `make help` lists what there is.
# PYTHON chooses the interpreter (3.11 or later) that the virtual environment is made from.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
RUNTIME := $(VENV)/.runtime$(addprefix -,$(EXTRAS))
DEVELOPMENT := $(VENV)/.development
BENCHMARKS = $(basename $(notdir $(shell grep -l '__main__' benchmarks/*.py)))
# How many processes share the tests, which wait more than they compute. In the order of their folders the long files,
# which kill processes and drive a browser, come first, and no process is left with one of them at the end.
TESTERS ?= 3
SHARED = --numprocesses=$(TESTERS) --dist=loadfile --no-loadscope-reorder
# A registry that the machine's own configuration names is used as it is; this file names none.
ifeq ($(UV),)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
else
INSTALL = $(UV) pip install --compile-bytecode --quiet --python $(BIN)/python -c constraints.txt
endif

# Processes start twice as fast from compiled modules, and the tests start hundreds.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help setup serve test support check format bench clean
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(RUNTIME) ## Make the virtual environment with what Tailrace needs to run (EXTRAS=postgres,s3 for more)

serve: $(RUNTIME) ## Start Tailrace on http://127.0.0.1:8000 (ARGS="--port 9000" for more)
	@exec $(BIN)/tailrace serve $(ARGS)

test: $(DEVELOPMENT) ## Run the tests (ARGS="tests/jobs -k lease" for some, TESTERS=1 one by one)
	$(BIN)/python -m pytest $(SHARED) $(ARGS)

support: $(DEVELOPMENT) ## Run the tests of everything that can be exchanged, and write docs/support.md
	$(BIN)/python -m pytest -m conformance --write-support $(SHARED)

check: $(DEVELOPMENT) ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports

format: $(DEVELOPMENT) ## Put the code into its form
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

bench: $(DEVELOPMENT) ## Measure, against peers in the same run (ARGS="export sse" for some)
	@for each in $(or $(ARGS),$(BENCHMARKS)); do $(BIN)/python -m benchmarks.$$each || exit 1; done

clean: ## Remove the virtual environment and what the tools left; the data stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Tailrace needs Python 3.11 or later: make PYTHON=python3.12 ..." >&2; exit 1; }
ifeq ($(UV),)
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "$(PYTHON) lacks its venv module: install python3-venv (Debian, Ubuntu), or uv." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
else
	$(UV) venv --quiet --python $(PYTHON) $(VENV)
endif

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.$(addprefix [,$(addsuffix ],$(EXTRAS)))'
	@touch $@

$(DEVELOPMENT): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[postgres,s3,celery,heic]' --group dev
	@touch $@ $(RUNTIME)
