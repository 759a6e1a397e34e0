# Every target sets itself up: a virtual environment in .venv with the files that requirements.lock names by hash.
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11 python; do \
  $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done || echo python3)
# One more than there are processors: many tests wait for a process that starts.
WORKERS := $(shell $(PYTHON) -c 'import os; print(min(12, (os.cpu_count() or 1) + 1))')
VENV := .venv
BIN := $(VENV)/bin
SURREAL := $(if $(wildcard ../shared/surreal/surreal.xz),.tools/surreal)
READY := $(VENV)/.ready
TOOLS := .venv-tools
DOCS := .venv-docs
PAGES := commands_page settings_page errors_page routes_page hooks_page import_graph file_index
PIP_INSTALL := pip install --quiet --disable-pip-version-check
COMPILE := $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help run test test-lowest test-newest night screenshots clients check types docs audit dist sbom torture fuzz demo bench \
  surreal lock clean

help:  ## list what there is
	@awk -F ':.*## ' '/^[a-z -]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY)  ## start Keycairn
	@$(BIN)/keycairn serve

# What each process of the tests would compile again is compiled once, whatever the environment says.
test night: export PYTHONDONTWRITEBYTECODE :=
test: check $(SURREAL)  ## check, then run all tests
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal -m "not external and not night"

check: $(READY)  ## lint, type-check, and see that the walls stand
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

types: $(READY)  ## see that every public name has a known type, where pyright is installed; takes two minutes
	@command -v pyright >/dev/null 2>&1 || { echo "This needs pyright on the path."; exit 1; }
	PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=src pyright --verifytypes keycairn --ignoreexternal

docs: $(READY)  ## write what docs take from the code, build them as a site, and follow their links
	@for page in $(PAGES); do $(BIN)/python .ci/$$page.py || exit 1; done
	@if $(MAKE) --silent $(DOCS)/.ready; then $(DOCS)/bin/mkdocs build --quiet --strict && echo build/site/index.html; else \
	  echo "Skipped: MkDocs cannot be installed here, so there is no site; the pages in docs are complete without."; fi

night: $(READY) $(SURREAL)  ## run the tests that take long, of which "test" runs a slice
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal -m "night and not external"

torture: $(READY) $(SURREAL)  ## kill, fill the disk, damage files, let changes meet; writes docs/reliability.md; takes three hours
	KEYCAIRN_KILLS=$${KEYCAIRN_KILLS:-1000} KEYCAIRN_FULL_DISKS=$${KEYCAIRN_FULL_DISKS:-500} \
	  KEYCAIRN_FAILING_DISKS=$${KEYCAIRN_FAILING_DISKS:-500} KEYCAIRN_SERVER_KILLS=$${KEYCAIRN_SERVER_KILLS:-50} \
	  KEYCAIRN_DAMAGES=$${KEYCAIRN_DAMAGES:-400} KEYCAIRN_SCHEDULES=$${KEYCAIRN_SCHEDULES:-10000} $(BIN)/python -m tests.torture
	KEYCAIRN_KILLS=$${KEYCAIRN_KILLS:-100} $(BIN)/pytest -q --timeout 0 tests/integration/test_killed_imports.py \
	  tests/integration/test_killed_backups.py tests/integration/test_first_start.py
	KEYCAIRN_RENAMES=$${KEYCAIRN_RENAMES:-100000} $(BIN)/pytest -q -s --timeout 0 tests/integration/test_rotation_beside.py -k rename

screenshots: $(READY)  ## take the pictures of the page for README and docs, with chromium
	$(BIN)/python .ci/screenshots.py

clients: $(READY)  ## run real SDKs against the gateway; writes docs/clients.md
	$(BIN)/python -m tests.clients

demo: $(READY)  ## play the whole story against local stand-ins of three providers
	@$(BIN)/python demo/story.py

