"""Open the quiz of a chapter for editing, and seal it again.

    .venv/bin/python book/tools/quiz.py open 09    writes quiz-09.toml, answers in plain text
    .venv/bin/python book/tools/quiz.py seal 09    reads it, and puts the quiz into the chapter

``lleval_lib/quizzes.toml`` holds the quizzes with their answers in base64, so that who looks for a
question does not see its answer. Sealing checks the quiz, orders its options by a hash, so that the
right one stands anywhere, and removes the plain file. A chapter without a quiz opens as an example.
"""

import argparse
import base64
import hashlib
import json
import sys
import textwrap
import tomllib
from pathlib import Path

import nbformat
import refresh

from lleval_lib.quizzes import lock

ROOT = Path(__file__).resolve().parents[2]
FEWEST, MOST = 3, 6  # questions
HEADING = """\
## Quiz

What did you understand? Pick an answer, and read why it is
right, or why it fails."""
HEAD = """\
# The quizzes, by chapter: what is asked, the options, and in base64 which is right and why.
# .venv/bin/python book/tools/quiz.py open 09 writes the quiz of chapter 9 in plain text; seal 09
# puts it back.
"""
EXAMPLE = {
    "ask": "What is asked, in two or three short sentences?",
    "option": [
        {"text": "The right answer", "right": True, "why": "Why it is right."},
        {"text": "A misconception", "why": "Why one might think so, and why it fails."},
        {"text": "Another one", "why": "Why one might think so, and why it fails."},
    ],
}


class BadQuizError(Exception):
    """A quiz that must not be sealed, with the reason."""


def plain(entries: list[dict]) -> str:
    """Return a quiz as the TOML that is edited: each option with its explanation."""
    lines = []
    for entry in map(_opened, entries):
        lines += ["[[question]]", f"ask = {_string(entry['ask'])}"]
        for option in entry["option"]:
            lines += ["[[question.option]]", f"text = {_string(option['text'])}"]
            lines += ["right = true"] if option.get("right") else []
            lines += [f"why = {_string(option['why'])}"]
        lines.append("")
    return "\n".join(lines)


def sealed(text: str) -> list[dict]:
    """Return the quiz in `text`, which `plain` wrote and a person edited, as it is kept.

    Raises ``BadQuizError`` with a sentence that says what must be changed.
    """
    try:
        questions = tomllib.loads(text).get("question", [])
    except tomllib.TOMLDecodeError as error:
        raise BadQuizError(f"this is no TOML: {error}") from error
    if not FEWEST <= len(questions) <= MOST:
        raise BadQuizError(f"a quiz has {FEWEST} to {MOST} questions, not {len(questions)}")
    for n, question in enumerate(questions, start=1):
        _require_whole(question, n)
    # By a hash, so that the options stand in an order that nobody chose, the same one each time;
    # by another one where a letter would be right in more than half of the questions.
    for salt in range(1_000):
        entries = [_sealed(question, salt) for question in questions]
        rights = [_answers(entry)["right"] for entry in entries]
        if max(map(rights.count, rights)) <= (len(rights) + 1) // 2:
            break
    return entries


def _require_whole(question: dict, n: int) -> None:
    options = question.get("option", [])
    if not question.get("ask") or len(options) < 3:
        raise BadQuizError(f"question {n} needs an ask and at least three options")
    for option in options:
        if not option.get("text") or not option.get("why"):
            raise BadQuizError(f"question {n}: each option needs a text and a why: {option}")
    if sum(option.get("right", False) for option in options) != 1:
        raise BadQuizError(f"question {n}: right = true must stand at exactly one option")


def _sealed(question: dict, salt: int) -> dict:
    def place(option: dict) -> bytes:
        return hashlib.sha256(f"{salt} {question['ask']} {option['text']}".encode()).digest()

    options = sorted(question["option"], key=place)
    answers = {
        "why": [_one_line(option["why"]) for option in options],
        "right": [option.get("right", False) for option in options].index(True),
    }
    texts = [_one_line(option["text"]) for option in options]
    return {"ask": _one_line(question["ask"]), "options": texts, "key": lock(answers)}


def _opened(entry: dict) -> dict:
    if "key" not in entry:
        return entry
    answers = _answers(entry)
    pairs = enumerate(zip(entry["options"], answers["why"], strict=True))
    options = [{"text": t, "right": k == answers["right"], "why": why} for k, (t, why) in pairs]
    return {"ask": entry["ask"], "option": options}


def _answers(entry: dict) -> dict:
    return json.loads(base64.b64decode(entry["key"]))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def kept(quizzes: dict[str, list[dict]]) -> str:
    """Return the text of ``quizzes.toml``."""
    lines = [HEAD]
    for chapter, entries in sorted(quizzes.items()):
        for entry in entries:
            lines += [f'[["{chapter}"]]', f"ask = {_string(entry['ask'])}", "options = ["]
            lines += [f"  {_string(option)}," for option in entry["options"]]
            lines += [
                "]",
                'key = """',
                *textwrap.wrap("".join(entry["key"].split()), 96),
                '"""',
                "",
            ]
    return "\n".join(lines)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a basic string of TOML too


def with_cell(notebook, name: str):
    """Return `notebook`, of the chapter `name`, with its quiz before the further reading."""
    if any("quiz" in cell.metadata.get("tags", []) for cell in notebook.cells):
        return notebook
    headings = ["## Further reading" in cell.source for cell in notebook.cells]
    if not any(headings):
        raise BadQuizError(f"{name} has no heading 'Further reading', before which the quiz stands")
    at, number = headings.index(True), name.partition("_")[0]
    heading = nbformat.v4.new_markdown_cell(HEADING, id=_id(f"{name} quiz heading"))
    cell = nbformat.v4.new_code_cell(
        f'll.quiz("{number}")', id=_id(f"{name} quiz"), metadata={"tags": ["quiz", "remove-input"]}
    )
    notebook.cells[at:at] = [heading, cell]
    return notebook


def _id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def main(arguments=None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("open", "seal"))
    parser.add_argument("chapter", help='its number, such as "09" or "A1"')
    options = parser.parse_args(arguments)
    chapter, store = options.chapter, root / "lleval_lib" / "quizzes.toml"
    quizzes = tomllib.loads(store.read_text(encoding="utf-8"))
    file = root / f"quiz-{chapter}.toml"
    paths = list((root / "notebooks").glob(f"{chapter}_*.ipynb"))
    try:
        if not paths:
            raise BadQuizError(f"there is no notebooks/{chapter}_….ipynb")
        if options.what == "open":
            if file.exists():
                raise BadQuizError(f"{file.name} is open already: seal or remove it")
            file.write_text(plain(quizzes.get(chapter, [EXAMPLE] * FEWEST)), encoding="utf-8")
            print(f"edit {file.name}, then seal it")
            return 0
        if not file.exists():
            raise BadQuizError(f"there is no {file.name}: open it first")
        quizzes[chapter] = sealed(file.read_text(encoding="utf-8"))
        notebook = with_cell(nbformat.read(paths[0], as_version=4), paths[0].stem)
    except BadQuizError as error:
        print(f"chapter {chapter}: {error}", file=sys.stderr)
        return 1
    refresh.write(store, kept(quizzes))
    refresh.write(paths[0], refresh.to_text(refresh.with_quiz(notebook, chapter, store.parent)))
    file.unlink()
    print(f"{paths[0].name} has its quiz of {len(quizzes[chapter])} questions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
