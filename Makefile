# Everything starts here. A fresh clone needs Python 3.11 or newer, and make; each target installs
# what it needs into .venv, once.
#
#   make             quick checks: format, lint, types, generated files, quick tests
#   make test        the whole suite, on the newest client and on one older major
#   make demo        a real local model, a small assistant, and its trace
#   make help        all targets

SHELL := /bin/sh
.DEFAULT_GOAL := check
.DELETE_ON_ERROR:
# The suite starts hundreds of programs: where this is set, as in images, each compiles all anew.
unexport PYTHONDONTWRITEBYTECODE

# The first of these that is 3.11 or newer; or say make PYTHON=/path/to/python3.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
# Processes that the suite is spread over; a file's tests stay together.
WORKERS ?= 2
PY := $(VENV)/bin/python
ENVIRONMENT := scripts/environment.py
SOURCES := src tests scripts examples semconv

# Older client majors (pyproject.toml has their pins), and what is run in each one's environment.
CLIENT_TESTS := tests/test_stream_property.py tests/test_latency.py tests/test_joining.py \
	tests/test_stream_usage.py tests/test_cost_on_spans.py tests/adapters/test_openai_realtime.py
CLIENTS := openai-2 openai-1 anthropic-1 anthropic-0 kin-older langchain-0 chroma-1 litellm others-older others \
	prices-older s3
# What is run in an environment of its own, where that is not all of them.
TESTS_anthropic-1 := -k anthropic tests/conformance tests/test_mutations.py tests/test_refused_chunks.py \
	tests/adapters/test_anthropic.py
TESTS_anthropic-0 := $(TESTS_anthropic-1)
TESTS_kin-older := -k "groq or together" tests/conformance tests/test_mutations.py \
	tests/test_refused_chunks.py tests/adapters/test_openai_kin.py
TESTS_langchain-0 := -k langchain tests/test_langchain.py tests/conformance/test_orders.py
TESTS_chroma-1 := -k "test_stores or chroma" tests/test_stores.py tests/test_canaries.py \
	tests/conformance/test_orders.py
TESTS_prices-older := tests/test_price_table.py
TESTS_s3 := tests/test_uploads.py
# These clients warn of their own doings, which would be errors here.
TESTS_litellm := -W ignore -k litellm tests/adapters/test_litellm.py tests/conformance tests/test_canaries.py
TESTS_others-older := -W ignore -k "mistral or cohere" tests/adapters tests/conformance \
	tests/test_refused_chunks.py
# Heavy ones, which the newest clients need not live with.
TESTS_others := -W ignore -k "adapters or xai or voyage or vertexai or watsonx" tests/test_canaries.py \
	tests/adapters/test_xai_sdk.py tests/adapters/test_more_clients.py \
	tests/adapters/test_vertexai.py tests/adapters/test_watsonx.py tests/conformance/test_orders.py \
	tests/test_wire_types.py
# `make test` takes the one that differs most from the newest.
OLDER := openai-1
# The share of the conformance table that is run there; targets which want all set the variable.
SHARE = $(if $(GENAI_OTEL_WHOLE),,-m "not slow")

# Further interpreters, each with an environment of its own; scripts/interpreters.py finds them.
PYTHONS := 3.12 3.13 3.14
INTERPRETERS := scripts/interpreters.py
# What can differ between them: how functions are wrapped and modules imported, contexts, exceptions,
# generators, garbage, pickles, threads, files; and of the conformance table each door, scenario and
# ending of each client once. How a client's answers are read does not; GENAI_OTEL_WHOLE=1 runs all.
INTERPRETED := tests/conformance/test_cells.py tests/aws/test_cloudwatch.py \
	$(patsubst %,tests/test_%.py,api_spans budget cli_run containment context decorated_generators \
	decorators export_worker export_grpc dropped_streams exception_text foreign_parents functions \
	guardrails hostile idle import_hook imports joining langchain late_prices lifecycle local_store \
	made_here_read_there misuse no_traces_on_objects odd_values ownership pickling registry runs \
	snapshot unusable_replies uploads web_responses)
