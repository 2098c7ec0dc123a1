"""A chapter is stale when what it depends on changed, and refresh brings it up to date."""

import copy
import json
import platform
import re
import shutil
import sys
from datetime import date
from pathlib import Path

import nbformat
import pytest
import refresh
from fingerprint import fingerprints

ROOT = Path(__file__).resolve().parents[1]

# A library in small: modules by idea, a folder of data sets, a template, data by entry.
LIBRARY = {
    "__init__.py": "attach_stub = 1\n",
    "__init__.pyi": (
        "from .means import mean as mean\n"
        "from .report import report as report\n"
        "from .exercises import check as check\n"
        "from .records import load_records as load_records\n"
        "from .datasets.reviews import load_reviews as load_reviews\n"
    ),
    "__main__.py": "def main():\n    from .report import report\n",
    "means.py": (
        '"""Means."""\n\n'
        'def mean(x):\n    """Say one."""\n    from .inputs import one\n    return one(x) + 1\n'
    ),
    "inputs.py": "import numpy\n\ndef one(x):\n    return x\n",
    "report.py": "from . import means\n\nTEMPLATE = 'report.html'\n",
    "report.html": "<p>",
    "exercises.py": "FILE = 'exercises.toml'\n",
    "exercises.toml": '["01"]\n1 = {answer = 5}\n\n["02"]\n1 = {answer = 6}\n',
    "records.py": "def load_records(name):\n    return f'results/{name}.parquet'\n",
    "results/a.parquet": "rows",
    "results/b.parquet": "rows",
    "catalogue.py": "FILE = 'catalogue.toml'\n\ndef entry(name):\n    return name\n",
    "catalogue.toml": "[reviews]\nversion = 1\n\n[films]\nversion = 2\n",
    "datasets/__init__.py": "",
    "datasets/_shared.py": "from ..catalogue import entry\n",
    "datasets/reviews.py": "from ._shared import entry\n\nentry('reviews')\n",
    "datasets/films.py": "from ._shared import entry\n\nentry('films')\n",
}


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
    for name, text in LIBRARY.items():
        path = tmp_path / "lleval_lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


# What makes stale ---------------------------------------------------------------------------------


def differences(before, after):
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def of(tree, cells):
    return fingerprints({"cells": cells}, "01", tree / "lleval_lib")


def changed(tree, code, name, old, new):
    """Return what `code`, in chapter 01, sees change when `old` in file `name` becomes `new`."""
    cells = [cell("code", source, "x") for source in (code if isinstance(code, list) else [code])]
    before = of(tree, cells)
    path = tree / "lleval_lib" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return differences(before, of(tree, cells))


MEAN = "import lleval_lib as ll\nll.mean(2)"
REPORT = "import lleval_lib as ll\nll.report()"
RECORDS = "import lleval_lib as ll\nll.load_records('a')\n'b'"
LOOP = "from lleval_lib import load_records\nfor name in ['a', 'b']:\n    load_records(name)"
REVIEWS = "import lleval_lib as ll\nll.load_reviews()"
CHECK = "import lleval_lib as ll\nll.check('01.1', None)"


@pytest.mark.parametrize(
    ("code", "name", "old", "new", "expected"),
    [
        (MEAN, "means.py", "Say one.", "Say it better.", []),
        (MEAN, "means.py", '    """Say one."""\n', "", []),
        (MEAN, "means.py", "return", "# why\n    return", []),
        (MEAN, "means.py", "one(x) + 1", "(one(x) +\n            1)", []),
        (MEAN, "means.py", "+ 1", "+ 2", ["means.py"]),
        (MEAN, "inputs.py", "return x", "return -x", ["inputs.py"]),
        (MEAN, "report.py", "report.html", "other.html", []),
        (MEAN, "report.html", "<p>", "<b>", []),
        (MEAN, "__init__.py", "1", "2", ["__init__.py"]),
        (MEAN, "__init__.pyi", "from .means", "from .new import x as x\nfrom .means", []),
        (MEAN, "results/a.parquet", "rows", "others", []),
        (MEAN, "exercises.toml", "5", "7", []),
        (REPORT, "means.py", "+ 1", "+ 2", ["means.py"]),
        (REPORT, "report.html", "<p>", "<b>", ["report.html"]),
        (RECORDS, "results/a.parquet", "rows", "others", ["results/a.parquet"]),
        (RECORDS, "results/b.parquet", "rows", "others", []),
        (LOOP, "results/b.parquet", "rows", "others", ["results/b.parquet"]),
        (REVIEWS, "datasets/reviews.py", "('reviews')", "('films')", ...),
        (REVIEWS, "datasets/_shared.py", "entry", "entry as e", ["datasets/_shared.py"]),
        (REVIEWS, "datasets/films.py", "('films')", "('reviews')", []),
        (REVIEWS, "catalogue.toml", "1", "3", ["reviews in catalogue.toml"]),
        (REVIEWS, "catalogue.toml", "2", "3", []),
        (REVIEWS, "catalogue.toml", "[films]", "[new]\nversion = 1\n[films]", []),
        (REVIEWS, "catalogue.toml", "[films]", "# why\n[films]", []),
        (CHECK, "exercises.toml", "5}", "5}\n2 = {answer = 8}", ["its answers"]),
        (CHECK, "exercises.toml", "6", "7", []),
        (CHECK, "exercises.py", "FILE", "F", ["exercises.py"]),
    ],
)
def test_a_chapter_is_stale_when_what_its_code_uses_changed(tree, code, name, old, new, expected):
    if expected is ...:
        expected = ["datasets/reviews.py", "reviews in catalogue.toml", "films in catalogue.toml"]
    assert changed(tree, code, name, old, new) == expected


