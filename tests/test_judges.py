"""The true rate behind a judge: formulas, limits, coverage, warnings, bad input."""

import numpy as np
import pytest
from builders import near

import lleval_lib as ll


def judged(rng, n=150, more=2_000, rate=0.6, sens=0.9, spec=0.7, other=None):
    """Return verdicts and labels; the first n have one, and the rate `other` if given."""
    chance = np.r_[np.full(n, rate if other is None else other), np.full(more, rate)]
    true = rng.random(n + more) < chance
    verdict = np.where(true, rng.random(len(true)) < sens, rng.random(len(true)) > spec)
    return verdict * 1.0, np.where(np.arange(n + more) < n, true, np.nan)


def test_rogan_and_gladen_by_hand():
    """Sensitivity .9, specificity .7, raw rate .62: (.62 + .7 - 1) / .6 (Rogan & Gladen 1978)."""
    verdict = np.r_[np.repeat([1, 0, 1, 0], [18, 2, 6, 14]), np.repeat([1, 0], [62, 38])]
    label = np.r_[np.repeat([1, 0], [20, 20]), np.full(100, np.nan)]
    found = ll.judged_rate(verdict, label, method="rogan-gladen")
    assert found.estimate == pytest.approx(0.32 / 0.6)
    # The delta method by hand; of 20, a share has the error of one more of each kind in 22.
    parts = 0.62 * 0.38 / 99, (19 / 22) * (3 / 22) / 22, 0.7 * 0.3 / 19
    weights = 1, found.estimate**2, (1 - found.estimate) ** 2
    assert found.se == pytest.approx(np.sqrt(np.dot(parts, weights)) / 0.6)
    assert found.low < found.estimate - found.se


def test_powered_by_hand():
    rng = np.random.default_rng(0)
    verdict, label = judged(rng, 50, 400)
    y, f, rest = label[:50], verdict[:50], verdict[50:]
    plain = ll.judged_rate(verdict, label, method="ppi")
    assert plain.estimate == pytest.approx(rest.mean() + (y - f).mean())
    assert plain.se == pytest.approx(np.sqrt(rest.var(ddof=1) / 400 + (y - f).var(ddof=1) / 50))
    best = np.cov(y, f)[0, 1] / (1 + 50 / 400) / verdict.var()
    tuned = ll.judged_rate(verdict, label)
    assert tuned.estimate == pytest.approx(best * rest.mean() + (y - best * f).mean())
    assert tuned.se < plain.se


def test_a_useless_judge_leaves_the_labels():
    rng = np.random.default_rng(1)
    label = np.r_[rng.integers(0, 2, 100), np.full(5_000, np.nan)]
    found = ll.judged_rate(np.ones(5_100), label)
    labels = ll.mean_interval(label[:100])
    assert found.estimate == pytest.approx(labels.estimate)
    assert found.se == pytest.approx(labels.se, rel=0.01)


def test_a_perfect_judge_leaves_its_own_sample():
    rng = np.random.default_rng(2)
    verdict, label = judged(rng, 100, 3_000, sens=1, spec=1)
    for method in ("ppi", "rogan-gladen"):
        found = ll.judged_rate(verdict, label, method=method)
        assert found.estimate == pytest.approx(verdict[100:].mean())


CASES = {
    "the notes": {},
    "few labels": {"n": 40, "more": 400},
    "rare": {"n": 200, "rate": 0.85, "sens": 0.95, "spec": 0.8},
    "weak": {"n": 100, "more": 1_000, "sens": 0.6, "spec": 0.6},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["ppi", "ppi++", "rogan-gladen"])
def test_coverage(case, method):
    rate, held = CASES[case].get("rate", 0.6), []
    for seed in range(500):
        found = ll.judged_rate(*judged(np.random.default_rng(seed), **CASES[case]), method=method)
        held.append(found.low <= rate <= found.high)
    # Fieller's interval of a weak judge is wide on purpose.
    assert 0.95 - 0.04 < np.mean(held) < (1 if method == "rogan-gladen" else 0.98)


@pytest.mark.slow
def test_labels_from_elsewhere_break_one_and_not_the_other():
    """The chapter's: labels where the rate is .4 and not .6 (measured .024 against .959)."""
    held = {"ppi++": [], "rogan-gladen": []}
    for seed in range(300):
        verdict, label = judged(np.random.default_rng(seed), other=0.4)
        for method, found in held.items():
            i = ll.judged_rate(verdict, label, method=method)
            found.append(i.low <= 0.6 <= i.high)
    assert np.mean(held["ppi++"]) < 0.1
    assert np.mean(held["rogan-gladen"]) == near(0.955, 300)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ppi++", "rogan-gladen"])
def test_coverage_in_clusters(method):
    held, blind = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        cluster = np.repeat(np.arange(80), 10)
        true = rng.random(800) < rng.beta(2, 2, 80)[cluster]
        verdict = np.where(true, rng.random(800) < 0.9, rng.random(800) > 0.8) * 1.0
        label = np.where(cluster < 30, true, np.nan)
        own = ll.judged_rate(verdict, label, method=method, cluster=cluster)
        alone = ll.judged_rate(verdict, label, method=method)
        held.append(own.low <= 0.5 <= own.high)
        blind.append(alone.low <= 0.5 <= alone.high)
    assert np.mean(held) > 0.91
    assert np.mean(blind) < np.mean(held) - 0.05


