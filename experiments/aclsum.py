"""Extractive summaries of papers, and what a sentence is about, on one or two encoders. An hour.

The upper two of MiniLM's six layers learn, over the frozen lower four, from 1,200 sentences of
ACLSum's training papers, half of them highlighted by the annotators, in one pass: is a sentence
highlighted, and is a highlighted one about the challenge, the approach or the outcome? "shared"
learns both with the same layers, "single" each with its own, from the same sentences in the same
number of steps; with decoupled weight decay or without. "coupled" is shared, with the sum of
squared weights in the loss. The summary of a paper is its three sentences with the highest score,
in their order; the reference is its three human summaries, one after another. Systems without
training choose by place, by chance, by length, by nearness to the paper's mean vector, and, as an
upper bound, greedily by the reference.
"""

from functools import cache

import numpy as np
import pandas as pd
import torch
from efficiency import fast_products
from rouge_score import rouge_scorer
from torch.nn import functional as F

import lleval_lib as ll

ASPECTS = ("challenge", "approach", "outcome")
TRAIN, BATCH, RATE, TOKENS, K = 1_200, 32, 5e-4, 48, 3
FROZEN = 4  # layers, of six
# The decoupled decay that was planned; 1 and 30 show, with two seeds, what depends on it.
DECAY, OTHERS = 10.0, (1.0, 30.0)
COUPLED = 0.01
BASELINES = ("lead", "longest", "centroid", "oracle", *(f"random, seed {s}" for s in range(5)))
SYSTEMS = (
    *BASELINES,
    *(f"{m}, {d:g}, seed {s}" for s in range(5) for m in ("shared", "single") for d in (0, DECAY)),
    *(f"shared, {d:g}, seed {s}" for d in OTHERS for s in range(2)),
    *(f"coupled, {COUPLED:g}, seed {s}" for s in range(3)),
)
KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_plain = rouge_scorer.RougeScorer(KINDS)
_unigrams = rouge_scorer.RougeScorer(["rouge1"])
_stemmed = rouge_scorer.RougeScorer(KINDS, use_stemmer=True)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the test and the validation papers."""
    name, *rest = system.split(", ")
    if system in BASELINES:
        seed = int(rest[0].removeprefix("seed ")) if rest else 0
        parts = [("test", baseline(name, split("test"), seed))]
        return pd.concat([summaries(system, part, scores) for part, scores in parts])
    decay, seed = float(rest[0]), int(rest[1].removeprefix("seed "))
    with fast_products():
        if name == "single":
            models = [trained(name, decay, seed, [task]) for task in ("keep", "aspect")]
        else:
            models = [trained(name, decay, seed, ["keep", "aspect"])]
        tables = []
        for part in ("test", "validation"):
            if part == "validation" and not (name == "shared" and seed < 2):
                continue
            table, hidden = split(part), lower(part)
            logits = models[0].predict(*hidden)
            tables.append(summaries(system, part, logits["keep"][:, 0]))
            one = np.flatnonzero(table.about >= 0)
            if name == "single":
                found = models[1].predict(hidden[0][one], hidden[1][one])["aspect"]
            else:
                found = logits["aspect"][one]
            tables.append(aspects(system, part, table.iloc[one], found))
    return pd.concat(tables, ignore_index=True)


@cache
def split(part: str) -> pd.DataFrame:
    """Return the sentences of a part; `about` is the aspect's number, -1 where none or several."""
    table = ll.load_aclsum()
    table = table[table.split == part].reset_index(drop=True)
    marks = table[list(ASPECTS)].to_numpy()
    about = np.where(marks.sum(axis=1) == 1, marks.argmax(axis=1), -1)
    return table.assign(keep=marks.any(axis=1), about=about)


