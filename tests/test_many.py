"""Many systems: every pair with its correction, Friedman and Nemenyi, ranks; size by simulation."""

from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q

import lleval_lib as ll

matplotlib.use("Agg")


def _scores(rng, shape, accuracy, shared=0.5):
    """Draw scores of 0 and 1, the last axis the systems; `shared` is the items' difficulty."""
    accuracy = np.asarray(accuracy)
    ease = np.sqrt(shared) * rng.normal(size=(*shape, 1))
    ease = ease + np.sqrt(1 - shared) * rng.normal(size=(*shape, len(accuracy)))
    return (ease < stats.norm.ppf(accuracy)).astype(float)


def _as_records(table, clusters):
    parts = [
        pd.DataFrame(
            {
                "system": name,
                "task": "t",
                "item_id": [f"i{k}" for k in range(len(table))],
                "cluster": clusters,
                "target": "yes",
                "score": table[name],
            }
        )
        for name in table
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def table():
    """Return 80 scores of four systems, a table with a column each."""
    scores = _scores(np.random.default_rng(4), (80,), [0.5, 0.6, 0.65, 0.85])
    return pd.DataFrame(scores, columns=list("wxyz"))


@pytest.fixture
def clusters():
    return [f"film {k // 4}" for k in range(80)]


# Every pair ---------------------------------------------------------------------------------------


def test_every_pair_is_that_of_compare(table, clusters):
    records = _as_records(table, clusters)
    found = ll.compare_all(records.sample(frac=1, random_state=0), confidence=0.9)
    assert {frozenset(pair) for pair in zip(found.a, found.b, strict=True)} == {
        frozenset(pair) for pair in combinations("wxyz", 2)
    }
    assert len(found) == 6
    for row in found.itertuples():
        one, other = (records[records.system == name] for name in (row.a, row.b))
        expected = ll.compare(one, other, confidence=0.9).to_frame().iloc[0]
        for column in ("mean_a", "mean_b", "estimate", "se", "low", "high", "p_value"):
            assert getattr(row, column) == pytest.approx(expected[column], rel=1e-9, abs=1e-12)
        assert (row.n, row.n_clusters) == (80, 20)


def test_a_table_of_scores_is_the_same_as_records(table, clusters):
    records = _as_records(table, clusters)
    expected = ll.compare_all(records)
    pd.testing.assert_frame_equal(ll.compare_all(table, cluster=clusters), expected)
    named = ll.compare_all(table.to_numpy(), cluster=clusters)
    assert list(named.a) == list("000112")
    np.testing.assert_allclose(named.p_adjusted, expected.p_adjusted)
    # cluster= is one label a row of what is given.
    own = ll.compare_all(records, cluster=records.item_id)
    pd.testing.assert_frame_equal(own, ll.compare_all(table))
    assert not np.allclose(own.se, expected.se)


def test_against_a_baseline(table):
    found = ll.compare_all(table, baseline="y")
    assert list(found.a) == ["y"] * 3
    assert list(found.b) == ["w", "x", "z"]
    every = ll.compare_all(table, correction="none")
    p = every[(every.a == "y") | (every.b == "y")].p_value.to_numpy()
    np.testing.assert_allclose(found.p_value, p)
    # Three comparisons need less correction than six.
    assert found.p_adjusted.min() == pytest.approx(3 * p.min())


@pytest.mark.parametrize("correction", ["holm", "fdr_bh", "bonferroni", "none"])
def test_corrections_are_those_of_their_papers(table, correction):
    found = ll.compare_all(table, correction=correction)
    p = np.sort(found.p_value)
    m, rank = len(p), np.arange(1, len(p) + 1)
    expected = {
        "holm": np.maximum.accumulate((m - rank + 1) * p),
        "fdr_bh": np.minimum.accumulate((m / rank * p)[::-1])[::-1],
        "bonferroni": m * p,
        "none": p,
    }[correction]
    np.testing.assert_allclose(np.sort(found.p_adjusted), np.minimum(expected, 1))
    assert (found.sort_values("p_value").p_adjusted.diff().dropna() >= 0).all()


def test_one_pair_needs_no_correction(table):
    found = ll.compare_all(table[["w", "x"]]).iloc[0]
    assert found.p_adjusted == found.p_value == ll.compare(table.w, table.x).p_value


def _pairs(draws):
    """Return estimates and p-values of `compare` on all pairs, for draws by items by systems."""
    estimates, p_values = [], []
    for a, b in combinations(range(draws.shape[2]), 2):
        gap = draws[:, :, b] - draws[:, :, a]
        se = gap.std(axis=1, ddof=1) / np.sqrt(gap.shape[1])
        estimates.append(gap.mean(axis=1))
        t = abs(estimates[-1]) / np.where(se > 0, se, 1)
        p_values.append(2 * stats.t.sf(t, gap.shape[1] - 1))
    return np.stack(estimates, axis=1), np.stack(p_values, axis=1)


def _adjusted(p, correction):
    order = np.argsort(p, axis=1)
    m = p.shape[1]
    ordered = np.take_along_axis(p, order, axis=1)
    if correction == "holm":
        ordered = np.maximum.accumulate(ordered * (m - np.arange(m)), axis=1)
    else:
        ordered = ordered * m / np.arange(1, m + 1)
        ordered = np.minimum.accumulate(ordered[:, ::-1], axis=1)[:, ::-1]
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(ordered, 1), axis=1)
    return adjusted


