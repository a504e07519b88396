# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# never in the environment of the node: they bring their own versions of libraries that it uses too
PEERS := .venv-peers
PYTHON_PEERS := tests/support/peers-requirements.txt
NODE_PEERS := tests/support/peers-node.txt
# what computes for long and talks to nobody: two files at a time; everything else has the machine for itself
COMPUTE := tests/engine tests/node/test_resume_encoder.py \
	$(wildcard tests/node/test_train*.py tests/node/test_evaluate*.py)
CT ?=
OUT ?= demo-out

.PHONY: setup peers demo test quick check fix bench crash clean

setup: $(STAMP)

# torch first: sam2 builds against the torch that is installed
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.14.1 torchvision==0.29.1
	SAM2_BUILD_CUDA=0 $(BIN)/pip install --quiet --no-build-isolation -e ".[test,dev]"
	touch $@

# software of others that tests talk to; without npm, tests with the part of it that runs on Node are skipped
peers: $(PEERS)/.python $(if $(shell command -v npm),$(PEERS)/.node)

$(PEERS)/.python: $(PYTHON_PEERS)
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet -r $<
	touch $@

$(PEERS)/.node: $(NODE_PEERS) | $(PEERS)/.python
	npm install --silent --no-audit --no-fund --prefix $(PEERS) $$(cat $<)
	touch $@

demo: setup
	$(BIN)/emerald demo --out $(OUT) $(if $(CT),--ct $(CT))

test: setup peers
	$(BIN)/pytest -n 2 --dist loadfile $(COMPUTE)
	$(BIN)/pytest $(addprefix --ignore=,$(COMPUTE))

quick: setup
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow and not foreign"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

fix: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup peers
	$(BIN)/python -m tests.bench

crash: setup
	$(BIN)/python -m tests.crash --moments 20

clean:
	rm -rf $(VENV) $(PEERS) build dist *.egg-info $(OUT)
