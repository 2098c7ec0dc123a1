"""How many items, and how many samples of each: the evaluation planned before it is run.

With α = 1 - confidence, an estimate with standard error SE is called different from 0 when it lies
more than z(1 - α/2) of them away, with z(q) the quantiles of the normal distribution. All else
follows: the power, which is the probability of that call when the true difference is δ; the
smallest δ that is found with a given power; and what a significant estimate is worth when power is
low. The functions take numbers or arrays, which broadcast, so that a curve is one call.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.power import normal_power

from .clusters import covariance_of_means, effective_df
from .inputs import (
    Cluster,
    Scores,
    as_floats,
    as_pandas,
    one_system,
    require_flag,
    require_two_clusters,
)
from .results import Result

Numbers: TypeAlias = float | np.ndarray


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class DesignErrors:
    """The power of a test, and how wrong its significant estimates are (Gelman & Carlin 2014).

    `power` is the probability of a significant estimate, of either sign; `type_s` that of the
    wrong sign, given significance; `type_m` the mean of |estimate| / |true effect|, given
    significance. Each is a number or an array.
    """

    power: Numbers
    type_s: Numbers
    type_m: Numbers

    def __str__(self) -> str:
        return (
            f"power {_text(self.power, 3)}, Type-S error {_text(self.type_s, 3)}, "
            f"Type-M error {_text(self.type_m, 2)}"
        )


@dataclass(frozen=True, eq=False)
class VarianceParts(Result):
    """The variance of scores of n items with K samples each, in its two parts.

    `between` is ω², the variance between the items' true means; `within` is σ², the mean variance
    of samples of one item; `icc`, the intraclass correlation, is ω²/(ω² + σ²); `se` is the
    standard error of the mean of all scores.
    """

    between: float
    within: float
    icc: float
    se: float
    n_items: int
    n_samples: int

    def __str__(self) -> str:
        return (
            f"variance {self.between:.3f} between items + {self.within:.3f} within\n"
            f"  intraclass correlation {self.icc:.2f} "
            f"(n = {self.n_items:,}, {self.n_samples:,} samples each)"
        )

    def standard_error(self, n_items: ArrayLike, n_samples: ArrayLike) -> Numbers:
        """Return √((ω² + σ²/K)/n), the standard error with other numbers of items and samples.

        More samples only shrink the second part: at a fixed number n·K of scores, more items are
        always at least as good as more samples (Miller 2024, section 3.1).
        """
        n, k = _positive(n_items, "n_items"), _positive(n_samples, "n_samples")
        return _plain(np.sqrt((max(self.between, 0.0) + self.within / k) / n))

    def best_samples(self, item_cost: ArrayLike, sample_cost: ArrayLike) -> Numbers:
        """Return the number of samples an item that makes the SE least for a given cost.

        An item costs `item_cost` once, such as its writing, and `sample_cost` for each sample: the
        least of (ω² + σ²/K)(c_item + K·c_sample) is at K = √(σ²/ω² · c_item/c_sample), and is not
        below 1. Not rounded; infinite where the items do not differ.
        """
        ratio = _positive(item_cost, "item_cost") / _positive(sample_cost, "sample_cost")
        if self.between <= 0:
            return _plain(np.full_like(ratio, np.inf))
        return _plain(np.maximum(np.sqrt(self.within / self.between * ratio), 1.0))


@dataclass(frozen=True, eq=False)
class DesignEffect(Result):
    """What clusters cost; see `design_effect`.

    `icc` is the intraclass correlation, nan without clusters of two items; `effective_n` the number
    of independent items, `effective_clusters` that of equal clusters, that would do as well.
    """

    design_effect: float
    icc: float
    effective_n: float
    effective_clusters: float
    n: int
    n_clusters: int

    def __str__(self) -> str:
        return (
            f"design effect {self.design_effect:.2f}, intraclass correlation {self.icc:.2f}\n"
            f"  worth {self.effective_n:,.1f} of {self.n:,} items "
            f"({self.n_clusters:,} clusters)"
        )


def power(
    effect: ArrayLike,
    se: ArrayLike,
    *,
    df: ArrayLike | None = None,
    confidence: ArrayLike = 0.95,
) -> Numbers:
    """Return the power of a two-sided test: the probability that it calls `effect` significant.

    `effect` is the true difference and `se` the standard error of its estimate, in the same units.
    `df` are the degrees of freedom of a t-test, those of a `compare` with such clusters; without
    them the test is taken for a normal one. With no effect it is 1 - `confidence`.

    >>> round(power(0.03, 0.0107), 3)
    0.801

    For 5, 10, 20 and 40 clusters the normal formula's 0.80 is in truth 0.56, 0.70, 0.76 and 0.78;
    `df` gives these numbers, and they are exact for equal clusters of normal scores.

    Raises ``ValueError`` unless `se` is positive and `confidence` between 0 and 1.
    """
    shift, alpha = _ratio(effect, se), _alpha(confidence)
    if df is None:
        return _plain(normal_power(shift, 1, alpha))
    critical = stats.t.isf(alpha / 2, _positive(df, "df"))
    # By symmetry P(T < -t) is that of T > t with the shift reversed. statsmodels' ttest_power asks
    # for the left tail itself, which is nan from a shift of about 8.
    return _plain(stats.nct.sf(critical, df, shift) + stats.nct.sf(critical, df, -shift))


def minimum_detectable_effect(
    se: ArrayLike,
    *,
    power: ArrayLike = 0.8,
    df: ArrayLike | None = None,
    confidence: ArrayLike = 0.95,
) -> Numbers:
    """Return the smallest true difference that a two-sided test finds with the given power.

    It is (z(1 - α/2) + z(power))·SE, 2.80 SE for 5% and 0.8, or with `df` the same with the
    quantiles of Student's t (Bloom 1995, Evaluation Review 19), for which see `power`. That is an
    approximation: its true power is 0.79 for 5 clusters, and 0.80 from 10.

    >>> round(minimum_detectable_effect(0.01), 4)
    0.028
    """
    return _plain(_quantiles(confidence, power, df) * _positive(se, "se"))


def sample_size(
    effect: ArrayLike,
    variance: ArrayLike,
    *,
    within_a: ArrayLike = 0.0,
    samples_a: ArrayLike = 1,
    within_b: ArrayLike = 0.0,
    samples_b: ArrayLike = 1,
    design_effect: ArrayLike = 1.0,
    power: ArrayLike = 0.8,
    confidence: ArrayLike = 0.95,
) -> int | np.ndarray:
    """Return the number of items for a comparison that finds `effect` with the given power.

    It is (z(1 - α/2) + z(power))²·(ω² + σ²_a/K_a + σ²_b/K_b)/δ² times the design effect,
    rounded up (Miller 2024, arXiv:2411.00640, section 5). `variance` is ω², that of the items'
    true differences b - a; `within_a` and `within_b` are σ²_a and σ²_b, the mean variances of the
    samples of one item, `samples_a` and `samples_b` how many there are; `variance_parts` estimates
    them.
    Where `variance` is that of observed differences, sampling is in it already, so leave the
    others out. `design_effect` is the clustered over the naive squared standard error.

    >>> sample_size(0.03, variance=1 / 9)
    969

    For two independent groups give twice the variance s² of a score, to get n *a group*: it is
    15.7·s²/δ², which the rule of thumb 16·s²/δ² rounds up by 2% (Lehr 1992, Statistics in Medicine
    11). The formula is that of a normal test; a t-test needs about two items more.
    """
    gap = _number(effect, "effect")
    if np.any(gap == 0):
        raise ValueError("effect must not be 0: no number of items finds what is not there")
    total = (
        _positive(variance, "variance", or_zero=True)
        + _positive(within_a, "within_a", or_zero=True) / _positive(samples_a, "samples_a")
        + _positive(within_b, "within_b", or_zero=True) / _positive(samples_b, "samples_b")
    ) * _positive(design_effect, "design_effect")
    with np.errstate(over="ignore", divide="ignore"):
        items = np.ceil((_quantiles(confidence, power) / np.abs(gap)) ** 2 * total)
    if np.any(items > 1e15):
        raise ValueError(f"effect {gap} is so small that it takes more than 1e15 items to find")
    return _plain(items.astype(int))


def design_errors(
    effect: ArrayLike, se: ArrayLike, *, confidence: ArrayLike = 0.95
) -> DesignErrors:
    """Return power, Type-S and Type-M error of a two-sided normal test of a true `effect`.

    With λ = |δ|/SE, z = z(1 - α/2), and Φ and φ the normal distribution and its density

        power  = Φ(λ - z) + Φ(-λ - z)
        Type S = Φ(-λ - z) / power
        Type M = [φ(λ + z) + φ(λ - z) + λ·(Φ(λ + z) + Φ(λ - z) - 1)] / (λ·power)

    (Lu, Qiu & Deng 2019, British Journal of Mathematical and Statistical Psychology 72). With no
    effect the power is the size of the test, and there is no sign or magnitude to miss: nan.

    >>> print(design_errors(2, 8.1))
    power 0.057, Type-S error 0.240, Type-M error 9.54
    """
    size = _ratio(effect, se)
    z = stats.norm.isf(_alpha(confidence) / 2)
    right, wrong = stats.norm.cdf(size - z), stats.norm.cdf(-size - z)
    magnitude = stats.norm.pdf(size + z) + stats.norm.pdf(size - z) + size * (right - wrong)
    return _errors(right, wrong, magnitude, size)


def accuracy_power(
    n: ArrayLike,
    p10: ArrayLike,
    p01: ArrayLike,
    *,
    exact: bool = True,
    continuity: bool = False,
    confidence: ArrayLike = 0.95,
) -> DesignErrors:
    """Return power, Type-S and Type-M error of McNemar's test of two systems on `n` items.

    `p10` is the probability that on an item only system a is right, `p01` that only b is; the true
    difference in accuracy is p01 - p10. Nothing is simulated: the number m of items on which just
    one is right is binomial, and so, given m, is the number of them that b wins. `exact` and
    `continuity` choose the test as in `mcnemar_test`.

    >>> print(accuracy_power(500, p10=0.0025, p01=0.0225))
    power 0.798, Type-S error 0.000, Type-M error 1.12

    Card et al. (2020, EMNLP; notebook on accuracy) simulated this case with the exact test, and
    published 0.80 and 1.12. The χ² without correction has power 0.86. With p10 = p01 the power is
    the size of the test, and the others are nan: at p10 = p01 = 0.0125 the exact test's is 0.025 in
    place of 0.05, the χ²'s 0.045.

    Raises ``ValueError`` for numbers that are no probabilities.
    """
    require_flag(exact, "exact")
    require_flag(continuity, "continuity")
    items, alpha = _positive(n, "n"), _alpha(confidence)
    only_a, only_b = _number(p10, "p10"), _number(p01, "p01")
    either, more = only_a + only_b, np.maximum(only_a, only_b)
    if not np.all((np.minimum(only_a, only_b) >= 0) & (either > 0) & (either <= 1 + 1e-12)):
        raise ValueError("p10 and p01 must not be negative, and their sum lie above 0 and up to 1")
    if np.any(items > 1e9) or np.any(items % 1 != 0):
        raise ValueError("n must be whole numbers of items, a thousand million at most")
    either, more = either[..., None], more[..., None]
    discordant = stats.binom(items[..., None], np.minimum(either, 1.0))
    # Other numbers of discordant items have a probability of less than 1e-14.
    m = np.arange(max(discordant.ppf(1e-15).min(), 1), discordant.isf(1e-15).max() + 1)
    weight = discordant.pmf(m)
    wins = stats.binom(m, more / either)  # of the system that is better in truth
    few = _critical_count(m, alpha[..., None], exact, continuity)
    right, wrong = wins.sf(m - few - 1), wins.cdf(few)
    # E[W; W >= k] = m·p·P(W' >= k - 1) with W' binomial in m - 1.
    rest = stats.binom(m - 1, more / either)
    mean = m * more / either
    gap = 2 * mean * rest.sf(m - few - 2) - m * right + m * wrong - 2 * mean * rest.cdf(few - 1)
    right, wrong, gap = ((weight * x).sum(axis=-1) for x in (right, wrong, gap))
    return _errors(right, wrong, gap / items, np.abs(only_b - only_a))


def variance_parts(scores: ArrayLike) -> VarianceParts:
    """Split the variance of `scores` of n items with K samples each into between items and within.

    With s² the mean of the items' sample variances and v the sample variance of their means:
    within = s², between = v - s²/K, se² = v/n (one-way random effects; Miller 2024,
    arXiv:2411.00640, section 3.1). Both parts are unbiased, so `between` can come out below 0
    where items hardly differ: read it as 0. Given the difference of two systems' tables, b - a,
    `between` is the ω² and `within` the σ²_a + σ²_b of `sample_size`. Items in clusters need the
    standard error of ``mean_interval(scores.mean(axis=1), cluster=…)`` in place of `se`.

    >>> print(variance_parts([[1, 1], [0, 1], [0, 0], [1, 1]]))
    variance 0.167 between items + 0.125 within
      intraclass correlation 0.57 (n = 4, 2 samples each)

    Raises ``ValueError`` for a table that is smaller than 2 by 2, lacks scores or has no variance.
    """
    table = as_floats(as_pandas(scores), "scores")
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(
            f"scores: expected a table of items by samples, 2 by 2 or larger, found {table.shape}"
        )
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(
            f"scores: row {row}, column {column} is missing or infinite; every item needs the same "
            "number of samples"
        )
    if np.ptp(table) == 0:
        raise ValueError("scores: all are equal, so there is no variance to split")
    n, k = table.shape
    within = table.var(axis=1, ddof=1).mean()
    of_means = table.mean(axis=1).var(ddof=1)
    between = of_means - within / k
    icc, se = between / (between + within), np.sqrt(of_means / n)
    return VarianceParts(float(between), float(within), float(icc), float(se), n, k)


def design_effect(scores: Scores, *, cluster: Cluster = None) -> DesignEffect:
    """Return how much the clusters of `scores` widen the uncertainty of their mean.

    `scores` and `cluster` are as in `mean_interval`. The design effect (Kish 1965) is the clustered
    squared standard error over the naive s²/n. The intraclass correlation is that of a one-way
    analysis of variance, (MSB - MSW)/(MSB + (m - 1)·MSW) with m = (n - Σm_g²/n)/(G - 1) (Donner
    1986, International Statistical Review 54); it is negative where the items of a cluster differ
    more than those of two. `effective_n` = n/design_effect independent items would do as well.
    Give the design effect of a pilot to `sample_size`. Few clusters tell little of either: of ten,
    a design effect of 2 is estimated anywhere from 1 to 4.

    >>> print(design_effect([1, 1, 0, 0, 1, 0], cluster=list("aabbcc")))
    design effect 1.67, intraclass correlation 0.50
      worth 3.6 of 6 items (3 clusters)

    Raises ``ValueError`` for scores that are all equal, a single cluster, and as `mean_interval`.
    """
    values, clusters = one_system(scores, cluster)
    groups, n = require_two_clusters(clusters), len(values)
    naive = values.var(ddof=1) / n
    if not np.sqrt(naive * n) > 1e-12 * np.abs(values).max():
        raise ValueError("scores: all are equal, so there is no variance that clusters could share")
    sizes = np.bincount(clusters)
    means = np.bincount(clusters, values) / sizes
    between = (sizes * (means - values.mean()) ** 2).sum() / (groups - 1)
    icc = np.nan
    if groups < n:
        within = ((values - means[clusters]) ** 2).sum() / (n - groups)
        size = (n - (sizes**2).sum() / n) / (groups - 1)
        icc = (between - within) / (between + (size - 1) * within)
    effect = covariance_of_means(values[:, None], clusters)[0, 0] / naive
    size = n / effect if effect > 0 else np.inf
    return DesignEffect(effect, icc, size, effective_df(clusters) + 1, n, groups)


def _critical_count(m, alpha, exact, continuity):
    """Return the largest count c at which McNemar's test rejects c against m - c, else -1."""
    if not exact:
        return np.floor((m - continuity - np.sqrt(m * stats.chi2.isf(alpha, 1))) / 2)
    tail = alpha / 2 * (1 + 1e-9)  # a p-value of alpha itself rejects, however it was rounded
    fair = stats.binom(m, 0.5)
    count = fair.ppf(tail)
    return count - (fair.cdf(count) > tail)


