# Every target has one line of explanation after `##`; `make help` prints them.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON := .venv/bin/python
# An uv of the machine, else one of our own, installed with pip into a folder beside the environment.
UV := $(or $(shell uv --version >/dev/null 2>&1 && command -v uv),.uv/bin/uv)

.PHONY: help setup fetch dev status down demo observe test test-fast test-faults kube-test lint format contracts dashboards metrics bench helm image wheel clean

help: ## Print every target
	@if [ -t 1 ]; then bold=$$(printf '\033[1m') plain=$$(printf '\033[0m'); fi; \
	awk -v bold="$${bold:-}" -v plain="$${plain:-}" -F ':.*## ' \
	  '/^[a-z-]+:.*## / { printf "  %s%-12s%s %s\n", bold, $$1, plain, $$2 }' $(firstword $(MAKEFILE_LIST))

.uv/bin/uv:
	@echo "uv is not on this machine: installing it with pip into .uv/"
	python3 -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv

setup: $(filter .uv/bin/uv,$(UV)) ## Install everything into .venv, the jiebang command too (uv is installed through pip if missing)
	@$(UV) sync --quiet --frozen --all-extras

fetch: setup ## Fetch Kafka, MongoDB and Java into the cache where they are missing
	@$(PYTHON) -m deploy.local fetch

dev: setup fetch ## Keep the whole platform up; prints its address and one key per role (OPTIONS="--fresh --port 8080 --prometheus")
	@$(PYTHON) -m deploy.local up $(OPTIONS)

status: setup ## Show which parts of the platform that `make dev` started are ready
	@$(PYTHON) -m deploy.local status $(OPTIONS)

down: setup ## Stop the platform that `make dev` started
	@$(PYTHON) -m deploy.local down $(OPTIONS)

demo: setup fetch ## Play a competition on this machine: three challenges, six teams, three attackers; leaves nothing running
	@$(PYTHON) -m deploy.local.demo $(OPTIONS)

observe: setup fetch ## Let a Prometheus watch the demo and three faults: each calls its alert and no other (needs prometheus)
	@$(PYTHON) -m deploy.local.observe $(OPTIONS)

test: setup fetch ## Run all tests, with the system tests on a real Kafka and MongoDB (OPTIONS="-k upload")
	$(PYTHON) -m pytest -q -m "not faults and not node" $(OPTIONS)

test-fast: setup ## Run the tests that need no server
	$(PYTHON) -m pytest -q tests/unit tests/contract $(OPTIONS)

test-faults: setup fetch ## Run the long fault tests: kills, freezes, clock jumps, hostile data (prints its seed)
	$(PYTHON) -m pytest -q -m faults $(OPTIONS)

kube-test: setup fetch ## Install the chart on a real Kubernetes node with the project's images, and break things (root; OPTIONS="-s")
	$(PYTHON) -m pytest -q -m node $(OPTIONS)

lint: setup ## Check style, types (mypy --strict), imports between parts, and the house rules
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	$(PYTHON) .ci/house_rules.py

format: setup ## Put the code into the one format
	$(PYTHON) -m ruff check --fix --exit-zero .
	$(PYTHON) -m ruff format .

contracts: setup ## Write JSON Schemas and AsyncAPI documents from the event models
	$(PYTHON) -m shared.contracts.generate

dashboards: setup ## Write Grafana's dashboards in deploy/observability/dashboards from their code
	@$(PYTHON) -m deploy.observability.generate

metrics: setup ## Write docs/metrics.md from the metrics that the services export
	@$(PYTHON) -m shared.metrics_page

bench: setup fetch ## Measure speed and memory beside the named rivals and print the ratios
	$(PYTHON) -m bench $(OPTIONS)

helm: setup ## Write the generated parts of the Helm chart, then lint, render and validate every example of values
	@$(PYTHON) -m deploy.helm

image: setup ## Build the image in both variants with podman or docker, and write dist/*.oci.tar (OPTIONS="--base debootstrap")
	@$(UV) export --quiet --frozen --only-group image --no-emit-project --no-annotate --no-header > deploy/docker/build-tools.txt
	@$(PYTHON) -m deploy.docker $(OPTIONS)

wheel: setup ## Build the wheel of the engine and the jiebang command into dist/
	@$(UV) build --quiet --wheel

clean: ## Remove caches, the environment, and the state of the local platform
	rm -rf .venv .uv .jiebang .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf dist build bench/out demo-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
