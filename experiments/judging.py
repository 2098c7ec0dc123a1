"""SmolLM2 judges pairs of texts, in both orders: reviews, padded ones, its own. 8 minutes quiet.

For chapter 26. A pair of "reviews" is a fresh and a rotten snippet about one film of the test part
of the film reviews; the judge says which critic liked it more. `target` is "fresh". "plain" asks in
plain text, "chat" in the chat template and other words; "fresh padded" and "rotten padded" are
"plain" with `PADDING`, which says nothing of the film, behind one of the two.

A pair of "stories" are two continuations of one film plot: what the source says there ("human") or
what SmolLM2 wrote for the record `stories` at a temperature, both cut to the same number of words;
the judge says which is better. The system "own T 1.0" is a pair of that temperature (`target`) and
"human"; "T 0.3 or 1.5" a pair of its own at two temperatures.

The task is the place of the target, "first" or "second". `margin` is ln P(first) - ln P(second), in
nats; the judge takes the first if it is above 0; score: 1 if it takes the target. `gap` is by how
much the target's log-likelihood a word is above the other's, in nats, and `words` are the words of
the target and, as `other_words`, of the other. No text of others is kept.
"""

from functools import cache

import numpy as np
import pandas as pd
import stories
import torch

import lleval_lib as ll

PAIRS, OF_A_FILM, SAMPLES, FEWEST = 120, 2, 3, 10
PADDING = " The review appeared in the weekend edition of the paper and is printed here in full."
PLAIN = (
    "Two critics saw the same film.\n\nReview A: {}\n\nReview B: {}\n\n"
    "Which critic liked the film more?\nAnswer: Critic"
)
CHAT = (
    "Here are two reviews of one film.\n\nA: {}\n\nB: {}\n\n"
    "Which of the two is the more positive review? Answer with one letter, A or B."
)
STORY = (
    "A text begins: {}\n\nContinuation A: {}\n\nContinuation B: {}\n\n"
    "Which continuation is better?\nAnswer: Continuation"
)
REVIEWS = ("plain", "chat", "fresh padded", "rotten padded")
STORIES = ("own T 1.0", "T 0.3 or 1.5")
SYSTEMS = (*REVIEWS, *STORIES)
ORDERS = ("first", "second")


@cache
def lm() -> ll.LM:
    torch.set_num_threads(1)
    return ll.load_lm()


@cache
def pairs() -> pd.DataFrame:
    """Return pairs of a fresh (`one`) and a rotten (`two`) review of a film, drawn once."""
    table = ll.load_reviews().query("not duplicate and split == 'test'")
    table = table[table.text.str.split().str.len() >= FEWEST].sample(frac=1, random_state=26)
    rows = [
        {"cluster": film, "item_id": f"{f.item_id}/{r.item_id}", "one": f.text, "two": r.text}
        for film, own in table.groupby("film", sort=False)
        for f, r, _ in zip(
            own[own.label == "fresh"].itertuples(),
            own[own.label == "rotten"].itertuples(),
            range(OF_A_FILM),
            strict=False,
        )
    ]
    return pd.DataFrame(rows).sample(PAIRS, random_state=26).reset_index(drop=True)


@cache
def continuations() -> pd.DataFrame:
    """Return the openings of plots, and a column of continuations for each who wrote."""
    plots, told = stories.plots(), ll.load_records("stories")
    rows = []
    for sample in range(SAMPLES):
        own = told[told.task == f"sample {sample}"].set_index(["system", "item_id"]).prediction
        for plot in plots.itertuples():
            row = {"cluster": plot.film, "item_id": f"{plot.item_id}-{sample}"}
            row |= {"opening": plot.opening, "human": plot.target}
            row |= {t: own[f"T {t}", plot.item_id] for t in ("0.3", "1.0", "1.5")}
            rows.append(row)
    return pd.DataFrame(rows)


def asked(system: str) -> pd.DataFrame:
    """Return the pairs of one of `SYSTEMS` with the prompts of both orders."""
    if system in REVIEWS:
        table = pairs().assign(opening="Here is a review of a film:")
        for name, column in (("fresh padded", "one"), ("rotten padded", "two")):
            if system == name:
                table[column] += PADDING
        form = CHAT if system == "chat" else PLAIN
        prompts = [
            [form.format(*texts) for texts in zip(table[a], table[b], strict=True)]
            for a, b in (("one", "two"), ("two", "one"))
        ]
        if system == "chat":
            prompts = [[stories.chat(lm(), text) for text in column] for column in prompts]
    else:
        table = continuations()
        first, second = system.removeprefix("own ").removeprefix("T "), "human"
        if " or " in first:
            first, second = first.split(" or ")
        words = [[text.split() for text in table[name]] for name in (first, second)]
        least = [min(map(len, both)) for both in zip(*words, strict=True)]
        for name, column in zip(("one", "two"), words, strict=True):
            table[name] = [" ".join(w[:n]) for w, n in zip(column, least, strict=True)]
        prompts = [
            [STORY.format(*texts) for texts in zip(table.opening, table[a], table[b], strict=True)]
            for a, b in (("one", "two"), ("two", "one"))
        ]
    return table.assign(**dict(zip(ORDERS, prompts, strict=True)))


def margins(prompts, chat: bool) -> np.ndarray:
    """Return ln P(A) - ln P(B) for each prompt."""
    answers = ("A", "B") if chat else (" A", " B")
    requests = [(prompt, answer) for prompt in prompts for answer in answers]
    found = ll.loglikelihood(lm(), requests).reshape(-1, 2)
    return found[:, 0] - found[:, 1]


def per_word(table: pd.DataFrame, column: str) -> np.ndarray:
    requests = [(o, f" {t}") for o, t in zip(table.opening, table[column], strict=True)]
    return ll.loglikelihood(lm(), requests) / table[column].str.split().str.len()


def build(system: str) -> pd.DataFrame:
    table = asked(system)
    target = "fresh" if system in REVIEWS else system.removeprefix("own ").split(" or ")[0]
    other = "rotten" if system in REVIEWS else "human"
    gap = (per_word(table, "one") - per_word(table, "two")).round(3)
    parts = []
    for order in ORDERS:
        margin = margins(table[order], system == "chat")
        right = (margin > 0) == (order == "first")
        parts.append(
            pd.DataFrame(
                {
                    "system": system,
                    "task": order,
                    "item_id": table.item_id,
                    "cluster": table.cluster,
                    "prompt": "",
                    "target": target,
                    "prediction": np.where(right, target, other),
                    "score": right.astype(float),
                    "loglik": np.nan,
                    "margin": margin.round(3),
                    "gap": gap,
                    "words": table.one.str.split().str.len(),
                    "other_words": table.two.str.split().str.len(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
