"""Intervals for one system: of a mean, a ratio, a macro average and a proportion, with clusters."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import beta
from statsmodels.stats.proportion import proportion_confint

from .clusters import (
    covariance_of_means,
    df_of_shares,
    drop_rounding,
    effective_df,
    skewness_of_mean,
    welch_df,
)
from .inputs import (
    Cluster,
    Scores,
    as_pandas,
    cluster_numbers,
    finite,
    first_indexed,
    in_order,
    labels_of,
    one_system,
    require_one_of,
    require_share,
    require_two_clusters,
)
from .proportions import effective_size
from .results import Interval, t_interval

_STATSMODELS = {"wald": "normal", "wilson": "wilson", "exact": "beta", "jeffreys": "jeffreys"}
# Fewer equal clusters than these, fewer right or wrong answers (of as many independent items as the
# data have the worth of), or a mean of this skewness, and t is taken on trust; see appendix A1.
FEW_CLUSTERS, FEW_ANSWERS, SKEWED = 10, 10, 0.4


def mean_interval(scores: Scores, *, cluster: Cluster = None, confidence: float = 0.95) -> Interval:
    """Return the mean of `scores` with its clustered standard error and interval.

    `scores` are n finite numbers, or the records of one system; `cluster` are n labels or the name
    of a column of the records, by default their own ``cluster``, or for bare scores every item its
    own. The interval is mean ± t·SE, as ``clusters`` gives it, also for unequal clusters. Its
    ``warning`` says where it is not to be trusted: for fewer than about ten effective clusters, for
    shares near 0 or 1, where `proportion_interval` is the one to take, for skewed scores, and where
    all scores are equal, when there is none. The sizes of clusters are taken as given. Appendix A1
    measures its coverage.

    >>> print(mean_interval([2, 1, 4, 3, 3, 5, 1, 2, 4, 4]))
    2.900 [1.920, 3.880] (95%, n = 10)

    Raises ``ValueError`` for an empty or not finite column, a wrong length, an item that stands
    twice, or a single cluster.
    """
    values, clusters = one_system(scores, cluster)
    found = clustered_mean(values, clusters, confidence)
    return replace(found, warning=_warning(found, values, clusters))


def clustered_mean(values: np.ndarray, clusters: np.ndarray, confidence: float) -> Interval:
    """Return the mean of checked `values` with its interval; `clusters` are numbers from 0."""
    require_share(confidence)
    groups = require_two_clusters(clusters)
    se = float(np.sqrt(covariance_of_means(values[:, None], clusters)[0, 0]))
    mean = float(drop_rounding(values.mean(), max(values.max(), -values.min())))
    df = effective_df(clusters)
    return t_interval(mean, se, df, len(values), groups, confidence, _few(df, len(values), groups))


def _few(df: float, n: int, groups: int) -> str:
    if df + 1 >= FEW_CLUSTERS:
        return ""
    return f"only {groups} items" if groups == n else f"only {df + 1:.2g} effective clusters"


def _warning(found: Interval, values: np.ndarray, clusters: np.ndarray) -> str:
    """Return why the t interval of the mean of `values` is not to be trusted, if it is not."""
    if found.se == 0:
        advice = ": see proportion_interval" if (values == 1).all() else ""
        return f"all scores are equal{advice}"
    low, unit = two_values(values)
    if not unit:
        return found.warning or skew_warning(values, clusters, "scores")
    share = (found.estimate - low) / unit
    rare = min(share, 1 - share)
    if rare * rare * (1 - rare) / (found.se / unit) ** 2 < FEW_ANSWERS:
        near = low if share < 0.5 else low + unit
        return f"near {near:g}: see proportion_interval"
    return found.warning


def skew_warning(values: np.ndarray, clusters: np.ndarray, what: str) -> str:
    """Return a warning if the mean of `values` is far from normal, else nothing."""
    if abs(skewness_of_mean(values, clusters)) <= SKEWED:
        return ""
    return f"skewed {what}"


def two_values(*columns: np.ndarray) -> tuple[float, float]:
    """Return the lower of the two values that all numbers have, and how far the other lies.

    Right and wrong may be 0 and 1, or 0 and 100. The distance is 0 if there are more values, or
    only one, unless that is 0 or 1, whose other is known.
    """
    low = float(min(column.min() for column in columns))
    high = float(max(column.max() for column in columns))
    heads = [column[:100] for column in columns]  # most that have more values say so there
    if not all(((c == low) | (c == high)).all() for c in (*heads, *columns)):
        return low, 0.0
    if low == high:
        return (0.0, 1.0) if low in (0, 1) else (low, 0.0)
    return low, high - low


def right_or_wrong(values: np.ndarray) -> bool:
    """Return whether all `values` are 0 or 1."""
    first = values[:100]  # most that are not say so there
    return all(bool(((part == 0) | (part == 1)).all()) for part in (first, values))


def ratio_interval(
    numerator: ArrayLike,
    denominator: ArrayLike,
    *,
    cluster: Cluster = None,
    confidence: float = 0.95,
) -> Interval:
    """Return the ratio of two sums over the same items, such as bits per byte, with its interval.

    `numerator` are n finite numbers y and `denominator` n ones x, positive or 0, such as the bits
    and the bytes of each text, the cost and the solved items of each run, or w·score and the
    weights w of a weighted mean; Series are put in the order of the first. `cluster` are n labels,
    by default every item its own. The estimate is R = Σy / Σx. A change of one item moves it by e_i
    = (y_i - R·x_i) / x̄ over n, so its squared standard error is that of the mean of e (Cochran
    1977, Sampling Techniques, 3rd ed., chapter 6), clustered as ``clusters`` gives it with the
    share h_g of Σx that lies in cluster g. With all x equal it is `mean_interval`. To compare two
    ratios over the same denominators, give the differences of their numerators.

    >>> bits, size = [12, 30, 8, 50, 21, 19, 31, 26, 44, 9], [5, 10, 5, 20, 8, 9, 12, 11, 16, 4]
    >>> print(ratio_interval(bits, size))
    2.500 [2.280, 2.720] (95%, n = 10)
      warning: only 10 items

    Raises ``ValueError`` for columns that are not finite or of unequal length, a denominator that
    is negative, denominators that are 0 in all clusters or in all but one, or a single cluster.
    """
    require_share(confidence)
    numerator, denominator = as_pandas(numerator), as_pandas(denominator)
    first = first_indexed(numerator, denominator, cluster)
    y, x = finite(numerator, "numerator"), finite(denominator, "denominator")
    if len(x) != len(y):
        raise ValueError(f"numerator has {len(y):,} values and denominator {len(x):,}")
    if isinstance(denominator, pd.Series):
        x = finite(in_order(denominator, first, "denominator"), "denominator")
    if (x < 0).any() or not x.any():
        raise ValueError(f"denominator must be positive, found {x.min():g}; a weight may be 0")
    labels = cluster_numbers(cluster, len(y), first)
    groups = require_two_clusters(labels)
    ratio = float(y.sum() / x.sum())
    e = drop_rounding(y - ratio * x, np.abs(y) + abs(ratio) * x) / x.mean()
    h = np.bincount(labels, x) / x.sum()
    if np.count_nonzero(h) < 2:
        raise ValueError("denominator is 0 but in one cluster: nothing shows how clusters vary")
    se = float(np.sqrt((np.bincount(labels, e) ** 2 / (1 - h)).sum()) / len(y))
    df = df_of_shares(h)
    warning = _few(df, len(y), groups) or skew_warning(e, labels, "distances from the ratio")
    if se == 0:
        warning = "all items have one ratio"
    return t_interval(ratio, se, df, len(y), groups, confidence, warning)


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
    To speak of subjects like these, take the group means for a sample: mean_interval(means). For
    right and wrong answers of which a group has fewer than ten of one kind, the distances to the
    ends of the groups' Wilson intervals are squared and added instead of SE_g (Zou & Donner 2008,
    Statistics in Medicine 27); other groups of few items cover less than they say.

    >>> print(macro_interval([1, 0, 1, 1, 1, 0], group=list("aaaabb")))
    0.625 [0.322, 0.852] (95%, n = 6)

    Raises ``ValueError`` for a cluster in two groups, whose errors would not be independent, a
    group in one cluster, and as `mean_interval` does.
    """
    scores = as_pandas(scores)
    values, clusters = one_system(scores, cluster)
    if not isinstance(scores, pd.Series | pd.DataFrame):
        clusters = cluster_numbers(cluster, len(values), first_indexed(group, cluster))
    labels = group_labels(group, first_indexed(scores, group, cluster), clusters)
    found = macro_mean(values, labels, clusters, confidence)
    low, unit = two_values(values)
    return _macro_share(found, (values - low) / unit, unit, labels, clusters) if unit else found


