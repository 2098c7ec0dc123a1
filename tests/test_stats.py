"""Intervals and comparisons: published values, other libraries, and coverage by simulation."""

import doctest
import pkgutil
from dataclasses import fields
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

import lleval_lib
import lleval_lib as ll

# Darwin's maize: height of a crossed less that of a self-fertilised plant (Fisher 1935).
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])


def _records(system, scores, clusters=None, items=None, task="t"):
    n = len(scores)
    return pd.DataFrame(
        {
            "system": system,
            "task": task,
            "item_id": [f"i{k}" for k in range(n)] if items is None else items,
            "cluster": [f"c{k}" for k in range(n)] if clusters is None else clusters,
            "prompt": "?",
            "target": "yes",
            "prediction": "yes",
            "score": scores,
            "loglik": np.nan,
        }
    )


def _formula(scores, clusters):
    """Return the squared clustered standard error, as the head of ``stats`` writes it."""
    error = scores - scores.mean()
    total = 0.0
    for cluster in set(clusters):
        total += error[np.asarray(clusters) == cluster].sum() ** 2
    groups = len(set(clusters))
    return groups / (groups - 1) * total / len(scores) ** 2


@pytest.fixture
def clustered():
    """Return 60 scores in 9 clusters of unequal size that share an effect."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 9, 60)
    return rng.normal(size=60) + rng.normal(size=9)[labels], [f"film {k}" for k in labels]


# One system ---------------------------------------------------------------------------------------


def test_without_clusters_it_is_the_textbook_interval(clustered):
    scores, _ = clustered
    found = ll.mean_interval(scores, confidence=0.9)
    low, high = stats.t.interval(0.9, len(scores) - 1, scores.mean(), stats.sem(scores))
    assert [found.estimate, found.se] == pytest.approx([scores.mean(), stats.sem(scores)])
    assert [found.low, found.high] == pytest.approx([low, high])
    assert (found.n, found.n_clusters, found.confidence) == (60, 60, 0.9)


def test_clustered_se_is_the_formula_and_that_of_statsmodels(clustered):
    scores, labels = clustered
    found = ll.mean_interval(scores, cluster=labels)
    codes = pd.factorize(np.array(labels))[0]
    fit = OLS(scores, np.ones(60)).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "df_correction": True}, use_t=True
    )
    assert found.se**2 == pytest.approx(_formula(scores, labels), rel=1e-12)
    assert found.se == pytest.approx(fit.bse[0], rel=1e-12)
    assert [found.low, found.high] == pytest.approx(fit.conf_int()[0], rel=1e-12)
    assert found.n_clusters == len(set(labels))
    assert found.se > 1.3 * ll.mean_interval(scores).se


@pytest.mark.parametrize("m", [2, 5])
def test_duplicated_items_add_nothing(clustered, m):
    """Every item m times, as a cluster: no new information, though the naive error shrinks."""
    scores, _ = clustered
    once = ll.mean_interval(scores)
    copies = np.repeat(scores, m)
    together = ll.mean_interval(copies, cluster=np.repeat(np.arange(60), m))
    assert together.se == pytest.approx(once.se, rel=1e-12)
    assert [together.low, together.high] == pytest.approx([once.low, once.high], rel=1e-12)
    # s² divides by n - 1, hence the factor beside the square root of m.
    naive = once.se / np.sqrt(m) * np.sqrt((60 - 1) / (60 - 1 / m))
    assert ll.mean_interval(copies).se == pytest.approx(naive, rel=1e-12)


def test_records_bring_their_clusters(clustered):
    scores, labels = clustered
    table = _records("a", scores, labels)
    assert ll.mean_interval(table) == ll.mean_interval(scores, cluster=labels)
    own = ll.mean_interval(table, cluster=table.item_id)
    assert own == ll.mean_interval(scores)
    # Neither the labels' kind nor the index of the rows matters.
    assert ll.mean_interval(table.set_index(np.arange(60)[::-1])) == ll.mean_interval(table)
    for labels_ in (pd.Series(labels, dtype="category"), pd.factorize(np.array(labels))[0]):
        assert ll.mean_interval(scores, cluster=labels_) == ll.mean_interval(table)


def test_right_or_wrong_as_booleans():
    assert ll.mean_interval([True, False, True, True]) == ll.mean_interval([1, 0, 1, 1])


def test_printed_interval_and_table(clustered):
    scores, labels = clustered
    found = ll.mean_interval([1, 0, 1, 1, 0, 1], cluster=list("aabbcc"), confidence=0.999)
    # A 99.9% interval must not print as one of 100%.
    assert "(n = 6 in 3 clusters, 99.9% interval)" in str(found)
    assert str(found).startswith(f"{4 / 6:.3f} [{found.low:.3f}, {found.high:.3f}]")
    row = ll.mean_interval(scores, labels).to_frame()
    assert list(row.columns) == [field.name for field in fields(ll.Interval)]
    assert len(row) == 1
    assert row.loc[0, "n_clusters"] == 9


# Two systems --------------------------------------------------------------------------------------


def test_darwin():
    """Published: p = .0497, by Student's t on the paired differences."""
    found = ll.compare(np.zeros(15), DARWIN)
    assert found.p_value == pytest.approx(0.0497, abs=5e-5)
    assert found.p_value == pytest.approx(stats.ttest_1samp(DARWIN, 0).pvalue, rel=1e-12)
    assert found.difference.low > 0  # the 95% interval and the test at 5% agree


