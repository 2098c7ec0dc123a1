"""The bootstrap of clusters: its law, coverage, one tool's fault, errors."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

import lleval_lib as ll

METHODS = ("percentile", "expanded", "BCa")


@pytest.fixture
def clustered():
    """Return 90 scores in 15 clusters of unequal size that share an effect."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(15), rng.integers(2, 11, 15))
    return rng.normal(size=len(labels)) + rng.normal(size=15)[labels], labels


def _exact_se(scores, labels=None):
    """Return the SE of the mean that the bootstrap simulates, for clusters of equal size.

    It draws with replacement from the G cluster means: variance Σ(mean_g - mean)²/G, over G. That
    is the clustered SE without the factor G/(G-1).
    """
    found = ll.mean_interval(scores, labels)
    return found.se * np.sqrt((found.n_clusters - 1) / found.n_clusters)


@pytest.mark.parametrize("size", [1, 6])
def test_of_a_mean_it_is_the_clustered_standard_error(size):
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(40), size)
    scores = rng.normal(size=40 * size) + rng.normal(size=40)[labels]
    found = ll.bootstrap_interval(np.mean, scores, rng=rng, cluster=labels, resamples=4_000)
    # The SD of B normal draws has a relative Monte-Carlo error of √(1/2B).
    error = 4 * np.sqrt(1 / 8_000)
    assert found.se == pytest.approx(_exact_se(scores, labels), rel=error)
    assert found.estimate == pytest.approx(scores.mean(), rel=1e-12)
    assert (found.n, found.n_clusters) == (40 * size, 40)
    if size > 1:  # and rows drawn one by one would say less
        naive = ll.bootstrap_interval(np.mean, scores, rng=rng, resamples=1_000)
        assert naive.se < 0.6 * found.se


def test_resamples_follow_the_law_of_whole_clusters(clustered):
    """The replicates have the distribution of those drawn with numpy, cluster by cluster."""
    scores, labels = clustered
    seen = []

    def mean(drawn, of):
        # Every drawn cluster is there with all its rows, as often as it was drawn.
        times = np.bincount(of, minlength=15) / np.bincount(labels)
        assert (times == times.round()).all()
        assert times.sum() == 15
        seen.append(drawn.mean())
        return drawn.mean()

    mixed = np.random.default_rng(5).permutation(len(scores))  # rows of a cluster lie apart
    ll.bootstrap_interval(
        mean,
        scores[mixed],
        labels[mixed],
        rng=np.random.default_rng(0),
        cluster=labels[mixed],
        resamples=2_000,
    )
    rng = np.random.default_rng(1)
    rows = [np.flatnonzero(labels == g) for g in range(15)]
    other = [
        scores[np.concatenate([rows[g] for g in rng.integers(0, 15, 15)])].mean()
        for _ in range(2_000)
    ]
    assert seen[0] == pytest.approx(scores.mean(), rel=1e-12)
    replicates = seen[-2_000:]
    assert stats.ks_2samp(replicates, other).pvalue > 0.001


def test_the_fault_of_lighteval_is_not_ours():
    """Its bootstrap_stderr is the error of the replicates' mean, SD/√B: B = 1,000 makes it 31.6
    times too small. A standard error must not shrink with the number of replicates."""
    rng = np.random.default_rng(2)
    scores = rng.normal(size=200)
    replicates = scores[rng.integers(0, 200, (1_000, 200))].mean(axis=1)
    faulty = stats.sem(replicates)
    ours = {
        b: ll.bootstrap_interval(np.mean, scores, rng=rng, resamples=b).se for b in (1_000, 4_000)
    }
    assert ours[1_000] / faulty == pytest.approx(np.sqrt(1_000), rel=4 * np.sqrt(1 / 1_000))
    for b, se in ours.items():
        assert se == pytest.approx(_exact_se(scores), rel=4 * np.sqrt(1 / (2 * b)))


# Columns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_it_is_scipys_interval_where_rows_are_independent(method):
    rng = np.random.default_rng(3)
    x = rng.exponential(size=25)
    level = 0.9
    if method == "expanded":
        level = 1 - 2 * stats.norm.cdf(np.sqrt(25 / 24) * stats.t.ppf(0.05, 24))
        assert level > 0.9
    other = stats.bootstrap(
        (x,),
        np.mean,
        n_resamples=400,
        batch=100,
        confidence_level=level,
        method="BCa" if method == "BCa" else "percentile",
        rng=np.random.default_rng(0),
    )
    found = ll.bootstrap_interval(
        np.mean, x, rng=np.random.default_rng(0), resamples=400, method=method, confidence=0.9
    )
    assert [found.low, found.high] == pytest.approx(list(other.confidence_interval), rel=1e-9)
    assert found.se == pytest.approx(other.standard_error, rel=1e-9)
    assert found.confidence == 0.9


