"""Two systems on the same items: the paired comparison, further tests, and effect sizes.

`compare` is the test to begin with. The others answer what it does not: a test for right and wrong
answers alone (McNemar), tests that need no normal mean (sign flips, ranks), tests that two systems
do *not* differ by much, and sizes of the difference. All speak of b - a.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_effectsize

from .clusters import drop_rounding
from .inputs import Cluster, Rng, Scores, paired_systems, require_two_clusters
from .intervals import clustered_mean
from .results import Comparison, Interval, TestResult, t_comparison


@dataclass(frozen=True)
class EffectSizes:
    """How far system b is from a on the same items, in several units; see `effect_sizes`.

    `h` and `odds_ratio` are nan unless all scores are 0 or 1.
    """

    comparison: Comparison
    d_z: float
    d_av: float
    superiority: float
    h: float
    odds_ratio: float

    def __str__(self) -> str:
        sizes = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        shown = [f"{name} {size:.2f}" for name, size in sizes.items() if not np.isnan(size)]
        return "; ".join([str(self.comparison), ", ".join(shown)])


def compare(
    a: Scores, b: Scores, *, cluster: Cluster = None, confidence: float = 0.95
) -> Comparison:
    """Compare two systems on the same items: the mean of the paired differences b - a.

    `a` and `b` are records of one system each, matched by ``item_id``, or two equally long
    arrays of scores in the same order. `cluster` is as in `mean_interval`. Pairing removes the
    part of the noise that both systems share, the difficulty of the items: its variance is that
    of the two means less twice their covariance (Miller 2024, arXiv:2411.00640, section 4).

    >>> print(compare([1, 0, 0, 1], [1, 1, 0, 1]))
    b - a: +0.250 [-0.546, +1.046], p = 0.391 (n = 4, 95% interval)

    Raises ``ValueError`` when the item sets differ, naming an item that only one system has, and
    as `mean_interval` does.
    """
    names, x, y, clusters = paired_systems(a, b, cluster)
    return t_comparison(
        names, x.mean(), y.mean(), clustered_mean(_gaps(x, y), clusters, confidence)
    )


def mcnemar_test(
    a: Scores, b: Scores, *, exact: bool = True, continuity: bool = False, cluster: Cluster = None
) -> TestResult:
    """Test whether two systems are right equally often, by the items that only one has right.

    `a` and `b` are as in `compare`, scored 0 or 1. If the systems are equal, each of the
    discordant items is as likely to be a's as b's (McNemar 1947, Psychometrika 12): `exact` takes
    the binomial distribution, with the smaller of the two counts as statistic; otherwise it is
    (n_b - n_a)²/(n_b + n_a) on the χ² of one degree of freedom, with |n_b - n_a| - 1 in the
    bracket for `continuity` (Yates 1934).

    >>> print(mcnemar_test([1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 1, 1, 1, 1]))
    McNemar, exact: statistic 1.000, p = 0.125 (n = 8)

    Every item must stand for itself: with clusters the binomial is wrong, so a cluster of two
    items or more is refused. If the items of records are independent none the less, say so by
    ``cluster=a.item_id``.

    Raises ``ValueError`` for a score other than 0 and 1, a shared cluster, and as `compare` does.
    """
    _, x, y, clusters = paired_systems(a, b, cluster)
    scores = np.concatenate([x, y])
    if not _right_or_wrong(scores):
        other = scores[(scores != 0) & (scores != 1)][0]
        raise ValueError(
            f"scores hold {other:g}, but McNemar's test counts zeros and ones: "
            "use compare or permutation_test for other scores"
        )
    groups = int(clusters.max()) + 1
    if groups < len(x):
        raise ValueError(
            f"McNemar's test takes items for independent, but these {len(x):,} lie in {groups:,} "
            "clusters: use compare or permutation_test, which keep clusters together, or state "
            "that the items are independent by cluster=a.item_id"
        )
    only_a, only_b = _discordant(x, y)
    name = "McNemar, " + ("exact" if exact else "χ², corrected" if continuity else "χ²")
    statistic, p = (only_a if exact else 0), 1.0
    if only_a != only_b:  # else, at 0 and 0, the χ² is 0/0
        found = mcnemar([[0, only_b], [only_a, 0]], exact=exact, correction=continuity)
        statistic, p = found.statistic, found.pvalue
    df = np.nan if exact else 1.0
    return TestResult(name, float(statistic), float(p), df, len(x), groups)


def permutation_test(
    a: Scores, b: Scores, *, resamples: int = 9999, cluster: Cluster = None, rng: Rng = None
) -> TestResult:
    """Test whether the names of two systems could be exchanged, by exchanging them.

    `a`, `b` and `cluster` are as in `compare`. If the systems are alike, a cluster is as likely
    with their names exchanged, which turns the sign of all its differences together (Fisher 1935,
    The Design of Experiments, section 21). The p-value is twice the share of such sign patterns
    that move the mean difference, the statistic, at least as far to its own side.

    With c clusters whose differences do not sum to 0 there are 2^c patterns. All are tried if
    they are at most `resamples`; more are drawn by `rng`, a Generator, a seed or None. On
    independent right and wrong answers the exact test is McNemar's.

    >>> print(permutation_test([1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 1, 1, 1, 1]))
    permutation, exact: statistic 0.625, p = 0.125 (n = 8)

    Its size is at most what it says whenever whole clusters are exchangeable, also for few or
    unequal ones. The price is that p is at least 2/2^c, so that fewer than 6 clusters never reach
    .05, and at least 2/(resamples + 1) if drawn. It needs no normal differences, but symmetric
    ones.

    Raises ``ValueError`` for `resamples` below 1, and as `compare` does.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, such as 9999, not {resamples}")
    _, x, y, clusters = paired_systems(a, b, cluster)
    groups = require_two_clusters(clusters)
    sums = drop_rounding(np.bincount(clusters, weights=_gaps(x, y)), _scale(x, y))
    moved = sums[sums != 0]
    p = 1.0  # of one cluster, whichever its sign; scipy asks for two
    if len(moved) > 1:
        p = stats.permutation_test(
            (moved,),
            lambda flipped, axis: flipped.sum(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=resamples,
            batch=100,  # else scipy holds resamples times clusters numbers at once
            rng=np.random.default_rng(rng),
        ).pvalue
    exact = 2 ** len(moved) <= resamples
    name = "permutation, " + ("exact" if exact else f"{resamples:,} drawn")
    return TestResult(name, float((y - x).mean()), float(p), np.nan, len(x), groups)


def wilcoxon_test(a: Scores, b: Scores, *, cluster: Cluster = None) -> TestResult:
    """Test by signed ranks whether the differences b - a lie symmetrically about 0.

    `a`, `b` and `cluster` are as in `compare`. With clusters the ranks are of the clusters' mean
    differences, so that each counts once, whatever its size. The statistic is the smaller sum of
    ranks (Wilcoxon 1945, Biometrics Bulletin 1); differences of 0 are left out. The p-value is
    exact up to 50 differences without ties or zeros, and up to 13 with them, else normal.

    >>> print(wilcoxon_test([3, 1, 4, 1, 5, 9], [5, 2, 7, 5, 10, 15]))
    Wilcoxon signed rank: statistic 0.000, p = 0.031 (n = 6)

    This speaks of the middle of the differences, not of their mean, which `compare` tests and a
    leaderboard shows: where differences are skewed it rejects though both means are equal. For
    symmetric differences it keeps its size, and with heavy tails it has more power. On right or
    wrong answers, each its own cluster, all ranks tie and its normal p-value is that of McNemar's
    χ².

    Raises ``ValueError`` as `compare` does.
    """
    _, x, y, clusters = paired_systems(a, b, cluster)
    groups = require_two_clusters(clusters)
    means = np.bincount(clusters, weights=_gaps(x, y)) / np.bincount(clusters)
    means = drop_rounding(means, _scale(x, y))
    statistic, p = 0.0, 1.0
    if means.any():
        # Ranks do not change by the unit; rounding error must not part those that tie.
        statistic, p = stats.wilcoxon(np.round(means / abs(means).max(), 12))
    name = "Wilcoxon signed rank"
    return TestResult(name, float(statistic), float(p), np.nan, len(x), groups)


def equivalence_test(a: Scores, b: Scores, margin: float, *, cluster: Cluster = None) -> TestResult:
    """Test whether the mean difference of two systems is smaller than `margin` both ways.

    That compare finds no difference does not show that there is none. Here the hypothesis to
    reject is |b - a| >= `margin`, in the units of the scores and chosen before the data are seen,
    by two one-sided t-tests (Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15); the
    statistic is the smaller t and the p-value the larger. It is below .05 exactly when the 90%
    interval of ``compare(a, b, confidence=0.9)`` lies within the margin.

    >>> print(equivalence_test([1, 0, 1, 1, 0, 1], [1, 0, 1, 0, 1, 1], margin=0.5))
    equivalence, |b - a| < 0.5 (TOST): statistic 1.936, p = 0.055 (n = 6)

    Right or wrong answers need many discordant items: where no item differs, the standard error is
    0, and so is p, for any margin.

    Raises ``ValueError`` for a margin that is not above 0, and as `compare` does.
    """
    found = compare(a, b, cluster=cluster)
    distance = _margin(margin) - abs(found.difference.estimate)
    name = f"equivalence, |{found.b} - {found.a}| < {margin:g} (TOST)"
    return _one_sided(name, distance, found.difference)


def noninferiority_test(
    a: Scores, b: Scores, margin: float, *, cluster: Cluster = None
) -> TestResult:
    """Test whether system b is worse than a by less than `margin`, if at all.

    For a cheaper b that need not be better. The hypothesis to reject is b - a <= -`margin`, by
    one clustered t-test; a p-value below .05 means that the lower end of the 90% interval of
    `compare` lies above -`margin`. All else is as in `equivalence_test`.

    >>> print(noninferiority_test([1, 0, 1, 1, 0, 1], [1, 0, 1, 0, 1, 1], margin=0.5))
    non-inferiority, b - a > -0.5 (one-sided): statistic 1.936, p = 0.055 (n = 6)
    """
    found = compare(a, b, cluster=cluster)
    distance = found.difference.estimate + _margin(margin)
    name = f"non-inferiority, {found.b} - {found.a} > -{margin:g} (one-sided)"
    return _one_sided(name, distance, found.difference)


def effect_sizes(a: Scores, b: Scores, *, cluster: Cluster = None) -> EffectSizes:
    """Return how far b is from a: the comparison in the scores' own units, and without units.

    `a`, `b` and `cluster` are as in `compare`. The difference of the means is what to report; the
    others serve where its units say little. With d the n differences b - a:

    - `d_z` = mean(d)/SD(d), which sets the power of the paired test: t = d_z·√n for independent
      items. It grows as the systems agree more, so it says nothing of how large the gap is;
    - `d_av` = mean(d)/√((SD(a)² + SD(b)²)/2), the gap in units of the items' spread: report this
      one beside results of other designs (Cumming 2012; Lakens 2013, Frontiers in Psychology 4);
    - `superiority`: the share of items that b does better, half of the ties counted (0.5: equal);

    and for right or wrong answers

    - `h` = 2·asin√p_b - 2·asin√p_a, whose variance hardly depends on p (Cohen 1988, chapter 6);
    - `odds_ratio`: items that only b has right over those that only a has right, what McNemar's
      test tests; infinite where there are none of a's, nan where there are none at all.

    Clusters change only the interval and p-value of the comparison. An interval of another size
    comes from ``bootstrap_interval(lambda a, b: effect_sizes(a, b).d_av, a, b, …)``.

    >>> sizes = effect_sizes([1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 1, 1, 1, 1])
    >>> print(sizes.comparison)
    b - a: +0.625 [+0.003, +1.247], p = 0.049 (n = 8, 95% interval)
    >>> sizes.superiority, sizes.odds_ratio
    (0.8125, 6.0)
    """
    names, x, y, clusters = paired_systems(a, b, cluster)
    d = _gaps(x, y)
    found = t_comparison(names, x.mean(), y.mean(), clustered_mean(d, clusters, 0.95))
    gap = found.difference.estimate
    h = odds_ratio = np.nan
    if _right_or_wrong(np.concatenate([x, y])):
        h = float(proportion_effectsize(found.mean_b, found.mean_a))
        only_a, only_b = _discordant(x, y)
        odds_ratio = _ratio(only_b, only_a)
    return EffectSizes(
        comparison=found,
        d_z=_ratio(gap, d.std(ddof=1)),
        d_av=_ratio(gap, np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)),
        superiority=float((d > 0).mean() + (d == 0).mean() / 2),
        h=h,
        odds_ratio=odds_ratio,
    )


