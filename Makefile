PYTHON ?= python3
STUDY ?= experiments.toml

VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check wheel chaos bench clean

help: ## list the targets
	@awk -F ': .*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The console opens after exit code 1 too: it shows the trials that failed or diverged.
run: $(VENV)/run.stamp ## run the study (STUDY=experiments.toml), then open the console if this is a terminal
	@$(BIN)/litegpt-run $(STUDY); code=$$?; \
	if [ $$code -le 1 ] && [ -t 0 ] && [ -t 1 ]; then $(BIN)/litegpt-tui $(STUDY); fi; \
	exit $$code

test: $(VENV)/dev.stamp ## run the fast tests, one process per core
	$(BIN)/python -m pytest -n auto --dist loadfile

chaos: $(VENV)/dev.stamp ## run the crash tests: kills, signals, full disks, fuzzing (10 min)
	$(BIN)/python -m pytest -m slow tests/chaos

wheel: $(VENV)/dev.stamp ## build the wheel, install it into an empty environment, run a phase (5 min)
	$(BIN)/python -m pytest -m slow tests/test_wheel.py

check: $(VENV)/dev.stamp ## run the linter, formatter, type checker and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/run.stamp ## compare liteGPT's speed with one trial after another (15 min)
	$(BIN)/python bench/compare.py

clean: ## remove the environment, caches and builds; keep results
	rm -rf $(VENV) build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The constraints prevent an install from choosing newer, larger builds than the tested ones.
# `venv` refreshes an existing environment, so the next make repairs a broken set-up.
define install
@echo "setting up $(VENV) (once): 400 MB to download, more with the CUDA build of torch" >&2
$(PYTHON) -m venv $(VENV)
$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable $(1) >&2
endef

$(VENV)/run.stamp: pyproject.toml constraints.txt
	$(call install,'.[all]')
	@touch $@

# The development set-up includes the runtime, so it updates both stamps.
$(VENV)/dev.stamp: pyproject.toml constraints.txt
	$(call install,'.[dev]')
	@touch $(VENV)/run.stamp $@
