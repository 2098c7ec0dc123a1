"""The recorded results are what the models really say: a sample is scored anew."""

from dataclasses import replace

import numpy as np
import pytest

import lleval_lib as ll
from lleval_lib import recorded
from lleval_lib.recorded import LABELS, review_items, review_task

TRAINED = ["majority", "tf-idf", "minilm probe", "minilm fine-tuned"]
BY_LIKELIHOOD = [
    "smollm2 sentiment",
    "smollm2 question",
    "smollm2 critic",
    "smollm2 sentiment 4-shot",
    "smollm2 sentiment 4-shot reversed",
]
SAMPLE = 12


@pytest.fixture(scope="module")
def records():
    return ll.load_records("reviews")


@pytest.fixture(scope="module")
def test_items():
    return review_items("test")


@pytest.fixture(scope="module")
def lm():
    return ll.load_lm()


def _task(system):
    """Return the task that the name of a recorded SmolLM2 system describes."""
    prompt, *rest = system.removeprefix("smollm2 ").split()
    assert set(rest) <= {"4-shot", "reversed", "written"}
    return review_task(
        prompt,
        shots=4 if "4-shot" in rest else 0,
        reverse="reversed" in rest,
        written="written" in rest,
    )


def _written(records):
    return [name for name in records.system.unique() if name.endswith("written")]


def test_systems_and_items(records, test_items):
    """Every system answers every test review once, in one order, with the data's own labels."""
    systems = set(records.system)
    assert systems >= {*TRAINED, *BY_LIKELIHOOD}
    assert _written(records)
    assert set(records.task) == {"reviews"}
    for name, rows in records.groupby("system"):
        for column in ("item_id", "cluster", "target"):
            assert rows[column].to_list() == test_items[column].to_list(), name


def test_no_system_trained_on_a_test_film(records):
    films = {split: set(review_items(split).cluster) for split in ("train", "validation", "test")}
    assert set(records.cluster) == films["test"]
    assert len(films["test"]) == 100
    assert not films["test"] & (films["train"] | films["validation"])


def test_scores_and_predictions(records):
    assert (records.score == (records.prediction == records.target)).all()
    by_likelihood = records[~records.system.isin(_written(records))]
    assert set(by_likelihood.prediction) <= set(LABELS)
    logliks = by_likelihood[[f"loglik_{label}" for label in LABELS]].to_numpy()
    most_likely = np.array(LABELS)[logliks.argmax(axis=1)]
    assert (by_likelihood.prediction == most_likely).all()
    place = [LABELS.index(target) for target in by_likelihood.target]
    assert (by_likelihood.loglik == logliks[np.arange(len(place)), place]).all()
    assert (logliks <= 0).all()


def test_trained_systems_give_probabilities(records):
    rows = records[records.system.isin(TRAINED)]
    total = np.exp(rows.loglik_fresh) + np.exp(rows.loglik_rotten)
    # The probe computes in 32-bit floats.
    assert total.to_numpy() == pytest.approx(np.ones(len(rows)), abs=1e-6)


def test_majority_is_the_base_rate(records, test_items):
    rows = records[records.system == "majority"]
    train = review_items("train").target
    most = train.mode()[0]
    assert set(rows.prediction) == {most}
    assert rows.score.mean() == (test_items.target == most).mean()
    share = (train == "fresh").mean()
    assert np.exp(rows.loglik_fresh.to_numpy()) == pytest.approx(np.full(len(rows), share))


def test_believable_accuracies(records):
    """What is trained on 9,000 reviews beats the majority beyond doubt, and nothing is too good."""
    of = dict(list(records.groupby("system")))
    for name in TRAINED[1:]:
        assert ll.compare(of["majority"], of[name]).difference.low > 0.1
        assert of[name].score.mean() < 0.85
    assert 0.5 < of["majority"].score.mean() < 0.6
    for name in BY_LIKELIHOOD:
        assert 0.45 < of[name].score.mean() < 0.85


def _sample(task, system):
    """Return the task with a few of its items, others for each system."""
    items = task.items.sample(SAMPLE, random_state=sum(system.encode()))
    return replace(task, items=items)


def test_prompts_are_those_of_the_tasks(records):
    """All of them, not a sample: this costs no inference."""
    for system, rows in records[records.system.str.startswith("smollm2")].groupby("system"):
        task = _task(system)
        assert rows.prompt.to_list() == [task.prompt(item) for item in task.items.itertuples()]


@pytest.mark.parametrize("system", BY_LIKELIHOOD)
def test_likelihoods_scored_anew(records, lm, system):
    anew = ll.evaluate(_sample(_task(system), system), lm).set_index("item_id")
    then = records[records.system == system].set_index("item_id").loc[anew.index]
    for column in ("loglik", "loglik_fresh", "loglik_rotten"):
        assert anew[column].to_numpy() == pytest.approx(then[column].to_numpy(), abs=1e-3)
    # A tie within the tolerance may fall either way on another processor.
    sure = (then.loglik_fresh - then.loglik_rotten).abs() > 2e-3
    assert sure.sum() >= SAMPLE - 2
    assert (anew.prediction == then.prediction)[sure].all()


def test_written_answers_written_anew(records, lm):
    for system in _written(records):
        anew = ll.evaluate(_sample(_task(system), system), lm).set_index("item_id")
        then = records[records.system == system].set_index("item_id").loc[anew.index]
        # Two tokens that are equally likely may fall either way on another processor.
        assert (anew.written != then.written).sum() <= 1
        assert (anew.prediction != then.prediction).sum() <= 1
        assert then.prediction.to_list() == [recorded.read_label(text) for text in then.written]


def test_tfidf_fitted_anew(records, test_items):
    then = records[records.system == "tf-idf"]
    p_fresh = recorded._tfidf(review_items("train"), test_items.text)
    predictions = np.where(p_fresh >= 0.5, *LABELS)
    assert (predictions == then.prediction).mean() >= 0.99
    assert p_fresh == pytest.approx(np.exp(then.loglik_fresh.to_numpy()), abs=0.01)
