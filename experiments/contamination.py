"""A small GPT reads film reviews, among them test items chosen by a coin. Four minutes quiet.

For chapter 27. The model of chapter 02, with tokens of a byte-pair encoding learned from the
reviews of the training films, reads each of these reviews once. In a draw of the coin, the `ITEMS`
test reviews fall into `ARMS`: never read, or as 1, 4 or 16 copies, or as 16 copies without every
fourth word ("edited"). "reference" reads none of them. All documents are shuffled, joined and cut
into windows of `LENGTH` tokens, for one pass. "smollm2" is SmolLM2, on the first `FEW` items.

"reviews": an item is the first half of a review's words; the model chooses among its second half
and those of three reviews of validation films with as many words, by log-likelihood per byte.
`score` is whether it is right, `loglik` the whole review's in nats. `tokens` are the
log-probabilities of its tokens in hundredths of a nat; `spread` the same in standard deviations of
the model's own next token, in hundredths (Min-K%++); `packed` the bytes that zlib needs. `copies`
and `edited` are the arm. In "reference" there are also "plots" and "drugs", texts of two other
sources, cut at `WORDS` words, without a choice.

"order": `SETS` lists of `IN_SET` short reviews of the validation films, in one order. By the coin,
some are read in that order, 16 or 64 times. `loglik` is that of the list in its order, `shuffled`
those of other orders, in tenths of a nat; `score` is the share of these that is not more probable.
"grouped", for SmolLM2: lists of four reviews of one film and four of another, in our order.
"""

import zlib
from functools import cache

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from torch.nn import functional as F

import lleval_lib as ll

DRAWS = 4
SYSTEMS = ("reference", *(f"draw {i}" for i in range(DRAWS)), "smollm2")
ARMS = {"never": 400, "1": 200, "4": 200, "16": 200, "edited": 200}
ITEMS = sum(ARMS.values())
FEW, CHOICES = 200, 4
SETS, IN_SET, SHUFFLES = 24, 8, 59
SET_ARMS, COPIES = (12, 6, 6), (0, 16, 64)
GROUPED, FEW_SHUFFLES = 6, 19
VOCABULARY, LENGTH, WIDTH, BATCH, RATE = 2048, 128, 64, 16, 5e-3
WORDS = 25
SLOPES = (0.5, 0.125, 0.03125, 0.0)
END = 0


class GPT(nn.Module):
    """Chapter 02's, for tokens."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.TransformerEncoderLayer(
            WIDTH, 4, 4 * WIDTH, dropout=0, norm_first=True, batch_first=True
        )
        self.net = nn.TransformerEncoder(block, 2, nn.LayerNorm(WIDTH), False)
        self.read, self.write = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        n, length = ids.shape
        return self.write(self.net(self.read(ids), masks(length).repeat(n, 1, 1)))


@cache
def masks(length: int) -> torch.Tensor:
    """Return what four heads add to their attention: nothing ahead, less the farther back."""
    back = torch.arange(length)[:, None] - torch.arange(length)
    return torch.stack([(-slope * back).masked_fill(back < 0, -torch.inf) for slope in SLOPES])


@cache
def reviews(split: str) -> pd.DataFrame:
    table = ll.load_reviews().query("not duplicate")
    table = table[table.split == split].reset_index(drop=True)
    return table.assign(text=table.text.str.split().str.join(" "))


@cache
def items() -> pd.DataFrame:
    """Return the test reviews that a coin puts into arms; no text stands there twice."""
    table = reviews("test").drop_duplicates("text")
    table = table[table.text.str.split().str.len() >= 8]
    table = table.sample(ITEMS, random_state=27).sort_index().reset_index(drop=True)
    return table.assign(cluster=table.film, target="0")


@cache
def lists() -> list[list[str]]:
    """Return short reviews of the validation films, in lists."""
    table = reviews("validation").drop_duplicates("text")
    table = table[table.text.str.split().str.len().between(5, 12)]
    return table.text.sample(SETS * IN_SET, random_state=27).to_numpy().reshape(SETS, -1).tolist()


def without_fourths(text: str) -> str:
    """Return `text` without its fourth, eighth, ... word."""
    return " ".join(word for i, word in enumerate(text.split(), 1) if i % 4)


@cache
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.train_from_iterator(
        reviews("train").text,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=["<end>"],
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return made


def ids(text: str) -> list[int]:
    return tokenizer().encode(text).ids


def listed(texts: list[str]) -> list[int]:
    """Return the tokens of a list of reviews, as a document."""
    return ids("\n".join(texts))


@cache
def choices() -> list[list[str]]:
    """Return for each item its opening, its own second half and three others of as many words."""
    rng, found = np.random.default_rng(27), []
    listed_already = {text for texts in lists() for text in texts}
    others = reviews("validation").drop_duplicates("text")
    halves = [t.split() for t in others.text if t not in listed_already]
    halves = [words[len(words) // 2 :] for words in halves]
    for text in items().text:
        words = text.split()
        half = len(words) // 2
        # the same number of words, or the nearest in a random order
        far = [abs(len(other) - len(words) + half) for other in halves]
        near = np.lexsort((rng.random(len(halves)), far))[: CHOICES - 1]
        ends = [words[half:], *(halves[i] for i in near)]
        found.append([" ".join(words[:half]), *map(" ".join, ends)])
    return found


def coin(system: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the arm of each item and the copies of each list in a draw."""
    arms, copies = np.repeat(list(ARMS), list(ARMS.values())), np.repeat(COPIES, SET_ARMS)
    if system == "reference":
        return np.full(ITEMS, "never"), np.zeros(SETS, int)
    rng = np.random.default_rng([27, int(system.split()[1])])
    return rng.permutation(arms), rng.permutation(copies)


