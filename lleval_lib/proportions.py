"""Shares of right answers whose items come in clusters: of how many independent items they tell.

Let cluster g hold m_g of n items, and let ρ be the intraclass correlation, that of two items of one
cluster. The share of right answers has the variance p(1 - p)/n times the design effect

    deff = 1 + ρ·(Σ m_g²/n - 1),

as if there were only n_eff = n/deff independent items (Kish 1965, Survey Sampling, section 5.4).
To take deff from the clustered standard error fails near 0 and 1: where the large clusters happen
to be right throughout, they look alike by luck, and the interval misses. So ρ comes from a model
instead, in which the numbers right in the clusters are beta-binomial (Griffiths 1973, Biometrics
29) and p and ρ uniform beforehand; deff is its posterior mean. Where the data say little about ρ,
it is large, and the interval wide. The sizes are taken as given: where large clusters are harder,
and other clusters could have been drawn, the share of *those* items is another question.
"""

import numpy as np
from scipy.special import betaln, expit, logit

_NODES = 41


def effective_size(values: np.ndarray, clusters: np.ndarray) -> float:
    """Return n_eff for `values` of 0 and 1 in `clusters`, numbers from 0; n if no item shares one.

    >>> round(effective_size(np.repeat([1, 0, 1, 1], 5), np.repeat([0, 1, 2, 3], 5)), 1)
    4.7
    """
    n, sizes = len(values), np.bincount(clusters)
    more = (sizes**2).sum() / n - 1
    if more == 0:
        return float(n)
    right = np.bincount(clusters, values)
    return float(n / (1 + more * _mean_correlation(right, sizes)))


def _mean_correlation(right: np.ndarray, sizes: np.ndarray) -> float:
    """Return the posterior mean of ρ, by a grid that is drawn closer around the likelihood."""
    kinds, counts = np.unique(np.column_stack([right, sizes]), axis=0, return_counts=True)
    centre = logit((right.sum() + 0.5) / (sizes.sum() + 1))
    ends = [(centre - 8, centre + 8), (1e-6, 1 - 1e-6)]
    for _ in range(3):
        p, rho = (np.linspace(*pair, _NODES) for pair in ends)
        logs = _log_posterior(p, rho, kinds, counts)
        likely = logs > logs.max() - 12
        ends = [_around(nodes, likely.any(axis=1 - axis)) for axis, nodes in enumerate((p, rho))]
    weights = np.exp(logs - logs.max())
    return float((weights.sum(axis=0) * rho).sum() / weights.sum())


def _around(nodes: np.ndarray, likely: np.ndarray) -> tuple[float, float]:
    """Return the ends of the likely nodes, with one node more on either side."""
    where = np.flatnonzero(likely)
    return nodes[max(where[0] - 1, 0)], nodes[min(where[-1] + 1, len(nodes) - 1)]


def _log_posterior(x: np.ndarray, rho: np.ndarray, kinds, counts) -> np.ndarray:
    """Return the log density at every logit `x` of p and every `rho`, up to a constant."""
    right, sizes = kinds.T
    p, spread = expit(x)[:, None, None], (1 / rho - 1)[:, None]
    a, b = p * spread, (1 - p) * spread
    found = (betaln(right + a, sizes - right + b) - betaln(a, b)) @ counts
    return found + np.log(expit(x) * expit(-x))[:, None]  # p is uniform, x = logit(p) is not
