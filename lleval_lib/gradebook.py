"""Grade a folder of submissions: a table of points, and a page of feedback for each student.

Each grade is kept as soon as it is known, so that a run that was stopped goes on where it was.
"""

import csv
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import jinja2
from tqdm import tqdm

from .assignments import Assignment, read_assignment
from .grading import (
    SECONDS,
    Answered,
    Grade,
    Tested,
    grade,
    read_submission,
    right_values,
    typed_number,
)
from .grading_arrange import drawn_for
from .submissions import Student, find_notebooks, match, other_files, read_roster

HANDED_IN_NOTHING = "nothing handed in"


def grade_all(
    source: str | Path,
    assignment: str | Path,
    roster: str | Path,
    output: str | Path,
    *,
    course: str = "",
    seconds: float = SECONDS,
    workers: int = 2,
) -> list[tuple[Student, Grade, str]]:
    """Grade the submissions in the folder or .zip `source`; return a row for each student.

    A row is the student, the grade and the file. `assignment` is the teacher's notebook, or a
    folder of such: then it is the one that most of the submissions name. `output` gets
    ``grades.csv`` and a page for each student in ``feedback``. Each submission may take `seconds`;
    `workers` run at a time. Raises ``ValueError`` for a bad assignment, roster or source.
    """
    students, output = read_roster(roster), Path(output)
    state = output / "state"
    state.mkdir(parents=True, exist_ok=True)
    files = find_notebooks(source, state / "unpacked")
    task = read_assignment(_the_one(Path(assignment), list(files.values())))
    mine, nobodys = match(students, files, task.name, lambda name: typed_number(files[name]))
    strays = _strays(students, other_files(source), task.name)
    right_values(task, course, "")  # a teacher's mistake is said before anything is graded

    def graded(student: Student) -> tuple[Student, Grade, str]:
        handed_in = {name: files[name] for name in mine[student.number]}
        others = strays[student.number]
        return student, *_settled(
            task, student, handed_in, others, state, course=course, seconds=seconds
        )

    with ThreadPoolExecutor(workers) as pool:
        rows = list(tqdm(pool.map(graded, students), total=len(students), desc="graded"))
    rows += [(Student("", "", {}), Grade("not graded: nobody's file"), name) for name in nobodys]
    write_table(task, rows, output / "grades.csv")
    write_pages(task, rows, output / "feedback")
    return rows


def _strays(students: list[Student], names: list[str], assignment: str) -> dict[str, list[str]]:
    """Return the files of each student that are no notebooks."""
    as_notebooks = {re.sub(r"(\.ipynb)?\.\w+$", ".ipynb", name): name for name in names}
    found, _ = match(students, as_notebooks, assignment, lambda name: "")
    return {number: [as_notebooks[name] for name in mine] for number, mine in found.items()}


def _settled(
    task: Assignment, student: Student, files: dict[str, Path], strays: list[str], state: Path,
    **options,
) -> tuple[Grade, str]:  # fmt: skip
    """Return the grade of `student` and its file; trouble with one student stops no other's."""
    if not files and strays:
        return Grade("not graded: what was handed in is no notebook (.ipynb)"), ", ".join(strays)
    if not files:
        return Grade(HANDED_IN_NOTHING), ""
    try:
        return _kept(task, student, files, state, **options)
    except (ValueError, OSError) as error:
        return Grade(f"not graded: {error}"), ", ".join(files)


def _the_one(assignment: Path, files: list[Path]) -> Path:
    """Return `assignment`, or if it is a folder the notebook there that most of `files` name."""
    if not assignment.is_dir():
        return assignment
    named = Counter(name for path in files[:15] for name in _drawn_for(path))
    there = [n for n, _ in named.most_common() if (assignment / f"{n}.ipynb").exists()]
    if not there:
        raise ValueError(
            f"which assignment was handed in? None of the notebooks names one in {assignment}; "
            "name the teacher's notebook itself"
        )
    return assignment / f"{there[0]}.ipynb"


def _drawn_for(path: Path) -> set[str]:
    try:
        return drawn_for(read_submission(path))
    except (ValueError, OSError):
        return set()


def _kept(
    task: Assignment, student: Student, files: dict[str, Path], state: Path, **options
) -> tuple[Grade, str]:
    """Return the grade of `student` and its file: as it was kept, else made now and kept."""
    key = _key(task, student, files, options)
    path = state / f"{file_name(student)}.json"
    if (kept := _recalled(path, key)) is not None:
        return kept
    found, name = _graded(task, student, files, **options)
    # Another run may write into the same folder.
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_text(json.dumps({"key": key, "file": name, "grade": asdict(found)}))
    os.replace(scratch, path)
    return found, name


