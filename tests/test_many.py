"""Many systems: every pair with its correction, Friedman and Nemenyi, ranks; size by simulation."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from builders import four_errors, near, records_of
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.multitest import multipletests

import lleval_lib as ll
from lleval_lib.clusters import covariance_of_means, effective_df


def _scores(rng, n, accuracy, shared=0.5):
    """Draw scores of 0 and 1 of several systems; `shared` is the difficulty of the items."""
    ease = np.sqrt(shared) * rng.normal(size=(n, 1))
    ease = ease + np.sqrt(1 - shared) * rng.normal(size=(n, len(accuracy)))
    return (ease < stats.norm.ppf(accuracy)).astype(float)


@pytest.fixture
def table():
    """Return 80 scores of four systems, a table with a column each."""
    scores = _scores(np.random.default_rng(4), 80, [0.5, 0.6, 0.65, 0.85])
    return pd.DataFrame(scores, columns=list("wxyz"))


CLUSTERS = [f"film {k // 4}" for k in range(80)]

# Every pair ---------------------------------------------------------------------------------------


def test_every_pair_is_that_of_compare(table):
    records = records_of(table, CLUSTERS)
    found = ll.compare_all(records.sample(frac=1, random_state=0), confidence=0.9)
    pairs = {frozenset(pair) for pair in zip(found.a, found.b, strict=True)}
    assert pairs == {frozenset(pair) for pair in combinations("wxyz", 2)}
    assert len(found) == 6
    by_name = dict(list(records.groupby("system")))
    expected = [
        ll.compare(by_name[row.a], by_name[row.b], confidence=0.9) for row in found.itertuples()
    ]
    pd.testing.assert_frame_equal(
        found.drop(columns="p_adjusted"), ll.table(expected), rtol=1e-9, atol=1e-12
    )


def test_a_plain_array_numbers_its_systems(table):
    found = ll.compare_all(table.to_numpy(), cluster=CLUSTERS)
    assert list(found.a) == list("000112")
    expected = ll.compare_all(table, cluster=CLUSTERS)
    np.testing.assert_allclose(found.p_adjusted, expected.p_adjusted)


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
def test_corrections_are_those_of_statsmodels(table, correction):
    p = [0.022, 0.5, 0.01, 0.02, 0.5, 1e-9, 0.3]
    theirs = p if correction == "none" else multipletests(p, method=correction)[1]
    np.testing.assert_allclose(ll.adjust_p_values(p, correction), theirs, rtol=1e-12)
    found = ll.compare_all(table, correction=correction)
    np.testing.assert_allclose(found.p_adjusted, ll.adjust_p_values(found.p_value, correction))


def test_one_pair_needs_no_correction(table):
    found = ll.compare_all(table[["w", "x"]]).iloc[0]
    assert found.p_adjusted == found.p_value == ll.compare(table.w, table.x).p_value


@pytest.mark.slow
def test_holm_bounds_the_probability_of_any_false_difference():
    """Five equal systems: at 5%, .04 with Holm's correction and .29 without."""
    rng, draws = np.random.default_rng(0), 250
    called = []
    for _ in range(draws):
        found = ll.compare_all(_scores(rng, 200, [0.7] * 5))
        called.append([(found.p_adjusted <= 0.05).any(), (found.p_value <= 0.05).any()])
    holm, none = np.mean(called, axis=0)
    assert holm < 0.05 + four_errors(0.05, draws)
    assert none == near(0.29, draws)


