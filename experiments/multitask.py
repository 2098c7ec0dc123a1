"""One encoder with a head for each of three tasks, against one encoder a task. An hour.

The tasks: is a film review fresh or rotten ("sentiment"), is a text a review or a piece of a plot
("source"), and how did a patient rate a drug ("drug")? The encoder is MiniLM's word vectors, which
stay, and the lower three of its layers, which learn. Each task has 256 training items, in batches
of 16 for two epochs: 32 steps, in which a shared encoder takes a batch of every task. So every
model sees each item of its tasks twice, in equally many steps. Dropout is off, so that a seed
decides the training items, their order and the new heads, and nothing else.

Each task alone, and each of four ways to share (equal weights, tuned weights, weights by
uncertainty, PCGrad), has four trials of one seed; validation chooses one of the four by its mean
log-likelihood, and this has five seeds. While the chosen equal weights train, the gradients of
batches that training does not use are compared. Then a task with few items: sentiment from 40
reviews, alone, with both helpers, or with helpers whose labels are shuffled, at two rates.
"""

import hashlib
import re
from functools import cache
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import torch
from efficiency import fast_products
from reviews import items as reviews_of
from torch.nn.functional import cross_entropy

import lleval_lib as ll

TASKS = {
    "sentiment": ("fresh", "rotten"),
    "source": ("plot", "review"),
    "drug": ("negative", "neutral", "positive"),
}
TRAIN, BATCH, EPOCHS, MAX_TOKENS, LAYERS = 256, 16, 2, 48, 3
ASKED = {
    "train": 2_000,
    "validation": 160,
    "test": 600,
}  # items of each task, or all that there are
RATES = (2e-4, 4e-4, 8e-4, 1.6e-3)
# What each of them tries: (what it sets, the learning rate).
TRIALS = {
    **{f"{task} alone": [("", rate) for rate in RATES] for task in TASKS},
    "equal": [("", rate) for rate in RATES],
    "tuned": [(w, rate) for w in ("2:1:1", "2:1:2") for rate in (4e-4, 8e-4)],
    "uncertainty": [(times, rate) for times in ("x1", "x300") for rate in (4e-4, 8e-4)],
    "pcgrad": [("", rate) for rate in RATES],
}
SEEDS, FEW, FEW_RATES = 5, 40, (4e-4, 1e-4)


def _name(method: str, option: str, rate: float, seed: int) -> str:
    return ", ".join([method, *([option] if option else []), f"{rate:g}", f"seed {seed}"])


TRIED = tuple(_name(m, *trial, 0) for m, trials in TRIALS.items() for trial in trials)
# What the validation items choose by their mean log-likelihood in these trials.
BEST = {
    "sentiment alone": ("", 4e-4),
    "source alone": ("", 2e-4),
    "drug alone": ("", 8e-4),
    "equal": ("", 4e-4),
    "tuned": ("2:1:2", 4e-4),
    "uncertainty": ("x1", 4e-4),
    "pcgrad": ("", 4e-4),
}
# Variances that move, which validation did not choose.
MOVING = ("uncertainty", ("x300", 4e-4))
PROBED = tuple(_name("equal", *BEST["equal"], seed) for seed in range(SEEDS))
SYSTEMS = (
    *TRIED,
    *(_name(m, *trial, seed) for seed in range(1, SEEDS) for m, trial in (*BEST.items(), MOVING)),
    *(
        f"sentiment from {FEW}, {how}, {rate:g}, seed {seed}"
        for rate in FEW_RATES
        for seed in range(SEEDS)
        for how in ("alone", "shared", "shuffled")
    ),
)