def test_same_seed_same_result(clustered):
    scores, labels = clustered

    def draw(seed):
        rng = np.random.default_rng(seed)
        return ll.bootstrap_interval(np.median, scores, rng=rng, cluster=labels, resamples=200)

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)


def test_paired_columns_stay_together(clustered):
    """A gap that is the same in every row has no error, and a row's columns never part."""
    a, labels = clustered
    found = ll.bootstrap_interval(
        lambda x, y: (y - x).mean(),
        a,
        a + 0.25,
        rng=np.random.default_rng(0),
        cluster=labels,
        resamples=200,
    )
    assert [found.estimate, found.low, found.high] == pytest.approx([0.25] * 3)
    assert found.se == pytest.approx(0, abs=1e-12)
    noisy = a + np.random.default_rng(1).normal(size=len(a))
    pair = ll.bootstrap_interval(
        lambda x, y: (y - x).mean(), a, noisy, rng=np.random.default_rng(0), resamples=2_000
    )
    paired = ll.compare(a, noisy).difference
    assert pair.se == pytest.approx(paired.se, rel=4 * np.sqrt(1 / 4_000) + 1 / len(a))
    assert [pair.low, pair.high] == pytest.approx([paired.low, paired.high], abs=0.25 * paired.se)


def test_columns_of_text_and_of_vectors(clustered):
    scores, labels = clustered
    target = np.where(scores + labels % 3 > 1, "yes", "no")
    found = ll.bootstrap_interval(
        lambda t, s: roc_auc_score(t == "yes", s),
        list(target),
        scores,
        rng=np.random.default_rng(0),
        cluster=[f"film {k}" for k in labels],
        resamples=100,
    )
    assert found.estimate == pytest.approx(roc_auc_score(target == "yes", scores))
    assert 0.5 < found.low < found.estimate < found.high < 1
    table = np.column_stack([scores, target == "yes"]).astype(float)
    same = ll.bootstrap_interval(
        lambda rows: roc_auc_score(rows[:, 1], rows[:, 0]),
        table,
        rng=np.random.default_rng(0),
        cluster=labels,
        resamples=100,
    )
    assert same == found


# Coverage -----------------------------------------------------------------------------------------


def _auc_case(groups, rng):
    """Return an AUC over clusters of 10 rows, as a function of how often each cluster is drawn.

    With the pairs counted once by cluster, it is a quotient of two forms in these weights.
    """
    y = rng.random((groups, 10)) < rng.beta(2, 2, (groups, 1))
    noise = rng.normal(size=(groups, 1)) + rng.normal(size=(groups, 10))
    score = (1.2 * y + noise * np.sqrt(0.5)).ravel()
    of = np.repeat(np.arange(groups), 10)
    right, wrong = (np.eye(groups)[of[rows]] for rows in (y.ravel(), ~y.ravel()))
    won = right.T @ (score[y.ravel()][:, None] > score[~y.ravel()]) @ wrong
    pairs = np.outer(right.sum(axis=0), wrong.sum(axis=0))
    assert won.sum() / pairs.sum() == pytest.approx(roc_auc_score(y.ravel(), score))
    return lambda w: ((w @ won) * w).sum(axis=-1) / ((w @ pairs) * w).sum(axis=-1)


def _ratio_case(groups, rng):
    """Return a ratio of two sums, one text a cluster, whose log length has the SD 1."""
    length = rng.lognormal(0, 1, groups)
    loss = length * np.exp(rng.normal(-0.045, 0.3, groups))
    return lambda w: (w @ loss) / (w @ length)


def _intervals(statistic, groups, seed, resamples=500):
    """Return the 95% interval by each method, from the formulas and all resamples at once."""
    drawn = np.random.default_rng(seed).integers(0, groups, (resamples, groups))
    weights = np.zeros(drawn.shape)
    np.add.at(weights, (np.arange(resamples)[:, None], drawn), 1)
    found = statistic(weights)
    lower = stats.norm.cdf(np.sqrt(groups / (groups - 1)) * stats.t.ppf(0.025, groups - 1))
    estimate = statistic(np.ones(groups))
    below = (np.mean(found < estimate) + np.mean(found <= estimate)) / 2
    out = statistic(1 - np.eye(groups))
    gap = out.mean() - out
    skew = (gap**3).sum() / (6 * (gap**2).sum() ** 1.5)
    moved = stats.norm.ppf(below) + stats.norm.ppf([0.025, 0.975])
    levels = {
        "percentile": [0.025, 0.975],
        "expanded": [lower, 1 - lower],
        "BCa": stats.norm.cdf(stats.norm.ppf(below) + moved / (1 - skew * moved)),
    }
    return {method: np.quantile(found, level) for method, level in levels.items()}


