"""Strengths from battles of two, with errors that know who judged: the Bradley-Terry model.

The log-odds that a beats b are the difference of their strengths, plus effects of what else differs
between the two, such as length or which stood first (Bradley & Terry 1952, Biometrika 39):

    ln P(a wins) / P(b wins) = s_a - s_b + Σ_k x_k·β_k.

A tie counts as half a win for each; the errors are those of a sandwich over clusters, which hold
for ties too, and where the model is only near the truth. Derived in chapter 26.

The error of one contrast w of strengths and effects is that of a clustered mean, as in the module
clusters. Cluster g moves it by m_g = wᵀH⁻¹ Σ x_i(y_i - p_i), with H the information, and has the
share h_g of its variance as if battles were independent, Σ p_i(1 - p_i)(wᵀH⁻¹x_i)². Then

    SE² = Σ_g m_g² / (1 - h_g),

with the degrees of freedom of the shares h_g. So a system that few voters saw has few, however many
voters saw others.
"""

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, hstack
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from .clusters import df_of_shares, drop_rounding, t_half_width, t_p_value
from .inputs import (
    Cluster,
    as_pandas,
    cluster_numbers,
    finite,
    first_indexed,
    in_order,
    labels_of,
    require_share,
    require_two_clusters,
)
from .intervals import FEW_CLUSTERS
from .many import adjust_p_values
from .results import Interval, t_interval

_STEPS, _SMALL, _STEEP = 100, 1e-10, 20.0


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class BradleyTerry:
    """Fitted strengths in log-odds, with mean 0, and effects, with their joint covariance.

    `names` are the systems, sorted; `strength` has one number for each, `effects` one an effect.
    `covariance` is the plain sandwich of all of them, in that order. The errors of `difference`,
    `effect` and `ranks` are those of a contrast, wider where few clusters tell of it.
    """

    names: tuple[str, ...]
    strength: np.ndarray
    effects: pd.Series
    covariance: np.ndarray
    n: int
    n_clusters: int
    _parts: "_Parts" = field(repr=False)

    def difference(self, a: str, b: str, *, confidence: float = 0.95) -> Interval:
        """Return how far the strength of `b` lies above that of `a`, in log-odds.

        There is no interval where all that links the two comes from one cluster.
        """
        a, b = str(a), str(b)
        for name in (a, b):
            if name not in self.names:
                raise LookupError(f"no system is called {name!r}; there are: {self._listed()}")
        weights = np.zeros(len(self.covariance))
        weights[self.names.index(b)] += 1
        weights[self.names.index(a)] -= 1
        return self._interval(weights, confidence)

    def effect(self, name: str, *, confidence: float = 0.95) -> Interval:
        """Return an effect, in log-odds a unit of its column."""
        if name not in self.effects.index:
            known = ", ".join(self.effects.index) or "none"
            raise LookupError(f"no effect is called {name!r}; there are: {known}")
        weights = np.zeros(len(self.covariance))
        weights[len(self.names) + self.effects.index.get_loc(name)] = 1
        return self._interval(weights, confidence)

    def ranks(self, *, confidence: float = 0.95) -> pd.DataFrame:
        """Return strengths with intervals and ranks with theirs, strongest first.

        `low` and `high` are of the distance to the mean of all systems, nan where nothing shows
        its error. `rank_low` is 1 + the number of systems that are significantly stronger,
        `rank_high` K less those significantly weaker, in all pairs with Holm's correction, so that
        all hold together, as in `rank_intervals`.
        """
        k, edge = len(self.names), 1 - require_share(confidence)
        pairs = list(combinations(range(k), 2))
        gaps = [self.difference(self.names[i], self.names[j]) for i, j in pairs]
        p = adjust_p_values(
            [t_p_value(g.estimate, g.se, g.df) if np.isfinite(g.se) else 1.0 for g in gaps]
        )
        low, high = np.ones(k, dtype=int), np.full(k, k)
        for (i, j), gap, own in zip(pairs, gaps, p, strict=True):
            if own <= edge:
                up, down = (j, i) if gap.estimate > 0 else (i, j)
                low[down] += 1
                high[up] -= 1
        from_mean = np.eye(k, len(self.covariance))
        from_mean[:, :k] -= 1 / k
        own = [self._parts.error_of(w) for w in from_mean]
        se = np.array([e for e, _ in own])
        half = np.array([t_half_width(e, df, confidence) if e else np.nan for e, df in own])
        found = pd.DataFrame(
            {
                "strength": self.strength,
                "se": se,
                "low": self.strength - half,
                "high": self.strength + half,
                "rank": pd.Series(-self.strength).rank(method="min").astype(int).to_numpy(),
                "rank_low": low,
                "rank_high": high,
            },
            index=pd.Index(self.names, name="system"),
        )
        return found.sort_values("rank", kind="stable")

    def _interval(self, weights: np.ndarray, confidence: float) -> Interval:
        require_share(confidence)
        estimate = float(weights @ np.r_[self.strength, self.effects.to_numpy()])
        se, df = self._parts.error_of(weights)
        few = df + 1 < FEW_CLUSTERS and self.n_clusters < self.n
        warning = f"only {df + 1:.2g} effective clusters" if few else ""
        if not np.isfinite(se):
            nan = np.nan
            warning = "all battles that tell of it are in one cluster"
            return Interval(
                estimate, nan, nan, nan, df, self.n, self.n_clusters, confidence, warning
            )
        return t_interval(estimate, se, df, self.n, self.n_clusters, confidence, warning)

    def _listed(self) -> str:
        return ", ".join(self.names)

    def __str__(self) -> str:
        first = int(np.argmax(self.strength))
        counts = f"{self.n:,} battles"
        if self.n_clusters < self.n:
            counts += f" in {self.n_clusters:,} clusters"
        return f"{len(self.names)} systems, {counts}\n  strongest: {self.names[first][:40]}"


