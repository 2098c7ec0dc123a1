"""The article's first listing, as written and as it should be, over ten seeds. An hour.

MiniLM, loaded by the listing's own class, learns from 400 reviews of the training films: three
epochs in batches of 16. "as written" adds lambda times the squares of all weights to the loss and
gives it to AdamW at 2e-5; "no penalty" leaves that out; "corrected" decays outside of the gradient
(0.01, biases and norms exempt), at a rate that falls to 0, and keeps the epoch that 400 reviews of
the validation films like best. A bag of words and a probe on frozen vectors learn from the same
reviews. A seed decides the reviews, their order and the new layer; dropout is off.
"""

from functools import cache

import numpy as np
import pandas as pd
import torch
from efficiency import fast_products
from reviews import items
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForSequenceClassification
from transformers.utils import logging

import lleval_lib as ll

TRAIN, VALIDATION, EPOCHS, BATCH, RATE, DECAY = 400, 400, 3, 16, 2e-5, 0.01
LAMBDA = 1e-5  # the power of ten at which the listing prints a loss like the article's
LARGER = 1e-2
BEST = 1e-4  # what the validation reviews of experiments/efficiency.py chose
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)  # of the logistic regressions, chosen on validation


def _name(method: str, lam: float, rate: float, seed: int) -> str:
    return f"{method}, {lam:g}, {rate:g}, seed {seed}"