def _error(p, draws):
    """Return four Monte-Carlo standard errors of a share `p` among `draws`."""
    return 4 * np.sqrt(p * (1 - p) / draws)


def test_holm_bounds_the_probability_of_any_false_difference():
    draws = _scores(np.random.default_rng(0), (2_000, 200), [0.7] * 5)
    estimate, p = _pairs(draws)
    adjusted = _adjusted(p, "holm")
    for k in range(3):  # the simulation computes what the library does
        found = ll.compare_all(draws[k])
        np.testing.assert_allclose(found.estimate, estimate[k], atol=1e-12)
        np.testing.assert_allclose(found.p_adjusted, adjusted[k])
    assert (adjusted <= 0.05).any(axis=1).mean() < 0.05 + _error(0.05, 2_000)
    assert (p <= 0.05).any(axis=1).mean() == pytest.approx(0.29, abs=_error(0.29, 2_000))


def test_fdr_bounds_the_share_of_false_differences():
    """Four equal systems and one better: of ten hypotheses six are true."""
    draws = _scores(np.random.default_rng(1), (2_000, 200), [0.6, 0.6, 0.6, 0.6, 0.75])
    _, p = _pairs(draws)
    found = ll.compare_all(draws[0], correction="fdr_bh")
    np.testing.assert_allclose(found.p_adjusted, _adjusted(p, "fdr_bh")[0])
    called = _adjusted(p, "fdr_bh") <= 0.05
    true = np.array([b < 4 for _, b in combinations(range(5), 2)])
    share = called[:, true].sum(axis=1) / np.maximum(called.sum(axis=1), 1)
    assert share.mean() < 0.05 + 4 * share.std() / np.sqrt(2_000)
    # It bounds a share, not the probability of any: Holm's bound does not hold for it.
    assert called[:, true].any(axis=1).mean() > 0.05 + _error(0.05, 2_000)
    assert called[:, ~true].mean() > (_adjusted(p, "holm") <= 0.05)[:, ~true].mean() + 0.02


# Friedman and Nemenyi -----------------------------------------------------------------------------


def test_friedman_on_right_and_wrong_is_cochrans_q(table):
    found = ll.friedman_test(table)
    expected = cochrans_q(table.to_numpy())
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.n, found.n_clusters) == (80, 80)
    assert str(found).startswith("Friedman test: statistic ")


