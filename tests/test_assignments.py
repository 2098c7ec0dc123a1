"""The assignments: what students get holds no answer, and what teachers have is right."""

import json
import re
from pathlib import Path

import assignments as tool
import nbformat
import pytest
from assignment import NAME, at, teachers

from lleval_lib.assignments import read_assignment, student_version
from lleval_lib.grading import right_values, same

ROOT = Path(__file__).resolve().parents[1]

PATHS = sorted((ROOT / "notebooks" / "assignments").glob("*.ipynb"))
NAMES = [path.stem for path in PATHS]
SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.*?)\n[ \t]*### END SOLUTION", re.S)
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS\n(.*?)### END HIDDEN TESTS", re.S)

assignment = pytest.mark.parametrize("path", PATHS, ids=NAMES)


def sources(text):
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"]]


def test_there_are_six():
    assert [name.partition("_")[0] for name in NAMES] == list("123456")


@assignment
def test_a_student_version_holds_no_answer(path):
    text = student_version(path)
    answerable = "\n".join(
        source
        for cell, source in zip(read_assignment(path).cells, sources(text), strict=True)
        if cell.role != "given"
    )
    secret = "\n".join(
        block
        for source in sources(path.read_text(encoding="utf-8"))
        for block in [*SOLUTION.findall(source), *HIDDEN.findall(source)]
    )
    for line in filter(_telling, secret.splitlines()):
        assert line.strip() not in answerable, line
    for word in ("SOLUTION", "HIDDEN TESTS", "outputs_of"):
        assert word not in text
    assert all(not cell.get("outputs") for cell in json.loads(text)["cells"])


def _telling(line):
    """Return whether a line of a solution is more than a bracket or a bare name."""
    return len(re.findall(r"\w+", line)) > 4


@assignment
def test_the_cells_are_nbgraders(path):
    nbformat.validate(nbformat.read(path, as_version=4))
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        mark = cell["metadata"]["nbgrader"]
        wanted = {"schema_version", "grade_id", "grade", "solution", "locked", "task", "cell_type"}
        assert set(mark) == wanted | ({"points"} if mark["grade"] else set()), mark
        assert mark["cell_type"] == cell["cell_type"]
        assert cell["cell_type"] == "markdown" or cell["execution_count"], "run it, and commit that"
        assert mark["locked"] == (not mark["solution"] and mark["grade_id"] != "student")


@assignment
def test_its_parts(path):
    task = read_assignment(path)
    assert 5 <= len(task.questions) <= 16
    assert len(task.open_questions) == 1
    assert 25 <= sum(task.questions.values()) + sum(task.open_questions.values()) <= 45
    names = [cell.name for cell in task.cells]
    assert names[0] == "title"
    assert {"setup", "student", "data", "open"} <= set(names)
    for question in task.questions:
        assert question in names
    teacher = path.with_suffix(".md").read_text(encoding="utf-8")
    assert len(teacher.splitlines()) >= 15
    data = next(cell.source for cell in task.cells if cell.name == "data")
    assert f'll.variant("{path.stem}", COURSE, STUDENT)' in data


@assignment
@pytest.mark.slow
def test_it_runs_as_it_should(path):
    assert tool.problems(path) == []


@assignment
@pytest.mark.slow
def test_a_neighbours_numbers_fail(path):
    task = read_assignment(path)
    mine, theirs = (right_values(task, "spring", student) for student in ("s1", "s2"))
    lost = sum(
        test.points
        for name, tests in task.tests.items()
        for test, own, other in zip(tests, mine[name], theirs[name], strict=True)
        if not same(other, own, test.within)
    )
    assert lost >= tool.total(task) / 3


@pytest.fixture
def small(tmp_path):
    return teachers(tmp_path)


def rewritten(path, change):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    change(notebook)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_a_student_version(small):
    given = student_version(small, course="Spring", student='o"x')
    assert 'COURSE = "Spring"' in sources(given)[1]
    assert 'STUDENT = "o\\"x"' in sources(given)[1]
    assert sources(given)[4] == "# YOUR CODE HERE\nraise NotImplementedError()"
    stub = "    # YOUR CODE HERE\n    raise NotImplementedError()"
    assert sources(given)[7] == f"def standard_error(values):\n{stub}"
    assert sources(given)[-1] == "YOUR ANSWER HERE"
    compile(sources(given)[7], "", "exec")


