"""What the statistics return: small frozen dataclasses that print well, and one table of many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import pandas as pd

from .clusters import t_half_width, t_p_value


@dataclass(frozen=True)
class Interval:
    """An estimate with its standard error and confidence interval, in the units of the scores.

    `df` are the degrees of freedom of Student's t behind it, nan where there is no t.
    """

    estimate: float
    se: float
    low: float
    high: float
    df: float
    n: int
    n_clusters: int
    confidence: float

    def __str__(self) -> str:
        return (
            f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}] "
            f"({_counts(self.n, self.n_clusters)}, {100 * self.confidence:g}% interval)"
        )


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of `a` and `b`: the means of both, and that of b - a.

    `difference` is the mean of b - a with its interval; `p_value` is that of the two-sided t-test
    of no difference.
    """

    a: str
    b: str
    mean_a: float
    mean_b: float
    difference: Interval
    p_value: float

    def __str__(self) -> str:
        d = self.difference
        counts = _counts(d.n, d.n_clusters)
        return (
            f"{self.b} - {self.a}: {d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}], "
            f"{p_text(self.p_value)} ({counts}, {100 * d.confidence:g}% interval)"
        )


@dataclass(frozen=True)
class TestResult:
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
        return (
            f"{self.name}: statistic {self.statistic:.3f}, {p_text(self.p_value)} "
            f"({_counts(self.n, self.n_clusters)})"
        )


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
    estimate: float, se: float, df: float, n: int, n_clusters: int, confidence: float
) -> Interval:
    """Return the interval estimate ± t·SE with `df` degrees of freedom."""
    half = t_half_width(se, df, confidence)
    return Interval(
        estimate, se, estimate - half, estimate + half, float(df), n, n_clusters, confidence
    )


def t_comparison(
    names: tuple[str, str], mean_a: float, mean_b: float, difference: Interval
) -> Comparison:
    """Return the comparison of two means with the t-test of no difference."""
    p = t_p_value(difference.estimate, difference.se, difference.df)
    return Comparison(names[0], names[1], float(mean_a), float(mean_b), difference, p)


def p_text(p: float) -> str:
    """Return a p-value as it is printed: three decimals, or "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _counts(n: int, n_clusters: int) -> str:
    return f"n = {n:,}" + (f" in {n_clusters:,} clusters" if n_clusters < n else "")
