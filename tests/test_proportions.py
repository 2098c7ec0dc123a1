"""The effective size of shares in clusters: by integration, at its limits, and by simulation."""

import numpy as np
import pytest
from scipy import integrate, special

import lleval_lib as ll
from lleval_lib.proportions import effective_size


@pytest.mark.parametrize(
    ("right", "sizes"),
    [([3, 1, 4, 0], [4, 4, 5, 2]), ([5, 5, 5, 5], [5, 5, 5, 5]), ([40, 3], [50, 3])],
)
def test_the_posterior_mean_by_integration(right, sizes):
    """p and the correlation uniform, the counts beta-binomial: scipy integrates over both."""
    right, sizes = np.array(right), np.array(sizes)

    def likelihood(rho, p):
        a, b = p * (1 / rho - 1), (1 - p) * (1 / rho - 1)
        terms = special.betaln(right + a, sizes - right + b) - special.betaln(a, b)
        return np.exp(terms.sum())

    inside = (0, 1, 0, 1)
    total = integrate.dblquad(likelihood, *inside, epsabs=1e-12, epsrel=1e-5)[0]
    first = integrate.dblquad(lambda r, p: r * likelihood(r, p), *inside, epsrel=1e-5)[0]
    n = sizes.sum()
    expected = n / (1 + (first / total) * ((sizes**2).sum() / n - 1))
    values = np.concatenate([np.arange(m) < k for k, m in zip(right, sizes, strict=True)]) * 1.0
    found = effective_size(values, np.repeat(np.arange(len(sizes)), sizes))
    assert found == pytest.approx(expected, rel=0.04)


def test_without_clusters_it_is_the_number_of_items():
    assert effective_size(np.array([1.0, 0, 1]), np.arange(3)) == 3


def test_many_clusters_tell_the_correlation():
    """2,000 clusters of 5 with a correlation of .3: the design effect is 1 + 4 * .3."""
    rng = np.random.default_rng(0)
    rate = rng.beta(0.7 * 7 / 3, 0.3 * 7 / 3, 2_000)
    values = (rng.random((2_000, 5)) < rate[:, None]).ravel() * 1.0
    found = effective_size(values, np.repeat(np.arange(2_000), 5))
    assert 10_000 / found == pytest.approx(2.2, rel=0.05)
    copies, once = np.repeat(values, 2), np.arange(10_000)
    assert effective_size(copies, np.repeat(once, 2)) == pytest.approx(10_000, rel=1e-3)


def test_one_wrong_answer_more_never_makes_the_interval_jump():
    """Clusters of 50, 49 and 1: all right and one wrong were once .439 and .866."""
    labels = np.repeat([0, 1, 2], [50, 49, 1])
    lows = []
    for wrong in range(3):
        scores = np.ones(100)
        scores[50 : 50 + wrong] = 0
        lows.append(ll.proportion_interval(scores, cluster=labels).low)
    assert np.abs(np.diff(lows)).max() < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.05, 0.2])
@pytest.mark.parametrize(("p", "groups"), [(0.98, 20), (0.98, 200), (0.7, 50)])
def test_coverage_near_one_with_zipf_clusters(p, groups, correlation):
    """The design of the review, in which Wilson's interval on the standard error covers .80."""
    rng = np.random.default_rng(groups)
    sizes = np.maximum(1, np.round(20 * groups / np.arange(1, groups + 1) / 3.6)).astype(int)
    labels, held = np.repeat(np.arange(groups), sizes), []
    spread = 1 / correlation - 1
    for _ in range(300):
        rate = rng.beta(p * spread, (1 - p) * spread, groups)
        scores = (rng.random(len(labels)) < rate[labels]) * 1.0
        found = ll.proportion_interval(scores, cluster=labels)
        held.append(found.low <= p <= found.high)
    assert np.mean(held) > 0.92
