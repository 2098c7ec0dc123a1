# make book    renders the committed chapters to _build/html (no torch, about a minute)
# make test    recomputes every number in them and runs the library's tests
# make refresh re-executes the chapters whose code, or the library under them, changed
# make records rebuilds the recorded results in lleval_lib/records (about an hour on two cores)
# make address REPO=https://github.com/you/your-fork   points badges and set-up cells at a fork
# make clean   removes what the above made, but for the downloads in the user's cache

SHELL := /bin/bash -o pipefail
PYTHON ?= python3
WORKERS ?= 2

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
CORES := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() or 1)')
THREADS := $(shell echo $$(( $(CORES) > $(WORKERS) ? $(CORES) / $(WORKERS) : 1 )))
PAGES := _config.yml _toc.yml $(shell find book notebooks -type f -not -path '*/.*')

.PHONY: book test refresh records address lint clean
.DELETE_ON_ERROR:

book: _build/.built
	@echo "The book is at _build/html/index.html"

test: .venv/.test _build/.built
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/python -m lleval_lib fetch
	OMP_NUM_THREADS=$(THREADS) TQDM_DISABLE=1 $(BIN)/python -m pytest \
	    --nbval --nbval-cell-timeout=600 -n $(WORKERS) --dist loadfile

refresh: .venv/.test
	$(BIN)/python -m lleval_lib fetch
	$(BIN)/python book/tools/refresh.py

records: .venv/.test
	$(BIN)/python -m lleval_lib records

address:
	$(PYTHON) book/tools/address.py $(REPO)

clean:
	rm -rf .venv _build .pytest_cache *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("make needs Python 3.11 or newer; name one with \
	make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

# The book's own requirements without the library's, so that rendering needs no torch.
.venv/.book: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb")) \
	    ["project"]["optional-dependencies"]["book"])')
	touch $@

# An old pip takes minutes to work out what to install; a new one takes seconds.
.venv/.test: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'
	$(PIP) --editable '.[book,test]'
	touch $@ .venv/.book

# From clean each time, because an incremental build hides warnings.
_build/.built: $(PAGES) | .venv/.book
	rm -rf _build
	$(BIN)/jupyter-book build . -W -n --keep-going --quiet
	touch $@
