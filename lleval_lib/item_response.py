"""Item response models: which items are hard, which tell learners apart, and who can do what.

In the two-parameter logistic model (2PL) a learner of ability θ answers item j correctly with the
probability

    P_j(θ) = 1 / (1 + exp(-a_j (θ - b_j))),

where a_j is the item's discrimination and b_j its difficulty, on the scale of θ. Given θ, answers
are independent; abilities are normal with mean 0 and standard deviation 1 (Birnbaum 1968). The
likelihood of a learner's answers is the mean over θ, and is maximised by the EM algorithm (Bock &
Aitkin 1981, Psychometrika 46). Integrals are sums over equidistant nodes from -6 to 6, closer
together where a test is long. Derived in chapter 24.
"""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, logsumexp
from scipy.stats import norm

from .inputs import (
    Cluster,
    as_floats,
    as_pandas,
    cluster_numbers,
    require_share,
    require_two_clusters,
)

_STEPS, _SMALL, _STEEP = 2_000, 1e-5, 6.0


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class ItemModel:
    """A fitted 2PL: arrays with one number an item, in the order of the columns.

    `discrimination` a and `difficulty` b have the standard errors `se_discrimination` and
    `se_difficulty`; `covariance` is that of all a and then all intercepts d = -a b; `loglik` is
    the marginal log-likelihood in nats. `warning` says why it is not to be trusted, and is empty
    otherwise.
    """

    discrimination: np.ndarray
    difficulty: np.ndarray
    se_discrimination: np.ndarray
    se_difficulty: np.ndarray
    covariance: np.ndarray
    loglik: float
    n: int
    n_clusters: int
    warning: str = ""

    def probability(self, theta: ArrayLike) -> np.ndarray:
        """Return P(correct), one row for each ability in `theta`, one column an item."""
        theta = np.atleast_1d(as_floats(theta, "theta"))
        return expit(np.multiply.outer(theta, self.discrimination) + self._intercept())

    def _intercept(self) -> np.ndarray:
        return -self.discrimination * self.difficulty

    def __str__(self) -> str:
        a, b = self.discrimination, self.difficulty
        said = f"\n  warning: {self.warning}" if self.warning else ""
        return (
            f"2PL of {len(a):,} items, n = {self.n:,} learners\n"
            f"  discrimination {a.min():.2f} to {a.max():.2f}, "
            f"difficulty {b.min():.2f} to {b.max():.2f}{said}"
        )


