"""The recorded results, and the code that rebuilds them: ``make records``.

Inference on the whole test set takes minutes a system, so the chapters load it from
``lleval_lib/records``. Everything here is seeded; chapter 03 describes the systems.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tqdm import tqdm
from transformers import AutoModelForSequenceClassification

from .data import load_reviews
from .models import embed, load_encoder, load_lm
from .records import validate_records, write_records
from .tasks import Task, evaluate, with_shots

LABELS = ("fresh", "rotten")
_WORDS = {"fresh": " positive", "rotten": " negative"}
# Name of the prompt: (the prompt, the text that stands for each label).
_PROMPTS = {
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


def review_items(split: str = "test") -> pd.DataFrame:
    """Return the reviews of one split as a task's items, without the duplicates.

    Columns: ``item_id``, ``cluster`` (the film), ``text``, ``target`` ("fresh" or "rotten").
    """
    reviews = load_reviews()
    kept = reviews[(reviews.split == split) & ~reviews.duplicate]
    items = kept.rename(columns={"film": "cluster", "label": "target"})
    return items[["item_id", "cluster", "text", "target"]].reset_index(drop=True)


def review_task(
    prompt: str = "sentiment", shots: int = 0, reverse: bool = False, written: bool = False
) -> Task:
    """Return the task of chapter 03: is a film review of the test set fresh or rotten?

    `prompt` is "sentiment", "question" or "critic". `shots` puts that many worked examples of the
    training films in front, half of each label; `reverse` turns their order around. With
    `written`, the model writes its answer, else the likelihoods of the two label texts are
    compared. Raises ``LookupError`` for another prompt and ``ValueError`` for a number of examples
    that cannot be halved.
    """
    if prompt not in _PROMPTS:
        raise LookupError(f"no prompt is called {prompt!r}; there are {', '.join(_PROMPTS)}")
    if shots < 0 or shots % 2:
        raise ValueError(f"shots must be even, for half of each label, not {shots}")
    text, words = _PROMPTS[prompt]
    task = Task("reviews", review_items(), text, words)
    if shots:
        examples = _examples(shots)
        task = with_shots(task, examples.iloc[::-1] if reverse else examples, words)
    return replace(task, choices=None, parse=read_label) if written else task


def read_label(text: str) -> str:
    """Return the label that a written answer names first, or "unreadable".

    >>> read_label(" Positive. The film ...")
    'fresh'
    """
    lower = text.lower()
    places = {lower.find(word.strip()): label for label, word in _WORDS.items()}
    found = [place for place in places if place >= 0]
    return places[min(found)] if found else "unreadable"


def _examples(n: int) -> pd.DataFrame:
    train = review_items("train")
    drawn = train.groupby("target").sample(n // 2, random_state=0)
    return drawn.sample(frac=1, random_state=0)


def record_reviews(folder: Path) -> None:
    """Run every system on the test films and write ``reviews.parquet`` into `folder`."""
    lm, train, test = load_lm(), review_items("train"), review_items()
    smollm2 = {
        "smollm2 sentiment": review_task("sentiment"),
        "smollm2 question": review_task("question"),
        "smollm2 critic": review_task("critic"),
        "smollm2 sentiment 4-shot": review_task("sentiment", shots=4),
        "smollm2 sentiment 4-shot reversed": review_task("sentiment", shots=4, reverse=True),
        "smollm2 sentiment written": review_task("sentiment", written=True),
    }
    trained = {
        "majority": _majority,
        "tf-idf": _tfidf,
        "minilm probe": _probe,
        "minilm fine-tuned": _fine_tuned,
    }
    tables = [_classified(test, name, fit(train, test.text)) for name, fit in trained.items()]
    tables += [evaluate(task, lm, system=name) for name, task in smollm2.items()]
    write_records(pd.concat(tables, ignore_index=True), folder / "reviews.parquet")


def _classified(test: pd.DataFrame, system: str, p_fresh: np.ndarray) -> pd.DataFrame:
    """Return the records of a classifier that gives each item a probability of "fresh"."""
    with np.errstate(divide="ignore"):
        logliks = np.log(np.column_stack([p_fresh, 1 - p_fresh]))
    fresh = (test.target == "fresh").to_numpy()
    prediction = np.where(p_fresh >= 0.5, *LABELS)
    return validate_records(
        pd.DataFrame(
            {
                "system": system,
                "task": "reviews",
                "item_id": test.item_id,
                "cluster": test.cluster,
                "prompt": test.text,
                "target": test.target,
                "prediction": prediction,
                "score": (prediction == test.target).astype(float),
                "loglik": np.where(fresh, *logliks.T),
                "loglik_fresh": logliks[:, 0],
                "loglik_rotten": logliks[:, 1],
            }
        )
    )


def _majority(train: pd.DataFrame, texts) -> np.ndarray:
    model = DummyClassifier(strategy="prior").fit(train.text, train.target)
    return model.predict_proba(texts)[:, 0]


def _tfidf(train: pd.DataFrame, texts) -> np.ndarray:
    features = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = make_pipeline(features, LogisticRegression(C=3, max_iter=1_000))
    return model.fit(train.text, train.target).predict_proba(texts)[:, 0]


def _probe(train: pd.DataFrame, texts) -> np.ndarray:
    encoder = load_encoder()
    model = LogisticRegression(C=10, max_iter=1_000)
    model.fit(embed(encoder, train.text), train.target)
    return model.predict_proba(embed(encoder, texts))[:, 0]


def _fine_tuned(train: pd.DataFrame, texts, epochs: int = 2, batch_size: int = 32) -> np.ndarray:
    """Fine-tune all of MiniLM with a new output layer, then return P("fresh") of the texts."""
    encoder = load_encoder()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(
            encoder.model.config._name_or_path, num_labels=1
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
        steps = epochs * -(-len(train) // batch_size)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
        rng = np.random.default_rng(0)
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


def _tokens(encoder, texts):
    return encoder.processor(
        list(texts), padding=True, truncation=True, max_length=128, return_tensors="pt"
    )
