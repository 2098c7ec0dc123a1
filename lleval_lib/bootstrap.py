"""Intervals of any statistic, by drawing clusters again (Efron & Tibshirani 1993)."""

import warnings
from collections.abc import Callable
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from .inputs import (
    Cluster,
    Rng,
    as_array,
    as_pandas,
    cluster_numbers,
    finite,
    first_indexed,
    generator,
    in_order,
    labels_of,
    require_count,
    require_one_of,
    require_share,
    require_two_clusters,
)
from .results import Interval

_METHODS = ("percentile", "expanded", "BCa")


def bootstrap_interval(
    statistic: Callable[..., float],
    *columns: ArrayLike,
    method: str = "percentile",
    resamples: int = 2000,
    strata: ArrayLike | None = None,
    cluster: Cluster = None,
    rng: Rng = None,
    confidence: float = 0.95,
) -> Interval:
    """Return the bootstrap interval of `statistic`, for what has no formula: AUC, F1, BLEU.

    `columns` are one or more arrays of n rows, of numbers or texts; ``statistic(*columns)`` is one
    number. Each resample draws as many whole clusters as there are, with replacement, and keeps
    the rows of all columns together: give the scores of two systems as two columns to bootstrap
    their paired difference. `cluster` are n labels, by default every row its own cluster; `rng` is
    a Generator, a seed or None. Of records, give the columns: ``records.score, records.target``,
    ``cluster=records.cluster``; Series are put in the order of the first.

    `strata` are n labels of kinds of rows whose numbers were fixed, such as the target where 50
    positive and 950 negative items were chosen: every resample then has as many clusters of each
    kind as the data, so that none lacks a class. No cluster may lie in two.

    `method` is one of

    - "percentile": the middle of the replicates. The default;
    - "expanded": the same widened for G clusters, from the quantile Φ(√(G/(G-1))·t) of the
      replicates up, with t the lower quantile at G-1 degrees of freedom (Hesterberg 2015, The
      American Statistician 69). Use it below about 50 clusters;
    - "BCa": corrects bias and skewness (Efron 1987, JASA 82) for one more evaluation a cluster.

    `se` is the standard deviation of the replicates, which is the standard error; divided by the
    square root of `resamples`, as one tool has it, it is only the error of the simulation. `df` is
    nan. All methods need many clusters: with ten, intervals for an AUC or a ratio cover .83 to .92
    where they promise .95.

    The mean, ``statistic=np.mean`` of one column, is resampled by the clusters' sums, which is a
    hundred times as fast.

    >>> print(bootstrap_interval(np.median, [3, 1, 4, 1, 5, 9, 2, 6], rng=0))
    3.500 [1.500, 6.000] (95%, n = 8)

    Raises ``ValueError`` for columns of unequal length, a single cluster (in a stratum), and a
    statistic that is not one finite number on the data or on a resample; or for an unknown method.
    """
    require_one_of(method, "method", _METHODS)
    if not callable(statistic):
        raise ValueError(f"statistic must be a function of the columns, not {statistic!r}")
    require_share(confidence)
    resamples = require_count(resamples, "resamples", 2, 2000)
    arrays, index = _aligned(columns)
    index = first_indexed(index, cluster, strata)
    labels = cluster_numbers(cluster, len(arrays[0]), index)
    parts = _parts(strata, labels, index)
    of_clusters, fast = _on_clusters(statistic, arrays, labels), statistic is np.mean
    estimate = of_clusters(np.arange(labels.max() + 1), what="the data")
    if fast and len(arrays) == 1:
        of_clusters = _mean_on_clusters(arrays[0], labels)
    groups, level, kind = sum(map(len, parts)), confidence, method
    if method == "expanded":
        df = groups - len(parts)
        few = np.sqrt(groups / df) * stats.t.ppf((1 - confidence) / 2, df)
        level, kind = 1 - 2 * stats.norm.cdf(few), "percentile"
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            parts,
            of_clusters,
            vectorized=fast,
            n_resamples=resamples,
            batch=100,  # else scipy holds resamples times clusters numbers at once
            confidence_level=level,
            method=kind,
            rng=generator(rng),
        )
    low, high = map(float, found.confidence_interval)
    if not np.isfinite([low, high]).all():
        raise ValueError(
            f"method={method!r} gives no interval here: statistic does not vary, or lies beyond "
            'all replicates; use method="percentile"'
        )
    se = float(found.standard_error)
    warning = "" if low < high else "no resample differs"
    if warning:
        low = high = np.nan
    n = len(arrays[0])
    return Interval(estimate, se, low, high, np.nan, n, groups, confidence, warning)