def test_equals_scipys_paired_test(clustered):
    b, _ = clustered
    a = 0.6 * b + np.random.default_rng(1).normal(size=60)
    found = ll.compare(a, b, confidence=0.9)
    other = stats.ttest_rel(b, a)
    assert found.p_value == pytest.approx(other.pvalue, rel=1e-10)
    interval = other.confidence_interval(0.9)
    assert [found.difference.low, found.difference.high] == pytest.approx(list(interval))
    assert [found.mean_a, found.mean_b] == pytest.approx([a.mean(), b.mean()])
    assert found.difference.estimate == pytest.approx(b.mean() - a.mean())
    back = ll.compare(b, a, confidence=0.9)
    assert back.p_value == pytest.approx(found.p_value)
    assert back.difference.estimate == pytest.approx(-found.difference.estimate)


def test_pairing_removes_twice_the_covariance(clustered):
    """Miller 2024, section 4: Var(paired) = Var(a) + Var(b) - 2 Cov(a, b), also with clusters."""
    b, labels = clustered
    a = 0.8 * b + np.random.default_rng(2).normal(size=60)
    paired = ll.compare(a, b).difference.se ** 2
    unpaired = ll.mean_interval(a).se ** 2 + ll.mean_interval(b).se ** 2
    assert paired == pytest.approx(unpaired - 2 * np.cov(a, b)[0, 1] / 60)
    assert paired < unpaired
    # The clustered covariance, by the formula's polarisation.
    covariance = (_formula(a + b, labels) - _formula(a - b, labels)) / 4
    unpaired = ll.mean_interval(a, labels).se ** 2 + ll.mean_interval(b, labels).se ** 2
    paired = ll.compare(a, b, cluster=labels).difference.se ** 2
    assert paired == pytest.approx(unpaired - 2 * covariance)


def test_clustered_p_value_is_that_of_statsmodels(clustered):
    b, labels = clustered
    a = 0.6 * b + np.random.default_rng(1).normal(size=60)
    groups = pd.factorize(np.array(labels))[0]
    fit = OLS(b - a, np.ones(60)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "df_correction": True}, use_t=True
    )
    assert ll.compare(a, b, cluster=labels).p_value == pytest.approx(fit.pvalues[0], rel=1e-10)


def test_records_are_matched_by_item(clustered):
    scores, labels = clustered
    other = np.random.default_rng(1).normal(size=60)
    a, b = _records("first", scores, labels), _records("second", other, labels)
    found = ll.compare(a, b)
    assert (found.a, found.b) == ("first", "second")
    assert found.difference == ll.compare(scores, other, cluster=labels).difference
    shuffled = ll.compare(a, b.sample(frac=1, random_state=0))
    assert shuffled == found
    # Rows of a in another order only change the order of the sums.
    both = ll.compare(a.sample(frac=1, random_state=1), b)
    assert both.p_value == pytest.approx(found.p_value, rel=1e-9)
    # cluster= follows the rows of a.
    mixed = a.sample(frac=1, random_state=1)
    own = ll.compare(mixed, b, cluster=mixed.cluster)
    assert own.difference.se == pytest.approx(found.difference.se, rel=1e-9)


@pytest.mark.parametrize(("shift", "p"), [(0.0, 1.0), (1.0, 0.0)])
def test_differences_that_are_all_equal(shift, p):
    """No spread: equal systems differ by nothing, and a constant gap is beyond doubt."""
    scores = np.array([0.0, 1.0, 1.0, 0.0])
    assert ll.compare(scores, scores + shift).p_value == p


def test_printed_comparison_and_table():
    found = ll.compare(np.zeros(15), DARWIN)
    d = found.difference
    assert str(found) == (
        f"b - a: {d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}], p = 0.050 (n = 15, 95% interval)"
    )
    assert "p < 0.001" in str(ll.compare(np.zeros(15), DARWIN + 200))
    row = found.to_frame()
    assert len(row) == 1
    assert row.loc[0, ["a", "b", "mean_a", "mean_b", "p_value"]].to_list() == [
        "a",
        "b",
        0.0,
        DARWIN.mean(),
        found.p_value,
    ]
    assert [row.loc[0, f.name] for f in fields(d)] == [getattr(d, f.name) for f in fields(d)]


