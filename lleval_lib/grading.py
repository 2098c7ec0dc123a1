"""Grade a submission: run its cells in isolation, and compare outside what they say.

The sandbox holds the student's cells and the hidden tests' expressions, never a right value. What
comes back are plain values, compared here with those of the teacher's notebook, run in the same way
with the same student's sample. So rewritten checks, patched libraries and forged results earn
nothing: whoever can write a line of the answer can only claim a value.
"""

import json
import math
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from .assignments import UNANSWERED, Assignment, named_student
from .grading_arrange import Arranged, Submitted, arrange, drawn_for, known_cells, step, typed
from .sandbox import Isolated, run_isolated

CELL_SECONDS = 60
SECONDS = 300
MEMORY = 3_000  # megabytes
_LINES = 10_000  # of an answer; an honest one has a few hundred
_NOTEBOOK = "/submitted.ipynb"
_SOLVED = "the teacher's own notebook"


@dataclass(frozen=True)
class Tested:
    """What one hidden test gave: a value, or an error, as text; and the points of it."""

    expression: str
    said: str
    is_value: bool
    earned: int
    points: int


@dataclass(frozen=True)
class Answered:
    """A question: its hidden tests, and what its visible check and its answer's cell said."""

    tests: tuple[Tested, ...]
    problem: str | None

    @property
    def earned(self) -> int:
        return sum(test.earned for test in self.tests)

    @property
    def points(self) -> int:
        return sum(test.points for test in self.tests)


@dataclass(frozen=True)
class Grade:
    """The grade of a submission: "graded", or why not, remarks, and what each question earned."""

    status: str
    remarks: tuple[str, ...] = ()
    questions: dict[str, Answered] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def earned(self) -> int:
        return sum(question.earned for question in self.questions.values())


def read_submission(path: Path) -> list[Submitted]:
    """Return the cells of the notebook at `path`; raise ``ValueError`` if it is none.

    It is read in the sandbox, so that a file made to break a reader breaks nothing here.
    """
    done = _inside({"notebook": _NOTEBOOK}, 60, path)
    lines = _lines(done)
    if not lines:
        raise ValueError(f"the file could not be read: {done.why}")
    if "bad" in lines[0]:
        raise ValueError(f"the file is no Jupyter notebook ({lines[0]['bad']})")
    return [
        Submitted(c["kind"], c["source"], tuple(c["names"]), c["marked"]) for c in lines[0]["cells"]
    ]


def typed_number(path: Path) -> str:
    """Return the student number typed into the notebook at `path`, or ""."""
    try:
        return next(filter(None, (typed(cell.source) for cell in read_submission(path))), "")
    except (ValueError, OSError):
        return ""


def right_values(assignment: Assignment, course: str, student: str) -> dict[str, list]:
    """Return what each hidden test gives in the teacher's notebook, with the sample of `student`.

    Raises ``ValueError`` where that notebook fails: an assignment that its teacher cannot solve.
    """
    steps = [
        step(assignment, cell, named_student(cell.source, course, student))
        for cell in assignment.cells
        if cell.kind == "code"
    ]
    done = _inside({"steps": steps, "seconds": CELL_SECONDS}, SECONDS)
    lines = _lines(done)
    for line in lines:
        if line.get("error"):
            raise ValueError(
                f"{assignment.path.name}: cell {line.get('cell') or line.get('ask')!r} of "
                f"{_SOLVED} fails for student {student!r}: {line['error']}"
            )
    if not lines or "done" not in lines[-1]:
        raise ValueError(f"{assignment.path.name}: {_SOLVED} did not come to its end. {done.why}")
    found: dict[str, list] = {name: [] for name in assignment.tests}
    for line in lines:
        if "ask" in line:
            found[line["ask"]].append(line["value"])
    return found


