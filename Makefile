# pv_stream: `make demo` shows it, `make test` checks all of it. Both do their own set-up.
# Stamps in .venv/ remember what is installed, so that a second run starts at once.

PYTHON ?= python3
# Random tests repeat with this seed, so that a check of one change is not undone by chance; SEED=$$RANDOM searches on.
SEED ?= 20261121
# Tests run side by side, those with Kafka after one another on one broker; `make test PARALLEL=` for one process.
PARALLEL ?= --numprocesses=auto --maxprocesses=4 --dist=loadfile
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.stamp-core
ALL := $(VENV)/.stamp-all
PACKAGE := $(VENV)/.stamp-package
MUTATION := $(VENV)/mutation
DEPLOY := $(VENV)/deploy
PEERS := $(VENV)/bench
JAVA_HOSTS := benchmarks/live/java/target/live-hosts.jar
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Tests start hundreds of processes: each reads what was compiled once, also where the shell says that none keeps it.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest

# `make test` runs every linter, even after one failed, and the tests only when none did.
.DEFAULT_GOAL := help
.PHONY: help demo test lint format unit integration fuzz chaos chaos-mutants bench bench-takeover bench-replay bench-engine bench-ingest mutation shufflings deploy-check schemas docs lock python install clean
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(PACKAGE) ## Set up what the demo needs (no broker, no network after that) and run it
	@$(BIN)/pv-stream demo

test: install lint ## Set up everything, then run every check and every test, with a real Kafka broker
	$(PYTEST) $(PARALLEL) --seed=$(SEED) --cov --cov-report=term:skip-covered

install: $(ALL) $(PACKAGE) ## Set up everything a developer needs in .venv

lint: install ## Formatting, lint, types and layers; no test
	@failed=0; for check in 'ruff format --check .' 'ruff check .' 'mypy' 'lint-imports --no-logo'; do \
	  echo "$(BIN)/$$check"; $(BIN)/$$check || failed=1; \
	done; exit $$failed

format: install ## Rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

unit: install ## The tests that need no broker
	$(PYTEST) -m 'not kafka' --hypothesis-profile=dev

integration: install ## The tests on a real broker
	$(PYTEST) -m kafka

fuzz: install ## Damage real messages, MUTANTS of them (20,000), and see that ingest gives a reason for each
	$(BIN)/python -m tests.fuzzing --mutants $(or $(MUTANTS),20000) --seed $(SEED) tests/fixtures examples $(PV_STREAM_SAMPLE_DATA)

chaos: install ## Hurt workers, broker and network, and see that nothing is lost or doubled (FAULTS=30 EVENTS=30000 RUNS=1 JSON=1)
	@$(BIN)/python -m tests.chaos --seed $(SEED) --faults $(or $(FAULTS),30) --events $(or $(EVENTS),30000) \
	  --runs $(or $(RUNS),1) $(if $(JSON),--json)

chaos-mutants: install ## Break the runtime on purpose: does the chaos suite see it? (EVENTS=2000 MINUTES=22 ONLY='fence off' JSON=1)
	@$(BIN)/python -m tests.chaos --mutants --seed $(SEED) --events $(or $(EVENTS),2000) --minutes $(or $(MINUTES),22) \
	  $(if $(ONLY),--only '$(ONLY)') $(if $(JSON),--json)

bench: install $(PEERS)/.stamp $(JAVA_HOSTS) ## Measure the live worker beside a raw loop and its peers, on a broker of its own (ONLY=small,latency REPEATS=3 RESUME=1 REPORT=1 ARGS=--quick)
	$(BIN)/python -m benchmarks.live $(if $(ONLY),--only $(ONLY)) $(if $(REPEATS),--repeats $(REPEATS)) $(if $(RESUME),--resume) \
	  $(if $(REPORT),--report) $(ARGS)

bench-takeover: install ## Measure how long it takes until another worker has the states of a dead one (ARGS=--quick)
	$(BIN)/python -m benchmarks.live.takeover $(ARGS)

bench-replay: install $(PEERS)/.stamp ## Measure a replay beside polars and duckdb doing the naive query (EVENTS=1000000)
	$(BIN)/python -m benchmarks.replay --events $(or $(EVENTS),1000000)

bench-engine: $(PACKAGE) ## Measure the engine on a million events of a made-up ward (benchmarks/README.md)
	$(BIN)/python -m benchmarks.engine

bench-ingest: install ## Measure the readers beside hl7, hl7apy, fhir.resources and lxml, and a file of 100,000 messages
	$(BIN)/python -m benchmarks.ingest