ROWS = (("as written", LAMBDA, RATE), ("no penalty", 0, RATE), ("corrected", 0, BEST))
SYSTEMS = (
    *(f"{method}, seed {seed}" for method in ("words", "probe") for seed in range(10)),
    *(_name(*row, seed) for seed in range(10) for row in ROWS),
    *(_name("as written", LAMBDA, BEST, seed) for seed in range(5)),
    _name("as written", LARGER, RATE, 0),
)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the validation and the test reviews."""
    method, *numbers, seed = system.split(", ")
    seed = int(seed.removeprefix("seed "))
    texts = {split: asked(split).text for split in ("validation", "test")}
    if not numbers:
        margins, facts = regression(method, seed, texts), {}
    else:
        with fast_products():
            model, tokenizer, facts = trained(method, *map(float, numbers), seed)
            margins = {split: margin(model, tokenizer, texts[split]) for split in texts}
    return pd.concat(
        [answers(margins[split], system, split, facts) for split in texts], ignore_index=True
    )


@cache
def asked(split: str) -> pd.DataFrame:
    """Return the reviews of `split` that every model answers."""
    table = items(split)
    if split == "validation":
        table = table.sample(VALIDATION, random_state=0).sort_index().reset_index(drop=True)
    return table


def drawn(rng: np.random.Generator) -> pd.DataFrame:
    """Return the training reviews that `rng` draws."""
    return items("train").iloc[rng.choice(len(items("train")), TRAIN, replace=False)]


def trained(method: str, lam: float, rate: float, seed: int):
    """Return the model, its tokenizer, and what the listing would have printed of it."""
    rng = np.random.default_rng(seed)
    train = drawn(rng)
    texts, fresh = train.text.to_numpy(), torch.tensor((train.target == "fresh").to_numpy() * 1)
    encoder = ll.load_encoder()
    logging.set_verbosity_error()  # the new layer is new: no need to say so
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_pretrained(
            encoder.model.config._name_or_path, num_labels=2, attn_implementation="eager"
        )
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    tokenizer = encoder.processor
    start = [p.detach().clone() for p in model.parameters()]

    def loss(rows):
        logits = model(**batch(tokenizer, texts[rows])).logits
        return torch.nn.functional.cross_entropy(logits, fresh[rows])

    if method == "corrected":
        table = asked("validation")
        sign = np.where(table.target == "fresh", 1, -1)

        def validation():
            return np.logaddexp(0, -sign * margin(model, tokenizer, table.text)).mean()

        optimizer = torch.optim.AdamW(ll.decay_groups(model, DECAY), lr=rate, fused=True)
        settings = {"epochs": EPOCHS, "batch_size": BATCH, "rng": rng}
        history = ll.fit(model, loss, TRAIN, optimizer=optimizer, validation=validation, **settings)
        entropy = printed = history.loss.iloc[-1]
    else:
        entropy, printed = as_written(model, loss, lam, rate, rng)
    now = [p.detach() for p in model.parameters()]
    facts = {
        "cross_entropy": entropy,
        "printed_loss": printed,
        "squares": float(ll.l2(now)),
        "moved": float(ll.l2_sp(now, start)),
        "zeros": sum(
            int((p == 0).sum()) - int((q == 0).sum()) for p, q in zip(now, start, strict=True)
        ),
    }
    return model.eval(), tokenizer, facts


def as_written(model, compute_loss, lambda_value: float, rate: float, rng) -> tuple[float, float]:
    """Train by the loop of the listing; return the last epoch's cross-entropy and whole loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)  # decay 0.01 on all
    for _ in range(EPOCHS):
        sums = np.zeros(2)
        for rows in np.array_split(rng.permutation(TRAIN), TRAIN // BATCH):
            entropy = compute_loss(rows)
            loss = entropy
            if lambda_value:
                loss = entropy + lambda_value * sum(p.pow(2.0).sum() for p in model.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sums += entropy.item(), loss.item()
    entropy, whole = sums / (TRAIN // BATCH)
    return entropy, whole


def batch(tokenizer, texts):
    """Return the tokens of some texts, at most 64 of each."""
    settings = {"padding": True, "truncation": True, "max_length": 64, "return_tensors": "pt"}
    return tokenizer(list(texts), **settings)


def margin(model, tokenizer, texts, size: int = 64) -> np.ndarray:
    """Return ln P(fresh) - ln P(rotten) of each text, in batches of about the same length."""
    texts = list(texts)
    order = np.argsort([len(text) for text in texts], kind="stable")
    found = np.empty(len(texts))
    with torch.inference_mode():
        for start in range(0, len(texts), size):
            rows = order[start : start + size]
            logits = model(**batch(tokenizer, [texts[row] for row in rows])).logits
            found[rows] = (logits[:, 1] - logits[:, 0]).numpy()
    return found


def regression(method: str, seed: int, texts: dict[str, pd.Series]) -> dict[str, np.ndarray]:
    """Return the margins of a logistic regression; its strength is chosen on validation."""
    train = drawn(np.random.default_rng(seed))
    if method == "probe":
        rows = {split: vectors(split) for split in texts}
        x = ll.embed(ll.load_encoder(), train.text)
    else:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(train.text)
        rows = {split: words.transform(texts[split]) for split in texts}
        x = words.transform(train.text)
    table = asked("validation")
    sign = np.where(table.target == "fresh", 1, -1)
    fitted = [
        LogisticRegression(C=c, max_iter=5_000).fit(x, train.target == "fresh") for c in STRENGTHS
    ]
    losses = [np.logaddexp(0, -sign * m.decision_function(rows["validation"])) for m in fitted]
    best = fitted[int(np.argmin([values.mean() for values in losses]))]
    return {split: best.decision_function(rows[split]) for split in rows}


@cache
def vectors(split: str) -> np.ndarray:
    return ll.embed(ll.load_encoder(), asked(split).text)


def answers(margins: np.ndarray, system: str, split: str, facts: dict) -> pd.DataFrame:
    """Return the records of one model on the reviews of `split`; nats to two decimals."""
    table = asked(split)
    prediction = np.where(margins >= 0, "fresh", "rotten")
    sign = np.where(table.target == "fresh", 1, -1)
    return ll.make_records(
        system,
        split,
        table,
        prediction=prediction,
        score=prediction == table.target,
        loglik=np.round(-np.logaddexp(0, -sign * margins), 2),
        **{
            name: np.full(len(table), facts.get(name, np.nan))
            for name in ("cross_entropy", "printed_loss", "squares", "moved", "zeros")
        },
    )
