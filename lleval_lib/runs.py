"""Several runs of one system, such as trainings with other seeds: errors of items and of runs."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .clusters import welch_df
from .inputs import as_floats, as_pandas, cluster_numbers
from .intervals import clustered_mean
from .results import Interval, Result, t_interval

FEW_RUNS = 3  # with two, the variance of the runs has one degree of freedom


@dataclass(frozen=True, eq=False)
class RunsInterval(Result):
    """A mean over items and runs, and the two parts of its standard error; see `runs_interval`."""

    interval: Interval
    items_se: float
    runs_se: float
    runs: int

    def __str__(self) -> str:
        parts = f"SE {self.items_se:.3g} of the items, {self.runs_se:.3g} of {self.runs} runs"
        return f"{self.interval}\n  {parts}"


def runs_interval(
    scores: ArrayLike, *, cluster: ArrayLike | None = None, confidence: float = 0.95
) -> RunsInterval:
    """Return the mean over items *and* runs, with the error of both.

    `scores` is a table of n items by K runs, such as the answers of K models that were trained with
    other seeds. For two methods whose runs come in pairs, such as of the same seeds, give the table
    of their differences. `cluster` are n labels. The estimand is the mean over further items (or
    clusters) and further runs. With the clustered error of the items' means over the runs, and the
    variance s² of the runs' means over the items, SE² = SE²_items + s²/K, with Student's t of
    Satterthwaite's degrees of freedom. Derived in chapter 04.

    Noise that belongs to one answer of one run stands in both parts: the interval is too wide by a
    factor of up to √2 where there is little other noise. (Cameron, Gelbach & Miller 2011, Journal
    of Business & Economic Statistics 29, equation 2.11, take it away once, which with few runs can
    leave less than nothing.)

    >>> print(runs_interval([[1, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 0, 1]] * 3))
    0.533 [0.285, 0.782] (95%, n = 15)
      SE 0.0909 of the items, 0.0667 of 3 runs

    Raises ``ValueError`` for a table that is smaller than 2 by 2 or lacks scores, labels of another
    number, and a single cluster.
    """
    given = as_pandas(scores)
    table = as_floats(given, "scores")
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(
            f"scores: expected a table of items by runs, 2 by 2 or larger, found {table.shape}"
        )
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(
            f"scores: row {row}, column {column} is missing or infinite; every item needs a score "
            "of every run"
        )
    n, k = table.shape
    reference = given.iloc[:, 0] if isinstance(given, pd.DataFrame) else None
    clusters = cluster_numbers(cluster, n, reference)
    items = clustered_mean(table.mean(axis=1), clusters, confidence)
    runs_se = float(table.mean(axis=0).std(ddof=1) / np.sqrt(k))
    se = float(np.hypot(items.se, runs_se))
    df = welch_df([items.se**2, runs_se**2], [items.df, k - 1])
    found = t_interval(items.estimate, se, df, n, items.n_clusters, confidence, items.warning)
    if k < FEW_RUNS:
        found = replace(found, warning=f"only {k} runs")
    return RunsInterval(found, items.se, runs_se, k)
