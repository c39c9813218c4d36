# Everything a newcomer, a developer and the CI run. Each target does all of its own set-up, and does it once: stamp
# files tell what is already there, and a changed lock installs anew. The steps of the set-up itself are the scripts in
# builder/, which the image build runs too.
#
# PYTHON chooses the Python of a new virtual environment, VENV its folder:
# `make test PYTHON=python3.13 VENV=.venv-3.13`.

PYTHON ?= python3
VENV ?= .venv

UV := uv==0.13.9
# What `make bench` compares with. Not in a lock: their own pins of the OpenAI client contradict the worker's, so they
# get an environment of their own, and these are the newest versions that live in it together.
PEERS := litellm==1.82.2 langchain-openai==1.7.3 instructor==1.17.0 pydantic-ai-slim[openai]==2.38.0 \
	bespokelabs-curator==0.1.28

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run run-service run-endpoint run-website demo test test-loaded test-kills test-pods test-llama fuzz docs \
	lint bench bench-graph bench-site bench-quality bench-peers image-size screenshots setup vocabulary schemas types assets lock clean

MODEL := models/minilm-l6/model.onnx
VOCABULARY := vocabulary/fb374d419588a4632f3f557e76b4b70aebbca790
MADE := $(VENV)/.made
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_BENCH := $(VENV)/.installed-bench
IN_VENV := $(VENV)/bin/python
CLIENT := clients/typescript
WEBSITE := examples/sveltekit
VIEWER := doctown/site/viewer
# The tests install with it too.
OLDEST_PIP := .cache/pip/pip-22.3-py3-none-any.whl

# The caller's own variables that would change what the tests see: the worker's settings, named in .runpod/hub.json
# (which a test holds to the code), and what its libraries, pytest and Python read; without compiled modules, each of the
# many processes of the tests would compile them anew.
SETTINGS := $(shell sed -n 's/^ *"key": "\([A-Z0-9_]*\)".*/\1/p' .runpod/hub.json)
FOREIGN := $(filter $(SETTINGS) OPENAI_% EMBEDDING_% AWS_% R2_% RUNPOD_% TIKTOKEN_% PYTEST_% PYTHONPATH PYTHONWARNINGS \
	PYTHONDONTWRITEBYTECODE, $(.VARIABLES))
WITHOUT_FOREIGN := env $(addprefix -u ,$(FOREIGN))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# Who has no key yet gets a worker that works all the same.
OFFLINE_WITHOUT_KEY = if [ -z "$${OPENAI_API_KEY:-}$${MODEL_NAME:-}" ] && ! grep -qs '^OPENAI_API_KEY=.' .env; then \
		echo "OPENAI_API_KEY is not set, so the summaries are written offline, without a model (MODEL_NAME=offline)." >&2; \
		export MODEL_NAME=offline; \
	fi

run: $(INSTALLED) $(VOCABULARY) ## document test_input.json, or FILE=symbols.json (without a key: offline)
	@$(OFFLINE_WITHOUT_KEY); exec $(IN_VENV) -u handler.py $(if $(FILE),"$(FILE)")

demo: $(INSTALLED) $(VOCABULARY) ## document this repository into a .docpack, offline, and show it
	MODEL_NAME=offline $(IN_VENV) -m doctown build . --embeddings words
	$(IN_VENV) -m doctown show output/$(notdir $(CURDIR)).docpack

run-service: $(INSTALLED) $(VOCABULARY) ## serve POST /generate on port 8003 (without a key: offline)
	@$(OFFLINE_WITHOUT_KEY); exec $(IN_VENV) -u -m generation.service

ENDPOINT_PORT ?= 8004

# BUCKET=1 adds a bucket, so that it takes repositories: with what the tests have.
run-endpoint: $(if $(BUCKET),$(INSTALLED_DEV) $(MODEL),$(INSTALLED)) $(VOCABULARY) ## serve a local copy of RunPod's API with one worker on port 8004 (without a key: offline)
	@$(OFFLINE_WITHOUT_KEY); exec $(IN_VENV) -m tests.loopback.queue --worker $(if $(BUCKET),--bucket )--port $(ENDPOINT_PORT)

run-website: $(WEBSITE)/node_modules/.installed ## serve the example of a website on port 5173 (needs Node 20)
	cd $(WEBSITE) && npm run --silent dev

