"""Many systems at once: every pair compared, one test of them all, and how sure their ranks are.

A leaderboard of K systems makes K(K-1)/2 comparisons. At 5% each, ten equal systems give a false
difference somewhere in most evaluations. Holm's step-down procedure (1979, Scandinavian Journal of
Statistics 6) keeps the probability of even one false difference at 5%, whatever the dependence
between the comparisons.

Every function takes the records of several systems on one task, or a table of scores with one row
an item and one column a system. `cluster` is one label a row of what is given, or the name of a
column of it, by default the records' own, or for a bare table every item its own cluster.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial
from string import ascii_letters
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from .clusters import even_out
from .inputs import (
    Cluster,
    Rng,
    Scores,
    as_array,
    as_pandas,
    cluster_numbers,
    finite,
    first_indexed,
    generator,
    in_order,
    paired_systems,
    require_count,
    require_one_of,
    require_share,
    require_two_clusters,
)
from .pairs import compared
from .results import TestResult
from .results import table as table_of

# Columns that a table of scores may have, and that are no systems.
_NO_SYSTEMS = {
    *("item_id", "doc_id", "sample_id", "id", "index", "level_0"),
    *("task", "prompt", "target", "cluster"),
}
CORRECTIONS = ("holm", "fdr_bh", "bonferroni", "none")


def compare_all(
    scores: Scores,
    *,
    correction: str = "holm",
    baseline: str | None = None,
    cluster: Cluster = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare every pair of systems, or every system with `baseline`, on the same items.

    Returns one row a comparison with the columns of ``table([compare(a, b)])``, so `estimate` is
    the mean of b - a, and `p_adjusted`. `correction` is named as in statsmodels' ``multipletests``:
    "holm" (Holm 1979) and "bonferroni" bound the probability of any false difference, "fdr_bh"
    (Benjamini & Hochberg 1995) the expected share of false ones among those called, "none"
    neither. The intervals are those of single comparisons, so an interval may exclude 0 where
    `p_adjusted` is above 0.05. For intervals that hold together in m comparisons with 95%
    confidence give ``confidence=1 - 0.05 / m`` (Bonferroni).

    >>> table = {"x": [1, 0, 0, 0, 1, 0], "y": [1, 1, 1, 1, 1, 0], "z": [1, 1, 1, 0, 1, 1]}
    >>> compare_all(pd.DataFrame(table))[["a", "b", "estimate", "p_value", "p_adjusted"]].round(3)
       a  b  estimate  p_value  p_adjusted
    0  x  y       0.5     0.25        0.75
    1  x  z       0.5     0.25        0.75
    2  y  z       0.0     1.00        1.00

    Twenty equal systems on clusters of very unequal size are told apart somewhere in at most about
    5% of evaluations at 5%, and of few clusters in fewer (appendix A1).

    Raises ``ValueError`` for fewer than two systems, an unknown correction, and as `compare` does;
    ``LookupError`` for an unknown baseline.
    """
    require_one_of(correction, "correction", CORRECTIONS)
    table, clusters = _score_table(scores, cluster)
    names = list(table)
    if baseline is None:
        pairs = list(combinations(names, 2))
    elif str(baseline) in names:  # the columns of an array are called by their numbers
        pairs = [(str(baseline), name) for name in names if name != str(baseline)]
    else:
        raise LookupError(f"no system is called {baseline!r}; there are: {', '.join(names)}")
    columns = {name: table[name].to_numpy() for name in names}
    found = table_of(
        [compared((a, b), columns[a], columns[b], clusters, confidence) for a, b in pairs]
    )
    return found.assign(p_adjusted=adjust_p_values(found.p_value, correction))


