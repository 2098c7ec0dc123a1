"""Intervals for one system: of a mean, of a macro average and of a proportion, with clusters."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import beta, t
from statsmodels.stats.proportion import proportion_confint

from .clusters import covariance_of_means, drop_rounding, welch_df
from .inputs import Cluster, Scores, labels_of, one_system, require_share, require_two_clusters
from .results import Interval, t_interval

_STATSMODELS = {"wald": "normal", "wilson": "wilson", "exact": "beta", "jeffreys": "jeffreys"}


def mean_interval(scores: Scores, *, cluster: Cluster = None, confidence: float = 0.95) -> Interval:
    """Return the mean of `scores` with its clustered standard error and interval.

    `scores` are n finite numbers, or the records of one system; `cluster` are n labels or the name
    of a column of the records, by default their own ``cluster``, or for bare scores every item its
    own. The interval is mean ± t·SE, as ``clusters`` gives it. It is an approximation for many
    clusters: below about 30 of them, or with a mean near 0 or 1, it covers less than it says, and
    scores that are all equal give it no width at all.

    >>> print(mean_interval([1, 0, 1, 1]))
    0.750 [-0.046, 1.546] (n = 4, 95% interval)

    Raises ``ValueError`` for an empty or not finite column, a wrong length, an item that stands
    twice, or a single cluster.
    """
    values, clusters = one_system(scores, cluster)
    return clustered_mean(values, clusters, confidence)


def clustered_mean(values: np.ndarray, clusters: np.ndarray, confidence: float) -> Interval:
    """Return the mean of checked `values` with its interval; `clusters` are numbers from 0."""
    require_share(confidence)
    groups = require_two_clusters(clusters)
    se = float(np.sqrt(covariance_of_means(values[:, None], clusters)[0, 0]))
    mean = float(drop_rounding(values.mean(), np.abs(values).max()))
    return t_interval(mean, se, groups - 1, len(values), groups, confidence)


def macro_interval(
    scores: Scores, group: str | ArrayLike, *, cluster: Cluster = None, confidence: float = 0.95
) -> Interval:
    """Return the macro average of `scores`, the mean of the means of K groups, with its interval.

    `group` are n labels, such as the subject or the task of each item, or of records the name of
    the column that holds them; `scores` and `cluster` are as in `mean_interval` (of the records of
    several tasks, give columns: records.score, records.task, cluster=records.cluster). Every group
    counts the same, however many items it has, so the squared standard error is Σ_g SE_g² / K²,
    each SE_g clustered, and the degrees of freedom are Welch's (``clusters.welch_df``).

    The K groups are all that one speaks of: other items could have been drawn, not other groups.
    To speak of subjects like these, take the group means for a sample: mean_interval(means). With
    few items a group, or groups of very unequal size, the interval covers less than it says.

    >>> print(macro_interval([1, 0, 1, 1, 1, 0], group=list("aaaabb")))
    0.625 [-1.010, 2.260] (n = 6, 95% interval)

    Raises ``ValueError`` for a cluster in two groups, whose errors would not be independent, a
    group in one cluster, and as `mean_interval` does.
    """
    values, clusters = one_system(scores, cluster)
    labels = _groups(group, scores, values, clusters)
    parts = []
    for name in pd.unique(labels):
        own = labels == name
        within = pd.factorize(clusters[own])[0]
        if not within.any():
            raise ValueError(
                f"group {str(name)!r} has one cluster: nothing shows how its clusters vary; "
                "give a finer cluster=, or merge or drop the group"
            )
        parts.append(clustered_mean(values[own], within, confidence))
    variances = np.array([part.se**2 for part in parts])
    df = welch_df(variances, [part.df for part in parts])
    se = float(np.sqrt(variances.sum()) / len(parts))
    mean = float(np.mean([part.estimate for part in parts]))
    n_clusters = sum(part.n_clusters for part in parts)
    return t_interval(mean, se, df, len(values), n_clusters, confidence)


def _groups(group, scores, values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the label of each item's group, no cluster lying in two."""
    frame = scores if isinstance(scores, pd.DataFrame) else None
    labels = np.asarray(labels_of(group, frame, "group"))
    if labels.shape != values.shape or pd.isna(labels).any():
        raise ValueError(
            f"group= must give one label for each of the {len(values):,} scores, found shape "
            f"{labels.shape} with {int(pd.isna(labels).sum())} missing"
        )
    first = labels[np.unique(clusters, return_index=True)[1]][clusters]
    astray = first != labels
    if astray.any():
        place = int(astray.argmax())
        raise ValueError(
            f"cluster= has a cluster in groups {str(first[place])!r} and {str(labels[place])!r} "
            f"(item at place {place}): give coarser groups, or clusters their own name by group"
        )
    return labels