def _macro_share(found: Interval, values, unit: float, labels, clusters) -> Interval:
    """Return the macro average of shares by Wilson's intervals if a group has few of one kind."""
    below, above, fewest, groups = 0.0, 0.0, np.inf, pd.unique(labels)
    for name in groups:
        own = labels == name
        within = pd.factorize(clusters[own])[0]
        share, size = values[own].mean(), effective_size(values[own], within)
        fewest = min(fewest, share * size, (1 - share) * size)
        low, high = proportion_ends(values[own], within, "wilson", found.confidence)
        below, above = below + (share - low) ** 2, above + (high - share) ** 2
    if fewest >= FEW_ANSWERS:
        return found
    ends = (
        found.estimate - unit * np.sqrt(below) / len(groups),
        found.estimate + unit * np.sqrt(above) / len(groups),
    )
    return replace(found, low=ends[0], high=ends[1], warning="")


def macro_mean(
    values: np.ndarray, labels: np.ndarray, clusters: np.ndarray, confidence: float
) -> Interval:
    """Return the macro average of checked `values`; no cluster lies in two groups."""
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
    still = sum(part.se == 0 for part in parts)
    warning = f"{still} of {len(parts)} groups show no spread" if still else ""
    warning = warning or _few(df, len(values), n_clusters)
    return t_interval(mean, se, df, len(values), n_clusters, confidence, warning)


