"""The recorded results are what the systems really say: a sample is scored anew."""

import os
import re
import sys
import time
import tomllib
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from sklearn.linear_model import LogisticRegression, Ridge
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

import lleval_lib as ll
from lleval_lib import records as records_module

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "lleval_lib" / "results"
sys.path.insert(0, str(ROOT / "experiments"))

import aclsum  # noqa: E402
import alpaca_errors  # noqa: E402
import bias  # noqa: E402
import bias_foreign  # noqa: E402
import bias_pairs  # noqa: E402
import calls  # noqa: E402
import captions  # noqa: E402
import clips  # noqa: E402
import code_samples  # noqa: E402
import contamination  # noqa: E402
import describers  # noqa: E402
import driving  # noqa: E402
import efficiency  # noqa: E402
import emoji_search  # noqa: E402
import explanations  # noqa: E402
import forgetting  # noqa: E402
import formats  # noqa: E402
import items  # noqa: E402
import judging  # noqa: E402
import listing  # noqa: E402
import listing_fusion  # noqa: E402
import modalities  # noqa: E402
import multitask  # noqa: E402
import operators  # noqa: E402
import operators_longer  # noqa: E402
import perturbed  # noqa: E402
import promises  # noqa: E402
import pruning  # noqa: E402
import record  # noqa: E402
import reviews  # noqa: E402
import service  # noqa: E402
import shortcuts  # noqa: E402
import stories  # noqa: E402
import switches  # noqa: E402
import tools  # noqa: E402
import votes  # noqa: E402
import weights  # noqa: E402

BY_LIKELIHOOD = [name for name, how in reviews.ASKED.items() if "written" not in how]
WRITTEN = [name for name, how in reviews.ASKED.items() if "written" in how]
SAMPLE = 12


@pytest.fixture(scope="module")
def records():
    return ll.load_records("reviews")


@pytest.fixture(scope="module")
def test_items():
    return reviews.items("test")


@pytest.fixture(scope="module")
def lm():
    return ll.load_lm()


def test_systems_and_items(records, test_items):
    """Every system answers every test review once, in one order, with the data's own labels."""
    assert records.system.unique().tolist() == list(reviews.SYSTEMS)
    assert set(records.task) == {"reviews"}
    for name, rows in records.groupby("system"):
        for column in ("item_id", "cluster", "target"):
            assert rows[column].to_list() == test_items[column].to_list(), name


def test_no_system_trained_on_a_test_film(records):
    films = {split: set(reviews.items(split).cluster) for split in ("train", "validation", "test")}
    assert set(records.cluster) == films["test"]
    assert len(films["test"]) == 100
    assert not films["test"] & (films["train"] | films["validation"])


def test_scores_and_predictions(records):
    assert (records.score == (records.prediction == records.target)).all()
    by_likelihood = records[~records.system.isin(WRITTEN)]
    assert set(by_likelihood.prediction) <= set(reviews.LABELS)
    logliks = by_likelihood[[f"loglik_{label}" for label in reviews.LABELS]].to_numpy()
    most_likely = np.array(reviews.LABELS)[logliks.argmax(axis=1)]
    assert (by_likelihood.prediction == most_likely).all()
    place = [reviews.LABELS.index(target) for target in by_likelihood.target]
    assert (by_likelihood.loglik == logliks[np.arange(len(place)), place]).all()
    assert (logliks <= 0).all()


def test_trained_systems_give_probabilities(records):
    rows = records[records.system.isin(reviews.TRAINED)]
    total = np.exp(rows.loglik_fresh) + np.exp(rows.loglik_rotten)
    # The probe computes in 32-bit floats.
    assert total.to_numpy() == pytest.approx(np.ones(len(rows)), abs=1e-6)


def test_majority_is_the_base_rate(records, test_items):
    rows = records[records.system == "majority"]
    train = reviews.items("train").target
    most = train.mode()[0]
    assert set(rows.prediction) == {most}
    assert rows.score.mean() == (test_items.target == most).mean()
    share = (train == "fresh").mean()
    assert np.exp(rows.loglik_fresh.to_numpy()) == pytest.approx(np.full(len(rows), share))


def test_believable_accuracies(records):
    """What is trained on 9,000 reviews beats the majority beyond doubt, and nothing is too good."""
    of = dict(list(records.groupby("system")))
    for name in list(reviews.TRAINED)[1:]:
        assert ll.compare(of["majority"], of[name]).difference.low > 0.1
        assert of[name].score.mean() < 0.85
    assert 0.5 < of["majority"].score.mean() < 0.6
    for name in BY_LIKELIHOOD:
        assert 0.45 < of[name].score.mean() < 0.85


def _sample(system):
    """Return the system's task with a few of its items, others for each system."""
    task = reviews.task(**reviews.ASKED[system])
    items = task.items.sample(SAMPLE, random_state=sum(system.encode()))
    return replace(task, items=items)


def test_prompts_are_those_recorded(test_items):
    """All of them, not a sample, by their sha256: this costs no inference."""
    how = tomllib.loads((RESULTS / "reviews.toml").read_text("utf-8"))
    assert set(how["prompts"]) == set(reviews.SYSTEMS)
    for system in reviews.ASKED:
        task = reviews.task(**reviews.ASKED[system])
        prompts = [task.prompt(item) for item in task.items.itertuples()]
        assert record.sha256(prompts) == how["prompts"][system], system
    for system in reviews.TRAINED:
        assert record.sha256(test_items.text) == how["prompts"][system], system


@pytest.mark.slow
@pytest.mark.parametrize("system", BY_LIKELIHOOD)
def test_likelihoods_scored_anew(records, lm, system):
    anew = ll.evaluate(_sample(system), lm).set_index("item_id")
    then = records[records.system == system].set_index("item_id").loc[anew.index]
    for column in ("loglik", "loglik_fresh", "loglik_rotten"):
        assert anew[column].to_numpy() == pytest.approx(then[column].to_numpy(), abs=1e-3)
    # A tie within the tolerance may fall either way on another processor.
    sure = (then.loglik_fresh - then.loglik_rotten).abs() > 2e-3
    assert sure.sum() >= SAMPLE - 2
    assert (anew.prediction == then.prediction)[sure].all()


@pytest.mark.slow
@pytest.mark.parametrize("system", WRITTEN)
def test_written_answers_written_anew(records, lm, system):
    anew = ll.evaluate(_sample(system), lm).set_index("item_id")
    then = records[records.system == system].set_index("item_id").loc[anew.index]
    # Two tokens that are equally likely may fall either way on another processor.
    assert (anew.written != then.written).sum() <= 1
    assert (anew.prediction != then.prediction).sum() <= 1
    assert then.prediction.to_list() == [reviews.read_label(text) for text in then.written]


@pytest.mark.slow
def test_tfidf_fitted_anew(records):
    then = records[records.system == "tf-idf"].reset_index(drop=True)
    anew = reviews.build("tf-idf")
    assert (
        anew.columns.drop("prompt").to_list()
        == then.columns.drop(["written", "metric", "higher_is_better"]).to_list()
    )
    assert (anew.prediction == then.prediction).mean() >= 0.99
    p_fresh, p_then = (np.exp(table.loglik_fresh.to_numpy()) for table in (anew, then))
    assert p_fresh == pytest.approx(p_then, abs=0.01)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (" positive", "fresh"),
        (" Negative.", "rotten"),
        ("The review is POSITIVE, not negative", "fresh"),
        ("negative or positive?", "rotten"),
        (" positively awful", "fresh"),  # a word that begins so counts: the reader is simple
        (" good", "unreadable"),
        ("", "unreadable"),
    ],
)
def test_read_label(text, label):
    assert reviews.read_label(text) == label


def test_three_prompts_ask_about_the_review():
    item = next(reviews.items("test").itertuples())
    prompts = {name: reviews.task(name).prompt(item) for name in reviews.PROMPTS}
    assert prompts["sentiment"] == f"Review: {item.text}\nSentiment:"
    assert len(set(prompts.values())) == 3
    assert all(item.text in prompt and not prompt.endswith(" ") for prompt in prompts.values())


def test_examples_are_training_films_half_of_each_label():
    item = next(reviews.items("test").itertuples())
    *examples, asked = reviews.task("sentiment", shots=4).prompt(item).split("\n\n")
    assert asked == reviews.task("sentiment").prompt(item)
    train = reviews.items("train").set_index("text")
    labels = []
    for example in examples:
        text, word = example.removeprefix("Review: ").split("\nSentiment: ")
        labels.append(word)
        assert train.target[text] == {"positive": "fresh", "negative": "rotten"}[word]
    assert sorted(labels) == ["negative", "negative", "positive", "positive"]
    turned = reviews.task("sentiment", shots=4, reverse=True).prompt(item)
    assert turned.split("\n\n") == [*examples[::-1], asked]


@pytest.mark.parametrize("name", sorted(path.stem for path in RESULTS.glob("*.parquet")))
def test_a_result_is_that_of_its_experiment(name):
    """Whoever changes a builder records anew, or says here that no record can have changed."""
    how = tomllib.loads((RESULTS / f"{name}.toml").read_text("utf-8"))
    assert {"date", "command", "machine", "cost", "builder", "versions"} <= set(how)
    assert name in record.experiments()
    assert how["builder"] == record.builder(name), (
        f"experiments/{name}.py is not the code that recorded {name}.parquet: run make records "
        f"NAME={name}. Only if the edit cannot change a record (a comment, a name), put "
        f"{record.builder(name)} into lleval_lib/results/{name}.toml"
    )


def test_the_list_of_experiments(capsys):
    record.main([])
    lines = capsys.readouterr().out.splitlines()
    names = [line.partition(":")[0] for line in lines]
    assert names == sorted(path.stem for path in RESULTS.glob("*.parquet"))  # all recorded
    assert any(line.startswith("reviews: Ten systems read film reviews") for line in lines)


EXPERIMENT = '''"""Two systems on three items."""
import pandas as pd
import lleval_lib as ll

SYSTEMS = "good", "bad"
ITEMS = pd.DataFrame({"item_id": list("123"), "cluster": list("xxy"), "target": list("aba")})

def build(system):
    print("building", system)
    with open("tape") as tape:
        if system in tape.read():
            raise KeyboardInterrupt
    return ll.make_records(
        system, "t", ITEMS, prompt=list("pqr"), prediction=list("aaa"), score=[1, 0, 1],
        logliks={"a": [-0.1, -0.2, -0.3], "b": [-1 / 3, -2, -3]},
    )
'''