def test_friedman_with_clusters_ranks_their_means(table, clusters):
    found = ll.friedman_test(_as_records(table, clusters))
    means = table.groupby(np.arange(80) // 4).mean()
    expected = stats.friedmanchisquare(*(means[name] for name in means))
    assert found.statistic == pytest.approx(expected.statistic)
    assert (found.n, found.n_clusters) == (80, 20)


def test_friedman_by_its_formula():
    """Without ties: 12/(N·K(K+1))·Σ R² - 3N(K+1), as Demšar (2006, section 3.2.2) has it."""
    scores = np.random.default_rng(2).normal(size=(30, 4))
    ranks = scores.argsort(axis=1).argsort(axis=1) + 1
    statistic = 12 / (30 * 4 * 5) * (ranks.sum(axis=0) ** 2).sum() - 3 * 30 * 5
    found = ll.friedman_test(scores)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, 3))


def test_friedman_of_systems_that_always_agree():
    found = ll.friedman_test(np.tile([[1.0], [0.0], [1.0]], 3))
    assert (found.statistic, found.p_value) == (0.0, 1.0)


def _friedman(draws):
    """Return the tie-corrected statistic and the mean ranks, for draws by items by systems."""
    n, k = draws.shape[1:]
    ranks = stats.rankdata(draws, axis=2)
    spread = ((ranks.sum(axis=1) - n * (k + 1) / 2) ** 2).sum(axis=1)
    ties = (ranks**2).sum(axis=(1, 2)) - n * k * (k + 1) ** 2 / 4
    for j in range(3):
        assert (k - 1) * spread[j] / ties[j] == pytest.approx(ll.friedman_test(draws[j]).statistic)
    return (k - 1) * spread / ties, ranks.mean(axis=1)


def test_size_of_friedmans_test():
    """At 5%: right for exchangeable systems, too large where only their means are equal."""
    rng = np.random.default_rng(3)
    statistic, _ = _friedman(_scores(rng, (2_000, 200), [0.7] * 3))
    called = (statistic > stats.chi2.isf(0.05, 2)).mean()
    assert called == pytest.approx(0.05, abs=_error(0.05, 2_000))
    skewed = rng.normal(size=(2_000, 300, 3))
    skewed[:, :, 2] = 1 - rng.exponential(size=(2_000, 300))
    statistic, _ = _friedman(skewed)
    called = (statistic > stats.chi2.isf(0.05, 2)).mean()
    assert called == pytest.approx(0.28, abs=_error(0.28, 2_000))
    twins = np.sqrt(0.98) * rng.normal(size=(2_000, 300, 1))
    twins = twins + np.sqrt(0.02) * rng.normal(size=(2_000, 300, 5))
    twins[:, :, 4] = rng.normal(size=(2_000, 300))
    twins = (twins < stats.norm.ppf(0.7)).astype(float)
    statistic, _ = _friedman(twins)
    called = (statistic > stats.chi2.isf(0.05, 4)).mean()
    assert called == pytest.approx(0.10, abs=_error(0.10, 2_000))
    holm = _adjusted(_pairs(twins)[1], "holm")
    assert (holm <= 0.05).any(axis=1).mean() < 0.05 + _error(0.05, 2_000)


def test_nemenyi_is_demsars_table():
    """Published: Demšar (2006), Table 5a at 5% and 10%, and his CD of 1.25 (q of 2.569)."""
    blocks = 1_000
    for alpha, published in (
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ):
        for k, q in enumerate(published, start=2):
            scale = np.sqrt(k * (k + 1) / (6 * blocks))
            found = ll.nemenyi_difference(k, blocks, alpha)
            assert found / scale == pytest.approx(q, abs=1.1e-3)
    assert ll.nemenyi_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


