"""What the statistics return: small frozen dataclasses, and one table of many.

They print in lines of at most 60 characters, which is what a page holds, and a little less than a
phone does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from math import floor, isfinite, log10
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd

from .clusters import t_half_width, t_p_value

_NAN = float("nan")


class Result:
    """What all results share: plain Python numbers, and equality in which nan equals nan."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, float):  # numpy's too
                object.__setattr__(self, name, _NAN if value != value else float(value))
            elif isinstance(value, np.integer):
                object.__setattr__(self, name, int(value))

    def __eq__(self, other: object) -> bool:
        # Tuples compare by identity first, and all our nan are one object.
        return type(other) is type(self) and _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(_values(self))


def _values(result: Result) -> tuple:
    return tuple(vars(result).values())


@dataclass(frozen=True, eq=False)
class Interval(Result):
    """An estimate with its standard error and confidence interval, in the units of the scores.

    `df` are the degrees of freedom of Student's t behind it, nan where there is no t; with clusters
    df + 1 is their effective number. `low` and `high` are nan where the data show no spread, which
    is no certainty. `warning` says why the interval is not to be trusted, and is empty otherwise.
    """

    estimate: float
    se: float
    low: float
    high: float
    df: float
    n: int
    n_clusters: int
    confidence: float
    warning: str = ""

    def __str__(self) -> str:
        return f"{estimate_text(self, '')} {_about(self)}"


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """A paired comparison of `a` and `b`: the means of both, and that of b - a.

    `difference` is the mean of b - a with its interval; `p_value` is that of the two-sided test of
    no difference.
    """

    a: str
    b: str
    mean_a: float
    mean_b: float
    difference: Interval
    p_value: float

    def __str__(self) -> str:
        d = self.difference
        return f"{self.b} - {self.a}: {estimate_text(d, '+')}\n  {p_text(self.p_value)} {_about(d)}"


@dataclass(frozen=True, eq=False)
class TestResult(Result):
    """A significance test: its name, statistic and two-sided p-value, unless the name says else.

    `df` are the degrees of freedom of the statistic's distribution, nan where it has none.
    """

    __test__ = False  # else pytest takes the name for a class of tests

    name: str
    statistic: float
    p_value: float
    df: float
    n: int
    n_clusters: int

    def __str__(self) -> str:
        tested = f"{self.name}: statistic {self.statistic:.3f}"
        lines = wrap(tested, 60, subsequent_indent="  ", break_on_hyphens=False)
        lines.append(f"  {p_text(self.p_value)} ({_counts(self.n, self.n_clusters)})")
        return "\n".join(lines)


def table(results: Mapping[str, Any] | Sequence[Any]) -> pd.DataFrame:
    """Return one row a result, with its fields as columns; a nested result is laid out flat.

    `results` are a mapping from names, which become the index, or a sequence.

    >>> from lleval_lib import mean_interval
    >>> table({"one": mean_interval([1, 0, 1, 1])})[["estimate", "low", "high"]].round(2)
         estimate   low  high
    one      0.75 -0.05  1.55

    Raises ``ValueError`` for no results, for what is not a result of this library, and for one of
    two intervals, such as Cuped: give its parts.
    """
    if not isinstance(results, Mapping | Sequence) or isinstance(results, str):
        raise ValueError(
            f"results must be a list of results, or a dict from names to them, not {results!r}"
        )
    named = isinstance(results, Mapping)
    rows = list(results.values() if isinstance(results, Mapping) else results)
    strange = [row for row in rows if not is_dataclass(row) or isinstance(row, type)]
    if strange or not rows:
        found = f"found {strange[0]!r}" if strange else "there are none"
        raise ValueError(f"results must be results of this library, such as intervals: {found}")
    return pd.DataFrame([_flat(row) for row in rows], index=list(results) if named else None)


def _flat(result) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for field in fields(result):
        value = getattr(result, field.name)
        more = _flat(value) if is_dataclass(value) else {field.name: value}
        twice = sorted(flat.keys() & more.keys())
        if twice:
            raise ValueError(
                f"{type(result).__name__} has two columns {twice[0]!r}: give its parts, each a row"
            )
        flat |= more
    return flat


def t_interval(
    estimate: float,
    se: float,
    df: float,
    n: int,
    n_clusters: int,
    confidence: float,
    warning: str = "",
) -> Interval:
    """Return the interval estimate ± t·SE with `df` degrees of freedom, or none without spread."""
    half = t_half_width(se, df, confidence) if se > 0 else _NAN
    return Interval(
        estimate, se, estimate - half, estimate + half, df, n, n_clusters, confidence, warning
    )


def t_comparison(
    names: tuple[str, str],
    mean_a: float,
    mean_b: float,
    difference: Interval,
    least_p: float = 0.0,
) -> Comparison:
    """Return the comparison of two means with the t-test of no difference.

    `least_p` is the smallest p-value that could have been observed, whatever t says.
    """
    p = t_p_value(difference.estimate, difference.se, difference.df)
    return Comparison(names[0], names[1], mean_a, mean_b, difference, max(p, least_p))


def p_text(p: float) -> str:
    """Return a p-value as it is printed: three decimals, or "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def decimals(*sizes: float) -> int:
    """Return with how many decimals to print: three, or more if the least of `sizes` needs them.

    Give the standard error and, lest it be 0 or nan, the estimate.
    """
    for size in sizes:
        if isfinite(size) and size:
            return 3 if abs(size) >= 5e-4 else min(1 - floor(log10(abs(size))), 15)
    return 3


def estimate_text(interval: Interval, sign: str) -> str:
    """Return an estimate with its interval as they are printed; `sign` is "+" or nothing."""
    digits = decimals(interval.se, interval.estimate)
    shown = f"{interval.estimate:{sign}.{digits}f}"
    if isfinite(interval.low):
        return f"{shown} [{interval.low:{sign}.{digits}f}, {interval.high:{sign}.{digits}f}]"
    return f"{shown} [no interval]"


def _about(interval: Interval) -> str:
    said = f"\n  warning: {interval.warning}" if interval.warning else ""
    counts = _counts(interval.n, interval.n_clusters)
    return f"({100 * interval.confidence:g}%, {counts}){said}"


def _counts(n: int, n_clusters: int) -> str:
    return f"n = {n:,}" + (f" in {n_clusters:,} clusters" if n_clusters < n else "")
