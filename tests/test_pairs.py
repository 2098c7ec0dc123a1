"""Tests of two systems: published values, other derivations, and size and power by simulation."""

import doctest
from dataclasses import fields
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

import lleval_lib as ll
from lleval_lib import pairs

# Darwin's maize: height of a crossed less that of a self-fertilised plant (Fisher 1935).
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])
ZEROS = np.zeros(15)

EVERY = {
    "mcnemar": ll.mcnemar_test,
    "permutation": lambda a, b, cluster=None: ll.permutation_test(
        a, b, cluster, rng=np.random.default_rng(0), resamples=999
    ),
    "wilcoxon": ll.wilcoxon_test,
    "equivalence": lambda a, b, cluster=None: ll.equivalence_test(a, b, 0.3, cluster),
    "noninferiority": lambda a, b, cluster=None: ll.noninferiority_test(a, b, 0.3, cluster),
    "effect sizes": ll.effect_sizes,
}
every = pytest.mark.parametrize("test", EVERY.values(), ids=EVERY)
clustered = pytest.mark.parametrize(
    "test", [EVERY[name] for name in EVERY if name != "mcnemar"], ids=[*EVERY][1:]
)


def _answers(only_a, only_b, both=0, neither=0):
    """Return the scores of two systems on items of the four kinds."""
    a = np.repeat([1, 0, 1, 0], [only_a, only_b, both, neither])
    b = np.repeat([0, 1, 1, 0], [only_a, only_b, both, neither])
    return a, b


def _records(system, scores, clusters):
    n = len(scores)
    return pd.DataFrame(
        {
            "system": system,
            "task": "t",
            "item_id": [f"i{k}" for k in range(n)],
            "cluster": [f"film {k}" for k in clusters],
            "prompt": "?",
            "target": "yes",
            "prediction": "yes",
            "score": scores,
            "loglik": np.nan,
        }
    )


@pytest.fixture
def films():
    """Return right and wrong answers of two systems to 60 items of 9 films."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 9, 60)
    share = rng.uniform(0.2, 0.9, 9)[labels]
    return (rng.random(60) < share) * 1.0, (rng.random(60) < share) * 1.0, labels


# McNemar ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "name", "statistic", "p"),
    [
        ({}, "McNemar, exact", 86, 3.716e-5),
        ({"exact": False}, "McNemar, χ²", 17.356, stats.chi2.sf(64**2 / 236, 1)),
        (
            {"exact": False, "correction": True},
            "McNemar, χ², corrected",
            16.818,
            stats.chi2.sf(63**2 / 236, 1),
        ),
    ],
)
def test_mcnemar_published(options, name, statistic, p):
    """Agresti's approval ratings: 150 and 86 discordant."""
    for a, b in (_answers(150, 86, both=794, neither=570), _answers(150, 86)):
        found = ll.mcnemar_test(a, b, **options)
        assert found.name == name
        assert found.statistic == pytest.approx(statistic, abs=5e-4)
        assert found.p_value == pytest.approx(p, rel=2e-4)
        assert (found.n, found.n_clusters) == (len(a), len(a))
        assert ll.mcnemar_test(b, a, **options) == found


@pytest.mark.parametrize(
    "options", [{}, {"exact": False}, {"exact": False, "correction": True}], ids=str
)
@pytest.mark.parametrize("discordant", [0, 1, 7])
def test_mcnemar_of_a_draw(discordant, options):
    """As many to either side, or none at all: no evidence, and no division by zero."""
    found = ll.mcnemar_test(*_answers(discordant, discordant, both=3), **options)
    assert found.p_value == 1
    assert found.statistic == (0 if options else discordant)


def test_mcnemar_refuses_clusters_unless_told_that_items_are_independent(films):
    a, b, labels = films
    with pytest.raises(ValueError, match="these 60 lie in 9 clusters: use compare or permutation"):
        ll.mcnemar_test(a, b, cluster=labels)
    first, second = _records("first", a, labels), _records("second", b, labels)
    with pytest.raises(ValueError, match=r"independent by cluster=a\.item_id"):
        ll.mcnemar_test(first, second)
    assert ll.mcnemar_test(first, second, cluster=first.item_id) == ll.mcnemar_test(a, b)


@pytest.mark.parametrize("bad", [0.5, 2, -1])
def test_mcnemar_refuses_scores_between_right_and_wrong(bad):
    for pair in (([1, 0, bad], [1, 1, 0]), ([1, 1, 0], [1, 0, bad])):
        with pytest.raises(ValueError, match=f"scores hold {bad:g}, but .* compare or permutation"):
            ll.mcnemar_test(*pair)


# Sign flips ---------------------------------------------------------------------------------------


def test_darwin():
    """Published: 863 of the 32,768 patterns to one side; Student's t-test p = .0497."""
    found = ll.permutation_test(ZEROS, DARWIN, resamples=2**15)
    assert found.name == "permutation, exact"
    assert found.p_value == pytest.approx(2 * 863 / 32_768, rel=1e-12)
    assert found.statistic == pytest.approx(DARWIN.mean())
    assert ll.compare(ZEROS, DARWIN).p_value == pytest.approx(0.0497, abs=5e-5)
    back = ll.permutation_test(DARWIN, ZEROS, resamples=2**15)
    assert back.p_value == pytest.approx(found.p_value, rel=1e-12)
    assert back.statistic == -found.statistic


def test_drawn_patterns_agree_with_all():
    exact = 2 * 863 / 32_768
    for seed in range(3):
        found = ll.permutation_test(ZEROS, DARWIN, rng=np.random.default_rng(seed))
        assert found.name == "permutation, 9,999 drawn"
        # Twice a share of 9,999 draws.
        error = 4 * 2 * np.sqrt(exact / 2 * (1 - exact / 2) / 9_999)
        assert found.p_value == pytest.approx(exact, abs=error)
    again = ll.permutation_test(ZEROS, DARWIN, rng=np.random.default_rng(2))
    assert again == found


def test_the_smallest_p_values():
    """Of c clusters 2/2^c, and of drawn patterns 2/(resamples + 1)."""
    assert ll.permutation_test(np.zeros(5), np.ones(5)).p_value == 2 / 2**5
    assert ll.permutation_test(np.zeros(6), np.ones(6)).p_value == 2 / 2**6 < 0.05
    rng = np.random.default_rng(0)
    drawn = ll.permutation_test(np.zeros(60), np.ones(60), rng=rng, resamples=999)
    assert drawn.p_value == pytest.approx(2 / 1_000)


@pytest.mark.parametrize(
    ("only_a", "only_b", "agree"), [(0, 5, 3), (2, 9, 40), (4, 4, 1), (6, 7, 9)]
)
def test_on_right_and_wrong_answers_it_is_mcnemars_exact_test(only_a, only_b, agree):
    a, b = _answers(only_a, only_b, both=agree)
    found = ll.permutation_test(a, b)
    assert found.name == "permutation, exact"  # items on which both agree need no sign
    assert found.p_value == pytest.approx(ll.mcnemar_test(a, b).p_value, rel=1e-12)


def test_clusters_turn_together():
    """Four clusters of unequal size, their 16 patterns written out."""
    d = np.array([0.5, 1.0, 0.25, -0.5, 2.0, 1.5, -0.25, 1.0, 0.5])
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 3, 3])
    means = []
    for signs in product([1, -1], repeat=4):
        means.append((d * np.array(signs)[labels]).mean())
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
    assert found.name == "permutation, exact"
    assert found.p_value == 1


def test_too_many_patterns_need_a_generator():
    message = r"20 clusters have 2\^20 sign patterns, more than resamples=9,999: pass rng="
    with pytest.raises(ValueError, match=message):
        ll.permutation_test(np.zeros(20), np.ones(20))
    with pytest.raises(ValueError, match="pass rng="):
        ll.permutation_test(ZEROS, DARWIN, resamples=2**15 - 1)
    with pytest.raises(ValueError, match="resamples must be 1 or more, such as 9999, not 0"):
        ll.permutation_test(ZEROS, DARWIN, rng=np.random.default_rng(0), resamples=0)


# Ranks --------------------------------------------------------------------------------------------


def test_wilcoxon_on_darwins_maize():
    """Published: W = 24, p = .0413."""
    found = ll.wilcoxon_test(ZEROS, DARWIN)
    assert found.statistic == 24
    assert found.p_value == pytest.approx(0.0413, abs=5e-5)
    assert ll.wilcoxon_test(DARWIN, ZEROS) == found


def test_wilcoxon_ranks_the_means_of_clusters(films):
    a, b, labels = films
    found = ll.wilcoxon_test(a, b, cluster=labels)
    means = pd.Series(b - a).groupby(labels).mean()
    other = stats.wilcoxon(means)
    assert [found.statistic, found.p_value] == pytest.approx([other.statistic, other.pvalue])
    assert (found.n, found.n_clusters) == (60, 9)


def test_wilcoxon_on_right_and_wrong_answers_is_mcnemars_chi_square():
    a, b = _answers(30, 52, both=40)
    chi_square = ll.mcnemar_test(a, b, exact=False)
    assert ll.wilcoxon_test(a, b).p_value == pytest.approx(chi_square.p_value, rel=1e-9)


def test_rounding_does_not_part_ties():
    """0.3 - 0.1 and 0.5 - 0.3 are not one number to the machine; in tenths they are."""
    a, b = np.array([1, 5, 2, 7, 6, 3, 2]), np.array([3, 3, 5, 4, 9, 2, 6])
    assert stats.wilcoxon(b / 10 - a / 10).statistic != stats.wilcoxon(b - a).statistic
    assert ll.wilcoxon_test(a / 10, b / 10) == ll.wilcoxon_test(a, b)


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


def test_equivalence_is_the_90_percent_interval(films):
    """Over many margins and both layouts: p < .05 exactly when the interval lies within."""
    a, b, labels = films
    decided = set()
    for cluster in (None, labels):
        interval = ll.compare(a, b, cluster, confidence=0.9).difference
        for margin in np.linspace(0.005, 0.5, 100):
            within = -margin < interval.low and interval.high < margin
            above = -margin < interval.low
            assert (ll.equivalence_test(a, b, margin, cluster).p_value < 0.05) == within
            assert (ll.noninferiority_test(a, b, margin, cluster).p_value < 0.05) == above
            decided.add((within, above))
    assert {(True, True), (False, False)} <= decided


def test_equivalence_equals_that_of_statsmodels():
    rng = np.random.default_rng(0)
    a = rng.normal(size=30)
    b = a + rng.normal(0.1, 0.5, size=30)
    p, lower, upper = ttost_paired(b, a, -0.3, 0.3)
    for found in (ll.equivalence_test(a, b, 0.3), ll.equivalence_test(b, a, 0.3)):
        assert found.p_value == pytest.approx(p, rel=1e-9)
        assert found.statistic == pytest.approx(min(lower[0], -upper[0]), rel=1e-9)
    b_against_a = ll.noninferiority_test(a, b, 0.3)
    assert [b_against_a.statistic, b_against_a.p_value] == pytest.approx(lower[:2], rel=1e-9)
    a_against_b = ll.noninferiority_test(b, a, 0.3)
    assert a_against_b.p_value == pytest.approx(upper[1], rel=1e-9)


@pytest.mark.parametrize(
    ("shift", "equivalent", "noninferior"),
    [(0, 0, 0), (2, 1, 0), (-2, 1, 1), (1, 1, 0), (-1, 1, 1)],
)
def test_margins_when_no_difference_varies(shift, equivalent, noninferior):
    """A gap of the margin itself is not within it."""
    scores = np.array([3.0, 1.0, 2.0])
    assert ll.equivalence_test(scores, scores + shift, 1).p_value == equivalent
    assert ll.noninferiority_test(scores, scores + shift, 1).p_value == noninferior


@pytest.mark.parametrize("margin", [0, -0.02, np.nan, np.inf])
@pytest.mark.parametrize("test", [ll.equivalence_test, ll.noninferiority_test])
def test_unusable_margins(test, margin):
    with pytest.raises(ValueError, match=f"margin must be above 0, .* such as 0.02, not {margin}"):
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
    found = ll.effect_sizes(*_answers(2, 6, both=1, neither=1))
    # 3 and 7 of 10 are right.
    assert found.h == pytest.approx(2 * np.arcsin(np.sqrt(0.7)) - 2 * np.arcsin(np.sqrt(0.3)))
    assert found.odds_ratio == 3
    assert found.superiority == pytest.approx(0.7)


def test_effect_sizes_change_sides_with_the_systems(films):
    a, b, labels = films
    one, other = ll.effect_sizes(a, b, labels), ll.effect_sizes(b, a, labels)
    for name in ("d_z", "d_av", "h"):
        assert getattr(one, name) == pytest.approx(-getattr(other, name))
    assert one.superiority == pytest.approx(1 - other.superiority)
    assert one.odds_ratio == pytest.approx(1 / other.odds_ratio)
    # Clusters change the interval alone.
    assert one.comparison == ll.compare(a, b, labels)
    assert one._sizes() == ll.effect_sizes(a, b)._sizes()


def test_effect_sizes_at_their_ends():
    """Nothing differs; all items differ by the same; b loses none."""
    same = ll.effect_sizes([1, 0, 1], [1, 0, 1])
    assert np.isnan([same.d_z, same.odds_ratio]).all()
    assert (same.d_av, same.superiority, same.h) == (0, 0.5, 0)
    constant = ll.effect_sizes([0.1, 0.3, 0.2], [0.2, 0.4, 0.3])
    assert (constant.d_z, constant.superiority) == (np.inf, 1)
    assert constant.d_av == pytest.approx(1)
    assert ll.effect_sizes([0.2, 0.4, 0.3], [0.1, 0.3, 0.2]).d_z == -np.inf
    assert ll.effect_sizes(*_answers(0, 3, both=1)).odds_ratio == np.inf
    assert ll.effect_sizes(*_answers(3, 0, both=1)).odds_ratio == 0


def test_printed_effect_sizes_and_table(films):
    found = ll.effect_sizes(*films)
    assert str(found) == (
        f"{found.comparison}; d_z {found.d_z:.2f}, d_av {found.d_av:.2f}, superiority "
        f"{found.superiority:.2f}, h {found.h:.2f}, odds_ratio {found.odds_ratio:.2f}"
    )
    assert str(ll.effect_sizes(ZEROS, DARWIN)).endswith("superiority 0.87")
    row = found.to_frame()
    names = [field.name for field in fields(found)[1:]]
    assert list(row.columns) == [*found.comparison.to_frame().columns, *names]
    assert len(row) == 1
    assert [row.loc[0, name] for name in names] == [getattr(found, name) for name in names]


def test_an_effect_size_can_be_bootstrapped(films):
    a, b, labels = films
    interval = ll.bootstrap_interval(
        lambda x, y: ll.effect_sizes(x, y).d_av,
        a,
        b,
        cluster=labels,
        rng=np.random.default_rng(0),
        resamples=99,
    )
    assert interval.estimate == pytest.approx(ll.effect_sizes(a, b).d_av)
    assert interval.low < interval.estimate < interval.high


# Size, by simulation ------------------------------------------------------------------------------

DRAWS = 8_000


def _error(p, draws=DRAWS):
    """Return four Monte-Carlo standard errors of a share `p` among `draws`."""
    return 4 * np.sqrt(p * (1 - p) / draws)


def _layout(sizes):
    return np.repeat(np.arange(len(sizes)), sizes)


def _simulated(labels, seed=0, spread=0.5):
    """Draw the differences of two equal systems' right and wrong answers, of shape (draws, items).

    An item is as hard for both; each system finds a whole cluster harder or easier by `spread`.
    """
    rng = np.random.default_rng(seed)
    shape, groups = (DRAWS, len(labels)), labels.max() + 1
    hard = rng.standard_normal(shape)
    a, b = (
        hard + rng.standard_normal(shape) + spread * rng.standard_normal((DRAWS, groups))[:, labels]
        > -0.8
        for _ in "ab"
    )
    return b.astype(float) - a


def _sums(d, labels):
    return np.add.reduceat(d, np.unique(labels, return_index=True)[1], axis=1)


def _p_compare(d, labels):
    t, df, _ = _t(d, labels, 0)
    return 2 * stats.t.sf(abs(t), df)


def _t(d, labels, truth):
    """Return t, its degrees of freedom and the standard error of many draws at once."""
    n, groups = d.shape[1], labels.max() + 1
    mean = d.mean(axis=1)
    error = _sums(d - mean[:, None], labels)
    se = np.sqrt(groups / (groups - 1) * (error**2).sum(axis=1)) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == truth, 0, (mean - truth) / se)
    return t, groups - 1, se


def _p_mcnemar(d, exact):
    b, a = (d > 0).sum(axis=1), (d < 0).sum(axis=1)
    if exact:
        return np.minimum(2 * stats.binom.cdf(np.minimum(a, b), a + b, 0.5), 1)
    return stats.chi2.sf((b - a) ** 2 / np.maximum(a + b, 1), 1)


def _p_permutation(d, labels):
    """All sign patterns of up to 12 clusters."""
    groups = labels.max() + 1
    signs = 1 - 2 * ((np.arange(2**groups)[:, None] >> np.arange(groups)) & 1)
    sums = _sums(d, labels)
    null, seen = sums @ signs.T, sums.sum(axis=1)[:, None]
    sides = (null >= seen - 1e-9).mean(axis=1), (null <= seen + 1e-9).mean(axis=1)
    return np.minimum(2 * np.minimum(*sides), 1)


def _checked(p, d, test, draws=6):
    """Return `p`, after a check that on the first draws it is what the library computes."""
    for k in range(draws):
        assert p[k] == pytest.approx(test(np.zeros(d.shape[1]), d[k]).p_value, rel=1e-6, abs=1e-12)
    return p


def _as_answers(d, **options):
    """Return McNemar's test of the answers that differ by `d`."""
    return ll.mcnemar_test((d < 0) * 1, (d > 0) * 1, **options)


@pytest.mark.parametrize(
    ("n", "exact", "size"),
    [(100, True, 0.030), (100, False, 0.053), (1_000, True, 0.043), (1_000, False, 0.050)],
)
def test_size_of_mcnemars_tests_of_independent_items(n, exact, size):
    """With 28% of the items discordant, by the sum over all tables and by simulation."""
    assert ll.accuracy_power(n, 0.14, 0.14, exact=exact).power == pytest.approx(size, abs=6e-4)
    u = np.random.default_rng(0).random((DRAWS, n))
    d = (u < 0.14) * 1.0 - (u > 0.86)
    p = _p_mcnemar(d, exact)
    for k in range(6):
        assert p[k] == pytest.approx(_as_answers(d[k], exact=exact).p_value, rel=1e-9)
    assert np.mean(p <= 0.05) == pytest.approx(size, abs=_error(size))


def test_clusters_break_mcnemar_and_not_the_clustered_tests():
    """100 clusters of 10 items, said to be independent: a size of .13 to .15 at 5%."""
    labels = _layout([10] * 100)
    d = _simulated(labels)
    variance, shared = d.var(), (_sums(d, labels) / 10).var()
    correlation = (shared - variance / 10) / (variance - variance / 10)
    assert correlation == pytest.approx(0.09, abs=0.01)
    naive = _p_mcnemar(d, exact=True)
    for k in range(3):  # every item its own cluster: the way round the refusal
        own = np.arange(1_000)
        assert naive[k] == pytest.approx(_as_answers(d[k], cluster=own).p_value, rel=1e-9)
    assert np.mean(naive <= 0.05) == pytest.approx(0.130, abs=_error(0.130))
    assert np.mean(_p_mcnemar(d, exact=False) <= 0.05) == pytest.approx(0.141, abs=_error(0.141))

    p = _checked(_p_compare(d, labels), d, lambda a, b: ll.compare(a, b, labels))
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=_error(0.05))
    p = stats.wilcoxon(_sums(d, labels) / 10, axis=1).pvalue
    _checked(p, d, lambda a, b: ll.wilcoxon_test(a, b, labels))
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=_error(0.05))


@pytest.mark.parametrize(
    ("sizes", "flips", "t_test"),
    [
        ([10] * 5, 0.0, 0.050),
        ([10] * 6, 0.0095, 0.051),
        ([10] * 10, 0.031, 0.049),
        ([45] + [5] * 9, 0.025, 0.147),
    ],
    ids=["5", "6", "10", "one holds half"],
)
def test_sign_flips_keep_their_size_with_few_or_unequal_clusters(sizes, flips, t_test):
    """The t-test does not if one cluster holds half of the items."""
    labels = _layout(sizes)
    d = _simulated(labels, seed=1)
    p = _checked(_p_permutation(d, labels), d, lambda a, b: ll.permutation_test(a, b, labels))
    size = np.mean(p <= 0.05)
    assert size < 0.05
    assert size == pytest.approx(flips, abs=_error(flips))
    assert np.mean(_p_compare(d, labels) <= 0.05) == pytest.approx(t_test, abs=_error(t_test))


@pytest.mark.parametrize("sizes", [[10] * 20, [95] + [5] * 19], ids=["equal", "one holds half"])
def test_wilcoxon_keeps_its_size_with_20_clusters(sizes):
    """Normal scores; the t-test calls .25 of equal systems different if one cluster holds half."""
    labels, rng = _layout(sizes), np.random.default_rng(0)
    d = rng.normal(size=(DRAWS, 20))[:, labels] + rng.normal(size=(DRAWS, len(labels)))
    p = stats.wilcoxon(_sums(d, labels) / sizes, axis=1).pvalue
    _checked(p, d, lambda a, b: ll.wilcoxon_test(a, b, labels))
    assert np.mean(p <= 0.05) == pytest.approx(0.049, abs=_error(0.049))
    t_test = 0.05 if sizes[0] == 10 else 0.25
    assert np.mean(_p_compare(d, labels) <= 0.05) == pytest.approx(t_test, abs=_error(t_test))


@pytest.mark.parametrize(
    ("n", "ranks", "t_test"), [(10, 0.089, 0.099), (100, 0.380, 0.059), (400, 0.899, 0.053)]
)
def test_skewed_differences_of_mean_zero(n, ranks, t_test):
    """The means are equal and the medians are not, and it is the latter that ranks find."""
    labels = np.arange(n)
    d = 1 - np.random.default_rng(0).exponential(size=(DRAWS, n))
    p = stats.wilcoxon(d, axis=1).pvalue
    _checked(p, d, ll.wilcoxon_test)
    assert np.mean(p <= 0.05) == pytest.approx(ranks, abs=_error(ranks))
    p = _checked(_p_compare(d, labels), d, ll.compare)
    assert np.mean(p <= 0.05) == pytest.approx(t_test, abs=_error(t_test))
    if n == 10:  # sign flips need symmetry as well
        flipped = _checked(_p_permutation(d, labels), d, ll.permutation_test)
        assert np.mean(flipped <= 0.05) == pytest.approx(0.094, abs=_error(0.094))


def test_power_with_heavy_tails():
    """50 differences of Student's t(3), shifted by 0.6: ranks see what the mean's noise hides."""
    d = np.random.default_rng(0).standard_t(3, size=(DRAWS, 50))
    for shift, ranks, t_test in ((0.6, 0.89, 0.74), (0, 0.05, 0.043)):
        p = stats.wilcoxon(d + shift, axis=1).pvalue
        assert np.mean(p <= 0.05) == pytest.approx(ranks, abs=_error(ranks))
        p = _p_compare(d + shift, np.arange(50))
        assert np.mean(p <= 0.05) == pytest.approx(t_test, abs=_error(t_test))


def test_power_on_right_and_wrong_answers():
    """5 and 15 of 100 items: the exact test finds less than the t-test, the χ² as much."""
    u = np.random.default_rng(0).random((DRAWS, 100))
    d = (u < 0.15) * 1.0 - (u > 0.95)
    for p, power in (
        (_p_mcnemar(d, exact=True), 0.55),
        (_p_mcnemar(d, exact=False), 0.64),
        (_p_compare(d, np.arange(100)), 0.64),
    ):
        assert np.mean(p <= 0.05) == pytest.approx(power, abs=_error(power))


def _p_margin(d, labels, margin, both):
    lower, df, _ = _t(d, labels, -margin)
    upper, _, _ = _t(d, labels, margin)
    return stats.t.sf(np.minimum(lower, -upper) if both else lower, df)


@pytest.mark.parametrize(
    ("sizes", "of_se", "size"),
    [
        ([1] * 10, 2, 0.038),
        ([1] * 10, 3, 0.05),
        ([1] * 100, 2, 0.039),
        ([1] * 100, 3, 0.05),
        ([10] * 5, 6, 0.05),
        ([45] + [5] * 9, 6, 0.141),
    ],
)
def test_size_at_the_margin(sizes, of_se, size):
    """Systems that differ by just the margin, which is a number of true standard errors."""
    labels, n = _layout(sizes), sum(sizes)
    rng = np.random.default_rng(n)
    shared = 1.0 if max(sizes) > 1 else 0.0
    d = shared * rng.normal(size=(DRAWS, len(sizes)))[:, labels] + rng.normal(size=(DRAWS, n))
    margin = of_se * np.sqrt(shared * np.sum(np.square(sizes)) / n**2 + 1 / n)
    for both, test in ((True, ll.equivalence_test), (False, ll.noninferiority_test)):
        at = d + margin if both else d - margin
        p = _p_margin(at, labels, margin, both)
        _checked(p, at, lambda a, b, test=test: test(a, b, margin, labels))
        expected = size if both or size > 0.05 else 0.05
        assert np.mean(p <= 0.05) == pytest.approx(expected, abs=_error(expected))


@pytest.mark.parametrize(("of_se", "power"), [(2, 0.26), (3, 0.82)])
def test_power_of_equivalence_for_equal_systems(of_se, power):
    d = np.random.default_rng(0).normal(size=(DRAWS, 100))
    p = _p_margin(d, np.arange(100), of_se / 10, both=True)
    assert np.mean(p <= 0.05) == pytest.approx(power, abs=_error(power))


@pytest.mark.parametrize(("n", "size"), [(20, 0.36), (50, 0.08), (100, 0.12)])
def test_few_discordant_items_make_false_equivalence(n, size):
    """Exactly, over every count of items that b loses: 5% in truth, which is the margin."""
    called = []
    for lost in range(n + 1):
        a, b = _answers(lost, 0, both=n - lost)
        called.append(ll.equivalence_test(a, b, 0.05).p_value <= 0.05)
    assert called[0]  # no item differs: p is 0 for any margin
    assert stats.binom.pmf(range(n + 1), n, 0.05) @ called == pytest.approx(size, abs=0.005)
    assert ll.equivalence_test([1, 0, 1], [1, 0, 1], 1e-9).p_value == 0


# Records, errors, examples ------------------------------------------------------------------------


@clustered
def test_records_are_matched_and_bring_their_clusters(test, films):
    a, b, labels = films
    first, second = _records("first", a, labels), _records("second", b, labels)
    found = test(first, second)
    assert str(found).replace("second", "b").replace("first", "a") == str(test(a, b, labels))
    assert str(test(first, second.sample(frac=1, random_state=0))) == str(found)
    own = str(test(first, second, first.item_id)).replace("second", "b").replace("first", "a")
    assert own == str(test(a, b)) != str(test(a, b, labels))
    row = found.to_frame()
    assert [row.loc[0, "n"], row.loc[0, "n_clusters"], len(row)] == [60, 9, 1]


@every
@pytest.mark.parametrize(
    ("a", "b", "cluster", "message"),
    [
        ([], [], None, r"score of a: expected one row of numbers, found shape \(0,\)"),
        ([1, 0, 1], [1, 0], None, "a has 3 scores and b 2; a paired comparison needs"),
        ([1, np.nan, 1], [1, 0, 1], None, "score of a: 1 of 3 values are missing"),
        ([1, 0], [0, 1], [1, 2, 3], r"cluster= has shape \(3,\), but there are 2 scores"),
        ([1, 0], [0, 1], ["x", None], "cluster= has missing labels"),
        ([1, 0, 1], _records("b", [1, 0, 1], [0, 1, 2]), None, "a and b must be of one kind"),
        (
            _records("a", [1, 0], [0, 1]),
            _records("b", [1, 0, 1], [0, 1, 2]),
            None,
            "'item_id': 1 items of b are not in a, such as 'i2'",
        ),
    ],
)
def test_unusable_input(test, a, b, cluster, message):
    with pytest.raises(ValueError, match=message):
        test(a, b, cluster)


@clustered
def test_a_single_cluster(test):
    with pytest.raises(ValueError, match=r"all 3 items lie in one cluster: .* a finer cluster="):
        test([1, 0, 1], [0, 1, 1], ["x"] * 3)


def test_examples_in_docstrings():
    found = doctest.testmod(pairs)
    assert found.failed == 0
    assert found.attempted >= 6
