"""How often intervals and tests keep their promise, simulated. Ten minutes on two cores.

A method is a system, a design of an evaluation is a task, and one simulated evaluation is an item.
It scores 1 if the interval holds the truth, or if all comparisons of equal systems find nothing.
The prediction says on which side an interval misses. All methods see the same evaluations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import optimize, stats
from scipy.special import expit
from statsmodels.stats.proportion import proportion_confint

import lleval_lib as ll

SEED, SYSTEMS_COMPARED = 0, 20
Draw = Callable[[np.random.Generator, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Design:
    """`sizes` of the clusters; `draw(rng, sizes)` gives the scores, one a row; their true mean."""

    kind: str  # "mean", "share" or "equal systems"
    sizes: np.ndarray
    draw: Draw
    truth: float


def zipf(groups: int, n: int) -> np.ndarray:
    """Return about n items in clusters of which the g-th largest has 1/g of the largest."""
    shares = 1 / np.arange(1, groups + 1)
    return np.maximum(1, np.round(n * shares / shares.sum())).astype(int)


def equal(groups: int, n: int) -> np.ndarray:
    return np.full(groups, n // groups)


def normal(icc: float) -> Draw:
    def draw(rng, sizes):
        own = np.sqrt(icc) * rng.normal(size=len(sizes))
        return np.repeat(own, sizes) + np.sqrt(1 - icc) * rng.normal(size=sizes.sum())

    return draw


def right(chances: Draw) -> Draw:
    """Return a draw of 0 and 1; `chances(rng, sizes)` draws each cluster's share of ones."""
    return lambda rng, sizes: (
        1.0 * (rng.random(sizes.sum()) < np.repeat(chances(rng, sizes), sizes))
    )


def beta(p: float | np.ndarray, icc: float | np.ndarray) -> Draw:
    spread = 1 / np.asarray(icc) - 1
    return right(lambda rng, sizes: rng.beta(p * spread, (1 - p) * spread, size=len(sizes)))


def two_points(p: float, icc: float, bad: float) -> Draw:
    """A share `bad` of the clusters is hard, the others are easy, and there is nothing between."""
    gap = np.sqrt(icc * p * (1 - p) / (bad * (1 - bad)))
    hard, easy = p + (bad - 1) * gap, p + bad * gap
    if not 0 <= hard < easy <= 1:
        raise ValueError(f"two_points({p}, {icc}, {bad}) has shares of {hard:.3f} and {easy:.3f}")
    return right(lambda rng, sizes: np.where(rng.random(len(sizes)) < bad, hard, easy))


def logit_normal(p: float, sd: float) -> Draw:
    nodes, weights = np.polynomial.hermite_e.hermegauss(99)
    weights = weights / weights.sum()
    centre = optimize.brentq(lambda c: weights @ expit(c + sd * nodes) - p, -20, 20)
    return right(lambda rng, sizes: expit(centre + sd * rng.normal(size=len(sizes))))


def _designs() -> dict[str, Design]:
    sizes = {f"Zipf {g}": zipf(g, n) for g, n in ((8, 400), (20, 1000), (50, 1000), (200, 4000))}
    sizes |= {"Zipf 1000": zipf(1_000, 10_000)}
    sizes |= {f"equal {g}": equal(g, n) for g, n in ((8, 400), (20, 400), (57, 1140))}
    found = {
        f"normal, ICC .3, {name}": Design("mean", m, normal(0.3), 0.0) for name, m in sizes.items()
    }
    near_one = ("Zipf 8", "Zipf 50", "Zipf 200", "equal 8", "equal 57")
    for p, icc, names in ((0.7, 0.1, sizes), (0.98, 0.05, near_one), (0.98, 0.2, near_one)):
        for name in names:
            label = f"share {p:g}, ICC {icc:g}, {name}".replace(" 0.", " .")
            found[label] = Design("share", sizes[name], beta(p, icc), p)
    for name in ("Zipf 50", "Zipf 200", "equal 20"):
        found |= _hostile(name, sizes[name])
    for name, p, icc in (("Zipf 8", 0.7, 0.1), ("Zipf 50", 0.7, 0.1), ("Zipf 200", 0.95, 0.2)):
        label = f"20 equal systems, share {p:g}, ICC {icc:g}, {name}".replace(" 0.", " .")
        found[label] = Design("equal systems", sizes[name], beta(p, icc), 0.0)
    return found


