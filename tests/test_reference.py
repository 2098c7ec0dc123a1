"""The page on the library says what is there and where it is taught, and nothing is untaught."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import reference
from fingerprint import public_names

ROOT = Path(__file__).resolve().parents[1]

# Names that came before the chapter that will call them, and its number.
AWAITED = {"run_isolated": "20"}


def test_every_public_name_is_used_outside_the_library():
    assert reference.untaught(ROOT) == AWAITED.keys()


@pytest.mark.parametrize("chapter", sorted(set(AWAITED.values())))
def test_what_awaits_a_chapter_is_used_as_soon_as_it_is_there(chapter):
    assert not [*(ROOT / "notebooks").glob(f"{chapter}_*.ipynb")], "it must call what awaits it"


def test_the_page_has_every_public_name_once_and_links_its_chapters():
    page, chapters = reference.page(ROOT), reference.taught_in(ROOT)
    entries = dict(re.findall(r"^`(\w+)(?:\(.*\))?`\n: (.*(?:\n  .*)?)", page, re.M))
    constants = re.findall(r"`(\w+)`", " ".join(re.findall("^Constants: .*", page, re.M)))
    assert sorted([*entries, *constants]) == sorted(public_names(ROOT / "lleval_lib"))
    for name in entries.keys() & chapters.keys():
        linked = re.findall(r"\.\./notebooks/([\w.]+)", entries[name])
        assert linked == chapters[name] or "In every chapter" in entries[name]


LIBRARY = {
    "__init__.pyi": "from .data.reviews import load as load\nfrom .one import RED as RED\n"
    + "".join(
        f"from .one import {n} as {n}\n" for n in ("Result", "inner", "f", "g", "power", "h", "e")
    ),
    "__main__.py": "from . import two\ndef main():\n    from .one import g\n    two.go(g(1))\n",
    "two.py": "from .one import inner\ndef go(x):\n    pass\ndef no():\n    inner()\n",
    "one.py": '''"""One idea: results. And more."""
from dataclasses import dataclass
RED, _BLUE = "red", "blue"
class Part:
    """A part."""
@dataclass
class Result:
    """A ``result`` with `parts`,
    and no end. Second sentence."""
    part: Part
    n: int = 0
def inner() -> None:
    """Is it called only by another, e.g. f?"""
def f(a: int, *rest, b: str = "x") -> Result:
    """Return f of `a` (Author et al. 2020), by inner:

    Raises nothing.
    """
    inner()
def g(power: float):
    """Return g."""
    return _helper(power)
def power() -> int:
    """Return a power."""
def h(*, cluster=None):
    """Return h."""
def e():
    """Return e."""
def _helper(x):
    h()
''',
    "data/__init__.py": '"""The data."""\n',
    "data/reviews.py": '"""Reviews."""\ndef load():\n    """Return reviews."""\n',
}
CODE = {
    "01_a.ipynb": "%pip install x\nimport lleval_lib as ll\nx = ll.f(1)\nx.ll.inner\n# ll.inner()",
    "02_b.ipynb": "import lleval_lib as ll\nif True:\n    !ls\nll.load(); print('ll.inner'); ll.f",
}


@pytest.fixture
def small(tmp_path, monkeypatch):
    for name, text in LIBRARY.items():
        (tmp_path / "lleval_lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lleval_lib" / name).write_text(text, encoding="utf-8")
    (tmp_path / "notebooks").mkdir()
    for name, code in CODE.items():
        cells = [{"cell_type": "markdown", "source": ["ll.inner"]}]
        cells.append({"cell_type": "code", "source": code.splitlines(keepends=True)})
        (tmp_path / "notebooks" / name).write_text(json.dumps({"cells": cells}))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "x.py").write_text("from lleval_lib.one import e\n")
    shutil.copy(ROOT / "_config.yml", tmp_path)
    monkeypatch.setattr(reference, "SECTIONS", {"First": ("data",), "Second": ("none", "one")})
    return tmp_path


def test_where_a_name_is_used_is_read_from_code(small):
    assert reference.taught_in(small) == {"f": ["01_a.ipynb", "02_b.ipynb"], "load": ["02_b.ipynb"]}
    reached = reference.on_the_command_line(reference.modules(small))
    assert reached == {"main", "two", "go", "g", "_helper", "h"}
    assert reference.untaught(small) == {"inner", "power", "RED"}


def test_the_page_of_a_small_library(small):
    _, page = reference.page(small).split("\n\n", 2)[1:]
    assert page.startswith("## First\n\n### data\n\nThe data.\n\n`load()`\n: Return reviews.\n")
    for entry in (
        "[Taught in chapter [2](../notebooks/02_b.ipynb)]{.question}\n\n## Second\n\n### one\n\n",
        "One idea: results.\n\n`Result(part, n)`\n: A `result` with `parts`, and no end.\n\n",
        "`inner()`\n: Is it called only by another, e.g. f?\n\n",
        "`f(a, *rest, b='x')`\n: Return f of `a` (Author et al. 2020), by inner.\n"
        "  [In every chapter]{.question}\n\n",
        "`h(*, cluster=None)`\n: Return h.\n  [Used by the command line]{.question}\n\n",
        "Constants: `RED`.\n",
    ):
        assert entry in page


def test_the_page_is_written_with_plain_python_and_only_when_it_changed(small):
    (small / "book" / "tools").mkdir(parents=True)
    for tool in ("reference.py", "fingerprint.py", "address.py"):
        shutil.copy(ROOT / "book" / "tools" / tool, small / "book" / "tools")
    command = [sys.executable, "-E", "-S", str(small / "book" / "tools" / "reference.py")]
    written = []
    for _ in range(2):
        subprocess.run(command, check=True)
        written.append((small / "book" / "library.md").stat().st_mtime_ns)
    assert written[0] == written[1]