@pytest.mark.parametrize(
    "code",
    [
        "from lleval_lib import mean",
        "from lleval_lib.means import mean",
        "import os, lleval_lib.means",
        "import lleval_lib\nlleval_lib.mean(1)",
        "def f():\n    import lleval_lib as library, os\n    return library.mean",
        ["import lleval_lib as ll", "%%time\nll.mean(1)"],
        ["%matplotlib inline\nimport lleval_lib as ll", "x = (5\n     % 2)\nll.means.mean(1)"],
        "import lleval_lib as ll\nx = !ls\nll.mean(1)",
        "import lleval_lib as ll\nll.mean?\nll.mean(1)",
        "!python -m lleval_lib compare a b",
        "%%bash\npython -m lleval_lib compare a b",
        "subprocess.run([sys.executable, '-m', 'lleval_lib', 'compare', 'a', 'b'])",
    ],
)
def test_the_library_is_seen_however_it_is_used(tree, code):
    assert changed(tree, code, "means.py", "+ 1", "+ 2") == ["means.py"]


def test_a_cell_that_cannot_be_read_is_no_cell_without_a_library(tree):
    with pytest.raises(SyntaxError):
        changed(tree, "import lleval_lib as ll\nll.mean(1) if", "means.py", "+ 1", "+ 2")


@pytest.mark.parametrize("code", ["import numpy as ll\nll.mean(1)", "%%bash\nll.mean [", "'mean'"])
def test_other_code_uses_nothing(tree, code):
    assert changed(tree, code, "means.py", "+ 1", "+ 2") == []


def test_a_renamed_module_makes_stale(tree):
    library = tree / "lleval_lib"
    cells = [cell("code", MEAN, "x")]
    before = of(tree, cells)
    (library / "means.py").rename(library / "averages.py")
    stub = library / "__init__.pyi"
    stub.write_text(stub.read_text().replace(".means", ".averages"))
    assert differences(before, of(tree, cells)) == ["means.py", "averages.py"]


CELLS = (
    cell("markdown", "# A title", "title"),
    cell("code", "%pip install a", "set-up", tags=["setup"]),
    cell("code", "x = 2", "two", tags=["hide-input"]),
    cell("code", "print(x)", "show"),
    cell("code", "import lleval_lib as ll\nll.mean(1)", "quiz", tags=["quiz"]),
)


@pytest.mark.parametrize(
    ("index", "field", "value", "expected"),
    [
        (0, "source", "# Another title", []),
        (1, "source", "%pip install b", []),
        (2, "source", "x = 3", ["its code"]),
        (2, "source", ["x ", "= 2"], []),
        (2, "metadata", {"tags": ["raises-exception"]}, ["its code"]),
        (2, "metadata", {"tags": ["hide-input"], "collapsed": True}, []),
        (4, "source", "import lleval_lib as ll\nll.report()", []),
        (4, "metadata", {"tags": []}, ["its code", "means.py", "inputs.py"]),
    ],
)
def test_code_and_tags_make_stale_and_prose_does_not(tree, index, field, value, expected):
    before = of(tree, CELLS)
    cells = copy.deepcopy(CELLS)
    cells[index][field] = value
    assert differences(before, of(tree, cells)) == expected


# The chapters and the library as they are ---------------------------------------------------------


@pytest.fixture
def book(tmp_path):
    for folder in ("lleval_lib", "notebooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


@pytest.fixture(scope="module")
def before():
    return all_fingerprints(ROOT)


def all_fingerprints(book):
    return {
        refresh.number(path): fingerprints(
            json.loads(path.read_text(encoding="utf-8")), refresh.number(path), book / "lleval_lib"
        )
        for path in (book / "notebooks").glob("*.ipynb")
    }


def append(path, text):
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def a_data_set_is_added(library):
    append(library / "catalogue.toml", "\n[new-set]\nversion = 1\n")
    append(library / "datasets" / "new_set.py", "def load_new_set():\n    return 'new-set'\n")
    append(library / "__init__.pyi", "from .datasets.new_set import load_new_set as load_new_set\n")


def a_result_is_added(library):
    append(library / "results" / "new.parquet", "rows")


def an_answer_is_added(library):
    path = library / "exercises.toml"
    text = path.read_text(encoding="utf-8")
    assert text.count('["03"]\n') == 1
    path.write_text(text.replace('["03"]\n', '["03"]\n9 = {answer = 1}\n'), encoding="utf-8")


def online_is_edited(library):
    append(library / "online.py", "\nx = 1\n")


def a_quiz_is_edited(library):
    append(library / "quizzes.py", "\nx = 1\n")
    append(library / "quiz.html", "<p>\n")
    append(library / "quizzes.toml", "\n")


def the_report_is_edited(library):
    append(library / "report.py", "\nx = 1\n")
    append(library / "report.html", "<p>\n")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (online_is_edited, {"10"}),
        (the_report_is_edited, set()),
        (a_quiz_is_edited, set()),
        (an_answer_is_added, {"03"}),
        (a_data_set_is_added, set()),
        (a_result_is_added, set()),
    ],
)
def test_an_edit_makes_no_other_chapter_stale(before, book, edit, expected):
    edit(book / "lleval_lib")
    after = all_fingerprints(book)
    stale = {number for number in before if before[number] != after[number]}
    # Later chapters may use what these do not.
    assert stale & {"01", "02", "03", "09", "10", "13"} == expected


