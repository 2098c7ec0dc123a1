"""The faults of appendix A2 are not ours; the tests that it names exist."""

import ast
import re
from itertools import combinations
from pathlib import Path

import nbformat
import numpy as np
import pytest
import statsmodels.api as sm
from inspect_ai.scorer import SampleScore, Score, ci
from lm_eval.api.metrics import mean_stderr
from scipy import stats
from scipy.special import expit

import lleval_lib as ll

ROOT = Path(__file__).resolve().parents[1]
MUSEUM = ROOT / "notebooks" / "A2_museum_of_faults.ipynb"


# The page -----------------------------------------------------------------------------------------


def _named(text):
    """Return (file, test) for each test that `text` names as tests/file.py::test."""
    return set(re.findall(r"`(tests/test_\w+\.py)::(test_\w+)`", text))


def _missing(named):
    """Return those of (file, test) that the repository does not define."""
    missing = []
    for file, test in sorted(named):
        path = ROOT / file
        tree = ast.parse(path.read_text("utf-8")) if path.exists() else ast.Module([], [])
        if test not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{file}::{test}")
    return missing


def test_every_test_that_the_museum_names_exists():
    cells = nbformat.read(MUSEUM, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    exhibits = re.split(r"^### Exhibit \d+\. ", text, flags=re.M)[1:]
    assert len(exhibits) == 10
    assert all(_named(exhibit) for exhibit in exhibits)
    assert _missing(_named(text)) == []


def test_a_test_that_does_not_exist_is_found():
    said = "`tests/test_faults.py::test_none` and `tests/test_nowhere.py::test_x`"
    assert _missing(_named(said)) == [
        *["tests/test_faults.py::test_none", "tests/test_nowhere.py::test_x"]
    ]


# Exhibit 3 ----------------------------------------------------------------------------------------


def test_a_refit_is_the_error():
    """Resampling the rows and refitting gives the delta method's error of a standardised rate;
    the spread of fitted probabilities, as AlpacaEval takes it, is not half of it."""
    rng = np.random.default_rng(0)
    difficulty, length = rng.normal(size=(2, 805))
    won = 1.0 * (rng.random(805) < expit(1 + 0.5 * difficulty + np.tanh(length)))
    columns = np.column_stack([np.ones(805), difficulty, np.tanh(length)])

    def predictions(x, y, robust=False):
        fit = sm.GLM(y, x, sm.families.Binomial()).fit(cov_type="HC0" if robust else "nonrobust")
        return expit(x[:, :2] @ fit.params[:2]), fit

    p, fit = predictions(columns, won, robust=True)
    # The influence of a row: its distance to the mean, and its part in the coefficients.
    slope = np.append((p * (1 - p)) @ columns[:, :2] / 805, 0)
    scores = columns * (won - fit.predict())[:, None]
    influence = p - p.mean() + 805 * scores @ fit.normalized_cov_params @ slope
    delta = influence.std() / np.sqrt(805)
    found = ll.bootstrap_interval(
        lambda x, y: predictions(x, y)[0].mean(), columns, won, resamples=500, rng=1
    )
    assert found.se == pytest.approx(delta, rel=4 / np.sqrt(2 * 500))
    assert stats.sem(p) < delta / 2


# Exhibit 4 ----------------------------------------------------------------------------------------


def test_both_halves_count():
    """With strata, the error of a corrected rate is that of Rogan and Gladen 1978, which has a part
    for the judged answers; that of the labelled ones alone, as in judgy 0.1.0, is 0.58 of it."""
    kinds = np.repeat(range(6), [126, 14, 12, 48, 138, 62])

    def rate(kind):
        n = np.bincount(kind, minlength=6)
        a, b, q = n[0] / (n[0] + n[1]), n[3] / (n[2] + n[3]), n[4] / (n[4] + n[5])
        return (q + b - 1) / (a + b - 1)

    theta, a, b, q = rate(kinds), 0.9, 0.8, 0.69
    labelled = theta**2 * a * (1 - a) / 140 + (1 - theta) ** 2 * b * (1 - b) / 60
    both = labelled + q * (1 - q) / 200
    found = ll.bootstrap_interval(rate, kinds, strata=kinds > 3, rng=2)
    assert found.estimate == pytest.approx(0.7)
    assert found.se == pytest.approx(np.sqrt(both) / (a + b - 1), rel=0.08)
    assert np.sqrt(labelled / both) == pytest.approx(0.585, abs=0.005)


# Exhibits 5 and 7 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["wilson", "exact", "jeffreys", "bayes"])
@pytest.mark.parametrize("size", [2, 7, 20])
def test_shares_stay_on_the_scale(size, method):
    for right in range(size + 1):
        found = ll.proportion_interval(np.arange(size) < right, method=method)
        assert 0 <= found.low <= right / size <= found.high <= 1
        assert found.low < found.high
        pairs = ll.proportion_interval(
            np.repeat(np.arange(size) < right, 2), cluster=np.arange(2 * size) // 2, method=method
        )
        assert 0 <= pairs.low < pairs.high <= 1


def test_the_tools_print_what_the_museum_says():
    """If one of these fails, a tool was repaired: say so in appendix A2."""
    assert mean_stderr([0.0] * 25) == mean_stderr([1.0] * 5_000) == 0
    scores = [SampleScore(score=Score(value=float(i > 0))) for i in range(20)]
    found = ci()(scores)
    ours = ll.mean_interval(np.arange(20) > 0)
    assert (found["lower"], found["upper"]) == pytest.approx((ours.low, ours.high))
    assert found["upper"] > 1
    assert ours.warning


# Exhibit 9 ----------------------------------------------------------------------------------------


def test_perplexity_is_a_ratio():
    """A corpus's loss per token does not change when a text is cut in two, nor does its error when
    the two parts stay one cluster; the mean of the texts' perplexities does."""
    rng = np.random.default_rng(4)
    tokens = rng.integers(4, 60, 50)
    nats = tokens * rng.normal(5, 1, 50) + rng.normal(size=50)
    whole = ll.ratio_interval(nats, tokens)
    assert whole.estimate == pytest.approx(nats.sum() / tokens.sum(), rel=1e-12)
    first, part = tokens // 2, rng.uniform(0.2, 0.8, 50)
    cut = np.concatenate([first, tokens - first]), np.concatenate([part * nats, nats - part * nats])
    found = ll.ratio_interval(cut[1], cut[0], cluster=np.tile(np.arange(50), 2))
    assert (found.estimate, found.se) == pytest.approx((whole.estimate, whole.se), rel=1e-9)
    means = [np.exp(y / x).mean() for y, x in ((nats, tokens), cut[::-1])]
    assert means[1] > 1.5 * means[0] > 1.5 * np.exp(whole.estimate)


# Exhibit 10 ---------------------------------------------------------------------------------------


def test_half_of_the_items():
    """Over all 70 halves of 8 items the means have exactly the variance s²/8; of an odd n they
    have (n + 1)/(n - 1) times s²/n."""
    for size, factor in ((8, 1), (9, 10 / 8)):
        scores = np.random.default_rng(3).normal(size=size)
        means = [np.mean(half) for half in combinations(scores, size // 2)]
        assert np.var(means) == pytest.approx(factor * ll.mean_interval(scores).se ** 2)
