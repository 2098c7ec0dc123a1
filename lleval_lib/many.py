"""Many systems at once: every pair compared, one test of them all, and how sure their ranks are.

A leaderboard of K systems makes K(K-1)/2 comparisons. At 5% each, ten equal systems give a false
difference somewhere in most evaluations. Holm's step-down procedure (1979, Scandinavian Journal of
Statistics 6) keeps the probability of even one false difference at 5%, whatever the dependence
between the comparisons.

Every function takes the records of several systems on one task, or a table of scores with one row
an item and one column a system. `cluster` is one label a row of what is given, or the name of a
column of it, by default the records' own, or for a bare table every item its own cluster.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from .inputs import (
    Cluster,
    Rng,
    Scores,
    cluster_numbers,
    finite,
    paired_systems,
    require_share,
    require_two_clusters,
)
from .pairs import compare
from .results import TestResult
from .results import table as table_of

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
    the mean of b - a, and `p_adjusted`. `correction` is a name of statsmodels' ``multipletests``:
    "holm" (Holm 1979) and "bonferroni" bound the probability of any false difference, "fdr_bh"
    (Benjamini & Hochberg 1995) the expected share of false ones among those called, "none"
    neither. The intervals are those of single comparisons, so an interval may exclude 0 where
    `p_adjusted` is above 0.05. For intervals that hold together in m comparisons with 95%
    confidence give ``confidence=1 - 0.05 / m`` (Bonferroni).

    >>> table = {"x": [1, 0, 0, 0, 1, 0], "y": [1, 1, 1, 1, 1, 0], "z": [1, 1, 1, 0, 1, 1]}
    >>> compare_all(pd.DataFrame(table))[["a", "b", "estimate", "p_value", "p_adjusted"]].round(3)
       a  b  estimate  p_value  p_adjusted
    0  x  y       0.5    0.076       0.227
    1  x  z       0.5    0.076       0.227
    2  y  z       0.0    1.000       1.000

    No correction mends tests that have lost their size, such as those with few unequal clusters.

    Raises ``ValueError`` for fewer than two systems, an unknown correction, and as `compare` does;
    ``LookupError`` for an unknown baseline.
    """
    table, clusters = _score_table(scores, cluster)
    names = list(table)
    if baseline is None:
        pairs = list(combinations(names, 2))
    elif baseline in names:
        pairs = [(baseline, name) for name in names if name != baseline]
    else:
        raise LookupError(f"no system is called {baseline!r}; there are: {', '.join(names)}")
    found = table_of(
        [
            replace(compare(table[a], table[b], cluster=clusters, confidence=confidence), a=a, b=b)
            for a, b in pairs
        ]
    )
    return found.assign(p_adjusted=adjust(found.p_value, correction))


def adjust(p_values, correction: str) -> np.ndarray:
    """Return p-values corrected for their number by a method of `compare_all`."""
    if correction not in CORRECTIONS:
        raise ValueError(f"correction must be one of {', '.join(CORRECTIONS)}, not {correction!r}")
    p = np.asarray(p_values, dtype=float)
    return p if correction == "none" else multipletests(p, method=correction)[1]


def friedman_test(scores: Scores, *, cluster: Cluster = None) -> TestResult:
    """Test that three or more systems are alike by their ranks within each item (Friedman 1937).

    A block is an item, or with clusters the mean of a cluster; the p-value is that of chi² with
    K - 1 degrees of freedom (``scipy.stats.friedmanchisquare``, corrected for ties). On scores of
    0 and 1 without clusters it equals Cochran's Q.

    >>> print(friedman_test([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 0, 0]]))
    Friedman test: statistic 6.500, p = 0.039 (n = 5)

    It asks less than `compare_all`, whether *any* system differs, and assumes more: that under the
    hypothesis every order of the systems within a block is equally likely. Equal means are not
    enough: where two of three equally accurate systems give nearly the same answers, or scores are
    skewed, it calls too much, and `compare_all` does not.

    Raises ``ValueError`` for fewer than three systems, and as `compare_all` does.
    """
    table, clusters = _score_table(scores, cluster)
    if table.shape[1] < 3:
        raise ValueError("the Friedman test needs at least 3 systems; for two use compare")
    require_two_clusters(clusters)
    blocks = table.groupby(clusters).mean().to_numpy()
    # Ranks do not change by the unit; rounding error must not part those that tie.
    blocks = np.round(blocks / (abs(blocks).max() or 1), 12)
    statistic, p = 0.0, 1.0
    if np.ptp(blocks, axis=1).any():  # else all ranks are tied, and the statistic is 0/0
        statistic, p = stats.friedmanchisquare(*blocks.T)
    df = table.shape[1] - 1.0
    return TestResult("Friedman test", float(statistic), float(p), df, len(table), len(blocks))


