"""The formula of this library: the covariance of means whose items come in clusters.

Let e_i be the distance of score i from the mean, n the number of items and G the number of
clusters. The squared standard error of the mean is

    SE² = G/(G-1) · Σ_g (Σ_{i in g} e_i)² / n²

(Liang & Zeger 1986, Biometrika 73; Miller 2024, arXiv:2411.00640, section 2.2). With every item its
own cluster it is s²/n. Intervals and tests use Student's t with G-1 degrees of freedom (Cameron &
Miller 2015, Journal of Human Resources 50, section VI).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

_ROUNDING = 1e-12  # of the largest value: less than that is the noise of sums in floating point


def covariance_of_means(columns: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the clustered covariance matrix of the means of k columns, shape (k, k).

    `columns` has shape (n, k); `clusters` are the clusters' numbers 0, 1, …, at least two. For the
    covariance of two means a square above becomes the product of the two columns' sums. A column
    whose clusters do not differ but for rounding, such as a constant one, has no variance: its row
    and column are exactly 0.
    """
    n, sizes = len(columns), np.bincount(clusters)
    residuals = columns - columns.mean(axis=0)
    sums = np.column_stack([np.bincount(clusters, column) for column in residuals.T])
    noise = _ROUNDING * sizes.max() * np.abs(columns).max(axis=0)
    sums = np.where(np.abs(sums).max(axis=0) <= noise, 0.0, sums)
    return len(sizes) / (len(sizes) - 1) * (sums.T @ sums) / n**2


def drop_rounding(values: ArrayLike, scale: ArrayLike) -> np.ndarray:
    """Return `values` with 0 for what is only the rounding error of numbers of size `scale`."""
    return np.where(np.abs(values) <= _ROUNDING * np.asarray(scale), 0.0, values)


def welch_df(variances, dfs) -> float:
    """Return the degrees of freedom of a sum of independent variances, each with its own.

    It is (Σ v)² / Σ (v²/df) (Welch 1947, Biometrika 34). Without any variance the degrees add up.
    """
    v, dfs = np.asarray(variances, dtype=float), np.asarray(dfs, dtype=float)
    return float(v.sum() ** 2 / (v**2 / dfs).sum() if v.any() else dfs.sum())


def t_half_width(se: float, df: float, confidence: float) -> float:
    """Return half the width of the interval estimate ± t·SE."""
    return float(stats.t.isf((1 - confidence) / 2, df)) * se


def t_p_value(estimate: float, se: float, df: float) -> float:
    """Return the two-sided p-value of no effect; where nothing varies it is 0 or 1."""
    return float(2 * stats.t.sf(abs(estimate) / se, df)) if se > 0 else float(estimate == 0)