# Coverage and size, by simulation -----------------------------------------------------------------


def _many(draws, cluster_size=1):
    """Return estimates, standard errors and critical values of many draws at once.

    `draws` has the shape (draws, items); every `cluster_size` items in a row are a cluster. This is
    the formula again, for speed; on the first draws it is checked to be what the library computes.
    """
    n = draws.shape[1]
    groups = n // cluster_size
    mean = draws.mean(axis=1)
    error = (draws - mean[:, None]).reshape(len(draws), groups, cluster_size).sum(axis=2)
    se = np.sqrt(groups / (groups - 1) * (error**2).sum(axis=1)) / n
    t = stats.t.ppf(0.975, groups - 1)
    labels = np.arange(n) // cluster_size
    for k in range(5):
        found = ll.mean_interval(draws[k], cluster=labels)
        assert [found.se, found.high] == pytest.approx([se[k], mean[k] + t * se[k]], rel=1e-9)
    return mean, se, t


def _coverage(draws, truth, cluster_size=1):
    mean, se, t = _many(draws, cluster_size)
    return np.mean(abs(mean - truth) <= t * se)


def _error(p, draws):
    """Return four Monte-Carlo standard errors of a share `p` among `draws`."""
    return 4 * np.sqrt(p * (1 - p) / draws)


@pytest.mark.parametrize("p", [0.5, 0.75, 0.9])
def test_coverage_of_an_accuracy(p):
    """Of 95% intervals from 1,000 items, 95% hold the truth."""
    rng = np.random.default_rng(0)
    covered = _coverage((rng.random((4_000, 1_000)) < p).astype(float), p)
    assert covered == pytest.approx(0.95, abs=_error(0.95, 4_000))


@pytest.mark.parametrize(
    ("n", "p", "covered"), [(17, 0.5, 0.951), (30, 0.2, 0.946), (10, 0.1, 0.650)]
)
def test_exact_coverage_of_few_answers(n, p, covered):
    """Summed over every possible count, as Brown, Cai & DasGupta (2001) did for Wald's interval.

    The last is what the docstring warns of. Ours has s²/n and Student's t in place of p(1 - p)/n
    and the normal: it covers the same counts here, but more of them at (40, .5) and (592, .005).
    """
    intervals = [ll.mean_interval(np.arange(n) < k) for k in range(n + 1)]
    hit = [interval.low <= p <= interval.high for interval in intervals]
    assert stats.binom.pmf(range(n + 1), n, p) @ hit == pytest.approx(covered, abs=5e-4)


def _with_clusters(groups, size, draws=10_000):
    """Draw scores with mean 0 whose clusters share an effect: intraclass correlation 1/2."""
    rng = np.random.default_rng(groups)
    effects = np.repeat(rng.normal(size=(draws, groups)), size, axis=1)
    return effects + rng.normal(size=(draws, groups * size))


@pytest.mark.parametrize("groups", [5, 40])
def test_coverage_with_clusters(groups):
    """With equal clusters of normal scores, even 5 are enough; that it is t(4) is what makes it so.

    The naive interval, which takes items for independent, covers far less than it says: its
    standard error is too small by the square root of the design effect 1 + 9/2, so that it covers
    P(|Z| < 1.96 / 2.345) = 0.60.
    """
    draws = _with_clusters(groups, size=10)
    covered = _coverage(draws, 0, cluster_size=10)
    assert covered == pytest.approx(0.95, abs=_error(0.95, len(draws)))
    naive = _coverage(draws, 0)
    assert naive == pytest.approx(0.60, abs=0.03)


def test_few_unequal_clusters_cover_too_little():
    """What the docstring warns of: few clusters, one of which holds half of the items."""
    rng = np.random.default_rng(0)
    sizes = [25, 7, 6, 6, 6]
    labels = np.repeat(np.arange(5), sizes)
    hits = 0
    for _ in range(1_000):
        found = ll.mean_interval(rng.normal(size=5)[labels] + rng.normal(size=50), cluster=labels)
        hits += found.low <= 0 <= found.high
    assert hits / 1_000 < 0.95 - _error(0.95, 1_000)


@pytest.mark.parametrize("cluster_size", [1, 10])
def test_size_of_the_paired_test(cluster_size):
    """Of two equal systems the test at 5% calls 5% different."""
    rng = np.random.default_rng(5)
    items = 40 * cluster_size
    a, b = (rng.normal(size=(10_000, items)) for _ in "ab")
    shared = np.repeat(rng.normal(size=(10_000, 40)), cluster_size, axis=1)
    mean, se, t = _many(b + shared - a, cluster_size)
    called = abs(mean) > t * se
    assert called.mean() == pytest.approx(0.05, abs=_error(0.05, 10_000))
    labels = np.arange(items) // cluster_size
    for k in [*np.flatnonzero(called)[:3], *np.flatnonzero(~called)[:3]]:
        p = ll.compare(a[k], b[k] + shared[k], cluster=labels).p_value
        assert (p < 0.05) == called[k]


