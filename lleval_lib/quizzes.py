"""The quiz of each chapter: what is asked, and why each answer is right or wrong."""

import base64
import html
import json
import re
import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Question:
    """A question with its `options`, of which that at `right` (from 0) is right.

    `why` says of each option what is right or wrong about it.
    """

    ask: str
    options: tuple[str, ...]
    right: int
    why: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Quiz:
    """The questions of a chapter, which a notebook shows with a button for each option.

    The page asks no network and keeps nothing. Where no script runs, as on GitHub, the questions
    and the options are a list to read.
    """

    chapter: str
    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        return f"Quiz of chapter {self.chapter.lstrip('0')}: {len(self.questions)} questions"

    def _repr_html_(self) -> str:
        questions = "\n".join(map(_as_html, self.questions))
        return _text("quiz.html").replace("<!-- questions -->", questions)


def quiz(chapter: str) -> Quiz:
    """Return the quiz of `chapter`, such as "09" or "A1", which the notebook then shows.

    The questions stand in ``quizzes.toml``, the answers there too, but not to be read at a glance;
    ``book/tools/quiz.py`` opens them. Raises ``LookupError`` for a chapter that has no quiz.
    """
    return read_quiz(chapter, _text("quizzes.toml"))


def read_quiz(chapter: str, text: str) -> Quiz:
    """Return the quiz of `chapter` in `text`, what stands in a ``quizzes.toml``."""
    quizzes = tomllib.loads(text)
    if chapter not in quizzes:
        raise LookupError(f"chapter {chapter!r} has no quiz; there are {', '.join(quizzes)}")
    return Quiz(chapter, tuple(map(_question, quizzes[chapter])))


def lock(answers: dict) -> str:
    """Return `answers` as base64: no secret, but not to be read at a glance."""
    return base64.b64encode(json.dumps(answers, ensure_ascii=False).encode()).decode()


def _question(entry: dict) -> Question:
    answers = json.loads(base64.b64decode(entry["key"]))
    return Question(entry["ask"], tuple(entry["options"]), answers["right"], tuple(answers["why"]))


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _as_html(question: Question) -> str:
    key = lock({"why": [_inline(why) for why in question.why], "right": question.right})
    options = "".join(f"<li>{_inline(option)}</li>\n" for option in question.options)
    return (
        f'<li data-key="{key}"><p>{_inline(question.ask)}</p>\n<ol type="A">\n{options}</ol></li>'
    )


def _inline(text: str) -> str:
    """Return `text` as HTML, with code where it stands between backticks."""
    return re.sub(r"`(.+?)`", r"<code>\1</code>", html.escape(text))