def grade(
    assignment: Assignment,
    path: Path,
    right: dict[str, list],
    *,
    course: str,
    student: str,
    seconds: float = SECONDS,
) -> Grade:
    """Return the grade of the notebook at `path`, handed in by `student`.

    `right` are the `right_values` of that student. Nothing that the notebook holds raises.
    """
    try:
        cells = read_submission(path)
    except ValueError as error:
        return Grade(f"not graded: {error}")
    other = _other_assignment(assignment, cells)
    if other:
        return Grade(f"not graded: {other}")
    arranged = arrange(assignment, cells, course, student)
    ends = [
        {"name": f"{name} at the end", "asks": [test.expression for test in tests]}
        for name, tests in assignment.tests.items()
    ]
    done = _inside({"steps": arranged.steps + ends, "seconds": CELL_SECONDS}, seconds)
    lines = _lines(done)
    questions = _questions(assignment, lines, right, arranged)
    remarks = arranged.remarks + _remarks(done, lines, arranged)
    return Grade("graded", tuple(remarks), questions, arranged.texts, round(done.seconds, 1))


def same(said, right, within: float = 0.0) -> bool:
    """Return whether the plain value `said` agrees with `right`; numbers may differ by `within`.

    >>> same([1, 0.501], [1, 0.5], 0.01), same(True, 1), same(1.0, 1)
    (True, False, True)
    """
    if isinstance(right, bool) or isinstance(said, bool):
        return said is right
    if isinstance(right, (int, float)):
        return isinstance(said, (int, float)) and _close(said, right, within)
    if isinstance(right, list):
        return (
            isinstance(said, list)
            and len(said) == len(right)
            and all(same(a, b, within) for a, b in zip(said, right, strict=True))
        )
    if isinstance(right, dict):
        return isinstance(said, dict) and same(_pairs(said), _pairs(right), within)
    return type(said) is type(right) and said == right


def _pairs(plain: dict) -> list:
    """Return the entries of a dictionary that `plain` describes, in an order that is its own."""
    keys, values = plain.get("keys"), plain.get("values")
    if not isinstance(keys, list) or not isinstance(values, list) or len(keys) != len(values):
        return [None]
    return sorted(
        ([k, v] for k, v in zip(keys, values, strict=True)), key=lambda pair: _shown(pair[0])
    )


def _close(said: float, right: float, within: float) -> bool:
    if math.isnan(right) or said != said:
        return math.isnan(right) and said != said
    try:
        # The last digits depend on the order of sums, also where no tolerance is given.
        return said == right or math.isclose(said, right, rel_tol=1e-9, abs_tol=1.000001 * within)
    except OverflowError:  # a whole number that no float can hold
        return False


def _inside(job: dict, seconds: float, notebook: Path | None = None) -> Isolated:
    program = resources.files(__package__).joinpath("grading_inside.py").read_text("utf-8")
    files = {
        "grading_inside.py": program,
        "main.py": "import grading_inside\ngrading_inside.main('plan.json', 3)\n",
        "plan.json": json.dumps(job),
    }
    with tempfile.NamedTemporaryFile(prefix="lleval-submitted-") as copy:
        readable = {}
        if notebook is not None:
            # The user in the sandbox may not be the one who can read the original.
            shutil.copyfile(notebook, copy.name)
            os.chmod(copy.name, 0o644)
            readable = {_NOTEBOOK: copy.name}
        return run_isolated(files, seconds=seconds, memory=MEMORY, readable=readable, cache=True)


def _lines(done: Isolated) -> list[dict]:
    """Return the lines of the answer that are such; a submission may have written others."""
    lines = []
    for line in done.answer.split(b"\n", _LINES)[:_LINES]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            lines.append(found)
    return lines


def _other_assignment(assignment: Assignment, cells: list[Submitted]) -> str | None:
    """Return why `cells` are no submission of `assignment`, if so."""
    if not any(cell.kind == "code" and cell.source.strip() for cell in cells):
        return "the notebook has no code"
    drawn = drawn_for(cells)
    if drawn and assignment.name not in drawn:
        # An assignment may draw twice, for "3_parameter_efficiency" and for that with ", sizes".
        names = sorted({name.partition(",")[0] for name in drawn})
        return f"this is another assignment ({', '.join(names)})"
    known = known_cells(assignment, cells)
    if not drawn and not any(c and c.role in ("given", "check", "answer") for c in known):
        return f"no cell of {assignment.name} was found in it"
    return None


