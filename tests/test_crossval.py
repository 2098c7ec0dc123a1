"""The corrected resampled t-test: published values, a hand computation, and size by simulation."""

import numpy as np
import pytest
from builders import four_errors
from scipy import stats
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

import lleval_lib as ll

DIFFERENCES = [0.04, -0.01, 0.03, 0.02, 0.00]
NAIVE = 1e15, 1  # no training data are shared: the plain t-test


def test_a_hand_computation():
    """The mean is .016 and s² = (24² + 26² + 14² + 4² + 16²) / 4 · 10⁻⁶ = .00043."""
    found = ll.resampled_t_test(DIFFERENCES, n_train=80, n_test=20)
    d, se = found.difference, np.sqrt((1 / 5 + 1 / 4) * 0.00043)
    assert (d.estimate, d.se, d.df, d.n) == pytest.approx((0.016, se, 4, 5))
    # The 97.5% point of t with 4 degrees of freedom, from a printed table.
    assert (d.low, d.high) == pytest.approx((0.016 - 2.776 * se, 0.016 + 2.776 * se), 1e-3)
    # P(|t₄| > x) has a closed form: 1 - u (3 - u²) / 2 with u = x / sqrt(4 + x²).
    u = 0.016 / np.sqrt(4 * se**2 + 0.016**2)
    assert found.p_value == pytest.approx(1 - u * (3 - u**2) / 2)


def test_published_factor_of_ten_by_ten_folds():
    """Published: 10 x 10 folds, the standard error grows by 3.480 against s/sqrt(J)."""
    d = np.random.default_rng(0).normal(size=100)
    found = ll.resampled_t_test(d, n_train=90, n_test=10).difference
    assert found.se / stats.sem(d) == pytest.approx(3.480, abs=5e-4)


@pytest.mark.slow
def test_scikit_learns_published_example():
    """Its page "statistical comparison of models using grid search" prints .750 (one-sided p
    .227) corrected and 2.611 (.005) uncorrected, for two kernels on 10 x 10 folds of 100 items.
    """
    x, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    cv = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    rbf, linear = (
        cross_val_score(SVC(kernel=kernel, random_state=0), x, y, scoring="roc_auc", cv=cv)
        for kernel in ("rbf", "linear")
    )
    for sizes, t, p in (((90, 10), 0.750, 0.227), (NAIVE, 2.611, 0.005)):
        found = ll.resampled_t_test(rbf - linear, *sizes)
        d = found.difference
        assert (d.estimate / d.se, found.p_value / 2) == pytest.approx((t, p), abs=5e-4)


def test_without_shared_training_data_it_is_the_t_test():
    found = ll.resampled_t_test(DIFFERENCES, *NAIVE, confidence=0.9)
    naive, d = stats.ttest_1samp(DIFFERENCES, 0), found.difference
    assert found.p_value == pytest.approx(naive.pvalue)
    assert (d.low, d.high) == pytest.approx(tuple(naive.confidence_interval(0.9)))


def test_only_the_ratio_and_not_the_direction_matters():
    found = ll.resampled_t_test(DIFFERENCES, 80, 20)
    back = ll.resampled_t_test(-np.array(DIFFERENCES), 800, 200)
    expected = (-found.difference.high, -found.difference.low, found.p_value)
    assert (back.difference.low, back.difference.high, back.p_value) == pytest.approx(expected)


@pytest.mark.parametrize(("shift", "p"), [(0.0, 1.0), (0.1, 0.25)])
def test_differences_that_are_all_equal(shift, p):
    found = ll.resampled_t_test([shift] * 3, 75, 25)
    assert (found.difference.se, found.p_value) == (0, p)
    assert np.isnan(found.difference.low)


def test_printed_line():
    found = ll.resampled_t_test(DIFFERENCES, n_train=80.5, n_test=20, confidence=0.999)
    assert str(found) == (
        f"difference +0.016 [{found.difference.low:+.3f}, {found.difference.high:+.3f}]"
        ", corrected\n  p = 0.313 (99.9%, 5 splits of 80.5 + 20)"
    )


# Size, by simulation ------------------------------------------------------------------------------