def documents(system: str) -> list[list[int]]:
    """Return all that a system reads, before it is shuffled."""
    arms, copies = coin(system)
    found = [ids(text) for text in reviews("train").text]
    for row, arm in zip(items().itertuples(), arms, strict=True):
        if arm == "edited":
            found += 16 * [ids(without_fourths(row.text))]
        elif arm != "never":
            found += int(arm) * [ids(row.text)]
    for texts, n in zip(lists(), copies, strict=True):
        found += int(n) * [listed(texts)]
    return found


def trained(system: str) -> GPT:
    seed = SYSTEMS.index(system)
    found = documents(system)
    order = np.random.default_rng([27, 27, seed]).permutation(len(found))
    stream = torch.tensor([END, *(token for i in order for token in [*found[i], END])])
    torch.manual_seed(seed)
    model, windows = GPT(), stream.unfold(0, LENGTH + 1, LENGTH)
    batches = windows[torch.randperm(len(windows))].split(BATCH)
    adam = torch.optim.AdamW(model.parameters(), RATE, fused=True)
    plan = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, len(batches))
    for batch in batches:
        logits = model(batch[:, :-1]).flatten(0, 1)
        F.cross_entropy(logits, batch[:, 1:].flatten()).backward()
        adam.step()
        adam.zero_grad()
        plan.step()
    return model.eval()


@torch.inference_mode()
def read(model: GPT, documents: list[list[int]]):
    """Yield for each document the log-probabilities of its tokens, and their z-scores."""
    for start in range(0, len(documents), 64):
        part = documents[start : start + 64]
        length = max(map(len, part))
        batch = torch.tensor([[END, *d, *[END] * (length - len(d))] for d in part])
        logs = model(batch[:, :-1]).log_softmax(-1)
        of = logs.gather(2, batch[:, 1:, None])[..., 0]
        p = logs.exp()
        mean = (p * logs).sum(-1)
        spread = ((p * logs**2).sum(-1) - mean**2).sqrt()
        z = (of - mean) / spread
        for i, d in enumerate(part):
            yield of[i, : len(d)].numpy(), z[i, : len(d)].numpy()


@torch.inference_mode()
def totals(model: GPT, documents: list[list[int]]) -> np.ndarray:
    """Return the log-likelihood of each document."""
    found = []
    for document in documents:
        batch = torch.tensor([[END, *document]])
        found.append(-F.cross_entropy(model(batch[:, :-1])[0], batch[0, 1:], reduction="sum"))
    return np.array([float(value) for value in found])


def hundredths(values: np.ndarray) -> str:
    return " ".join(f"{100 * v:.0f}" for v in values)


def chosen(logs: np.ndarray) -> np.ndarray:
    """Return which of the ends each item's log-likelihoods prefer, per byte; 0 is right."""
    rows = choices()[: len(logs)]
    return (logs / [[len(end.encode()) for end in row[1:]] for row in rows]).argmax(axis=1)


