# Everything lives in .venv; the targets make it when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .venv-clients
NODE_MODULES := tests/clients/node_modules

.PHONY: help chat test soak lint bench clients clean

help:  ## what there is to make
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

chat: $(VENV)/core  ## talk to the bundled model (installs the core, no torch)
	@$(BIN)/nanochat chat

test: $(VENV)/dev  ## lint, types and all tests
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal

soak: $(VENV)/dev  ## all tests, with a hundred times as many random cases, and those that take long
	NANOCHAT_SOAK=100 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'soak or not soak'

lint: $(VENV)/dev  ## ruff and mypy alone
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/dev  ## every benchmark, one after the other
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clients: $(CLIENTS)/installed $(NODE_MODULES)/installed  ## clients for the tests of the server, 2.4 GB; tests skip what is missing

$(VENV)/core: pyproject.toml
	@echo "making $(VENV) with the core: NumPy, Numba and six small packages; half a minute"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/core $@

$(CLIENTS)/installed: pyproject.toml tests/clients/constraints.txt
	@test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint tests/clients/constraints.txt --editable '.[clients]'
	@touch $@

$(NODE_MODULES)/installed: tests/clients/package.json tests/clients/package-lock.json
	cd tests/clients && npm ci --silent --no-audit --no-fund
	@touch $@

clean:  ## remove what make and the tests have made
	rm -rf $(VENV) $(CLIENTS) $(NODE_MODULES) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
