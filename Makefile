# Everything a developer runs. Needs make and a Python of 3.11 or newer, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BASELINE := proto/baseline.binpb
CHECKED := service tests
ORACLES := sse stream record body values message prompt
FUZZ_SECONDS ?= 600
SECONDS ?= 300

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install run test lint format generate proto-check proto-baseline lock clean \
  e2e fuzz soak bench bench-quick bench-compare image k8s-check k8s-audit

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed ## Make .venv with what the gateway needs.

run: $(VENV)/installed ## Start the gateway over the simulator; ONE_MIN_API_URL=... for another provider.
	@exec $(BIN)/python -m service.demo

test: lint proto-check k8s-check ## Run all checks and all tests.
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term

e2e: $(VENV)/installed-dev ## Run the image, the proxies and rollouts for real; as root, on Debian.
	tests/e2e/install.sh $(BIN)/python $(VENV)/envoy
	$(BIN)/python -m pytest tests/e2e

fuzz: $(VENV)/installed-dev ## Fuzz every decoder: FUZZ_SECONDS=600 each, after a long run of the property tests.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/fuzz/atheris.lock
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest --timeout 0 tests/fuzz
	for oracle in $(ORACLES); do \
	  $(BIN)/python -m tests.fuzz.run $$oracle -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

soak: $(VENV)/installed-dev ## Load both doors, faults switched on, and judge the end: SECONDS=300.
	$(BIN)/python -m tests.soak --seconds $(SECONDS)

bench: $(VENV)/installed-dev ## Measure speed beside the floor and nginx; up to ten minutes.
	$(BIN)/python -m tests.bench --json bench.json

bench-quick: $(VENV)/installed-dev ## The same in fewer rounds.
	$(BIN)/python -m tests.bench --quick

bench-compare: $(VENV)/installed-dev ## Compare this tree with a commit: make bench-compare BASE=rev.
	$(BIN)/python -m tests.bench --base $(BASE)

lint: $(VENV)/installed-dev ## Check style, types and import rules.
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev ## Rewrite sources and protos in the common style.
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/buf format --write proto

proto-check: $(VENV)/installed-dev ## Check the protos, their compatibility, and that gen/ is fresh.
	$(BIN)/buf lint proto
	$(BIN)/buf format --diff --exit-code proto
	$(BIN)/buf breaking proto --against $(BASELINE)
	proto/generate.sh $(BIN) $(VENV)/gen
	diff -r -x __pycache__ $(VENV)/gen gen || { echo 'gen/ is stale: run make generate'; exit 1; }

generate: $(VENV)/installed-dev ## Generate gen/ from the protos.
	proto/generate.sh $(BIN) gen

proto-baseline: $(VENV)/installed-dev ## Take the protos as the contract that may not be broken; at a release.
	$(BIN)/buf build proto --exclude-source-info --output $(BASELINE)

image: ## Build the image onemin-gateway:VERSION.
	k8s/image.sh

k8s-check: $(VENV)/installed-dev ## Check the recipe of the image and the style of the manifests.
	$(BIN)/yamllint --strict --config-file k8s/yamllint.yaml k8s
	$(BIN)/hadolint k8s/Dockerfile
	$(BIN)/shellcheck k8s/*.sh tests/e2e/*.sh tests/e2e/container/*.sh

k8s-audit: $(VENV)/installed-dev ## Run checkov on the manifests and the alerts' own tests.
	k8s/audit.sh $(BIN)

lock: $(VENV)/installed-dev ## Choose newest versions within pyproject.toml and lock them.
	$(BIN)/uv pip compile pyproject.toml --upgrade --extra fast $(LOCK) --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --upgrade --extra fast $(LOCK) --group dev \
	  --constraints requirements.lock --output-file requirements-dev.lock
	$(BIN)/uv pip compile k8s/build.in --upgrade $(LOCK) --output-file k8s/build.lock

clean: ## Remove .venv and every cache.
	rm -rf $(VENV) .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find service tests gen proto -name __pycache__ -prune -exec rm -rf {} +

# Extras stay in the locks: pip takes `coverage` for another thing than `coverage[toml]`, and refuses to
# install what is not pinned as soon as there is a newer version.
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
  --no-header --no-annotate

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