@cache
def data(split: str) -> dict[str, pd.DataFrame]:
    """Return the items of every task in one split; none is in two tasks."""
    rng = np.random.default_rng(0)
    reviews = reviews_of(split).sample(frac=1, random_state=rng)
    size = ASKED[split]
    drug = ll.load_drug_reviews().rename(columns={"drug": "cluster", "label": "target"})
    drug = drug[drug.split == split]
    if split != "train":
        drug = drug[~drug.text.duplicated()].head(size)
    half = min(size // 2, len(plots(split)))
    source = pd.concat(
        [
            reviews.iloc[size : size + half].assign(target="review"),
            plots(split).sample(half, random_state=rng),
        ]
    )
    # A piece of a plot has as many words as some review, and none ends in a full stop.
    words = source.text.str.split()
    lengths = np.tile(words[source.target == "review"].str.len(), 2)
    source["text"] = [
        " ".join(some[:n]).rstrip(".!?… ") for some, n in zip(words, lengths, strict=True)
    ]
    found = {"sentiment": reviews.head(size), "source": source, "drug": drug}
    return {
        task: table[["item_id", "cluster", "text", "target"]].reset_index(drop=True)
        for task, table in found.items()
    }


@cache
def plots(split: str) -> pd.DataFrame:
    """Return a plot from a random sentence on, of films that no other split has."""
    known = ll.load_reviews().drop_duplicates("film").set_index("film").split
    rng = np.random.default_rng(1)
    table = ll.load_plots().rename(columns={"film": "cluster"})
    table = table[table.text.str.split().str.len() > 60]
    starts = [rng.choice(_sentences(text)) for text in table.text]
    table["text"] = [text[start:] for text, start in zip(table.text, starts, strict=True)]
    new = table.cluster.map(lambda film: "train" if _byte(film) < 128 else "test")
    new = new.mask(table.cluster.map(_byte) >= 230, "validation")
    table = table[table.cluster.map(known).fillna(new) == split]
    return table.assign(target="plot")


def _sentences(text: str) -> list[int]:
    """Return where the sentences of the first half of `text` start."""
    return [0, *(m.end() for m in re.finditer(r"[.!?] ", text[: len(text) // 2]))]


def _byte(film: str) -> int:
    return hashlib.sha256(film.encode()).digest()[0]


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the validation and the test items of its tasks."""
    with fast_products():
        model, log = trained(system)
        asked = ("sentiment",) if " from " in system else tuple(model.heads)
        answered = [
            answers(model, system, task, split)
            for split in ("validation", "test")
            for task in asked
        ]
    return pd.concat([*answered, *log])


def trained(system: str) -> tuple[ll.Heads, list[pd.DataFrame]]:
    """Return the model that `system` names, and what was noted while it learned."""
    method, *options = system.split(", ")
    seed = int(options.pop().removeprefix("seed "))
    few, tasks = TRAIN, tuple(TASKS)
    if " from " in method:
        few, how, rate = FEW, options[0], float(options[1])
        tasks = ("sentiment",) if how == "alone" else tasks
    else:
        rate, how = float(options[-1]), options[0]
        tasks = (method.removesuffix(" alone"),) if method.endswith("alone") else tasks
    rng = np.random.default_rng(seed)
    learn = {task: pool(task).sample(TRAIN, random_state=rng) for task in TASKS}
    spare = {task: pool(task).drop(learn[task].index) for task in TASKS}
    learn["sentiment"] = learn["sentiment"].iloc[np.arange(TRAIN) % few]
    if how == "shuffled":
        for helper in ("source", "drug"):
            learn[helper]["target"] = rng.permutation(learn[helper].target)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = new_model(tasks)
    shared = shared_weights(model)
    weights = torch.ones(len(tasks))
    if method == "tuned":
        weights = torch.tensor([float(w) for w in how.split(":")])
    logs = torch.zeros(len(tasks), requires_grad=method == "uncertainty")
    groups = [{"params": [*shared, *model.heads.parameters()], "lr": rate}]
    if method == "uncertainty":
        groups.append({"params": [logs], "lr": rate * float(how.removeprefix("x"))})
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
    notes: list[pd.DataFrame] = []
    step = 0

    def loss(rows):
        nonlocal step
        if system in PROBED and step % 8 == 0:
            notes.append(probed(model, system, step, spare))
        step += 1
        losses = [task_loss(model, learn[task].iloc[rows], task) for task in tasks]
        if method == "pcgrad":
            return surgery(losses, shared, rng)
        if method == "uncertainty":
            return sum(uncertain(value, s) for value, s in zip(losses, logs, strict=True))
        return sum(w * value for w, value in zip(weights, losses, strict=True)) / weights.sum()

    ll.fit(model, loss, TRAIN, optimizer=optimizer, epochs=EPOCHS, batch_size=BATCH, rng=rng)
    if method == "uncertainty":
        notes.append(noted(system, "log variance", list(tasks), logs.tolist()))
    return model.eval(), notes


@cache
def pool(task: str) -> pd.DataFrame:
    return data("train")[task]


def new_model(tasks: tuple[str, ...]) -> ll.Heads:
    """Return the lower part of MiniLM with a new head for each task, without dropout."""
    sizes = {task: len(TASKS[task]) for task in tasks}
    model = ll.Heads(ll.load_encoder(), sizes, max_tokens=MAX_TOKENS)
    model.encoder.embeddings.requires_grad_(False)
    model.encoder.encoder.layer = model.encoder.encoder.layer[:LAYERS]
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return model


def shared_weights(model: ll.Heads) -> list[torch.nn.Parameter]:
    """Return the weights of the encoder that learn."""
    return list(model.encoder.encoder.parameters())


def task_loss(model: ll.Heads, batch: pd.DataFrame, task: str) -> torch.Tensor:
    """Return the mean of -ln P(target) over the items of `batch`."""
    target = torch.tensor([TASKS[task].index(label) for label in batch.target])
    return cross_entropy(model(batch.text)[task], target)


def uncertain(loss: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """Return L / (2 σ²) + ln σ with s = ln σ² (Kendall et al. 2018)."""
    return torch.exp(-s) * loss / 2 + s / 2


def surgery(losses: list[torch.Tensor], shared: list, rng: np.random.Generator) -> torch.Tensor:
    """Return the mean loss, whose gradient by `shared` is replaced by that of PCGrad."""
    slopes = [_flat(torch.autograd.grad(value, shared, retain_graph=True)) for value in losses]
    total = project_conflicts(slopes, rng) / len(losses)
    mean = sum(losses) / len(losses)
    change = total - sum(slopes) / len(slopes)
    at = torch.cat([weights.flatten() for weights in shared])
    extra = change @ at
    return mean + extra - extra.detach()


def project_conflicts(slopes: list[torch.Tensor], rng: np.random.Generator) -> torch.Tensor:
    """Return the sum of `slopes`, each without its part against another (Yu et al. 2020)."""
    total = torch.zeros_like(slopes[0])
    for i, slope in enumerate(slopes):
        kept = slope.clone()
        for j in rng.permutation([j for j in range(len(slopes)) if j != i]):
            inner = kept @ slopes[j]
            if inner < 0:
                kept -= inner / (slopes[j] @ slopes[j]) * slopes[j]
        total += kept
    return total


def _flat(parts) -> torch.Tensor:
    return torch.cat([part.flatten() for part in parts])


def probed(model: ll.Heads, system: str, step: int, spare: dict) -> pd.DataFrame:
    """Return the cosines between the gradients of two fresh batches of every task."""
    shared, slopes = shared_weights(model), {}
    for task in TASKS:
        batches = spare[task].sample(2 * BATCH, random_state=step)
        for k in (0, 1):
            value = task_loss(model, batches[k * BATCH : (k + 1) * BATCH], task)
            slopes[task, k] = _flat(torch.autograd.grad(value, shared))
            slopes[task, k] /= slopes[task, k].norm()
    pairs = list(combinations_with_replacement(TASKS, 2))
    cosines = [float(slopes[a, 0] @ slopes[b, 1]) for a, b in pairs]
    names = [f"{step} {a} {b}" for a, b in pairs]
    return noted(system, "cosine", names, cosines)


def noted(system: str, what: str, names: list[str], values: list[float]) -> pd.DataFrame:
    """Return as records what is no answer to an item."""
    table = pd.DataFrame({"item_id": names, "cluster": "training", "target": what})
    return ll.make_records(system, what, table, prediction=what, score=np.round(values, 4))


def answers(model: ll.Heads, system: str, task: str, split: str) -> pd.DataFrame:
    """Return the records of one task and split; nats to two decimals."""
    table = data(split)[task]
    logits = torch.tensor(model.predict(table.text)[task])
    logliks = logits.log_softmax(1).numpy()
    prediction = np.array(TASKS[task])[logliks.argmax(1)]
    right = [TASKS[task].index(label) for label in table.target]
    return ll.make_records(
        system,
        f"{task} {split}",
        table,
        prediction=prediction,
        score=prediction == table.target,
        loglik=np.round(logliks[np.arange(len(table)), right], 2),
    )
