"""Two systems: published values, other derivations, and size and power by simulation."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from builders import DARWIN, answers, clustered, films, holds, near, records, same
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

import lleval_lib as ll
from lleval_lib.clusters import covariance_of_means

ZEROS = np.zeros(15)
EXACT, CHI2, YATES = {}, {"exact": False}, {"exact": False, "continuity": True}


@pytest.mark.parametrize(
    ("test", "statistic", "p"),
    [
        (ll.compare, None, 0.0497),
        (lambda a, b: ll.permutation_test(a, b, resamples=2**15), DARWIN.mean(), 2 * 863 / 32_768),
        (ll.wilcoxon_test, 24, 0.0413),
    ],
    ids=["t-test", "sign flips, all patterns", "ranks"],
)
def test_darwin(test, statistic, p):
    """Published: Student's t; 863 of the 32,768 patterns to one side (Fisher 1935); Wilcoxon."""
    found, back = test(ZEROS, DARWIN), test(DARWIN, ZEROS)
    assert found.p_value == pytest.approx(p, abs=5e-5)
    assert back.p_value == pytest.approx(found.p_value, rel=1e-12)
    if statistic is None:
        assert found.difference.low > 0  # the 95% interval and the test at 5% agree
    else:
        assert found.statistic == pytest.approx(statistic)
        assert abs(back.statistic) == pytest.approx(statistic)


@pytest.mark.parametrize(
    ("options", "name", "statistic", "p"),
    [
        (EXACT, "McNemar, exact", 86, 3.716e-5),
        (CHI2, "McNemar, χ²", 17.356, stats.chi2.sf(64**2 / 236, 1)),
        (YATES, "McNemar, χ², corrected", 16.818, stats.chi2.sf(63**2 / 236, 1)),
    ],
)
def test_published_mcnemar(options, name, statistic, p):
    """Agresti's approval ratings: 150 and 86 discordant."""
    for a, b in (answers(150, 86, both=794, neither=570), answers(150, 86)):
        found = ll.mcnemar_test(a, b, **options)
        assert found.name == name
        assert found.statistic == pytest.approx(statistic, abs=5e-4)
        assert found.p_value == pytest.approx(p, rel=2e-4)
        assert (found.n, found.n_clusters) == (len(a), len(a))
        assert found.df == 1 or options == EXACT
        same(ll.mcnemar_test(b, a, **options), found)


# The paired comparison ----------------------------------------------------------------------------


def _two():
    b, labels = clustered()
    return 0.6 * b + np.random.default_rng(1).normal(size=60), b, labels


def test_equals_scipys_paired_test():
    a, b, _ = _two()
    found, other = ll.compare(a, b, confidence=0.9), stats.ttest_rel(b, a)
    d = found.difference
    assert (found.p_value, d.df) == pytest.approx((other.pvalue, 59), rel=1e-10)
    assert (d.low, d.high) == pytest.approx(tuple(other.confidence_interval(0.9)))
    assert (found.mean_a, found.mean_b) == pytest.approx((a.mean(), b.mean()))
    assert d.estimate == pytest.approx(b.mean() - a.mean())
    assert ll.compare(b, a).difference.estimate == pytest.approx(-d.estimate)


def test_pairing_removes_twice_the_covariance():
    """Miller 2024, section 4: Var(paired) = Var(a) + Var(b) - 2 Cov(a, b), also with clusters."""
    a, b, labels = _two()
    for cluster in (np.arange(60), labels):
        unpaired = sum(ll.mean_interval(x, cluster=cluster).se ** 2 for x in (a, b))
        covariance = covariance_of_means(np.column_stack([a, b]), cluster)[0, 1]
        paired = ll.compare(a, b, cluster=cluster).difference.se ** 2
        assert paired == pytest.approx(unpaired - 2 * covariance)
        assert paired < unpaired


