"""Six ways to fine-tune MiniLM on film reviews, each at its own learning rates. Two hours.

A probe, the biases alone (BitFit), LoRA of rank 1, 4 and 16 on queries and values, and all weights
learn from 1,000 reviews of the training films for two epochs. Each of them answers 600 reviews of
the validation films, which choose the learning rate, and the 2,367 of the test films. Dropout is
off, so that a seed decides the training reviews, their order and the new weights, and nothing else.
Every rate has two seeds; the best of each method, and three shared ones, have five.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import pandas as pd
import torch
from peft import LoraConfig, inject_adapter_in_model
from reviews import items

import lleval_lib as ll

TRAIN, VALIDATION, EPOCHS, BATCH = 1_000, 600, 2, 32
# Each method has its own learning rates, half a decade apart, around those of its literature.
RATES = {
    "probe": (1e-2, 3e-2, 1e-1, 3e-1, 1e0),
    "bitfit": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
    **dict.fromkeys(("lora 1", "lora 4", "lora 16"), (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)),
    "full": (1e-5, 3e-5, 1e-4, 3e-4, 1e-3),
}
# One more for LoRA, because the largest was the best of rank 1.
LARGER = dict.fromkeys(("lora 1", "lora 4", "lora 16"), 3e-2)
# What the validation reviews choose by their mean log-likelihood over the seeds 0 and 1.
BEST = {
    "probe": 3e-2,
    "bitfit": 3e-3,
    "lora 1": 1e-2,
    "lora 4": 3e-3,
    "lora 16": 3e-3,
    "full": 1e-4,
}
# Rates that a comparison at one shared rate would take.
SHARED = (("lora 16", 1e-4), ("lora 16", 1e-3), ("full", 1e-3))


def _name(method: str, rate: float, seed: int) -> str:
    return f"{method}, {rate:g}, seed {seed}"


SYSTEMS = (
    *(_name(m, rate, seed) for seed in (0, 1) for m, rates in RATES.items() for rate in rates),
    *(_name(m, rate, seed) for seed in (0, 1) for m, rate in LARGER.items()),
    *(_name(m, rate, seed) for seed in (2, 3, 4) for m, rate in (*BEST.items(), *SHARED)),
)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the validation and the test reviews."""
    method, rate, seed = system.split(", ")
    with fast_products():
        model = trained(method, float(rate), int(seed.removeprefix("seed ")))
        return pd.concat([answers(model, system, split) for split in ("validation", "test")])


@contextmanager
def fast_products() -> Iterator[None]:
    """Multiply matrices in bfloat16 where the processor can, and leave PyTorch as it was."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def trained(method: str, rate: float, seed: int) -> ll.Heads:
    """Return MiniLM fine-tuned by `method`."""
    rng = np.random.default_rng(seed)
    train = items("train").iloc[rng.choice(len(items("train")), TRAIN, replace=False)]
    fresh = torch.tensor((train.target == "fresh").to_numpy(), dtype=torch.float32)
    texts = train.text.to_numpy()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = prepared(method)
    learning = [weights for weights in model.parameters() if weights.requires_grad]

    def loss(rows):
        logits = model(texts[rows])["fresh"].squeeze(1)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, fresh[rows])

    optimizer = torch.optim.AdamW(learning, lr=rate, weight_decay=0.0)
    ll.fit(model, loss, TRAIN, optimizer=optimizer, epochs=EPOCHS, batch_size=BATCH, rng=rng)
    return model.eval()


def prepared(method: str) -> ll.Heads:
    """Return MiniLM with a new head, and what `method` trains set to learn."""
    model = ll.Heads(ll.load_encoder(), {"fresh": 1})
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    if method != "full":
        model.encoder.requires_grad_(False)
    if method == "bitfit":
        for name, weights in model.encoder.named_parameters():
            weights.requires_grad_(name.endswith("bias"))
    if method.startswith("lora"):
        rank = int(method.split()[1])
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["query", "value"])
        inject_adapter_in_model(config, model.encoder)
    return model


@cache
def asked(split: str) -> pd.DataFrame:
    """Return the reviews of `split` that every model answers."""
    table = items(split)
    if split == "validation":
        table = table.sample(VALIDATION, random_state=0).sort_index().reset_index(drop=True)
    return table


def answers(model: ll.Heads, system: str, split: str) -> pd.DataFrame:
    """Return the records of one model on the reviews of `split`; nats to two decimals."""
    table = asked(split)
    logits = model.predict(table.text)["fresh"][:, 0]
    prediction = np.where(logits >= 0, "fresh", "rotten")
    sign = np.where(table.target == "fresh", 1, -1)
    return ll.make_records(
        system,
        split,
        table,
        prediction=prediction,
        score=prediction == table.target,
        loglik=np.round(-np.logaddexp(0, -sign * logits), 2),
    )