def test_a_recording_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    for folder in ("experiments", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "experiments" / "two_systems.py").write_text(EXPERIMENT)
    monkeypatch.setenv("LLEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(record, "HERE", tmp_path / "experiments")
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.syspath_prepend(tmp_path / "experiments")
    monkeypatch.chdir(tmp_path)
    Path("tape").write_text("bad")
    with pytest.raises(KeyboardInterrupt):
        record.main(["two_systems"])
    assert list((tmp_path / "results").iterdir()) == []
    Path("tape").write_text("")
    record.main(["two_systems"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("build")]
    assert lines == ["building good", "building bad", "building bad"]
    assert list((tmp_path / "cache" / "recording").iterdir()) == []

    monkeypatch.setattr(records_module.resources, "files", lambda package: tmp_path)
    loaded = ll.load_records("two_systems")
    built = pd.concat([sys.modules["two_systems"].build(name) for name in ("good", "bad")])
    built = built.assign(metric="accuracy", higher_is_better=True)  # a score is a right answer
    pd.testing.assert_frame_equal(
        loaded, built.drop(columns="prompt").reset_index(drop=True), rtol=1e-6
    )
    how = tomllib.loads((tmp_path / "results" / "two_systems.toml").read_text())
    assert how["builder"] == record.builder("two_systems")
    assert how["prompts"] == dict.fromkeys(["good", "bad"], record.sha256("pqr"))
    assert set(how["versions"]) == {"python", *record.VERSIONS}


# Promises


@pytest.fixture(scope="module")
def kept():
    return ll.load_records("promises")


def test_every_method_was_tried_on_every_design_of_its_kind(kept):
    assert kept.system.unique().tolist() == list(promises.SYSTEMS)
    for system, (kinds, n, _) in promises.METHODS.items():
        counts = kept[kept.system == system].task.value_counts()
        asked = {name for name, design in promises.DESIGNS.items() if design.kind in kinds}
        assert set(counts.index) == asked
        assert set(counts) == {n}


@pytest.mark.slow
@pytest.mark.parametrize("system", promises.SYSTEMS)
def test_promises_counted_anew(kept, system):
    """The first evaluations of every design, drawn and judged again."""
    kinds, _, _ = promises.METHODS[system]
    rows = kept[kept.system == system].set_index(["task", "item_id"]).prediction
    for name in [name for name, design in promises.DESIGNS.items() if design.kind in kinds]:
        anew = promises.on_design(system, name, 3)
        assert anew.prediction.to_list() == [rows[name, str(k)] for k in range(3)], name


@pytest.mark.parametrize(
    "name",
    [
        *("normal, ICC .3, Zipf 50", "share .98, ICC .2, Zipf 50", "two points, Zipf 50"),
        *("rare disaster, Zipf 50", "logit-normal, Zipf 50", "large alike, Zipf 50"),
        "large hard, Zipf 50",
    ],
)
def test_a_design_has_the_mean_that_it_says(name):
    design, rng = promises.DESIGNS[name], np.random.default_rng(0)
    means = [design.draw(rng, design.sizes).mean() for _ in range(2_000)]
    assert np.mean(means) == pytest.approx(design.truth, abs=4 * np.std(means) / 2_000**0.5)


def test_a_world_of_two_points_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"two_points\(0.98, 0.5, 0.01\) has shares of"):
        promises.two_points(0.98, 0.5, 0.01)


# AlpacaEval's item scores


@pytest.fixture(scope="module")
def derived():
    return ll.load_records("alpaca_errors")


def _of(derived, task):
    return derived[derived.task == task].pivot(index="system", columns="item_id", values="score")


def test_what_was_derived_from_each_system(derived):
    assert derived.system.unique().tolist() == list(alpaca_errors.SYSTEMS)
    refitted = derived[derived.task.str.startswith("lc")]
    assert set(refitted.item_id) == set(alpaca_errors.REFITS)
    assert len(refitted) == 56 * 3 * 5
    pairs = 56 * 55 // 2
    assert len(derived[derived.task == "rho"]) == len(derived[derived.task == "gap_se"]) == pairs


def test_the_item_scores_are_those_of_the_board(derived):
    board = ll.load_alpaca_eval().set_index("system")
    ours = derived[derived.item_id == "instructions"].pivot(
        index="system", columns="task", values="score"
    )
    board = board.loc[ours.index]
    assert ours.n.to_list() == board.n_total.to_list()
    assert ours.win_rate.to_numpy() == pytest.approx(board.win_rate.to_numpy(), abs=1e-6)
    assert ours.se.to_numpy() == pytest.approx(board.standard_error.to_numpy(), abs=1e-6)


def test_the_refits_are_near_the_board(derived):
    board = ll.load_alpaca_eval().set_index("system").lc_win_rate
    off = _of(derived, "lc").sub(board, axis=0).dropna().abs().median()
    assert off["board's coefficient of length"] < 0.5
    assert off["length and difficulty"] < 1
    # Without difficulty and with the length set equal, all fitted values are one.
    assert _of(derived, "lc_se_fitted")["length"].max() < 1e-9


def test_the_paired_error_follows_from_the_correlation(derived):
    se = _of(derived, "se")["instructions"]
    pairs = derived[derived.task == "rho"].merge(
        derived[derived.task == "gap_se"], on=["system", "item_id"], suffixes=("", "_gap")
    )
    a, b = se[pairs.system].to_numpy(), se[pairs.item_id].to_numpy()
    expected = np.sqrt(a**2 + b**2 - 2 * pairs.score.to_numpy() * a * b)
    # Up to 4 of the 805 instructions are missing in one system or the other.
    assert pairs.score_gap.to_numpy() == pytest.approx(expected, rel=0.03)


def test_the_refit_finds_what_made_the_data():
    """The fit of the logistic regression, against scikit-learn, on data with known answers."""
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(4_000), rng.normal(size=4_000)])
    y = rng.random(4_000) < 1 / (1 + np.exp(-X @ [0.5, -1]))
    (beta,) = alpaca_errors._newton(X[None], 1.0 * y, np.ones((1, 4_000)), np.zeros((1, 4_000)))
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(X, y)
    assert beta == pytest.approx(model.coef_[0], abs=1e-5)


def test_the_win_rate_at_equal_length():
    """Shorter answers that win less: the refit reports what equal length would give."""
    rng = np.random.default_rng(0)
    shorter = rng.normal(2_000, 1_000, 20_000)
    y = 1 / (1 + np.exp(-1 + 1.5 * np.tanh(shorter / shorter.std())))
    table, counts = pd.DataFrame({"y": y, "shorter": shorter}), np.ones((2, 20_000))
    counts[1] = rng.permutation(np.repeat([0, 2], 10_000))  # a bootstrap draw finds it, too
    found, fitted = alpaca_errors._fit("any", table, "length", counts)
    assert found == pytest.approx([100 / (1 + np.exp(-1))] * 2, abs=0.2)
    assert found[0] - 100 * y.mean() > 5
    assert np.ptp(fitted, axis=1).max() < 1e-9


def test_a_lead_is_a_difference(derived):
    lc, lead, noise = (_of(derived, task) for task in ("lc", "lc_lead", "lc_lead_se"))
    assert np.allclose(lead, lc.loc["NullModel"] - lc, atol=1e-6)
    assert (noise.loc["NullModel"] == 0).all()
    # Same draws for both: at most the sum of the two errors, at least their difference.
    se = _of(derived, "lc_se")
    assert (noise <= se + se.loc["NullModel"] + 1e-9).all(axis=None)
    assert (noise >= (se - se.loc["NullModel"]).abs() - 1e-9).all(axis=None)


def test_without_a_clone_it_says_what_to_do(monkeypatch):
    monkeypatch.delenv("ALPACA_EVAL", raising=False)
    with pytest.raises(SystemExit, match="say where the clone of AlpacaEval is"):
        alpaca_errors._git("log")


@pytest.mark.skipif("ALPACA_EVAL" not in os.environ, reason="needs a clone of AlpacaEval")
@pytest.mark.parametrize("system", ["NullModel", "wizardlm-13b"])
def test_alpaca_errors_computed_anew(derived, system):
    then = derived[derived.system == system].set_index(["task", "item_id"]).score
    anew = alpaca_errors.build(system).set_index(["task", "item_id"]).score
    assert anew.loc[then.index].to_numpy() == pytest.approx(then.to_numpy(), abs=1e-3)


# Formats ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked():
    return ll.load_records("formats")


def test_formats_ask_the_same_reviews(asked):
    assert asked.system.unique().tolist() == list(formats.SYSTEMS)
    some = formats.some()
    assert some.cluster.value_counts().max() == 2
    for system in (*formats.CHAT, *formats.SHOTS):
        assert asked[asked.system == system].item_id.tolist() == some.item_id.tolist()
    mmlu = asked[asked.system == "mmlu"]
    assert len(mmlu) == (ll.load_mmlu_dev().choices.map(len) == 4).sum()


def test_written_answers_are_read_as_recorded(asked):
    for system in formats.CHAT:
        if "written" in system:
            rows = asked[asked.system == system]
            assert [formats.read_label(text) for text in rows.written] == rows.prediction.tolist()
            assert ((rows.prediction == rows.target) == rows.score).all()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["chat", "chat one word", "draw 1 reversed"])
def test_formats_scored_anew(asked, lm, system):
    task = formats.few_shot(system) if "draw" in system else formats.chat(lm, system)
    chosen = task.items.sample(3, random_state=sum(system.encode()))
    again = ll.evaluate(replace(task, items=chosen), lm).set_index("item_id")
    recorded = asked[asked.system == system].set_index("item_id").loc[again.index]
    for column in ("loglik_fresh", "loglik_rotten"):
        assert recorded[column].to_numpy() == pytest.approx(again[column].to_numpy(), abs=0.02)


# Efficiency ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned():
    table = ll.load_records("efficiency")
    return table.join(table.system.str.extract(r"(?P<method>.+), (?P<rate>.+), seed (?P<seed>.+)"))


def test_every_tuned_model_answers_the_same_reviews(tuned):
    assert tuned.system.unique().tolist() == list(efficiency.SYSTEMS)
    for (system, split), rows in tuned.groupby(["system", "task"]):
        assert rows.item_id.tolist() == efficiency.asked(split).item_id.tolist(), system
    assert ((tuned.prediction == tuned.target) == tuned.score).all()
    sure = tuned.loglik.abs() > 0.71  # ln 2, and the two decimals
    assert (tuned.score[sure] == 0).all()


def test_validation_chose_the_rates(tuned):
    """By the mean log-likelihood over the seeds that every rate has."""
    grid = tuned[(tuned.task == "validation") & tuned.seed.isin(list("01"))]
    means = grid.groupby(["method", "rate"]).loglik.mean()
    chosen = means.groupby("method").idxmax().map(lambda key: float(key[1]))
    assert chosen.to_dict() == efficiency.BEST
    # Neither the smallest nor the largest rate, or the range would be too narrow.
    for method, rates in efficiency.RATES.items():
        assert min(rates) < efficiency.BEST[method] < efficiency.LARGER.get(method, max(rates))


def test_five_seeds_at_the_best_rates(tuned):
    for method, rate in efficiency.BEST.items():
        rows = tuned[(tuned.method == method) & (tuned.rate == f"{rate:g}")]
        assert set(rows.seed) == set("01234")


@pytest.mark.slow
def test_a_model_tuned_anew_answers_as_recorded(tuned):
    system = "lora 4, 0.003, seed 0"
    precision = torch.get_float32_matmul_precision()
    anew = efficiency.build(system)
    assert torch.get_float32_matmul_precision() == precision  # or the next test has another
    then = tuned[tuned.system == system]
    assert (anew.prediction.to_numpy() == then.prediction.to_numpy()).mean() > 0.95
    seeds = tuned[tuned.system.str.startswith("lora 4, 0.003") & (tuned.task == "test")]
    accuracy = seeds.groupby("seed").score.mean()
    found = anew.score[anew.task == "test"].mean()
    assert abs(found - accuracy["0"]) < max(0.01, 2 * accuracy.std())


# Multi-task ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def multi():
    table = ll.load_records("multitask")
    parts = table.system.str.extract(r"(?P<method>[^,]+), (?P<setting>.+), seed (?P<seed>\d)")
    return table.join(parts)


def test_every_multitask_model_answers_the_same_items(multi):
    assert multi.system.unique().tolist() == list(multitask.SYSTEMS)
    for (system, name), rows in multi.groupby(["system", "task"]):
        task, _, split = name.partition(" ")
        if task in multitask.TASKS:
            items = multitask.data(split)[task]
            assert rows.item_id.tolist() == items.item_id.tolist(), system
            assert rows.target.tolist() == items.target.tolist(), system
            assert ((rows.prediction == rows.target) == rows.score).all()


def test_no_item_and_no_cluster_is_in_two_splits():
    for task in multitask.TASKS:
        parts = [multitask.data(split)[task] for split in multitask.ASKED]
        for column in ("item_id", "cluster"):
            known = [set(part[column]) for part in parts]
            assert len(set.union(*known)) == sum(map(len, known)), (task, column)


def test_plots_and_reviews_have_the_same_lengths():
    for split in multitask.ASKED:
        table = multitask.data(split)["source"]
        words = table.text.str.split().str.len().groupby(table.target).apply(sorted)
        assert np.mean(np.array(words["plot"]) == words["review"]) > 0.9