@cache
def lower(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the frozen layers make of the sentences of a part, and their mask."""
    encoder = ll.load_encoder()
    model = encoder.model.eval()
    model.encoder.layer = model.encoder.layer[:FROZEN]
    texts = split(part).text.tolist()
    order = np.argsort([len(text) for text in texts], kind="stable")
    hidden = torch.zeros(len(texts), TOKENS, model.config.hidden_size, dtype=torch.float16)
    mask = torch.zeros(len(texts), TOKENS, dtype=torch.bool)
    for start in range(0, len(texts), 64):
        rows = order[start : start + 64]
        found = encoder.processor(
            [texts[row] for row in rows],
            padding=True,
            truncation=True,
            max_length=TOKENS,
            return_tensors="pt",
        )
        with torch.inference_mode():
            states = model(**found).last_hidden_state
        hidden[rows, : states.shape[1]] = states.half()
        mask[rows, : states.shape[1]] = found["attention_mask"].bool()
    return hidden, mask


class Upper(torch.nn.Module):
    """The upper layers of MiniLM and a linear layer for each task, over what `lower` returns."""

    def __init__(self, tasks: list[str]):
        super().__init__()
        model = ll.load_encoder().model
        model.set_attn_implementation("eager")
        self.layers = model.encoder.layer[FROZEN:]
        sizes = {task: {"keep": 1, "aspect": 3}[task] for task in tasks}
        width = model.config.hidden_size
        self.heads = torch.nn.ModuleDict({t: torch.nn.Linear(width, n) for t, n in sizes.items()})
        for part in self.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the logits of each task."""
        longest = int(mask.sum(1).max())
        hidden, mask = hidden[:, :longest].float(), mask[:, :longest]
        forbidden = torch.where(mask, 0.0, -1e9)[:, None, None, :]
        for layer in self.layers:
            hidden = layer(hidden, forbidden)
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        mask = mask.unsqueeze(-1)
        vectors = (hidden * mask).sum(1) / mask.sum(1)
        return {task: head(vectors) for task, head in self.heads.items()}

    def predict(self, hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, np.ndarray]:
        """Return the logits of any number of sentences."""
        order = torch.argsort(mask.sum(1), stable=True)
        back = torch.argsort(order)
        with torch.inference_mode():
            found = [self(hidden[rows], mask[rows]) for rows in order.split(128)]
        return {task: torch.cat([f[task] for f in found])[back].numpy() for task in self.heads}


def trained(name: str, decay: float, seed: int, tasks: list[str]) -> Upper:
    """Return the upper layers after one pass over the training sentences."""
    rng = np.random.default_rng(seed)
    table = split("train")
    chosen = [
        rng.choice(np.flatnonzero(rows), TRAIN // 2, replace=False)
        for rows in (table.about >= 0, ~table.keep)
    ]
    chosen = chosen[0] if tasks == ["aspect"] else np.concatenate(chosen)
    hidden, mask = (values[chosen] for values in lower("train"))
    table = table.iloc[chosen]
    keep = torch.tensor(table.keep.to_numpy(), dtype=torch.float32)
    about = torch.tensor(table.about.to_numpy())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Upper(tasks)

    def loss(rows):
        rows = torch.from_numpy(rows)
        logits, value = model(hidden[rows], mask[rows]), 0.0
        if "keep" in logits:
            value = F.binary_cross_entropy_with_logits(logits["keep"].squeeze(1), keep[rows])
        if "aspect" in logits:
            one = about[rows] >= 0
            value = value + F.cross_entropy(logits["aspect"][one], about[rows][one])
        if name == "coupled":
            value = value + decay * ll.l2(model.parameters())
        return value

    groups = ll.decay_groups(model, 0.0 if name == "coupled" else decay)
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    # Half the sentences, in half as large batches: as many steps.
    batch = BATCH // 2 if tasks == ["aspect"] else BATCH
    ll.fit(model, loss, len(chosen), optimizer=optimizer, epochs=1, batch_size=batch, rng=rng)
    return model.eval()


def baseline(name: str, table: pd.DataFrame, seed: int) -> np.ndarray:
    """Return a score for each sentence, by a rule that learns nothing."""
    place = table.groupby("paper").cumcount().to_numpy()
    if name == "lead":
        return -place
    if name == "longest":
        return table.text.str.split().str.len().to_numpy() - place / 1_000
    if name == "random":
        return np.random.default_rng(seed).random(len(table))
    if name == "centroid":
        vectors = ll.Heads(ll.load_encoder(), {"none": 1}, max_tokens=TOKENS).eval()
        with torch.inference_mode():
            found = [vectors.vectors(table.text[i : i + 64]) for i in range(0, len(table), 64)]
        found = F.normalize(torch.cat(found)).numpy()
        means = pd.DataFrame(found).groupby(table.paper.to_numpy()).transform("mean")
        return (found * means.to_numpy()).sum(axis=1)
    score = np.zeros(len(table))
    for _, rows in table.groupby("paper"):
        kept = []
        for _ in range(K):
            gain = {
                i: _unigrams.score(reference(rows), joined(rows, [*kept, i]))["rouge1"].fmeasure
                for i in rows.index.difference(kept)
            }
            kept.append(max(gain, key=gain.get))
        score[kept] = 1
    return score


def reference(rows: pd.DataFrame) -> str:
    """Return the three human summaries of a paper, one a line."""
    return "\n".join(rows[f"{aspect}_summary"].iloc[0] for aspect in ASPECTS)


def joined(rows: pd.DataFrame, chosen) -> str:
    """Return the chosen sentences, in the order of the paper, one a line."""
    return "\n".join(rows.text[i] for i in sorted(chosen))


def summaries(system: str, part: str, score: np.ndarray) -> pd.DataFrame:
    """Return the records of the summaries: ROUGE-1 F, and ROUGE in other configurations."""
    table, found = split(part), []
    for paper, rows in table.groupby("paper", sort=False):
        chosen = rows.index[np.argsort(-score[rows.index], kind="stable")[:K]]
        text, target = joined(rows, chosen), reference(rows)
        row = {"item_id": paper, "cluster": paper}
        row["prediction"] = " ".join(str(i - rows.index[0]) for i in sorted(chosen))
        for word, scorer in (("plain", _plain), ("stem", _stemmed)):
            for kind, value in scorer.score(target, text).items():
                row[f"{kind} {word} F"] = round(100 * value.fmeasure, 2)
                row[f"{kind} {word} R"] = round(100 * value.recall, 2)
        cut = " ".join(text.replace("\n", " \n ").split(" ")[:60])
        for kind, value in _plain.score(target, cut).items():
            row[f"{kind} cut F"] = round(100 * value.fmeasure, 2)
        found.append(row)
    found = pd.DataFrame(found).assign(target="")
    more = {name: found[name] for name in found if name.startswith("rouge")}
    return ll.make_records(
        system,
        f"summary, {part}",
        found,
        prediction=found.prediction,
        score=found["rouge1 plain F"],
        metric="ROUGE-1",
        **more,
    )


def aspects(system: str, part: str, table: pd.DataFrame, logits: np.ndarray) -> pd.DataFrame:
    """Return the records of the aspects of highlighted sentences; nats to two decimals."""
    answers = np.array(ASPECTS)
    items = table.assign(cluster=table.paper, target=answers[table.about])
    log_p = torch.log_softmax(torch.from_numpy(logits), dim=1).numpy()
    prediction = answers[logits.argmax(axis=1)]
    return ll.make_records(
        system,
        f"aspect, {part}",
        items,
        prediction=prediction,
        score=prediction == items.target,
        loglik=np.round(log_p[np.arange(len(table)), table.about], 2),
        metric="accuracy",
    )
