"""Put a submission back into its assignment's order, with the teacher's cells as they were."""

import re
from dataclasses import dataclass

from .assignments import Assignment, Cell, named_student, visible, without_solution
from .variants import plain_name


@dataclass(frozen=True)
class Submitted:
    """A cell of a submission: its kind, its source, and the names that its metadata give it."""

    kind: str
    source: str
    names: tuple[str, ...]
    marked: bool


@dataclass(frozen=True)
class Arranged:
    """A submission in the teacher's order: what runs, the open answers, and what was put right."""

    steps: list[dict]
    texts: dict[str, str]
    remarks: list[str]
    sources: dict[str, str]


def arrange(assignment: Assignment, cells: list[Submitted], course: str, student: str) -> Arranged:
    """Put a submission into the teacher's order, with the teacher's cells as they were.

    A cell is known by nbgrader's name for it, else by its id, else by its text. Cells that a
    student added stay behind the one that they follow.
    """
    known = known_cells(assignment, cells)
    arranged = Arranged([], {}, _matching_remarks(assignment, cells, known), {})
    for submitted, cell, last in _placed(assignment, cells, known):
        if cell and cell.kind == "code" and cell.role != "answer":
            if cell.name not in arranged.sources:
                arranged.remarks.extend(_restored(cell, submitted, course, student))
                source = named_student(cell.source, course, student)
                arranged.sources[cell.name] = source
                arranged.steps.append(step(assignment, cell, source))
        elif submitted and submitted.kind == "code":
            name = cell.name if cell else f"added {len(arranged.steps)}"
            arranged.sources[name] = submitted.source
            arranged.steps.append({"name": name, "source": submitted.source})
        elif submitted and last and last.role == "open":
            before = [arranged.texts[last.name]] if last.name in arranged.texts else []
            arranged.texts[last.name] = "\n\n".join([*before, submitted.source])
    return arranged


def _placed(
    assignment: Assignment, cells: list[Submitted], known: list[Cell | None]
) -> list[tuple[Submitted | None, Cell | None, Cell | None]]:
    """Return each cell, what it is, and what it belongs to, in the assignment's order."""
    place = {cell.name: i for i, cell in enumerate(assignment.cells)}
    found = set(_names(known))
    missing = [cell for cell in assignment.cells if cell.name not in found]
    at = -1
    placed: list[tuple[int, Submitted | None, Cell | None]] = []
    for submitted, cell in zip(cells, known, strict=True):
        at = place[cell.name] if cell else at
        placed.append((at, submitted, cell))
    placed += [(place[cell.name], None, cell) for cell in missing]
    placed.sort(key=lambda entry: entry[0])
    belongs: list[tuple[Submitted | None, Cell | None, Cell | None]] = []
    for at, handed_in, cell in placed:
        # A text behind a question is its answer, also where nothing says so.
        after = [c for c in assignment.cells[at + 1 : at + 2] if c in missing and c.role == "open"]
        before = assignment.cells[at] if at >= 0 else None
        belongs.append((handed_in, cell, cell or (after[0] if after else before)))
    return belongs


def step(assignment: Assignment, cell: Cell, source: str) -> dict:
    """Return what the sandbox does with `cell`: it runs `source`, and answers its hidden tests."""
    if cell.role != "check":
        return {"name": cell.name, "source": source}
    asks = [test.expression for test in assignment.tests[cell.name]]
    return {"name": cell.name, "source": visible(source), "asks": asks}


def known_cells(assignment: Assignment, cells: list[Submitted]) -> list[Cell | None]:
    """Return which cell of the assignment each of `cells` is, if any."""
    named = {(n, c.kind): c for c in reversed(assignment.cells) for n in (c.id, c.name)}
    texts = [(_plainly(without_solution(cell)), cell.kind) for cell in assignment.cells]
    alike = dict(zip(texts, assignment.cells, strict=True))
    once = {text: cell for text, cell in alike.items() if text[0] and texts.count(text) == 1}
    return [
        next(
            (named[name, cell.kind] for name in cell.names if (name, cell.kind) in named),
            once.get((_plainly(named_student(cell.source, "", "")), cell.kind)),
        )
        for cell in cells
    ]


def _plainly(source: str) -> str:
    return re.sub(r"\s+", " ", source).strip()


def _names(known: list[Cell | None]) -> list[str]:
    return [cell.name for cell in known if cell]


def _matching_remarks(
    assignment: Assignment, cells: list[Submitted], known: list[Cell | None]
) -> list[str]:
    remarks = []
    if not any(cell.marked for cell in cells):
        remarks.append(
            "nbgrader's metadata are gone from every cell (nbgrader would give 0 points and say "
            "nothing); the cells were found by their ids and texts"
        )
    names = _names(known)
    place = [cell.name for cell in assignment.cells]
    if sorted(names, key=place.index) != names:
        remarks.append("cells had changed places; they ran in the assignment's order")
    wanted = [cell for cell in assignment.cells if cell.role in ("answer", "open")]
    twice = [cell.name for cell in wanted if names.count(cell.name) > 1]
    if twice:
        remarks.append(f"cells that are there twice ran twice: {', '.join(twice)}")
    missing = [cell.name for cell in wanted if cell.name not in names]
    if missing:
        remarks.append(f"no cell was found for {', '.join(missing)}; added cells ran instead")
    return remarks


def _restored(cell: Cell, submitted: Submitted | None, course: str, student: str) -> list[str]:
    """Return what was put right in a cell that is the teacher's."""
    if submitted is None:
        return [f"the cell {cell.name} was missing and has been put back"]
    if cell.role == "student":
        return _named(submitted.source, course, student)
    if _plainly(submitted.source) not in map(_plainly, (without_solution(cell), cell.source)):
        put_back = f"the cell {cell.name} had been changed and has been put back"
        return [f"{put_back}: what was written there did not run"]
    return []


def drawn_for(cells: list[Submitted]) -> set[str]:
    """Return the names of the assignments whose data these cells draw."""
    code = "\n".join(cell.source for cell in cells if cell.kind == "code")
    return set(re.findall(r"\bll\.variant\(\s*[\"']([^\"']+)[\"']", code))


def typed(source: str, name: str = "STUDENT") -> str:
    """Return the text that the code `source` gives to `name`, the student number, or ""."""
    said = re.search(rf"^{name}[ \t]*(?::[^=\n]*)?=[ \t]*[rfu]?([\"'])(.*?)\1", source, re.M)
    return said[2].strip() if said else ""


def _named(source: str, course: str, student: str) -> list[str]:
    """Return what to say of a submission that was made with other names than it is graded with."""
    remarks = []
    name, their = typed(source), typed(source, "COURSE")
    if plain_name(name) != plain_name(student):
        what = f"it was made as student {name!r}" if name else "no student number was typed in"
        remarks.append(
            f"{what}; it was graded with the sample of {student!r}, so copied numbers fail"
        )
    if plain_name(their) != plain_name(course):
        remarks.append(
            f"it was made for the course {their!r} and graded for {course!r}, where the samples "
            "are others: if all submissions say this, grade with the --course of their notebooks"
        )
    return remarks