# The tool -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_edit_while_a_chapter_runs_leaves_it_stale(tree, capsys):
    means = tree / "lleval_lib" / "means.py"
    edit = (
        f"import pathlib\np = pathlib.Path({str(means)!r})\np.write_text(p.read_text() + 'x = 1')"
    )
    code = edit + "\nif False:\n    import lleval_lib as ll\n    ll.mean(2)"
    write_notebook(tree / "notebooks" / "01_good.ipynb", cell("code", code, "first"))
    assert refresh.main([], tree) == 0
    assert refresh.main(["--check"], tree) == 1
    assert "01_good.ipynb is stale (means.py)" in capsys.readouterr().out


@pytest.mark.slow
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
    before = date.today()
    assert refresh.main(["--check"], tree) == 1
    assert "01_good.ipynb is stale (never executed): run make refresh" in capsys.readouterr().out
    assert refresh.main([], tree) == 0
    assert re.search(r"01_good.ipynb: \d+\.\d s\n1 executed, 0 failed", capsys.readouterr().out)

    text = path.read_text(encoding="utf-8")
    assert text == refresh.to_text(refresh.tidy(nbformat.read(path, as_version=4)))
    done = json.loads(text)
    assert [c["id"] for c in done["cells"]] == ["title", "first", "second"]
    assert [c.get("execution_count") for c in done["cells"]] == [None, 1, 2]
    assert all(c["metadata"] == {} for c in done["cells"])
    assert set(done["metadata"]) == {"kernelspec", "language_info", "lleval"}
    assert done["metadata"]["kernelspec"]["name"] == "python3"
    assert done["metadata"]["language_info"] == {"name": "python"}
    seal = done["metadata"]["lleval"]["seal"]
    assert date.fromisoformat(seal["date"]) >= before
    assert (seal["claims"], seal["versions"]["Python"]) == (0, platform.python_version())
    assert 1 <= seal["seconds"] < 60
    (stream,) = done["cells"][1]["outputs"]
    assert "".join(stream["text"]) == "a\nb\n"
    (value,) = done["cells"][2]["outputs"]
    assert value["data"]["text/plain"] == ["('notebooks', '1')"]
    assert [p.name for p in path.parent.iterdir()] == [path.name]

    assert refresh.main(["--check"], tree) == 0
    assert refresh.main([], tree) == 0
    assert "0 executed, 0 failed, 1 up to date" in capsys.readouterr().out
    (tree / "lleval_lib" / "__init__.py").write_text("attach_stub = 2\n", encoding="utf-8")
    assert refresh.main(["--check"], tree) == 1
    assert "01_good.ipynb is stale (__init__.py): run" in capsys.readouterr().out


QUIZ = """\
[["01"]]
ask = "Is it {}?"
options = ["It is.", "It is not."]
key = "eyJ3aHkiOiBbIkEiLCAiQiJdLCAicmlnaHQiOiAwfQ=="
"""


def test_refresh_makes_a_quiz_anew_without_the_other_cells(tree, capsys):
    (tree / "lleval_lib" / "quizzes.toml").write_text(QUIZ.format("one"), encoding="utf-8")
    cells = [cell("code", "1 / 0", "other"), cell("code", "ll.quiz('01')", "q", tags=["quiz"])]
    executed = fingerprints({"cells": cells}, "01", tree / "lleval_lib")
    path = write_notebook(tree / "notebooks" / "01_a.ipynb", *cells, lleval={"executed": executed})
    assert refresh.main(["--check"], tree) == 1
    assert "01_a.ipynb is stale (its quiz): run make refresh" in capsys.readouterr().out
    for word in ("one", "two"):
        (tree / "lleval_lib" / "quizzes.toml").write_text(QUIZ.format(word), encoding="utf-8")
        assert refresh.main([], tree) == 0
        assert "01_a.ipynb: its quiz\n0 executed, 0 failed, 1 up to date" in capsys.readouterr().out
        other, shown = nbformat.read(path, as_version=4).cells
        assert other.outputs == []
        assert f"Is it {word}?" in shown.outputs[0].data["text/html"]
        assert refresh.main(["--check"], tree) == 0


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


@pytest.mark.slow
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