def _errors(right, wrong, magnitude, effect) -> DesignErrors:
    """Return the errors from P(right sign), P(wrong sign) and E|estimate|, each with significance.

    `effect` is the size of the true effect in the unit of `magnitude`.
    """
    total = right + wrong
    with np.errstate(divide="ignore", invalid="ignore"):
        sign = np.where(effect > 0, wrong / total, np.nan)
        size = np.where(effect > 0, magnitude / (total * effect), np.nan)
    return DesignErrors(*map(_plain, (total, sign, size)))


def _quantiles(confidence, power, df=None):
    """Return z(1 - α/2) + z(power), or the same of Student's t."""
    tail, power = _alpha(confidence) / 2, _share(power, "power")
    if np.any(power <= 2 * tail):
        raise ValueError(
            f"power must be above 1 - confidence, which a test has without an effect, not {power}"
        )
    if df is None:
        return stats.norm.isf(tail) + stats.norm.ppf(power)
    df = _positive(df, "df")
    return stats.t.isf(tail, df) + stats.t.ppf(power, df)


def _ratio(effect, se):
    with np.errstate(over="ignore"):
        return np.minimum(np.abs(_number(effect, "effect")) / _positive(se, "se"), 1e6)


def _alpha(confidence):
    return 1 - _share(confidence, "confidence")


def _number(value, name):
    try:
        array = as_floats(value, name)
    except ValueError:
        array = np.array(np.nan)
    if np.isnan(array).any():
        raise ValueError(f"{name} must be a number or an array of numbers, not {value}")
    return array


def _positive(value, name, or_zero=False):
    array = _number(value, name)
    if not np.all(array >= 0 if or_zero else array > 0):
        raise ValueError(f"{name} must be {'0 or more' if or_zero else 'above 0'}, not {value}")
    return array


def _share(value, name):
    array = _number(value, name)
    if not np.all((array > 0) & (array < 1)):
        raise ValueError(f"{name} must lie between 0 and 1, not {value}")
    return array


def _plain(value):
    """Return a Python number in place of an array without dimensions."""
    return value.item() if np.ndim(value) == 0 else value


def _text(value, digits: int) -> str:
    form = f"{{:.{digits}f}}".format
    return np.array2string(np.asarray(value), formatter={"float": form}, separator=", ")
