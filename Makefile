# Two targets do all the set-up: `make lab` opens the course, `make test` passes the tests. See README.md for Windows, conda and uv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LAB_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help lab test test-fast book claims bench lint notebooks lock clean

help:
	@echo "make lab         set up on first use, then open the course in JupyterLab (LAB_ARGS=\"--no-browser --port 8899\" passes through)"
	@echo "make test        set up on first use, then run every test"
	@echo "make test-fast   the quick unit tests"
	@echo "make book        run every chapter and build the static book"
	@echo "make claims      measure every statement of the talk"
	@echo "make bench       time the code against its peers"
	@echo "make lint        ruff and mypy"
	@echo "make notebooks   write the .ipynb twins from the .py texts"
	@echo "make lock        resolve requirements.lock anew"
	@echo "make clean       remove what the other targets made"

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; $(PYTHON) is older. Try: make PYTHON=python3.12 …"; exit 2; }
	@echo "Setting up $(VENV) with the locked versions: about two minutes and 2 GB, once."
	@if [ "$$(uname)" = Linux ] && ! command -v nvidia-smi >/dev/null && [ -z "$$PIP_EXTRA_INDEX_URL$$PIP_FIND_LINKS" ]; then \
	  echo "No NVIDIA driver found. The CPU build of PyTorch is smaller by gigabytes: stop this with Ctrl-C and run"; \
	  echo "  PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make $(or $(MAKECMDGOALS),lab)"; fi
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@$(BIN)/jupyter labextension disable --level=sys_prefix "@jupyterlab/apputils-extension:announcements" >/dev/null 2>&1 || true
	@touch $@

lab: $(READY)
	@echo "Opening JupyterLab on notebooks/00_start_here.ipynb; Ctrl-C twice stops it."
	@$(BIN)/gdl-lab open $(LAB_ARGS)

test: $(READY)
	@echo "Running every test: units, notebooks, pages."
	@$(BIN)/gdl-lab test

test-fast: $(READY)
	@$(BIN)/gdl-lab test --fast

book: $(READY)
	@echo "Running every chapter and building the book."
	@$(BIN)/gdl-lab book

claims: $(READY)
	@$(BIN)/gdl-lab claims

bench: $(READY)
	@$(BIN)/gdl-lab bench

lint: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

notebooks: $(READY)
	@$(BIN)/jupytext --quiet --to ipynb notebooks/*.py

# torch is pinned without a local version, since the CPU build's differs; its CUDA libraries are left to pip, which takes those that the build asks for.
lock: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo "torch==2.13.0" | $(BIN)/uv pip compile pyproject.toml - --quiet --universal --python-version 3.11 \
	  --extra lab --extra book --extra test --no-header --no-annotate --no-emit-index-url --upgrade \
	  | grep -vE '^(nvidia-|cuda-|triton)' > $(VENV)/requirements.lock
	@mv $(VENV)/requirements.lock requirements.lock

clean:
	@rm -rf $(VENV) _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