@pytest.mark.parametrize(("shift", "p"), [(0.0, 1.0), (1.0, 0.125), (1e-9, 0.125)])
def test_differences_that_are_all_equal(shift, p):
    """No spread is no certainty: four signs are all the same once in eight times."""
    scores = np.array([0.0, 1.0, 1.0, 0.0])
    found = ll.compare(scores, scores + shift)
    assert found.p_value == p
    if shift:  # without, the scores are right and wrong answers
        assert np.isnan([found.difference.low, found.difference.high]).all()
        assert found.difference.warning == "all differences are equal"


@pytest.mark.parametrize(
    ("a", "b", "cluster", "p"),
    [
        ([0, 0], [1, 1], None, 0.5),
        ([0, 1] * 2, [2, 1, 2, 1], [0, 0, 1, 1], 0.5),
        ([0] * 100, [1] * 4 + [0] * 96, None, 0.125),
        ([0] * 100, [0.5] * 4 + [0] * 96, None, 0.125),
    ],
)
def test_no_p_value_is_below_that_of_the_signs(a, b, cluster, p):
    found = ll.compare(a, b, cluster=cluster)
    assert found.p_value == pytest.approx(p)
    exact = ll.permutation_test(a, b, cluster=cluster).p_value
    assert exact == pytest.approx(p)
    assert found.p_value >= exact


@pytest.mark.parametrize("n", [30, 50, 200])
@pytest.mark.parametrize(("won", "lost"), [(0.02, 0), (0.02, 0.01), (0.05, 0), (0.1, 0.03)])
def test_exact_coverage_with_few_discordant_items(n, won, lost):
    """Over every count of discordant items; Student's t alone covers .45 to .95 here."""
    total = plain = 0.0
    for b_only in range(n + 1):
        for a_only in range(n + 1 - b_only):
            counts = a_only, b_only, n - a_only - b_only
            chance = stats.multinomial.pmf(counts, n, [lost, won, 1 - lost - won])
            if chance < 1e-6:
                continue
            a, b = answers(a_only, b_only, both=counts[2])
            d = ll.compare(a, b).difference
            total += chance * holds(d, won - lost)
            half = stats.t.isf(0.025, n - 1) * d.se
            plain += chance * (abs(d.estimate - (won - lost)) <= half + 1e-12)
    assert 0.927 < total <= 1
    if (n, won, lost) == (50, 0.02, 0):
        assert plain == pytest.approx(0.635, abs=0.001)  # the review's figure


@pytest.mark.parametrize("test", [ll.compare, ll.permutation_test, ll.wilcoxon_test])
def test_systems_that_are_equal_but_for_rounding(test):
    """0.1 + 0.2 is not 0.3 to the machine; nor are sums the same in another order."""
    assert test([0.3] * 8, [0.1 + 0.2] * 8).p_value == 1
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(10), 3)
    for _ in range(20):
        a = rng.random((10, 3)).round(1)
        b = rng.permuted(a, axis=1)
        assert test(a.ravel(), b.ravel(), cluster=labels).p_value == 1


# McNemar ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [EXACT, CHI2, YATES], ids=str)
@pytest.mark.parametrize("discordant", [0, 1, 7])
def test_mcnemar_of_a_draw(discordant, options):
    """As many to either side, or none at all: no evidence, and no division by zero."""
    found = ll.mcnemar_test(*answers(discordant, discordant, both=3), **options)
    assert found.p_value == 1
    assert found.statistic == (0 if options else discordant)


def test_mcnemar_refuses_clusters_unless_told_that_items_are_independent():
    a, b, labels = films()
    with pytest.raises(ValueError, match="these 60 lie in 9 clusters: use compare or permutation"):
        ll.mcnemar_test(a, b, cluster=labels)
    first, second = records("first", a, labels), records("second", b, labels)
    with pytest.raises(ValueError, match='items are independent: cluster="item_id"'):
        ll.mcnemar_test(first, second)
    for own in ("item_id", first.item_id):
        same(ll.mcnemar_test(first, second, cluster=own), ll.mcnemar_test(a, b))


