"""Several attempts at each item: the chance that one of k succeeds, and that all k do."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from .inputs import as_floats, require_count


def pass_at_k(correct: ArrayLike, attempts: ArrayLike, k: int) -> np.ndarray:
    """Return, for each item, the unbiased estimate of the chance that one of `k` attempts succeeds.

    `correct` are the numbers c of successes of each item among its `attempts` n, one number or one
    for each item. The estimate is 1 - C(n-c, k) / C(n, k), the share of the sets of k attempts that
    hold a success (Chen et al. 2021, arXiv:2107.03374, equation 1). The plug-in 1 - (1 - c/n)^k is
    too low. Means over items take their error from the items: give these values to
    `mean_interval`. Derived in chapter 20.

    >>> print(pass_at_k([3, 0, 10], 10, 5).round(4))
    [0.9167 0.     1.    ]

    Raises ``ValueError`` for counts that are not whole, more successes than attempts, and fewer
    than `k` attempts.
    """
    c, n = _counts(correct, attempts, k)
    return 1 - _share_of_sets(n - c, n, k)


def pass_hat_k(correct: ArrayLike, attempts: ArrayLike, k: int) -> np.ndarray:
    """Return, for each item, the unbiased estimate of the chance that all of `k` attempts succeed.

    The estimate is C(c, k) / C(n, k), the share of the sets of k attempts that hold successes only
    (written pass^k; Yao et al. 2024, arXiv:2406.12045, section 3). Arguments as in `pass_at_k`.
    Derived in chapter 19.

    >>> print(pass_hat_k([3, 0, 10], 10, 2).round(4))
    [0.0667 0.     1.    ]

    Raises ``ValueError`` as `pass_at_k` does.
    """
    c, n = _counts(correct, attempts, k)
    return _share_of_sets(c, n, k)


def _share_of_sets(held: np.ndarray, n: np.ndarray, k: int) -> np.ndarray:
    """Return C(held, k) / C(n, k), by logarithms, for the binomials overflow from n = 1030 on."""
    enough = held >= k
    held = np.where(enough, held, k)
    logs = gammaln(held + 1) - gammaln(held - k + 1) - gammaln(n + 1) + gammaln(n - k + 1)
    return np.where(enough, np.where(held == n, 1.0, np.exp(logs)), 0.0)


def _counts(correct: ArrayLike, attempts: ArrayLike, k: int) -> tuple[np.ndarray, np.ndarray]:
    require_count(k, "k", least=1, such_as=5)
    c = np.atleast_1d(as_floats(correct, "correct"))
    n = np.atleast_1d(as_floats(attempts, "attempts"))
    for values, name in ((c, "correct"), (n, "attempts")):
        if values.ndim != 1 or not np.isfinite(values).all() or (values != values.round()).any():
            raise ValueError(f"{name}: expected whole numbers, one for each item, found {values}")
        if (values < 0).any():
            raise ValueError(f"{name}: expected counts, found {values.min():g}")
    if len(n) not in (1, len(c)):
        raise ValueError(f"attempts: expected one number or {len(c)}, found {len(n)}")
    n = np.broadcast_to(n, c.shape)
    if (c > n).any():
        i = int(np.argmax(c > n))
        raise ValueError(f"correct: item {i} has {c[i]:g} successes in {n[i]:g} attempts")
    if (n < k).any():
        i = int(np.argmax(n < k))
        raise ValueError(f"k: item {i} has {n[i]:g} attempts, too few for k = {k}")
    return c, n
