"""Words that explain a classifier of reviews, deleted by three operations. Five minutes.

The model is MiniLM, its mean vector, and a logistic regression on it, learned from TRAIN reviews of
the training films. Each method gives a number to each word of REVIEWS test reviews, two of each
film; it is large where the word is said to speak for the model's answer. `values` are these numbers
in thousandths; `logit` is the model's.

*Task "attribution".* `score` is the rank correlation with "occlusion, delete", 0 where a method
gives all words one number. For integrated gradients `completeness` is the sum over the words less
the change of the logit. "random" and "occlusion, random head" are DRAWS draws each: `score` is
their mean, `draws` are all of them, in thousandths, `values` those of the first. By symmetry (a
head and its opposite are as likely) one drawn head says nothing about another.

"attention, mean of pieces" is that of all layers, averaged over the pieces of a word, not added.

*Tasks "remove, …" and "keep, mask".* The words with the largest numbers are masked, deleted, or
replaced by words drawn from training reviews; or all others are masked. `score` is the fall of the
logit of the model's answer when this happens to the share SHARE of the words. Attributions with
"random head" explain a model whose head was drawn; the test asks the true model.

*Systems "papers, …".* A paper of ACLSum's test part is the mean of its sentences' vectors, and the
model's answer is its cosine with the paper's title. `score` is the AUC of a method's numbers
against the human highlights, `challenge`, `approach` and `outcome` against one kind of them. `fall`
is the fall of the cosine, in thousandths, when the three sentences with the largest numbers are
deleted. Random orders, and the order among what people marked, are drawn ORDERINGS times: means.
For chapter 28.
"""

from functools import cache

import numpy as np
import pandas as pd
import torch
from reviews import items
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import lleval_lib as ll

TRAIN, REVIEWS, STEPS, SHARE = 800, 100, 8, 0.2
DRAWS, ORDERINGS = 8, 100
OPERATIONS = ("mask", "delete", "replace")
METHODS = (
    "integrated gradients",
    "gradient x input",
    *(f"occlusion, {how}" for how in OPERATIONS),
    "attention, last layer",
    "attention, all layers",
    "word list",
    "first words",
    "random",
    "integrated gradients, random head",
    "occlusion, random head",
    "attention, mean of pieces",
)
KINDS = ("challenge", "approach", "outcome")
ORDERS = ("occlusion", "lead", "length", "random", "people")
SYSTEMS = (*METHODS, *(f"papers, {order}" for order in ORDERS))


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    if system in METHODS:
        return of_reviews(system)
    return of_papers(system.removeprefix("papers, "))


# The model ----------------------------------------------------------------------------------------


@cache
def heads() -> ll.Heads:
    return ll.Heads(ll.load_encoder(), {})


