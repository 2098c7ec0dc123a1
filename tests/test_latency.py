"""Rounds of calls: each call once a round, in a new order, and one round before them all."""

import time

import numpy as np
import pytest

import lleval_lib as ll


def test_each_call_once_a_round_and_one_round_to_warm_up():
    made = []
    calls = {name: (lambda name=name: made.append(name)) for name in "abc"}
    seconds = ll.latency(calls, rounds=6, rng=0)
    assert seconds.shape == (6, 3)
    assert list(seconds.columns) == ["a", "b", "c"]
    rounds = np.array(made).reshape(7, 3)
    assert all(sorted(row) == ["a", "b", "c"] for row in rounds)
    assert len({tuple(row) for row in rounds}) > 1  # in more than one order


def test_the_orders_are_those_of_the_generator():
    made = []
    calls = {name: (lambda name=name: made.append(name)) for name in "abcd"}
    for _ in range(2):
        ll.latency(calls, 5, rng=3)
    assert made[:24] == made[24:]


def test_seconds_are_seconds():
    seconds = ll.latency({"sleeps": lambda: time.sleep(0.02)}, 3, rng=0)
    assert (seconds.sleeps >= 0.02).all()


@pytest.mark.parametrize(
    ("calls", "rounds", "words"),
    [
        ({}, 5, "calls is empty"),
        ({"a": 3}, 5, r"calls\['a'\] is 3, not a function"),
        ({"a": print}, 1, "rounds must be a whole number of 2 or more"),
    ],
)
def test_what_is_wrong_is_named(calls, rounds, words):
    with pytest.raises(ValueError, match=words):
        ll.latency(calls, rounds)
