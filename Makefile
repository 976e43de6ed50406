# Builds a virtual environment of its own in .venv; needs Python 3.9 or later and make, nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test bench lint clean

demo: $(VENV)/.demo-installed
	@$(BIN)/qa-fetch demo

test: $(VENV)/.test-installed
	@$(BIN)/python -m pytest

# Options go into BENCH: make bench BENCH="--only find send --runs 3"
bench: $(VENV)/.bench-installed
	@PYTHONPATH=tests $(BIN)/python -m benchmarks $(BENCH)

lint: $(VENV)/.lint-installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9))' \
	  || { echo "qa_fetch needs Python 3.9 or later; name one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "this Python cannot make virtual environments; on Debian and Ubuntu run: sudo apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-installed: $(BIN)/python pyproject.toml
	$(PIP) install --quiet --editable ".[analysis,node]"
	@touch $@

$(VENV)/.test-installed: $(BIN)/python pyproject.toml
	$(PIP) install --quiet --editable ".[analysis,node,test]"
	@touch $@

$(VENV)/.bench-installed: $(BIN)/python pyproject.toml
	$(PIP) install --quiet --editable ".[analysis,test]"
	@touch $@

$(VENV)/.lint-installed: $(BIN)/python pyproject.toml
	$(PIP) install --quiet --editable ".[lint]"
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