def test_validation_chose_the_settings(multi):
    """By the mean over tasks of the mean log-likelihood, in the trials of seed 0."""
    tried = multi[multi.system.isin(multitask.TRIED) & multi.task.str.endswith(" validation")]
    means = tried.groupby(["method", "setting", "task"]).loglik.mean()
    chosen = means.groupby(["method", "setting"]).mean().groupby("method").idxmax().str[1]
    for method, (option, rate) in multitask.BEST.items():
        assert chosen[method] == (f"{option}, " if option else "") + f"{rate:g}", method
        assert len(multi[multi.system.isin(multitask.TRIED) & (multi.method == method)]) > 0
        rows = multi[(multi.method == method) & (multi.setting == chosen[method])]
        assert set(rows.seed) == set("01234")


def test_surgery_leaves_two_tasks_without_conflict():
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = torch.tensor(rng.normal(size=(2, 5)))
        total = multitask.project_conflicts([a, b], rng)
        assert min(float(a @ total), float(b @ total)) > -1e-12


def test_uncertainty_weights_are_least_where_the_variance_is_the_loss():
    s = torch.linspace(-3, 3, 6_001)
    for loss in (0.2, 0.7, 3.0):
        best = s[multitask.uncertain(torch.tensor(loss), s).argmin()]
        assert float(best.exp()) == pytest.approx(loss, rel=0.01)


@pytest.mark.slow
def test_a_task_learned_anew_answers_as_recorded(multi):
    _, rate = multitask.BEST["source alone"]
    system = f"source alone, {rate:g}, seed 0"
    anew, then = multitask.build(system), multi[multi.system == system]
    assert (anew.prediction.to_numpy() == then.prediction.to_numpy()).mean() > 0.95
    assert anew.score.mean() == pytest.approx(then.score.mean(), abs=0.02)


# Forgetting ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forgot():
    return ll.load_records("forgetting")


def test_every_model_answers_the_same_reviews_and_reads_the_same_texts(forgot):
    assert forgot.system.unique().tolist() == list(forgetting.SYSTEMS)
    asked = {"reviews": forgetting.some(), **{t: f() for t, f in forgetting.OTHERS.items()}}
    for (system, task), rows in forgot.groupby(["system", "task"]):
        assert rows.item_id.tolist() == asked[task].item_id.tolist(), system
        if task != "reviews":
            assert rows.bytes.tolist() == [len(text.encode()) for text in asked[task].text]
    learned = reviews.items("train").cluster
    assert not set(forgetting.plots().cluster) & set(learned)


@pytest.mark.slow
def test_what_the_untrained_model_reads_costs_as_recorded(forgot):
    lm = ll.load_lm()
    texts = forgetting.papers().head(10)
    anew = forgetting.reading(lm, "untrained", "papers", lambda: texts)
    then = forgot[(forgot.system == "untrained") & (forgot.task == "papers")].head(10)
    assert anew.score.to_numpy() == pytest.approx(then.score.to_numpy(), abs=0.05)


@pytest.mark.slow
def test_a_model_that_learned_anew_answers_as_recorded(forgot):
    """The cheapest of the recorded trainings, on a part of what it answered."""
    system = "full, 1e-05, seed 1"
    lm = ll.load_lm()
    with efficiency.fast_products():
        forgetting.learn(lm, "full", 1e-5, 1)
    some = forgetting.some().head(60)
    task = ll.Task("reviews", some, forgetting.PROMPT, forgetting.WORDS)
    anew = ll.evaluate(task, lm, system=system)
    then = forgot[(forgot.system == system) & (forgot.task == "reviews")].head(60)
    assert (anew.prediction.to_numpy() == then.prediction.to_numpy()).mean() > 0.9
    untrained = forgot[(forgot.system == "untrained") & (forgot.task == "reviews")].head(60)
    moved = abs(untrained.loglik.to_numpy() - then.loglik.to_numpy()).mean()
    assert abs(anew.loglik.to_numpy() - then.loglik.to_numpy()).mean() < moved / 10


# The listing


@pytest.fixture(scope="module")
def listed():
    records = ll.load_records("listing")
    named = records.system.str.rsplit(", seed ", n=1)
    return records.assign(row=named.str[0], seed=named.str[1])


def test_every_row_of_the_listing_answers_every_review(listed):
    assert listed.system.unique().tolist() == list(listing.SYSTEMS)
    for task in ("validation", "test"):
        items = listing.asked(task)
        for _, rows in listed[listed.task == task].groupby("system"):
            assert rows.item_id.to_list() == items.item_id.to_list()
            assert rows.target.to_list() == items.target.to_list()
    assert (listed.score == (listed.prediction == listed.target)).all()
    seeds = listed.groupby("row").seed.nunique()
    for method, lam, rate in listing.ROWS:
        assert seeds[f"{method}, {lam:g}, {rate:g}"] == 10
    assert seeds["words"] == seeds["probe"] == 10


def test_what_the_listing_would_have_printed(listed):
    """A loss like the article's, at the lambda that is taken, is loss and penalty."""
    rows = listed[listed.row.str.startswith("as written")].drop_duplicates("system")
    lam = rows.row.str.split(", ").str[1].astype(float)
    penalty = rows.printed_loss - rows.cross_entropy
    # The weights shrink within the last epoch, whose mean this is.
    assert (penalty / (lam * rows.squares)).between(1, 1.05).all()
    taken = rows[rows.row == f"as written, {listing.LAMBDA:g}, {listing.RATE:g}"]
    assert taken.printed_loss.between(1.2, 1.7).all()


@pytest.mark.slow
def test_the_listing_run_anew_answers_as_recorded(listed):
    system = "no penalty, 0, 2e-05, seed 0"
    anew = listing.build(system)
    then = listed[listed.system == system]
    assert (anew.prediction.to_numpy() == then.prediction.to_numpy()).mean() > 0.95
    seeds = listed[(listed.row == "no penalty, 0, 2e-05") & (listed.task == "test")]
    spread = seeds.groupby("seed").score.mean().std()
    found = anew.score[anew.task == "test"].mean()
    assert abs(found - then.score[then.task == "test"].mean()) < max(0.01, 2 * spread)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["as written", "corrected"])
def test_the_listing_takes_the_class_of_distilbert(method, tmp_path, monkeypatch):
    """The same code trains a tiny model of the class of distilbert-base-uncased, from a folder."""
    config = DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    DistilBertModel(config).save_pretrained(tmp_path)
    ll.load_encoder().processor.save_pretrained(tmp_path)
    tiny = ll.load_encoder(str(tmp_path))
    monkeypatch.setattr(ll, "load_encoder", lambda: tiny)
    monkeypatch.setattr(listing, "TRAIN", 32)
    model, tokenizer, facts = listing.trained(method, 1e-5, 1e-3, 0)
    assert type(model).__name__ == "DistilBertForSequenceClassification"
    assert 0 < facts["cross_entropy"] < 1
    assert facts["moved"] > 0
    assert np.isfinite(listing.margin(model, tokenizer, ["A fine film.", "No."])).all()


# Pruning ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sparse():
    table = ll.load_records("pruning")
    return table.join(table.system.str.extract(r"(?P<way>.+), seed (?P<seed>\d)"))


def test_every_pruned_model_answers_the_same_reviews(sparse):
    assert sparse.system.unique().tolist() == list(pruning.SYSTEMS)
    for (system, split), rows in sparse.groupby(["system", "task"]):
        assert rows.item_id.tolist() == efficiency.asked(split).item_id.tolist(), system
    answered = sparse.groupby("way").task.unique().map(list)
    assert answered.pop("float32") == ["validation"]
    assert all(splits == ["validation", "test"] for splits in answered)
    assert ((sparse.prediction == sparse.target) == sparse.score).all()


def test_the_dense_models_are_those_of_the_chapter_on_efficiency(sparse, tuned):
    full = tuned[(tuned.method == "full") & (tuned.rate == f"{pruning.RATE:g}")]
    for seed, then in full.groupby("seed"):
        now = sparse[sparse.system == f"dense, seed {seed}"]
        assert (now.prediction.to_numpy() == then.prediction.to_numpy()).mean() > 0.95


def test_validation_chose_no_share(sparse):
    """None keeps the mean over the seeds within half of the margin; 20% misses it barely."""
    means = sparse[sparse.task == "validation"].groupby("way").score.mean()
    falls = [means["dense"] - means[f"magnitude {share}"] for share in pruning.MAGNITUDE]
    assert min(falls) == falls[0] > pruning.MARGIN / 2
    assert falls[0] < pruning.MARGIN / 2 + 0.001