class _Parts:
    """What each battle adds to a contrast, by cluster."""

    def __init__(self, x, p, rest, labels, k: int, unit: np.ndarray):
        self.x, self.weight, self.rest, self.labels = x, p * (1 - p), rest, labels
        self.inverse, self.unit = _inverse(x, p, k), unit

    def error_of(self, contrast: np.ndarray) -> tuple[float, float]:
        """Return the standard error of a contrast and its df; (nan, 1) if one cluster tells all."""
        contrast = contrast / self.unit  # columns were divided by their size
        pull = self.x @ (self.inverse @ contrast)
        moved = np.bincount(self.labels, pull * self.rest)
        share = np.bincount(self.labels, self.weight * pull**2)
        if not share.any():  # a system against itself
            return 0.0, len(share) - 1.0
        share = share / share.sum()
        if share.max() > 0.2 and self._rests_on(int(share.argmax()), contrast):
            return np.nan, 1.0
        moved = drop_rounding(moved, np.abs(pull).sum())
        se = float(np.sqrt((moved**2 / (1 - share)).sum()))
        return se, max(df_of_shares(share[share > 0]), 1.0)

    def _rests_on(self, cluster: int, contrast: np.ndarray) -> bool:
        """Return whether the contrast is not known without one cluster."""
        x = self.x[self.labels != cluster]
        gram = (x.T @ x).toarray()
        size = np.sqrt(np.maximum(np.diag(gram), 1e-300))
        gram, target = gram / np.outer(size, size), contrast / size
        if not np.isfinite(target).all() or np.abs(target).max() > 1e100:
            return True  # it never met anyone outside
        return not np.allclose(gram @ (np.linalg.pinv(gram, 1e-9) @ target), target, atol=1e-6)


def bradley_terry(
    a: ArrayLike,
    b: ArrayLike,
    score: ArrayLike,
    effects: Mapping[str, ArrayLike] | pd.DataFrame | None = None,
    *,
    cluster: Cluster = None,
) -> BradleyTerry:
    """Fit strengths to n battles: of system `a` against `b`, `score` 1 if a won, 0 if b, 0.5 a tie.

    `effects` are columns of n numbers, each the difference a - b of what else may sway a vote:
    length in hundreds of words, or a column of 1 where a always stood first. Strengths then are of
    systems equal in these. `cluster` are n labels of what battles have in common, such as the
    prompt or the voter, by default every battle its own.

    >>> a, b = ["x"] * 6 + ["y"] * 4, ["y"] * 6 + ["z"] * 4
    >>> fit = bradley_terry(a, b, [1, 1, 1, 0, 1, 0.5, 1, 0, 1, 1])
    >>> print(fit.difference("y", "x"))
    1.099 [-1.243, 3.440] (95%, n = 10)

    Raises ``ValueError`` for a system against itself, systems that never met, even through others,
    some that never lost to the rest (their strength would be infinite), effects that the systems
    explain fully, and as the statistics of this library do.
    """
    a, b, score = as_pandas(a), as_pandas(b), as_pandas(score)
    first = first_indexed(a, b, score, cluster)
    y = finite(score, "score")
    if isinstance(score, pd.Series):
        y = finite(in_order(score, first, "score"), "score")
    if not ((y == 0) | (y == 0.5) | (y == 1)).all():
        raise ValueError("score must be 1 where a won, 0 where b won, 0.5 for a tie")
    for names, w in ((a, "a"), (b, "b")):
        if isinstance(names, Sized) and pd.Series(list(names), dtype=object).isna().any():
            raise ValueError(f"{w}= has missing names; leave such battles out")
    left, right = (
        labels_of(names, len(y), first, w).astype(str) for names, w in ((a, "a"), (b, "b"))
    )
    if (left == right).any():
        raise ValueError(
            f"a and b: {str(left[left == right][0])!r} meets itself; leave such rows out"
        )
    names, codes = np.unique(np.r_[left, right], return_inverse=True)
    i, j = codes[: len(y)], codes[len(y) :]
    _require_scale(names, i, j, y)
    columns, x, unit = _design(effects, i, j, len(names), len(y), first)
    labels = cluster_numbers(cluster, len(y), first)
    groups = require_two_clusters(labels)
    k, beta = len(names), np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = expit(x @ beta)
        step = _inverse(x, p, k) @ (x.T @ (y - p))
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < _SMALL or np.abs(beta).max() > _STEEP:
            break
    if np.abs(step).max() >= _SMALL:
        raise ValueError("score: the fit has no end: with these effects some strength is infinite")
    p = expit(x @ beta)
    member = csr_array((np.ones(len(y)), (labels, np.arange(len(y)))), (groups, len(y)))
    sums = member @ x.multiply((y - p)[:, None])
    meat = (sums.T @ sums).toarray() * groups / (groups - 1)
    inverse = _inverse(x, p, k)
    unit = np.r_[np.ones(k), unit]
    covariance = inverse @ meat @ inverse / np.outer(unit, unit)
    effect = pd.Series(beta[k:] / unit[k:], columns, dtype=float)
    found = beta[:k], effect, covariance, len(y), groups
    return BradleyTerry(tuple(map(str, names)), *found, _Parts(x, p, y - p, labels, k, unit))


