"""Tests on users: two versions in front of people, and results that are read as they come in.

Users are assigned to versions at random, so the user is the unit of the analysis too: rows of one
user are a cluster. All of this looks at two *different* groups of users; for two systems on the
same items see `compare`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from .clusters import covariance_of_means, welch_df
from .inputs import Cluster, cluster_numbers, finite, require_share
from .results import Comparison, TestResult, t_comparison, t_interval


@dataclass(frozen=True)
class Cuped:
    """A difference adjusted by a covariate, `adjusted`, beside the `plain` one; θ is `theta`."""

    adjusted: Comparison
    plain: Comparison
    theta: float

    @property
    def variance_ratio(self) -> float:
        """The variance of the adjusted difference, as a share of the plain one's."""
        return (self.adjusted.difference.se / self.plain.difference.se) ** 2

    def __str__(self) -> str:
        return f"{self.adjusted}; variance {self.variance_ratio:.2f} of the plain one's"


def sample_ratio_test(counts: ArrayLike, expected: ArrayLike | None = None) -> TestResult:
    """Test whether the groups of an experiment have the sizes that were planned.

    `counts` are the users observed in each group, `expected` the planned shares or sizes, by
    default equal ones. It is Pearson's χ² test with one degree of freedom less than groups. A
    small p-value, such as 0.001, says that users went missing from one group more than from
    another: stop, and look for the cause before reading any result (Fabijan et al. 2019, KDD). A
    large one does not prove that nobody is missing. χ² is an approximation for expected counts of
    about 5 and more.

    >>> print(sample_ratio_test([600, 400]))
    sample ratio, chi-squared: statistic 40.000, p < 0.001 (n = 1,000)

    Raises ``ValueError`` for fewer than two groups, counts that are no whole numbers, or shares
    that are not positive.
    """
    observed = finite(counts, "counts")
    if len(observed) < 2 or (observed < 0).any() or (observed % 1 != 0).any() or not observed.sum():
        raise ValueError(
            f"counts must be the numbers of users in two or more groups, such as [600, 400], "
            f"not {counts!r}"
        )
    shares = np.ones(len(observed)) if expected is None else finite(expected, "expected")
    if len(shares) != len(observed) or (shares <= 0).any():
        raise ValueError(
            f"expected must be {len(observed)} positive shares, one a group, not {expected!r}"
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
    (Deng et al. 2018, KDD). Without `cluster` it is Welch's t-test. As with `mean_interval`, few
    or very unequal clusters cover less than they say.

    >>> print(group_difference([0, 1, 0, 1, 1, 1], [False, False, False, True, True, True]))
    treatment - control: +0.667 [-0.768, +2.101], p = 0.184 (n = 6, 95% interval)

    Raises ``ValueError`` for a column that is not finite, a group of fewer than two clusters, or
    a cluster with rows in both groups.
    """
    y = finite(outcome, "outcome")
    arm, clusters = _arms(treated, cluster, len(y))
    return _comparison(y, arm, clusters, require_share(confidence))


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
    y, x = finite(outcome, "outcome"), finite(covariate, "covariate")
    if len(x) != len(y):
        raise ValueError(f"outcome has {len(y):,} values and covariate {len(x):,}; give one each")
    arm, clusters = _arms(treated, cluster, len(y))
    require_share(confidence)
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


def peeking_error(looks: int, *, confidence: float = 0.95) -> float:
    """Return the true error of a test that is repeated at each of `looks` looks.

    The looks come after equally many new observations each, and the test stops at the first
    |z| beyond the two-sided bound of one test with `confidence`. The statistic at look k is S_k/√k
    with S_k a sum of k independent standard normal steps. Its distribution is followed from look to
    look by numerical integration (Armitage, McPherson & Rowe 1969, Journal of the Royal Statistical
    Society A 132). A thousand looks take some seconds.

    >>> [round(peeking_error(looks), 3) for looks in (1, 2, 3, 4, 5)]
    [0.05, 0.083, 0.107, 0.126, 0.142]

    Raises ``ValueError`` for a number of looks that is not a positive whole number.
    """
    _require_looks(looks)
    return _crossing(np.full(looks, stats.norm.isf((1 - require_share(confidence)) / 2)))


def group_sequential_bounds(
    looks: int, kind: str = "obrien-fleming", *, confidence: float = 0.95
) -> np.ndarray:
    """Return the bounds for |z| at each of `looks` equally spaced looks.

    The error of all looks together is 1 - `confidence`.

    `kind` "pocock" has the same bound at every look (Pocock 1977, Biometrika 64);
    "obrien-fleming" has C·√(looks/k) at look k, strict at first and nearly the usual one at the
    end (O'Brien & Fleming 1979, Biometrics 35). The constant is found so that the probability of
    any crossing, as in `peeking_error`, is that error. The error holds for a fixed number of looks,
    equally far apart in information, and an approximately normal statistic (Jennison & Turnbull
    2000, chapter 2); more looks than planned bring the error of peeking back.

    >>> group_sequential_bounds(3, kind="pocock").round(3).tolist()
    [2.289, 2.289, 2.289]
    >>> group_sequential_bounds(3).round(3).tolist()
    [3.471, 2.454, 2.004]

    Raises ``ValueError`` for an unknown kind, or as `peeking_error`.
    """
    _require_looks(looks)
    shapes = {
        "pocock": np.ones(looks),
        "obrien-fleming": np.sqrt(looks / np.arange(1, looks + 1)),
    }
    if kind not in shapes:
        raise ValueError(f"kind must be one of {', '.join(map(repr, shapes))}, not {kind!r}")
    # One test at the end needs less than this constant, and Bonferroni's inequality at most that.
    alpha = 1 - require_share(confidence)
    one, all_ = stats.norm.isf(alpha / np.array([2, 2 * looks]))
    constant = optimize.brentq(
        lambda c: _crossing(c * shapes[kind]) - alpha, 0.9 * one, 1.1 * all_, xtol=1e-10
    )
    return constant * shapes[kind]


def confidence_sequence(
    values: ArrayLike,
    planned: int,
    *,
    sd: float | None = None,
    first: int = 100,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return an interval for the mean after each of n values that may all be looked at.

    With probability `confidence` *every* interval holds the mean at once, so that a test may stop
    whenever one leaves 0 out. `values` come in the order of arrival, one for each unit that was
    randomised. For two groups give the difference of the k-th user of each, as k goes up.

    It is Robbins' normal mixture (1970, Annals of Mathematical Statistics 41),

        mean ± sd √( (r + 1)/r · ln((r + 1)/α²) / n ),  r = n·x/planned,

    with the x that makes it narrowest at n = `planned`. Fix `planned` beforehand: if it followed
    the data, the promise would be void. There the interval is 1.55 times as wide as the usual one
    at 95%. Johari et al. (2022, Operations Research 70) use it for A/B tests.

    With `sd` the promise is exact for values whose spread is known: normal with that standard
    deviation, or of any distribution within an interval of width 2·sd, as Hoeffding's inequality
    has it (Howard et al. 2021, Annals of Statistics 49). Without, the running standard deviation
    stands in, and the promise holds for large n only (Waudby-Smith et al. 2024, Annals of
    Statistics 52). Intervals of fewer than `first` values are therefore infinite. Measured at 95%
    over 3,000 values, with first = 100: 96% for shares of 0.5 and 0.2, but 93% for 0.1, 90% for
    0.05 and 81% for 0.02.

    Returns the columns ``n``, ``estimate``, ``low`` and ``high``.

    >>> confidence_sequence([1, 0, 1, 1], planned=4, sd=0.5, first=1).round(2).high.tolist()
    [2.63, 1.59, 1.54, 1.51]

    Raises ``ValueError`` for values that are not finite, or a `planned`, `sd` or `first` that is
    not positive.
    """
    values = finite(values, "values")
    alpha = 1 - require_share(confidence)
    for name, value in (("planned", planned), ("first", first), ("sd", 1 if sd is None else sd)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")
    n = np.arange(1, len(values) + 1)
    mean = values.cumsum() / n
    if sd is None:
        shifted = values - mean[-1]  # the variance is the same, and its rounding error smaller
        square = np.square(shifted).cumsum() - shifted.cumsum() ** 2 / n
        sd = np.sqrt(np.maximum(square, 0) / np.maximum(n - 1, 1))
    # The minimum of (u/(u - 1)) ln(u/α²) lies where u exp(-u) = α²/e.
    r = n / planned * (-special.lambertw(-(alpha**2) / np.e, -1).real - 1)
    half = sd * np.sqrt((r + 1) / r * np.log((r + 1) / alpha**2) / n)
    half = np.where(n < first, np.inf, half)
    return pd.DataFrame({"n": n, "estimate": mean, "low": mean - half, "high": mean + half})


def _arms(treated, cluster: Cluster, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (which rows are treated, cluster numbers), checked to be a randomised assignment."""
    arm = np.asarray(treated)
    if arm.shape != (n,) or not np.isin(arm.astype(object), [False, True]).all():
        raise ValueError(
            f"treated must be {n:,} times True or False, one for each outcome; for a column of "
            "names write treated=(version == 'B')"
        )
    arm, clusters = arm.astype(bool), cluster_numbers(cluster, n)
    both = np.intersect1d(clusters[arm], clusters[~arm])
    if both.size:
        name = np.asarray(cluster)[np.argmax(clusters == both[0])]
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
    variances = [_covariance(y[r, None], clusters[r])[0, 0] for r in rows]
    dfs = [len(np.unique(clusters[r])) - 1 for r in rows]
    whole = welch_df(variances, dfs)
    df = whole - estimated
    if df <= 0:
        raise ValueError(
            "the groups have too few clusters that vary to adjust them: use group_difference"
        )
    se = float(np.sqrt(sum(variances) * whole / df))
    interval = t_interval(treatment - control, se, df, len(y), sum(dfs) + 2, confidence)
    return t_comparison(("control", "treatment"), control, treatment, interval)


def _covariance(columns: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the clustered covariance of the means of one arm."""
    return covariance_of_means(columns, np.unique(clusters, return_inverse=True)[1])


def _crossing(bounds: np.ndarray) -> float:
    """Return the probability that |S_k| reaches bounds[k-1]·√k at some look k."""
    edges = bounds * np.sqrt(np.arange(1, len(bounds) + 1))
    # Gauss-Legendre nodes, two to a standard deviation of a step: the error is below 1e-11.
    x, w = np.polynomial.legendre.leggauss(int(32 + 4 * edges.max()))
    nodes, mass = np.zeros(1), np.ones(1)  # all the mass starts at S_0 = 0
    for edge in edges:
        density = np.exp(-((edge * x[:, None] - nodes) ** 2) / 2) @ mass / np.sqrt(2 * np.pi)
        nodes, mass = edge * x, edge * w * density
    return float(1 - mass.sum())


def _require_looks(looks) -> None:
    if not isinstance(looks, int | np.integer) or looks < 1:
        raise ValueError(f"looks must be a positive whole number, not {looks!r}")
