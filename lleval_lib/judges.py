"""The true rate behind a judge's verdicts, from its verdicts on all items and labels of some.

Of N items without a label the judge passes the share q, and of n items there are labels y and
verdicts f. Two ways to the mean of y over all:

- prediction-powered inference: the judge's mean, put right by its mean error where it is known,
  θ = λ·q + mean(y - λ·f) (Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023, Science 382), with
  λ = 1, or the λ that makes the variance smallest (Angelopoulos, Duchi & Zrnic 2023,
  arXiv:2311.01453). It holds for any numbers, if the labelled items are drawn from the same items;
- Rogan & Gladen (1978, American Journal of Epidemiology 107): q = θ·sens + (1 - θ)(1 - spec) solved
  for θ. It holds for right and wrong, if the judge's sensitivity and specificity are the same on
  both sets. Its interval is Fieller's (1954, JRSS B 16): all θ at which q + spec - 1 is within t
  standard errors of θ·(sens + spec - 1).

Both count the errors of both sets, by clusters. Derived in chapter 26.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .clusters import df_of_shares, effective_df, t_half_width, welch_df
from .inputs import (
    Cluster,
    as_floats,
    as_pandas,
    cluster_numbers,
    finite,
    first_indexed,
    in_order,
    require_one_of,
    require_share,
    require_two_clusters,
)
from .intervals import FEW_CLUSTERS
from .results import Interval, t_interval

_METHODS = ("ppi++", "ppi", "rogan-gladen")


def judged_rate(
    verdict: ArrayLike,
    label: ArrayLike,
    *,
    method: str = "ppi++",
    cluster: Cluster = None,
    confidence: float = 0.95,
) -> Interval:
    """Return the mean label of all n items, from a judge's verdicts and the labels of some.

    `verdict` are n numbers, what the judge says of each item; `label` are n numbers, nan where
    there is none. `method` is "ppi" or "ppi++" (λ chosen by the data), for labels that were drawn
    at random from these items, or "rogan-gladen", for verdicts and labels of 0 and 1 where the
    labels may come from items with another rate. `se` is that of the delta method, in which
    sensitivity and specificity have at least the error of a share with one more of each kind.
    `cluster` are n labels, by default every item its own. A warning says where the judge's rate
    with labels is not that without (a sign that the labels were drawn elsewhere), for fewer than
    ten labels (of either kind) or effective clusters, for an estimate beyond the range of labels,
    and for a judge that is not told apart from a coin: its interval is 0 to 1.

    >>> verdict = [1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1]
    >>> label = [1, 0, 0, 1, 0, 1] + [float("nan")] * 10
    >>> print(judged_rate(verdict, label, method="ppi"))
    0.533 [0.041, 1.025] (95%, n = 16)
      warning: only 6 labels

    Raises ``ValueError`` for verdicts that are missing, fewer than two items or clusters with or
    without a label; with "rogan-gladen" for other numbers than 0 and 1, and fewer than two labels
    or clusters of a kind.
    """
    require_one_of(method, "method", _METHODS)
    require_share(confidence)
    verdict, label = as_pandas(verdict), as_pandas(label)
    first = first_indexed(verdict, label, cluster)
    f, y = finite(verdict, "verdict"), as_floats(label, "label")
    if y.shape != f.shape:
        raise ValueError(f"label has shape {y.shape}, but there are {len(f):,} verdicts")
    if hasattr(label, "index") and not isinstance(label, list):
        y = as_floats(in_order(label, first, "label"), "label")
    if np.isinf(y).any():
        raise ValueError("label has infinite numbers: give a number, or nan where there is none")
    clusters = cluster_numbers(cluster, len(f), first)
    require_two_clusters(clusters)
    known = np.isfinite(y)
    if min(known.sum(), (~known).sum()) < 2:
        raise ValueError(
            f"label: {int(known.sum()):,} of {len(y):,} items have one; both kinds need two or "
            "more. If all have one, take mean_interval"
        )
    parts = _Parts(clusters)
    parts.require_two(known, "items with a label")
    parts.require_two(~known, "items without a label")
    if method == "rogan-gladen":
        found = _rogan_gladen(f, y, known, parts, confidence)
    else:
        found = _powered(f, y, known, parts, confidence, method == "ppi++")
    return found


class _Parts:
    """What each part of the items adds to an estimate, by cluster, as in the module clusters."""

    def __init__(self, clusters: np.ndarray):
        self.clusters, self.groups = clusters, int(clusters.max()) + 1

    def of(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the errors of the mean of `values` over `rows`, one number a cluster (CR2)."""
        own = self.clusters[rows]
        sums = np.bincount(own, values - values.mean(), self.groups) / len(values)
        share = np.bincount(own, minlength=self.groups) / len(values)
        return sums / np.sqrt(np.maximum(1 - share, 1e-12))

    def df(self, rows: np.ndarray) -> float:
        return max(effective_df(np.unique(self.clusters[rows], return_inverse=True)[1]), 1.0)

    def joint_df(self, variances: list[float], dfs: list[float], rows: list[np.ndarray]) -> float:
        """Return the degrees of freedom of a sum over parts, which may share clusters."""
        total = sum(variances)
        if not total > 0:
            return welch_df(variances, dfs)
        share = np.zeros(self.groups)  # of the variance, in each cluster
        for variance, own in zip(variances, rows, strict=True):
            size = np.bincount(self.clusters[own], minlength=self.groups)
            share += variance / total * size / size.sum()
        return max(min(welch_df(variances, dfs), df_of_shares(share[share > 0])), 1.0)

    def require_two(self, rows: np.ndarray, what: str) -> None:
        """Raise if `rows` lie in one cluster: their errors would add up to 0."""
        if len(np.unique(self.clusters[rows])) < 2:
            raise ValueError(
                f"cluster=: all {int(rows.sum()):,} {what} lie in one, so that nothing shows how "
                "clusters vary; label items of more clusters"
            )

    def few(self, df: float) -> str:
        """Return a warning if there are few clusters."""
        few = df + 1 < FEW_CLUSTERS and self.groups < len(self.clusters)
        return f"only {df + 1:.2g} effective clusters" if few else ""


