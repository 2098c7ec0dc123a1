"""SmolLM2 is asked in other forms: chat template, other examples, whole answers. Ten minutes.

The question about a film review in the model's chat template, in two wordings, scored by the
likelihood of two words and by what the model writes; three draws of four worked examples, each in
two orders; on up to two reviews of each of the 100 test films. And 281 questions of MMLU, where the
choices are whole texts: their log-likelihoods after the question, and after no question at all.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from reviews import PROMPTS, items, read_label

import lleval_lib as ll

WORDS = {"fresh": "positive", "rotten": "negative"}
# Name of the wording: what is asked of a review, in the turn of the user.
WORDINGS = {
    "chat": "Review: {}\nSentiment:",
    "chat one word": "Review: {}\nIs it positive or negative? Answer with one word.",
}
DRAWS = range(3)  # of four worked examples
LETTERS = "ABCD"


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    lm = ll.load_lm()
    if system in MMLU:
        return choices(lm, system)
    asked = few_shot(system) if "draw" in system else chat(lm, system)
    return ll.evaluate(asked, lm, system=system)


def some() -> pd.DataFrame:
    """Return up to two reviews of each test film."""
    shuffled = items("test").sample(frac=1, random_state=0)
    return shuffled.groupby("cluster").head(2).sort_index().reset_index(drop=True)


def chat(lm, system: str) -> ll.Task:
    """Return the task in the chat template, by likelihood or, if `system` says so, written."""
    wording = WORDINGS[system.removesuffix(" written")]

    def prompt(item):
        turns = [{"role": "user", "content": wording.format(item.text)}]
        return lm.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)

    asked = ll.Task("reviews", some(), prompt, WORDS)
    return replace(asked, choices=None, parse=read_label) if "written" in system else asked


def few_shot(system: str) -> ll.Task:
    """Return the plain task with four examples of one draw, two of each label, in one order."""
    draw = int(system.split()[1])
    train = items("train")
    shots = train.groupby("target").sample(2, random_state=draw)
    shots = shots.sample(frac=1, random_state=draw)
    text, words = PROMPTS["sentiment"]
    asked = ll.Task("reviews", some(), text, words)
    return ll.with_shots(asked, shots.iloc[::-1] if "reversed" in system else shots)


def choices(lm, system: str) -> pd.DataFrame:
    """Return the log-likelihood of each whole choice, after the question or after "Answer:"."""
    mmlu = ll.load_mmlu_dev()
    mmlu = mmlu[mmlu.choices.map(len) == 4].reset_index(drop=True)  # one has another number
    asked = ["Answer:" if "alone" in system else f"{q}\nAnswer:" for q in mmlu.question]
    requests = [
        (prompt, f" {choice}")
        for prompt, row in zip(asked, mmlu.choices, strict=True)
        for choice in row
    ]
    logliks = ll.loglikelihood(lm, requests).reshape(len(mmlu), 4)
    said = np.array(list(LETTERS))[logliks.argmax(axis=1)]
    table = mmlu.assign(cluster=mmlu.subject, target=mmlu.answer)
    return ll.make_records(
        system,
        "mmlu",
        table,
        prompt=asked,
        prediction=said,
        score=said == table.target,
        logliks=dict(zip(LETTERS, logliks.T, strict=True)),
    )


CHAT = [f"{name}{scorer}" for name in WORDINGS for scorer in ("", " written")]
SHOTS = [f"draw {draw}{order}" for draw in DRAWS for order in ("", " reversed")]
MMLU = ("mmlu", "mmlu alone")
SYSTEMS = (*CHAT, *MMLU, *SHOTS)
