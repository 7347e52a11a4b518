# The verbs of this repository; `make help` lists them.
#
# They need Python >= 3.11 with its venv module, make and a package registry: no root, no PostgreSQL, no sshd.
# Everything else comes from requirements.lock into .venv, by hash. What a test wants beyond that, it asks
# for by name and is skipped without it.

PYTHON ?=
ENVIRONMENT := .venv
BIN := $(ENVIRONMENT)/bin
INSTALLED := $(ENVIRONMENT)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint format lock benchmark clean

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED)  ## back up, restore and prune a demonstration company on this machine
	@$(BIN)/python -m cli.demo

# Three processes, also on two cores: a third of the time a test waits for a server.
test: $(INSTALLED)  ## run the tests; what this machine lacks is named in the skips
	@$(BIN)/python -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder

lint: $(INSTALLED)  ## check style, types and the direction of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@if command -v shellcheck >/dev/null; then shellcheck recovery/restore.sh; \
	else echo 'recovery/restore.sh was not checked: there is no shellcheck (Debian: apt-get install shellcheck)'; fi

format: $(INSTALLED)  ## rewrite the code in the house style
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

benchmark: $(INSTALLED)  ## measure Lifeboat beside what one would use instead
	@$(BIN)/python -m benchmarks

lock:  ## pin what pyproject.toml asks for, with hashes (needs uv)
	@command -v uv >/dev/null || { echo 'make lock needs uv: python3 -m pip install uv' >&2; exit 1; }
	@uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --extra azure --extra s3 --extra development --extra embedded \
	  --custom-compile-command 'make lock' --output-file requirements.lock

clean:  ## remove everything that these verbs made
	rm -rf $(ENVIRONMENT) build dist .demo .benchmark
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Made once, and again when a pin changes. An environment that a broken attempt left behind is completed, not
# trusted: the stamp is touched last. The lock is complete, so nothing is resolved here: --no-deps.
$(INSTALLED): requirements.lock pyproject.toml
	@python=$$($(FIND_PYTHON)) && echo "Installing into $(ENVIRONMENT) with $$python" && \
	  "$$python" -m venv $(ENVIRONMENT)
	@$(PIP) install --no-deps --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

# The oldest supported Python comes first: it is the one that every change is tested with.
define FIND_PYTHON
for python in $(or $(PYTHON),python3.11 python3 python3.12 python3.13); do \
  if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
  then echo "$$python"; exit 0; fi; \
done; \
echo 'Lifeboat needs Python 3.11 or newer with its venv module, and found none$(if $(PYTHON), in $(PYTHON)).' >&2; \
echo 'On Debian: apt-get install python3-venv. Elsewhere: make PYTHON=/path/to/python3 ...' >&2; \
exit 1
endef
