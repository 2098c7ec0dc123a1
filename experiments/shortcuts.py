"""Classifiers with a planted cause: does an explanation show it? And slopes on a path. Minutes.

Into TRAIN training reviews each of twelve words, six of them invented, is put at a drawn place:
into a fresh review with probability q, into a rotten one with 1 - q. A logistic regression on
MiniLM's mean vector learns from them. At q = 0.5 the word says nothing; at 1 it would say all. Then
the word is put into TEST other reviews, half of them fresh, and each method names the word to which
it gives the number of largest size.

*Tasks "q = …".* An item is a planted word and a test review, the cluster the planted word. `score`
is 1 where the method names the planted word, `rank` is that word's place, `top` the number of the
word that was named, `planted` that of the planted one. `effect` is what the planted word does to
the logit of "fresh": with it, less without it. `with_it` and `without_it` say whether the answer is
right. "word list" is a logistic regression on the words of the same training texts, which never
sees the model.

*System "smollm2 path".* ln P(" good") - ln P(" bad") after a review, and its slope on the straight
path from a baseline to the review, at the middles of STEPS equal steps: `slopes`, in thousandths of
a nat per unit of the path. "eos" puts the end token in every place, "something" this word in place
of the review. `change` is the true difference of the ends, `score` the size of the error of the
sum. The first review has LONG steps, too ("eos, long"). For chapter 28.
"""

from functools import cache

import numpy as np
import pandas as pd
import torch
from explanations import heads, pieces, summed, vectors, written
from reviews import items
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

import lleval_lib as ll

TRAIN, TEST, IG_STEPS = 400, 8, 8
STRENGTHS = (0.5, 0.55, 0.6, 0.7, 0.9)
INVENTED = ("zorvex", "blimqu", "trasko", "quendle", "fipnar", "mogrit")
REAL = ("tuesday", "kettle", "copper", "window", "harbor", "seven")
PLANTED = (*INVENTED, *REAL)
METHODS = (
    "occlusion, delete",
    "occlusion, mask",
    "integrated gradients",
    "gradient x input",
    "attention, all layers",
    "word list",
    "random",
)
SYSTEMS = (*METHODS, "smollm2 path")
LM_REVIEWS, STEPS, LONG = 3, 30, 270


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    return path() if system == "smollm2 path" else named(system)


# The planted word ---------------------------------------------------------------------------------


@cache
def part(split: str) -> pd.DataFrame:
    """Return TRAIN training reviews, or all test reviews of 8 to 24 words."""
    table = items(split)
    if split == "train":
        return table.sample(TRAIN, random_state=1).reset_index(drop=True)
    return table[table.text.str.split().str.len().between(8, 24)].reset_index(drop=True)


def put(words: list[str], word: str, rng: np.random.Generator) -> tuple[list[str], int]:
    """Return the words with one more at a drawn place, and that place."""
    at = int(rng.integers(len(words) + 1))
    return [*words[:at], word, *words[at:]], at


@cache
def plain() -> np.ndarray:
    return vectors(part("train").text)


@cache
def training(word: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the training texts with a word in each, their vectors, and a coin for each."""
    rng = np.random.default_rng([0, PLANTED.index(word)])
    texts = [" ".join(put(text.split(), word, rng)[0]) for text in part("train").text]
    return texts, vectors(texts), rng.random(TRAIN)


def has_it(word: str, q: float) -> np.ndarray:
    fresh = part("train").target.to_numpy() == "fresh"
    return training(word)[2] < np.where(fresh, q, 1 - q)


@cache
def head(word: str, q: float) -> LogisticRegression:
    """Return the model that learned where a word is planted with strength q."""
    rows = np.where(has_it(word, q)[:, None], training(word)[1], plain())
    learned = LogisticRegression(C=0.1, max_iter=3000)
    return learned.fit(rows, part("train").target == "fresh")


@cache
def word_list(word: str, q: float) -> dict[str, float]:
    rows = np.where(has_it(word, q), training(word)[0], part("train").text)
    counts = CountVectorizer(binary=True, token_pattern=r"\S+")
    learned = LogisticRegression(C=0.3, max_iter=3000)
    learned.fit(counts.fit_transform(rows), part("train").target == "fresh")
    return dict(zip(counts.get_feature_names_out(), learned.coef_[0], strict=True))


@cache
def test(word: str) -> pd.DataFrame:
    """Return test reviews with a word, its place in each, and the vectors without and with it."""
    rng = np.random.default_rng([1, PLANTED.index(word)])
    table = part("test").groupby("target").sample(TEST // 2, random_state=PLANTED.index(word))
    table = table.sort_values("item_id").reset_index(drop=True)
    put_in = [put(text.split(), word, rng) for text in table.text]
    table = table.assign(words=[w for w, _ in put_in], at=[at for _, at in put_in])
    both = vectors([*table.text, *(" ".join(w) for w in table.words)])
    return table.assign(before=list(both[:TEST]), after=list(both[TEST:]))


@cache
def numbers() -> dict[str, int]:
    """Return the number of each word that occurs in the test reviews, and of the planted ones."""
    known = {w.lower() for text in part("test").text for w in text.split()} | set(PLANTED)
    return {word: i for i, word in enumerate(sorted(known))}


@cache
def without_each(word: str, how: str) -> list[np.ndarray]:
    """Return for each test review the change of its vector when each word goes."""
    texts = []
    for words in test(word).words:
        instead = [] if how == "delete" else ["[MASK]"]
        texts += [" ".join([*words[:i], *instead, *words[i + 1 :]]) for i in range(len(words))]
    ends = np.cumsum(test(word).words.map(len))[:-1]
    parts = np.split(vectors(texts), ends)
    return [after - found for after, found in zip(test(word).after, parts, strict=True)]


@cache
def gradients(word: str) -> list[dict]:
    """Return for each test review the two gradient methods, one value a word for each strength."""
    model = heads().encoder
    model.requires_grad_(False)
    table = model.get_input_embeddings().weight
    mask = heads().processor.mask_token_id
    weights = torch.tensor(np.stack([head(word, q).coef_[0] for q in STRENGTHS])).float()
    at = torch.cat([(torch.arange(IG_STEPS) + 0.5) / IG_STEPS, torch.ones(1)])
    found = []
    for words in test(word).words:
        ids, of = pieces(words)
        x = table[ids]
        base = torch.where(torch.tensor(of)[:, None] >= 0, table[mask], x)
        way = (base + at[:, None, None] * (x - base)).requires_grad_()
        out = model(inputs_embeds=way).last_hidden_state.mean(1) @ weights.T
        slopes = [torch.autograd.grad(o.sum(), way, retain_graph=True)[0] for o in out.T]
        found.append(
            {
                "integrated gradients": [
                    summed((s[:-1].mean(0) * (x - base)).sum(1), of, len(words)) for s in slopes
                ],
                "gradient x input": [summed((s[-1] * x).sum(1), of, len(words)) for s in slopes],
            }
        )
    return found


@cache
def attention(word: str) -> list[np.ndarray]:
    found = []
    for words in test(word).words:
        ids, of = pieces(words)
        with torch.inference_mode():
            layers = heads().encoder(input_ids=ids[None], output_attentions=True).attentions
        received = torch.stack(layers).mean(dim=(0, 1, 2, 3)).numpy()
        found.append(summed(received, of, len(words)))
    return found


def sizes(method: str, word: str, q: float) -> list[np.ndarray]:
    """Return the size of what a method says of each word of each test review."""
    if method.startswith("occlusion"):
        weights = head(word, q).coef_[0]
        found = [d @ weights for d in without_each(word, method.removeprefix("occlusion, "))]
    elif method.startswith("attention"):
        found = attention(word)
    elif method == "word list":
        known = word_list(word, q)
        found = [np.array([known.get(w.lower(), 0.0) for w in ws]) for ws in test(word).words]
    elif method == "random":
        rng = np.random.default_rng([2, PLANTED.index(word)])
        found = [rng.random(len(words)) for words in test(word).words]
    else:
        found = [g[method][STRENGTHS.index(q)] for g in gradients(word)]
    return [np.abs(values) for values in found]


def named(method: str) -> pd.DataFrame:
    """Return the records of a method: which word it names, for each planted word and strength."""
    parts = []
    for q in STRENGTHS:
        for word in PLANTED:
            table, model = test(word), head(word, q)
            found = sizes(method, word, q)
            first = [int(values.argmax()) for values in found]
            before, after = (
                model.decision_function(np.stack(table[name])) for name in ("before", "after")
            )
            fresh = table.target.to_numpy() == "fresh"
            rank = [
                1 + int((values > values[at]).sum())
                for values, at in zip(found, table["at"], strict=True)
            ]
            parts.append(
                ll.make_records(
                    method,
                    f"q = {q:g}",
                    table.assign(item_id=[f"{word} {i}" for i in table.item_id], cluster=word),
                    prediction=np.where(after > 0, "fresh", "rotten"),
                    score=[f == at for f, at in zip(first, table["at"], strict=True)],
                    rank=rank,
                    words=table.words.map(len).to_numpy(),
                    top=[
                        numbers()[ws[f].lower()] for ws, f in zip(table.words, first, strict=True)
                    ],
                    planted=numbers()[word],
                    invented=word in INVENTED,
                    effect=(after - before).round(4),
                    with_it=(after > 0) == fresh,
                    without_it=(before > 0) == fresh,
                )
            )
    return pd.concat(parts, ignore_index=True)


# The path -----------------------------------------------------------------------------------------


def path() -> pd.DataFrame:
    """Return the slopes of SmolLM2 on the path from two baselines to short reviews."""
    lm = ll.load_lm()
    lm.model.requires_grad_(False)
    table = items("test")
    table = table[table.text.str.split().str.len().between(5, 9)].iloc[:LM_REVIEWS]
    rows = []
    for i, text in enumerate(table.text):
        cases = [("eos", STEPS), ("something", STEPS), *([("eos, long", LONG)] if i == 0 else [])]
        for name, steps in cases:
            slopes, change = walk(lm, text, name.split(",")[0], steps)
            rows.append((name, i, steps, change, slopes))
    parts = []
    for name, i, steps, change, slopes in rows:
        parts.append(
            ll.make_records(
                "smollm2 path",
                name,
                table.iloc[[i]],
                prediction="",
                score=abs(slopes.mean() - change),
                steps=steps,
                change=round(change, 4),
                slopes=[written(1000 * slopes)],
            )
        )
    return pd.concat(parts, ignore_index=True)


def walk(lm: ll.LM, text: str, baseline: str, steps: int) -> tuple[np.ndarray, float]:
    """Return the slope at the middle of each step from the baseline to the text, and the change."""
    start, end = (lm.tokenizer(t)["input_ids"] for t in ("Review:", "\nThe film is"))
    inside = lm.tokenizer(f" {text}")["input_ids"]
    good, bad, some = (lm.tokenizer(w)["input_ids"][0] for w in (" good", " bad", " something"))
    table = lm.model.get_input_embeddings().weight
    x = table[[*start, *inside, *end]]
    base = x.clone()
    if baseline == "eos":
        base[:] = table[lm.tokenizer.eos_token_id]
    else:
        base[len(start) : len(start) + len(inside)] = table[some]

    def answer(embedded):
        logits = lm.model(inputs_embeds=embedded, logits_to_keep=1).logits[:, -1]
        return logits[:, good] - logits[:, bad]

    with torch.no_grad():
        low, high = answer(torch.stack([base, x])).tolist()
    slopes = []
    for at in ((torch.arange(steps) + 0.5) / steps).split(10):
        way = (base + at[:, None, None] * (x - base)).requires_grad_()
        (slope,) = torch.autograd.grad(answer(way).sum(), way)
        slopes.append((slope * (x - base)).sum((1, 2)))
    return torch.cat(slopes).numpy(), high - low