def fit_2pl(answers: pd.DataFrame | ArrayLike, *, cluster: Cluster = None) -> ItemModel:
    """Fit the 2PL to `answers`, n learners (rows) by J items: 1 right, 0 wrong, nan not asked.

    Standard errors are the sandwich of the observed information (Louis 1982) and the scores, which
    holds where the model is only an approximation; `cluster` are n labels of what learners have in
    common, such as the class. They need more learners than items have parameters: at 2 J or fewer
    learners a warning says so. What is not asked must not depend on the answer.

    >>> fit = fit_2pl([[0, 0], [0, 1], [1, 0], [1, 1], [1, 1], [0, 0]])
    >>> print(fit.discrimination.round(1))
    [1.7 1.7]

    Raises ``ValueError`` for answers that are not 0, 1 or nan, and for an item that all learners
    answered alike.
    """
    y, asked = _checked(answers, "answers")
    reference = as_pandas(answers)
    groups = cluster_numbers(
        cluster, len(y), reference if isinstance(reference, pd.DataFrame) else None
    )
    n_clusters = require_two_clusters(groups, "learners")
    share = y.sum(axis=0) / np.maximum(asked.sum(axis=0), 1)
    if (flat := (share == 0) | (share == 1)).any():
        place = int(flat.argmax())
        raise ValueError(
            f"answers: all learners answer the item in column {place} alike, which says nothing of "
            f"how it tells them apart; drop {int(flat.sum()):,} such items"
        )
    nodes, log_weights = _grid(y.shape[1])
    a, d = np.ones(y.shape[1]), np.log(share / (1 - share))
    for _ in range(_STEPS):
        posterior = _posterior(y, asked, a, d, nodes, log_weights)[0]
        before = np.r_[a, d]
        a, d = _maximised(posterior.T @ y, posterior.T @ asked, a, d, nodes)
        if np.abs(np.r_[a, d] - before).max() < _SMALL:
            break
    else:
        before = np.full(2 * len(a), np.nan)
    if a.sum() < 0:
        a = -a
    posterior, loglik = _posterior(y, asked, a, d, nodes, log_weights)
    covariance = _sandwich(y, asked, a, d, nodes, posterior, groups, n_clusters)
    warning = ""
    if len(y) <= 2 * len(a):
        warning = "there are fewer learners than parameters"
    elif np.isnan(before).any() or np.abs(a).max() >= _STEEP:
        warning = "the fit did not settle: some items have no finite discrimination"
    steep = np.where(np.abs(a) < 1e-8, np.nan, a)  # no slope, no difficulty
    b = -d / steep
    error = np.sqrt(np.clip(np.diag(covariance), 0, np.inf))
    one, two, both = _blocks(covariance, len(a))
    of_b = (two + b**2 * one + 2 * b * both) / steep**2
    return ItemModel(
        *(a, b, error[: len(a)], np.sqrt(np.clip(of_b, 0, np.inf)), covariance),
        *(float(loglik.sum()), len(y), n_clusters, warning),
    )


