"""Planning: published values, exact enumeration, and power by simulation."""

import numpy as np
import pandas as pd
import pytest
from builders import four_errors, near
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestPower

import lleval_lib as ll

# Power and the smallest effect --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "expected", "precision"),
    [
        (0.0, 0.05, 1e-12),
        (0.65, 0.10, 5e-3),  # these three are Gelman & Carlin's (2014, Figure 2)
        (1.0, 0.17, 5e-3),
        (2.0, 0.516, 1e-3),
        (2.801585, 0.80, 1e-5),
    ],
)
def test_power_of_a_normal_test(effect, expected, precision):
    assert ll.power(effect, 1.0) == pytest.approx(expected, abs=precision)
    assert ll.power(-effect / 100, 0.01) == pytest.approx(expected, abs=precision)


def test_power_counts_both_signs():
    effect, z = 0.5, stats.norm.ppf(0.95)
    both = stats.norm.sf(z - effect) + stats.norm.cdf(-z - effect)
    assert ll.power(effect, 1.0, confidence=0.9) == pytest.approx(both)


def test_power_of_a_t_test_is_that_of_statsmodels():
    n = np.array([3, 5, 10, 50, 500])
    found = ll.power(0.6, 1 / np.sqrt(n), df=n - 1)
    np.testing.assert_allclose(found, TTestPower().power(0.6, n, 0.05), rtol=1e-9)
    # Where statsmodels 0.15 has nan, for its left tail: from an effect of about 8 SE.
    far = ll.power(np.linspace(-60, 60, 601), 1.0, df=9)
    assert np.isfinite(far).all()
    np.testing.assert_allclose(far, far[::-1])
    assert (np.diff(far[300:]) >= 0).all()
    assert far[-1] == pytest.approx(1)


def test_a_power_curve_is_one_call():
    effect, n = np.linspace(0.01, 0.05, 5)[:, None], np.array([100, 1_000, 10_000])
    found = ll.power(effect, np.sqrt(0.2 / n))
    assert found.shape == (5, 3)
    assert (np.diff(found, axis=0) > 0).all()
    assert (np.diff(found, axis=1) >= 0).all()
    assert found[2, 1] == ll.power(effect[2, 0], np.sqrt(0.2 / 1_000))
    assert isinstance(ll.power(0.1, 0.1), float)


@pytest.mark.parametrize(("confidence", "power"), [(0.95, 0.8), (0.99, 0.9), (0.95, 0.5)])
def test_smallest_effect_has_that_power(confidence, power):
    effect = ll.minimum_detectable_effect(0.02, power=power, confidence=confidence)
    assert ll.power(effect, 0.02, confidence=confidence) == pytest.approx(power, abs=1e-4)
    assert ll.minimum_detectable_effect(1.0) == pytest.approx(2.80, abs=2e-3)


def test_smallest_effect_with_few_clusters():
    groups = np.array([5, 10, 40])
    effect = ll.minimum_detectable_effect(1.0, df=groups - 1)
    found = ll.power(effect, 1.0, df=groups - 1)
    np.testing.assert_allclose(found, [0.791, 0.799, 0.800], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "published"), [(5, 0.56), (10, 0.70), (20, 0.76), (40, 0.78)])
def test_power_of_the_clustered_comparison(groups, published):
    """What the docstring says the normal formula's .80 is in truth; two of them by simulation."""
    se = np.sqrt((1 + 1 / 5) / groups)
    effect = ll.minimum_detectable_effect(se)
    exact = ll.power(effect, se, df=groups - 1)
    assert exact == pytest.approx(published, abs=6e-3)
    assert ll.power(effect, se) == pytest.approx(0.8, abs=1e-5)
    if groups not in (5, 20):
        return
    rng, labels, p = np.random.default_rng(groups), np.repeat(np.arange(groups), 5), []
    for _ in range(2_000):
        gaps = effect + rng.normal(size=groups)[labels] + rng.normal(size=5 * groups)
        p.append(ll.compare(np.zeros(5 * groups), gaps, cluster=labels).p_value)
    assert np.mean(np.array(p) <= 0.05) == near(exact, 2_000)