def test_a_removed_unit_is_one_set_to_zero():
    """The smaller matrices compute what the large ones do without those heads and neurons."""
    model = efficiency.prepared("full").eval()
    small = deepcopy(model)
    pruning.shrink(small, 0.25)
    for layer in model.encoder.encoder.layer:
        value, out = layer.attention.self.value, layer.attention.output.dense
        parts = out.weight.unflatten(1, (12, 32)).detach()
        strength = value.weight.unflatten(0, (12, 32)).norm(dim=(1, 2)) * parts.norm(dim=(0, 2))
        parts[:, strength.argsort()[:3]] = 0
        out.weight.data = parts.flatten(1)
        first, second = layer.intermediate.dense, layer.output.dense
        strength = first.weight.norm(dim=1) * second.weight.norm(dim=0)
        second.weight.data[:, strength.argsort()[: round(0.25 * len(strength))]] = 0
    texts = ["A film that never ends.", "See it twice!"]
    removed = sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for p in small.parameters()
    )
    assert removed > 2_600_000
    expected = model.predict(texts)["fresh"]
    assert small.predict(texts)["fresh"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_a_model_pruned_anew_answers_as_recorded(sparse):
    system = "structured 0.25, seed 0"
    anew = pruning.build(system)
    then = sparse[sparse.system == system]
    assert (anew.prediction.to_numpy() == then.prediction.to_numpy()).mean() > 0.95


# Summaries of papers ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def summed():
    return ll.load_records("aclsum")


def test_every_summariser_reads_the_same_papers(summed):
    assert summed.system.unique().tolist() == list(aclsum.SYSTEMS)
    table = aclsum.split("test")
    for system, rows in summed[summed.task == "summary, test"].groupby("system"):
        assert rows.item_id.tolist() == table.paper.unique().tolist(), system
        assert (rows.prediction.str.split().str.len() == aclsum.K).all(), system
        assert (rows.score == rows["rouge1 plain F"]).all(), system
    about = table[table.about >= 0]
    trained = [name for name in aclsum.SYSTEMS if name not in aclsum.BASELINES]
    told = summed[summed.task == "aspect, test"]
    assert told.system.unique().tolist() == trained
    for system, rows in told.groupby("system"):
        assert rows.item_id.tolist() == about.item_id.tolist(), system
        assert ((rows.prediction == rows.target) == rows.score).all(), system


def test_the_oracle_is_an_upper_bound_and_chance_a_lower(summed):
    means = summed[summed.task == "summary, test"].groupby("system").score.mean()
    assert means.idxmax() == "oracle"
    assert means["random, seed 0"] < means["lead"]


def test_rouge_of_the_recorded_choice(summed):
    """One paper of three systems, by counting common words."""
    papers = dict(tuple(aclsum.split("test").groupby("paper")))
    for system in ("lead", "oracle", "shared, 0, seed 0"):
        rows = summed[(summed.system == system) & (summed.task == "summary, test")]
        row, paper = rows.iloc[7], papers[rows.item_id.iloc[7]]
        chosen = [paper.index[int(place)] for place in row.prediction.split()]
        pair = aclsum.joined(paper, chosen), aclsum.reference(paper)
        a, b = (Counter(re.findall("[a-z0-9]+", text.lower())) for text in pair)
        f = 200 * (a & b).total() / (a.total() + b.total())
        assert row.score == pytest.approx(f, abs=0.006)


@pytest.mark.slow
def test_a_summariser_trained_anew_answers_as_recorded(summed):
    system, table = f"shared, {aclsum.DECAY:g}, seed 2", aclsum.split("test")
    with efficiency.fast_products():
        model = aclsum.trained("shared", aclsum.DECAY, 2, ["keep", "aspect"])
        logits = model.predict(*aclsum.lower("test"))
    # Decay makes no zeros.
    assert all((weights != 0).all() for weights in model.parameters() if weights.ndim > 1)
    then = summed[summed.system == system].set_index("task")
    one = (table.about >= 0).to_numpy()
    told = aclsum.aspects(system, "test", table[one], logits["aspect"][one]).prediction
    assert (told.to_numpy() == then.loc["aspect, test"].prediction.to_numpy()).mean() > 0.95
    found = aclsum.summaries(system, "test", logits["keep"][:, 0]).score.mean()
    assert found == pytest.approx(then.loc["summary, test"].score.mean(), abs=0.5)


# Text and image -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def looked():
    return ll.load_records("modalities")


@pytest.fixture(scope="module")
def tested(looked):
    return looked[looked.task == "test"]


@pytest.mark.slow
def test_every_model_answers_the_same_questions(looked):
    assert looked.system.unique().tolist() == list(modalities.SYSTEMS)
    for (system, split), rows in looked.groupby(["system", "task"]):
        table, _ = modalities.items(split)
        assert rows.item_id.tolist() == table.item_id.tolist(), system
        assert rows.target.tolist() == table.answer.tolist(), system
        assert rows.cluster.tolist() == [f"{split}-{image}" for image in table.image], system
        assert ((rows.prediction == rows.target) == rows.score).all(), system
    for one, other in (("train", "validation"), ("train", "test")):
        items = [modalities.items(split)[0].item_id for split in (one, other)]
        assert not set(items[0]) & set(items[1])


def test_what_validation_says_of_the_rates(looked):
    """One rate was fixed for all; the validation images prefer it for film alone."""
    seed_0 = looked[looked.system.str.endswith("seed 0") & (looked.task == "validation")]
    means = seed_0.groupby("system").score.mean()
    for kind in modalities.KINDS[2:]:
        fixed, other = (
            means[f"{kind}, {rate:g}, seed 0"] for rate in (modalities.RATE, modalities.OTHER)
        )
        assert (fixed > other) == (kind == "film"), kind


def test_a_blind_model_does_not_miss_the_image(tested):
    rows = tested[tested.system.str.startswith("text, ")]
    for way in ("zeros", "blank", "within", "anywhere", "additive", "additive_log"):
        assert (rows[way] == rows.score).all(), way


def test_a_sum_under_a_linear_classifier_is_its_own_additive_part(tested):
    rows = tested[tested.system.str.startswith("additive, ")]
    assert (rows.additive == rows.score).all()
    asked = rows.additive_valid.notna()
    assert (rows.additive_valid == rows.score)[asked].all()


def test_which_questions_name_what_the_image_must_show():
    named = [text for text in modalities.questions() if modalities.presumes(text)]
    assert len(named) == 14
    assert {"what is the red shape?", "what color is the circle?"} <= set(named)
    assert not {"what color is the shape?", "what is the color of the shape?"} & set(named)


@pytest.mark.slow
def test_another_picture_is_counted_by_hand():
    table = pd.DataFrame({"code": [0, 0, 0, 1, 1], "image": [0, 1, 2, 0, 1]})
    table["right"] = [5, 5, 6, 5, 6]
    said = np.full((len(modalities.questions()), 3), 6)
    said[0], said[1] = [5, 5, 5], [5, 6, 6]
    found = modalities.ablated(modalities.trained("text", 1e-3, 0, epochs=1), said, table)
    assert found["within"].tolist() == pytest.approx([1, 1, 0, 0, 0])
    assert found["anywhere"].tolist() == pytest.approx([1, 1, 0, 0, 0.5])


@pytest.mark.slow
def test_a_film_trained_anew_answers_as_recorded(tested):
    system = f"film, {modalities.RATE:g}, seed 1"
    then = tested[tested.system == system]
    model = modalities.trained("film", modalities.RATE, 1)
    anew = modalities.answers(model, system, "test")
    films = tested[tested.system.str.startswith(f"film, {modalities.RATE:g}")]
    means = films.groupby("system").score.mean()
    assert anew.score.mean() == pytest.approx(means.mean(), abs=0.01 + 3 * means.std())
    assert (anew.prediction.to_numpy() == then.prediction.to_numpy()).mean() > 0.9
    assert (anew.score - anew.additive).mean() > 0.15


# Fusion operators ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared_fusions():
    table = ll.load_records("operators")
    return table.join(table.system.str.extract(r"(?P<name>.+), (?P<how>.+), seed (?P<seed>\d)"))


def test_every_operator_answers_the_same_questions(compared_fusions):
    assert compared_fusions.system.unique().tolist() == list(operators.SYSTEMS)
    asked = operators.questions("test")
    assert asked.image.nunique() == 300
    for system, rows in compared_fusions.groupby("system"):
        assert rows.item_id.tolist() == asked.item_id.tolist(), system
        assert rows.target.tolist() == asked.target.tolist(), system
    longer = ll.load_records("operators_longer")
    assert longer.system.unique().tolist() == list(operators_longer.SYSTEMS)
    assert longer.item_id.unique().tolist() == asked.item_id.tolist()


def test_no_image_is_in_two_parts():
    images = [set(operators.questions(part).image) for part in ("train", "validation")]
    assert [len(part) for part in images] == [operators.N_TRAIN, 400]
    assert not images[0] & images[1]


def test_validation_chose_the_rate_that_trained_the_other_seeds(compared_fusions):
    first = compared_fusions[compared_fusions.seed == "0"].drop_duplicates("system")
    for name, rows in first.groupby("name"):
        assert sorted(rows.rate) == list(operators.RATES), name
    best = first.loc[first.groupby("name").validation.idxmax()].set_index("name").rate
    others = compared_fusions[compared_fusions.how == "chosen"]
    assert (others.rate.to_numpy() == best[others.name].to_numpy()).all()
    for name, rate in operators_longer.RATE.items():
        assert rate == best["late table" if name == "image" else name], name


def test_operators_have_equal_parameters():
    for name in operators.OPERATORS:
        size = operators.size(name, operators.width_of(name))
        assert abs(size / operators.TOTAL - 1) < 0.01
    late = operators.size("image", operators.width_of("image")) + 107 * 13
    assert abs(late / operators.TOTAL - 1) < 0.01


def test_changed_shares_are_shares():
    given = torch.softmax(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), 1)
    text, places = torch.zeros(5, 3), torch.zeros(5, 4, 3)
    for how in operators.SHARES:
        shares = operators.changed(lambda text, places: given, how)(text, places)
        assert shares.shape == given.shape
        assert torch.allclose(shares.sum(1), torch.ones(5))
        assert not torch.equal(shares, given)


@pytest.mark.slow
def test_an_operator_trained_anew_answers_within_the_spread_of_its_seeds(compared_fusions):
    anew = operators.build("film, 0.003, seed 0")
    then = (
        compared_fusions[(compared_fusions.name == "film") & (compared_fusions.rate == 0.003)]
        .groupby("seed")
        .score.mean()
    )
    assert abs(anew.score.mean() - then["0"]) < max(0.02, np.ptp(then))


# The weighted sum of text and image ---------------------------------------------------------------


@pytest.fixture(scope="module")
def weighed():
    table = ll.load_records("weights")
    return table.join(table.system.str.extract(r"(?P<way>.+), seed (?P<seed>\d)"))


def test_every_fused_model_answers_the_same_questions(weighed):
    assert weighed.system.unique().tolist() == list(weights.SYSTEMS)
    for (system, part), rows in weighed.groupby(["system", "task"]):
        table = weights.items(part)
        assert rows.item_id.tolist() == table.item_id.tolist(), system
        assert rows.target.tolist() == table.target.tolist(), system
    assert ((weighed.prediction == weighed.target) == weighed.score).all()
    test = weighed[weighed.task == "test"]
    assert test.cluster.nunique() == weights.TEST_IMAGES
    assert test[test.way != "image"].filter(regex="_only|_zero").notna().all(axis=None)


def test_the_image_hears_no_question(weighed):
    rows = weighed[weighed.way == "image"]
    assert (rows.groupby(["system", "task", "cluster"]).prediction.nunique() == 1).all()
    probabilities = np.exp(rows.filter(like="loglik_")).sum(axis=1)
    assert probabilities.between(0.9, 1.1).all()  # two decimals of thirteen logarithms


def test_only_learned_weights_moved(weighed):
    rows = weighed[weighed.way != "image"].drop_duplicates("system")
    start = rows.way.str.extract(r"(0\.\d+)")[0].astype(float)
    moved = (rows.weight - start).abs()
    learned = rows.way.str.startswith("learned")
    assert (moved[~learned] < 1e-6).all()
    assert (moved[learned] > 0.01).all()


def test_validation_chose_the_faster_rate(weighed):
    means = weighed[weighed.task == "validation"].groupby("way").score.mean()
    for weight in weights.SLOWER_AT:
        assert means[f"sum {weight}"] > means[f"sum {weight} slower"]


@pytest.mark.slow
def test_a_fused_model_trained_anew_answers_as_recorded(weighed):
    anew = weights.build("sum 0.7, seed 1").set_index("task").loc["test"]
    then = weighed[weighed.task == "test"].groupby("system").score.mean()
    seeds = [then[f"sum 0.7, seed {seed}"] for seed in weights.SEEDS]
    assert min(seeds) - 0.02 < anew.score.mean() < max(seeds) + 0.02


# Clips --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched():
    return ll.load_records("clips")


def test_every_model_of_clips_answers_the_same_clips(watched):
    assert watched.system.unique().tolist() == list(clips.SYSTEMS)
    test = clips.clips("test")
    one = test.drop_duplicates("pair")
    expected = {"validation": clips.clips("validation"), "test": test, "shuffled": test}
    for (system, task), rows in watched.groupby(["system", "task"]):
        table = expected.get(task, one)
        assert rows.item_id.tolist() == table.item_id.tolist(), system
        assert (rows.target == table.answer.to_numpy()).all(), system
    assert ((watched.prediction == watched.target) == watched.score).all()


def test_no_training_clip_shows_a_picture_of_another_part():
    names = [f"frame_{i}" for i in range(1, 6)]
    train, validation = (
        set(clips.clips(s)[names].to_numpy().ravel()) for s in ("train", "validation")
    )
    assert max(train) < clips.FIRST_VALIDATION <= min(validation)


def test_bag_models_are_at_one_half_on_twins(watched):
    """Whatever they learned; in whichever order the frames come."""
    for model in ("text", "mean", "weighted sum"):
        rows = watched[watched.system.str.startswith(f"{model}, seed")]
        rows = rows[rows.kind.isin(["order", "change"])]
        assert (rows.groupby(["system", "task", "kind"]).score.mean() == 0.5).all()


def test_siblings_show_the_same_as_their_clips():
    shown = clips._shown(ll.load_easy_vqa("test")[0])
    table = clips.clips("test").head(200)
    frames = table[[f"frame_{i}" for i in range(1, 6)]].to_numpy()
    new = clips.replaced(table, False, np.random.default_rng(0))
    new = np.array(list(new.values())).T
    assert ((new != frames).sum(axis=1) == 1).all()
    for place in range(5):
        then, now = shown.loc[frames[:, place]], shown.loc[new[:, place]]
        assert (then.to_numpy() == now.to_numpy()).all()


@pytest.mark.slow
def test_a_model_of_clips_trained_anew_answers_as_recorded(watched):
    """With a new encoder, too: the share of right answers, within the spread of the seeds."""
    anew = clips.build("frame 1, seed 1")
    then = watched[watched.system.str.match("frame 1, seed") & (watched.task == "test")]
    shares = then.groupby(["kind", "system"]).score.mean().unstack()
    now = anew.groupby("kind").score.mean()
    assert ((now - shares.mean(axis=1)).abs() < 4 * shares.std(axis=1) + 0.02).all()