@pytest.mark.slow
def test_fdr_bounds_the_share_of_false_differences():
    """Three equal systems, and two equally better ones: of ten hypotheses four are true."""
    rng, draws, accuracy = np.random.default_rng(1), 500, [0.6, 0.6, 0.6, 0.75, 0.75]
    calls = []
    for _ in range(draws):
        found = ll.compare_all(_scores(rng, 200, accuracy), correction="fdr_bh")
        calls.append([found.p_adjusted <= 0.05, ll.adjust_p_values(found.p_value, "holm") <= 0.05])
    fdr, holm = np.moveaxis(calls, 1, 0)
    true = (found.a.isin(["3", "4"]) == found.b.isin(["3", "4"])).to_numpy()
    share = fdr[:, true].sum(axis=1) / np.maximum(fdr.sum(axis=1), 1)
    assert share.mean() < 0.05 + 4 * share.std() / np.sqrt(draws)
    # It bounds a share, not the probability of any: Holm's bound does not hold for it.
    assert fdr[:, true].any(axis=1).mean() > 0.05 + four_errors(0.05, draws)
    assert fdr[:, ~true].mean() > holm[:, ~true].mean() + 0.02


# Friedman and Nemenyi -----------------------------------------------------------------------------


def test_friedman_on_right_and_wrong_is_cochrans_q(table):
    found, expected = ll.friedman_test(table), cochrans_q(table.to_numpy())
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.df, found.n, found.n_clusters) == (3, 80, 80)
    clustered = ll.friedman_test(table, cluster=CLUSTERS)
    means = ll.friedman_test(table.groupby(CLUSTERS).mean())
    assert clustered.statistic == pytest.approx(means.statistic) != found.statistic
    assert (clustered.n, clustered.n_clusters) == (80, 20)


def test_friedman_by_its_formula():
    """Without ties: 12/(N·K(K+1))·Σ R² - 3N(K+1), as Demšar (2006, section 3.2.2) has it."""
    scores = np.random.default_rng(2).normal(size=(30, 4))
    ranks = scores.argsort(axis=1).argsort(axis=1) + 1
    statistic = 12 / (30 * 4 * 5) * (ranks.sum(axis=0) ** 2).sum() - 3 * 30 * 5
    found = ll.friedman_test(scores)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, 3))


def test_friedman_of_systems_that_always_agree():
    """Also but for rounding: the same three scores in another order have one mean."""
    found = ll.friedman_test(np.tile([[1.0], [0.0], [1.0]], 3))
    assert (found.statistic, found.p_value) == (0, 1)
    orders = np.tile(np.transpose([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2] * 3]), (10, 1))
    assert ll.friedman_test(orders, cluster=np.repeat(np.arange(10), 3)).p_value == 1


def _skewed(rng):
    return np.column_stack([rng.normal(size=(300, 2)), 1 - rng.exponential(size=300)])


def _twins(rng):
    """Draw five equally accurate systems, of which four give nearly the same answers."""
    ease = np.sqrt(0.98) * rng.normal(size=(300, 1)) + np.sqrt(0.02) * rng.normal(size=(300, 5))
    ease[:, 4] = rng.normal(size=300)
    return (ease < stats.norm.ppf(0.7)).astype(float)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "size"),
    [(lambda rng: _scores(rng, 200, [0.7] * 3), 0.05), (_skewed, 0.28), (_twins, 0.10)],
    ids=["exchangeable", "one of three skewed", "four of five alike"],
)
def test_size_of_friedmans_test(draw, size):
    """At 5%: right for exchangeable systems, too large where only their means are equal."""
    rng, draws = np.random.default_rng(3), 300
    tables = [draw(rng) for _ in range(draws)]
    called = [ll.friedman_test(scores).p_value <= 0.05 for scores in tables]
    assert np.mean(called) == near(size, draws)
    if size > 0.05:  # where compare_all keeps what it says
        holm = [(ll.compare_all(t).p_adjusted <= 0.05).any() for t in tables[:100]]
        assert np.mean(holm) < 0.05 + four_errors(0.05, 100)


