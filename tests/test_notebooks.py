"""The chapters are in order, and the tool that keeps them so works."""

import copy
import json
import re
import shutil
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
def test_a_chapter_is_not_stale(path):
    assert refresh.main(["--check", str(path)]) == 0, "run make refresh"


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


# The refresh tool


def cell(kind, source, cell_id, **metadata):
    made = {"id": cell_id, "cell_type": kind, "source": source, "metadata": metadata}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def write_notebook(path, *cells, **metadata):
    path.parent.mkdir(exist_ok=True)
    notebook = {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


@pytest.fixture
def tree(tmp_path):
    library = tmp_path / "lleval_lib"
    (library / "records").mkdir(parents=True)
    (library / "code.py").write_text('def f(x):\n    """Say one."""\n    return x + 1\n')
    (library / "catalogue.toml").write_text('[a]\nversion = "1"\n')
    (library / "records" / "a.parquet").write_bytes(b"rows")
    return tmp_path


GOOD = (
    cell("markdown", "# A title", "title"),
    cell("code", address.setup_cell(URL), "set-up", tags=["setup"]),
    cell("code", "x = 2", "two", tags=["hide-input"]),
    cell("code", "print(x)", "show"),
)


def stale(tree, cells=GOOD):
    """Tell whether a notebook that was executed with GOOD's code is stale with `cells`."""
    before = refresh.fingerprint({"cells": GOOD}, refresh.library_fingerprint(tree / "original"))
    now = {"cells": cells, "metadata": {"lleval": {"executed": before}}}
    return refresh.is_stale(now, refresh.library_fingerprint(tree / "lleval_lib"))


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("code.py", "Say one.", "Say it better.", False),
        ("code.py", '    """Say one."""\n', "", False),
        ("code.py", "return", "# why\n    return", False),
        ("code.py", "x + 1", "x + 2", True),
        ("code.py", "x + 1", "(x +\n            1)", False),
        ("catalogue.toml", "[a]", "# a comment\n[a]", False),
        ("catalogue.toml", '"1"', '"2"', True),
        ("records/a.parquet", "rows", "other rows", True),
    ],
)
def test_the_library_makes_stale_when_it_does_something_else(tree, name, old, new, expected):
    shutil.copytree(tree / "lleval_lib", tree / "original")
    assert not stale(tree)
    path = tree / "lleval_lib" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert stale(tree) == expected


def test_a_renamed_module_makes_stale(tree):
    shutil.copytree(tree / "lleval_lib", tree / "original")
    (tree / "lleval_lib" / "code.py").rename(tree / "lleval_lib" / "codes.py")
    assert stale(tree)


@pytest.mark.parametrize(
    ("index", "field", "value", "expected"),
    [
        (0, "source", "# Another title", False),
        (1, "source", address.setup_cell(FORK), False),
        (2, "source", "x = 3", True),
        (2, "source", ["x ", "= 2"], False),
        (2, "metadata", {"tags": ["raises-exception"]}, True),
        (2, "metadata", {"tags": ["hide-input"], "collapsed": True}, False),
    ],
)
def test_code_and_tags_make_stale_and_prose_does_not(tree, index, field, value, expected):
    shutil.copytree(tree / "lleval_lib", tree / "original")
    cells = copy.deepcopy(GOOD)
    cells[index][field] = value
    assert stale(tree, cells) == expected