def ability(
    answers: pd.DataFrame | ArrayLike, model: ItemModel, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the abilities of learners as `estimate`, `se`, `low` and `high`, one row each.

    `answers` are n learners by the items of `model`: 1, 0, or nan for an item that was not asked.
    The estimate is the mean of θ given the answers and the standard normal population (EAP, Bock &
    Mislevy 1982), the standard error its standard deviation, the interval estimate ± z·SE. It
    takes the items as known, and answers as independent given θ.

    >>> model = fit_2pl([[0, 0], [0, 1], [1, 0], [1, 1], [1, 1], [0, 0]])
    >>> ability([[np.nan, np.nan], [1, 1]], model).se.round(1).tolist()
    [1.0, 0.7]

    Raises ``ValueError`` for answers that are not 0, 1 or nan, or another number of items.
    """
    z = norm.isf((1 - require_share(confidence)) / 2)
    y, asked = _checked(answers, "answers")
    if y.shape[1] != len(model.discrimination):
        raise ValueError(
            f"answers: found {y.shape[1]:,} columns, and the model has "
            f"{len(model.discrimination):,} items; give one column for each, nan where not asked"
        )
    nodes, log_weights = _grid(y.shape[1])
    a, d = model.discrimination, model._intercept()
    posterior, _ = _posterior(y, asked, a, d, nodes, log_weights)
    mean = posterior @ nodes
    se = np.sqrt(np.clip(posterior @ nodes**2 - mean**2, 0, np.inf))
    frame = as_pandas(answers)
    return pd.DataFrame(
        {"estimate": mean, "se": se, "low": mean - z * se, "high": mean + z * se},
        index=frame.index if isinstance(frame, pd.DataFrame) else None,
    )


def information(model: ItemModel, theta: ArrayLike) -> np.ndarray:
    """Return Fisher's information a² P (1 - P), one row an ability of `theta`, one column an item.

    The sum over the items asked is the information of a test; its inverse root is the standard
    error of θ that a long test has (Birnbaum 1968). An adaptive test asks the item with the most.

    >>> model = fit_2pl([[0, 0], [0, 1], [1, 0], [1, 1], [1, 1], [0, 0]])
    >>> information(model, [0.0]).shape
    (1, 2)
    """
    p = model.probability(theta)
    return model.discrimination**2 * p * (1 - p)


def _checked(answers: pd.DataFrame | ArrayLike, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return answers with 0 where not asked, and where they were asked, as floats."""
    y = as_floats(answers, what)
    if y.ndim != 2 or 0 in y.shape:
        raise ValueError(f"{what}: expected learners by items, found shape {y.shape}")
    asked = ~np.isnan(y)
    if strange := [v for v in np.unique(y[asked]) if v not in (0, 1)]:
        raise ValueError(f"{what}: expected 1, 0 or nan for not asked, found {strange[0]:g}")
    return np.where(asked, y, 0.0), asked.astype(float)


def _grid(n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes, and the logarithms of their weights under the standard normal."""
    nodes = np.linspace(-6, 6, 2 * ceil(6 / min(0.25, 1.2 / sqrt(n_items))) + 1)
    logs = -(nodes**2) / 2
    return nodes, logs - logsumexp(logs)


def _posterior(y, asked, a, d, nodes, log_weights) -> tuple[np.ndarray, np.ndarray]:
    """Return P(node given the answers), (n, nodes), and the log-likelihood of each learner."""
    logit = np.multiply.outer(nodes, a) + d
    joint = y @ logit.T - asked @ np.logaddexp(0, logit).T + log_weights
    top = joint.max(axis=1, keepdims=True)
    weights = np.exp(joint - top)
    total = weights.sum(axis=1, keepdims=True)
    return weights / total, (top + np.log(total))[:, 0]


def _maximised(right, asked, a, d, nodes) -> tuple[np.ndarray, np.ndarray]:
    """Return a and d after Newton's steps on each item's expected counts at the nodes."""
    for _ in range(2):
        p = expit(np.multiply.outer(nodes, a) + d)
        off, w = right - asked * p, asked * p * (1 - p) + 1e-12
        g_a, g_d = nodes @ off, off.sum(axis=0)
        h_aa, h_ad, h_dd = nodes**2 @ w, nodes @ w, w.sum(axis=0)
        det = h_aa * h_dd - h_ad**2
        a = np.clip(a + np.clip((h_dd * g_a - h_ad * g_d) / det, -0.5, 0.5), -_STEEP, _STEEP)
        d = np.clip(d + np.clip((h_aa * g_d - h_ad * g_a) / det, -1, 1), -30, 30)
    return a, d


def _sandwich(y, asked, a, d, nodes, posterior, groups, n_clusters) -> np.ndarray:
    """Return the covariance of (a, d): inverse information around the scores' cross products."""
    size = y.shape[1]
    p = expit(np.multiply.outer(nodes, a) + d)
    mean_p, mean_tp = posterior @ p, posterior @ (p * nodes[:, None])
    theta = (posterior @ nodes)[:, None]
    scores = np.hstack([theta * y - asked * mean_tp, y - asked * mean_p])
    # Of the complete data, less what the answers leave open (Louis 1982).
    w = p * (1 - p) * (posterior.T @ asked)
    hessian = scores.T @ scores
    for m, (rows, columns) in enumerate([(1, 1), (0, 1), (0, 0)]):
        cross = np.zeros((size, size))
        for k, node in enumerate(nodes):
            off = y - asked * p[k]
            cross += node ** (2 - m) * (off.T @ (off * posterior[:, k : k + 1]))
        block = np.diag(nodes ** (2 - m) @ w) - cross
        i, j = (slice(0, size) if part else slice(size, 2 * size) for part in (rows, columns))
        hessian[i, j] += block
        if i != j:
            hessian[j, i] += block
    sums = np.zeros((n_clusters, 2 * size))
    np.add.at(sums, groups, scores)
    inverse = np.linalg.pinv(hessian, hermitian=True)
    return inverse @ (sums.T @ sums) @ inverse * n_clusters / (n_clusters - 1)


def _blocks(covariance: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the variances of a and of d, and their covariances, an item each."""
    full = np.diag(covariance)
    return full[:size], full[size:], np.diag(covariance[:size, size:])