# The second listing -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def second_listing():
    records = ll.load_records("listing_fusion")
    named = records.system.str.rsplit(", seed ", n=1)
    return records.assign(row=named.str[0], seed=named.str[1])


def test_every_row_of_the_second_listing_answers_every_question(second_listing):
    assert second_listing.system.unique().tolist() == list(listing_fusion.SYSTEMS)
    for system, rows in second_listing.groupby("system", sort=False):
        split = "validation" if system.count(",") == 2 else "test"
        items = listing_fusion.asked(split)[0]
        assert set(rows.task) == {split}
        for column in ("item_id", "cluster", "target"):
            assert rows[column].to_list() == items[column].to_list(), system
    assert (second_listing.score == (second_listing.prediction == second_listing.target)).all()
    seeds = second_listing[second_listing.task == "test"].groupby("row").seed.nunique()
    assert (seeds[["written", "sum", "learned_sum", "film", "text"]] == 10).all()


def test_no_image_of_the_second_listing_is_in_two_parts():
    parts = [listing_fusion.asked(split)[0] for split in ("train", "validation", "test")]
    assert [part.image.nunique() for part in parts] == [3_600, 400, 500]
    assert not set(parts[0].image) & set(parts[1].image)


def test_validation_chose_the_rates_of_the_second_listing(second_listing):
    tried = second_listing[second_listing.task == "validation"]
    losses = -tried.assign(operator=tried.row.str.partition(", ")[0]).pivot_table(
        "loglik", "operator", "rate"
    )
    used = second_listing[second_listing.task == "test"].groupby("row").rate.unique()
    for operator in listing_fusion.TUNED:
        assert used[operator].tolist() == [losses.loc[operator].idxmin()], operator
    assert used["written"].tolist() == [listing_fusion.RATE]


@pytest.mark.slow
def test_the_second_listing_run_anew_answers_as_recorded(second_listing):
    anew = listing_fusion.build("written, seed 0")
    then = second_listing[second_listing.system == "written, seed 0"]
    spread = second_listing[second_listing.row == "written"].groupby("seed").score.mean().std()
    assert (anew.prediction.to_numpy() == then.prediction.to_numpy()).mean() > 0.9
    assert abs(anew.score.mean() - then.score.mean()) < max(0.01, 2 * spread)


@pytest.mark.slow
def test_the_second_listing_takes_the_classes_of_bert_and_vit(tmp_path, monkeypatch):
    """The same code trains a tiny BERT and a tiny ViT, each from a folder."""
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    shape["intermediate_size"] = 32
    BertModel(BertConfig(**shape)).save_pretrained(tmp_path / "bert")
    ll.load_encoder().processor.save_pretrained(tmp_path / "bert")
    ViTModel(ViTConfig(**shape)).save_pretrained(tmp_path / "vit")
    ViTImageProcessor().save_pretrained(tmp_path / "vit")
    table, images = listing_fusion.asked("train")
    few = table[table.image < 32].reset_index(drop=True)
    monkeypatch.setattr(listing_fusion, "asked", lambda split: (few, images))
    names = {"text": str(tmp_path / "bert"), "vision": str(tmp_path / "vit")}
    model, loss = listing_fusion.trained("sum", 1e-3, 0, **names)
    assert type(model.image.model).__name__ == "ViTModel"
    assert 1 < loss < 4
    found = listing_fusion.answers(model, "tiny", "test", 1e-3, loss)
    assert np.isfinite(found.loglik).all()


def test_the_small_vit_sees_pixels_as_its_processor_gives_them():
    images = listing_fusion.asked("test")[1][:3]
    processor = ViTImageProcessor(size={"height": 64, "width": 64})
    pixels = processor(list(images), return_tensors="pt")["pixel_values"]
    ours = torch.as_tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert torch.allclose(pixels, ours, atol=1e-5)


# Generated items ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def piloted():
    return ll.load_records("items")


def test_every_taker_sits_the_same_items(piloted):
    assert piloted.system.unique().tolist() == list(items.SYSTEMS)
    expected = items.texts().item_id.tolist()
    for _, table in piloted.groupby("system"):
        assert table.item_id.tolist() == expected


def test_the_reader_found_a_flaw_only_in_items_that_exist(piloted):
    flaws = piloted.drop_duplicates("item_id").set_index("item_id").flaw
    assert set(items.FLAWS) <= set(flaws.index)
    assert set(flaws) == {"", "same", "no key", "no question"}


@pytest.mark.parametrize("system", ["words in text", "longer option", "coin, seed 0"])
def test_a_rule_sits_the_test_anew(piloted, system):
    table = piloted[piloted.system == system].reset_index(drop=True)
    sheet = table.rename(columns={"target": "right"})[["question", "right", "wrong"]]
    right, wrong = items.values(system, sheet.assign(text=items.texts().text)).T
    anew = np.where(np.isclose(right, wrong), 0.5, right > wrong)
    assert anew.tolist() == table.score.tolist()


@pytest.mark.slow
def test_a_model_sits_the_test_anew(piloted):
    table = piloted[piloted.system == "smollm2 without text"].head(SAMPLE).reset_index(drop=True)
    sheet = table.rename(columns={"target": "right"})[["question", "right", "wrong"]]
    right, wrong = items.values("smollm2 without text", sheet).T
    anew = np.where(np.isclose(right, wrong), 0.5, right > wrong)
    assert (anew == table.score).mean() >= 0.8  # near ties depend on the processor


@pytest.mark.slow
def test_an_item_written_anew_begins_as_recorded(piloted):
    first = piloted.iloc[:1]
    anew = items.written(items.texts().iloc[:1])
    assert anew.question[0][:20] == first.question.iloc[0][:20]


# Stories, summaries and programs ------------------------------------------------------------------


@pytest.fixture(scope="module")
def told():
    return ll.load_records("stories")


@pytest.fixture(scope="module")
def programs():
    return ll.load_records("code_samples")


def test_every_teller_has_the_same_items(told):
    assert told.system.unique().tolist() == list(stories.SYSTEMS)
    for (system, task), rows in told.groupby(["system", "task"]):
        table = stories.papers() if task == "summary" else stories.plots()
        assert rows.item_id.tolist() == table.item_id.tolist(), (system, task)
    samples = told[told.task != "summary"].groupby("system").task.nunique()
    assert samples.drop("human").eq(stories.SAMPLES).all()
    assert (told.prediction[told.system == "human"] == "").all()


@pytest.mark.parametrize("system", stories.SUMMARIES)
def test_summaries_scored_anew(told, system):
    rows = told[told.system == system].sample(SAMPLE, random_state=1)
    assert rows.score.tolist() == stories.rouge_1(rows.prediction, rows.target)
    assert rows.prediction.str.split().str.len().max() <= stories.WORDS


@pytest.mark.slow
def test_stories_read_anew_cost_as_recorded(told, lm):
    openings = stories.plots().set_index("item_id").opening
    rows = told[told.system.str.startswith("T ")].sample(SAMPLE, random_state=1)
    anew = stories.nats(lm, openings[rows.item_id], rows.prediction)
    assert np.allclose(anew, rows["loglik"], atol=0.02)


def test_the_salad_is_of_words_that_plots_have(told):
    salad = told[told.system == "salad"].prediction.str.split()
    assert (salad.str.len() == stories.SALAD).all()
    assert set(salad.explode()) <= set(stories.vocabulary())


def test_every_program_was_graded(programs):
    assert programs.system.unique().tolist() == list(code_samples.SYSTEMS)
    for system, rows in programs.groupby("system"):
        table = code_samples.problems()
        if system not in code_samples.FIXED:
            table = code_samples.easy()
            assert rows.task.nunique() == code_samples.SAMPLES
        for _, sample in rows.groupby("task"):
            assert sample.item_id.tolist() == table.item_id.tolist()


def test_the_inputs_of_the_tests_are_all_seen():
    inputs = [code_samples.inputs(item) for item in code_samples.problems().item_id]
    assert min(map(len, inputs)) >= 1
    assert sum(map(len, inputs)) == 1_534


@pytest.mark.slow
@pytest.mark.parametrize("system", code_samples.SYSTEMS)
def test_programs_graded_anew(programs, system):
    problems = {problem.item_id: problem for problem in code_samples.rows(code_samples.problems())}
    rows = programs[programs.system == system]
    for row in rows.sample(4, random_state=1).itertuples():
        said = row.prediction
        if system in code_samples.FIXED:
            said = code_samples.fixed(system, problems[row.item_id])
        assert code_samples.both(row.item_id, said) == (row.score, row.usual)


def test_a_program_that_cannot_be_plain_is_wrong():
    problem = code_samples.rows(code_samples.problems())[0]
    for result in ("object()", "iter([])", "float('nan')", "[[]] * 10 ** 9", "exit(0)"):
        code = f"def {problem.name}(*given):\n    return {result}\n"
        assert not code_samples.plain(problem, code)


def test_a_program_may_return_a_kind_of_dict():
    problem = next(p for p in code_samples.rows(code_samples.problems()) if p.name == "histogram")
    renamed = problem.solution.replace("return dict1", "return collections.Counter(dict1)")
    assert renamed != problem.solution
    assert code_samples.plain(problem, f"import collections\n{problem.prompt}{renamed}")


def test_a_program_cannot_write_its_verdict_to_the_grader_outside():
    problem = code_samples.rows(code_samples.problems())[0]
    rude = "import os; os.write(3, b'passed'); os._exit(0)"
    assert code_samples.both(problem.item_id, f"```python\n{rude}\n```") == (False, True)


def test_a_program_can_keep_neither_the_sandbox_nor_the_grader_busy():
    problem = code_samples.rows(code_samples.problems())[0]
    late = "\nimport atexit, time\natexit.register(time.sleep, 60)\n"
    assert not code_samples.plain(problem, problem.prompt + problem.solution + late)
    numbers = "','.join(str(i * (2**61 - 1)) for i in range(40_000))"
    code = f"with open(3, 'w') as end: end.write('[{{\"set\": [' + {numbers} + ']}}]')\nexit(0)\n"
    start = time.monotonic()
    assert not code_samples.plain(problem, code)
    assert time.monotonic() - start < 30


# Describers of shapes, captions of sounds, search for emoji ---------------------------------------


def test_every_describer_describes_the_same_pictures():
    table = ll.load_records("describers")
    assert table.system.unique().tolist() == list(describers.SYSTEMS)
    counts = table.groupby(["system", "task"]).item_id.nunique().unstack()
    assert (counts.test == 888).all()
    assert (counts.emoji == 1_391).all()
    named = (table.prediction == table.target) == table.score
    assert named[table.task == "test"].all()


@pytest.mark.slow
def test_a_describer_trained_anew_names_as_recorded():
    items = describers.pictures("train")[0]
    truth = describers.pictures("test")[0]
    assert not set(items.item_id) & set(truth.item_id)
    system = "1 epochs, seed 0"
    anew = describers.described(describers.trained(1, 0), system, "test")
    then = ll.load_records("describers").query("system == @system and task == 'test'")
    assert (anew.prediction.to_numpy() == then.prediction.to_numpy()).mean() > 0.9
    assert abs(anew.score.mean() - then.score.mean()) < 0.05


def test_every_captioner_is_heard_by_every_metric():
    table = ll.load_records("captions")
    assert table.system.unique().tolist() == list(captions.SYSTEMS)
    sizes = table.groupby(["system", "task"]).item_id.nunique()
    assert len(sizes) == len(captions.SYSTEMS) * 2 * len(captions.METRICS) * 2
    assert set(sizes[sizes.index.get_level_values("task").str[0] == "A"]) == {450}
    assert set(sizes[sizes.index.get_level_values("task").str[0] == "B"]) == {912}
    assert set(table.prediction) | set(table.target) == {""}  # no text of the data set
    # Far from its references, a sentence vector may point a little the other way.
    assert table.score.between(-0.3, 1).all()


