# One environment for everything that runs here; `make` alone lists what there is.
# The first target that needs it creates .venv and installs the project; a changed pyproject.toml does so again.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
EXTRAS := service,ocr,engine,local,telemetry,training,weights,evaluation,scale,dev
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin

# vLLM's CPU build wants other versions than ours of much that both use.
VLLM_VENV := .venv-vllm
VLLM_STAMP := $(VLLM_VENV)/.installed
VLLM_ENVIRONMENT := tests/vllm/environment

# PaddleOCR pins OpenCV and NumPy apart from rapidocr's.
PADDLE_VENV := .venv-paddle
PADDLE_STAMP := $(PADDLE_VENV)/.installed

# LiteLLM's proxy pins FastAPI, uvicorn and much else.
LITELLM_VENV := .venv-litellm
LITELLM_STAMP := $(LITELLM_VENV)/.installed

PAGE_STAMP := $(VENV)/.installed-page-tests

# Overridden with PYTHON=…; otherwise the first that really starts, is new enough and can make environments.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	if $$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)

# Processes that `make test` and `make test-page` run the tests in: as many as there are cores, up to four. JOBS=0 runs
# them in pytest's own, as --pdb wants it.
JOBS ?= auto

# Passed on to the command behind a target: make test ARGS="-k queue", make up ARGS="--port 0".
ARGS ?=

.PHONY: help setup setup-page setup-paddle demo up test test-hostile test-page test-paddle test-compose test-vllm soak bench bench-ocr bench-charts bench-sse bench-agreement bench-dispatch bench-gateways eval load lint format docs clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "make %-8s %s\n", $$1, $$2 }'

