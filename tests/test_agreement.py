"""Our numbers from the committed logs are those of the tools that wrote them and of other packages.

The packages are errorbars, evalconfidence and evalstats. Where a number differs, it is because
another thing is estimated, and the test holds the known cause of the difference.
"""

import json
from pathlib import Path

import errorbars
import evalconfidence
import evalstats
import inspect_ai.log
import numpy as np
import pandas as pd
import pytest
from errorbars import power as errorbars_power
from errorbars.compare import paired_compare
from errorbars.stats import cluster_robust_se
from errorbars.stats import intraclass_correlation as errorbars_icc
from evalconfidence import power as evalconfidence_power
from evalstats.core.paired import friedman_nemenyi, pairwise_differences
from evalstats.core.resampling import bonett_price_paired_ci
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

import lleval_lib as ll

LOGS = Path(__file__).parent / "logs"
LM_EVAL, INSPECT = LOGS / "lm_eval", LOGS / "inspect"


@pytest.fixture(scope="module")
def pairs():
    """Return the records of the lm-eval pair and of the Inspect pair."""
    lm_eval = [
        ll.read_lm_eval(LM_EVAL / name, metric="acc", cluster="film", system=name)
        for name in ("sentiment", "critic")
    ]
    inspect = [
        ll.read_inspect(INSPECT / f"{name}.eval", cluster="film")
        for name in ("sentiment", "question")
    ]
    return {"lm-eval": lm_eval, "inspect": inspect}


# The tools that wrote the logs --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sentiment", "critic"])
@pytest.mark.parametrize("metric", ["acc", "acc_norm"])
def test_lm_eval_reports_the_same_mean_and_naive_error(name, metric):
    """Its ``_stderr`` is s/√n: it knows no clusters, so it is ours without them."""
    (path,) = (LM_EVAL / name).rglob("results_*.json")
    reported = json.loads(path.read_text("utf-8"))["results"]["reviews"]
    records = ll.read_lm_eval(LM_EVAL / name, metric=metric)
    found = ll.mean_interval(records)
    assert found.estimate == pytest.approx(reported[f"{metric},none"], rel=1e-12)
    assert found.se == pytest.approx(reported[f"{metric}_stderr,none"], rel=1e-9)


@pytest.mark.parametrize("name", ["strict", "lenient"])
def test_lm_eval_reports_the_same_for_a_written_task(name):
    (path,) = (LM_EVAL / "written").rglob("results_*.json")
    reported = json.loads(path.read_text("utf-8"))["results"]["reviews_written"]
    found = ll.mean_interval(ll.read_lm_eval(LM_EVAL / "written", filter=name))
    assert found.estimate == pytest.approx(reported[f"exact_match,{name}"], rel=1e-12)
    assert found.se == pytest.approx(reported[f"exact_match_stderr,{name}"], rel=1e-9)


@pytest.mark.parametrize("name", ["sentiment", "question"])
def test_inspect_reports_the_same_mean_and_both_errors(name):
    """Its ``stderr(cluster=…)`` has the factor G/(G-1), as ours, although its paper has not."""
    log = inspect_ai.log.read_eval_log(str(INSPECT / f"{name}.eval"))
    metrics = list(log.results.scores[0].metrics.values())
    reported = {(m.name, m.params.get("cluster")): m.value for m in metrics}
    assert len(reported) == 3
    records = ll.read_inspect(INSPECT / f"{name}.eval", cluster="film")
    assert records.score.mean() == pytest.approx(reported["accuracy", None], rel=1e-12)
    clustered, naive = (
        ll.mean_interval(records, cluster=cluster).se for cluster in (None, "item_id")
    )
    assert naive == pytest.approx(reported["stderr", None], rel=1e-9)
    assert clustered == pytest.approx(reported["stderr", "film"], rel=1e-9)


@pytest.mark.parametrize("scorer", ["match", "p_target"])
def test_inspect_averages_epochs_before_it_takes_the_error(scorer):
    log = inspect_ai.log.read_eval_log(str(INSPECT / "sampled.eval"))
    (metrics,) = (s.metrics for s in log.results.scores if s.name == scorer)
    found = ll.mean_interval(ll.read_inspect(INSPECT / "sampled.eval", scorer=scorer))
    mean = metrics["accuracy" if scorer == "match" else "mean"].value
    assert found.estimate == pytest.approx(mean, rel=1e-12)
    assert found.se == pytest.approx(metrics["stderr"].value, rel=1e-9)


# errorbars ----------------------------------------------------------------------------------------