def proportion_interval(
    scores: Scores, *, method: str = "wilson", cluster: Cluster = None, confidence: float = 0.95
) -> Interval:
    """Return the proportion of ones among `scores` with an interval made for proportions.

    `scores` are n zeros and ones, or the records of one system scored so; `cluster` is as in
    `mean_interval`. The count of n independent items is binomial, and all methods but "wald" use
    that in place of the central limit theorem (Brown, Cai & DasGupta 2001, Statistical Science
    16). `method` is one of

    - "wilson": all proportions that a score test would not reject (Wilson 1927). The default;
    - "exact": all that neither one-sided binomial test would reject (Clopper & Pearson 1934);
      without clusters it never covers less than it says, and pays for it in width;
    - "bayes": the middle of the posterior Beta(k + 1, n - k + 1), from a uniform prior (Bowyer,
      Aitchison & Ivanova 2025, arXiv:2503.01747). With clusters theirs is another, hierarchical
      model; ours takes n_eff;
    - "jeffreys": the same from the prior Beta(1/2, 1/2);
    - "wald": p ± z·√(p(1-p)/n), cut off at 0 and 1. It is here for its failures.

    Clusters count as an effective sample size: how many independent items would leave p as
    uncertain as it is,

        n_eff = n / max(1, deff · (t_{G-1}/t_{n-1})²),    deff = SE² / (p(1-p)/(n-1)),

    where SE is the clustered standard error, deff the design effect, and the quantiles of Student's
    t pay for an SE that G clusters tell less well than n items would (Korn & Graubard 1998, Survey
    Methodology 24; Dean & Pagano 2015, Journal of Survey Statistics and Methodology 3). The
    interval is that of p·n_eff right of n_eff. No method repairs a cluster that holds half of all
    items.

    `estimate` is the plain proportion for every method. `se` and `df` are those of `mean_interval`,
    and the interval is not estimate ± t·se. Where all scores are equal `se` is nan, for then the
    data say nothing of it, and n_eff is the number of clusters, as if the items of a cluster always
    stood or fell together.

    >>> print(proportion_interval([1, 1, 1, 1, 1, 1, 1, 1, 0, 1]))
    0.900 [0.596, 0.982] (n = 10, 95% interval)

    Raises ``ValueError`` for a score that is neither 0 nor 1, an unknown method, and as
    `mean_interval` does.
    """
    values, clusters = one_system(scores, cluster)
    other = values[(values != 0) & (values != 1)]
    if other.size:
        raise ValueError(
            f"scores hold {other[0]:g}, but a proportion counts zeros and ones: "
            "use mean_interval for other scores"
        )
    if method not in (*_STATSMODELS, "bayes"):
        names = ", ".join((*_STATSMODELS, "bayes"))
        raise ValueError(f"method must be one of {names}, not {method!r}")
    mean = clustered_mean(values, clusters, confidence)
    size = _effective_size(mean)
    count = mean.estimate * size
    if method == "bayes":
        low, high = beta.interval(confidence, count + 1, size - count + 1)
    else:
        low, high = proportion_confint(count, size, 1 - confidence, _STATSMODELS[method])
    se = mean.se if 0 < mean.estimate < 1 else float("nan")
    return replace(mean, se=se, low=float(low), high=float(high))


def _effective_size(mean: Interval) -> float:
    n, groups, p = mean.n, mean.n_clusters, mean.estimate
    if p in (0, 1):
        return groups
    design_effect = mean.se**2 / (p * (1 - p) / (n - 1))
    many, few = t.ppf((1 + mean.confidence) / 2, [n - 1, groups - 1])
    return n / max(1, design_effect * (few / many) ** 2)