def test_nemenyi_holds_its_size_without_ties_and_is_blind_with_them():
    rng = np.random.default_rng(4)
    without = rng.normal(size=(2_000, 100, 5)) + rng.normal(size=(2_000, 100, 1))
    _, ranks = _friedman(without)
    called = (np.ptp(ranks, axis=1) > ll.nemenyi_difference(5, 100)).mean()
    assert called == pytest.approx(0.05, abs=_error(0.05, 2_000))
    draws = _scores(rng, (1_000, 500), [0.7, 0.7, 0.7, 0.7, 0.76], shared=0.7)
    _, ranks = _friedman(draws)
    gap = ranks[:, 4:] - ranks[:, :4]
    assert (gap > ll.nemenyi_difference(5, 500)).mean() < 0.02
    holm = _adjusted(_pairs(draws)[1], "holm")
    best = [b == 4 for _, b in combinations(range(5), 2)]
    assert (holm[:, best] <= 0.05).mean() == pytest.approx(0.58, abs=0.06)


# Ranks --------------------------------------------------------------------------------------------


def test_rank_intervals_count_the_decisions(table, clusters):
    records = _as_records(table, clusters)
    found = ll.rank_intervals(records, np.random.default_rng(0), resamples=500)
    pairs = ll.compare_all(records)
    for name, row in found.iterrows():
        better = worse = 0
        for pair in pairs[(pairs.a == name) | (pairs.b == name)].itertuples():
            if pair.p_adjusted <= 0.05:
                won = (pair.estimate > 0) == (pair.b == name)
                better, worse = better + (not won), worse + won
        assert (row.low, row.high) == (1 + better, 4 - worse)
        assert row["mean"] == pytest.approx(table[name].mean())
        assert row["rank"] == 1 + sum(table[other].mean() > table[name].mean() for other in "wxyz")
    assert found.index.name == "system"
    assert found["rank"].is_monotonic_increasing
    assert found.loc["z", ["low", "high"]].to_list() == [1, 1]
    assert found.prob_first.sum() == pytest.approx(1)


def test_no_difference_leaves_every_rank_open():
    scores = np.tile(np.random.default_rng(0).normal(size=(30, 1)), 3)
    found = ll.rank_intervals(scores, np.random.default_rng(0), resamples=50)
    assert found["rank"].to_list() == [1, 1, 1]
    assert found.low.to_list() == [1, 1, 1]
    assert found.high.to_list() == [3, 3, 3]
    # A shared first place counts in parts, also where rounding could tell the columns apart.
    np.testing.assert_allclose(found.prob_first, 1 / 3)


def test_rounding_does_not_break_a_tie():
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    labels, scores = np.repeat(np.arange(10), 3), np.tile([0.1, 0.2, 0.3], 10)
    both = np.column_stack([scores, scores[::-1]])
    found = ll.rank_intervals(both, np.random.default_rng(0), labels, resamples=50)
    np.testing.assert_allclose(found.prob_first, 0.5)


def test_share_of_first_places_is_that_of_a_loop():
    rng = np.random.default_rng(5)
    # The first system is good at the few large clusters, the second at the many small ones.
    labels = np.repeat(np.arange(12), [*range(1, 9), 20, 20, 20, 20])
    scores = _scores(rng, (len(labels),), [0.6, 0.05, 0.4])
    scores[:, 0] = np.where(labels >= 8, scores[:, 0], 0)
    scores[:, 1] = np.where(labels >= 8, scores[:, 1], 1)
    found = ll.rank_intervals(scores, np.random.default_rng(1), labels, resamples=4_000)
    wins = np.zeros(3)
    members = [np.flatnonzero(labels == label) for label in range(12)]
    for _ in range(4_000):
        chosen = np.concatenate([members[k] for k in rng.integers(0, 12, size=12)])
        means = scores[chosen].mean(axis=0)
        first = np.isclose(means, means.max())
        wins += first / first.sum()
    np.testing.assert_allclose(
        found.prob_first[["0", "1", "2"]], wins / 4_000, atol=_error(0.5, 2_000)
    )
    assert found.prob_first.between(0.1, 0.8).all()
    again = ll.rank_intervals(scores, np.random.default_rng(1), labels, resamples=4_000)
    pd.testing.assert_frame_equal(found, again)


