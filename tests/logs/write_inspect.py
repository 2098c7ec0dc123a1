"""Write the Inspect logs that the tests read: ``python tests/logs/write_inspect.py``.

Inspect itself writes them, from real answers about short reviews of 12 test films. SmolLM2 is a
model provider here: the probabilities of " positive" and " negative" after the prompt are its
own, and at temperature 1 it draws its answer from them. The multiple-choice answers are those of
the recorded system "minilm probe".

What Inspect adds to a sample and the tests do not read is emptied before the log is written
again, by Inspect's own writer, to keep the repository small: events, messages, attachments and
the list of items in the header. So is what names one machine: the file of the task, the commit
of the repository and the tracebacks of errors.
"""

import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from inspect_ai import Task, eval, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.model import ModelAPI, ModelOutput, modelapi
from inspect_ai.scorer import Score, accuracy, choice, match, mean, scorer, stderr
from inspect_ai.solver import generate, multiple_choice
from write_lm_eval import chosen_reviews
from write_lm_eval import reviews as experiment

import lleval_lib as ll

HERE = Path(__file__).parent / "inspect"
WORDS = {"fresh": "positive", "rotten": "negative"}


@cache
def p_positive(wording):
    """Return P(positive | positive or negative) of every chosen review, by its text."""
    reviews = chosen_reviews()
    prompt, _ = experiment.PROMPTS[wording]
    requests = [
        (prompt(item), f" {word}") for item in reviews.itertuples() for word in WORDS.values()
    ]
    table = ll.loglikelihood(ll.load_lm(), requests).reshape(-1, 2)
    return dict(zip(reviews.text, 1 / (1 + np.exp(table[:, 1] - table[:, 0])), strict=True))


@modelapi("smollm2")
class SmolLM2(ModelAPI):
    """SmolLM2 with one wording of the prompt, which is the name of the model.

    With "-fails" behind the name, every fifth call is an error.
    """

    def __init__(self, model_name, **options):
        super().__init__(model_name, **options)
        self.rng = np.random.default_rng(0)
        self.calls = 0

    async def generate(self, input, tools, tool_choice, config):
        self.calls += 1
        if self.model_name.endswith("-fails") and self.calls % 5 == 0:
            raise RuntimeError("the model gave no answer")
        p = p_positive(self.model_name.removesuffix("-fails"))[input[-1].text]
        positive = self.rng.random() < p if config.temperature else p > 0.5
        output = ModelOutput.from_content(self.model_name, "positive" if positive else "negative")
        output.metadata = {"p_positive": float(p)}
        return output


@modelapi("recorded")
class Recorded(ModelAPI):
    """A recorded system that answers a multiple-choice question with the letter it predicted."""

    async def generate(self, input, tools, tool_choice, config):
        records = ll.load_records("reviews")
        records = records[records.system == self.model_name.replace("-", " ")]
        asked = chosen_reviews().merge(records[["item_id", "prediction"]], on="item_id")
        (prediction,) = asked.prediction[[text in input[-1].text for text in asked.text]]
        letter = "AB"[prediction == "rotten"]
        return ModelOutput.from_content(self.model_name, f"ANSWER: {letter}")


@scorer(metrics=[mean(), stderr()])
def p_target():
    """Score an answer by the probability that the model gave to the target."""

    async def score(state, target):
        p = state.output.metadata["p_positive"]
        return Score(value=p if target.text == "positive" else 1 - p)

    return score


def samples(per_film=None, **options):
    reviews = chosen_reviews()
    if per_film:
        reviews = reviews.groupby("cluster").head(per_film)
    return MemoryDataset(
        [
            Sample(r.text, id=r.item_id, metadata={"film": r.cluster}, target=target, **options)
            for r in reviews.itertuples()
            for target in [WORDS[r.target] if not options else "AB"[r.target == "rotten"]]
        ],
        name="reviews",
    )


@task
def reviews(per_film=None):
    """Return the reviews, each answer right or wrong, with both standard errors."""
    return Task(
        samples(per_film),
        solver=generate(),
        scorer=match(),
        metrics=[accuracy(), stderr(), stderr(cluster="film")],
    )


@task
def reviews_sampled():
    """Return one review a film, answered four times, under two scorers."""
    return Task(samples(1), solver=generate(), scorer=[match(), p_target()], epochs=4)


@task
def reviews_choice():
    """Return one review a film with the answers A and B."""
    dataset = samples(1, choices=list(WORDS.values()))
    return Task(dataset, solver=multiple_choice(), scorer=choice())


def shortened(log):
    """Return the log without what the tests do not read and what names a machine."""
    log.eval.task_file = log.eval.revision = None
    log.eval.dataset.location = log.eval.dataset.sample_ids = None
    for sample in log.samples:
        sample.events, sample.messages, sample.attachments = [], [], {}
        sample.timelines = sample.events_data = sample.error_retries = None
        if sample.error:
            sample.error.traceback = sample.error.traceback_ansi = ""
    if log.error:
        log.error.traceback = log.error.traceback_ansi = ""
    return log


def main():
    one_by_one = {"max_samples": 1, "max_connections": 1, "display": "none"}
    # Name of the file: (task, model, further options).
    runs = {
        "sentiment.eval": (reviews(), "smollm2/sentiment", {}),
        "question.eval": (reviews(), "smollm2/question", {}),
        "sampled.eval": (reviews_sampled(), "smollm2/sentiment", {"temperature": 1.0}),
        "choice.json": (reviews_choice(), "recorded/minilm-probe", {}),
        "with_errors.eval": (reviews(1), "smollm2/sentiment-fails", {"fail_on_error": False}),
        "given_up.eval": (reviews(1), "smollm2/sentiment-fails", {"fail_on_error": True}),
    }
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # so that no log names a repository, its commit or a folder
        for name, (what, model, options) in runs.items():
            (log,) = eval(what, model=model, log_dir=scratch, **one_by_one, **options)
            whole = read_eval_log(log.location)
            (HERE / name).parent.mkdir(parents=True, exist_ok=True)
            write_eval_log(shortened(whole), str(HERE / name))


if __name__ == "__main__":
    main()