@pytest.mark.parametrize("bad", [0.5, 2, -1])
def test_mcnemar_refuses_scores_between_right_and_wrong(bad):
    for pair in (([1, 0, bad], [1, 1, 0]), ([1, 1, 0], [1, 0, bad])):
        with pytest.raises(ValueError, match=rf"hold {bad:g}, but .* compare or permutation"):
            ll.mcnemar_test(*pair)


# Sign flips ---------------------------------------------------------------------------------------


def test_drawn_patterns_agree_with_all():
    exact = 863 / 32_768
    for seed in range(3):
        found = ll.permutation_test(ZEROS, DARWIN, rng=seed)
        assert found.name == "permutation, 9,999 drawn"
        assert found.p_value / 2 == near(exact, 9_999)
    assert ll.permutation_test(ZEROS, DARWIN, resamples=2**15).name == "permutation, exact"


@pytest.mark.parametrize("groups", [2, 5, 6])
def test_the_smallest_p_value(groups):
    """Derived: of differences that are all equal, 2^(1 - G); two items can have only .5."""
    assert ll.permutation_test([0] * groups, [1] * groups).p_value == 2.0 ** (1 - groups)


def test_the_smallest_p_value_of_drawn_patterns():
    drawn = ll.permutation_test(np.zeros(60), np.ones(60), rng=0, resamples=999)
    assert drawn.p_value == pytest.approx(1 / 1_000)
    with pytest.raises(ValueError, match="resamples must be a whole number of 1 or more, such as"):
        ll.permutation_test(ZEROS, DARWIN, resamples=0)


@pytest.mark.parametrize(
    ("only_a", "only_b", "agree"), [(0, 5, 3), (2, 9, 40), (4, 4, 1), (6, 7, 9)]
)
def test_on_right_and_wrong_answers_it_is_mcnemars_exact_test(only_a, only_b, agree):
    a, b = answers(only_a, only_b, both=agree)
    found = ll.permutation_test(a, b)
    assert found.name == "permutation, exact"  # items on which both agree need no sign
    assert found.p_value == pytest.approx(ll.mcnemar_test(a, b).p_value, rel=1e-12)


def test_clusters_turn_together():
    """Four clusters of unequal size, their 16 patterns written out."""
    d = np.array([0.5, 1.0, 0.25, -0.5, 2.0, 1.5, -0.25, 1.0, 0.5])
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 3, 3])
    means = [(d * np.array(signs)[labels]).mean() for signs in product([1, -1], repeat=4)]
    as_far = np.mean(np.array(means) >= d.mean())
    found = ll.permutation_test(np.zeros(9), d, cluster=labels)
    assert as_far == 2 / 16
    assert found.p_value == pytest.approx(2 * as_far)
    assert found.statistic == pytest.approx(d.mean())
    assert (found.n, found.n_clusters) == (9, 4)
    assert ll.permutation_test(np.zeros(9), d).p_value < 0.06  # as if of nine independent items


@pytest.mark.parametrize("d", [[0, 0, 0, 0], [1, -1, 0, 0], [1, 0, 0, 0]])
def test_one_moved_cluster_or_none_shows_nothing(d):
    found = ll.permutation_test([0] * 4, d, cluster=[0, 0, 1, 2])
    assert (found.name, found.p_value) == ("permutation, exact", 1)


# Ranks --------------------------------------------------------------------------------------------


def test_wilcoxon_ranks_the_means_of_clusters():
    a, b, labels = films()
    found = ll.wilcoxon_test(a, b, cluster=labels)
    other = stats.wilcoxon(pd.Series(b - a).groupby(labels).mean())
    assert (found.statistic, found.p_value) == pytest.approx((other.statistic, other.pvalue))
    assert (found.n, found.n_clusters) == (60, 9)


def test_wilcoxon_on_right_and_wrong_answers_is_mcnemars_chi_square():
    a, b = answers(30, 52, both=40)
    chi_square = ll.mcnemar_test(a, b, exact=False)
    assert ll.wilcoxon_test(a, b).p_value == pytest.approx(chi_square.p_value, rel=1e-9)