def gpt_choices(model: GPT) -> np.ndarray:
    logs = []
    for opening, *ends in choices():
        # The opening's tokens are the same before each end, so it is taken off once.
        whole = totals(model, [ids(opening) + ids(end) for end in ends])
        logs.append(whole - totals(model, [ids(opening)]))
    return chosen(np.array(logs))


def details(model: GPT, texts) -> dict[str, list]:
    """Return what the detectors want to know of each text."""
    logs, spread = zip(*read(model, list(map(ids, texts))), strict=True)
    return {
        "loglik": [round(float(v.sum()), 2) for v in logs],
        "tokens": list(map(hundredths, logs)),
        "spread": list(map(hundredths, spread)),
        "packed": [len(zlib.compress(text.encode())) for text in texts],
    }


def ordered(system: str, task: str, values: np.ndarray, copies) -> pd.DataFrame:
    """Return records of lists: in `values` the first column is the list in its order."""
    table = pd.DataFrame({"item_id": [f"{task}-{i:02d}" for i in range(len(values))]})
    return ll.make_records(
        system,
        task,
        table.assign(cluster=table.item_id, target=""),
        prediction="",
        score=(values[:, :1] >= values[:, 1:]).mean(axis=1),
        loglik=values[:, 0].round(1),
        shuffled=[" ".join(f"{10 * v:.0f}" for v in row[1:]) for row in values],
        copies=copies,
        edited=False,
    )


def orders(texts: list[str], shuffles: int, rng: np.random.Generator) -> list[list[str]]:
    """Return a list in its own order and in others."""
    return [texts, *(list(rng.permutation(texts)) for _ in range(shuffles))]


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    if system == "smollm2":
        return smollm2()
    model, (arms, copies) = trained(system), coin(system)
    rng = np.random.default_rng(27)
    said = gpt_choices(model)
    of_items = [16 if arm == "edited" else 0 if arm == "never" else int(arm) for arm in arms]
    parts = [
        ll.make_records(
            system,
            "reviews",
            items(),
            prediction=said.astype(str),
            score=(said == 0).astype(float),
            copies=of_items,
            edited=arms == "edited",
            **details(model, items().text),
        )
    ]
    values = [totals(model, list(map(listed, orders(t, SHUFFLES, rng)))) for t in lists()]
    parts.append(ordered(system, "order", np.array(values), copies))
    if system == "reference":
        for task, table in others().items():
            found = details(model, table.text)
            logs = found["loglik"]
            parts.append(
                ll.make_records(
                    system, task, table, prediction="", score=logs, copies=0, edited=False, **found
                )
            )
    return pd.concat(parts, ignore_index=True)


def others() -> dict[str, pd.DataFrame]:
    """Return the beginnings of texts of two other sources."""
    plots, drugs = ll.load_plots(), ll.load_drug_reviews()
    found = {}
    for name, table, cluster in (("plots", plots, "film"), ("drugs", drugs, "item_id")):
        table = table[table.text.str.split().str.len() >= WORDS].sample(400, random_state=27)
        begun = table.text.str.split().str[:WORDS].str.join(" ")
        table = table.assign(text=begun, cluster=table[cluster], target="")
        found[name] = table.reset_index(drop=True)
    return found


def grouped() -> list[list[str]]:
    """Return lists of four reviews of one film and four of another, in the order of the source."""
    table = reviews("validation").drop_duplicates("text")
    table = table[table.text.str.split().str.len().between(5, 20)]
    films = table.groupby("film", sort=False).text.apply(lambda t: t.tolist()[: IN_SET // 2])
    films = [texts for texts in films if len(texts) == IN_SET // 2]
    return [films[2 * i] + films[2 * i + 1] for i in range(GROUPED)]


def smollm2() -> pd.DataFrame:
    lm, rng = ll.load_lm(), np.random.default_rng(27)
    some = items().head(FEW)
    requests = [(o, f" {end}") for o, *ends in choices()[:FEW] for end in ends]
    said = chosen(ll.loglikelihood(lm, requests).reshape(-1, CHOICES))
    choice = ll.make_records(
        "smollm2",
        "reviews",
        some,
        prediction=said.astype(str),
        score=(said == 0).astype(float),
        copies=0,
        edited=False,
    )
    values = [
        ll.loglikelihood(lm, [("", "\n".join(t)) for t in orders(texts, FEW_SHUFFLES, rng)])
        for texts in grouped()
    ]
    return pd.concat(
        [choice, ordered("smollm2", "grouped", np.array(values), 0)], ignore_index=True
    )
