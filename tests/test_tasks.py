"""Tasks ask what they should, score by likelihood or by what is written, and refuse nonsense."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lleval_lib as ll

ITEMS = pd.DataFrame(
    {
        "item_id": ["q3", "q1", "q2"],
        "cluster": ["capitals", "sums", "capitals"],
        "question": ["The capital of France is", "Two plus two is", "The capital of Italy is"],
        "target": ["paris", "four", "rome"],
    },
    index=[7, 3, 3],  # the items' index plays no part
)
# Texts of unequal length in tokens: the likelihood is that of the whole text.
CHOICES = {"rome": " Rome", "four": " four", "paris": " Paris", "none": " not known to anyone"}


@pytest.fixture(scope="module")
def lm():
    return ll.load_lm()


@pytest.fixture
def task():
    return ll.Task("facts", ITEMS, lambda item: item.question, CHOICES)


@pytest.mark.slow
def test_likelihood_by_hand(lm, task):
    records = ll.evaluate(task, lm)
    assert records.columns.to_list() == [
        *["system", "task", "item_id", "cluster", "prompt", "target", "prediction", "score"],
        *["loglik", "loglik_rome", "loglik_four", "loglik_paris", "loglik_none"],
        *["metric", "higher_is_better"],
    ]
    assert set(records.metric) == {"accuracy"}
    assert records.higher_is_better.all()
    for column in ("item_id", "cluster", "target"):
        assert records[column].to_list() == ITEMS[column].to_list()
    assert records.prompt.to_list() == ITEMS.question.to_list()
    assert set(records.system) == {"smollm2-135m"}
    assert set(records.task) == {"facts"}
    for row in records.itertuples():
        by_hand = {
            answer: ll.loglikelihood(lm, [(row.prompt, text)])[0]
            for answer, text in CHOICES.items()
        }
        for answer, value in by_hand.items():
            assert getattr(row, f"loglik_{answer}") == pytest.approx(value, abs=1e-4)
        assert row.loglik == pytest.approx(by_hand[row.target], abs=1e-4)
        assert row.prediction == max(by_hand, key=by_hand.get)
        assert row.score == float(row.prediction == row.target)
    assert records.prediction.to_list()[0] == "paris"
    lengths = {len(lm.tokenizer.encode(text)) for text in CHOICES.values()}
    assert len(lengths) > 1


@pytest.mark.slow
def test_order_of_choices_does_not_matter(lm, task):
    turned = replace(task, choices=dict(reversed(CHOICES.items())))
    one, other = ll.evaluate(task, lm), ll.evaluate(turned, lm)
    assert one.prediction.to_list() == other.prediction.to_list()
    assert one.loglik.to_numpy() == pytest.approx(other.loglik.to_numpy(), abs=1e-4)


@pytest.mark.slow
def test_written_answers(lm, task):
    """The model writes, `parse` reads it, `score` may give part of a point."""
    seen = []

    def parse(text):
        seen.append(text)
        return text.split()[0].strip(".,").lower() if text.split() else "nothing"

    written = replace(
        task,
        choices=None,
        parse=parse,
        score=lambda prediction, target: 1.0 if prediction == target else 0.25,
        max_new_tokens=4,
    )
    records = ll.evaluate(written, lm, system="writer")
    assert set(records.system) == {"writer"}
    assert "metric" not in records  # 0.25 is no accuracy
    assert records.written.to_list() == seen == ll.generate(lm, list(ITEMS.question), 4)
    assert all(1 <= len(lm.tokenizer.encode(text)) <= 4 for text in records.written)
    assert records.prediction.to_list()[0] == "paris"
    assert records.score.to_list() == [
        1.0 if p == t else 0.25 for p, t in zip(records.prediction, records.target, strict=True)
    ]
    assert records.loglik.isna().all()
    assert not [column for column in records.columns if column.startswith("loglik_")]


@pytest.mark.slow
def test_records_of_a_task_can_be_compared(lm, task):
    shots = ITEMS.assign(item_id=["s1", "s2", "s3"])
    one = ll.evaluate(task, lm, system="zero")
    other = ll.evaluate(ll.with_shots(task, shots), lm, system="three")
    found = ll.compare(one, other)
    assert (found.difference.n, found.difference.n_clusters) == (3, 2)
    assert found.mean_b == 1  # the examples are the questions themselves


def test_with_shots_writes_the_examples_in_front(task):
    shots = pd.DataFrame(
        {
            "item_id": ["s1", "s2"],
            "question": ["The capital of Spain is", "One plus one is"],
            "target": ["rome", "four"],
        }
    )
    shown = ll.with_shots(task, shots)
    assert shown.prompt(next(ITEMS.itertuples())) == (
        "The capital of Spain is Rome\n\nOne plus one is four\n\nThe capital of France is"
    )
    assert task.prompt(next(ITEMS.itertuples())) == "The capital of France is"
    assert shown.items is task.items
    other = ll.with_shots(task, shots.iloc[:1], {"rome": " Madrid"})
    assert other.prompt(next(ITEMS.itertuples())) == (
        "The capital of Spain is Madrid\n\nThe capital of France is"
    )


def test_with_shots_refuses_what_would_tell_the_answer(task):
    with pytest.raises(ValueError, match="example 'q1' is an item of the task 'facts' itself"):
        ll.with_shots(task, ITEMS.iloc[1:2])


def test_with_shots_refuses_an_example_without_an_answer(task):
    shots = ITEMS.assign(item_id=["s1", "s2", "s3"])
    with pytest.raises(ValueError, match="no text for the target 'four' of an example; it has"):
        ll.with_shots(task, shots, {"rome": " Rome", "paris": " Paris"})
    with pytest.raises(ValueError, match="task 'facts' has no choices: give answers= for the ex"):
        ll.with_shots(replace(task, choices=None), shots)


def test_tasks_compare(task):
    """Tables do not say whether they are equal: a task is equal to itself."""
    assert task == task
    assert task != replace(task)
    assert len({task, replace(task)}) == 2


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (ITEMS.drop(columns="item_id"), "items of task 'facts' lack the column 'item_id'"),
        (ITEMS.drop(columns="cluster"), "items of task 'facts' lack the column 'cluster'"),
        (ITEMS.drop(columns="target"), "items of task 'facts' lack the column 'target'"),
        (ITEMS.iloc[:0], "task 'facts' has no items"),
        (ITEMS.assign(target="berlin"), "has the target 'berlin', which is none of its choices: r"),
        (ITEMS.assign(item_id=range(3)), "column 'item_id' .* must be text, but holds 0"),
        (ITEMS.assign(target=[None, "four", "rome"]), "column 'target' .* must be text, but holds"),
        (ITEMS.assign(cluster=np.nan), "column 'cluster' .* must be text, but holds nan"),
        (ITEMS.assign(item_id="q1"), "item 'q1' stands more than once in task 'facts'"),
    ],
)
def test_unusable_items_are_found_before_any_inference(items, message):
    with pytest.raises(ValueError, match=message):
        ll.Task("facts", items, lambda item: item.question, CHOICES)
