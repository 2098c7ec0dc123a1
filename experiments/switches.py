"""One thing is switched at a time in an evaluation: template, BOS, chat, bits. Six minutes.

SmolLM2 on the questions of `tools.py`. The log-likelihoods of the whole choices under each of two
templates, as plain text and in the chat template, so that switches can be thrown in any order; with
a BOS token in front; in 16 bits, all questions at once and each alone; the letters of listed
choices that are moved on by one place; and the next two questions of each subject ("again").
"""

import numpy as np
import pandas as pd
from tools import LETTERS, items, questions

import lleval_lib as ll

LISTED = "The following are multiple choice questions (with answers) about {}.\n\n{}\n{}Answer:"
CORNERS = ("bare", "bare chat", "question", "question chat")
ONE = ("bare bos", "bare 16 bits", "bare 16 bits alone", "letters moved")
AGAIN = ("bare again", "bare chat again")
SYSTEMS = (*CORNERS, *ONE, *AGAIN)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    lm = ll.load_lm()
    if "16 bits" in system:
        lm.model.bfloat16()
    asked = questions(again="again" in system)
    requests = listed(asked) if "letters" in system else texts(lm, asked, system.split())
    parts = [requests[i : i + 4] for i in range(0, len(requests), 4)]
    groups = parts if "alone" in system else [requests]
    logliks = np.concatenate([ll.loglikelihood(lm, group) for group in groups]).reshape(-1, 4)
    said = np.array(list(LETTERS))[logliks.argmax(axis=1)]
    task = "letters" if "letters" in system else "texts"
    table = items(asked)
    if "moved" in system:  # D's choice is now called A
        table = table.assign(target=table.target.map(dict(zip(LETTERS, "BCDA", strict=True))))
    return ll.make_records(
        system,
        task,
        table,
        prediction=said,
        score=said == table.target,
        logliks=dict(zip(LETTERS, logliks.T, strict=True)),
    )


def texts(lm, asked: pd.DataFrame, switched: list[str]) -> list[tuple[str, str]]:
    """Return four requests a question: each choice after the question."""
    prompts = [
        f"Question: {q}\nAnswer:" if "question" in switched else f"{q}\nAnswer:"
        for q in asked.question
    ]
    space = " "
    if "chat" in switched:
        space = ""
        prompts = [
            lm.tokenizer.apply_chat_template(
                [{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True
            )
            for p in prompts
        ]
    front = lm.tokenizer.bos_token if "bos" in switched else ""
    return [
        (front + p, space + choice)
        for p, row in zip(prompts, asked.choices, strict=True)
        for choice in row
    ]


def listed(asked: pd.DataFrame) -> list[tuple[str, str]]:
    """Return four requests a question: each letter after the choices, the last one first."""
    requests = []
    for item in asked.itertuples():
        choices = item.choices[-1:] + item.choices[:-1]
        shown = "".join(f"{a}. {c}\n" for a, c in zip(LETTERS, choices, strict=True))
        prompt = LISTED.format(item.topic, item.question, shown)
        requests += [(prompt, f" {letter}") for letter in LETTERS]
    return requests