# Without the index there is no base for a model that is shipped as a delta. llava-graph-tiny needs none.
setup: $(STAMP) ## Create .venv with everything that one machine needs (about 3 GB), and build the model
	@for manifest in $$(grep -l '^\[build\]' model_repo/*/manifest.toml); do \
		$(BIN)/llava-graph weights build "$${manifest%/manifest.toml}" || \
			echo "Warning: $${manifest%/manifest.toml} is not built; model_repo/llava-graph-tiny works without." >&2; done

demo: $(STAMP) ## Start everything, explain the example figures in the terminal, stop
	$(BIN)/llava-graph demo $(ARGS)

up: $(STAMP) ## Run everything on this machine until ctrl-C
	$(BIN)/llava-graph up $(ARGS)

# promtool tests Prometheus's rules. Where it is missing, root on Debian has it installed, unless systemd would start the
# Prometheus that comes with it; otherwise those tests are skipped, and say so.
test: $(STAMP) ## Run all tests
	@if ! command -v promtool > /dev/null && [[ $$(id -u) == 0 && ! -d /run/systemd/system ]] && command -v apt-get > /dev/null; then \
		{ apt-get update && apt-get install --yes --no-install-recommends prometheus; } || echo "promtool could not be installed." >&2; fi
	$(BIN)/pytest --numprocesses $(JOBS) --maxprocesses 4 $(ARGS)

# Bad input and faults, each beside an ordinary request that must end normally.
test-hostile: $(STAMP) ## Run the tests of hostile input and faults
	$(BIN)/pytest tests/hostile $(ARGS)

test-page: setup-page ## Run the page's tests in Chromium
	$(BIN)/pytest --numprocesses $(JOBS) --maxprocesses 4 tests/page $(ARGS)

# The browser is the system's. Where it is missing, root on Debian has it installed; otherwise the command says what to do.
setup-page: $(PAGE_STAMP)
	@if ! command -v chromium chromium-browser google-chrome > /dev/null; then \
		if [[ $$(id -u) != 0 ]] || ! command -v apt-get > /dev/null; then \
			echo "No Chromium was found on the PATH. Install one (Debian: apt-get install chromium), then try again." >&2; exit 1; fi; \
		apt-get update && apt-get install --yes --no-install-recommends chromium; fi

setup-paddle: $(PADDLE_STAMP)

test-paddle: $(PADDLE_STAMP) ## Run the tests that need PaddleOCR (1 GB more)
	$(PADDLE_VENV)/bin/pytest tests/paddle $(ARGS)

# Without a Docker engine the tests are skipped, with the reason.
test-compose: $(STAMP) ## Build the images and test docker-compose.yml on this machine's Docker engine
	$(BIN)/pytest tests/compose $(ARGS)

test-vllm: $(STAMP) $(VLLM_STAMP) ## Run the tests that need a real vLLM, on the CPU (3 GB more)
	$(BIN)/pytest tests/vllm --vllm-python $(VLLM_VENV)/bin/python $(ARGS)

# ROUNDS=1 is enough for a look; the first command takes about ten minutes, the second one.
bench: $(STAMP) $(VLLM_STAMP) ## Measure the gateway against the engines alone, and with 500 streams
	$(BIN)/python -m benchmarks.serving --vllm-python $(VLLM_VENV)/bin/python $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)
	$(BIN)/python -m benchmarks.streams $(if $(ROUNDS),--rounds $(ROUNDS))

# COUNT=200 draws more figures; FIGURES=DIR reads those of a folder instead.
bench-ocr: $(STAMP) $(PADDLE_STAMP) ## Measure the OCR against RapidOCR and PaddleOCR as they come, and the queue
	$(BIN)/python -m benchmarks.ocr --paddle-python $(PADDLE_VENV)/bin/python $(if $(COUNT),--count $(COUNT)) $(if $(FIGURES),--figures '$(FIGURES)') $(ARGS)
	$(BIN)/python -m benchmarks.queue

# SETS="--set other=DIR" measures drawn sets; without it, the sample that is kept in the repository.
bench-charts: $(STAMP) ## Measure the chart reader: right of claimed and of all, false claims, time
	$(BIN)/llava-graph eval charts measure $(if $(SETS),$(SETS),--set sample=evaluation/suites/charts/sample --split all) --out runs/charts $(ARGS)

bench-dispatch: $(STAMP) ## Measure dispatch by figure against engines in turn
	$(BIN)/python -m benchmarks.dispatch $(ARGS)

# ARGS="--streams 1 --streams 16 --rounds 1" is enough for a look. Without nginx on the machine, that is left out.
bench-gateways: $(STAMP) $(LITELLM_STAMP) ## Measure the gateway beside LiteLLM's proxy and nginx (1 GB more)
	$(BIN)/python -m benchmarks.gateways --litellm $(LITELLM_VENV)/bin/litellm $(ARGS)

# COUNT=100 asks about more figures; a run that was stopped goes on.
eval: $(STAMP) ## Measure the facts in the default model's answers, and compare them with its card
	$(BIN)/llava-graph eval facts --count $(or $(COUNT),12) --follow-ups $(or $(FOLLOW_UPS),2) --out runs/eval-$(or $(COUNT),12) $(ARGS)

bench-sse: $(STAMP) ## Measure what sending an event costs, against two libraries
	$(BIN)/python -m benchmarks.sse $(ARGS)

# The stack runs elsewhere: make up, then make soak URL=http://127.0.0.1:8000 ARGS="--minutes 60".
soak: $(STAMP) ## Send the hostile corpus to a running stack for an hour: make soak URL=http://…
	@if [[ -z "$(URL)" ]]; then echo "Which gateway? make soak URL=http://127.0.0.1:8000" >&2; exit 1; fi
	$(BIN)/python -m tests.hostile.soak '$(URL)' $(ARGS)

bench-agreement: $(STAMP) $(VLLM_STAMP) ## Compare greedy answers of vLLM and transformers
	$(BIN)/python -m benchmarks.agreement --vllm-python $(VLLM_VENV)/bin/python $(ARGS)

# The key, where the gateway wants one, is taken from LLAVA_GRAPH_KEY.
load: $(STAMP) ## Put load on a running gateway: make load URL=http://…
	@if [[ -z "$(URL)" ]]; then echo "Which gateway? make load URL=http://127.0.0.1:8000" >&2; exit 1; fi
	$(BIN)/python -m benchmarks.load '$(URL)' $(ARGS)

lint: $(STAMP) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Put the code into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## Write what is generated: the tables of docs/settings.md, the rules for Kubernetes
	$(BIN)/python -m docs.reference

clean: ## Remove .venv, caches and the logs of local runs
	rm -rf $(VENV) $(PADDLE_VENV) $(VLLM_VENV) $(LITELLM_VENV) .run .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	@if [[ -z "$(PYTHON)" ]]; then \
		echo "No Python 3.11 or newer with venv was found. Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[$(EXTRAS)]'
	touch $@

$(PAGE_STAMP): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[page-tests]'
	touch $@

# rapidocr for its weights alone, and without the OpenCV that it brings: PaddleOCR has another.
$(PADDLE_STAMP): pyproject.toml
	$(PYTHON) -m venv --clear $(PADDLE_VENV)
	$(PADDLE_VENV)/bin/python -m pip install --disable-pip-version-check --editable '.[paddle,data,local,dev]'
	$(PADDLE_VENV)/bin/python -m pip install --disable-pip-version-check --no-deps 'rapidocr>=3.10,<3.11'
	touch $@

$(LITELLM_STAMP):
	$(PYTHON) -m venv --clear $(LITELLM_VENV)
	$(LITELLM_VENV)/bin/python -m pip install --disable-pip-version-check 'litellm[proxy]>=1.80,<2'
	touch $@

$(VLLM_STAMP): $(VLLM_ENVIRONMENT)/requirements.txt $(VLLM_ENVIRONMENT)/torchvision_on_cpu.py $(VLLM_ENVIRONMENT)/torchvision_on_cpu.pth
	$(PYTHON) -m venv --clear $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check --requirement $(VLLM_ENVIRONMENT)/requirements.txt
	# Built for CUDA like torchvision, not needed, and imported by transformers where they are found.
	$(VLLM_VENV)/bin/python -m pip uninstall --yes torchaudio torchcodec
	cp $(VLLM_ENVIRONMENT)/torchvision_on_cpu.* "$$($(VLLM_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	touch $@
