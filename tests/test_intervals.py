"""Intervals of proportions: published and exact coverage, clusters, errors."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

import lleval_lib as ll
from lleval_lib.proportions import _effective_size

METHODS = ("wald", "wilson", "exact", "jeffreys", "bayes")


def _scores(k, n):
    return np.repeat([1.0, 0.0], [k, n - k])


def _all_counts(n, method):
    """Return the lower and the upper ends for every count of 0..n, checked to be the library's."""
    k = np.arange(n + 1)
    if method == "bayes":
        low, high = stats.beta.interval(0.95, k + 1, n - k + 1)
    else:
        names = {"wald": "normal", "exact": "beta"}
        low, high = proportion_confint(k, n, 0.05, names.get(method, method))
    for count in {0, 1, n // 3, n - 1, n}:
        ours = ll.proportion_interval(_scores(count, n), method=method)
        assert [ours.low, ours.high] == pytest.approx([low[count], high[count]], abs=1e-12)
        assert (ours.estimate, ours.n, ours.n_clusters) == (pytest.approx(count / n), n, n)
    return low, high


def _exact_coverage(ends, n, p):
    """Sum the binomial probabilities, at each p, of the counts whose interval holds it."""
    low, high = (end[:, None] for end in ends)
    k = np.arange(n + 1)[:, None]
    return (stats.binom.pmf(k, n, p) * ((low <= p) & (p <= high))).sum(axis=0)


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
    covered = _exact_coverage(_all_counts(n, method), n, p)
    assert covered == pytest.approx(published, abs=5e-4)


# The docstring's table: lowest and mean coverage over p from .05 to .95.
TABLE = {
    "wald": [(0.400, 0.831), (0.782, 0.918), (0.874, 0.940)],
    "wilson": [(0.893, 0.956), (0.921, 0.953), (0.927, 0.951)],
    "exact": [(0.961, 0.983), (0.951, 0.972), (0.950, 0.963)],
    "jeffreys": [(0.868, 0.952), (0.888, 0.948), (0.927, 0.949)],
    "bayes": [(0.882, 0.958), (0.920, 0.953), (0.926, 0.951)],
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("place", range(3))
def test_coverage_in_the_docstring(method, place):
    """Coverage jumps at the ends of intervals and between them has no inner minimum: look there."""
    n = (10, 30, 100)[place]
    ends = _all_counts(n, method)
    beside = np.concatenate([[0.05, 0.95], *(end + step for end in ends for step in (-1e-9, 1e-9))])
    inside = beside[(beside >= 0.05) & (beside <= 0.95)]
    middles = 0.05 + 0.9 * (np.arange(4_000) + 0.5) / 4_000
    lowest, mean = TABLE[method][place]
    assert _exact_coverage(ends, n, inside).min() == pytest.approx(lowest, abs=6e-4)
    assert _exact_coverage(ends, n, middles).mean() == pytest.approx(mean, abs=6e-4)
    row = next(r for r in ll.proportion_interval.__doc__.splitlines() if r.split()[:1] == [method])
    assert [float(x) for x in row.split()[1:]] == [x for pair in TABLE[method] for x in pair]


@pytest.mark.parametrize("n", [10, 100])
def test_near_0_and_1(n):
    """As the docstring says: "exact" holds everywhere, "wilson" falls to .84, two others to 0."""
    p = np.concatenate([np.geomspace(1e-9, 0.05, 4_000), 1 - np.geomspace(1e-9, 0.05, 4_000)])
    lowest = {m: _exact_coverage(_all_counts(n, m), n, p).min() for m in METHODS[1:]}
    assert lowest["exact"] >= 0.95
    assert lowest["wilson"] == pytest.approx(0.84, abs=6e-3)
    assert lowest["jeffreys"] == pytest.approx(0, abs=1e-6)
    assert lowest["bayes"] == pytest.approx(0, abs=1e-6)


def test_none_of_a_hundred():
    """Published: the one-sided 95% upper bound is .0295, for (1 - p)^100 = .05."""
    found = ll.proportion_interval(np.zeros(100), method="exact", confidence=0.9)
    assert found.high == pytest.approx(0.0295, abs=5e-5)
    assert found.high == pytest.approx(1 - 0.05 ** (1 / 100), rel=1e-9)
    assert found.low == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_scores(method, value):
    """Only Wald's interval has no width; n_eff is the number of clusters; se is not known."""
    scores = np.full(60, value)
    alone = ll.proportion_interval(scores[:12], method=method)
    found = ll.proportion_interval(scores, np.arange(60) // 5, method=method)
    assert [found.low, found.high] == pytest.approx([alone.low, alone.high], rel=1e-12)
    assert np.isnan(found.se)
    assert found.estimate == value
    assert found.high - found.low > 0.1 or method == "wald"
    if method == "wald":
        assert found.low == found.high == value
    assert "nan" not in str(found)


# Clusters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_duplicated_items_add_nothing(method):
    """The SE stays, and n_eff is 30 again, but for n - 1 and what Student's t costs by definition.

    Without clusters n_eff is n and the interval has no t in it; that is why the one of the copies
    is a little wider, and never narrower, than the one of the items.
    """
    once = ll.proportion_interval(_scores(23, 30), method=method)
    copies, labels = np.repeat(_scores(23, 30), 4), np.repeat(np.arange(30), 4)
    found = ll.proportion_interval(copies, labels, method=method)
    assert found.se == pytest.approx(once.se, rel=1e-12)
    assert (found.n, found.n_clusters) == (120, 30)
    ratio = stats.t.ppf(0.975, 29) / stats.t.ppf(0.975, 119)
    size = _effective_size(ll.mean_interval(copies, labels))
    assert size == pytest.approx(120 * 29 / 119 / ratio**2, rel=1e-9)
    width = once.high - once.low
    assert width < found.high - found.low < 1.06 * width
    naive = ll.proportion_interval(copies, method=method)
    assert naive.high - naive.low < 0.65 * width


def test_clusters_more_alike_than_by_chance_gain_nothing():
    """Such as cases and their opposites: n_eff stays n, since max(1, …) allows no more."""
    scores = np.tile([1.0, 0.0], 50)  # every cluster has half: the clustered SE is 0
    found = ll.proportion_interval(scores, np.arange(100) // 10)
    assert found.se == pytest.approx(0, abs=1e-12)
    plain = ll.proportion_interval(scores)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), rel=1e-12)


def test_effective_size_is_the_formula_of_the_module():
    rng = np.random.default_rng(7)
    labels = np.repeat(np.arange(12), 8)
    scores = (rng.random(96) < rng.random(12)[labels]).astype(float)
    p, se = scores.mean(), ll.mean_interval(scores, labels).se
    design_effect = se**2 / (p * (1 - p) / 95)
    assert design_effect > 1.5
    ratio = stats.t.ppf(0.975, 11) / stats.t.ppf(0.975, 95)
    size = 96 / (design_effect * ratio**2)
    assert _effective_size(ll.mean_interval(scores, labels)) == pytest.approx(size, rel=1e-9)
    found = ll.proportion_interval(scores, labels, method="jeffreys")
    low, high = stats.beta.interval(0.95, p * size + 0.5, (1 - p) * size + 0.5)
    assert [found.low, found.high] == pytest.approx([low, high], rel=1e-9)
    assert found.se == se


def _wilson_of(scores, sizes):
    """Return the clustered Wilson intervals of many draws, and the t intervals, by the formulas."""
    n, groups, starts = sum(sizes), len(sizes), np.cumsum(sizes) - sizes
    p = scores.mean(axis=1)
    error = np.add.reduceat(scores - p[:, None], starts, axis=1)
    se = np.sqrt(groups / (groups - 1) * (error**2).sum(axis=1)) / n
    t = stats.t.ppf(0.975, groups - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        loss = se**2 * (n - 1) / (p * (1 - p)) * (t / stats.t.ppf(0.975, n - 1)) ** 2
    size = np.where((p == 0) | (p == 1), groups, n / np.fmax(1, loss))
    low, high = proportion_confint(p * size, size, 0.05, "wilson")
    labels = np.repeat(np.arange(groups), sizes)
    for k in range(10):
        ours = ll.proportion_interval(scores[k], labels)
        assert [ours.low, ours.high] == pytest.approx([low[k], high[k]], abs=1e-9)
    return (low, high), (p - t * se, p + t * se), proportion_confint(p * n, n, 0.05, "wilson")


@pytest.mark.parametrize(
    ("sizes", "p", "wilson", "t", "naive"),
    [
        ([10] * 5, 0.5, 0.95, 0.94, 0.65),
        ([10] * 5, 0.8, 0.94, 0.87, 0.68),
        ([10] * 5, 0.95, 0.98, 0.67, 0.85),
        ([10] * 10, 0.5, 0.96, 0.95, 0.67),
        ([10] * 10, 0.8, 0.94, 0.91, 0.67),
        ([10] * 10, 0.95, 0.98, 0.77, 0.74),
        ([10] * 30, 0.5, 0.95, 0.95, 0.67),
        ([10] * 30, 0.8, 0.95, 0.94, 0.69),
        ([10] * 30, 0.95, 0.91, 0.87, 0.70),
        ([290] + [10] * 29, 0.5, 0.75, 0.70, 0.18),
        ([290] + [10] * 29, 0.8, 0.72, 0.69, 0.17),
        ([290] + [10] * 29, 0.95, 0.74, 0.66, 0.30),
    ],
)
def test_coverage_with_clusters(sizes, p, wilson, t, naive):
    """The docstring's figures: a beta-binomial with an intraclass correlation of .3."""
    rng = np.random.default_rng(0)
    draws = 4_000
    rate = rng.beta(p * 0.7 / 0.3, (1 - p) * 0.7 / 0.3, (draws, len(sizes)))
    scores = (rng.random((draws, sum(sizes))) < np.repeat(rate, sizes, axis=1)).astype(float)
    for (low, high), said in zip(_wilson_of(scores, sizes), (wilson, t, naive), strict=True):
        error = 4 * np.sqrt(said * (1 - said) / draws) + 0.005  # it is said to two decimals
        assert np.mean((low <= p) & (p <= high)) == pytest.approx(said, abs=error)


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ([1, 0, 0.5], {}, "scores hold 0.5, but a proportion counts zeros and ones: use mean_int"),
        ([1, 0, 2], {}, "scores hold 2, but"),
        ([1, 0], {"method": "normal"}, "method must be one of wald, wilson, .*, not 'normal'"),
        ([1, 0], {"confidence": 95}, "confidence must lie between 0 and 1"),
        ([1, np.nan], {}, "scores: 1 of 2 values are missing"),
        ([1, 0], {"cluster": ["x", "x"]}, "all 2 items lie in one cluster"),
        ([1, 0], {"cluster": ["x"]}, r"cluster= has shape \(1,\), but there are 2 scores"),
        ([], {}, "scores: expected one row of numbers"),
    ],
)
def test_errors(scores, options, message):
    with pytest.raises(ValueError, match=message):
        ll.proportion_interval(scores, **options)
