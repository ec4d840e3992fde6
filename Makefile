# Two commands do everything on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help quickstart test hostile kills check lint types house docs bench fuzz registry fmt lock clean oracle

help: ## Show this list.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

$(READY): requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

quickstart: $(READY) ## Create the environment and take the tour on an embedded shop API.
	$(BIN)/moltler demo --tour

test: $(READY) ## Run the whole test suite.
	$(BIN)/python -m pytest -n 2 --dist worksteal

hostile: $(READY) ## Attack the sandbox, its neighbours and its secrets, with the heavy attacks as well.
	$(BIN)/python -m pytest -m hostile -n 2 --dist worksteal tests

lint: $(READY)
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/codespell src tests docs examples connectors scripts benchmarks README.md CHANGELOG.md CONTRIBUTING.md
	$(BIN)/python scripts/check_javascript.py

types: $(READY)
	$(BIN)/pyright

house: $(READY)
	$(BIN)/lint-imports
	$(BIN)/deptry src

docs: $(READY)
	$(BIN)/python scripts/generate_docs.py --check

check: lint types house docs test ## Lint, types, architecture contracts, docs and tests.

bench: $(READY) ## Measure the workloads against a hand-written floor; writes benchmarks/RESULTS.md.
	$(BIN)/python -m benchmarks.run

kills: $(READY) ## Kill processes before every single statement of a commit, in every destination.
	MOLTLER_EVERY_KILL=1 $(BIN)/python -m pytest tests/sync/destinations/test_crash.py -n 2 --timeout 1800

fuzz: $(READY) ## Compare 100,000 random queries with plain tables; FIRST=seed COUNT=number to choose.
	PYTHONPATH=tests $(BIN)/python -m fuzz.campaign --first $(or $(FIRST),0) --count $(or $(COUNT),100000)

registry: $(READY) ## Publish the connectors of this repository to dist/registry: tests, proof, lint.
	$(BIN)/python scripts/build_registry.py
oracle: $(READY) ## Play 5,000 random histories of syncs; FIRST=seed COUNT=number to choose.
	PYTHONPATH=tests $(BIN)/python -m oracle.campaign --first $(or $(FIRST),0) --count $(or $(COUNT),5000)

fmt: $(READY) ## Format the Python, the JavaScript and the generated docs.
	$(BIN)/ruff format src tests benchmarks scripts
	$(BIN)/ruff check --fix --quiet src tests benchmarks scripts
	$(BIN)/python scripts/check_javascript.py --fix
	$(BIN)/python scripts/generate_docs.py

lock: $(READY) ## Renew requirements-dev.lock.
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --generate-hashes --universal -p 3.11 -q --no-header -o requirements-dev.lock

clean: ## Remove the environment and caches.
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