def vectors(texts) -> np.ndarray:
    """Return the mean vectors of texts, (texts, width), batches of about the same length."""
    texts = list(texts)
    order = np.argsort([len(text) for text in texts], kind="stable")
    found = np.empty((len(texts), 384))
    with torch.inference_mode():
        for rows in np.array_split(order, -(-len(texts) // 64)):
            found[rows] = heads().vectors([texts[row] for row in rows]).numpy()
    return found


@cache
def training() -> pd.DataFrame:
    return items("train").sample(TRAIN, random_state=0).reset_index(drop=True)


@cache
def head() -> LogisticRegression:
    learned = LogisticRegression(C=0.1, max_iter=3000)
    return learned.fit(vectors(training().text), training().target == "fresh")


def logit(found: np.ndarray) -> np.ndarray:
    return found @ head().coef_[0] + head().intercept_[0]


@cache
def random_head(seed: int = 0) -> np.ndarray:
    """Return weights of a head that was drawn, as long as those of the true one."""
    drawn = np.random.default_rng(seed).normal(size=384)
    return drawn / np.linalg.norm(drawn) * np.linalg.norm(head().coef_)


# Reviews ------------------------------------------------------------------------------------------


@cache
def reviews() -> pd.DataFrame:
    """Return two test reviews of 8 to 30 words of each of 50 films, and what the model says."""
    table = items("test")
    table = table[table.text.str.split().str.len().between(8, 30)]
    shuffled = table.sample(frac=1, random_state=0)
    two = shuffled.groupby("cluster").head(2)
    films = two.cluster.value_counts().loc[lambda n: n == 2].index.sort_values()[: REVIEWS // 2]
    table = two[two.cluster.isin(films)].sort_values("item_id").reset_index(drop=True)
    words = [text.split() for text in table.text]
    said = logit(vectors(" ".join(w) for w in words))
    return table.assign(words=words, logit=said, sign=np.sign(said))


@cache
def stock() -> list[str]:
    return [word for text in training().text for word in text.split()]


def changed(words: list[str], rows, how: str, rng: np.random.Generator) -> str:
    """Return the text whose words at `rows` are masked, deleted, or replaced by drawn words."""
    rows = set(map(int, rows))
    drawn = rng.integers(len(stock()), size=len(words))
    other = {"mask": "[MASK]", "delete": ""}
    new = [other.get(how, stock()[drawn[i]]) if i in rows else w for i, w in enumerate(words)]
    return " ".join(word for word in new if word)


@cache
def without_each(how: str) -> list[np.ndarray]:
    """Return for each review the change of its vector when each word goes, (words, width)."""
    rng = np.random.default_rng(1)
    texts = [
        [" ".join(w), *(changed(w, [i], how, rng) for i in range(len(w)))] for w in reviews().words
    ]
    found = vectors([text for part in texts for text in part])
    ends = np.cumsum([len(part) for part in texts])
    return [part[0] - part[1:] for part in np.split(found, ends[:-1])]


def pieces(words: list[str]):
    """Return the token numbers of words, and the word of each, -1 for [CLS] and [SEP]."""
    coded = heads().processor(words, is_split_into_words=True, truncation=True, max_length=64)
    return torch.tensor(coded["input_ids"]), [-1 if i is None else i for i in coded.word_ids()]


def summed(values, of: list[int], n: int) -> np.ndarray:
    """Return the sum of the tokens' values for each of n words."""
    inside = np.array(of) >= 0
    return np.bincount(np.array(of)[inside], np.asarray(values)[inside], minlength=n)


@cache
def gradients() -> list[dict]:
    """Return for each review integrated gradients of both heads and gradient times input."""
    model = heads().encoder
    table = model.get_input_embeddings().weight.detach()
    model.requires_grad_(False)
    mask = heads().processor.mask_token_id
    both = torch.tensor(np.stack([head().coef_[0], random_head()]), dtype=torch.float32)
    found = []
    for words in reviews().words:
        ids, of = pieces(words)
        x = table[ids]
        base = torch.where(torch.tensor(of)[:, None] >= 0, table[mask], x)
        at = torch.cat([(torch.arange(STEPS) + 0.5) / STEPS, torch.ones(1)])
        path = (base + at[:, None, None] * (x - base)).requires_grad_()
        out = model(inputs_embeds=path).last_hidden_state.mean(1) @ both.T
        slopes = [
            torch.autograd.grad(out[:, k].sum(), path, retain_graph=True)[0] for k in range(2)
        ]
        with torch.no_grad():
            ends = torch.stack([base, x])
            both_ends = model(inputs_embeds=ends).last_hidden_state.mean(1) @ both.T
        parts = [((s[:-1].mean(0)) * (x - base)).sum(1) for s in slopes]
        found.append(
            {
                "path": summed(parts[0], of, len(words)),
                "path, random head": summed(parts[1], of, len(words)),
                "product": summed((slopes[0][-1] * x).sum(1), of, len(words)),
                "error": float(parts[0].sum() - (both_ends[1] - both_ends[0])[0].detach()),
            }
        )
    return found


@cache
def attention() -> list[np.ndarray]:
    """Return for each review what each word receives, mean over heads and tokens, by layer.

    The last row is the mean over layers, averaged over a word's pieces.
    """
    found = []
    for words in reviews().words:
        ids, of = pieces(words)
        with torch.inference_mode():
            layers = heads().encoder(input_ids=ids[None], output_attentions=True).attentions
        received = torch.stack(layers)[:, 0].mean(dim=(1, 2)).numpy()
        added = [summed(layer, of, len(words)) for layer in received]
        averaged = np.mean(added, axis=0) / summed(np.ones(len(of)), of, len(words))
        found.append(np.stack([*added, averaged]))
    return found


@cache
def word_list() -> dict[str, float]:
    """Return the weight of each word in a logistic regression that never saw the model."""
    counts = CountVectorizer(binary=True, token_pattern=r"\S+", min_df=3)
    train = items("train")
    learned = LogisticRegression(C=0.3, max_iter=3000)
    learned.fit(counts.fit_transform(train.text), train.target == "fresh")
    return dict(zip(counts.get_feature_names_out(), learned.coef_[0], strict=True))


@cache
def attributions(method: str, draw: int = 0) -> list[np.ndarray]:
    """Return what a method says of each word of each review, for the model's answer."""
    table = reviews()
    sizes, signs = table.words.map(len), table.sign
    kind, _, rest = method.partition(", ")
    if kind == "random":
        rng = np.random.default_rng(100 + draw)
        return [rng.random(n) for n in sizes]
    if kind == "first words":
        return [-np.arange(n, dtype=float) for n in sizes]
    if kind == "attention":
        if rest == "mean of pieces":
            return [a[-1] for a in attention()]
        return [a[-2] if rest == "last layer" else a[:-1].mean(axis=0) for a in attention()]
    if kind == "word list":
        known = word_list()
        raw = [np.array([known.get(w.lower(), 0.0) for w in words]) for words in table.words]
    elif kind == "occlusion":
        weights = random_head(draw) if rest == "random head" else head().coef_[0]
        how = rest if rest in OPERATIONS else "delete"
        raw = [d @ weights for d in without_each(how)]
    else:
        name = "path" if kind == "integrated gradients" else "product"
        name += ", random head" if rest == "random head" else ""
        raw = [found[name] for found in gradients()]
    return [sign * values for sign, values in zip(signs, raw, strict=True)]


def of_reviews(method: str) -> pd.DataFrame:
    """Return the records of a method on reviews: its numbers, and the tests of removal."""
    table = reviews()
    drawn = method in ("random", "occlusion, random head")
    found = [attributions(method, draw) for draw in range(DRAWS if drawn else 1)]
    said = np.where(table.logit > 0, "fresh", "rotten")
    agree = np.array([agreements(values) for values in found])
    errors = [g["error"] for g in gradients()] if method == METHODS[0] else np.nan
    parts = [
        ll.make_records(
            method,
            "attribution",
            table,
            prediction=said,
            score=agree.mean(axis=0),
            completeness=errors,
            values=[written(1000 * values) for values in found[0]],
            draws=[written(1000 * r) for r in agree.T] if drawn else None,
            logit=table.logit.round(4),
        )
    ]
    for how, keep in [*((how, False) for how in OPERATIONS), ("mask", True)]:
        parts.append(
            ll.make_records(
                method,
                f"{'keep' if keep else 'remove'}, {how}",
                table,
                prediction=said,
                score=np.mean([fall(values, how, keep) for values in found], axis=0),
                logit=table.logit.round(4),
            )
        )
    return pd.concat(parts, ignore_index=True)


def agreements(found: list[np.ndarray]) -> list[float]:
    """Return the rank correlation with occlusion for each review, 0 where all numbers are one."""
    return [
        float(spearmanr(a, b).statistic) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
        for a, b in zip(found, attributions("occlusion, delete"), strict=True)
    ]


def written(values) -> str:
    return " ".join(f"{value:.0f}" for value in values)


def fall(found: list[np.ndarray], how: str, keep: bool) -> np.ndarray:
    """Return how far the logit of the answer falls, for each review."""
    rng, texts = np.random.default_rng(2), []
    for words, values in zip(reviews().words, found, strict=True):
        order, k = np.argsort(-values, kind="stable"), max(1, round(SHARE * len(words)))
        texts.append(changed(words, order[k:] if keep else order[:k], how, rng))
    table = reviews()
    return (table.sign * (table.logit - logit(vectors(texts)))).to_numpy()


# Papers -------------------------------------------------------------------------------------------


@cache
def papers() -> tuple[pd.DataFrame, np.ndarray, dict[str, np.ndarray]]:
    """Return the sentences of thirty test papers, their vectors, and those of the titles."""
    table = ll.load_aclsum().query("split == 'test'")
    chosen = table.paper.drop_duplicates().sort_values()[:90:3]
    table = table[table.paper.isin(chosen)].reset_index(drop=True)
    table["marked"] = table[["challenge", "approach", "outcome"]].any(axis=1)
    titles = table.drop_duplicates("paper").set_index("paper").title
    return table, vectors(table.text), dict(zip(titles.index, vectors(titles), strict=True))


def cosine(sentences: np.ndarray, title: np.ndarray) -> float:
    mean = sentences.mean(axis=0)
    return float(mean @ title / np.linalg.norm(mean) / np.linalg.norm(title))


def ranking(order: str, part: pd.DataFrame, own, title, rng) -> np.ndarray:
    """Return a number for each sentence of a paper; large ones come first."""
    n = len(part)
    if order == "occlusion":
        return np.array([-cosine(np.delete(own, i, 0), title) for i in range(n)])
    if order == "people":
        return part.marked.to_numpy(float) + rng.random(n) / 2
    if order == "random":
        return rng.random(n)
    return part.text.str.len().to_numpy(float) if order == "length" else -np.arange(n, dtype=float)


def of_papers(order: str) -> pd.DataFrame:
    """Return how a method's order of sentences agrees with people, and what it removes."""
    table, found, titles = papers()
    rows, rng = [], np.random.default_rng(0)
    for paper, part in table.groupby("paper", sort=True):
        own, title = found[part.index], titles[paper]
        whole, n = cosine(own, title), len(part)
        drawn = []
        for _ in range(ORDERINGS if order in ("random", "people") else 1):
            values = ranking(order, part, own, title, rng)
            three = np.argsort(-values, kind="stable")[:3]
            aucs = [roc_auc_score(part[kind], values) for kind in ("marked", *KINDS)]
            drawn.append([*aucs, 1000 * (whole - cosine(np.delete(own, three, 0), title))])
        rows.append((paper, *np.mean(drawn, axis=0), n))
    rows = pd.DataFrame(rows, columns=["item_id", "auc", *KINDS, "fall", "sentences"])
    rows = rows.assign(cluster=rows.item_id, target="highlights")
    return ll.make_records(
        f"papers, {order}",
        "highlights",
        rows,
        prediction="",
        score=rows.auc,
        **{kind: rows[kind].round(4) for kind in KINDS},
        fall=rows.fall.round(3),
        sentences=rows.sentences,
    )