def test_nemenyi_is_demsars_table():
    """Published: Demšar (2006), Table 5a at 5% and 10%, and his CD of 1.25 (q of 2.569)."""
    for confidence, published in (
        (0.95, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.90, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ):
        k = np.arange(2, 11)
        found = [ll.nemenyi_difference(int(n), 1_000, confidence=confidence) for n in k]
        np.testing.assert_allclose(found / np.sqrt(k * (k + 1) / 6_000), published, atol=1.1e-3)
    assert ll.nemenyi_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


@pytest.mark.slow
def test_nemenyi_holds_its_size_without_ties_and_is_blind_with_them():
    rng = np.random.default_rng(4)
    without = rng.normal(size=(2_000, 100, 5)) + rng.normal(size=(2_000, 100, 1))
    ranks = stats.rankdata(without, axis=2).mean(axis=1)
    called = (np.ptp(ranks, axis=1) > ll.nemenyi_difference(5, 100)).mean()
    assert called == near(0.05, 2_000)
    nemenyi, holm = [], []
    for _ in range(120):
        scores = _scores(rng, 500, [0.7, 0.7, 0.7, 0.7, 0.76], shared=0.7)
        ranks = stats.rankdata(scores, axis=1).mean(axis=0)
        nemenyi.append(ranks[4] - ranks[:4] > ll.nemenyi_difference(5, 500))
        found = ll.compare_all(scores)
        holm.append(found.p_adjusted[found.b == "4"] <= 0.05)
    assert np.mean(nemenyi) < 0.02
    assert np.mean(holm) == near(0.58, 120)


# Ranks --------------------------------------------------------------------------------------------


def test_rank_intervals_count_the_decisions(table):
    records = records_of(table, CLUSTERS)
    found = ll.rank_intervals(records, rng=0, resamples=500)
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
    found = ll.rank_intervals(scores, rng=0, resamples=50)
    assert found["rank"].to_list() == found.low.to_list() == [1, 1, 1]
    assert found.high.to_list() == [3, 3, 3]
    # A shared first place counts in parts, also where rounding could tell the columns apart.
    np.testing.assert_allclose(found.prob_first, 1 / 3)


def test_rounding_does_not_break_a_tie():
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    labels, scores = np.repeat(np.arange(10), 3), np.tile([0.1, 0.2, 0.3], 10)
    both = np.column_stack([scores, scores[::-1]])
    found = ll.rank_intervals(both, resamples=50, cluster=labels, rng=0)
    np.testing.assert_allclose(found.prob_first, 0.5)


def test_share_of_first_places_is_that_of_a_loop():
    rng = np.random.default_rng(5)
    # The first system is good at the few large clusters, the second at the many small ones.
    labels = np.repeat(np.arange(12), [*range(1, 9), 20, 20, 20, 20])
    scores = _scores(rng, len(labels), [0.6, 0.05, 0.4])
    scores[:, 0] = np.where(labels >= 8, scores[:, 0], 0)
    scores[:, 1] = np.where(labels >= 8, scores[:, 1], 1)
    found = ll.rank_intervals(scores, resamples=4_000, cluster=labels, rng=1)
    wins = np.zeros(3)
    members = [np.flatnonzero(labels == label) for label in range(12)]
    for _ in range(4_000):
        chosen = np.concatenate([members[k] for k in rng.integers(0, 12, size=12)])
        means = scores[chosen].mean(axis=0)
        first = np.isclose(means, means.max())
        wins += first / first.sum()
    share = found.prob_first[list("012")]
    np.testing.assert_allclose(share, wins / 4_000, atol=four_errors(0.5, 2_000))
    assert found.prob_first.between(0.1, 0.8).all()


@pytest.mark.slow
@pytest.mark.parametrize("accuracy", [[0.75, 0.75, 0.65, 0.6, 0.55], [0.7, 0.7, 0.7, 0.6, 0.6]])
def test_rank_intervals_hold_together_with_ties(accuracy):
    """All ranks that ties may take lie in all intervals at once, in 95% of evaluations or more."""
    rng, truth, held = np.random.default_rng(6), np.array(accuracy), []
    first = 1 + (truth > truth[:, None]).sum(axis=1)
    last = 5 - (truth < truth[:, None]).sum(axis=1)
    for _ in range(120):
        found = ll.rank_intervals(_scores(rng, 200, accuracy), resamples=1, rng=rng).sort_index()
        held.append(((found.low <= first) & (last <= found.high)).all())
    assert np.mean(held) > 0.95 - four_errors(0.95, 120)


def test_percentiles_of_bootstrap_ranks_fail_at_ties():
    """What the docstring warns of, with five equal systems; the resamples serve every draw."""
    rng = np.random.default_rng(7)
    counts = rng.multinomial(200, np.full(200, 1 / 200), size=500).astype(float)
    held = []
    for _ in range(400):
        totals = counts @ _scores(rng, 200, [0.7] * 5)
        best = 1 + (totals[..., None, :] > totals[..., None]).sum(axis=-1)
        worst = (totals[..., None, :] >= totals[..., None]).sum(axis=-1)
        low, high = np.sort(best, axis=0)[12], np.sort(worst, axis=0)[487]
        held.append(((low == 1) & (high == 5)).all())
    assert np.mean(held) == near(0.29, 400)


@pytest.mark.slow
def test_prob_first_is_no_probability_of_being_best():
    """Of two equal systems one has more than .95 in 10% of evaluations."""
    rng, shares = np.random.default_rng(8), []
    for _ in range(250):
        found = ll.rank_intervals(_scores(rng, 200, [0.7] * 2), resamples=300, rng=rng)
        shares.append(found.prob_first.max())
    assert np.mean(np.array(shares) > 0.95) == near(0.10, 250)


def test_recorded_systems():
    """An interval of one comparison may exclude 0 where the corrected test does not decide."""
    records = ll.load_records("reviews")
    ranks = ll.rank_intervals(records, rng=0, resamples=200)
    assert ranks.index[0] == "minilm fine-tuned"
    assert ranks.loc["minilm fine-tuned", ["low", "high"]].to_list() == [1, 1]
    assert (ranks.low <= ranks["rank"]).all()
    assert (ranks["rank"] <= ranks.high).all()
    pairs = ll.compare_all(records)
    lax = (pairs.p_value < 0.05) & (pairs.p_adjusted > 0.05)
    assert lax.sum() >= 1
    assert ((pairs.low > 0) | (pairs.high < 0))[lax].all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda t: ll.compare_all(t, correction="hochberg"),
            ValueError,
            "must be one of .holm.",
        ),
        (lambda t: ll.compare_all(t, baseline="q"), LookupError, "called 'q'; there are: w, x, y"),
        (
            lambda t: ll.rank_intervals(t, resamples=0),
            ValueError,
            "resamples must be a whole num",
        ),
        (lambda t: ll.friedman_test(t[["w", "x"]]), ValueError, "needs at least 3 systems"),
        (
            lambda t: ll.nemenyi_difference(1, 10),
            ValueError,
            "n_systems must be a whole",
        ),
    ],
)
def test_what_cannot_be_compared(table, call, error, message):
    with pytest.raises(error, match=message):
        call(table)


