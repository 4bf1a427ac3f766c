# A checkout's commands. Each installs what it needs into .venv first; a second run starts at once.
#
#   make run     serve the example apps from one process, without Redis  (PORT=5006, APPS=..., ARGS=...)
#   make fleet   redis-server, three replicas and nginx on loopback      (APPS=..., ARGS=...)
#   make test    lint, types, import contract, tests                     (ARGS='-k name' goes to pytest)
#   make lint    the first three of these
#   make loadtest  a fleet, locust before it, a report with plots        (ARGS='herd --users 50', see --help)
#   make bench   our server and `bokeh serve` side by side, as a table   (ARGS='--quick', see --help)
#   make rehearsal pods, probes, autoscaler, a rolling update under load, without a cluster
#   make capacity  what one session costs on this machine, and what many would take
#   make durability  time until sessions are back, what the journal costs  (ARGS='--quick', see --help)
#   make chaos   replicas and Redis killed, frozen, emptied under load   (ARGS='--durability sync', see --help)
#   make flags   each test of a flag has to fail where the flag is ignored (FLAGS=--port chooses some)
#   make docs    write the generated parts of docs/ anew
#   make docs-images  the pictures of the admin page and of a terminal, of a fleet started for that
#   make lock    write requirements.lock, what the Dockerfile installs, anew
#   make clean   remove .venv and all caches
#
# PYTHON=/path/to/python chooses the interpreter (3.11 or newer) when .venv is made.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 5006
APPS ?= examples/sliders.py examples/weather examples/streaming.py examples/explorer.py
ARGS ?=
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input

.PHONY: help run fleet bench bench-docs loadtest rehearsal capacity durability chaos test lint docs docs-images
.PHONY: lock clean programs

help:
	@sed -n 's/^#  /  /p' Makefile

run: $(VENV)/.installed
	@exec $(BIN)/svc serve $(APPS) --port $(PORT) $(ARGS)

fleet: $(VENV)/.installed
	@tools/setup/programs redis-server nginx
	@PYTHONPATH=tools exec $(BIN)/python tools/fleet.py $(APPS) $(ARGS)

bench: $(VENV)/.installed-test
	@tools/setup/programs redis-server || true
	@PYTHONPATH=tools exec $(BIN)/python -m loadtests.bench $(ARGS)

loadtest: $(VENV)/.installed-loadtest
	@tools/setup/programs redis-server nginx || true
	@PYTHONPATH=tools exec $(BIN)/python -m loadtests $(ARGS)

# Puts the results into docs/performance.md, with plots. RESULTS: folders that "make bench" wrote to.
RESULTS ?= $(wildcard build/bench/*)
bench-docs: $(VENV)/.installed-test
	@$(PIP) --editable '.[bench]'
	@PYTHONPATH=tools $(BIN)/python -m loadtests.bench.publish $(RESULTS)

chaos: $(VENV)/.installed-test
	@tools/setup/programs redis-server nginx
	@tools/setup/programs iproute2 || true
	@PYTHONPATH=tools:. $(BIN)/python tools/chaos.py $(ARGS)

durability: $(VENV)/.installed-test
	@tools/setup/programs redis-server nginx
	@PYTHONPATH=tools:. exec $(BIN)/python -m loadtests.durability $(ARGS)

flags: $(VENV)/.installed-test
	@PYTHONPATH=tests $(BIN)/python tools/flags.py $(FLAGS)

rehearsal: $(VENV)/.installed-loadtest
	@tools/setup/programs redis-server nginx || true
	@PYTHONPATH=tools exec $(BIN)/python -m loadtests.rehearsal $(ARGS)

capacity: $(VENV)/.installed-loadtest
	@tools/setup/programs redis-server || true
	@PYTHONPATH=tools exec $(BIN)/python -m loadtests.capacity $(ARGS)

test: lint programs
	tools/run_tests $(ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed
	@$(BIN)/python tools/generate_docs.py

docs-images: $(VENV)/.installed-test
	@tools/setup/programs redis-server nginx chromium
	@PYTHONPATH=tools:tests $(BIN)/python tools/docs_images.py

# Where packages come from is a matter of who installs them, so no index is written down.
lock: $(VENV)/.made
	@$(PIP) pip-tools
	@$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links \
		--extra otel --output-file requirements.lock pyproject.toml

# Without them their tests are skipped, or fail where CI=true.
programs:
	@tools/setup/programs redis-server nginx chromium haproxy apache2 supervisor iproute2 || true

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@python=$$(tools/setup/find_python) && echo "setup: $(VENV) with $$python" && "$$python" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.made
	@echo "setup: installing svc into $(VENV)"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-loadtest: pyproject.toml | $(VENV)/.made
	@echo "setup: installing svc and what its load tests need into $(VENV)"
	@$(PIP) --editable '.[loadtest]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-test: pyproject.toml | $(VENV)/.made
	@echo "setup: installing svc and what its tests need into $(VENV)"
	@$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.installed
