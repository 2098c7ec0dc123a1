"""Make the student versions of the assignments: solutions, hidden tests and outputs are gone.

    .venv/bin/python book/tools/assignments.py [--course NAME] [--students CSV] [--output DIR]

The teacher's notebooks stand in ``notebooks/assignments``. With ``--students`` each student of the
.csv file gets a folder of notebooks that have the student's number in them already; without it
there is one of each, in which students type their number. Needs nothing but Python.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lleval_lib.assignments import student_version  # noqa: E402
from lleval_lib.gradebook import file_name  # noqa: E402
from lleval_lib.submissions import read_roster  # noqa: E402


def main(arguments: list[str] | None = None, root: Path = ROOT) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--course", default="", help="chooses the samples of the data")
    parser.add_argument("--students", type=Path, help="a .csv file with the column student")
    parser.add_argument("--output", type=Path, default=root / "_build" / "assignments")
    options = parser.parse_args(arguments)
    roster = read_roster(options.students) if options.students else []
    for path in sorted((root / "notebooks" / "assignments").glob("*.ipynb")):
        folders = {s.number: options.output / file_name(s) for s in roster}
        for number, folder in (folders or {"": options.output}).items():
            folder.mkdir(parents=True, exist_ok=True)
            text = student_version(path, course=options.course, student=number)
            (folder / path.name).write_text(text, encoding="utf-8")
        print(f"{path.name}: {len(folders) or 'one'} for students")
    print(f"They are in {options.output}")


if __name__ == "__main__":
    main()