# Average ranks ------------------------------------------------------------------------------------


def test_iman_and_davenports_statistic():
    """Demšar (2006), section 3.2.2: of χ² = 9.28, 4 systems and 14 data sets it is 3.69."""
    assert pytest.approx(3.69, abs=0.005) == 13 * 9.28 / (14 * 3 - 9.28)
    scores = np.random.default_rng(0).normal([0, 0.2, 0.5, 0.9], size=(14, 4))
    chi2, f = ll.friedman_test(scores), ll.friedman_test(scores, kind="F")
    assert f.statistic == pytest.approx(13 * chi2.statistic / (14 * 3 - chi2.statistic))
    assert f.p_value == pytest.approx(stats.f.sf(f.statistic, 3, 39))
    same_order = ll.friedman_test([[1, 2, 3]] * 5, kind="F")
    assert (same_order.statistic, same_order.p_value) == (np.inf, pytest.approx(6**-4))


def test_average_ranks_by_scipy_and_letters_by_hand():
    scores = np.random.default_rng(3).normal([0, 0.8, 1.6, 2.4], size=(14, 4))
    found = ll.average_ranks(scores)
    ranks = stats.rankdata(-scores, axis=1).mean(axis=0)
    assert found.mean_rank.to_dict() == pytest.approx({str(k): r for k, r in enumerate(ranks)})
    gap = ll.nemenyi_difference(4, 14)
    for a, b in combinations(found.index, 2):
        near_ = abs(found.mean_rank[a] - found.mean_rank[b]) < gap
        assert bool(set(found.letters[a]) & set(found.letters[b])) == near_
    assert found.letters.iloc[0] == "a"


