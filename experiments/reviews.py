"""Ten systems read film reviews: fresh or rotten? About an hour on two cores.

The majority, tf-idf with a logistic regression, a probe on MiniLM's vectors and a fine-tuned MiniLM
learn from the training films. SmolLM2 is asked by three prompts, zero-shot and four-shot, and
writes its answer. All answer the 2,367 different reviews of the 100 test films.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import torch
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tqdm import tqdm
from transformers import AutoModelForSequenceClassification

import lleval_lib as ll

SEED = 0
LABELS = ("fresh", "rotten")
_WORDS = {"fresh": " positive", "rotten": " negative"}
# Name of the prompt: (the prompt, the text that stands for each label).
PROMPTS = {
    "sentiment": (lambda item: f"Review: {item.text}\nSentiment:", _WORDS),
    "question": (
        lambda item: f"{item.text}\n\nIs this film review positive or negative? It is",
        _WORDS,
    ),
    "critic": (
        lambda item: f"{item.text}\nThe critic thinks that the film is",
        {"fresh": " good", "rotten": " bad"},
    ),
}


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the test films."""
    if system in ASKED:
        return ll.evaluate(task(**ASKED[system]), ll.load_lm(), system=system)
    return classified(system, TRAINED[system](items("train"), items("test").text))


@cache
def items(split: str) -> pd.DataFrame:
    """Return the reviews of one split as a task's items, without the duplicates."""
    reviews = ll.load_reviews()
    kept = reviews[(reviews.split == split) & ~reviews.duplicate]
    kept = kept.rename(columns={"film": "cluster", "label": "target"})
    return kept[["item_id", "cluster", "text", "target"]].reset_index(drop=True)


def task(prompt: str, shots: int = 0, reverse: bool = False, written: bool = False) -> ll.Task:
    """Return the task that one of `PROMPTS` sets.

    `shots` puts that many worked examples of the training films in front, half of each label;
    `reverse` turns their order around. With `written`, the model writes its answer.
    """
    text, words = PROMPTS[prompt]
    asked = ll.Task("reviews", items("test"), text, words)
    if shots:
        drawn = items("train").groupby("target").sample(shots // 2, random_state=SEED)
        drawn = drawn.sample(frac=1, random_state=SEED)
        asked = ll.with_shots(asked, drawn.iloc[::-1] if reverse else drawn)
    return replace(asked, choices=None, parse=read_label) if written else asked


def read_label(text: str) -> str:
    """Return the label that a written answer names first, or "unreadable".

    >>> read_label(" Positive. The film ...")
    'fresh'
    """
    lower = text.lower()
    places = {lower.find(word.strip()): label for label, word in _WORDS.items()}
    found = [place for place in places if place >= 0]
    return places[min(found)] if found else "unreadable"


def classified(system: str, p_fresh: np.ndarray) -> pd.DataFrame:
    """Return the records of a classifier that gives each test review a probability of "fresh"."""
    test = items("test")
    with np.errstate(divide="ignore"):
        logliks = np.log([p_fresh, 1 - p_fresh])
    prediction = np.where(p_fresh >= 0.5, *LABELS)
    return ll.make_records(
        system,
        "reviews",
        test,
        prompt=test.text,
        prediction=prediction,
        score=prediction == test.target,
        logliks=dict(zip(LABELS, logliks, strict=True)),
    )


def majority(train: pd.DataFrame, texts: pd.Series) -> np.ndarray:
    model = DummyClassifier(strategy="prior").fit(train.text, train.target)
    return model.predict_proba(texts)[:, 0]


def tfidf(train: pd.DataFrame, texts: pd.Series) -> np.ndarray:
    features = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = make_pipeline(features, LogisticRegression(C=3, max_iter=1_000))
    return model.fit(train.text, train.target).predict_proba(texts)[:, 0]


def probe(train: pd.DataFrame, texts: pd.Series) -> np.ndarray:
    encoder = ll.load_encoder()
    model = LogisticRegression(C=10, max_iter=1_000)
    model.fit(ll.embed(encoder, train.text), train.target)
    return model.predict_proba(ll.embed(encoder, texts))[:, 0]


def fine_tuned(
    train: pd.DataFrame, texts: pd.Series, epochs: int = 2, batch_size: int = 32
) -> np.ndarray:
    """Fine-tune all of MiniLM with a new output layer, then return P("fresh") of the texts."""
    encoder = ll.load_encoder()
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = AutoModelForSequenceClassification.from_pretrained(
            encoder.model.config._name_or_path, num_labels=1
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
        steps = epochs * -(-len(train) // batch_size)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
        rng = np.random.default_rng(SEED)
        model.train()
        with tqdm(total=steps, desc="fine-tune") as bar:
            for _ in range(epochs):
                for rows in np.array_split(rng.permutation(len(train)), steps // epochs):
                    batch = train.iloc[rows]
                    logits = model(**_tokens(encoder, batch.text)).logits.squeeze(-1)
                    fresh = torch.tensor((batch.target == "fresh").to_numpy(), dtype=torch.float32)
                    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, fresh)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
                    bar.update()
    model.eval()
    with torch.inference_mode():
        parts = np.array_split(np.arange(len(texts)), -(-len(texts) // 64))
        logits = [model(**_tokens(encoder, texts.iloc[rows])).logits for rows in parts]
    return torch.cat(logits).squeeze(-1).double().sigmoid().numpy()


def _tokens(encoder: ll.Encoder, texts: pd.Series):
    return encoder.processor(
        list(texts), padding=True, truncation=True, max_length=128, return_tensors="pt"
    )


TRAINED = {
    "majority": majority,
    "tf-idf": tfidf,
    "minilm probe": probe,
    "minilm fine-tuned": fine_tuned,
}
# What `task` is given for each.
ASKED: dict[str, dict] = {
    "smollm2 sentiment": {"prompt": "sentiment"},
    "smollm2 question": {"prompt": "question"},
    "smollm2 critic": {"prompt": "critic"},
    "smollm2 sentiment 4-shot": {"prompt": "sentiment", "shots": 4},
    "smollm2 sentiment 4-shot reversed": {"prompt": "sentiment", "shots": 4, "reverse": True},
    "smollm2 sentiment written": {"prompt": "sentiment", "written": True},
}
SYSTEMS = (*TRAINED, *ASKED)
