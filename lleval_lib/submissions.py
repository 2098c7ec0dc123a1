"""Find who handed in which file, however the learning platform named it.

Known are the downloads of Moodle (``Ada Byron_1234_assignsubmission_file_/x.ipynb``), Canvas
(``byronada_LATE_55_912_x-1.ipynb``) and Google Classroom (``Ada Byron - x.ipynb``), and plain
folders or files named after students, as folders or as the .zip files that they come in.
"""

import csv
import os
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from .variants import plain_name

LARGEST = 1_000_000_000  # bytes of one file in a .zip

# Whose numbers these are, only the platform knows: another student may have the same on the roster.
_PLATFORMS = (
    re.compile(r"(?P<name>[^/_]+)_(?P<moodle_id>\d+)_assignsubmission_"),
    re.compile(r"(?P<name>[^/_]+)(?:_late)?_(?P<canvas_id>\d+)_\d+_"),
    re.compile(r"(?P<name>[^/]+?) - "),
)


@dataclass(frozen=True)
class Student:
    """A row of the roster: the number that a student types in, the name, and other columns."""

    number: str
    name: str
    others: dict[str, str]


def read_roster(path: str | Path) -> list[Student]:
    """Return the students of a .csv file with the column ``student`` and, better, ``name``.

    The columns ``email``, ``moodle_id`` and ``canvas_id`` help to find their files too. Raises
    ``ValueError`` for a missing column, an empty or repeated number.
    """
    rows = [row for row in _rows(Path(path)) if any(row.values())]
    seen: set[str] = set()
    for row in rows:
        number = plain_name(row["student"])
        if not number or number in seen:
            raise ValueError(
                f"{path}: the column student holds {row['student']!r} more than once or empty"
            )
        seen.add(number)
    return [Student(row.pop("student"), row.pop("name", ""), row) for row in rows]


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of the roster at `path`, whose columns commas, semicolons or tabs part."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not a text in UTF-8: save it in the spreadsheet as “CSV UTF-8”"
        ) from error
    head = lines[0] if lines else ""
    table = csv.reader(lines, delimiter=max(",;\t", key=head.count))
    names = [name.strip().casefold() for name in next(table, [])]
    if "student" not in names:
        raise ValueError(
            f"{path} has no column student (the number that students type into the notebook); it "
            f"has {', '.join(names) or 'nothing'}"
        )
    rows = []
    for row in filter(None, table):
        if any(row[len(names) :]):
            raise ValueError(
                f"{path}, line {table.line_num}: it has {len(row)} columns, the first line "
                f"{len(names)}: put a text that holds the separator into quotes"
            )
        cells = [cell.strip() for cell in row[: len(names)]]
        rows.append(dict(zip_longest(names, cells, fillvalue="")))
    return rows


def find_notebooks(source: str | Path, scratch: Path) -> dict[str, Path]:
    """Return the notebooks under the folder or .zip file `source`, by their path in it.

    A .zip is unpacked into the folder `scratch`, its members under names of our own: a path in a
    .zip can point anywhere.
    """
    source = Path(source)
    if source.is_dir():
        return {
            _text(path.relative_to(source)): path
            for path in sorted(source.rglob("*"))
            if _is_notebook(path.relative_to(source).as_posix())
            and path.is_file()
            and not path.is_symlink()
        }
    scratch.mkdir(parents=True, exist_ok=True)
    notebooks = {}
    with _archive(source) as archive:
        members = [m for m in archive.infolist() if _is_notebook(m.filename)]
        for number, member in enumerate(members):
            path = scratch / f"{number}.ipynb"
            try:
                with archive.open(member) as packed:
                    path.write_bytes(packed.read(LARGEST))
            except (zipfile.BadZipFile, RuntimeError, EOFError, zlib.error) as error:
                raise ValueError(
                    f"{source}: {member.filename} cannot be unpacked ({error}); unpack it yourself "
                    "and name the folder"
                ) from error
            notebooks[member.filename] = path
    return notebooks


