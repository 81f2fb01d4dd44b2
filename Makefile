# `make dev` and `make test` each set up what they need. Any Python from 3.11 on will do: make PYTHON=python3.12 test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.locked

# Many tests wait for sockets: twice as many workers as cores keep the cores busy.
WORKERS = $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')

.PHONY: setup dev test coverage check fix lock check-lock bench sdl clean

setup: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another with make PYTHON=…")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

dev: setup
	$(BIN)/bff dev

test: setup
	PYTEST_XDIST_AUTO_NUM_WORKERS=$${PYTEST_XDIST_AUTO_NUM_WORKERS:-$(WORKERS)} $(BIN)/python -m pytest -n auto -m "not browser and not audit and not long"

# How much of the code the unit tests run. Only these: they need no other program, and a tracer slows each test down.
coverage: setup
	PYTEST_XDIST_AUTO_NUM_WORKERS=$${PYTEST_XDIST_AUTO_NUM_WORKERS:-$(WORKERS)} $(BIN)/python -m pytest -n auto -m "not untraced" \
		--cov --cov-report=term tests/bff tests/schema tests/datasources

# What CI checks besides the tests.
check: setup check-lock
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bff schema check
	$(BIN)/python -m pytest -q tests/docs

# What can be put right without a decision.
fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(MAKE) sdl

bench: setup
	$(BIN)/python -m tests.bench

# The committed SDL follows the types: its diff is what a reviewer reads.
sdl: setup
	$(BIN)/bff schema export --write

COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --no-header --quiet

# Locked versions stay as they are unless pyproject.toml excludes them: for newer ones, make lock UPGRADE=--upgrade.
lock: setup
	$(COMPILE) $(UPGRADE) --output-file requirements.lock
	$(COMPILE) $(UPGRADE) --extra dev --output-file requirements-dev.lock

# Whether the lock files fit pyproject.toml: `make lock` on copies of them changes nothing.
check-lock: setup
	@mkdir -p build/lock && cp requirements.lock requirements-dev.lock build/lock
	$(COMPILE) --output-file build/lock/requirements.lock
	$(COMPILE) --extra dev --output-file build/lock/requirements-dev.lock
	@for file in requirements.lock requirements-dev.lock; do \
		diff $$file build/lock/$$file || { echo "$$file does not fit pyproject.toml: make lock, and commit." >&2; exit 1; }; \
	done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .coverage build
