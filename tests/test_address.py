"""The whole book names one address, and one command changes it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import address
import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).resolve().parents[1]
OURS = "https://github.com/some-one/book"
FORK = "https://github.com/a-teacher/my.fork_2"


def book(url):
    """Return the texts of a small book that names `url` in every way."""
    setup = {"cell_type": "code", "metadata": {"tags": ["setup"]}}
    setup["source"] = address.setup_cell(url).splitlines(keepends=True)
    badge = address.badge(url, "main", "notebooks/01_x.ipynb")
    prose = {"cell_type": "markdown", "metadata": {}, "source": [f"{badge} 谁?"]}
    notebook = {"cells": [prose, setup], "nbformat": 4}
    return {
        "_config.yml": f"repository:\n  url: {url}  # ours\n  branch: main\n",
        "README.md": f"git clone {url}.git\r\nor git@github.com:{url[19:]}.\r\n",
        "CITATION.cff": f'repository-code: "{url}"\n',
        ".github/ISSUE_TEMPLATE/config.yml": f"url: {url}/issues\n",
        "book/a.md": f"See {url}. Not {OURS}-two, {OURS}.io or https://github.com/x/y.\n",
        "notebooks/01_x.ipynb": json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
        + "\n",
    }


@pytest.fixture
def root(tmp_path):
    for name, text in book(OURS).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def texts(root):
    """Return all that stands under `root`, so that a scratch file left there would be seen."""
    paths = [path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_bytes().decode() for path in paths}


def run(root, *arguments):
    """Run the command as with a plain Python that has nothing installed."""
    (root / "book" / "tools").mkdir(exist_ok=True)
    tool = shutil.copy(ROOT / "book" / "tools" / "address.py", root / "book" / "tools")
    command = [sys.executable, "-I", "-S", tool, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shutil.rmtree(root / "book" / "tools")
    return done


def test_the_whole_book_names_one_address():
    url, _ = address.read_address((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert address.parse(url) == url
    assert address.main(["--check"]) == 0, "run make address"


def test_one_command_changes_every_address_and_nothing_else(root):
    for url in (FORK, FORK, address.UNKNOWN, OURS):
        assert run(root, url).returncode == 0
        assert texts(root) == book(url)
        assert run(root, "--check").stdout == f"{url} (branch main)\n"


def test_what_went_astray_is_named_and_brought_back(root):
    chapter = root / "notebooks" / "01_x.ipynb"
    chapter.write_text(book(FORK)["notebooks/01_x.ipynb"], encoding="utf-8")
    found = run(root, "--check")
    assert found.returncode == 1
    assert "notebooks/01_x.ipynb has another" in found.stdout
    assert run(root, OURS).returncode == 0
    assert texts(root) == book(OURS)


@pytest.mark.parametrize(
    "form", ["https://github.com/{}", "git@github.com:{}", "ssh://git@github.com/{}"]
)
@pytest.mark.parametrize("end", ["", ".git"])
def test_the_address_is_that_of_git(root, form, end):
    origin = form.format("a-teacher/my.fork_2") + end
    subprocess.run(["git", "init", "--quiet", root], check=True)
    subprocess.run(["git", "-C", root, "remote", "add", "origin", origin], check=True)
    assert run(root).returncode == 0
    assert texts(root) == book(FORK)


@pytest.mark.parametrize(
    "given",
    [
        *([], ["https://gitlab.com/you/fork"], ["http://github.com/you/fork"]),
        *(["https://github.com/you"], [f"{FORK}/tree/main"], ["https://github.com/you/a fork"]),
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence(root, given):
    done = run(root, *given)
    assert done.returncode == 2
    assert (given or ["A folder without an origin"])[0] in done.stderr
    assert "make address REPO=https://github.com/you/your-fork" in done.stderr
    assert texts(root) == book(OURS)


def test_the_address_is_read_whatever_the_form_of_the_configuration():
    block = (
        "colab_url: x\nrepository:\n  # a comment\n  url: 'https://github.com/a/b'\n  branch: v2\n"
    )
    flow = "repository: {url: https://github.com/a/b, branch: v2, path_to_book: ''}\n"
    assert (
        address.read_address(block)
        == address.read_address(flow)
        == ("https://github.com/a/b", "v2")
    )


def run_setup(url, monkeypatch, found):
    """Run the set-up cell as IPython would; return the magic commands that it gave."""
    monkeypatch.setattr("importlib.util.find_spec", {"lleval_lib": found}.get)
    given = []
    shell = SimpleNamespace(run_line_magic=lambda *command: given.append(command))
    cell = TransformerManager().transform_cell(address.setup_cell(url))
    exec(cell, {"get_ipython": lambda: shell})
    return given


def test_the_set_up_cell_installs_what_is_missing(monkeypatch):
    (command,) = run_setup(FORK, monkeypatch, None)
    assert command == ("pip", f'install --quiet "lleval_lib @ git+{FORK}"')


def test_a_set_up_cell_keeps_its_optional_dependencies_when_the_address_changes(root):
    path = root / "notebooks" / "01_x.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    (setup,) = [c for c in notebook["cells"] if "setup" in c["metadata"].get("tags", [])]
    setup["metadata"]["extra"] = "applications"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert run(root, FORK).returncode == 0
    assert f'\\"lleval_lib[applications] @ git+{FORK}\\"' in path.read_text(encoding="utf-8")


def test_the_set_up_cell_says_what_to_do_where_the_address_is_unknown(monkeypatch):
    with pytest.raises(SystemExit, match=r"run `make address` .* push, and open this again\."):
        run_setup(address.UNKNOWN, monkeypatch, None)
    assert all(len(line) <= 75 for line in address.setup_cell(address.UNKNOWN).splitlines())


@pytest.mark.parametrize("url", [FORK, address.UNKNOWN])
def test_the_set_up_cell_does_nothing_where_the_library_is(monkeypatch, url):
    assert run_setup(url, monkeypatch, "found") == []