def errorbars_scores(path, records, **options):
    """Return the scores that errorbars reads in `path`, in the order of `records`."""
    data = errorbars.load_inputs([path], **options).data
    assert len(data) == len(records)
    if "doc_id" not in records:
        by_item = dict(zip(data.question_id, data.score, strict=True))
        return np.array([by_item[item] for item in records.sample_id])
    by_item = {
        int(q.rsplit("-", 1)[1]): s for q, s in zip(data.question_id, data.score, strict=True)
    }
    return np.array([by_item[document] for document in records.doc_id])


def errorbars_pair(kind, pairs):
    a, b = pairs[kind]
    if kind == "lm-eval":
        paths, options = [LM_EVAL / "sentiment", LM_EVAL / "critic"], {"metric": "acc"}
    else:
        paths, options = [INSPECT / "sentiment.eval", INSPECT / "question.eval"], {}
    return [
        errorbars_scores(path, records, **options)
        for path, records in zip(paths, (a, b), strict=True)
    ]


@pytest.mark.parametrize("kind", ["lm-eval", "inspect"])
def test_errorbars_reads_the_same_scores_and_errors(kind, pairs):
    for records, scores in zip(pairs[kind], errorbars_pair(kind, pairs), strict=True):
        assert scores.tolist() == records.score.to_list()
        naive, clustered = ll.mean_interval(scores), ll.mean_interval(records)
        theirs = errorbars.mean_ci_clt(scores)
        assert (theirs.mean, theirs.se) == pytest.approx((naive.estimate, naive.se), rel=1e-12)
        # Its interval of one mean takes the normal quantile, ours Student's t of n - 1.
        half = stats.norm.ppf(0.975) * naive.se
        assert theirs.ci_high == pytest.approx(naive.estimate + half, rel=1e-9)
        assert theirs.ci_high < naive.high
        robust = errorbars.cluster_robust_se(scores, records.cluster.to_numpy())
        assert robust == pytest.approx(clustered.se, rel=1e-12)


@pytest.mark.parametrize("kind", ["lm-eval", "inspect"])
def test_errorbars_makes_the_same_paired_comparison(kind, pairs):
    """With the clusters given: its readers take none from a log. Its difference is a - b."""
    # Four times, so that enough items are discordant for Student's t to be what we take.
    a, b = (
        pd.concat([part.assign(item_id=part.item_id + str(k)) for k in range(4)])
        for part in pairs[kind]
    )
    scores = (np.tile(values, 4) for values in errorbars_pair(kind, pairs))
    theirs = paired_compare(*scores, clusters=a.cluster.to_numpy())
    ours, naive = ll.compare(a, b), ll.compare(a, b, cluster="item_id")
    assert -theirs.mean_diff == pytest.approx(ours.difference.estimate, rel=1e-12)
    assert theirs.se_paired == pytest.approx(naive.difference.se, rel=1e-9)
    assert theirs.p_value == pytest.approx(naive.p_value, rel=1e-9)
    assert theirs.se_clustered == pytest.approx(ours.difference.se, rel=1e-9)
    # Not every film has an answer in which the systems differ: then signs bound our p-value.
    t = stats.t.sf(abs(ours.difference.estimate) / ours.difference.se, ours.difference.df)
    assert theirs.p_value_clustered == pytest.approx(2 * t, rel=1e-9)
    assert ours.p_value >= theirs.p_value_clustered
    # So few effective items are discordant that ours adds one for each system, and is wider.
    d = ours.difference
    half = stats.t.ppf(0.975, d.df) * d.se
    interval = (-theirs.ci_high_clustered, -theirs.ci_low_clustered)
    assert interval == pytest.approx((d.estimate - half, d.estimate + half), rel=1e-9)
    assert half < (d.high - d.low) / 2


def test_errorbars_keeps_samples_apart_and_clusters_them_by_item():
    """With as many samples an item, that is the error of the items' means."""
    data = errorbars.load_inputs([INSPECT / "sampled.eval"], scorer="match").data
    records = ll.read_inspect(INSPECT / "sampled.eval", scorer="match")
    found = ll.mean_interval(records)
    assert len(data) == 4 * len(records)
    assert np.mean(data.score) == pytest.approx(found.estimate)
    clustered = errorbars.cluster_robust_se(data.score, data.question_id)
    assert clustered == pytest.approx(found.se, rel=1e-9)
    # The naive error takes 48 samples of 12 items for 48 items.
    assert errorbars.mean_ci_clt(data.score).se < found.se
    within, _ = errorbars.within_between_variance(data.score, data.question_id)
    assert within == pytest.approx(records.score_variance.mean(), rel=1e-9)


# evalconfidence -----------------------------------------------------------------------------------


def evalconfidence_items(name, **options):
    return evalconfidence.from_inspect(str(INSPECT / f"{name}.eval"), **options)