def _recalled(path: Path, key: str) -> tuple[Grade, str] | None:
    """Return the grade and the file kept at `path` under `key`, unless they are not there whole."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return (_grade_of(kept["grade"]), kept["file"]) if kept["key"] == key else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _graded(
    task: Assignment, student: Student, files: dict[str, Path], *, course: str, seconds: float
) -> tuple[Grade, str]:
    """Grade the first of `files` that is a submission of `task`."""
    right = right_values(task, course, student.number)
    passed: list[str] = []
    first: tuple[Grade, str] | None = None
    for name, path in files.items():
        found = grade(task, path, right, course=course, student=student.number, seconds=seconds)
        first = first or (found, name)
        if found.status == "graded":
            others = [other for other in files if other != name]
            more = (f"graded was {name}, not {', '.join(others)}",) if others else ()
            return Grade(**{**vars(found), "remarks": (*found.remarks, *passed, *more)}), name
        passed.append(f"{name}: {found.status}")
    assert first is not None
    return first


def _key(task: Assignment, student: Student, files: dict[str, Path], options: dict) -> str:
    parts = [task.path.read_bytes(), repr((student, sorted(options.items()))).encode()]
    parts += [
        part for name, path in files.items() for part in (ascii(name).encode(), path.read_bytes())
    ]
    parts += [version(__package__).encode()]
    parts += [
        resources.files(__package__).joinpath(f"{name}.py").read_bytes()
        for name in ("grading", "grading_arrange", "grading_inside", "sandbox")
    ]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _grade_of(kept: dict) -> Grade:
    questions = {
        name: Answered(tuple(Tested(**test) for test in answered["tests"]), answered["problem"])
        for name, answered in kept["questions"].items()
    }
    return Grade(kept["status"], tuple(kept["remarks"]), questions, kept["texts"], kept["seconds"])


def file_name(student: Student) -> str:
    """Return the name of a file for `student`, whatever signs the number holds."""
    plain = re.sub(r"[^\w@.-]", "_", student.number).lstrip(".")
    if plain == student.number and len(plain) < 100:
        return plain
    return f"{plain[:100]}-{hashlib.sha256(student.number.encode()).hexdigest()[:8]}"


def write_table(task: Assignment, rows: list[tuple[Student, Grade, str]], path: Path) -> None:
    """Write the points of each student as a .csv; open questions have an empty column."""
    total = sum(task.questions.values())
    opens = [f"{name} (of {points})" for name, points in task.open_questions.items()]
    auto = [f"{name} (of {points})" for name, points in task.questions.items()]
    head = ["student", "name", "status", f"points (of {total})", *auto, *opens]
    scratch = path.with_suffix(".tmp")
    # With its mark, since a spreadsheet takes other files for the computer's own encoding.
    with scratch.open("w", newline="", encoding="utf-8-sig", errors="replace") as file:
        table = csv.writer(file)
        table.writerow([*head, "seconds", "remarks", "file"])
        for student, found, name in rows:
            points = [found.questions[q].earned if found.questions else "" for q in task.questions]
            earned = found.earned if found.questions else ""
            texts = [student.number, student.name, found.status]
            last = [found.seconds or "", "; ".join(found.remarks), name]
            cells = [*texts, earned, *points, *("" for _ in opens), *last]
            table.writerow([_harmless(cell) for cell in cells])
    os.replace(scratch, path)


# Some spreadsheets take wide signs, too, and in some countries a semicolon parts the columns.
_FORMULA = re.compile("(^|[;\t\r\n])(?=\\s*[=+@\uff1d\uff0b\uff0d\uff20-])")


def _harmless(cell):
    """Return `cell` so that no spreadsheet takes it, or a part of it, for a formula."""
    return _FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell


def write_pages(task: Assignment, rows: list[tuple[Student, Grade, str]], folder: Path) -> None:
    """Write a page of feedback for each student of `rows`, and the list of them for the teacher."""
    folder.mkdir(parents=True, exist_ok=True)
    for student, found, name in rows:
        if student.number:
            page = _template().render(task=task, student=student, grade=found, file=name)
            # Half of a sign, which JSON and names of files can hold, is no text.
            data = page.encode("utf-8", "replace")
            (folder / f"{file_name(student)}.html").write_bytes(data)


@cache
def _template() -> jinja2.Template:
    text = resources.files(__package__).joinpath("feedback.html").read_text(encoding="utf-8")
    return jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    ).from_string(text)


def summary(rows: list[tuple[Student, Grade, str]]) -> Iterator[str]:
    """Yield what a teacher wants to know first: how many, which question was hard, how long."""
    graded = [found for _, found, _ in rows if found.status == "graded"]
    yield f"{len(graded)} graded, {len(rows) - len(graded)} not"
    for student, found, name in rows:
        if found.status not in ("graded", HANDED_IN_NOTHING):
            yield f"  {student.number or '?'}, {name}: {found.status}"
    if graded:
        for name, question in graded[0].questions.items():
            mean = sum(found.questions[name].earned for found in graded) / len(graded)
            yield f"  {name}: {mean:.1f} of {question.points} points on average"
        seconds = sum(found.seconds for found in graded) / len(graded)
        yield f"{seconds:.1f} seconds a submission"