def _fold_differences(
    *,
    n,
    features,
    signal,
    folds=10,
    cluster=1,
    tau=0.0,
    by_cluster=True,
    gain=0.0,
    runs=10,
    draws=600,
):
    """Return differences of two learners in accuracy, shape (draws, runs · folds).

    Two balanced classes; each learner sees its own `features`, of equal law, and takes the nearer
    class mean. So the learners are equal, but for `gain`, the signal that the second has more. All
    `cluster` items in a row are a cluster, in which the signal differs by a normal of SD `tau`.
    """
    rng = np.random.default_rng(n * features)
    y = np.where(np.arange(n) % 2, 1.0, -1.0)
    of = np.arange(n) // cluster
    shape = draws, of[-1] + 1, features
    x = [
        rng.normal(size=(draws, n, features))
        + y[:, None] * (signal + more + tau * rng.normal(size=shape)[:, of])
        for more in (0, gain)
    ]
    found = []
    for _ in range(runs):
        units = rng.permutation(n // cluster)
        order = (units[:, None] * cluster + np.arange(cluster)).ravel()
        order = order if by_cluster else rng.permutation(n)
        labels = y[order].reshape(folds, -1)
        right = []
        for features_ in x:
            parts = features_[:, order].reshape(draws, folds, -1, features)
            sums = (parts * labels[..., None]).sum(axis=2)
            weights = sums.sum(axis=1, keepdims=True) - sums  # of all other folds
            votes = (parts @ weights[..., None])[..., 0]
            right.append((votes * labels > 0).mean(axis=2))
        found.append(right[1] - right[0])
    return np.concatenate(found, axis=1)


def _rejected(differences, folds, truth=0.0):
    """Return the shares of data sets in which the naive and the corrected test at 5% reject."""
    tests = NAIVE, (folds - 1, 1)
    found = [[ll.resampled_t_test(d - truth, *n).p_value for n in tests] for d in differences]
    return np.mean(np.array(found) < 0.05, axis=0)


def _about(share, draws=600):
    """Return what a share of `draws` must equal that another 2,000 draws gave."""
    return pytest.approx(share, abs=np.hypot(four_errors(share, draws), four_errors(share, 2_000)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "features", "signal", "one_run", "ten_runs"),
    [
        (100, 10, 0.3, (0.057, 0.009), (0.55, 0.040)),
        (40, 40, 0.1, (0.115, 0.034), (0.62, 0.089)),
        (200, 2, 0.0, (0.152, 0.048), (0.64, 0.115)),
    ],
)
def test_size_for_equal_learners(n, features, signal, one_run, ten_runs):
    """Naive and corrected, as the docstring says: one run of 10 folds, and ten runs."""
    differences = _fold_differences(n=n, features=features, signal=signal)
    for runs, expected in ((1, one_run), (10, ten_runs)):
        naive, corrected = _rejected(differences[:, : 10 * runs], 10)
        assert (naive, corrected) == (_about(expected[0]), _about(expected[1]))


@pytest.mark.slow
def test_coverage_for_unequal_learners():
    """The interval covers the mean difference of learners that do differ."""
    differences = _fold_differences(n=100, features=10, signal=0.3, gain=0.1)
    truth = differences.mean()
    assert truth > 0.05
    naive, corrected = _rejected(differences, 10, truth)
    assert naive > 0.5
    assert corrected == _about(0.036)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clusters", "folds", "by_cluster", "corrected"),
    [(40, 10, True, 0.051), (10, 5, True, 0.109), (40, 10, False, 0.151)],
)
def test_size_with_clusters(clusters, folds, by_cluster, corrected):
    """Few clusters, or folds that ignore them: the correction does not help."""
    how = {"folds": folds, "cluster": 10, "tau": 0.5, "by_cluster": by_cluster}
    differences = _fold_differences(n=10 * clusters, features=10, signal=0.3, **how)
    assert _rejected(differences, folds)[1] == _about(corrected)


# Errors say what is wrong and what to do ----------------------------------------------------------


@pytest.mark.parametrize(
    ("differences", "options", "message"),
    [
        ([0.1], {}, "differences: one split shows no spread; give at least 2"),
        (DIFFERENCES, {"n_train": 0}, "n_train must be a positive number of items, not 0"),
        (DIFFERENCES, {"n_test": -1}, "n_test must be a positive number of items, not -1"),
        (DIFFERENCES, {"n_test": np.nan}, "n_test must be a positive number of items, not nan"),
        (DIFFERENCES, {"n_train": np.inf}, "n_train must be a positive number of items, not inf"),
    ],
)
def test_unusable_input(differences, options, message):
    with pytest.raises(ValueError, match=message):
        ll.resampled_t_test(differences, **{"n_train": 80, "n_test": 20, **options})
