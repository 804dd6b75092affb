PYTHON ?= python3
STUDY ?= experiments.toml

VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check chaos bench clean

help: ## list the targets
	@awk -F ': .*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Exit code 1 says that some trials failed or diverged: the console is where to look at them.
run: $(VENV)/run.stamp ## run the study (STUDY=experiments.toml), then open the console if this is a terminal
	@$(BIN)/litegpt-run $(STUDY); code=$$?; \
	if [ $$code -le 1 ] && [ -t 0 ] && [ -t 1 ]; then $(BIN)/litegpt-tui $(STUDY); fi; \
	exit $$code

test: $(VENV)/dev.stamp ## run the fast tests, one process per core
	$(BIN)/python -m pytest -n auto --dist loadfile

chaos: $(VENV)/dev.stamp ## kill, hang up, fill the disk and feed it nonsense, for some minutes
	$(BIN)/python -m pytest -m slow tests/chaos

check: $(VENV)/dev.stamp ## run the linter, the format check, the type check and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/run.stamp ## compare packed training with one trial after another
	$(BIN)/python bench/compare.py

clean: ## remove the environment, the caches and the builds; results stay
	rm -rf $(VENV) build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The constraints keep an install from choosing newer, larger builds than the tested ones.
# `venv` on an existing environment only refreshes it, so a broken set-up mends itself on the next make.
define install
@echo "setting up $(VENV) (once)" >&2
$(PYTHON) -m venv $(VENV)
$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
endef

$(VENV)/run.stamp: pyproject.toml constraints.txt
	$(install) .
	@touch $@

# The development set-up holds the runtime too, so it serves both stamps.
$(VENV)/dev.stamp: pyproject.toml constraints.txt
	$(install) '.[dev]'
	@touch $(VENV)/run.stamp $@
