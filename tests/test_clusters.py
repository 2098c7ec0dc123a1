"""The clustered covariance of means: by its formula, by statsmodels' OLS, and what leaves it."""

import numpy as np
import pytest
from builders import clustered
from statsmodels.regression.linear_model import OLS

import lleval_lib as ll
from lleval_lib.clusters import (
    covariance_of_means,
    effective_df,
    even_out,
    t_p_value,
    welch_df,
)


def _two_columns():
    y, clusters = clustered()
    return np.column_stack([y, 0.6 * y + np.random.default_rng(1).normal(size=60)]), clusters


LAYOUTS = {
    "each its own": np.arange(60),
    "clusters of one size": np.arange(60) % 12,
    "clusters of unequal size": clustered()[1],
    "Zipf": np.repeat(np.arange(8), [22, 11, 7, 6, 4, 4, 3, 3]),
}


@pytest.mark.parametrize("clusters", LAYOUTS.values(), ids=LAYOUTS)
def test_it_is_cr2_of_a_regression_with_its_matrices(clusters):
    """Bell & McCaffrey by the book: the inverse root of I - H, and all eigenvalues of the df."""
    columns, n = _two_columns()[0], 60
    x = np.ones((n, 1))
    annihilator = np.eye(n) - x @ x.T / n
    error = annihilator @ columns
    meat, weights = np.zeros((2, 2)), []
    for g in range(clusters.max() + 1):
        own = clusters == g
        values, vectors = np.linalg.eigh(annihilator[np.ix_(own, own)])
        root = vectors @ np.diag(np.where(values > 1e-10, values, np.inf) ** -0.5) @ vectors.T
        pull = x[own].T @ root
        score = pull @ error[own]
        meat += score.T @ score
        weights.append((pull @ annihilator[own])[0] / n)
    np.testing.assert_allclose(covariance_of_means(columns, clusters), meat / n**2, rtol=1e-10)
    spread = np.linalg.eigvalsh(np.array(weights) @ np.array(weights).T)
    df = spread.sum() ** 2 / (spread**2).sum()
    assert effective_df(clusters) == pytest.approx(df, rel=1e-9)
    sizes = np.bincount(clusters)
    if sizes.min() == sizes.max():
        assert effective_df(clusters) == len(sizes) - 1


def test_the_review_of_zipf_clusters():
    """Of 200 clusters whose sizes fall as 1/rank, 21 equal ones have the worth."""
    sizes = np.maximum(1, np.round(4000 / np.arange(1, 201) / (1 / np.arange(1, 201)).sum()))
    assert effective_df(np.repeat(np.arange(200), sizes.astype(int))) == pytest.approx(20, abs=0.5)


def test_numbers_that_differ_by_rounding_alone_are_evened_out():
    scale = np.array([0.3, 0.3, 1e13, 1e-300, 0.0])
    even = even_out(np.array([0.1 + 0.2, 0.3, 1e13, 1e-300, 0.0]), scale)
    assert even[0] == even[1]
    assert even[2:].tolist() == pytest.approx([1e13, 1e-300, 0], rel=1e-12)


@pytest.mark.parametrize("layout", ["each its own", "clusters of one size"])
def test_it_is_the_covariance_of_clustered_least_squares(layout):
    """Both columns as one regression on two constants, whose rows share their clusters."""
    columns, clusters = _two_columns()
    clusters = LAYOUTS[layout]
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
        assert found[0, 0] != pytest.approx(naive[0, 0], rel=0.05)


def test_intervals_and_p_values_are_those_of_clustered_least_squares():
    columns, clusters = _two_columns()[0], LAYOUTS["clusters of one size"]
    y = columns[:, 0]
    fit = OLS(y, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    found = ll.compare(np.zeros(60), y, cluster=clusters)
    d = found.difference
    assert (d.low, d.high) == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-10)
    assert (d.se, found.p_value) == pytest.approx((fit.bse[0], fit.pvalues[0]), rel=1e-10)
    assert (d.df, d.n_clusters) == (11, 12)


def test_by_its_formula():
    """The head of the module in four lines of its own, with a loop over the clusters."""
    columns, clusters = _two_columns()
    total = np.zeros((2, 2))
    for g in range(9):
        own = clusters == g
        error = (columns - columns.mean(axis=0))[own].sum(axis=0)
        total += np.outer(error, error) / (1 - own.mean())
    expected = total / 60**2
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
    assert found.se == 0
    assert np.isnan([found.low, found.high]).all()