BROKEN = {
    "points": (
        lambda n: at(n, "q1-check")["metadata"]["nbgrader"].update(points=7),
        "'q1-check' is worth 7 points, its hidden tests 2",
    ),
    "no worth": (
        lambda n: at(n, "q1-check").update(
            source="### BEGIN HIDDEN TESTS\nmean\n### END HIDDEN TESTS"
        ),
        "'mean' must be one expression followed by its worth",
    ),
    "a statement": (
        lambda n: at(n, "q1-check").update(
            source="### BEGIN HIDDEN TESTS\nassert mean  # 2 points\n### END HIDDEN TESTS"
        ),
        "must be one expression",
    ),
    "no Python": (
        lambda n: at(n, "q1-check").update(
            source="### BEGIN HIDDEN TESTS\nmean ==  # 2 points\n### END HIDDEN TESTS"
        ),
        "no Python",
    ),
    "a marker alone": (
        lambda n: at(n, "q1").update(source="### BEGIN SOLUTION\nmean = 1"),
        "'q1' has a BEGIN SOLUTION or END SOLUTION too many",
    ),
    "a name twice": (
        lambda n: at(n, "q1")["metadata"]["nbgrader"].update(grade_id="q2"),
        "two cells are called 'q2'",
    ),
    "not the teacher's": (
        lambda n: n.update(cells=n["cells"][:4]),
        "no teacher's version",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_assignment_is_named(small, name):
    change, said = BROKEN[name]
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        read_assignment(rewritten(small, change))
    assert NAME in str(error.value)


def test_no_notebook(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="is no Jupyter notebook"):
        read_assignment(path)


def test_a_folder_a_student(small, tmp_path, monkeypatch, capsys):
    root = tmp_path / "book"
    (root / "notebooks" / "assignments").mkdir(parents=True)
    small.rename(root / "notebooks" / "assignments" / small.name)
    (root / "_config.yml").write_text((ROOT / "_config.yml").read_text())
    (tmp_path / "students.csv").write_text("student,name\ns1,Ada\ns/2,Bo\n")
    monkeypatch.setattr(tool, "problems", lambda path: [])
    out = tmp_path / "out"
    options = ["--course", "c", "--students", str(tmp_path / "students.csv"), "--output", str(out)]
    assert tool.main(options, root) == 0
    made = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.ipynb"))
    assert made[0] == f"s1/{NAME}.ipynb"
    assert re.fullmatch(rf"s_2-\w+/{NAME}\.ipynb", made[1])
    assert 'STUDENT = "s1"' in (out / made[0]).read_text(encoding="utf-8").replace('\\"', '"')
    assert "2 written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("OWNER/REPO", "chapter 3 and 13."),
        (
            "ada/book",
            "chapter [3](https://colab.research.google.com/github/ada/book/blob/main/notebooks/"
            "03_x.ipynb) and [13](https://colab.research.google.com/github/ada/book/blob/main/"
            "notebooks/13_y.ipynb).",
        ),
    ],
)
def test_links_to_chapters(name, becomes):
    config = f"repository: {{url: https://github.com/{name}, branch: main}}"
    text = "chapter [3](../03_x.ipynb) and [13](../13_y.ipynb)."
    assert tool._CHAPTER.sub(tool.chapter_links(config), text) == becomes


@pytest.mark.slow
def test_what_is_wrong_is_found(small):
    assert tool._wrong_failures(small) == []
    assert tool._lost_points(small) == []
    rewritten(small, lambda n: at(n, "data").update(execution_count=1))  # without its output
    assert "FAILED" in tool._other_outputs(small)[0]
    rewritten(small, lambda n: at(n, "data").update(source="1 / 0"))
    assert "data fails in the student version" in tool._wrong_failures(small)[0]
    teachers(small.parent)
    hidden = at(json.loads(small.read_text()), "q2-check")["source"].partition("\n")[2]
    rewritten(small, lambda n: at(n, "q2-check").update(source=hidden))
    assert "neither q2 nor its check fails unanswered" in tool._wrong_failures(small)[0]
