# One command each. `make up` is the one to start with.
PYTHON ?= python3
VENV   ?= .venv
EXTRAS ?= test
BIN    := $(VENV)/bin
# Without --no-compile, most of the wait is byte-compiling what is never imported.
PIP    := $(BIN)/pip install --quiet --no-compile --disable-pip-version-check \
          --constraint constraints.txt

.PHONY: help install up demo down test check generate docs bench clean

help:  ## Show what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Warmfront needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 up" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing Warmfront into $(VENV) …"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@$(PIP) --editable '.[$(EXTRAS)]'
	@touch $@

$(VENV)/.check: $(VENV)/.test
	@$(PIP) --editable '.[$(EXTRAS),check]'
	@touch $@

install: $(VENV)/.run  ## Create the virtual environment

up: install  ## Start Warmfront on this machine
	@$(BIN)/warmfront up $(ARGS)

demo: install  ## Play a made-up day of demand through it, with and without the forecast
	@$(BIN)/warmfront replay $(ARGS)

down: install  ## Stop what a killed Warmfront left running
	@$(BIN)/warmfront down

test: $(VENV)/.test  ## Run the whole test suite
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.check  ## Lint, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

generate: install  ## Write the generated pages of docs/ anew
	@$(BIN)/python docs/generate.py

docs: generate  ## Build the documentation (plain Markdown in docs/)

bench: $(VENV)/.test  ## Run every benchmark
	@for script in benchmarks/*.py; do $(BIN)/python $$script $(BENCH_ARGS) || exit 1; done

clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