# Numbers of items ---------------------------------------------------------------------------------


def test_published_sample_size():
    """Miller (2024): omega² = 1/9 and δ = .03 need 969 questions with unlimited samples."""
    assert ll.sample_size(0.03, variance=1 / 9) == 969
    unlimited = dict.fromkeys(("within_a", "within_b"), 1 / 6)
    unlimited |= dict.fromkeys(("samples_a", "samples_b"), np.inf)
    assert ll.sample_size(0.03, 1 / 9, **unlimited) == 969
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    total = 1 / 9 + 1 / 6 / 10 + 1 / 8 / 5
    found = ll.sample_size(0.03, 1 / 9, within_a=1 / 6, samples_a=10, within_b=1 / 8, samples_b=5)
    assert found == int(np.ceil(z**2 * total / 0.03**2))
    assert isinstance(found, int)
    clustered = ll.sample_size(0.03, 1 / 9, design_effect=3.0)
    assert clustered == pytest.approx(3 * 969, abs=2)


def test_rule_of_thumb_for_two_groups():
    """16 variances / δ² at p = .05 and 5% relative: 121,600 a group, 2% more than the formula."""
    p, effect = 0.05, 0.05 * 0.05
    assert 16 * p * (1 - p) / effect**2 == pytest.approx(121_600)
    found = ll.sample_size(effect, variance=2 * p * (1 - p))
    assert found == 119_303
    assert 121_600 / found == pytest.approx(1.019, abs=1e-3)
    assert ll.power(effect, np.sqrt(2 * p * (1 - p) / 121_600)) == pytest.approx(0.807, abs=1e-3)


def test_size_power_and_effect_agree():
    effect = np.array([0.01, 0.02, 0.05])
    n = ll.sample_size(effect, 0.2, power=0.9)
    assert n.dtype.kind == "i"
    se = np.sqrt(0.2 / n)
    np.testing.assert_allclose(ll.power(effect, se), 0.9, atol=2e-3)
    assert (ll.power(effect, se) >= 0.9).all()
    np.testing.assert_allclose(ll.minimum_detectable_effect(se, power=0.9), effect, rtol=2e-3)
    assert ll.sample_size(-effect, 0.2, power=0.9).tolist() == n.tolist()


@pytest.mark.parametrize("effect", [0.2, 0.5, 0.8])
def test_a_t_test_needs_about_two_items_more(effect):
    exact = TTestPower().solve_power(effect, alpha=0.05, power=0.8)
    assert 1 < exact - ll.sample_size(effect, 1.0) < 2


# Type-S and Type-M errors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "se", "power", "type_s", "type_m"),
    [
        (0.1, 3.28, 0.050, 0.46, 77),
        (0.3, 3.28, 0.051, 0.40, 25),
        (1.0, 3.28, 0.060, 0.19, 8),
        (2.0, 8.1, 0.06, 0.24, 9.7),
    ],
)
def test_published_design_errors(effect, se, power, type_s, type_m):
    """Gelman & Carlin (2014); their Type M is the mean of a simulation, hence the tolerance."""
    found = ll.design_errors(effect, se)
    assert found.power == pytest.approx(power, abs=4e-3)
    assert found.type_s == pytest.approx(type_s, abs=8e-3)
    assert found.type_m == pytest.approx(type_m, rel=0.04)


@pytest.mark.parametrize(("effect", "alpha"), [(0.3, 0.05), (-1.0, 0.05), (1.5, 0.2), (3.0, 0.01)])
def test_design_errors_by_simulation(effect, alpha):
    draws = 400_000
    estimate = effect + np.random.default_rng(0).normal(size=draws)
    called = estimate[abs(estimate) > stats.norm.isf(alpha / 2)]
    found = ll.design_errors(effect, 1.0, confidence=1 - alpha)
    assert len(called) / draws == near(found.power, draws)
    assert found.power == pytest.approx(ll.power(effect, 1.0, confidence=1 - alpha))
    wrong = np.mean(np.sign(called) != np.sign(effect))
    assert wrong == pytest.approx(found.type_s, abs=1e-4 + four_errors(found.type_s, len(called)))
    ratio = abs(called / effect)
    error = 4 * ratio.std() / np.sqrt(len(called))
    assert ratio.mean() == pytest.approx(found.type_m, abs=error)


