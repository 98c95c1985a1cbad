# make quickstart and make test set up all they need on a machine with Python 3.11 to 3.13 and GNU make. On Windows make
# runs its commands with the sh of Git for Windows, which has touch and rm.
VENV := .venv
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := $(VENV)/Scripts
else
PYTHON ?= python3
BIN := $(VENV)/bin
endif
OUT ?= quickstart
# Processes that share the test files: auto is one a core where memory lasts; 0 runs them in one process.
WORKERS ?= auto
# pip would otherwise build with whatever setuptools is newest on the day.
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt --no-build-isolation
# In strict editable mode a new file is seen after a reinstall only, so the package depends on every source file.
# All files below $1 with the endings $2, without find, which is another program on Windows.
files = $(foreach entry,$(wildcard $(1:=/*)),$(call files,$(entry),$2) $(filter $2,$(entry)))
SOURCES := pyproject.toml setup.py $(call files,cli core train export benchmarks apps distil udf,%.py %.mjs %.html %.js %.css %.j2 %.cpp %.h)
# The pinned tensorflow and h5py have no wheels for 3.14.
VERSIONS := import sys; version = sys.version_info[:2]; sys.exit(not (3, 11) <= version <= (3, 13) and \
  f"Python 3.11, 3.12 or 3.13 is needed, for which all pinned packages have wheels, and this is {version[0]}.{version[1]}: \
make PYTHON=python3.13 (on 3.14, pip install .[run] installs what verify, bench and the apps need)")

# The tests of a file stay together, with the fixtures of the file; tests/conftest.py puts the longest files first.
SPREAD = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: quickstart test test-fast check check-systems targets swift schemas map demo wheel clean

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

# What mypy finds by the types of another system's standard library: calls that do not exist there.
check-systems: $(VENV)/.dev
	$(BIN)/mypy --platform win32 --no-warn-unreachable --cache-dir .mypy_cache/win32
	$(BIN)/mypy --platform darwin --no-warn-unreachable --cache-dir .mypy_cache/darwin

targets: $(VENV)/.all
	$(BIN)/pocketvae explore --setup
	$(BIN)/pocketvae targets setup arm64 chromium ethos-u gpu hexagon node openvino tflm tract --yes

# For the tests of the code in EMBED.md; 470 MB to download, where apt has a mirror of Debian.
swift: $(VENV)/.all
	$(BIN)/python tests/swift_compiler.py

schemas: $(VENV)/.all
	$(BIN)/python docs/schemas/write.py

map: $(VENV)/.base
	$(BIN)/python docs/map.py

# The bundle inside the package; minutes of training.
demo: $(VENV)/.all
	$(BIN)/python studies/demo_bundle.py --out core/demo --force

reference: $(VENV)/.all
	$(BIN)/python docs/reference.py

wheel: $(VENV)/.dev
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean:
	rm -rf $(VENV) build dist pocketvae.egg-info $(OUT)

$(VENV)/.base: constraints.txt
	@$(PYTHON) -c '$(VERSIONS)'
	@echo "$(VENV) will hold 3 GB of packages, most of it TensorFlow: about 1 GB to download, which takes minutes"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt setuptools wheel
	touch $@

$(VENV)/.all: $(VENV)/.base $(SOURCES)
	$(INSTALL) --config-settings editable_mode=strict --editable '.[all]'
	touch $@

# pip unpacks one package after the other. With HALVES=1 and make -j2, as in CI, TensorFlow is unpacked beside the rest,
# and by a pip that takes half the time of Python 3.11's own to choose among the files of an index. What fails of this is
# made up for by the install that follows.
HALVES ?=
TENSORFLOW := tensorflow tf_keras keras libclang

$(VENV)/.pip: $(VENV)/.base
	-$(PIP) install --quiet pip==26.3
	touch $@

# Many processes import TensorFlow at once: none should have to compile it.
$(VENV)/.tensorflow: $(VENV)/.pip
	-$(PIP) install --quiet --no-deps --compile --constraint constraints.txt $(TENSORFLOW)
	touch $@

$(VENV)/.others: $(VENV)/.pip
	-$(PIP) install --quiet --no-deps $(filter-out $(addsuffix ==%,$(TENSORFLOW)),$(shell cat constraints.txt))
	touch $@

$(VENV)/.dev: $(VENV)/.base $(if $(HALVES),$(VENV)/.tensorflow $(VENV)/.others) $(SOURCES)
	$(INSTALL) --config-settings editable_mode=strict --editable '.[dev]'
	$(BIN)/python docs/editor.py
	touch $@ $(VENV)/.all
