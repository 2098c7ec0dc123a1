"""Self-checks for the exercises: each says right or wrong, and gives a hint."""

import math

# Exercise: (right answer, tolerance, hint). A solution cell in the chapter computes each answer
# and checks it here, so that the test suite finds an answer that is no longer right.
ANSWERS: dict[str, tuple[float | str, float, str]] = {}


def check(exercise: str, answer) -> None:
    """Print whether `answer` solves `exercise`, such as "03.1"; ``None`` means not tried yet.

    Raises ``LookupError`` for an exercise that has no self-check.
    """
    if exercise not in ANSWERS:
        raise LookupError(
            f"exercise {exercise!r} has no self-check; there are {', '.join(ANSWERS)}"
        )
    right, tolerance, hint = ANSWERS[exercise]
    if answer is None:
        print(f"Exercise {exercise}: put your answer in place of None, then run this cell again.")
    elif _agrees(answer, right, tolerance):
        print(f"Exercise {exercise}: right.")
    else:
        print(f"Exercise {exercise}: not yet. Hint: {hint}")


def _agrees(answer, right, tolerance: float) -> bool:
    if isinstance(right, str):
        return isinstance(answer, str) and answer.strip().lower() == right
    try:
        return math.isclose(float(answer), right, rel_tol=0, abs_tol=tolerance)
    except (TypeError, ValueError):
        return False