def test_design_errors_print_and_broadcast():
    assert str(ll.design_errors(2, 8.1)) == "power 0.057, Type-S error 0.240, Type-M error 9.54"
    found = ll.design_errors([0.0, 1.0, 30.0], 1.0)
    assert str(found).startswith("power [0.050, 0.170, 1.000], Type-S error [nan, ")
    np.testing.assert_allclose(found.type_m[1:], [2.49, 1.0], atol=1e-2)
    assert np.isnan([found.type_s[0], found.type_m[0]]).all()


# Paired accuracies --------------------------------------------------------------------------------


def test_published_accuracy_power():
    """Card et al. (2020), both cases of the notebook on accuracy, from 10,000 simulations each."""
    found = ll.accuracy_power(500, p10=0.0025, p01=0.0225)
    assert found.power == near(0.800, 10_000)
    assert found.type_m == pytest.approx(1.118, abs=5e-3)
    assert found.type_s == pytest.approx(0.000, abs=5e-4)
    found = ll.accuracy_power(1_000, p10=0.28, p01=0.30)
    assert found.power * (1 - found.type_s) == near(0.119, 10_000)
    assert found.type_m == pytest.approx(3.004, abs=0.02)
    assert found.type_s == near(0.022, 1_230)
    # It is the exact test; the χ² without correction is not.
    chi2 = ll.accuracy_power(500, 0.0025, 0.0225, exact=False)
    assert chi2.power == pytest.approx(0.865, abs=1e-3)


@pytest.mark.parametrize(("exact", "continuity"), [(True, False), (False, False), (False, True)])
@pytest.mark.parametrize(
    ("n", "p10", "p01", "alpha"),
    [(25, 0.1, 0.4, 0.05), (14, 0.5, 0.3, 0.2), (30, 0.02, 0.05, 0.0625), (9, 0.0, 1.0, 0.05)],
)
def test_accuracy_power_by_enumeration(n, p10, p01, alpha, exact, continuity):
    """The sum over every table of n items, with statsmodels' McNemar test on each."""
    right = wrong = size = 0.0
    for a in range(n + 1):
        for b in range(n + 1 - a):
            if a == b:
                continue
            p = mcnemar([[0, b], [a, 0]], exact=exact, correction=continuity).pvalue
            if p <= alpha * (1 + 1e-12):
                chance = stats.multinomial.pmf([a, b, n - a - b], n, [p10, p01, 1 - p10 - p01])
                agree = (b > a) == (p01 > p10)
                right, wrong = right + chance * agree, wrong + chance * (not agree)
                size += chance * abs(b - a) / n
    found = ll.accuracy_power(n, p10, p01, exact=exact, continuity=continuity, confidence=1 - alpha)
    assert found.power == pytest.approx(right + wrong, rel=1e-9)
    assert found.type_s == pytest.approx(wrong / (right + wrong), rel=1e-9, abs=1e-15)
    assert found.type_m == pytest.approx(size / abs(p01 - p10) / (right + wrong), rel=1e-9)


def test_size_of_mcnemars_tests():
    """With equal accuracies the power is the size; the exact test's is far below 5%."""
    exact, chi2 = (ll.accuracy_power(500, 0.0125, 0.0125, exact=exact) for exact in (True, False))
    assert exact.power == pytest.approx(0.025, abs=5e-4)
    assert chi2.power == pytest.approx(0.045, abs=5e-4)
    assert np.isnan([exact.type_s, exact.type_m]).all()
    n = np.array([50, 200, 1_000, 5_000])
    assert (ll.accuracy_power(n, 0.1, 0.1).power < 0.05).all()
    np.testing.assert_allclose(ll.accuracy_power(n, 0.1, 0.1, exact=False).power, 0.05, atol=0.01)