def _powered(f, y, known, parts: _Parts, confidence: float, tuned: bool) -> Interval:
    n, more = int(known.sum()), int((~known).sum())
    weight = 1.0
    if tuned:
        spread = np.var(f)
        both = np.cov(y[known], f[known])[0, 1]
        weight = both / (1 + n / more) / spread if spread > 0 else 0.0
    rest = y[known] - weight * f[known]
    estimate = weight * f[~known].mean() + rest.mean()
    one, two = parts.of(weight * f[~known], ~known), parts.of(rest, known)
    dfs = [parts.df(~known), parts.df(known)]
    if tuned:  # λ was fitted to these: one degree of freedom less
        less = max(dfs[1] - 1, 1.0)
        two, dfs[1] = two * np.sqrt(dfs[1] / less), less
    df = parts.joint_df([one @ one, two @ two], dfs, [~known, known])
    se = float(np.linalg.norm(one + two))
    warning = _elsewhere(f, known, parts) or parts.few(df)
    rare = min((y[known] == 0).sum(), (y[known] == 1).sum())
    if n < 10:
        warning = f"only {n} labels"
    elif rare < 10 and set(np.unique(y[known])) <= {0, 1}:
        warning = f"only {rare} labels of one kind"
    if not y[known].min() <= estimate <= y[known].max():
        warning = f"beyond the range of the labels: {estimate:.2f}"
    return t_interval(estimate, se, df, len(f), parts.groups, confidence, warning)


