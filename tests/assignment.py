"""A small assignment, an honest submission of it, and the ways in which one can differ."""

import copy
import json
import textwrap
from pathlib import Path

from lleval_lib.assignments import student_version

NAME = "0_small"
ANSWERS = {
    "q1": "mean = sum(scores) / len(scores)",
    "q2": """
        def standard_error(values):
            values = np.asarray(values, float)
            return np.sqrt(values.var() / (len(values) - 1))
    """,
    "q3": "wrong = [int(i) for i in np.flatnonzero(scores == 0)]",
}
TOTAL = 9

_CELLS = [
    ("title", "markdown", "given", 0, "# Assignment 0. Small\n\nThree questions."),
    ("student", "code", "given", 0, 'STUDENT = ""  # your number\nCOURSE = ""'),
    (
        "data",
        "code",
        "given",
        0,
        "import numpy as np\n\nimport lleval_lib as ll\n\n"
        'rng = ll.variant("0_small", COURSE, STUDENT)\n'
        "scores = (rng.random(200) < rng.uniform(0.3, 0.7)).astype(int)\nscores[:8]",
    ),
    ("q1-text", "markdown", "given", 0, "**1 (2 points).** The accuracy, as `mean`."),
    ("q1", "code", "answer", 0, "### BEGIN SOLUTION\nmean = scores.mean()\n### END SOLUTION"),
    (
        "q1-check",
        "code",
        "check",
        2,
        'assert 0 <= mean <= 1, "an accuracy lies between 0 and 1"\n'
        "### BEGIN HIDDEN TESTS\nmean  # 2 points, within 1e-6\n### END HIDDEN TESTS",
    ),
    ("q2-text", "markdown", "given", 0, "**2 (4 points).** The function `standard_error`."),
    (
        "q2",
        "code",
        "answer",
        0,
        "def standard_error(values):\n    ### BEGIN SOLUTION\n"
        "    return np.std(values, ddof=1) / np.sqrt(len(values))\n    ### END SOLUTION",
    ),
    (
        "q2-check",
        "code",
        "check",
        4,
        'assert standard_error([0, 1]) > 0, "two different scores have an error"\n'
        "### BEGIN HIDDEN TESTS\nstandard_error([1, 0, 1, 1])  # 1 point, within 1e-6\n"
        "standard_error(scores)  # 3 points, within 1e-6\n### END HIDDEN TESTS",
    ),
    ("q3-text", "markdown", "given", 0, "**3 (3 points).** `wrong`, the places of wrong answers."),
    (
        "q3",
        "code",
        "answer",
        0,
        "### BEGIN SOLUTION\nwrong = np.flatnonzero(scores == 0)\n### END SOLUTION",
    ),
    (
        "q3-check",
        "code",
        "check",
        3,
        'assert len(wrong) > 0, "somebody is wrong"\n'
        "### BEGIN HIDDEN TESTS\nwrong  # 3 points\n### END HIDDEN TESTS",
    ),
    ("open-text", "markdown", "given", 0, "**4 (5 points).** What may you claim?"),
    ("open", "markdown", "open", 5, "### BEGIN SOLUTION\nLittle.\n### END SOLUTION"),
]


def teachers(folder: Path) -> Path:
    """Write the teacher's notebook into `folder`, and return its path."""
    cells = []
    for name, kind, role, points, source in _CELLS:
        mark = {"schema_version": 3, "grade_id": name, "task": False, "cell_type": kind}
        mark |= {"grade": role in ("check", "open"), "solution": role in ("answer", "open")}
        mark |= {"locked": role in ("given", "check") and name != "student"}
        if mark["grade"]:
            mark["points"] = points
        cells.append(cell(source, kind, name=name, id=f"id-{name}", mark=mark))
    path = folder / f"{NAME}.ipynb"
    path.write_text(json.dumps(_notebook(cells)), encoding="utf-8")
    return path


def cell(source, kind="code", *, name="", id="added", mark=None):
    """Return a cell as it stands in a notebook."""
    code = {"outputs": [], "execution_count": None} if kind == "code" else {}
    metadata = {"nbgrader": mark} if mark else {}
    return {"cell_type": kind, "id": id, "metadata": metadata, "source": source, **code}


def _notebook(cells):
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def handed_in(path: Path, *, student: str = "s1", **answers: str) -> dict:
    """Return an honest submission of `student`, but for the `answers` that are given."""
    notebook = json.loads(student_version(path, student=student))
    for name, source in (ANSWERS | answers).items():
        at(notebook, name)["source"] = textwrap.dedent(source).strip("\n")
    at(notebook, "open")["source"] = "Only what was measured."
    return notebook


def at(notebook: dict, name: str) -> dict:
    """Return the cell of `notebook` that nbgrader calls `name`."""
    return next(c for c in notebook["cells"] if _mark(c).get("grade_id") == name)


def _mark(cell):
    return cell["metadata"].get("nbgrader", {})


def changed(notebook: dict, change) -> dict:
    """Return a copy of `notebook` with its cells as `change` makes them of its cells."""
    notebook = copy.deepcopy(notebook)
    notebook["cells"] = change(notebook["cells"])
    return notebook