def test_accuracy_power_broadcasts_and_nears_the_normal_formula():
    n = np.array([100, 400, 1_600])
    found = ll.accuracy_power(n, 0.10, np.array([[0.12], [0.16]]), exact=False)
    assert found.power.shape == (2, 3)
    one = ll.accuracy_power(400, 0.10, 0.16, exact=False)
    assert found.power[1, 1] == pytest.approx(one.power, rel=1e-12)
    assert isinstance(one.power, float)
    # Variance of one item's difference: p10 + p01 - (p01 - p10)².
    normal = ll.power(0.06, np.sqrt((0.26 - 0.06**2) / n))
    np.testing.assert_allclose(found.power[1], normal, atol=0.02)


# Items and samples --------------------------------------------------------------------------------


def _draw(rng, draws, n, k):
    """Draw right and wrong answers of items whose probabilities are Beta(2, 1)."""
    chance = rng.beta(2, 1, size=(draws, n, 1))
    return (rng.random((draws, n, k)) < chance).astype(float)


BETWEEN, WITHIN = 1 / 18, 1 / 6  # the variance of Beta(2, 1), and E[p(1 - p)]


def test_variance_parts_are_unbiased():
    draws = _draw(np.random.default_rng(0), 4_000, 20, 3)
    parts = [ll.variance_parts(scores) for scores in draws]
    for name, truth in (("between", BETWEEN), ("within", WITHIN)):
        values = np.array([getattr(part, name) for part in parts])
        assert values.mean() == pytest.approx(truth, abs=4 * values.std() / np.sqrt(4_000))
    assert np.mean([part.between < 0 for part in parts]) > 0.01  # not cut at 0, or it were biased
    true_se = draws.mean(axis=(1, 2)).std()
    assert np.sqrt(np.mean([part.se**2 for part in parts])) == pytest.approx(true_se, rel=0.05)
    assert true_se == pytest.approx(np.sqrt((BETWEEN + WITHIN / 3) / 20), rel=0.05)


def test_variance_parts_are_those_of_analysis_of_variance():
    scores = np.random.default_rng(1).normal(size=(12, 4)) + np.arange(12)[:, None]
    found = ll.variance_parts(pd.DataFrame(scores))
    between_squares = 4 * ((scores.mean(axis=1) - scores.mean()) ** 2).sum() / 11
    within_squares = ((scores - scores.mean(axis=1, keepdims=True)) ** 2).sum() / (12 * 3)
    assert found.within == pytest.approx(within_squares)
    assert found.between == pytest.approx((between_squares - within_squares) / 4)
    assert found.icc == pytest.approx(found.between / (found.between + found.within))
    # The share of the F-test: F = MS_between / MS_within.
    ratio = stats.f_oneway(*scores).statistic
    assert found.icc == pytest.approx((ratio - 1) / (ratio - 1 + 4))
    assert found.se == pytest.approx(ll.mean_interval(scores.mean(axis=1)).se)
    assert found.se == pytest.approx(found.standard_error(12, 4))
    assert (found.n_items, found.n_samples) == (12, 4)
    assert "(n = 12, 4 samples each)" in str(found)


def test_parts_of_a_difference_plan_the_comparison():
    """The variance of b - a splits into omega² and the two systems' sampling variances."""
    rng = np.random.default_rng(2)
    items = rng.normal(0, 0.3, size=(4_000, 1))
    a = items + rng.normal(0, 0.5, size=(4_000, 6))
    b = items + rng.normal(0, 0.2, size=(4_000, 1)) + rng.normal(0, 0.4, size=(4_000, 6))
    found = ll.variance_parts(b - a)
    assert found.between == pytest.approx(0.2**2, rel=0.15)
    assert found.within == pytest.approx(0.5**2 + 0.4**2, rel=0.05)
    n = ll.sample_size(0.05, found.between, within_a=found.within, samples_a=6)
    assert ll.power(0.05, found.standard_error(n, 6)) == pytest.approx(0.8, abs=1e-3)


