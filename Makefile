# make quickstart and make test set up all they need on a machine with python3 (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= quickstart
# Processes that share the test files: auto is one a core where memory lasts; 0 runs them in one process.
WORKERS ?= auto
# pip would otherwise build with whatever setuptools is newest on the day.
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt --no-build-isolation
# In strict editable mode a new file is seen after a reinstall only, so the package depends on every source file.
SOURCES := pyproject.toml setup.py $(shell find cli core train export benchmarks apps -name '*.py' -o -name '*.mjs' -o -name '*.html' -o -name '*.js' -o -name '*.css')

# The tests of a file stay together, with the fixtures of the file; tests/conftest.py puts the longest files first.
SPREAD = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: quickstart test test-fast check targets schemas map wheel clean

quickstart: $(VENV)/.all
	$(BIN)/pocketvae quickstart --out $(OUT) --force

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(SPREAD)

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest $(SPREAD) -m "not slow"

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

targets: $(VENV)/.all
	$(BIN)/pocketvae targets setup all --yes
	$(BIN)/pocketvae explore --setup

schemas: $(VENV)/.all
	$(BIN)/python docs/schemas/write.py

map: $(VENV)/.base
	$(BIN)/python docs/map.py

wheel: $(VENV)/.dev
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean:
	rm -rf $(VENV) build dist pocketvae.egg-info $(OUT)

$(VENV)/.base: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pocketvae needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt setuptools wheel
	touch $@

$(VENV)/.all: $(VENV)/.base $(SOURCES)
	$(INSTALL) --config-settings editable_mode=strict --editable '.[all]'
	touch $@

$(VENV)/.dev: $(VENV)/.base $(SOURCES)
	$(INSTALL) --config-settings editable_mode=strict --editable '.[dev]'
	touch $@ $(VENV)/.all