def _hostile(name: str, sizes: np.ndarray) -> dict[str, Design]:
    """Return designs in which shares vary between clusters as our model does not say."""
    large = sizes > sizes.mean() if np.ptp(sizes) else np.arange(len(sizes)) % 2 == 0
    easy = np.where(large, 0.97, 0.995)  # large clusters are harder
    found = {
        "two points": Design("share", sizes, two_points(0.98, 0.2, 0.04), 0.98),
        "rare disaster": Design("share", sizes, two_points(0.98, 0.25, 0.02), 0.98),
        "logit-normal": Design("share", sizes, logit_normal(0.98, 1.5), 0.98),
        "large alike": Design("share", sizes, beta(0.98, np.where(large, 0.3, 0.02)), 0.98),
        "large hard": Design("share", sizes, beta(easy, 0.1), float(sizes @ easy / sizes.sum())),
    }
    return {f"{world}, {name}": design for world, design in found.items()}


def textbook(scores: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Return mean ± t·SE with G/(G-1) and G - 1 degrees of freedom, whatever the sizes."""
    mean, se, groups = _textbook(scores[:, None], clusters)
    half = stats.t.isf(0.025, groups - 1) * se[0]
    return mean[0] - half, mean[0] + half


def _textbook(columns: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    mean, groups = columns.mean(axis=0), int(clusters.max()) + 1
    sums = np.column_stack([np.bincount(clusters, column) for column in (columns - mean).T])
    return mean, np.sqrt(groups / (groups - 1) * (sums**2).sum(axis=0)) / len(columns), groups


def wilson_of_se(scores: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Return Wilson's interval on the independent items that would give the textbook's SE.

    As Korn & Graubard (1998), with the textbook's t; where the SE is 0, a cluster counts as one.
    """
    (p,), (se,), groups = _textbook(scores[:, None], clusters)
    n = len(scores)
    few, many = stats.t.isf(0.025, [groups - 1, n - 1])
    size = groups if se == 0 else min(p * (1 - p) / se**2 * (many / few) ** 2, n)
    return proportion_confint(p * size, size, method="wilson")


def mean_interval(scores: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    found = ll.mean_interval(scores, cluster=clusters)
    return found.low, found.high


def proportion_interval(scores: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    found = ll.proportion_interval(scores, cluster=clusters)
    return found.low, found.high


def textbook_holm(columns: np.ndarray, clusters: np.ndarray) -> bool:
    """Return whether Holm's correction of the textbook's tests leaves equal systems equal."""
    i, j = np.array(list(combinations(range(columns.shape[1]), 2))).T
    mean, se, groups = _textbook(columns[:, j] - columns[:, i], clusters)
    p = 2 * stats.t.sf(np.abs(mean) / np.where(se > 0, se, np.inf), groups - 1)
    return bool(p.min() * len(p) > 0.05)


def compare_all(columns: np.ndarray, clusters: np.ndarray) -> bool:
    return bool((ll.compare_all(columns, cluster=clusters).p_adjusted > 0.05).all())


DESIGNS = _designs()
# Of each method: on which kinds of design, how many evaluations, and what it does with one.
METHODS: dict[str, tuple[tuple[str, ...], int, Callable]] = {
    "textbook t": (("mean", "share"), 2_000, textbook),
    "mean_interval": (("mean", "share"), 2_000, mean_interval),
    "Wilson of SE": (("share",), 1_000, wilson_of_se),
    "proportion_interval": (("share",), 1_000, proportion_interval),
    "textbook t, Holm": (("equal systems",), 200, textbook_holm),
    "compare_all": (("equal systems",), 200, compare_all),
}
SYSTEMS = tuple(METHODS)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `METHODS` on every design of its kinds."""
    kinds, n, _ = METHODS[system]
    names = [name for name, design in DESIGNS.items() if design.kind in kinds]
    return pd.concat([on_design(system, name, n) for name in names], ignore_index=True)


def on_design(system: str, name: str, n: int) -> pd.DataFrame:
    """Return the records of the first n evaluations of design `name` by one of `METHODS`."""
    said = [_said(METHODS[system][2], name, k) for k in range(n)]
    numbers = [str(k) for k in range(n)]
    items = pd.DataFrame({"item_id": numbers, "cluster": numbers, "target": "holds"})
    score = [1.0 * (word == "holds") for word in said]
    return ll.make_records(system, name, items, prediction=said, score=score)


def _said(method: Callable, name: str, k: int) -> str:
    """Return what `method` does with evaluation k of design `name`."""
    design = DESIGNS[name]
    # A seed of its own, so that any one evaluation can be drawn again.
    rng = np.random.default_rng([SEED, list(DESIGNS).index(name), k])
    clusters = np.repeat(np.arange(len(design.sizes)), design.sizes)
    if design.kind == "equal systems":
        columns = [design.draw(rng, design.sizes) for _ in range(SYSTEMS_COMPARED)]
        return "holds" if method(np.column_stack(columns), clusters) else "false difference"
    low, high = method(design.draw(rng, design.sizes), clusters)
    slack = 1e-9  # a bound that is the truth holds it
    if low - slack <= design.truth <= high + slack:
        return "holds"
    return "too low" if high < design.truth else "too high"
