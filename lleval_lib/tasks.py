"""Tasks: items, a prompt, and a rule that turns an answer into a score."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from .models import LM
from .records import make_records, require_item_columns
from .scoring import generate, loglikelihood


def exact_match(prediction: str, target: str) -> float:
    """Return 1.0 if `prediction` is `target`, else 0.0."""
    return float(prediction == target)


@dataclass(frozen=True, eq=False)
class Task:
    """What a system is asked and how its answer is scored.

    `items` is a DataFrame with the text columns ``item_id``, ``cluster`` and ``target``, and
    whatever else `prompt` reads. `prompt` takes an item (a row, fields as attributes) and returns
    the text that the model is given.

    With `choices`, a mapping from each possible answer to the text that stands for it, an item is
    scored by likelihood: the prediction is the answer whose text is the most probable after the
    prompt. Without, the model writes up to `max_new_tokens` tokens, and `parse` turns the text
    into a prediction. `score` compares prediction and target.
    """

    name: str
    items: pd.DataFrame
    prompt: Callable[[Any], str]
    choices: Mapping[str, str] | None = None
    parse: Callable[[str], str] = str.strip
    score: Callable[[str, str], float] = exact_match
    max_new_tokens: int = 8

    def __post_init__(self):
        require_item_columns(self.items, self.name)
        for column in ("item_id", "cluster", "target"):
            # Found now, not after an hour of inference.
            bad = [value for value in self.items[column] if not isinstance(value, str)]
            if bad:
                raise ValueError(
                    f"column {column!r} of the items of task {self.name!r} must be text, but holds "
                    f"{bad[0]!r}"
                )
        if self.items.empty:
            raise ValueError(f"task {self.name!r} has no items")
        twice = self.items.item_id[self.items.item_id.duplicated()]
        if len(twice):
            raise ValueError(
                f"column 'item_id': item {twice.iloc[0]!r} stands more than once in task "
                f"{self.name!r}"
            )
        if self.choices is not None:
            strange = set(self.items.target) - set(self.choices)
            if strange:
                raise ValueError(
                    f"task {self.name!r} has the target {min(strange)!r}, which is none of its "
                    f"choices: {', '.join(self.choices)}"
                )


def with_shots(task: Task, shots: pd.DataFrame, answers: Mapping[str, str] | None = None) -> Task:
    """Return `task` with the worked examples `shots` in front of every prompt.

    `shots` has the columns that the task's items have; `answers` gives the text that stands for
    each target, by default the task's choices. The examples must not be items of the task: that
    would tell the model the answer. Raises ``ValueError`` if one is, or if there is no text for
    the target of one.
    """
    leaked = set(shots.item_id) & set(task.items.item_id)
    if leaked:
        raise ValueError(f"the example {min(leaked)!r} is an item of the task {task.name!r} itself")
    answers = answers or task.choices
    if answers is None:
        raise ValueError(f"task {task.name!r} has no choices: give answers= for the examples")
    silent = set(shots.target) - set(answers)
    if silent:
        raise ValueError(
            f"answers= has no text for the target {min(silent)!r} of an example; it has "
            f"{', '.join(answers)}"
        )
    worked = "".join(
        f"{task.prompt(shot)}{answers[shot.target]}\n\n" for shot in shots.itertuples()
    )
    return replace(task, prompt=lambda item: worked + task.prompt(item))


def evaluate(task: Task, lm: LM, system: str | None = None) -> pd.DataFrame:
    """Return the records of `lm` on `task`, one row an item, in the order of the items.

    `system` names what was evaluated (the model's name if left out). A task with choices adds one
    column ``loglik_<answer>`` a choice: ln P(its text | prompt) in nats. ``loglik`` is that of the
    target, or missing for a task in which the model writes its answer. ``metric`` and
    ``higher_is_better`` say that the score is accuracy, where the task keeps the usual one.
    """
    prompts = [task.prompt(item) for item in task.items.itertuples()]
    more: dict[str, Any]
    if task.choices is None:
        written = generate(lm, prompts, task.max_new_tokens)
        prediction = [task.parse(text) for text in written]
        more = {"written": written}
    else:
        answers = list(task.choices)
        requests = [(prompt, task.choices[a]) for prompt in prompts for a in answers]
        table = loglikelihood(lm, requests).reshape(len(prompts), len(answers))
        prediction = [answers[k] for k in table.argmax(axis=1)]
        more = {"logliks": dict(zip(answers, table.T, strict=True))}
    if task.score is exact_match:
        more |= {"metric": "accuracy", "higher_is_better": True}
    pairs = zip(prediction, task.items.target, strict=True)
    return make_records(
        system or lm.name,
        task.name,
        task.items,
        prompt=prompts,
        prediction=prediction,
        score=[task.score(*pair) for pair in pairs],
        **more,
    )
