"""Self-checks for the exercises: each says right or wrong, and gives a hint."""

import math

# Exercise: (right answer, tolerance, hint). A solution cell in the chapter computes each answer
# and checks it here, so that the test suite finds an answer that is no longer right.
ANSWERS: dict[str, tuple[float | str, float, str]] = {
    "01.1": (2_500, 0.5, "solve sqrt(p (1 - p) / n) = 0.01 for n, with p = 0.5."),
    "01.2": (24, 0.5, "divide each gap by its own SE, and count those below 1.96."),
    "01.3": (
        "aligner-2b_gpt-4-turbo-2024-04-09",
        0,
        "compute (n_wins + n_draws / 2) / n_total in percent and look for the row that differs.",
    ),
    "02.1": (24.53, 0.05, "perplexity is e to the power of the loss in nats."),
    "02.2": (2.038, 0.01, "pass [quoted] to rolling_loglikelihood, and that to bits_per_byte."),
    "02.3": (11.77, 0.05, "encode each letter alone; sum -ln p; divide by ln 2 and by the bytes."),
    "03.1": (0.974, 0.001, "precision is 0.95 and recall is 1; F1 is 2 p r / (p + r)."),
    "03.2": (-0.036, 0.0015, "compare(a, b) gives b - a; read difference.low."),
    "03.3": (0.813, 0.001, "group the scores by cluster, average each group, then the averages."),
    "09.1": (2.56, 0.005, "take the root of 1/J + n_test/n_train over 1/J, with J = 50."),
    "09.2": (0.625, 0.015, "a film-mate is always right, another film one time in three."),
    "09.3": (0.738, 0.03, "choose the 20 columns before the folds, on all 100 reviews."),
    "10.1": (
        25_600,
        0.5,
        "the variance of yes and no is p (1 - p), here 0.2 * 0.8; delta is 0.01.",
    ),
    "10.2": (2.986, 0.006, 'ask group_sequential_bounds for 5 looks with kind="pocock".'),
    "10.3": (0.027, 0.0015, "call cuped(outcome, yesterday, treated) with the columns of logged."),
    "13.1": (0.0295, 0.0002, "the bound p solves (1 - p)^100 = 0.05."),
    "13.2": (0.0413, 0.0002, "take compare(...).difference.se and minimum_detectable_effect."),
    "13.3": (10, 0.5, "sqrt(within / between * 20) is near the answer; try whole numbers."),
}


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
