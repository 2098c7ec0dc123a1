"""Intervals for one system and paired comparisons of two, with clusters.

Both rest on one formula. Let e_i be the distance of score i from the mean, n the number of items
and G the number of clusters. The squared standard error of the mean is

    SE² = G/(G-1) · Σ_g (Σ_{i in g} e_i)² / n²

(Liang & Zeger 1986, Biometrika 73; Miller 2024, arXiv:2411.00640, section 2.2). With every item its
own cluster it is s²/n. Intervals and tests use Student's t with G-1 degrees of freedom (Cameron &
Miller 2015, Journal of Human Resources 50, section VI). Chapters 03 and 13 derive it.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.linear_model import OLS

from .inputs import one_system, paired_systems


@dataclass(frozen=True)
class Interval:
    """An estimate with its standard error and confidence interval, in the units of the scores."""

    estimate: float
    se: float
    low: float
    high: float
    n: int
    n_clusters: int
    confidence: float

    def __str__(self):
        return (
            f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}] "
            f"({_counts(self.n, self.n_clusters)}, {100 * self.confidence:g}% interval)"
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the fields as a table of one row."""
        return pd.DataFrame([asdict(self)])


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of systems `a` and `b` on the same items.

    `difference` is the mean of b - a with its interval; `p_value` is that of the two-sided t-test
    of no difference; `mean_a` and `mean_b` are the two means.
    """

    a: str
    b: str
    mean_a: float
    mean_b: float
    difference: Interval
    p_value: float

    def __str__(self):
        d = self.difference
        counts = _counts(d.n, d.n_clusters)
        return (
            f"{self.b} - {self.a}: {d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}], "
            f"{p_text(self.p_value)} ({counts}, {100 * d.confidence:g}% interval)"
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the comparison as a table of one row."""
        names = {"a": self.a, "b": self.b, "mean_a": self.mean_a, "mean_b": self.mean_b}
        return pd.DataFrame([{**names, **asdict(self.difference), "p_value": self.p_value}])


