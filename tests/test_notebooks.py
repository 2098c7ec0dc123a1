"""The chapters are in order, and so is the tool that keeps their address."""

import difflib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import address
import nbformat
import pytest
import refresh

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
URL, BRANCH = address.read_address((ROOT / "_config.yml").read_text(encoding="utf-8"))
FORK = "https://github.com/a-teacher/my.fork_2"

MYST_ONLY = re.compile(
    r"^\s*(?:`{3,}|:{3,}|~{3,})\{"  # a directive
    r"|\{[a-zA-Z][\w:.+-]*\}`"  # a role
    r"|^\([\w-]+\)=\s*$"  # a target
    r"|\{\{.*\}\}"  # a substitution
    r"|^%\s",  # a comment
    re.M,
)

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


# The chapters


def test_chapters_are_numbered_once_each():
    assert CHAPTERS
    names = [re.fullmatch(r"(\d\d)_[a-z0-9_]+", path.stem) for path in CHAPTERS]
    assert all(names)
    assert len({name[1] for name in names}) == len(names)


@each_chapter
def test_a_chapter_is_as_refresh_leaves_it(path):
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert not refresh.id_problems(raw)
    notebook = read(path)
    nbformat.validate(notebook)
    assert not refresh.output_problems(notebook)
    # Among other things: cells executed in order, no volatile metadata, a newline at the end.
    assert path.read_text(encoding="utf-8") == refresh.to_text(refresh.tidy(notebook))


@each_chapter
def test_every_figure_has_alt_text(path):
    for cell in code(read(path)):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if kinds & {"image/png", "image/svg+xml", "image/jpeg"}:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 5, f"cell {cell.id}: say in words what the figure shows"


@each_chapter
def test_a_chapter_opens_in_colab_and_installs_the_library_there(path):
    notebook = read(path)
    assert address.badge(URL, BRANCH, f"notebooks/{path.name}") in prose(notebook)[0].source
    setups = [cell for cell in code(notebook) if "setup" in cell.metadata.get("tags", [])]
    assert [cell.source for cell in setups] == [address.setup_cell(URL)]
    assert setups[0].id == code(notebook)[0].id, "the set-up cell comes first"


@each_chapter
def test_code_fits_on_the_page(path):
    for cell in code(read(path)):
        if "setup" not in cell.metadata.get("tags", []):  # its length depends on the address
            for line in cell.source.splitlines():
                assert len(line) <= 75, f"cell {cell.id}: {line}"


@each_chapter
def test_a_chapter_has_its_closing_parts_and_tests_a_claim(path):
    notebook = read(path)
    headings = re.findall(r"^#+ (.*)$", "\n".join(c.source for c in prose(notebook)), re.M)
    for part in ("summary", "exercises", "further reading"):
        assert any(part in heading.lower() for heading in headings), part
    assert any(re.search(r"^\s*assert\b", cell.source, re.M) for cell in code(notebook))


@each_chapter
def test_prose_reads_the_same_on_colab_and_github(path):
    for cell in prose(read(path)):
        assert not (found := MYST_ONLY.search(cell.source)), f"cell {cell.id}: {found[0]}"


@pytest.mark.parametrize(
    "text",
    ["```{note}\nx", ":::{tip}", "see {cite}`pang2004`", "{numref}`a`", "(here)=", "{{ x }}"],
)
def test_what_only_myst_reads_is_found(text):
    assert MYST_ONLY.search(text)


@pytest.mark.parametrize("text", ["```python\nx\n```", "$\\{a\\}$ `b`", "| 3% of | x |", "(a) = b"])
def test_plain_markdown_is_let_through(text):
    assert not MYST_ONLY.search(text)


# The address tool


