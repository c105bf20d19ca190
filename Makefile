# Everything here runs from a fresh clone with make and Python 3.11, 3.12 or 3.13. Nothing but uv's cache of
# downloads lies outside this folder.

UV_VERSION := 0.13.9
SHELL := /bin/sh
# An environment that happens to be active is none of ours.
unexport VIRTUAL_ENV

# A uv on PATH will do when it is of our series; otherwise one of its own goes into .tools.
UV := $(shell uv --version 2>/dev/null | grep -q '^uv $(basename $(UV_VERSION))\.' && command -v uv || echo .tools/bin/uv)
RUN := $(UV) run --no-sync
EXTRAS := --extra local --extra prices

.PHONY: help env test test-full test-pythons bench demo clean
.DEFAULT_GOAL := help

help: ## show this
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /@/' | awk -F@ '{ printf "make %-13s %s\n", $$1, $$2 }'

env: $(UV) ## make .venv with everything that is locked
	@$(UV) sync --locked --quiet $(EXTRAS)

test: env ## the gate: format, lint, types, imports, generated files, fast tests
	@$(RUN) python -m tools.gate

test-full: env ## the gate with the slow sweeps, and coverage by branch
	@$(RUN) python -m tools.gate --full

test-pythons: $(UV) ## the fast tests on each Python that is promised, as far as uv finds them
	@for python in 3.11 3.12 3.13; do \
	  $(UV) python find --quiet $$python >/dev/null 2>&1 || { echo "no Python $$python here"; continue; }; \
	  echo "Python $$python"; \
	  UV_PROJECT_ENVIRONMENT=.venv-$$python $(UV) sync --locked --quiet $(EXTRAS) --python $$python && \
	  .venv-$$python/bin/python -m pytest -q -p no:cacheprovider || exit 1; \
	done

bench: env ## run all benchmarks, print a table
	@$(RUN) python -m tools.bench

demo: env ## a fleet: an editor and its readers digest eight documents with the embedded model
	$(RUN) prytany models fetch
	$(RUN) prytany run examples/digest --input examples/digest/documents --home .prytany
	@echo "the digest is in examples/digest/output/digest.md, the record of the run in .prytany: .venv/bin/prytany tree --home .prytany"

clean: ## remove environments and caches (.prytany, with its journals, stays)
	rm -rf .venv .venv-3.* .tools .coverage .coverage.* .hypothesis .mypy_cache .ruff_cache .import_linter_cache .pytest_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.tools/bin/uv:
	@for python in python3.13 python3.12 python3.11 python3 python; do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    $$python -m venv .tools && .tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) && exit 0; exit 1; \
	  fi; \
	done; echo 'make env needs Python 3.11 or newer, with venv (on Debian: python3-venv)' >&2; exit 1