TEST = $(WITHOUT_FOREIGN) $(IN_VENV) -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

test: $(INSTALLED_DEV) $(VOCABULARY) $(MODEL) $(OLDEST_PIP) ## run the tests
	$(TEST)

test-loaded: $(INSTALLED_DEV) $(VOCABULARY) $(MODEL) $(OLDEST_PIP) ## run them beside one busy loop for each core
	builder/under_load.sh $(TEST)

test-kills: export KILLS ?= 1000
test-kills: $(INSTALLED_DEV) $(VOCABULARY) ## kill jobs a thousand times, in a folder and in a bucket (seven minutes)
	$(WITHOUT_FOREIGN) $(IN_VENV) -m pytest --numprocesses 2 tests/test_resume.py -k kills

test-pods: export POD_JOBS ?= 200
test-pods: export POD_KILL_EVERY_S ?= 10
test-pods: $(INSTALLED_DEV) $(VOCABULARY) ## run 200 jobs on three processes of the service and kill them (ten minutes)
	$(WITHOUT_FOREIGN) $(IN_VENV) -m pytest tests/doctown/service/test_pods.py

fuzz: export FUZZ_RUNS ?= 5000
fuzz: $(INSTALLED_DEV) $(VOCABULARY) ## play 5,000 runs against servers whose replies hold odd values (five minutes)
	$(WITHOUT_FOREIGN) $(IN_VENV) -m pytest -o timeout=3000 tests/generation/test_any_reply.py

docs: $(MADE) ## check the links of the documentation
	$(IN_VENV) builder/check_links.py

