# Every target sets itself up: the environment in .venv is made when missing and renewed when a pinned version changes.
PYTHON ?= python3
FIGURES ?= figures

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export MPLBACKEND := Agg
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE  # some fifty processes that tests start would each compile the package again
.DEFAULT_GOAL := help
.PHONY: help reproduce reproduce-all reproduce-small test test-all bench bench-tables clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

# PIP_CONSTRAINT rather than -c: it also pins what the package is built with.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

reproduce: $(READY)  ## compute the published figures and their numbers into figures/ (FIGURES=folder elsewhere)
	$(BIN)/python -m experiments lm_figure1 lm_figure2 --out $(FIGURES)

reproduce-all: $(READY)  ## the same for all figures
	$(BIN)/python -m experiments --out $(FIGURES)

reproduce-small: $(READY)  ## all figures in about a minute, with fewer and narrower networks
	$(BIN)/python -m experiments --small --out $(FIGURES)

test: $(READY)  ## format, lint, types, and a fast test of every law (some five minutes on two cores)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal

test-all: test  ## the same, then the costly cases that are marked nightly (twenty minutes in all)
	$(BIN)/pytest -n 2 --dist worksteal -m nightly

bench: $(READY)  ## timings, each beside what one would otherwise run
	$(BIN)/pytest benchmarks -o python_files="bench_*.py" -o python_functions="bench_*" --benchmark-only

bench-tables: $(READY)  ## the same as tables, into benchmarks/README.md (some ten minutes)
	$(BIN)/python -m benchmarks

clean:  ## remove the environment and everything cached
	rm -rf $(VENV) .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -prune -exec rm -rf {} +
