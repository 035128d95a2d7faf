# Everything that a newcomer needs: `make study`, `make test`. Needs git, make and a Python of at least 3.12.

PYTHON := $(shell for name in python3.13 python3.12 python3 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo "$$name" && break; done)
BIN := .venv/bin

.PHONY: setup develop study lint kernels checked test coverage test-slow validate benchmark screenshots constraints clean

setup: .venv/ready

develop: .venv/develop

.venv/ready: pyproject.toml constraints.txt
ifeq ($(PYTHON),)
	$(error No Python of at least 3.12 was found: install python3.12 or python3.13)
endif
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

.venv/develop: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	mkdir -p .types/blockspace
	for folder in network markets agents experiments; do ln -sfn ../../$$folder .types/blockspace/$$folder; done
	touch $@

study: setup
	$(BIN)/blockspace study capacity --quick

lint: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Compiles what the tests run, in two processes.
kernels: develop
	$(BIN)/python -m tests.warm_up

# Style and types take one core: kernels are compiled meanwhile.
checked: develop
	$(MAKE) --no-print-directory --jobs 2 lint kernels

test: checked
	$(BIN)/python -m pytest -m "not slow" --ignore=tests/benchmarks -n 2 --dist worksteal

coverage: checked
	$(BIN)/python -m pytest -m "not slow" --ignore=tests/benchmarks --cov --cov-report=term -n 2 --dist worksteal

test-slow: develop
	$(BIN)/python -m pytest -m slow

validate: setup
	$(BIN)/blockspace validate

benchmark: develop
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

screenshots: develop
	$(BIN)/python docs/screenshots.py
	$(BIN)/python docs/app_screenshots.py

constraints:
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:
	rm -rf .venv .types
