"""Strengths from battles: published values, other packages, coverage, what has no answer."""

import choix
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from builders import near
from scipy.special import expit

import lleval_lib as ll
from lleval_lib.bradley_terry import _design, _inverse

# How often the first journal cites less than it is cited by the second, and the reverse (Stigler
# 1994, Statistical Science 9; as in the vignette of R's BradleyTerry2).
JOURNALS = ["Biometrika", "Comm Statist", "JASA", "JRSS-B"]
CITED = {
    (0, 1): (730, 33),
    (0, 2): (498, 320),
    (0, 3): (221, 284),
    (1, 2): (68, 813),
    (1, 3): (17, 276),
    (2, 3): (142, 325),
}


def citations():
    rows = [
        (JOURNALS[a], JOURNALS[b], score)
        for (a, b), (won, lost) in CITED.items()
        for score, times in ((1, won), (0, lost))
        for _ in range(times)
    ]
    return [np.array(column) for column in zip(*rows, strict=True)]


def battles(rng, n=400, strength=(0.0, 0.3, 0.6, 1.2), groups=None, ties=0.0):
    strength = np.array(strength)
    k = len(strength)
    a = rng.integers(k, size=n)
    b = (a + rng.integers(1, k, size=n)) % k
    score = (rng.random(n) < expit(strength[a] - strength[b])) * 1.0
    score = np.where(rng.random(n) < ties, 0.5, score)
    return a, b, score


def test_published_abilities_of_journals():
    """Comm Statist -2.949 (.103), JASA -.480 (.061), JRSS-B .269 (.071), against Biometrika."""
    a, b, score = citations()
    fit = ll.bradley_terry(a, b, score)
    found = [fit.difference("Biometrika", name) for name in JOURNALS[1:]]
    assert [d.estimate for d in found] == pytest.approx([-2.9491, -0.4796, 0.2690], abs=6e-5)
    assert [d.se for d in found] == pytest.approx([0.1026, 0.0606, 0.0708], rel=0.02)
    # R's errors are those of the model, the inverse information.
    codes = [np.searchsorted(JOURNALS, names) for names in (a, b)]
    _, x, _ = _design(None, *codes, 4, len(score), None)
    v = _inverse(x, expit(x @ fit.strength), 4)
    errors = [np.sqrt(v[0, 0] + v[k, k] - 2 * v[0, k]) for k in (1, 2, 3)]
    assert errors == pytest.approx([0.10255, 0.06059, 0.07083], abs=5e-5)
    assert fit.ranks().index.tolist() == ["JRSS-B", "Biometrika", "JASA", "Comm Statist"]


@pytest.mark.parametrize("seed", range(3))
def test_it_is_that_of_choix(seed):
    a, b, score = battles(np.random.default_rng(seed))
    won = [(i, j) if s else (j, i) for i, j, s in zip(a, b, score, strict=True)]
    expected = choix.opt_pairwise(4, won, alpha=0, tol=1e-10)
    assert ll.bradley_terry(a, b, score).strength == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("ties", [0.0, 0.3])
def test_it_is_the_clustered_logistic_regression_of_statsmodels(ties):
    rng = np.random.default_rng(7)
    a, b, score = battles(rng, ties=ties)
    length, voter = rng.normal(size=len(a)), rng.integers(0, 40, len(a))
    fit = ll.bradley_terry(a, b, score, {"length": length}, cluster=voter)
    x = np.eye(4)[a] - np.eye(4)[b]
    glm = sm.GLM(score, np.c_[x[:, 1:], length], sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": voter, "use_correction": False}
    )
    assert fit.strength[1:] - fit.strength[0] == pytest.approx(glm.params[:3])
    turned = np.eye(3, 5, 1)
    turned[:, 0] = -1
    turned = np.vstack([turned, np.eye(5)[4]])
    plain = np.sqrt(np.diag(turned @ fit.covariance @ turned.T))
    assert plain == pytest.approx(glm.bse * np.sqrt(40 / 39))
    errors = [fit.difference("0", name).se for name in "123"] + [fit.effect("length").se]
    assert errors == pytest.approx(plain, rel=0.03)  # those of a contrast, about as large
    assert fit.effects["length"] == pytest.approx(glm.params[3])
    assert fit.strength.sum() == pytest.approx(0)


