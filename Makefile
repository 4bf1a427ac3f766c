# A checkout's commands. Each installs what it needs into .venv first; a second run starts at once.
#
#   make run     serve the example apps from one process, without Redis  (PORT=5006, APPS=..., ARGS=...)
#   make fleet   redis-server, three replicas and nginx on loopback      (APPS=..., ARGS=...)
#   make test    lint, types, import contract, tests                     (ARGS='tests/unit -k name' goes to pytest)
#   make matrix  the same on every Python that is found, see docs/versions.md  (PYTHON=3.12, BOKEH=3.9.2, ARGS=...)
#   make lint    the first three of these
#   make loadtest  a fleet, locust before it, a report with plots        (ARGS='herd --users 50', see --help)
#   make bench   our server and `bokeh serve` side by side, as a table   (ARGS='--quick', see --help)
#   make rehearsal pods, probes, autoscaler, a rolling update under load, without a cluster
#   make capacity  what one session costs on this machine, and what many would take
#   make durability  time until sessions are back, what the journal costs  (ARGS='--quick', see --help)
#   make chaos   replicas, Redis, clocks and DNS go wrong under load        (ARGS='--durability sync', see --help)
#   make soak    an hour of visitors who come and go on both stores: does anything grow?  (SOAK_MINUTES=60, ARGS=...)
#   make fuzz    what nobody would send: no traceback, no 5xx, bounded memory  (FUZZ_MINUTES=10, ARGS='--seed 1')
#   make flags   each test of a flag has to fail where the flag is ignored (FLAGS=--port chooses some)
#   make docs    write the generated parts of docs/ anew
#   make chart   write the Helm chart in k8s/helm anew from the kustomize base
#   make site    the documentation as a site in build/site; a dead link or a warning is an error  (ARGS=...)
#   make docs-images  the pictures of the admin page, of a terminal and of the examples, as they run
#   make dist    sdist and wheel in dist/, each wheel installed outside of the checkout and asked for a page  (ARGS='3.12')
#   make lock    write the locks, of which the Dockerfile installs one   (ARGS=--upgrade)
#   make clean   remove .venv, those of `make matrix`, and all caches
#
# .venv is made with the newest Python that is there, from 3.11 to 3.14. PYTHON=3.12 or PYTHON=/path/to/python
# makes it with that one, BOKEH=3.9.2 installs that; both stay as they are until the next that says otherwise.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 5006
APPS ?= examples/sliders.py examples/weather examples/streaming.py examples/explorer.py
ARGS ?=
PYTHON ?=
BOKEH ?=
export PYTHON BOKEH VENV
# Nothing newer than what the tests run on, see docs/versions.md.
TESTED := --constraint constraints.txt $(if $(BOKEH),'bokeh==$(BOKEH)')
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input

.PHONY: help run fleet bench bench-docs loadtest rehearsal capacity durability chaos soak fuzz test lint docs site docs-images
.PHONY: matrix chart dist lock clean programs

# Before make looks at what is there: a marker that a recipe removed would count as there.
ifneq ($(PYTHON)$(BOKEH),)
  _ := $(shell PYTHON='$(PYTHON)' BOKEH='$(BOKEH)' tools/setup/check_venv '$(VENV)')
  ifneq ($(.SHELLSTATUS),0)
    $(error no environment can be made with PYTHON=$(PYTHON))
  endif
endif

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
	@$(PIP) $(TESTED) --editable '.[bench]'
	@PYTHONPATH=tools $(BIN)/python -m loadtests.bench.publish $(RESULTS)

chaos: $(VENV)/.installed-test
	@tools/setup/programs redis-server nginx
	@tools/setup/programs iproute2 faketime || true
	@PYTHONPATH=tools:. $(BIN)/python tools/chaos.py $(ARGS)

soak: $(VENV)/.installed-test
	@tools/setup/programs redis-server nginx
	@SOAK_MINUTES='$(SOAK_MINUTES)' PYTHONPATH=tools:. exec $(BIN)/python -m loadtests.soak $(ARGS)

# Without atheris, which has no wheels for some Pythons and machines, inputs are changed by chance alone.
fuzz: $(VENV)/.installed-test
	@$(PIP) $(TESTED) --only-binary :all: atheris 2>/dev/null || true
	@FUZZ_MINUTES='$(FUZZ_MINUTES)' PYTHONPATH=tools:. exec $(BIN)/python -m loadtests.fuzz $(ARGS)

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
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed
	@$(BIN)/python tools/generate_docs.py

chart: $(VENV)/.installed
	@$(BIN)/python tools/helm_chart.py

# NO_MKDOCS_2_WARNING: pyproject.toml has no MkDocs 2, and the theme warns of it.
site: $(VENV)/.installed-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict $(ARGS)
	@echo "site: build/site/index.html"

docs-images: $(VENV)/.installed-test
	@tools/setup/programs redis-server nginx chromium
	@PYTHONPATH=tools:tests $(BIN)/python tools/docs_images.py

matrix:
	@tools/matrix

dist:
	@tools/dist $(ARGS)

lock:
	@tools/lock $(ARGS)

# Without them their tests are skipped, or fail where CI=true.
programs:
	@tools/setup/programs redis-server nginx chromium haproxy apache2 supervisor iproute2 faketime || true

clean:
	rm -rf $(VENV) .venv-* build dist .coverage* *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@python=$$(tools/setup/find_python) && echo "setup: $(VENV) with $$python" && "$$python" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "setup: installing svc into $(VENV), which takes a minute or two"
	@$(PIP) $(TESTED) --editable .
	@touch $@

$(VENV)/.installed-loadtest: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "setup: installing svc and what its load tests need into $(VENV)"
	@$(PIP) $(TESTED) --editable '.[loadtest]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "setup: installing svc and what its tests need into $(VENV)"
	@$(PIP) $(TESTED) --editable '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "setup: installing svc and what makes its site into $(VENV)"
	@$(PIP) $(TESTED) --editable '.[docs]'
	@touch $@ $(VENV)/.installed