@dataclass(frozen=True)
class Test:
    """A significance test: its name, statistic and two-sided p-value, unless the name says else."""

    __test__ = False  # else pytest takes the name for a class of tests

    name: str
    statistic: float
    p_value: float
    n: int
    n_clusters: int

    def __str__(self):
        return (
            f"{self.name}: statistic {self.statistic:.3f}, {p_text(self.p_value)} "
            f"({_counts(self.n, self.n_clusters)})"
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the fields as a table of one row."""
        return pd.DataFrame([asdict(self)])


def mean_interval(scores, cluster=None, confidence: float = 0.95) -> Interval:
    """Return the mean of `scores` with its clustered standard error and interval.

    `scores` are n finite numbers, or the records of one system; `cluster` are n labels, by
    default the records' own column, or for bare scores every item its own cluster. The interval
    is mean ± t·SE, as the head of this module gives it. It is an approximation for many clusters:
    below about 30 of them, or with a mean near 0 or 1, it covers less than it says, and scores
    that are all equal give it no width at all.

    >>> print(mean_interval([1, 0, 1, 1]))
    0.750 [-0.046, 1.546] (n = 4, 95% interval)

    Raises ``ValueError`` for an empty or not finite column, a wrong length, an item that stands
    twice, or a single cluster.
    """
    return _interval(*one_system(scores, cluster), confidence)


def macro_interval(scores, group, cluster=None, confidence: float = 0.95) -> Interval:
    """Return the macro average of `scores`, the mean of the means of K groups, with its interval.

    `group` are n labels, such as the subject or the task of each item, or of records the name of
    the column that holds them; `scores` and `cluster` are as in `mean_interval` (of the records of
    several tasks, give columns: records.score, records.task, records.cluster). Every group counts
    the same, however many items it has, so the squared standard error is Σ_g SE_g² / K², each
    SE_g clustered. The degrees of freedom of t are those of Welch and Satterthwaite (Welch 1947,
    Biometrika 34), (Σ_g SE_g²)² / Σ_g (SE_g⁴ / (G_g - 1)) with G_g clusters in group g.

    The K groups are all that one speaks of: other items could have been drawn, not other groups.
    To speak of subjects like these, take the group means for a sample: mean_interval(means).

    The 95% interval covers .952 with 57 groups of 5 answers at p = .7, but .883 with 10 groups of
    10 at p = .95, and .65 when one group has 10 answers at p = .9 and another 10,000: what
    `mean_interval` does badly in a group is done badly here.

    >>> print(macro_interval([1, 0, 1, 1, 1, 0], group=list("aaaabb")))
    0.625 [-1.010, 2.260] (n = 6, 95% interval)

    Raises ``ValueError`` for a cluster in two groups, whose errors would not be independent, a
    group in one cluster, and as `mean_interval` does.
    """
    values, labels = one_system(scores, cluster)
    if isinstance(scores, pd.DataFrame) and isinstance(group, str):
        if group not in scores:
            raise ValueError(
                f"group={group!r} is no column of the records: name one, or give labels"
            )
        group = scores[group]
    group = np.asarray(group)
    if group.shape != values.shape or pd.isna(group).any():
        raise ValueError(
            f"group= must give one label for each of the {len(values):,} scores, found shape "
            f"{group.shape} with {int(pd.isna(group).sum())} missing"
        )
    first = group[np.unique(labels, return_index=True)[1]][labels]
    astray = first != group
    if astray.any():
        place = int(astray.argmax())
        raise ValueError(
            f"cluster= has a cluster in groups {str(first[place])!r} and {str(group[place])!r} "
            f"(item at place {place}): give coarser groups, or clusters their own name by group"
        )
    parts = []
    for name in pd.unique(group):
        within = pd.factorize(labels[group == name])[0]
        if not within.any():
            raise ValueError(
                f"group {str(name)!r} has one cluster: nothing shows how its clusters vary; "
                "give a finer cluster=, or merge or drop the group"
            )
        parts.append(_interval(values[group == name], within, confidence))
    variances = np.array([part.se**2 for part in parts])
    freedom = np.array([part.n_clusters - 1 for part in parts])
    mean = float(np.mean([part.estimate for part in parts]))
    se = float(np.sqrt(variances.sum()) / len(parts))
    half = 0.0
    if se > 0:
        df = variances.sum() ** 2 / (variances**2 / freedom).sum()
        half = stats.t.ppf((1 + confidence) / 2, df) * se
    n_clusters = sum(part.n_clusters for part in parts)
    return Interval(mean, se, mean - half, mean + half, len(values), n_clusters, confidence)


def compare(a, b, cluster=None, confidence: float = 0.95) -> Comparison:
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
    names, x, y, labels = paired_systems(a, b, cluster)
    difference = _interval(y - x, labels, confidence)
    if difference.se > 0:
        t = abs(difference.estimate) / difference.se
        p = 2 * stats.t.sf(t, difference.n_clusters - 1)
    else:
        p = float(difference.estimate == 0)
    return Comparison(*names, float(x.mean()), float(y.mean()), difference, float(p))


def _interval(values: np.ndarray, labels: np.ndarray, confidence: float) -> Interval:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, not {confidence}")
    n = len(values)
    groups = int(labels.max()) + 1
    if groups < 2:
        raise ValueError(
            f"all {n:,} items lie in one cluster: nothing shows how clusters vary; "
            "give a finer cluster= or more data"
        )
    fit = OLS(values, np.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": labels})
    # Equal scores have no spread, but for the rounding of their mean.
    mean, se = float(values.mean()), float(fit.bse[0]) if np.ptp(values) else 0.0
    half = stats.t.ppf((1 + confidence) / 2, groups - 1) * se
    return Interval(mean, se, mean - half, mean + half, n, groups, confidence)


def p_text(p: float) -> str:
    """Return a p-value as it is printed: three decimals, or "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _counts(n: int, n_clusters: int) -> str:
    return f"n = {n:,}" + (f" in {n_clusters:,} clusters" if n_clusters < n else "")