def test_rounding_does_not_part_tied_systems():
    """Three equal means, of which sums in another order differ in the last digit."""
    table = {"a": [0.1, 0.2, 0.3, 0.4], "b": [0.4, 0.3, 0.2, 0.1], "c": [0.2, 0.1, 0.4, 0.3]}
    assert ll.rank_intervals(table, rng=0)["rank"].tolist() == [1, 1, 1]
    noise = {"a": [0.1 + 0.2] * 9, "b": [0.3] * 9, "c": [0.30000000000000004] * 9}
    assert ll.friedman_test(noise).p_value == 1
    assert ll.average_ranks(noise).mean_rank.tolist() == [2, 2, 2]


# Twenty equal systems -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("groups", [50, 200])
def test_twenty_equal_systems_in_zipf_clusters(groups):
    """Family-wise error .36 and .22 to .28 before CR2; and all ranks hold together."""
    rng = np.random.default_rng(groups)
    sizes = np.maximum(1, np.round(20 * groups / np.arange(1, groups + 1) / 4.5)).astype(int)
    labels, pairs = np.repeat(np.arange(groups), sizes), np.triu_indices(20, 1)
    df, called, draws = effective_df(labels), [], 600
    for _ in range(draws):
        rate = rng.beta(0.7 * 9, 0.3 * 9, (groups, 20))
        scores = (rng.random((len(labels), 20)) < rate[labels]) * 1.0
        covariance, means = covariance_of_means(scores, labels), scores.mean(axis=0)
        v = covariance.diagonal()
        se = np.sqrt(v[pairs[0]] + v[pairs[1]] - 2 * covariance[pairs])
        t = abs(means[pairs[0]] - means[pairs[1]]) / se
        called.append(190 * 2 * stats.t.sf(t.max(), df) <= 0.05)
    assert np.mean(called) <= 0.05 + four_errors(0.05, draws) / 2
    # The last of them by the functions themselves.
    found = ll.compare_all(scores, cluster=labels).p_adjusted.min()
    assert found == pytest.approx(min(190 * 2 * stats.t.sf(t.max(), df), 1))
    ranks = ll.rank_intervals(scores, cluster=labels, resamples=2, rng=0)
    assert (ranks.low.eq(1) & ranks.high.eq(20)).all() == (found > 0.05)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (pd.DataFrame([[1, 0], [0, 1]], columns=[1, "1"]), "two columns '1': name the systems"),
        (pd.DataFrame({"item_id": [1, 2], "a": [0, 1], "b": [1, 1]}), "column 'item_id', which is"),
        (5, "scores must be records, a list of them, or a table"),
    ],
)
def test_tables_that_are_not_scores_of_systems(scores, message):
    with pytest.raises(ValueError, match=message):
        ll.compare_all(scores)


def test_a_list_of_records_and_a_number_for_a_baseline(table):
    long = records_of(table)
    parts = [part for _, part in long.groupby("system", sort=False)]
    pd.testing.assert_frame_equal(ll.compare_all(parts), ll.compare_all(long))
    assert list(ll.compare_all(table.to_numpy(), baseline=0).a) == ["0"] * 3