# Slow tests that are about the interpreter: processes, forks, threads, signals, the end.
PROCESSES := $(patsubst %,tests/test_%.py,process_ends process_life fork_exit differential mixed_run)

# Workers, kernels and cloud services that programs run in, or by.
HOSTS := hosts

# Real receivers, which the tests start on loopback, send to and read back.
BACKENDS := phoenix mlflow rotel

.PHONY: check install format format-check lint layers types names docs docs-check test test-quick test-all \
	suite clients pythons conformance privacy hosts in-hosts backends torture demo bench build clean \
	help python

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: format-check lint layers types names docs-check test-quick ## quick checks (the default)

# ---------------------------------------------------------------------------- environments

python:
	@test -n "$(PYTHON)" || { echo "genai_otel needs Python 3.11 or newer, and none was found on PATH."; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is not Python 3.11 or newer. Name another: make PYTHON=/path/to/python3.12"; exit 1; }

# A stamp is younger than pyproject.toml exactly when its profile is installed. One that is not empty
# says why it is not; make tries again the next time.
$(VENV)/.has-%: pyproject.toml $(ENVIRONMENT) | python
	@$(PYTHON) $(ENVIRONMENT) $(VENV) $*

define environment
.venvs/$(1)/.has-$(1): pyproject.toml $(ENVIRONMENT) | python
	@$$(PYTHON) $(ENVIRONMENT) .venvs/$(1) $(1)
endef
$(foreach name,$(CLIENTS) $(HOSTS) $(BACKENDS),$(eval $(call environment,$(name))))

# What needs an environment: without it, the reason is printed instead.
with = +@if [ -s $(1) ]; then echo "==> left out: $(2), as $$(cat $(1))"; \
	else $(MAKE) --no-print-directory $(2); fi

define client
.PHONY: client-$(1) calls-$(1)
client-$(1): .venvs/$(1)/.has-$(1)
	$$(call with,$$<,calls-$(1))

calls-$(1):
	@echo "==> calls with $(1)"
	.venvs/$(1)/bin/python -m pytest -q $(or $(TESTS_$(1)),$(CLIENT_TESTS))
	$(if $(TESTS_$(1)),,.venvs/$(1)/bin/python -m pytest -q tests/conformance \
		-k $(firstword $(subst -, ,$(1))) $$(SHARE))
endef
$(foreach name,$(CLIENTS),$(eval $(call client,$(name))))

.venvs/python-%/.has-dev: pyproject.toml $(ENVIRONMENT) | python
	@$$($(PYTHON) $(INTERPRETERS) $*) $(ENVIRONMENT) .venvs/python-$* dev

install: $(VENV)/.has-dev ## the development environment

# ---------------------------------------------------------------------------- checks

format: $(VENV)/.has-dev ## format the code and mend what lint can mend
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix-only .

format-check: $(VENV)/.has-dev
	$(PY) -m ruff format --check .

lint: $(VENV)/.has-dev ## ruff, all rules
	$(PY) -m ruff check .

layers: $(VENV)/.has-dev ## who may import whom
	$(VENV)/bin/lint-imports --no-cache

types: $(VENV)/.has-dev ## mypy --strict
	$(PY) -m mypy

names: $(VENV)/.has-dev ## is the generated table of names current?
	$(PY) scripts/generate_names.py --check

docs: $(VENV)/.has-dev ## write the generated parts of README and docs, then run every example in them
	$(PY) scripts/generate_docs.py
	$(PY) -m pytest -q tests/test_docs.py

docs-check: $(VENV)/.has-dev
	$(PY) scripts/generate_docs.py --check

# ---------------------------------------------------------------------------- tests

test: suite client-$(OLDER) ## the whole suite; real calls also on one older client major

test-all conformance: export GENAI_OTEL_WHOLE := 1
test-all: export GENAI_OTEL_SOAK_SECONDS := 120
test-all: suite $(CLIENTS:%=client-%) pythons hosts backends ## all of it; every client major and Python, real hosts and backends

clients: $(patsubst %,client-%,$(filter-out $(OLDER),$(CLIENTS))) ## the other environments of clients

test-quick: $(VENV)/.has-dev
	$(PY) -m pytest -q -m "not slow and not model"

suite: $(VENV)/.has-dev $(VENV)/.has-model
	$(PY) -m pytest -n $(WORKERS)

pythons: $(PYTHONS:%=python-%) ## what depends on the interpreter, on each further Python that is to be had here
	@$(PYTHON) $(INTERPRETERS) --skipped $(PYTHONS)

# make python-3.13
python-%: | python
	@! $(PYTHON) $(INTERPRETERS) $* >/dev/null || $(MAKE) --no-print-directory on-$*

on-%: .venvs/python-%/.has-dev
	@echo "==> $(if $(GENAI_OTEL_WHOLE),the suite,what depends on the interpreter) with Python $*"
ifdef GENAI_OTEL_WHOLE
	.venvs/python-$*/bin/python -m pytest -q -n $(WORKERS) -m "not model"
else
	GENAI_OTEL_SHARE=1 .venvs/python-$*/bin/python -m pytest -q -n $(WORKERS) -m "not slow" $(INTERPRETED)
	.venvs/python-$*/bin/python -m pytest -q -n $(WORKERS) -m slow $(PROCESSES)
endif

backends: $(VENV)/.has-dev $(foreach name,$(BACKENDS),.venvs/$(name)/.has-$(name)) ## real Phoenix, MLflow and a collector
	GENAI_OTEL_BACKENDS=$(CURDIR)/.venvs $(PY) -m pytest tests/backends

hosts: .venvs/hosts/.has-hosts ## Celery, Jupyter, gevent, Lambda's runtime, moto, Django, Litestar, Quart
	$(call with,$<,in-hosts)

in-hosts:
	.venvs/hosts/bin/python -m pytest -q tests/hosts tests/aws/test_xray.py tests/test_web_responses.py

torture: $(VENV)/.has-dev ## 500 pools on a busy machine: none hangs, nothing is lost
	GENAI_OTEL_POOL_RUNS=500 $(PY) -m pytest -q tests/test_pools.py

# What docs/privacy.md promises, shown.
PRIVACY := tests/test_canaries.py tests/test_what_leaves.py tests/test_uploads.py tests/test_blobs.py \
	tests/test_privacy.py tests/test_detectors.py tests/test_truncation.py

privacy: $(VENV)/.has-dev ## what leaves a process and what does not: the tests behind docs/privacy.md
	$(PY) -m pytest -n $(WORKERS) $(PRIVACY)

conformance: $(VENV)/.has-dev ## the whole conformance table, newest clients
	$(PY) -m pytest -q tests/conformance
	$(PY) -m tests.conformance.report

# ---------------------------------------------------------------------------- the rest

demo: $(VENV)/.has-cli $(VENV)/.has-model ## a real local model, a small assistant, and its trace
	@$(PY) scripts/demo.py

bench: $(VENV)/.has-dev ## what a recorded call costs, beside the bare client and other libraries
	@$(PY) -m bench $(if $(PEERS),--peers $(PEERS)) $(if $(QUICK),--quick) $(if $(REUSE),--reuse)

build: $(VENV)/.has-dev ## wheel and source distribution, in dist/; the wheel is tried out
	@test -x $(VENV)/bin/uv || { echo "make build needs uv, which pip could not install here"; exit 1; }
	rm -rf dist
	$(VENV)/bin/uv build --quiet --out-dir dist
	$(VENV)/bin/uv run --quiet --isolated --no-project --with dist/*.whl genai-otel doctor

clean: ## remove everything that was made here
	rm -rf $(VENV) .venvs .make dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* htmlcov
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
