# Every target sets up what it needs. PYTHON: 3.11 or newer. TORCH_ARGS: more arguments for installing PyTorch, for
# instance the index of its CPU builds on a machine without a GPU (README, "Set-up").
PYTHON ?= python3
TORCH_ARGS ?=
BIN := .venv/bin

.PHONY: demo test lint types check bench chaos soak clean train

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

# The limit, the whole system and Celery as first written, interleaved in one run; latencies; build/bench.json.
# BENCH=--short: two minutes, says that all of it works and little more.
BENCH ?=
bench: .venv/ready
	$(BIN)/python bench/speed.py $(BENCH)

# The long form of tests/chaos: CHAOS="--seed 7 --share 0.1 --only hosts" for some of it. Disks and hosts need root.
CHAOS ?=
chaos: .venv/ready
	$(BIN)/python tests/chaos/chaos.py $(CHAOS)

# Half an hour of a steady stream: memory, descriptors and latency must not grow. SOAK="--minutes 5".
SOAK ?=
soak: .venv/ready
	$(BIN)/python tests/chaos/soak.py $(SOAK)

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache
