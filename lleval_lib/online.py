"""Tests on users: two versions in front of people, who are assigned to them at random.

The user is therefore the unit of the analysis too: rows of one user are a cluster. All of this
looks at two *different* groups of users; for two systems on the same items see `compare`, for
results that are read as they come in ``sequential``.
"""

from dataclasses import dataclass, replace
from math import comb

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from .clusters import covariance_of_means, effective_df, welch_df
from .inputs import (
    Cluster,
    as_array,
    as_pandas,
    cluster_numbers,
    finite,
    first_indexed,
    in_order,
    labels_of,
    require_share,
)
from .intervals import skew_warning, two_values
from .proportions import effective_size
from .results import Comparison, Interval, Result, TestResult, t_comparison, t_interval

# With fewer events, or non-events, in an arm the t-test of two shares loses its size.
_FEW_EVENTS = 30


@dataclass(frozen=True, eq=False)
class Cuped(Result):
    """A difference adjusted by a covariate, `adjusted`, beside the `plain` one; θ is `theta`."""

    adjusted: Comparison
    plain: Comparison
    theta: float

    @property
    def variance_ratio(self) -> float:
        """The variance of the adjusted difference, as a share of the plain one's."""
        return (self.adjusted.difference.se / self.plain.difference.se) ** 2

    def __str__(self) -> str:
        return f"{self.adjusted}\n  variance {self.variance_ratio:.2f} of the plain one's"


def sample_ratio_test(counts: ArrayLike, expected: ArrayLike | None = None) -> TestResult:
    """Test whether the groups of an experiment have the sizes that were planned.

    `counts` are the users observed in each group, `expected` the planned shares or sizes, by
    default equal ones. It is Pearson's χ² test with one degree of freedom less than groups. A
    small p-value, such as 0.001, says that users went missing from one group more than from
    another: stop, and look for the cause before reading any result (Fabijan et al. 2019, KDD). A
    large one does not prove that nobody is missing. χ² is an approximation for expected counts of
    about 5 and more.

    >>> print(sample_ratio_test([600, 400]))
    sample ratio, chi-squared: statistic 40.000
      p < 0.001 (n = 1,000)

    Raises ``ValueError`` for fewer than two groups, counts that are no whole numbers, or shares
    that are not positive.
    """
    counts, expected = as_pandas(counts), as_pandas(expected)
    observed = finite(counts, "counts")
    if len(observed) < 2 or (observed < 0).any() or (observed % 1 != 0).any() or not observed.sum():
        raise ValueError(
            f"counts must be the numbers of users in two or more groups, such as [600, 400], "
            f"not {observed.tolist()}"
        )
    shares = np.ones(len(observed))
    if expected is not None:
        shares = finite(expected, "expected")
    if isinstance(expected, pd.Series) and len(shares) == len(observed):
        shares = finite(in_order(expected, counts, "expected"), "expected")
    if len(shares) != len(observed) or (shares <= 0).any():
        raise ValueError(
            f"expected must be {len(observed)} positive shares, one a group, not {shares.tolist()}"
        )
    n = int(observed.sum())
    found = stats.chisquare(observed, n * shares / shares.sum())
    name, df = "sample ratio, chi-squared", len(observed) - 1.0
    return TestResult(name, float(found.statistic), float(found.pvalue), df, n, n)


def group_difference(
    outcome: ArrayLike,
    treated: ArrayLike,
    *,
    cluster: Cluster = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the means of two independent groups: treatment - control.

    `outcome` are n finite numbers, `treated` n booleans, true in the treatment group, `cluster` n
    labels of the unit that was randomised, such as the user of each session; by default every row
    is its own. The squared standard errors of the two means, clustered as ``clusters`` gives them,
    add up; t has Welch's degrees of freedom, with clusters in the place of rows (Welch 1947,
    Biometrika 34). For the mean of sessions by user this is the delta method for a ratio
    (Deng et al. 2018, KDD). Without `cluster` it is Welch's t-test.

    Rare events and unequal arms ruin that test: at a rate of .02 and 20 users against 180 it calls
    33% of equal arms different at 5%. So for outcomes of 0 and 1 of which an arm has fewer than 30
    (of as many independent rows as it is worth), interval and p-value are Newcombe's, from Wilson's
    interval of each arm (1998, Statistics in Medicine 17, method 10); its size is at most .05 there
    (appendix A1). Neither there nor where nothing varies is p below 2 over the number of ways to
    choose the treated units. ``warning`` says where other outcomes are too skewed for their number.

    >>> print(group_difference([0, 1, 0, 1, 1, 1], [False, False, False, True, True, True]))
    treatment - control: +0.667 [-0.059, +0.939]
      p = 0.100 (95%, n = 6)

    Raises ``ValueError`` for a column that is not finite, a group of fewer than two clusters, or
    a cluster with rows in both groups.
    """
    require_share(confidence)
    outcome, treated = as_pandas(outcome), as_pandas(treated)
    y = finite(outcome, "outcome")
    arm, clusters = _arms(treated, cluster, len(y), first_indexed(outcome, treated, cluster))
    found = _comparison(y, arm, clusters, confidence)
    low, unit = two_values(y)
    if not unit:
        return found
    shares = _shares_compared(found, (y - low) / unit, arm, clusters)
    if shares is None:
        return found
    low, high, p = shares
    interval = replace(found.difference, low=unit * low, high=unit * high, warning="")
    return replace(found, difference=interval, p_value=p)


def _shares_compared(found: Comparison, y, arm, clusters) -> tuple[float, float, float] | None:
    """Return Newcombe's interval and p-value for two shares if an arm has few events."""
    sizes = [effective_size(y[r], pd.factorize(clusters[r])[0]) for r in (~arm, arm)]
    counts = [float(y[r].mean()) * size for r, size in zip((~arm, arm), sizes, strict=True)]
    few = min(min(k, size - k) for k, size in zip(counts, sizes, strict=True))
    if few >= _FEW_EVENTS:
        return None
    gap = float(y[arm].mean() - y[~arm].mean())

    def ends(alpha: float) -> tuple[float, float]:
        (p0, low0, high0), (p1, low1, high1) = (
            (k / size, *proportion_confint(k, size, alpha, "wilson"))
            for k, size in zip(counts, sizes, strict=True)
        )
        below, above = np.hypot(p1 - low1, high0 - p0), np.hypot(high1 - p1, p0 - low0)
        return float(gap - below), float(gap + above)

    low, high = ends(1 - found.difference.confidence)
    facing = 0 if gap > 0 else 1
    p = 1.0
    if gap:
        least, most = 1e-15, 1 - 1e-9
        beyond = ends(least)[facing] * gap > 0
        p = least if beyond else optimize.brentq(lambda x: ends(x)[facing], least, most)
    return low, high, max(p, _least_p(arm, clusters))


def _least_p(arm: np.ndarray, clusters: np.ndarray) -> float:
    """Return the p-value of the most unlikely choice of the units that are treated."""
    treated, control = (len(np.unique(clusters[rows])) for rows in (arm, ~arm))
    if min(treated, control) > 30:
        return 0.0
    return min(2 / comb(treated + control, treated), 1.0)


def cuped(
    outcome: ArrayLike,
    covariate: ArrayLike,
    treated: ArrayLike,
    *,
    cluster: Cluster = None,
    confidence: float = 0.95,
) -> Cuped:
    """Compare two groups, adjusted by what was known of each user before the experiment.

    `covariate` are n finite numbers from *before* the assignment, such as the same user's outcome
    on the day before; the rest is as in `group_difference`. With Δ for a difference of group
    means, the adjusted difference is Δy - θΔx with θ = Cov(Δy, Δx) / Var(Δx), clustered
    (Deng et al. 2013, WSDM, equation 3), and its variance is that of Δy times 1 - ρ². Because the
    assignment is random, Δx is 0 on average, and the adjustment moves the estimate's noise, not
    its target. This θ allows a slope for each group, so that groups of any two sizes gain (Lin
    2013, Annals of Applied Statistics 7); with equal groups it is the pooled slope.

    A covariate that the treatment can change biases the result, and nothing here can tell. θ is
    estimated too, which costs a degree of freedom; with few clusters the 95% interval still covers
    a little less than it says (measured: 94% with 5 to 20 normal users a group).

    Raises ``ValueError`` as `group_difference`, or when a column does not vary within the groups.
    """
    require_share(confidence)
    outcome, covariate, treated = map(as_pandas, (outcome, covariate, treated))
    first = first_indexed(outcome, covariate, treated, cluster)
    y, x = finite(outcome, "outcome"), finite(covariate, "covariate")
    if len(x) != len(y):
        raise ValueError(f"outcome has {len(y):,} values and covariate {len(x):,}; give one each")
    if isinstance(covariate, pd.Series):
        x = finite(in_order(covariate, first, "covariate"), "covariate")
    arm, clusters = _arms(treated, cluster, len(y), first)
    both = np.column_stack([y, x])
    parts = [_covariance(both[rows], clusters[rows]) for rows in (~arm, arm)]
    for name, k in (("outcome", 0), ("covariate", 1)):
        if all(part[k, k] == 0 for part in parts):
            raise ValueError(f"{name} does not vary within the groups: there is nothing to adjust")
    covariance = np.sum(parts, axis=0)
    theta = float(covariance[0, 1] / covariance[1, 1])
    adjusted = y - theta * (x - x.mean())
    return Cuped(
        _comparison(adjusted, arm, clusters, confidence, estimated=1),
        _comparison(y, arm, clusters, confidence),
        theta,
    )


def _arms(treated, cluster: Cluster, n: int, outcome) -> tuple[np.ndarray, np.ndarray]:
    """Return (which rows are treated, cluster numbers), checked to be a randomised assignment."""
    arm = as_array(treated)
    if isinstance(arm, np.ma.MaskedArray):
        arm = np.ma.filled(arm.astype(object), None)
    if isinstance(arm, pd.Series) and len(arm) == n:
        arm = in_order(arm, outcome, "treated")
    arm = np.asarray(arm, dtype=object)
    if arm.shape != (n,) or not all(value is not pd.NA and value in (False, True) for value in arm):
        raise ValueError(
            f"treated must be {n:,} times True or False, one for each outcome; for a column of "
            "names write treated=(version == 'B')"
        )
    arm, clusters = arm.astype(bool), cluster_numbers(cluster, n, outcome)
    both = np.intersect1d(clusters[arm], clusters[~arm])
    if both.size:
        labels = labels_of(cluster, n, outcome, "cluster")
        name = labels[np.argmax(clusters == both[0])]
        raise ValueError(
            f"cluster '{name}' has rows in both groups: cluster= must be the unit that was "
            "randomised, and each unit belongs to one group"
        )
    for name, rows in (("treatment", arm), ("control", ~arm)):
        if len(np.unique(clusters[rows])) < 2:
            raise ValueError(f"the {name} group needs two clusters or more to show how they vary")
    return arm, clusters


def _comparison(y, arm, clusters, confidence: float, estimated: int = 0) -> Comparison:
    """Return treatment - control; `estimated` is the number of slopes estimated for `y`."""
    rows = (~arm, arm)
    control, treatment = (float(y[r].mean()) for r in rows)
    numbers = [pd.factorize(clusters[r])[0] for r in rows]
    variances = [
        covariance_of_means(y[r, None], own)[0, 0] for r, own in zip(rows, numbers, strict=True)
    ]
    dfs = [effective_df(own) for own in numbers]
    whole = welch_df(variances, dfs)
    df = whole - estimated
    if df <= 0:
        raise ValueError(
            "the groups have too few clusters that vary to adjust them: use group_difference"
        )
    se = float(np.sqrt(sum(variances) * whole / df))
    groups = sum(int(own.max()) + 1 for own in numbers)
    interval = t_interval(treatment - control, se, df, len(y), groups, confidence)
    interval = replace(interval, warning=_warning(interval, y, arm, clusters))
    names = ("control", "treatment")
    least_p = _least_p(arm, clusters) if se == 0 else 0.0
    return t_comparison(names, control, treatment, interval, least_p)


def _warning(found: Interval, y: np.ndarray, arm: np.ndarray, clusters: np.ndarray) -> str:
    if found.se == 0:
        return "no group shows any spread"
    if found.df + 2 < 10:
        few = f"{found.df + 2:.2g} effective clusters"
        return f"only {few if found.n_clusters < found.n else f'{found.n} rows'}"
    # The skewness of a difference of means is at most that of the group with the larger variance.
    spread = max((~arm, arm), key=lambda rows: y[rows].var() / rows.sum())
    own = pd.factorize(clusters[spread])[0]
    return skew_warning(y[spread], own, "outcomes")


def _covariance(columns: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the clustered covariance of the means of one arm."""
    return covariance_of_means(columns, pd.factorize(clusters)[0])
