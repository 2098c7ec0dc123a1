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
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"
        return (
            f"{self.b} - {self.a}: {d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}], {p} "
            f"({_counts(d.n, d.n_clusters)}, {100 * d.confidence:g}% interval)"
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the comparison as a table of one row."""
        names = {"a": self.a, "b": self.b, "mean_a": self.mean_a, "mean_b": self.mean_b}
        return pd.DataFrame([{**names, **asdict(self.difference), "p_value": self.p_value}])


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
    if isinstance(scores, pd.DataFrame):
        name = _one_system(scores, "scores")
        values, labels = scores.score, scores.cluster if cluster is None else cluster
        return _interval(_finite(values, f"score of {name}"), labels, confidence)
    return _interval(_finite(scores, "scores"), cluster, confidence)


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
    if isinstance(a, pd.DataFrame) != isinstance(b, pd.DataFrame):
        raise ValueError("a and b must be of one kind: both records, or both arrays of scores")
    if isinstance(a, pd.DataFrame):
        names = _one_system(a, "a"), _one_system(b, "b")
        b = _matched(a, b, names)
        labels = a.cluster.to_numpy() if cluster is None else cluster
        scores = a.score, b.score
    else:
        names, labels, scores = ("a", "b"), cluster, (a, b)
    x, y = (_finite(s, f"score of {name}") for s, name in zip(scores, names, strict=True))
    if len(x) != len(y):
        raise ValueError(
            f"a has {len(x):,} scores and b {len(y):,}; a paired comparison needs one each an item"
        )
    difference = _interval(y - x, labels, confidence)
    if difference.se > 0:
        t = abs(difference.estimate) / difference.se
        p = 2 * stats.t.sf(t, difference.n_clusters - 1)
    else:
        p = float(difference.estimate == 0)
    return Comparison(*names, float(x.mean()), float(y.mean()), difference, float(p))


def _interval(values: np.ndarray, cluster, confidence: float) -> Interval:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, not {confidence}")
    n = len(values)
    labels = np.arange(n) if cluster is None else pd.factorize(_labels(cluster, n))[0]
    groups = int(labels.max()) + 1
    if groups < 2:
        raise ValueError(
            f"all {n:,} items lie in one cluster: nothing shows how clusters vary; "
            "give a finer cluster= or more data"
        )
    fit = OLS(values, np.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": labels})
    mean, se = float(values.mean()), float(fit.bse[0])
    half = stats.t.ppf((1 + confidence) / 2, groups - 1) * se
    return Interval(mean, se, mean - half, mean + half, n, groups, confidence)


def _finite(values, what: str) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: expected one row of numbers ({error})") from error
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{what}: expected one row of numbers, found shape {array.shape}")
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(
            f"{what}: {int(bad.sum()):,} of {array.size:,} values are missing or infinite, the "
            f"first at place {int(bad.argmax())}; score every item, or drop it from all systems"
        )
    return array


def _labels(cluster, n: int) -> np.ndarray:
    labels = np.asarray(cluster)
    if labels.shape != (n,):
        raise ValueError(f"cluster= has shape {labels.shape}, but there are {n:,} scores")
    if pd.isna(labels).any():
        raise ValueError("cluster= has missing labels; give an item without a cluster its own")
    return labels


def _one_system(records: pd.DataFrame, what: str) -> str:
    """Return the name of the one system whose records on one task these are."""
    for column in ("system", "task", "item_id", "cluster", "target", "score"):
        if column not in records.columns:
            raise ValueError(
                f"{what} has no column {column!r}: give records, or a plain array of scores"
            )
    if records.empty:
        raise ValueError(f"{what} has no rows: is the system's name spelt as in the records?")
    for column in ("system", "task"):
        found = records[column].unique()
        if len(found) != 1:
            raise ValueError(
                f"{what} must be the records of one {column}, found {len(found)}: select with "
                f"records[records.{column} == …]"
            )
    name = records.system.iloc[0]
    twice = records.item_id.duplicated()
    if twice.any():
        item = records.item_id[twice].iloc[0]
        raise ValueError(
            f"column 'item_id': item {item!r} stands twice in {name}; an item is one row, so "
            "average repeated samples first"
        )
    return name


def _matched(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Return the rows of `b` in the order of the items of `a`."""
    for one, other, name, rest in ((a, b, *names), (b, a, *names[::-1])):
        alone = sorted(set(one.item_id) - set(other.item_id))
        if alone:
            raise ValueError(
                f"column 'item_id': {len(alone):,} items of {name} are not in {rest}, such as "
                f"{alone[0]!r}; a paired comparison needs the same items, so keep the common ones"
            )
    b = b.set_index("item_id").loc[a.item_id].reset_index()
    for column in ("task", "target", "cluster"):
        differ = a[column].to_numpy() != b[column].to_numpy()
        if differ.any():
            item = a.item_id.iloc[int(differ.argmax())]
            raise ValueError(
                f"column {column!r}: item {item!r} is not the same in {names[0]} and {names[1]}; "
                "a paired comparison needs the same items"
            )
    return b


def _counts(n: int, n_clusters: int) -> str:
    return f"n = {n:,}" + (f" in {n_clusters:,} clusters" if n_clusters < n else "")