def _inverse(x, p: np.ndarray, k: int) -> np.ndarray:
    """Return the inverse information of strengths that sum to 0, and effects."""
    information = (x.T @ x.multiply((p * (1 - p))[:, None])).toarray()
    information[:k, :k] += 1.0  # else the level of the strengths is free
    centre = np.eye(len(information))
    centre[:k, :k] -= 1 / k
    return centre @ np.linalg.inv(information) @ centre


def _design(effects: Any, i, j, k: int, n: int, first) -> tuple[list[str], csr_array, np.ndarray]:
    """Return the effects' names, the columns: +1 for a, -1 for b, the effects, and their sizes.

    An effect is divided by its size, the root of its mean square, so that its unit is of no matter.
    """
    rows = np.arange(n)
    signs = (np.repeat([1.0, -1.0], n), (np.r_[rows, rows], np.r_[i, j]))
    x = csr_array(signs, (n, k))
    if effects is None:
        return [], x, np.ones(0)
    if not isinstance(effects, Mapping | pd.DataFrame):
        raise ValueError("effects must be a dict or a table of columns, such as {'length': …}")
    names, columns = [str(name) for name in effects], []
    if not names:
        return [], x, np.ones(0)
    for name in effects:
        column = as_pandas(effects[name])
        values = finite(column, f"effects {name!r}")
        if len(values) != n:
            raise ValueError(f"effects {name!r} has {len(values):,} values for {n:,} battles")
        if isinstance(column, pd.Series):
            values = finite(in_order(column, first, f"effects {name!r}"), f"effects {name!r}")
        columns.append(values)
    table = np.column_stack(columns)
    sizes = np.sqrt((table**2).mean(axis=0))
    sizes[sizes == 0] = 1.0
    x = csr_array(hstack([x, csr_array(table / sizes)]))
    gram = (x.T @ x).toarray()
    size = np.sqrt(np.diag(gram))
    scaled = gram / np.outer(size, size) if size.all() else gram
    if np.linalg.matrix_rank(scaled, hermitian=True, tol=1e-9) < k - 1 + len(columns):
        raise ValueError(
            "effects: a column is the same in all battles of two systems, or follows from others, "
            "so that it cannot be told from their strengths; leave it out, or let it vary"
        )
    return names, x, sizes


def _require_scale(names, i, j, y) -> None:
    """Raise unless every system is linked to every other by wins and by losses (Ford 1957)."""
    size = len(names)
    wins = np.r_[i[y > 0], j[y < 1]], np.r_[j[y > 0], i[y < 1]]
    graph = csr_array((np.ones(len(wins[0])), wins), (size, size))
    parts, of = connected_components(graph, directed=False)
    if parts > 1:
        one, other = str(names[of == 0][0]), str(names[of == 1][0])
        raise ValueError(
            f"a and b: {one!r} and {other!r} never met, not even through others: there is no "
            "common scale; fit each group alone, or add battles between them"
        )
    parts, of = connected_components(graph, directed=True, connection="strong")
    if parts > 1:
        lost = np.zeros(parts, dtype=bool)
        outside = of[wins[0]] != of[wins[1]]
        lost[of[wins[1]][outside]] = True
        best = names[of == np.flatnonzero(~lost)[0]]
        raise ValueError(
            f"score: {str(best[0])!r}"
            + (f" and {len(best) - 1:,} more never lose" if len(best) > 1 else " never loses")
            + " to the others, so that strengths have no finite value; leave such systems out, or "
            "give their win rate by proportion_interval"
        )
