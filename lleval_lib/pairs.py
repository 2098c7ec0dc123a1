"""Two systems on the same items: the paired comparison, further tests, and effect sizes.

`compare` is the test to begin with, `macro_compare` that of averages over subjects. The others
answer what they do not: a test for right and wrong answers alone (McNemar), tests that need no
normal mean (sign flips, ranks), tests that two systems do *not* differ by much, and sizes of the
difference. All speak of b - a.
"""

from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_effectsize

from .clusters import drop_rounding, even_out, t_half_width, t_p_value
from .inputs import (
    Cluster,
    Rng,
    Scores,
    as_pandas,
    cluster_numbers,
    first_indexed,
    generator,
    paired_systems,
    require_count,
    require_flag,
    require_number,
    require_two_clusters,
)
from .intervals import (
    clustered_mean,
    group_labels,
    macro_mean,
    right_or_wrong,
    skew_warning,
    two_values,
)
from .results import Comparison, Interval, Result, TestResult, t_comparison

# With fewer discordant items the t interval of a difference in accuracy covers too little.
_FEW_DISCORDANT = 30


@dataclass(frozen=True, eq=False)
class EffectSizes(Result):
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
        lines = [", ".join(part) for part in (shown[:3], shown[3:]) if part]
        return "\n  ".join([str(self.comparison), *lines])


def compare(
    a: Scores, b: Scores, *, cluster: Cluster = None, confidence: float = 0.95
) -> Comparison:
    """Compare two systems on the same items: the mean of the paired differences b - a.

    `a` and `b` are records of one system each, matched by ``item_id``, or two equally long
    arrays of scores in the same order. `cluster` is as in `mean_interval`. Pairing removes the
    part of the noise that both systems share, the difficulty of the items: its variance is that
    of the two means less twice their covariance (Miller 2024, arXiv:2411.00640, section 4).

    The test is Student's t, with two bounds to what few items can show. Where clusters do not
    differ, or all differ by the same, no p-value is below 2/2^c with c the number of those that
    do: so often all their signs fall one way by chance. And for right and wrong answers of which,
    after allowance for clusters, fewer than 30 are discordant, t is taken with one item more that
    each system wins, after Bonett & Price (2012, Journal of Educational and Behavioral Statistics
    37), on the effective number of items. There the plain interval covers .45 to .95 in place of
    .95, and this one .93 to 1, with clusters .81 to .98, as ``warning`` says (appendix A1). Where
    other scores show no spread there is no interval.

    >>> print(compare([1, 0, 0, 1, 0, 1, 0, 0, 1, 0], [1, 1, 0, 1, 1, 1, 1, 1, 1, 1]))
    b - a: +0.500 [-0.008, +0.841]
      p = 0.062 (95%, n = 10)

    Raises ``ValueError`` when the item sets differ, naming an item that only one system has, and
    as `mean_interval` does.
    """
    names, x, y, clusters = paired_systems(a, b, cluster)
    return compared(names, x, y, clusters, confidence)


def compared(
    names: tuple[str, str], x: np.ndarray, y: np.ndarray, clusters: np.ndarray, confidence: float
) -> Comparison:
    """Return the comparison of checked scores `x` and `y`; `clusters` are numbers from 0."""
    found = clustered_mean(_gaps(x, y), clusters, confidence)
    least_p = _least_p(found, x, y, clusters)
    few = _few_discordant(found, x, y)
    if few is None:
        found = replace(found, warning=_warning(found, x, y, clusters))
        return t_comparison(names, x.mean(), y.mean(), found, least_p)
    mean, se, df, unit = few
    half = t_half_width(se, df, confidence)
    clustered = found.n_clusters < found.n
    warning = "few discordant items in clusters: trust p more" * clustered
    low, high = max(mean - half, -unit), min(mean + half, unit)
    found = replace(found, low=low, high=high, warning=warning)
    p = max(t_p_value(mean, se, df), least_p)
    return Comparison(*names, x.mean(), y.mean(), found, p)