@pytest.mark.parametrize("name", ["sentiment", "question"])
def test_evalconfidence_has_the_same_error_and_interval(name):
    items = evalconfidence_items(name, cluster_field="film")
    theirs = evalconfidence.standard_error(items)
    records = ll.read_inspect(INSPECT / f"{name}.eval", cluster="film")
    clustered, naive = ll.mean_interval(records), ll.mean_interval(records, cluster="item_id")
    assert theirs.mean == pytest.approx(clustered.estimate, rel=1e-12)
    assert theirs.se_naive == pytest.approx(naive.se, rel=1e-9)
    assert theirs.se_clustered == pytest.approx(clustered.se, rel=1e-9)
    assert theirs.ci_clustered == pytest.approx((clustered.low, clustered.high), rel=1e-9)
    assert theirs.n_clusters == clustered.n_clusters


def test_evalconfidence_compares_right_and_wrong_answers_by_mcnemar(pairs):
    """It drops the clusters, tests by McNemar, and its interval divides by n and takes normal z.

    So its squared error is ours without clusters times (n - 1)/n, and its p-value is that of our
    `mcnemar_test` without clusters, not that of the t-test.
    """
    a, b = pairs["inspect"]
    items = [evalconfidence_items(n, cluster_field="film") for n in ("question", "sentiment")]
    theirs = evalconfidence.compare(*items)
    naive = ll.compare(a, b, cluster="item_id")
    n = naive.difference.n
    assert theirs.method == "mcnemar"
    assert theirs.diff == pytest.approx(naive.difference.estimate, rel=1e-12)
    half = (theirs.ci_diff[1] - theirs.ci_diff[0]) / 2
    expected = stats.norm.ppf(0.975) * naive.difference.se * np.sqrt((n - 1) / n)
    assert half == pytest.approx(expected, rel=1e-9)
    mcnemar = ll.mcnemar_test(a, b, cluster="item_id")
    assert theirs.p_value == pytest.approx(mcnemar.p_value, rel=1e-9)
    assert theirs.p_value != pytest.approx(ll.compare(a, b).p_value, rel=0.05)


def test_evalconfidence_averages_epochs_and_then_takes_the_t_test():
    sampled = evalconfidence_items("sampled", scorer="match")
    items = {item.item_id for item in sampled}
    once = [item for item in evalconfidence_items("question") if item.item_id in items]
    theirs = evalconfidence.compare(sampled, once)
    a = ll.read_inspect(INSPECT / "question.eval")
    a = a[a.sample_id.isin(items)]
    b = ll.read_inspect(INSPECT / "sampled.eval", scorer="match").assign(task="reviews")
    ours = ll.compare(a, b)
    assert theirs.method == "paired_t"
    assert theirs.diff == pytest.approx(ours.difference.estimate, rel=1e-9)
    assert theirs.p_value == pytest.approx(ours.p_value, rel=1e-9)
    interval = (ours.difference.low, ours.difference.high)
    assert theirs.ci_diff == pytest.approx(interval, rel=1e-9)


# evalstats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lm-eval", "inspect"])
def test_evalstats_has_the_same_mean_and_wilsons_interval(kind, pairs):
    """For scores of 0 and 1 it takes Wilson's interval, ours of that name; it knows no clusters."""
    for records in pairs[kind]:
        theirs = evalstats.mean_ci(records.score)
        assert theirs.method == "wilson"
        assert theirs.mean == pytest.approx(records.score.mean(), rel=1e-12)
        ours = ll.proportion_interval(records, cluster="item_id")
        assert (theirs.ci_low, theirs.ci_high) == pytest.approx((ours.low, ours.high), rel=1e-9)
        wilson = proportion_confint(records.score.sum(), len(records), method="wilson")
        assert (theirs.ci_low, theirs.ci_high) == pytest.approx(wilson, rel=1e-9)


@pytest.mark.parametrize("kind", ["lm-eval", "inspect"])
def test_evalstats_makes_the_same_paired_t_test_without_clusters(kind, pairs):
    a, b = (
        pd.concat([part.assign(item_id=part.item_id + str(k)) for k in range(4)])
        for part in pairs[kind]
    )
    naive, clustered = ll.compare(a, b, cluster="item_id"), ll.compare(a, b)
    theirs = evalstats.tests.ttest(b.score, a.score, paired=True, print_result=False)
    assert theirs.p_value == pytest.approx(naive.p_value, rel=1e-9)
    scores = np.array([b.score, a.score])
    found = pairwise_differences(scores, 0, 1, method="t_interval")
    d = naive.difference
    assert found.point_diff == pytest.approx(d.estimate, rel=1e-12)
    assert found.std_diff / np.sqrt(d.n) == pytest.approx(d.se, rel=1e-9)
    assert (found.ci_low, found.ci_high) == pytest.approx((d.low, d.high), rel=1e-9)
    # Films pull the two apart: evalstats has no clusters.
    assert clustered.difference.se != pytest.approx(d.se, rel=0.01)
    # Its default is another method, a bootstrap of the studentised mean: near, and not equal.
    default = pairwise_differences(scores, 0, 1, rng=np.random.default_rng(0))
    assert "bootstrap" in default.test_method
    assert default.ci_low == pytest.approx(d.low, abs=0.25 * d.se)
    assert default.ci_low != pytest.approx(d.low, rel=1e-6)


