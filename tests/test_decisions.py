"""The decision page: each question leads to a chapter, and to functions that this chapter uses."""

import re
from pathlib import Path

import pytest
import reference

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "book" / "decisions.md").read_text("utf-8")
QUESTIONS = dict(re.findall(r"^\*\*(.+\?.*)\*\*\n((?:: .+\n)+)", PAGE, re.M))
TAUGHT = reference.taught_in(ROOT)
COMMANDS = reference.on_the_command_line(reference.modules(ROOT))


def chapters(text):
    return re.findall(r"\]\(\.\./notebooks/(\S+\.ipynb)\)", text)


def test_every_question_is_read():
    assert len(QUESTIONS) == len(re.findall(r"^\*\*", PAGE, re.M)) > 30


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_leads_to_chapters_and_to_functions_that_they_use(question):
    _, where, but = QUESTIONS[question].splitlines()
    assert where.startswith((": Chapter [", ": Chapters ["))
    assert but.startswith(": *But:* ")
    assert chapters(where)
    for number, path in re.findall(r"\[(\w+)\]\(\.\./notebooks/(\S+?\.ipynb)\)", PAGE):
        assert path.startswith(f"{number:0>2}_")
    for name in re.findall(r"`ll\.(\w+)`", where):
        used = set(TAUGHT.get(name, []))
        assert used & set(chapters(where)) or name in COMMANDS, f"{name} is used in {sorted(used)}"


def test_every_chapter_answers_a_question():
    written = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert written == set(chapters(PAGE))
