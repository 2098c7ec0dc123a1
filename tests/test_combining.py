"""Late fusion, and the weights of least variance."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

import lleval_lib as ll


@pytest.fixture
def predictors():
    return softmax(np.random.default_rng(0).normal(size=(3, 20, 4)), 2)


def test_a_logarithmic_pool_weighs_logits(predictors):
    weights = [0.5, 0.2, 0.9]
    logits = np.tensordot(weights, np.log(predictors), 1)
    pooled = ll.pool_probabilities(predictors, weights, pool="logarithmic")
    assert np.log(pooled) == pytest.approx(log_softmax(logits, 1))


@pytest.mark.parametrize("pool", ["linear", "logarithmic"])
def test_pools(predictors, pool):
    pooled = ll.pool_probabilities(predictors, [0.2, 0.3, 0.5], pool=pool)
    assert pooled.sum(1) == pytest.approx(np.ones(20))
    alone = ll.pool_probabilities(predictors, [0, 1, 0], pool=pool)
    assert alone == pytest.approx(predictors[1])


def test_of_the_linear_pools_the_score_is_at_least_the_mean_score(predictors):
    """Jensen: the log-likelihood of a linear pool is no less than the weighted log-likelihood."""
    weights = np.array([0.2, 0.3, 0.5])
    pooled = np.log(ll.pool_probabilities(predictors, weights))
    assert (pooled >= np.tensordot(weights, np.log(predictors), 1) - 1e-12).all()


def test_a_probability_of_zero_stays_finite():
    pooled = ll.pool_probabilities([[[1.0, 0.0]], [[0.5, 0.5]]], [0.5, 0.5], pool="logarithmic")
    assert pooled[0] == pytest.approx([1, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("probabilities", "weights", "named"),
    [
        ([[0.5, 0.5]], [1.0], "shape"),
        ([[[2.0, -1.0]]], [1.0], "logits"),
        ([[[0.5, 0.6]]], [1.0], "logits"),
        ([[[0.5, np.nan]]], [1.0], "logits"),
        ([[[0.5, 0.5]]], [0.5, 0.5], "weights"),
        ([[[0.5, 0.5]]], [np.nan], "weights"),
        ([[[0.5, 0.5]], [[0.5, 0.5]]], [0.7, 0.7], "sum 1"),
        ([[[0.5, 0.5]], [[0.5, 0.5]]], [1.5, -0.5], "sum 1"),
    ],
)
def test_pool_refuses(probabilities, weights, named):
    with pytest.raises(ValueError, match=named):
        ll.pool_probabilities(probabilities, weights)


def test_the_weights_of_least_variance():
    rng = np.random.default_rng(1)
    for _ in range(10):
        root = rng.normal(size=(3, 3))
        covariance = root @ root.T + 0.1 * np.eye(3)
        weights = ll.minimum_variance_weights(covariance)
        found = minimize(
            lambda w, c=covariance: w @ c @ w,
            np.full(3, 1 / 3),
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-12, "maxiter": 500},
        )
        assert weights @ covariance @ weights <= found.fun + 1e-9
        assert weights == pytest.approx(found.x, abs=1e-3)


def test_two_estimators_by_bates_and_granger():
    """Standard deviations 1 and 1.15, correlation .6: the first gets .671."""
    covariance = [[1, 0.6 * 1.15], [0.6 * 1.15, 1.15**2]]
    assert ll.minimum_variance_weights(covariance)[0] == pytest.approx(0.671, abs=5e-4)
    # Where the correlation is above the ratio of the deviations, the worse one is subtracted.
    assert ll.minimum_variance_weights([[1, 0.9 * 2], [0.9 * 2, 4]])[1] < 0


@pytest.mark.parametrize(
    ("covariance", "named"),
    [
        ([1.0, 2.0], "shape"),
        ([[1.0, 0.5], [0.4, 1.0]], "symmetric"),
        ([[np.nan, 0.5], [0.5, 1.0]], "missing"),
        ([[1.0, 1.0], [1.0, 1.0]], "positive definite"),
    ],
)
def test_weights_refuse(covariance, named):
    with pytest.raises(ValueError, match=named):
        ll.minimum_variance_weights(covariance)