def _few_discordant(found: Interval, x: np.ndarray, y: np.ndarray):
    """Return difference, standard error, df and unit for right and wrong answers, else None.

    It is for few discordant items, with one more that each system wins. The unit is the distance
    of the two values that all scores have, such as 1, or 100 for percentages.
    """
    _, unit = two_values(x, y)
    if not unit:
        return None
    discordant, gap = float((x != y).mean()), found.estimate / unit
    size = _effective_pairs(replace(found, estimate=gap, se=found.se / unit), discordant)
    if discordant * size >= _FEW_DISCORDANT:
        return None
    mean, more = gap * size / (size + 2), (discordant * size + 2) / (size + 2)
    se = float(np.sqrt((more - mean**2) / (size + 1)))
    return unit * mean, unit * se, size + 1, unit


def _warning(found: Interval, x: np.ndarray, y: np.ndarray, clusters: np.ndarray) -> str:
    if two_values(x, y)[1]:
        return found.warning
    if found.se == 0:
        return "all differences are equal"
    return found.warning or skew_warning(_gaps(x, y), clusters, "differences")


def _least_p(found: Interval, x: np.ndarray, y: np.ndarray, clusters: np.ndarray) -> float:
    """Return the p-value of one sign for all clusters that differ; 0 where t can be trusted."""
    moved = _moved(x, y, clusters).size
    return min(2.0 ** (1 - moved), 1.0) if found.se == 0 or moved < found.n_clusters else 0.0