def adjust_p_values(p_values: ArrayLike, correction: str = "holm") -> np.ndarray:
    """Return p-values of tests of your own, corrected for their number.

    `p_values` are m numbers from 0 to 1, in any order, `correction` is a method of `compare_all`.
    An adjusted p-value of 0.05 or less is a difference at 5% of the whole family.

    >>> adjust_p_values([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]

    Raises ``ValueError`` for an unknown correction, and what is not between 0 and 1.
    """
    require_one_of(correction, "correction", CORRECTIONS)
    p = finite(p_values, "p_values")
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"p_values must lie between 0 and 1, not {p[(p < 0) | (p > 1)][0]:g}")
    if correction == "none":
        return p
    if correction == "fdr_bh":
        return stats.false_discovery_control(p)
    order, m = np.argsort(p), len(p)
    if correction == "bonferroni":
        return np.minimum(m * p, 1)
    steps = np.maximum.accumulate(np.arange(m, 0, -1) * p[order])
    return np.minimum(steps, 1)[np.argsort(order)]


def friedman_test(
    scores: Scores, *, kind: str = "chi-squared", cluster: Cluster = None
) -> TestResult:
    """Test that three or more systems are alike by their ranks within each item (Friedman 1937).

    A block is an item, or with clusters the mean of a cluster. `kind` "chi-squared" takes the χ² of
    K - 1 degrees of freedom (``scipy.stats.friedmanchisquare``, corrected for ties), which for few
    blocks calls too little; "F" takes Iman & Davenport's (N-1)χ²/(N(K-1) - χ²) of K - 1 and
    (K-1)(N-1) degrees for N blocks (1980, Communications in Statistics A 9; Demšar 2006, section
    3.2.2), which for fewer than five blocks calls too much; the result's `df` is the first. On
    scores of 0 and 1 without clusters χ² equals Cochran's Q.

    >>> print(friedman_test([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 0, 0]]))
    Friedman test: statistic 6.500
      p = 0.039 (n = 5)

    It asks less than `compare_all`, whether *any* system differs, and assumes more: that under the
    hypothesis every order of the systems within a block is equally likely. Equal means are not
    enough: where two of three equally accurate systems give nearly the same answers, or scores are
    skewed, it calls too much, and `compare_all` does not. Which systems differ, `average_ranks`
    says.

    Raises ``ValueError`` for fewer than three systems, an unknown kind, and as `compare_all` does.
    """
    require_one_of(kind, "kind", ("chi-squared", "F"))
    table, clusters = _score_table(scores, cluster)
    systems = table.shape[1]
    if systems < 3:
        raise ValueError("the Friedman test needs at least 3 systems; for two use compare")
    blocks = _blocks(table, clusters)
    statistic, p = 0.0, 1.0
    if np.ptp(blocks, axis=1).any():  # else all ranks are tied, and the statistic is 0/0
        statistic, p = stats.friedmanchisquare(*blocks.T)
    name, df = "Friedman test", systems - 1.0
    if kind == "F":
        n, name = len(blocks), "Friedman test, Iman & Davenport's F"
        rest = n * df - statistic
        statistic = (n - 1) * statistic / rest if rest > 1e-9 else np.inf
        p = stats.f.sf(statistic, df, df * (n - 1))
    # All blocks have one order by chance so often.
    p = max(p, float(factorial(systems)) ** (1 - len(blocks)))
    return TestResult(name, float(statistic), float(p), df, len(table), len(blocks))


