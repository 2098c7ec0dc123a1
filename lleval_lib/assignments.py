"""Assignments in nbgrader's format: what a teacher's notebook asks, and what its students get.

The cells carry nbgrader's metadata (schema 3), solutions and hidden tests stand between its
markers. A hidden test is one expression with its points, such as
``clustered_se(scores)  # 2 points, within 0.001``: it earns them where its value in the student's
notebook agrees with its value in the teacher's.
"""

import ast
import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SOLUTION = re.compile(
    r"^([ \t]*)### BEGIN SOLUTION[ \t]*\n.*?^[ \t]*### END SOLUTION[ \t]*$", re.M | re.S
)
_HIDDEN = re.compile(
    r"^### BEGIN HIDDEN TESTS[ \t]*\n(.*?)^### END HIDDEN TESTS[ \t]*$\n?", re.M | re.S
)
_WORTH = re.compile(r"#\s*(\d+) points?(?:, within ([\d.eE+-]+))?\s*$")
_MARKERS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS")
STUB = "# YOUR CODE HERE\n{0}raise NotImplementedError()"
UNANSWERED = "YOUR ANSWER HERE"


@dataclass(frozen=True)
class Cell:
    """A cell of an assignment: `name` is its ``grade_id`` (or its id), `role` what it is for.

    The roles are "given" (the teacher's, also text), "student" (who hands in), "answer", "check"
    and "open" (a text that a person grades).
    """

    name: str
    id: str
    kind: str
    source: str
    role: str
    points: int


@dataclass(frozen=True)
class HiddenTest:
    """An expression that earns `points` where it agrees with the teacher's, `within` a number."""

    expression: str
    points: int
    within: float


@dataclass(frozen=True)
class Assignment:
    """What the teacher's notebook at `path` holds; ``tests`` are those of each check, by name."""

    name: str
    title: str
    path: Path
    cells: tuple[Cell, ...]
    tests: dict[str, tuple[HiddenTest, ...]]

    @property
    def questions(self) -> dict[str, int]:
        """The points of each question that is graded automatically, by name."""
        return {c.name.removesuffix("-check"): c.points for c in self.cells if c.role == "check"}

    @property
    def open_questions(self) -> dict[str, int]:
        """The points of each question that a person grades, by name."""
        return {c.name: c.points for c in self.cells if c.role == "open"}


def read_assignment(path: str | Path) -> Assignment:
    """Return the assignment that the teacher's notebook at `path` holds.

    Raises ``ValueError`` with the cell's name where the notebook cannot be graded: points that do
    not add up, a hidden test that is no expression, a marker without its partner, a name twice.
    """
    path = Path(path)
    cells = tuple(_cells(_notebook(path), path))
    names = [cell.name for cell in cells]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path.name}: two cells are called {name!r}; rename one of them")
    tests = {c.name: _hidden_tests(c, path) for c in cells if c.role == "check"}
    if not tests:
        raise ValueError(
            f"{path.name} has no cell that nbgrader's metadata call graded: this is no teacher's "
            "version of an assignment"
        )
    title = next((c.source for c in cells if c.kind == "markdown"), path.stem)
    return Assignment(path.stem, title.partition("\n")[0].lstrip("# "), path, cells, tests)


def visible(source: str) -> str:
    """Return `source` of a check without its hidden tests."""
    return _HIDDEN.sub("", source).rstrip("\n")


def without_solution(cell: Cell) -> str:
    """Return what a student finds in `cell`."""
    if cell.role == "check":
        return visible(cell.source)
    if cell.role == "answer":
        emptied = _SOLUTION.sub(lambda found: found[1] + STUB.format(found[1]), cell.source)
        return STUB.format("") if emptied == cell.source else emptied
    if cell.role == "open":
        emptied = _SOLUTION.sub(UNANSWERED, cell.source)
        return UNANSWERED if emptied == cell.source else emptied
    return cell.source


def named_student(source: str, course: str, student: str) -> str:
    """Return the cell that says who hands in, with these names in it."""
    for name, value in (("STUDENT", student), ("COURSE", course)):
        text = f"{name} = {json.dumps(value, ensure_ascii=False)}"
        source = re.sub(rf"^{name} = (\"[^\"\n]*\"|'[^'\n]*')", lambda _: text, source, flags=re.M)  # noqa: B023
    return source


def student_version(path: str | Path, *, course: str = "", student: str = "") -> str:
    """Return the text of the student's notebook made from the teacher's at `path`.

    Solutions, hidden tests and outputs are gone; `course` and `student` stand in the cell that
    says who hands in, and choose the sample of the data.
    """
    assignment = read_assignment(path)
    notebook = copy.deepcopy(_notebook(assignment.path))
    for raw, cell in zip(notebook["cells"], assignment.cells, strict=True):
        source = without_solution(cell)
        if cell.role == "student":
            source = named_student(source, course, student)
        raw["source"] = source.splitlines(keepends=True)
        if cell.kind == "code":
            raw["outputs"], raw["execution_count"] = [], None
    notebook["metadata"] = {
        name: notebook["metadata"][name]
        for name in ("kernelspec", "language_info")
        if name in notebook["metadata"]
    }
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    left = [marker for marker in _MARKERS if marker in text]
    if left:
        raise ValueError(f"{assignment.path.name}: {left[0]} would be left in the student version")
    return text


def _notebook(path: Path) -> dict:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["cells"], notebook["metadata"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no Jupyter notebook ({error})") from error
    return notebook


def _cells(notebook: dict, path: Path) -> Iterator[Cell]:
    for number, raw in enumerate(notebook["cells"], start=1):
        mark = raw["metadata"].get("nbgrader", {})
        name = mark.get("grade_id") or raw.get("id") or f"cell {number}"
        graded, solution = bool(mark.get("grade")), bool(mark.get("solution"))
        role = {
            (True, True): "open",
            (True, False): "check",
            (False, True): "answer",
            (False, False): "student" if name == "student" else "given",
        }[graded, solution]
        source = "".join(raw["source"])
        for begin, end in (_MARKERS[:2], _MARKERS[2:]):
            if source.count(f"### {begin}") != source.count(f"### {end}"):
                raise ValueError(f"{path.name}: cell {name!r} has a {begin} or {end} too many")
        points = mark.get("points", 0) if graded else 0
        yield Cell(name, raw.get("id", name), raw["cell_type"], source, role, int(points))


def _hidden_tests(check: Cell, path: Path) -> tuple[HiddenTest, ...]:
    hidden = "\n".join(_HIDDEN.findall(check.source))
    where = f"{path.name}: cell {check.name!r}"
    try:
        body = ast.parse(hidden).body
    except SyntaxError as error:
        raise ValueError(f"{where}: its hidden tests are no Python ({error})") from error
    lines = hidden.splitlines()
    tests = []
    for node in body:
        text = ast.get_source_segment(hidden, node) or ""
        worth = _WORTH.search("\n".join(lines[node.lineno - 1 : node.end_lineno]).rstrip())
        if not isinstance(node, ast.Expr) or worth is None:
            raise ValueError(
                f"{where}: the hidden test {text!r} must be one expression followed by its worth, "
                "such as `# 2 points, within 0.001`"
            )
        tests.append(HiddenTest(text, int(worth[1]), float(worth[2] or 0)))
    if sum(test.points for test in tests) != check.points:
        raise ValueError(
            f"{where} is worth {check.points} points, its hidden tests "
            f"{sum(test.points for test in tests)}"
        )
    return tuple(tests)
