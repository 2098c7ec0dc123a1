"""Find who handed in which file, however the learning platform named it.

Known are the downloads of Moodle (``Ada Byron_1234_assignsubmission_file_/x.ipynb``), Canvas
(``byronada_LATE_55_912_x-1.ipynb``) and Google Classroom (``Ada Byron - x.ipynb``), and plain
folders or files named after students, as folders or as the .zip files that they come in.
"""

import re
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

LARGEST = 1_000_000_000  # bytes of one file in a .zip


@dataclass(frozen=True)
class Student:
    """A row of the roster: the number that a student types in, the name, and other numbers."""

    number: str
    name: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """The file of a student, if any; the files that were passed over; and what to say of it."""

    student: Student
    path: Path | None
    others: tuple[Path, ...]


def read_roster(path: str | Path) -> list[Student]:
    """Return the students of a .csv file with the column ``student`` and, better, ``name``.

    Any other column, such as ``email`` or ``canvas_id``, helps to find their files. Raises
    ``ValueError`` for a missing column, an empty or repeated number.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep=None,
                        engine="python")  # fmt: skip
    table.columns = table.columns.str.strip().str.casefold()
    if "student" not in table:
        raise ValueError(
            f"{path} has no column student (the number that students type into the notebook); it "
            f"has {', '.join(table.columns)}"
        )
    table = table.apply(lambda column: column.str.strip())
    for number in table.student:
        if not number or (table.student.str.casefold() == number.casefold()).sum() > 1:
            raise ValueError(f"{path}: the column student holds {number!r} more than once or empty")
    others = [c for c in table.columns if c not in ("student", "name")]
    names = table["name"] if "name" in table else [""] * len(table)
    return [
        Student(number, name, tuple(value for value in row if value))
        for number, name, row in zip(
            table.student, names, table[others].to_numpy().tolist(), strict=True
        )
    ]


def find_notebooks(source: str | Path, scratch: Path) -> dict[str, Path]:
    """Return the notebooks under the folder or .zip file `source`, by their path in it.

    A .zip is unpacked into the folder `scratch`, its members under names of our own: a path in a
    .zip can point anywhere.
    """
    source = Path(source)
    if source.is_dir():
        found = {p.relative_to(source).as_posix(): p for p in sorted(source.rglob("*"))}
        return {
            name: path
            for name, path in found.items()
            if name.lower().endswith(".ipynb")
            and path.is_file()
            and not path.is_symlink()
            and ".ipynb_checkpoints" not in path.parts
        }
    if not zipfile.is_zipfile(source):
        raise ValueError(f"{source} is neither a folder nor a .zip file of submissions")
    scratch.mkdir(parents=True, exist_ok=True)
    notebooks = {}
    with zipfile.ZipFile(source) as archive:
        members = [m for m in archive.infolist() if m.filename.lower().endswith(".ipynb")]
        for number, member in enumerate(members):
            path = scratch / f"{number}.ipynb"
            with archive.open(member) as packed:
                path.write_bytes(packed.read(LARGEST))
            notebooks[member.filename] = path
    return notebooks


def match(
    students: list[Student], names: Iterable[str], declared: dict[str, str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the files of each student, newest last, and the files that are nobody's.

    A file belongs to whose number (or other column of the roster) stands in its path; else to
    whose name does; else to whom `declared`, the number typed into the notebook, names. One that
    fits two students is nobody's.
    """
    found: dict[str, list[str]] = {student.number: [] for student in students}
    nobodys = []
    for name in sorted(names, key=_order):
        owners = _owners(students, name, declared.get(name, ""))
        if len(owners) == 1:
            found[owners[0].number].append(name)
        else:
            nobodys.append(name)
    return found, nobodys


def _owners(students: list[Student], name: str, declared: str) -> list[Student]:
    words = _words(name)
    by_number = [s for s in students if any(_words(n) <= words for n in (s.number, *s.others) if n)]
    if by_number:
        return by_number
    by_name = [s for s in students if s.name and _has_name(s.name, name)]
    if by_name:
        return by_name
    return [s for s in students if declared and s.number.casefold() == declared.strip().casefold()]


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W_]+", _folded(text)))


def _folded(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))


def _has_name(full: str, path: str) -> bool:
    """Return whether a part of `path` begins with the name, in either order, joined or not."""
    given = re.findall(r"[^\W_]+", _folded(full))
    joined = {"".join(given), "".join(given[-1:] + given[:-1]), "".join(given[1:] + given[:1])}
    for part in PurePosixPath(path).parts:
        for head in re.split(r"_| - |\.ipynb$", _folded(part)):
            if "".join(re.findall(r"[^\W_]+", head)) in joined:
                return True
    return False


def _order(name: str) -> tuple:
    """Sort what was handed in again, ``x-1.ipynb`` or ``x (1).ipynb``, behind the first."""
    again = re.search(r"(?:-| \()(\d+)\)?\.ipynb$", name, re.I)
    return (re.sub(r"(?:-\d+| \(\d+\))?\.ipynb$", "", name), int(again[1]) if again else 0)