def test_rounding_does_not_part_ties():
    """0.3 - 0.1 and 0.5 - 0.3 are not one number to the machine; in tenths they are."""
    a, b = np.array([1, 5, 2, 7, 6, 3, 2]), np.array([3, 3, 5, 4, 9, 2, 6])
    assert stats.wilcoxon(b / 10 - a / 10).statistic != stats.wilcoxon(b - a).statistic
    same(ll.wilcoxon_test(a / 10, b / 10), ll.wilcoxon_test(a, b))


def test_wilcoxon_of_equal_systems():
    found = ll.wilcoxon_test([1, 0, 1], [1, 0, 1])
    assert (found.statistic, found.p_value) == (0, 1)


def test_ranks_and_means_can_point_to_different_systems():
    """b loses a little on most items and wins much on a few: it has the higher mean."""
    d = np.r_[np.full(80, -0.1), np.full(20, 1.0)] + np.linspace(-0.01, 0.01, 100)
    assert ll.compare(np.zeros(100), d).difference.low > 0
    lower = stats.wilcoxon(d, alternative="less").pvalue
    assert lower < 0.05
    assert ll.wilcoxon_test(np.zeros(100), d).p_value == pytest.approx(2 * lower)


# Margins ------------------------------------------------------------------------------------------


def test_equivalence_is_the_90_percent_interval():
    """Over many margins and both layouts: p < .05 exactly when the interval lies within."""
    a, b, labels = films()
    decided = set()
    for cluster in (None, labels):
        interval = ll.compare(a, b, cluster=cluster, confidence=0.9).difference
        for margin in np.linspace(0.005, 0.5, 100):
            above = -margin < interval.low
            within = above and interval.high < margin
            both = ll.equivalence_test(a, b, margin, cluster=cluster).p_value < 0.05
            one = ll.noninferiority_test(a, b, margin, cluster=cluster).p_value < 0.05
            # With few discordant items Tango's test must agree, too.
            assert (both, one) == (within, above) or (cluster is not None and both <= within)
            decided.add((within, above))
    assert {(True, True), (False, False)} <= decided


def test_equivalence_equals_that_of_statsmodels():
    rng = np.random.default_rng(0)
    a = rng.normal(size=30)
    b = a + rng.normal(0.1, 0.5, size=30)
    p, lower, upper = ttost_paired(b, a, -0.3, 0.3)
    smaller = min(lower[0], -upper[0])
    for found, expected in (
        (ll.equivalence_test(a, b, 0.3), (smaller, p, 29)),
        (ll.equivalence_test(b, a, 0.3), (smaller, p, 29)),
        (ll.noninferiority_test(a, b, 0.3), (*lower[:2], 29)),
        (ll.noninferiority_test(b, a, 0.3), (-upper[0], upper[1], 29)),
    ):
        assert (found.statistic, found.p_value, found.df) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("shift", "equivalent", "noninferior"),
    [(0, 1 / 8, 1 / 8), (2, 1, (1 / 4) ** 3), (-2, 1, 1), (1, 1, (1 / 3) ** 3), (-1, 1, 1)],
)
def test_margins_when_no_difference_varies(shift, equivalent, noninferior):
    """A gap of the margin itself is not within it; a distance of 1, 3, 2 of a range of 2, 4, 3."""
    scores = np.array([3.0, 1.0, 2.0])
    assert ll.equivalence_test(scores, scores + shift, 1).p_value == pytest.approx(equivalent)
    assert ll.noninferiority_test(scores, scores + shift, 1).p_value == pytest.approx(noninferior)


@pytest.mark.parametrize("margin", [0, -0.02, np.nan, np.inf])
@pytest.mark.parametrize("test", [ll.equivalence_test, ll.noninferiority_test])
def test_unusable_margins(test, margin):
    with pytest.raises(ValueError, match=rf"margin must be above 0, .* such as 0.02, not {margin}"):
        test(ZEROS, DARWIN, margin)


# Sizes of the difference --------------------------------------------------------------------------


