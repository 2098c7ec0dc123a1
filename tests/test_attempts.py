"""pass@k and pass^k: published values, the sets counted one by one, no bias, bad input."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom

import lleval_lib as ll


def test_published_values():
    assert ll.pass_at_k(3, 10, 5)[0] == pytest.approx(0.9167, abs=5e-5)
    assert ll.pass_at_k(2, 4, 2)[0] == pytest.approx(0.8333, abs=5e-5)


@pytest.mark.parametrize("n", [1, 3, 6])
def test_they_count_the_sets_of_k_attempts(n):
    for c in range(n + 1):
        outcomes = [1] * c + [0] * (n - c)
        for k in range(1, n + 1):
            sets = list(combinations(outcomes, k))
            assert ll.pass_at_k(c, n, k)[0] == pytest.approx(np.mean([max(s) for s in sets]))
            assert ll.pass_hat_k(c, n, k)[0] == pytest.approx(np.mean([min(s) for s in sets]))


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_neither_is_biased(p):
    n, k = 12, 5
    c = np.arange(n + 1)
    chance = binom.pmf(c, n, p)
    assert chance @ ll.pass_at_k(c, n, k) == pytest.approx(1 - (1 - p) ** k)
    assert chance @ ll.pass_hat_k(c, n, k) == pytest.approx(p**k)
    assert chance @ (1 - (1 - c / n) ** k) < 1 - (1 - p) ** k  # the plug-in


def test_items_may_have_other_numbers_of_attempts_and_many():
    assert ll.pass_at_k([1, 5000], [2, 10_000], 2) == pytest.approx([1, 0.75], abs=1e-4)
    assert ll.pass_hat_k([2, 2], [2, 2000], 2).tolist() == pytest.approx([1, 2 / 2000 / 1999])


@pytest.mark.parametrize("function", [ll.pass_at_k, ll.pass_hat_k])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([3], 2, 1), "correct: item 0 has 3 successes in 2 attempts"),
        (([1, 1], [4, 2], 3), "k: item 1 has 2 attempts, too few for k = 3"),
        (([0.5], 2, 1), "correct: expected whole numbers"),
        (([-1], 2, 1), "correct: expected counts"),
        (([1, 1], [2, 2, 2], 1), "attempts: expected one number or 2, found 3"),
        (([[1]], 2, 1), "correct: expected whole numbers, one for each item"),
        (([1], 2, 0), "k"),
        (([np.nan], 2, 1), "correct"),
    ],
)
def test_bad_input_is_named(function, arguments, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        function(*arguments)
