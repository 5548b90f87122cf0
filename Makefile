# Every target does its own set-up: Python, make and pip are all that a machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: docs screenshots demo test lint bench faults fuzz differential conformance p4 golden clean setup experiment

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/mcoa demo

# TARGET=bmv2 runs what needs BMv2 (and root) and nothing else, and says so when it is not there; TARGET=embedded the rest.
test: $(READY)
	$(BIN)/pytest -n auto --maxprocesses 4 $(if $(TARGET),--target $(TARGET))

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Needs root: namespaces with real kernels. Writes experiment-out; docs/experiments.md says what it shows.
experiment: $(READY)
	$(BIN)/python -m testbed.experiment

bench: $(READY)
	$(BIN)/python -m bench

# The fault suite with more seeds than `make test` has; from FIRST on.
SEEDS ?= 500
FIRST ?= 0
faults: $(READY)
	MCOA_FAULT_SEEDS=$(SEEDS) MCOA_FAULT_FIRST=$(FIRST) $(BIN)/pytest -q -n auto --maxprocesses 4 tests/faults

fuzz: $(READY)
	$(BIN)/python -m bench.fuzz

# Paths that p4testgen finds in the program; needs that, and root and BMv2 for the second switch.
generated: $(READY)
	MCOA_GENERATED_SEEDS=20 $(BIN)/pytest -q -n 0 tests/pipeline/test_generated.py

# Needs root and BMv2.
differential: $(READY)
	MCOA_DIFFERENTIAL_PACKETS=10000 $(BIN)/pytest -n 0 tests/pipeline/test_differential.py

# Writes docs/conformance.md from the suite; `make test` compares them.
conformance: $(READY)
	PYTHONPATH=tests/support $(BIN)/python -m conformance

# Writes docs/rest.md and docs/configuration.md; `make test` compares them.
docs: $(READY)
	$(BIN)/python docs/reference.py

# Writes docs/screenshots from the dashboard in a real browser.
screenshots: $(READY)
	MCOA_SCREENSHOTS=docs/screenshots $(BIN)/pytest -n 0 tests/dashboard

p4: $(READY)
	$(BIN)/python p4src/compile.py

# Accepts a change of the P4Runtime API: writes tests/pipeline/golden from the committed P4Info.
golden: $(READY)
	PYTHONPATH=tests/support $(BIN)/python -m golden_p4info

clean:
	rm -rf $(VENV) demo-out bench-out experiment-out mininet-out scenario-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
