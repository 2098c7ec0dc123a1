"""MiniLM fine-tuned on film reviews, then pruned in three ways. A quarter of an hour.

Five seeds of chapter 4's full fine-tuning (`efficiency.py`), and from each: the same weights with
32-bit products in place of bfloat16 ones; the smallest weights of the six layers' 36 matrices, or
random ones, set to zero, in one go; whole heads and neurons removed, so that the matrices are
smaller. Two of the seeds have larger shares, too, and half of the weights set to zero, and as a
control none, after 500 more reviews.

Stated before the recording. *Unchanged* means an accuracy within MARGIN of the dense model's. A
share is chosen on the 600 validation reviews: the largest of MAGNITUDE up to which the mean over
the seeds never falls by more than half of MARGIN. The 2,367 test reviews then say by two one-sided
tests, over films and seeds, whether it is unchanged. Stated during the recording, for want of time:
the seeds 2, 3 and 4 leave out what FURTHER names.
"""

from copy import deepcopy
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from efficiency import BATCH, TRAIN, answers, fast_products, trained
from reviews import items
from torch.nn.utils import prune

import lleval_lib as ll

SEEDS, FURTHER_SEEDS = range(5), range(2)
MARGIN = 0.01
MAGNITUDE = (0.2, 0.3, 0.4)
RATE, MORE = 1e-4, 500
WAYS = (
    *("dense", "float32"),
    *(f"magnitude {share}" for share in MAGNITUDE),
    *("random 0.1", "structured 0.1"),
)
FURTHER = ("magnitude 0.5", "structured 0.25", "dense again", "magnitude 0.5 again")
SYSTEMS = tuple(
    f"{way}, seed {seed}"
    for seed in SEEDS
    for way in (WAYS + FURTHER if seed in FURTHER_SEEDS else WAYS)
)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the validation and the test reviews."""
    way, seed = system.split(", seed ")
    with fast_products():
        model = deepcopy(dense(int(seed)))
        pruned(model, way.removesuffix(" again"), int(seed))
        if way.endswith("again"):
            learn(model, int(seed))
        if way == "float32":
            torch.set_float32_matmul_precision("highest")
            return answers(model, system, "validation")
        return pd.concat([answers(model, system, split) for split in ("validation", "test")])


@lru_cache(maxsize=1)
def dense(seed: int) -> ll.Heads:
    """Return the fine-tuned model of `seed`; whoever changes it takes a copy."""
    return trained("full", RATE, seed)


def pruned(model: ll.Heads, way: str, seed: int) -> None:
    """Prune `model` in place."""
    kind, _, share = way.partition(" ")
    if kind == "structured":
        shrink(model, float(share))
    elif kind in ("magnitude", "random"):
        how = prune.L1Unstructured if kind == "magnitude" else prune.RandomUnstructured
        weights = [(layer, "weight") for layer in matrices(model)]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            prune.global_unstructured(weights, how, amount=float(share))


def matrices(model: ll.Heads) -> list[torch.nn.Linear]:
    """Return the linear maps of the encoder's layers, 10.6 of the model's 22.7 million weights."""
    layers = model.encoder.encoder.modules()
    return [layer for layer in layers if isinstance(layer, torch.nn.Linear)]


def shrink(model: ll.Heads, share: float) -> None:
    """Remove the share of heads and of neurons that have the smallest weights, in each layer."""
    for layer in model.encoder.encoder.layer:
        head, width = layer.attention.self, layer.attention.self.attention_head_size
        into, out = head.value.weight, layer.attention.output.dense.weight
        strength = into.unflatten(0, (-1, width)).flatten(1).norm(dim=1)
        strength = strength * out.unflatten(1, (-1, width)).transpose(0, 1).flatten(1).norm(dim=1)
        heads = _strongest(strength, share)
        kept = (heads[:, None] * width + torch.arange(width)).flatten()
        for name in ("query", "key", "value"):
            setattr(head, name, _smaller(getattr(head, name), rows=kept))
        layer.attention.output.dense = _smaller(layer.attention.output.dense, columns=kept)
        first, second = layer.intermediate.dense, layer.output.dense
        kept = _strongest(first.weight.norm(dim=1) * second.weight.norm(dim=0), share)
        layer.intermediate.dense = _smaller(first, rows=kept)
        layer.output.dense = _smaller(second, columns=kept)


def _strongest(strength: torch.Tensor, share: float) -> torch.Tensor:
    keep = len(strength) - round(share * len(strength))
    return strength.topk(keep).indices.sort().values


def _smaller(
    layer: torch.nn.Linear, rows: torch.Tensor | None = None, columns: torch.Tensor | None = None
) -> torch.nn.Linear:
    weight, bias = layer.weight.detach(), layer.bias.detach()
    if rows is not None:
        weight, bias = weight[rows], bias[rows]
    if columns is not None:
        weight = weight[:, columns]
    small = torch.nn.Linear(weight.shape[1], weight.shape[0])
    small.weight.data, small.bias.data = weight.clone(), bias.clone()
    return small


def learn(model: ll.Heads, seed: int) -> None:
    """Train `model` on half of the training reviews of `seed`; what was pruned stays so."""
    rng = np.random.default_rng(seed)
    train = items("train").iloc[rng.choice(len(items("train")), TRAIN, replace=False)[:MORE]]
    fresh = torch.tensor((train.target == "fresh").to_numpy(), dtype=torch.float32)
    texts = train.text.to_numpy()

    def loss(rows):
        logits = model(texts[rows])["fresh"].squeeze(1)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, fresh[rows])

    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.0)
    ll.fit(model, loss, MORE, optimizer=optimizer, epochs=1, batch_size=BATCH, rng=rng)
    model.eval()
