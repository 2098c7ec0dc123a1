"""Tests on users: published values, other libraries, and error rates by simulation."""

import numpy as np
import pandas as pd
import pytest
from builders import four_errors, holds, near, two_groups
from scipy import stats
from statsmodels.regression.linear_model import OLS

import lleval_lib as ll

# Sample ratio -------------------------------------------------------------------------------------


def test_published_sample_ratio():
    """Published: 600 and 400 users at 50:50 have p = 2.54e-10."""
    found = ll.sample_ratio_test([600, 400])
    assert found.statistic == pytest.approx(40)
    assert found.p_value == pytest.approx(2.54e-10, rel=2e-3)
    assert (found.n, found.n_clusters) == (1_000, 1_000)


@pytest.mark.parametrize("expected", [[0.9, 0.1], [9, 1], [900.0, 100.0]])
def test_planned_shares(expected):
    """By hand: 20²/900 + 20²/100 = 4.444 on one degree of freedom."""
    found = ll.sample_ratio_test([880, 120], expected)
    assert (found.statistic, found.df) == (pytest.approx(400 / 900 + 400 / 100), 1)
    assert found.p_value == pytest.approx(stats.chi2.sf(40 / 9, 1))
    assert found.p_value < 0.05 < ll.sample_ratio_test([89, 11], expected).p_value


def test_three_groups():
    """By hand: (330 - 333⅓)² and so on are 1400/3 in all; of χ² with two, p = exp(-x/2)."""
    found = ll.sample_ratio_test([330, 320, 350])
    assert (found.statistic, found.p_value) == pytest.approx((1.4, np.exp(-0.7)))


# Two groups ---------------------------------------------------------------------------------------


def test_without_clusters_it_is_welchs_test():
    rng = np.random.default_rng(0)
    y, treated = rng.normal(size=30), np.arange(30) < 8
    found = ll.group_difference(y, treated, confidence=0.9)
    other = stats.ttest_ind(y[treated], y[~treated], equal_var=False)
    assert found.p_value == pytest.approx(other.pvalue)
    interval = other.confidence_interval(0.9)
    assert [found.difference.low, found.difference.high] == pytest.approx(list(interval))
    assert (found.mean_a, found.mean_b) == pytest.approx((y[~treated].mean(), y[treated].mean()))
    assert (found.difference.n, found.difference.n_clusters) == (30, 30)
    back = ll.group_difference(y, ~treated)
    assert back.difference.estimate == pytest.approx(-found.difference.estimate)
    assert back.p_value == pytest.approx(found.p_value)


def _sessions(users, rng, effect=0.0):
    """Return (satisfied or not, treated, user) of the sessions of `users` users, A and B by turns.

    A user has 1 to 15 sessions, and an own rate of success, uniform between 0.5 and 0.9: the
    intraclass correlation is small, and yet enough.
    """
    size = rng.integers(1, 16, users)
    user = np.repeat(np.arange(users), size)
    rate = rng.uniform(0.5, 0.9, users) + effect * two_groups(users)
    return (rng.random(len(user)) < rate[user]).astype(float), two_groups(users)[user], user


def test_clusters_are_summed_as_for_a_mean():
    y, treated, user = _sessions(60, np.random.default_rng(0))
    found = ll.group_difference(y, treated, cluster=user)
    means = [ll.mean_interval(y[arm], cluster=user[arm]) for arm in (treated, ~treated)]
    assert found.difference.se == pytest.approx(np.hypot(*(m.se for m in means)))
    assert found.difference.estimate == pytest.approx(means[0].estimate - means[1].estimate)
    assert (found.difference.n, found.difference.n_clusters) == (len(y), 60)
    # Labels of any kind, and rows in any order.
    order = np.random.default_rng(1).permutation(len(y))
    named = pd.Series([f"user {k}" for k in user])
    again = ll.group_difference(
        pd.Series(y)[order], pd.Series(treated)[order], cluster=named[order]
    )
    assert again.p_value == pytest.approx(found.p_value)


def test_it_is_the_delta_method_of_a_ratio():
    """Deng et al. 2018: Var(Σy/Σm) = Var(y - r·m) / (G·mean(m)²) for sums y over m sessions."""
    y, treated, user = _sessions(200, np.random.default_rng(0))
    variance = 0.0
    for arm in (treated, ~treated):
        table = pd.DataFrame({"y": y[arm], "user": user[arm]}).groupby("user").y
        total, size = table.sum(), table.size()
        ratio = total.sum() / size.sum()
        variance += (total - ratio * size).var() / len(size) / size.mean() ** 2
    found = ll.group_difference(y, treated, cluster=user)
    # CR2 makes up for what large users pull the ratio towards themselves.
    assert 1 < found.difference.se**2 / variance < 1.01


