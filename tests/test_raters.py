"""Krippendorff's alpha: published values, another package, its interval, bad input."""

import krippendorff
import numpy as np
import pytest
from builders import near

import lleval_lib as ll

# Four coders and twelve units, with gaps (Krippendorff 2011, "Computing Krippendorff's
# Alpha-Reliability"): nominal .743, ordinal .815, interval .849, ratio .797.
NO = np.nan
FOUR = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NO, NO, NO],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NO, 3],
        [NO, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NO],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NO],
    ]
)
PUBLISHED = {"nominal": 0.743, "ordinal": 0.815, "interval": 0.849, "ratio": 0.797}


def long(table):
    rater, item = np.nonzero(~np.isnan(table))
    return item, rater, table[rater, item]


def drawn(rng, items=60, raters=4, share=0.7, missing=0.2):
    """Return ratings of four values by raters who are right so often."""
    true = rng.integers(0, 4, items)
    said = np.where(rng.random((raters, items)) < share, true, rng.integers(0, 4, (raters, items)))
    return np.where(rng.random(said.shape) < missing, np.nan, said)


@pytest.mark.parametrize(("scale", "value"), PUBLISHED.items())
def test_published_values_of_four_coders(scale, value):
    found = ll.krippendorff_alpha(*long(FOUR), scale=scale, rng=0)
    assert found.estimate == pytest.approx(value, abs=6e-4)
    assert found.n == 11  # one unit has a single rating
    assert "clusters" in found.warning


@pytest.mark.parametrize("scale", PUBLISHED)
@pytest.mark.parametrize("seed", range(3))
def test_it_is_that_of_another_package(scale, seed):
    table = drawn(np.random.default_rng(seed))
    ours = ll.krippendorff_alpha(*long(table), scale=scale, resamples=2, rng=0).estimate
    assert ours == pytest.approx(krippendorff.alpha(table, level_of_measurement=scale))


def test_labels_need_no_numbers_and_no_order():
    item, rater, value = long(FOUR)
    same = ll.krippendorff_alpha(item, rater, [f"label {v:g}" for v in value], rng=0)
    assert same == ll.krippendorff_alpha(item, rater, value, rng=0)
    mixed = np.random.default_rng(0).permutation(len(item))
    again = ll.krippendorff_alpha(item[mixed], rater[mixed], value[mixed], resamples=2)
    assert again.estimate == pytest.approx(same.estimate)


def test_coins_have_none_and_agreement_is_one():
    rng = np.random.default_rng(0)
    coins = long(rng.integers(0, 3, (5, 4000)).astype(float))
    assert ll.krippendorff_alpha(*coins, rng=0).estimate == pytest.approx(0, abs=0.02)
    one = long(np.tile(rng.integers(0, 3, 60), (3, 1)).astype(float))
    found = ll.krippendorff_alpha(*one, rng=0)
    assert found.estimate == 1
    assert np.isnan(found.low)


@pytest.mark.slow
def test_its_interval_covers_the_alpha_of_many_items():
    truth = ll.krippendorff_alpha(
        *long(drawn(np.random.default_rng(9), items=200_000)), resamples=2, rng=0
    ).estimate
    held = []
    for seed in range(300):
        table = drawn(np.random.default_rng(seed), items=100)
        found = ll.krippendorff_alpha(*long(table), resamples=300, rng=seed)
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) == near(0.94, 300)


def test_clusters_of_items_widen_it():
    rng = np.random.default_rng(2)
    true = np.repeat(rng.integers(0, 2, 40), 5)
    poor = np.repeat(rng.random(40) < 0.5, 5)  # a whole cluster is hard
    said = np.where(rng.random((3, 200)) < np.where(poor, 0.5, 1), true, 1 - true)
    item, rater, value = long(said.astype(float))
    wide = ll.krippendorff_alpha(item, rater, value, cluster=item // 5, rng=0)
    assert wide.n_clusters == 40
    assert wide.se > 1.3 * ll.krippendorff_alpha(item, rater, value, rng=0).se


def test_a_value_that_no_two_rated_has_no_alpha():
    with pytest.raises(ValueError, match="all are equal where an item has two ratings"):
        ll.krippendorff_alpha([1, 1, 2, 2, 3], list("xyxyx"), [1, 1, 1, 1, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rater": ["x"] * 4}, "rater: one rates an item twice"),
        ({"value": [1, 1, 1, 1]}, "value: found 1 different ones"),
        ({"value": ["a", "b", "c", "a"], "scale": "ordinal"}, "value: expected numbers"),
        ({"value": [1, -1, 1, 1], "scale": "ratio"}, "for a ratio not below 0"),
        ({"value": [1, np.inf, 1, 1], "scale": "interval"}, "needs finite numbers"),
        ({"value": [1, None, 1, 0]}, "value= has missing ratings; leave such rows out"),
        ({"item": [1, 1, 2, 2], "value": [1, np.nan, 1, 0]}, "leave such rows out"),
        ({"item": [1, 2, 3, 4]}, "fewer than two have two ratings"),
        ({"cluster": [1, 2, 1, 2]}, "an item in two clusters"),
        ({"scale": "kappa"}, "scale must be one of 'nominal'"),
        ({"item": [1, 1]}, "rater= has shape"),
    ],
)
def test_bad_ratings(change, message):
    good = {"item": [1, 1, 2, 2], "rater": list("xyxy"), "value": [1, 0, 1, 1]}
    with pytest.raises(ValueError, match=message):
        ll.krippendorff_alpha(**good | change)
