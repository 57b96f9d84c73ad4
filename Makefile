# A newcomer needs `make demo` and `make test`; `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUST   := $(shell find rust -name '*.rs') Cargo.toml Cargo.lock
export PATH := $(CURDIR)/$(BIN):$(PATH)
# What pip installs is pinned here; the package's own ranges (pyproject.toml) stay open.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_QUIET := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-rust test-python check format bench fuzz memcheck clean

help: ## this list
	@echo "usage: make TARGET"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | column -t -s '|'
	@echo
	@echo "The first demo or test installs everything into $(VENV) (torch is large: a few minutes)."

setup: $(VENV)/.built ## make .venv, install pinned dependencies, build the Rust extension

$(BIN)/maturin: constraints.txt
	@command -v cargo >/dev/null || { echo "error: no cargo; install Rust from https://rustup.rs"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet maturin
	@touch $@

$(VENV)/.built: $(BIN)/maturin pyproject.toml $(RUST)
	@echo "== dependencies as pinned in constraints.txt, and the extension: maturin develop --release"
	. $(BIN)/activate && maturin develop --release --quiet --extras train,plot,export,test,lint,bench
	@touch $@

demo: setup ## text -> tokenizer -> token files -> model -> new text, in about five minutes
	@scripts/demo.sh

test: setup test-rust test-python ## the Rust and the Python tests

test-rust:
	cargo test --quiet

# Two processes of one thread each: models are too small for more.
test-python: setup
	OMP_NUM_THREADS=1 pytest -q -n 2 --doctest-modules python/byteloom
	OMP_NUM_THREADS=1 pytest -q -n 2

check: setup ## format, lints, types, import layers, examples in docstrings
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --quiet --all-targets -- -D warnings
	cargo clippy --quiet --features python -- -D warnings
	cargo clippy --quiet --manifest-path fuzz/Cargo.toml -- -D warnings
	ruff format --check .
	ruff check .
	mypy
	lint-imports --no-logo
	pytest -q --doctest-modules python/byteloom

format: setup ## rewrite the sources as the formatters want them
	cargo fmt
	cargo fmt --manifest-path fuzz/Cargo.toml
	ruff format .
	ruff check --fix .

bench: setup ## byteloom beside its peers on this machine: make bench TEXT='my.txt other.txt'
	python benches/python/summary.py $(TEXT) $(if $(INVENTORY),--inventory $(INVENTORY))

# Make's own variables: `make fuzz SECONDS=600 TARGETS="scanner encoder" SANITIZER=none`.
SECONDS := 60
fuzz: ## look for inputs that break the engine, SECONDS=60 for each target (docs/fuzzing.md)
	@SANITIZER=$(SANITIZER) WORKERS=$(WORKERS) fuzz/run.sh $(SECONDS) $(TARGETS)

memcheck: ## the engine's tests under AddressSanitizer and valgrind
	@scripts/memcheck.sh

clean: ## remove what builds and demos made, except .venv
	cargo clean
	rm -rf fuzz/target fuzz/corpus fuzz/artifacts
	rm -rf demo dist .pytest_cache .mypy_cache .ruff_cache python/byteloom/_rust*.so $(VENV)/.built
