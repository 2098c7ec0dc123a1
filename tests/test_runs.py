"""Items and runs: the two parts by hand, their limits, and coverage by simulation."""

import numpy as np
import pandas as pd
import pytest
from builders import four_errors, holds, same
from scipy import stats

import lleval_lib as ll


def table(n=60, k=5, groups=12, rng=0, run=0.05, group=0.1, item=0.2, noise=0.3):
    """Scores of n items in equal clusters by k runs, each part normal, with a true mean of 0."""
    rng = np.random.default_rng(rng)
    labels = np.arange(n) % groups
    parts = (
        rng.normal(0, group, groups)[labels][:, None],
        rng.normal(0, item, n)[:, None],
        rng.normal(0, run, k),
        rng.normal(0, noise, (n, k)),
    )
    return sum(parts), labels


def test_the_parts_by_hand():
    scores, labels = table()
    found = ll.runs_interval(scores, cluster=labels)
    means = scores.mean(axis=1).reshape(5, 12).mean(axis=0)  # clusters are equal
    assert found.items_se == pytest.approx(means.std(ddof=1) / np.sqrt(12))
    assert found.runs_se == pytest.approx(scores.mean(axis=0).std(ddof=1) / np.sqrt(5))
    a, b = found.items_se**2, found.runs_se**2
    df = (a + b) ** 2 / (a**2 / 11 + b**2 / 4)
    half = stats.t.ppf(0.975, df) * np.sqrt(a + b)
    inner = found.interval
    assert (inner.estimate, inner.df) == pytest.approx((scores.mean(), df))
    assert (inner.low, inner.high) == pytest.approx((scores.mean() - half, scores.mean() + half))
    assert (inner.n, inner.n_clusters, found.runs) == (60, 12, 5)


def test_runs_that_agree_leave_the_error_of_the_items():
    one = table()[0][:, :1]
    found = ll.runs_interval(np.repeat(one, 4, axis=1))
    plain = ll.mean_interval(one[:, 0])
    assert found.runs_se == pytest.approx(0, abs=1e-15)
    assert found.interval.low == pytest.approx(plain.low)
    assert found.interval.df == pytest.approx(plain.df)


def test_items_that_agree_leave_the_error_of_the_runs():
    runs = np.array([0.1, 0.4, 0.2, 0.3])
    found = ll.runs_interval(np.tile(runs, (30, 1))).interval
    plain = ll.mean_interval(runs)
    assert (found.low, found.high, found.df) == pytest.approx((plain.low, plain.high, 3))


def test_labels_go_by_the_index_of_a_frame():
    scores, labels = table()
    frame = pd.DataFrame(scores, index=[f"i{k}" for k in range(60)])
    mixed = pd.Series(labels, frame.index).sample(frac=1, random_state=0)
    same(ll.runs_interval(frame, cluster=mixed), ll.runs_interval(scores, cluster=labels))


def test_two_runs_are_few():
    scores, labels = table(k=2)
    assert ll.runs_interval(scores, cluster=labels).interval.warning == "only 2 runs"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "most"),
    [
        ({}, 0.98),
        ({"run": 0.1, "noise": 0.1}, 0.98),
        ({"run": 0.0, "noise": 0.1}, 0.98),
        ({"run": 0.0, "group": 0.0, "item": 0.0}, 1),  # the noise of single answers alone
        ({"run": 0.2, "k": 3}, 0.98),
    ],
)
def test_coverage(parts, most):
    """95% or more: what belongs to one answer of one run is counted twice."""
    draws = 1_500
    covered = 0
    for seed in range(draws):
        scores, labels = table(groups=30, rng=seed, **parts)
        covered += holds(ll.runs_interval(scores, cluster=labels).interval, 0)
    share = covered / draws
    assert 0.95 - four_errors(0.95, draws) < share <= most


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([1, 0, 1], r"a table of items by runs, 2 by 2 or larger, found \(3,\)"),
        ([[1], [0]], r"2 by 2 or larger, found \(2, 1\)"),
        ([[1, 0], [np.nan, 1]], "row 1, column 0 is missing or infinite"),
        ([["a", "b"], ["c", "d"]], "expected numbers"),
    ],
)
def test_unusable_tables(scores, words):
    with pytest.raises(ValueError, match=words):
        ll.runs_interval(scores)