def test_more_items_beat_more_samples():
    parts = ll.variance_parts(_draw(np.random.default_rng(3), 1, 400, 5)[0])
    samples = np.array([1, 2, 5, 10])
    assert (np.diff(parts.standard_error(1_000 / samples, samples)) > 0).all()
    assert parts.standard_error(100, np.inf) == pytest.approx(np.sqrt(parts.between / 100))


@pytest.mark.parametrize(("item_cost", "sample_cost"), [(10.0, 0.5), (1.0, 1.0), (0.01, 1.0)])
def test_best_samples_are_those_of_a_search(item_cost, sample_cost):
    parts = ll.variance_parts(_draw(np.random.default_rng(3), 1, 400, 5)[0])
    k = np.linspace(1, 40, 40_000)
    se = parts.standard_error(1_000 / (item_cost + k * sample_cost), k)
    found = parts.best_samples(item_cost, sample_cost)
    assert found == pytest.approx(k[se.argmin()], abs=2e-3)


def test_items_that_do_not_differ_are_worth_all_samples():
    parts = ll.variance_parts([[1, 0], [0, 1], [1, 0]])
    assert parts.between < 0
    assert parts.best_samples(1.0, 1.0) == np.inf
    assert parts.standard_error(2, 4) == pytest.approx(np.sqrt(parts.within / 8))


# Errors -------------------------------------------------------------------------------------------

SCORES = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ll.power(0.1, 0), "se must be above 0, not 0"),
        (lambda: ll.power(0.1, [0.1, -1]), r"se must be above 0, not \[0.1, -1\]"),
        (lambda: ll.power(np.nan, 0.1), "effect must be a number or an array of numbers"),
        (lambda: ll.power(0.1, 0.1, df=0), "df must be above 0"),
        (lambda: ll.minimum_detectable_effect(0.1, power=1), "power must lie between 0 and 1, not"),
        (lambda: ll.sample_size(0, 0.1), "effect must not be 0"),
        (lambda: ll.sample_size(0.1, -1), "variance must be 0 or more, not -1"),
        (lambda: ll.sample_size(0.1, 0.1, samples_a=0), "samples_a must be above 0"),
        (lambda: ll.sample_size(0.1, 0.1, design_effect=0), "design_effect must be above 0"),
        (lambda: ll.sample_size("big", 0.1), "effect must be a number"),
        (lambda: ll.design_errors(0.1, 0), "se must be above 0"),
        (lambda: ll.accuracy_power(100, 0.0, 0.0), "must not be negative, and their sum lie"),
        (lambda: ll.accuracy_power(100, -0.1, 0.2), "must not be negative"),
        (lambda: ll.accuracy_power(100, 0.6, 0.5), "must not be negative, and their sum lie"),
        (lambda: ll.accuracy_power(10.5, 0.1, 0.2), "n must be whole numbers"),
        (lambda: ll.accuracy_power(0, 0.1, 0.2), "n must be above 0"),
        (lambda: ll.variance_parts([1.0, 0.0]), r"2 by 2 or larger, found \(2,\)"),
        (lambda: ll.variance_parts([[1.0], [0.0]]), r"2 by 2 or larger, found \(2, 1\)"),
        (lambda: ll.variance_parts([[1.0, 0.0], [np.nan, 1.0]]), "row 1, column 0 is missing"),
        (lambda: ll.variance_parts([["a", "b"]] * 2), "scores: expected numbers, found texts"),
        (lambda: ll.variance_parts(np.ones((3, 3))), "all are equal"),
        (lambda: ll.variance_parts(SCORES).best_samples(0, 1), "item_cost must be above 0"),
    ],
)
def test_what_cannot_be_planned(call, message):
    with pytest.raises(ValueError, match=message):
        call()