shufflings: install ## Shuffle, repeat and split every case's events: do they end in the same case? (EACH=1000 RESUME=1 JOBS=1 JSON=1)
	@$(BIN)/python -m tests.shuffling --seed $(SEED) --each $(or $(EACH),1000) --first $(or $(FIRST),0) --only "$$ONLY" \
	  --jobs $(or $(JOBS),1) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(WHOLE),--whole) $(if $(RESUME),--resume) $(if $(JSON),--json)

mutation: $(MUTATION)/.stamp ## Change the rules and the engine in thousands of places: does a test fail? (ONLY=rules/tiers RESUME=1 REPORT=1)
	$(MUTATION)/bin/python -m benchmarks.mutation --only '$(ONLY)' $(if $(RESUME),--resume) $(if $(REPORT),--report)

# Debian's promtool does not know kubernetes_sd_configs, so that file is not shown to it.
deploy-check: $(DEPLOY)/.stamp ## Check manifests and alert rules by Kubernetes' schemas and a parser of PromQL
	$(DEPLOY)/bin/kubernetes-validate --strict $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/*.yaml))
	$(DEPLOY)/bin/python -m tests.deploy.promql
	@if command -v promtool >/dev/null; then \
	  promtool check rules --lint=all deploy/prometheus/alerts.yml && \
	  promtool check config --syntax-only deploy/prometheus/prometheus.yml; \
	else echo "not checked by promtool, which is not on PATH (Debian: in the package prometheus)"; fi

schemas: install ## Write schemas/ from the models
	$(BIN)/pv-stream schemas --write

docs: install ## Write docs/rules.md and docs/traceability.md from the rules
	$(BIN)/pv-stream docs --write

clean: ## Remove .venv and what the tools left
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache \
	  .pytest_cache .ruff_cache
	find benchmarks pv_stream tests -type d -name __pycache__ -prune -exec rm -rf {} +

# --- the environment -------------------------------------------------------------------------------------------
# An interpreter that is too old, or absent, is one line, not a traceback from an installer.

python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || \
	  { echo "error: pv_stream needs Python 3.11, 3.12 or 3.13, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1):" \
	    "install one and run 'make PYTHON=/path/to/python3.11 ...'" >&2; exit 1; }

$(BIN)/python: | python
	$(PYTHON) -m venv $(VENV)

$(CORE): requirements/core.txt | $(BIN)/python
	$(PIP_INSTALL) --require-hashes -r requirements/core.txt
	@touch $@

$(ALL): requirements/all.txt $(CORE)
	$(PIP_INSTALL) --require-hashes -r requirements/all.txt
	@touch $@

# Editable: only its metadata can go stale.
$(PACKAGE): pyproject.toml $(CORE)
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# An environment of its own: mutmut and Faust need different versions of click.
$(MUTATION)/.stamp: requirements/mutation.txt | python
	$(PYTHON) -m venv $(MUTATION)
	$(MUTATION)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/mutation.txt
	@touch $@

# An environment of its own: Quix Streams asks for other versions than we do.
$(PEERS)/.stamp: requirements/bench.txt | python
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

$(JAVA_HOSTS): benchmarks/live/java/pom.xml $(wildcard benchmarks/live/java/src/main/java/org/pvstream/live/*.java)
	mvn --quiet --batch-mode --file benchmarks/live/java/pom.xml package

$(DEPLOY)/.stamp: requirements/deploy.txt | python
	$(PYTHON) -m venv $(DEPLOY)
	$(DEPLOY)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/deploy.txt
	@touch $@

# --- the locks -------------------------------------------------------------------------------------------------
# Exact versions with hashes, no index address. core.txt is a subset of all.txt, so that both agree.

UV := $(VENV)/lock/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-header --no-annotate

lock: | $(UV) ## Resolve the locks in requirements/ anew (UPGRADE=1: to the newest versions)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --all-extras pyproject.toml requirements/build.in -o requirements/all.txt
	$(COMPILE) --constraint requirements/all.txt pyproject.toml requirements/build.in -o requirements/core.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) --constraint requirements/core.txt --extra test pyproject.toml requirements/mutation.in \
	  -o requirements/mutation.txt
	$(COMPILE) --constraint requirements/all.txt --extra kafka --extra http --extra audit pyproject.toml requirements/build.in \
	  -o requirements/live.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) requirements/bench.in -o requirements/bench.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) requirements/deploy.in -o requirements/deploy.txt
	@! grep -n '://' requirements/*.txt

$(UV): | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
