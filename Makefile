# Every target makes what it needs: `make demo` or `make test` in a fresh clone is enough.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --constraint constraints.txt

# The embedding model comes out of an installed package: nothing is asked of a model hub.
export HF_HUB_OFFLINE := 1
SIZES := $(if $(FULL),1000 10000 100000,1000 10000)

.DELETE_ON_ERROR:
.PHONY: demo test check bench docs examples constraints clean

demo: .venv/usable ## the main job: a chatbot's questions through a cache on disk
	$(BIN)/semcache demo

test: .venv/ready ## all tests, with the coverage gate
	$(BIN)/python -m pytest --cov

check: .venv/ready ## formatting, lint, types, the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/api.py
	$(BIN)/lint-imports

bench: .venv/ready ## speed and memory beside peers and floors, < 10 min; FULL=1: 100,000 entries and more
	$(BIN)/python -m benchmarks.embedding --rounds 50
	$(BIN)/python -m benchmarks.harness --sizes $(SIZES) --json .bench/result.json
ifdef FULL
	$(BIN)/python -m benchmarks.store --sizes 10000,100000,1000000 --scopes 1,1000
	$(BIN)/python -m benchmarks.eviction
	$(if $(SEMCACHE_DATA),$(BIN)/python -m benchmarks.quality)
endif

docs: .venv/ready ## build the site into site/; links, anchors and navigation must be right
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

examples: .venv/ready ## run every example in the README, docs/ and notebooks/
	$(BIN)/python -m pytest tests/integration/test_docs.py tests/integration/test_notebooks.py

constraints: .venv/ready ## pin what .venv holds now
	$(BIN)/python tools/pin.py > constraints.new
	mv constraints.new constraints.txt

clean: ## what the other targets left behind, but for .venv
	rm -rf build dist site htmlcov .coverage .coverage.* .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache semcache-demo

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "semcache needs Python 3.10 or newer as '$(PYTHON)'; name another: make PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(PYTHON) -m venv .venv || { \
	  echo "'$(PYTHON) -m venv' failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

# The largest download comes first and alone, so that it is kept when a later step fails. The build
# backend is installed rather than isolated, so that it is the pinned one.
.venv/usable: .venv/made pyproject.toml constraints.txt
	@echo "Installing semcache into .venv: some minutes the first time"
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) "$$(grep '^hatchling==' constraints.txt)"
	@$(PIP) --no-build-isolation --editable '.[langchain,offline]'
	@touch $@

.venv/ready: .venv/usable
	@echo "Installing what tests and checks need"
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@
