"""MiniLM finds the documents of a bank, and the mood of customers. Three minutes.

*Documents.* The 97 banking tasks of τ-Knowledge, asked by the customer's opening or by the whole
script, against the 698 documents with their titles: cut at 256 tokens ("minilm cut"), or by the
best of their pieces of CHUNK words ("minilm chunks"). `ranked` are the first DEPTH documents, as
places in the table of `ll.load_banking`, and `cosine` their cosines in thousandths; `score` is the
share of the required documents among the first 10.

*Mood.* A logistic regression on MiniLM's vectors, learned from FILMS reviews of the training films
("films"), or from as many reviews of drugs of the training part, neutral ones left out, as the
system's name says, in DRAWS draws of which the task is one. `logit` is the log-odds of "positive",
for the test films and for all reviews of drugs that are not neutral, or those of the test part.
`split` is theirs. For chapter 19.
"""

from functools import cache

import numpy as np
import pandas as pd
from reviews import items
from sklearn.linear_model import LogisticRegression

import lleval_lib as ll

CHUNK, DEPTH, AT = 100, 100, 10
FILMS, DRAWS = 3_000, 5
FROM_DRUGS = (100, 200)
SYSTEMS = ("minilm cut", "minilm chunks", "films", *(f"{n} drug reviews" for n in FROM_DRUGS))
QUERIES = {"opening": "opening", "script": "instructions"}


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    if system.startswith("minilm"):
        parts = [found(system, query) for query in QUERIES]
    elif system == "films":
        probe = fitted(films("train"))
        parts = [
            answers(probe, system, "films", films("test")),
            answers(probe, system, "drugs", drugs()),
        ]
    else:
        n = int(system.split()[0])
        train, test = (drugs()[drugs().split == part] for part in ("train", "test"))
        parts = [
            answers(fitted(train.sample(n, random_state=draw)), system, f"draw {draw}", test)
            for draw in range(DRAWS)
        ]
    return pd.concat(parts, ignore_index=True)


def found(system: str, query: str) -> pd.DataFrame:
    """Return what MiniLM finds for each task."""
    documents, tasks = ll.load_banking()
    cosine = cosines(system, tasks[QUERIES[query]])
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :DEPTH]
    names = documents.doc_id.to_numpy()
    shares = [
        np.isin(names[row[:AT]], need).sum() / len(need)
        for row, need in zip(order, tasks.required, strict=True)
    ]
    table = tasks.assign(cluster=tasks.family, target=tasks.required.str.join(" "))
    return ll.make_records(
        system,
        query,
        table,
        prediction=names[order[:, 0]],
        score=shares,
        ranked=[" ".join(map(str, row)) for row in order],
        cosine=[
            " ".join(f"{1000 * c:.0f}" for c in values[row])
            for values, row in zip(cosine, order, strict=True)
        ],
    )


def cosines(system: str, queries) -> np.ndarray:
    """Return the cosine of each query with each document, or with the nearest of its pieces."""
    pieces, first = texts(system)
    both = ll.embed(encoder(), queries) @ vectors(pieces).T
    return np.maximum.reduceat(both, first, axis=1)


@cache
def texts(system: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the texts that stand for the documents, and the place of each one's first."""
    pieces, first = [], []
    for title, text in ll.load_banking()[0][["title", "text"]].itertuples(index=False):
        first.append(len(pieces))
        words = text.split()
        step = CHUNK if system == "minilm chunks" else len(words)
        pieces += [f"{title}\n{' '.join(words[i : i + step])}" for i in range(0, len(words), step)]
    return tuple(pieces), tuple(first)


@cache
def encoder() -> ll.Encoder:
    return ll.load_encoder()


@cache
def vectors(pieces: tuple[str, ...]) -> np.ndarray:
    return ll.embed(encoder(), pieces)


@cache
def films(split: str) -> pd.DataFrame:
    """Return reviews of films as `answers` wants them."""
    table = items(split)
    if split == "train":
        table = table.sample(FILMS, random_state=0).reset_index(drop=True)
    target = table.target.map({"fresh": "positive", "rotten": "negative"})
    return table.assign(target=target, split=split, vector=list(ll.embed(encoder(), table.text)))


@cache
def drugs() -> pd.DataFrame:
    """Return the reviews of drugs that are not neutral."""
    table = ll.load_drug_reviews()
    table = table[table.label != "neutral"].reset_index(drop=True)
    table = table.rename(columns={"label": "target", "drug": "cluster"})
    return table.assign(vector=list(ll.embed(encoder(), table.text)))


def fitted(table: pd.DataFrame) -> LogisticRegression:
    learned = LogisticRegression(C=10, max_iter=2000)
    return learned.fit(np.stack(table.vector), table.target)


def answers(probe: LogisticRegression, system: str, task: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the records of a probe on reviews."""
    logit = probe.decision_function(np.stack(table.vector))
    said = np.where(logit > 0, *probe.classes_[::-1])
    return ll.make_records(
        system,
        task,
        table.reset_index(drop=True),
        prediction=said,
        score=said == table.target.to_numpy(),
        logit=logit.round(3),
        split=table.split.to_numpy(),
    )