def test_order_of_rows_and_sides_do_not_matter():
    rng = np.random.default_rng(1)
    a, b, score = battles(rng)
    fit, mixed = ll.bradley_terry(a, b, score), rng.permutation(len(a))
    again = ll.bradley_terry(a[mixed], b[mixed], score[mixed])
    turned = ll.bradley_terry(b, a, 1 - score)
    for other in (again, turned):
        assert other.strength == pytest.approx(fit.strength)
        assert other.covariance == pytest.approx(fit.covariance, abs=1e-12)


def test_two_systems_are_the_log_odds():
    fit = ll.bradley_terry(["x"] * 10, ["y"] * 10, [1] * 7 + [0] * 3)
    d = fit.difference("y", "x")
    assert d.estimate == pytest.approx(np.log(7 / 3))
    assert d.se == pytest.approx(np.sqrt(1 / 7 + 1 / 3) * np.sqrt(10 / 9))
    assert d.df == 9


def test_equal_battles_in_one_cluster_are_one():
    a, b, score = battles(np.random.default_rng(4), n=200)
    once = ll.bradley_terry(a, b, score)
    five = [np.repeat(v, 5) for v in (a, b, score)]
    again = ll.bradley_terry(*five, cluster=np.repeat(np.arange(200), 5))
    assert again.covariance == pytest.approx(once.covariance)
    assert ll.bradley_terry(*five).covariance[0, 0] < once.covariance[0, 0] / 4


@pytest.mark.slow
def test_coverage_of_a_difference_and_of_all_ranks():
    held, ranks = [], []
    true = {"0": 4, "1": 3, "2": 2, "3": 1}
    for seed in range(400):
        rng = np.random.default_rng(seed)
        voter = rng.integers(0, 50, 400)
        lean = 0.8 * rng.normal(size=(50, 4))  # voters have tastes
        a, b, _ = battles(rng)
        strength = np.array([0.0, 0.3, 0.6, 1.2]) + lean[voter]
        rows = np.arange(400)
        score = (rng.random(400) < expit(strength[rows, a] - strength[rows, b])) * 1.0
        fit = ll.bradley_terry(a, b, score, cluster=voter)
        d = fit.difference("0", "3")
        held.append(d.low <= 1.2 * 0.87 <= d.high)  # tastes shrink the mean log-odds
        table = fit.ranks()
        t = pd.Series(true).reindex(table.index)
        ranks.append(((table.rank_low <= t) & (t <= table.rank_high)).all())
    assert np.mean(held) == near(0.945, 400)
    assert np.mean(ranks) > 0.93


def test_ranks_are_of_what_is_told_apart():
    a, b, score = battles(np.random.default_rng(0), n=4_000, strength=(0.0, 0.01, 2.0))
    ranks = ll.bradley_terry(a, b, score).ranks()
    assert ranks.loc["2", ["rank", "rank_low", "rank_high"]].tolist() == [1, 1, 1]
    assert ranks.loc["0", ["rank_low", "rank_high"]].tolist() == [2, 3]
    assert (ranks.low < ranks.strength).all()