# Planning -----------------------------------------------------------------------------------------


def test_errorbars_plans_alike_where_it_is_right():
    """Its n = z²·2V(1 - rho)·deff/δ² is ours with that variance, for one sample an item."""
    variance = 2 * 0.7 * 0.3 * (1 - 0.4)
    found = errorbars_power.questions_needed(
        0.03, baseline_accuracy=0.7, rho=0.4, cluster_design_effect=2
    )
    assert found.n_questions == ll.sample_size(0.03, variance, design_effect=2)
    smallest = errorbars_power.minimum_detectable_effect(800, baseline_accuracy=0.7, rho=0.4)
    assert smallest == pytest.approx(ll.minimum_detectable_effect(np.sqrt(variance / 800)))
    # It divides all of p(1 - p) by the samples, also the part between items, which they leave.
    found = errorbars_power.questions_needed(
        0.03, baseline_accuracy=2 / 3, samples_per_question=100
    )
    ours = ll.sample_size(
        0.03, 2 / 18, within_a=1 / 6, samples_a=100, within_b=1 / 6, samples_b=100
    )
    assert ours > 20 * found.n_questions
    # A rho that two accuracies 0.02 apart cannot have: their items differ on 0.02 at least.
    found = errorbars_power.questions_needed(0.02, baseline_accuracy=0.8, rho=0.99)
    assert found.n_questions < ll.sample_size(0.02, 0.02 - 0.02**2) / 5


def test_evalconfidence_plans_alike_where_it_is_right():
    assert evalconfidence_power(mde=0.03, baseline_var=1 / 9).n_required == 969
    found = evalconfidence_power(n=800, baseline_var=0.25).mde_detectable
    assert found == pytest.approx(ll.minimum_detectable_effect(np.sqrt(0.25 / 800)))
    found = evalconfidence_power(mde=0.03, n=900, baseline_var=0.25).power_achieved
    ours = ll.power(0.03, np.sqrt(0.25 / 900))
    assert found == pytest.approx(ours, abs=1e-3)
    # It leaves out the wrong sign: without an effect its power is half of alpha.
    found = evalconfidence_power(mde=1e-9, n=900, baseline_var=0.25).power_achieved
    assert found == pytest.approx(0.025, abs=1e-6)
    assert ll.power(1e-9, 1.0) == pytest.approx(0.05, abs=1e-6)


# What is new --------------------------------------------------------------------------------------


def test_evalstats_has_the_same_interval_for_few_discordant_items():
    """Bonett and Price's, with z for our t and n + 2 for our n + 1 under the root."""
    a, b = np.zeros(60), np.zeros(60)
    a[:3], b[3:12] = 1, 1
    low, high = bonett_price_paired_ci(b, a)
    ours = ll.compare(a, b).difference
    assert (ours.low + ours.high) / 2 == pytest.approx((low + high) / 2, rel=1e-9)
    wider = stats.t.ppf(0.975, 61) / stats.norm.ppf(0.975) * np.sqrt(62 / 61)
    assert (ours.high - ours.low) / (high - low) == pytest.approx(wider, rel=1e-9)


def test_evalstats_has_the_same_friedman_test_and_ranks():
    scores = np.random.default_rng(1).normal([0, 0.3, 0.6, 0.9], size=(20, 4))
    theirs = friedman_nemenyi(scores.T, list("abcd"))
    ours = ll.average_ranks(pd.DataFrame(scores, columns=list("abcd")))
    assert ours.mean_rank.to_dict() == pytest.approx(dict(theirs.avg_ranks))
    assert ll.friedman_test(scores).p_value == pytest.approx(theirs.p_value)


def test_errorbars_has_the_same_intraclass_correlation():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 12, 80)
    scores = rng.normal(size=80) + rng.normal(size=12)[labels]
    found = ll.design_effect(scores, cluster=labels)
    assert found.icc == pytest.approx(errorbars_icc(scores, labels))
    # Its standard error is the one without what large clusters cost.
    theirs = cluster_robust_se(scores, labels)
    assert 1 < ll.mean_interval(scores, cluster=labels).se / theirs < 1.05
