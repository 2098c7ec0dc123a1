"""Combine the answers of several predictors: late fusion, and the weights of least variance."""

import numpy as np
from numpy.typing import ArrayLike

from .inputs import as_floats, require_one_of


def pool_probabilities(
    probabilities: ArrayLike, weights: ArrayLike, *, pool: str = "linear"
) -> np.ndarray:
    """Return the weighted probabilities of several predictors, shape (n, classes): late fusion.

    `probabilities` has shape (predictors, n, classes), each row with sum 1; `weights` has one
    number for each predictor. `pool` is "linear", Σₖ wₖ pₖ, for weights that are not negative and
    sum to 1, or "logarithmic", proportional to Πₖ pₖ^wₖ, a weighted sum of logits (Genest & Zidek
    1986, "Combining Probability Distributions", sections 3 and 4; chapter 12).

    >>> pool_probabilities([[[0.9, 0.1]], [[0.5, 0.5]]], [0.5, 0.5]).round(2)
    array([[0.7, 0.3]])
    >>> pool_probabilities([[[0.9, 0.1]], [[0.5, 0.5]]], [0.5, 0.5], pool="logarithmic").round(2)
    array([[0.75, 0.25]])

    Raises ``ValueError`` for other shapes, rows that are no probabilities, and weights as above.
    """
    require_one_of(pool, "pool", ("linear", "logarithmic"))
    table = as_floats(probabilities, "probabilities")
    if table.ndim != 3:
        raise ValueError(
            f"probabilities: expected shape (predictors, n, classes), found {table.shape}"
        )
    if not ((table >= 0).all() and np.abs(table.sum(2) - 1).max(initial=0) < 1e-4):
        raise ValueError("probabilities: each row must be ≥ 0 and sum to 1; are these logits?")
    weights = as_floats(weights, "weights")
    if weights.shape != table.shape[:1]:
        raise ValueError(
            f"weights: expected one for each of the {len(table)} predictors, found {weights.shape}"
        )
    if not np.isfinite(weights).all():
        raise ValueError(f"weights: expected numbers, found {weights.tolist()}")
    if pool == "linear":
        if (weights < 0).any() or abs(weights.sum() - 1) > 1e-9:
            raise ValueError(
                f"weights: a linear pool needs weights ≥ 0 with sum 1, found {weights.tolist()}"
            )
        return np.tensordot(weights, table, 1)
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(table, np.finfo(float).tiny))
    logits = np.tensordot(weights, logs, 1)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def minimum_variance_weights(covariance: ArrayLike) -> np.ndarray:
    """Return the weights with sum 1 that combine unbiased estimators with the least variance.

    `covariance` is that of the estimators' errors, shape (k, k). The weights are Σ⁻¹1 / 1ᵀΣ⁻¹1:
    inversely proportional to the variances where the errors are uncorrelated, and below 0 for an
    estimator whose error mostly repeats that of a better one (Bates & Granger 1969, "The
    Combination of Forecasts", for two; derived in chapter 12).

    >>> minimum_variance_weights([[1.0, 0.0], [0.0, 3.0]])
    array([0.75, 0.25])

    Raises ``ValueError`` for a matrix that is not symmetric and positive definite.
    """
    covariance = as_floats(covariance, "covariance")
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise ValueError(f"covariance: expected shape (k, k), found {covariance.shape}")
    if not np.allclose(covariance, covariance.T):
        raise ValueError("covariance: expected a symmetric matrix without missing values")
    if np.linalg.eigvalsh(covariance)[0] <= 0:
        raise ValueError(
            "covariance: not positive definite: an estimator's error is a sum of others'; leave "
            "one out, or add a small number to the diagonal"
        )
    solved = np.linalg.solve(covariance, np.ones(len(covariance)))
    return solved / solved.sum()
