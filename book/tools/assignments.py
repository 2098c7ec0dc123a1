"""Make the student versions of the assignments, and show that they are what they should be.

    .venv/bin/python book/tools/assignments.py [--course NAME] [--students CSV] [--output DIR]

The teacher's notebooks stand in ``notebooks/assignments``. A student version lacks the solutions,
the hidden tests and the outputs. With ``--students`` each student of the .csv file gets a folder
with the student's number in the notebooks already; without it there is one of each, in which
students type their number. Of each assignment the student version is run, in which the unanswered
cells fail and no other, and the teacher's notebook, which must print what is committed in it and
have full marks.
"""

import argparse
import copy
import re
import subprocess
import sys
from pathlib import Path

import address
import nbformat
from nbclient import NotebookClient

from lleval_lib.assignments import Assignment, read_assignment, student_version
from lleval_lib.gradebook import file_name
from lleval_lib.grading import grade, right_values
from lleval_lib.submissions import read_roster

ROOT = Path(__file__).resolve().parents[2]
_CHAPTER = re.compile(r"\[([^]\[]+)\]\(\.\./(\w+\.ipynb)\)")


def write(path: Path, output: Path, course: str, roster, root: Path = ROOT) -> int:
    """Write the student versions of the teacher's notebook at `path`; return how many."""
    chapters = chapter_links((root / "_config.yml").read_text(encoding="utf-8"))
    folders = {s.number: output / file_name(s) for s in roster} or {"": output}
    for number, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        text = student_version(path, course=course, student=number)
        (folder / path.name).write_text(_CHAPTER.sub(chapters, text), encoding="utf-8")
    return len(folders)


def chapter_links(config: str) -> str:
    """Return what a link to a chapter becomes, which away from the repository leads nowhere."""
    url, branch = address.read_address(config)
    if url == address.UNKNOWN:
        return r"\1"
    name = url.removeprefix("https://github.com/")
    return rf"[\1](https://colab.research.google.com/github/{name}/blob/{branch}/notebooks/\2)"


def problems(path: Path) -> list[str]:
    """Return what is wrong with the teacher's notebook at `path` and its student version."""
    return [*_wrong_failures(path), *_other_outputs(path), *_lost_points(path)]


def _wrong_failures(path: Path) -> list[str]:
    """Return which cells of the student version fail that should not, or should and do not."""
    assignment = read_assignment(path)
    notebook = nbformat.reads(student_version(path), as_version=4)
    failed = failing_cells(notebook, path.parent)
    roles = {cell.name: cell.role for cell in assignment.cells}
    answers = [name for name, role in roles.items() if role == "answer"]
    # What is left out of a function is missed only where its check calls it.
    calm = [name for name in answers if not {name, f"{name}-check"} & failed.keys()]
    loud = [name for name in failed if roles[name] not in ("answer", "check")]
    return [
        *(f"{path.name}: neither {name} nor its check fails unanswered" for name in calm),
        *(f"{path.name}: {name} fails in the student version ({failed[name]})" for name in loud),
    ]


def failing_cells(notebook, folder: Path) -> dict[str, str]:
    """Return the name of the error of each cell of `notebook` that fails, run in `folder`."""
    notebook = copy.deepcopy(notebook)
    client = NotebookClient(
        notebook, timeout=600, allow_errors=True, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return {
        cell.metadata.get("nbgrader", {}).get("grade_id", cell.id): output.ename
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "error"
    }


def _other_outputs(path: Path) -> list[str]:
    command = [sys.executable, "-m", "pytest", "--nbval", "--quiet", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, cwd=ROOT)
    return [] if done.returncode == 0 else [f"{path.name}: {done.stdout[-2000:]}"]


def _lost_points(path: Path) -> list[str]:
    assignment = read_assignment(path)
    right = right_values(assignment, "", "teacher")
    found = grade(assignment, path, right, course="", student="teacher")
    if found.earned == total(assignment):
        return []
    return [f"{path.name}: the solutions have {found.earned} of {total(assignment)} points"]


def total(assignment: Assignment) -> int:
    """Return the points that are given automatically."""
    return sum(assignment.questions.values())


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--course", default="", help="chooses the samples of the data")
    parser.add_argument("--students", type=Path, help="a .csv file with the column student")
    parser.add_argument("--output", type=Path, default=root / "_build" / "assignments")
    options = parser.parse_args(arguments)
    roster = read_roster(options.students) if options.students else []
    wrong = []
    for path in sorted((root / "notebooks" / "assignments").glob("*.ipynb")):
        count = write(path, options.output, options.course, roster, root)
        found = problems(path)
        points = total(read_assignment(path))
        right = f"only unanswered cells fail, and the solutions have {points} of {points} points"
        print(f"{path.name}: {count} written; {found or right}", flush=True)
        wrong += found
    print(f"They are in {options.output}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