def _elsewhere(f, known, parts: _Parts) -> str:
    """Return a warning if the judge's rate with labels is not that without."""
    apart = f[known].mean() - f[~known].mean()
    se = np.linalg.norm(parts.of(f[known], known) - parts.of(f[~known], ~known))
    if abs(apart) <= stats.norm.isf(0.005) * se:
        return ""
    return f"verdicts: {f[known].mean():.2f} with labels, {f[~known].mean():.2f} without"


def _rogan_gladen(f, y, known, parts: _Parts, confidence: float) -> Interval:
    if set(np.unique(f)) - {0, 1} or set(np.unique(y[known])) - {0, 1}:
        raise ValueError("verdict and label must be 0 or 1 here; for other numbers take ppi++")
    good, bad = known & (y == 1), known & (y == 0)
    if min(good.sum(), bad.sum()) < 2:
        raise ValueError("label: found fewer than two of 1 or of 0; label more of the rare kind")
    parts.require_two(good, "labels of 1")
    parts.require_two(bad, "labels of 0")
    sens, spec, q = f[good].mean(), 1 - f[bad].mean(), f[~known].mean()
    gain = sens + spec - 1
    theta = (q + spec - 1) / gain if gain else np.nan
    # q + spec - 1 - θ gain moves by a + θ b, where a and b are errors by cluster.
    of_q, of_sens = parts.of(f[~known], ~known), _kept_wide(f[good], good, parts)
    of_spec = _kept_wide(1 - f[bad], bad, parts)
    a, b = of_q + of_spec, -of_sens - of_spec
    inside = float(np.clip(theta, 0, 1)) if gain else 0.5
    v_q, v_sens, v_spec = (e @ e for e in (of_q, of_sens, of_spec))
    variances = [v_q, inside**2 * v_sens, (1 - inside) ** 2 * v_spec]
    sets = [~known, good, bad]
    df = parts.joint_df(variances, [parts.df(rows) for rows in sets], sets)
    low, high = _fieller(q + spec - 1, gain, a, b, t_half_width(1.0, df, confidence))
    warning = parts.few(df)
    if (rare := min(good.sum(), bad.sum())) < 10:
        warning = f"only {rare} labels of one kind"
    if not 0 <= theta <= 1:
        warning = f"beyond the range of a rate: {theta:.2f}"
    if gain < 0:
        warning = "the judge is worse than a coin"
    if not np.isfinite(low):
        low, high, warning = 0.0, 1.0, "the judge is not told apart from a coin"
    low, high = np.clip([low, high], 0, 1)
    se = float(np.linalg.norm(a + inside * b)) / abs(gain) if gain else np.nan
    estimate = inside if gain else np.nan
    return Interval(estimate, se, low, high, df, len(f), parts.groups, confidence, warning)


def _kept_wide(right: np.ndarray, rows: np.ndarray, parts: _Parts) -> np.ndarray:
    """Return the errors of a share by cluster, no smaller than with one more of each kind."""
    errors, n = parts.of(right, rows), len(right)
    share = (right.sum() + 1) / (n + 2)
    least = share * (1 - share) / (n + 2)
    if (found := errors @ errors) >= least:
        return errors
    if found > 0:
        return errors * np.sqrt(least / found)
    own = np.bincount(parts.clusters[rows], minlength=parts.groups) > 0
    sign = np.where(np.cumsum(own) % 2, 1.0, -1.0) * own
    return sign * np.sqrt(least / own.sum())


def _fieller(top, bottom, a, b, t: float) -> tuple[float, float]:
    """Return all θ with |top - θ·bottom| ≤ t·SE of it; nan if they have no end."""
    square = bottom**2 - t**2 * (b @ b)
    linear = top * bottom + t**2 * (a @ b)
    rest = top**2 - t**2 * (a @ a)
    if square <= 0:
        return np.nan, np.nan
    root = np.sqrt(max(linear**2 - square * rest, 0.0))
    return (linear - root) / square, (linear + root) / square