def other_files(source: str | Path) -> list[str]:
    """Return the files under the folder or .zip file `source` that are no notebooks."""
    source = Path(source)
    if source.is_dir():
        names = [_text(p.relative_to(source)) for p in sorted(source.rglob("*")) if p.is_file()]
    else:
        with _archive(source) as archive:
            names = [m.filename for m in archive.infolist() if not m.is_dir()]
    return [name for name in names if not name.lower().endswith(".ipynb")]


def _archive(source: Path) -> zipfile.ZipFile:
    if not zipfile.is_zipfile(source):
        raise ValueError(f"{source} is neither a folder nor a .zip file of submissions")
    return zipfile.ZipFile(source)


def _is_notebook(name: str) -> bool:
    """Return whether `name` is that of a notebook, and not of what an editor or a Mac adds."""
    *folders, file = name.split("/")
    added = {".ipynb_checkpoints", "__MACOSX"} & set(folders) or file.startswith("._")
    return file.lower().endswith(".ipynb") and not added


def _text(path: Path) -> str:
    """Return `path` as a text, also where its bytes are none."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def match(
    students: list[Student], names: Iterable[str], assignment: str, typed: Callable[[str], str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the files of each student by number, newest first, and the files that are nobody's.

    A file belongs to whom its platform names, by number or by name; else to whose number, address
    or name stands in its path. Where this fits nobody, or two, the number typed into the notebook
    decides, which ``typed(name)`` returns; where it cannot, the file is nobody's. What a platform
    names comes before what somebody only wrote, who may be another student.
    """
    named: dict[str, list[str]] = {student.number: [] for student in students}
    written: dict[str, list[str]] = {student.number: [] for student in students}
    nobodys = []
    for name in sorted(names, key=_order, reverse=True):
        owners, sure = _owners(students, _folded(name).replace(_folded(assignment), ""))
        if len(owners) != 1:
            number, sure = plain_name(typed(name)), False
            owners = [s for s in owners or students if plain_name(s.number) == number]
        if owners:
            (named if sure else written)[owners[0].number].append(name)
        else:
            nobodys.append(name)
    return {number: named[number] + written[number] for number in named}, sorted(nobodys)


def _owners(students: list[Student], path: str) -> tuple[list[Student], bool]:
    """Return whose file `path` can be, and whether it is the platform that says so."""
    whole = path
    for platform in _PLATFORMS:
        if named := platform.match(path):
            fields = named.groupdict()
            name = _joined(fields.pop("name"))
            by_id = [s for s in students if fields.items() & s.others.items()]
            by_name = [s for s in students if name in _names(s)]
            if by_id or by_name:
                return by_id or by_name, path == whole
            if fields:
                path = path[named.end() :]
    for part in path.split("/"):
        words = set(re.split(r"[^\w@.+-]|_|\.ipynb$", part))
        runs = _runs(re.findall(r"[^\W_]+", part))
        owners = [
            s
            for s in students
            if {_folded(s.number), _folded(s.others.get("email") or "@")} & words
            or _names(s) & runs
        ]
        if owners:
            return owners, False
    return [], False


def _runs(words: list[str]) -> set[str]:
    """Return what neighbouring words give when they are joined."""
    ends = range(len(words) + 1)
    return {"".join(words[i:j]) for i in ends for j in ends[i + 1 : i + 7]}


def _names(student: Student) -> set[str]:
    """Return the name without blanks, as it is and with the last word first or the first last."""
    words = re.findall(r"[^\W_]+", _folded(student.name))
    orders = (words, words[-1:] + words[:-1], words[1:] + words[:1])
    return {"".join(order) for order in orders} - {""}


def _joined(text: str) -> str:
    return "".join(re.findall(r"[^\W_]+", text))


def _folded(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))


def _order(name: str) -> tuple:
    """Sort what was handed in again, ``x-1.ipynb`` or ``x (1).ipynb``, behind the first."""
    again = re.search(r"(?:-| \()(\d+)\)?\.ipynb$", name, re.I)
    return (re.sub(r"(?:-\d+| \(\d+\))?\.ipynb$", "", name), int(again[1]) if again else 0)