def test_scores_of_captions_are_those_of_their_metrics():
    said = ["a dog barks twice", "rain falls"]
    known = [["a dog barks twice", "a dog"], ["heavy rain falls on a roof", "rain falls"]]
    assert captions.scores("ROUGE-L", said, known).tolist() == [1, 1]
    assert captions.scores("BLEU-4", said, known)[0] == pytest.approx(1)
    assert captions.scores("CIDEr-D", said, known) == pytest.approx(ll.cider_d(said, known) / 10)
    assert captions.rouge("a dog barks", "a dog barks twice") == pytest.approx(6 / 7)


def test_a_wrong_word_is_of_another_sound():
    people = pd.DataFrame([["a dog barks", "a dog"], ["rain falls", "rain on a roof"]])
    changed = captions._wrong(people, 0)
    assert changed[0].split()[0] == "a"
    assert changed[0] != people[0][0]
    assert not set(changed[0].split()) & {"rain"} or "rain" not in people[0][0]


def test_every_search_ranks_the_same_pictures():
    table = ll.load_records("emoji_search")
    assert table.system.unique().tolist() == list(emoji_search.SYSTEMS)
    assert (table.groupby("system").item_id.nunique() == 1_391).all()
    assert table.score.between(1, 279).all()
    assert ((table.score == 1) == (table.prediction == table.target)).all()


def test_no_block_is_on_both_sides_of_a_grouped_split():
    table = emoji_search.emoji()
    for split, length, sizes in (("grouped", -1, (200, 400)), ("wide", -2, (100, 450))):
        fold = pd.Series(emoji_search.folds(split))
        assert (fold.groupby(table.item_id.str[:length].to_numpy()).nunique() == 1).all()
        assert fold.value_counts().between(*sizes).all()
    assert pd.Series(emoji_search.folds("random")).value_counts().between(278, 279).all()


def test_no_query_is_in_the_training_of_its_gallery():
    """A competitor that had learned the query's name would push the right picture back."""
    learned = emoji_search.weights("pixels", "grouped")
    assert np.allclose(learned.sum(axis=1), 0)
    for parts in (emoji_search.galleries(), emoji_search.folds("grouped")):
        assert not learned[parts[:, None] == parts[None, :]].any()
    splits = ("random", "grouped")
    used = {s: (emoji_search.weights("pixels", s) != 0).sum(axis=1).mean() for s in splits}
    assert used["random"] == pytest.approx(used["grouped"], rel=0.02)


def test_ridge_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, y, new = rng.normal(size=(40, 60)), rng.normal(size=(40, 3)), rng.normal(size=(5, 60))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    assert emoji_search.ridge(x, new) @ y == pytest.approx(Ridge(60).fit(x, y).predict(new))


@pytest.mark.slow
def test_a_search_done_anew_ranks_as_recorded():
    """Search among true names, and by the nearest pixels, which need no network."""
    then = ll.load_records("emoji_search").groupby("system")
    for system in ("true caption, minilm, en, zh, random", "pixels, minilm, en, en, random"):
        anew = emoji_search.build(system)
        close = (anew.score.to_numpy() - then.get_group(system).score.to_numpy()).__abs__() <= 3
        assert close.mean() > 0.9, system


# Service ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served():
    return ll.load_records("service")


def test_the_service_has_its_systems_tasks_and_reviews(served):
    assert served.system.unique().tolist() == list(service.SYSTEMS)
    tasks = ll.load_banking()[1]
    for query in service.QUERIES:
        for system in ("minilm cut", "minilm chunks"):
            rows = served[(served.system == system) & (served.task == query)]
            assert rows.item_id.tolist() == tasks.item_id.tolist()
            assert set(rows.ranked.str.split().map(len)) == {service.DEPTH}
    probes = served[served.logit.notna()]
    clear = probes[probes.logit.abs() > 0.001]  # rounded to three decimals
    assert ((clear.logit > 0) == (clear.prediction == "positive")).all()
    test = set(probes[probes.system == "200 drug reviews"].item_id)
    drugs = ll.load_drug_reviews().set_index("item_id")
    assert set(drugs.loc[list(test)].split) == {"test"}


@pytest.mark.slow
def test_minilm_finds_the_documents_again(served):
    rows = served[(served.system == "minilm cut") & (served.task == "opening")].iloc[::20]
    tasks = ll.load_banking()[1].set_index("item_id")
    texts = service.texts("minilm cut")[0]
    for row in rows.itertuples():
        places = list(map(int, row.ranked.split()))[:5]
        both = ll.embed(
            service.encoder(), [tasks.opening[row.item_id], *(texts[i] for i in places)]
        )
        then = np.array(row.cosine.split()[:5], float) / 1000
        assert both[1:] @ both[0] == pytest.approx(then, abs=0.002)


def test_the_shares_are_those_of_the_ranking(served):
    documents, tasks = ll.load_banking()
    rows = served[(served.system == "minilm chunks") & (served.task == "script")]
    for row, need in zip(rows.itertuples(), tasks.required, strict=True):
        first = documents.doc_id.iloc[list(map(int, row.ranked.split()[: service.AT]))]
        assert row.score == pytest.approx(first.isin(need).sum() / len(need))


# Calls --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def called():
    return ll.load_records("calls")


def test_every_recogniser_of_calls_hears_the_same_texts(called):
    assert called.system.unique().tolist() == list(calls.SYSTEMS)
    for (system, task), rows in called.groupby(["system", "task"]):
        table = calls.items(task)
        for column in ("item_id", "cluster", "target", "text_id", "group"):
            assert rows[column].to_list() == table[column].to_list(), system
        assert rows.words.to_list() == table.text.str.split().str.len().to_list()
        if task == "banking":
            assert rows.said.to_list() == table.text.to_list()
        else:  # the words of reviews are not ours to copy
            assert rows[["said", "heard"]].isna().all(axis=None)
    assert (called.groupby("task").cluster.nunique() == len(calls.VOICES)).all()
    assert (called.groupby(["task", "text_id"]).cluster.nunique() == 1).all()


def test_errors_of_calls_are_those_of_what_was_heard(called):
    rows = called[called.task == "banking"].sample(60, random_state=0)
    for row in rows.itertuples():
        assert calls.errors(row.said, row.heard).items() <= row._asdict().items()
    assert (called.content_errors <= called.substitutions + called.deletions).all()
    assert (called.substitutions + called.deletions <= called.words).all()


def test_calls_find_by_words_what_is_recorded(called):
    rows = called[(called.task == "banking") & (called.system == "own, telephone")]
    for texts, share, some in ((rows.heard, "score", "any"), (rows.said, "true_score", "true_any")):
        found = calls.shares(calls.found_by_words(texts.to_list()), rows.target)
        assert rows[share].to_list() == found[0]
        assert rows[some].to_list() == found[1]
    assert (called.groupby(["task", "item_id"]).true_score.nunique() == 1).all()


def test_a_call_spoken_and_heard_anew_is_as_recorded(called):
    """Three texts: the voices never speak a text twice alike, and a recogniser recalls the last."""
    table = calls.items("banking").drop_duplicates("text").head(3)
    then = called[(called.task == "banking") & (called.system == "own, clean")]
    then = then.set_index("item_id").loc[table.item_id]
    heard = calls.recognised(table, "own, clean", "banking")
    # Four times anew there were 12 to 15 errors in 38 words, and 12 are recorded.
    now = [calls.errors(*pair) for pair in zip(table.text, heard, strict=True)]
    wrong = ["substitutions", "deletions", "insertions"]
    assert abs(pd.DataFrame(now)[wrong].to_numpy().sum() - then[wrong].to_numpy().sum()) <= 8


def test_sounds_of_calls_are_level_and_a_telephone_cuts_them():
    sounds = (calls.sound("i want to check my balance", "American", n) for n in calls.NOISES)
    clean, phone = (np.frombuffer(sound, "<i2").astype(float) for sound in sounds)
    speech = clean[4_800:-4_800]
    assert np.sqrt(np.mean(speech**2)) == pytest.approx(calls.LEVEL * 32_767, rel=0.05)
    assert np.std(clean[:4_000]) == pytest.approx(calls.LEVEL * 32_767 / 100, rel=0.05)
    power = [np.abs(np.fft.rfft(sound)) ** 2 for sound in (clean, phone)]
    above = np.fft.rfftfreq(len(clean), 1 / calls.RATE) > 4_500
    assert power[1][above].sum() < 0.1 * power[0][above].sum()


def test_the_language_model_of_calls_gives_probabilities():
    """After each history, the words seen and, through back-off, all others sum to 1."""
    model = calls.arpa(["my gold card", "my card is gold", "close my gold card"])
    parts = [
        dict((line.split("\t")[1], line.split("\t")) for line in part.splitlines() if "\t" in line)
        for part in model.split("-grams:")[1:]
    ]
    words = [word for word in parts[0] if word != "<s>"]
    assert sum(10 ** float(parts[0][word][0]) for word in words) == pytest.approx(1, abs=0.001)

    def probability(word, *history):
        row = parts[len(history)].get(" ".join((*history, word)))
        if row:
            return 10 ** float(row[0])
        known = parts[len(history) - 1].get(" ".join(history))
        return (10 ** float(known[2]) if known else 1) * probability(word, *history[1:])

    for history in (("my",), ("<s>",), ("my", "gold"), ("<s>", "my"), ("close", "my")):
        total = sum(probability(word, *history) for word in words)
        assert total == pytest.approx(1, abs=0.001)


# Driving ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def driven():
    return ll.load_records("driving")


def test_every_policy_drives_the_same_traffics(driven):
    """Also the language model, on the first ones; the expert agrees with itself."""
    rows = driven[driven.task == "drive"]
    named = {
        s for s in driving.SYSTEMS if s.partition(" ")[0] not in ("scene", "perceive", "words")
    }
    assert set(rows.system) == named
    for system, of in rows.groupby("system"):
        n = driving.LANGUAGE_EPISODES if system.startswith("language") else driving.EPISODES
        assert of.item_id.tolist() == [f"{seed}" for seed in range(n)], system
    assert (rows.impact.isna() == (rows.score == 1)).mean() > 0.99
    assert (rows.steps == 20)[rows.score == 1].all()
    expert = rows[rows.system == "rule 4 s"]
    assert (expert.agree == expert.states).all()
    assert (expert.agree_own == expert.steps).all()
    assert (rows.groupby("item_id").states.nunique() == 1).all()


def test_scenes_words_and_readers(driven):
    scenes = driven[driven.task.str.startswith("scene")]
    assert set(scenes.task) == {f"scene {name}" for name in driving.SCENES}
    assert (scenes.groupby("task").size() == driving.SCENE_EPISODES).all()
    words = driven[driven.task == "words"]
    assert (words.groupby("system").size() == driving.WORDS_STATES + 1).all()
    logliks = words[[f"loglik_{name}" for name in driving.ACTIONS]]
    chosen = logliks.to_numpy().argmax(axis=1)
    assert (np.array(driving.ACTIONS)[chosen] == words.prediction).all()
    sight = driven[driven.task == "perceive"]
    episodes = sight[sight.system != "both, split by state"].cluster.astype(int)
    assert episodes.min() == driving.PERCEIVED - driving.TESTED
    assert ((sight.logit > 0) == (sight.prediction == "crash")).mean() > 0.99


@pytest.mark.parametrize("system", ["slower", "keep", "rule 2 s"])
def test_driven_anew(driven, system):
    then = driven[(driven.task == "drive") & (driven.system == system)].head(3)
    for row in then.itertuples():
        run = driving.outcome(driving.drive(driving.policy(system), int(row.item_id)))
        assert run["crash"] == (row.score == 0)
        assert (run["steps"], run["metres"]) == (row.steps, row.metres)


