"""The clustered covariance of means: by its formula, by statsmodels' OLS, and what leaves it."""

import numpy as np
import pytest
from builders import clustered
from statsmodels.regression.linear_model import OLS

import lleval_lib as ll
from lleval_lib.clusters import covariance_of_means, t_p_value, welch_df


def _two_columns():
    y, clusters = clustered()
    return np.column_stack([y, 0.6 * y + np.random.default_rng(1).normal(size=60)]), clusters


@pytest.mark.parametrize("layout", ["each its own", "clusters of unequal size"])
def test_it_is_the_covariance_of_clustered_least_squares(layout):
    """Both columns as one regression on two constants, whose rows share their clusters."""
    columns, clusters = _two_columns()
    clusters = np.arange(60) if layout == "each its own" else clusters
    design = np.kron(np.eye(2), np.ones((60, 1)))
    fit = OLS(columns.T.ravel(), design).fit(
        cov_type="cluster", cov_kwds={"groups": np.tile(clusters, 2)}
    )
    # Its factor for small samples counts two coefficients in 120 rows; ours none.
    theirs = fit.cov_params() * (120 - 2) / (120 - 1)
    found = covariance_of_means(columns, clusters)
    np.testing.assert_allclose(found, theirs, rtol=1e-10)
    naive = np.cov(columns.T) / 60
    if layout == "each its own":
        np.testing.assert_allclose(found, naive, rtol=1e-12)
    else:
        assert found[0, 0] > 1.3 * naive[0, 0]


def test_intervals_and_p_values_are_those_of_clustered_least_squares():
    columns, clusters = _two_columns()
    y = columns[:, 0]
    fit = OLS(y, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    found = ll.compare(np.zeros(60), y, cluster=clusters)
    d = found.difference
    assert (d.low, d.high) == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-10)
    assert (d.se, found.p_value) == pytest.approx((fit.bse[0], fit.pvalues[0]), rel=1e-10)
    assert (d.df, d.n_clusters) == (8, 9)


def test_by_its_formula():
    """The head of the module in four lines of its own, with a loop over the clusters."""
    columns, clusters = _two_columns()
    total = np.zeros((2, 2))
    for g in range(9):
        error = (columns - columns.mean(axis=0))[clusters == g].sum(axis=0)
        total += np.outer(error, error)
    expected = 9 / 8 * total / 60**2
    np.testing.assert_allclose(covariance_of_means(columns, clusters), expected, rtol=1e-12)


def test_units_names_and_order_do_not_matter():
    columns, clusters = _two_columns()
    once = covariance_of_means(columns, clusters)
    scale = np.array([3.0, -0.5])
    scaled = covariance_of_means(columns * scale + [7, 100], clusters)
    np.testing.assert_allclose(scaled, once * np.outer(scale, scale), rtol=1e-9)
    rng = np.random.default_rng(0)
    order, names = rng.permutation(60), rng.permutation(9)
    mixed = covariance_of_means(columns[order], names[clusters][order])
    np.testing.assert_allclose(mixed, once, rtol=1e-12)


@pytest.mark.parametrize("m", [2, 5])
def test_duplicated_items_add_nothing(m):
    """Derived: every item m times, as a cluster, is no news, though the naive error shrinks."""
    scores, clusters = clustered()
    copies = np.repeat(scores, m)
    for labels in (np.arange(60), clusters):
        once = ll.mean_interval(scores, cluster=labels)
        together = ll.mean_interval(copies, cluster=np.repeat(labels, m))
        assert (together.se, together.low) == pytest.approx((once.se, once.low), rel=1e-12)
    # s² divides by n - 1, hence the factor beside the square root of m.
    naive = ll.mean_interval(scores).se / np.sqrt(m) * np.sqrt((60 - 1) / (60 - 1 / m))
    assert ll.mean_interval(copies).se == pytest.approx(naive, rel=1e-12)


def test_constant_columns_have_no_variance_though_they_are_rounded():
    base = np.array([0.1, 0.3, 0.2, 0.7, 0.9, 1 / 3])
    gap = (base + 0.1) - base
    assert np.ptp(gap) > 0  # 0.1 but for rounding
    columns = np.column_stack([np.full(6, 0.1), gap, base])
    found = covariance_of_means(columns, np.arange(6))
    assert (found[:2] == 0).all()
    assert (found[:, :2] == 0).all()
    assert found[2, 2] == pytest.approx(base.var(ddof=1) / 6)
    # A spread that is small beside the level is a spread none the less.
    assert ll.mean_interval([1e6, 1e6 + 1e-4]).se == pytest.approx(5e-5, rel=1e-4)


def test_welchs_degrees_of_freedom():
    assert welch_df([2.0], [7]) == pytest.approx(7)
    assert welch_df([1.0, 1.0], [4, 4]) == pytest.approx(8)
    assert welch_df([1.0, 1e-12], [4, 100]) == pytest.approx(4)
    assert welch_df([0.0, 0.0], [3, 5]) == 8


@pytest.mark.parametrize(("estimate", "p"), [(0.0, 1.0), (0.3, 0.0)])
def test_without_variance_the_p_value_is_1_or_0(estimate, p):
    assert t_p_value(estimate, 0.0, 5) == p


def test_clusters_that_are_alike_but_for_rounding_have_no_variance():
    scores = [0.1, 0.2, 0.3, 0.3, 0.2, 0.1, 0.2, 0.1, 0.3]
    found = ll.mean_interval(scores, cluster=np.repeat([0, 1, 2], 3))
    assert (found.se, found.low, found.high) == (0, found.estimate, found.estimate)
