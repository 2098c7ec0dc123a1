"""Intervals of any statistic by drawing clusters again (Efron & Tibshirani 1993; chapter 13)."""

import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats

from .inputs import cluster_numbers
from .stats import Interval

_METHODS = ("percentile", "expanded", "BCa")


def bootstrap_interval(
    statistic: Callable[..., float],
    *columns,
    rng: np.random.Generator,
    cluster=None,
    resamples: int = 2000,
    method: str = "percentile",
    confidence: float = 0.95,
) -> Interval:
    """Return the bootstrap interval of `statistic`, for what has no formula: AUC, F1, BLEU.

    `columns` are one or more arrays of n rows, of numbers or texts; ``statistic(*columns)`` is one
    number. Each resample draws as many whole clusters as there are, with replacement, and keeps
    the rows of all columns together: give the scores of two systems as two columns to bootstrap
    their paired difference. `cluster` are n labels, by default every row its own cluster.

    `method` is one of

    - "percentile": the middle of the replicates. The default;
    - "expanded": the same widened for G clusters, from the quantile Φ(√(G/(G-1))·t) of the
      replicates up, with t the lower quantile at G-1 degrees of freedom (Hesterberg 2015, The
      American Statistician 69). Use it below about 50 clusters;
    - "BCa": corrects bias and skewness (Efron 1987, JASA 82) for one more evaluation a cluster.

    `se` is the standard deviation of the replicates. That is the standard error; divided by the
    square root of `resamples`, as one tool has it, it is only the error of the simulation.

    All need many clusters, BCa too. Coverage of 95% intervals in 2,000 simulations (Monte-Carlo
    error .005 to .008), of an AUC over clusters of 10 rows that share half of the variance, and of
    a ratio of two sums, such as bits per byte, over texts of very unequal length (the logarithm of
    the length has a standard deviation of 1):

    ===========  ===============  ===============
    method       AUC              ratio
    clusters      10   30  100     10   30  100
    ===========  ===============  ===============
    percentile   .87  .93  .95    .87  .90  .93
    expanded     .92  .94  .95    .92  .92  .93
    BCa          .88  .93  .95    .83  .87  .91
    ===========  ===============  ===============

    >>> rng = np.random.default_rng(0)
    >>> print(bootstrap_interval(np.median, [3, 1, 4, 1, 5, 9, 2, 6], rng=rng))
    3.500 [1.500, 6.000] (n = 8, 95% interval)

    Raises ``ValueError`` for columns of unequal length, a single cluster, and a statistic that is
    not one finite number on the data or on a resample; or for an unknown method.
    """
    arrays = [np.asarray(column) for column in columns]
    n = _common_length(arrays)
    labels = cluster_numbers(cluster, n)
    rows, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    starts, groups = np.cumsum(sizes) - sizes, len(sizes)
    if groups < 2:
        raise ValueError(
            f"all {n:,} rows lie in one cluster: there is nothing to draw from; "
            "give a finer cluster= or more data"
        )
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, not {method!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, not {confidence}")
    if resamples < 2:
        raise ValueError(f"resamples must be 2 or more, such as 2000, not {resamples}")

    def of_clusters(drawn, what="a resample of clusters"):
        drawn = np.asarray(drawn, dtype=int)
        size = sizes[drawn]
        before = np.cumsum(size) - size
        chosen = rows[np.repeat(starts[drawn] - before, size) + np.arange(size.sum())]
        value = np.asarray(statistic(*(array[chosen] for array in arrays)))
        if value.ndim or not np.isfinite(value):
            raise ValueError(
                f"statistic is {value} on {what}, not one finite number; a resample can lack a "
                "class: use a statistic that is defined then, or data with more of the rare class"
            )
        return float(value)

    clusters = np.arange(groups)
    estimate = of_clusters(clusters, "the data")
    level = confidence
    if method == "expanded":
        few = np.sqrt(groups / (groups - 1)) * stats.t.ppf((1 - confidence) / 2, groups - 1)
        level, method = 1 - 2 * stats.norm.cdf(few), "percentile"
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (clusters,),
            of_clusters,
            vectorized=False,
            n_resamples=resamples,
            batch=100,  # else scipy holds resamples times clusters numbers at once
            confidence_level=level,
            method=method,
            rng=rng,
        )
    low, high = found.confidence_interval
    if not np.isfinite([low, high]).all():
        raise ValueError(
            f"method={method!r} gives no interval here: statistic does not vary, or lies beyond "
            'all replicates; use method="percentile"'
        )
    se = float(found.standard_error)
    return Interval(estimate, se, float(low), float(high), n, groups, confidence)


def _common_length(arrays: list[np.ndarray]) -> int:
    """Return the number of rows that all `arrays` have."""
    if not arrays:
        raise ValueError("columns: give at least one array of rows after the statistic")
    lengths = [len(array) if array.ndim else 0 for array in arrays]
    if len(set(lengths)) > 1 or not lengths[0]:
        raise ValueError(
            f"columns must have one and the same number of rows, found {lengths}; "
            "keep what belongs to one item in one row"
        )
    return lengths[0]