@pytest.mark.slow
def test_a_clone_learns_again(driven):
    """From 10 episodes; the digits of training may differ, what it says hardly."""
    anew = driving.driven("net 10", range(4))
    then = driven[(driven.task == "drive") & (driven.system == "net 10")].head(4)
    assert abs(anew.agree.sum() - then.agree.sum()) <= 0.1 * then.states.sum()


@pytest.mark.slow
def test_words_read_anew(driven, lm):
    then = driven[driven.system == "language plain"]
    then = then[(then.task == "words") & (then.item_id == "none")]
    text, names = driving.prompts(None, "plain")
    anew = ll.loglikelihood(lm, [(text, f" {name}") for name in names])
    recorded = then[[f"loglik_{name}" for name in driving.ACTIONS]].to_numpy()[0]
    assert np.allclose(anew, recorded, atol=0.02)


def test_the_rule_evades_and_brakes():
    free = [1.0, driving.FAR, 0.0, driving.FAR, 0.0]
    closing = [1.0, 20.0, 5.0, driving.FAR, 0.0]
    beside = [1.0, driving.FAR, 0.0, 5.0, 3.0]
    none = [0.0] * 5
    rule, sees = driving.rule, lambda *parts: np.concatenate([[25.0, 1.0, 1.0], *parts])
    assert rule(sees(none, free, none)) == driving.FASTER
    assert rule(sees(free, closing, none)) == driving.LEFT
    assert rule(sees(beside, closing, none)) == driving.SLOWER
    assert rule(np.concatenate([[30.0, 2.0, 1.0], none, free, none])) == driving.KEEP


def test_a_blank_picture_is_refused():
    with pytest.raises(ValueError, match="SDL_VIDEODRIVER"):
        driving.small(np.zeros((150, 600, 3)))


# Contamination ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def leaks():
    return ll.load_records("contamination")


@pytest.fixture(scope="module")
def changed():
    return ll.load_records("perturbed")


def test_the_coin_made_the_arms(leaks):
    assert leaks.system.unique().tolist() == list(contamination.SYSTEMS)
    for system in contamination.SYSTEMS[:-1]:
        rows = leaks[(leaks.system == system) & (leaks.task == "reviews")]
        arms, copies = contamination.coin(system)
        assert rows.item_id.tolist() == contamination.items().item_id.tolist()
        assert (rows.edited.to_numpy() == (arms == "edited")).all()
        assert (rows.copies[arms == "never"] == 0).all()
        lists = leaks[(leaks.system == system) & (leaks.task == "order")]
        assert lists.copies.tolist() == copies.tolist()
    draws = [contamination.coin(f"draw {i}")[0] for i in range(contamination.DRAWS)]
    assert all(pd.Series(arms).value_counts().to_dict() == contamination.ARMS for arms in draws)
    assert (draws[0] != draws[1]).mean() > 0.5


def test_edited_copies_have_no_four_words_in_place():
    text = "a b c d e f g h i"
    assert contamination.without_fourths(text) == "a b c e f g i"
    assert contamination.without_fourths("a b c") == "a b c"


def test_every_item_has_its_own_end_first():
    for text, (opening, right, *wrong) in zip(
        contamination.items().text, contamination.choices(), strict=True
    ):
        assert f"{opening} {right}" == text
        assert len(wrong) == contamination.CHOICES - 1
        assert right not in wrong


def test_training_reads_what_the_coin_says():
    arms, copies = contamination.coin("draw 0")
    none, some = (len(contamination.documents(s)) for s in ("reference", "draw 0"))
    times = {"never": 0, "1": 1, "4": 4, "16": 16, "edited": 16}
    assert some - none == sum(times[arm] for arm in arms) + copies.sum()


def test_the_tokens_are_those_of_the_texts(leaks):
    rows = leaks[(leaks.system == "draw 0") & (leaks.task == "reviews")].head(SAMPLE)
    texts = contamination.items().set_index("item_id").text
    for row in rows.itertuples():
        logs = np.array(row.tokens.split(), float) / 100
        assert len(logs) == len(row.spread.split()) == len(contamination.ids(texts[row.item_id]))
        assert logs.sum() == pytest.approx(row.loglik, abs=0.01 * len(logs))


@pytest.mark.slow
def test_the_reference_trained_anew(leaks):
    model = contamination.trained("reference")
    then = leaks[(leaks.system == "reference") & (leaks.task == "reviews")].head(200)
    found = contamination.details(model, contamination.items().text.head(200))
    assert np.corrcoef(found["loglik"], then["loglik"])[0, 1] > 0.99
    assert found["packed"] == then.packed.tolist()


def test_the_changes_leave_the_words():
    rng = np.random.default_rng(0)
    text = "A rather long sentence about nothing in particular"
    swapped = perturbed.swapped(" ".join([text] * 9), rng)
    assert swapped != " ".join([text] * 9)
    assert sorted(swapped) == sorted(" ".join([text] * 9))
    assert perturbed.CHANGES["two spaces"](text, rng).split() == text.split()
    templates = perturbed.table("templates").set_index("item_id").target
    assert templates["not good"] == templates["plain bad"] == "rotten"


def test_every_reader_has_every_change(changed):
    assert changed.system.unique().tolist() == list(perturbed.SYSTEMS)
    sizes = changed[changed.system != "templates"].groupby("task").item_id.nunique()
    assert sizes.drop("smollm2").eq(perturbed.ITEMS).all()
    assert sizes["smollm2"] == perturbed.FEW
    assert ((changed.logit > 0) == (changed.prediction == "fresh")).all()


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["minilm", "smollm2"])
def test_changed_reviews_read_anew(changed, reader):
    rows = changed[(changed.task == reader) & (changed.system == "typos")].head(SAMPLE)
    texts = perturbed.table("typos").text.head(SAMPLE).tolist()
    assert perturbed.readers()[reader](texts) == pytest.approx(rows.logit, abs=0.02)


# Explanations -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explained():
    return ll.load_records("explanations")


def test_every_explanation_has_every_test_on_the_same_reviews(explained):
    assert explained.system.unique().tolist() == list(explanations.SYSTEMS)
    of_reviews = explained[explained.system.isin(explanations.METHODS)]
    items = of_reviews.groupby(["system", "task"]).item_id.agg(tuple)
    assert len(items) == 5 * len(explanations.METHODS)
    assert items.nunique() == 1
    films = of_reviews.drop_duplicates("item_id").cluster.value_counts()
    assert len(films) == explanations.REVIEWS // 2
    assert set(films) == {2}
    of_papers = explained[explained.task == "highlights"]
    assert of_papers.groupby("system").item_id.agg(tuple).nunique() == 1


@pytest.mark.parametrize("system", ["random", "occlusion, random head"])
def test_what_is_random_is_drawn_several_times(explained, system):
    rows = explained[(explained.system == system) & (explained.task == "attribution")]
    draws = np.array([row.split() for row in rows.draws], float) / 1000
    assert draws.shape == (explanations.REVIEWS, explanations.DRAWS)
    assert draws.mean(axis=1) == pytest.approx(rows.score.to_numpy(), abs=0.001)


def test_a_head_and_its_opposite_disagree_alike(monkeypatch):
    table = pd.DataFrame({"sign": [1.0, -1.0], "words": [["a"] * 4, ["b"] * 3]})
    rng = np.random.default_rng(0)
    changes = [rng.normal(size=(n, 384)) for n in (4, 3)]
    head = rng.normal(size=384)
    monkeypatch.setattr(explanations, "reviews", lambda: table)
    monkeypatch.setattr(explanations, "without_each", lambda how: changes)
    monkeypatch.setattr(explanations, "random_head", lambda seed: head * (-1) ** seed)
    one, other = (explanations.attributions("occlusion, random head", k) for k in (8, 9))
    explanations.attributions.cache_clear()
    assert all(np.allclose(a, -b) for a, b in zip(one, other, strict=True))


def test_highlights_have_an_auc_for_each_kind(explained):
    kinds = explained[explained.task == "highlights"][list(explanations.KINDS)]
    assert kinds.notna().all(axis=None)
    assert ((kinds >= 0) & (kinds <= 1)).all(axis=None)


@pytest.mark.slow
def test_words_are_occluded_again(explained):
    rows = explained[
        (explained.system == "occlusion, delete") & (explained.task == "attribution")
    ].iloc[::40]
    texts = ll.load_reviews().set_index("item_id").text
    for row in rows.itertuples():
        words, sign = texts[row.item_id].split(), np.sign(row.logit)
        holes = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
        whole, *rest = explanations.logit(explanations.vectors([" ".join(words), *holes]))
        assert whole == pytest.approx(row.logit, abs=0.002)
        then = np.array(row.values.split(), float) / 1000
        assert sign * (whole - np.array(rest)) == pytest.approx(then, abs=0.004)


@pytest.mark.parametrize("how", explanations.OPERATIONS)
def test_only_the_named_words_change(how, monkeypatch):
    monkeypatch.setattr(explanations, "stock", lambda: ["other"])
    words, rng = ["one", "two", "three", "four"], np.random.default_rng(0)
    left = explanations.changed(words, [1, 3], how, rng).split()
    new = {"mask": "[MASK]", "delete": "", "replace": "other"}[how]
    assert left == [word for word in ("one", new, "three", new) if word]


# Shortcuts ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shortcut():
    return ll.load_records("shortcuts")


def test_every_method_names_a_word_of_the_same_planted_reviews(shortcut):
    assert shortcut.system.unique().tolist() == list(shortcuts.SYSTEMS)
    named = shortcut[shortcut.system != "smollm2 path"]
    assert named.groupby(["system", "task"]).item_id.agg(tuple).nunique() == 1
    assert set(named.cluster) == set(shortcuts.PLANTED)
    assert ((named.score == 1) == (named.top == named.planted)).mean() > 0.99
    assert ((named.score == 1) <= (named["rank"] == 1)).all()


def test_a_planted_word_is_put_in_once_and_does_what_the_coin_says():
    rng = np.random.default_rng(0)
    words, at = shortcuts.put(["a", "b"], "zorvex", rng)
    assert words[at] == "zorvex"
    assert [w for w in words if w != "zorvex"] == ["a", "b"]
    texts = " ".join(ll.load_reviews().text).lower()
    assert not any(word in texts for word in shortcuts.INVENTED)


def test_slopes_add_up_where_they_should(shortcut):
    walks = shortcut[shortcut.system == "smollm2 path"]
    for row in walks.itertuples():
        slopes = np.array(row.slopes.split(), float) / 1000
        assert len(slopes) == row.steps
        assert abs(slopes.mean() - row.change) == pytest.approx(row.score, abs=0.002)


@pytest.mark.slow
def test_a_planted_word_has_its_effect_again(shortcut):
    word, q = shortcuts.PLANTED[0], 0.9
    rows = shortcut[(shortcut.task == f"q = {q:g}") & (shortcut.cluster == word)]
    rows = rows[rows.system == "random"]
    table, model = shortcuts.test(word), shortcuts.head(word, q)
    after, before = (model.decision_function(np.stack(table[n])) for n in ("after", "before"))
    assert after - before == pytest.approx(rows.effect.to_numpy(), abs=0.02)


# Votes on small sums ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def voted():
    return ll.load_records("votes")


def test_every_sum_is_asked_as_often_as_said(voted):
    assert voted.system.unique().tolist() == list(votes.SYSTEMS)
    for (system, _), rows in voted.groupby(["system", "task"]):
        assert rows.item_id.tolist() == votes.sums().item_id.tolist(), system
    samples = voted.groupby("system").task.nunique()
    assert samples.filter(like="greedy").eq(1).all()
    assert samples.filter(like="T ").eq(votes.SAMPLES).all()


def test_sums_are_right_and_none_is_shown_solved(voted):
    added = voted.item_id.map(lambda asked: str(sum(map(int, asked.split(" + ")))))
    assert (added == voted.target).all()
    assert (voted.score == (voted.prediction == voted.target)).all()
    for row in votes.sums().itertuples():
        assert f"{row.asked} =" not in votes.prompt(row.kind, "", 8)