# Errors say what is wrong and what to do ----------------------------------------------------------

SCORES = [1.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ([], {}, r"scores: expected one row of numbers, found shape \(0,\)"),
        ([[1, 0]], {}, r"scores: expected one row of numbers, found shape \(1, 2\)"),
        (0.5, {}, r"scores: expected one row of numbers, found shape \(\)"),
        (["good", "bad"], {}, r"scores: expected one row of numbers \(.*'good'"),
        ([1.0, np.nan, np.nan], {}, "scores: 2 of 3 values .* first at place 1; score every item"),
        ([1.0, 2.0, np.inf], {}, "scores: 1 of 3 values are missing or infinite, .* place 2"),
        ([1.0, None], {}, "scores: 1 of 2 values are missing"),
        (pd.Series([1.0, pd.NA], dtype="object"), {}, "scores: expected one row of numbers"),
        ([1.0], {}, "all 1 items lie in one cluster"),
        (SCORES, {"cluster": ["x"] * 4}, "all 4 items lie in one cluster: .* a finer cluster="),
        (SCORES, {"cluster": ["x", "y"]}, r"cluster= has shape \(2,\), but there are 4 scores"),
        (SCORES, {"cluster": "film"}, r"cluster= has shape \(\), but there are 4 scores"),
        (SCORES, {"cluster": ["x", None, "y", "z"]}, "cluster= has missing labels; give an item"),
        (SCORES, {"cluster": [1, 2, np.nan, 3]}, "cluster= has missing labels"),
        *[
            (
                SCORES,
                {"confidence": c},
                f"confidence must lie between 0 and 1, such as 0.95, not {c}",
            )
            for c in (0, 1, -0.1, 95, np.nan)
        ],
    ],
)
def test_unusable_scores(scores, options, message):
    with pytest.raises(ValueError, match=message):
        ll.mean_interval(scores, **options)
    with pytest.raises(ValueError, match=message.replace("scores:", "score of a:")):
        ll.compare(scores, scores, **options)


def _changed(column, value):
    table = _records("b", SCORES)
    table.loc[2, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (_records("b", SCORES).drop(columns="score"), "has no column 'score': give records"),
        (_records("b", SCORES).drop(columns="system"), "has no column 'system'"),
        (_records("b", SCORES).iloc[:0], "has no rows: is the system's name spelt"),
        (
            _changed("system", "c"),
            r"of one system, found 2: select with records\[records.system ==",
        ),
        (_changed("task", "u"), "of one task, found 2: select with"),
        (_changed("score", np.nan), "score of b: 1 of 4 values are missing .* at place 2"),
        (_changed("item_id", "i1"), "column 'item_id': item 'i1' stands twice in b"),
        (_changed("cluster", None), "missing labels|column 'cluster': item 'i2'"),
    ],
)
def test_unusable_records(table, message):
    with pytest.raises(ValueError, match=message):
        ll.mean_interval(table)
    good = _records("a", SCORES)
    for pair in ((good, table), (table, good)):
        with pytest.raises(ValueError, match=message):
            ll.compare(*pair)


@pytest.mark.parametrize(
    ("b", "message"),
    [
        (
            _records("b", SCORES[:3]),
            "'item_id': 1 items of a are not in b, such as 'i3'; .* common",
        ),
        (_records("b", [*SCORES, 1.0]), "'item_id': 1 items of b are not in a, such as 'i4'"),
        (_changed("item_id", "zzz"), "'item_id': 1 items of a are not in b, such as 'i2'"),
        (_changed("cluster", "c0"), "column 'cluster': item 'i2' is not the same in a and b"),
        (_changed("target", "no"), "column 'target': item 'i2' is not the same in a and b"),
        (_records("b", SCORES, task="u"), "column 'task': item 'i0' is not the same in a and b"),
        (SCORES, "a and b must be of one kind"),
    ],
)
def test_systems_that_cannot_be_paired(b, message):
    with pytest.raises(ValueError, match=message):
        ll.compare(_records("a", SCORES), b)


def test_arrays_of_different_length():
    with pytest.raises(ValueError, match="a has 4 scores and b 3; a paired comparison needs"):
        ll.compare(SCORES, SCORES[:3])


# Examples in docstrings ---------------------------------------------------------------------------


def test_examples_in_docstrings():
    """Every example of every module prints what it says."""
    tried = 0
    for module in pkgutil.iter_modules(lleval_lib.__path__):
        found = doctest.testmod(import_module(f"lleval_lib.{module.name}"))
        assert found.failed == 0, module.name
        tried += found.attempted
    assert tried >= 4
