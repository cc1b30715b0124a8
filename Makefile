# Every habit has one short command. STACK picks the stack: `make preview STACK=staging`.
STACK  ?= dev
PYTHON ?= python3
PY     := .venv/bin/python
READY  := $(PYTHON) -m toolchain.bootstrap
ARGS   ?=
# Suites that need neither an engine nor the CLI.
FAST   := tests/unit tests/config tests/policies tests/report tests/conformance tests/benchmarks

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help up preview down refresh backup restore test test-cluster check lint format images schema conformance env pr-report render judge diagram bench cluster cluster-down clean

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

# The end-to-end tests mostly wait for containers and pods, and their clients do not wait for a busy machine. What needs
# neither runs beside those on Docker with what they leave of the processors, and is printed when it is done.
ON_CLUSTER := tests/cluster tests/plugins/test_kubernetes_objects.py tests/plugins/test_kubernetes_pods.py tests/kubernetes
TESTENV    := eval "$$($(PYTHON) -m toolchain.environment)"
LOG        := .toolchain/logs/tests.log
test: ## format, lint, types and all tests but those on a cluster, on a real Docker Engine (ARGS="tests/unit -k …": some)
	@$(READY) --tests
	@$(MAKE) --no-print-directory lint
ifeq ($(strip $(ARGS)),)
	@$(TESTENV) && \
	  { nice -n 19 pytest $(addprefix --ignore=,tests/docker $(ON_CLUSTER)) >$(LOG) 2>&1 & others=$$!; \
	    trap "kill $$others" INT TERM; \
	    pytest tests/docker; end_to_end=$$?; wait $$others; rest=$$?; \
	    cat $(LOG); exit $$((end_to_end || rest)); }
else
	@$(TESTENV) && pytest $(ARGS)
endif

test-cluster: ## all tests on a real cluster: the local one, started for them, or that of KUBECONFIG (ARGS: some)
	@$(READY) --tests --cluster
	@$(TESTENV) && pytest $(or $(ARGS),$(ON_CLUSTER))

check: ## format, lint, types, and the tests that need no engine
	@$(READY) --tests --only-venv
	@$(MAKE) --no-print-directory lint
	@.venv/bin/pytest --quiet $(FAST)

lint:
	@.venv/bin/ruff format --check --quiet . || { echo "not formatted (see above): make format"; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy

format: ## format and sort imports
	@$(READY) --tests --only-venv
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

backup: ## archive the data engines of STACK in its volume for backups
	@$(READY) --only-venv
	@$(PY) -m toolchain.backup create --stack $(STACK)

restore: ## restore a data engine of STACK from FROM, an archive of `make backup` (none given: lists them)
	@$(READY) --only-venv
	@$(PY) -m toolchain.backup restore --stack $(STACK) --from '$(FROM)'

images: ## pull or build every container image, and list them
	@$(READY) --stack dev
	@$(PY) -m toolchain.images

schema: ## write the JSON Schema that editors complete the stack files by
	@$(READY) --only-venv
	@$(PY) -m config.schema

conformance: ## which documented facts are shown, per system and stack
	@$(READY) --tests
	@$(PY) -m tests.conformance

env: ## exports that make `pulumi` work by hand: eval "$(make --silent env)"
	@$(PYTHON) -m toolchain.environment

pr-report: ## plan and verdict of every stack as Markdown, in pr-report.md
	@$(READY) --tests
	@$(PY) -m report --output pr-report.md

render: ## the plain YAML of every Kubernetes object of STACK's plan, in .toolchain/render/STACK (ARGS="--output DIR")
	@$(READY) --stack $(STACK) --no-cluster
	@$(PY) -m report.render --stack $(STACK) $(ARGS)

judge: render ## what kubeconform, kube-score and checkov say of STACK's rendered objects (accepted: judges.yaml)
	@$(PY) -m toolchain.judges .toolchain/render/$(STACK)

diagram: ## draw docs/architecture.svg from the dev stack's own plan
	@$(READY) --stack dev
	@$(PY) -m report.diagram

bench: ## measure, and write benchmarks/README.md (ARGS="--only up,preview,proxy" for a part)
	@$(READY) --tests
	@$(PY) -m benchmarks $(ARGS)

cluster: ## a real Kubernetes on this machine (Debian, root); again: repair it (NODES=n: n simulated nodes besides; SIMULATED=1: only those)
	@$(READY) --only-venv
	@$(PY) -m toolchain.cluster up $(if $(NODES),--nodes '$(NODES)')

cluster-down: ## end it, and remove its state
	@$(READY) --only-venv
	@$(PY) -m toolchain.cluster down

clean: ## remove tools and caches; state and passphrase stay
	@[ ! -e .toolchain/cluster/kubeconfig ] || $(PY) -m toolchain.cluster down
	@rm -rf .venv .toolchain .mypy_cache .pytest_cache .ruff_cache .hypothesis
