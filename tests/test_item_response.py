"""The 2PL: published values, derivatives, coverage, missing answers, bad input."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from builders import near
from scipy.special import expit

import lleval_lib as ll
from lleval_lib.item_response import _grid, _posterior

# How many of 1,000 people gave each pattern of answers, from 00000 to 11111, to five items of the
# Law School Admission Test, section 7 (Bock & Lieberman 1970; bock.table of the R package psych).
LSAT_7 = [12, 19, 1, 7, 3, 19, 3, 17, 10, 5, 3, 7, 7, 23, 8, 28]
LSAT_7 += [7, 39, 11, 34, 14, 51, 15, 90, 6, 25, 7, 35, 18, 136, 32, 308]


@cache
def lsat_7():
    patterns = [[int(digit) for digit in f"{i:05b}"] for i in range(32)]
    return np.repeat(np.array(patterns, dtype=float), LSAT_7, axis=0)


@cache
def fitted():
    return ll.fit_2pl(lsat_7())


def draw(rng, n, a, b):
    p = expit(np.multiply.outer(rng.normal(size=n), a) - a * b)
    return (rng.random(p.shape) < p).astype(float)


def test_published_estimates_of_lsat_7():
    """As in the tests of mirt (Chalmers 2012), whose tolerance is 0.01."""
    model = fitted()
    assert len(lsat_7()) == 1_000
    slopes = [0.9879, 1.0809, 1.7058, 0.7652, 0.7358]
    intercepts = [1.8561, 0.8080, 1.8042, 0.4860, 1.8545]
    assert model.discrimination == pytest.approx(slopes, abs=3e-3)
    assert -model.discrimination * model.difficulty == pytest.approx(intercepts, abs=3e-3)
    assert model.warning == ""


def loglik(x, y):
    nodes, weights = _grid(y.shape[1])
    return _posterior(y, np.ones_like(y), *np.split(x, 2), nodes, weights)[1]


def test_it_is_a_maximum_and_its_sandwich_is_that_of_numerical_derivatives():
    model, y, h = fitted(), lsat_7(), 1e-3
    x = np.r_[model.discrimination, -model.discrimination * model.difficulty]
    assert loglik(x, y).sum() == pytest.approx(model.loglik)
    step = np.eye(10) * h
    scores = np.array([(loglik(x + s, y) - loglik(x - s, y)) / 2 / h for s in step]).T
    assert np.abs(scores.sum(axis=0)).max() < 0.05
    hessian = np.array(
        [
            [
                sum(i * j * loglik(x + i * s + j * t, y).sum() for i in (1, -1) for j in (1, -1))
                for t in step
            ]
            for s in step
        ]
    )
    inverse = np.linalg.inv(-hessian / 4 / h**2)
    expected = inverse @ scores.T @ scores @ inverse * 1000 / 999
    assert model.covariance == pytest.approx(expected, rel=5e-3, abs=1e-5)


def test_the_error_of_a_difficulty_is_that_of_the_delta_method():
    model = fitted()
    a, d = model.discrimination[2], -model.discrimination[2] * model.difficulty[2]
    slope = np.zeros(10)
    slope[2], slope[7] = d / a**2, -1 / a
    assert model.se_difficulty[2] == pytest.approx(np.sqrt(slope @ model.covariance @ slope))


@pytest.mark.slow
def test_coverage_of_items_and_of_abilities():
    rng, draws, n = np.random.default_rng(0), 120, 300
    a, b = np.array([0.6, 1.0, 1.4, 1.8, 1.0, 0.8]), np.array([0.0, -1.0, 0.5, 0.0, 1.0, -0.5])
    inside = []
    for _ in range(draws):
        model = ll.fit_2pl(draw(rng, n, a, b))
        inside.append(np.abs(model.discrimination - a) < 1.96 * model.se_discrimination)
    # Six items of one draw are not independent: the error of 120 draws is the safe one.
    assert np.mean(inside) == near(0.95, draws)
    theta = rng.normal(size=4_000)
    many = np.linspace(-1.5, 1.5, 30)
    known = ll.ItemModel(np.ones(30), many, many, many, np.eye(60), 0.0, 1, 1)
    answers = (rng.random((4_000, 30)) < known.probability(theta)).astype(float)
    found = ll.ability(answers, known)
    assert np.mean((found.low < theta) & (theta < found.high)) == pytest.approx(0.95, abs=0.015)


def test_what_was_not_asked_says_nothing():
    y = draw(np.random.default_rng(1), 3_000, np.full(6, 1.5), np.linspace(-1, 1, 6))
    model = ll.fit_2pl(y)
    some = np.where(np.arange(6) < 3, y, np.nan)
    found = ll.ability(some[:1], model)
    short = ll.ItemModel(
        *(v[:3] for v in (model.discrimination, model.difficulty)),
        *(np.ones(3), np.ones(3), np.eye(6), 0.0, 1, 1),
    )
    assert found.estimate[0] == pytest.approx(ll.ability(y[:1, :3], short).estimate[0], abs=1e-4)
    holes = y.copy()
    holes[np.random.default_rng(2).random(y.shape) < 0.3] = np.nan
    again = ll.fit_2pl(holes)
    assert again.discrimination == pytest.approx(model.discrimination, abs=0.4)
    assert (again.se_discrimination > model.se_discrimination).all()


def test_learners_in_classes_have_wider_intervals():
    rng = np.random.default_rng(3)
    classes = np.repeat(np.arange(40), 10)
    theta = rng.normal(size=40)[classes] * 0.9 + 0.4 * rng.normal(size=400)
    y = (rng.random((400, 5)) < expit(theta[:, None] - np.linspace(-1, 1, 5))).astype(float)
    alone, together = ll.fit_2pl(y), ll.fit_2pl(y, cluster=classes)
    assert together.discrimination == pytest.approx(alone.discrimination)
    assert (together.se_difficulty > alone.se_difficulty).mean() > 0.7
    assert together.n_clusters == 40


def test_information_is_the_derivative():
    model, theta, h = fitted(), np.array([-1.0, 0.3]), 1e-5
    p = model.probability(theta)
    slope = (model.probability(theta + h) - model.probability(theta - h)) / 2 / h
    assert ll.information(model, theta) == pytest.approx(slope**2 / p / (1 - p), rel=1e-5)


def test_ten_takers_are_warned_of():
    y = draw(np.random.default_rng(4), 10, np.ones(20), np.zeros(20))
    y = y[:, (y.mean(axis=0) > 0) & (y.mean(axis=0) < 1)]
    model = ll.fit_2pl(y)
    assert "fewer learners" in model.warning
    assert "warning" in str(model)
    assert max(map(len, str(model).splitlines())) <= 60


def test_a_frame_keeps_its_people():
    frame = pd.DataFrame(lsat_7()[::50], index=[f"p{i}" for i in range(20)])
    assert ll.ability(frame, fitted()).index.tolist() == frame.index.tolist()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([[0, 2], [1, 0]], "answers: expected 1, 0 or nan for not asked, found 2"),
        ([0, 1], "answers: expected learners by items"),
        ([[0, 1], [1, 1], [0, 0], [1, 1]], None),
        ([[0, 1], [1, 1]], "column 1 alike"),
        ([["yes", "no"]], "answers: expected numbers"),
    ],
)
def test_bad_answers_are_named(answers, said):
    if said is None:
        assert ll.fit_2pl(answers).warning
        return
    with pytest.raises(ValueError, match=said):
        ll.fit_2pl(answers)


def test_other_bad_input_is_named():
    with pytest.raises(ValueError, match="found 4 columns, and the model has 5"):
        ll.ability(lsat_7()[:, :4], fitted())
    with pytest.raises(ValueError, match="confidence"):
        ll.ability(lsat_7(), fitted(), confidence=95)
    with pytest.raises(ValueError, match="cluster"):
        ll.fit_2pl(lsat_7(), cluster=[1, 2])
