"""Self-checks for the exercises: each says right or wrong, and gives a hint."""

import math
import textwrap
import tomllib
from functools import cache
from importlib import resources


def check(exercise: str, answer: float | str | None) -> None:
    """Print whether `answer` solves `exercise`, such as "03.1"; ``None`` means not tried yet.

    The right answers stand in ``exercises.toml``. Raises ``LookupError`` for an exercise that has
    no self-check.
    """
    if exercise not in _answers():
        raise LookupError(
            f"exercise {exercise!r} has no self-check; there are {', '.join(_answers())}"
        )
    right = _answers()[exercise]
    if answer is None:
        said = "put your answer in place of None, then run this cell again."
    elif _agrees(answer, right["answer"], right.get("tolerance", 0)):
        said = "right."
    else:
        said = f"not yet. Hint: {right['hint']}"
    print(textwrap.fill(f"Exercise {exercise}: {said}", 60))


@cache
def _answers() -> dict[str, dict]:
    text = resources.files(__package__).joinpath("exercises.toml").read_text(encoding="utf-8")
    return {
        f"{chapter}.{number}": right
        for chapter, exercises in tomllib.loads(text).items()
        for number, right in exercises.items()
    }


def _agrees(answer: float | str, right: float | str, tolerance: float) -> bool:
    if isinstance(right, str):
        return isinstance(answer, str) and answer.strip().lower() == right
    try:
        return math.isclose(float(answer), right, rel_tol=0, abs_tol=tolerance)
    except (TypeError, ValueError):
        return False