def test_effect_sizes_by_hand():
    found = ll.effect_sizes([1, 2, 3, 4], [2, 2, 5, 3])
    # Differences 1, 0, 2, -1: mean 1/2, variance 5/3. Variances 5/3 and 2.
    assert found.comparison == ll.compare([1, 2, 3, 4], [2, 2, 5, 3])
    assert found.d_z == pytest.approx(0.5 / np.sqrt(5 / 3))
    assert found.d_av == pytest.approx(0.5 / np.sqrt((5 / 3 + 2) / 2))
    assert found.superiority == (2 + 1 / 2) / 4
    assert np.isnan([found.h, found.odds_ratio]).all()
    d = found.comparison.difference
    assert found.d_z * np.sqrt(4) == pytest.approx(d.estimate / d.se)


def test_effect_sizes_of_right_and_wrong_answers():
    found = ll.effect_sizes(*answers(2, 6, both=1, neither=1))
    # 3 and 7 of 10 are right.
    assert found.h == pytest.approx(2 * np.arcsin(np.sqrt(0.7)) - 2 * np.arcsin(np.sqrt(0.3)))
    assert found.odds_ratio == 3
    assert found.superiority == pytest.approx(0.7)


def test_effect_sizes_change_sides_with_the_systems():
    a, b, labels = films()
    one, other = ll.effect_sizes(a, b, cluster=labels), ll.effect_sizes(b, a, cluster=labels)
    for name in ("d_z", "d_av", "h"):
        assert getattr(one, name) == pytest.approx(-getattr(other, name))
    assert one.superiority == pytest.approx(1 - other.superiority)
    assert one.odds_ratio == pytest.approx(1 / other.odds_ratio)
    # Clusters change the interval alone.
    assert one.comparison == ll.compare(a, b, cluster=labels)
    assert str(one).split("d_z")[-1] == str(ll.effect_sizes(a, b)).split("d_z")[-1]


def test_effect_sizes_at_their_ends():
    """Nothing differs; all items differ by the same; b loses none."""
    same_ = ll.effect_sizes([1, 0, 1], [1, 0, 1])
    assert np.isnan([same_.d_z, same_.odds_ratio]).all()
    assert (same_.d_av, same_.superiority, same_.h) == (0, 0.5, 0)
    assert ll.effect_sizes([0.3] * 3, [0.1 + 0.2] * 3).superiority == 0.5
    constant = ll.effect_sizes([0.1, 0.3, 0.2], [0.2, 0.4, 0.3])
    assert (constant.d_z, constant.superiority) == (np.inf, 1)
    assert constant.d_av == pytest.approx(1)
    assert ll.effect_sizes([0.2, 0.4, 0.3], [0.1, 0.3, 0.2]).d_z == -np.inf
    assert ll.effect_sizes(*answers(0, 3, both=1)).odds_ratio == np.inf
    assert ll.effect_sizes(*answers(3, 0, both=1)).odds_ratio == 0


def test_printed_effect_sizes():
    a, b, labels = films()
    found = ll.effect_sizes(a, b, cluster=labels)
    assert str(found) == (
        f"{found.comparison}\n"
        f"  d_z {found.d_z:.2f}, d_av {found.d_av:.2f}, superiority {found.superiority:.2f}\n"
        f"  h {found.h:.2f}, odds_ratio {found.odds_ratio:.2f}"
    )
    assert str(ll.effect_sizes(ZEROS, DARWIN)).endswith("superiority 0.87")


def test_an_effect_size_can_be_bootstrapped():
    a, b, labels = films()
    interval = ll.bootstrap_interval(
        lambda x, y: ll.effect_sizes(x, y).d_av, a, b, resamples=99, cluster=labels, rng=0
    )
    assert interval.estimate == pytest.approx(ll.effect_sizes(a, b).d_av)
    assert interval.low < interval.estimate < interval.high


# Size and power, by simulation --------------------------------------------------------------------

DRAWS = 500


