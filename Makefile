# Every target is one line of `make help`: the text after its `##`.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
SOURCES := __main__.py stack inference_app mlflow_server model_publisher tools tests benchmarks
export KUBE_CONTEXT STACK PLATFORM_HOME OFFLINE FORMAT

.PHONY: help up preview smoke outputs down test verify check format bench environment lock

help: ## this list
	@echo "Usage: make TARGET [KUBE_CONTEXT=name] [STACK=local] [PLATFORM_HOME=.local]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## set up everything, deploy the stack, print its endpoints
	@$(PYTHON) -m tools up

preview: ## what `up` would change; OFFLINE=1 [FORMAT=json] without engine, account or cluster
	@$(PYTHON) -m tools preview

smoke: ## bring the stack up, ask all that its outputs name, take it down again
	@$(PYTHON) -m tools smoke

outputs: ## the stack's outputs as JSON
	@$(PYTHON) -m tools outputs

down: ## destroy the stack and the cluster that was made for it
	@$(PYTHON) -m tools down

test: environment ## unit tests, the server, and the path from publisher to prediction; no engine, no cluster
	$(BIN)/python -m pytest tests/unit tests/app tests/serving

verify: test ## all tests: those, then the real engine and real pods on a cluster of their own
	$(BIN)/python -m pytest tests/engine tests/e2e

check: environment ## lint, format and types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/basedpyright

format: environment ## format the code
	$(BIN)/ruff check --fix-only $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: environment ## measure the figures of docs/figures.md on this machine
	$(BIN)/python -m benchmarks

lock: environment ## resolve requirements/*.in again
	$(BIN)/python -m tools.lock

environment:
	@$(PYTHON) -m tools.bootstrap
