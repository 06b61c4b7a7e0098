# `make help` lists what there is. Everything lives in .venv; nothing outside this folder is changed.
PYTHON ?= python3
VENV ?= .venv
LOWEST ?= .venv-lowest
CLIENTS ?= .venv-clients
COHERE ?= .venv-clients-cohere
PAGE ?= .venv-page
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet
# A whole file of tests goes to one process. One thread each, else they wait for each other; about 2 GB of memory each.
WORKERS ?= 2
# Compiled files are kept, also where the system says otherwise: processes of the tests then start faster.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder
PACKAGES = -e .[demo] -e models/mini -e models/mini-zh -e demo -e integrations/llamaindex -e integrations/langchain
METADATA = pyproject.toml models/mini/pyproject.toml models/mini-zh/pyproject.toml demo/pyproject.toml $(wildcard integrations/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-slow test-lowest test-clients test-page test-ray mutants lint bench docs wheels clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## two-stage retrieval on the bundled sample, in both frameworks, without any download of weights
	$(BIN)/rerank-plugins demo
	$(BIN)/rerank-plugins demo --language zh --model mini-zh --embedder mini-zh --output demo-output/zh

test: $(VENV)/.dev lint ## linters, then the tests that take no more than a few seconds each
	$(PYTEST) -m "not slow"

# Both environments first: what cannot be installed shows at once, not behind all tests.
test-all: $(VENV)/.dev $(LOWEST)/.lowest ## every test there is; CI runs this
	$(MAKE) test
	$(MAKE) test-slow
	$(MAKE) test-lowest
	$(MAKE) test-clients
	$(MAKE) test-ray
	$(MAKE) test-page

test-slow: $(VENV)/.dev ## notebooks, examples, installs, trainings that are killed and go on: what takes longer
	$(PYTEST) -m slow

test-lowest: BIN = $(LOWEST)/bin
# The lowest httpx is the newest too: its tests would be the same.
test-lowest: $(LOWEST)/.lowest ## core and adapter tests on the lowest versions that the metadata allows
	$(PYTEST) tests/unit tests/conformance tests/parity/test_goldens.py tests/parity/test_llm_goldens.py integrations -m "not slow" \
		--ignore=tests/unit/remote

test-clients: $(VENV)/.dev $(CLIENTS)/.clients $(COHERE)/.cohere ## the packages of cohere, openai, LlamaIndex, LangChain, ... against our server; an environment of their own
	for folder in $(CLIENTS) $(COHERE); do \
		SERVER_PYTHON=$(CURDIR)/$(BIN)/python $$folder/bin/python -m pytest -c tests/clients/pytest.ini \
			--rootdir tests/clients --confcutdir tests/clients tests/clients || exit 1; done

test-ray: $(VENV)/.ray ## jobs and the server on a Ray cluster of this machine, with processes killed under way (two minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/cluster

test-page: $(VENV)/.dev $(PAGE)/.page ## the page of the server in the system's Chromium (CHROMIUM names another; without one it skips and says so)
	SERVER_PYTHON=$(CURDIR)/$(BIN)/python $(PAGE)/bin/python -m pytest -c tests/page/pytest.ini \
		--rootdir tests/page --confcutdir tests/page tests/page

mutants: $(VENV)/.dev ## small faults put into the core one by one; at least 90 % must make a fast test fail (a quarter of an hour)
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutants/run_mutants.py

lint: $(VENV)/.dev ## ruff (each rule with its reason in pyproject.toml) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench ## side by side with the peers on this CPU, about a quarter of an hour; writes benchmarks/results/cpu.json
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev ## make the pages again that are made from the catalog
	$(BIN)/python docs/refresh.py

wheels: $(VENV)/.dev ## build the distributions into dist/
	for folder in . models/mini models/mini-zh demo integrations/llamaindex integrations/langchain integrations/testing; do \
		$(BIN)/python -m build --quiet --no-isolation --outdir dist $$folder || exit 1; done

clean: ## remove the environments and what was built
	rm -rf $(VENV) $(LOWEST) $(CLIENTS) $(COHERE) $(PAGE) dist demo-output

# torch first and alone: with it in place nothing else can ask for a build with CUDA packages.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) -c constraints.txt torch
	touch $@

$(VENV)/.demo: $(VENV)/.torch $(METADATA)
	$(PIP) -c constraints.txt $(PACKAGES)
	touch $@

$(VENV)/.dev: $(VENV)/.demo requirements-dev.txt
	$(PIP) -c constraints.txt -r requirements-dev.txt -e integrations/testing
	$(PIP) -c constraints.txt --no-deps BCEmbedding
	touch $@

$(VENV)/.ray: $(VENV)/.dev
	$(PIP) -c constraints.txt -e .[ray]
	touch $@

$(VENV)/.bench: $(VENV)/.dev benchmarks/requirements.txt
	$(PIP) -c constraints.txt -r benchmarks/requirements.txt
	touch $@

$(CLIENTS)/.clients: tests/clients/requirements.txt tests/clients/constraints.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --upgrade pip
	$(CLIENTS)/bin/python -m pip install --quiet -c tests/clients/constraints.txt -r tests/clients/requirements.txt
	touch $@

$(COHERE)/.cohere: tests/clients/requirements-cohere.txt tests/clients/constraints-cohere.txt
	$(PYTHON) -m venv $(COHERE)
	$(COHERE)/bin/python -m pip install --quiet --upgrade pip
	$(COHERE)/bin/python -m pip install --quiet -c tests/clients/constraints-cohere.txt -r tests/clients/requirements-cohere.txt
	touch $@

$(PAGE)/.page: tests/page/requirements.txt tests/page/constraints.txt
	$(PYTHON) -m venv $(PAGE)
	$(PAGE)/bin/python -m pip install --quiet --upgrade pip
	$(PAGE)/bin/python -m pip install --quiet -c tests/page/constraints.txt -r tests/page/requirements.txt
	touch $@

$(LOWEST)/.lowest: constraints-lowest.txt $(METADATA)
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade pip
	$(LOWEST)/bin/python -m pip install --quiet -c constraints-lowest.txt torch
	$(LOWEST)/bin/python -m pip install --quiet -c constraints-lowest.txt \
		-e .[torch,onnx,evaluation,telemetry,serve] -e models/mini -e models/mini-zh -e demo -e integrations/llamaindex -e integrations/langchain \
		-e integrations/testing \
		langchain-classic langchain-tests hypothesis opentelemetry-sdk pytest pytest-asyncio pytest-timeout pytest-xdist
	touch $@
