# Every habit has one short command. STACK picks the stack: `make preview STACK=staging`.
STACK  ?= dev
PYTHON ?= python3
PY     := .venv/bin/python
READY  := $(PYTHON) -m toolchain.bootstrap
ARGS   ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help up preview down refresh test check format images schema conformance env pr-report bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## make the machine ready and deploy STACK (default: dev)
	@$(READY) --stack $(STACK)
	@$(PY) -m toolchain.deploy up --stack $(STACK) $(ARGS)

preview: ## what `make up` would change, with the verdict of the policies
	@$(READY) --stack $(STACK)
	@$(PY) -m toolchain.deploy preview --stack $(STACK) $(ARGS)

down: ## remove everything that STACK deployed
	@$(READY) --stack $(STACK)
	@$(PY) -m toolchain.deploy down --stack $(STACK) $(ARGS)

refresh: ## bring the state up to what really is there
	@$(READY) --stack $(STACK)
	@$(PY) -m toolchain.deploy refresh --stack $(STACK) $(ARGS)

test: check ## all tests, on a real Docker Engine where there is one
	@$(READY) --tests
	@$(PY) -m toolchain.testing $(ARGS)

check: ## format, lint, types, unit tests: no engine needed
	@$(READY) --tests --only-venv
	@.venv/bin/ruff format --check --quiet . || { echo "→ make format"; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy

format: ## format and sort imports
	@$(READY) --tests --only-venv
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

images: ## pull or build every container image, and list them
	@$(READY) --stack dev
	@$(PY) -m toolchain.images

schema: ## write the JSON Schema that editors complete the stack files by
	@$(READY) --only-venv
	@$(PY) -m config.schema

conformance: ## which documented facts are shown, per system and stack
	@$(READY) --tests
	@$(PY) -m tests.conformance

env: ## exports that make `pulumi` work by hand: eval "$$(make env)"
	@$(PYTHON) -m toolchain.environment

pr-report: ## plan and verdict of every stack as Markdown, in pr-report.md
	@$(READY) --tests
	@$(PY) -m toolchain.pr_report

bench: ## measure cold and warm times
	@$(READY) --tests
	@$(PY) -m benchmarks

clean: ## remove tools and caches; state and passphrase stay
	@rm -rf .venv .toolchain .mypy_cache .pytest_cache .ruff_cache .hypothesis