@pytest.mark.slow
@pytest.mark.parametrize("users", [10, 100])
def test_size_with_users_and_with_sessions(users):
    """The user was randomised: sessions taken for independent see too many differences."""
    rng = np.random.default_rng(users)
    called = np.zeros(2)
    for _ in range(500):
        y, treated, user = _sessions(users, rng)
        p = [ll.group_difference(y, treated, cluster=c).p_value for c in (user, None)]
        called += np.less(p, 0.05)
    clustered, naive = called / 500
    # With few users Newcombe's interval is careful.
    assert clustered <= 0.05 + four_errors(0.05, 500)
    assert clustered == near(0.05, 500) or users == 10
    assert naive > 2 * clustered


def test_printed_groups():
    found = ll.group_difference(
        [0, 0, 1, 1, 1, 1, 1, 0], [False] * 4 + [True] * 4, cluster=list("aabbccdd")
    )
    assert str(found).startswith("treatment - control: +0.250 [")
    assert str(found).endswith("  p = 0.546 (95%, n = 8 in 4 clusters)")


@pytest.mark.parametrize(("shift", "p"), [(0.0, 1.0), (0.5, 0.1), (1.0, 0.1)])
def test_groups_without_spread(shift, p):
    treated = two_groups(6)
    assert ll.group_difference(shift * treated, treated).p_value == p


# CUPED --------------------------------------------------------------------------------------------


def _users(n, rng, rho=0.5, effect=0.0):
    """Return (outcome, covariate, treated) with unit variances and correlation `rho`."""
    x = rng.normal(size=n)
    treated = two_groups(n)
    return rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n) + effect * treated, x, treated


def test_published_variance_ratio():
    """Deng et al. 2013: a correlation of 0.5 leaves 0.75 of the variance; θ = Cov/Var(X)."""
    y, x, treated = _users(200_000, np.random.default_rng(0), effect=0.3)
    found = ll.cuped(y, x, treated)
    assert found.variance_ratio == pytest.approx(0.75, abs=0.005)
    within = np.cov(y - 0.3 * treated, x)
    assert found.theta == pytest.approx(within[0, 1] / within[1, 1], abs=1e-3)
    d = found.adjusted.difference
    assert d.se / found.plain.difference.se == pytest.approx(np.sqrt(found.variance_ratio))
    assert found.plain == ll.group_difference(y, treated)
    assert holds(d, 0.3)


def test_it_is_one_minus_rho_squared_exactly():
    """With equal groups it is the correlation within them; the rest is the price of θ."""
    y, x, treated = _users(40, np.random.default_rng(1))
    found = ll.cuped(y, x, treated)
    (a, b), (c, d) = ([v[arm] - v[arm].mean() for arm in (treated, ~treated)] for v in (y, x))
    yy, xx, xy = a @ a + b @ b, c @ c + d @ d, a @ c + b @ d
    assert found.theta == pytest.approx(xy / xx)
    plain = found.plain.difference
    adjusted = plain.estimate - xy / xx * (x[treated].mean() - x[~treated].mean())
    assert found.adjusted.difference.estimate == pytest.approx(adjusted)
    assert found.variance_ratio == pytest.approx(1 - xy**2 / xx / yy, rel=0.04)
    assert found.variance_ratio > 1 - xy**2 / xx / yy
    # θ costs one degree of freedom of Welch's: in the error, and in the quantile.
    free = ll.group_difference(y - found.theta * x, treated).difference
    d = found.adjusted.difference
    assert d.df == pytest.approx(free.df - 1)
    assert d.se == pytest.approx(free.se * np.sqrt(free.df / d.df))
    assert found.adjusted.mean_a + found.adjusted.mean_b == pytest.approx(2 * y.mean())


def test_it_is_lins_regression_with_interaction():
    """Lin 2013: regress on treatment, centred covariate and their product, for unequal groups."""
    rng = np.random.default_rng(0)
    treated = rng.random(20_000) < 0.1
    x = rng.normal(size=20_000)
    y = rng.normal(size=20_000) + np.where(treated, 3, -1) * x + 0.2 * treated
    centred = x - x.mean()
    design = np.column_stack([np.ones(20_000), treated, centred, treated * centred])
    fit = OLS(y, design).fit(cov_type="HC2")
    found = ll.cuped(y, x, treated)
    # The x̄ of the regression is a random number too, which HC2 does not know and our error does.
    population = np.hypot(fit.bse[1], 4 / np.sqrt(20_000))
    assert found.adjusted.difference.estimate == pytest.approx(fit.params[1], abs=0.1 * population)
    assert found.adjusted.difference.se == pytest.approx(population, rel=0.02)
    # One pooled slope would have made it worse than no adjustment at all (Freedman 2008).
    pooled = np.cov(y, x)[0, 1] / x.var()
    worse = ll.group_difference(y - pooled * x, treated).difference.se
    assert found.adjusted.difference.se < found.plain.difference.se < worse