def test_refresh_executes_what_is_stale_and_leaves_it_tidy(tree, capsys):
    path = write_notebook(
        tree / "notebooks" / "01_good.ipynb",
        cell("markdown", "# A title", "title", collapsed=True),
        cell("code", "import os, sys\nprint('a'); sys.stdout.flush(); print('b')", "first"),
        cell("code", "os.path.basename(os.getcwd()), os.environ['TQDM_DISABLE']", "second"),
        kernelspec={"display_name": "mine", "language": "python", "name": "mine"},
        language_info={"name": "python", "version": "3.11.7"},
        widgets={"state": {}},
    )
    assert refresh.main(["--check"], tree) == 1
    assert "01_good.ipynb is stale" in capsys.readouterr().out
    assert refresh.main([], tree) == 0
    assert re.search(r"01_good.ipynb: \d+\.\d s\n1 executed, 0 failed", capsys.readouterr().out)

    text = path.read_text(encoding="utf-8")
    assert text == refresh.to_text(refresh.tidy(read(path)))
    done = json.loads(text)
    assert [c["id"] for c in done["cells"]] == ["title", "first", "second"]
    assert [c.get("execution_count") for c in done["cells"]] == [None, 1, 2]
    assert all(c["metadata"] == {} for c in done["cells"])
    assert set(done["metadata"]) == {"kernelspec", "language_info", "lleval"}
    assert done["metadata"]["kernelspec"]["name"] == "python3"
    assert done["metadata"]["language_info"] == {"name": "python"}
    (stream,) = done["cells"][1]["outputs"]
    assert "".join(stream["text"]) == "a\nb\n"
    (value,) = done["cells"][2]["outputs"]
    assert value["data"]["text/plain"] == ["('notebooks', '1')"]
    assert [p.name for p in path.parent.iterdir()] == [path.name]

    assert refresh.main(["--check"], tree) == 0
    assert refresh.main([], tree) == 0
    assert "0 executed, 0 failed, 1 up to date" in capsys.readouterr().out


BAD = {
    "stderr": (
        "import sys; print('oh dear', file=sys.stderr)",
        "01_stderr.ipynb: left as it was, because cell bad wrote to stderr:\noh dear",
    ),
    "path": (
        "import tempfile; print('at', tempfile.gettempdir())",
        "01_path.ipynb: left as it was, because cell bad shows a path of this machine: at",
    ),
    "error": (
        "y = 1\n1 / 0",
        "01_error.ipynb: left as it was, because cell bad failed: y = 1\n",
    ),
}


def test_a_bad_chapter_stays_as_it_was_and_the_others_go_on(tree, capsys):
    folder = tree / "notebooks"
    bad = {
        write_notebook(folder / f"01_{fault}.ipynb", cell("code", source, "bad")): said
        for fault, (source, said) in BAD.items()
    }
    good = write_notebook(folder / "02_good.ipynb", cell("code", "1 + 1", "good"))
    before = {path: path.read_bytes() for path in bad}
    assert refresh.main([], tree) == 1
    shown = capsys.readouterr()
    for path, said in bad.items():
        assert said in shown.err
        assert path.read_bytes() == before[path]
    assert "ZeroDivisionError: division by zero" in shown.err
    assert "1 executed, 3 failed, 0 up to date" in shown.out
    assert refresh.main(["--check", str(good)], tree) == 0
    assert sorted(folder.iterdir()) == sorted([*bad, good])


@pytest.mark.parametrize(
    ("ids", "said"), [(["a", "a"], "the id a"), (["a", None], "cell 1 has no id")]
)
def test_ids_are_never_made_up(tree, capsys, ids, said):
    cells = [cell("code", "open('ran', 'w')", cell_id) for cell_id in ids]
    for made in cells:
        if made["id"] is None:
            del made["id"]
    path = write_notebook(tree / "notebooks" / "01_ids.ipynb", *cells)
    before = path.read_bytes()
    assert refresh.main(["--all"], tree) == 1
    assert said in capsys.readouterr().err
    assert path.read_bytes() == before
    assert not (path.parent / "ran").exists()


def test_private_paths_are_told_from_addresses():
    private = refresh.private_path()
    for folder in ("home", "Users", "root", "tmp", "content"):
        assert private.search(f"File '/{folder}/someone/x.py'"), folder
        assert not private.search(f"https://example.org/{folder}/page"), folder
    for text in ("C:\\Users\\someone", str(ROOT), str(Path.home()), sys.prefix):
        assert private.search(text), text
    for text in ("and/or", "the path / or ~/x", "work/home/x", "1/2"):
        assert not private.search(text), text