def _questions(
    assignment: Assignment, lines: list[dict], right: dict[str, list], arranged: Arranged
) -> dict[str, Answered]:
    problems = {_cut(line["cell"]): line.get("error") for line in lines if "cell" in line}
    found = {}
    for name, tests in assignment.tests.items():
        question = name.removesuffix("-check")
        values = [_claimed(lines, name, number) for number in range(len(tests))]
        tested = tuple(
            Tested(
                test.expression,
                _shown(said["value"]) if "value" in said else said["error"],
                "value" in said,
                test.points * ("value" in said and same(said["value"], value, test.within)),
                test.points,
            )
            for test, said, value in zip(tests, values, right[name], strict=True)
        )
        whole = all(test.earned for test in tested)
        problem = None if whole else _problem(question, name, problems, arranged)
        found[question] = Answered(tested, problem)
    return found


def _claimed(lines: list[dict], name: str, number: int) -> dict:
    """Return the one claim that counts for a hidden test, chosen without a look at what is right.

    That at the place of its check counts; where it failed there, that at the notebook's end.
    """
    for asked in (name, f"{name} at the end"):
        claims = [c for c in lines if c.get("ask") == asked and c.get("number") == number]
        if claims and "value" in claims[0]:
            return claims[0]
    return {"error": _cut(claims[0]["error"])} if claims and "error" in claims[0] else _NOTHING


_NOTHING = {"error": "the notebook ended before this was asked"}


def _shown(value) -> str:
    try:
        return _cut(json.dumps(value, ensure_ascii=False), 200)
    except RecursionError:  # a submission wrote it, past `plain`
        return "a value that is nested too deeply"


def _cut(said, length: int = 500) -> str:
    """Return `said`, which a submission can have written, as a text that a page can hold."""
    text = said if isinstance(said, str) else _shown(said)
    return text if len(text) <= length else f"{text[:length]} …"


def _problem(question: str, check: str, problems: dict, arranged: Arranged) -> str | None:
    for name in (question, check):
        if name == question and _unanswered(arranged.sources.get(name, "")):
            return "not answered"
        if problems.get(name):
            return _explained(name, _cut(problems[name]), arranged)
    return None


def _unanswered(source: str) -> bool:
    return "# YOUR CODE HERE" in source and "raise NotImplementedError" in source


def _explained(name: str, problem: str, arranged: Arranged) -> str:
    """Return `problem`, and for a name that a later cell defines that this is so."""
    lacking = re.search(r"name '(\w+)' is not defined", problem)
    if lacking is None:
        return problem
    names = list(arranged.sources)
    later = names[names.index(name) + 1 :] if name in names else []
    defines = re.compile(rf"^[ \t]*(?:def |class )?{lacking[1]}\b[ \t]*[=(:,]", re.M)
    where = [other for other in later if defines.search(arranged.sources[other])]
    if not where:
        return problem
    return (
        f"{problem}: it is defined only in a later cell ({where[0]}). Before you hand in, restart "
        "and run all cells from the top"
    )


def _remarks(done: Isolated, lines: list[dict], arranged: Arranged) -> list[str]:
    remarks = []
    begun = [_cut(line["begins"], 100) for line in lines if "begins" in line]
    if not any("done" in line for line in lines):
        where = f" in cell {begun[-1]}" if begun else ""
        why = "It left Python itself." if done.ending == "finished" else done.why
        remarks.append(f"the notebook did not come to its end{where}. {why}")
    if any(text.strip() == UNANSWERED for text in arranged.texts.values()):
        remarks.append("an open question was not answered")
    return remarks