def cell(kind, source, cell_id, **metadata):
    made = {"id": cell_id, "cell_type": kind, "source": source, "metadata": metadata}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def write_notebook(path, *cells, **metadata):
    path.parent.mkdir(exist_ok=True)
    notebook = {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


@pytest.fixture
def book(tmp_path):
    """Return a copy of all that names the address, with a sample chapter that names it."""
    for path in [*address.files(ROOT), ROOT / "_config.yml", ROOT / "book/tools/address.py"]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    write_notebook(
        tmp_path / "notebooks" / "98_sample.ipynb",
        cell("markdown", address.badge(URL, BRANCH, "notebooks/98_sample.ipynb"), "badge"),
        cell("code", address.setup_cell(URL), "set-up", tags=["setup"]),
        cell("markdown", f"Ask at {URL}/issues or read {URL}. Not {URL}-two, {URL}.io.", "links"),
    )
    (tmp_path / "README.md").write_text(f"git clone {URL}.git\n", encoding="utf-8")
    return tmp_path


def run_address(book, *arguments):
    """Run the command as with a plain Python that has nothing installed."""
    command = [sys.executable, "-I", "-S", str(book / "book/tools/address.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(book):
    return {path: path.read_bytes() for path in sorted(book.rglob("*")) if path.is_file()}


def test_the_whole_book_names_one_address():
    assert address.main([]) == 0
    assert not address.why_invalid(URL)


def test_a_fork_changes_every_address_and_nothing_else(book):
    before = contents(book)
    assert run_address(book).stdout == f"{URL} (branch {BRANCH})\n"
    done = run_address(book, FORK)
    assert done.returncode == 0, done.stderr
    assert "notebooks/98_sample.ipynb" in done.stdout
    assert run_address(book).stdout == f"{FORK} (branch {BRANCH})\n"

    after = contents(book)
    assert after.keys() == before.keys()
    old, new = URL.removeprefix("https://github.com/"), FORK.removeprefix("https://github.com/")
    for path, content in after.items():
        for line in difflib.ndiff(before[path].decode().split(), content.decode().split()):
            assert line.startswith(("  ", "? ")) or {"-": old, "+": new}[line[0]] in line, path
    sample = read(book / "notebooks" / "98_sample.ipynb")
    assert sample.cells[0].source == address.badge(FORK, BRANCH, "notebooks/98_sample.ipynb")
    assert sample.cells[1].source == address.setup_cell(FORK)
    links = f"Ask at {FORK}/issues or read {FORK}. Not {URL}-two, {URL}.io."
    assert sample.cells[2].source == links
    assert (book / "README.md").read_text() == f"git clone {FORK}.git\n"

    assert "changed 0 files" in run_address(book, FORK).stdout
    run_address(book, URL)
    assert contents(book) == before


def test_a_chapter_that_went_astray_is_named_and_brought_back(book):
    path = book / "notebooks" / "98_sample.ipynb"
    right = path.read_text(encoding="utf-8")
    path.write_text(address.readdress(right, URL, FORK, "trunk"), encoding="utf-8")
    found = run_address(book)
    assert found.returncode == 1
    assert found.stderr == f"  {Path('notebooks/98_sample.ipynb')} names another address\n"
    assert run_address(book, URL).returncode == 0
    assert run_address(book).returncode == 0
    assert read(path).cells[:2] == nbformat.reads(right, as_version=4).cells[:2]


def test_badges_follow_the_branch():
    old, new = (address.badge(URL, branch, "notebooks/01_x.ipynb") for branch in ("main", "v2"))
    assert old != new
    assert address.readdress(old, URL, URL, "v2") == new


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://github.com/you/fork.git", "leave out the .git"),
        ("https://github.com/you/fork/", "leave out the slash"),
        ("http://github.com/you/fork", "must begin with https://github.com/"),
        ("git@github.com:you/fork", "must begin with https://github.com/"),
        ("https://github.com/you", "<owner>/<repository> and nothing more"),
        ("https://github.com/you/fork/tree/main", "<owner>/<repository> and nothing more"),
        ("https://github.com/you/a fork", "<owner>/<repository> and nothing more"),
    ],
)
def test_what_is_no_address_is_refused(book, url, said):
    before = contents(book)
    done = run_address(book, url)
    assert done.returncode == 2
    assert said in done.stderr
    assert contents(book) == before


def test_the_address_is_read_whatever_the_form_of_the_configuration():
    block = (
        "title: x\nrepository:\n  # a comment\n  url: 'https://github.com/a/b'\n  branch: trunk\n"
    )
    flow = "repository: {url: https://github.com/a/b, branch: trunk, path_to_book: ''}\n"
    assert address.read_address(block) == ("https://github.com/a/b", "trunk")
    assert address.read_address(flow) == ("https://github.com/a/b", "trunk")