@pytest.mark.parametrize(
    ("case", "groups", "said"),
    [
        (_auc_case, 10, (0.87, 0.92, 0.88)),
        (_auc_case, 30, (0.93, 0.94, 0.93)),
        (_ratio_case, 10, (0.87, 0.92, 0.83)),
        (_ratio_case, 30, (0.90, 0.92, 0.87)),
        (_ratio_case, 100, (0.93, 0.93, 0.91)),
    ],
)
def test_coverage_in_the_docstring(case, groups, said):
    rng, draws = np.random.default_rng(groups), 300
    truth = stats.norm.cdf(1.2 / np.sqrt(2)) if case is _auc_case else 1.0
    hits = dict.fromkeys(METHODS, 0)
    for k in range(draws):
        statistic = case(groups, rng)
        found = _intervals(statistic, groups, seed=k)
        for method, (low, high) in found.items():
            hits[method] += low <= truth <= high
        if k < 2:  # the formulas are what the library computes
            for method in METHODS:
                ours = ll.bootstrap_interval(
                    lambda drawn, f=statistic: f(np.bincount(drawn, minlength=groups)),
                    np.arange(groups),
                    rng=np.random.default_rng(k),
                    resamples=500,
                    method=method,
                )
                assert [ours.low, ours.high] == pytest.approx(found[method], rel=1e-9)
    for method, share in zip(METHODS, said, strict=True):
        error = 4 * np.sqrt(share * (1 - share) / draws)
        assert hits[method] / draws == pytest.approx(share, abs=error), method


def test_expanded_is_wider_with_few_clusters():
    """On the same replicates "expanded" holds "percentile", and the two meet with many clusters."""
    rng = np.random.default_rng(0)
    wider = {}
    for groups in (2, 10, 400):
        x = rng.normal(size=groups)
        ends = {
            m: ll.bootstrap_interval(np.mean, x, rng=np.random.default_rng(1), method=m)
            for m in ("percentile", "expanded")
        }
        wide, plain = ends["expanded"], ends["percentile"]
        assert wide.low <= plain.low < plain.high <= wide.high
        wider[groups] = (wide.high - wide.low) / (plain.high - plain.low)
    assert wider[10] > 1.1
    assert wider[400] < 1.05


# Errors -------------------------------------------------------------------------------------------


def _auc(y, s):
    return np.nan if len(np.unique(y)) < 2 else roc_auc_score(y, s)


@pytest.mark.parametrize(
    ("statistic", "columns", "options", "message"),
    [
        (np.mean, [], {}, "columns: give at least one array of rows"),
        (np.mean, [[1, 2], [1, 2, 3]], {}, r"one and the same number of rows, found \[2, 3\]"),
        (np.mean, [[]], {}, r"number of rows, found \[0\]"),
        (np.mean, [3.0], {}, r"number of rows, found \[0\]"),
        (np.mean, [[1.0]], {}, "all 1 rows lie in one cluster"),
        (np.mean, [[1, 2]], {"cluster": ["x", "x"]}, "all 2 rows lie in one cluster: .*finer"),
        (np.mean, [[1, 2]], {"cluster": ["x"]}, r"cluster= has shape \(1,\)"),
        (np.mean, [[1, 2]], {"confidence": 95}, "confidence must lie between 0 and 1"),
        (np.mean, [[1, 2]], {"resamples": 1}, "resamples must be 2 or more"),
        (np.mean, [[1, 2]], {"method": "basic"}, "method must be one of .*, not 'basic'"),
        (np.mean, [[1, np.nan]], {}, "statistic is nan on the data, not one finite number"),
        (np.sort, [[1, 2]], {}, r"statistic is \[1 2\] on the data"),
        (
            _auc,
            [[1, 0, 0, 0], [4, 3, 2, 1]],
            {},
            "statistic is nan on a resample of clusters, .* can lack a class",
        ),
        (np.mean, [[1, 1, 1]], {"method": "BCa"}, "method='BCa' gives no interval here"),
    ],
)
def test_errors(statistic, columns, options, message):
    with pytest.raises(ValueError, match=message):
        ll.bootstrap_interval(statistic, *columns, rng=np.random.default_rng(0), **options)
