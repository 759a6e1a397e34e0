# Every target sets itself up: a virtual environment in .venv with the versions of requirements.lock.
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11 python; do \
  $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done || echo python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help run test check torture fuzz demo bench lock clean

help:  ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY)  ## start Keycairn
	@$(BIN)/keycairn serve

test: check  ## check, then run all tests
	$(BIN)/pytest -q -n auto -m "not external"

check: $(READY)  ## lint, type-check, and see that the walls stand
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

torture: $(READY)  ## kill imports, backups and restores a thousand times each (KEYCAIRN_KILLS=N); takes forty minutes
	KEYCAIRN_KILLS=$${KEYCAIRN_KILLS:-1000} $(BIN)/pytest -q tests/integration/test_killed_imports.py tests/integration/test_killed_backups.py

demo: $(READY)  ## play the whole story against local stand-ins of three providers
	@$(BIN)/python demo/story.py

bench: $(READY)  ## measure, side by side
	$(BIN)/python benchmarks/listing.py
	$(BIN)/python benchmarks/gateway.py
	$(BIN)/python benchmarks/importing.py

fuzz: $(READY)  ## look for faults longer than the tests do
	KEYCAIRN_TEST_EXAMPLES=100 $(BIN)/pytest -q --timeout 1800 tests/e2e/test_schemathesis.py tests/unit/test_fuzzing.py \
	  tests/integration/test_life.py

lock: $(READY)  ## write the versions of .venv into requirements.lock
	$(BIN)/pip freeze --all --exclude-editable | grep -v -e '^keycairn' -e '^pip==' \
	  | sed "s/^uvloop==.*/&; sys_platform != 'win32'/" > requirements.lock

clean:  ## remove the environment and everything generated
	rm -rf $(VENV) build dist *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Keycairn needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python has no venv module; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