def _bounds(estimate, adjusted, k):
    low, high = np.ones((len(estimate), k)), np.full((len(estimate), k), k)
    for j, (a, b) in enumerate(combinations(range(k), 2)):
        for winner, loser, won in ((b, a, estimate[:, j] > 0), (a, b, estimate[:, j] < 0)):
            called = won & (adjusted[:, j] <= 0.05)
            low[:, loser] += called
            high[:, winner] -= called
    return low, high


@pytest.mark.parametrize(
    "accuracy",
    [
        [0.7, 0.7, 0.7, 0.7, 0.7],
        [0.75, 0.75, 0.65, 0.6, 0.55],
        [0.7, 0.7, 0.7, 0.6, 0.6],
        [0.700, 0.701, 0.702, 0.703, 0.704],
        [0.5, 0.58, 0.66, 0.74, 0.82],
    ],
)
def test_rank_intervals_hold_together_with_ties(accuracy):
    """All ranks that ties may take lie in all intervals at once, in 95% of evaluations or more."""
    draws = _scores(np.random.default_rng(6), (1_000, 200), accuracy)
    estimate, p = _pairs(draws)
    low, high = _bounds(estimate, _adjusted(p, "holm"), 5)
    rng = np.random.default_rng(0)
    for k in range(2):
        found = ll.rank_intervals(draws[k], rng, resamples=1).sort_index()
        assert found.low.to_list() == low[k].tolist()
        assert found.high.to_list() == high[k].tolist()
    truth = np.asarray(accuracy)
    first = 1 + (truth > truth[:, None]).sum(axis=1)
    last = 5 - (truth < truth[:, None]).sum(axis=1)
    held = ((low <= first) & (last <= high)).all(axis=1).mean()
    assert held > 0.95 - _error(0.95, 1_000)


def test_bootstrap_ranks_fail_at_ties():
    """What the docstring warns of: percentiles of bootstrap ranks, and what prob_first is not."""
    rng = np.random.default_rng(7)
    # The same resamples serve every draw, for speed.
    counts = rng.multinomial(200, np.full(200, 1 / 200), size=500).astype(float)
    totals = counts @ _scores(rng, (400, 200), [0.7] * 5)
    best = 1 + (totals[..., None, :] > totals[..., None]).sum(axis=-1)
    worst = (totals[..., None, :] >= totals[..., None]).sum(axis=-1)
    low, high = np.sort(best, axis=1)[:, 12], np.sort(worst, axis=1)[:, 487]
    held = ((low == 1) & (high == 5)).all(axis=1)
    assert held.mean() == pytest.approx(0.29, abs=_error(0.29, 400))
    # Of two equal systems, the share of first places is uniform, not near one half.
    draws = _scores(rng, (1_000, 200), [0.7] * 2)
    totals = counts @ draws
    first = totals == totals.max(axis=2, keepdims=True)
    shares = (first / first.sum(axis=2, keepdims=True)).mean(axis=1)
    for k in range(3):
        found = ll.rank_intervals(draws[k], rng).sort_index()
        np.testing.assert_allclose(found.prob_first, shares[k], atol=_error(0.5, 400))
    assert (shares.max(axis=1) > 0.95).mean() == pytest.approx(0.10, abs=_error(0.10, 1_000))