@pytest.mark.slow
@pytest.mark.parametrize("a_group", [5, 100])
def test_cuped_covers_and_is_unbiased(a_group):
    """With few users it covers the 94% of the docstring."""
    rng = np.random.default_rng(a_group)
    held, estimates = 0, []
    for _ in range(600):
        found = ll.cuped(*_users(2 * a_group, rng, rho=0.7, effect=0.5)).adjusted.difference
        held += holds(found, 0.5)
        estimates.append(found.estimate)
    promised = 0.95 if a_group == 100 else 0.94
    assert held / 600 == near(promised, 600)
    assert np.mean(estimates) == pytest.approx(0.5, abs=4 * np.std(estimates) / np.sqrt(600))


@pytest.mark.slow
def test_cuped_with_sessions():
    """Sessions of users, the covariate one number a user: it covers, and it gains."""
    rng = np.random.default_rng(0)
    held, ratios = 0, []
    for _ in range(400):
        size = rng.integers(1, 16, 80)
        user = np.repeat(np.arange(80), size)
        rate = rng.uniform(0.2, 0.8, 80)
        before = rng.binomial(10, rate) / 10
        y = (rng.random(len(user)) < (rate + 0.1 * two_groups(80))[user]).astype(float)
        found = ll.cuped(y, before[user], two_groups(80)[user], cluster=user)
        held += holds(found.adjusted.difference, 0.1)
        ratios.append(found.variance_ratio)
    assert held / 400 == near(0.95, 400)
    assert np.mean(ratios) < 0.8
    assert found.adjusted.difference.n_clusters == 80


def test_a_covariate_that_the_treatment_changes_hides_the_effect():
    """What the docstring warns of."""
    y, x, treated = _users(20_000, np.random.default_rng(0), effect=0.3)
    found = ll.cuped(y, x + 0.6 * treated, treated).adjusted.difference
    assert found.high < 0.1


def test_cuped_ignores_units_and_order():
    y, x, treated = _users(60, np.random.default_rng(0))
    found = ll.cuped(y, x, treated).adjusted.difference
    scaled = ll.cuped(y + 5, 1e6 * x - 3e6, treated).adjusted.difference
    assert [scaled.estimate, scaled.se] == pytest.approx([found.estimate, found.se])
    order = np.random.default_rng(1).permutation(60)
    mixed = ll.cuped(y[order], x[order], treated[order]).adjusted.difference
    assert [mixed.estimate, mixed.se] == pytest.approx([found.estimate, found.se])


def test_printed_cuped():
    found = ll.cuped(*_users(400, np.random.default_rng(0)))
    assert str(found) == (
        f"{found.adjusted}\n  variance {found.variance_ratio:.2f} of the plain one's"
    )


# Errors say what is wrong and what to do ----------------------------------------------------------

Y, X = [1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.5, 1.0]
ARMS = [True, False, True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ll.sample_ratio_test([600]), r"counts must be .* such as \[600, 400\], not \[600"),
        (lambda: ll.sample_ratio_test([6.5, 4]), "counts must be the numbers of users"),
        (lambda: ll.sample_ratio_test([-6, 4]), "counts must be the numbers of users"),
        (lambda: ll.sample_ratio_test([0, 0]), "counts must be the numbers of users"),
        (lambda: ll.sample_ratio_test([6, 4], [1]), "expected must be 2 positive shares"),
        (lambda: ll.sample_ratio_test([6, 4], [1, 0]), "expected must be 2 positive shares"),
        (lambda: ll.group_difference(Y, ARMS[:3]), "treated must be 4 times True or False"),
        (lambda: ll.group_difference(Y, list("ABAB")), r"write treated=\(version == 'B'\)"),
        (lambda: ll.group_difference(Y, ["True", "False"] * 2), "treated must be 4 times"),
        (lambda: ll.group_difference(Y, [1, 2, 1, 2]), "treated must be 4 times"),
        (lambda: ll.group_difference(Y, [True] * 4), "the control group needs two clusters"),
        (lambda: ll.group_difference(Y, [False] * 4), "the treatment group needs two clusters"),
        (lambda: ll.group_difference(Y, ARMS, cluster=list("xyxz")), "the treatment group needs"),
        (lambda: ll.group_difference(Y, ARMS, cluster=list("xyzx")), "cluster 'x' has rows in bo"),
        (
            lambda: ll.cuped([1, 0, 1, 1], X, ARMS),
            r"too few clusters that vary .* group_difference",
        ),
        (lambda: ll.cuped(Y, X[:3], ARMS), "outcome has 4 values and covariate 3"),
        (lambda: ll.cuped(Y, [0.1] * 4, ARMS), "covariate does not vary within the groups"),
        (lambda: ll.cuped(Y, [2, 1, 2, 1], ARMS), "covariate does not vary within the groups"),
        (lambda: ll.cuped([0.1] * 4, X, ARMS), "outcome does not vary within the groups"),
        (lambda: ll.cuped(Y, X, ARMS, cluster=list("xyzx")), "cluster 'x' has rows in both groups"),
    ],
)
def test_what_cannot_be_used(call, message):
    with pytest.raises(ValueError, match=message):
        call()
