# make book         renders the committed chapters to _build/html (no torch; two minutes, one later)
# make test         recomputes every number in them and runs every test (half an hour)
# make check        what to run between two edits: style, types, fast tests, stale chapters (a minute)
# make pdf          prints each chapter and the whole book to _build/html/pdf (half a minute)
# make lint         the first two of these
# make refresh      executes the chapters that are stale (the time that each says at its top)
# make colab        runs the chapters as on Colab and keeps which passed (about a minute each), or
#                   with NAME=04 those with this in their name
# make chapter NAME=04_parameter_efficiency TITLE="Parameter efficiency"   begins a chapter
# make assignments  writes what students get to _build/assignments, and runs each (two minutes);
#                   with COURSE=spring and, for a folder a student, ROSTER=students.csv
# make grade SUBMISSIONS=folder ROSTER=students.csv   grades what they hand in (COURSE as above)
# make slides       shows the chapters as slides, in _build/html/slides
# make records NAME=reviews   runs a recorded experiment anew (reviews: an hour), or lists them
# make constraints  renews the pins of constraints.txt (a minute)
# make address      points badges and set-up cells at git's origin, or at REPO=https://github.com/…
# make clean        removes what these made, but for the downloads in the user's cache

SHELL := /bin/bash -o pipefail
PYTHON ?= python3
WORKERS ?= 2

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
CORES := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() or 1)')
THREADS := $(shell echo $$(( $(CORES) > $(WORKERS) ? $(CORES) / $(WORKERS) : 1 )))
PAGES := _config.yml _toc.yml $(shell find book notebooks -type f -not -path '*/.*' -not -path 'book/tools/*')

PYTEST = OMP_NUM_THREADS=$(THREADS) TQDM_DISABLE=1 $(BIN)/python -m pytest -n $(WORKERS)

.PHONY: book pdf slides test check lint refresh colab chapter assignments grade records constraints address clean FORCE
.DELETE_ON_ERROR:

book: _build/.built
	@echo "The book is at _build/html/index.html"

# From the pages that `make book` made, onto which it puts a link.
pdf: _build/.built .venv/.pdf
	$(BIN)/python book/tools/pdf.py

# Also from what `make book` made, whose styles and formulas they use.
slides: _build/.built .venv/.slides
	$(BIN)/python book/tools/slides.py

test: lint _build/.built
	$(BIN)/python book/tools/refresh.py --check
	$(BIN)/python -m lleval_lib fetch
	$(PYTEST) --nbval --nbval-cell-timeout=600

# What stands out in size is no error. Stale chapters come last: between edits there are some.
check: lint book/library.md
	$(PYTEST) -q -m "not slow" tests lleval_lib
	$(BIN)/python book/tools/sizes.py
	$(BIN)/python book/tools/refresh.py --check

lint: .venv/.test
	$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

refresh: .venv/.test
	$(BIN)/python -m lleval_lib fetch
	$(BIN)/python book/tools/claims.py
	$(BIN)/python book/tools/refresh.py

colab: .venv/.test
	$(BIN)/python -m lleval_lib fetch
	LLEVAL_COLAB=all $(PYTEST) tests/test_colab.py $(if $(NAME),-k "$(NAME)")

chapter: .venv/.test
	$(BIN)/python book/tools/chapter.py "$(NAME)" "$(TITLE)"

assignments: .venv/.test
	$(BIN)/python -m lleval_lib fetch
	$(BIN)/python book/tools/assignments.py --course "$(COURSE)" $(if $(ROSTER),--students "$(ROSTER)")

grade: .venv/.test
	$(BIN)/python -m lleval_lib grade "$(SUBMISSIONS)" --roster "$(ROSTER)" --course "$(COURSE)" \
	    --assignment "notebooks/assignments$(if $(ASSIGNMENT),/$(ASSIGNMENT).ipynb)" \
	    --output "$(or $(OUTPUT),_build/grades)"

records: .venv/.test
	$(BIN)/python experiments/record.py $(NAME)

constraints: .venv/.test
	$(BIN)/python book/tools/constraints.py

address:
	$(PYTHON) book/tools/address.py $(REPO)

clean:
	rm -rf .venv _build book/library.md .*_cache *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("make needs Python 3.11 or newer; name one with \
	make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

# The book's own requirements without the library's, so that rendering needs no torch.
.venv/.book: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb")) \
	    ["project"]["optional-dependencies"]["book"])')
	touch $@

.venv/.pdf: pyproject.toml constraints.txt | .venv/.book
	$(PIP) $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb")) \
	    ["project"]["optional-dependencies"]["pdf"])')
	touch $@

.venv/.slides: pyproject.toml constraints.txt | .venv/.book
	$(PIP) $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb")) \
	    ["project"]["optional-dependencies"]["slides"])')
	touch $@

# An old pip takes minutes to work out what to install; a new one takes seconds.
.venv/.test: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'
	$(PIP) --editable '.[applications,book,frontier,pdf,slides,test,tools]'
	touch $@ .venv/.book .venv/.pdf .venv/.slides

# Written only when it says something new, so that the book is not built again for nothing.
book/library.md: FORCE | .venv/bin/python
	@$(BIN)/python book/tools/reference.py

# From clean each time, because an incremental build hides warnings. A teacher's grades stay.
_build/.built: $(PAGES) book/library.md | .venv/.book
	rm -rf _build/html _build/.doctrees _build/jupyter_execute
	$(BIN)/jupyter-book build . -W -n --keep-going --quiet
	touch $@
