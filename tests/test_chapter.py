"""A chapter made from the template has all that the tests of chapters ask for."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import chapter
import pytest
import refresh
import test_notebooks
import yaml

ROOT = Path(__file__).resolve().parents[1]
NAME = "04_parameter_efficiency"
STRUCTURE = [
    check
    for name, check in vars(test_notebooks).items()
    if name.startswith("test_")
    and any(mark.args[0] == "path" for mark in getattr(check, "pytestmark", []))
    and name != "test_a_chapter_is_not_stale"  # asks the book itself, so it is asked below
]


# A book of a few chapters, so that these tests hold whichever the real one has.
TOC = """\
format: jb-book
root: book/index
parts:
  - caption: 2 · Core concepts (核心概念与联系)
    chapters:
      - file: book/part2_concepts
      - file: notebooks/02_self_supervised_learning
      - file: notebooks/03_downstream_evaluation
  - caption: 3 · Core algorithms (核心算法原理与具体操作步骤)
    chapters:
      - file: book/part3_algorithms
      - file: notebooks/09_cross_validation
      - file: notebooks/10_ab_testing
  - caption: Reference (参考资料)
    chapters:
      - file: book/glossary
"""
ANSWER = '1 = {answer = 2, tolerance = 0.1, hint = "add one to one."}'
ANSWERS = f'["03"]\n{ANSWER}\n\n["09"]\n{ANSWER}\n'


@pytest.fixture
def book(tmp_path):
    for name in ("_config.yml", "book/index.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "_toc.yml").write_text(TOC, encoding="utf-8")
    shutil.copytree(ROOT / "lleval_lib", tmp_path / "lleval_lib")
    (tmp_path / "lleval_lib" / "exercises.toml").write_text(ANSWERS, encoding="utf-8")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "03_there.ipynb").touch()
    return tmp_path


@pytest.mark.slow
def test_a_new_chapter_runs_and_passes_the_tests_of_chapters(book, monkeypatch, capsys):
    assert chapter.main([NAME, "4 Parameter efficiency"], book) == 0
    assert NAME in capsys.readouterr().out
    path = book / "notebooks" / f"{NAME}.ipynb"
    monkeypatch.setenv("PYTHONPATH", str(book))
    assert refresh.main([str(path)], book) == 0, capsys.readouterr().err
    assert len(STRUCTURE) >= 6
    for check in STRUCTURE:
        check(path)
    assert refresh.main(["--check", str(path)], book) == 0

    notebook = test_notebooks.read(path)
    outputs = [out.get("text", "") for c in test_notebooks.code(notebook) for out in c.outputs]
    said = [line for text in outputs for line in text.splitlines() if line.startswith("Exercise")]
    tries, solutions = said[::2], said[1::2]
    assert solutions == [f"Exercise 04.{k}: right." for k in (1, 2, 3)]
    assert all("put your answer" in line for line in tries)
    assert notebook.cells[0].source.startswith("# 4. Parameter efficiency\n")
    for word in ("NUMBER", "CHAPTER", "TITLE", "BADGE", "# SETUP"):
        assert word not in path.read_text(encoding="utf-8")
    ruff, config = Path(sys.executable).with_name("ruff"), ROOT / "pyproject.toml"
    for command in (["check"], ["format", "--check"]):
        subprocess.run([ruff, *command, "--config", config, path], check=True)


def test_a_chapter_is_the_same_each_time_it_is_made(book):
    made = [chapter.notebook(NAME, "A title", "https://github.com/a/b", "main") for _ in range(2)]
    assert made[0] == made[1]
    assert made[0] != chapter.notebook("05_x", "A title", "https://github.com/a/b", "main")


def test_its_answers_join_the_others(book):
    path = book / "lleval_lib" / "exercises.toml"
    before = tomllib.loads(path.read_text(encoding="utf-8"))
    chapter.main([NAME, "x"], book)
    after = tomllib.loads(path.read_text(encoding="utf-8"))
    assert list(after) == sorted([*before, "04"])
    assert {number: answers for number, answers in after.items() if number != "04"} == before
    assert all({"answer", "tolerance", "hint"} == one.keys() for one in after["04"].values())


@pytest.mark.parametrize(
    ("name", "caption", "files"),
    [
        ("04_x", "2 · Core concepts (核心概念与联系)", "book/part2_concepts 02_ 03_ 04_x"),
        ("08_x", "3 · Core algorithms", "book/part3_algorithms 08_x 09_ 10_"),
        ("27_x", "8 · Trends and challenges (未来发展趋势与挑战)", "27_x"),
        ("A1_x", "Appendix (附录)", "A1_x"),
        ("A9_x", "Appendix (附录)", "A9_x"),
    ],
)
def test_its_line_stands_in_its_part_in_order(name, caption, files):
    new = chapter.with_line(TOC, name, (ROOT / "book" / "index.md").read_text(encoding="utf-8"))
    added = set(new.splitlines()) - set(TOC.splitlines())
    assert f"      - file: notebooks/{name}" in added
    parts = {part["caption"]: part["chapters"] for part in yaml.safe_load(new)["parts"]}
    (found,) = [parts[key] for key in parts if key.startswith(caption)]
    listed = [entry["file"].removeprefix("notebooks/") for entry in found]
    pattern = " ".join(re.escape(file) + r"\S*" for file in files.split())
    assert re.search(pattern + "$", " ".join(listed)), listed
    assert "Reference" in list(parts)[-1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("03_again", "there is a chapter 03 already: 03_there.ipynb"),
        ("4_x", "is no name of a chapter"),
        ("04-x", "is no name of a chapter"),
        ("../04_x", "is no name of a chapter"),
        ("04_X", "is no name of a chapter"),
    ],
)
def test_what_cannot_be_a_chapter_is_refused_in_a_sentence(book, capsys, name, said):
    before = {path: path.read_bytes() for path in book.rglob("*") if path.is_file()}
    assert chapter.main([name, "A title"], book) == 2
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in book.rglob("*") if path.is_file()} == before
