"""The macro average: the published example, its parts, coverage, errors."""

import numpy as np
import pandas as pd
import pytest
from lm_eval.api.metrics import pooled_sample_stderr, unweighted_mean_stderr
from scipy import stats

import lleval_lib as ll


def _two_values(n, se):
    """Return n scores, half up and half down, whose standard error is exactly `se`."""
    return np.tile([1.0, -1.0], n // 2) * se * np.sqrt(n - 1)


def test_published_example():
    """SEs .05 on n = 100 and .005 on n = 10,000: .02512, and not the pooled .00498 of lm-eval."""
    sizes, errors = [100, 10_000], [0.05, 0.005]
    groups = [_two_values(n, se) for n, se in zip(sizes, errors, strict=True)]
    assert [ll.mean_interval(g).se for g in groups] == pytest.approx(errors, rel=1e-9)
    found = ll.macro_interval(np.concatenate(groups), np.repeat(["small", "large"], sizes))
    assert found.se == pytest.approx(0.02512, abs=5e-6)
    assert pooled_sample_stderr(errors, sizes) == pytest.approx(0.00498, abs=5e-6)
    # lm-eval 0.4.13 pools only for means weighted by size (its pull request 3882).
    assert found.se == pytest.approx(unweighted_mean_stderr(errors), rel=1e-9)
    assert (found.n, found.n_clusters) == (10_100, 10_100)
    # The pooled error belongs to the mean of all items, where every item counts the same.
    together = ll.mean_interval(np.concatenate(groups)).se
    assert together == pytest.approx(pooled_sample_stderr(errors, sizes), rel=1e-3)


@pytest.fixture
def subjects():
    """Return scores, groups and clusters: four groups of unequal size with 4 to 7 clusters."""
    rng = np.random.default_rng(2)
    group = np.repeat(list("abcd"), [30, 50, 80, 20])
    cluster = np.array([f"{g}{rng.integers(4 + i % 4)}" for i, g in enumerate(group)])
    shift = {c: rng.normal() for c in np.unique(cluster)}
    return rng.normal(size=180) + [shift[c] for c in cluster], group, cluster


def test_it_is_made_of_the_groups_intervals(subjects):
    scores, group, cluster = subjects
    found = ll.macro_interval(scores, group, cluster, confidence=0.9)
    parts = [ll.mean_interval(scores[group == g], cluster[group == g]) for g in "abcd"]
    variance = np.array([part.se**2 for part in parts])
    freedom = np.array([part.n_clusters - 1 for part in parts])
    assert found.estimate == pytest.approx(np.mean([part.estimate for part in parts]))
    assert found.estimate != pytest.approx(scores.mean(), abs=1e-3)
    assert found.se == pytest.approx(np.sqrt(variance.sum()) / 4, rel=1e-12)
    df = variance.sum() ** 2 / (variance**2 / freedom).sum()
    t = stats.t.ppf(0.95, df)
    assert [found.low, found.high] == pytest.approx(
        [found.estimate - t * found.se, found.estimate + t * found.se], rel=1e-12
    )
    assert found.n_clusters == len(set(cluster))


def test_degrees_of_freedom_are_those_of_welchs_test():
    """Of x and -y in two groups, the macro average is half the difference of the two means."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=9), rng.normal(scale=3, size=25)
    found = ll.macro_interval(np.concatenate([x, -y]), np.repeat(["x", "y"], [9, 25]))
    low, high = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    assert [2 * found.low, 2 * found.high] == pytest.approx([low, high], rel=1e-9)


def test_one_group_is_the_plain_mean(subjects):
    scores, _, cluster = subjects
    found = ll.macro_interval(scores, ["all"] * 180, cluster)
    plain = ll.mean_interval(scores, cluster)
    assert [found.se, found.low, found.high] == pytest.approx([plain.se, plain.low, plain.high])


def test_duplicated_items_add_nothing(subjects):
    scores, group, _ = subjects
    once = ll.macro_interval(scores, group)
    found = ll.macro_interval(np.repeat(scores, 3), np.repeat(group, 3), np.repeat(range(180), 3))
    assert [found.se, found.low] == pytest.approx([once.se, once.low], rel=1e-9)
    assert found.n_clusters == 180


def test_records_and_the_name_of_a_column(subjects):
    scores, group, cluster = subjects
    table = pd.DataFrame(
        {
            "system": "s",
            "task": "t",
            "item_id": [f"i{k}" for k in range(180)],
            "cluster": cluster,
            "target": "yes",
            "score": scores,
            "subject": group,
        }
    )
    found = ll.macro_interval(scores, group, cluster)
    assert ll.macro_interval(table, "subject") == found
    assert ll.macro_interval(table, table.subject.astype("category")) == found
    shuffled = ll.macro_interval(table.sample(frac=1, random_state=0), "subject")
    assert [shuffled.low, shuffled.high] == pytest.approx([found.low, found.high], rel=1e-9)
    own = ll.macro_interval(table, "subject", cluster=table.item_id)
    assert own.se == pytest.approx(ll.macro_interval(scores, group).se)
    with pytest.raises(ValueError, match="group='topic' is no column of the records"):
        ll.macro_interval(table, "topic")


def test_scores_that_do_not_vary():
    found = ll.macro_interval([1, 1, 0, 0], list("aabb"))
    assert (found.estimate, found.se, found.low, found.high) == (0.5, 0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("sizes", "p", "said", "tolerance"),
    [
        ([30] * 10, 0.8, 0.95, 0.002),
        ([5] * 57, 0.7, 0.952, 0.001),
        ([10] * 10, 0.95, 0.883, 0.001),
        ([10, 10_000], 0.9, 0.65, 0.005),
    ],
)
def test_coverage(sizes, p, said, tolerance):
    """As it should be, and the docstring's three cases: many small groups, then two that fail."""
    rng, draws, sizes = np.random.default_rng(0), 20_000, np.array(sizes)
    counts = rng.binomial(sizes, p, (draws, len(sizes)))
    mean = counts / sizes
    variance = mean * (1 - mean) / (sizes - 1)
    estimate, se = mean.mean(axis=1), np.sqrt(variance.sum(axis=1)) / len(sizes)
    with np.errstate(invalid="ignore"):
        df = variance.sum(axis=1) ** 2 / (variance**2 / (sizes - 1)).sum(axis=1)
    half = np.nan_to_num(stats.t.ppf(0.975, df) * se)
    for k in range(3):
        scores = np.concatenate([np.arange(n) < c for n, c in zip(sizes, counts[k], strict=True)])
        ours = ll.macro_interval(scores, np.repeat(np.arange(len(sizes)), sizes))
        assert [ours.estimate, ours.high] == pytest.approx([estimate[k], estimate[k] + half[k]])
    error = 4 * np.sqrt(said * (1 - said) / draws) + tolerance
    assert np.mean(abs(estimate - p) <= half + 1e-12) == pytest.approx(said, abs=error)


def test_a_sample_of_groups_is_another_question():
    """To speak of subjects like these, average by group: the interval holds what it must."""
    rng = np.random.default_rng(1)
    fixed, sampled = [], []
    for _ in range(300):
        truth = rng.normal(size=12)
        scores = np.repeat(truth, 5) + rng.normal(size=60)
        inner = ll.macro_interval(scores, np.repeat(np.arange(12), 5))
        outer = ll.mean_interval(scores.reshape(12, 5).mean(axis=1))
        fixed.append([inner.low <= truth.mean() <= inner.high, inner.low <= 0 <= inner.high])
        sampled.append(outer.low <= 0 <= outer.high)
    right, wrong = np.mean(fixed, axis=0)
    error = 4 * np.sqrt(0.95 * 0.05 / 300)
    assert right == pytest.approx(0.95, abs=error)
    assert np.mean(sampled) == pytest.approx(0.95, abs=error)
    assert wrong < 0.75


@pytest.mark.parametrize(
    ("group", "cluster", "message"),
    [
        (list("aabb"), list("xyyz"), "cluster= has a cluster in groups 'a' and 'b' .* place 2"),
        (list("aabb"), list("xyzz"), "group 'b' has one cluster: nothing shows how"),
        (list("aaab"), None, "group 'b' has one cluster"),
        (list("aab"), None, r"group= must give one label for each of the 4 scores.*\(3,\)"),
        ("subject", None, r"group= must give one label for each of the 4 scores.*shape \(\)"),
        (["a", "a", "b", None], None, r"shape \(4,\) with 1 missing"),
        (list("aabb"), list("xy"), r"cluster= has shape \(2,\)"),
    ],
)
def test_errors(group, cluster, message):
    with pytest.raises(ValueError, match=message):
        ll.macro_interval([1, 0, 1, 1], group, cluster)


def test_an_impossible_confidence():
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        ll.macro_interval([1, 0, 1, 1], list("aabb"), confidence=95)