def _called(draws, **tests):
    """Return the share of `draws`, differences or pairs of scores, that each test at 5% calls."""
    p = {name: [] for name in tests}
    for draw in draws:
        pair = draw if isinstance(draw, tuple) else (np.zeros(len(draw)), draw)
        for name, test in tests.items():
            p[name].append(test(*pair).p_value)
    return {name: np.mean(np.array(values) <= 0.05) for name, values in p.items()}


def _by(test, labels, *more):
    return lambda a, b: test(a, b, *more, cluster=labels)


def _chi2(a, b):
    return ll.mcnemar_test(a, b, exact=False)


def _equal_systems(labels, seed=0, draws=DRAWS):
    """Draw right and wrong answers of two equal systems.

    An item is as hard for both; each system finds a whole cluster harder or easier.
    """
    rng, n, groups = np.random.default_rng(seed), len(labels), labels.max() + 1
    for _ in range(draws):
        hard = rng.normal(size=n)
        yield tuple(
            (hard + rng.normal(size=n) + 0.5 * rng.normal(size=groups)[labels] > -0.8) * 1.0
            for _ in "ab"
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "exact", "chi2"), [(100, 0.030, 0.053), (1_000, 0.043, 0.050)], ids=str
)
def test_size_of_mcnemars_tests_of_independent_items(n, exact, chi2):
    """With 28% of the items discordant, by the sum over all tables and by simulation."""
    rng = np.random.default_rng(0)
    draws = [answers(*rng.multinomial(n, [0.14, 0.14, 0.72])) for _ in range(1_000)]
    for size, test, options in ((exact, ll.mcnemar_test, EXACT), (chi2, _chi2, CHI2)):
        summed = ll.accuracy_power(n, 0.14, 0.14, **options).power
        assert summed == pytest.approx(size, abs=6e-4)
        assert _called(draws, test=test)["test"] == near(size, 1_000)


@pytest.mark.slow
def test_clusters_break_mcnemar_and_not_the_clustered_tests():
    """100 clusters of 10 items, said to be independent: a size of .13 to .15 at 5%."""
    labels = np.repeat(np.arange(100), 10)
    found = _called(
        _equal_systems(labels),
        exact=_by(ll.mcnemar_test, np.arange(1_000)),  # the way round the refusal
        chi2=_chi2,
        compare=_by(ll.compare, labels),
        wilcoxon=_by(ll.wilcoxon_test, labels),
    )
    said = {"exact": 0.130, "chi2": 0.141, "compare": 0.05, "wilcoxon": 0.05}
    assert found == {name: near(share, DRAWS) for name, share in said.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "flips", "t_test"),
    [
        ([10] * 5, 0.0, 0.0125),
        ([10] * 6, 0.0095, 0.005),
        ([10] * 10, 0.031, 0.049),
        ([45] + [5] * 9, 0.025, 0.038),
    ],
    ids=["5", "6", "10", "one holds half"],
)
def test_sign_flips_keep_their_size_with_few_or_unequal_clusters(sizes, flips, t_test):
    """So does the t-test, also if one cluster holds half of the items."""
    labels, draws = np.repeat(np.arange(len(sizes)), sizes), 400
    found = _called(
        _equal_systems(labels, seed=1, draws=draws),
        flips=_by(ll.permutation_test, labels),
        t_test=_by(ll.compare, labels),
    )
    assert found == {"flips": near(flips, draws), "t_test": near(t_test, draws)}
    assert found["flips"] <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "t_test"), [([10] * 20, 0.05), ([95] + [5] * 19, 0.066)], ids=["equal", "half"]
)
def test_wilcoxon_keeps_its_size_with_20_clusters(sizes, t_test):
    """Normal scores; with the old standard error t called .25 if one cluster holds half."""
    labels, rng = np.repeat(np.arange(20), sizes), np.random.default_rng(0)
    draws = [rng.normal(size=20)[labels] + rng.normal(size=len(labels)) for _ in range(DRAWS)]
    found = _called(draws, ranks=_by(ll.wilcoxon_test, labels), t_test=_by(ll.compare, labels))
    assert found == {"ranks": near(0.049, DRAWS), "t_test": near(t_test, DRAWS)}


@pytest.mark.slow
@pytest.mark.parametrize(("n", "ranks", "t_test"), [(10, 0.089, 0.099), (400, 0.899, 0.053)])
def test_skewed_differences_of_mean_zero(n, ranks, t_test):
    """The means are equal and the medians are not, and it is the latter that ranks find."""
    rng = np.random.default_rng(0)
    draws = [1 - rng.exponential(size=n) for _ in range(DRAWS)]
    found = _called(draws, ranks=ll.wilcoxon_test, t_test=ll.compare)
    assert found == {"ranks": near(ranks, DRAWS), "t_test": near(t_test, DRAWS)}
    if n == 10:  # sign flips need symmetry as well
        assert _called(draws[:200], flips=ll.permutation_test)["flips"] == near(0.094, 200)


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "ranks", "t_test"), [(0.6, 0.89, 0.74), (0, 0.05, 0.043)])
def test_power_and_size_with_heavy_tails(shift, ranks, t_test):
    """50 differences of Student's t(3), shifted by 0.6: ranks see what the mean's noise hides."""
    draws = np.random.default_rng(0).standard_t(3, size=(DRAWS, 50)) + shift
    found = _called(draws, ranks=ll.wilcoxon_test, t_test=ll.compare)
    assert found == {"ranks": near(ranks, DRAWS), "t_test": near(t_test, DRAWS)}


@pytest.mark.slow
def test_power_on_right_and_wrong_answers():
    """5 and 15 of 100 items: the exact test finds less than the t-test, the χ² as much."""
    rng = np.random.default_rng(0)
    draws = [answers(*rng.multinomial(100, [0.05, 0.15, 0.8])) for _ in range(600)]
    found = _called(draws, exact=ll.mcnemar_test, chi2=_chi2, compare=ll.compare)
    said = {"exact": 0.55, "chi2": 0.64, "compare": 0.64}
    assert found == {name: near(share, 600) for name, share in said.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "of_se", "size"),
    [([1] * 10, 2, 0.038), ([1] * 100, 3, 0.05), ([10] * 5, 6, 0.05), ([45] + [5] * 9, 6, 0.05)],
)
def test_size_at_the_margin(sizes, of_se, size):
    """Systems that differ by just the margin, which is a number of true standard errors."""
    labels, n = np.repeat(np.arange(len(sizes)), sizes), sum(sizes)
    rng, shared = np.random.default_rng(n), float(max(sizes) > 1)
    margin = of_se * np.sqrt(shared * np.sum(np.square(sizes)) / n**2 + 1 / n)
    draws = [
        shared * rng.normal(size=len(sizes))[labels] + rng.normal(size=n) for _ in range(DRAWS)
    ]
    both = _called([d + margin for d in draws], p=_by(ll.equivalence_test, labels, margin))["p"]
    one = _called([d - margin for d in draws], p=_by(ll.noninferiority_test, labels, margin))["p"]
    assert both == near(size, DRAWS)
    assert one == near(max(size, 0.05), DRAWS)


@pytest.mark.parametrize(("of_se", "power"), [(2, 0.26), (3, 0.82)])
def test_power_of_equivalence_for_equal_systems(of_se, power):
    draws = np.random.default_rng(0).normal(size=(DRAWS, 100))
    found = _called(draws, p=_by(ll.equivalence_test, None, of_se / 10))
    assert found["p"] == near(power, DRAWS)


@pytest.mark.parametrize("n", [20, 50, 100, 300])
def test_few_discordant_items_make_no_false_equivalence(n):
    """Exactly, over every count of items that b loses: 5% in truth, which is the margin."""
    called = [
        ll.equivalence_test(*answers(lost, 0, both=n - lost), 0.05).p_value <= 0.05
        for lost in range(n + 1)
    ]
    assert stats.binom.pmf(range(n + 1), n, 0.05) @ called <= 0.08
    assert ll.equivalence_test([1, 0, 1], [1, 0, 1], 1e-9).p_value == pytest.approx(0.5, abs=0.01)
