"""The formula of this library: the covariance of means whose items come in clusters.

Let e_i be the distance of score i from the mean, n the number of items, and h_g the share of the
items that lie in cluster g of G. The squared standard error of the mean is

    SE² = Σ_g (Σ_{i in g} e_i)² / (1 - h_g) / n²,

which is CR2 (Bell & McCaffrey 2002, Survey Methodology 28; Pustejovsky & Tipton 2018, Journal of
Business & Economic Statistics 36) of a regression on the constant alone. A large cluster pulls the
mean towards itself, so its sum of distances is too small, and 1 - h_g makes up for it. Student's t
has the degrees of freedom

    df = 1 / (Σ h_g² + (Σ q_g)² - Σ q_g²),    q_g = h_g²/(1 - h_g),

Satterthwaite's, as if the items were independent. With clusters of one size this is the usual
formula (Liang & Zeger 1986, Biometrika 73; Miller 2024, arXiv:2411.00640, section 2.2): 1/(1 - h_g)
is G/(G-1) and df is G-1; with every item its own cluster SE² is s²/n. With unequal clusters df + 1
says of how many equal ones they have the worth.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

_DIGITS = 12  # what a floating-point number of that many digits does not show is rounding


def covariance_of_means(columns: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the clustered covariance matrix of the means of k columns, shape (k, k).

    `columns` has shape (n, k); `clusters` are the clusters' numbers 0, 1, …, at least two. For the
    covariance of two means a square above becomes the product of the two columns' sums. A column
    whose clusters do not differ but for rounding, such as a constant one, has no variance: its row
    and column are exactly 0.
    """
    n, sums = len(columns), columns - columns.mean(axis=0)
    if clusters.max() + 1 == n:  # every item its own
        largest, factor = 1, n / (n - 1)
        weighted = sums.T
    else:
        sizes = np.bincount(clusters)
        sums = np.column_stack([np.bincount(clusters, column) for column in sums.T])
        largest, factor = sizes.max(), 1.0
        weighted = sums.T / (1 - sizes / n)
    noise = 10.0**-_DIGITS * largest * _peak(columns)
    still = _peak(sums) <= noise
    found = factor * (weighted @ sums) / n**2
    found[still], found[:, still] = 0.0, 0.0
    return found


def _peak(columns: np.ndarray) -> np.ndarray:
    return np.maximum(columns.max(axis=0), -columns.min(axis=0))


def effective_df(clusters: np.ndarray) -> float:
    """Return the degrees of freedom of a clustered mean; `clusters` are numbers from 0."""
    if clusters.max() + 1 == len(clusters):
        return len(clusters) - 1.0
    sizes = np.bincount(clusters)
    return df_of_shares(sizes / len(clusters))


def df_of_shares(h: np.ndarray) -> float:
    """Return the degrees of freedom of a mean to which the clusters contribute the shares `h`."""
    if np.ptp(h) == 0:
        return len(h) - 1.0
    q = h**2 / (1 - h)
    return float(1 / ((h**2).sum() + q.sum() ** 2 - (q**2).sum()))


def drop_rounding(values: ArrayLike, scale: ArrayLike) -> np.ndarray:
    """Return `values` with 0 for what is only the rounding error of numbers of size `scale`."""
    return np.where(np.abs(values) <= 10.0**-_DIGITS * np.asarray(scale), 0.0, values)


def skewness_of_mean(values: np.ndarray, clusters: np.ndarray) -> float:
    """Return the skewness of the mean of `values`, from that of the means of the clusters.

    For G clusters of one size it is their skewness over √G. It is 0 where theirs is less than two
    of its standard errors, √(6/G), as of clusters that are normal.
    """
    sizes = np.bincount(clusters) if clusters.max() + 1 < len(values) else None
    means = values if sizes is None else np.bincount(clusters, values) / sizes
    e = means - means.mean()
    square = float(e @ e)
    if square == 0:
        return 0.0
    own = float((e * e) @ e) * len(e) ** 0.5 / square**1.5
    if abs(own) < 2 * (6 / len(e)) ** 0.5:
        return 0.0
    if sizes is None:
        return own / len(e) ** 0.5
    h = sizes / len(values)
    return own * float((h**3).sum() / (h**2).sum() ** 1.5)


def even_out(values: np.ndarray, scale: ArrayLike, digits: int = _DIGITS) -> np.ndarray:
    """Return `values` rounded where numbers of size `scale` have their last `digits`.

    Values that differ by rounding error alone are then equal, and tie when they are ranked.
    """
    size = np.maximum(scale, 1e-280)  # of 0, any will do
    units = 10.0 ** (digits - np.ceil(np.log10(size)))
    return np.round(values * units) / units


def welch_df(variances, dfs) -> float:
    """Return the degrees of freedom of a sum of independent variances, each with its own.

    It is (Σ v)² / Σ (v²/df) (Welch 1947, Biometrika 34). Without any variance the degrees add up.
    """
    v, dfs = np.asarray(variances, dtype=float), np.asarray(dfs, dtype=float)
    v = v / (v.max() or 1)  # squares of small variances would vanish
    return float(v.sum() ** 2 / (v**2 / dfs).sum() if v.any() else dfs.sum())


def t_half_width(se: float, df: float, confidence: float) -> float:
    """Return half the width of the interval estimate ± t·SE."""
    return float(stats.t.isf((1 - confidence) / 2, df)) * se


def t_p_value(estimate: float, se: float, df: float) -> float:
    """Return the two-sided p-value of no effect; where nothing varies it is 0 or 1."""
    return float(2 * stats.t.sf(abs(estimate) / se, df)) if se > 0 else float(estimate == 0)