def _aligned(columns: tuple) -> tuple[list[np.ndarray], Any]:
    """Return the columns as arrays in the order of the first Series, and that Series."""
    known = [as_pandas(as_array(column)) for column in columns]
    for k, column in enumerate(known, start=1):
        if isinstance(column, np.ma.MaskedArray) and np.ma.getmaskarray(column).any():
            raise ValueError(f"column {k} of columns has masked values: fill them in, or drop rows")
    index = next((column for column in known if isinstance(column, pd.Series)), None)
    try:
        _common_length([np.asarray(column) for column in known])
    except (TypeError, ValueError) as error:
        raise ValueError(f"columns: {error}") from error
    return [
        np.asarray(in_order(c, index, f"column {k}") if isinstance(c, pd.Series) else c)
        for k, c in enumerate(known, start=1)
    ], index


def _parts(strata, labels: np.ndarray, index) -> tuple[np.ndarray, ...]:
    """Return the numbers of the clusters of each stratum, of which each needs two."""
    if strata is None:
        return (np.arange(require_two_clusters(labels, "rows")),)
    kinds = labels_of(strata, len(labels), index, "strata")
    first = kinds[np.unique(labels, return_index=True)[1]]
    if (first[labels] != kinds).any():
        label = kinds[int((first[labels] != kinds).argmax())]
        raise ValueError(
            f"strata= has a cluster with rows in {str(label)!r} and in another stratum: clusters "
            "are drawn whole, so give strata of whole clusters"
        )
    parts = tuple(np.flatnonzero(first == kind) for kind in pd.unique(first))
    alone = [part for part in parts if len(part) < 2]
    if alone:
        raise ValueError(
            f"stratum {str(first[alone[0][0]])!r} of strata= has one cluster: nothing shows how "
            "its clusters vary; merge it with another"
        )
    return parts


def _mean_on_clusters(values: np.ndarray, labels: np.ndarray):
    """Return a function of drawn clusters' numbers, on any axis: the mean of their rows."""
    sizes, sums = np.bincount(labels), np.bincount(labels, finite(values, "columns"))

    def of_clusters(*drawn, axis: int = -1):
        total = sum(sums[part].sum(axis=axis) for part in drawn)
        return total / sum(sizes[part].sum(axis=axis) for part in drawn)

    return of_clusters


def _on_clusters(statistic, arrays: list[np.ndarray], labels: np.ndarray):
    """Return a function of drawn clusters' numbers: `statistic` on the rows of those clusters."""
    rows, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    advice = "; a resample can lack a class: give strata=, or data with more of the rare class"
    if any(pd.isna(array).any() for array in arrays):
        advice = "; a column has missing values: fill them in, or leave out their rows everywhere"

    def of_clusters(*parts, what: str = "a resample of clusters") -> float:
        drawn = np.concatenate(parts).astype(int)
        size = sizes[drawn]
        before = np.cumsum(size) - size
        chosen = rows[np.repeat(starts[drawn] - before, size) + np.arange(size.sum())]
        try:
            value = statistic(*(array[chosen] for array in arrays))
        except Exception as error:
            raise ValueError(f"statistic fails on {what}, with {error!r}{advice}") from error
        if not isinstance(value, Real) and np.ndim(value) == 0:
            value = getattr(value, "item", lambda value=value: value)()
        if not isinstance(value, Real) or not isfinite(value):
            raise ValueError(f"statistic is {value} on {what}, not one finite number{advice}")
        return float(value)

    return of_clusters


def _common_length(arrays: list[np.ndarray]) -> int:
    """Return the number of rows that all `arrays` have."""
    if not arrays:
        raise ValueError("give at least one array of rows after the statistic")
    lengths = [len(array) if array.ndim else 0 for array in arrays]
    if len(set(lengths)) > 1 or not lengths[0]:
        raise ValueError(
            f"they must have one and the same number of rows, found {lengths}; "
            "keep what belongs to one item in one row"
        )
    return lengths[0]