SCRIPTS := .ci/run $(wildcard *.sh builder/*.sh)

lint: $(INSTALLED_DEV) ## check style (ruff), types (mypy), shell scripts, workflows and the Dockerfile
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy
	$(VENV)/bin/shellcheck $(SCRIPTS)
	PATH="$(abspath $(VENV)/bin):$$PATH" actionlint .github/workflows/*.yml examples/*.yml
	$(VENV)/bin/hadolint Dockerfile

bench: $(INSTALLED_BENCH) $(VOCABULARY) $(MODEL) ## measure the worker, beside its peers where `make bench-peers` has been run
	$(WITHOUT_FOREIGN) $(IN_VENV) -m benchmarks
	$(WITHOUT_FOREIGN) $(IN_VENV) -m benchmarks.builds

bench-graph: $(INSTALLED_DEV) ## measure the call graph against compilers (Node 20; some rows need Go, Java, ctags)
	$(WITHOUT_FOREIGN) $(IN_VENV) -m benchmarks.graph $(if $(ONLY),--only $(ONLY))

bench-site: $(INSTALLED_DEV) $(VOCABULARY) ## measure the site of sympy's pack in headless Chromium (five minutes)
	$(WITHOUT_FOREIGN) $(IN_VENV) -m benchmarks.site $(if $(PACK),--pack "$(PACK)")

screenshots: $(INSTALLED_DEV) $(VOCABULARY) $(MODEL) ## take the pictures of a site in docs/images/ anew, in headless Chromium
	$(WITHOUT_FOREIGN) $(IN_VENV) -m benchmarks.screenshots

# A real server and a small code model, outside of the virtual environment: LLAMA=FOLDER takes what is there.
LLAMA ?= .cache/llama

test-llama: $(INSTALLED_DEV) $(VOCABULARY) $(MODEL) ## run 40 symbols on a real llama.cpp server, and kill it in mid-run
	builder/set_up_llama.sh $(IN_VENV) $(LLAMA)
	$(WITHOUT_FOREIGN) TIKTOKEN_CACHE_DIR=$(dir $(VOCABULARY)) $(IN_VENV) -m benchmarks.quality test --folder $(LLAMA)

bench-quality: $(INSTALLED_DEV) $(VOCABULARY) $(MODEL) ## compare summaries of a real code model with human docstrings
	builder/set_up_llama.sh $(IN_VENV) $(LLAMA)
	$(WITHOUT_FOREIGN) TIKTOKEN_CACHE_DIR=$(dir $(VOCABULARY)) $(IN_VENV) -m benchmarks.quality bench --folder $(LLAMA)

bench-peers: $(VENV)-peers/.installed ## install what `make bench` can compare the worker with

.PHONY: installed
installed: $(INSTALLED) $(VOCABULARY) $(MODEL) ## install what the commands need

setup: $(INSTALLED_DEV) $(VOCABULARY) $(MODEL) $(OLDEST_PIP) ## set up everything that run, test and lint need

vocabulary: $(VOCABULARY) ## fetch the tokenizer's vocabulary, checked by its SHA-256

# What the build of the image makes, with its own scripts, where no container engine is at hand.
IMAGE := .cache/image

image-size: $(MADE) $(VOCABULARY) $(MODEL) ## report the size of what each layer of the image holds (below 700 MB)
	rm -rf $(IMAGE)
	$(PYTHON) -m venv $(IMAGE)
	builder/install_dependencies.sh $(IMAGE)/bin/python requirements.lock
	$(IN_VENV) builder/strip_environment.py $(IMAGE)
	$(IN_VENV) builder/image_size.py $(IMAGE)

schemas: $(INSTALLED) ## write the JSON Schemas in schemas/ anew
	$(IN_VENV) builder/write_schemas.py
	$(IN_VENV) builder/write_docpack_schemas.py

types: schemas $(CLIENT)/node_modules/.installed ## write the types of the TypeScript client anew (needs Node 20)
	cd $(CLIENT) && npm run --silent types

assets: $(VIEWER)/node_modules/.installed ## build the viewer of packs into doctown/site/assets/ (needs Node 20)
	cd $(VIEWER) && npm run --silent build

# One version of each package for all Pythons: what is tested on one is what runs on the others.
LOCK := $(IN_VENV) -m uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --annotation-style line --no-emit-index-url --custom-compile-command 'make lock'
lock: $(MADE) ## lock the dependencies anew, each at its newest version that requirements*.txt allow
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check '$(UV)'
	$(LOCK) --upgrade requirements.txt --output-file requirements.lock
	$(LOCK) --upgrade --constraints requirements.lock requirements-dev.txt --output-file requirements-dev.lock

clean: ## remove what the other targets made, except results
	rm -rf .venv .venv-* vocabulary models .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf $(addsuffix /node_modules,$(CLIENT) $(VIEWER) $(WEBSITE)) $(addsuffix /build,$(CLIENT) $(VIEWER) $(WEBSITE))
	rm -rf $(CLIENT)/dist $(WEBSITE)/.svelte-kit $(WEBSITE)/static/viewer
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp, not the folder, says that an environment is whole: a broken `python -m venv` leaves a folder behind. What
# lies there is cleared, unless it is something else than a virtual environment. A changed lock makes it anew: a package
# that has left the lock would stay, and may contradict the new one.
$(MADE): requirements.lock requirements-dev.lock
$(MADE) $(VENV)-peers/.made:
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) is not there: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is `$(PYTHON) -V 2>&1`; Doctown needs 3.11 or newer: make PYTHON=/path/to/python3" >&2; \
		exit 1; }
	@test ! -e $(@D) || test -e $(@D)/pyvenv.cfg || { \
		echo "$(@D) is there and is no virtual environment: name another folder: make VENV=FOLDER" >&2; \
		exit 1; }
	$(PYTHON) -m venv --clear $(@D)
	@touch $@

$(INSTALLED): $(MADE)
	@echo "Installing the dependencies (half a minute the first time)."
	builder/install_dependencies.sh $(IN_VENV) requirements.lock
	@touch $@

$(INSTALLED_DEV): $(MADE)
	@echo "Installing the dependencies for development (a minute the first time)."
	builder/install_dependencies.sh $(IN_VENV) requirements-dev.lock
	@touch $@ $(INSTALLED)

$(INSTALLED_BENCH): requirements-bench.txt $(INSTALLED_DEV)
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check --only-binary :all: -r requirements-bench.txt
	@touch $@

$(VENV)-peers/.installed: Makefile $(VENV)-peers/.made
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check $(PEERS)
	@touch $@

$(CLIENT)/node_modules/.installed $(VIEWER)/node_modules/.installed $(WEBSITE)/node_modules/.installed: %/node_modules/.installed: %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(OLDEST_PIP): requirements-pip.lock | $(MADE)
	$(IN_VENV) -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
		--requirement requirements-pip.lock --dest $(@D)
	@touch $@

$(VOCABULARY): | $(MADE)
	$(IN_VENV) builder/fetch_vocabulary.py $(@D)

$(MODEL): | $(MADE)
	$(IN_VENV) builder/fetch_embedding_model.py $(@D)