def nemenyi_difference(n_systems: int, n_blocks: int, *, confidence: float = 0.95) -> float:
    """Return the difference of mean ranks from which two of `n_systems` differ (Nemenyi's test).

    It is q·√(K(K+1)/(6N)) for K systems ranked in each of N blocks, with q the quantile of the
    studentised range divided by √2 (Demšar 2006, JMLR 7, section 3.2.2 and Table 5).

    >>> round(nemenyi_difference(4, 14), 2)
    1.25

    It is for ranks with few ties, such as those of systems over data sets. Scores of 0 and 1 tie
    most ranks, and then it finds almost nothing; use `compare_all` there.
    """
    if n_systems < 2 or n_blocks < 2:
        raise ValueError(
            f"n_systems and n_blocks must be at least 2, not {n_systems} and {n_blocks}"
        )
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
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, such as 2000, not {resamples}")
    table, clusters = _score_table(scores, cluster)
    pairs = compare_all(table, cluster=clusters, confidence=confidence)
    pairs = pairs[pairs.p_adjusted <= 1 - confidence]
    b_wins = pairs.estimate > 0
    wins = pairs.a.where(~b_wins, pairs.b).value_counts()
    losses = pairs.a.where(b_wins, pairs.b).value_counts()
    means = table.mean()
    found = pd.DataFrame(
        {
            "mean": means,
            "rank": means.rank(method="min", ascending=False).astype(int),
            "low": 1 + losses.reindex(means.index, fill_value=0),
            "high": len(means) - wins.reindex(means.index, fill_value=0),
            "prob_first": _share_first(table, clusters, np.random.default_rng(rng), resamples),
        }
    )
    return found.sort_values("rank", kind="stable").rename_axis("system")


def _share_first(table, clusters, rng, resamples) -> np.ndarray:
    sums = table.groupby(clusters).sum().to_numpy()
    groups = len(sums)
    draws = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    # All systems have the same items, so that the order of totals is the order of means.
    totals = draws @ sums
    first = np.isclose(totals, totals.max(axis=1, keepdims=True), rtol=1e-12, atol=0)
    return (first / first.sum(axis=1, keepdims=True)).mean(axis=0)


def _score_table(scores: Scores, cluster: Cluster) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the scores as a table of items by systems, and the number of each item's cluster."""
    if isinstance(scores, pd.DataFrame) and "system" in scores.columns:
        if cluster is not None:
            scores = scores.assign(cluster=cluster_numbers(cluster, len(scores), scores))
        parts = [scores[scores.system == name] for name in scores.system.unique()]
        _require_two(len(parts))
        columns: dict[str, np.ndarray] = {}
        for part in parts[1:]:
            (first, other), x, y, clusters = paired_systems(parts[0], part)
            columns |= {first: x, other: y}
        return pd.DataFrame(columns), clusters
    table = pd.DataFrame(scores)
    clusters = cluster_numbers(cluster, len(table), table)
    table = table.drop(columns=cluster) if isinstance(cluster, str) else table
    _require_two(table.shape[1])
    columns = {str(name): finite(table[name], f"scores of {name}") for name in table}
    return pd.DataFrame(columns), clusters


def _require_two(systems: int) -> None:
    if systems < 2:
        raise ValueError(
            f"found {systems} system: give records of two or more, or a table with a column each"
        )
