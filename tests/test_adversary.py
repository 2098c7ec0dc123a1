"""What an adversary found: each input once gave a wrong number in silence, or an unclear error."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import lleval_lib as ll

A, B = [1.0, 2, 3, 4], [1.1, 2.2, 3.1, 4.3]


class Foreign:
    """A column as polars has it: values without an index, that can become pandas' own."""

    def __init__(self, values):
        self.values = values

    def to_pandas(self):
        return pd.Series(self.values)


def test_a_column_of_another_library_has_no_index():
    right = ll.compare(A, B).p_value
    assert ll.compare(Foreign(A), pd.Series(B, index=[3, 2, 1, 0])).p_value == right
    scores = np.random.default_rng(0).normal(size=12)
    clusters = pd.Series(np.arange(12) // 3).sample(frac=1, random_state=0)
    by_place = ll.mean_interval(scores, cluster=clusters.to_numpy())
    assert ll.mean_interval(Foreign(scores), cluster=clusters) == by_place


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_scores_of_fewer_bits_are_the_same_scores(dtype):
    few, many = torch.full((20,), 0.7, dtype=dtype), [0.7] * 20
    assert ll.compare(few, many).p_value == 1
    assert ll.wilcoxon_test(few, many).p_value == 1
    assert ll.average_ranks({"x": few, "y": many}).letters.tolist() == ["a", "a"]
    shifted = torch.arange(1, 6, dtype=dtype) / 10
    found = ll.compare(shifted, shifted + 0.1)
    if dtype == torch.float32:
        assert found.p_value == 2 / 2**5
        assert np.isnan(found.difference.low)


@pytest.mark.parametrize("unit", [1, 100])
def test_no_difference_seen_is_no_proof_of_equivalence(unit):
    right = unit * np.ones(20)
    assert ll.equivalence_test(right, right, 0.01 * unit).p_value > 0.25
    partial = np.r_[0.5 * unit, right[1:]]
    assert ll.equivalence_test(partial, partial, 0.01 * unit).p_value > 0.25


def test_one_large_item_hides_no_difference():
    a, b = [1, 2, 3, 4, 5, 6, 7], [2.1, 3, 4.2, 4.9, 6, 7.1, 8]
    found = ll.compare([1e13, *a], [1e13, *b])
    assert found.p_value == pytest.approx(ll.compare([1e11, *a], [1e11, *b]).p_value)
    assert found.p_value < 0.05
    assert ll.permutation_test([1e13, *a], [1e13, *b]).p_value < 0.05


@pytest.mark.parametrize("unit", [1, 100, 0.01])
def test_the_unit_of_right_and_wrong_does_not_matter(unit):
    """Percentages are shares too; Fisher's exact p of the groups is 1."""
    y = np.r_[np.zeros(20), np.ones(4), np.zeros(176)]
    found = ll.group_difference(unit * y, np.arange(200) < 20)
    assert found.p_value == pytest.approx(0.509, abs=0.001)
    d = ll.compare(np.zeros(50), unit * np.r_[np.ones(3), np.zeros(47)])
    plain = ll.compare(np.zeros(50), np.r_[np.ones(3), np.zeros(47)])
    assert d.p_value == pytest.approx(plain.p_value)
    assert d.difference.low == pytest.approx(unit * plain.difference.low)
    warning = ll.mean_interval(unit * y).warning
    assert warning == "near 0: see proportion_interval"


def test_two_items_in_one_order_are_no_certainty():
    for kind in ("chi-squared", "F"):
        assert ll.friedman_test([[1, 2, 3], [4, 5, 6]], kind=kind).p_value >= 1 / 6


def test_indexed_columns_are_ordered_after_each_other_when_an_array_comes_first():
    y = np.array([3.0, 1, 4, 1, 5, 9, 2, 6])
    treated = pd.Series([True, False] * 4, index=list("abcdefgh"))
    cluster = pd.Series(list("ppqqrrss"), index=list("abcdefgh"))
    cluster = pd.Series([f"{c}{t}" for c, t in zip(cluster, treated, strict=True)], treated.index)
    order = list("bcdafghe")
    right = ll.group_difference(y, treated, cluster=cluster).p_value
    assert ll.group_difference(y, treated, cluster=cluster[order]).p_value == right
    group = pd.Series(list("xxxxyyyy"), index=treated.index)
    found = ll.macro_interval(y, group, cluster=treated.index.to_series())
    assert ll.macro_interval(y, group, cluster=treated.index.to_series()[order]) == found
    b = pd.Series(y + np.arange(8) % 3, treated.index)
    found = ll.macro_compare(y, b, group)
    assert ll.macro_compare(y, b, group[order]) == found
    boot = ll.bootstrap_interval(np.mean, y, strata=group, cluster=cluster, rng=0, resamples=50)
    again = ll.bootstrap_interval(
        np.mean, y, strata=group, cluster=cluster[order], rng=0, resamples=50
    )
    assert boot == again


def test_a_dict_of_series_keeps_the_order_of_the_first():
    x = pd.Series([1.0, 2, 3, 4], list("dcba"))
    y = pd.Series([4.4, 3.1, 2.2, 1.1], list("abcd"))
    labels = ["p", "p", "q", "r"]
    found = ll.compare_all({"x": x, "y": y}, cluster=labels)
    assert found.se[0] == pytest.approx(ll.compare(x, y, cluster=labels).difference.se)


def test_columns_that_are_no_systems():
    wide = pd.DataFrame({"a": [1.0, 0, 1, 1], "b": [0.0, 0, 1, 1], "passage": [1, 1, 2, 2]})
    assert len(ll.compare_all(wide, cluster=wide.passage)) == 1
    for name in ("index", "Unnamed: 0", "id"):
        with pytest.raises(ValueError, match=f"column '{name}', which is no system"):
            ll.compare_all(wide.assign(**{name: range(4)}), cluster="passage")


def test_masks_and_tensors_are_not_lost():
    masked = np.ma.MaskedArray([1.0, 2, 3, 1000], [False, False, False, True])
    with pytest.raises(ValueError, match="column 1 of columns has masked values"):
        ll.bootstrap_interval(np.mean, masked)
    arm = np.ma.MaskedArray([True, False, True, False], [True, False, False, False])
    with pytest.raises(ValueError, match="treated must be 4 times True or False"):
        ll.group_difference(A, arm)
    with pytest.raises(ValueError, match="cluster= has lists or tensors for labels"):
        ll.mean_interval(A, cluster=[torch.tensor(k % 2) for k in range(4)])
    with pytest.raises(ValueError, match="cluster= has the text 'nan'"):
        ll.mean_interval(A, cluster=np.array(["a", "a", np.nan, "b"]))
    learnt = torch.tensor(A, requires_grad=True)
    assert ll.bootstrap_interval(np.mean, learnt, rng=0).estimate == 2.5
    table = torch.tensor(np.column_stack([A, B]), requires_grad=True)
    assert ll.compare_all(table).estimate[0] == pytest.approx(0.175)


def test_skew_is_seen_in_clusters_too():
    """Lognormal scores, each item twice, cover .64 to .85; none was warned of."""
    rng = np.random.default_rng(0)
    warned = 0
    for _ in range(100):
        scores = np.repeat(rng.lognormal(0, 1.5, 50), 2)
        found = ll.mean_interval(scores, cluster=np.repeat(np.arange(50), 2))
        warned += found.warning.startswith("skewed scores")
    assert warned > 45
    normal = [
        ll.mean_interval(rng.normal(size=50)[labels] + rng.normal(size=len(labels)), cluster=labels)
        for labels in [np.repeat(np.arange(50), np.maximum(1, 100 // np.arange(1, 51)))] * 100
    ]
    assert np.mean([found.warning.startswith("skewed") for found in normal]) < 0.1


def test_one_wrong_answer_is_not_inferior_by_chance():
    """Of 200 with a margin of .02: the exact binomial p is .089."""
    right, once = np.ones(200), np.r_[0.0, np.ones(199)]
    exact = stats.binom.cdf(1, 200, 0.02)
    assert ll.noninferiority_test(right, once, 0.02).p_value > 0.5 * exact
    called = [
        ll.noninferiority_test(right, np.r_[np.zeros(k), np.ones(200 - k)], 0.02).p_value <= 0.05
        for k in range(12)
    ]
    assert stats.binom.pmf(range(12), 200, 0.02) @ called <= 0.06


def test_targets_that_are_lists_and_many_letters():
    table = pd.DataFrame(
        {
            **{"system": "a", "task": "t", "item_id": ["i", "j"], "cluster": ["i", "j"]},
            **{"target": [["x"], ["y", "z"]], "score": [1.0, 0.0]},
        }
    )
    other = table.assign(system="b", target=[np.array(["x"]), np.array(["y", "z"])])
    assert ll.compare(table, other).difference.n == 2
    letters = ll.average_ranks(np.arange(40)[None] + np.zeros((900, 1))).letters
    assert all(text.isalnum() for text in letters)