bench: $(READY)  ## measure, side by side
	$(BIN)/python benchmarks/reads.py --json docs/benchmark-reads.json --docs docs/benchmarks.md --plot docs/benchmark-reads.svg
	$(BIN)/python benchmarks/scale.py --json docs/benchmark-scale.json
	$(BIN)/python benchmarks/listing.py
	$(BIN)/python benchmarks/gateway.py
	$(BIN)/python benchmarks/importing.py
	$(BIN)/python benchmarks/commits.py
	$(BIN)/python benchmarks/gaps.py
	$(BIN)/python benchmarks/starting.py
	$(BIN)/python benchmarks/page.py

fuzz: $(READY)  ## look for faults longer than the tests do
	KEYCAIRN_TEST_EXAMPLES=100 $(BIN)/pytest -q --timeout 1800 tests/e2e/test_schemathesis.py tests/unit/test_fuzzing.py \
	  tests/integration/test_life.py

test-lowest test-newest: test-%: $(TOOLS)/.ready  ## run tests with the lowest, or the newest, dependencies allowed
	@$(TOOLS)/bin/uv venv --quiet --clear --python $(PYTHON) .venv-$*
	@$(TOOLS)/bin/uv pip install --quiet --python .venv-$*/bin/python --editable '.[dev]' \
	  --resolution $(if $(filter lowest,$*),lowest-direct,highest)
	.venv-$*/bin/pytest -q -n $(WORKERS) -m "not external and not night" tests/unit tests/contract tests/integration/api

dist: $(READY)  ## build the wheel and the source archive; the same sources give the same wheel
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(BIN)/python -m build --no-isolation --outdir dist .
	@cd dist && sha256sum *

sbom: $(TOOLS)/.ready  ## write what the service is made of, in CycloneDX, from the lock
	@mkdir -p dist
	$(TOOLS)/bin/cyclonedx-py requirements requirements-runtime.lock --pyproject pyproject.toml --mc-type application \
	  --output-reproducible --of JSON --output-file dist/keycairn.cdx.json

audit:  ## look up the known faults of the dependencies, where an index of them answers
	@if $(MAKE) --silent $(TOOLS)/.ready; then $(TOOLS)/bin/python .ci/audit.py $(TOOLS)/bin/pip-audit; else \
	  echo "Skipped: pip-audit cannot be installed here, so nothing is known of the dependencies' faults."; fi

surreal: .tools/surreal  ## unpack the SurrealDB server that tests start where there is one, from ../shared

.tools/surreal: ../shared/surreal/surreal.xz
	@mkdir -p $(@D)
	@xz -dc $< > $@.part && chmod +x $@.part && mv $@.part $@

lock: $(READY) $(TOOLS)/.ready  ## write the versions of .venv, with the hashes of their files, into the locks
	$(BIN)/pip freeze --all --exclude-editable | grep -v -e '^keycairn' -e '^pip==' > $(VENV)/versions.txt
	$(COMPILE) pyproject.toml --all-extras --constraint $(VENV)/versions.txt --output-file requirements.lock
	echo setuptools | $(COMPILE) pyproject.toml - --constraint $(VENV)/versions.txt --output-file requirements-runtime.lock
	$(COMPILE) .ci/tools.in --output-file .ci/tools.lock
	$(COMPILE) .ci/docs.in --output-file .ci/docs.lock

clean:  ## remove the environment and everything generated
	rm -rf $(VENV) $(TOOLS) $(DOCS) .venv-lowest .venv-newest .venv-clients build dist *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Keycairn needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python has no venv module; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Setting up $(VENV): an environment of its own; the first time takes two to four minutes."
	@$(PYTHON) -m venv $(VENV)
	@echo "  installing $$(grep -c '^[a-z]' requirements.lock) packages, each by its hash ..."
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock; else \
	  $(BIN)/$(PIP_INSTALL) --require-hashes --requirement requirements.lock; fi
	@echo "  installing Keycairn itself ..."
	@$(BIN)/$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(TOOLS)/.ready: .ci/tools.lock
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/$(PIP_INSTALL) --retries 1 --timeout 15 --require-hashes --requirement .ci/tools.lock
	@touch $@

$(DOCS)/.ready: .ci/docs.lock
	@$(PYTHON) -m venv --clear $(DOCS)
	@$(DOCS)/bin/$(PIP_INSTALL) --retries 1 --timeout 15 --require-hashes --requirement .ci/docs.lock
	@touch $@
