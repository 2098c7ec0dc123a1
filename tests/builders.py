"""What several tests of the statistics share: records, answers, and how near is near enough."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

import lleval_lib as ll

# Darwin's maize: height of a crossed less that of a self-fertilised plant (Fisher 1935).
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])


def records(system, scores, cluster=None, **columns):
    """Return records of one system, every item its own cluster unless `cluster` is given."""
    items = [f"i{k}" for k in range(len(scores))]
    own = items if cluster is None else cluster
    texts = {"system": system, "task": "t", "item_id": items, "cluster": own}
    answers = {"prompt": "?", "target": "yes", "prediction": "yes"}
    return pd.DataFrame({**texts, **answers, "score": scores, "loglik": np.nan, **columns})


def records_of(table, cluster=None, **columns):
    """Return the records of several systems, one a column of `table`."""
    parts = [records(name, table[name].to_numpy(), cluster, **columns) for name in table]
    return pd.concat(parts, ignore_index=True)


def answers(only_a, only_b, both=0, neither=0):
    """Return the scores of two systems on items of the four kinds."""
    counts = [only_a, only_b, both, neither]
    return np.repeat([1.0, 0, 1, 0], counts), np.repeat([0.0, 1, 1, 0], counts)


def films():
    """Return right and wrong answers of two systems to 60 items of 9 films."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 9, 60)
    share = rng.uniform(0.2, 0.9, 9)[labels]
    return (rng.random(60) < share) * 1.0, (rng.random(60) < share) * 1.0, labels


def clustered(n=60, groups=9):
    """Return `n` scores whose `groups` clusters of unequal size share an effect, and labels."""
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.r_[np.arange(groups), rng.integers(0, groups, n - groups)])
    return rng.normal(size=n) + rng.normal(size=groups)[labels], labels


def two_groups(n):
    return np.arange(n) % 2 == 1


def holds(interval, truth):
    return interval.low <= truth <= interval.high


def near(share, draws):
    """Return what a simulated share of `draws` must equal: four Monte-Carlo standard errors."""
    return pytest.approx(share, abs=four_errors(share, draws))


def four_errors(share, draws):
    return 4 * np.sqrt(share * (1 - share) / draws)


def same(found, expected, rel=1e-9):
    """Assert that two results, or tables of them, agree in every field; nan equals nan."""
    assert type(found) is type(expected)
    tables = [r if isinstance(r, pd.DataFrame) else ll.table([r]) for r in (found, expected)]
    pd.testing.assert_frame_equal(*tables, check_dtype=False, rtol=rel, atol=1e-12)


# Every statistic of the library as a call that lacks only what a test adds: cluster=, rng=, ….
SCORES, OTHER, TREATED = [1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.5, 1.0], [True, False, True, False]
PAIR = SCORES, [1.0, 1.0, 0.0, 1.0]
TABLE = pd.DataFrame({"w": SCORES, "x": [0.0, 0.0, 1.0, 1.0], "y": [0.0, 1.0, 0.0, 1.0]})
CALLS = {
    "mean_interval": partial(ll.mean_interval, SCORES),
    "macro_interval": partial(ll.macro_interval, SCORES, ["all"] * 4),
    "proportion_interval": partial(ll.proportion_interval, SCORES),
    "ratio_interval": partial(ll.ratio_interval, SCORES, [1.0, 2.0, 1.0, 4.0]),
    "bootstrap_interval": partial(ll.bootstrap_interval, np.mean, SCORES, resamples=99),
    "expected_calibration_error": partial(
        ll.expected_calibration_error, [0.9, 0.2, 0.6, 0.7], SCORES
    ),
    "compare": partial(ll.compare, *PAIR),
    "mcnemar_test": partial(ll.mcnemar_test, *PAIR),
    "permutation_test": partial(ll.permutation_test, *PAIR),
    "wilcoxon_test": partial(ll.wilcoxon_test, *PAIR),
    "equivalence_test": partial(ll.equivalence_test, *PAIR, 0.3),
    "noninferiority_test": partial(ll.noninferiority_test, *PAIR, 0.3),
    "effect_sizes": partial(ll.effect_sizes, *PAIR),
    "compare_all": partial(ll.compare_all, TABLE),
    "friedman_test": partial(ll.friedman_test, TABLE),
    "average_ranks": partial(ll.average_ranks, TABLE),
    "adjust_p_values": partial(ll.adjust_p_values, [0.01, 0.04]),
    "macro_compare": partial(ll.macro_compare, *PAIR, ["all"] * 4),
    "design_effect": partial(ll.design_effect, SCORES),
    "nemenyi_difference": partial(ll.nemenyi_difference, 3, 10),
    "rank_intervals": partial(ll.rank_intervals, TABLE, resamples=99),
    "power": partial(ll.power, 0.1, 0.1),
    "minimum_detectable_effect": partial(ll.minimum_detectable_effect, 0.1),
    "sample_size": partial(ll.sample_size, 0.1, 0.2),
    "design_errors": partial(ll.design_errors, 0.1, 0.1),
    "accuracy_power": partial(ll.accuracy_power, 20, 0.1, 0.2),
    "variance_parts": partial(ll.variance_parts, [[1, 1], [0, 1], [0, 0]]),
    "resampled_t_test": partial(ll.resampled_t_test, OTHER, 80, 20),
    "runs_interval": partial(ll.runs_interval, [[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1]]),
    "sample_ratio_test": partial(ll.sample_ratio_test, [600, 400]),
    "group_difference": partial(ll.group_difference, SCORES, TREATED),
    "cuped": partial(ll.cuped, [1.0, 0.0, 3.0, 1.0], [0.0, 1.0, 0.5, 2.0], TREATED),
    "peeking_error": partial(ll.peeking_error, 2),
    "group_sequential_bounds": partial(ll.group_sequential_bounds, 2),
    "confidence_sequence": partial(ll.confidence_sequence, SCORES, 4),
    "krippendorff_alpha": partial(
        ll.krippendorff_alpha, [1, 1, 2, 2], list("xyxy"), [1, 0, 1, 1], resamples=99
    ),
    "judged_rate": partial(ll.judged_rate, SCORES, [1.0, 0.0, np.nan, np.nan]),
    "bradley_terry": partial(ll.bradley_terry, list("xyzx"), list("yzxy"), [1.0, 1.0, 1.0, 0.0]),
}
