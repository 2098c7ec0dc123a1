"""The teaching guide: what it says of chapters, assignments, commands and remarks is so."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import pytest

from lleval_lib.assignments import read_assignment

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "book/teaching.md").read_text("utf-8")
CHAPTERS = {
    path.stem.split("_")[0].lstrip("0"): path for path in (ROOT / "notebooks").glob("*.ipynb")
}
ASSIGNMENTS = sorted((ROOT / "notebooks/assignments").glob("*.ipynb"))
SVG = "{http://www.w3.org/2000/svg}"


def part(title: str) -> str:
    """Return the text of the guide below the heading `title`."""
    return re.split(r"\n## ", GUIDE.split(f"\n## {title}\n")[1])[0]


def number(chapter: str) -> str:
    return chapter.split("_")[0].lstrip("0")


def opening(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[0].source


def edges_of_the_chapters() -> set[tuple[str, str]]:
    """Return (needed, needs) for each link in the line "Prerequisites" of a chapter."""
    found = set()
    for name, path in CHAPTERS.items():
        line = re.search(r"\*\*Prerequisites:\*\*(.*?)\*\*Time", opening(path), re.S)[1]
        found |= {(number(needed), name) for needed in re.findall(r"\]\((\w+)\.ipynb\)", line)}
    return found


def edges_of_the_picture() -> set[tuple[str, str]]:
    """Return the edges that the picture draws: a dot lies on a line and in a chapter's row."""
    root = ET.parse(ROOT / "book/_static/prerequisites.svg").getroot()
    names = [e for e in root.iter(f"{SVG}text") if e.get("class") == "chapter"]
    rows = {float(e.get("y")) - 5: e.text for e in names}
    lines = [e for e in root.iter(f"{SVG}line") if e.get("data-chapter")]
    found = set()
    for dot in root.iter(f"{SVG}circle"):
        x, y = float(dot.get("cx")), float(dot.get("cy"))
        (line,) = (
            e
            for e in lines
            if float(e.get("x1")) == x and float(e.get("y1")) < y <= float(e.get("y2"))
        )
        found.add((line.get("data-chapter"), rows[y]))
    assert set(rows.values()) == CHAPTERS.keys()
    return found


def table_of_chapters() -> dict[str, tuple[str, str, int]]:
    """Return the file, what is needed, and the minutes, of each row of the chapters' table."""
    rows = re.findall(
        r"^\| \[(\w+) .*\]\(\.\./notebooks/(.+)\) \| (.+) \| (\d+) \|$",
        part("What needs what"),
        re.M,
    )
    return {name: (file, needs, int(minutes)) for name, file, needs, minutes in rows}


def test_the_picture_draws_the_chapters_prerequisites():
    assert edges_of_the_picture() == edges_of_the_chapters()


def test_the_table_of_chapters_says_the_same():
    table = table_of_chapters()
    assert {name: file for name, (file, _, _) in table.items()} == {
        name: path.name for name, path in CHAPTERS.items()
    }
    edges = {
        (needed, name)
        for name, (_, needs, _) in table.items()
        for needed in re.findall(r"\b[A\d]\d?\b", re.sub(r"\(.*?\)", "", needs))
    }
    assert edges == edges_of_the_chapters()
    for name, path in CHAPTERS.items():
        time, unit = re.search(r"\*\*Time:\*\*\s+(\d+) (minutes|hours)", opening(path)).groups()
        assert table[name][2] == int(time) * (60 if unit == "hours" else 1), name


def test_each_chapter_has_its_section():
    sections = re.findall(
        r"^\(ch(\w+)\)=\n### (\w+) .+\n\n"
        r"- \*\*Can\*\* .+\n- \*\*Ends\*\* \".+\"\n"
        r"- \*\*Ask:\*\* .+ \*.+\*\n- \*\*In class,\*\* .+\n",
        part("Chapter by chapter"),
        re.M,
    )
    assert {name for _, name in sections} == CHAPTERS.keys()
    assert all(anchor == name.lower() for anchor, name in sections)


@pytest.mark.parametrize("path", ASSIGNMENTS, ids=lambda path: path.stem)
def test_each_assignment_has_its_row(path):
    task = read_assignment(path)
    points = [sum(by_name.values()) for by_name in (task.questions, task.open_questions)]
    row = re.search(rf"^\| {number(path.stem)} .+$", part("Assignments"), re.M)[0]
    assert row.endswith(f"| {points[0]} + {points[1]} |")
    (read,) = re.findall(r"\| ([A\d, ]+) \| \d+ \|", row)
    links = set(map(number, re.findall(r"\]\(\.\./(\w+)\.ipynb\)", task.cells[0].source)))
    assert set(read.split(", ")) <= links


def test_what_the_guide_quotes_is_what_grading_says():
    source = "".join(
        (ROOT / "lleval_lib" / f"{name}.py").read_text("utf-8")
        for name in ("grading", "grading_arrange", "gradebook")
    )
    joined = re.sub(r'"\s*f?"', "", source)
    rows = re.findall(r"^\| (`.+?) \|", part("Grading without fear"), re.M)
    quoted = [words for row in rows for words in re.findall(r"`(.+?)`", row)]
    assert len(quoted) > 12
    assert [words for words in quoted if words not in joined] == []


def test_each_command_of_the_guide_is_there():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in set(re.findall(r"\bmake ([a-z]+)\b(?! sure)", "".join(code_of(GUIDE)))):
        assert re.search(rf"^{target}:", makefile, re.M), target
    assert {"address", "assignments", "grade", "slides", "pdf"} <= set(
        re.findall(r"make ([a-z]+)", "".join(code_of(GUIDE)))
    )


def code_of(page: str) -> list[str]:
    """Return what stands between backticks, in lines and in blocks."""
    return re.findall(r"```.*?```|`[^`\n]+`", page, re.S)