def test_it_prints():
    fit = ll.bradley_terry(*battles(np.random.default_rng(0)), cluster=np.arange(400) // 2)
    assert str(fit) == "4 systems, 400 battles in 200 clusters\n  strongest: 3"


GOOD = {"a": list("xyzx"), "b": list("yzxy"), "score": [1, 1, 1, 0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": [1, 1, 1, 2]}, "score must be 1 where a won"),
        ({"score": [1, 1, np.nan, 1]}, "score: 1 of 4 values are missing"),
        ({"a": list("yyzx")}, "a and b: 'y' meets itself"),
        ({"a": list("xxpp"), "b": list("yyqq"), "score": [1, 0, 1, 0]}, "'p' and 'x' never met"),
        ({"score": [1, 1, 0, 1]}, "score: 'x' never loses to the others"),
        (
            {"a": list("xyxy"), "b": list("yxpp"), "score": [1, 1, 1, 1]},
            "score: 'x' and 1 more never lose to the others",
        ),
        ({"effects": [1, 2, 3, 4]}, "effects must be a dict or a table"),
        ({"effects": {"w": [1, 2]}}, "effects 'w' has 2 values for 4 battles"),
        ({"effects": {"w": [1, 1, -2, 1]}}, "effects: a column is the same in all battles"),
        ({"effects": {"w": [0, 0, 0, 0]}}, "effects: a column is the same in all battles"),
        ({"a": ["x", None, "z", "x"]}, "a= has missing names; leave such battles out"),
        ({"cluster": ["q"] * 4}, "all 4 items lie in one cluster"),
    ],
)
def test_what_has_no_answer(change, message):
    with pytest.raises(ValueError, match=message):
        ll.bradley_terry(**GOOD | change)


def test_an_effect_that_separates_has_no_end():
    a, b, score = battles(np.random.default_rng(0), n=60)
    with pytest.raises(ValueError, match="the fit has no end"):
        ll.bradley_terry(a, b, score, {"w": score - 0.5})


def test_few_clusters_are_said():
    a, b, score = battles(np.random.default_rng(0), n=60)
    fit = ll.bradley_terry(a, b, score, cluster=np.arange(60) % 6)
    assert fit.difference("0", "3").warning == "only 5.9 effective clusters"


def test_unknown_names():
    fit = ll.bradley_terry(**GOOD)
    with pytest.raises(LookupError, match="no system is called 'w'; there are: x, y, z"):
        fit.difference("x", "w")
    with pytest.raises(LookupError, match="no effect is called 'length'; there are: none"):
        fit.effect("length")


def seen_by_few(rng, few, voters=40, n=1200):
    """Battles in which only the first `few` voters met system 3; voters have tastes."""
    voter, a = rng.integers(voters, size=n), rng.integers(4, size=n)
    b = (a + rng.integers(1, 4, size=n)) % 4
    kept = (voter < few) | ((a != 3) & (b != 3))
    a, b, voter = a[kept], b[kept], voter[kept]
    lean = np.array([0.0, 0.3, 0.6, 1.2]) + 0.6 * rng.normal(size=(voters, 4))
    score = (rng.random(len(a)) < expit(lean[voter, a] - lean[voter, b])) * 1.0
    return a, b, score, voter


@pytest.mark.slow
@pytest.mark.parametrize("few", [3, 6])
def test_a_system_that_few_voters_saw(few):
    """With one number of clusters for all, 0.52 and 0.73 of these intervals held."""
    a, b, score, _ = seen_by_few(np.random.default_rng(9), 20_000, 20_000, 300_000)
    truth = ll.bradley_terry(a, b, score).difference("0", "3").estimate
    held = []
    for seed in range(250):
        *battle, voter = seen_by_few(np.random.default_rng([seed, 3]), few)
        fit = ll.bradley_terry(*battle, cluster=voter)
        d = fit.difference("0", "3")
        assert "effective clusters" in d.warning
        assert fit.difference("0", "1").warning == ""
        held.append(d.low <= truth <= d.high)
    assert np.mean(held) > 0.85


def test_a_system_that_one_voter_saw_has_no_interval():
    a, b, score, voter = seen_by_few(np.random.default_rng(2), 1)
    fit = ll.bradley_terry(a, b, score, cluster=voter)
    d = fit.difference("0", "3")
    assert np.isnan(d.low)
    assert d.warning == "all battles that tell of it are in one cluster"
    ranks = fit.ranks()
    assert ranks.loc["3", ["rank_low", "rank_high"]].tolist() == [1, 4]
    assert np.isnan(ranks.loc["3", "low"])
    assert fit.difference("0", "1").warning == ""


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_an_effect_does_not_matter(unit):
    rng = np.random.default_rng(5)
    battle, w = battles(rng), rng.normal(size=400)
    one, other = (ll.bradley_terry(*battle, {"w": w * u}) for u in (1, unit))
    assert other.strength == pytest.approx(one.strength)
    assert other.effects["w"] * unit == pytest.approx(one.effects["w"])
    assert other.effect("w").se * unit == pytest.approx(one.effect("w").se)
    assert other.covariance[4, 4] * unit**2 == pytest.approx(one.covariance[4, 4])


def test_ties_alone_show_no_spread():
    fit = ll.bradley_terry(list("xyz") * 4, list("yzx") * 4, [0.5] * 12)
    assert fit.ranks()[["low", "high"]].isna().all(axis=None)
    assert fit.ranks()["rank_high"].tolist() == [3, 3, 3]


def test_names_may_be_numbers():
    fit = ll.bradley_terry([1, 2, 1, 2], [2, 1, 2, 1], [1, 0, 0, 0])
    assert fit.difference(1, 2) == fit.difference("1", "2")
