"""Grading: what is right earns its points, and nothing else does, whoever made it."""

import copy
import csv
import json
import shutil
import time
from pathlib import Path

import pytest
from assignment import ANSWERS, NAME, TOTAL, at, cell, changed, handed_in, teachers

from lleval_lib import gradebook, grading, grading_inside
from lleval_lib.assignments import read_assignment, student_version
from lleval_lib.gradebook import grade_all
from lleval_lib.grading import grade, right_values, same

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return teachers(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def task(path):
    return read_assignment(path)


@pytest.fixture(scope="module")
def right(task):
    return right_values(task, "", "s1")


@pytest.fixture
def graded(task, right, tmp_path):
    """Return a function that grades a notebook, or the bytes of a file."""

    def act(notebook, **options):
        file = tmp_path / "submitted.ipynb"
        file.write_bytes(
            notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode("utf-8")
        )
        return grade(task, file, right, course="", student="s1", **options)

    return act


def points(found):
    return {name: question.earned for name, question in found.questions.items()}


ALL = {"q1": 2, "q2": 4, "q3": 3}


def test_a_right_submission_has_full_marks(graded, path):
    found = graded(handed_in(path))
    assert found.status == "graded"
    assert found.remarks == ()
    assert points(found) == ALL
    assert sum(ALL.values()) == TOTAL == found.earned
    assert found.texts == {"open": "Only what was measured."}
    assert all(question.problem is None for question in found.questions.values())


def test_the_teachers_notebook_has_full_marks(graded, path):
    assert points(graded(path.read_bytes())) == ALL


def test_the_student_version_earns_nothing(graded, path):
    found = graded(student_version(path, student="s1").encode())
    assert points(found) == {"q1": 0, "q2": 0, "q3": 0}
    assert {q.problem for q in found.questions.values()} == {"not answered"}
    assert "an open question was not answered" in found.remarks


WRONG = {
    "another number": ({"q1": "mean = 0.5"}, "q1"),
    "a string of it": ({"q1": "mean = str(scores.mean())"}, "q1"),
    "percent": ({"q1": "mean = 100 * scores.mean()"}, "q1"),
    "not a number": ({"q1": "mean = float('nan')"}, "q1"),
    "infinite": ({"q1": "mean = float('inf')"}, "q1"),
    "true": ({"q1": "mean = True"}, "q1"),
    "all of them": ({"q1": "mean = [scores.mean(), 0.5]"}, "q1"),
    "too many places": ({"q3": "wrong = list(range(200))"}, "q3"),
    "one place missing": ({"q3": "wrong = list(np.flatnonzero(scores == 0))[1:]"}, "q3"),
    "not defined": ({"q3": ""}, "q3"),
    "syntax": ({"q3": "wrong = ["}, "q3"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_earn_nothing_and_cost_the_others_nothing(graded, path, name):
    answers, question = WRONG[name]
    found = graded(handed_in(path, **answers))
    assert points(found) == ALL | {question: 0}


def test_part_of_the_points(graded, path):
    population = "def standard_error(values):\n    return [1, 0.25][len(values) == 4]\n"
    assert points(graded(handed_in(path, q2=population))) == ALL | {"q2": 1}


# Each tries to have the points of one question without the answer: what it puts into the cell of
# the question, and what the report must say.
CHEATS = {
    "equal to all": (
        "q1",
        """
        class Any(float):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __sub__(self, other): return 0.0
            def __abs__(self): return 0.0
            def __lt__(self, other): return True
            def __le__(self, other): return True
            def __hash__(self): return 0
        mean = Any(2.0)
        """,
    ),
    "equal to all, plain": (
        "q3",
        """
        class Any:
            def __eq__(self, other): return True
            def __len__(self): return 1
            def tolist(self): return self
        wrong = Any()
        """,
    ),
    "numpy patched": (
        "q1",
        """
        mean = 2.0
        np.isclose = np.allclose = lambda *a, **k: True
        np.testing.assert_allclose = lambda *a, **k: None
        import math
        math.isclose = lambda *a, **k: True
        """,
    ),
    "the library patched": (
        "q1",
        """
        mean = 2.0
        import lleval_lib.grading as g
        g.same = lambda *a, **k: True
        g._close = lambda *a, **k: True
        ll.check = print
        """,
    ),
    "builtins patched": (
        "q1",
        """
        import builtins
        mean = 2.0
        builtins.isinstance = lambda *a: True
        builtins.eval = lambda *a: True
        builtins.sum = builtins.len = lambda *a: 1
        """,
    ),
    "json patched": ("q1", "import json\nmean = 2.0\njson.dumps = lambda *a, **k: '{}'"),
    "checks rewritten": (
        "q1",
        """
        import gc
        for thing in gc.get_objects():
            if isinstance(thing, dict) and "asks" in thing:
                thing["asks"] = ["0.5"]
                thing["source"] = "pass"
        mean = 2.0
        """,
    ),
    "assert turned off": (
        "q1",
        """
        import ast, sys
        class NoAssert(ast.NodeTransformer):
            def visit_Assert(self, node): return ast.Pass()
        sys.flags = None
        mean = 2.0
        """,
    ),
    "import hook": (
        "q1",
        """
        import sys
        class Hook:
            def find_spec(self, name, path=None, target=None): raise SystemExit(0)
        sys.meta_path.insert(0, Hook())
        mean = 2.0
        """,
    ),
    "exit": ("q1", "import sys\nsys.exit(0)"),
    "exit with a number": ("q1", "raise SystemExit(100)"),
    "atexit": (
        "q1",
        """
        import atexit
        def forge():
            open(3, "w", closefd=False).write('{"ask": "q1-check", "number": 0, "value": true}')
        atexit.register(forge)
        mean = 2.0
        """,
    ),
    "forged prints": (
        "q1",
        """
        mean = 2.0
        print('{"ask": "q1-check", "number": 0, "value": 0.5, "earned": 2, "points": 2}')
        import sys
        print("q1: 2 of 2 points", file=sys.stderr)
        """,
    ),
    "forged answer": (
        "q1",
        """
        import json
        mean = 2.0
        with open(3, "w", closefd=False) as file:
            for guess in np.arange(0, 1.0001, 0.005):
                line = {"ask": "q1-check", "number": 0, "value": float(guess), "earned": 2}
                file.write("\\n" + json.dumps(line) + "\\n")
        """,
    ),
    "many guesses at once": ("q1", "mean = list(np.arange(0, 1.0001, 0.005))"),
    "asked twice": (
        "q1",
        """
        mean = 2.0
        import sys
        frame = sys._getframe()
        while frame.f_back:
            frame = frame.f_back
            if "tell" in frame.f_locals:
                for guess in np.arange(0, 1.0001, 0.005):
                    frame.f_locals["tell"](
                        {"ask": "q1-check at the end", "number": 0, "value": float(guess)}
                    )
        """,
    ),
    "hidden tests by stack": (
        "q1",
        """
        import sys, re
        frame, seen = sys._getframe(), ""
        while frame:
            seen += repr(frame.f_locals) + repr(frame.f_globals)
            frame = frame.f_back
        rights = re.findall(r"right\\W+([\\d.]+)", seen)
        mean = float(rights[0]) if rights else 2.0
        """,
    ),
    "hidden tests by files": (
        "q1",
        """
        import os, re
        mean = 2.0
        for root in ("/", os.getcwd(), os.path.expanduser("~"), "/proc/1", "/proc/1/root"):
            for folder, _, files in os.walk(root):
                if folder.count("/") > 4 or folder.startswith(("/usr", "/sys")): continue
                for file in files:
                    if file.endswith((".ipynb", ".json", ".csv")):
                        try: text = open(os.path.join(folder, file)).read(100_000)
                        except OSError: continue
                        if "BEGIN SOL" + "UTION" in text or "q1-check" in text:
                            mean = scores.mean()
        """,
    ),
    "hidden tests by git": (
        "q1",
        """
        import subprocess
        mean = 2.0
        for folder in ("/", ".", ll.__path__[0]):
            done = subprocess.run(
                ["sh", "-c", f"cd {folder} && git log -p -- notebooks | head -c 100000"],
                capture_output=True, text=True)
            if "BEGIN SOLUTION" in done.stdout: mean = scores.mean()
        """,
    ),
    "environment and process": (
        "q1",
        """
        import os, glob
        mean = 2.0
        seen = repr(dict(os.environ))
        for name in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
            try: seen += open(name).read()
            except OSError: pass
        if "ipynb" in seen or "roster" in seen: mean = scores.mean()
        """,
    ),
    "the alarm off": (
        "q1",
        """
        import signal
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        mean = 2.0
        """,
    ),
    "a lazy value": (
        "q1",
        """
        class Lazy:
            def tolist(self):
                return [v for v in np.arange(0, 1, 0.005)]
        mean = Lazy()
        """,
    ),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_earns_no_point_of_its_question(graded, path, name):
    question, source = CHEATS[name]
    found = graded(handed_in(path, **{question: source}))
    assert found.status == "graded"
    assert points(found)[question] == 0
    assert all(points(found)[other] in (0, ALL[other]) for other in ALL)


# What a submission can do to the grader's computer: its cell, and what must be said.
ATTACKS = {
    "endless loop": ("while True: pass", "stopped after"),
    "endless loop that catches": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "stopped after",
    ),
    "sleep": ("import time; time.sleep(10_000)", "stopped after"),
    "fork bomb": ("import os\nwhile True: os.fork()", ""),
    "memory": ("x = []\nwhile True: x.append(bytearray(50_000_000))", ""),
    "10 GB of output": ("while True: print('x' * 10_000_000)", "stopped after"),
    "10 GB of an answer": (
        "while True: open(3, 'w', closefd=False).write('x' * 10_000_000)",
        "its answer has more",
    ),
    "its folder deleted": ("import shutil\nshutil.rmtree('/', ignore_errors=True)", ""),
    "killed": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
    "left early": ("import os\nos._exit(0)", "It left Python itself"),
    "network": ("import urllib.request\nurllib.request.urlopen('http://192.0.2.1')", "URLError"),
    "socket": ("import socket\nsocket.create_connection(('127.0.0.1', 22), 2)", "Error"),
    "crash": ("import ctypes\nctypes.string_at(0)", "killed by signal 11"),
    "recursion": ("def f(): return f()\nf()", "RecursionError"),
    "input": ("input('password: ')", "EOFError"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_reported_and_ends(graded, path, name, monkeypatch):
    monkeypatch.setattr(grading, "CELL_SECONDS", 2)
    source, said = ATTACKS[name]
    found = graded(handed_in(path, q3=source), seconds=12)
    assert found.status == "graded"
    assert found.seconds < 20
    assert points(found) == ALL | {"q3": 0}
    assert said in " ".join([*found.remarks, found.questions["q3"].problem or ""])


# Lines that a submission writes into the answer, past the runner: Python of its cell.
CLAIMS = {
    "a cell that is a list": """b'{"cell": []}'""",
    "a cell that is nested": """b'{"cell": ' + 993 * b"[" + 993 * b"]" + b'}'""",
    "a value that is nested": """ask + b'"value": ' + 993 * b"[" + 993 * b"]" + b'}'""",
    "an error that is an object": """ask + b'"error": {"a": []}}'""",
    "a long error": """ask + b'"error": "' + 1_000_000 * b"x" + b'"}'""",
    "a long beginning": """b'{"begins": "' + 1_000_000 * b"x" + b'"}'""",
    "half of a sign": r"""ask + b'"value": "\ud800"}'""",
    "a question that is a list": """b'{"ask": [], "number": {}, "value": 1}'""",
    "no UTF-8": r"""b"\xff\xfe\x00{}" """,
    "many": r"""6_000_000 * b"{}\n" """,
}


@pytest.mark.parametrize("name", CLAIMS)
def test_odd_claims_break_and_slow_nothing(graded, path, name):
    cell = f"""
        import os
        ask = b'{{"ask": "q1-check", "number": 0, '
        left = b"\\n" + {CLAIMS[name]} + b"\\n"
        while left:
            left = left[os.write(3, left):]
        os._exit(0)
    """
    began = time.process_time()
    found = graded(handed_in(path, q1=cell))
    assert time.process_time() - began < 5
    assert found.status == "graded"
    assert found.earned == 0
    assert len(str(found)) < 5_000


def test_many_empty_lines_slow_nothing(graded, path):
    began = time.process_time()
    graded(handed_in(path, q1="mean = lacking", q3="1" + 200_000 * "\n" + "1"))
    assert time.process_time() - began < 5


def test_what_comes_first_is_not_lost(graded, path):
    found = graded(handed_in(path, q2="import os\nos._exit(0)"))
    assert points(found) == {"q1": 2, "q2": 0, "q3": 0}
    assert any("its end in cell q2" in remark for remark in found.remarks)
    assert "ended before" in found.questions["q3"].tests[0].said


FILES = {
    "empty": (b"", "no Jupyter notebook"),
    "no JSON": (b"{]", "no Jupyter notebook"),
    "a list": (b"[]", "no notebook"),
    "no cells": (b'{"metadata": {}}', "no cells"),
    "cells of nothing": (b'{"cells": [1, null, {}]}', "no code"),
    "no text": (bytes(range(256)) * 10, "no Jupyter notebook"),
    "nested": (b"[" * 1_000_000, "no Jupyter notebook"),
    "a PDF": (b"%PDF-1.7 ...", "no Jupyter notebook"),
    "a page": (b"<!DOCTYPE html><html></html>", "no Jupyter notebook"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_notebook(graded, name):
    data, reason = FILES[name]
    found = graded(data)
    assert found.status.startswith("not graded")
    assert reason in found.status
    assert found.earned == 0


def test_200_megabytes_of_output(graded, path):
    notebook = handed_in(path)
    at(notebook, "q1")["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": "x" * 200_000_000}
    ]
    assert points(graded(notebook)) == ALL


def test_an_honest_student_may_print_much(graded, path):
    much = "for _ in range(100): print('x' * 100_000)\n" + ANSWERS["q1"]
    assert points(graded(handed_in(path, q1=much))) == ALL


def test_a_file_that_only_the_teacher_can_read(task, right, path, tmp_path):
    file = tmp_path / "submitted.ipynb"
    file.write_text(json.dumps(handed_in(path)))
    file.chmod(0o600)
    assert points(grade(task, file, right, course="", student="s1")) == ALL


def stripped(cells):
    return [c | {"metadata": {}} for c in cells]


def without_ids(cells):
    return [{k: v for k, v in c.items() if k != "id"} for c in stripped(cells)]


def colab(cells):
    """Give the cells what Colab writes: ids in the metadata, and lists of lines."""
    return [
        {k: v for k, v in c.items() if k != "id"}
        | {
            "metadata": c["metadata"]
            | {"id": c["id"], "executionInfo": {"status": "ok"}, "outputId": "x"},
            "source": c["source"].splitlines(True),
        }
        for c in cells
    ]


def windows(cells):
    return [c | {"source": c["source"].replace("\n", "\r\n")} for c in cells]


def texts(cells):
    return [c | {"source": "".join(c["source"])} for c in cells]


CONTAINERS = {
    "JupyterLab": list,
    "Colab": colab,
    "Colab without nbgrader's": lambda cells: [
        c | {"metadata": {"id": c["metadata"]["id"]}} for c in colab(cells)
    ],
    "Windows": windows,
    "metadata stripped": stripped,
    "metadata and ids stripped": without_ids,
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_has_full_marks(graded, path, name):
    notebook = changed(handed_in(path), lambda cells: CONTAINERS[name](texts(cells)))
    found = graded(notebook)
    assert points(found) == ALL
    assert found.texts["open"].strip().endswith("Only what was measured.")
    gone = "stripped" in name or "without" in name
    assert any("metadata are gone" in remark for remark in found.remarks) == gone


def test_whose_number_was_typed_is_seen_without_metadata_too(graded, path):
    copied = changed(handed_in(path, student="s2"), lambda cells: without_ids(texts(cells)))
    assert any("made as student 's2'" in remark for remark in graded(copied).remarks)


def swapped(cells):
    return cells[:2] + cells[3:9] + cells[2:3] + cells[9:]


def renamed(cells):
    cells = copy.deepcopy(cells)
    for c in cells:
        if "nbgrader" in c["metadata"]:
            c["metadata"]["nbgrader"]["grade_id"] += "-renamed"
    return cells


ORDERS = {
    "the data moved down": (swapped, "changed places"),
    "backwards": (lambda cells: cells[::-1], "changed places"),
    "a cell twice": (lambda cells: cells[:5] + cells[4:], "ran twice: q1"),
    "a check twice": (lambda cells: cells[:6] + cells[5:], ""),
    "no checks": (
        lambda cells: [c for c in cells if not c["metadata"]["nbgrader"]["grade"]],
        "q1-check was missing",
    ),
    "no data": (lambda cells: cells[:2] + cells[3:], "data was missing"),
    "names changed": (renamed, ""),
    "cells added": (
        lambda cells: [c for one in cells for c in (one, cell("1 + 1", id=one["id"] + "x"))],
        "",
    ),
    "magics": (
        lambda cells: [cell("%matplotlib inline\n!pip install x\nmean?"), *cells],
        "",
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_cells_in_another_order_or_number(graded, path, name):
    change, said = ORDERS[name]
    found = graded(changed(handed_in(path), change))
    assert points(found) == ALL
    assert said in " ".join(found.remarks)


NOTEBOOKS_OWN = {
    "cell timed": "%%time\nmean = scores.mean()",
    "line timed": "import numpy\n%time mean = scores.mean()",
    "output captured": "%%capture out\nmean = scores.mean()",
    "shell's output": "files = !ls\nmean = scores.mean()",
    "shown with options": "display(scores, display_id=True)\nmean = scores.mean()",
    "a lot printed": "for i in range(200_000): print('loss', i)\nmean = scores.mean()",
    "awaited": "import asyncio\nawait asyncio.sleep(0)\nmean = scores.mean()",
    "a question as a comment": "mean = scores.mean()  # right?",
}


@pytest.mark.parametrize("name", NOTEBOOKS_OWN)
def test_what_only_a_notebook_understands_costs_nothing(graded, path, name):
    assert points(graded(handed_in(path, q1=NOTEBOOKS_OWN[name]))) == ALL


def test_twenty_thousand_cells_slow_nothing(graded, path):
    def more(cells):
        return cells + [cell(f"mean = {i}", id=f"z{i}") for i in range(20_000)]

    notebook = changed(handed_in(path), more)
    began = time.process_time()
    assert points(graded(notebook)) == ALL
    assert time.process_time() - began < 5


def test_a_changed_check_is_put_back(graded, path):
    notebook = handed_in(path, q1="mean = 2.0")
    at(notebook, "q1-check")["source"] = "mean = scores.mean()"
    found = graded(notebook)
    assert points(found) == ALL | {"q1": 0}
    (remark,) = found.remarks
    assert remark.startswith("the cell q1-check had been changed and has been put back")
    assert "between 0 and 1" in found.questions["q1"].problem


def test_changed_data_are_put_back(graded, path):
    notebook = handed_in(path)
    at(notebook, "data")["source"] = "import numpy as np\nscores = np.ones(4)"
    found = graded(notebook)
    assert points(found) == ALL
    (remark,) = found.remarks
    assert remark.startswith("the cell data had been changed and has been put back")


def test_cells_that_must_run_out_of_order(graded, path):
    notebook = handed_in(path, q1="mean = total / 200", q3=ANSWERS["q3"] + "\ntotal = scores.sum()")
    found = graded(notebook)
    assert points(found) == ALL | {"q1": 0}
    assert "only in a later cell (q3)" in found.questions["q1"].problem
    assert "run all cells from the top" in found.questions["q1"].problem


def test_a_name_that_a_later_cell_takes_costs_nothing(graded, path):
    assert points(graded(handed_in(path, q3=ANSWERS["q3"] + "\nmean = None"))) == ALL


def test_names_of_the_runner_are_free(graded, path):
    own = "\n".join(f"{name} = None" for name in vars(grading_inside) if not name.startswith("__"))
    assert points(graded(handed_in(path, q1=f"{own}\nmean = scores.mean()"))) == ALL


def test_another_students_numbers_fail(graded, path, task):
    theirs = right_values(task, "", "s2")
    copied = {
        "q1": f"mean = {theirs['q1-check'][0]}",
        "q2": f"standard_error = lambda values: {theirs['q2-check'][1]}",
        "q3": f"wrong = {theirs['q3-check'][0]}",
    }
    found = graded(handed_in(path, student="s2", **copied))
    assert found.earned == 0
    assert any("made as student 's2'" in remark for remark in found.remarks)


def test_another_students_code_has_its_own_numbers(graded, path):
    found = graded(handed_in(path, student="s2"))
    assert points(found) == ALL
    assert any("copied numbers fail" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    "line",
    ["STUDENT='s1'", 'STUDENT: str = "s1"', 'STUDENT = f"s1"  # 学号', 'STUDENT = " S1 "',
     'STUDENT = "\uff53\uff11"'],
)  # fmt: skip
def test_a_number_may_be_typed_in_any_form(graded, path, line):
    notebook = handed_in(path)
    at(notebook, "student")["source"] = f'{line}\nCOURSE = ""'
    assert graded(notebook).remarks == ()


def test_another_course_is_said(graded, path):
    notebook = handed_in(path)
    at(notebook, "student")["source"] = 'STUDENT = "s1"\nCOURSE = "spring"'
    assert "made for the course 'spring' and graded for ''" in " ".join(graded(notebook).remarks)


def test_variants_depend_on_the_course(task):
    values = [
        right_values(task, course, student)["q1-check"]
        for course in ("", "spring")
        for student in ("", "s1", "s2")
    ]
    assert len({value for (value,) in values}) == 6


def test_a_syntax_error_is_said_as_python_says_it(graded, path):
    found = graded(handed_in(path, q1="if True:\n        mean = 1\n    mean = 2\n!ls"))
    assert "unindent does not match" in found.questions["q1"].problem
    assert "tokenize" not in graded(handed_in(path, q1="mean = (")).questions["q1"].problem


def test_another_assignment(graded, path):
    notebook = handed_in(path)
    at(notebook, "data")["source"] = 'import lleval_lib as ll\nrng = ll.variant("9_other", "", "")'
    assert "another assignment (9_other)" in graded(notebook).status
    strange = changed(notebook, lambda cells: [cell("print(1)")])
    assert "no cell of 0_small was found" in graded(strange).status


def test_a_teachers_mistake_is_said(path, tmp_path):
    notebook = json.loads(path.read_text())
    at(notebook, "q1")["source"] = "### BEGIN SOLUTION\nmean = 1 / 0\n### END SOLUTION"
    broken = tmp_path / f"{NAME}.ipynb"
    broken.write_text(json.dumps(notebook))
    with pytest.raises(ValueError, match=r"cell 'q1' of .* fails .*ZeroDivisionError"):
        right_values(read_assignment(broken), "", "")


@pytest.mark.parametrize(
    ("said", "right", "within", "agree"),
    [
        (1, 1.0, 0, True),
        (0.1 + 0.2, 0.3, 0, True),
        (0.31, 0.3, 0.01, True),
        (0.3101, 0.3, 0.01, False),
        (float("nan"), float("nan"), 1, True),
        (float("nan"), 0.3, 1e9, False),
        (float("inf"), 0.3, 1e9, False),
        ("0.3", 0.3, 1, False),
        (None, 0.3, 1, False),
        (True, 1, 1, False),
        (1, True, 1, False),
        ("a", "a", 0, True),
        ("A", "a", 0, False),
        ([1, 2], [1, 2], 0, True),
        ([1, 2, 3], [1, 2], 0, False),
        ({"keys": ["a"], "values": [1]}, {"keys": ["a"], "values": [1]}, 0, True),
        ({"keys": ["b"], "values": [1]}, {"keys": ["a"], "values": [1]}, 0, False),
        ({"keys": [2, 1], "values": [3, 4]}, {"keys": [1.0, 2.0], "values": [4, 3]}, 0, True),
        ({"keys": [2, 1], "values": [3, 4]}, {"keys": [1, 2], "values": [3, 4]}, 0, False),
        ({"keys": 1, "values": [1]}, {"keys": [], "values": []}, 0, False),
        ([], {}, 0, False),
        (10**400, 0.5, 1, False),
    ],
    ids=str,
)
def test_same(said, right, within, agree):
    assert same(said, right, within) == agree


def roster(folder, rows):
    path = folder / "students.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("student", "name"), *rows])
    return path


def table(folder):
    with (folder / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def test_a_folder_of_submissions(path, tmp_path):
    handed = tmp_path / "handed"
    people = [("s1", "Ada Byron"), ("s2", "王小明"), ("s3", "José García"), ("s4", "=1+1")]
    names = [
        "Ada Byron_12_assignsubmission_file_/x.ipynb",
        "王小明 - x.ipynb",
        "garciajose_5_6_x.ipynb",
    ]
    for (number, _), name in zip(people, names, strict=False):
        file = handed / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(handed_in(path, student=number)), encoding="utf-8")
    (handed / "stranger.ipynb").write_text("{}")
    rows = grade_all(handed, path, roster(tmp_path, people), tmp_path / "out")
    found = table(tmp_path / "out")
    assert [found[n][f"points (of {TOTAL})"] for n in ("s1", "s2", "s3")] == [str(TOTAL)] * 3
    assert found["s4"]["status"] == "nothing handed in"
    assert found["s4"]["name"] == "'=1+1"
    assert found["s1"]["open (of 5)"] == ""
    assert found[""]["file"] == "stranger.ipynb"
    assert "nobody" in found[""]["status"]
    assert len(rows) == 5
    page = (tmp_path / "out" / "feedback" / "s1.html").read_text(encoding="utf-8")
    assert f"{TOTAL} of {TOTAL} points" in page
    assert "Only what was measured." in page


def test_a_run_goes_on_where_it_was(path, tmp_path, monkeypatch):
    handed = tmp_path / "handed"
    handed.mkdir()
    people = [(f"s{i}", "") for i in range(4)]
    for number, _ in people:
        (handed / f"{number}.ipynb").write_text(json.dumps(handed_in(path, student=number)))
    done = []

    def stop_after_two(*arguments, **named):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(named["student"])
        return grade(*arguments, **named)

    monkeypatch.setattr("lleval_lib.gradebook.grade", stop_after_two)
    settings = (handed, path, roster(tmp_path, people), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        grade_all(*settings, workers=1)
    first = list(done)
    monkeypatch.setattr(
        "lleval_lib.gradebook.grade", lambda *a, **k: done.append(k["student"]) or grade(*a, **k)
    )
    grade_all(*settings, workers=1)
    assert sorted(done) == ["s0", "s1", "s2", "s3"]
    assert first == done[:2]
    (handed / "s1.ipynb").write_text(json.dumps(handed_in(path, student="s1", q1="mean = 0")))
    grade_all(*settings, workers=1)
    assert done[4:] == ["s1"]
    assert table(tmp_path / "out")["s1"]["q1 (of 2)"] == "0"


def test_a_zip_file(path, tmp_path):
    handed = tmp_path / "handed"
    handed.mkdir()
    (handed / "s1.ipynb").write_text(json.dumps(handed_in(path)))
    archive = shutil.make_archive(str(tmp_path / "all"), "zip", handed)
    grade_all(archive, path, roster(tmp_path, [("s1", "")]), tmp_path / "out")
    assert table(tmp_path / "out")["s1"]["status"] == "graded"


def test_code_of_the_page_is_text(path, tmp_path):
    handed = tmp_path / "handed"
    handed.mkdir()
    evil = handed_in(path, q1='raise ValueError("<script>alert(1)</script>")')
    at(evil, "open")["source"] = "<img src=x onerror=alert(1)>"
    (handed / "s1.ipynb").write_text(json.dumps(evil))
    grade_all(handed, path, roster(tmp_path, [("s1", "<b>")]), tmp_path / "out")
    page = Path(tmp_path / "out" / "feedback" / "s1.html").read_text()
    for tag in ("<script", "<img", "<b>"):
        assert tag not in page


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("\t@x", "'\t'@x"),
        ("\uff1d1", "'\uff1d1"),
        ("s1;=cmd|x.ipynb", "s1;'=cmd|x.ipynb"),
        ("a-b; c = 1", "a-b; c = 1"),
        (3, 3),
    ],
)
def test_no_cell_of_the_table_is_a_formula(text, written):
    assert gradebook._harmless(text) == written


def test_one_odd_student_stops_no_other(path, tmp_path):
    notebook = json.loads(path.read_text())
    at(notebook, "data")["source"] += '\nassert STUDENT != "s2"'
    own = tmp_path / path.name
    own.write_text(json.dumps(notebook))
    handed = tmp_path / "handed"
    handed.mkdir()
    half = handed_in(path)
    at(half, "open")["source"] = "\ud800"
    (handed / "s1.ipynb").write_text(json.dumps(half))
    (handed / "s2.ipynb").write_text(json.dumps(handed_in(path, student="s2")))
    (handed / "s3.py").write_text("mean = 1")
    people = roster(tmp_path, [("s1", ""), ("s2", ""), ("s3", "")])
    grade_all(handed, own, people, tmp_path / "out")
    # A run that the computer's end cut short leaves a file that is not whole.
    (tmp_path / "out" / "state" / "s1.json").write_text("{")
    grade_all(handed, own, people, tmp_path / "out")
    found = table(tmp_path / "out")
    assert found["s1"][f"points (of {TOTAL})"] == str(TOTAL)
    assert "fails for student 's2'" in found["s2"]["status"]
    assert "is no notebook" in found["s3"]["status"]
    assert found["s3"]["file"] == "s3.py"
    assert len(list((tmp_path / "out" / "feedback").iterdir())) == 3


def test_help_shows_the_command():
    from lleval_lib.__main__ import main

    with pytest.raises(SystemExit) as stopped:
        main(["grade", "--help"])
    assert stopped.value.code == 0