def average_ranks(
    scores: Scores, *, cluster: Cluster = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the mean rank of every system over the items, 1 for the highest score, best first.

    A block is an item, or with clusters the mean of a cluster; tied systems share their ranks.
    Columns: ``mean`` of the scores, ``mean_rank``, and ``letters``: two systems that have a letter
    in common differ by less than `nemenyi_difference`, so that with the confidence given the data
    do not tell them apart (Demšar 2006, JMLR 7, section 3.2.2; his figures join them by a bar).

    >>> found = average_ranks({"x": [1, 2, 3, 4], "y": [2, 3, 4, 5], "z": [3, 4, 5, 6]})
    >>> found.letters.to_dict()
    {'z': 'a', 'y': 'ab', 'x': 'b'}

    It shares the assumptions of `friedman_test`, and on right and wrong answers, most of which tie,
    finds almost nothing. Raises ``ValueError`` as `compare_all` does.
    """
    table, clusters = _score_table(scores, cluster)
    blocks = _blocks(table, clusters)
    ranks = stats.rankdata(-blocks, axis=1).mean(axis=0)
    gap = nemenyi_difference(table.shape[1], len(blocks), confidence=confidence)
    found = pd.DataFrame({"mean": table.mean(), "mean_rank": ranks}, index=list(table))
    found = found.sort_values("mean_rank", kind="stable").rename_axis("system")
    return found.assign(letters=_letters(found.mean_rank.to_numpy(), gap))


def _letters(ranks: np.ndarray, gap: float) -> list[str]:
    """Return letters for sorted `ranks`: one for every largest run of less than `gap`."""
    ends = [int((ranks < start + gap).sum()) for start in ranks]
    runs = [(k, end) for k, end in enumerate(ends) if k == 0 or end > ends[k - 1]]
    found = ["" for _ in ranks]
    for letter, (start, end) in enumerate(runs):
        for k in range(start, end):
            found[k] += ascii_letters[letter % 52] + str(letter // 52 or "")
    return found


def _blocks(table: pd.DataFrame, clusters: np.ndarray) -> np.ndarray:
    """Return the mean of each cluster and system, equal where they differ by rounding alone."""
    require_two_clusters(clusters)
    sizes = np.bincount(clusters)
    values = table.to_numpy()
    if len(sizes) < len(values):
        values = np.column_stack([np.bincount(clusters, column) for column in values.T])
        values = values / sizes[:, None]
    return even_out(values, np.abs(values).max(axis=1, keepdims=True))


def nemenyi_difference(n_systems: int, n_blocks: int, *, confidence: float = 0.95) -> float:
    """Return the difference of mean ranks from which two of `n_systems` differ (Nemenyi's test).

    It is q·√(K(K+1)/(6N)) for K systems ranked in each of N blocks, with q the quantile of the
    studentised range divided by √2 (Demšar 2006, JMLR 7, section 3.2.2 and Table 5).

    >>> round(nemenyi_difference(4, 14), 2)
    1.25

    It is for ranks with few ties, such as those of systems over data sets. Scores of 0 and 1 tie
    most ranks, and then it finds almost nothing; use `compare_all` there.
    """
    n_systems = require_count(n_systems, "n_systems", 2, 4, most=1_000)
    n_blocks = require_count(n_blocks, "n_blocks", 2, 14, most=1e12)
    q = stats.studentized_range.ppf(require_share(confidence), n_systems, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_systems * (n_systems + 1) / (6 * n_blocks)))


def rank_intervals(
    scores: Scores,
    *,
    resamples: int = 2_000,
    cluster: Cluster = None,
    rng: Rng = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return how far the order of the systems is known: a table indexed by system, best first.

    `rank` is 1 + the number of systems with a higher mean. `low` to `high` is its interval: 1 + the
    number of systems that are significantly better, to K less the number that are significantly
    worse, by the paired tests of `compare_all` with Holm's correction. All K intervals hold
    together with the confidence given (Mogstad, Romano, Shaikh & Wilhelm 2024, Review of Economic
    Studies 91). `prob_first` is the share of bootstrap resamples of whole clusters, drawn for all
    systems together, in which a system has the highest mean; a shared first place counts in parts.

    With true ranks that are tied, an interval is right when it holds every rank that the tie may
    take. Percentiles of bootstrap ranks, the usual alternative, fail just there, and more items do
    not help (Xie, Singh & Zhang 2009, JASA 104). For the same reason read `prob_first` as a
    description and not as a probability that the system is best: of two equal systems, one has
    more than 0.95 in 10% of evaluations.

    Raises ``ValueError`` as `compare_all` does, and for no resamples.
    """
    resamples = require_count(resamples, "resamples", 1, 2000)
    table, clusters = _score_table(scores, cluster)
    pairs = compare_all(table, cluster=clusters, confidence=confidence)
    pairs = pairs[pairs.p_adjusted <= 1 - confidence]
    b_wins = pairs.estimate > 0
    wins = pairs.a.where(~b_wins, pairs.b).value_counts()
    losses = pairs.a.where(b_wins, pairs.b).value_counts()
    means = table.mean()
    even = pd.Series(even_out(means, table.abs().to_numpy().max()), means.index)
    found = pd.DataFrame(
        {
            "mean": means,
            "rank": even.rank(method="min", ascending=False).astype(int),
            "low": 1 + losses.reindex(means.index, fill_value=0),
            "high": len(means) - wins.reindex(means.index, fill_value=0),
            "prob_first": _share_first(table, clusters, generator(rng), resamples),
        }
    )
    return found.sort_values("rank", kind="stable").rename_axis("system")


def _share_first(table, clusters, rng, resamples) -> np.ndarray:
    sums = np.column_stack([np.bincount(clusters, table[name]) for name in table])
    groups = len(sums)
    # All systems have the same items, so that the order of totals is the order of means.
    totals = np.empty((resamples, len(table.columns)))
    for k in range(resamples):  # one at a time: all the draws at once would fill the memory
        drawn = np.bincount(rng.integers(groups, size=groups), minlength=groups)
        totals[k] = drawn.astype(float) @ sums  # of whole numbers the product is slow
    totals = even_out(totals, np.abs(sums).sum(axis=0).max())
    first = totals == totals.max(axis=1, keepdims=True)
    return (first / first.sum(axis=1, keepdims=True)).mean(axis=0)


def _score_table(scores: Any, cluster: Cluster) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the scores as a table of items by systems, and the number of each item's cluster."""
    scores = _one_frame(as_pandas(scores))
    if "system" in scores.columns:
        return _of_records(scores, cluster)
    clusters = cluster_numbers(cluster, len(scores), scores)
    name = cluster if isinstance(cluster, str) else getattr(cluster, "name", None)
    table = scores.drop(columns=name) if name is not None and name in scores else scores
    names = [str(name) for name in table]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"scores have two columns {name!r}: name the systems apart")
        if name in _NO_SYSTEMS or name.startswith("Unnamed: "):
            raise ValueError(
                f"scores have a column {name!r}, which is no system: leave it out, or make it the "
                "index by set_index"
            )
    _require_two(len(names))
    columns = {name: finite(table.iloc[:, k], f"scores of {name}") for k, name in enumerate(names)}
    return pd.DataFrame(columns), clusters


def _one_frame(scores: Any) -> pd.DataFrame:
    """Return records, a list of records, or whatever has a column a system as one table."""
    if isinstance(scores, pd.DataFrame):
        return scores
    if isinstance(scores, Sequence) and scores and isinstance(scores[0], pd.DataFrame):
        return pd.concat(scores, ignore_index=True)
    if isinstance(scores, Mapping):
        columns = {name: as_pandas(as_array(column)) for name, column in scores.items()}
        first = first_indexed(*columns.values())
        for name, column in columns.items():
            if isinstance(column, pd.Series):
                columns[name] = in_order(column, first, f"scores of {name}").to_numpy()
        index = None if first is None else first.index
        scores = {name: np.asarray(column) for name, column in columns.items()}
    else:
        scores, index = as_array(scores), None
    if isinstance(scores, Sequence) and any(isinstance(row, pd.Series) for row in scores):
        raise ValueError("scores are a list of Series: give a dict from names to them")
    try:
        return pd.DataFrame(scores, index)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "scores must be records, a list of them, or a table with a row an item and a column "
            f"a system ({error})"
        ) from error


def _of_records(records: pd.DataFrame, cluster: Cluster) -> tuple[pd.DataFrame, np.ndarray]:
    if cluster is not None:
        records = records.assign(cluster=cluster_numbers(cluster, len(records), records))
    if records.system.isna().any():
        raise ValueError("column 'system' of scores has missing names: fill them in")
    parts = [records[records.system == name] for name in records.system.unique()]
    _require_two(len(parts))
    columns: dict[str, np.ndarray] = {}
    for part in parts[1:]:
        (first, other), x, y, clusters = paired_systems(parts[0], part)
        columns |= {first: x, other: y}
    return pd.DataFrame(columns), clusters


def _require_two(systems: int) -> None:
    if systems < 2:
        raise ValueError(
            f"found {systems} system{'s' * (systems != 1)}: give records of two or more, or a "
            "table with a column each"
        )