def _moved(x: np.ndarray, y: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the sums of the differences y - x of the clusters in which there are any."""
    sums = np.bincount(clusters, weights=_gaps(x, y))
    scale = np.bincount(clusters, weights=np.maximum(np.abs(x), np.abs(y)))
    return sums[drop_rounding(sums, scale) != 0]


def _effective_pairs(found: Interval, discordant: float) -> float:
    """Return how many independent items would leave a difference in accuracy as uncertain."""
    naive = (discordant - found.estimate**2) / (found.n - 1)
    if naive <= 0 or found.se == 0:
        return found.df + 1
    many, few = stats.t.isf((1 - found.confidence) / 2, [found.n - 1, found.df])
    return found.n / max(1.0, found.se**2 / naive * (few / many) ** 2)


def macro_compare(
    a: Scores,
    b: Scores,
    group: str | ArrayLike,
    *,
    cluster: Cluster = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the macro averages of two systems: every group counts the same, item by item paired.

    `a`, `b` and `cluster` are as in `compare`; `group` is as in `macro_interval`: n labels in the
    order of a, or the name of a column of the records. The difference is the macro average of the
    paired differences b - a, with its standard error and degrees of freedom. To pool the items
    instead, so that large groups count for more, take `compare`.

    >>> print(macro_compare([1, 0, 1, 1, 0, 0], [1, 1, 1, 0, 1, 1], group=list("aaaabb")))
    b - a: +0.500 [-0.150, +1.150]
      p = 0.125 (95%, n = 6)
      warning: 1 of 2 groups show no spread

    Raises ``ValueError`` as `macro_interval` and `compare` do.
    """
    a = as_pandas(a)
    names, x, y, clusters = paired_systems(a, b, cluster)
    reference = first_indexed(a, as_pandas(b), group, cluster)
    if not isinstance(a, pd.DataFrame):
        clusters = cluster_numbers(cluster, len(x), reference)
    labels = group_labels(group, reference, clusters)
    found = macro_mean(_gaps(x, y), labels, clusters, confidence)
    one, other = (macro_mean(v, labels, clusters, confidence).estimate for v in (x, y))
    return t_comparison(names, one, other, found, _least_p(found, x, y, clusters))


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
    McNemar, exact: statistic 1.000
      p = 0.125 (n = 8)

    Every item must stand for itself: with clusters the binomial is wrong, so a cluster of two
    items or more is refused. If the items of records are independent none the less, say so by
    ``cluster="item_id"``.

    Raises ``ValueError`` for a score other than 0 and 1, a shared cluster, and as `compare` does.
    """
    require_flag(exact, "exact")
    require_flag(continuity, "continuity")
    _, x, y, clusters = paired_systems(a, b, cluster)
    scores = np.concatenate([x, y])
    if not right_or_wrong(scores):
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
            'that the items are independent: cluster="item_id" of records, or none'
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
    The Design of Experiments, section 21). The p-value is the share of such sign patterns that
    move the mean difference, the statistic, at least as far from 0 to either side.

    With c clusters whose differences do not sum to 0 there are 2^c patterns. All are tried if
    they are at most `resamples`; more are drawn by `rng`, a Generator, a seed or None. On
    independent right and wrong answers the exact test is McNemar's.

    >>> print(permutation_test([1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 1, 1, 1, 1]))
    permutation, exact: statistic 0.625
      p = 0.125 (n = 8)

    Its size is at most what it says whenever whole clusters are exchangeable, also for few or
    unequal ones. The price is that p is at least 2/2^c, so that fewer than 6 clusters never reach
    .05, and at least 1/(resamples + 1) if drawn. It needs no normal differences, but symmetric
    ones.

    Raises ``ValueError`` for `resamples` below 1, and as `compare` does.
    """
    resamples = require_count(resamples, "resamples", 1, 9999)
    _, x, y, clusters = paired_systems(a, b, cluster)
    groups = require_two_clusters(clusters)
    moved = _moved(x, y, clusters)
    exact = 2 ** len(moved) <= resamples
    if exact:
        flipped = np.array(list(product([1, -1], repeat=len(moved)))) @ moved
    else:
        flipped = _drawn_flips(moved, resamples, generator(rng))
    beyond = np.abs(flipped) >= abs(moved.sum()) * (1 - 1e-9)
    p = beyond.mean() if exact else (beyond.sum() + 1) / (resamples + 1)
    name = "permutation, " + ("exact" if exact else f"{resamples:,} drawn")
    return TestResult(name, float(_gaps(x, y).mean()), float(p), np.nan, len(x), groups)


def _drawn_flips(moved: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the sum of `moved` under `resamples` random patterns of signs."""
    found = np.empty(resamples)
    rows = max(1, 2**24 // len(moved))  # patterns at a time: 16 million signs
    for start in range(0, resamples, rows):
        shape = min(rows, resamples - start), -(-len(moved) // 8)
        bits = np.unpackbits(rng.integers(256, size=shape, dtype=np.uint8), axis=1)
        found[start : start + rows] = bits[:, : len(moved)].astype(float) @ moved
    return 2 * found - moved.sum()


def wilcoxon_test(a: Scores, b: Scores, *, cluster: Cluster = None) -> TestResult:
    """Test by signed ranks whether the differences b - a lie symmetrically about 0.

    `a`, `b` and `cluster` are as in `compare`. With clusters the ranks are of the clusters' mean
    differences, so that each counts once, whatever its size. The statistic is the smaller sum of
    ranks (Wilcoxon 1945, Biometrics Bulletin 1); differences of 0 are left out. The p-value is
    exact up to 50 differences without ties, and up to 13 with them, else normal.

    >>> print(wilcoxon_test([3, 1, 4, 1, 5, 9], [5, 2, 7, 5, 10, 15]))
    Wilcoxon signed rank: statistic 0.000
      p = 0.031 (n = 6)

    This speaks of the middle of the differences, not of their mean, which `compare` tests and a
    leaderboard shows: where differences are skewed it rejects though both means are equal. For
    symmetric differences it keeps its size, and with heavy tails it has more power. On right or
    wrong answers, each its own cluster, all ranks tie and its normal p-value is that of McNemar's
    χ².

    Raises ``ValueError`` as `compare` does.
    """
    _, x, y, clusters = paired_systems(a, b, cluster)
    groups = require_two_clusters(clusters)
    sizes = np.bincount(clusters)
    sums = np.bincount(clusters, weights=_gaps(x, y))
    scale = np.bincount(clusters, weights=np.maximum(np.abs(x), np.abs(y)))
    # Rounding error must not part differences that tie; and scipy is exact only without zeros.
    means = even_out(drop_rounding(sums, scale) / sizes, scale / sizes)
    means = means[means != 0]
    statistic, p = stats.wilcoxon(means) if means.size else (0.0, 1.0)
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
    equivalence, |b - a| < 0.5 (TOST): statistic 1.871
      p = 0.052 (n = 6)

    For right and wrong answers with few discordant items, p is the larger one of the test in
    `compare` and of Tango's score test (1998, Statistics in Medicine 17). Where all other
    differences are equal, p is the chance to see only such clusters if some differ by as much as
    scores do at all: (1 - distance/range)^clusters.

    Raises ``ValueError`` for a margin that is not above 0, and as `compare` does.
    """
    margin = _margin(margin)
    (one, other), x, y, clusters = paired_systems(a, b, cluster)
    tests = [_one_sided(x, y, clusters, margin, sign) for sign in (1, -1)]
    name = f"equivalence, |{other} - {one}| < {margin:g} (TOST)"
    return replace(max(tests, key=lambda test: test.p_value), name=name)


def noninferiority_test(
    a: Scores, b: Scores, margin: float, *, cluster: Cluster = None
) -> TestResult:
    """Test whether system b is worse than a by less than `margin`, if at all.

    For a cheaper b that need not be better. The hypothesis to reject is b - a <= -`margin`, by
    one clustered t-test; a p-value below .05 means that the lower end of the 90% interval of
    `compare` lies above -`margin`. All else is as in `equivalence_test`.

    >>> print(noninferiority_test([1, 0, 1, 1, 0, 1], [1, 0, 1, 0, 1, 1], margin=0.5))
    non-inferiority, b - a > -0.5 (one-sided): statistic 1.871
      p = 0.052 (n = 6)
    """
    margin = _margin(margin)
    (one, other), x, y, clusters = paired_systems(a, b, cluster)
    name = f"non-inferiority, {other} - {one} > -{margin:g} (one-sided)"
    return replace(_one_sided(x, y, clusters, margin, 1), name=name)


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
    b - a: +0.625 [-0.108, +1.000]
      p = 0.096 (95%, n = 8)
    >>> sizes.superiority, sizes.odds_ratio
    (0.8125, 6.0)
    """
    names, x, y, clusters = paired_systems(a, b, cluster)
    d = _gaps(x, y)
    found = compared(names, x, y, clusters, 0.95)
    gap = found.difference.estimate
    h = odds_ratio = np.nan
    if right_or_wrong(x) and right_or_wrong(y):
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
    """Return the differences y - x, which are equal where they differ by rounding alone."""
    if right_or_wrong(x) and right_or_wrong(y):
        return y - x
    return even_out(y - x, np.maximum(np.abs(x), np.abs(y)))


def _one_sided(x, y, clusters, margin: float, sign: int) -> TestResult:
    """Return the test that sign·(y - x) lies above -`margin`; the other margin has sign -1."""
    d = clustered_mean(_gaps(x, y), clusters, 0.9)
    distance = sign * d.estimate + margin
    df, few = d.df, _few_discordant(d, x, y)
    if few is not None:
        mean, se, df, unit = few
        t = (sign * mean + margin) / se
        discordant = float((x != y).mean())
        score = _tango(sign * d.estimate / unit, discordant, df - 1, margin / unit)
        p = max(float(stats.t.sf(t, df)), float(stats.norm.sf(score)))
    elif d.se > 0:
        t = distance / d.se
        p = float(stats.t.sf(t, df))
    else:
        t = np.inf if distance > 0 else -np.inf
        # A cluster that differs by all that scores do may be too rare to be seen: rule of three.
        span = max(x.max(), y.max()) - min(x.min(), y.min())
        p = max(1 - distance / span, 0.0) ** d.n_clusters if distance > 0 < span else 1.0
    return TestResult("one-sided", float(t), p, df, d.n, d.n_clusters)


def _tango(gap: float, discordant: float, n: float, margin: float) -> float:
    """Return Tango's score statistic that a difference of two accuracies is -`margin`.

    `gap` of `n` items is won less lost, `discordant` won and lost (Tango 1998, Statistics in
    Medicine 17, equation 8).
    """
    delta = -min(margin, 1 - 1e-9)
    won, lost = n * (discordant + gap) / 2, n * (discordant - gap) / 2
    b = (2 * n - won + lost) * delta - won - lost
    q = (np.sqrt(b**2 + 8 * n * lost * delta * (1 - delta)) - b) / (4 * n)
    return float((won - lost - n * delta) / np.sqrt(n * (2 * q + delta * (1 - delta))))


def _margin(margin: float) -> float:
    margin = require_number(margin, "margin", "0.02")
    if not 0 < margin < np.inf:
        raise ValueError(
            f"margin must be above 0, the smallest difference that matters in the units of the "
            f"scores, such as 0.02, not {margin:g}"
        )
    return margin


def _discordant(x: np.ndarray, y: np.ndarray) -> tuple[int, int]:
    """Return how many items only the first system has right, and only the second."""
    return int((x > y).sum()), int((y > x).sum())


def _ratio(value: float, unit: float) -> float:
    """Return value/unit: infinite where the unit is 0 but for rounding, nan where both are 0."""
    if unit > 1e-12 * abs(value):
        return float(value / unit)
    return float(np.sign(value) * np.inf) if value else float("nan")