def test_recorded_systems():
    """An interval of one comparison may exclude 0 where the corrected test does not decide."""
    records = ll.load_records("reviews")
    ranks = ll.rank_intervals(records, np.random.default_rng(0), resamples=200)
    assert ranks.index[0] == "minilm fine-tuned"
    assert ranks.loc["minilm fine-tuned", ["low", "high"]].to_list() == [1, 1]
    assert (ranks.low <= ranks["rank"]).all()
    assert (ranks["rank"] <= ranks.high).all()
    pairs = ll.compare_all(records)
    lax = (pairs.p_value < 0.05) & (pairs.p_adjusted > 0.05)
    assert lax.sum() >= 1
    assert ((pairs.low > 0) | (pairs.high < 0))[lax].all()


# The figure ---------------------------------------------------------------------------------------


def test_heatmap_shows_each_decision_twice(table):
    pairs = ll.compare_all(table)
    ax = ll.decision_heatmap(pairs)
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == table.mean().sort_values(ascending=False).index.to_list()
    assert names == [tick.get_text() for tick in ax.get_xticklabels()]
    cells = {
        (round(patch.get_y() + 0.5), round(patch.get_x() + 0.5)): matplotlib.colors.to_hex(
            patch.get_facecolor()
        )
        for patch in ax.patches
    }
    texts = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in ax.texts}
    assert len(cells) == len(texts) == 12
    for pair in pairs.itertuples():
        a, b = names.index(pair.a), names.index(pair.b)
        assert texts[b, a] == f"{pair.estimate:+.2f}"
        assert texts[a, b] == f"{-pair.estimate:+.2f}"
        if pair.p_adjusted > 0.05:
            assert cells[a, b] == cells[b, a] not in (ll.BLUE.lower(), ll.ORANGE.lower())
        else:
            worse, better = (a, b) if pair.estimate > 0 else (b, a)
            assert cells[better, worse] == ll.BLUE.lower()
            assert cells[worse, better] == ll.ORANGE.lower()
    assert len(ll.decision_heatmap(ll.compare_all(table, baseline="w")).patches) == 6
    matplotlib.pyplot.close("all")


# Errors -------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
TWO = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda t: ll.compare_all(t, correction="hochberg"),
            ValueError,
            "must be one of holm, fdr",
        ),
        (lambda t: ll.compare_all(t, baseline="q"), LookupError, "called 'q'; there are: w, x, y"),
        (lambda t: ll.compare_all(t[["w"]]), ValueError, "found 1 system: give records of two"),
        (lambda t: ll.compare_all([1.0, 0.0]), ValueError, "found 1 system"),
        (lambda t: ll.compare_all(t, confidence=95), ValueError, "confidence must lie between"),
        (lambda t: ll.compare_all(t, cluster=["c"] * 80), ValueError, "all 80 items lie in one"),
        (lambda t: ll.compare_all(t, cluster=["c"]), ValueError, r"cluster= has shape \(1,\)"),
        (
            lambda t: ll.compare_all(t.drop(index=3).reindex(t.index)),
            ValueError,
            "scores of w: 1 of 80 values are missing",
        ),
        (
            lambda t: ll.compare_all(_as_records(t, "c").drop(index=5)),
            ValueError,
            "'item_id': 1 items of x are not in w, such as 'i5'",
        ),
        (
            lambda t: ll.compare_all(_as_records(t, "c")[lambda r: r.system == "w"]),
            ValueError,
            "found 1 system",
        ),
        (
            lambda t: ll.rank_intervals(
                pd.concat([_as_records(t, "c"), _as_records(t, "c").assign(task="u")]), RNG
            ),
            ValueError,
            "of one task, found 2",
        ),
        (lambda t: ll.rank_intervals(t, RNG, resamples=0), ValueError, "resamples must be at lea"),
        (lambda t: ll.friedman_test(t[["w", "x"]]), ValueError, "needs at least 3 systems"),
        (lambda t: ll.nemenyi_difference(1, 10), ValueError, "must be at least 2, not 1 and 10"),
        (lambda t: ll.nemenyi_difference(3, 10, 5), ValueError, "alpha must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_compared(table, call, error, message):
    with pytest.raises(error, match=message):
        call(table)
