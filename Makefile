# Everything runs in .venv; uv, installed there by pip, does the work. Nothing else on the machine changes.
PYTHON ?= python3
EXTRAS ?=
VENV := .venv
BIN := $(VENV)/bin
UV := VIRTUAL_ENV= UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv
# Bytecode is compiled once here: a command that compiles its imports anew takes twice as long.
SYNC := $(UV) sync --locked --inexact --quiet --compile-bytecode
COMPILE := $(BIN)/python -m compileall -q src/hitoku
extra_flags = $(if $(filter all,$(EXTRAS)),--all-extras,$(foreach e,$(EXTRAS),--extra $(e)))

.PHONY: help build system-deps demo test test-slow test-spark lint bench long story mutants docs clean
help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | expand -t 16

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "hitoku needs Python 3.11 or newer; say which one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@command -v cargo >/dev/null || { echo "hitoku needs Rust (cargo) to build its core: https://rustup.rs" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'

build: $(BIN)/uv ## build hitoku into .venv; EXTRAS="spark postgres ..." or EXTRAS=all adds extras
	$(SYNC) $(extra_flags)
	@$(COMPILE)

system-deps: ## what CI's machine needs beyond Python, Rust, a C compiler and make (as root)
	.ci/system-deps

demo: $(BIN)/uv ## two companies, one question, no row shown
	$(SYNC) --extra demo --extra attestation
	@$(COMPILE)
	$(BIN)/hitoku demo tokens

test: $(BIN)/uv ## the suite, less what takes long (`test-slow`) and what needs Spark (`test-spark`)
	$(SYNC) --extra demo --extra febrl --extra attestation --extra inference --extra learning --extra console --extra telemetry --extra postgres --extra dev
	@$(COMPILE)
	cargo test --quiet --locked
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not spark and not slow and not e2e" $(PYTEST_ARGS)

test-slow: $(BIN)/uv ## nodes as processes, kills, load, fuzz, many instances
	$(SYNC) --extra demo --extra febrl --extra attestation --extra inference --extra learning --extra console --extra telemetry --extra postgres --extra dev
	@$(COMPILE)
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "(slow or e2e) and not spark" $(PYTEST_ARGS)

test-spark: $(BIN)/uv ## what needs Spark 4 (a 456 MB download) and Java 17
	$(SYNC) --extra demo --extra febrl --extra attestation --extra inference --extra learning --extra console --extra telemetry --extra postgres --extra dev --extra spark
	@$(COMPILE)
	$(BIN)/python -m pytest -m spark $(PYTEST_ARGS)

lint: $(BIN)/uv ## types, style, layers
	$(SYNC) --extra demo --extra febrl --extra attestation --extra inference --extra learning --extra console --extra telemetry --extra postgres --extra dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cargo fmt --all --check
	cargo clippy --quiet --all-targets --locked -- -D warnings

bench: $(BIN)/uv ## every benchmark, the full size
	$(SYNC) --extra demo --extra febrl --extra attestation --extra inference --extra learning --extra console --extra telemetry --extra postgres --extra dev
	@$(COMPILE)
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script || exit 1; done

long: $(BIN)/uv ## soaks, full fuzz, the largest runs: hours, outside CI
	$(SYNC) --extra demo --extra febrl --extra attestation --extra inference --extra learning --extra console --extra telemetry --extra postgres --extra dev
	HITOKU_LONG=1 HITOKU_FUZZ=1000000 $(BIN)/python -m pytest -m "slow or not slow" $(PYTEST_ARGS)
	$(BIN)/python benchmarks/crosstab.py --only 100k --only 1m --only 10m --only growth

story: $(BIN)/uv ## two people in two browsers, from empty nodes to an exported answer (needs Chromium)
	$(SYNC) --extra demo --extra febrl --extra attestation --extra inference --extra learning --extra console --extra telemetry --extra postgres --extra dev
	HITOKU_REQUIRE_ALL=1 $(BIN)/python -m pytest tests/e2e/test_console_story.py $(PYTEST_ARGS)

mutants: $(BIN)/uv ## how many of 300 small faults in disclosure/, the check and attestation/ the tests notice
	$(SYNC) --extra demo --extra febrl --extra attestation --extra inference --extra learning --extra console --extra telemetry --extra postgres --extra dev
	$(BIN)/python tests/mutation/run.py --seed 1 --mutants 300
	$(BIN)/python tests/mutation/run.py --seed 1 --mutants 300 --over attestation

docs: $(BIN)/uv ## the documentation, into site/
	$(SYNC) --extra demo --extra febrl --extra attestation --extra inference --extra learning --extra console --extra telemetry --extra postgres --extra dev
	$(BIN)/mkdocs build --strict

clean: ## remove what the build made
	rm -rf $(VENV) target site dist .bench demo-* .pytest_cache .mypy_cache .ruff_cache .hypothesis