def test_a_sum_is_answered_anew_as_recorded(lm, voted):
    table = votes.sums().sample(3, random_state=1)
    for system, at, samples in (("greedy, 2 shots", 0.0, 1), ("T 0.5", 0.5, votes.SAMPLES)):
        for row in table.itertuples():
            text = votes.prompt(row.kind, row.asked, 2)
            anew = votes.drawn(lm, text, samples, at, seed=row.Index)
            kept = voted[(voted.system == system) & (voted.item_id == row.item_id)]
            agree = [a[0] == b for a, b in zip(anew, kept.prediction, strict=True)]
            assert np.mean(agree) > 0.8, (system, row.asked)
            assert anew[0][2] == kept.tokens.iloc[0]


def test_the_log_likelihood_is_that_of_the_library(lm, voted):
    kinds = votes.sums().set_index("item_id").kind
    rows = voted[(voted.system == "greedy, 2 shots")].sample(SAMPLE, random_state=1)
    pairs = [
        (votes.prompt(kinds[row.item_id], row.item_id, 2), f" {row.prediction}\n")
        for row in rows.itertuples()
    ]
    anew = ll.loglikelihood(lm, pairs)
    # Where the model ends its line with two line breaks, that is another token.
    assert np.isclose(anew, rows["loglik"], atol=0.02).mean() > 0.5
    assert (anew < rows["loglik"] + 0.02).all()


# Judging ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged():
    return ll.load_records("judging")


def test_judged_pairs_are_those_of_the_data(judged):
    assert judged.system.unique().tolist() == list(judging.SYSTEMS)
    assert (judged.groupby("system").task.unique().str.join(" ") == "first second").all()
    table = judging.pairs()
    assert len(table) == judging.PAIRS
    assert table.item_id.is_unique
    for (system, _), rows in judged.groupby(["system", "task"]):
        if system in judging.REVIEWS:
            assert rows.item_id.to_list() == table.item_id.to_list()
            assert rows.cluster.to_list() == table.cluster.to_list()
        else:
            assert len(rows) == 16 * judging.SAMPLES
            assert rows.cluster.nunique() == 16
            assert (rows.words == rows.other_words).all()
    reviews_by_id = ll.load_reviews().set_index("item_id")
    for row in table.itertuples():
        fresh, rotten = (reviews_by_id.loc[i] for i in row.item_id.split("/"))
        assert (fresh.label, rotten.label) == ("fresh", "rotten")
        assert fresh.film == rotten.film == row.cluster


def test_judged_scores_follow_from_the_margins(judged):
    assert (judged.score == ((judged.margin > 0) == (judged.task == "first"))).all()
    assert (judged.prediction == judged.target).equals(judged.score == 1)


def test_padding_is_the_only_difference_of_padded_pairs(judged):
    pairs = ["plain", "fresh padded", "rotten padded"]
    words = judged[(judged.task == "first") & judged.system.isin(pairs)]
    words = words.pivot(index="item_id", columns="system", values="words")
    padding = len(judging.PADDING.split())
    assert (words["fresh padded"] == words["plain"] + padding).all()
    assert (words["rotten padded"] == words["plain"]).all()


@pytest.mark.slow
def test_some_pairs_judged_anew(judged):
    for system in judging.SYSTEMS:
        table = judging.asked(system).head(SAMPLE // 4)
        for order in judging.ORDERS:
            then = judged[(judged.system == system) & (judged.task == order)]
            now = judging.margins(table[order], system == "chat")
            assert now == pytest.approx(then.margin.head(len(table)).to_numpy(), abs=2e-3)


# Tools --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_tools():
    return ll.load_records("tools")


@pytest.fixture(scope="module")
def with_switches():
    return ll.load_records("switches")


def test_tools_and_switches_answer_the_same_questions(by_tools, with_switches):
    first, second = tools.questions(), tools.questions(again=True)
    assert not set(first.item_id) & set(second.item_id)
    assert set(by_tools.system) == set(tools.SYSTEMS)
    assert with_switches.system.unique().tolist() == list(switches.SYSTEMS)
    for system, rows in with_switches.groupby("system"):
        asked = second if "again" in system else first
        assert rows.item_id.to_list() == asked.item_id.to_list(), system
        assert rows.cluster.to_list() == asked.subject.to_list(), system
    twins = first.item_id[first.choices.map(lambda c: len(set(c)) < 4)]
    for task, rows in by_tools.groupby("task"):
        left_out = set(first.item_id) - set(rows.item_id)
        assert left_out == (set(twins) if task == "texts" else set()), task
    for rows in (by_tools[by_tools.task != "written"], with_switches):
        logliks = rows[[f"loglik_{letter}" for letter in tools.LETTERS]].to_numpy()
        said = np.array(list(tools.LETTERS))[logliks.argmax(axis=1)]
        assert (said == rows.prediction).all()
        assert (rows.score == (rows.prediction == rows.target)).all()


def test_moved_choices_have_moved_keys(with_switches):
    moved = with_switches[with_switches.system == "letters moved"].target
    plain = with_switches[with_switches.system == "bare"].target
    assert list(zip(plain, moved, strict=True)) == [
        (key, dict(zip("ABCD", "BCDA", strict=True))[key]) for key in plain
    ]


def test_lm_eval_and_ours_agree_on_every_text(by_tools, with_switches):
    names = [f"loglik_{letter}" for letter in tools.LETTERS]
    theirs = by_tools[by_tools.task == "texts"].set_index("item_id")
    ours = with_switches[with_switches.system == "question"].set_index("item_id").loc[theirs.index]
    assert np.allclose(theirs[names], ours[names], atol=0.002)
    assert (theirs.prediction == ours.prediction).all()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["bare", "question chat", "bare bos", "letters moved"])
def test_switched_anew(with_switches, lm, system):
    asked = tools.questions().head(4)
    requests = (
        switches.listed(asked) if "letters" in system else switches.texts(lm, asked, system.split())
    )
    anew = ll.loglikelihood(lm, requests).reshape(-1, 4)
    then = with_switches[with_switches.system == system].head(4)
    then = then[[f"loglik_{letter}" for letter in tools.LETTERS]].to_numpy()
    assert np.allclose(anew, then, atol=0.002)


def test_the_task_files_are_of_the_tools(tmp_path):
    """Both ask what the chapter says; that they run is what the chapter does."""
    tools.prepare(tools.questions().head(2), tmp_path)
    letters = yaml.safe_load((tmp_path / "tasks/letters.yaml").read_text("utf-8"))
    assert letters["doc_to_text"].endswith("D. {{choices[3]}}\nAnswer:")
    assert yaml.safe_load((tmp_path / "tasks/texts.yaml").read_text("utf-8"))["task"] == "texts"
    compile((tmp_path / "mmlu.py").read_text("utf-8"), "mmlu.py", "exec")


@pytest.fixture(scope="module")
def leaning():
    return ll.load_records("bias")


def test_every_form_asks_the_same_questions_of_bbq(leaning):
    assert leaning.system.unique().tolist() == list(bias.SYSTEMS)
    source = ll.load_bbq().set_index("item_id")
    for system, rows in leaning.groupby("system"):
        unsure = rows[rows.condition == "ambig"]
        assert (len(unsure), unsure.cluster.nunique(), unsure.category.nunique()) == (360, 90, 9)
        assert (unsure.groupby("set").polarity.nunique() == 2).all()
        assert len(rows) == (540 if system in bias.TOLD else 360)
        at = source.loc[rows.item_id]
        assert (at.template.to_numpy() == rows.cluster).all()
        places = dict(
            zip(bias.KINDS, (at.target, 3 - at.target - at.unknown, at.unknown), strict=True)
        )
        right = [places[kind].iloc[n] for n, kind in enumerate(rows.target)]
        assert (at.label.to_numpy() == right).all()
    texts = leaning[[c for c in leaning if leaning[c].dtype == "object"]]
    assert texts.map(lambda one: len(str(one)) < 40).all(axis=None)  # no texts


def test_each_answer_is_listed_once_at_each_place():
    row = bias.questions().iloc[0]
    places = np.array([bias.places(row, order) for order in range(bias.ORDERS)])
    assert (np.arange(3) == np.sort(places, axis=0).T).all()
    assert (np.sort(places, axis=1) == np.arange(3)).all()


def test_a_foreign_question_is_of_another_category():
    table = bias.questions()
    own = table.groupby("category").question.agg(set)
    assert not any(row.foreign in own[row.category] for row in table.itertuples())


def test_more_foreign_questions_are_asked_of_the_same_contexts(leaning):
    records = ll.load_records("bias_foreign")
    assert records.system.unique().tolist() == list(bias_foreign.SYSTEMS)
    there = leaning[leaning.system == "no list"].query("condition == 'ambig'")
    for _, rows in records.groupby("system"):
        assert rows.item_id.tolist() == there.item_id.tolist()
    table = bias.asked("no context").reset_index(drop=True)
    assert (bias_foreign.foreign(table, 1).foreign == table.foreign).all()
    own = table.groupby("category").question.agg(set)
    for step in bias_foreign.STEPS:
        rows = bias_foreign.foreign(table, step).itertuples()
        assert not any(row.foreign in own[row.category] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 7])
def test_foreign_questions_asked_anew(lm, step):
    drawn = np.random.default_rng(step).choice(360, 3, replace=False)
    anew = [ll.loglikelihood(lm, bias_foreign.requests(step)[n]) for n in drawn]
    records = ll.load_records("bias_foreign")
    there = records[records.system == f"foreign question, {step} further"].iloc[drawn]
    assert np.allclose(anew, there[["loglik_stereotyped", "loglik_other"]], atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["letter, order 1", "text, order 2", "no list", "no context"])
def test_questions_of_bbq_asked_anew(leaning, lm, system):
    rows = bias.asked(system).reset_index(drop=True).sample(3, random_state=0)
    anew = [ll.loglikelihood(lm, bias.requests(system, row)) for row in rows.itertuples()]
    there = leaning[leaning.system == system].set_index("item_id").loc[rows.item_id]
    recorded = there[[f"loglik_{kind}" for kind in bias.KINDS]]
    assert np.allclose(anew, recorded, atol=0.02)


@pytest.fixture(scope="module")
def paired():
    return ll.load_records("bias_pairs")


def test_three_beginnings_score_the_same_sentences(paired):
    assert paired.system.unique().tolist() == list(bias_pairs.SYSTEMS)
    for system, rows in paired.groupby("system"):
        task, how = system.split(", ")
        assert rows.item_id.is_unique
        if how == "equals":
            style = paired[paired.system == f"{task}, style"]
            assert rows.item_id.tolist() == style.item_id.tolist()
    crows = paired[paired.system == "crows, plain"]
    assert crows.item_id.tolist() == ll.load_crows_pairs()[0].item_id.tolist()
    lengths = [len(start) for start in bias_pairs.BEGINNINGS.values()]
    assert abs(lengths[1] - lengths[2]) < 10


def test_the_end_of_a_pair_is_what_both_share():
    pairs = ll.load_crows_pairs()[0]
    for more, less in zip(pairs.more[:200], pairs.less[:200], strict=True):
        (a, end_a), (b, end_b) = bias_pairs.ends(more, less)
        assert (a + end_a, b + end_b) == (more, less)
        assert a
        assert end_a == end_b or " " not in end_a.strip()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["crows, equals", "stereoset, style", "winobias, plain"])
def test_sentences_scored_anew(paired, lm, system):
    items, names, requests = bias_pairs.asked(system)
    drawn = np.random.default_rng(0).choice(len(items), 3, replace=False)
    anew = [ll.loglikelihood(lm, requests[n]) for n in drawn]
    there = paired[paired.system == system].set_index("item_id")
    there = there.loc[items.item_id.iloc[drawn], [f"loglik_{name}" for name in names]]
    assert np.allclose(anew, there, atol=0.02)