def test_a_cluster_in_both_parts_counts_once():
    """Every item twice, once as a cluster's other half: the standard error stays."""
    rng = np.random.default_rng(5)
    verdict, label = judged(rng, 60, 300)
    once = ll.judged_rate(verdict, label, method="ppi")
    twice = ll.judged_rate(
        np.repeat(verdict, 2),
        np.repeat(label, 2),
        method="ppi",
        cluster=np.repeat(np.arange(360), 2),
    )
    assert twice.estimate == pytest.approx(once.estimate)
    assert twice.se == pytest.approx(once.se, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ppi", "ppi++", "rogan-gladen"])
@pytest.mark.parametrize(("groups", "each"), [(4, 12), (10, 5)])
@pytest.mark.parametrize("shared", [False, True])
def test_coverage_with_few_clusters(method, groups, each, shared):
    """Labels of a few clusters, which share them with the rest or not; judges vary, too."""
    held = []
    for seed in range(250):
        rng = np.random.default_rng([seed, 7])
        more = 480 // each
        cluster = np.repeat(np.arange(groups + more), each)
        if shared:
            cluster = np.r_[cluster[: groups * each], np.arange(480) % groups]
        chance, worse = rng.beta(1.2, 0.8, groups + more), rng.normal(0, 0.08, groups + more)
        true = rng.random(len(cluster)) < chance[cluster]
        right = np.clip(np.where(true, 0.85 + worse[cluster], 0.8 + worse[cluster]), 0, 1)
        verdict = np.where(rng.random(len(true)) < right, true, ~true) * 1.0
        label = np.where(np.arange(len(true)) < groups * each, true, np.nan)
        try:
            i = ll.judged_rate(verdict, label, method=method, cluster=cluster)
        except ValueError:
            continue  # labels of one kind in one cluster
        held.append(i.low <= 0.6 <= i.high)
    assert len(held) > 200
    assert np.mean(held) > 0.9


def test_labels_of_one_cluster_show_no_error():
    verdict, label = judged(np.random.default_rng(4), 30, 30)
    cluster = np.where(np.arange(60) < 30, 0, np.arange(60))
    for method in ("ppi", "ppi++", "rogan-gladen"):
        with pytest.raises(ValueError, match="all 30 items with a label lie in one"):
            ll.judged_rate(verdict, label, cluster=cluster, method=method)
        with pytest.raises(ValueError, match="all 30 items without a label lie in one"):
            ll.judged_rate(verdict, label, cluster=cluster[::-1], method=method)
    good = np.where(label == 1, 0, np.arange(60))
    with pytest.raises(ValueError, match="labels of 1 lie in one"):
        ll.judged_rate(verdict, label, cluster=good, method="rogan-gladen")


def test_an_estimate_beyond_the_labels_is_said():
    label = np.r_[np.ones(30), np.full(30, np.nan)]
    verdict = np.r_[np.repeat([0.0, 1.0], 15), np.ones(30)]
    found = ll.judged_rate(verdict, label, method="ppi")
    assert found.warning == "beyond the range of the labels: 1.50"


def test_few_clusters_are_said():
    verdict, label = judged(np.random.default_rng(4), 60, 300)
    found = ll.judged_rate(verdict, label, method="ppi", cluster=np.arange(360) // 12)
    assert found.warning.endswith("effective clusters")


def test_warnings():
    rng = np.random.default_rng(3)
    assert ll.judged_rate(*judged(rng)).warning == ""
    away = ll.judged_rate(*judged(rng, other=0.1))
    assert away.warning.startswith("verdicts: 0.3")
    assert ll.judged_rate(*judged(rng, n=9)).warning == "only 9 labels"
    few = ll.judged_rate(*judged(rng, n=60, rate=0.95))
    assert "labels of one kind" in few.warning
    coin = ll.judged_rate(*judged(rng, sens=0.5, spec=0.5), method="rogan-gladen")
    assert (coin.low, coin.high) == (0, 1)
    assert coin.warning == "the judge is not told apart from a coin"
    verdict, label = judged(rng, sens=0.1, spec=0.1)
    turned = ll.judged_rate(verdict, label, method="rogan-gladen")
    assert turned.warning == "the judge is worse than a coin"
    right = ll.judged_rate(1 - verdict, label, method="rogan-gladen")
    assert turned.low == pytest.approx(right.low)
    verdict, label = judged(rng)
    verdict[150:] = 0
    beyond = ll.judged_rate(verdict, label, method="rogan-gladen")
    assert beyond.estimate == 0
    assert "beyond the range of a rate" in beyond.warning


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": [1, 0, 1, 1]}, "label: 4 of 4 items have one; .* take mean_interval"),
        ({"label": [np.nan] * 4}, "label: 0 of 4 items have one"),
        ({"label": [1, 0]}, r"label has shape \(2,\), but there are 4 verdicts"),
        ({"label": [1, np.inf, np.nan, np.nan]}, "label has infinite numbers"),
        ({"verdict": [1, 0, np.nan, 1]}, "verdict: 1 of 4 values are missing"),
        ({"method": "naive"}, "method must be one of 'ppi"),
        ({"method": "rogan-gladen"}, "fewer than two of 1 or of 0"),
        ({"method": "rogan-gladen", "verdict": [0.5, 1, 0, 1]}, "must be 0 or 1 here"),
    ],
)
def test_bad_judgments(change, message):
    good = {"verdict": [1, 0, 1, 0], "label": [1, 0, np.nan, np.nan]}
    with pytest.raises(ValueError, match=message):
        ll.judged_rate(**good | change)
