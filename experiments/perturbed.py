"""Reviews changed in ways that should not change the verdict, read by three systems. Two minutes.

For chapter 27. A system is a `CHANGES`; its tasks are the readers. "minilm" and "tf-idf" learn from
`TRAIN` reviews of the training films, as in `reviews.py`, and "tf-idf 1", "tf-idf 2" from other
draws; SmolLM2 is asked by the prompt "sentiment" about the first `FEW` of the `ITEMS` test reviews.
`logit` is the log-odds of "fresh". "templates" are short sentences on a film with a word of praise
or blame, alone or denied; `cluster` is the word, `item_id` names the sentence, too.
"""

from functools import cache

import numpy as np
import pandas as pd
from reviews import PROMPTS, items
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import lleval_lib as ll

TRAIN, ITEMS, FEW, SHARE = 2_000, 400, 150, 0.2
PRAISE = [
    "good",
    "great",
    "wonderful",
    "excellent",
    "brilliant",
    "funny",
    "moving",
    "charming",
    "clever",
    "superb",
]
BLAME = [
    "bad",
    "terrible",
    "awful",
    "dull",
    "boring",
    "poor",
    "weak",
    "stupid",
    "tedious",
    "dreadful",
]
SENTENCES = {"plain": "This film is {}.", "not": "This film is not {}."}


def swapped(text: str, rng: np.random.Generator) -> str:
    """Return `text` with two neighbouring letters swapped inside some of its longer words."""
    words = text.split()
    for k, word in enumerate(words):
        if len(word) > 3 and rng.random() < SHARE:
            i = int(rng.integers(1, len(word) - 2))
            words[k] = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return " ".join(words)


CHANGES = {
    "none": lambda text, rng: text,
    "two spaces": lambda text, rng: text.replace(" ", "  "),
    "upper case": lambda text, rng: text.upper(),
    "no last stop": lambda text, rng: text.rstrip(" ."),
    "Tuesday": lambda text, rng: f"{text} I saw it on a Tuesday.",
    "typos": swapped,
}
SYSTEMS = (*CHANGES, "templates")


@cache
def readers() -> dict:
    """Return functions from texts to the log-odds of "fresh"."""
    lm, encoder = ll.load_lm(), ll.load_encoder()
    found = {}
    for draw in range(3):
        train = items("train").sample(TRAIN, random_state=draw)
        words = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=3))
        words.fit(train.text, train.target == "fresh")
        found[f"tf-idf {draw}" if draw else "tf-idf"] = words.decision_function
    train = items("train").sample(TRAIN, random_state=0)
    probe = LogisticRegression(C=10, max_iter=1_000)
    probe.fit(ll.embed(encoder, train.text), train.target == "fresh")

    def near(texts):
        return probe.decision_function(ll.embed(encoder, texts))

    def asked(texts):
        prompt, words = PROMPTS["sentiment"]
        prompts = [prompt(pd.Series({"text": text})) for text in texts]
        both = [(p, word) for p in prompts for word in (words["fresh"], words["rotten"])]
        logs = ll.loglikelihood(lm, both).reshape(-1, 2)
        return logs[:, 0] - logs[:, 1]

    return found | {"minilm": near, "smollm2": asked}


def table(system: str) -> pd.DataFrame:
    """Return the items of one of `SYSTEMS`, with their texts."""
    if system == "templates":
        rows = [
            (f"{name} {word}", word, frame.format(word), ("fresh", "rotten")[place != denied])
            for denied, (name, frame) in enumerate(SENTENCES.items())
            for place, words in enumerate((PRAISE, BLAME))
            for word in words
        ]
        return pd.DataFrame(rows, columns=["item_id", "cluster", "text", "target"])
    rng = np.random.default_rng(27)
    found = items("test").sample(ITEMS, random_state=27).reset_index(drop=True)
    return found.assign(text=[CHANGES[system](text, rng) for text in found.text])


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`, one task a reader."""
    parts = []
    for name, reader in readers().items():
        rows = table(system)
        if name == "smollm2":
            rows = rows.head(FEW)
        logit = reader(rows.text.tolist())
        said = np.where(logit > 0, "fresh", "rotten")
        parts.append(
            ll.make_records(
                system,
                name,
                rows,
                prediction=said,
                score=(said == rows.target).astype(float),
                logit=logit.round(4),
            )
        )
    return pd.concat(parts, ignore_index=True)
