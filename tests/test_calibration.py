"""Calibration: a published value, coverage with and without an error, bad input."""

import numpy as np
import pandas as pd
import pytest
from builders import four_errors

import lleval_lib as ll


def test_published_value():
    # torchmetrics: BinaryCalibrationError(n_bins=2, norm="l1").
    found = ll.expected_calibration_error(
        [0.25, 0.25, 0.55, 0.75, 0.75], [0, 0, 1, 1, 1], bins=2, rng=0
    )
    assert found.plug_in == pytest.approx(0.29)


def test_one_bin_of_equal_items_is_the_difference_of_means():
    found = ll.expected_calibration_error([0.9] * 8, [1, 1, 0, 0] * 2, bins=1, rng=0)
    assert found.plug_in == pytest.approx(0.4)


def draws(true_chance, trials=150, n=200):
    """Return what `trials` samples of n items give."""
    rng, found = np.random.default_rng(0), []
    for _ in range(trials):
        p = rng.random(n)
        right = (rng.random(n) < true_chance(p)) * 1.0
        found.append(ll.expected_calibration_error(p, right, rng=rng))
    return found


@pytest.mark.slow
def test_a_calibrated_model_is_not_found_guilty():
    found = draws(lambda p: p)
    assert np.mean([f.plug_in for f in found]) > 0.05  # though nothing is wrong
    assert np.mean([f.floor / f.plug_in for f in found]) == pytest.approx(1, abs=0.1)
    clear = np.mean([f.interval.low == 0 for f in found])
    assert clear > 0.95 - four_errors(0.95, len(found))


@pytest.mark.slow
def test_the_interval_covers_and_the_correction_corrects():
    # Every probability is 0.09 too near to 0 or 1.
    found = draws(lambda p: p + np.where(p < 0.5, 0.09, -0.09))
    covered = np.mean([f.interval.low <= 0.09 <= f.interval.high for f in found])
    assert covered > 0.87 - four_errors(0.87, len(found))  # not 0.95: the docstring says so
    corrected = np.mean([f.interval.estimate for f in found])
    assert abs(corrected - 0.09) < abs(np.mean([f.plug_in for f in found]) - 0.09)


def test_clusters_widen_it():
    rng = np.random.default_rng(1)
    p, right = rng.random(60), rng.integers(0, 2, 60)
    alone = ll.expected_calibration_error(p, right, rng=0)
    five = ll.expected_calibration_error(
        np.tile(p, 5), np.tile(right, 5), cluster=np.tile(np.arange(60), 5), rng=0
    )
    naive = ll.expected_calibration_error(np.tile(p, 5), np.tile(right, 5), rng=0)
    assert five.interval.se == pytest.approx(alone.interval.se, rel=0.1)
    assert naive.interval.se < 0.6 * five.interval.se


def test_bins_of_equal_numbers_and_series_by_label():
    p = pd.Series([0.01, 0.02, 0.03, 0.9], index=list("abcd"))
    right = pd.Series([1, 0, 0, 0], index=list("dabc"))
    found = ll.expected_calibration_error(p, right, bins=2, binning="mass", rng=0)
    assert found.plug_in == pytest.approx((0.03 + 0.07) / 4)
    assert "usual number" in str(found)


@pytest.mark.parametrize(
    ("arguments", "more", "said"),
    [
        (([1.2, 0.5], [1, 0]), {}, "probability: 1.2 is not between 0 and 1"),
        (([0.2, 0.5], [2, 0]), {}, "right: expected 0 or 1, found 2"),
        (([0.2, 0.5], [1]), {}, "probability has 2 values, right has 1"),
        (([0.2, 0.5], [1, 0]), {"bins": 0}, "bins"),
        (([0.2, 0.5], [1, 0]), {"binning": "both"}, "binning must be one of"),
    ],
)
def test_bad_input_is_named(arguments, more, said):
    with pytest.raises(ValueError, match=said):
        ll.expected_calibration_error(*arguments, **more)