def _gaps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the differences y - x, exactly 0 where the scores are equal but for rounding."""
    return drop_rounding(y - x, np.maximum(np.abs(x), np.abs(y)))


def _scale(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.abs([x, y]).max())


def _one_sided(name: str, distance: float, difference: Interval) -> TestResult:
    """Return the t-test that a difference lies `distance` inside its margin."""
    beyond = np.inf if distance > 0 else -np.inf  # where no difference varies
    t = distance / difference.se if difference.se > 0 else beyond
    df, n, groups = difference.df, difference.n, difference.n_clusters
    return TestResult(name, float(t), float(stats.t.sf(t, df)), df, n, groups)


def _margin(margin: float) -> float:
    if not 0 < margin < np.inf:
        raise ValueError(
            f"margin must be above 0, the smallest difference that matters in the units of the "
            f"scores, such as 0.02, not {margin}"
        )
    return margin


def _right_or_wrong(scores: np.ndarray) -> bool:
    return bool(np.isin(scores, (0, 1)).all())


def _discordant(x: np.ndarray, y: np.ndarray) -> tuple[int, int]:
    """Return how many items only the first system has right, and only the second."""
    return int((x > y).sum()), int((y > x).sum())


def _ratio(value: float, unit: float) -> float:
    """Return value/unit: infinite where the unit is 0 but for rounding, nan where both are 0."""
    if unit > 1e-12 * abs(value):
        return float(value / unit)
    return float(np.sign(value) * np.inf) if value else float("nan")
