"""The words of a report: its verdicts, its numbers as text, and names that fit a line."""

from collections.abc import Iterable
from itertools import takewhile

import numpy as np

from .results import decimals
from .terms import CORRECTIONS


def decided(report, differences):
    """Return whether each of the differences, or the one, is decided."""
    return differences.p_adjusted <= 1 - report.confidence


def ahead(differences):
    """Return whether b is ahead of a: better, or higher where which way is better is not known."""
    falling = differences.higher_is_better.map(lambda better: better is False)
    return (differences.estimate > 0) != falling


def table_digits(table) -> int:
    """Return how many decimals show all the estimates of a table."""
    return max(decimals(row.se, row.estimate) for row in table.itertuples())


def verdicts(report) -> list[str]:
    """Return what each row of the differences says, as a sentence."""
    by_task = report.systems.groupby("task")
    shares = (by_task.least.min() >= 0) & (by_task.most.max() <= 1)
    rows = report.differences.assign(ahead=ahead)
    return [
        _verdict(report, row, bool(shares[row.task]) and row.higher_is_better is not False)
        for row in rows.itertuples()
    ]


def _verdict(report, row, in_points: bool) -> str:
    if row.n_different == 0:
        return f"not decided: all {row.n:,} items have the same score in both, {row.b} and {row.a}"
    if row.se == 0 and row.estimate == 0:
        return f"not decided: {row.b} and {row.a} have the same mean in every cluster"
    if decided(report, row):
        return _decision(row, in_points)
    if row.p_value <= 1 - report.confidence:
        count = sum((report.differences.kind == "part") == (row.kind == "part"))
        return (
            f"not decided: by itself the difference {row.b} - {row.a} would be significant, but "
            f"not among {count} comparisons, after {CORRECTIONS[report.correction]}"
        )
    if np.isnan(row.low):
        gap = f"{_amount(row.estimate, row, in_points, sign='+')}{' points' * in_points}"
        return f"not decided: {row.b} - {row.a} is {gap} throughout, on too few to be sure"
    low, high = (_amount(end, row, in_points, sign="+") for end in (row.low, row.high))
    return (
        f"not decided: {row.b} - {row.a} may be anything from {low} to {high}"
        f"{' points' * in_points}{measure(row)}"
    )


def _decision(row, in_points: bool) -> str:
    first, second = (row.b, row.a) if row.ahead else (row.a, row.b)
    word = "higher" if row.higher_is_better is None else "better"
    lowest, highest = getattr(row, "lowest", row.estimate), getattr(row, "highest", row.estimate)
    sizes = sorted({_amount(abs(end), row, in_points) for end in (lowest, highest)}, key=float)
    gap = f"{' to '.join(sizes)}{' points' * in_points}{measure(row)}"
    if np.isnan(row.low):
        return f"{first} is {word} than {second} by {gap} throughout, which has no interval"
    if len(sizes) > 1:
        gap += ", whatever the missing items would score"
    least = _amount(min(abs(row.low), abs(row.high)), row, in_points)
    return f"{first} is {word} than {second} by {gap}; a difference below {least} is excluded"


def measure(row) -> str:
    """Return what is measured, in brackets, if lower is better."""
    if row.higher_is_better is not False:
        return ""
    return f" ({f'{row.metric}, ' if row.metric else ''}lower is better)"


def _amount(value: float, row, in_points: bool, sign: str = "") -> str:
    """Return a difference as text, in hundredths if `in_points`."""
    if not in_points:
        return f"{value:{sign}.3g}"
    text = f"{100 * value:{sign}.{decimals(row.se, row.estimate) - 2}f}"
    return text if float(text) or not value else f"{100 * value:{sign}.1g}"


def legend(differences) -> str:
    """Return what the colours of some differences from one system mean."""
    a, known = differences.a.iloc[0], differences.higher_is_better.notna()
    if known.all():
        return f"Blue: better than {a}; orange: worse; grey: not decided."
    if not known.any():
        return f"Blue: higher than {a}; orange: lower; grey: not decided."
    return (
        f"Blue: better than {a}, or higher where nobody says which way is better; orange: worse, "
        "or lower; grey: not decided."
    )


def outcomes(report, differences) -> list[str]:
    """Return one word for each of the differences: better, worse, higher, lower, or a dash."""
    words = {True: ("better", "worse"), False: ("better", "worse"), None: ("higher", "lower")}
    rows = differences.assign(ahead=ahead, decided=lambda table: decided(report, table))
    return [
        words[row.higher_is_better][0 if row.ahead else 1] if row.decided else "-"
        for row in rows.itertuples()
    ]


def family_note(report) -> str:
    """Return among how many comparisons p is adjusted."""
    parts = int((report.differences.kind == "part").sum())
    alone = len(report.differences) - parts
    how = f"{CORRECTIONS[report.correction]} for {alone} comparison" + "s" * (alone != 1)
    if not parts:
        return how
    return f"{how} of whole benchmarks and, apart from these, for {parts} of their tasks"


def _common_start(names: list[str]) -> str:
    columns = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in columns)


def short_names(names: Iterable[str], most: int = 34) -> dict[str, str]:
    """Return a text of at most `most` characters for every name, no two alike."""
    names = list(dict.fromkeys(names))
    # Names differ at their ends more often than in the middle.
    short = {
        name: name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"
        for name in names
    }
    alike = [name for name in names if list(short.values()).count(short[name]) > 1]
    if alike:
        start = max(len(_common_start(alike)) - most // 3, 0)
        short |= {name: f"…{name[start : start + most - 2]}…" for name in alike}
    for place, name in enumerate(names, start=1):
        if list(short.values()).count(short[name]) > 1:
            short[name] = f"{short[name][: most - 4]} #{place}"
    return short
