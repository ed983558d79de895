# Every target sets up what it needs. PYTHON: 3.11 or newer. TORCH_ARGS: more arguments for installing PyTorch, for
# instance the index of its CPU builds on a machine without a GPU (README, "Set-up").
PYTHON ?= python3
TORCH_ARGS ?=
BIN := .venv/bin

.PHONY: demo test lint types check bench clean train

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	# PyTorch first, so that nothing that depends on it chooses another build.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH_ARGS) -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/ready
	$(BIN)/dxstream demo --home build/demo

test: .venv/ready
	$(BIN)/python -m pytest -q

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

check: lint types test

# Events per second through the whole system beside the bare loop, in one run.
bench: .venv/ready
	$(BIN)/python bench/drain.py

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache
