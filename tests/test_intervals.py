"""Intervals of a mean, a ratio, a macro average, a proportion: published values, coverage."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from builders import clustered, four_errors, holds, near, same
from lm_eval.api.metrics import pooled_sample_stderr, unweighted_mean_stderr
from scipy import stats
from statsmodels.api import WLS

import lleval_lib as ll
from lleval_lib.proportions import effective_size

# A mean -------------------------------------------------------------------------------------------


def test_without_clusters_it_is_the_textbook_interval():
    scores, _ = clustered()
    found = ll.mean_interval(scores, confidence=0.9)
    low, high = stats.t.interval(0.9, 59, scores.mean(), stats.sem(scores))
    same(found, ll.Interval(scores.mean(), stats.sem(scores), low, high, 59, 60, 60, 0.9))


@cache
def _all_counts(interval, n, **options):
    """Return both ends of the intervals of 0 to n right answers among n."""
    found = [interval(np.arange(n) < k, **dict(options)) for k in range(n + 1)]
    return np.array([[i.low, i.high] for i in found]).T


def _exact_coverage(ends, p):
    """Sum the binomial probabilities, at each p, of the counts whose interval holds it."""
    low, high = ends[:, :, None]
    k = np.arange(len(low))[:, None]
    return (stats.binom.pmf(k, len(k) - 1, p) * ((low <= p) & (p <= high))).sum(axis=0)


@pytest.mark.parametrize(
    ("n", "p", "covered"),
    [(17, 0.5, 0.951), (30, 0.2, 0.946), (10, 0.1, 0.650)],
)
def test_exact_coverage_of_few_answers(n, p, covered):
    """Published for Wald's interval (Brown, Cai & DasGupta 2001), and the same for these counts.

    Ours has s²/n and Student's t in place of p(1 - p)/n and the normal: it covers the same counts
    here, but more of them at (40, .5) and (592, .005). The last is what the docstring warns of.
    """
    ends = _all_counts(ll.mean_interval, n)
    assert _exact_coverage(ends, p) == pytest.approx(covered, abs=5e-4)


def test_exact_coverage_of_a_thousand_answers():
    covered = _exact_coverage(_all_counts(ll.mean_interval, 1_000), np.array([0.5, 0.75, 0.9]))
    np.testing.assert_allclose(covered, 0.95, atol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("groups", [5, 40])
def test_coverage_with_clusters(groups):
    """With equal clusters of normal scores, even 5 are enough; that it is t(4) is what makes it so.

    The naive interval, which takes items for independent, covers far less than it says: its
    standard error is too small by the square root of the design effect 1 + 9/2, so that it covers
    P(|Z| < 1.96 / 2.345) = 0.60.
    """
    rng, labels = np.random.default_rng(groups), np.repeat(np.arange(groups), 10)
    held, naive = [], []
    for _ in range(1_000):
        scores = rng.normal(size=groups)[labels] + rng.normal(size=10 * groups)
        held.append(holds(ll.mean_interval(scores, cluster=labels), 0))
        naive.append(holds(ll.mean_interval(scores), 0))
    assert np.mean(held) == near(0.95, 1_000)
    assert np.mean(naive) == near(0.60, 1_000)


@pytest.mark.parametrize("sizes", [[25, 7, 6, 6, 6], [300, 150, 100, 75, 60, 50, 43, 37]])
def test_few_unequal_clusters_cover_what_they_say(sizes):
    """One of them holds half of the items; without CR2 and its df the first covers .85."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(len(sizes)), sizes)
    draws = [rng.normal(size=len(sizes))[labels] + rng.normal(size=sum(sizes)) for _ in range(1000)]
    found = [ll.mean_interval(scores, cluster=labels) for scores in draws]
    assert 0.93 < np.mean([holds(interval, 0) for interval in found]) < 0.975
    assert all("effective clusters" in interval.warning for interval in found)
    today = stats.t.isf(0.025, len(sizes) - 1)
    plain = []
    for scores in draws:
        sums = np.bincount(labels, scores - scores.mean())
        se = np.sqrt(len(sizes) / (len(sizes) - 1) * (sums**2).sum()) / len(labels)
        plain.append(abs(scores.mean()) <= today * se)
    assert np.mean(plain) < 0.91


@pytest.mark.parametrize(
    ("scores", "cluster", "warning"),
    [
        ([1, 0] * 20, None, ""),
        ([1, 0, 1, 1], None, "near 1: see proportion_interval"),
        ([1] * 95 + [0] * 5, None, "near 1: see proportion_interval"),
        ([1] * 180 + [0] * 20, None, ""),
        ([1] * 9, None, "all scores are equal: see proportion_interval"),
        ([0.5] * 9, None, "all scores are equal"),
        ([0.2, 0.5, 0.9, 0.4], None, "only 4 items"),
        (np.arange(40.0), np.arange(40) // 8, "only 5 effective clusters"),
        (np.arange(40.0), np.minimum(np.arange(40), 11), "only 2.8 effective clusters"),
        (np.exp(np.arange(40.0)), None, "skewed scores"),
    ],
)
def test_a_result_says_where_it_is_not_to_be_trusted(scores, cluster, warning):
    found = ll.mean_interval(scores, cluster=cluster)
    assert found.warning == warning
    assert str(found).endswith(f"\n  warning: {warning}" if warning else ")")
    assert np.isnan(found.low) == (np.ptp(scores) == 0)


# A ratio ------------------------------------------------------------------------------------------


def test_a_ratio_over_equal_denominators_is_a_mean():
    scores, labels = clustered()
    for cluster in (None, labels):
        same(
            ll.ratio_interval(scores, np.ones(60), cluster=cluster),
            ll.mean_interval(scores, cluster=cluster),
        )


def test_a_ratio_agrees_with_its_bootstrap_and_weighted_regression():
    rng = np.random.default_rng(5)
    x = rng.lognormal(size=400)
    y = 3 * x + rng.normal(size=400) * np.sqrt(x)
    labels = rng.integers(0, 80, 400)
    found = ll.ratio_interval(y, x, cluster=labels)
    again = ll.bootstrap_interval(
        lambda y, x: y.sum() / x.sum(), y, x, cluster=labels, rng=rng, resamples=4000
    )
    assert found.estimate == again.estimate
    assert found.se == pytest.approx(again.se, rel=0.05)
    assert (found.low, found.high) == pytest.approx((again.low, again.high), abs=0.02)
    # R is the slope of a regression through the origin with weights 1/x.
    fit = WLS(y, x, 1 / x).fit(cov_type="cluster", cov_kwds={"groups": labels})
    assert found.estimate == pytest.approx(fit.params[0])
    assert found.se == pytest.approx(fit.bse[0], rel=0.02)


def test_a_weighted_mean_is_a_ratio():
    # Its error is w(d - mean): the spread of the weights alone is no error of the mean.
    weights = np.array([1.0, 9.0, 1.0, 4.0] * 5)
    assert ll.ratio_interval(0.3 * weights, weights).warning == "all items have one ratio"
    assert ll.ratio_interval(0.3 * weights, weights).se == 0


@pytest.mark.parametrize("groups", [12, 60])
def test_coverage_of_a_ratio(groups):
    rng = np.random.default_rng(groups)
    sizes = 1 + rng.zipf(2, groups).clip(max=8)
    labels, draws = np.repeat(np.arange(groups), sizes), 1500
    held = 0
    for _ in range(draws):
        x = rng.integers(5, 60, len(labels)).astype(float)
        y = x * (2 + 0.3 * rng.normal(size=groups)[labels]) + rng.normal(size=len(x)) * 3
        held += holds(ll.ratio_interval(y, x, cluster=labels), 2)
    assert 0.92 < held / draws < 0.975


@pytest.mark.parametrize(
    ("y", "x", "said"),
    [
        ([1, 2], [1, -1], "denominator must be positive, found -1; a weight may be 0"),
        ([1, 2], [0, 0], "denominator must be positive, found 0"),
        ([1, 1], [1, 0], "denominator is 0 but in one cluster"),
        ([1, 2], [1, 2, 3], "numerator has 2 values and denominator 3"),
        ([1, 2], [1, np.nan], "denominator: 1 of 2 values are missing"),
    ],
)
def test_ratios_that_are_none(y, x, said):
    with pytest.raises(ValueError, match=said):
        ll.ratio_interval(y, x)


# A macro average ----------------------------------------------------------------------------------


def test_published_macro_average():
    """SEs .05 on n = 100 and .005 on n = 10,000: .02512, and not the pooled .00498 of lm-eval."""
    sizes, errors = [100, 10_000], [0.05, 0.005]
    # Half up and half down, with exactly these standard errors.
    scores = [
        np.tile([1.0, -1.0], n // 2) * se * np.sqrt(n - 1)
        for n, se in zip(sizes, errors, strict=True)
    ]
    assert [ll.mean_interval(s).se for s in scores] == pytest.approx(errors, rel=1e-9)
    found = ll.macro_interval(np.concatenate(scores), np.repeat(["small", "large"], sizes))
    assert found.se == pytest.approx(0.02512, abs=5e-6)
    assert pooled_sample_stderr(errors, sizes) == pytest.approx(0.00498, abs=5e-6)
    # lm-eval 0.4.13 pools only for means weighted by size (its pull request 3882).
    assert found.se == pytest.approx(unweighted_mean_stderr(errors), rel=1e-9)
    assert (found.n, found.n_clusters) == (10_100, 10_100)
    # The pooled error belongs to the mean of all items, where every item counts the same.
    together = ll.mean_interval(np.concatenate(scores)).se
    assert together == pytest.approx(pooled_sample_stderr(errors, sizes), rel=1e-3)


@pytest.fixture
def subjects():
    """Return scores, groups and clusters: four groups of unequal size with 4 to 7 clusters."""
    rng = np.random.default_rng(2)
    group = np.repeat(list("abcd"), [30, 50, 80, 20])
    cluster = np.array([f"{g}{rng.integers(4 + i % 4)}" for i, g in enumerate(group)])
    shift = {c: rng.normal() for c in np.unique(cluster)}
    return rng.normal(size=180) + [shift[c] for c in cluster], group, cluster


def test_it_is_made_of_the_groups_intervals(subjects):
    scores, group, cluster = subjects
    found = ll.macro_interval(scores, group, cluster=cluster, confidence=0.9)
    parts = [ll.mean_interval(scores[group == g], cluster=cluster[group == g]) for g in "abcd"]
    variance = np.array([part.se**2 for part in parts])
    mean, se = np.mean([part.estimate for part in parts]), np.sqrt(variance.sum()) / 4
    df = variance.sum() ** 2 / (variance**2 / [part.df for part in parts]).sum()
    low, high = stats.t.interval(0.9, df, mean, se)
    warning = f"only {df + 1:.2g} effective clusters"
    same(found, ll.Interval(mean, se, low, high, df, 180, len(set(cluster)), 0.9, warning))
    assert found.estimate != pytest.approx(scores.mean(), abs=1e-3)


def test_degrees_of_freedom_are_those_of_welchs_test():
    """Of x and -y in two groups, the macro average is half the difference of the two means."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=9), rng.normal(scale=3, size=25)
    found = ll.macro_interval(np.concatenate([x, -y]), np.repeat(["x", "y"], [9, 25]))
    theirs = stats.ttest_ind(x, y, equal_var=False)
    assert (2 * found.low, 2 * found.high) == pytest.approx(tuple(theirs.confidence_interval()))
    assert found.df == pytest.approx(theirs.df)


def test_macro_averages_that_are_plain_or_repeated(subjects):
    scores, group, cluster = subjects
    plain = ll.mean_interval(scores, cluster=cluster)
    same(ll.macro_interval(scores, ["all"] * 180, cluster=cluster), plain)
    once, copies = ll.macro_interval(scores, group), np.repeat(range(180), 3)
    found = ll.macro_interval(scores[copies], group[copies], cluster=copies)
    assert (found.se, found.low) == pytest.approx((once.se, once.low), rel=1e-9)
    assert found.n_clusters == 180
    still = ll.macro_interval([1, 1, 0, 0], list("aabb"))
    assert (still.estimate, still.se, still.df) == (0.5, 0, 2)
    assert 0 < still.low < 0.2 < 0.8 < still.high < 1  # Wilson's, of two right and of two wrong
    still = ll.macro_interval([1, 1, 0.5, 0.5, 0.2, 0.2], list("aabbcc"))
    assert np.isnan([still.low, still.high]).all()
    assert still.warning == "3 of 3 groups show no spread"


def test_groups_by_the_name_of_a_column(subjects):
    scores, group, cluster = subjects
    table = pd.DataFrame(
        {
            **{"system": "s", "task": "t", "item_id": [f"i{k}" for k in range(180)]},
            **{"cluster": cluster, "target": "yes", "score": scores, "subject": group},
        }
    )
    found = ll.macro_interval(scores, group, cluster=cluster)
    same(ll.macro_interval(table, "subject"), found)
    same(ll.macro_interval(table, table.subject.astype("category")), found)
    same(ll.macro_interval(table.sample(frac=1, random_state=0), "subject"), found)
    with pytest.raises(LookupError, match="group='topic' is no column of the records; there are"):
        ll.macro_interval(table, "topic")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "p", "said", "draws"),
    [([30] * 10, 0.8, 0.95, 200), ([10] * 10, 0.95, 0.883, 200), ([10, 10_000], 0.9, 0.95, 400)],
)
def test_coverage_of_the_macro_average(sizes, p, said, draws):
    """Also for groups of unequal size, where t covers .65; ten groups of ten are too few."""
    rng, group = np.random.default_rng(0), np.repeat(np.arange(len(sizes)), sizes)
    scores = ((rng.random(len(group)) < p) * 1.0 for _ in range(draws))
    held = [holds(ll.macro_interval(s, group), p) for s in scores]
    assert said - four_errors(said, draws) < np.mean(held) <= 1


@pytest.mark.slow
def test_a_sample_of_groups_is_another_question():
    """To speak of subjects like these, average by group: the interval holds what it must."""
    rng, group = np.random.default_rng(1), np.repeat(np.arange(12), 5)
    right, wrong, sampled = [], [], []
    for _ in range(150):
        truth = rng.normal(size=12)
        scores = truth[group] + rng.normal(size=60)
        inner = ll.macro_interval(scores, group)
        right.append(holds(inner, truth.mean()))
        wrong.append(holds(inner, 0))
        sampled.append(holds(ll.mean_interval(scores.reshape(12, 5).mean(axis=1)), 0))
    assert np.mean(right) == near(0.95, 150)
    assert np.mean(sampled) == near(0.95, 150)
    assert np.mean(wrong) < 0.75


@pytest.mark.parametrize(
    ("group", "cluster", "message"),
    [
        (list("aabb"), list("xyyz"), r"cluster= has a cluster in groups 'a' and 'b' .* place 2"),
        (list("aabb"), list("xyzz"), "group 'b' has one cluster: nothing shows how"),
        (list("aaab"), None, "group 'b' has one cluster"),
        (list("aab"), None, r"group= has shape \(3,\), but there are 4 scores; give one label"),
        ("subject", None, "group='subject' names a column, but bare scores have none"),
        (["a", "a", "b", None], None, "group= has missing labels; give an item without a group"),
    ],
)
def test_unusable_groups(group, cluster, message):
    with pytest.raises(ValueError, match=message):
        ll.macro_interval([1, 0, 1, 1], group, cluster=cluster)


# A proportion -------------------------------------------------------------------------------------

METHODS = ("wald", "wilson", "exact", "jeffreys", "bayes")
# Cluster sizes as they are often found: the gth largest is a gth of the largest.
ZIPF = [max(1, round(222 / g)) for g in range(1, 51)]


@cache
def _of_proportions(method, n):
    return _all_counts(lambda scores: ll.proportion_interval(scores, method=method), n)


@pytest.mark.parametrize(
    ("method", "n", "p", "published"),
    [
        ("wald", 17, 0.5, 0.951),
        ("wald", 40, 0.5, 0.919),
        ("wald", 30, 0.2, 0.946),
        ("wald", 10, 0.1, 0.650),
        ("wald", 592, 0.005, 0.792),
        ("wilson", 98, 0.2, 0.958),
        ("wilson", 592, 0.005, 0.969),
    ],
)
def test_published_coverage(method, n, p, published):
    """Brown, Cai & DasGupta (2001)."""
    covered = _exact_coverage(_of_proportions(method, n), p)
    assert covered == pytest.approx(published, abs=5e-4)


# Lowest and mean coverage over p from .05 to .95, for 10, 30 and 100 items.
COVERAGE = {
    "wald": [(0.400, 0.831), (0.782, 0.918), (0.874, 0.940)],
    "wilson": [(0.893, 0.956), (0.921, 0.953), (0.927, 0.951)],
    "exact": [(0.961, 0.983), (0.951, 0.972), (0.950, 0.963)],
    "jeffreys": [(0.868, 0.952), (0.888, 0.948), (0.927, 0.949)],
    "bayes": [(0.882, 0.958), (0.920, 0.953), (0.926, 0.951)],
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("place", "n"), [(0, 10), (1, 30), (2, 100)])
def test_exact_coverage_of_each_method(method, place, n):
    """Coverage jumps at the ends of intervals and between them has no inner minimum: look there."""
    ends = _of_proportions(method, n)
    beside = np.concatenate([[0.05, 0.95], *(end + step for end in ends for step in (-1e-9, 1e-9))])
    inside = beside[(beside >= 0.05) & (beside <= 0.95)]
    middles = 0.05 + 0.9 * (np.arange(4_000) + 0.5) / 4_000
    found = _exact_coverage(ends, inside).min(), _exact_coverage(ends, middles).mean()
    assert found == pytest.approx(COVERAGE[method][place], abs=6e-4)


@pytest.mark.parametrize("n", [10, 100])
def test_near_0_and_1(n):
    """ "exact" holds everywhere, "wilson" falls to .84, the two others a little lower."""
    p = np.concatenate([np.geomspace(1e-9, 0.05, 4_000), 1 - np.geomspace(1e-9, 0.05, 4_000)])
    lowest = {m: _exact_coverage(_of_proportions(m, n), p).min() for m in METHODS[1:]}
    assert lowest["exact"] >= 0.95
    assert lowest["wilson"] == pytest.approx(0.84, abs=6e-3)
    assert min(lowest["jeffreys"], lowest["bayes"]) > 0.78  # 0 without their end of 0 or 1


def test_none_of_a_hundred():
    """Published: the one-sided 95% upper bound is .0295, for (1 - p)^100 = .05."""
    found = ll.proportion_interval(np.zeros(100), method="exact", confidence=0.9)
    assert found.high == pytest.approx(0.0295, abs=5e-5)
    assert found.high == pytest.approx(1 - 0.05 ** (1 / 100), rel=1e-9)
    assert found.low == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_scores(method, value):
    """Only Wald's interval has no width; n_eff lies between clusters and items; se is not known."""
    scores = np.full(60, value)
    wide, slim = (ll.proportion_interval(scores[:n], method=method) for n in (12, 60))
    found = ll.proportion_interval(scores, cluster=np.arange(60) // 5, method=method)
    assert slim.high - slim.low <= found.high - found.low <= wide.high - wide.low
    assert np.isnan(found.se)
    assert found.low <= found.estimate <= found.high
    assert found.estimate == value
    if method == "wald":
        assert found.low == found.high == value
        assert "no certainty" in found.warning
    else:
        assert found.high - found.low > 0.1
    assert "nan" not in str(found)


def test_with_clusters_it_is_the_interval_of_the_effective_size():
    rng, labels = np.random.default_rng(7), np.repeat(np.arange(12), 8)
    scores = (rng.random(96) < rng.random(12)[labels]).astype(float)
    p, mean = scores.mean(), ll.mean_interval(scores, cluster=labels)
    n = effective_size(scores, labels)
    assert 12 < n < 40
    found = ll.proportion_interval(scores, cluster=labels, method="jeffreys")
    low, high = stats.beta.interval(0.95, p * n + 0.5, (1 - p) * n + 0.5)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert (found.estimate, found.se, found.df) == (mean.estimate, mean.se, 11)


@pytest.mark.parametrize("method", METHODS)
def test_duplicated_items_add_almost_no_information_to_a_proportion(method):
    """The SE stays; n_eff is nearly 30 again, since 30 clusters do not prove a correlation of 1."""
    scores = np.repeat([1.0, 0.0], [23, 7])
    once = ll.proportion_interval(scores, method=method)
    copies, labels = np.repeat(scores, 4), np.repeat(np.arange(30), 4)
    found = ll.proportion_interval(copies, cluster=labels, method=method)
    assert found.se == pytest.approx(once.se, rel=1e-12)
    assert (found.n, found.n_clusters) == (120, 30)
    width = once.high - once.low
    assert 0.96 * width < found.high - found.low <= width
    naive = ll.proportion_interval(copies, method=method)
    assert naive.high - naive.low < 0.65 * width


def test_clusters_more_alike_than_by_chance_gain_nothing():
    """Such as cases and their opposites: a negative correlation is not believed."""
    scores = np.tile([1.0, 0.0], 50)  # every cluster has half: the clustered SE is 0
    found = ll.proportion_interval(scores, cluster=np.arange(100) // 10)
    plain = ll.proportion_interval(scores)
    assert found.se == 0
    assert 1 < (found.high - found.low) / (plain.high - plain.low) < 1.2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "p", "t"),
    [
        ([10] * 5, 0.8, 0.87),
        ([10] * 5, 0.95, 0.67),
        ([10] * 10, 0.5, 0.95),
        ([10] * 30, 0.95, 0.87),
        ([290] + [10] * 29, 0.5, 0.98),
        (ZIPF, 0.7, 0.93),
        (ZIPF, 0.98, 0.70),
    ],
)
def test_coverage_of_a_proportion_with_clusters(sizes, p, t):
    """Simulated: a beta-binomial with an intraclass correlation of .3; t is `mean_interval`'s."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(len(sizes)), sizes)
    held = []
    for _ in range(400):
        rate = rng.beta(p * 0.7 / 0.3, (1 - p) * 0.7 / 0.3, len(sizes))
        scores = (rng.random(len(labels)) < rate[labels]) * 1.0
        intervals = (
            ll.proportion_interval(scores, cluster=labels),
            ll.mean_interval(scores, cluster=labels),
        )
        held.append([holds(interval, p) for interval in intervals])
    wilson, plain = np.mean(held, axis=0)
    assert wilson >= 0.925
    assert plain == pytest.approx(t, abs=four_errors(t, 400) + 0.005)


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ([1, 0, 0.5], {}, "scores hold 0.5, but a proportion counts zeros and ones: use mean_int"),
        ([1, 0, 2], {}, "scores hold 2, but"),
        ([1, 0], {"method": "normal"}, r"method must be one of 'wald', .*, not 'normal'"),
    ],
)
def test_what_is_no_proportion(scores, options, message):
    with pytest.raises(ValueError, match=message):
        ll.proportion_interval(scores, **options)