def group_labels(group, scores, clusters: np.ndarray) -> np.ndarray:
    """Return the label of each item's group, no cluster lying in two."""
    labels = labels_of(group, len(clusters), scores, "group")
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
      Aitchison & Ivanova 2025, arXiv:2503.01747); with clusters, of p·n_eff right of n_eff;
    - "jeffreys": the same from the prior Beta(1/2, 1/2);
    - "wald": p ± z·√(p(1-p)/n), cut off at 0 and 1. It is here for its failures.

    Clusters count as an effective sample size, n_eff, of which p·n_eff are right: how many
    independent items would leave p as uncertain as it is (Korn & Graubard 1998, Survey Methodology
    24). It comes from a model of how alike the items of a cluster are, as ``proportions`` says,
    and not from the standard error, which near 0 and 1 is too small most of the time. Appendix A1
    measures the coverage: .93 and more under that model, where formulas on the standard error have
    .80; and .85 in the worst of fifteen other worlds, in which two in a hundred clusters fail.

    `estimate` is the plain proportion for every method. `se` and `df` are those of `mean_interval`,
    and the interval is not estimate ± t·se. Where all scores are equal `se` is nan, for then the
    data say nothing of it.

    >>> print(proportion_interval([1, 1, 1, 1, 1, 1, 1, 1, 0, 1]))
    0.900 [0.596, 0.982] (95%, n = 10)

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
    require_one_of(method, "method", (*_STATSMODELS, "bayes"))
    mean = clustered_mean(values, clusters, confidence)
    low, high = proportion_ends(values, clusters, method, confidence)
    se = mean.se if 0 < mean.estimate < 1 else np.nan
    warning = "" if low < high else "no width is no certainty"
    return replace(mean, se=se, low=low, high=high, warning=warning)


def proportion_ends(
    values: np.ndarray, clusters: np.ndarray, method: str, confidence: float
) -> tuple[float, float]:
    """Return the ends of the interval of a share; `values` are 0 or 1."""
    size = effective_size(values, clusters)
    count = values.mean() * size
    if method == "bayes":
        low, high = beta.interval(confidence, count + 1, size - count + 1)
    else:
        low, high = proportion_confint(count, size, 1 - confidence, _STATSMODELS[method])
    # An interval holds its estimate; so Brown, Cai & DasGupta for 0 and n right.
    return (0.0 if count == 0 else float(low)), (1.0 if count == size else float(high))
